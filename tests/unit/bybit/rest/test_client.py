"""The client against a venue on loopback, by a clock that only its own sleeps move."""

import asyncio
import copy
import json
import pickle
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from feeder.bybit.rest.client import BybitClient
from feeder.bybit.rest.endpoint import Endpoint
from feeder.bybit.rest.endpoints.typed import (
    INSTRUMENTS_INFO,
    OPEN_ORDERS,
    PLACE_ORDER,
    PLACE_ORDERS,
    SET_LEVERAGE,
    TICKERS,
)
from feeder.bybit.rest.pool import SessionPool, Timeouts
from feeder.bybit.rest.secret import Secret
from feeder.bybit.rest.transport import Answer
from feeder.errors import (
    AuthError,
    BarredError,
    BudgetError,
    ClockError,
    ConnectError,
    DuplicateOrderError,
    HttpStatusError,
    InvalidRequestError,
    ParameterError,
    PoolError,
    RateLimitedError,
    RefusedError,
    ReplyError,
    ReplyTimeoutError,
    RestError,
    TransportError,
    UnavailableError,
    UnknownEndpointError,
)

from .venue import API_KEY, API_SECRET, Scene, Time, ok, refusal, scene, until

ORDER = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "1", "price": "100"}
LISTING = {"category": "linear", "settleCoin": "USDT"}


async def cut(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def hang(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(3600)
    return web.Response()


# What is sent


async def test_a_public_request_goes_unsigned_and_without_its_nones() -> None:
    async with scene() as s:
        reply = await s.client.send(TICKERS, {"category": "linear", "symbol": None, "baseCoin": "BTC"})
        method, path, query, headers, body = s.venue.seen[0]
        assert (method, path, query, body) == ("GET", "/v5/market/tickers", "category=linear&baseCoin=BTC", b"")
        assert not any(name.upper().startswith("X-BAPI") for name in headers)
        assert reply.result.entries == []
        assert s.venue.times_asked == 0


async def test_what_is_signed_is_what_is_sent_by_the_venues_clock() -> None:
    async with scene() as s:
        s.venue.ahead_ms = -7_000  # our clock is seven seconds fast: more than any window
        await s.client.send(OPEN_ORDERS, LISTING | {"cursor": "a=1&b /ü"})
        await s.client.send(PLACE_ORDER, ORDER | {"qty": Decimal("1E-3")})
        assert s.venue.seen[0][2].endswith("cursor=a%3D1%26b%20%2F%C3%BC")
        assert s.venue.signature_is_right(API_SECRET, 0)
        assert s.venue.signature_is_right(API_SECRET, 1)
        assert json.loads(s.venue.seen[1][4])["qty"] == "0.001"
        assert s.venue.seen[1][3]["Content-Type"] == "application/json"
        assert s.venue.times_asked == 3  # measured once, for both
        assert await s.client.measure_clock() == pytest.approx(-7.0, abs=0.01)


async def test_the_clock_is_measured_anew_beside_the_requests_after_ten_minutes() -> None:
    async with scene() as s:
        await s.client.send(OPEN_ORDERS, LISTING)
        s.time.advance(599)
        await s.client.send(OPEN_ORDERS, LISTING)
        assert s.venue.times_asked == 3
        s.time.advance(2)
        s.venue.ahead_ms = 30_000
        await asyncio.gather(*(s.client.send(OPEN_ORDERS, LISTING) for _ in range(5)))
        await until(lambda: s.pool.counters.clock_measurements == 2)
        assert s.venue.times_asked == 6
        await s.client.send(OPEN_ORDERS, LISTING)
        assert s.venue.signature_is_right(API_SECRET)


async def test_many_first_requests_at_once_wait_for_one_measurement() -> None:
    async with scene() as s:
        clients = [s.another(f"{API_KEY}{number}") for number in range(20)]
        await asyncio.gather(*(client.send(OPEN_ORDERS, LISTING) for client in clients))
        assert (s.venue.times_asked, len(s.venue.seen)) == (3, 20)


async def test_a_venue_that_does_not_tell_the_time_is_believed_to_have_ours() -> None:
    async with scene() as s:
        s.venue.time_fails = True
        await s.client.send(OPEN_ORDERS, LISTING)
        assert s.venue.signature_is_right(API_SECRET)
        asked = s.venue.times_asked
        await s.client.send(OPEN_ORDERS, LISTING)
        assert s.venue.times_asked == asked  # not again for a while
        s.time.advance(31)
        s.venue.time_fails = False
        await s.client.send(OPEN_ORDERS, LISTING)
        assert s.pool.counters.clock_measurements == 1


async def test_many_first_requests_ask_once_for_a_time_that_cannot_be_had() -> None:
    async with scene() as s:
        s.venue.time_fails = True
        clients = [s.another(f"{API_KEY}{number}") for number in range(20)]
        await asyncio.gather(*(client.send(OPEN_ORDERS, LISTING) for client in clients))
        assert (s.venue.times_asked, len(s.venue.seen)) == (1, 20)


async def test_the_generic_call_checks_and_signs_as_any_other() -> None:
    async with scene() as s:
        s.venue.answers = [ok({"anything": ["", 1]})]
        reply = await s.client.call("GET", "/v5/asset/coin/query-info", coin="BTC")
        assert reply.result == {"anything": ["", 1]}
        assert s.venue.signature_is_right(API_SECRET)
        with pytest.raises(UnknownEndpointError, match="/v5/asset/coin/query-info"):
            await s.client.call("GET", "/v5/asset/coin/query-inf")
        with pytest.raises(ParameterError, match="symbol"):
            await s.client.call("POST", "/v5/order/cancel", category="linear", orderId="1")
        assert len(s.venue.seen) == 1


# What is asked again


@pytest.mark.parametrize("failure", [cut, None, refusal(10000), refusal(10016), refusal(429)])
async def test_a_question_is_asked_again_with_growing_jittered_delays(failure: Any) -> None:
    async with scene() as s:
        # aiohttp by itself asks once more when a connection is cut, and a response can be sent once.
        first = [failure, failure] if failure is cut else [web.Response(status=503) if failure is None else failure]
        s.venue.answers = [*first, refusal(10016), refusal(10016), ok({"list": [{"symbol": "BTCUSDT"}]})]
        reply = await s.client.send(TICKERS, {"category": "linear"})
        assert reply.result.entries[0].symbol == "BTCUSDT"
        assert not s.venue.answers
        sooner, later, last = s.time.slept
        assert 0.125 <= sooner <= 0.25 <= later <= 0.5 <= last <= 1.0
        assert s.pool.counters.retries == 3


async def test_after_four_attempts_the_last_error_is_raised() -> None:
    async with scene() as s:
        s.venue.rest = refusal(10016, "restarting")
        with pytest.raises(UnavailableError, match="restarting"):
            await s.client.send(OPEN_ORDERS, LISTING)
        assert len(s.venue.seen) == 4


@pytest.mark.parametrize(
    ("code", "kind"),
    [(10001, InvalidRequestError), (10003, AuthError), (10005, AuthError), (110072, DuplicateOrderError)],
)
async def test_the_callers_own_mistake_is_not_asked_again(code: int, kind: type[RestError]) -> None:
    async with scene() as s:
        s.venue.rest = refusal(code)
        with pytest.raises(kind):
            await s.client.send(PLACE_ORDER, ORDER)
        assert len(s.venue.seen) == 1
        assert s.pool.counters.refused == 1


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (cut, TransportError),
        (web.Response, HttpStatusError),
        (refusal(10000), UnavailableError),
        (refusal(10016), UnavailableError),
        ("html", ReplyError),
    ],
)
async def test_an_order_whose_outcome_is_unknown_is_never_sent_again_and_can_be_asked_for(
    failure: Any, kind: type[RestError]
) -> None:
    async with scene() as s:
        if failure is web.Response:
            failure = web.Response(status=502)
        elif failure == "html":
            failure = web.Response(text="<html></html>")
        s.venue.answers = [failure]
        with pytest.raises(kind) as caught:
            await s.client.send(PLACE_ORDER, ORDER)
        assert caught.value.unknown_outcome
        assert not caught.value.retriable
        assert "whether it was carried out is unknown" in str(caught.value)
        assert len(s.venue.seen) == 1
        assert caught.value.order_link_id == json.loads(s.venue.seen[0][4])["orderLinkId"]


async def test_each_order_of_a_batch_whose_outcome_is_unknown_can_be_asked_for() -> None:
    async with scene() as s:
        s.venue.answers = [web.Response(status=502)]
        with pytest.raises(HttpStatusError) as caught:
            await s.client.send(PLACE_ORDERS, {"category": "linear", "request": [{"symbol": "A"}, {"symbol": "B"}]})
        sent = [order["orderLinkId"] for order in json.loads(s.venue.seen[0][4])["request"]]
        assert (caught.value.order_link_id, caught.value.order_link_ids) == (None, tuple(sent))
        assert len(set(sent)) == 2


async def test_a_setting_may_be_set_twice_so_it_is() -> None:
    async with scene() as s:
        s.venue.answers = [cut, refusal(110043, "leverage not modified")]
        given = {"category": "linear", "symbol": "BTCUSDT", "buyLeverage": 3, "sellLeverage": "3"}
        assert (await s.client.send(SET_LEVERAGE, given)).unchanged
        assert len(s.venue.seen) == 2


async def test_a_setting_that_no_attempt_confirmed_may_have_been_made_by_any_of_them() -> None:
    async with scene() as s:
        given = {"category": "linear", "symbol": "BTCUSDT", "buyLeverage": "3", "sellLeverage": "3"}
        s.venue.answers = [cut, refusal(10003)]
        with pytest.raises(AuthError) as caught:
            await s.client.send(SET_LEVERAGE, given)
        assert caught.value.unknown_outcome
        s.venue.rest = cut
        with pytest.raises(TransportError) as lost:
            await s.client.send(SET_LEVERAGE, given)
        assert (lost.value.unknown_outcome, lost.value.retriable) == (True, True)


async def test_an_error_says_which_of_many_requests_it_is_of() -> None:
    async with scene() as s:
        s.venue.rest = refusal(110007, "not enough")
        with pytest.raises(RefusedError) as caught:
            await s.client.send(PLACE_ORDER, ORDER | {"orderLinkId": "mine-7"})
        assert str(caught.value).endswith("retCode 110007 not enough (linear BTCUSDT mine-7)")
        assert (caught.value.order_link_id, caught.value.parameters["price"]) == ("mine-7", ORDER["price"])
        with pytest.raises(RefusedError) as public:
            await s.client.send(TICKERS, {"category": "linear"})
        assert str(public.value).endswith("tickers?category=linear: retCode 110007 not enough")


async def test_an_order_does_not_wait_behind_a_thousand_questions() -> None:
    async with scene(requests=10) as s:
        await s.client.measure_clock()
        s.time.advance(6)
        for _ in range(9):
            await s.client.send(TICKERS, {"category": "linear"})
        assert s.time.slept == [5.5], "the ninth is over four fifths"
        s.time.slept.clear()
        for _ in range(7):
            await s.client.send(TICKERS, {"category": "linear"})
        for _ in range(2):
            await s.client.send(PLACE_ORDER, ORDER)
        assert s.time.slept == []


async def test_an_order_that_never_left_is_sent_again() -> None:
    async with scene() as s:
        nowhere = BybitClient(API_KEY, API_SECRET, pool=s.pool, base_url="http://127.0.0.1:9")
        with pytest.raises(ConnectError) as caught:
            await nowhere.send(PLACE_ORDER, ORDER)
        assert caught.value.retriable
        assert not caught.value.unknown_outcome
        assert s.pool.counters.retries == 3
        assert s.pool.counters.failures == 5  # of the question for the time as well


async def test_an_order_refused_for_its_time_goes_once_more_after_the_clock_was_measured() -> None:
    async with scene() as s:
        await s.client.send(OPEN_ORDERS, LISTING)
        s.venue.ahead_ms = 60_000  # the venue's clock jumps
        s.venue.answers = [refusal(10002, "invalid request, please check your server timestamp")]
        await s.client.send(PLACE_ORDER, ORDER)
        assert s.venue.signature_is_right(API_SECRET)
        first, second = (json.loads(body)["orderLinkId"] for *_, body in s.venue.seen[1:])
        assert first == second
        assert s.venue.times_asked == 6


async def test_a_clock_that_is_never_right_is_said_after_the_second_time() -> None:
    async with scene() as s:
        s.venue.rest = refusal(10002)
        with pytest.raises(ClockError):
            await s.client.send(PLACE_ORDER, ORDER)
        assert len(s.venue.seen) == 2


# Limits


async def test_a_key_keeps_to_the_documented_rate_and_another_key_is_not_slowed_by_it() -> None:
    async with scene() as s:
        await s.client.measure_clock()
        started = s.time.monotonic()
        for _ in range(21):
            await s.client.send(PLACE_ORDER, ORDER)
        assert s.time.slept == [1.05, 1.05]
        assert s.time.monotonic() - started == pytest.approx(2.1)
        for _ in range(20):  # another category has a limit of its own
            await s.client.send(PLACE_ORDER, ORDER | {"category": "spot"})
        other = s.another(f"{API_KEY}2")
        await other.send(PLACE_ORDER, ORDER)
        assert len(s.time.slept) == 2
        assert s.pool.counters.waits == 2


async def test_a_batch_takes_its_orders_of_the_rate() -> None:
    async with scene() as s:
        s.venue.rest = ok({"list": []})
        orders = [{name: value for name, value in ORDER.items() if name != "category"}] * 6
        for _ in range(2):
            await s.client.send(PLACE_ORDERS, {"category": "linear", "request": orders})
        assert s.time.slept == [1.05]


async def test_clients_of_one_key_share_its_limit() -> None:
    async with scene() as s:
        for _ in range(11):
            await s.another(API_KEY).send(PLACE_ORDER, ORDER)
        assert s.time.slept == [1.05]


async def test_the_venues_headers_steer_the_rate() -> None:
    async with scene() as s:
        now = str(s.venue.now_ms)
        headers = {"X-Bapi-Limit": "2", "X-Bapi-Limit-Status": "0", "X-Bapi-Limit-Reset-Timestamp": now}
        s.venue.answers = [web.json_response(ok({"orderId": "1"}), headers=headers)]
        reply = await s.client.send(PLACE_ORDER, ORDER)
        assert reply.rate is not None
        assert (reply.rate.limit, reply.rate.remaining) == (2, 0)
        await s.client.send(PLACE_ORDER, ORDER)  # someone else had the second
        assert s.time.slept == [1.05]


async def test_too_many_visits_waits_for_the_reset_and_goes_on_also_with_an_order() -> None:
    async with scene() as s:
        reset = str(s.venue.now_ms + 700)
        headers = {"X-Bapi-Limit": "10", "X-Bapi-Limit-Status": "0", "X-Bapi-Limit-Reset-Timestamp": reset}
        s.venue.answers = [web.json_response(refusal(10006, "Too many visits!"), headers=headers)]
        await s.client.send(PLACE_ORDER, ORDER)
        assert sum(s.time.slept) >= 0.7
        assert len(s.venue.seen) == 2


async def test_too_many_visits_for_ever_is_an_error_in_the_end() -> None:
    async with scene() as s:
        s.venue.rest = refusal(10006)
        with pytest.raises(RateLimitedError) as caught:
            await s.client.send(PLACE_ORDER, ORDER)
        assert not caught.value.unknown_outcome
        assert len(s.venue.seen) == 4


async def test_too_many_visits_holds_every_request_of_the_key_until_a_reset_that_can_be() -> None:
    async with scene() as s:
        for reset, told in ((50_000, 50.0), (3_600_000, 60.0)):
            headers = {"X-Bapi-Limit": "10", "X-Bapi-Limit-Status": "0"}
            headers["X-Bapi-Limit-Reset-Timestamp"] = str(s.venue.now_ms + reset)
            s.venue.answers = [web.json_response(refusal(10006), headers=headers)]
            with pytest.raises(RateLimitedError) as caught:
                await s.client.send(PLACE_ORDER, ORDER)
            assert caught.value.retry_after_seconds == pytest.approx(told, abs=0.1)
            with pytest.raises(BudgetError) as held:
                await s.another(API_KEY).send(PLACE_ORDER, ORDER)
            assert held.value.retry_after_seconds == pytest.approx(told, abs=0.1)
            await s.another("another-key").send(PLACE_ORDER, ORDER)
            s.time.advance(61.0)
        assert s.time.slept == []


async def test_too_many_visits_with_some_left_is_asked_again_soon() -> None:
    async with scene() as s:
        reset = str(s.venue.now_ms + 50_000)
        headers = {"X-Bapi-Limit": "10", "X-Bapi-Limit-Status": "9", "X-Bapi-Limit-Reset-Timestamp": reset}
        s.venue.answers = [web.json_response(refusal(10006), headers=headers)]
        await s.client.send(PLACE_ORDER, ORDER)
        assert sum(s.time.slept) <= 0.25


async def test_all_clients_of_a_pool_together_stay_within_the_addresss_budget() -> None:
    async with scene(requests=3) as s:
        clients = [s.another(None), s.another(f"{API_KEY}1"), s.another(f"{API_KEY}2")]
        for number in range(7):
            await clients[number % 3].send(TICKERS, {"category": "linear"})
        assert s.time.slept == [5.5, 5.5]


async def test_the_budget_of_an_address_may_change_while_it_is_used() -> None:
    async with scene(requests=1) as s:
        await s.client.send(TICKERS, {"category": "linear"})
        used, limit = s.pool.address_usage()
        assert (used, limit.requests, limit.seconds) == (1, 1, 5.0)
        s.pool.set_requests(3)
        await s.client.send(TICKERS, {"category": "linear"})
        await s.client.send(TICKERS, {"category": "linear"})
        assert s.time.slept == []
        s.pool.set_requests(1)
        await s.client.send(TICKERS, {"category": "linear"})
        assert s.time.slept == [5.5]
        with pytest.raises(ValueError, match="at least 1"):
            s.pool.set_requests(0)


async def test_a_turn_too_far_away_is_refused_at_once_and_takes_no_slot() -> None:
    async with scene(Timeouts(turn=2.0), requests=1) as s:
        await s.client.send(TICKERS, {"category": "linear"})
        with pytest.raises(BudgetError, match=r"no room for 5\.5 s yet") as caught:
            await s.client.send(TICKERS, {"category": "linear"})
        assert caught.value.retriable
        assert caught.value.retry_after_seconds == pytest.approx(5.5)
        assert len(s.venue.seen) == 1
        s.time.advance(5.5)
        await s.client.send(TICKERS, {"category": "linear"})


async def test_a_request_that_has_waited_as_long_as_it_may_is_not_begun_again() -> None:
    async with scene(Timeouts(turn=6.0), requests=12) as s:
        for _ in range(9):  # and three for the clock
            await s.client.send(PLACE_ORDER, ORDER)
        s.time.advance(4.0)
        held = s.another("another-key")
        key = (s.venue.url, "another-key", PLACE_ORDER.group, None)
        window = s.pool.windows.of(key, PLACE_ORDER.limit, s.time.monotonic())
        window.hold(s.time.monotonic() + 5.0)
        for _ in range(12):
            s.pool._budget.take(s.time.monotonic() + 1.5)
        with pytest.raises(BudgetError, match="this address"):
            await held.send(PLACE_ORDER, ORDER)
        assert s.pool.counters.retries == 0
        assert s.time.slept == [5.0]
        assert window.try_take(s.time.monotonic(), 10), "its slot is there again"


async def test_a_wait_that_the_venue_makes_longer_ends_when_it_is_too_long() -> None:
    async with scene() as s:
        await s.client.measure_clock()
        for _ in range(10):
            await s.client.send(PLACE_ORDER, ORDER)
        window = s.pool.windows.of((s.venue.url, API_KEY, PLACE_ORDER.group, None), PLACE_ORDER.limit, 0.0)

        async def sleep(seconds: float) -> None:
            window.hold(s.time.monotonic() + 60.0)
            await s.time.sleep(seconds)

        s.pool.sleep = sleep
        with pytest.raises(BudgetError, match=r"this key and endpoint .* no room for 59\.0 s"):
            await s.client.send(PLACE_ORDER, ORDER)
        assert s.time.slept == [1.05]
        s.pool.sleep = s.time.sleep
        s.time.advance(59.0)
        for _ in range(10):
            await s.client.send(PLACE_ORDER, ORDER)
        assert s.time.slept == [1.05], "the slot that was not used is there again"


async def test_a_wait_that_the_venue_makes_a_little_longer_takes_no_second_slot() -> None:
    async with scene() as s:
        await s.client.measure_clock()
        for _ in range(10):
            await s.client.send(PLACE_ORDER, ORDER)
        window = s.pool.windows.of((s.venue.url, API_KEY, PLACE_ORDER.group, None), PLACE_ORDER.limit, 0.0)
        until_then = s.time.monotonic() + 1.5

        async def sleep(seconds: float) -> None:
            window.hold(until_then)
            await s.time.sleep(seconds)

        s.pool.sleep = sleep
        await s.client.send(PLACE_ORDER, ORDER)
        assert s.time.slept == [1.05, 0.45]
        assert [window.try_take(until_then) for _ in range(10)] == [True] * 9 + [False]


async def test_what_goes_wrong_in_a_wait_is_said() -> None:
    async with scene(requests=1) as s:
        await s.client.send(TICKERS, {"category": "linear"})

        async def sleep(_seconds: float) -> None:
            raise OSError("no timer")

        s.pool.sleep = sleep
        with pytest.raises(OSError, match="no timer"):
            await s.client.send(TICKERS, {"category": "linear"})


class Timers:
    """Sleeps of many at once, by a clock that goes on to the next of them when nothing else is left to do."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self._due: list[tuple[float, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        self._due.append((self._time.monotonic() + seconds, asyncio.get_running_loop().create_future()))
        await self._due[-1][1]

    async def run(self, tasks: list[asyncio.Task[Any]]) -> None:
        while not all(task.done() for task in tasks):
            for _ in range(100):  # more than any of them has steps to take
                await asyncio.sleep(0)
            if self._due:
                self._time.advance(max(0.0, min(due for due, _ in self._due) - self._time.monotonic()))
            for due, ended in [each for each in self._due if each[0] <= self._time.monotonic()]:
                self._due.remove((due, ended))
                ended.set_result(None)


def heard(monkeypatch: pytest.MonkeyPatch, s: Scene) -> list[tuple[float, str]]:
    """When each request goes from now on, and by which key. All are answered at once, so that no socket takes time."""
    went: list[tuple[float, str]] = []

    async def fetch(
        _pool: SessionPool, endpoint: Endpoint[Any], url: str, headers: CIMultiDict[str], _body: bytes | None
    ) -> Answer:
        went.append((s.time.monotonic(), headers["X-BAPI-API-KEY"]))
        return Answer(endpoint, url, 200, CIMultiDictProxy(CIMultiDict()), json.dumps(ok({"orderId": "1"})).encode())

    monkeypatch.setattr("feeder.bybit.rest.client.fetch", fetch)
    return went


async def test_a_loop_that_stood_still_sends_no_more_at_once_than_the_venue_allows() -> None:
    async with scene(requests=2) as s:
        timers = Timers(s.time)
        s.pool.sleep = timers.sleep
        went: list[float] = []

        async def go() -> None:
            await s.pool.turn(TICKERS, None)
            went.append(s.time.monotonic())

        tasks = [asyncio.create_task(go()) for _ in range(6)]
        await until(lambda: len(timers._due) == 4)
        s.time.advance(12.0)  # two more should have gone after 5.5 s, and two after 11
        await timers.run(tasks)
        assert all(later - sooner > 5.0 for sooner, later in zip(went, went[2:], strict=False))
        assert went[-1] - went[0] < 30.0


async def test_who_waited_for_the_address_longest_goes_first_however_many_keys_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with scene(Timeouts(turn=100.0), requests=10) as s:
        await s.client.measure_clock()
        s.time.advance(6)
        went = heard(monkeypatch, s)
        timers = Timers(s.time)
        s.pool.sleep = timers.sleep
        keys = [f"key-{number}" for number in range(60)]
        await timers.run([asyncio.create_task(s.another(key).send(PLACE_ORDER, ORDER)) for key in keys])
        assert [key for _, key in went] == keys
        assert went[-1][0] - went[0][0] == pytest.approx(5 * 5.5), "sixty, by ten in 5.5 s"


async def test_orders_that_waited_for_the_address_still_keep_to_the_rate_of_their_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with scene(requests=30) as s:
        await s.client.measure_clock()
        for _ in range(24):
            await s.another(None).send(TICKERS, {"category": "linear"})
        for _ in range(3):
            await s.client.send(OPEN_ORDERS, LISTING)
        went = heard(monkeypatch, s)
        timers = Timers(s.time)
        s.pool.sleep = timers.sleep
        await timers.run([asyncio.create_task(s.client.send(PLACE_ORDER, ORDER)) for _ in range(25)])
        times = [time for time, _ in went]
        assert len(times) == 25
        assert all(later - sooner > 1.0 for sooner, later in zip(times, times[10:], strict=False))
        assert times[-1] - times[0] < 4.0


async def test_a_cancelled_wait_gives_its_slot_to_the_next() -> None:
    async with scene(requests=1) as s:
        forever = asyncio.Event()

        async def wait(seconds: float) -> None:
            await forever.wait()

        await s.client.send(TICKERS, {"category": "linear"})
        s.pool.sleep = wait
        waiting = asyncio.create_task(s.client.send(TICKERS, {"category": "linear"}))
        await until(lambda: s.pool.counters.waits > 0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        s.pool.sleep = s.time.sleep
        await s.client.send(TICKERS, {"category": "linear"})
        assert s.time.slept == [5.5]
        assert s.client.in_flight == 0


async def test_after_403_nobody_on_the_pool_sends_anything_for_ten_minutes() -> None:
    async with scene() as s:
        s.venue.answers = [web.Response(status=403, text="access too frequent")]
        with pytest.raises(BarredError, match="HTTP 403") as caught:
            await s.client.send(PLACE_ORDER, ORDER)
        assert caught.value.retry_after_seconds == 600
        assert not caught.value.unknown_outcome
        s.time.advance(560)
        for client in (s.client, s.another(None), s.another("another-key")):
            with pytest.raises(BarredError, match="left alone for 40 s yet"):
                await client.send(TICKERS, {"category": "linear"})
        assert len(s.venue.seen) == 1
        s.time.advance(41)
        await s.another(None).send(TICKERS, {"category": "linear"})
        assert s.pool.counters.barred == 1


async def test_who_waits_for_a_turn_when_a_403_comes_is_not_sent() -> None:
    async with scene() as s:
        await s.client.measure_clock()
        for _ in range(10):
            await s.client.send(PLACE_ORDER, ORDER)

        async def sleep(seconds: float) -> None:
            s.venue.answers = [web.Response(status=403)]
            with pytest.raises(BarredError):
                await s.another(None).send(TICKERS, {"category": "linear"})
            await s.time.sleep(seconds)

        s.pool.sleep = sleep
        with pytest.raises(BarredError, match="left alone for 599 s yet"):
            await s.client.send(PLACE_ORDER, ORDER)
        assert len(s.venue.seen) == 11


async def test_a_barred_request_is_told_so_at_once_and_does_not_wait_for_a_turn_first() -> None:
    async with scene(requests=1) as s:
        s.venue.answers = [web.Response(status=403)]
        for _ in range(2):
            with pytest.raises(BarredError):
                await s.client.send(TICKERS, {"category": "linear"})
        assert s.time.slept == []


async def test_many_answers_of_403_at_once_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async with scene() as s:
        arrived: list[web.Request] = []

        async def refuse(request: web.Request) -> web.StreamResponse:
            arrived.append(request)
            while len(arrived) < 5:  # noqa: ASYNC110 - all of them are under way then
                await asyncio.sleep(0.001)
            return web.Response(status=403)

        s.venue.rest = refuse
        calls = [s.client.send(TICKERS, {"category": "linear"}) for _ in range(5)]
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(end) for end in ends] == [BarredError] * 5
        assert s.pool.counters.barred == 5
        assert len([record for record in caplog.records if "HTTP 403" in record.message]) == 1


async def test_a_bar_that_is_nearly_over_is_waited_for() -> None:
    async with scene() as s:
        s.venue.answers = [web.Response(status=403)]
        with pytest.raises(BarredError):
            await s.client.send(TICKERS, {"category": "linear"})
        s.time.advance(590)
        await s.client.send(TICKERS, {"category": "linear"})
        assert s.time.slept == [pytest.approx(10.0)]


# Pages


async def test_pages_are_asked_for_as_they_are_needed_and_end_with_the_cursor() -> None:
    async with scene() as s:
        rows = [{"symbol": f"S{number}"} for number in range(5)]
        s.venue.answers = [
            ok({"list": rows[:2], "nextPageCursor": "p=2"}),
            ok({"list": rows[2:4], "nextPageCursor": "p=3"}),
            ok({"list": rows[4:], "nextPageCursor": ""}),
        ]
        symbols = []
        async for instrument in s.client.each(INSTRUMENTS_INFO, {"category": "linear"}):
            symbols.append(instrument.symbol)
            if len(symbols) == 2:
                assert len(s.venue.seen) == 1
        assert symbols == ["S0", "S1", "S2", "S3", "S4"]
        assert [query for _, _, query, _, _ in s.venue.seen[1:]] == [
            "category=linear&cursor=p%3D2",
            "category=linear&cursor=p%3D3",
        ]


async def test_a_page_without_entries_is_the_last_whatever_its_cursor() -> None:
    async with scene() as s:
        rows = [{"symbol": "S"}]
        s.venue.answers = [ok({"list": rows, "nextPageCursor": "1"}), ok({"list": [], "nextPageCursor": "2"})]
        assert len([entry async for entry in s.client.each(INSTRUMENTS_INFO, {"category": "linear"})]) == 1
        assert len(s.venue.seen) == 2


async def test_a_cursor_that_comes_back_ends_the_pages() -> None:
    async with scene() as s:
        s.venue.rest = ok({"list": [{"symbol": "S"}], "nextPageCursor": "same"})
        entries = [entry async for entry in s.client.each(INSTRUMENTS_INFO, {"category": "linear"})]
        assert len(entries) == len(s.venue.seen) == 2


# Clients, pools and what is wrong with them


async def test_a_signed_endpoint_without_a_key_is_refused_before_anything_is_sent() -> None:
    async with scene() as s:
        with pytest.raises(ParameterError, match="GET /v5/order/realtime: api_key: this endpoint needs one"):
            await s.another(None).send(OPEN_ORDERS, LISTING)
        assert not s.venue.seen
        assert not s.venue.times_asked


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"api_key": "k"}, "api_secret: is missing"),
        ({"api_secret": "s"}, "api_key: is missing"),
        ({"testnet": True, "demo": True}, "choose one"),
        ({"testnet": "yes"}, "testnet: must be True or False, not a str; what follows it is given by name"),
        ({"api_key": "k", "api_secret": b"bytes"}, "api_secret: must be text or a Secret, not bytes"),
        ({"api_key": "k", "api_secret": 5}, "api_secret: must be text or a Secret, not int"),
        ({"api_key": 5, "api_secret": "s"}, "api_key: must be text, not int"),
        ({"api_key": b"k", "api_secret": Secret("s")}, "api_key: must be text, not bytes"),
    ],
)
def test_a_client_that_cannot_work_is_not_made(options: dict[str, Any], what: str) -> None:
    with pytest.raises(ParameterError, match=what):
        BybitClient(**options)


@pytest.mark.parametrize(
    ("key", "options", "what"),
    [
        ("", {}, "api_key"),
        ("k\r\nHost: x", {}, "api_key"),
        ("kü", {}, "api_key"),
        ("k", {"recv_window": 0}, "recv_window"),
        ("k", {"recv_window": 60_001}, "recv_window"),
        ("k", {"recv_window": "5000"}, "recv_window"),
        ("k", {"recv_window": 5000.0}, "recv_window"),
    ],
)
async def test_a_key_or_window_that_is_none_is_named_before_anything_is_sent(
    key: str, options: dict[str, Any], what: str
) -> None:
    async with scene() as s:
        with pytest.raises(ParameterError, match=what):
            await s.another(key, **options).send(OPEN_ORDERS, LISTING)
        assert not s.venue.seen


def test_each_environment_has_its_address_and_no_repr_shows_a_credential() -> None:
    assert BybitClient().base_url == "https://api.bybit.com"
    assert BybitClient(testnet=True).base_url == "https://api-testnet.bybit.com"
    assert BybitClient(demo=True).base_url == "https://api-demo.bybit.com"
    assert BybitClient(base_url="http://127.0.0.1:1/").base_url == "http://127.0.0.1:1", "a path is appended to it"
    client = BybitClient(API_KEY, Secret(API_SECRET), base_url="http://127.0.0.1:1")
    assert repr(client) == "BybitClient(http://127.0.0.1:1, with a key)"
    assert not hasattr(client, "__dict__")
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="not copied or pickled"):
            attempt(BybitClient(API_KEY, API_SECRET))


@pytest.mark.parametrize(
    "base_url",
    [
        "api.bybit.com",
        "ftp://api.bybit.com",
        "https:///v5",
        "https://api..bybit.com",
        f"https://{'a' * 64}.com",
        "https://user:pass@api.bybit.com",
        "https://api.bybit.com?x=1",
        "https://api.bybit.com/#x",
        "https://api.bybit.com:99999",
        "https://api.bybit.com:x",
        "https://[x",
        " https://api.bybit.com",
        "https://api.bybit.com\r\nX: y",
        "https://bÿbit.com",
        5,
    ],
)
def test_an_address_that_is_none_is_refused_and_not_shown(base_url: Any) -> None:
    with pytest.raises(ParameterError, match="base_url: must be https://host, without user") as caught:
        BybitClient(base_url=base_url)
    assert str(base_url) not in str(caught.value)


async def test_an_address_may_have_a_path_and_end_in_slashes() -> None:
    assert BybitClient(base_url="https://api.bybit.com/").base_url == "https://api.bybit.com"
    async with scene() as s:
        client = BybitClient(API_KEY, API_SECRET, pool=s.pool, base_url=f"{s.venue.url}/behind/a/proxy//")
        with pytest.raises(RestError):  # the venue of this test has its time elsewhere
            await client.measure_clock()
        await client.send(OPEN_ORDERS, LISTING)
        assert s.venue.seen[-1][1] == "/behind/a/proxy/v5/order/realtime"
        assert s.venue.signature_is_right(API_SECRET)


async def test_a_category_that_is_no_text_has_no_limit_of_its_own() -> None:
    async with scene() as s:
        s.venue.rest = ok({})
        await s.client.call("POST", "/v5/user/agreement", category=[2], agree=True)
        assert json.loads(s.venue.seen[0][4])["category"] == [2]


async def test_a_client_without_a_pool_owns_a_session_and_may_open_another() -> None:
    async with scene() as s:
        s.venue.rest = ok({"list": []})
        async with BybitClient(base_url=s.venue.url) as client:
            await client.send(TICKERS, {"category": "linear"})
        await client.send(TICKERS, {"category": "linear"})
        await client.aclose()
        assert len(s.venue.seen) == 2


async def test_closing_a_client_leaves_the_pool_that_others_use() -> None:
    async with scene() as s:
        async with s.client as client:
            await client.send(TICKERS, {"category": "linear"})
        await s.another(None).send(TICKERS, {"category": "linear"})


async def test_the_pool_of_the_process_serves_clients_without_one_and_can_be_set_up_again() -> None:
    async with scene() as s:
        for _ in range(2):
            pool = SessionPool.setup(max_connections=7)
            try:
                client = BybitClient(base_url=s.venue.url)
                await client.send(TICKERS, {"category": "linear"})
                assert pool.counters.requests == 1
                with pytest.raises(PoolError, match="set up already"):
                    SessionPool.setup()
                async with SessionPool() as other:
                    await other.close()  # that one, and not the pool of the process
                    assert (other.is_closed, pool.is_closed) == (True, False)
                assert repr(pool).startswith("SessionPool(open, Counters(barred=0, ")
            finally:
                await SessionPool.close()
            await SessionPool.close()
            with pytest.raises(PoolError, match="closed"):
                await client.send(TICKERS, {"category": "linear"})


async def test_a_closed_pool_says_so_and_requests_under_way_end_with_it() -> None:
    async with scene() as s:
        s.venue.rest = hang
        order = asyncio.create_task(s.client.send(PLACE_ORDER, ORDER))
        question = asyncio.create_task(s.another(None).send(TICKERS, {"category": "linear"}))
        await until(lambda: len(s.venue.seen) == 2)
        await s.pool.aclose()
        with pytest.raises(PoolError) as caught:
            await order
        assert caught.value.unknown_outcome
        assert caught.value.order_link_id
        with pytest.raises(PoolError) as caught:
            await question
        assert not caught.value.unknown_outcome
        with pytest.raises(PoolError, match="closed"):
            await s.client.send(TICKERS, {"category": "linear"})


async def test_requests_that_wait_end_with_the_pool() -> None:
    async with scene(requests=14) as s:
        await s.client.measure_clock()
        forever = asyncio.Event()

        async def sleep(seconds: float) -> None:
            await forever.wait()

        s.pool.sleep = sleep
        for _ in range(10):
            await s.client.send(PLACE_ORDER, ORDER)
        for_key = asyncio.create_task(s.client.send(PLACE_ORDER, ORDER))
        await until(lambda: s.pool.counters.waits == 1)
        s.venue.answers = [refusal(10016)]
        to_ask_again = asyncio.create_task(s.another(None).send(TICKERS, {"category": "linear"}))
        await until(lambda: s.pool.counters.retries == 1)
        for_address = asyncio.create_task(s.another(None).send(TICKERS, {"category": "linear"}))
        await until(lambda: s.pool.counters.waits == 2)
        await s.pool.aclose()
        for waiting in (for_key, to_ask_again, for_address):
            with pytest.raises(PoolError, match="closed") as caught:
                await asyncio.wait_for(waiting, 5)
            assert not caught.value.unknown_outcome
        with pytest.raises(PoolError, match="closed"):  # and nobody waits for it any more
            await asyncio.wait_for(s.another(None).send(TICKERS, {"category": "linear"}), 5)


async def test_what_runs_beside_the_requests_has_ended_when_the_pool_is_closed() -> None:
    ended: list[bool] = []

    async def beside() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(20):
                await asyncio.sleep(0)
            ended.append(True)

    async with SessionPool() as pool:
        pool.session()
        pool.spawn(beside())
        await asyncio.sleep(0)
    assert ended


async def test_a_change_that_was_to_be_asked_again_when_the_pool_closed_may_have_been_carried_out() -> None:
    async with scene() as s:
        s.venue.answers = [web.Response(status=502)]

        async def sleep(_seconds: float) -> None:
            await asyncio.Event().wait()

        s.pool.sleep = sleep
        cancelling = s.client.cancel_order("linear", "BTCUSDT", order_link_id="mine")
        waiting = asyncio.create_task(cancelling)
        await until(lambda: s.pool.counters.retries == 1)
        await s.pool.aclose()
        with pytest.raises(PoolError) as caught:
            await asyncio.wait_for(waiting, 5)
        assert caught.value.unknown_outcome
        assert caught.value.order_link_id == "mine"


async def test_a_pool_closed_while_a_client_of_it_opens_another_leaves_that_one() -> None:
    async with scene() as s:
        s.venue.rest = ok({"list": []})
        client = BybitClient(base_url=s.venue.url)
        await client.send(TICKERS, {"category": "linear"})
        closing = [asyncio.create_task(client.aclose()) for _ in range(2)]
        await until(lambda: any(task.done() for task in closing))
        await client.send(TICKERS, {"category": "linear"})
        opened = client._pool
        await asyncio.gather(*closing)
        assert client._pool is opened
        await client.aclose()


async def test_the_pool_set_up_while_the_last_one_closes_stays() -> None:
    async with scene() as s:
        SessionPool.setup()
        await BybitClient(base_url=s.venue.url).send(TICKERS, {"category": "linear"})
        closing = asyncio.create_task(SessionPool.close())
        await asyncio.sleep(0)
        another = SessionPool.setup()
        await closing
        assert SessionPool.default is another
        await SessionPool.close()


def test_a_pool_of_a_loop_that_was_closed_with_its_tasks_can_still_be_closed() -> None:
    pool = SessionPool()

    async def spawn() -> None:
        pool.session()
        pool.spawn(asyncio.sleep(3600))

    loop = asyncio.new_event_loop()
    loop.run_until_complete(spawn())
    (task,) = pool._tasks
    loop.close()
    asyncio.run(pool.aclose())
    assert pool.is_closed
    task._log_destroy_pending = False  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [RuntimeError, AssertionError])
async def test_what_aiohttp_says_of_a_closed_session_is_a_pool_error_and_of_an_open_one_its_own(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene() as s:

        async def fail(*_args: object, **_options: object) -> None:
            if closing:
                await s.pool.aclose()
            raise kind

        monkeypatch.setattr(s.pool.session(), "request", fail)
        closing = False
        with pytest.raises(kind):
            await s.client.send(TICKERS, {"category": "linear"})
        closing = True
        with pytest.raises(PoolError, match="closed meanwhile"):
            await s.client.send(TICKERS, {"category": "linear"})


def test_a_pool_used_in_a_second_event_loop_says_what_to_do() -> None:
    pool = SessionPool()

    async def use() -> None:
        async with scene() as s:
            await BybitClient(pool=pool, base_url=s.venue.url).send(TICKERS, {"category": "linear"})

    asyncio.run(use())
    with pytest.raises(PoolError, match=r"which has ended; make one pool for each asyncio\.run"):
        asyncio.run(use())
    asyncio.run(pool.aclose())


def test_the_pool_of_the_process_survives_a_loop_that_ended_without_closing_it() -> None:
    async def use() -> None:
        async with scene() as s:
            SessionPool.setup()
            await BybitClient(base_url=s.venue.url).send(TICKERS, {"category": "linear"})

    asyncio.run(use())
    left = SessionPool.default
    asyncio.run(use())
    asyncio.run(SessionPool.close())
    assert left is not None
    asyncio.run(left.aclose())


async def test_an_answer_that_never_comes_is_a_timeout_and_of_an_order_unknown() -> None:
    async with scene(Timeouts(answer=0.1)) as s:
        s.venue.rest = hang
        with pytest.raises(ReplyTimeoutError) as caught:
            await s.client.send(PLACE_ORDER, ORDER)
        assert caught.value.unknown_outcome
        assert len(s.venue.seen) == 1
        with pytest.raises(ReplyTimeoutError) as caught:
            await s.client.send(TICKERS, {"category": "linear"})
        assert caught.value.retriable
        assert len(s.venue.seen) == 5
        assert (s.pool.counters.failures, s.pool.counters.requests) == (5, 8)  # three for the clock


async def test_what_is_no_answer_of_the_api_is_counted_as_a_failure() -> None:
    async with scene() as s:
        s.venue.answers = [web.Response(text="<html></html>")]
        with pytest.raises(ReplyError):
            await s.client.send(TICKERS, {"category": "linear"})
        assert (s.pool.counters.failures, s.pool.counters.refused) == (1, 0)


async def test_a_client_in_use_can_be_told_from_an_idle_one() -> None:
    async with scene() as s:
        s.venue.rest = hang
        task = asyncio.create_task(s.client.send(TICKERS, {"category": "linear"}))
        await until(lambda: len(s.venue.seen) > 0)
        assert s.client.in_flight == 1
        s.time.advance(5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (s.client.in_flight, s.client.last_used) == (0, s.time.monotonic())
