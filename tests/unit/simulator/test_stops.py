"""Conditional orders, take profits, stop losses and trailing stops, on a market put there by hand."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from feeder.simulator.keys import DEFAULT_KEY
from feeder.simulator.orders import (
    CANCELLED,
    DEACTIVATED,
    FILLED,
    NEW,
    UNTRIGGERED,
)
from feeder.simulator.rest_caller import Caller
from feeder.simulator.rest_reply import Refused
from feeder.simulator.rest_trade import TradeEndpoints
from tests.unit.simulator.floor import BIDS, Floor


@pytest.fixture
def floor() -> Floor:
    return Floor()


def test_a_conditional_order_is_triggered_and_then_an_order_as_any_other(floor: Floor) -> None:
    order = floor.place(qty="1", price="78600", triggerPrice="78500", triggerDirection=1)
    assert (order.status, order.stop, order.create_type) == (UNTRIGGERED, "Stop", "CreateByStopOrder")
    assert floor.heard() == ["order Untriggered", "position none 0"]
    floor.trade("78499")
    assert order.status == UNTRIGGERED
    floor.market.put([("78490", "1")], [("78510", "0.4"), ("78700", "1")])
    floor.trade("78500")
    assert floor.heard() == ["order Triggered", "order PartiallyFilled", "execution 0.4", "position Buy 0.4", "wallet"]
    market = floor.place("Sell", qty="0.4", triggerPrice="78400", triggerDirection=2)
    assert market.row()["price"] == "0"
    floor.trade("78300")
    assert (market.status, floor.position.size) == (FILLED, 0)


def test_the_price_that_triggers_is_the_one_that_was_named(floor: Floor) -> None:
    quote = floor.quotes.find("linear", "BTCUSDT")
    assert quote is not None
    index = quote.index(quote.last)
    gap = (index - quote.last).copy_abs()
    assert gap > 1
    side = 1 if index < quote.last else 2
    between = (index + quote.last) / 2
    text = f"{between:.1f}"
    # The index price is not there yet, the last price has passed.
    order = floor.place(qty="0.1", triggerPrice=text, triggerDirection=side, triggerBy="IndexPrice")
    with pytest.raises(Refused) as caught:
        floor.place(qty="0.1", triggerPrice=text, triggerDirection=side)
    assert caught.value.code == (110092 if side == 1 else 110093)
    floor.trade(f"{quote.last + (2 * gap if side == 1 else -2 * gap):.1f}")
    assert order.status == FILLED


def test_a_triggered_order_that_cannot_be_paid_or_has_nothing_to_reduce_is_cancelled(floor: Floor) -> None:
    large = floor.place(qty="200", price="78000", triggerPrice="77000", triggerDirection=2)
    closing = floor.place("Sell", qty="1", triggerPrice="77000", triggerDirection=2, closeOnTrigger=True)
    floor.trade("76000")
    assert (large.status, large.cancel_type) == (CANCELLED, "CancelByCannotAffordOrderCost")
    assert (closing.status, closing.cancel_type) == (CANCELLED, "CancelByReduceOnly")
    assert floor.position.size == 0


def test_a_spot_stop_order_binds_its_coins_when_it_is_triggered_and_a_tpsl_order_at_once(floor: Floor) -> None:
    conditional = {"category": "spot", "triggerPrice": "77000"}
    stop = floor.place("Sell", qty="1", orderFilter="StopOrder", **conditional)
    assert floor.account.spot_locked("BTC") == 0
    tpsl = floor.place("Sell", qty="2", orderFilter="tpslOrder", **conditional)
    assert (tpsl.stop, floor.account.spot_locked("BTC")) == ("tpslOrder", 2)
    floor.trade("76999", "spot")
    assert (stop.status, tpsl.status) == (FILLED, FILLED)


def test_an_attached_take_profit_and_stop_loss_follow_the_whole_position(floor: Floor) -> None:
    floor.place(qty="1", takeProfit="80000", stopLoss="77000")
    profit, loss = floor.waiting()
    assert (profit.stop, profit.create_type, profit.qty, profit.side) == ("TakeProfit", "CreateByTakeProfit", 1, "Sell")
    assert (loss.stop, loss.create_type) == ("StopLoss", "CreateByStopLoss")
    assert (profit.reduce_only, profit.close_on_trigger) == (True, True)
    assert floor.heard() == ["order Filled", "execution 1", "position Buy 1", "wallet", "order Untriggered,Untriggered"]
    floor.place(qty="1")
    assert (profit.qty, loss.qty) == (2, 2)
    assert floor.heard()[-1] == "order Untriggered,Untriggered"
    floor.put([("76900", "5")], [("76910", "1")])
    floor.trade("77000")
    assert (loss.status, floor.position.size) == (FILLED, 0)
    assert (profit.status, profit.cancel_type) == (DEACTIVATED, "CancelByTpSlTsClear")
    assert floor.account.executions[-1].row()["stopOrderType"] == "StopLoss"


def test_the_position_tells_the_stops_that_it_has(floor: Floor) -> None:
    floor.place(qty="1")
    floor.told.clear()
    floor.stops(takeProfit="80000", stopLoss="77000", trailingStop="500")
    row = floor.told[-1].rows[0]
    assert (row["takeProfit"], row["stopLoss"], row["trailingStop"]) == ("80000.00", "77000.00", "500.00")
    with pytest.raises(Refused) as caught:
        floor.stops(takeProfit="80000")
    assert caught.value.code == 34040
    floor.stops(takeProfit="81000", stopLoss="0")
    assert [order.stop for order in floor.waiting()] == ["TakeProfit", "TrailingStop"]
    assert floor.told[-1].rows[0]["stopLoss"] == "0"
    floor.cancel(floor.waiting()[0])
    assert [order.stop for order in floor.waiting()] == ["TrailingStop"]
    floor.place("Sell", qty="1")
    assert floor.waiting() == []


def test_a_trailing_stop_follows_the_best_price_from_its_active_price_on(floor: Floor) -> None:
    floor.place("Sell", qty="1")
    floor.stops(trailingStop="100", activePrice="77500")
    (order,) = floor.waiting()
    assert order.row()["triggerPrice"] == "77500"
    for price, trigger in (("77600", "77500"), ("77450", "77550"), ("77500", "77550"), ("77300", "77400")):
        floor.trade(price)
        assert (order.status, order.row()["triggerPrice"]) == (UNTRIGGERED, trigger)
    floor.trade("77400")
    assert (order.status, order.create_type, floor.position.size) == (FILLED, "CreateByTrailingStop", 0)


def test_partial_stops_are_orders_of_their_own_and_go_in_pairs(floor: Floor) -> None:
    floor.place(qty="3")
    usual = {"tpslMode": "Partial", "tpSize": "1", "slSize": "1", "takeProfit": "80000", "stopLoss": "77000"}
    floor.stops(**usual)
    floor.stops(**usual | {"takeProfit": "81000", "tpOrderType": "Limit", "tpLimitPrice": "81500", "stopLoss": "76000"})
    first, second, third, fourth = floor.waiting()
    assert [each.stop for each in floor.waiting()] == ["PartialTakeProfit", "PartialStopLoss"] * 2
    floor.put([("80100", "9")], [("80200", "1")])
    floor.trade("80000")
    assert (first.status, second.status, floor.position.size) == (FILLED, DEACTIVATED, 2)
    floor.trade("81000")
    assert (third.status, third.kind, fourth.status) == (NEW, "Limit", DEACTIVATED)
    assert third.row()["createType"] == "CreateByPartialTakeProfit"
    for wrong in ({"slSize": "2"}, {"tpSize": "5", "slSize": "5"}, {"tpSize": ""}):
        with pytest.raises(Refused):
            floor.stops(**usual | {"takeProfit": "82000", "stopLoss": "75000"} | wrong)


def test_partial_stops_of_an_order_grow_with_its_fills(floor: Floor) -> None:
    order = floor.place(qty="2", price="78010", takeProfit="80000", stopLoss="77000", tpslMode="Partial")
    assert [each.qty for each in floor.waiting()] == [1, 1]
    floor.put(BIDS, [("78005", "0.5")])
    assert [each.qty for each in floor.waiting()] == [Decimal("1.5")] * 2
    assert {each.parent for each in floor.waiting()} == {order.order_id}
    floor.place("Sell", qty="1")
    assert [each.qty for each in floor.waiting()] == [Decimal("0.5")] * 2, "never more than the position"


def test_a_spot_order_with_stops_leaves_two_of_which_one_will_do(floor: Floor) -> None:
    order = floor.place(qty="1", price="78010", category="spot", takeProfit="80000", stopLoss="77000")
    profit, loss = floor.waiting()
    assert (order.status, profit.stop, profit.qty) == (FILLED, "tpslOrder", Decimal("0.999"))
    assert floor.account.spot_locked("BTC") == Decimal("0.999")
    floor.trade("77000", "spot")
    assert (loss.status, profit.status) == (FILLED, DEACTIVATED)
    assert profit.cancel_type == "CancelByOCOTpCanceledBySlTriggered"


def test_of_the_conditional_orders_the_users_own_can_be_cancelled_alone(floor: Floor) -> None:
    floor.place(qty="1", takeProfit="80000")
    own = floor.place(qty="1", triggerPrice="79000", triggerDirection=1)
    endpoint = TradeEndpoints(floor.ledger).endpoints()["POST", "/v5/order/cancel-all"]
    given = {"category": "linear", "symbol": "BTCUSDT", "orderFilter": "StopOrder"}
    caller = Caller(replace(DEFAULT_KEY, account="1"), given | {"stopOrderType": "Stop"})
    assert [row["orderId"] for row in endpoint(caller).result["list"]] == [own.order_id]
    assert [order.stop for order in floor.waiting()] == ["TakeProfit"]
    endpoint(Caller(caller.api_key, given))
    assert floor.waiting() == []


def test_only_so_many_conditional_orders_wait(floor: Floor) -> None:
    for _ in range(10):
        floor.place(qty="1", triggerPrice="79000", triggerDirection=1)
    with pytest.raises(Refused) as caught:
        floor.place(qty="1", triggerPrice="79000", triggerDirection=1)
    assert caught.value.code == 110009
    floor.place(qty="1", price="70000")


def test_a_stop_on_the_wrong_side_is_refused(floor: Floor) -> None:
    for given in (
        {"price": "77000", "takeProfit": "76000"},
        {"price": "77000", "stopLoss": "77500"},
        {"takeProfit": "77000"},
        {"side": "Sell", "stopLoss": "77000"},
    ):
        with pytest.raises(Refused) as caught:
            floor.place(**given)
        assert caught.value.code == 10001
    floor.place(qty="1")
    for given in ({"takeProfit": "77000"}, {"stopLoss": "79000"}, {"trailingStop": "10", "activePrice": "77000"}):
        with pytest.raises(Refused):
            floor.stops(**given)
    assert floor.waiting() == []


def test_a_conditional_order_of_no_quantity_closes_what_there_is_then(floor: Floor) -> None:
    closing = {"triggerPrice": "77000", "triggerDirection": 2, "reduceOnly": True, "closeOnTrigger": True}
    order = floor.place("Sell", qty="0", **closing)
    floor.place(qty="2")
    floor.trade("77000")
    assert (order.status, order.filled, floor.position.size) == (FILLED, 2, 0)


def test_an_amended_spot_trigger_is_reached_from_where_the_market_is(floor: Floor) -> None:
    order = floor.place("Sell", qty="1", category="spot", orderFilter="StopOrder", triggerPrice="77000")
    floor.amend(order, triggerPrice="79000")
    floor.trade("78100", "spot")
    assert order.status == UNTRIGGERED
    floor.trade("79000", "spot")
    assert order.status == FILLED


def test_a_market_order_that_waits_binds_coins_at_its_trigger_price(floor: Floor) -> None:
    given = {"category": "spot", "orderFilter": "tpslOrder", "triggerPrice": "80000", "marketUnit": "baseCoin"}
    floor.place(qty="2", **given)
    assert floor.account.spot_locked("USDT") == 160_000


def test_the_stops_of_a_conditional_order_are_for_where_it_is_triggered(floor: Floor) -> None:
    conditional = {"triggerPrice": "79000", "triggerDirection": 1}
    with pytest.raises(Refused):
        floor.place(qty="1", takeProfit="78500", **conditional)
    floor.place(qty="1", takeProfit="79500", stopLoss="78500", **conditional)


def test_a_trailing_stop_that_is_set_again_stays_where_it_has_come_to(floor: Floor) -> None:
    floor.place(qty="1")
    floor.stops(trailingStop="500")
    floor.trade("78300")
    floor.trade("78100")
    with pytest.raises(Refused) as caught:
        floor.stops(trailingStop="500")
    (order,) = floor.waiting()
    assert (caught.value.code, order.row()["triggerPrice"]) == (34040, "77800")
    floor.stops(trailingStop="200")
    assert order.row()["triggerPrice"] == "77900"


def test_a_trailing_stop_is_not_moved_by_an_amendment(floor: Floor) -> None:
    floor.place(qty="1")
    floor.stops(trailingStop="100")
    (order,) = floor.waiting()
    with pytest.raises(Refused) as caught:
        floor.amend(order, triggerPrice="70000")
    assert (caught.value.code, order.row()["triggerPrice"]) == (10001, "77905")


def test_a_second_order_changes_the_stops_of_the_whole_position(floor: Floor) -> None:
    floor.place(qty="1", takeProfit="80000")
    (first,) = floor.waiting()
    floor.place(qty="1", takeProfit="81000")
    assert floor.waiting() == [first]
    assert (first.qty, first.row()["triggerPrice"]) == (2, "81000")
    assert floor.heard()[-1] == "order Untriggered", "once, though size and price have changed"


def test_a_triggered_order_is_told_with_what_is_left_of_it(floor: Floor) -> None:
    floor.place(qty="1", price="77000", triggerPrice="78500", triggerDirection=1)
    floor.trade("78500")
    leaves = [row["leavesQty"] for told in floor.told if told.topic == "order" for row in told.rows]
    assert leaves == ["1", "1", "1"]


def test_a_size_is_of_the_position_and_of_whole_steps(floor: Floor) -> None:
    floor.place(qty="1")
    for size in ("1.001", "9" * 32, "0.0005"):
        with pytest.raises(Refused) as caught:
            floor.stops(tpslMode="Partial", takeProfit="80000", tpSize=size)
        assert caught.value.code == 10001


def test_the_prices_of_a_positions_stops_stand_on_ticks(floor: Floor) -> None:
    floor.place(qty="1")
    limit = {"tpslMode": "Partial", "tpOrderType": "Limit", "tpLimitPrice": "79000.17", "tpSize": "1"}
    floor.stops(takeProfit="79500.16", **limit)
    (stop,) = floor.waiting()
    assert stop.trigger is not None
    assert (stop.trigger.price, stop.price) == (Decimal("79500.2"), Decimal("79000.2"))


def test_what_goes_with_its_position_goes_once_and_as_it_was(floor: Floor) -> None:
    floor.place(qty="1")
    floor.stops(tpslMode="Partial", takeProfit="80000", stopLoss="77000", tpSize="1", slSize="1")
    pair = floor.waiting()
    floor.place("Sell", qty="1")
    assert [(each.status, each.cancel_type) for each in pair] == [(DEACTIVATED, "CancelByTpSlTsClear")] * 2


def test_of_two_stops_reached_at_once_one_closes_the_position(floor: Floor) -> None:
    floor.place(qty="1")
    floor.stops(stopLoss="77500", trailingStop="300")
    loss, trailing = floor.waiting()
    floor.told.clear()
    floor.trade("77000")
    assert (loss.status, trailing.status, floor.position.size) == (FILLED, DEACTIVATED, 0)
    assert [topic for topic in floor.heard() if "Triggered" in topic] == ["order Triggered"]


def test_pairs_are_cancelled_together_and_named_once(floor: Floor) -> None:
    floor.place(qty="1")
    floor.stops(tpslMode="Partial", takeProfit="80000", stopLoss="77000", tpSize="1", slSize="1")
    pair = floor.waiting()
    assert list(floor.ledger.cancel_all(floor.account, lambda order: True)) == pair
    assert [each.status for each in pair] == [DEACTIVATED] * 2


def test_the_stops_of_a_whole_position_are_cancelled_one_by_one(floor: Floor) -> None:
    floor.place(qty="1")
    floor.stops(takeProfit="80000", stopLoss="77000")
    profit, loss = floor.waiting()
    floor.cancel(profit)
    assert (profit.status, loss.status) == (DEACTIVATED, UNTRIGGERED)


@pytest.mark.parametrize("flag", ["reduceOnly", "closeOnTrigger"])
@pytest.mark.parametrize("waits", [{}, {"triggerPrice": "77000", "triggerDirection": 2}])
def test_no_quantity_needs_both_flags(floor: Floor, flag: str, waits: dict[str, Any]) -> None:
    floor.place(qty="1")
    with pytest.raises(Refused) as caught:
        floor.place("Sell", qty="0", **{flag: True}, **waits)
    assert caught.value.code == 110017
