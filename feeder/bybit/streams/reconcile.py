"""Asking REST what became of an account while its stream was away.

A round asks for the wallet, and of each category for the open orders, the fate of each order that was thought open and
is not among them, the orders that came and went, the fills, and the positions, also those that are gone. What it finds
goes into the state by the rules of account_rules.py, and from there to whoever listens, a fill as if it had come live.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any

from feeder.errors import InvalidRequestError, OrderNotFoundError, StreamError

from ..rest.client import BybitClient
from ..rest.words import Category, Derivative
from .account_orders import OrderName, find_order
from .account_rules import as_execution, as_position, as_update, is_done
from .account_scope import Scope
from .account_state import AccountState, PositionKey
from .messages import ExecutionUpdate, OrderUpdate, PositionUpdate, WalletUpdate

Change = OrderUpdate | ExecutionUpdate | PositionUpdate | WalletUpdate
Tell = Callable[[Change], None]

OVERLAP_MS = 60_000
"""Fills are asked for from so long before the last that is surely known: lists lag behind, and events overtake."""

DAY_MS = 86_400_000  # of fills at once: the venue allows 7 days, but all of them are in memory
OVERDUE_MS = 5_000
"""A fill this old the stream has told of, unless it lost it or was away."""

_AT_ONCE = 10  # questions of one category
_ASKED_FOR_LOST = 5  # rounds; the history lags behind, too

_log = logging.getLogger("feeder.bybit.account")


class Reconciliation:
    """One reconciliation, in as many rounds as it needs.

    `fills_since(venue's time)` tells from when on fills are wanted; both ms.
    """

    def __init__(
        self,
        client: BybitClient,
        state: AccountState,
        scope: Scope,
        tell: Tell,
        fills_since: Callable[[int], int],
    ) -> None:
        self.began_ms = 0  # the venue's time when the last round began
        self.fills_found = 0
        self.overdue = 0  # of these, by OVERDUE_MS before the round began
        self._client = client
        self._state = state
        self._scope = scope
        self._tell = tell
        self._asked = 0
        self._fills_since = fills_since
        self._since_ms = 0  # as of the last round
        self._lost: dict[str, int] = {}  # by orderId: rounds in which nobody knew it

    async def round(self, asked: int) -> None:
        """Ask for everything once. `asked`: the moment of the state since which the stream tells everything.

        Raises RestError, or StreamError where the venue does not know itself yet.
        """
        self._asked = asked
        await self._wallet()
        self._since_ms = self._fills_since(self.began_ms)
        await _all(self._category(category) for category in self._scope.categories)
        missing = [order_id for order_id, times in self._lost.items() if times < _ASKED_FOR_LOST]
        if missing:
            raise StreamError(
                f"the venue lists {len(missing)} orders neither as open nor as history yet, as {missing[0]}"
            )

    async def late_fills(self) -> None:
        """Ask once more for those of shortly before the last round, and since. Raises RestError."""
        known = self.fills_found
        since_ms = max(self._since_ms, self.began_ms - OVERLAP_MS)
        await _all(self._fills(category, since_ms, None) for category in self._scope.categories)
        if self.fills_found > known:
            _log.warning("%d fills found that the venue listed late", self.fills_found - known)

    async def _wallet(self) -> None:
        reply = await self._client.wallet_balance()
        self.began_ms = reply.time_ms
        for wallet in reply.result.entries:
            self._on_change(self._state.take_wallet(wallet, self._asked, reply.time_ms))

    async def _category(self, category: Category) -> None:
        # Orders before fills: what an order is told to have executed, the list of fills then has.
        await self._orders(category)
        for start, end in self._spans(self._since_ms):
            await self._past_orders(category, start, end)
            await self._fills(category, start, end)
        if category != "spot":
            await self._positions(category)

    async def _orders(self, category: Category) -> None:
        listed: set[str] = set()
        for coin in self._scope.coins_of(category):
            async for order in self._client.each_open_order(category, settle_coin=coin):
                listed.add(order.order_id)
                self._on_change(self._state.take_order(as_update(order, category, self.began_ms), self._asked))
        # Those that the stream has told of since are right, and will be told of again.
        unlisted = (each for each in self._state.orders_before(category, self._asked) if each.order_id not in listed)
        await _all(self._fate(category, order) for order in unlisted)

    async def _fate(self, category: Category, order: OrderUpdate) -> None:
        order_id = order.order_id
        name = OrderName(category, order.symbol, order_id, created_ms=order.created_time)
        found = None
        with suppress(InvalidRequestError, OrderNotFoundError):  # as of a symbol that is traded no more
            found = await find_order(self._client, name)
        if found is not None:
            self._lost.pop(order_id, None)
            self._on_change(self._state.take_order(found, self._asked))
            return
        self._lost[order_id] = self._lost.get(order_id, 0) + 1
        if self._lost[order_id] == _ASKED_FOR_LOST:
            self._on_change(self._state.forget_order(order_id, self._asked))

    def _spans(self, since_ms: int) -> list[tuple[int, int | None]]:
        """Day after day; the last has no end, so that nothing hangs on a clock."""
        starts = range(since_ms, max(self.began_ms, since_ms + 1), DAY_MS)
        return [(start, start + DAY_MS - 1 if start != starts[-1] else None) for start in starts]

    async def _past_orders(self, category: Category, start: int, end: int | None) -> None:
        """Those that were placed and closed while nobody looked.

        Only those that are done: history lags behind, and what it takes for open may be so no more.
        """
        listing = self._client.each_past_order(category, start_time=start, end_time=end)
        found = [order async for order in listing if is_done(order)]
        found.sort(key=lambda each: each.updated_time or 0)  # of more than are kept, the last are
        for order in found:
            self._on_change(self._state.take_order(as_update(order, category, self.began_ms), self._asked))

    async def _fills(self, category: Category, start: int, end: int | None) -> None:
        listing = self._client.each_execution(category, start_time=start, end_time=end)
        found = [execution async for execution in listing]
        # The youngest came first, and those of one millisecond in any order.
        found.sort(key=lambda each: (each.exec_time or 0, each.seq or 0, -(each.leaves_qty or 0), each.exec_id))
        for execution in found:
            fill = self._state.take_fill(as_execution(execution, category, self.began_ms))
            if fill is not None:
                self.fills_found += 1
                self.overdue += (fill.exec_time or self.began_ms) < self.began_ms - OVERDUE_MS
                self._tell(fill)

    async def _positions(self, category: Derivative) -> None:
        listed: set[PositionKey] = set()
        for coin in self._scope.coins_of(category):
            async for position in self._client.each_position(category, settle_coin=coin):
                update = as_position(position, category, self.began_ms)
                listed.add(PositionKey(category, position.symbol, position.position_idx or 0))
                self._on_change(self._state.take_position(update, self._asked))
        gone = [key for key in self._state.positions_before(category, self._asked) if key not in listed]
        await _all(self._whole_symbol(category, symbol) for symbol in sorted({key.symbol for key in gone}))

    async def _whole_symbol(self, category: Derivative, symbol: str) -> None:
        """A symbol's positions as they are, the empty ones as well."""
        keys = {key for key in self._state.positions_before(category, self._asked) if key.symbol == symbol}
        # A symbol that has expired, the venue does not take any more.
        with suppress(InvalidRequestError):
            reply = await self._client.positions(category, symbol=symbol)
            for position in reply.result.entries:
                keys.discard(PositionKey(category, position.symbol, position.position_idx or 0))
                self._on_change(self._state.take_position(as_position(position, category, reply.time_ms), self._asked))
        for key in keys:  # as after a change of the position mode
            self._on_change(self._state.forget_position(key, self._asked))

    def _on_change(self, change: Change | None) -> None:
        if change is not None:
            self._tell(change)


async def _all(asking: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Ask all, a few at once: more would wait for the rate limits, in front of what others ask, and too long at last.

    One error ends the others and is raised.
    """
    waiting = iter(asking)

    async def ask() -> None:
        for each in waiting:
            await each

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(ask())
    except BaseExceptionGroup as errors:
        error: BaseException = errors
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
