"""Order entry against the simulator: the same orders as over REST, and its faults."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from feeder.bybit import AmendRequest, CancelRequest, OrderRequest, batch_outcome
from feeder.bybit.rest.client import BybitClient
from feeder.bybit.rest.pool import SessionPool, Timeouts
from feeder.bybit.streams.order_entry import OrderEntry
from feeder.bybit.streams.order_entry_link import LateAck
from feeder.errors import (
    AuthError,
    DuplicateOrderError,
    OrderNotFoundError,
    RateLimitedError,
    ReplyTimeoutError,
    RestError,
    StreamAuthError,
    TransportError,
)
from feeder.simulator.keys import DEFAULT_KEY
from feeder.simulator.script import parse_fault
from feeder.simulator.server import Simulator, SimulatorConfig
from tests.helpers.processes import until

SYMBOL = "BTCUSDT"
MARKET = SimulatorConfig(symbols=2, updates_per_second=20.0, rest_limits=True)


class Desk:
    """A simulator, a client, and order entry that is signed in."""

    def __init__(self, simulator: Simulator, client: BybitClient, entry: OrderEntry) -> None:
        self.simulator, self.client, self.entry = simulator, client, entry

    def inject(self, **fault: Any) -> None:
        self.simulator.inject(parse_fault(fault))

    async def place(self, name: str | None = None, price: str = "1000", category: Any = "linear") -> Any:
        return await self.entry.place_order(
            category, SYMBOL, "Buy", "Limit", "0.01", price=price, order_link_id=name, time_in_force="PostOnly"
        )

    async def failure(self, name: str | None = None) -> RestError:
        with pytest.raises(RestError) as caught:
            await self.place(name)
        return caught.value

    async def found(self, name: str) -> bool:
        """Whether REST knows an order of this name."""
        page = await self.client.open_orders("linear", symbol=SYMBOL, order_link_id=name)
        return bool(page.result.entries)


@asynccontextmanager
async def desk(config: SimulatorConfig = MARKET, **more: Any) -> AsyncIterator[Desk]:
    async with Simulator(config) as simulator, SessionPool(**more) as pool:
        assert DEFAULT_KEY.secret is not None
        client = BybitClient(DEFAULT_KEY.key, DEFAULT_KEY.secret, pool=pool, base_url=simulator.rest_url)
        async with OrderEntry(client, url=simulator.websocket_url) as entry:
            await entry.ready()
            yield Desk(simulator, client, entry)


@pytest.fixture
async def trading() -> AsyncIterator[Desk]:
    async with desk() as made:
        yield made


async def test_an_order_over_the_socket_is_the_order_that_rest_knows(trading: Desk) -> None:
    placed = await trading.place("mine")
    assert placed.rate is not None
    assert placed.rate.limit == 10
    (order,) = (await trading.client.open_orders("linear", symbol=SYMBOL)).result.entries
    assert (order.order_id, order.order_link_id) == (placed.result.order_id, "mine")
    await trading.entry.amend_order("linear", SYMBOL, order_link_id="mine", price="1001")
    (order,) = (await trading.client.open_orders("linear", symbol=SYMBOL)).result.entries
    assert order.price == Decimal("1001")
    await trading.entry.cancel_order("linear", SYMBOL, order_id=placed.result.order_id)
    assert not (await trading.client.open_orders("linear", symbol=SYMBOL)).result.entries
    with pytest.raises(OrderNotFoundError):
        await trading.entry.cancel_order("linear", SYMBOL, order_id=placed.result.order_id)


async def test_batches_go_over_the_socket_and_tell_of_each_order(trading: Desk) -> None:
    orders = [OrderRequest(SYMBOL, "Buy", "Limit", "0.01", price="1000", order_link_id=name) for name in "aba"]
    placed = batch_outcome(await trading.entry.place_orders("linear", orders))
    assert [bool(each.code) for each in placed] == [False, False, True]
    amended = await trading.entry.amend_orders("linear", [AmendRequest(SYMBOL, order_link_id="a", price="1002")])
    assert [each.code for each in batch_outcome(amended)] == [0]
    cancelled = await trading.entry.cancel_orders("linear", [CancelRequest(SYMBOL, order_link_id=n) for n in "ab"])
    assert [each.code for each in batch_outcome(cancelled)] == [0, 0]
    assert not (await trading.client.open_orders("linear", symbol=SYMBOL)).result.entries


async def test_an_order_that_exists_already_is_refused(trading: Desk) -> None:
    await trading.place("twice")
    assert isinstance(await trading.failure("twice"), DuplicateOrderError)


@pytest.mark.parametrize(("how", "exists"), [("lost", True), ("unsent", False)])
async def test_a_connection_cut_between_order_and_answer_is_asked_about_not_repeated(
    trading: Desk, how: str, exists: bool
) -> None:
    trading.inject(fault="order_entry", how=how, times=1)
    error = await trading.failure()
    assert isinstance(error, TransportError)
    assert error.unknown_outcome
    assert error.order_link_id is not None
    assert await trading.found(error.order_link_id) is exists
    await trading.entry.ready()
    assert await trading.found(error.order_link_id) is exists
    assert trading.entry.health().sent == 1


async def test_an_answer_that_is_late_and_one_that_never_comes() -> None:
    async with desk(timeouts=Timeouts(answer=0.5)) as trading:
        late: list[LateAck] = []
        trading.entry.late_acks.on(late.append)
        trading.inject(fault="order_entry", how="late", delay=1.0, times=1)
        assert isinstance(await trading.failure("late"), ReplyTimeoutError)
        await until(lambda: bool(late), 10, "the late answer")
        assert late[0].order_link_ids == ("late",)
        trading.inject(fault="order_entry", how="ignored", times=1)
        assert isinstance(await trading.failure("ignored"), ReplyTimeoutError)
        assert await trading.found("late")
        assert not await trading.found("ignored")


async def test_a_restart_of_order_entry_moves_to_another_connection(trading: Desk) -> None:
    trading.inject(fault="order_entry", ret_code=10019, times=1)
    await trading.place("mine")
    assert await trading.found("mine")
    assert trading.entry.health().connects == 2


async def test_a_refused_request_is_the_error_of_its_code(trading: Desk) -> None:
    trading.inject(fault="order_entry", ret_code=20003, times=4)
    assert isinstance(await trading.failure("refused"), RateLimitedError)
    assert not await trading.found("refused")


async def test_a_sign_in_that_is_refused_is_told_and_tried_again(trading: Desk) -> None:
    trading.inject(fault="auth", ret_code=10004, category="trade", times=1)
    trading.inject(fault="disconnect", category="trade")
    await until(lambda: trading.entry.health().state == "refused", 10, "the refusal")
    with pytest.raises(StreamAuthError):
        await trading.entry.ready()
    await until(lambda: trading.entry.health().state == "ready", 10, "the next attempt")
    await trading.place()


async def test_a_revoked_key_is_told_and_no_order_goes_out(trading: Desk) -> None:
    trading.inject(fault="revoke")
    await until(lambda: trading.entry.health().state == "refused", 10, "the refusal")
    assert isinstance(await trading.failure(), AuthError)
    assert trading.entry.health().sent == 0


async def test_the_venue_s_clock_is_kept_from_the_first_sign_in_on() -> None:
    async with Simulator(MARKET) as simulator, SessionPool() as pool:
        simulator.inject(parse_fault({"fault": "rest_skew", "by": 120.0}))
        assert DEFAULT_KEY.secret is not None
        client = BybitClient(DEFAULT_KEY.key, DEFAULT_KEY.secret, pool=pool, base_url=simulator.rest_url)
        async with OrderEntry(client, url=simulator.websocket_url) as entry:
            await entry.ready()
            await entry.place_order("linear", SYMBOL, "Buy", "Limit", "0.01", price="1000")


async def test_socket_and_rest_together_ask_for_no_more_than_the_venue_allows(trading: Desk) -> None:
    """Were each to count for itself, ten would be refused. A few may be on a busy machine, as they overtake others."""
    await asyncio.gather(*(trading.client.server_time() for _ in range(10)))  # connections cost no order its time
    over_rest = [trading.client.place_order("linear", SYMBOL, "Buy", "Limit", "0.01", price="1000") for _ in range(10)]
    over_socket = [trading.place() for _ in range(10)]
    await asyncio.gather(*over_rest, *over_socket)
    assert trading.entry.health().rejected + trading.client.pool.counters.refused < 10
