"""REST requests that fail on purpose: an aiohttp middleware in front of the exchange's own paths."""

import asyncio
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from feeder.clock import Clock
from feeder.simulator.script import Rest

_PAGE = "<html><head><title>Error</title></head><body><h1>The service is being maintained</h1></body></html>"


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
            fault = self._take(request.path)
            return await handler(request) if fault is None else await self._answer(fault, request, handler)

        return fail

    def _take(self, path: str) -> Rest | None:
        now = self._clock.monotonic()
        self._active = [each for each in self._active if each.until is None or now < each.until]
        for active in self._active:
            if path.startswith(active.fault.path):
                if active.left is not None:
                    active.left -= 1
                    if not active.left:
                        self._active.remove(active)
                return active.fault
        return None

    async def _answer(self, fault: Rest, request: web.Request, handler: Handler) -> web.StreamResponse:
        match fault.how:
            case "hang":
                await self._closed.wait()
                return _cut(request)
            case "truncated":
                whole = await handler(request)
                assert isinstance(whole, web.Response)
                body = whole.body
                assert isinstance(body, bytes)
                response = web.StreamResponse(headers={"Content-Length": str(len(body))})
                response.content_type = whole.content_type
                await response.prepare(request)
                await response.write(body[: len(body) // 2])
                _cut(request)
                return response
            case "html":
                return web.Response(text=_PAGE, content_type="text/html")
            case "wrong_json":
                return web.json_response({"retCode": 0, "retMsg": "OK", "result": [{"symbol": 7}], "time": "now"})
            case 403:
                return web.Response(status=403, text="access too frequent")
            case status:
                return web.Response(status=status, text=_PAGE, content_type="text/html")


def _cut(request: web.Request) -> web.Response:
    """End the request's connection as it is."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()
