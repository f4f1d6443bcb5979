"""An HTTP server on loopback that answers byte for byte as a test says, however wrong, and remembers who asked what."""

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

TIME = "/v5/market/time"

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bool]]
"""Writes what it likes, and ends when the other side is gone; whether the connection is kept."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came; header names in lower case."""

    method: str
    path: str  # without the query
    query: str
    headers: Mapping[str, str]
    body: bytes


def envelope(result: object, code: int = 0, message: str = "OK") -> bytes:
    """A body as the API sends it."""
    body = {"retCode": code, "retMsg": message, "result": result, "retExtInfo": {}, "time": time.time_ns() // 10**6}
    return json.dumps(body).encode()


def raw(data: bytes, *, keep: bool = False) -> Answer:
    """These bytes, then the end of the connection unless it is to be kept."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(data)
        await writer.drain()
        return keep

    return answer


def reply(body: bytes, status: str = "200 OK", headers: str = "", length: int | None = None) -> Answer:
    """An HTTP answer; `length` is a Content-Length other than the true one, after which the connection ends."""
    size = len(body) if length is None else length
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n{headers}\r\n"
    return raw(head.encode() + body, keep=length is None)


async def never(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> bool:
    """Nothing at all, until the other side is gone."""
    await reader.read()
    return False


def drip(data: bytes, pause_seconds: float = 0.02) -> Answer:
    """A byte at a time."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        for byte in data:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(pause_seconds)
        return False

    return answer


def endless(piece: bytes, first: bytes = b"") -> Answer:
    """The same bytes for ever, as fast as they are taken."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(first)
        while True:
            writer.write(piece)
            await writer.drain()

    return answer


class HostileVenue:
    """What the server saw.

    The venue's time is told truly, by a clock that is `skew_seconds` ahead of ours, unless `time` is the answer.
    """

    def __init__(self, *answers: Answer, skew_seconds: float = 0.0, time: Answer | None = None) -> None:
        self.requests: list[Request] = []
        self.connections = 0  # ever
        self.open = 0  # now
        self.skew_seconds = skew_seconds
        self.url = ""
        self._answers = list(answers)
        self._time = time

    def seen(self, path: str) -> list[Request]:
        """The requests to a path."""
        return [request for request in self.requests if request.path == path]

    def answer_with(self, *answers: Answer) -> None:
        """From now on these, one after the other; the last for ever."""
        self._answers = list(answers)

    def answer_time_truly(self) -> None:
        """From now on."""
        self._time = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        self.connections += 1
        self.open += 1
        try:
            while await self._answer_one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the client is gone
        finally:
            self.open -= 1
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ", 2)
        headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in lines if each)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        path, _, query = target.partition("?")
        self.requests.append(Request(method, path, query, headers, body))
        if path == TIME and self._time is not None:
            return await self._time(reader, writer)
        if path == TIME:
            now_ns = time.time_ns() + int(self.skew_seconds * 1e9)
            result: dict[str, Any] = {"timeSecond": str(now_ns // 10**9), "timeNano": str(now_ns)}
            whole = {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": now_ns // 10**6}
            return await reply(json.dumps(whole).encode())(reader, writer)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return await answer(reader, writer)


@asynccontextmanager
async def hostile_venue(
    *answers: Answer, skew_seconds: float = 0.0, time: Answer | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[HostileVenue]:
    """A server that answers so. `tls`: on that its `url` is https://localhost."""
    venue = HostileVenue(*answers, skew_seconds=skew_seconds, time=time)
    server = await asyncio.start_server(venue.serve, "127.0.0.1", 0, ssl=tls, limit=2**20)
    port = server.sockets[0].getsockname()[1]
    venue.url = f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
    try:
        yield venue
    finally:
        server.close()
        await server.wait_closed()
