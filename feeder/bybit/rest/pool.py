"""One shared HTTP session for every client: its connections, and the venue's limits on this address.

    async with SessionPool() as pool:
        client = BybitClient(pool=pool)

or once for the process, `SessionPool.setup()` and, at its end, `await SessionPool.close()`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from random import Random
from typing import Any, ClassVar, NamedTuple

import aiohttp

from feeder.clock import Clock, SystemClock
from feeder.errors import BarredError, BudgetError, PoolError

from .endpoint import Endpoint, Limit
from .limits import Window, Windows
from .venue_clock import VenueClock
from .watch import Watch

REQUESTS = 600
"""What the venue allows one address in any 5 s, over all its hosts. Source: Bybit v5, rate-limit/rate-limit."""

SOCKET_ORDERS = 3000
"""What the venue allows one address in any second on its order-entry sockets. Source: websocket/trade/guideline."""

_SPAN = 5.0
_SPAN_MARGIN = 0.5  # seconds; overtaking on the way must not cost ten minutes of silence
_KEY_MARGIN = 0.05  # seconds; here it costs one request that is asked again
_SILENCE_SECONDS = 600.0  # after HTTP 403 the venue wants no request at all for at least 10 minutes
_LATE = 0.25  # seconds; what goes so long after its slot, as when the loop stood still, needs another
_KEEP_ALIVE_SECONDS = 15.0  # less than any server in between keeps an idle connection, so that no order meets its end
_DNS_SECONDS = 60  # the venue stands behind addresses that change

_log = logging.getLogger("feeder.bybit.rest")


class Timeouts(NamedTuple):
    """Seconds for each phase of a request; one that is asked again has them again."""

    turn: float = 30.0  # until the rate limits let it go; what would wait longer fails at once
    connect: float = 5.0  # for a connection: a free one, or name, TCP and TLS
    answer: float = 15.0  # from its turn to the end of the answer


_TIMEOUTS = Timeouts()


class Counters:
    """What has happened in a pool."""

    __slots__ = ("barred", "clock_measurements", "failures", "refused", "requests", "retries", "waits")

    def __init__(self) -> None:
        self.requests = 0  # sent, repeated ones included
        self.retries = 0  # of these, repeated
        self.failures = 0  # without an answer of the API
        self.refused = 0  # answered with a retCode that is an error
        self.barred = 0  # HTTP 403
        self.waits = 0  # requests that had to wait for their turn
        self.clock_measurements = 0

    def __repr__(self) -> str:
        return f"Counters({', '.join(f'{name}={getattr(self, name)}' for name in self.__slots__)})"


class _Close:
    """`SessionPool.close()`: the pool of the process; `pool.close()`: that pool, whichever it is."""

    def __get__(self, pool: "SessionPool | None", owner: type["SessionPool"]) -> Callable[[], Awaitable[None]]:
        return owner.close_default if pool is None else pool.aclose


class SessionPool:
    """The session, made by the first request, and with it bound to that request's event loop.

    `max_connections` at once, kept alive 15 s, names for a minute. `requests` is the budget in any 5 s: divide it
    when several processes share an address; a fifth of it is kept for what needs a key. `ssl` is a context other than
    the system's. `clock`, `random` and `sleep` are for tests. `counters` are plain ints. After HTTP 403 nothing is sent
    for 10 minutes, by whatever client: BarredError.
    """

    default: ClassVar["SessionPool | None"] = None
    """The pool of the process, if it was set up."""

    def __init__(
        self,
        max_connections: int = 2000,
        *,
        requests: int = REQUESTS,
        timeouts: Timeouts = _TIMEOUTS,
        ssl: Any = True,
        clock: Clock | None = None,
        random: Random | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if max_connections < 1 or requests < 1:
            raise ValueError(f"max_connections {max_connections}, requests {requests}: both must be at least 1")
        self.clock: Clock = clock or SystemClock()
        self.random = random or Random()  # noqa: S311 - jitter and order names
        self.sleep = sleep
        self.timeouts = timeouts
        self.watch = Watch(timeouts.answer)
        self.counters = Counters()
        self._max_connections = max_connections
        self._ssl = ssl
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._barred_until = float("-inf")
        self._budget = Window(Limit(requests, _SPAN), _SPAN_MARGIN)
        # What needs no key never takes all of it: an order must not wait behind a thousand candles.
        self.public = Window(Limit(requests - requests // 5, _SPAN), _SPAN_MARGIN)
        # Of order entry over WebSocket, which HTTP's budget and its HTTP 403 do not concern.
        self.socket_orders = Window(Limit(SOCKET_ORDERS), _KEY_MARGIN)
        self.windows = Windows(_KEY_MARGIN)
        self._venue_clocks: dict[str, VenueClock] = {}
        self._tasks: set[asyncio.Future[None]] = set()

    # The one of the process

    @classmethod
    def setup(cls, max_connections: int = 2000, **options: Any) -> "SessionPool":
        """Make the pool that clients without one of their own use. Raises PoolError when there is one in use."""
        if SessionPool.default is not None and SessionPool.default.is_open:
            raise PoolError("the session pool of this process is set up already; await SessionPool.close() first")
        SessionPool.default = cls(max_connections, **options)
        return SessionPool.default

    close = _Close()

    @classmethod
    async def close_default(cls) -> None:
        """Close the pool of the process, if there is one; it may be set up again."""
        pool = SessionPool.default
        if pool is not None:
            await pool.aclose()
            if SessionPool.default is pool:  # and no other was set up meanwhile
                SessionPool.default = None

    # Its life

    async def __aenter__(self) -> "SessionPool":
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open" if self.is_open else "not used yet"
        return f"SessionPool({state}, {self.counters})"

    @property
    def is_open(self) -> bool:
        """Whether it has a session in an event loop that has not ended."""
        return self._session is not None and self._loop is not None and not self._loop.is_closed()

    @property
    def is_closed(self) -> bool:
        """Whether `aclose` was called: nothing can be sent any more."""
        return self._closed

    async def aclose(self) -> None:
        """Close all connections. Requests under way or waiting fail with PoolError. A second time does nothing.

        Raises PoolError in another event loop than the pool's, unless that has ended.
        """
        loop = self._loop
        if loop is not None and loop is not asyncio.get_running_loop() and not loop.is_closed():
            raise PoolError("the session pool belongs to an event loop that runs elsewhere; close it there")
        self._closed = True
        self.watch.close()
        session, self._session = self._session, None
        tasks = list(self._tasks) if loop is asyncio.get_running_loop() else []  # nothing goes on in one that has ended
        for task in tasks:
            task.cancel()
        if session is not None:
            await session.close()
        await asyncio.gather(*tasks, return_exceptions=True)

    def session(self) -> aiohttp.ClientSession:
        """The session, for the event loop that runs. Raises PoolError when it is another's, or closed."""
        loop = asyncio.get_running_loop()
        if self._session is not None and self._loop is loop:
            return self._session
        if self._closed:
            raise PoolError("the session pool is closed; make another (SessionPool.setup()), and clients on it")
        if self._loop is not None:
            state = "has ended" if self._loop.is_closed() else "still runs elsewhere"
            raise PoolError(
                f"the session pool belongs to the event loop of its first request, which {state}; make one pool for"
                " each asyncio.run, and await its aclose() (or SessionPool.close()) before that ends"
            )
        self._loop = loop
        timeouts = self.timeouts
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._max_connections,
                ttl_dns_cache=_DNS_SECONDS,
                keepalive_timeout=_KEEP_ALIVE_SECONDS,
                ssl=self._ssl,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),  # the API sets none that it wants back
            timeout=aiohttp.ClientTimeout(
                total=None,  # the watch does that
                connect=timeouts.connect,
                sock_connect=timeouts.connect,
            ),
        )
        return self._session

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run beside the requests until it ends or the pool is closed."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def pause(self, seconds: float) -> None:
        """Sleep. Raises PoolError as soon as the pool is closed."""
        nap = asyncio.ensure_future(self.sleep(seconds))
        self._tasks.add(nap)
        try:
            await asyncio.wait((nap,))
        finally:
            nap.cancel()
            self._tasks.discard(nap)
        self.session()
        nap.result()

    # The venue's limits

    def venue_clock(self, base_url: str) -> VenueClock:
        """What is known of the time at this address."""
        known = self._venue_clocks.get(base_url)
        if known is None:
            known = self._venue_clocks[base_url] = VenueClock(self.clock)
        return known

    def set_requests(self, requests: int) -> None:
        """Another budget in any 5 s (at least 1), from now on; what was sent already counts."""
        if requests < 1:
            raise ValueError(f"requests {requests}: must be at least 1")
        self._budget.limit = Limit(requests, _SPAN)
        self.public.limit = Limit(requests - requests // 5, _SPAN)

    def address_usage(self) -> tuple[int, Limit]:
        """How much of the budget of this address is used now, and what it is."""
        return self._budget.used(self.clock.monotonic()), self._budget.limit

    def bar(self) -> float:
        """The venue answered HTTP 403: nothing is sent for so many seconds."""
        self.counters.barred += 1
        now = self.clock.monotonic()
        if now >= self._barred_until:  # once, not for each request that was under way
            _log.warning(
                "HTTP 403: the venue bars this address, so nothing is sent for %g s; send less, or from a country that"
                " it serves (all processes of an address share one budget)",
                _SILENCE_SECONDS,
            )
        self._barred_until = now + _SILENCE_SECONDS
        return _SILENCE_SECONDS

    def take_turn(self, window: Window | None, count: int = 1, line: Window | None = None) -> bool:
        """Let a request go at once, if the limits of its key (`count` slots of `window`) and of this address allow it.

        `line` is the address's limit where it is not that of HTTP. This is what `turn` does when nobody has to wait,
        without the cost of a coroutine.
        """
        now = self.clock.monotonic()
        if line is None:
            line = self._budget
            if now < self._barred_until:
                return False
        if not line.try_take(now):
            return False
        if window is not None and not window.try_take(now, count):
            line.give_back(now)
            return False
        return True

    async def turn(
        self, endpoint: Endpoint[Any], window: Window | None, count: int = 1, line: Window | None = None
    ) -> None:
        """Wait until a request may go; `line` as of `take_turn`.

        Raises BarredError, PoolError, or BudgetError if it would wait longer than `timeouts.turn`.
        """
        self.session()  # a pool that cannot send lets nobody wait
        line = line or self._budget
        self._check_barred(endpoint, line)
        patience = self.clock.monotonic() + self.timeouts.turn
        of = "what needs no key" if window is self.public else "this key and endpoint"
        own = 0.0
        if window is not None:
            own = await self._wait(endpoint, window, count, patience, of)
        while True:
            try:
                shared = await self._wait(endpoint, line, 1, patience, "this address")
            except (BudgetError, asyncio.CancelledError):
                if window is not None:
                    window.give_back(own, count)
                raise
            # By a slot that is long over it went then, which it did not: that counts from now.
            now = self.clock.monotonic()
            if now - shared > _LATE:
                line.give_back(shared)
            elif window is None or now - own <= _LATE:
                break
            else:
                window.give_back(own, count)
                if window.try_take(now, count):  # mostly, and then the place in the address's line is kept
                    break
                line.give_back(shared)
                own = await self._wait(endpoint, window, count, patience, of)
        self._check_barred(endpoint, line)

    async def _wait(self, endpoint: Endpoint[Any], window: Window, count: int, patience: float, of: str) -> float:
        """Take slots and wait for them; the time that they are for."""
        now = self.clock.monotonic()
        at = _slot(endpoint, window, now, count, patience, of)
        if at <= now:
            return at
        self.counters.waits += 1
        try:
            while at > now:
                await self.pause(at - now)
                now = self.clock.monotonic()
                if window.held_until > now:  # since these slots were taken
                    window.give_back(at, count)
                    at = _slot(endpoint, window, now, count, patience, of)
        except asyncio.CancelledError:
            window.give_back(at, count)
            raise
        return at

    def _check_barred(self, endpoint: Endpoint[Any], line: Window) -> None:
        silent = self._barred_until - self.clock.monotonic()
        if silent > 0 and line is self._budget:
            raise BarredError(
                f"{endpoint!r}: not sent, as the venue answered HTTP 403 and is left alone for {silent:.0f} s yet",
                retriable=True,
                retry_after_seconds=silent,
            )


def _slot(endpoint: Endpoint[Any], window: Window, now: float, count: int, patience: float, of: str) -> float:
    """Take the next slots. Raises BudgetError, and takes none, if they are later than `patience`."""
    at = window.next_at(now, count)
    if at > patience:
        raise BudgetError(
            f"{endpoint!r}: not sent, as the rate limit of {of} ({window.limit.requests} per"
            f" {window.limit.seconds:g} s) has no room for {at - now:.1f} s yet",
            retriable=True,
            retry_after_seconds=at - now,
        )
    return window.take(now, count)
