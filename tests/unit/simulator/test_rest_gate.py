"""The gate over real HTTP, in front of handlers that only tell what they were given; the clock is moved by hand."""

import asyncio
import hashlib
import hmac
import io
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp import ClientError, ServerDisconnectedError, web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from feeder.clock import ManualClock
from feeder.simulator.keys import DEFAULT_KEY, ApiKey
from feeder.simulator.rest_caller import caller
from feeder.simulator.rest_gate import RestGate
from feeder.simulator.rest_limits import Limit
from feeder.simulator.script import Rest
from tests.unit.simulator.signer import signed

NOW = 1_700_000_000_000  # ms, as ManualClock begins
WALLET = "/v5/account/wallet-balance"
CREATE = "/v5/order/create"
TIME = "/v5/market/time"
READER = ApiKey("reader", "reader-secret", account="2", read_only=True)

Client = TestClient[web.Request, web.Application]


class Scene:
    """A gate, what passed it, and a client."""

    def __init__(self, *, enforce_limits: bool = False) -> None:
        self.clock = ManualClock()
        self.gate = RestGate((DEFAULT_KEY, READER), self.clock, enforce_limits=enforce_limits)
        self.passed: list[str] = []
        self.has_passed = asyncio.Event()
        app = web.Application(middlewares=self.gate.middlewares())
        app.router.add_get(TIME, self._tell)
        app.router.add_get(WALLET, self._tell)
        app.router.add_post(CREATE, self._tell)
        app.router.add_post("/v5/order/create-batch", self._tell)
        app.router.add_get("/simulator/books", self._tell_all)
        self.http: Client = TestClient(TestServer(app))

    async def _tell(self, request: web.Request) -> web.Response:
        self.passed.append(request.path)
        self.has_passed.set()
        known = caller.get()
        told = {
            "key": known.api_key and known.api_key.key,
            "account": known.api_key and known.api_key.account,
            "parameters": dict(known.parameters),
            "orders": known.orders_allowed,
        }
        return web.json_response({"retCode": 0, "result": told, "time": self.gate.clock.wall_ns() // 1_000_000})

    async def _tell_all(self, _request: web.Request) -> web.Response:
        return web.json_response({"key": caller.get().api_key})

    async def get(self, path: str = WALLET, query: str = "", **facts: Any) -> Any:
        """The body of a signed GET."""
        url = f"{path}?{query}" if query else path
        async with self.http.get(url, headers=signed(query, **{"at_ms": NOW} | facts)) as reply:
            assert reply.status == 200
            return await reply.json()

    async def post(self, body: str = "{}", path: str = CREATE, **facts: Any) -> Any:
        """The body of a signed POST."""
        async with self.http.post(path, data=body, headers=signed(body, **{"at_ms": NOW} | facts)) as reply:
            assert reply.status == 200
            return await reply.json()


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    staged = Scene()
    async with staged.http:
        yield staged
        staged.gate.close()


@pytest.fixture
async def strict() -> AsyncIterator[Scene]:
    staged = Scene(enforce_limits=True)
    async with staged.http:
        yield staged


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """aiohttp may not have logged a failure of ours."""
    yield
    assert not [record for record in caplog.records if record.exc_info and "feeder" in str(record.exc_text)]


async def test_handlers_are_told_who_asks_and_what(scene: Scene) -> None:
    told = (await scene.get(query="accountType=UNIFIED&coin=BTC"))["result"]
    assert told == {
        "key": "sim-key",
        "account": "1",
        "parameters": {"accountType": "UNIFIED", "coin": "BTC"},
        "orders": 1,
    }
    told = (await scene.post('{"category":"linear","qty":"1"}'))["result"]
    assert told["parameters"] == {"category": "linear", "qty": "1"}
    assert (await scene.get(key=READER))["result"]["account"] == "2"
    assert (await scene.post("", path=CREATE))["result"]["parameters"] == {}


async def test_public_paths_need_no_key_and_ask_for_none(scene: Scene) -> None:
    for headers in ({}, signed("", ApiKey("nobody", "x"), at_ms=5)):
        async with scene.http.get(TIME + "?category=spot", headers=headers) as reply:
            told = (await reply.json())["result"]
            assert not [name for name in reply.headers if name.lower().startswith("x-bapi")]
        assert told == {"key": None, "account": None, "parameters": {"category": "spot"}, "orders": 0}


async def test_nothing_of_one_request_is_left_to_the_next_on_its_connection(scene: Scene) -> None:
    assert (await scene.get())["result"]["key"] == "sim-key"
    async with scene.http.get(TIME) as reply:
        assert (await reply.json())["result"]["key"] is None
    async with scene.http.get("/simulator/books") as reply:
        assert (await reply.json())["key"] is None


@pytest.mark.parametrize(
    "query", ["cursor=a%3Db%2Cc&limit=1", "z=1&a=2", "text=a+b%20c", "x=%E4%BD%A0", "empty=", "=", "a=1&a=2", "?a=/"]
)
async def test_a_query_is_checked_as_it_was_sent(scene: Scene, query: str) -> None:
    url = URL(str(scene.http.make_url(WALLET)) + "?" + query, encoded=True)
    async with scene.http.session.get(url, headers=signed(query, at_ms=NOW)) as reply:
        assert (await reply.json())["retCode"] == 0


async def test_who_does_not_sign_at_all_is_unauthorized(scene: Scene) -> None:
    for method, path in (("GET", WALLET), ("POST", CREATE)):
        async with scene.http.request(method, path) as reply:
            assert (reply.status, "X-BAPI-SIGN" in await reply.text()) == (401, True)
    assert not scene.passed


async def test_a_refusal_comes_in_the_venues_envelope(scene: Scene) -> None:
    body = await scene.get(key=ApiKey("nobody", "x"))
    assert body == {"retCode": 10003, "retMsg": "API key is invalid.", "result": {}, "retExtInfo": {}, "time": NOW}
    assert (await scene.get(query="a=1", at_ms=NOW - 5001))["retCode"] == 10002
    assert (await scene.post(key=READER))["retCode"] == 10005
    assert not scene.passed


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "[]",
        "5",
        "null",
        '"text"',
        "{'a': 1}",
        '{"a": NaN}',
        "[" * 100_000,
        '{"a":' * 5000,
        "\ud83d",
        '{"a": "\ud83d"}',
        "a=1&b=2",
    ],
)
async def test_a_body_that_is_no_json_object_is_a_wrong_parameter(scene: Scene, body: str) -> None:
    data = body.encode("utf-8", "surrogatepass")
    headers = signed("", at_ms=NOW) | {"X-BAPI-SIGN": _sign(data)}
    async with scene.http.post(CREATE, data=data, headers=headers) as reply:
        assert (reply.status, (await reply.json())["retCode"]) == (200, 10001)
    assert not scene.passed


def _sign(data: bytes) -> str:
    return hmac.new(b"sim-secret", f"{NOW}sim-key5000".encode() + data, hashlib.sha256).hexdigest()


async def test_a_body_that_is_not_sent_as_json_is_a_wrong_parameter(scene: Scene) -> None:
    for kind in ("application/x-www-form-urlencoded", "text/plain", "application/octet-stream"):
        headers = signed("{}", at_ms=NOW) | {"Content-Type": kind}
        async with scene.http.post(CREATE, data="{}", headers=headers) as reply:
            told = await reply.json()
            assert (told["retCode"], told["retMsg"].split()[2]) == (10001, "Content-Type")
    headers = signed("{}", at_ms=NOW) | {"Content-Type": "application/json; charset=utf-8"}
    async with scene.http.post(CREATE, data="{}", headers=headers) as reply:
        assert (await reply.json())["retCode"] == 0


async def test_a_body_too_large_is_a_wrong_parameter(scene: Scene) -> None:
    body = json.dumps({"a": "x" * 2_000_000})
    headers = signed(body, at_ms=NOW)
    async with scene.http.post(CREATE, data=io.BytesIO(body.encode()), headers=headers) as reply:
        assert (reply.status, (await reply.json())["retCode"]) == (200, 10001)


async def test_a_get_with_a_body_is_forbidden_as_documented(scene: Scene) -> None:
    for path in (TIME, WALLET):
        async with scene.http.get(path, data="{}", headers=signed("", at_ms=NOW)) as reply:
            assert reply.status == 403


async def test_what_there_is_not_is_not_found_before_anybody_asks_for_a_key(scene: Scene) -> None:
    for method, path, status in (
        ("GET", "/v5/nothing", 404),
        ("GET", "/v5/market/nothing", 404),
        ("GET", CREATE, 404),
        ("POST", TIME, 404),
        ("DELETE", CREATE, 400),
        ("HEAD", WALLET, 400),
    ):
        async with scene.http.request(method, path) as reply:
            assert (method, path, reply.status) == (method, path, status)


async def _raw(scene: Scene, lines: list[bytes], body: bytes = b"") -> bytes:
    """The status line and all that comes for bytes that no client library would send."""
    server = scene.http.server
    assert isinstance(server.port, int)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(b"\r\n".join([lines[0], b"Host: x", b"Connection: close", *lines[1:], b"", body]))
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
        await writer.wait_closed()


def _lines(headers: dict[str, str]) -> list[bytes]:
    return [f"{name}: {value}".encode() for name, value in headers.items()]


async def test_odd_headers_get_the_venues_codes(scene: Scene, quiet: None) -> None:
    get = b"GET " + WALLET.encode() + b" HTTP/1.1"
    good = signed("", at_ms=NOW)
    for name, value, code in (
        ("X-BAPI-API-KEY", b"\xff\xfe", b"10003"),
        ("X-BAPI-API-KEY", "schlüssel".encode(), b"10003"),
        ("X-BAPI-TIMESTAMP", b"soon", b"10001"),
        ("X-BAPI-TIMESTAMP", b"9" * 4000, b"10001"),
        ("X-BAPI-RECV-WINDOW", b"-1", b"10001"),
        ("X-BAPI-RECV-WINDOW", b"\xd9\xa3", b"10001"),
        ("X-BAPI-SIGN", b"\xff", b"10004"),
        ("X-BAPI-SIGN", b"", b"10001"),
    ):
        headers = _lines({key: text for key, text in good.items() if key != name})
        reply = await _raw(scene, [get, *headers, name.encode() + b": " + value])
        assert reply.startswith(b"HTTP/1.1 200")
        assert b'"retCode": ' + code in reply
    # of two the first is meant
    second = b"X-BAPI-API-KEY: nobody"
    assert b'"retCode": 0' in await _raw(scene, [get, *_lines(good), second])
    assert b'"retCode": 10003' in await _raw(scene, [get, second, *_lines(good)])
    assert scene.passed == [WALLET]


async def test_a_body_that_breaks_off_or_cannot_be_unpacked_is_no_failure_of_ours(scene: Scene, quiet: None) -> None:
    post = b"POST " + CREATE.encode() + b" HTTP/1.1"
    headers = _lines(signed("", at_ms=NOW))
    packed = [post, *headers, b"Content-Encoding: gzip", b"Content-Length: 5"]
    assert b'"retCode": 10001' in await _raw(scene, packed, b"abcde")
    broken = [post, *headers, b"Transfer-Encoding: chunked"]
    assert b" 400 " in (await _raw(scene, broken, b"ZZ\r\nabc\r\n")).partition(b"\r\n")[0]
    assert not scene.passed


async def test_each_signed_reply_tells_its_limit(scene: Scene) -> None:
    for remaining in (49, 48):
        async with scene.http.get(WALLET, headers=signed("", at_ms=NOW)) as reply:
            assert reply.headers["X-Bapi-Limit"] == "50"
            assert reply.headers["X-Bapi-Limit-Status"] == str(remaining)
            assert reply.headers["X-Bapi-Limit-Reset-Timestamp"] == str(NOW)


async def test_over_the_limit_a_request_is_refused_and_told_when_to_come_again(strict: Scene) -> None:
    body = '{"category":"linear"}'
    for _ in range(10):
        assert (await strict.post(body))["retCode"] == 0
    async with strict.http.post(CREATE, data=body, headers=signed(body, at_ms=NOW)) as reply:
        refused = await reply.json()
        assert reply.headers["X-Bapi-Limit-Status"] == "0"
        assert reply.headers["X-Bapi-Limit-Reset-Timestamp"] == str(NOW + 1000)
    assert (refused["retCode"], refused["retMsg"]) == (10006, "Too many visits. Exceeded the API Rate Limit.")
    assert len(strict.passed) == 10
    assert (await strict.post('{"category":"spot"}'))["retCode"] == 0
    strict.clock.advance(1.0)
    assert (await strict.post(body))["retCode"] == 0


async def test_a_batch_is_told_how_many_of_its_orders_may_pass(strict: Scene) -> None:
    batch = json.dumps({"category": "linear", "request": [{}] * 6})
    answers = [await strict.post(batch, path="/v5/order/create-batch") for _ in range(3)]
    assert [answer["result"].get("orders") for answer in answers] == [6, 4, None]
    assert answers[2]["retCode"] == 10006


async def test_an_address_that_asks_too_often_is_forbidden_everywhere(strict: Scene) -> None:
    for _ in range(600):
        async with strict.http.get(TIME) as reply:
            assert reply.status == 200
    async with strict.http.get(TIME) as reply:
        assert (reply.status, await reply.text()) == (403, "access too frequent")
    async with strict.http.get(WALLET, headers=signed("", at_ms=NOW)) as reply:
        assert reply.status == 403
    async with strict.http.get("/simulator/books") as reply:  # our own paths are no exchange's
        assert reply.status == 200
    strict.clock.advance(600.0)
    async with strict.http.get(TIME) as reply:
        assert reply.status == 200


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (10000, "Server Timeout"),
        (10006, "Too many visits. Exceeded the API Rate Limit."),
        (10016, "Internal System Error."),
        (170210, ""),
    ],
)
async def test_a_code_on_request_refuses_a_request_that_nobody_carries_out(scene: Scene, code: int, text: str) -> None:
    scene.gate.faults.add(Rest(ret_code=code, times=1))
    body = await scene.post()
    assert (body["retCode"], body["retMsg"], body["result"], body["time"]) == (code, text, {}, NOW)
    assert not scene.passed
    assert (await scene.post())["retCode"] == 0


async def test_a_code_may_have_any_text(scene: Scene) -> None:
    scene.gate.faults.add(Rest(ret_code=110007, ret_msg="ab not enough for new order", times=1))
    assert (await scene.post())["retMsg"] == "ab not enough for new order"


async def test_a_window_missed_on_request_names_both_clocks(scene: Scene) -> None:
    scene.gate.faults.add(Rest(ret_code=10002, times=1))
    text = (await scene.get(at_ms=NOW - 77))["retMsg"]
    assert text.endswith(f"req_timestamp[{NOW - 77}],server_timestamp[{NOW}],recv_window[5000]")


async def test_too_many_on_request_has_the_headers_where_the_venue_sends_them(scene: Scene) -> None:
    scene.gate.faults.add(Rest(ret_code=10006, times=2))
    async with scene.http.get(WALLET, headers=signed("", at_ms=NOW)) as reply:
        assert reply.headers["X-Bapi-Limit"] == "50"
        assert reply.headers["X-Bapi-Limit-Status"] == "0"
        assert reply.headers["X-Bapi-Limit-Reset-Timestamp"] == str(NOW + 1000)
    async with scene.http.get(TIME) as reply:
        assert (await reply.json())["retCode"] == 10006
        assert "X-Bapi-Limit" not in reply.headers


async def test_a_lost_answer_is_that_of_a_request_which_was_carried_out(scene: Scene) -> None:
    scene.gate.faults.add(Rest(how="lost", times=1))
    with pytest.raises((ServerDisconnectedError, ClientError)):
        await scene.post()
    assert scene.passed == [CREATE]


async def test_a_late_answer_comes_after_the_request_was_carried_out(scene: Scene) -> None:
    scene.gate.faults.add(Rest(how="late", delay=600, times=1))
    asking = asyncio.ensure_future(scene.post())
    await scene.has_passed.wait()
    assert not asking.done()
    scene.gate.close()  # a server that goes down waits for nobody
    assert (await asking)["retCode"] == 0


async def test_a_late_answer_comes_by_itself(scene: Scene) -> None:
    scene.gate.faults.add(Rest(how="late", delay=0.01, times=1))
    assert (await scene.post())["retCode"] == 0


async def test_a_redirect_leads_to_a_page_of_this_server(scene: Scene) -> None:
    scene.gate.faults.add(Rest(how="redirect", times=2))
    async with scene.http.get(TIME, allow_redirects=False) as reply:
        assert (reply.status, reply.headers["Location"]) == (302, "/maintenance")
    async with scene.http.get(TIME) as reply:
        assert reply.host == "127.0.0.1"
        assert (await reply.text()).startswith("<html>")


async def test_half_an_answer_may_be_that_of_any_request(scene: Scene) -> None:
    scene.gate.faults.add(Rest(how="truncated", times=2))
    with pytest.raises(ClientError):
        await scene.post()
    assert scene.passed == [CREATE]
    async with scene.http.get(WALLET) as reply:
        assert reply.status == 401
        with pytest.raises(ClientError):
            await reply.read()


async def test_a_fault_may_be_of_one_method(scene: Scene) -> None:
    scene.gate.faults.add(Rest(ret_code=10016, method="POST", times=1))
    assert (await scene.get())["retCode"] == 0
    assert (await scene.post())["retCode"] == 10016
    assert (await scene.post())["retCode"] == 0


async def test_a_wrong_clock_is_wrong_in_what_it_tells_and_in_what_it_checks(scene: Scene) -> None:
    scene.gate.clock.set_ahead(30.0, until=scene.clock.monotonic() + 10)
    assert (await scene.get())["retCode"] == 10002
    body = await scene.get(at_ms=NOW + 30_000)
    assert (body["retCode"], body["time"]) == (0, NOW + 30_000)
    scene.gate.clock.set_ahead(-30.0, until=scene.clock.monotonic() + 10)
    assert (await scene.get(at_ms=NOW))["retCode"] == 10002
    assert (await scene.get(at_ms=NOW - 30_000))["retCode"] == 0
    scene.clock.advance(10.0)
    assert (await scene.get(at_ms=NOW + 10_000))["retCode"] == 0
    scene.gate.clock.set_ahead(3600.0, until=None)
    scene.clock.advance(100_000.0)
    assert (await scene.get())["time"] == NOW + 100_010_000 + 3_600_000


async def test_a_tighter_limit_refuses_though_limits_are_off(scene: Scene) -> None:
    scene.gate.limits.tighten("/v5/", Limit(1), None)
    for path in (TIME, WALLET):
        assert [(await scene.get(path))["retCode"] for _ in range(2)] == [0, 10006]
    scene.clock.advance(1.0)
    assert (await scene.get(at_ms=NOW + 1000))["retCode"] == 0
