"""An order-entry socket on loopback that answers as a test says, however wrong, and remembers what it was asked."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import WSMsgType, web

Asked = dict[str, Any]
React = Callable[["TradeSocket", Asked], Awaitable[None]]
"""Answers one request, in whatever way."""


class TradeSocket:
    """One connection of a client."""

    def __init__(self, response: web.WebSocketResponse, request: web.Request) -> None:
        self._response = response
        self._request = request

    async def say(self, message: object) -> None:
        """As JSON, unless it is text already. To one that is gone nothing is said."""
        if not self._response.closed:
            await self._response.send_str(message if isinstance(message, str) else json.dumps(message))

    async def close(self) -> None:
        """End it as the protocol wants it."""
        await self._response.close()

    def begin(self, length: int) -> None:
        """Only the beginning of a message of so many bytes."""
        transport = self._request.transport
        if transport is not None:
            transport.write(b"\x81\x7f" + length.to_bytes(8, "big") + b"{")

    def cut(self) -> None:
        """End it as a broken line does."""
        transport = self._request.transport
        if transport is not None:
            transport.abort()


def accepted(asked: Asked, **changes: Any) -> Asked:
    """The venue's answer to a request that it takes; `changes` are put into it."""
    given = asked["args"][0]
    orders = given.get("request", [given])
    acks = [
        {"orderId": f"id-{order.get('orderLinkId', '')}", "orderLinkId": order.get("orderLinkId", "")}
        for order in orders
    ]
    now = str(time.time_ns() // 10**6)
    answer: Asked = {
        "reqId": asked["reqId"],
        "retCode": 0,
        "retMsg": "OK",
        "op": asked["op"],
        "data": acks[0],
        "retExtInfo": {},
        "header": {"Traceid": "38b7977b430f9bd228f4b19724794dfd", "Timenow": now},
        "connId": "cnt5leec0hvan15eukcg-2v",
    }
    if "request" in given:
        rows = [{"category": given["category"], "symbol": order["symbol"], "createAt": ""} for order in orders]
        answer["data"] = {"list": [row | ack for row, ack in zip(rows, acks, strict=True)]}
        answer["retExtInfo"] = {"list": [{"code": 0, "msg": "OK"} for _ in orders]}
    return answer | changes


def refused(asked: Asked, code: int, text: str = "no", **changes: Any) -> Asked:
    """The venue's answer to a request that it does not take."""
    return accepted(asked, retCode=code, retMsg=text, data={}, **changes)


async def polite(socket: TradeSocket, asked: Asked) -> None:
    """Takes every request."""
    await socket.say(accepted(asked))


class TradeVenue:
    """What it saw: `asked` are the requests, `signed_in` the auth messages, `sockets` those that are open.

    `react` answers requests, `auth_answers` auth, one after the other and the last for ever. Pings are answered, unless
    it is `deaf`. REST knows the time, by a clock that is `skew_seconds` ahead of ours.
    """

    def __init__(self, react: React = polite) -> None:
        self.react = react
        self.auth_answers: list[Asked | None] = [{"retCode": 0, "retMsg": "OK"}]
        self.deaf = False
        self.skew_seconds = 0.0
        self.asked: list[Asked] = []
        self.signed_in: list[Asked] = []
        self.pings = 0
        self.connections = 0  # ever
        self.sockets: list[TradeSocket] = []
        self.refuse_connections = False
        self.rest_url = self.url = ""

    async def on_time(self, _request: web.Request) -> web.Response:
        """GET /v5/market/time."""
        now_ns = time.time_ns() + int(self.skew_seconds * 1e9)
        result = {"timeSecond": str(now_ns // 10**9), "timeNano": str(now_ns)}
        return web.json_response({"retCode": 0, "retMsg": "OK", "result": result, "time": now_ns // 10**6})

    async def on_socket(self, request: web.Request) -> web.StreamResponse:
        """One connection, until either side ends it."""
        if self.refuse_connections:
            return web.Response(status=503)
        response = web.WebSocketResponse()
        await response.prepare(request)
        socket = TradeSocket(response, request)
        self.connections += 1
        self.sockets.append(socket)
        try:
            async for message in response:
                if message.type is WSMsgType.TEXT:
                    await self._hear(socket, json.loads(message.data))
        except ConnectionError:
            pass  # the test, or the client, has cut it
        finally:
            self.sockets.remove(socket)
        return response

    async def _hear(self, socket: TradeSocket, message: Asked) -> None:
        match message["op"]:
            case "auth":
                self.signed_in.append(message)
                answer = self.auth_answers.pop(0) if len(self.auth_answers) > 1 else self.auth_answers[0]
                if answer is not None:
                    await socket.say({"op": "auth", "connId": "c-1"} | answer)
            case "ping":
                self.pings += 1
                if not self.deaf:
                    await socket.say({"retCode": 0, "retMsg": "OK", "op": "pong", "data": ["1711002002529"]})
            case _:
                self.asked.append(message)
                await self.react(socket, message)


@asynccontextmanager
async def trade_venue(react: React = polite) -> AsyncIterator[TradeVenue]:
    """A venue that answers so."""
    venue = TradeVenue(react)
    app = web.Application()
    app.router.add_get("/v5/market/time", venue.on_time)
    app.router.add_get("/v5/trade", venue.on_socket)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    venue.rest_url, venue.url = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}"
    try:
        yield venue
    finally:
        await asyncio.gather(*(socket.close() for socket in list(venue.sockets)))
        await runner.cleanup()
