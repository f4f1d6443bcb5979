"""The pool on real sockets, against a venue of a few lines that can be told to misbehave."""

import asyncio
import itertools
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from aiohttp import web
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server
from structlog.testing import capture_logs

from feeder.bybit import pool as pool_module
from feeder.bybit import stream as stream_module
from feeder.bybit.pacing import Timing
from feeder.bybit.pool import BybitPool, Subscription
from feeder.bybit.stream import RECEIVE_BUFFER_BYTES, StreamState
from feeder.clock import MILLISECOND_NS, SECOND_NS, SystemClock
from feeder.errors import InstrumentError, VenueError
from feeder.market.instrument import TradingStatus
from feeder.market.status import StatusReason
from tests.helpers.instruments import close_tables, instrument_table
from tests.unit.bybit.support import RecordingSink, book_message, payload, trade_message

BTC = ("linear", "BTCUSDT")
ETH = ("linear", "ETHUSDT")
SECONDS = 5.0
QUICK = Timing(
    ping_interval=0.05,
    pong_deadline=0.1,
    request_interval=0.001,
    snapshot_deadline=0.3,
    unsubscribe_deadline=0.2,
    resync_first=0.01,
    reconnect_first=0.01,
    reconnect_cap=0.05,
    refused_first=0.05,
)


class Client(WSListener):
    """One connection as the venue sees it."""

    def __init__(self, venue: "Venue", path: str) -> None:
        self.venue = venue
        self.path = path
        self.topics: list[str] = []
        self.transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self.venue.clients.append(self)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.venue.clients.remove(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.CLOSE:
            transport.disconnect()
            return
        request = json.loads(frame.get_payload_as_bytes())
        self.venue.requests.append(request)
        if request["op"] == "ping":
            if self.venue.answers_pings:
                self.send({"success": True, "ret_msg": "pong", "op": "ping"})
            return
        answer = {"success": True, "ret_msg": "", "req_id": request["req_id"], "op": request["op"]}
        bad = [topic for topic in request["args"] if topic in self.venue.refused and request["op"] == "subscribe"]
        if bad:
            self.send(answer | {"success": False, "ret_msg": f"error:handler not found,topic:{bad[0]}"})
            return
        for topic in request["args"]:
            if request["op"] == "subscribe":
                self.topics.append(topic)
                if topic.startswith("orderbook"):
                    self.send(self.venue.dated(book_message(topic, "snapshot", 1)))
            else:
                self.topics.remove(topic)
        self.send(answer)

    def send(self, message: dict[str, Any] | bytes, **frame: Any) -> None:
        assert self.transport is not None
        raw = message if isinstance(message, bytes) else json.dumps(message).encode()
        self.transport.send(WSMsgType.TEXT, raw, **frame)


class Venue:
    """A WebSocket and a REST address."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self.requests: list[dict[str, Any]] = []
        self.refused: set[str] = set()
        self.questions: list[str] = []  # to REST, about single symbols
        self.accepted = 0
        self.answers_pings = True
        self.age: float | None = None  # of its books' messages, seconds; None: as those of a recording
        self.ahead = 0.0  # its clock, of ours, seconds
        self.port = 0
        self.rest_url = ""
        self.rest_body = payload("instruments-linear-page-1").replace(b"first%3DETHUSDT", b"")
        self.answer_rest: Callable[[web.Request], Awaitable[web.Response]] = self.instruments
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        def accept(request: WSUpgradeRequest) -> Client:
            self.accepted += 1
            return Client(self, request.path.decode())

        self._server = await ws_create_server(accept, "127.0.0.1", self.port, reuse_address=True)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for client in list(self.clients):
            assert client.transport is not None
            client.transport.disconnect(graceful=False)
        await until(lambda: not self.clients)

    async def rest(self, request: web.Request) -> web.Response:
        return await self.answer_rest(request)

    async def instruments(self, request: web.Request) -> web.Response:
        if "symbol" in request.query:
            self.questions.append(request.query["symbol"])
        if request.query["category"] == "option":
            return web.Response(body=payload("instruments-option-BTC"))
        return web.Response(body=self.rest_body)

    async def time(self, request: web.Request) -> web.Response:
        now_ns = time.time_ns() + round(self.ahead * SECOND_NS)
        return web.json_response({"retCode": 0, "retMsg": "OK", "result": {"timeNano": str(now_ns)}})

    def dated(self, message: bytes) -> bytes:
        """A message as sent `age` ago."""
        if self.age is None:
            return message
        ts = time.time_ns() // MILLISECOND_NS + round((self.ahead - self.age) * 1000)
        return json.dumps(json.loads(message) | {"ts": ts}).encode()

    def of(self, topic: str) -> Client:
        (client,) = [client for client in self.clients if topic in client.topics]
        return client


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition, with a deadline."""
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110 - the venue side has no events to wait for
            await asyncio.sleep(0.002)


@pytest.fixture
async def venue() -> AsyncIterator[Venue]:
    venue = Venue()
    await venue.start()
    app = web.Application()
    app.router.add_get("/v5/market/instruments-info", venue.rest)
    app.router.add_get("/v5/market/time", venue.time)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    venue.rest_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield venue
    await venue.stop()
    await runner.cleanup()


class Feed:
    """A pool and what came out of it."""

    def __init__(self, pool: BybitPool, sink: RecordingSink) -> None:
        self.pool = pool
        self.sink = sink

    async def live(self, *keys: tuple[str, str]) -> None:
        """Wait until each of these has had a snapshot since its last reset."""
        await until(lambda: all(self.is_live(key) for key in keys))

    def is_live(self, key: tuple[str, str]) -> bool:
        mine = [event for event in self.sink.events if event[1] == key and event[0] in ("book", "reset")]
        return bool(mine) and mine[-1][0] == "book"


Make = Callable[..., Awaitable[Feed]]


@pytest.fixture
async def make(venue: Venue) -> AsyncIterator[Make]:
    pools: list[BybitPool] = []

    async def make(*subscriptions: Subscription, **options: Any) -> Feed:
        clock = SystemClock()
        table = instrument_table(venue.rest_url, clock)
        await table.load({"linear": None, "option": ["BTC-27NOV26-90000-C"]})
        sink = RecordingSink()
        url = f"ws://127.0.0.1:{venue.port}"
        options = {"timing": QUICK} | options
        pool = BybitPool(url, table, sink, clock=clock, random=Random(1), **options)
        pools.append(pool)
        assert pool.subscribe(subscriptions) == []
        await pool.start()
        return Feed(pool, sink)

    yield make
    for pool in pools:
        await pool.aclose()
    await close_tables()


def book(symbol: str = "BTCUSDT", category: str = "linear", depth: int = 50, trades: bool = False) -> Subscription:
    return Subscription(category, symbol, depth, trades)


async def test_books_and_trades_come_through_from_the_category_s_own_path(venue: Venue, make: Make) -> None:
    feed = await make(book(trades=True))
    await feed.live(BTC)
    client = venue.of("orderbook.50.BTCUSDT")
    assert client.path == "/v5/public/linear"
    client.send(book_message("orderbook.50.BTCUSDT", "delta", 2, [["99.90", "0.5"]], []))
    client.send(trade_message("publicTrade.BTCUSDT", {"S": "Sell"}))
    await until(lambda: feed.sink.of("trades"))
    assert [(update.update_id, update.bids) for update in feed.sink.books(BTC)] == [
        (1, [10000, 1000]),
        (2, [9990, 500]),
    ]
    assert feed.pool.counters.book_updates == 2
    (status,) = feed.pool.connections()
    assert (status.state, status.topics, status.active) == (StreamState.CONNECTED, 2, 2)


async def test_fragmented_message_is_put_together(venue: Venue, make: Make) -> None:
    feed = await make(book())
    await feed.live(BTC)
    client = venue.of("orderbook.50.BTCUSDT")
    raw = book_message("orderbook.50.BTCUSDT", "delta", 2)
    assert client.transport is not None
    client.transport.send(WSMsgType.TEXT, raw[:20], fin=False)
    client.transport.send_ping(b"in between")
    client.transport.send(WSMsgType.CONTINUATION, raw[20:50], fin=False)
    client.transport.send(WSMsgType.CONTINUATION, raw[50:])
    await until(lambda: len(feed.sink.books(BTC)) == 2)
    assert [update.update_id for update in feed.sink.books(BTC)] == [1, 2]
    assert feed.pool.counters.decode_errors == 0


async def test_one_dead_socket_is_revived_alone(venue: Venue, make: Make) -> None:
    feed = await make(book(), book("ETHUSDT"), topics_per_connection=1)
    await feed.live(BTC, ETH)
    assert len(venue.clients) == 2
    dead = venue.of("orderbook.50.BTCUSDT")
    assert dead.transport is not None
    dead.transport.disconnect(graceful=False)
    await until(lambda: feed.sink.of("reset"))
    await feed.live(BTC, ETH)
    assert [event[1:] for event in feed.sink.of("reset")] == [
        (BTC, feed.sink.books(BTC)[-1].generation, StatusReason.DISCONNECTED)
    ]
    assert len(feed.sink.books(ETH)) == 1
    assert (feed.pool.counters.disconnects, feed.pool.counters.reconnects) == (1, 1)


async def test_outage_of_the_venue_is_outlived_however_many_attempts_it_takes(venue: Venue, make: Make) -> None:
    feed = await make(book(), book("ETHUSDT"))
    await feed.live(BTC, ETH)
    await venue.stop()
    await until(lambda: feed.pool.counters.connect_failures >= 10)
    assert [event[1] for event in feed.sink.of("reset")] == [BTC, ETH]
    assert feed.pool.connections()[0].state in (StreamState.CONNECTING, StreamState.WAITING)
    await venue.start()
    await feed.live(BTC, ETH)


async def test_pool_started_before_its_venue_comes_up_with_it(venue: Venue, make: Make) -> None:
    await venue.stop()
    feed = await make(book())
    await until(lambda: feed.pool.counters.connect_failures >= 2)
    assert feed.sink.events == []
    await venue.start()
    await feed.live(BTC)


async def test_venue_that_falls_silent_is_left_at_the_pong_deadline(venue: Venue, make: Make) -> None:
    feed = await make(book())
    await feed.live(BTC)
    venue.answers_pings = False
    await until(lambda: feed.pool.counters.pong_timeouts)
    assert feed.sink.of("reset")[0][3] is StatusReason.DISCONNECTED
    venue.answers_pings = True
    await feed.live(BTC)


async def test_half_open_connection_is_left_soon_and_a_quiet_one_kept(venue: Venue, make: Make) -> None:
    timing = replace(QUICK, ping_interval=20.0, pong_deadline=10.0, silence=0.1, probe_deadline=0.5)
    feed = await make(book(), timing=timing)
    await feed.live(BTC)
    await until(lambda: feed.pool.counters.silence_probes >= 3)
    assert feed.sink.of("reset") == []
    venue.answers_pings = False
    await until(lambda: feed.sink.of("reset"))
    assert feed.sink.of("reset")[0][3] is StatusReason.DISCONNECTED
    assert feed.pool.counters.pong_timeouts == 1
    venue.answers_pings = True
    await feed.live(BTC)


async def test_books_of_a_live_connection_with_old_data_are_outdated_until_it_is_fresh(
    venue: Venue, make: Make
) -> None:
    venue.age = 0.0
    feed = await make(book(), book("ETHUSDT"))
    await feed.live(BTC, ETH)

    async def talk() -> None:
        topic = "orderbook.50.BTCUSDT"
        for update_id in itertools.count(2):
            for client in venue.clients:
                if topic in client.topics:
                    client.send(venue.dated(book_message(topic, "delta", update_id)))
            await asyncio.sleep(0.02)

    talking = asyncio.create_task(talk())
    await until(lambda: len(feed.sink.books(BTC)) > 3)
    venue.age = 60.0
    await until(lambda: feed.pool.counters.held_snapshots >= 2)
    assert {event[1:2] + event[3:] for event in feed.sink.of("reset")} == {
        (BTC, StatusReason.OUTDATED),
        (ETH, StatusReason.OUTDATED),
    }
    assert not feed.is_live(BTC)
    assert not feed.is_live(ETH)
    assert feed.pool.venue_lags()["linear"].latest == pytest.approx(60, abs=SECONDS)
    venue.age = 0.0
    await feed.live(BTC, ETH)
    talking.cancel()
    assert feed.pool.counters.outdated >= 1
    assert feed.pool.venue_lags()["linear"].latest < SECONDS


@pytest.mark.parametrize("ahead", [-30.0, 30.0])
async def test_clock_of_ours_that_is_wrong_makes_no_data_old(venue: Venue, make: Make, ahead: float) -> None:
    venue.age, venue.ahead = 0.0, ahead
    feed = await make(book())
    await feed.live(BTC)
    await until(lambda: feed.pool.venue_time.age_seconds is not None)
    assert feed.pool.venue_time.offset_seconds == pytest.approx(ahead, abs=SECONDS)
    await feed.live(BTC)


async def test_gap_reported_from_downstream_brings_a_new_snapshot_once(venue: Venue, make: Make) -> None:
    feed = await make(book())
    await feed.live(BTC)
    generation = feed.sink.books(BTC)[-1].generation
    assert not feed.pool.resync(BTC, StatusReason.GAP, generation - 1)
    assert feed.pool.resync(BTC, StatusReason.GAP, generation)
    assert not feed.pool.resync(BTC, StatusReason.GAP, generation)
    await feed.live(BTC)
    assert [request["op"] for request in venue.requests if request["op"] != "ping"] == [
        "subscribe",
        "unsubscribe",
        "subscribe",
    ]
    assert feed.sink.books(BTC)[-1].generation > generation
    assert feed.pool.counters.resyncs == {StatusReason.GAP: 1}


async def test_refused_topic_is_retried_and_sinks_nobody(venue: Venue, make: Make) -> None:
    venue.refused = {"orderbook.50.BTCUSDT"}
    feed = await make(book(), book("ETHUSDT"))
    await feed.live(ETH)
    assert next(event[3] for event in feed.sink.of("reset", BTC)) is StatusReason.REFUSED
    venue.refused = set()
    await feed.live(BTC)
    assert feed.sink.of("reset", ETH) == []


def without(body: bytes, symbol: str) -> bytes:
    """A page of instruments-info that does not list this symbol."""
    page = json.loads(body)
    page["result"]["list"] = [entry for entry in page["result"]["list"] if entry["symbol"] != symbol]
    return json.dumps(page).encode()


@pytest.mark.parametrize("gone", [True, False])
async def test_refused_book_whose_instrument_is_closed_is_delisted_and_asked_for_no_more(
    venue: Venue, make: Make, gone: bool
) -> None:
    feed = await make(book(trades=True), book("ETHUSDT"))
    await feed.live(BTC, ETH)
    venue.rest_body = (
        without(venue.rest_body, "BTCUSDT") if gone else venue.rest_body.replace(b'"Trading"', b'"Closed"', 1)
    )
    venue.refused = {"orderbook.50.BTCUSDT", "publicTrade.BTCUSDT"}
    with capture_logs() as logs:
        assert feed.pool.resync(BTC, StatusReason.GAP, feed.sink.books(BTC)[-1].generation)
        await until(lambda: feed.sink.of("reset", BTC)[-1][3] is StatusReason.DELISTED)
        asked = len(venue.requests)
        await until(lambda: sum(request["op"] == "ping" for request in venue.requests[asked:]) >= 4)
    assert [event[3] for event in feed.sink.of("reset", BTC)] == [
        StatusReason.GAP,
        StatusReason.REFUSED,
        StatusReason.DELISTED,
    ]
    resets = feed.sink.of("reset", BTC)
    assert resets[-1][2] == resets[-2][2], "of the generation that was to come"
    assert feed.sink.of("definition", BTC)[-1][2].status is TradingStatus.CLOSED
    assert not [r for r in venue.requests[asked:] if r["op"] == "subscribe"], "asked for though it is delisted"
    assert venue.questions == ["BTCUSDT"]
    assert [line["symbol"] for line in logs if line["event"] == "instrument delisted"] == ["BTCUSDT"]
    assert feed.pool.counters.delisted == 1
    assert feed.sink.of("reset", ETH) == []
    # It is still known, asked for by nobody, and can be let go of.
    assert feed.pool.subscribe([book(trades=True)]) == []
    assert not feed.pool.resync(BTC, StatusReason.REQUESTED, resets[-1][2])
    assert venue.clients[0].topics == ["orderbook.50.ETHUSDT"]
    feed.pool.unsubscribe([BTC])
    assert not any(r["op"] == "subscribe" for r in venue.requests[asked:])
    venue.rest_body, venue.refused = payload("instruments-linear-page-1").replace(b"first%3DETHUSDT", b""), set()
    assert feed.pool.subscribe([book()]) == []
    await feed.live(BTC)


async def test_connection_of_delisted_books_alone_is_closed(venue: Venue, make: Make) -> None:
    venue.refused = {"orderbook.50.BTCUSDT"}
    feed = await make(book())
    venue.rest_body = without(venue.rest_body, "BTCUSDT")
    await until(lambda: feed.pool.counters.delisted)
    await until(lambda: not venue.clients)
    assert feed.pool.connections() == []
    feed.pool.unsubscribe([BTC])


async def test_refused_book_that_rest_says_is_traded_goes_on_being_asked_for(venue: Venue, make: Make) -> None:
    venue.refused = {"orderbook.50.BTCUSDT"}
    feed = await make(book())
    await until(lambda: len(feed.sink.of("reset", BTC)) >= 3)
    assert {event[3] for event in feed.sink.of("reset", BTC)} == {StatusReason.REFUSED}
    assert len(venue.questions) <= len(feed.sink.of("reset", BTC)), "once per refusal"
    venue.refused = set()
    await feed.live(BTC)
    assert feed.pool.counters.delisted == 0


async def test_rest_that_says_closed_of_a_book_that_came_back_meanwhile_is_not_believed(
    venue: Venue, make: Make
) -> None:
    answer = asyncio.Event()
    asked = 0
    original = venue.instruments

    async def late(request: web.Request) -> web.Response:
        nonlocal asked
        if "symbol" in request.query:
            asked += 1
            await answer.wait()
        return await original(request)

    venue.answer_rest = late
    venue.refused = {"orderbook.50.BTCUSDT"}
    feed = await make(book())
    venue.rest_body = without(venue.rest_body, "BTCUSDT")
    await until(lambda: len(feed.sink.of("reset", BTC)) >= 3)
    assert asked == 1, "one question at a time"
    venue.refused = set()
    await feed.live(BTC)
    answer.set()
    await until(lambda: feed.sink.of("definition", BTC))
    venue.of("orderbook.50.BTCUSDT").send(book_message("orderbook.50.BTCUSDT", "delta", 2))
    await until(lambda: len(feed.sink.books(BTC)) == 2)
    assert feed.pool.counters.delisted == 0


async def test_malformed_book_is_resynced_alone_and_garbage_reconnects(venue: Venue, make: Make) -> None:
    feed = await make(book(), book("ETHUSDT"))
    await feed.live(BTC, ETH)
    client = venue.of("orderbook.50.BTCUSDT")
    client.send(book_message("orderbook.50.BTCUSDT", "delta", 2)[:-3])
    await until(lambda: feed.sink.of("reset"))
    await feed.live(BTC, ETH)
    assert [event[3] for event in feed.sink.of("reset")] == [StatusReason.MALFORMED]
    client.send(b"\x00 garbage")
    client.send(book_message("orderbook.50.ETHUSDT", "delta", 2))
    await until(lambda: feed.pool.counters.disconnects)
    await feed.live(BTC, ETH)
    assert {event[1] for event in feed.sink.of("reset") if event[3] is StatusReason.DISCONNECTED} == {BTC, ETH}
    assert [update.update_id for update in feed.sink.books(ETH)] == [1, 1], "frames after the garbage are not trusted"


@pytest.mark.parametrize("rest_knows", [True, False])
async def test_number_finer_than_the_scale_restarts_the_book_at_a_finer_one(
    venue: Venue, make: Make, rest_knows: bool
) -> None:
    feed = await make(book())
    await feed.live(BTC)
    if rest_knows:
        venue.rest_body = venue.rest_body.replace(b'"tickSize":"0.10"', b'"tickSize":"0.00010"')
    client = venue.of("orderbook.50.BTCUSDT")
    for update_id in (2, 3, 4):
        client.send(book_message("orderbook.50.BTCUSDT", "delta", update_id, [["99.9995", "1"]], []))
    await until(lambda: feed.sink.of("definition"))
    await feed.live(BTC)
    assert [kind for kind in feed.sink.kinds() if kind != "trades"] == ["book", "reset", "definition", "book"]
    ((_, _, instrument),) = feed.sink.of("definition")
    exponent = -5 if rest_knows else -4
    assert (instrument.price_exponent, instrument.definition_version) == (exponent, 2)
    assert feed.sink.books(BTC)[-1].bids == [100 * 10**-exponent, 1000]
    assert feed.pool.counters.resyncs == {StatusReason.SCALE: 1}


async def test_trade_finer_than_the_scale_restarts_its_book_as_well(venue: Venue, make: Make) -> None:
    feed = await make(book(trades=True))
    await feed.live(BTC)
    venue.of("publicTrade.BTCUSDT").send(trade_message("publicTrade.BTCUSDT", {"v": "0.00001"}))
    await until(lambda: feed.sink.of("definition"))
    await feed.live(BTC)
    assert feed.sink.kinds() == ["book", "trades_lost", "reset", "definition", "book"]
    venue.of("publicTrade.BTCUSDT").send(trade_message("publicTrade.BTCUSDT", {"v": "0.00001"}))
    await until(lambda: feed.sink.of("trades"))
    assert feed.sink.of("trades")[0][2][0].quantity == 1


@pytest.mark.parametrize(
    "level", [["0.000000000000000001", "1"], ["100.00", "0.00000000000000001"], ["100.000000001", "1"]]
)
async def test_one_number_of_absurd_fineness_costs_a_snapshot_and_leaves_the_scale(
    venue: Venue, make: Make, level: list[str]
) -> None:
    feed = await make(book(trades=True))
    await feed.live(BTC)
    await until(lambda: "publicTrade.BTCUSDT" in venue.clients[0].topics)
    venue.of("publicTrade.BTCUSDT").send(trade_message("publicTrade.BTCUSDT", {"p": level[0], "v": level[1]}))
    venue.of("orderbook.50.BTCUSDT").send(book_message("orderbook.50.BTCUSDT", "delta", 2, [level], []))
    await until(lambda: feed.sink.of("reset"))
    await feed.live(BTC)
    assert feed.sink.kinds() == ["book", "trades_lost", "reset", "book"]
    assert feed.sink.of("reset")[0][3] is StatusReason.MALFORMED
    assert feed.sink.books(BTC)[-1].bids == [10000, 1000]
    assert venue.questions == []


async def test_scale_is_not_driven_to_the_edge_step_by_step(venue: Venue, make: Make) -> None:
    feed = await make(book(trades=True))
    await feed.live(BTC)
    send = venue.of("orderbook.50.BTCUSDT").send
    send(book_message("orderbook.50.BTCUSDT", "delta", 2, [["100.00000001", "1"]], []))  # 10^-8, six digits finer
    await until(lambda: feed.sink.of("definition"))
    await feed.live(BTC)
    venue.of("publicTrade.BTCUSDT").send(trade_message("publicTrade.BTCUSDT", {"p": "100.0000000000001"}))
    await until(lambda: len(feed.sink.of("definition")) == 2)
    send(book_message("orderbook.50.BTCUSDT", "delta", 2, [["100.0000000000001", "1"]], []))  # again six: 10^-13
    await until(lambda: feed.sink.of("reset")[-1][3] is StatusReason.MALFORMED)
    await feed.live(BTC)
    assert feed.sink.of("definition")[-1][2].price_exponent == -8
    assert feed.sink.books(BTC)[-1].bids == [100 * 10**8, 1000]
    assert venue.questions == ["BTCUSDT"] * 3, "asked once for each, as the venue may have changed its scale"
    # It has: what was refused as nonsense is now the venue's own, and the book goes on at it. Its own word is believed
    # for six digits at a time as well.
    ticks = [b'"tickSize":"0.10"', b'"tickSize":"0.00000001"', b'"tickSize":"0.0000000001"']
    for asked, (old, new) in enumerate(pairwise(ticks), start=4):
        venue.rest_body = venue.rest_body.replace(old, new)
        await feed.live(BTC)
        send = venue.of("orderbook.50.BTCUSDT").send
        send(book_message("orderbook.50.BTCUSDT", "delta", 2, [["100.0000000001", "1"]], []))
        await until(lambda asked=asked: len(venue.questions) == asked)
    await until(lambda: feed.sink.of("definition")[-1][2].price_exponent == -10)
    await until(lambda: feed.sink.books(BTC)[-1].bids == [100 * 10**10, 1000])


async def test_option_trades_of_one_coin_share_one_topic(venue: Venue, make: Make) -> None:
    feed = await make(book("BTC-27NOV26-90000-C", "option", 25, trades=True))
    await feed.live(("option", "BTC-27NOV26-90000-C"))
    await until(lambda: any("publicTrade.BTC" in client.topics for client in venue.clients))
    venue.of("publicTrade.BTC").send(payload("option-trade"))
    await until(lambda: feed.sink.of("trades"))
    assert feed.pool.counters.trades_unrouted == 1


async def test_subscriptions_that_cannot_be_are_named_and_the_others_work(venue: Venue, make: Make) -> None:
    feed = await make()
    errors = feed.pool.subscribe([book("NOPEUSDT"), book(depth=500), book("ETHUSDT")])
    assert [type(error) for error in errors] == [InstrumentError, VenueError]
    assert "NOPEUSDT" in str(errors[0])
    await feed.live(ETH)
    (again,) = feed.pool.subscribe([book("ETHUSDT", depth=200)])
    assert "depth 50 already" in str(again)


async def test_unsubscribed_book_is_let_go_of_and_an_empty_connection_closed(venue: Venue, make: Make) -> None:
    feed = await make(book(trades=True), book("ETHUSDT"))
    await feed.live(BTC, ETH)
    feed.pool.unsubscribe([BTC])
    await until(lambda: venue.clients[0].topics == ["orderbook.50.ETHUSDT"])
    feed.pool.subscribe([book()])
    await until(lambda: len(feed.sink.books(BTC)) == 2)
    feed.pool.unsubscribe([BTC, ETH])
    await until(lambda: not venue.clients)
    assert feed.pool.connections() == []
    assert feed.sink.of("reset") == []


async def test_receive_buffer_of_the_socket_is_bounded(venue: Venue, make: Make) -> None:
    feed = await make(book())
    await feed.live(BTC)
    transport = feed.pool._streams[0]._transport
    assert transport is not None
    used = transport.underlying_transport.get_extra_info("socket")
    with socket.socket() as plain, socket.socket() as bounded:
        bounded.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        sizes = [each.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) for each in (used, bounded, plain)]
    assert sizes[0] == sizes[1] != sizes[2]


async def test_attempts_to_connect_are_taken_from_one_budget_of_the_pool(
    venue: Venue, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "_CONNECT_BURST", 1.0)
    monkeypatch.setattr(pool_module, "_CONNECTS_PER_SECOND", 1e-6)
    feed = await make(book(), book("ETHUSDT"), topics_per_connection=1)
    await feed.live(BTC)
    assert [status.attempt for status in feed.pool.connections()] == [0, 0], "the second waits for its turn to try"
    assert venue.accepted == 1
    lost = venue.of("orderbook.50.BTCUSDT").transport
    assert lost is not None
    lost.disconnect(graceful=False)
    await until(lambda: feed.pool.connections()[0].state is StreamState.WAITING)
    await until(lambda: feed.pool.connections()[0].state is StreamState.CONNECTING)
    assert (feed.pool.connections()[0].attempt, venue.accepted) == (0, 1)


async def test_attempts_the_venue_never_saw_cost_no_budget(
    venue: Venue, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "_CONNECT_BURST", 1.0)
    monkeypatch.setattr(pool_module, "_CONNECTS_PER_SECOND", 1e-6)
    await venue.stop()
    feed = await make(book())
    await until(lambda: feed.pool.counters.connect_failures >= 3)
    await venue.start()
    await feed.live(BTC)


async def test_defect_of_the_supervisor_is_logged_and_outlived(
    venue: Venue, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "_DEFECT_SECONDS", 0.01)
    feed = await make(book(), book("ETHUSDT"))
    await feed.live(BTC, ETH)
    (stream,) = feed.pool._streams
    session = stream.connection.session
    original = session.reconnect_delay

    def broken() -> float:
        session.reconnect_delay = original  # type: ignore[method-assign]
        raise ZeroDivisionError("a defect")

    session.reconnect_delay = broken  # type: ignore[method-assign]
    lost = venue.clients[0].transport
    assert lost is not None
    with capture_logs() as logs:
        lost.disconnect(graceful=False)
        await until(lambda: feed.sink.of("reset"))
        await feed.live(BTC, ETH)
    assert [line["error"] for line in logs if line["event"] == "connection broken by a defect"] == [
        "ZeroDivisionError('a defect')"
    ]
    assert [event[3] for event in feed.sink.of("reset")] == [StatusReason.DISCONNECTED] * 2


async def test_defect_before_the_socket_is_closed_leaves_no_book_live(
    venue: Venue, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever raises while a socket is up: its books are reset before anything else, and the socket goes.
    monkeypatch.setattr(stream_module, "_DEFECT_SECONDS", 0.01)
    feed = await make(book(), book("ETHUSDT"))
    await feed.live(BTC, ETH)
    (stream,) = feed.pool._streams
    old = venue.clients[0]
    original = stream.connection.on_timer

    def broken() -> list[Any]:
        stream.connection.on_timer = original  # type: ignore[method-assign]
        raise ZeroDivisionError("a defect")

    stream.connection.on_timer = broken  # type: ignore[method-assign]
    await until(lambda: feed.sink.of("reset"))
    await feed.live(BTC, ETH)
    assert {event[1] for event in feed.sink.of("reset")} == {BTC, ETH}
    assert old not in venue.clients


async def test_defect_in_the_sink_during_a_loss_costs_neither_the_other_books_nor_the_connection(
    venue: Venue, make: Make
) -> None:
    feed = await make(book(), book("ETHUSDT"))
    await feed.live(BTC, ETH)
    original = feed.sink.on_reset

    def broken(*_: Any) -> None:
        feed.sink.on_reset = original  # type: ignore[method-assign]
        raise KeyError("a defect")

    feed.sink.on_reset = broken  # type: ignore[method-assign]
    lost = venue.clients[0].transport
    assert lost is not None
    lost.disconnect(graceful=False)
    await until(lambda: feed.sink.of("reset", ETH))
    await feed.live(ETH)
    await until(lambda: len(feed.sink.books(BTC)) == 2)


async def test_defect_in_the_sink_costs_the_connection_not_the_supervisor(venue: Venue, make: Make) -> None:
    feed = await make(book())
    await feed.live(BTC)
    original = feed.sink.on_book

    def broken(*_: Any) -> None:
        feed.sink.on_book = original  # type: ignore[method-assign]
        raise KeyError("a defect")

    feed.sink.on_book = broken  # type: ignore[method-assign]
    venue.of("orderbook.50.BTCUSDT").send(book_message("orderbook.50.BTCUSDT", "delta", 2))
    await until(lambda: feed.sink.of("reset"))
    await feed.live(BTC)


async def test_close_in_the_middle_of_a_handshake_leaves_nothing_behind(venue: Venue, make: Make) -> None:
    accepted: list[asyncio.StreamWriter] = []
    closed = asyncio.Event()

    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        await reader.read()
        closed.set()
        writer.close()

    server = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    venue_port, venue.port = venue.port, server.sockets[0].getsockname()[1]
    feed = await make(book())
    await until(lambda: accepted)
    await feed.pool.aclose()
    await asyncio.wait_for(closed.wait(), SECONDS)
    venue.port = venue_port
    server.close()
    await server.wait_closed()
