"""The pool on real sockets, against a venue of a few lines that can be told to misbehave."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random
from typing import Any

import pytest
from aiohttp import web
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from feeder.bybit.instruments import InstrumentTable
from feeder.bybit.pacing import Timing
from feeder.bybit.pool import BybitPool, Subscription
from feeder.bybit.stream import StreamState
from feeder.clock import SystemClock
from feeder.errors import InstrumentError, VenueError
from feeder.market.status import StatusReason
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
        bad = [topic for topic in request["args"] if topic in self.venue.refused]
        if bad:
            self.send(answer | {"success": False, "ret_msg": f"error:handler not found,topic:{bad[0]}"})
            return
        for topic in request["args"]:
            if request["op"] == "subscribe":
                self.topics.append(topic)
                if topic.startswith("orderbook"):
                    self.send(book_message(topic, "snapshot", 1))
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
        self.answers_pings = True
        self.port = 0
        self.rest_url = ""
        self.rest_body = payload("instruments-linear-page-1").replace(b"first%3DETHUSDT", b"")
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        def accept(request: WSUpgradeRequest) -> Client:
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

    async def instruments(self, request: web.Request) -> web.Response:
        if request.query["category"] == "option":
            return web.Response(body=payload("instruments-option-BTC"))
        return web.Response(body=self.rest_body)

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
    app.router.add_get("/v5/market/instruments-info", venue.instruments)
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
        table = InstrumentTable(venue.rest_url, clock=clock, random=Random(1))
        await table.load({"linear": None, "option": ["BTC-27NOV26-90000-C"]})
        sink = RecordingSink()
        url = f"ws://127.0.0.1:{venue.port}"
        pool = BybitPool(url, table, sink, clock=clock, random=Random(1), timing=QUICK, **options)
        pools.append(pool)
        assert pool.subscribe(subscriptions) == []
        await pool.start()
        return Feed(pool, sink)

    yield make
    for pool in pools:
        await pool.aclose()


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
