"""What an answer means, byte by byte: no I/O."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from feeder.bybit.rest.answer import rate_status, understood
from feeder.bybit.rest.endpoint import Endpoint, get, post
from feeder.bybit.rest.reply import Amount, Page, Text
from feeder.bybit.rest.transport import Answer
from feeder.errors import (
    AuthError,
    BalanceError,
    ClockError,
    DuplicateOrderError,
    HttpStatusError,
    InvalidRequestError,
    OrderError,
    OrderNotFoundError,
    RateLimitedError,
    RefusedError,
    ReplyError,
    RestError,
    UnavailableError,
)


class Row(msgspec.Struct, rename="camel"):
    symbol: str
    last_price: Amount = None
    title: Text = None


READ = get("/v5/market/tickers", signed=False)
ROWS: Endpoint[Page[Row]] = Endpoint("GET", "/v5/market/tickers", result=Page[Row])
ORDER = post("/v5/order/create")
LEVERAGE = post("/v5/position/set-leverage", repeatable=True)
NOW_MS = 1_700_000_000_000
KEY = "aKeyThatIsQuoted"


def answer(body: bytes, status: int = 200, **headers: str) -> Answer:
    named = CIMultiDictProxy(CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()}))
    return Answer(get("/v5/x", signed=False), "https://api.bybit.com/v5/x", status, named, body)


def reply(code: int = 0, message: str = "OK", result: object = None) -> bytes:
    return msgspec.json.encode({"retCode": code, "retMsg": message, "result": result or {}, "time": NOW_MS})


def failure(endpoint: Endpoint[Any], of: Answer) -> RestError:
    with pytest.raises(RestError) as caught:
        understood(endpoint, of, None, KEY)
    assert "GET https://api.bybit.com/v5/x" in str(caught.value)
    return caught.value


@pytest.mark.parametrize("message", ["OK", "success", "SUCCESS", "", "whatever"])
def test_ret_code_0_is_a_reply_whatever_the_message_says(message: str) -> None:
    body = reply(message=message, result={"a": ["1", ""]})
    got = understood(READ, answer(body), None, None)
    assert got.result == {"a": ["1", ""]}  # plain results keep what the venue wrote
    assert (got.raw, got.time_ms, got.message, got.unchanged) == (body, NOW_MS, message, False)
    assert repr(got) == f"Reply({{'a': ['1', '']}}, {len(body)} bytes)"


def test_empty_texts_of_a_typed_result_are_none_and_amounts_are_exact() -> None:
    rows = b"""{"retCode":0,"retMsg":"OK","result":{"category":"","nextPageCursor" : "","list":[
        {"symbol":"A:\\"\\"","lastPrice":"","title":"x,\\"\\",y"},{"symbol":"B","lastPrice":"0.10"}]},"time":1}"""
    page = understood(ROWS, answer(rows), None, None).result
    assert (page.category, page.next_page_cursor) == (None, None)
    assert page.entries == [Row('A:""', None, 'x,"",y'), Row("B", Decimal("0.10"))]
    assert str(page.entries[1].last_price) == "0.10"


@pytest.mark.parametrize("code", [34040, 110025, 110026, 110027, 110043])
def test_not_modified_is_no_error(code: int) -> None:
    assert understood(LEVERAGE, answer(reply(code, "not modified")), None, None).unchanged


@pytest.mark.parametrize(
    ("code", "kind", "again", "unsure"),
    [
        (10001, InvalidRequestError, False, False),
        (10002, ClockError, True, False),
        (-1, ClockError, True, False),
        (10003, AuthError, False, False),
        (10004, AuthError, False, False),
        (10005, AuthError, False, False),
        (10010, AuthError, False, False),
        (33004, AuthError, False, False),
        (10006, RateLimitedError, True, False),
        (10018, RateLimitedError, True, False),
        (170222, RateLimitedError, True, False),
        (10000, UnavailableError, True, True),
        (10016, UnavailableError, True, True),
        (429, UnavailableError, True, True),
        (170007, UnavailableError, True, True),
        (110001, OrderNotFoundError, False, False),
        (170213, OrderNotFoundError, False, False),
        (110007, BalanceError, False, False),
        (170131, BalanceError, False, False),
        (110072, DuplicateOrderError, False, False),
        (110079, OrderError, True, False),
        (110094, OrderError, False, False),
        (170999, OrderError, False, False),
        (3400070, OrderError, False, False),
        (12345, RefusedError, False, False),
    ],
)
def test_each_ret_code_is_an_error_that_says_what_next(
    code: int, kind: type[RefusedError], again: bool, unsure: bool
) -> None:
    body = answer(reply(code, "because"))
    for endpoint in (READ, LEVERAGE):
        error = failure(endpoint, body)
        assert type(error) is kind
        assert isinstance(error, RefusedError)
        assert (error.ret_code, error.ret_message) == (code, "because")
        assert (error.retriable, error.unknown_outcome) == (again, unsure and endpoint is LEVERAGE)
        assert f"retCode {code} because" in str(error)
    order = failure(ORDER, body)
    assert (order.retriable, order.unknown_outcome) == (again and not unsure, unsure)
    assert ("whether it was carried out is unknown" in str(order)) is unsure


def test_the_key_that_the_venue_quotes_is_hidden() -> None:
    text = f"error sign! origin_string[1700000000000{KEY}5000category=spot]"
    error = failure(ORDER, answer(reply(10004, text)))
    assert isinstance(error, AuthError)
    for said in (str(error), repr(error), error.ret_message):
        assert KEY not in said
        assert "origin_string[1700000000000***5000category=spot]" in said


@pytest.mark.parametrize("value", ["", "ten", "-1", "1.5", "9" * 30])
def test_headers_that_make_no_sense_say_nothing(value: str) -> None:
    good = {"X-Bapi-Limit": "10", "X-Bapi-Limit-Status": "9", "X-Bapi-Limit-Reset-Timestamp": "5"}
    status = rate_status(good)
    assert status is not None
    assert (status.limit, status.remaining, status.reset_ms) == (10, 9, 5)
    for name in good:
        assert rate_status(good | {name: value}) is None


@pytest.mark.parametrize("value", [100_001, 1 << 62, 9_000_000_000_001])
def test_a_limit_or_time_of_another_world_says_nothing(value: int) -> None:
    good = {"X-Bapi-Limit": "100000", "X-Bapi-Limit-Status": "100000", "X-Bapi-Limit-Reset-Timestamp": "9000000000000"}
    assert rate_status(good) is not None
    for name in good if value > 9_000_000_000_000 else list(good)[:2]:
        assert rate_status(good | {name: str(value)}) is None


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "an empty answer"),
        (b"  <html><title>key=secret</title></html>", "40 bytes of HTML instead of JSON"),
        (b'{"retCode":0,"retMsg":"OK","resu', "JSON that ends after 32 bytes"),
        (b"\xff\xfe\x00", "not a reply of the API (3 bytes"),
        (b"[" * 100_000, "not a reply of the API"),
        (b"null", "not a reply of the API"),
        (b'{"retMsg":"OK"}', "not a reply of the API"),
        (b'{"retCode":0,"time":"now"}', "the reply is not as documented"),
    ],
)
def test_what_is_not_the_apis_is_named_for_what_it_is_and_not_quoted(body: bytes, what: str) -> None:
    error = failure(READ, answer(body, Content_Type="text/html"))
    assert type(error) is ReplyError
    assert what in str(error)
    assert "key=secret" not in str(error)
    assert not error.retriable
    assert failure(ORDER, answer(body)).unknown_outcome


def test_a_result_of_another_shape_names_the_place() -> None:
    error = failure(ROWS, answer(reply(result={"list": [{"symbol": "A"}, {"symbol": "B", "lastPrice": "dear"}]})))
    assert type(error) is ReplyError
    assert "$.result.list[1].lastPrice" in str(error)


@pytest.mark.parametrize(
    ("status", "again", "unsure"),
    [
        (400, False, False),
        (401, False, False),
        (404, False, False),
        (429, True, False),
        (500, True, True),
        (503, True, True),
    ],
)
def test_an_http_status_says_whether_to_ask_again(status: int, again: bool, unsure: bool) -> None:
    for body in (b"<html>", b"", reply()):
        error = failure(READ, answer(body, status))
        assert isinstance(error, HttpStatusError)
        assert (error.status, error.retriable, error.unknown_outcome) == (status, again, False)
        order = failure(ORDER, answer(body, status))
        assert (order.retriable, order.unknown_outcome) == (again and not unsure, unsure)


def test_an_http_status_with_a_ret_code_means_the_ret_code() -> None:
    assert isinstance(failure(ORDER, answer(reply(10003, "API key is invalid."), 401)), AuthError)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_but_named(status: int) -> None:
    error = failure(READ, answer(b"<html>moved</html>", status, Location="https://elsewhere.example/"))
    assert type(error) is ReplyError
    assert f"HTTP {status}, a redirect" in str(error)
    assert "elsewhere" not in str(error)


def test_p2p_has_a_reply_of_its_own() -> None:
    body = (
        b'{"ret_code":0,"ret_msg":"SUCCESS","result":{"count":1},"ext_code":"","ext_info":{},"time_now":"1700000000.5"}'
    )
    got = understood(post("/v5/p2p/item/online"), answer(body), None, None)
    assert (got.result, got.message, got.time_ms) == ({"count": 1}, "SUCCESS", 1_700_000_000_500)
    error = failure(post("/v5/p2p/item/create"), answer(b'{"ret_code":10005,"ret_msg":"no","result":null}'))
    assert isinstance(error, AuthError)
    assert not error.unknown_outcome
    assert "not a reply" in str(failure(ROWS, answer(body)))


@pytest.mark.parametrize("time", ["inf", "nan", "1e308", "-1"])
def test_a_time_of_p2p_that_is_none_is_not_as_documented(time: str) -> None:
    body = b'{"ret_code":0,"result":null,"time_now":"%s"}' % time.encode()
    assert "not as documented" in str(failure(post("/v5/p2p/item/online"), answer(body)))
