"""The matching engine on a market put there by hand: how much is filled, at what price, and what is told of it."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from feeder.clock import ManualClock
from feeder.simulator import account
from feeder.simulator.account import Account
from feeder.simulator.exchange import Exchange
from feeder.simulator.keys import DEFAULT_KEY
from feeder.simulator.ledger import Ledger
from feeder.simulator.orders import (
    CANCELLED,
    FILLED,
    NEW,
    PARTLY_CANCELLED,
    PARTLY_FILLED,
    REJECTED,
)
from feeder.simulator.position_rows import position_row
from feeder.simulator.quotes import Quotes
from feeder.simulator.recording import Recording
from feeder.simulator.replay import ReplaySource
from feeder.simulator.rest_caller import Caller
from feeder.simulator.rest_position import PositionEndpoints
from feeder.simulator.rest_reply import Refused
from feeder.simulator.seeded import SeededSource
from feeder.simulator.told import Told
from feeder.simulator.universe import universe
from tests.unit.simulator.floor import ASKS, BIDS, Floor

ORDER_FIELDS = """
avgPrice blockTradeId cancelType category closeOnTrigger closedPnl createType createdTime cumExecFee cumExecQty
cumExecValue feeCurrency isLeverage lastPriceOnCreated leavesQty leavesValue marketUnit orderId orderIv
orderLinkId orderStatus orderType placeType positionIdx price qty reduceOnly rejectReason side slLimitPrice
slTriggerBy smpGroup smpOrderId smpType stopLoss stopOrderType symbol takeProfit timeInForce tpLimitPrice
tpTriggerBy tpslMode triggerBy triggerDirection triggerPrice updatedTime
"""
POSITION_FIELDS = """
adlRankIndicator autoAddMargin bustPrice category createdTime cumRealisedPnl curRealisedPnl entryPrice
isReduceOnly leverage leverageSysUpdatedTime liqPrice markPrice mmrSysUpdatedTime positionBalance positionIM
positionIdx positionMM positionStatus positionValue riskId riskLimitValue seq sessionAvgPrice side size stopLoss
symbol takeProfit tpslMode tradeMode trailingStop unrealisedPnl updatedTime
"""


@pytest.fixture
def floor() -> Floor:
    return Floor()


def test_a_market_order_walks_the_levels_and_each_is_a_fill(floor: Floor) -> None:
    order = floor.place(qty="4")
    assert floor.fills(order) == [("78010", "1", False), ("78020", "2", False), ("78030", "1", False)]
    assert (order.status, order.average) == (FILLED, Decimal(78020))
    assert order.value == Decimal(78010 + 2 * 78020 + 78030)
    assert floor.heard() == ["order Filled", "execution 1,2,1", "position Buy 4", "wallet"]


def test_what_an_account_has_taken_of_a_level_stays_taken_until_the_level_changes(floor: Floor) -> None:
    first, second = floor.place(qty="1.5"), floor.place(qty="1")
    assert floor.fills(first)[-1] == ("78020", "0.5", False)
    assert floor.fills(second) == [("78020", "1", False)]
    floor.put(BIDS, [("78010", "1"), ("78020", "2.5"), ("78030", "3")])
    third = floor.place(qty="3")
    assert floor.fills(third) == [("78020", "2.5", False), ("78030", "0.5", False)], "78010 is as it was taken"


def test_a_market_order_for_more_than_there_is_is_cancelled_with_what_it_got(floor: Floor) -> None:
    order = floor.place(qty="9")
    assert (order.status, order.filled, order.reject_reason) == (CANCELLED, 6, "EC_NoImmediateQtyToFill")
    assert (order.leaves, floor.position.size) == (0, 6)
    spot = floor.place("Sell", qty="9", category="spot", marketUnit="baseCoin")
    assert (spot.status, spot.filled) == (PARTLY_CANCELLED, 6)


def test_a_market_order_goes_no_further_than_its_worst_price(floor: Floor) -> None:
    floor.market.put(BIDS, [("78010", "1"), ("85000", "5")])
    order = floor.place(qty="2")
    assert (order.status, order.filled) == (CANCELLED, 1)


def test_a_limit_order_takes_what_it_can_and_rests_with_what_is_left(floor: Floor) -> None:
    order = floor.place(qty="5", price="78020")
    assert (order.status, order.filled, order.leaves) == (PARTLY_FILLED, 3, 2)
    assert floor.heard() == ["order PartiallyFilled", "execution 1,2", "position Buy 3", "wallet"]
    floor.put(BIDS, ASKS)
    assert order.filled == 3, "these levels it has had"
    floor.put(BIDS, [("78015", "0.5"), ("78020", "2"), ("78030", "3")])
    assert (order.status, order.filled, floor.fills(order)[-1]) == (
        PARTLY_FILLED,
        Decimal("3.5"),
        ("78020", "0.5", True),
    )
    floor.put(BIDS, [("78000.1", "4")])
    assert (order.status, floor.fills(order)[-1]) == (FILLED, ("78020", "1.5", True)), "at its own price"
    assert order.average == Decimal(78010 + 4 * 78020) / 5


def test_a_maker_pays_the_makers_fee(floor: Floor) -> None:
    order = floor.place("Sell", qty="1", price="78100")
    floor.put([("78100", "0.4")], [("78200", "1")])
    assert order.fee == Decimal("0.4") * 78100 * Decimal("0.0002")
    assert floor.account.executions[-1].fee_rate == Decimal("0.0002")


def test_resting_orders_are_filled_by_price_then_time(floor: Floor) -> None:
    late, better, early = (floor.place(qty="1", price=price) for price in ("77000", "77500", "77000"))
    floor.amend(late, price="77100")
    floor.amend(late, price="77000")
    floor.put([("76000", "1")], [("76500", "1.5")])
    assert [order.filled for order in (better, early, late)] == [1, Decimal("0.5"), 0]
    floor.amend(early, qty="0.8")
    floor.put([("76000", "1")], [("76500", "0.5")])
    assert [order.filled for order in (early, late)] == [Decimal("0.8"), Decimal("0.2")], "less keeps its place"


@pytest.mark.parametrize("force", ["PostOnly", "RPI"])
def test_a_post_only_order_is_never_a_taker(floor: Floor, force: str) -> None:
    for category, status in (("linear", CANCELLED), ("spot", REJECTED)):
        order = floor.place(price="78010", timeInForce=force, category=category)
        assert (order.status, order.filled) == (status, 0)
        assert order.reject_reason == "EC_PostOnlyWillTakeLiquidity"
    resting = floor.place(price="78000", timeInForce=force)
    assert resting.status == NEW
    amended = floor.amend(resting, price="78010")
    assert (amended.status, amended.filled) == (CANCELLED, 0)


def test_fill_or_kill_is_all_or_nothing(floor: Floor) -> None:
    killed = floor.place(qty="3.001", price="78020", timeInForce="FOK")
    assert (killed.status, killed.reject_reason, killed.filled) == (CANCELLED, "EC_CancelForNoFullFill", 0)
    filled = floor.place(qty="3", price="78020", timeInForce="FOK")
    assert (filled.status, filled.filled) == (FILLED, 3)


def test_immediate_or_cancel_takes_a_part_and_is_gone(floor: Floor) -> None:
    order = floor.place(qty="5", price="78020", timeInForce="IOC")
    assert (order.status, order.filled) == (CANCELLED, 3)
    spot = floor.place("Sell", qty="2", price="78000", timeInForce="IOC", category="spot")
    assert (spot.status, spot.filled) == (PARTLY_CANCELLED, 1)


def test_a_spot_order_by_value_ends_when_the_rest_buys_nothing(floor: Floor) -> None:
    order = floor.place(qty="200000", category="spot")
    assert floor.fills(order)[:2] == [("78010", "1", False), ("78020", "1.563573", False)]
    assert order.status == FILLED
    assert 0 < order.qty - order.value < Decimal("0.08")
    more = floor.place(qty="700000", category="spot")
    assert (more.status, more.filled) == (PARTLY_CANCELLED, 6 - order.filled)


def test_a_spot_order_that_rests_is_filled_in_part_and_locks_the_rest(floor: Floor) -> None:
    order = floor.place(qty="2", price="77000", category="spot")
    assert floor.account.spot_locked("USDT") == 154_000
    floor.put([("76000", "1")], [("76900", "0.5")], "spot")
    assert (order.status, floor.account.spot_locked("USDT")) == (PARTLY_FILLED, Decimal("115500"))
    assert order.row()["cumFeeDetail"] == {"BTC": "0.0005"}
    floor.cancel(order)
    assert (order.status, floor.account.spot_locked("USDT")) == (PARTLY_CANCELLED, 0)


def test_an_order_cannot_be_amended_to_what_is_filled_or_less(floor: Floor) -> None:
    order = floor.place(qty="5", price="78020")
    for qty in ("3", "2"):
        with pytest.raises(Refused) as caught:
            floor.amend(order, qty=qty)
        assert (caught.value.code, order.qty) == (10001, 5)
    floor.amend(order, qty="4")
    assert (order.status, order.leaves) == (PARTLY_FILLED, 1)
    assert floor.account.order_margin("USDT") == 78020 / Decimal(10) + 78020 * Decimal("0.00055")


def test_an_order_that_is_amended_is_paid_for_once(floor: Floor) -> None:
    order = floor.place(qty="100", price="70000")
    floor.amend(order, qty="110")
    assert floor.account.available("USDT") == 1_000_000 - 110 * 70_000 * (Decimal("0.1") + Decimal("0.00055"))
    with pytest.raises(Refused) as caught:
        floor.amend(order, qty="150")
    assert (caught.value.code, order.qty) == (110007, 110)


def test_a_cancellation_may_come_too_late(floor: Floor) -> None:
    order = floor.place(qty="1", price="77000")
    floor.told.clear()
    floor.market.put([("76000", "1")], [("76500", "5")])
    floor.cancel(order)
    assert floor.heard() == ["order Filled", "execution 1", "position Buy 1", "wallet", "order Filled"]
    assert (order.cancel_type, order.reject_reason) == ("CancelByUser", "EC_OrigClOrdIDDoesNotExist")
    other = floor.place(qty="1", price="76000")
    floor.told.clear()
    floor.market.put([("75000", "1")], [("75500", "5")])
    with pytest.raises(Refused) as caught:
        floor.amend(other, price="75900")
    assert caught.value.code == 110008
    assert floor.heard() == ["order Filled", "execution 1", "position Buy 2", "wallet"], "though it was refused"


def test_a_position_row_comes_with_every_order_of_a_contract(floor: Floor) -> None:
    order = floor.place(qty="1", price="77000")
    floor.cancel(order)
    assert floor.heard() == ["order New", "position none 0", "wallet", "order Cancelled", "position none 0", "wallet"]
    floor.place(qty="1", price="77000", category="spot")
    assert floor.heard() == ["order New", "wallet"]


def test_the_sequence_only_grows(floor: Floor) -> None:
    for side in ("Buy", "Sell", "Buy"):
        floor.place(side, qty="0.1")
    floor.cancel(floor.place(qty="1", price="70000", timeInForce="PostOnly"))
    sequences = [row["seq"] for told in floor.told if told.topic == "position" for row in told.rows]
    assert sequences == sorted(set(sequences))
    assert [each.seq for each in floor.account.executions] == sequences[:3]


def test_a_reduce_only_order_never_opens_a_position(floor: Floor) -> None:
    floor.place(qty="2")
    first = floor.place("Sell", qty="2", price="79000", reduceOnly=True)
    second = floor.place("Sell", qty="1", price="79100", reduceOnly=True)
    floor.put([("79200", "1.5")], [("79300", "1")])
    assert (first.filled, first.leaves, second.qty) == (Decimal("1.5"), Decimal("0.5"), Decimal("0.5"))
    floor.put([("79200", "9")], [("79300", "1")])
    assert (first.status, second.status, second.cancel_type) == (FILLED, CANCELLED, "CancelByReduceOnly")
    assert floor.position.size == 0


def test_what_was_closed_is_told_with_the_fees_of_both_ways(floor: Floor) -> None:
    floor.place(qty="2")
    order = floor.place("Sell", qty="3")
    entry, out = Decimal(78010 + 78020) / 2, Decimal(78000 + 77990) / 2
    fees = (entry + out) * 2 * Decimal("0.00055")
    (closing,) = floor.account.closings.values()
    row = closing.row()
    assert Decimal(row["closedPnl"]) == order.closed_profit == 2 * (out - entry) - fees
    assert (row["avgEntryPrice"], row["avgExitPrice"], row["closedSize"]) == ("78015", "77995", "2")
    assert (row["fillCount"], row["side"], row["qty"]) == ("2", "Sell", "3")
    assert floor.told[-4].rows[0]["closedPnl"] == row["closedPnl"]
    assert floor.position.size == -1
    assert floor.position.current == -Decimal(77990) * Decimal("0.00055"), "of what it holds now"


def test_closed_profits_are_listed_newest_first_by_symbol_and_time(floor: Floor) -> None:
    endpoint = PositionEndpoints(floor.ledger, floor.quotes).endpoints()["GET", "/v5/position/closed-pnl"]

    def listed(**given: str) -> list[str]:
        answer = endpoint(Caller(replace(DEFAULT_KEY, account="1"), {"category": "linear"} | given))
        return [row["orderId"] for row in answer.result["list"]]

    floor.place(qty="3")
    orders = []
    for _ in range(3):
        floor.clock.advance(10)
        orders.append(floor.place("Sell", qty="1").order_id)
    assert listed() == orders[::-1]
    assert listed(limit="1") == orders[2:]
    assert listed(symbol="ETHUSDT") == []
    assert listed(endTime=str(floor.ledger.now_ms() - 15_000)) == orders[:1]


def test_private_rows_have_the_fields_that_the_venue_sends(floor: Floor) -> None:
    """Source: recorded messages of a linear account, 2024."""
    floor.place(qty="1")
    rows = {told.topic: told.rows[0] for told in floor.told}
    since = {"cumFeeDetail", "ocoTriggerBy", "slippageTolerance", "slippageToleranceType"}
    assert rows["order"].keys() - since == set(ORDER_FIELDS.split())
    assert rows["position"].keys() == set(POSITION_FIELDS.split())
    assert (rows["order"]["tpslMode"], rows["order"]["price"]) == ("UNKNOWN", "81905.2")
    assert not {"free", "spotBorrow", "spotHedgingQty"} & rows["wallet"]["coin"][0].keys()
    assert rows["execution"].keys() >= {"category", "execPnl", "isLeverage", "closedSize", "seq", "feeCurrency"}


@pytest.mark.parametrize("side", ["Buy", "Sell"])
def test_the_seeded_market_comes_to_an_order_that_rests_though_nobody_is_subscribed(side: str) -> None:
    clock = ManualClock()
    source = SeededSource(universe(["linear"], 3), 1, 100, clock)
    ledger = Ledger(Quotes(Exchange(source, 1, clock), 1), 1, clock)
    account = ledger.account("1")
    given = {"category": "linear", "symbol": "BTCUSDT", "side": side, "orderType": "Limit", "qty": "0.3"}
    order = ledger.place(account, given | {"price": "78699.9" if side == "Buy" else "78700", "timeInForce": "PostOnly"})
    source.follow("linear", "BTCUSDT", clock.monotonic())
    for _ in range(20_000):
        clock.advance(0.05)
        for _ in source.due(clock.monotonic()):
            pass
        ledger.advance()
        if not order.is_open:
            break
    assert (order.status, order.average) == (FILLED, order.price)
    assert all(each.maker for each in account.executions)


def test_what_is_forgotten_is_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "KEPT", 50)
    floor = Floor()
    floor.place(qty="0.001", orderLinkId="first")
    kept = floor.place(qty="0.001", price="70000", orderLinkId="open")
    floor.market.put([("78000", "1000")], [("78010", "1000")])
    for _ in range(50):
        floor.place("Buy" if floor.position.size < 1 else "Sell", qty="0.001")
    assert len(floor.account.executions) == len(floor.account.orders) - 1 == 50
    assert ("first" in floor.account.links, "open" in floor.account.links) == (False, True)
    assert floor.account.open_orders() == [kept]
    floor.place(qty="0.001", price="70000", orderLinkId="first")


def test_accounts_neither_meet_nor_hear_of_each_other(floor: Floor) -> None:
    other = floor.ledger.account("2")
    given = {"category": "linear", "symbol": "BTCUSDT", "side": "Sell", "orderType": "Limit", "qty": "1"}
    resting = floor.ledger.place(other, given | {"price": "78005"})
    assert floor.told == []
    order = floor.place(qty="6")
    assert floor.fills(order)[0] == ("78010", "1", False)
    assert resting.filled == 0
    taken = floor.ledger.place(other, given | {"side": "Buy", "price": "78010"})
    assert taken.filled == 1, "what one account took is there for the other"


def test_a_listener_that_stops_hears_no_more_and_the_others_do(floor: Floor) -> None:
    heard: list[Told] = []
    stop = floor.ledger.listen("1", heard.append)
    floor.place(qty="0.1")
    assert heard == floor.told
    stop()
    stop()
    floor.place(qty="0.1")
    assert len(floor.told) == 2 * len(heard)


def test_a_market_that_stands_still_is_met_once(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    met: list[Account] = []
    monkeypatch.setattr(floor.ledger._engine, "meet", lambda account, quote, now_ms: met.append(account))
    floor.ledger.advance()
    assert met == [], "nothing rests"
    floor.place(qty="1", price="70000")
    for _ in range(3):
        floor.ledger.advance()
    assert met == [floor.account]
    floor.trade("78006")
    assert len(met) == 2


def test_a_position_tells_since_when_it_has_been_open(floor: Floor) -> None:
    def opened() -> int:
        return int(position_row(floor.account, floor.position, floor.quotes)["openTime"])

    floor.place(qty="1")
    first = opened()
    assert first == floor.ledger.now_ms()
    floor.clock.advance(1)
    floor.place(qty="1")
    assert opened() == first
    floor.place("Sell", qty="3")
    assert opened() == first + 1000, "turned around"
    floor.place(qty="1")
    assert opened() == 0


def test_a_symbol_that_is_closed_fills_nothing(floor: Floor) -> None:
    order = floor.place(qty="1", price="77000")
    floor.quotes._exchange.delist("linear", "BTCUSDT", "Closed")
    floor.put([("76000", "1")], [("76500", "5")])
    assert order.filled == 0
    assert floor.cancel(order).status == CANCELLED


def test_a_recorded_market_comes_to_an_order_that_rests(tmp_path: Path) -> None:
    def line(second: int, kind: str, u: int, bids: list[list[str]], asks: list[list[str]]) -> str:
        data = {"s": "BTCUSDT", "b": bids, "a": asks, "u": u, "seq": u}
        body = {"topic": "orderbook.50.BTCUSDT", "type": kind, "ts": u, "data": data}
        return f"{second * 1_000_000_000} {json.dumps(body)}\n"

    path = tmp_path / "book.jsonl"
    path.write_text(
        line(0, "snapshot", 1, [["100.1", "1"]], [["100.3", "3"]])
        + line(1, "delta", 2, [], [["100.2", "0.5"]])
        + line(2, "delta", 3, [["100.1", "4"]], [])
        + line(3, "delta", 4, [], [["100.2", "0.2"]])
    )
    clock = ManualClock()
    source = ReplaySource([Recording.load("linear", path)], 1.0, clock)
    ledger = Ledger(Quotes(Exchange(source, 1, clock), 1), 1, clock)
    source.follow("linear", "BTCUSDT", clock.monotonic())
    filled = []
    order = None
    for _ in range(4):
        for _ in source.due(clock.monotonic()):
            pass
        given = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "1"}
        order = order or ledger.place(ledger.account("1"), given | {"price": "100.2"})
        ledger.advance()
        filled.append(order.filled)
        clock.advance(1)
    assert filled == [0, Decimal("0.5"), Decimal("0.5"), Decimal("0.7")]
