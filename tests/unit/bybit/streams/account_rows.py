"""Rows of an account for the tests, and a venue that answers REST with what it is given."""

import re
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from typing import Any

from feeder.bybit.rest import BybitClient
from feeder.bybit.rest.endpoint import Endpoint
from feeder.bybit.rest.endpoints.typed import EXECUTIONS, OPEN_ORDERS, ORDER_HISTORY, POSITIONS, WALLET_BALANCE
from feeder.bybit.rest.reply import Page, Reply
from feeder.bybit.rest.results.account import CoinBalance, Wallet
from feeder.bybit.rest.results.orders import Execution, Order
from feeder.bybit.rest.results.positions import Position
from feeder.bybit.streams.messages import ExecutionUpdate, OrderUpdate, PositionUpdate, WalletUpdate
from tests.helpers.secrets import API_KEY, API_SECRET

T0 = 1_700_000_000_000


def order(order_id: str = "o1", status: str = "New", *, at: int = T0, done: str = "0", **more: Any) -> OrderUpdate:
    """An order as the stream tells it, `at` its updated_time, `done` what is executed."""
    told: dict[str, Any] = {
        "category": "linear",
        "symbol": "BTCUSDT",
        "side": "Buy",
        "qty": Decimal(10),
        "price": Decimal(100),
        "closed_pnl": Decimal(0),
    }
    return OrderUpdate(
        order_id=order_id,
        order_status=status,
        cum_exec_qty=Decimal(done),
        updated_time=at,
        creation_time=at + 1,
        **(told | more),
    )


def fill(exec_id: str = "e1", order_id: str = "o1", *, at: int = T0, **more: Any) -> ExecutionUpdate:
    told: dict[str, Any] = {"category": "linear", "symbol": "BTCUSDT", "exec_type": "Trade", "exec_qty": Decimal(1)}
    return ExecutionUpdate(exec_id=exec_id, order_id=order_id, exec_time=at, creation_time=at + 1, **(told | more))


def position(size: str = "1", *, seq: int = 5, at: int = T0, **more: Any) -> PositionUpdate:
    told: dict[str, Any] = {"category": "linear", "symbol": "BTCUSDT", "position_idx": 0, "mark_price": Decimal(100)}
    side = "Buy" if Decimal(size) else None
    return PositionUpdate(
        size=Decimal(size), side=side, seq=seq, updated_time=at, creation_time=at + 1, **(told | more)
    )


def coin(name: str, balance: str) -> CoinBalance:
    return CoinBalance(name, equity=Decimal(balance), wallet_balance=Decimal(balance))


def wallet(at: int = T0, **coins: str) -> WalletUpdate:
    balances = [coin(name, balance) for name, balance in coins.items()]
    return WalletUpdate(account_type="UNIFIED", total_equity=Decimal(1), coins=balances, creation_time=at)


def listed(row: Any, kind: type[Any]) -> Any:
    """As REST lists what the stream told."""
    return kind(**{name: getattr(row, name) for name in kind.__struct_fields__})


class Venue(BybitClient):
    """What REST would say: `open`, `history`, `fills`, `held` and `coins`; `asked` is what it was asked for.

    `failures` are raised, one for each request, before anything is answered; `before` is called before each answer.
    """

    __slots__ = ("asked", "before", "coins", "failures", "fills", "held", "history", "now_ms", "open", "realtime")

    def __init__(self) -> None:
        super().__init__(API_KEY, API_SECRET, base_url="http://127.0.0.1:1")
        self.open: list[OrderUpdate] = []
        self.realtime: list[OrderUpdate] = []  # closed, but still told by name
        self.history: list[OrderUpdate] = []
        self.fills: list[ExecutionUpdate] = []
        self.held: list[PositionUpdate] = []
        self.coins: list[CoinBalance] = []
        self.asked: list[tuple[str, dict[str, object]]] = []
        self.failures: list[Exception] = []
        self.before: Any = None
        self.now_ms = T0

    async def send(self, endpoint: Endpoint[Any], parameters: Mapping[str, object]) -> Reply[Any]:
        given = {name: value for name, value in parameters.items() if value is not None}
        self.asked.append((endpoint.path, given))
        if self.before is not None:
            await self.before(endpoint, given)
        if self.failures:
            raise self.failures.pop(0)
        rows = self._rows(endpoint, given)
        return Reply(Page(entries=rows), b"", self.now_ms)

    async def each(self, endpoint: Endpoint[Any], parameters: Mapping[str, object]) -> AsyncIterator[Any]:
        for row in (await self.send(endpoint, parameters)).result.entries:
            yield row

    def _rows(self, endpoint: Endpoint[Any], given: dict[str, object]) -> list[Any]:
        if endpoint is WALLET_BALANCE:
            return [Wallet(account_type="UNIFIED", total_equity=Decimal(1), coins=list(self.coins))]
        if endpoint is POSITIONS:
            wanted = given.get("symbol")
            rows: list[Any] = [
                row for row in self.held if (row.symbol == wanted if wanted else row.size) and _settles(row, given)
            ]
            return [listed(row, Position) for row in rows if row.category == given["category"]]
        if endpoint is EXECUTIONS:
            start, end = int(str(given["startTime"])), int(str(given.get("endTime", 1 << 60)))
            found = [row for row in self.fills if start <= (row.exec_time or 0) <= end]
            found.sort(key=lambda row: -(row.exec_time or 0))
            return [listed(row, Execution) for row in found if row.category == given["category"]]
        named = [given.get("orderId"), given.get("orderLinkId")]
        if endpoint is OPEN_ORDERS:
            rows = self.open + (self.realtime if any(named) else [])
        else:
            assert endpoint is ORDER_HISTORY
            rows = self.history
        if any(named):
            rows = [row for row in rows if row.order_id == named[0] or (not named[0] and row.order_link_id == named[1])]
        return [listed(row, Order) for row in rows if row.category == given["category"] and _settles(row, given)]


def _settles(row: Any, given: dict[str, object]) -> bool:
    wanted = given.get("settleCoin")
    match = re.search(r"(USDT|USDC)$", row.symbol)
    return wanted is None or (match is not None and match.group() == wanted)
