"""Signed connections without sockets: what they were sent, and whether they were cut."""

import json
from collections.abc import Callable
from typing import Any

from feeder.clock import ManualClock
from feeder.simulator.guests import Host, Wire
from feeder.simulator.keys import DEFAULT_KEY, ApiKey
from feeder.simulator.told import Told
from tests.unit.simulator.signer import login


class SignedClient:
    """A connection to /v5/private or /v5/trade."""

    def __init__(self, host: Host, clock: ManualClock, query: str = "", address: str = "127.0.0.1") -> None:
        self.received: list[bytes] = []
        self.cut_because: str | None = None
        self._clock = clock
        self._heard: Callable[[], None] | None = None
        self.guest = host.connect(Wire(self._receive, self._cut, address, query))

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send, and the last answer."""
        self.guest.receive(json.dumps(request).encode())
        return self.take()[-1]

    def say(self, **request: Any) -> list[dict[str, Any]]:
        """Send, and all that came."""
        self.guest.receive(json.dumps(request).encode())
        return self.take()

    def log_in(self, key: ApiKey = DEFAULT_KEY) -> dict[str, Any]:
        """The answer to a good log-in."""
        return self.ask(op="auth", args=login(key, self._clock.wall_ns() // 1_000_000 + 1000))

    def subscribe(self, *topics: str) -> None:
        """To topics that there are."""
        assert self.ask(op="subscribe", args=list(topics))["success"]

    def take(self) -> list[dict[str, Any]]:
        """Everything since the last call."""
        messages = [json.loads(text) for text in self.received]
        self.received.clear()
        return messages

    def hear(self, callback: Callable[[], None]) -> None:
        """Call it for each message from now on."""
        self._heard = callback

    def _receive(self, payload: bytes) -> None:
        self.received.append(payload)
        if self._heard is not None:
            self._heard()

    def _cut(self, reason: str | None) -> None:
        if self.cut_because is None:
            self.cut_because = reason
            self.guest.leave()


class Teller:
    """What the private streams know of a ledger: it tells what the test lets happen."""

    def __init__(self) -> None:
        self._listening: list[tuple[str, Callable[[Told], None]]] = []

    def listen(self, account: str, callback: Callable[[Told], None]) -> Callable[[], None]:
        """As the ledger's."""
        entry = account, callback
        self._listening.append(entry)
        return lambda: self._listening.remove(entry)

    def tell(self, account: str, topic: str, category: str, row: dict[str, Any]) -> None:
        """Something happened to an account."""
        for name, callback in list(self._listening):
            if name == account:
                callback(Told(topic, category, [row], 1_700_000_000_000))

    @property
    def accounts(self) -> set[str]:
        """Which are listened to."""
        return {account for account, _ in self._listening}
