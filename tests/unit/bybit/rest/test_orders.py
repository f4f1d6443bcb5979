"""Orders: what is sent, what may be sent twice, and what the venue's answers are read as."""

import typing as types
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from feeder.bybit.rest.endpoints import typed
from feeder.bybit.rest.order_requests import AmendRequest, CancelRequest, OrderRequest
from feeder.bybit.rest.orders import OrderCalls
from feeder.bybit.rest.reply import Page
from feeder.bybit.rest.results.orders import (
    BatchOrder,
    CancelledOrders,
    Execution,
    ExtraFee,
    Order,
    OrderAck,
    batch_outcome,
)
from feeder.errors import ParameterError, ReplyError

from .recorder import Recorder, amounts, arguments, assert_same, camel, raw_result, result_of, unseen

BATCH = [OrderRequest("SOLUSDC", "Buy", "Limit", Decimal("1.5"), price="143.1")]
CALLS: dict[str, Callable[[Recorder], Awaitable[Any]]] = {
    "order-ack": lambda venue: venue.place_order("linear", "SOLUSDT", "Buy", "Limit", "1.5", price="143.1"),
    "cancel-all-linear": lambda venue: venue.cancel_all_orders("linear", settle_coin="USDT"),
    "cancel-all-spot": lambda venue: venue.cancel_all_orders("spot"),
    "open-orders": lambda venue: venue.open_orders("linear", symbol="SOLUSDT"),
    "order-history": lambda venue: venue.order_history("spot"),
    "executions": lambda venue: venue.executions("linear"),
    "place-orders": lambda venue: venue.place_orders("spot", BATCH),
}

PLACE = """category symbol isLeverage side orderType qty marketUnit rpiTakerAccess slippageToleranceType
    slippageTolerance price triggerDirection orderFilter triggerPrice triggerBy orderIv timeInForce positionIdx
    orderLinkId takeProfit stopLoss tpTriggerBy slTriggerBy reduceOnly closeOnTrigger smpType mmp tpslMode tpLimitPrice
    slLimitPrice tpOrderType slOrderType bboSideType bboLevel"""
AMEND = """category symbol orderId orderLinkId orderIv triggerPrice qty price tpslMode takeProfit stopLoss tpTriggerBy
    slTriggerBy triggerBy tpLimitPrice slLimitPrice"""
DOCUMENTED = {
    "place_order": PLACE,
    "amend_order": AMEND,
    "cancel_order": "category symbol orderId orderLinkId orderFilter",
    "cancel_all_orders": "category symbol baseCoin settleCoin orderFilter stopOrderType",
    "open_orders": "category symbol baseCoin settleCoin orderId orderLinkId openOnly orderFilter limit cursor",
    "order_history": """category symbol baseCoin settleCoin orderId orderLinkId orderFilter orderStatus startTime
        endTime limit cursor""",
    "executions": """category symbol orderId orderLinkId baseCoin settleCoin startTime endTime execType limit cursor""",
    "set_disconnect_cancel_all": "product timeWindow",
}
BATCHED: dict[type[msgspec.Struct], str] = {
    OrderRequest: """symbol isLeverage side orderType qty marketUnit price triggerDirection orderFilter triggerPrice
        triggerBy orderIv timeInForce positionIdx orderLinkId takeProfit stopLoss tpTriggerBy slTriggerBy reduceOnly
        closeOnTrigger smpType mmp tpslMode tpLimitPrice slLimitPrice tpOrderType slOrderType""",
    AmendRequest: AMEND.replace("category ", ""),
    CancelRequest: "symbol orderId orderLinkId",
}
ANSWERS = {"place_order": "order-ack", "amend_order": "order-ack", "cancel_order": "order-ack"}


@pytest.mark.parametrize("payload", list(CALLS))
async def test_every_field_of_the_answer_is_there_with_its_value(payload: str) -> None:
    reply = await CALLS[payload](Recorder(payload))
    assert_same(reply.result, raw_result(payload))


async def test_no_field_is_without_a_payload_that_shows_it() -> None:
    seen: set[tuple[type, str]] = set()
    for payload, call in CALLS.items():
        assert_same((await call(Recorder(payload))).result, raw_result(payload), payload, seen)
    assert unseen(seen, OrderAck, CancelledOrders, Order, ExtraFee, Execution, BatchOrder) == set()


@pytest.mark.parametrize("method", list(DOCUMENTED))
async def test_every_documented_parameter_is_sent_under_the_venue_s_name(method: str) -> None:
    venue = Recorder(ANSWERS.get(method, "nothing"))
    call = getattr(venue, method)
    await call(**arguments(call))
    assert set(venue.parameters) == set(DOCUMENTED[method].split())


@pytest.mark.parametrize("kind", list(BATCHED))
def test_an_entry_of_a_batch_has_every_documented_name(kind: type[msgspec.Struct]) -> None:
    assert set(kind.__struct_encode_fields__) == set(BATCHED[kind].split())


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        (OrderRequest, OrderCalls.place_order),
        (AmendRequest, OrderCalls.amend_order),
        (CancelRequest, OrderCalls.cancel_order),
    ],
)
def test_an_entry_of_a_batch_takes_what_the_method_for_one_takes(
    kind: type[msgspec.Struct], method: Callable[..., Any]
) -> None:
    one = types.get_type_hints(method)
    assert {name: one[name] for name in kind.__struct_fields__} == types.get_type_hints(kind)


@pytest.mark.parametrize("method", ["place_order", "amend_order"])
def test_every_price_and_quantity_refuses_a_float_to_the_type_checker(method: str) -> None:
    prices = """qty price trigger_price order_iv take_profit stop_loss tp_limit_price sl_limit_price"""
    more = {"slippage_tolerance"} if method == "place_order" else set()
    assert amounts(getattr(OrderCalls, method)) == set(prices.split()) | more


async def test_an_order_goes_out_with_exact_texts_and_nothing_that_was_not_given() -> None:
    venue = Recorder("order-ack")
    reply = await venue.place_order(
        "linear", "SOLUSDT", "Buy", "Limit", 2, price=Decimal("143.100"), order_link_id="grid-0017", reduce_only=False
    )
    assert venue.sent[0][0] is typed.PLACE_ORDER
    assert venue.parameters == {
        "category": "linear",
        "symbol": "SOLUSDT",
        "side": "Buy",
        "orderType": "Limit",
        "qty": "2",
        "price": "143.100",
        "orderLinkId": "grid-0017",
        "reduceOnly": False,
    }
    assert reply.result == OrderAck("1f0f6f3c-8f4a-4a0e-8a43-d7b0a2c81a55", "grid-0017")


async def test_a_float_is_refused_by_name_also_inside_a_batch() -> None:
    venue = Recorder()
    with pytest.raises(ParameterError, match=r"qty: 0\.1 is a float"):
        await venue.place_order("linear", "SOLUSDT", "Buy", "Market", 0.1)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match=r"price: 0\.1 is a float"):
        await venue.place_orders("linear", [OrderRequest("SOLUSDT", "Buy", "Limit", "1", price=0.1)])  # type: ignore[arg-type]
    assert venue.sent == []


async def test_an_order_is_changed_or_cancelled_by_one_of_its_ids() -> None:
    venue = Recorder("order-ack", "order-ack")
    await venue.amend_order("linear", "SOLUSDT", order_link_id="grid-0017", take_profit=0)
    assert venue.parameters["takeProfit"] == "0"
    await venue.cancel_order("linear", "SOLUSDT", order_id="1f0f")
    assert venue.parameters == {"category": "linear", "symbol": "SOLUSDT", "orderId": "1f0f"}
    with pytest.raises(ParameterError, match="orderId or orderLinkId"):
        await venue.cancel_order("linear", "SOLUSDT")
    with pytest.raises(ParameterError, match="orderId or orderLinkId"):
        await venue.amend_order("linear", "SOLUSDT", qty=1)


async def test_a_batch_goes_out_with_the_venue_s_names_and_each_order_has_an_id_to_ask_by() -> None:
    venue = Recorder("place-orders", "place-orders", "place-orders")
    orders = [
        OrderRequest("SOLUSDC", "Buy", "Limit", Decimal("1E+1"), price="143.1", time_in_force="PostOnly"),
        OrderRequest("SOLUSDC", "Sell", "Market", 3, order_link_id="grid-0019", reduce_only=True),
    ]
    await venue.place_orders("spot", orders)
    first, second = venue.parameters["request"]
    assert len(first.pop("orderLinkId")) == 32
    assert first == {
        "symbol": "SOLUSDC",
        "side": "Buy",
        "orderType": "Limit",
        "qty": "10",
        "price": "143.1",
        "timeInForce": "PostOnly",
    }
    assert second == {
        "symbol": "SOLUSDC",
        "side": "Sell",
        "orderType": "Market",
        "qty": "3",
        "orderLinkId": "grid-0019",
        "reduceOnly": True,
    }
    assert orders[0].order_link_id is None
    await venue.amend_orders("spot", [AmendRequest("SOLUSDC", order_id="7", price=Decimal("143.2"))])
    assert venue.parameters == {
        "category": "spot",
        "request": [{"symbol": "SOLUSDC", "orderId": "7", "price": "143.2"}],
    }
    await venue.cancel_orders("spot", [CancelRequest("SOLUSDC", order_link_id="grid-0019")])
    assert venue.parameters == {"category": "spot", "request": [{"symbol": "SOLUSDC", "orderLinkId": "grid-0019"}]}
    endpoints = [endpoint for endpoint, _ in venue.sent]
    assert endpoints == [typed.PLACE_ORDERS, typed.AMEND_ORDERS, typed.CANCEL_ORDERS]


@pytest.mark.parametrize(
    ("send", "parameter"),
    [
        (lambda venue: venue.place_orders("linear", []), "request"),
        (lambda venue: venue.amend_orders("linear", []), "request"),
        (lambda venue: venue.cancel_orders("linear", ()), "request"),
        (lambda venue: venue.cancel_orders("linear", [CancelRequest("SOLUSDT")]), "orderId or orderLinkId"),
        (lambda venue: venue.amend_orders("linear", [AmendRequest("SOLUSDT", price="1")]), "orderId or orderLinkId"),
    ],
)
async def test_a_batch_without_orders_or_with_one_that_names_none_is_not_sent(
    send: Callable[[Recorder], Awaitable[Any]], parameter: str
) -> None:
    venue = Recorder("place-orders")
    with pytest.raises(ParameterError, match="/v5/order/") as caught:
        await send(venue)
    assert (caught.value.parameter, venue.sent) == (parameter, [])


async def test_each_order_of_a_batch_is_paired_with_the_venue_s_verdict() -> None:
    taken, refused = batch_outcome(await Recorder("place-orders").place_orders("spot", BATCH))
    assert taken.accepted
    assert taken.order.order_id == "2290000000055512033"
    assert taken.order.create_at == 1790000000119
    assert not refused.accepted
    assert (refused.order.order_link_id, refused.order.order_id) == ("grid-0019", None)
    assert (refused.code, refused.message) == (170131, "Insufficient balance.")


@pytest.mark.parametrize(
    "extra",
    [
        b"{}",
        b"null",
        b'{"list": [{"code": 0}]}',
        b'{"list": [{"code": 0}, {"code": 0}, {"code": 0}]}',
        b'{"list": [{"msg": "OK"}, {"code": 0}]}',
    ],
)
async def test_a_batch_without_a_verdict_for_each_order_is_no_success(extra: bytes) -> None:
    reply = await Recorder("place-orders").place_orders("spot", BATCH)
    with pytest.raises(ReplyError, match="verdicts") as caught:
        batch_outcome(msgspec.structs.replace(reply, extra=msgspec.Raw(extra)))
    assert caught.value.unknown_outcome
    assert not caught.value.retriable


async def test_an_order_is_read_with_its_flags_fees_and_times() -> None:
    (order,) = (await Recorder("open-orders").open_orders("linear", symbol="SOLUSDT")).result.entries
    assert order.order_status == "PartiallyFilled"
    assert order.leaves_qty == Decimal("1.5")
    assert order.is_leverage is None
    assert order.cum_fee_detail == {"USDT": Decimal("0.02862"), "MNT": None}
    assert order.created_time == 1789999000111
    past = (await Recorder("order-history").order_history("spot")).result
    assert past.entries[0].is_leverage is True
    assert past.entries[1].extra_fees == [ExtraFee("USDC", "FIAT", "TRADE_TAX", Decimal("0.0010"), Decimal("0.01"))]
    assert past.next_page_cursor == "page_token%3D55512034%26"


async def test_a_rebate_is_a_negative_fee() -> None:
    fill, _ = (await Recorder("executions").executions("linear")).result.entries
    assert fill.exec_fee == Decimal("-0.0071550")
    assert fill.is_maker is True


async def test_spot_says_only_whether_all_orders_are_being_cancelled() -> None:
    assert (await Recorder("cancel-all-spot").cancel_all_orders("spot")).result == CancelledOrders([], False)
    every = (await Recorder("cancel-all-linear").cancel_all_orders("linear", symbol="SOLUSDT")).result
    assert [order.order_link_id for order in every.orders] == ["grid-0017", None]


@pytest.mark.parametrize(
    ("method", "payload", "limit", "given"),
    [
        ("each_open_order", "open-orders", 50, {"symbol": "SOLUSDT"}),
        ("each_past_order", "order-history", 50, {"order_status": "Filled", "start_time": 1, "end_time": 2}),
        ("each_execution", "executions", 100, {"exec_type": "Trade", "start_time": 1}),
    ],
)
async def test_each_listing_takes_the_longest_pages_and_follows_the_cursor(
    method: str, payload: str, limit: int, given: dict[str, Any]
) -> None:
    venue = Recorder(payload, payload)
    entries = [entry async for entry in getattr(venue, method)("linear", **given)]
    assert len(entries) == 2 * len(raw_result(payload)["list"])
    names = {camel(name): value for name, value in given.items()}
    first, second = (sent for _, sent in venue.sent)
    assert first == {"category": "linear", **names, "limit": limit}
    assert second == {**first, "cursor": raw_result(payload)["nextPageCursor"]}


def test_only_what_does_the_same_twice_may_be_sent_twice() -> None:
    posts = [endpoint for endpoint in typed.TYPED if endpoint.method == "POST"]
    assert {endpoint.path for endpoint in posts if endpoint.repeatable} == {
        "/v5/order/cancel",
        "/v5/order/cancel-batch",
        "/v5/order/disconnected-cancel-all",
        "/v5/position/set-leverage",
        "/v5/position/switch-mode",
    }


def test_the_limits_are_those_of_the_venue_s_table() -> None:
    def told(endpoint: Any, category: str) -> float:
        limit = endpoint.by_category.get(category, endpoint.limit)
        return float(limit.requests / limit.seconds)

    table = {
        typed.PLACE_ORDER: (10, 10, 20),
        typed.AMEND_ORDER: (10, 10, 10),
        typed.CANCEL_ORDER: (10, 10, 20),
        typed.CANCEL_ALL_ORDERS: (10, 1, 20),
        typed.PLACE_ORDERS: (10, 10, 20),
        typed.AMEND_ORDERS: (10, 10, 20),
        typed.CANCEL_ORDERS: (10, 10, 20),
        typed.OPEN_ORDERS: (50, 50, 50),
        typed.ORDER_HISTORY: (50, 50, 50),
        typed.EXECUTIONS: (50, 50, 50),
        typed.DISCONNECT_CANCEL_ALL: (5, 5, 5),
        typed.FEE_RATES: (5, 5, 5),
        typed.SET_LEVERAGE: (10, 10, 10),
        typed.TRADING_STOP: (10, 10, 10),
        typed.POSITIONS: (50, 50, 50),
        typed.WALLET_BALANCE: (50, 50, 50),
    }
    for endpoint, limits in table.items():
        assert tuple(told(endpoint, category) for category in ("linear", "option", "spot")) == limits, endpoint


def test_a_listing_without_entries_is_empty_not_none() -> None:
    assert result_of(typed.OPEN_ORDERS, b'{"category": "linear"}') == Page(category="linear")
    assert result_of(typed.OPEN_ORDERS, b'{"list": []}').entries == []
