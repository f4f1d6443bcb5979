"""What happens to accounts, told to who listens: in order, and only once a change is whole."""

from collections import deque
from collections.abc import Callable, Sequence

from feeder.simulator.account import Account
from feeder.simulator.executions import Execution
from feeder.simulator.orders import DEACTIVATED, UNTRIGGERED, Order
from feeder.simulator.position_rows import private_position_row
from feeder.simulator.positions import Position
from feeder.simulator.quotes import Quotes
from feeder.simulator.told import Told
from feeder.simulator.wallet import private_wallet_row

Listener = Callable[[Told], None]


class Notices:
    """Rows are made when something happens, and handed out by `send`. Without a listener none are made.

    Bounded by the accounts, each of which has a listener for its private connections and one for its symbols' markets,
    and by what one request or one turn of the market does.
    """

    def __init__(self, quotes: Quotes) -> None:
        self._quotes = quotes
        self._listeners: dict[str, dict[object, Listener]] = {}
        self._waiting: deque[tuple[str, Told]] = deque()

    def listen(self, account: str, listener: Listener) -> Callable[[], None]:
        """Call it for what happens to an account from now on; the result stops it, and may be called again."""
        entry = object()
        self._listeners.setdefault(account, {})[entry] = listener

        def stop() -> None:
            listening = self._listeners.get(account, {})
            listening.pop(entry, None)
            if not listening:
                self._listeners.pop(account, None)

        return stop

    def round(
        self,
        account: Account,
        order: Order,
        executions: Sequence[Execution],
        position: Position | None,
        others: Sequence[Order],
        now_ms: int,
    ) -> None:
        """An order has changed, by fills or without: it, its fills, its position, the wallet, then other orders."""
        if account.name not in self._listeners:
            return
        category = order.listing.category
        self.orders(account, [order], now_ms)
        if executions:
            self._add(account, Told("execution", category, [each.private_row() for each in executions], now_ms))
        if position is not None:
            self.position(account, position, now_ms)
        if executions or order.status not in (UNTRIGGERED, DEACTIVATED) or order.spot_filter == "tpslOrder":
            self.wallet(account, now_ms)
        self.orders(account, others, now_ms)

    def orders(self, account: Account, orders: Sequence[Order], now_ms: int) -> None:
        """Orders of one category have changed, nothing else."""
        if orders and account.name in self._listeners:
            rows = [order.private_row() for order in orders]
            self._add(account, Told("order", orders[0].listing.category, rows, now_ms))

    def position(self, account: Account, position: Position, now_ms: int) -> None:
        """A position has changed, or something has touched it."""
        if account.name in self._listeners:
            row = private_position_row(account, position, self._quotes)
            self._add(account, Told("position", position.listing.category, [row], now_ms))

    def wallet(self, account: Account, now_ms: int) -> None:
        """Cash or what is bound of it has changed."""
        if account.name in self._listeners:
            self._add(account, Told("wallet", "", [private_wallet_row(account, self._quotes)], now_ms))

    def send(self) -> None:
        """Hand out what waits. A listener may ask for more to happen: that is handed out behind it."""
        while self._waiting:
            name, told = self._waiting.popleft()
            for listener in tuple(self._listeners.get(name, {}).values()):
                listener(told)

    def _add(self, account: Account, told: Told) -> None:
        self._waiting.append((account.name, told))
