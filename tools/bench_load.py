"""The bench's venue: a WebSocket and a REST endpoint that send messages rendered beforehand. Knows nothing of feeder.

`bench_load.py SHAPE`: the shape as JSON; says its addresses, then does what the lines on its input say:

    {"do": "start", "rate": 45000, "grid_ms": 0}    send; grid_ms 20: all that is due each 20 ms comes together
    {"do": "mark"}                                  what was sent since the last mark, or the start
    {"do": "stop"}                                  the same, and no more is sent
    {"do": "finals"} {"do": "books"}                each symbol's last update id; and its book

Every round sends one message of each symbol, in another order each time, so one update id and one text of stamps serves
a whole round. The sending loop turns once a millisecond; what is due then on one connection is one socket write, as
from the venue's own gateway. A message nobody reads waits in memory: none is ever left out. `seq` is microseconds
since the start of the program (plus FIRST_SEQUENCE), from which the listener tells how long ago a message was written.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from random import Random
from typing import Any

import uvloop
from aiohttp import web
from bench_child import reply
from bench_market import (
    FIRST_UPDATE,
    Market,
    Rendered,
    Shape,
    Sides,
    frame_header,
    markets,
    render,
    render_snapshot,
    stamp_end,
    stamp_ts,
)
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

FIRST_SEQUENCE = 50_000_000_000  # 11 digits, for a day
_TURN = 0.001
_ORDERS = 64  # shuffled beforehand
_PATH = b"/v5/public/linear"
_PAGE = 500
_ALL = 1 << 40

Sink = Callable[[tuple[bytes, bytes, bytes, bytes]], None]


class Symbol:
    """One symbol as the hot loop needs it. `sink` takes the pieces of a frame: of its connection, or of nobody."""

    __slots__ = ("depth", "market", "messages", "sink")

    def __init__(self, market: Market, depth: int) -> None:
        self.market = market
        self.depth = depth
        self.messages: list[Rendered] = render(market, depth)
        self.sink: Sink = _nobody


def _nobody(_: tuple[bytes, bytes, bytes, bytes]) -> None:
    pass


class Load:
    """All symbols, and where in their cycles they are."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.symbols = [Symbol(market, shape.depth) for market in markets(shape)]
        self.by_topic = {f"orderbook.{shape.depth}.{each.market.symbol}": each for each in self.symbols}
        self.connections: set[_Connection] = set()
        self._orders = []
        random = Random(shape.seed)
        for _ in range(_ORDERS):
            order = self.symbols[:]
            random.shuffle(order)
            self._orders.append(order)
        self._round = 0
        self._cursor = 0
        self.sequence_origin_us = time.time_ns() // 1000 - FIRST_SEQUENCE
        self.meter = Meter()

    @property
    def _order(self) -> list[Symbol]:
        return self._orders[self._round % _ORDERS]

    def messages_of(self, symbol: Symbol) -> int:
        """How many messages of a symbol are sent."""
        return self._round + (symbol in self._order[: self._cursor])

    def sequence(self) -> int:
        """`seq` of a message sent now."""
        return time.time_ns() // 1000 - self.sequence_origin_us

    def emit(self, count: int) -> None:
        """Send the next `count` messages."""
        now_ms = time.time_ns() // 1_000_000
        ts, sequence, cycle = stamp_ts(now_ms), self.sequence(), self.shape.cycle
        left = count
        while left:
            chunk = self._order[self._cursor : self._cursor + left]
            end = stamp_end(FIRST_UPDATE + self._round + 1, sequence, now_ms - 3)
            index = self._round % cycle
            for symbol in chunk:
                head, body = symbol.messages[index]
                symbol.sink((head, ts, body, end))
            left -= len(chunk)
            self._cursor += len(chunk)
            if self._cursor == len(self.symbols):
                self._cursor = 0
                self._round += 1
        for connection in self.connections:
            connection.flush()
        self.meter.messages += count

    def snapshot(self, symbol: Symbol) -> bytes:
        """The frame of a symbol's book as it is."""
        ts = time.time_ns() // 1_000_000
        return render_snapshot(symbol.market, symbol.depth, self.messages_of(symbol), ts=ts, seq=self.sequence())

    def finals(self) -> dict[str, int]:
        """Each symbol's last update id."""
        return {each.market.symbol: FIRST_UPDATE + self.messages_of(each) for each in self.symbols}

    def books(self) -> dict[str, Sides]:
        """Each symbol's book after what was sent."""
        return {each.market.symbol: each.market.book(self.messages_of(each)) for each in self.symbols}


class Meter:
    """What was sent since some moment."""

    def __init__(self) -> None:
        self.since_ns = time.monotonic_ns()
        self.messages = self.writes = self.bytes = self.turns = 0
        self.latest_turn = 0.0  # seconds by which the loop was late at worst
        self.most_unsent = 0  # bytes that waited for the subject to read, at worst

    def told(self) -> dict[str, Any]:
        """As JSON says it."""
        seconds = (time.monotonic_ns() - self.since_ns) / 1e9
        return {
            "seconds": seconds,
            "messages": self.messages,
            "writes": self.writes,
            "bytes": self.bytes,
            "turns": self.turns,
            "latest_turn_ms": self.latest_turn * 1000,
            "most_unsent_bytes": self.most_unsent,
            "ended_ns": time.time_ns(),
        }


class _Connection(WSListener):
    """One client."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._pieces: list[bytes] = []
        self._transport: WSTransport | None = None
        self._symbols: set[Symbol] = set()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        transport.underlying_transport.set_write_buffer_limits(high=_ALL)  # how much waits is measured, not limited
        self._load.connections.add(self)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._load.connections.discard(self)
        for symbol in self._symbols:
            symbol.sink = _nobody
        self._symbols.clear()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif frame.msg_type is WSMsgType.TEXT:
            self._on_request(json.loads(frame.get_payload_as_bytes()))

    def flush(self) -> None:
        """One write for all that was taken since the last."""
        if self._pieces:
            data = b"".join(self._pieces)
            self._pieces.clear()
            self._write(data)

    @property
    def unsent(self) -> int:
        """Bytes that wait for the client to read."""
        return 0 if self._transport is None else self._transport.underlying_transport.get_write_buffer_size()

    def _on_request(self, request: dict[str, Any]) -> None:
        operation = request.get("op")
        answer = {"success": True, "ret_msg": "", "conn_id": f"{id(self):x}", "req_id": request.get("req_id", "")}
        topics = [] if operation == "ping" else request.get("args", [])
        unknown = [each for each in topics if each not in self._load.by_topic and not each.startswith("publicTrade.")]
        if operation == "ping":
            answer["ret_msg"] = "pong"
        elif operation not in ("subscribe", "unsubscribe"):
            answer |= {"success": False, "ret_msg": "error:invalid op"}
        elif unknown:
            answer |= {"success": False, "ret_msg": f"error:handler not found,topic:{unknown[0]}"}
            topics = []
        text = json.dumps({**answer, "op": operation}).encode()
        data = frame_header(len(text)) + text
        for symbol in filter(None, map(self._load.by_topic.get, topics)):
            if operation == "subscribe":
                symbol.sink = self._pieces.extend
                self._symbols.add(symbol)
                data += self._load.snapshot(symbol)
            else:
                symbol.sink = _nobody
                self._symbols.discard(symbol)
        self._write(data)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_disconnected:
            self._transport.underlying_transport.write(data)
            meter = self._load.meter
            meter.writes += 1
            meter.bytes += len(data)


class Pacer:
    """Sends so many messages a second, until it is stopped."""

    def __init__(self, load: Load, rate: float, grid_seconds: float) -> None:
        self._load = load
        self._rate = rate
        self._grid = grid_seconds
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Send nothing more."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        load, rate, grid = self._load, self._rate, self._grid
        begin = last = time.monotonic()
        sent = 0
        while True:
            await asyncio.sleep(_TURN)
            now = time.monotonic()
            meter = load.meter
            meter.turns += 1
            meter.latest_turn = max(meter.latest_turn, now - last - _TURN)
            last = now
            elapsed = now - begin
            if grid:
                elapsed -= elapsed % grid
            due = int(elapsed * rate) - sent
            if due > 0:
                load.emit(due)
                sent += due
                unsent = sum(connection.unsent for connection in load.connections)
                meter.most_unsent = max(meter.most_unsent, unsent)


# REST -----------------------------------------------------------------------------------------------------------------


def rest(load: Load) -> web.Application:
    """instruments-info, in pages, and time."""
    entries = [_instrument(symbol.market) for symbol in load.symbols]

    async def instruments_info(request: web.Request) -> web.Response:
        wanted = request.query.get("symbol")
        chosen = [each for each in entries if wanted in (None, each["symbol"])]
        first, page = int(request.query.get("cursor") or 0), int(request.query.get("limit") or _PAGE)
        following = str(first + page) if first + page < len(chosen) else ""
        return _answer({"category": "linear", "list": chosen[first : first + page], "nextPageCursor": following})

    async def venue_time(_: web.Request) -> web.Response:
        now = time.time_ns()
        return _answer({"timeSecond": str(now // 10**9), "timeNano": str(now)})

    application = web.Application()
    application.router.add_get("/v5/market/instruments-info", instruments_info)
    application.router.add_get("/v5/market/time", venue_time)
    return application


def _answer(result: dict[str, Any]) -> web.Response:
    now = time.time_ns() // 1_000_000
    return web.json_response({"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": now})


def _instrument(market: Market) -> dict[str, Any]:
    return {
        "symbol": market.symbol,
        "contractType": "LinearPerpetual",
        "status": "Trading",
        "baseCoin": market.symbol.removesuffix("USDT"),
        "quoteCoin": "USDT",
        "settleCoin": "USDT",
        "launchTime": "1584230400000",
        "deliveryTime": "0",
        "priceScale": str(market.decimals),
        "priceFilter": {"minPrice": market.tick, "maxPrice": "1999999.00", "tickSize": market.tick},
        "lotSizeFilter": {"minOrderQty": "0.001", "maxOrderQty": "1190.000", "qtyStep": "0.001"},
        "fundingInterval": 480,
    }


# The program ----------------------------------------------------------------------------------------------------------


async def serve(shape: Shape) -> None:
    """Until standard input ends."""
    loop = asyncio.get_running_loop()
    load = Load(shape)
    commands = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)

    def route(request: WSUpgradeRequest) -> _Connection | None:
        return _Connection(load) if request.path.partition(b"?")[0] == _PATH else None

    server = await ws_create_server(route, "127.0.0.1", 0)
    runner = web.AppRunner(rest(load), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port, rest_port = server.sockets[0].getsockname()[1], runner.addresses[0][1]
    reply({
        "websocket": f"ws://127.0.0.1:{port}",
        "rest": f"http://127.0.0.1:{rest_port}",
        "symbols": [each.market.symbol for each in load.symbols],
        "sequence_origin_us": load.sequence_origin_us,
    })  # fmt: skip
    pacer: Pacer | None = None
    while line := await commands.readline():
        command = json.loads(line)
        match command["do"]:
            case "start":
                load.meter = Meter()
                pacer = Pacer(load, command["rate"], command["grid_ms"] / 1000)
                reply({"started_ns": time.time_ns(), "started_monotonic_ns": time.monotonic_ns()})
            case "mark":
                told, load.meter = load.meter.told(), Meter()
                reply(told)
            case "stop":
                if pacer is not None:
                    await pacer.stop()
                reply(load.meter.told())
            case "finals":
                reply(load.finals())
            case "books":
                reply(load.books())
            case other:
                reply({"error": f"cannot {other!r}"})
    server.close()
    await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(serve(Shape(**json.loads(sys.argv[1]))))
