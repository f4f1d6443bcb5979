"""What only spot has: orders by value, orders that wait with their coins, the statuses of what was filled in part."""

from decimal import Decimal

import pytest

from feeder.simulator.orders import CANCELLED, FILLED, PARTLY_CANCELLED, PARTLY_FILLED, UNTRIGGERED
from feeder.simulator.rest_reply import Refused
from tests.unit.simulator.floor import Floor


@pytest.fixture
def floor() -> Floor:
    return Floor()


def test_a_market_order_sells_for_a_value_and_needs_coins_for_no_more(floor: Floor) -> None:
    order = floor.place("Sell", qty="100000", category="spot", marketUnit="quoteCoin")
    assert floor.fills(order) == [("78000", "1", False), ("77990", "0.282087", False)]
    assert order.status == FILLED
    assert floor.account.cash["BTC"] == 10 - order.filled
    with pytest.raises(Refused) as caught:
        floor.place("Sell", qty="700000", category="spot", marketUnit="quoteCoin")
    assert caught.value.code == 170131


def test_what_waits_to_be_sold_by_value_binds_coins_at_its_trigger_price(floor: Floor) -> None:
    given = {"marketUnit": "quoteCoin", "triggerPrice": "50000", "orderFilter": "tpslOrder"}
    order = floor.place("Sell", qty="100000", category="spot", **given)
    assert (order.status, floor.account.spot_locked("BTC")) == (UNTRIGGERED, 2)


def test_an_order_by_value_that_buys_nothing_once_it_is_triggered_is_cancelled(floor: Floor) -> None:
    order = floor.place(qty="10", category="spot", triggerPrice="90000", orderFilter="StopOrder")
    floor.market.put([("20000000", "1")], [("30000000", "1")], "spot")
    floor.trade("30000000", "spot")
    assert (order.status, order.filled, order.reject_reason) == (CANCELLED, 0, "EC_NoImmediateQtyToFill")


def test_a_post_only_order_that_an_amendment_ends_tells_that_it_was_filled_in_part(floor: Floor) -> None:
    order = floor.place(price="78005", category="spot", timeInForce="PostOnly")
    floor.put([("77000", "1")], [("78005", "0.4"), ("78010", "1")], "spot")
    assert (order.status, order.filled) == (PARTLY_FILLED, Decimal("0.4"))
    floor.put([("77000", "1")], [("78010", "1")], "spot")
    floor.amend(order, price="78010")
    assert (order.status, order.filled) == (PARTLY_CANCELLED, Decimal("0.4"))
    assert order.reject_reason == "EC_PostOnlyWillTakeLiquidity"


def test_what_waits_with_its_coins_is_not_amended_to_more_than_there_are(floor: Floor) -> None:
    order = floor.place("Sell", qty="1", category="spot", triggerPrice="77000", orderFilter="tpslOrder")
    with pytest.raises(Refused) as caught:
        floor.amend(order, qty="11")
    assert (caught.value.code, order.qty, floor.account.spot_locked("BTC")) == (170131, 1, 1)
    floor.amend(order, qty="10")
    assert floor.account.spot_locked("BTC") == 10


@pytest.mark.parametrize("category", ["spot", "linear"])
def test_the_limit_of_a_take_profit_stands_on_a_tick(floor: Floor, category: str) -> None:
    given = {"takeProfit": "79000", "tpOrderType": "Limit", "tpslMode": "Partial", "category": category}
    for price in ("79000.001", "9" * 32):
        with pytest.raises(Refused):
            floor.place(price="78010", tpLimitPrice=price, **given)
    order = floor.place(price="78010", tpLimitPrice="79000.5", **given)
    assert order.status == FILLED
    assert [stop.row()["price"] for stop in floor.waiting()] == ["79000.5" if category == "spot" else "79000.50"]


def test_what_waits_to_be_bought_needs_what_it_costs_at_its_trigger_price(floor: Floor) -> None:
    given = {"category": "spot", "marketUnit": "baseCoin", "orderFilter": "tpslOrder"}
    order = floor.place(qty="15", triggerPrice="66000", **given)
    assert (order.status, floor.account.spot_locked("USDT")) == (UNTRIGGERED, 990_000)


def test_an_order_by_value_is_filled_when_less_than_a_step_is_left_and_no_level_either(floor: Floor) -> None:
    floor.market.put([("78000", "1")], [("78010", "1")], "spot")
    order = floor.place(qty="78010.05", category="spot")
    assert (order.status, order.filled, order.left) == (FILLED, 1, Decimal("0.05"))


def test_there_is_no_position_to_close_by_no_quantity(floor: Floor) -> None:
    given = {"reduceOnly": True, "closeOnTrigger": True, "triggerPrice": "77000", "orderFilter": "StopOrder"}
    with pytest.raises(Refused) as caught:
        floor.place("Sell", qty="0", category="spot", marketUnit="baseCoin", **given)
    assert caught.value.code == 170136
