"""REST requests that fail on purpose: an aiohttp middleware in front of the exchange's own paths."""

import asyncio
import contextlib
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from feeder.clock import MILLISECOND_NS, Clock
from feeder.simulator.refusals import TIME_WINDOW, TOO_MANY, outside_window, refusal, refused
from feeder.simulator.rest_limits import Visit, limit_of
from feeder.simulator.rest_reply import Refused
from feeder.simulator.script import Rest

_PAGE = "<html><head><title>Error</title></head><body><h1>The service is being maintained</h1></body></html>"
_PAGE_PATH = "/maintenance"  # where a redirect leads; on this server, so that nobody is led out of it


@dataclass(slots=True)
class _Active:
    fault: Rest
    left: int | None  # requests
    until: float | None


class RestFaults:
    """Which requests fail, and how. `close` lets go of those that hang."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._active: list[_Active] = []
        self._closed = asyncio.Event()

    def add(self, fault: Rest) -> None:
        """From now on."""
        until = None if fault.seconds is None else self._clock.monotonic() + fault.seconds
        self._active.append(_Active(fault, fault.times, until))

    def close(self) -> None:
        """The server is going down."""
        self._closed.set()

    def middleware(self) -> Middleware:
        """What aiohttp asks before each request."""

        @web.middleware
        async def fail(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path == _PAGE_PATH:
                return _page()
            fault = self._take(request)
            return await handler(request) if fault is None else await self._answer(fault, request, handler)

        return fail

    def _take(self, request: web.Request) -> Rest | None:
        now = self._clock.monotonic()
        self._active = [each for each in self._active if each.until is None or now < each.until]
        for active in self._active:
            fault = active.fault
            if request.path.startswith(fault.path) and fault.method in (None, request.method):
                if active.left is not None:
                    active.left -= 1
                    if not active.left:
                        self._active.remove(active)
                return fault
        return None

    async def _answer(self, fault: Rest, request: web.Request, handler: Handler) -> web.StreamResponse:
        if fault.ret_code is not None:
            return self._refuse(fault.ret_code, fault.ret_msg, request)
        match fault.how:
            case "hang":
                await self._closed.wait()
                return _cut(request)
            case "truncated":
                return await _truncated(request, handler)
            case "lost":
                with contextlib.suppress(web.HTTPException):
                    await handler(request)
                return _cut(request)
            case "late":
                response = await handler(request)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._closed.wait(), fault.delay)
                return response
            case "html":
                return _page()
            case "redirect":
                return web.Response(status=302, headers={"Location": _PAGE_PATH})
            case "wrong_json":
                return web.json_response({"retCode": 0, "retMsg": "OK", "result": [{"symbol": 7}], "time": "now"})
            case 403:
                return web.Response(status=403, text="access too frequent")
            case status:
                assert isinstance(status, int)
                return _page(status)

    def _refuse(self, code: int, message: str | None, request: web.Request) -> web.Response:
        now_ms = self._clock.wall_ns() // MILLISECOND_NS
        headers = None
        if message is not None:
            why = Refused(code, message)
        elif code == TIME_WINDOW:
            sent = request.headers
            why = outside_window(sent.get("X-BAPI-TIMESTAMP", ""), now_ms, sent.get("X-BAPI-RECV-WINDOW", "5000"))
        else:
            why = refused(code)
        if code == TOO_MANY and "X-BAPI-SIGN" in request.headers:  # the venue tells a limit only to whom it knows
            limit = limit_of(request.path, request.query.get("category", ""))
            headers = Visit(limit.requests, 0, now_ms + round(limit.seconds * 1000), 0).headers
        return refusal(why, self._clock, headers)


def _page(status: int = 200) -> web.Response:
    return web.Response(status=status, text=_PAGE, content_type="text/html")


async def _truncated(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Half of what the handler answers, under the whole's length."""
    whole = await handler(request)
    assert isinstance(whole, web.Response)
    body = whole.body if isinstance(whole.body, bytes) else b""
    response = web.StreamResponse(status=whole.status, headers={"Content-Length": str(len(body))})
    response.content_type = whole.content_type
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    _cut(request)
    return response


def _cut(request: web.Request) -> web.Response:
    """End the request's connection as it is."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()
