"""What an amendment changes of an order, and what it leaves alone."""

from decimal import Decimal
from typing import Any

import pytest

from feeder.simulator.orders import FILLED, UNTRIGGERED
from feeder.simulator.rest_reply import Refused
from tests.unit.simulator.floor import Floor


@pytest.fixture
def floor() -> Floor:
    return Floor()


def _refused(floor: Floor, *args: Any, **given: Any) -> int:
    with pytest.raises(Refused) as caught:
        floor.amend(*args, **given)
    return caught.value.code


def test_a_market_order_that_waits_takes_no_price(floor: Floor) -> None:
    order = floor.place(qty="1", triggerPrice="79000", triggerDirection=1)
    assert _refused(floor, order, price="70000") == 10001
    floor.amend(order, price="70000", qty="2")
    assert (order.price, order.qty) == (0, 2)


def test_an_order_is_amended_to_a_tick_that_has_become_finer_since(floor: Floor) -> None:
    order = floor.place(price="70000", qty="1")
    assert _refused(floor, order, price="70000.0005") == 10001
    floor.market.refine("0.0001", "0.00001")
    floor.amend(order, price="70000.0005", qty="1.00001")
    assert (order.row()["price"], order.row()["qty"]) == ("70000.0005", "1.00001")


def test_a_position_is_told_in_ticks_that_have_become_finer_since(floor: Floor) -> None:
    floor.place(qty="1")
    closing = floor.place("Sell", qty="1", triggerPrice="79000", triggerDirection=1, reduceOnly=True)
    floor.market.refine("0.0001", "0.00001")
    floor.put([("78000", "1")], [("78010", "1")])
    floor.trade("78005.0007")
    floor.stops(takeProfit="79999.0003")
    row = [told for told in floor.told if told.topic == "position"][-1].rows[0]
    assert (row["markPrice"], row["takeProfit"]) == ("78005.0007", "79999.0003")
    floor.trade("79000.0007")
    assert closing.row()["price"] == str(closing.price)


def test_who_wants_more_than_before_goes_behind_the_others(floor: Floor) -> None:
    first, second = (floor.place(qty="1", price="77000") for _ in range(2))
    floor.amend(first, qty="2")
    floor.put([("76000", "1")], [("77000", "1.5")])
    assert (second.filled, first.filled) == (1, Decimal("0.5"))


def test_what_is_filled_of_a_reduce_only_order_stays_part_of_its_quantity(floor: Floor) -> None:
    floor.place(qty="5")
    order = floor.place("Sell", qty="4", price="79000", reduceOnly=True)
    floor.put([("79000", "1")], [("79100", "1")])
    assert (order.filled, floor.position.size) == (1, 4)
    floor.amend(order, price="79500")
    assert (order.qty, order.left) == (4, 3)
    floor.amend(order, qty="9")
    assert (order.qty, order.left) == (5, 4), "all of the position"


def test_a_conditional_order_of_no_quantity_is_amended_and_stays_one(floor: Floor) -> None:
    floor.place(qty="1")
    given = {"triggerPrice": "77000", "triggerDirection": 2, "reduceOnly": True, "closeOnTrigger": True}
    order = floor.place("Sell", qty="0", **given)
    floor.amend(order, triggerPrice="76500")
    floor.trade("76999")
    assert order.status == UNTRIGGERED
    floor.trade("76499")
    assert (order.status, order.filled) == (FILLED, 1)


def test_who_has_nothing_left_may_still_ask_for_what_binds_no_more(floor: Floor) -> None:
    order = floor.place(qty="10", price="70000")
    floor.account.pay("USDT", -floor.account.available("USDT") - 1000)
    floor.amend(order, takeProfit="80000")
    assert _refused(floor, order, qty="11") == 110007
    floor.amend(order, qty="9.99")
    assert (order.qty, order.texts["takeProfit"]) == (Decimal("9.99"), "80000")
