"""Who wants to hear what happens to which account."""

from collections.abc import Callable
from typing import Any

from feeder.simulator.told import Told

Listener = Callable[[Told], None]


class Listeners:
    """Callbacks by account. Bounded by the connections, each of which stops its own when it goes."""

    def __init__(self) -> None:
        self._by_account: dict[str, dict[object, Listener]] = {}

    def add(self, account: str, listener: Listener) -> Callable[[], None]:
        """Call it for what happens to an account from now on; the result stops it, and may be called again."""
        entry = object()
        self._by_account.setdefault(account, {})[entry] = listener

        def stop() -> None:
            listening = self._by_account.get(account, {})
            listening.pop(entry, None)
            if not listening:
                self._by_account.pop(account, None)

        return stop

    def wanted(self, account: str) -> bool:
        """Whether anybody listens: rows that nobody hears need not be made."""
        return account in self._by_account

    def tell(self, account: str, topic: str, category: str, rows: list[dict[str, Any]], time_ms: int) -> None:
        """Call all of an account, in the order in which they came."""
        told = Told(topic, category, rows, time_ms)
        for listener in tuple(self._by_account.get(account, {}).values()):
            listener(told)
