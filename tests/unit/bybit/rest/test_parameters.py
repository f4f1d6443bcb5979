"""What is wrong with a request is said before anything is sent, and what is sent is exact."""

from decimal import Decimal
from enum import Enum
from random import Random
from typing import Any

import pytest

from feeder.bybit.rest.endpoint import Endpoint, get, post
from feeder.bybit.rest.parameters import body, checked, order_link_ids, orders_of, query_string
from feeder.errors import ParameterError

ORDER = post("/v5/order/create", "category", "symbol", "side", "orderType", "qty")
CANCEL = post("/v5/order/cancel", "category", "orderId|orderLinkId")
LISTING = get("/v5/order/realtime", "category")
WHOLE = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.1"}


def sent(endpoint: Endpoint[Any], **parameters: object) -> dict[str, Any]:
    return checked(endpoint, parameters, Random(1))


def problem(endpoint: Endpoint[Any], **parameters: object) -> str:
    with pytest.raises(ParameterError) as caught:
        sent(endpoint, **parameters)
    assert not caught.value.retriable
    assert not caught.value.unknown_outcome
    assert caught.value.parameter in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("missing", list(WHOLE))
def test_each_required_parameter_is_missed_by_name(missing: str) -> None:
    rest = {name: value for name, value in WHOLE.items() if name != missing}
    assert problem(ORDER, **rest) == f"POST /v5/order/create: {missing}: is required"
    assert problem(ORDER, **(rest | {missing: None})) == f"POST /v5/order/create: {missing}: is required"
    assert problem(ORDER, **(rest | {missing: ""})) == f"POST /v5/order/create: {missing}: is required"


def test_one_of_two_is_enough() -> None:
    assert sent(CANCEL, category="spot", orderId="1") == {"category": "spot", "orderId": "1"}
    assert sent(CANCEL, category="spot", orderLinkId="a") == {"category": "spot", "orderLinkId": "a"}
    assert "orderId or orderLinkId: is required" in problem(CANCEL, category="spot")


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (Decimal("0.1"), "0.1"),
        (Decimal("1E+3"), "1000"),
        (Decimal("1E-8"), "0.00000001"),
        (Decimal("100.00"), "100.00"),
        ("28000.50", "28000.50"),
        (".5", ".5"),
        (7, "7"),
        ("-1", "-1"),
        (10**30, "1" + "0" * 30),
    ],
)
def test_amounts_are_sent_as_the_text_they_were(amount: object, text: str) -> None:
    given = sent(ORDER, **(WHOLE | {"qty": amount}))
    assert given["qty"] == text
    assert f'"qty":"{text}"'.encode() in body(given)


@pytest.mark.parametrize(
    "amount", [0.1, float("nan"), True, Decimal("NaN"), Decimal("Infinity"), "1e5", "abc", " 1", "1,5", "٣", [1], b"1"]
)
def test_what_is_no_exact_number_is_no_amount(amount: object) -> None:
    assert "qty: " in problem(ORDER, **(WHOLE | {"qty": amount}))


@pytest.mark.parametrize(
    "amount",
    [
        Decimal("1E+999999999"),
        Decimal("1E-999999999"),
        Decimal("0E-999999999"),
        pytest.param(10**5000, id="5000 digits"),
        -(10**50),
    ],
)
def test_an_amount_is_never_written_out_in_millions_of_digits(amount: object) -> None:
    assert len(problem(ORDER, **(WHOLE | {"qty": amount}))) < 150


def test_the_largest_and_smallest_amounts_are_written_out() -> None:
    assert sent(ORDER, **(WHOLE | {"qty": Decimal("1E+50")}))["qty"] == "1" + "0" * 50
    assert sent(ORDER, **(WHOLE | {"qty": Decimal("1E-50")}))["qty"] == "0." + "0" * 49 + "1"
    assert sent(ORDER, **(WHOLE | {"qty": 1 - 10**50}))["qty"] == "-" + "9" * 50


class Category(str, Enum):  # noqa: UP042 - as many write it still
    LINEAR = "linear"


class Price(str, Enum):  # noqa: UP042
    LOW = "0.5"


class Number(int, Enum):
    SEVEN = 7


def test_a_member_of_an_enum_is_sent_as_its_value() -> None:
    given = sent(LISTING, category=Category.LINEAR, limit=Number.SEVEN, other=Category.LINEAR, more=Number.SEVEN)
    assert query_string(LISTING, given) == "category=linear&limit=7&other=linear&more=7"
    given = sent(ORDER, **(WHOLE | {"qty": Number.SEVEN, "price": Price.LOW, "reduceOnly": True, "new": False}))
    assert (given["qty"], given["price"], given["reduceOnly"], given["new"]) == ("7", "0.5", True, False)
    assert (type(given["price"]), type(given["category"])) == (str, str)


@pytest.mark.parametrize("name", ["catégorie", "a HTTP/1.1\r\nX-Injected: 1", "a&b", "a=b", "", "\ud800", "x y"])
def test_what_is_no_name_of_a_parameter_is_refused(name: str) -> None:
    assert "is no name of a parameter" in problem(LISTING, category="linear", **{name: "x"})
    assert "is no name of a parameter" in problem(post("/v5/user/x"), **{name: "x"})


def test_a_name_within_a_body_may_be_any_that_can_be_written() -> None:
    assert sent(post("/v5/x"), deep={"any name": 1})["deep"] == {"any name": 1}
    assert "is no name of a parameter" in problem(post("/v5/x"), deep={"\ud800": 1})


def test_a_float_is_refused_wherever_it_stands_and_the_remedy_named() -> None:
    assert "give a Decimal or text" in problem(ORDER, **(WHOLE | {"qty": 0.1}))
    assert "give a Decimal or text" in problem(LISTING, category="linear", whatever=1.5)
    assert "give a Decimal or text" in problem(post("/v5/x"), deep=[{"more": [2.5]}])


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("category", 5, "must be text, not '5' (int)"),
        ("symbol", ["BTCUSDT"], "must be text, not a list"),
        ("positionIdx", "0", "must be a whole number, not '0' (str)"),
        ("positionIdx", True, "must be a whole number"),
        ("reduceOnly", "true", "must be True or False"),
        ("reduceOnly", 1, "must be True or False"),
        ("orderLinkId", "x" * 37, "36 characters at most"),
        ("orderLinkId", "white space", "36 characters at most"),
        ("positionIdx", 1 << 63, "larger than the venue can read"),
        pytest.param("positionIdx", -(10**5000), "larger than the venue can read", id="5000 digits"),
        ("anything", 1 << 63, "larger than the venue can read"),
        pytest.param("symbol", 10**5000, "must be text, not a number of very many digits", id="5000 digits for text"),
        ("anything", object(), "not a object"),
        ("anything", {1, 2}, "not a set"),
    ],
)
def test_a_parameter_of_the_wrong_type_is_named_with_what_it_must_be(name: str, value: object, what: str) -> None:
    assert f"{name}: " in problem(ORDER, **(WHOLE | {name: value}))
    assert what in problem(ORDER, **(WHOLE | {name: value}))


def test_a_new_order_without_an_id_is_given_one_and_one_with_keeps_its_own() -> None:
    random = Random(3)
    ids = {checked(ORDER, WHOLE, random)["orderLinkId"] for _ in range(100)}
    assert len(ids) == 100
    assert all(len(each) <= 36 and each.isalnum() for each in ids)
    assert sent(ORDER, **WHOLE, orderLinkId="mine")["orderLinkId"] == "mine"
    assert len(sent(ORDER, **WHOLE, orderLinkId="")["orderLinkId"]) == 32
    assert "orderLinkId" not in sent(CANCEL, category="linear", orderId="1")
    assert "orderLinkId" not in sent(LISTING, category="linear")


def test_each_order_of_a_batch_is_checked_and_given_an_id() -> None:
    batch = post("/v5/order/create-batch", "category", "request")
    orders = [{"symbol": "BTCUSDT", "qty": Decimal("1.0"), "price": None}, {"symbol": "ETHUSDT", "orderLinkId": "b"}]
    given = sent(batch, category="linear", request=orders)
    assert given["request"][0]["qty"] == "1.0"
    assert "price" not in given["request"][0]
    assert len(given["request"][0]["orderLinkId"]) == 32
    assert given["request"][1]["orderLinkId"] == "b"
    assert orders[0] == {"symbol": "BTCUSDT", "qty": Decimal("1.0"), "price": None}  # the caller's own stays as it was
    assert "qty: 0.5 is a float" in problem(batch, category="linear", request=[{"qty": 0.5}])
    assert "request: must be a list of orders" in problem(batch, category="linear", request="x")
    assert "request: must be a list of orders" in problem(batch, category="linear", request=["x"])


def test_the_query_is_in_the_order_given_and_percent_encoded() -> None:
    given = sent(LISTING, category="linear", cursor="a=b&c/d e+ü", limit=50, flag=False, nothing=None)
    assert query_string(LISTING, given) == "category=linear&cursor=a%3Db%26c%2Fd%20e%2B%C3%BC&limit=50&flag=false"


def test_a_list_in_a_query_is_its_name_once_for_each_value() -> None:
    given = sent(LISTING, category="linear", coins=["BTC", "ETH"])
    assert query_string(LISTING, given) == "category=linear&coins=BTC&coins=ETH"
    with pytest.raises(ParameterError, match="deep: must be one value, or a list of such"):
        query_string(LISTING, sent(LISTING, category="linear", deep=[["BTC"]]))


def test_where_nobody_trades_a_name_may_mean_something_else_but_a_float_is_nowhere_exact() -> None:
    given = {"category": 2, "side": [0], "mode": "POV", "startTime": "1700000000000", "qty": Decimal("1E+2")}
    assert sent(post("/v5/user/agreement"), **given) == given | {"qty": "100"}
    assert "category: 2.5 is a float" in problem(post("/v5/user/agreement"), category=2.5)


def test_a_batch_takes_as_much_of_the_limit_as_it_has_orders_but_for_options() -> None:
    batch = post("/v5/order/cancel-batch", "category", "request")
    assert orders_of(batch, {"category": "linear", "request": [{}, {}, {}]}) == 3
    assert orders_of(batch, {"category": "option", "request": [{}, {}, {}]}) == 1
    assert orders_of(batch, {"category": "spot", "request": []}) == 1
    assert orders_of(ORDER, WHOLE) == 1


def test_the_orders_of_a_request_are_known_by_their_ids() -> None:
    assert order_link_ids({"category": "linear", "orderLinkId": "a"}) == ("a",)
    assert order_link_ids({"category": "linear", "orderId": "1"}) == ()
    orders = [{"orderLinkId": "b"}, {"orderId": "1"}, "none", {"orderLinkId": ""}, {"orderLinkId": "c"}]
    assert order_link_ids({"category": "linear", "request": orders}) == ("b", "c")


def test_an_order_link_id_of_a_spread_may_have_45_characters() -> None:
    spread = post("/v5/spread/order/cancel", "orderId|orderLinkId")
    assert sent(spread, orderLinkId="x" * 45) == {"orderLinkId": "x" * 45}
    assert "45 characters at most" in problem(spread, orderLinkId="x" * 46)
    assert "45 characters at most" in problem(spread, orderLinkId="white space")
