"""Floors: the least that some part of the work can cost, on the subject's core, with the subject's bytes.

bench_floors.py decode SHAPE    msgspec decode (feeder.bybit.messages of the checkout on PYTHONPATH); {"do": "pass"}
bench_floors.py relay ADDRESS   picows in, one unchanged datagram out per message, until its input ends
bench_floors.py answer PORT     a prepared packet back for every datagram to 127.0.0.1, until its input ends
bench_floors.py bare            a Python with feeder's libraries loaded and an event loop running
"""

import asyncio
import importlib
import json
import socket
import sys
import time
from typing import Any

from bench_child import reply

_DECODED = 200_000  # different messages in a pass
_ANSWER = 1_300  # bytes
_AT_ONCE = 8  # datagrams of a turn
_LIBRARIES = ("aiohttp", "msgspec", "picows", "sortedcontainers", "structlog", "uvloop", "yaml")


def payloads(shape_text: str) -> list[bytes]:
    """Stamped messages, each another, in an order in which a venue would send them; without WebSocket headers."""
    from bench_market import FIRST_UPDATE, Shape, markets, render, stamp_end, stamp_ts

    shape = Shape(**json.loads(shape_text))
    rendered = [render(market, shape.depth) for market in markets(shape)]
    now_ms = time.time_ns() // 1_000_000
    made: list[bytes] = []
    turn = 0
    while len(made) < _DECODED:
        ts, end = stamp_ts(now_ms + turn), stamp_end(FIRST_UPDATE + turn, 50_000_000_000 + turn, now_ms + turn - 3)
        for messages in rendered:
            head, body = messages[turn % shape.cycle]
            made.append(head[head.index(b'{"topic"') :] + ts + body + end)
        turn += 1
    return made[:_DECODED]


def decode(shape_text: str) -> None:
    """CPU time per message, in us, for each pass asked for."""
    from feeder.bybit.messages import decode as decode_message

    made = payloads(shape_text)
    reply(len(made))
    for _ in sys.stdin:
        begin = time.process_time_ns()
        for payload in made:
            decode_message(payload)
        reply((time.process_time_ns() - begin) / len(made) / 1000)


def relay(where_text: str) -> None:
    """Subscribe to all and hand everything on."""
    import uvloop
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

    where: dict[str, Any] = json.loads(where_text)
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.setblocking(False)
    out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
    out.connect((where["raw_group"], where["raw_port"]))
    send = out.send

    class Relay(WSListener):
        def __init__(self, topics: list[str]) -> None:
            self._topics = topics

        def on_ws_connected(self, transport: WSTransport) -> None:
            transport.send(WSMsgType.TEXT, json.dumps({"op": "subscribe", "args": self._topics}).encode())

        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            payload = frame.get_payload_as_bytes()
            if len(payload) <= 1400:  # all but the snapshots
                send(payload)

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        commands = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
        topics, most = where["topics"], where["topics_per_connection"]
        for first in range(0, len(topics), most):
            some = topics[first : first + most]
            await ws_connect(lambda some=some: Relay(some), where["websocket"] + "/v5/public/linear")
        reply(None)
        await commands.read()

    uvloop.run(serve())


def answer(port: int) -> None:
    """Read on an event loop, and send back: what is left of a request when nothing is looked at or looked up."""
    import uvloop

    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind(("127.0.0.1", port))
    packet = bytes(_ANSWER)

    def read() -> None:
        for _ in range(_AT_ONCE):
            try:
                _, source = sock.recvfrom(2048)
            except BlockingIOError:
                return
            sock.sendto(packet, source)

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        commands = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
        loop.add_reader(sock, read)
        reply(None)
        await commands.read()

    uvloop.run(serve())


def bare() -> None:
    """Load the libraries, run a loop, wait."""
    for name in _LIBRARIES:
        importlib.import_module(name)
    import uvloop

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        commands = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
        reply(None)
        await commands.read()

    uvloop.run(serve())


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["decode", shape]:
            decode(shape)
        case ["relay", where]:
            relay(where)
        case ["answer", port]:
            answer(int(port))
        case ["bare"]:
            bare()
        case other:
            sys.exit(f"no floor {other}")
