"""Orders, positions and balances, by numbers worked out by hand."""

from decimal import Decimal
from typing import Any, cast

import pytest

from feeder.clock import ManualClock
from feeder.simulator.account import FIRST_BALANCES, Account
from feeder.simulator.decimals import Scale
from feeder.simulator.exchange import Exchange
from feeder.simulator.ledger import Ledger
from feeder.simulator.messages import Trade
from feeder.simulator.orders import CANCELLED, DEACTIVATED, FILLED, NEW, UNTRIGGERED, Order
from feeder.simulator.positions import Position
from feeder.simulator.quotes import Quotes
from feeder.simulator.rest_reply import Refused
from feeder.simulator.source import Source
from feeder.simulator.universe import listings, new_listing, universe
from tests.unit.simulator.hand_market import HandMarket

BID, ASK = Decimal("78699.9"), Decimal("78700")  # of linear BTCUSDT, which nobody follows here
SPOT_ASK = Decimal(78715)
INVERSE_BID, INVERSE_ASK = Decimal("78704.9"), Decimal("78705")


class Desk:
    """One account at a ledger, asked by keywords."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.market = HandMarket(universe(["linear", "spot", "inverse", "option"], 12), self.clock)
        self.exchange = Exchange(cast(Source, self.market), 1, self.clock)
        self.quotes = Quotes(self.exchange, 1)
        self.ledger = Ledger(self.quotes, 1, self.clock)
        self.account: Account = self.ledger.account("1")

    def place(self, **given: Any) -> Order:
        usual = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.01"}
        wanted = usual | given
        if wanted["orderType"] == "Limit":
            wanted = {"price": "70000"} | wanted
        return self.ledger.place(self.account, {name: value for name, value in wanted.items() if value is not None})

    def amend(self, order: Order, **given: Any) -> Order:
        return self.ledger.amend(self.account, _naming(order) | given)

    def cancel(self, order: Order, **given: Any) -> Order:
        return self.ledger.cancel(self.account, _naming(order) | given)

    def position(self, category: str = "linear", idx: int = 0) -> Position:
        return self.account.positions[category, {"linear": "BTCUSDT", "inverse": "BTCUSD"}[category], idx]

    def refusal(self, **given: Any) -> int:
        before = len(self.account.orders), dict(self.account.cash)
        with pytest.raises(Refused) as caught:
            self.place(**given)
        assert caught.value.message
        assert before == (len(self.account.orders), self.account.cash), "what is refused changes nothing"
        return caught.value.code


def _naming(order: Order) -> dict[str, Any]:
    listing = order.listing
    return {"category": listing.category, "symbol": listing.symbol, "orderId": order.order_id}


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_limit_order_rests_until_it_is_cancelled_and_binds_its_margin(desk: Desk) -> None:
    order = desk.place(price="70000", qty="0.1")
    assert (order.status, order.leaves) == (NEW, Decimal("0.1"))
    assert desk.account.order_margin("USDT") == Decimal("700") + Decimal("3.85")
    desk.clock.advance(3)
    desk.cancel(order)
    assert (order.status, order.cancel_type, order.updated_ms - order.created_ms) == (CANCELLED, "CancelByUser", 3000)
    assert desk.account.available("USDT") == FIRST_BALANCES["USDT"]


@pytest.mark.parametrize(("side", "price"), [("Buy", ASK), ("Sell", BID)])
def test_a_market_order_is_filled_whole_at_the_touch_and_pays_the_takers_fee(
    desk: Desk, side: str, price: Decimal
) -> None:
    order = desk.place(side=side, orderType="Market", qty="2")
    assert (order.status, order.time_in_force, order.filled, order.average) == (FILLED, "IOC", 2, price)
    assert order.price == {"Buy": Decimal("82635.00"), "Sell": Decimal("74765.00")}[side], "the worst it would take"
    assert order.fee == price * 2 * Decimal("0.00055")
    assert desk.account.cash["USDT"] == FIRST_BALANCES["USDT"] - order.fee
    (execution,) = desk.account.executions
    assert (execution.price, execution.qty, execution.fee, execution.closed) == (price, 2, order.fee, 0)
    assert (desk.position().size, desk.position().average) == (2 if side == "Buy" else -2, price)


@pytest.mark.parametrize(
    ("force", "price", "status", "reason"),
    [
        ("GTC", "78700.1", FILLED, "EC_NoError"),
        ("GTC", "78699.9", NEW, "EC_NoError"),
        ("IOC", "78700", FILLED, "EC_NoError"),
        ("IOC", "78699.9", CANCELLED, "EC_NoImmediateQtyToFill"),
        ("FOK", "78700", FILLED, "EC_NoError"),
        ("FOK", "78699.9", CANCELLED, "EC_NoImmediateQtyToFill"),
        ("PostOnly", "78700", CANCELLED, "EC_PostOnlyWillTakeLiquidity"),
        ("PostOnly", "78699.9", NEW, "EC_NoError"),
    ],
)
def test_the_time_in_force_says_what_becomes_of_an_order(
    desk: Desk, force: str, price: str, status: str, reason: str
) -> None:
    order = desk.place(timeInForce=force, price=price)
    assert (order.status, order.reject_reason) == (status, reason)
    assert order.average == (ASK if status == FILLED else 0)


def test_a_position_is_enlarged_reduced_and_turned_around(desk: Desk) -> None:
    position = Position(1, next(listings("linear")), 0, 0, 0)

    def add(change: int, price: int) -> tuple[Decimal, Decimal]:
        closed = position.add(Decimal(change), Decimal(price))
        return closed.qty, closed.profit

    assert add(2, 100) == (0, 0)
    assert add(1, 106) == (0, 0)
    assert (position.size, position.average) == (3, 102)
    assert add(-1, 110) == (1, 8)
    assert (position.size, position.average) == (2, 102)
    assert add(-5, 101) == (2, -2)
    assert (position.size, position.average) == (-3, 101)
    assert position.profit(Decimal(91)) == 30
    assert add(3, 91) == (3, 30)
    assert (position.size, position.average, position.profit(Decimal(5))) == (0, 0, 0)


def test_an_inverse_position_wins_in_its_coin() -> None:
    position = Position(1, next(listings("inverse")), 0, 0, 0)
    position.add(Decimal(1000), Decimal(50_000))
    position.add(Decimal(1000), Decimal(100_000))
    assert position.average.quantize(Decimal("0.01")) == Decimal("66666.67")
    closed = position.add(Decimal(-2000), Decimal(100_000))
    assert (closed.qty, closed.profit) == (2000, Decimal("0.01"))
    uneven = Position(2, next(listings("inverse")), 0, 0, 0)
    uneven.add(Decimal(1000), Decimal(50_000))
    uneven.add(Decimal(3000), Decimal(100_000))
    assert uneven.average == 80_000


def test_profit_and_fees_come_to_the_wallet(desk: Desk) -> None:
    desk.place(orderType="Market", qty="1")
    desk.place(orderType="Market", qty="1", side="Sell")
    fees = (ASK + BID) * Decimal("0.00055")
    assert desk.account.cash["USDT"] == FIRST_BALANCES["USDT"] - (ASK - BID) - fees
    assert desk.account.realised["USDT"] == desk.position().realised == -(ASK - BID) - fees
    assert desk.account.executions[1].closed == 1
    assert desk.account.available("USDT") == desk.account.cash["USDT"]
    desk.place(category="inverse", symbol="BTCUSD", orderType="Market", qty="7870")
    fee = (Decimal(7870) / INVERSE_ASK).quantize(Decimal("1e-8")) * Decimal("0.00055")
    assert desk.account.cash["BTC"] == FIRST_BALANCES["BTC"] - fee.quantize(Decimal("1e-8"))


def test_a_spot_order_swaps_coins_and_pays_its_fee_in_what_it_gets(desk: Desk) -> None:
    desk.place(category="spot", orderType="Market", qty="1", marketUnit="baseCoin")
    assert desk.account.cash["USDT"] == FIRST_BALANCES["USDT"] - SPOT_ASK
    assert desk.account.cash["BTC"] == FIRST_BALANCES["BTC"] + 1 - Decimal("0.001")
    order = desk.place(category="spot", orderType="Market", qty="200")
    assert (order.by_value, order.filled, order.fee_coin) == (True, Decimal("0.00254"), "BTC")
    sold = desk.place(category="spot", orderType="Market", side="Sell", qty="0.5")
    assert (sold.fee_coin, sold.fee) == ("USDT", sold.value * Decimal("0.001"))


def test_a_spot_order_that_rests_locks_what_it_would_pay(desk: Desk) -> None:
    order = desk.place(category="spot", side="Sell", price="80000", qty="9.5")
    assert desk.account.available("BTC") == Decimal("0.5")
    assert desk.refusal(category="spot", side="Sell", price="80000", qty="0.6") == 170131
    desk.cancel(order)
    desk.place(category="spot", side="Sell", price="80000", qty="0.6")


def test_an_option_is_bought_for_its_premium(desk: Desk) -> None:
    order = desk.place(category="option", symbol="BTC-25DEC26-100000-C", orderType="Market", qty="1", orderLinkId="o1")
    assert order.average == 5400
    assert desk.account.cash["USDC"] == FIRST_BALANCES["USDC"] - 5400 - order.fee


@pytest.mark.parametrize(
    ("given", "code", "spot_code"),
    [
        ({"symbol": "NOPEUSDT"}, 10001, 170121),
        ({"side": "buy"}, 10001, 170117),
        ({"side": None}, 10001, 170117),
        ({"orderType": "Stop"}, 10001, 170116),
        ({"timeInForce": "GTD"}, 10001, 170115),
        ({"qty": 0.01}, 10001, 170130),
        ({"qty": "-1"}, 10001, 170130),
        ({"qty": "1e3"}, 10001, 170130),
        ({"qty": "9" * 40}, 10001, 170130),
        ({"qty": None}, 10001, 170130),
        ({"qty": "0.0100001"}, 10001, 170137),
        ({"qty": "0.0000001"}, 110017, 170136),
        ({"qty": "0"}, 110017, 170136),
        ({"qty": "1000000001"}, 10001, 170135),
        ({"price": None, "orderType": "Limit", "qty": "0.01"}, 10001, 170130),
        ({"price": "0"}, 10001, 170130),
        ({"price": "70000.05"}, 10001, 170134),
        ({"price": "90000"}, 110003, 170193),
        ({"price": "60000", "side": "Sell"}, 110003, 170194),
        ({"price": "1000", "qty": "0.001"}, 110094, 170140),
        ({"qty": "300"}, 110007, 170131),
        ({"orderLinkId": "x" * 37}, 10001, 10001),
        ({"orderLinkId": "a b"}, 10001, 10001),
        ({"orderLinkId": 7}, 10001, 10001),
        ({"category": "futures"}, 10001, 10001),
        ({"positionIdx": 3}, 10001, 10001),
        ({"reduceOnly": "perhaps"}, 10001, 10001),
    ],
)
def test_an_order_that_breaks_a_rule_is_refused_by_its_code(
    desk: Desk, given: dict[str, Any], code: int, spot_code: int
) -> None:
    if "price" in given and given["price"] is None:
        given = given | {"price": ""}
    assert desk.refusal(**given) == code
    assert desk.refusal(**{"category": "spot"} | given) == spot_code


def test_futures_have_rules_that_spot_has_not(desk: Desk) -> None:
    assert desk.refusal(triggerPrice="80000") == 10001, "it rises or falls there"
    assert desk.refusal(reduceOnly=True) == 110017
    assert desk.refusal(positionIdx=1) == 10001
    assert desk.refusal(category="option", symbol="BTC-25DEC26-100000-C", price="5000", qty="1") == 10001
    desk.exchange.delist("linear", "BTCUSDT", "Closed")
    assert desk.refusal() == 110074


def test_an_order_link_id_is_good_once_for_ever(desk: Desk) -> None:
    order = desk.place(orderLinkId="mine-1")
    desk.cancel(order)
    assert desk.refusal(orderLinkId="mine-1") == 110072
    assert desk.refusal(orderLinkId="mine-1", category="spot") == 170141
    other = desk.ledger.account("2")
    given = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "0.01"}
    assert desk.ledger.place(other, given | {"orderLinkId": "mine-1"}).status == FILLED
    assert desk.position().size == 0


def test_orders_are_numbered_the_same_for_the_same_seed() -> None:
    first, second = Desk(), Desk()
    assert second.refusal(side="") == 10001
    assert first.place().order_id == second.place().order_id
    assert first.place().order_id != second.place(category="spot").order_id


def test_an_amended_order_is_checked_again_and_may_trade_then(desk: Desk) -> None:
    order = desk.place(price="70000", qty="0.1")
    desk.clock.advance(1)
    desk.amend(order, price="71000", qty="0.2")
    assert (order.price, order.qty, order.status, order.updated_ms) == (
        71000,
        Decimal("0.2"),
        NEW,
        desk.ledger.now_ms(),
    )
    for given, code in (
        ({"price": "71000"}, 10001),
        ({}, 10001),
        ({"price": "71000.01"}, 10001),
        ({"qty": "0.0001"}, 110017),
        ({"qty": "300"}, 110007),
    ):
        with pytest.raises(Refused) as caught:
            desk.amend(order, **given)
        assert (caught.value.code, order.price, order.qty) == (code, 71000, Decimal("0.2"))
    desk.amend(order, price="78800")
    assert (order.status, order.average) == (FILLED, ASK)


def test_what_is_done_cannot_be_changed_and_says_how_it_was_done(desk: Desk) -> None:
    filled, gone = desk.place(orderType="Market"), desk.cancel(desk.place(orderLinkId="gone"))
    spot = desk.cancel(desk.place(category="spot"))
    for order, code in ((filled, 110008), (gone, 110010), (spot, 170142)):
        for act in (desk.cancel, lambda done: desk.amend(done, qty="1")):
            with pytest.raises(Refused) as caught:
                act(order)
            assert caught.value.code == code
    for given, code in (
        ({"orderId": "nope"}, 110001),
        ({"orderId": "", "orderLinkId": "nope"}, 110001),
        ({"orderId": ""}, 10001),
        ({"orderId": "nope", "category": "spot"}, 170213),
        ({"symbol": "ETHUSDT"}, 110001),
    ):
        with pytest.raises(Refused) as caught:
            desk.cancel(filled, **given)
        assert caught.value.code == code


def test_a_reduce_only_order_is_cut_to_the_position(desk: Desk) -> None:
    desk.place(orderType="Market", qty="1")
    assert desk.refusal(reduceOnly=True) == 110017
    order = desk.place(orderType="Market", side="Sell", qty="5", reduceOnly=True)
    assert (order.filled, desk.position().size) == (1, 0)
    desk.place(orderType="Market", side="Sell", qty="1")
    whole = desk.place(orderType="Market", qty="0", reduceOnly=True, closeOnTrigger=True)
    assert (whole.filled, desk.position().size) == (1, 0)


def test_in_hedge_mode_each_side_has_a_position(desk: Desk) -> None:
    desk.account.hedged.add(("linear", "BTCUSDT"))
    assert desk.refusal() == 10001
    desk.place(orderType="Market", positionIdx=1, qty="1")
    desk.place(orderType="Market", positionIdx=2, qty="2", side="Sell")
    assert (desk.position(idx=1).size, desk.position(idx=2).size) == (1, -2)
    desk.place(orderType="Market", positionIdx=1, qty="9", side="Sell")
    assert (desk.position(idx=1).size, desk.position(idx=2).size) == (0, -2)


def test_a_conditional_order_waits_and_binds_nothing(desk: Desk) -> None:
    order = desk.place(triggerPrice="80000", triggerDirection=1, orderType="Market")
    assert (order.status, desk.account.order_margin("USDT")) == (UNTRIGGERED, 0)
    desk.amend(order, triggerPrice="81000")
    assert order.row()["triggerPrice"] == "81000"
    desk.cancel(order)
    assert order.status == DEACTIVATED


def test_more_than_500_orders_of_a_symbol_are_too_many(desk: Desk) -> None:
    for _ in range(500):
        desk.place(qty="0.001", price="10000")
    assert desk.refusal(qty="0.001", price="10000") == 110020
    desk.place(symbol="ETHUSDT", price="2000", qty="0.1")


def test_an_order_is_not_for_more_than_the_leverage_allows(desk: Desk) -> None:
    assert desk.refusal(orderType="Market", qty="13") == 110007
    desk.account.leverages["linear", "BTCUSDT"] = Decimal(20), Decimal(20)
    desk.place(orderType="Market", qty="13")
    # What only closes needs no margin.
    desk.place(orderType="Market", qty="13", side="Sell")
    assert desk.position().size == 0


def test_an_order_of_more_than_anything_is_too_much(desk: Desk) -> None:
    for kind in ("Market", "Limit"):
        assert desk.refusal(orderType=kind, side="Sell", qty="9" * 32) == 10001
        assert desk.refusal(category="spot", orderType=kind, side="Sell", price="80000", qty="9" * 32) == 170135
    assert desk.refusal(category="spot", orderType="Market", qty="9" * 32) == 170135, "by value"
    market, limit = ({"orderType": kind, "qty": "500000001"} for kind in ("Market", "Limit"))
    assert (desk.refusal(**market), desk.refusal(**limit)) == (10001, 110007), "a market order may be half as large"


def test_what_only_reduces_may_be_worth_less_than_an_order_must_be(desk: Desk) -> None:
    desk.exchange.enlist(new_listing("linear", "LOWUSDT", "0.01", "0.1", "10"))
    little = {"symbol": "LOWUSDT", "orderType": "Market", "side": "Sell", "qty": "0.1"}
    desk.place(**little | {"side": "Buy", "qty": "1"})
    assert desk.refusal(**little) == 110094
    assert desk.place(**little, reduceOnly=True).filled == Decimal("0.1")


def test_a_spot_order_by_value_that_buys_no_step_at_the_best_ask_is_refused(desk: Desk) -> None:
    desk.exchange.enlist(new_listing("spot", "BIGUSDT", "1", "1", "100"))
    tape = desk.exchange.source.tape("spot", "BIGUSDT")
    assert tape is not None
    tape.add(Trade("BIGUSDT", Scale(0, 0, False), False, 98, 1, "t1", "MinusTick", 1, desk.ledger.now_ms()))
    given = {"category": "spot", "symbol": "BIGUSDT", "orderType": "Market"}
    assert desk.refusal(**given, qty="99") == 170140, "it is 100, though the last trade was at 98"
    assert desk.place(**given, qty="100").filled == 1


def test_what_only_closes_is_taken_from_an_account_with_nothing_left(desk: Desk) -> None:
    desk.place(orderType="Market", qty="10")
    desk.account.pay("USDT", -desk.account.available("USDT") - 1)
    assert desk.refusal(orderType="Market", qty="0.01") == 110007
    resting = desk.place(side="Sell", price="80000", qty="1", reduceOnly=True)
    desk.amend(resting, price="79000")
    desk.place(orderType="Market", side="Sell", qty="10")
    assert desk.position().size == 0


def test_a_refusal_keeps_nothing_of_those_before(desk: Desk) -> None:
    order = desk.place()
    refusals: list[Refused] = []
    for refused in (lambda: desk.place(reduceOnly=True), lambda: desk.place(positionIdx=1), lambda: desk.amend(order)):
        for _ in range(2):
            with pytest.raises(Refused) as caught:
                refused()
            refusals.append(caught.value)
    assert len({id(refusal) for refusal in refusals}) == 6, "one raised again would keep every frame it passed"


def test_a_loss_is_not_available_and_a_profit_is_not_before_it_is_made(desk: Desk) -> None:
    tape = desk.exchange.source.tape("linear", "BTCUSDT")
    assert tape is not None
    desk.place(orderType="Market", qty="1")
    free = {}
    for price in (78700, 78800, 78600):
        tape.add(Trade("BTCUSDT", Scale(0, 0, True), True, price, 1, "t", "PlusTick", 1, desk.ledger.now_ms()))
        margin, _ = desk.account.position_margin("USDT")
        free[price] = desk.account.available("USDT") + margin - desk.account.cash["USDT"]
    assert free == {78700: 0, 78800: 0, 78600: -100}


def test_a_reduce_only_order_binds_nothing_and_goes_with_its_position(desk: Desk) -> None:
    desk.place(orderType="Market", qty="1")
    resting = desk.place(side="Sell", price="80000", qty="1", reduceOnly=True)
    assert (resting.status, desk.account.order_margin("USDT")) == (NEW, 0)
    desk.place(orderType="Market", side="Sell", qty="0.4")
    assert (resting.status, resting.qty) == (NEW, Decimal("0.6"))
    desk.place(orderType="Market", side="Sell", qty="0.6")
    assert (resting.status, resting.cancel_type) == (CANCELLED, "CancelByReduceOnly")
