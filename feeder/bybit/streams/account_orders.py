"""Asking REST for one order: what became of a request, or whose fill that was."""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from random import Random
from typing import NamedTuple

from feeder.clock import Clock
from feeder.errors import ParameterError, RestError

from ..pacing import backoff_delay
from ..rest.client import BybitClient
from ..rest.endpoints.typed import OPEN_ORDERS, ORDER_HISTORY
from ..rest.words import Category
from .account_rules import as_update
from .account_state import AccountState
from .messages import OrderUpdate

_WEEK_MS = 7 * 86_400_000
_LATE_SECONDS = 1.0  # an order's message mostly comes right before or after its fill's
_ASK_FIRST, _ASK_CAP = 0.1, 2.0  # seconds between questions for one order
_RETRY_FIRST, _RETRY_CAP = 0.5, 30.0
_MOST_UNKNOWN = 1_000

_log = logging.getLogger("feeder.bybit.account")


class OrderName(NamedTuple):
    """By what an order is asked for; `order_id` counts before `order_link_id`. `created_ms`, where it is known."""

    category: Category
    symbol: str | None = None
    order_id: str | None = None
    order_link_id: str | None = None
    created_ms: int | None = None


def name_of(request: RestError | str, category: Category | None, symbol: str | None) -> OrderName:
    """The order of a request that failed, or of an orderLinkId. Raises ParameterError where it cannot be asked for."""
    order_id, link_id = None, request
    if isinstance(request, RestError):
        if request.order_link_ids and request.order_link_id is None:  # of a single order it has both
            raise ParameterError("outcome", "request", "is a batch; ask for each of its order_link_ids")
        given = request.parameters
        category, symbol = category or given.get("category"), symbol or given.get("symbol")
        order_id, link_id = given.get("orderId"), request.order_link_id or ""
    if not (order_id or link_id):
        raise ParameterError("outcome", "request", "names no order, neither by orderId nor by orderLinkId")
    if category is None:
        raise ParameterError("outcome", "category", "is needed to find an order by its orderLinkId")
    return OrderName(category, symbol, order_id, str(link_id) or None)


async def find_order(client: BybitClient, name: OrderName) -> OrderUpdate | None:
    """An order as it is: in real time, else from the history. None: the venue knows it in neither. Raises RestError."""
    asked = {
        "category": name.category,
        "symbol": name.symbol,
        "orderId": name.order_id,
        "orderLinkId": None if name.order_id else name.order_link_id,
    }
    reply = await client.send(OPEN_ORDERS, asked)
    if not reply.result.entries:
        reply = await client.send(ORDER_HISTORY, asked)
    if not reply.result.entries and name.created_ms is not None and reply.time_ms - name.created_ms > _WEEK_MS:
        reply = await client.send(ORDER_HISTORY, asked | {"startTime": name.created_ms})
    for order in reply.result.entries:
        if name.order_id in (None, order.order_id) and (name.order_id or order.order_link_id == name.order_link_id):
            return as_update(order, name.category, reply.time_ms)
    return None


async def find_order_within(
    client: BybitClient,
    name: OrderName,
    seconds: float,
    *,
    clock: Clock,
    random: Random,
    sleep: Callable[[float], Awaitable[None]],
) -> OrderUpdate | None:
    """As `find_order`, asked again until it is known. Raises the last RestError where the time ends with one."""
    deadline = clock.monotonic() + seconds
    for attempt in itertools.count(1):
        error: RestError | None = None
        try:
            found = await find_order(client, name)
        except RestError as failed:
            error, found = failed, None
        if found is not None:
            return found
        left = deadline - clock.monotonic()
        if left <= 0:
            break
        await sleep(min(backoff_delay(attempt, _ASK_FIRST, _ASK_CAP, random), left))
    if error is not None:
        raise error
    return None


class UnknownOrders:
    """The orders of fills that nobody knows: asked for, one after the other, unless they come by themselves.

    `found` takes what REST tells of one. An order that the venue does not know either is logged and let go.
    """

    def __init__(
        self,
        client: BybitClient,
        state: AccountState,
        found: Callable[[OrderUpdate], None],
        *,
        random: Random,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._client = client
        self._state = state
        self._found = found
        self._random = random
        self._sleep = sleep
        self._names: dict[str, OrderName] = {}
        self._asking: asyncio.Task[None] | None = None

    def ask_for(self, name: OrderName) -> None:
        """Ask for it by its orderId, soon."""
        assert name.order_id is not None
        if len(self._names) == _MOST_UNKNOWN:
            _log.warning("order %s is not asked for: %d others are", name.order_id, _MOST_UNKNOWN)
            return
        self._names[name.order_id] = name
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask(), name="orders of unknown fills")

    async def aclose(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _ask(self) -> None:
        try:
            await self._ask_for_all()
        finally:
            self._asking = None  # after a defect, too: the next fill has it begin again

    async def _ask_for_all(self) -> None:
        failures = 0
        delay = _LATE_SECONDS
        while self._names:
            await self._sleep(delay)
            delay = _LATE_SECONDS
            for order_id, name in tuple(self._names.items()):
                try:
                    await self._ask_once(order_id, name)
                except RestError as error:
                    failures += 1
                    delay = max(backoff_delay(failures, _RETRY_FIRST, _RETRY_CAP, self._random), _LATE_SECONDS)
                    delay = max(delay, error.retry_after_seconds)
                    _log.debug("order %s not answered for, asked again: %s", order_id, error)
                    break
                failures = 0
                del self._names[order_id]

    async def _ask_once(self, order_id: str, name: OrderName) -> None:
        if self._state.order(order_id) is not None:
            return
        order = await find_order(self._client, name)
        if order is None:
            _log.warning("the venue does not know order %s, of which it told a fill", order_id)
        else:
            self._found(order)
