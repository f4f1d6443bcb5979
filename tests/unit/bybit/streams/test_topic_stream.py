"""Topics over connections, without a socket: what is told of them, whatever the callbacks do meanwhile."""

import asyncio
import json
from typing import Any

import pytest

from feeder.bybit.rest.client import BybitClient
from feeder.bybit.rest.pool import SessionPool
from feeder.bybit.stream import StreamState
from feeder.bybit.streams import topic_stream
from feeder.bybit.streams.link import TopicLink
from feeder.bybit.streams.private import PrivateStream
from feeder.bybit.streams.public import PublicStream, ticker_topic
from feeder.clock import ManualClock
from feeder.errors import StreamAuthError, StreamError, TopicError
from tests.helpers.secrets import API_KEY, API_SECRET


class Line:
    """Stands for `Stream`: a test says when it is up and down, and what the venue says."""

    def __init__(self, url: str, connection: TopicLink, **_: Any) -> None:
        self.url = url
        self.connection = connection
        self.state = StreamState.CONNECTING
        self.down_reason = ""
        self.starts = 0
        self.closed = False
        self.may_close = asyncio.Event()
        self.may_close.set()

    def start(self) -> None:
        self.starts += 1

    def wake(self) -> None:
        self.connection.on_timer()

    async def aclose(self) -> None:
        await self.may_close.wait()
        self.closed = True
        self.state = StreamState.CLOSED

    def connect(self) -> None:
        self.state = StreamState.CONNECTED
        self.connection.on_connected()

    def says(self, **message: Any) -> None:
        self.connection.on_payload(json.dumps(message).encode(), 0)

    def come_up(self) -> None:
        """Connect, sign in where that is needed, and have all that is asked for granted."""
        self.connect()
        self.says(success=True, ret_msg="", op="auth", conn_id="c")
        for number in range(1, 10):
            self.connection._clock.advance(0.05)  # type: ignore[attr-defined]  # a ManualClock
            self.wake()
            self.says(success=True, ret_msg="", op="subscribe", req_id=str(number))

    def go_down(self, reason: str = "cut") -> None:
        self.state = StreamState.WAITING
        self.down_reason = reason
        self.connection.on_disconnected()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    monkeypatch.setattr(topic_stream, "Stream", Line)
    return ManualClock()


def market(clock: ManualClock, count: int = 1) -> PublicStream:
    """Of tickers on so many connections."""
    topics = [ticker_topic(f"COIN{number}") for number in range(200 * (count - 1) + 1)]
    return PublicStream("linear", topics=topics, clock=clock)


def account(clock: ManualClock) -> PrivateStream:
    client = BybitClient(API_KEY, API_SECRET, pool=SessionPool(clock=clock))
    client.pool.venue_clock(client.base_url).postpone()  # nothing is to be measured
    return PrivateStream(client, topics=["order", "wallet"], clock=clock)


async def refusal(stream: topic_stream.TopicStream) -> StreamAuthError:
    with pytest.raises(StreamAuthError, match="the venue refuses the key") as raised:
        await stream.ready()
    return raised.value


def lines(stream: topic_stream.TopicStream) -> list[Any]:
    return list(stream._streams)


async def test_all_who_wait_are_told_when_it_is_ready(clock: ManualClock) -> None:
    stream = market(clock, 2)
    await stream.start()
    waiting = [asyncio.create_task(stream.ready()) for _ in range(3)]
    first, second = lines(stream)
    assert (first.starts, second.starts) == (1, 1)
    first.come_up()
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    second.come_up()
    async with asyncio.timeout(5):
        await asyncio.gather(*waiting)
    await stream.aclose()


async def test_closing_ends_all_who_wait_at_once(clock: ManualClock) -> None:
    stream = market(clock)
    await stream.start()
    waiting = [asyncio.create_task(stream.ready(1000)) for _ in range(3)]
    await asyncio.sleep(0)
    await stream.aclose()
    async with asyncio.timeout(5):
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["linear: it is closed, and has one life; make another"] * 3
    with pytest.raises(StreamError, match="closed"):
        await stream.ready()


async def test_ready_names_the_topic_that_the_venue_refuses(clock: ManualClock) -> None:
    stream = market(clock)
    await stream.start()
    (line,) = lines(stream)
    line.connect()
    line.says(success=False, ret_msg="error:handler not found,topic:tickers.COIN0", op="subscribe", req_id="1")
    with pytest.raises(TopicError) as raised:
        await stream.ready()
    assert raised.value.topic == "tickers.COIN0"
    assert stream.health().refused == ["tickers.COIN0"]
    await stream.aclose()


async def test_ready_says_that_nobody_has_started_it(clock: ManualClock) -> None:
    stream = market(clock)
    assert stream.health().state == "not started"
    with pytest.raises(StreamError, match=r"^linear: it is not started; use `async with`, or call start\(\)$"):
        await stream.ready(1000)
    await stream.aclose()
    assert stream.health().state == "closed"


async def test_a_closed_one_is_not_started_again_and_takes_no_topics(clock: ManualClock) -> None:
    stream = market(clock)
    (line,) = lines(stream)
    await stream.aclose()
    with pytest.raises(StreamError, match=r"^linear: it is closed, and has one life; make another$"):
        await stream.start()
    assert (line.starts, line.closed, stream.topics) == (0, True, [])
    with pytest.raises(StreamError, match="linear: it is closed"):
        stream.subscribe(ticker_topic("B"))


async def test_a_start_that_failed_is_none(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = account(clock)

    async def fails(_self: BybitClient) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(BybitClient, "keep_time", fails)
        with pytest.raises(asyncio.CancelledError):
            await stream.start()
    with pytest.raises(StreamError, match="it is not started"):
        await stream.ready(1000)
    await stream.start()
    assert lines(stream)[0].starts == 1
    await stream.aclose()


async def test_an_account_s_stream_that_is_closed_while_it_starts_stays_so(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = account(clock)
    (line,) = lines(stream)
    gate = asyncio.Event()
    monkeypatch.setattr(BybitClient, "keep_time", lambda _self: gate.wait())
    starting = asyncio.create_task(stream.start())
    await asyncio.sleep(0)
    waiting = asyncio.create_task(stream.ready())
    await asyncio.sleep(0)
    assert not waiting.done(), "it is about to be started"
    await stream.aclose()
    with pytest.raises(StreamError, match="it is closed"):
        await waiting
    gate.set()
    await starting
    with pytest.raises(StreamError, match=r"^private: it is closed, and has one life; make another$"):
        await stream.start()
    assert line.starts == 0
    assert stream.health().state == "closed"


async def test_a_key_that_is_refused_while_it_closes_leaves_no_task(clock: ManualClock) -> None:
    stream = account(clock)
    await stream.start()
    (line,) = lines(stream)
    line.connect()
    before = asyncio.all_tasks()
    closing = asyncio.create_task(stream.aclose())
    await asyncio.sleep(0)
    line.says(success=False, ret_msg="no", op="auth", conn_id="c")
    await closing
    assert asyncio.all_tasks() == before


async def test_before_it_is_signed_in_nobody_knows_how_silent_it_is(clock: ManualClock) -> None:
    stream = account(clock)
    await stream.start()
    (line,) = lines(stream)
    clock.advance(5000)
    line.connect()
    health = stream.health()
    assert (health.connections, health.silent_seconds, health.state) == (1, None, "subscribing")
    line.says(success=True, ret_msg="", op="auth", conn_id="c")
    clock.advance(2)
    assert stream.health().silent_seconds == 2
    line.go_down()
    assert stream.health().silent_seconds is None
    await stream.aclose()


async def test_a_refused_key_is_what_it_is_doing_until_it_is_let_in(clock: ManualClock) -> None:
    stream = account(clock)
    errors: list[Exception] = []
    stream.errors.on(errors.append)
    await stream.start()
    (line,) = lines(stream)
    line.connect()
    line.says(success=False, ret_msg="no", op="auth", conn_id="c")
    line.go_down("auth refused")
    assert stream.health().state == "auth refused"
    refusals = [await refusal(stream) for _ in range(2)]
    assert refusals[0] is not refusals[1], "else each raising would add to one traceback for ever"
    line.come_up()
    assert stream.health().state == "live"
    await stream.ready()
    assert [type(error) for error in errors if isinstance(error, StreamAuthError)] == [StreamAuthError]
    await stream.aclose()


async def test_each_connection_is_told_when_it_is_up_and_down_and_up_again(clock: ManualClock) -> None:
    stream = market(clock, 2)
    told: list[Any] = []
    stream.resumed.on(told.append)
    stream.lost.on(told.append)
    await stream.start()
    first, second = lines(stream)
    first.come_up()
    second.come_up()
    second.go_down("cut")
    second.come_up()
    first.go_down("closed")
    assert told == [1, 2, "cut", 3, "closed"]
    assert stream.health().state == "waiting"
    await stream.aclose()
    assert told[5:] == [], "closing is no loss"


async def test_what_the_venue_refuses_keeps_nothing_else_from_being_up(clock: ManualClock) -> None:
    stream = account(clock)
    told: list[Any] = []
    stream.resumed.on(told.append)
    await stream.start()
    (line,) = lines(stream)
    line.connect()
    line.says(success=True, ret_msg="", op="auth", conn_id="c")
    clock.advance(0.05)
    line.wake()
    line.says(success=False, ret_msg="no such topic", op="subscribe", req_id="1")
    assert told == []
    line.says(success=True, ret_msg="", op="subscribe", req_id="2")
    assert told == [1]
    await stream.aclose()


async def test_a_callback_that_lets_go_of_one_connection_keeps_none_of_the_others_from_being_told(
    clock: ManualClock,
) -> None:
    stream = market(clock, 4)
    first, second, third, _ = lines(stream)
    told: list[Any] = []

    def let_go(reason: str) -> None:
        told.append(reason)
        stream.unsubscribe(*first.connection.session.topics)

    stream.lost.on(let_go)
    await stream.start()
    for line in (first, second, third):
        line.come_up()
    for line in (second, third):  # both at once, as the venue's restart does it
        line.connection.session.on_disconnected(clock.monotonic())
        line.down_reason = "restart"
    first.go_down("restart")
    assert told == ["restart"] * 3
    assert first not in lines(stream)
    await stream.aclose()
    assert first.closed


async def test_a_connection_that_was_let_go_of_is_not_told_to_be_up(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = market(clock, 2)
    first, second = lines(stream)
    told: list[int] = []

    def let_go(number: int) -> None:
        told.append(number)
        stream.unsubscribe(*second.connection.session.topics)

    stream.resumed.on(let_go)
    await stream.start()
    with monkeypatch.context() as patch:
        patch.setattr(stream, "on_topics", lambda: None)
        first.come_up()
        second.come_up()
    stream.on_topics()
    assert told == [1], "that of the first"
    assert lines(stream) == [first]
    assert stream._live == {first}
    await stream.aclose()


async def test_a_callback_may_ask_for_more_topics_and_connections(clock: ManualClock) -> None:
    stream = market(clock)
    stream.resumed.on(lambda _: stream.subscribe(*(ticker_topic(f"MORE{number}") for number in range(300))))
    await stream.start()
    lines(stream)[0].come_up()
    assert [line.starts for line in lines(stream)] == [1, 1]
    assert len(stream.topics) == 301
    await stream.aclose()


async def test_topics_asked_for_while_it_is_down_are_asked_for_when_it_is_up(clock: ManualClock) -> None:
    stream = account(clock)
    await stream.start()
    (line,) = lines(stream)
    line.come_up()
    line.go_down()
    stream.subscribe("position")
    line.connect()
    stream.unsubscribe("wallet")
    stream.subscribe("greeks")
    line.come_up()
    assert stream.health().active == 3
    assert stream.topics == ["order", "position", "greeks"]
    await stream.aclose()


@pytest.mark.parametrize("started", [False, True])
async def test_a_connection_of_which_nothing_is_wanted_is_closed_but_for_the_last(
    clock: ManualClock, started: bool
) -> None:
    stream = market(clock, 2)
    first, second = lines(stream)
    if started:
        await stream.start()
    stream.unsubscribe(ticker_topic("COIN200"))
    assert lines(stream) == [first]
    stream.unsubscribe(*stream.topics)
    assert lines(stream) == [first]
    await stream.aclose()
    assert second.closed == started


def test_without_a_loop_topics_may_come_and_go_before_the_start(clock: ManualClock) -> None:
    stream = market(clock, 2)
    stream.unsubscribe(ticker_topic("COIN200"))
    assert len(lines(stream)) == 1


async def test_an_async_callback_may_close_the_stream_that_calls_it(clock: ManualClock) -> None:
    stream = market(clock)
    done = asyncio.Event()

    async def close(_number: int) -> None:
        await stream.aclose()
        done.set()

    stream.resumed.on(close)
    await stream.start()
    lines(stream)[0].come_up()
    async with asyncio.timeout(5):
        await done.wait()
    assert stream.health().state == "closed"


def test_of_spot_and_options_a_quiet_ticker_is_not_asked_for_again_and_again(clock: ManualClock) -> None:
    """Theirs are whole tickers, and one that does not change is not sent."""
    expected = {"linear": True, "inverse": True, "spot": False, "option": False}
    for category, waits in expected.items():
        stream = PublicStream(category, topics=[ticker_topic("X")], clock=clock)
        (topic,) = lines(stream)[0].connection.session.topics.values()
        assert topic.is_book is waits, category


async def test_a_callback_of_errors_that_raises_ends_nothing(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    stream = market(clock)
    seen: list[Exception] = []
    stream.errors.on(lambda _: 1 // 0)
    stream.errors.on(seen.append)
    stream.report(StreamError("x"))
    assert len(seen) == 1
    assert "of linear errors)" in caplog.text
    await stream.aclose()
    stream.report(StreamError("nobody is there"))
    assert "StreamError: nobody is there" in caplog.text


async def test_closing_waits_for_connections_that_were_let_go_of(clock: ManualClock) -> None:
    stream = market(clock, 2)
    await stream.start()
    _, second = lines(stream)
    second.may_close.clear()
    stream.unsubscribe(ticker_topic("COIN200"))
    closing = asyncio.create_task(stream.aclose())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not closing.done()
    second.may_close.set()
    await closing
    assert second.closed


async def test_letting_go_of_what_was_not_answered_makes_it_ready(clock: ManualClock) -> None:
    stream = account(clock)
    await stream.start()
    (line,) = lines(stream)
    line.connect()
    line.says(success=True, ret_msg="", op="auth", conn_id="c")
    line.says(success=True, ret_msg="", op="subscribe", req_id="1")
    waiting = asyncio.create_task(stream.ready())
    await asyncio.sleep(0)
    stream.unsubscribe("wallet")
    async with asyncio.timeout(5):
        await waiting
    await stream.aclose()


async def test_a_ticker_that_nobody_wants_is_forgotten(clock: ManualClock) -> None:
    stream = market(clock)
    await stream.start()
    (line,) = lines(stream)
    line.come_up()
    line.says(topic="tickers.COIN0", type="snapshot", ts=1, data={"symbol": "COIN0", "lastPrice": "1"})
    assert stream._ticker_fields
    stream.unsubscribe("tickers.COIN0")
    assert not stream._ticker_fields
    await stream.aclose()


async def test_a_refused_key_has_the_venue_s_clock_measured_once_at_a_time(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = account(clock)
    asked: list[asyncio.Future[float]] = []

    def measure(_client: BybitClient) -> asyncio.Future[float]:
        asked.append(asyncio.get_running_loop().create_future())
        return asked[-1]

    monkeypatch.setattr(BybitClient, "measure_clock", measure)
    await stream.start()
    (line,) = lines(stream)

    async def refuse() -> None:
        line.connect()
        line.says(success=False, ret_msg="no", op="auth", conn_id="c")
        line.go_down()
        for _ in range(3):
            await asyncio.sleep(0)

    await refuse()
    await refuse()
    assert len(asked) == 1
    asked[0].set_result(0.0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await refuse()
    assert len(asked) == 2
    before = asyncio.all_tasks()
    await stream.aclose()
    assert len(asyncio.all_tasks()) == len(before) - 1
