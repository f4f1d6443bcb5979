"""Orders asked for one by one: of fills that nobody knows, and what became of a request."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from feeder.bybit.rest.endpoint import Endpoint
from feeder.bybit.rest.results.orders import Order
from feeder.bybit.streams.account_orders import OrderName, find_order
from feeder.bybit.streams.account_rules import is_done
from feeder.errors import BarredError, ConnectError, OrderNotFoundError, ParameterError, RestError

from .account_rows import T0, Venue, fill, listed, order
from .account_scene import DOWN, fail, scenes, turns


@pytest.mark.parametrize(
    ("status", "is_open"),
    [
        *((status, True) for status in ("New", "PartiallyFilled", "Untriggered", "Triggered", "NotHeardOf", None)),
        *((status, False) for status in ("Filled", "Cancelled", "PartiallyFilledCanceled", "Rejected", "Deactivated")),
        ("Gone", False),
    ],
)
def test_an_order_says_whether_anything_may_still_come_of_it(status: Any, is_open: bool) -> None:
    assert order(status=status).is_open is is_open
    assert is_done(order(status=status)) is not is_open


# Fills of orders that nobody knows


async def test_a_fill_of_an_unknown_order_is_told_and_its_order_asked_for() -> None:
    async with scenes() as scene:
        await scene.resume()
        scene.venue.realtime = [order("elsewhere", "Filled", done="10")]
        scene.stream.executions.publish(fill(order_id="elsewhere"))
        assert scene.told[-1].exec_id == "e1"
        await turns(50)
        assert scene.told[-1] is scene.account.order("elsewhere")


async def test_the_order_of_a_fill_that_comes_late_is_not_asked_for() -> None:
    async with scenes() as scene:
        await scene.resume()
        scene.venue.asked.clear()
        scene.stream.executions.publish(fill())
        scene.stream.orders.publish(order(status="Filled", done="10"))
        await turns(50)
        assert not scene.venue.asked


async def test_the_order_of_a_fill_is_asked_for_until_rest_answers(caplog: pytest.LogCaptureFixture) -> None:
    async with scenes() as scene:
        await scene.resume()
        fail(scene.venue, 3)
        scene.stream.executions.publish(fill(order_id="nobody's"))
        await turns(50)
        assert "does not know order nobody's" in caplog.text
        assert len(scene.pauses) == 4


async def test_the_orders_of_later_fills_are_asked_for_too() -> None:
    async with scenes() as scene:
        await scene.resume()
        scene.venue.realtime = [order("first", "Filled", done="10"), order("second", "Filled", done="10")]
        for name in ("first", "second"):
            scene.stream.executions.publish(fill(name, name))
            await turns(20)
            assert scene.told[-1] is scene.account.order(name)


async def test_the_order_of_a_fill_is_not_asked_for_again_before_the_venue_said() -> None:
    async with scenes() as scene:
        await scene.resume()
        scene.venue.failures = [BarredError("left alone", retriable=True, retry_after_seconds=600)]
        scene.stream.executions.publish(fill(order_id="elsewhere"))
        await turns(20)
        assert scene.pauses[1] == 600


async def test_after_a_defect_the_order_of_the_next_fill_is_asked_for() -> None:
    async with scenes() as scene:
        await scene.resume()
        scene.venue.failures = [TypeError("a mistake of ours")]
        scene.stream.executions.publish(fill("e1", "first"))
        await turns(20)
        scene.venue.realtime = [order("second", "Filled", done="10")]
        scene.stream.executions.publish(fill("e2", "second"))
        await turns(20)
        assert scene.told[-1] is scene.account.order("second")


async def test_another_order_than_was_asked_for_is_none() -> None:
    class Careless(Venue):
        __slots__ = ()

        def _rows(self, endpoint: Endpoint[Any], given: dict[str, object]) -> list[Any]:
            return [listed(order("o1", order_link_id="mine"), Order)]

    venue = Careless()
    assert await find_order(venue, OrderName("linear", None, "o2")) is None
    assert await find_order(venue, OrderName("linear", None, None, "another")) is None
    assert await find_order(venue, OrderName("linear", None, None, "mine")) is not None
    assert await find_order(venue, OrderName("linear", None, "o1", "another")) is not None
    assert "orderLinkId" not in venue.asked[-1][1]


async def test_the_order_of_a_fill_that_is_known_is_not_asked_for() -> None:
    async with scenes() as scene:
        await scene.resume()
        scene.stream.orders.publish(order())
        scene.stream.executions.publish(fill())
        await turns(5)
        assert not scene.pauses


async def test_a_closed_account_asks_for_no_order_any_more() -> None:
    async with scenes() as scene:
        await scene.resume()
        fail(scene.venue, 1000)
        scene.stream.executions.publish(fill(order_id="elsewhere"))
        await turns(5)
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "orders of unknown fills"]


async def test_funding_belongs_to_no_order() -> None:
    async with scenes() as scene:
        await scene.resume()
        scene.venue.asked.clear()
        scene.stream.executions.publish(fill(order_id="x", exec_type="Funding"))
        await turns(50)
        assert not scene.venue.asked


# What became of a request


def unknown(**parameters: Any) -> RestError:
    error = ConnectError(DOWN, unknown_outcome=True)
    error.parameters = {"category": "linear", "symbol": "BTCUSDT", **parameters}
    error.order_link_id = parameters.get("orderLinkId")
    error.order_link_ids = () if error.order_link_id is None else (error.order_link_id,)
    return error


async def test_the_outcome_of_a_placed_order_is_asked_for_until_it_is_known() -> None:
    async with scenes() as scene:

        async def before(endpoint: Any, given: dict[str, object]) -> None:
            if len(scene.pauses) == 2:
                scene.venue.history = [order("o1", "Rejected", order_link_id="mine")]

        scene.venue.before = before
        found = await scene.account.outcome(unknown(orderLinkId="mine"))
        assert found is not None
        assert (found.order_id, found.order_status) == ("o1", "Rejected")
        assert scene.account.order("mine") is found
        assert all(path.startswith("/v5/order/") and given["orderLinkId"] for path, given in scene.venue.asked)


async def test_an_order_that_the_venue_does_not_know_within_the_time_was_not_placed() -> None:
    async with scenes() as scene:
        assert await scene.account.outcome("mine", "linear", within_seconds=10) is None
        assert sum(scene.pauses) == pytest.approx(10)
        assert max(scene.pauses) <= 2


async def test_that_the_venue_never_answered_is_no_outcome() -> None:
    async with scenes() as scene:
        fail(scene.venue, 1000)
        with pytest.raises(ConnectError):
            await scene.account.outcome("mine", "linear", within_seconds=10)


async def test_the_outcome_of_an_amendment_is_the_order_as_it_is() -> None:
    async with scenes() as scene:
        scene.venue.open = [order(price=Decimal(99), order_link_id="mine")]
        found = await scene.account.outcome(unknown(orderId="o1", orderLinkId="mine", price="99"))
        assert found is not None
        assert found.price == 99
        assert scene.venue.asked[0][1]["orderId"] == "o1"


async def test_the_outcome_tells_what_the_stream_knows_better() -> None:
    async with scenes() as scene:
        scene.venue.open = [order(order_link_id="mine")]
        scene.stream.orders.publish(order(status="Filled", done="10", at=T0 + 1))
        found = await scene.account.outcome("mine", "linear")
        assert found is not None
        assert found.order_status == "Filled"


async def test_an_order_that_the_stream_told_of_is_known_though_rest_does_not_know_it_yet() -> None:
    async with scenes() as scene:
        scene.stream.orders.publish(order(order_link_id="mine"))
        found = await scene.account.outcome("mine", "linear", within_seconds=1)
        assert found is scene.account.orders["o1"]
        fail(scene.venue, 1000)
        assert await scene.account.outcome("mine", "linear", within_seconds=1) is found


async def test_a_request_that_names_no_one_order_is_refused() -> None:
    async with scenes() as scene:
        with pytest.raises(ParameterError, match="category"):
            await scene.account.outcome("mine")
        with pytest.raises(ParameterError, match="names no order"):
            await scene.account.outcome(unknown())
        batch = unknown()
        batch.order_link_ids = ("a", "b")
        with pytest.raises(ParameterError, match="each of its order_link_ids"):
            await scene.account.outcome(batch)


async def test_a_refusal_is_no_outcome_either() -> None:
    async with scenes() as scene:
        scene.venue.failures = [OrderNotFoundError("gone", 110001, "gone") for _ in range(99)]
        with pytest.raises(OrderNotFoundError):
            await scene.account.outcome("mine", "linear", within_seconds=1)
