"""The REST client before servers that do everything wrong, on real sockets: a typed error, and nothing left over."""

import asyncio
import gzip
import json
import logging
import ssl
import time
import traceback
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

import feeder
from feeder.bybit.rest.client import BybitClient
from feeder.bybit.rest.pool import SessionPool, Timeouts
from feeder.errors import (
    AuthError,
    BarredError,
    ClockError,
    ConnectError,
    HttpStatusError,
    ParameterError,
    PoolError,
    ReplyError,
    ReplyTimeoutError,
    RestError,
    TlsError,
    TransportError,
    UnknownEndpointError,
)
from feeder.simulator.keys import ApiKey
from feeder.simulator.script import parse_fault
from feeder.simulator.server import Simulator, SimulatorConfig
from tests.helpers.hostile_venue import (
    TIME,
    Answer,
    HostileVenue,
    drip,
    endless,
    envelope,
    hostile_venue,
    never,
    raw,
    reply,
)
from tests.helpers.processes import until
from tests.helpers.secrets import API_KEY as KEY
from tests.helpers.secrets import API_SECRET as SECRET
from tests.integration.test_tls import certificate

OURS = Path(feeder.__file__).parent
PATIENCE = Timeouts()
HASTE = Timeouts(turn=2.0, connect=0.4, answer=0.6)
"""Where it is the time-out that ends a request: on a busy machine others must not end so."""
PAGE = b"<html><body><h1>Maintenance</h1></body></html>"
TICKERS = envelope({"category": "linear", "list": []})
PLACED = envelope({"orderId": "1", "orderLinkId": "mine"})
ORDER: dict[str, object] = {
    "category": "linear",
    "symbol": "BTCUSDT",
    "side": "Buy",
    "orderType": "Limit",
    "qty": Decimal("0.010"),
    "price": "50000.10",
}


@pytest.fixture(autouse=True)
def every_log_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


@pytest.fixture(autouse=True)
async def nothing_left() -> AsyncIterator[None]:
    """No task outlives a test."""
    before = asyncio.all_tasks()
    yield
    assert asyncio.all_tasks() - before <= {asyncio.current_task()}


async def no_pause(_seconds: float) -> None:
    """Before a request is sent again."""
    await asyncio.sleep(0)


@asynccontextmanager
async def client_of(
    venue: HostileVenue | str,
    *,
    timeouts: Timeouts = PATIENCE,
    key: str | None = KEY,
    secret: str | None = SECRET,
    **more: Any,
) -> AsyncIterator[tuple[BybitClient, SessionPool]]:
    """A client with a key on a pool of its own, which leaves no connection behind."""
    url = venue if isinstance(venue, str) else venue.url
    async with SessionPool(timeouts=timeouts, **{"sleep": no_pause} | more) as pool:
        client = BybitClient(key, secret, pool=pool, base_url=url)
        yield client, pool
        assert client.in_flight == 0
    if isinstance(venue, HostileVenue):
        await until(lambda: venue.open == 0, 5, "the connections' end")


def tickers(client: BybitClient) -> Coroutine[Any, Any, Any]:
    return client.call("GET", "/v5/market/tickers", category="linear")


def place(client: BybitClient, **more: object) -> Coroutine[Any, Any, Any]:
    return client.call("POST", "/v5/order/create", **ORDER | more)


def wallet(client: BybitClient) -> Coroutine[Any, Any, Any]:
    return client.call("GET", "/v5/account/wallet-balance", accountType="UNIFIED")


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def told(error: BaseException, caplog: pytest.LogCaptureFixture) -> str:
    """The error's message, once it is sure that neither it nor anything it carries or was logged has the secret."""
    seen = [repr(each) + str(each) for each in chain(error)]
    for each in chain(error):  # as tools show it that print the locals of each frame
        for frame, _ in traceback.walk_tb(each.__traceback__):
            if Path(frame.f_code.co_filename).is_relative_to(OURS):
                seen += [f"{name} = {value!r}" for name, value in frame.f_locals.items()]
    seen += [caplog.text]
    for text in seen:
        assert SECRET not in text
        assert SECRET.encode().hex() not in text
    for text in (str(error), repr(error), caplog.text):
        assert KEY not in text
    return str(error)


async def failure(call: Coroutine[Any, Any, Any], caplog: pytest.LogCaptureFixture) -> tuple[RestError, str]:
    with pytest.raises(RestError) as caught:
        await call
    return caught.value, told(caught.value, caplog)


NO_ANSWERS: dict[str, Answer] = {
    "a page instead of JSON": reply(PAGE),
    "an empty body": reply(b""),
    "a body that ends too soon": reply(TICKERS[:20], length=len(TICKERS)),
    "a length that cuts the body": reply(TICKERS, length=len(TICKERS) - 9),
    "JSON cut short": reply(TICKERS[:-9]),
    "JSON that is no object": reply(b"[1, 2]"),
    "JSON without a retCode": reply(b'{"result": {}}'),
    "a retCode that is no number": reply(b'{"retCode": "none", "retMsg": "", "result": {}, "time": 1}'),
    "bytes that are no UTF-8": reply(b'{"retCode": 0, "retMsg": "\xff", "result": {}, "time": 1}'),
    "deep nesting": reply(b'{"retCode": 0, "result": ' + b"[" * 100_000 + b"}"),
    "chunks without an end": raw(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"ret\r\n'),
    "chunks of a wrong size": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
    "no gzip": reply(b"not gzip at all", headers="Content-Encoding: gzip\r\n"),
    "half a gzip": reply(gzip.compress(TICKERS)[:30], headers="Content-Encoding: gzip\r\n"),
    "no HTTP": raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "an end after the headers": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"),
    "an end within the headers": raw(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "a header of 20 MiB": raw(b"HTTP/1.1 200 OK\r\nX-Padding: " + b"x" * 20 * 2**20 + b"\r\n\r\n{}"),
    "HTTP 204": raw(b"HTTP/1.1 204 No Content\r\n\r\n"),
}
REFUSALS: dict[str, Answer] = {
    "HTTP 404": reply(PAGE, "404 Not Found"),
    "HTTP 400": reply(b"", "400 Bad Request"),
    "HTTP 418": reply(b"{}", "418 I'm a teapot"),
}
"""What says that nothing was carried out."""


@pytest.mark.parametrize("what", [*NO_ANSWERS, *REFUSALS])
async def test_what_is_no_answer_of_the_api_is_an_error_that_names_the_address(what, caplog):
    async with hostile_venue((NO_ANSWERS | REFUSALS)[what]) as venue, client_of(venue) as (client, _):
        error, text = await failure(tickers(client), caplog)
        assert isinstance(error, ReplyError | TransportError), error
        assert not error.unknown_outcome
        assert f"{venue.url}/v5/market/tickers" in text
        assert len(text) < 600
        venue.answer_with(reply(TICKERS))
        assert (await tickers(client)).result.category == "linear"


@pytest.mark.parametrize("what", NO_ANSWERS)
async def test_an_order_is_sent_once_and_its_outcome_unknown_whatever_came_instead_of_an_answer(what, caplog):
    async with hostile_venue(NO_ANSWERS[what]) as venue, client_of(venue) as (client, _):
        error, text = await failure(place(client), caplog)
        (sent,) = venue.seen("/v5/order/create")
        assert error.unknown_outcome
        assert not error.retriable
        assert error.order_link_id == json.loads(sent.body)["orderLinkId"]
        assert "outcome" in text or "unknown" in text


@pytest.mark.parametrize("what", REFUSALS)
async def test_an_order_that_http_refuses_was_not_carried_out(what, caplog):
    async with hostile_venue(REFUSALS[what]) as venue, client_of(venue) as (client, _):
        error, text = await failure(place(client), caplog)
        assert isinstance(error, HttpStatusError)
        assert not error.unknown_outcome
        assert not error.retriable
        assert f"HTTP {error.status}" in text
        assert len(venue.seen("/v5/order/create")) == 1


async def test_a_redirect_is_not_followed_and_the_other_server_gets_no_key(caplog):
    async with hostile_venue(reply(PLACED)) as elsewhere:
        moved = reply(b"", "302 Found", headers=f"Location: {elsewhere.url}/v5/order/create\r\n")
        async with hostile_venue(moved) as venue, client_of(venue) as (client, _):
            for call in (tickers, place):
                error, text = await failure(call(client), caplog)
                assert isinstance(error, ReplyError)
                assert "HTTP 302, a redirect" in text
        assert elsewhere.connections == 0


async def test_a_server_error_is_asked_again_for_a_get_and_never_for_an_order(caplog):
    async with (
        hostile_venue(reply(PAGE, "502 Bad Gateway"), reply(TICKERS)) as venue,
        client_of(venue) as (client, pool),
    ):
        assert (await tickers(client)).result.category == "linear"
        assert len(venue.seen("/v5/market/tickers")) == 2
        venue.answer_with(reply(PAGE, "502 Bad Gateway"))
        error, _ = await failure(place(client, orderLinkId="mine"), caplog)
        assert error.unknown_outcome
        assert error.order_link_id == "mine"
        assert len(venue.seen("/v5/order/create")) == 1
        assert pool.counters.retries == 1


async def test_after_403_nothing_is_sent_by_anybody_on_the_pool(caplog):
    async with (
        hostile_venue(reply(b"access too frequent", "403 Forbidden")) as venue,
        client_of(venue) as (client, pool),
    ):
        other = BybitClient(pool=pool, base_url=venue.url)
        for call in (tickers(client), tickers(client), place(client), tickers(other)):
            error, text = await failure(call, caplog)
            assert isinstance(error, BarredError)
            assert 590 < error.retry_after_seconds <= 600
            assert "403" in text
        assert pool.counters.barred == 1
        assert len(venue.seen("/v5/market/tickers")) == 1
        assert venue.seen("/v5/order/create") == []


@pytest.mark.parametrize(
    "answer",
    [
        reply(b"no", "403 Forbidden", length=100),
        endless(b" " * 65536, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100000000000\r\n\r\n"),
    ],
    ids=["cut short", "without an end"],
)
async def test_a_403_bars_whatever_becomes_of_its_body(answer, caplog):
    async with hostile_venue(answer) as venue, client_of(venue, timeouts=HASTE) as (client, _):
        for call in (tickers(client), place(client)):
            error, _text = await failure(call, caplog)
            assert isinstance(error, BarredError)
            assert not error.unknown_outcome
        assert len(venue.requests) == 1


async def test_the_callers_own_timeout_ends_a_request_though_ours_is_over_at_the_same_time():
    haste = Timeouts(answer=0.1)
    async with hostile_venue(never) as venue, client_of(venue, timeouts=haste) as (client, _):
        for _attempt in range(5):
            before = len(venue.requests)
            with pytest.raises((TimeoutError, ReplyTimeoutError)):
                async with asyncio.timeout(0.1):
                    await tickers(client)
            assert len(venue.requests) == before + 1, "it is not asked again"


async def test_a_server_that_never_answers_ends_in_a_timeout_of_unknown_outcome_for_an_order(caplog):
    async with hostile_venue(never) as venue, client_of(venue, timeouts=HASTE) as (client, _):
        error, _ = await failure(place(client), caplog)
        assert isinstance(error, ReplyTimeoutError)
        assert error.unknown_outcome
        assert error.order_link_id
        error, _ = await failure(tickers(client), caplog)
        assert isinstance(error, ReplyTimeoutError)
        assert error.retriable
        assert not error.unknown_outcome


@pytest.mark.parametrize(
    "slow",
    [
        drip(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 1000),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b" " * 1000),
        endless(b"X-More: x\r\n" * 100, b"HTTP/1.1 200 OK\r\n"),
        endless(b" " * 65536, b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n"),
        endless(b"10000\r\n" + b" " * 65536 + b"\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ],
    ids=["headers by the byte", "body by the byte", "headers for ever", "a long body", "chunks for ever"],
)
async def test_an_answer_without_an_end_is_given_up(slow, caplog):
    async with hostile_venue(slow) as venue, client_of(venue, timeouts=HASTE) as (client, _):
        error, _ = await failure(place(client), caplog)
        assert isinstance(error, TransportError | ReplyError)
        assert error.unknown_outcome


@pytest.mark.parametrize(
    "answer",
    [
        reply(b" " * (17 << 20)),
        reply(gzip.compress(b" " * (17 << 20)), headers="Content-Encoding: gzip\r\n"),
        endless(b"10000\r\n" + b" " * 65536 + b"\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ],
    ids=["long", "long when unpacked", "of chunks"],
)
async def test_an_answer_longer_than_any_of_the_api_is_not_read_to_its_end(answer, caplog):
    async with hostile_venue(answer) as venue, client_of(venue) as (client, _):
        error, text = await failure(tickers(client), caplog)
        assert isinstance(error, ReplyError)
        assert "an answer of over 16777216 bytes, which the API never gives" in text
        assert len(venue.requests) == 1


async def test_a_connection_that_is_cut_before_the_answer_leaves_the_outcome_unknown(caplog):
    async with hostile_venue(raw(b"")) as venue, client_of(venue) as (client, _):
        error, _ = await failure(place(client), caplog)
        assert isinstance(error, TransportError)
        assert not isinstance(error, ConnectError)
        assert error.unknown_outcome
        assert len(venue.seen("/v5/order/create")) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://no-such-host.invalid"])
async def test_where_nobody_listens_an_order_was_surely_not_sent(url, caplog):
    async with client_of(url) as (client, _):
        error, text = await failure(place(client), caplog)
        assert isinstance(error, ConnectError)
        assert not error.unknown_outcome
        assert url in text


async def test_a_certificate_nobody_vouches_for_is_refused_and_one_that_is_trusted_works(tmp_path, caplog):
    pem = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    async with hostile_venue(reply(TICKERS), tls=context) as venue:
        async with client_of(venue) as (client, _):
            for call in (tickers, place):
                error, text = await failure(call(client), caplog)
                assert isinstance(error, TlsError)
                assert not error.unknown_outcome
                assert "certificate" in text
        assert venue.requests == []
        trusting = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))
        async with client_of(venue, ssl=trusting) as (client, _):
            assert (await tickers(client)).result.category == "linear"


async def test_tls_spoken_to_a_plain_port_and_the_reverse_are_errors_that_say_so(tmp_path, caplog):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path))
    async with (
        Simulator(SimulatorConfig(symbols=1)) as plain,
        client_of(plain.rest_url.replace("http:", "https:")) as (client, _),
    ):
        error, _ = await failure(place(client), caplog)
        assert isinstance(error, TlsError)
        assert not error.unknown_outcome
    async with (
        hostile_venue(never) as silent,
        client_of(silent.url.replace("http:", "https:"), timeouts=HASTE) as (client, _),
    ):
        error, _ = await failure(place(client), caplog)
        assert isinstance(error, ConnectError)
        assert not error.unknown_outcome
        assert silent.requests == []
    async with hostile_venue(reply(TICKERS), tls=context) as secured:
        async with client_of(secured.url.replace("https:", "http:")) as (client, _):
            error, _ = await failure(tickers(client), caplog)
            assert isinstance(error, TransportError | ReplyError)
        assert secured.requests == []


async def test_a_closed_pool_sends_nothing_and_one_closed_meanwhile_ends_what_is_under_way(caplog):
    async with hostile_venue(never) as venue, client_of(venue) as (client, pool):
        waiting = asyncio.create_task(place(client))
        await until(lambda: bool(venue.seen("/v5/order/create")), 5, "the order at the venue")
        await pool.aclose()
        error, _ = await failure(asyncio.wait_for(waiting, 5), caplog)
        assert isinstance(error, PoolError)
        assert error.unknown_outcome, "it was sent"
        sent = len(venue.requests)
        for call in (tickers, place, wallet):
            error, text = await failure(call(client), caplog)
            assert isinstance(error, PoolError)
            assert not error.unknown_outcome
            assert "closed" in text
        assert len(venue.requests) == sent


async def test_who_waits_for_a_connection_when_the_pool_is_closed_is_told_and_not_cancelled(caplog):
    async with hostile_venue(never) as venue, client_of(venue, max_connections=1) as (client, pool):
        calls = [asyncio.create_task(tickers(client)) for _ in range(3)]
        cancelled = asyncio.create_task(tickers(client))
        await until(lambda: len(venue.requests) == 1 and pool.counters.requests == 4, 5, "the request at the venue")
        cancelled.cancel()
        await pool.aclose()
        for call in calls:
            error, text = await failure(asyncio.wait_for(call, 5), caplog)
            assert isinstance(error, PoolError)
            assert "closed meanwhile" in text
        with pytest.raises(asyncio.CancelledError):
            await cancelled


def test_a_pool_of_another_event_loop_is_refused_and_a_new_one_works(caplog):
    async def first() -> SessionPool:
        async with hostile_venue(reply(TICKERS)) as venue:
            pool = SessionPool()
            await tickers(BybitClient(pool=pool, base_url=venue.url))
            return pool

    async def second(pool: SessionPool) -> None:
        async with hostile_venue(reply(TICKERS)) as venue:
            error, text = await failure(tickers(BybitClient(pool=pool, base_url=venue.url)), caplog)
            assert isinstance(error, PoolError)
            assert "event loop" in text
            assert venue.requests == []
            await pool.aclose()
            async with SessionPool() as fresh:
                await tickers(BybitClient(pool=fresh, base_url=venue.url))

    asyncio.run(second(asyncio.run(first())))


def test_a_client_with_a_session_of_its_own_says_that_its_loop_has_ended(caplog):
    async def ask(client: BybitClient) -> None:
        await tickers(client)

    async def refused(client: BybitClient) -> None:
        error, text = await failure(tickers(client), caplog)
        assert isinstance(error, PoolError)
        assert "event loop" in text
        await client.aclose()

    async def run() -> BybitClient:
        async with hostile_venue(reply(TICKERS)) as venue:
            client = BybitClient(base_url=venue.url)
            await ask(client)
            return client

    asyncio.run(refused(asyncio.run(run())))


async def test_a_pool_is_refused_to_another_threads_loop_and_goes_on_in_its_own(caplog):
    async with hostile_venue(reply(TICKERS)) as venue, client_of(venue) as (client, _):
        await tickers(client)
        with pytest.raises(PoolError, match="event loop"):
            await asyncio.to_thread(asyncio.run, tickers(client))
        await tickers(client)


async def test_another_threads_loop_does_not_wait_for_the_clock_of_ours(caplog):
    async with hostile_venue(reply(PLACED), time=never) as venue, client_of(venue) as (client, _):
        first = asyncio.create_task(place(client))
        await until(lambda: bool(venue.seen(TIME)), 5, "the question for the time")
        with pytest.raises(PoolError, match="event loop"):
            await asyncio.wait_for(asyncio.to_thread(asyncio.run, asyncio.wait_for(place(client), 3)), 5)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


async def test_a_client_with_a_session_of_its_own_opens_another_after_it_was_closed():
    async with hostile_venue(reply(TICKERS)) as venue:
        async with BybitClient(base_url=venue.url) as client:
            await tickers(client)
        await until(lambda: venue.open == 0, 5, "the connection's end")
        await tickers(client)
        await client.aclose()
        await client.aclose()
        assert venue.connections == 2


def test_the_pool_of_the_process_is_made_anew_for_each_run_of_a_loop(caplog):
    async def run() -> None:
        async with hostile_venue(reply(TICKERS)) as venue:
            SessionPool.setup(10)
            try:
                await tickers(BybitClient(base_url=venue.url))
            finally:
                await SessionPool.close()

    asyncio.run(run())
    asyncio.run(run())


async def test_calls_that_are_cancelled_leak_neither_connection_nor_slot(caplog):
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.Event().wait()

    async with hostile_venue(never) as venue, client_of(venue, sleep=sleep) as (client, _):
        await client.measure_clock()
        calls = [asyncio.create_task(tickers(client)) for _ in range(30)]
        calls += [asyncio.create_task(place(client)) for _ in range(30)]  # of which the key may send 10 a second
        await until(lambda: len(venue.seen("/v5/market/tickers")) == 30, 5, "the requests at the venue")
        await until(lambda: len(venue.seen("/v5/order/create")) == 10, 5, "the orders at the venue")
        await until(lambda: len(waits) == 20, 5, "the orders that wait")
        for call in calls:
            call.cancel()
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(each) for each in ended} == {asyncio.CancelledError}
        assert client.in_flight == 0
        await until(lambda: venue.open == 0, 5, "the connections' end")
        venue.answer_with(reply(TICKERS))
        assert (await tickers(client)).result.category == "linear"
        waits.clear()
        late = asyncio.create_task(place(client))
        await until(lambda: bool(waits), 5, "the wait of another order")
        late.cancel()
        await asyncio.gather(late, return_exceptions=True)
        assert waits[0] < 1.1, "those that were sent hold it up, the 20 that only waited do not"


async def test_an_order_cancelled_while_it_waits_for_the_address_gives_its_keys_slot_back(caplog):
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.Event().wait()

    options: dict[str, Any] = {"sleep": sleep, "requests": 13}
    async with hostile_venue(reply(TICKERS)) as venue, client_of(venue, **options) as (client, _):
        await client.measure_clock()
        while len(venue.requests) < 13:
            await tickers(client)
        for _ in range(15):  # more than the key may send a second
            waits.clear()
            order = asyncio.create_task(place(client))
            await until(lambda: bool(waits), 5, "the wait")
            order.cancel()
            await asyncio.gather(order, return_exceptions=True)
            assert waits[0] > 2, "it is the address that has no room, not the key"


@pytest.mark.parametrize("skew", [-3600.0, -30.0, 30.0, 3600.0])
async def test_a_clock_that_is_wrong_by_any_amount_is_measured_before_the_first_signed_request(skew):
    async with hostile_venue(reply(PLACED), skew_seconds=skew) as venue, client_of(venue) as (client, _):
        await place(client)
        (sent,) = venue.seen("/v5/order/create")
        assert abs(int(sent.headers["x-bapi-timestamp"]) / 1000 - time.time() - skew) < 1


@pytest.mark.parametrize(
    "answer",
    [
        reply(PAGE),
        reply(PAGE, "500 Internal Server Error"),
        reply(envelope({"timeSecond": "0", "timeNano": "soon"})),
        reply(envelope({})),
        raw(b""),
        never,
    ],
    ids=["a page", "HTTP 500", "no number", "nothing", "cut", "silence"],
)
async def test_an_order_goes_by_our_own_clock_where_the_venues_cannot_be_had(answer):
    async with hostile_venue(reply(PLACED), time=answer) as venue, client_of(venue, timeouts=HASTE) as (client, _):
        for _attempt in range(2):
            await place(client)
        # It is left alone for a while then; aiohttp asks once more by itself where a connection is cut.
        assert len(venue.seen(TIME)) <= 2
        for sent in venue.seen("/v5/order/create"):
            assert abs(int(sent.headers["x-bapi-timestamp"]) / 1000 - time.time()) < 60


@pytest.mark.parametrize("nano", [0, -(10**18), 10**30])
async def test_a_time_of_another_age_is_no_time(nano):
    nonsense = reply(envelope({"timeSecond": "1", "timeNano": str(nano)}))
    async with hostile_venue(reply(PLACED), time=nonsense) as venue, client_of(venue) as (client, _):
        await place(client)
        (sent,) = venue.seen("/v5/order/create")
        assert abs(int(sent.headers["x-bapi-timestamp"]) / 1000 - time.time()) < 60


async def test_who_is_cancelled_while_the_clock_is_measured_stops_nobody_else(caplog):
    async with hostile_venue(reply(PLACED), time=never) as venue, client_of(venue) as (client, _):
        first, second = asyncio.create_task(place(client)), asyncio.create_task(place(client))
        await until(lambda: bool(venue.seen(TIME)), 5, "the question for the time")
        venue.answer_time_truly()
        first.cancel()
        assert (await asyncio.wait_for(second, 5)).result.order_link_id == "mine"
        await asyncio.gather(first, return_exceptions=True)
        assert len(venue.seen("/v5/order/create")) == 1


@pytest.mark.parametrize("skew", [-30.0, 30.0])
async def test_a_clock_that_jumps_costs_one_refusal_and_an_order_goes_through_once(skew):
    config = SimulatorConfig(symbols=1, keys=(ApiKey(KEY, SECRET),))
    async with Simulator(config) as simulator, client_of(simulator.rest_url) as (client, pool):
        await wallet(client)
        simulator.inject(parse_fault({"fault": "rest_skew", "by": skew}))
        assert (await place(client, orderLinkId="once", price="1000")).result.order_link_id == "once"
        assert pool.counters.refused == 1


async def test_a_venue_that_always_refuses_the_time_is_a_clock_error(caplog):
    refusal = reply(envelope({}, 10002, "invalid request, please check your server timestamp or recv_window param"))
    async with hostile_venue(refusal) as venue, client_of(venue) as (client, _):
        error, text = await failure(place(client), caplog)
        assert isinstance(error, ClockError)
        assert not error.unknown_outcome
        assert len(venue.seen("/v5/order/create")) == 2
        assert "10002" in text


async def test_wrong_expired_foreign_and_read_only_keys_are_told_apart(caplog):
    keys = (
        ApiKey("good-" + KEY, SECRET),
        ApiKey("expired-" + KEY, SECRET, expired=True),
        ApiKey("elsewhere-" + KEY, SECRET, addresses=("192.0.2.1",)),
        ApiKey("reader-" + KEY, SECRET, read_only=True),
    )
    async with Simulator(SimulatorConfig(symbols=1, keys=keys)) as simulator:
        for key, secret, code in (
            ("no-" + KEY, SECRET, 10003),
            ("good-" + KEY, SECRET[::-1], 10004),
            ("expired-" + KEY, SECRET, 33004),
            ("elsewhere-" + KEY, SECRET, 10010),
            ("reader-" + KEY, SECRET, 10005),
        ):
            async with client_of(simulator.rest_url, key=key, secret=secret) as (client, _):
                error, text = await failure(place(client), caplog)
                assert isinstance(error, AuthError), (key, error)
                assert error.ret_code == code
                assert not error.retriable
                assert not error.unknown_outcome
                assert str(code) in text
                assert secret not in text


BAD_PARAMETERS: dict[str, tuple[dict[str, object], str]] = {
    "a float": ({"qty": 0.1}, "qty"),
    "not a number": ({"qty": float("nan")}, "qty"),
    "a Decimal that is none": ({"price": Decimal("NaN")}, "price"),
    "an infinite Decimal": ({"price": Decimal("Infinity")}, "price"),
    "an exponent": ({"price": "1e5"}, "price"),
    "words": ({"price": "cheap"}, "price"),
    "other digits": ({"price": "١٠٠"}, "price"),
    "a truth": ({"qty": True}, "qty"),
    "a list": ({"symbol": ["BTCUSDT"]}, "symbol"),
    "bytes": ({"symbol": b"BTCUSDT"}, "symbol"),
    "an object": ({"isLeverage": object()}, "isLeverage"),
    "nothing": ({"side": None}, "side"),
    "empty text": ({"symbol": ""}, "symbol"),
    "a long name": ({"orderLinkId": "x" * 37}, "orderLinkId"),
    "a name with accents": ({"orderLinkId": "é"}, "orderLinkId"),
    "a flag as text": ({"reduceOnly": "yes"}, "reduceOnly"),
    "half a surrogate pair": ({"symbol": "\ud800"}, "symbol"),
    "a float inside": ({"extra": {"more": [0.5]}}, "extra"),
    "itself inside": ({"extra": (lambda it: it.append(it) or it)([])}, "extra"),
}


@pytest.mark.parametrize("what", BAD_PARAMETERS)
async def test_a_wrong_parameter_is_named_and_nothing_is_sent(what, caplog):
    wrong, name = BAD_PARAMETERS[what]
    async with hostile_venue(reply(PLACED)) as venue, client_of(venue) as (client, _):
        error, text = await failure(place(client, **wrong), caplog)
        assert isinstance(error, ParameterError)
        assert error.parameter == name or name == "extra"
        assert not error.retriable
        assert "/v5/order/create" in text
        assert len(text) < 300
        assert venue.requests == []


@pytest.mark.parametrize("value", ["\ud800", "a" * 20000, "Ä€中", "&symbol=X", "a b\r\nX-Injected: 1", "%41"])
async def test_any_text_in_a_query_arrives_as_it_is_and_half_a_character_is_refused(value, caplog):
    async with hostile_venue(reply(TICKERS)) as venue, client_of(venue) as (client, _):
        call = client.call("GET", "/v5/market/tickers", category="linear", symbol=value)
        if value == "\ud800":
            error, _text = await failure(call, caplog)
            assert isinstance(error, ParameterError)
            assert error.parameter == "symbol"
            assert venue.requests == []
        else:
            await call
            (request,) = venue.requests
            assert parse_qs(request.query) == {"category": ["linear"], "symbol": [value]}
            assert "x-injected" not in request.headers


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v5/market/weather"), ("POST", "/v5/market/tickers"), ("DELETE", "/v5/order/create")]
)
async def test_an_endpoint_that_the_venue_does_not_have_is_refused_before_anything_is_sent(method, path, caplog):
    async with hostile_venue(reply(TICKERS)) as venue, client_of(venue) as (client, _):
        error, text = await failure(client.call(method, path), caplog)
        assert isinstance(error, UnknownEndpointError)
        assert path in text
        assert venue.requests == []


BAD_KEYS: dict[str, tuple[str | None, str | None]] = {
    "no secret": (KEY, None),
    "no key": (None, SECRET),
    "an empty key": ("", SECRET),
    "an empty secret": (KEY, ""),
    "a key with an accent": ("kéy", SECRET),
    "a secret with an accent": (KEY, SECRET + "é"),
    "a secret with its line's end": (KEY, SECRET + "\n"),
    "a key with a header": (KEY + "\r\nX-Injected: 1", SECRET),
    "half a private key": (KEY, "-----BEGIN PRIVATE KEY-----\n" + SECRET),
}


@pytest.mark.parametrize("what", BAD_KEYS)
async def test_a_key_that_cannot_be_one_is_refused_without_being_shown(what, caplog):
    key, secret = BAD_KEYS[what]
    async with hostile_venue(reply(PLACED)) as venue, SessionPool() as pool:
        with pytest.raises(ParameterError) as caught:
            await place(BybitClient(key, secret, pool=pool, base_url=venue.url))
        text = told(caught.value, caplog)
        assert "api_key" in text or "api_secret" in text
        assert venue.seen("/v5/order/create") == []


async def test_without_a_key_a_signed_endpoint_says_what_is_missing(caplog):
    async with hostile_venue(reply(PLACED)) as venue, client_of(venue, key=None, secret=None) as (client, _):
        error, text = await failure(place(client), caplog)
        assert isinstance(error, ParameterError)
        assert error.parameter == "api_key"
        assert "key" in text
        assert venue.requests == []


async def test_connections_are_kept_and_shared_by_the_clients_of_a_pool():
    async with hostile_venue(reply(TICKERS)) as venue, client_of(venue) as (_, pool):
        clients = [BybitClient(f"key-{n}", SECRET, pool=pool, base_url=venue.url) for n in range(50)]
        for client in clients:
            await tickers(client)
        assert venue.connections == 1
        await asyncio.gather(*(tickers(client) for client in clients))
        assert len(venue.seen("/v5/market/tickers")) == 100
        assert venue.open == venue.connections <= 50


async def test_an_iterator_ends_at_a_cursor_that_was_there_before_and_may_be_left_at_any_entry():
    pages = [
        reply(envelope({"category": "linear", "nextPageCursor": cursor, "list": [{"symbol": f"{n}{k}"} for k in "AB"]}))
        for n, cursor in enumerate(["x", "y", "x"])
    ]
    async with hostile_venue(*pages) as venue, client_of(venue) as (client, _):
        assert [each.symbol async for each in client.each_instrument("linear")] == ["0A", "0B", "1A", "1B", "2A", "2B"]
        cursors = [parse_qs(request.query).get("cursor") for request in venue.requests]
        assert cursors == [None, ["x"], ["y"]]
        async for each in client.each_instrument("linear"):
            assert each.symbol == "2A"
            break
