"""A venue on loopback for tests of the client: it answers as it is told, and checks signatures by its own code."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from aiohttp import web

from feeder.bybit.rest.client import BybitClient
from feeder.bybit.rest.pool import SessionPool, Timeouts
from feeder.clock import ManualClock
from tests.helpers.secrets import API_KEY, API_SECRET

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Time(ManualClock):
    """A clock that its own sleeps move on; `slept` is each of them, in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.advance(seconds)
        await asyncio.sleep(0)


class Venue:
    """Answers `answers` in turn, each a dict (the reply's body), a response, or a handler; then `rest` for ever.

    The time endpoint always answers, `ahead_ms` ahead of `clock`. `seen` is every other request: method, path, query
    string, headers, body.
    """

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.ahead_ms = 0
        self.answers: list[dict[str, Any] | web.Response | Handler] = []
        self.rest: dict[str, Any] | Handler = ok({"orderId": "1"})
        self.seen: list[tuple[str, str, str, dict[str, str], bytes]] = []
        self.times_asked = 0
        self.time_fails = False
        self.url = ""

    @property
    def now_ms(self) -> int:
        return self.clock.wall_ns() // 1_000_000 + self.ahead_ms

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/v5/market/time":
            self.times_asked += 1
            if self.time_fails:
                return web.Response(status=503)
            nanoseconds = self.now_ms * 1_000_000
            return web.json_response(ok({"timeSecond": str(nanoseconds // 10**9), "timeNano": str(nanoseconds)}))
        query = request.rel_url.raw_query_string
        self.seen.append((request.method, request.path, query, dict(request.headers), await request.read()))
        answer = self.answers.pop(0) if self.answers else self.rest
        if isinstance(answer, dict):
            return web.json_response(answer)
        return answer if isinstance(answer, web.Response) else await answer(request)

    def signature_is_right(self, secret: str, request: int = -1) -> bool:
        """Whether that request is signed as the venue's guide says, by the venue's time."""
        method, _, query, headers, body = self.seen[request]
        text = query if method == "GET" else body.decode()
        stamp, window = headers["X-BAPI-TIMESTAMP"], headers["X-BAPI-RECV-WINDOW"]
        message = f"{stamp}{headers['X-BAPI-API-KEY']}{window}{text}"
        right = hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest()
        in_time = self.now_ms - int(window) <= int(stamp) < self.now_ms + 1000
        return in_time and headers["X-BAPI-SIGN"] == right


def ok(result: object) -> dict[str, Any]:
    return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": 1_700_000_000_000}


def refusal(code: int, message: str = "no") -> dict[str, Any]:
    return {"retCode": code, "retMsg": message, "result": {}, "retExtInfo": {}, "time": 1_700_000_000_000}


@asynccontextmanager
async def serve(venue: Venue) -> AsyncIterator[Venue]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", venue.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    venue.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield venue
    finally:
        await runner.cleanup()


async def until(condition: Callable[[], bool]) -> None:
    """Let the others run until it is so; not for ever."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for is within the code under test
            await asyncio.sleep(0)


class Scene:
    """A venue, a pool by a clock that its sleeps move, and a client with a key."""

    def __init__(self, venue: Venue, pool: SessionPool, time: Time) -> None:
        self.venue, self.pool, self.time = venue, pool, time
        self.client = self.another(API_KEY)

    def another(self, api_key: str | None, **options: Any) -> BybitClient:
        secret = None if api_key is None else API_SECRET
        return BybitClient(api_key, secret, pool=self.pool, base_url=self.venue.url, **options)


@asynccontextmanager
async def scene(timeouts: Timeouts | None = None, **options: Any) -> AsyncIterator[Scene]:
    time = Time()
    async with serve(Venue(time)) as venue:
        pool = SessionPool(timeouts=timeouts or Timeouts(), clock=time, random=Random(5), sleep=time.sleep, **options)
        async with pool:
            yield Scene(venue, pool, time)
