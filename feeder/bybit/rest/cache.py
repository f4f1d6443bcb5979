"""One client for each key and environment, kept while it is used: for programs that serve many accounts.

    async with ClientCache() as cache:
        client = cache.get_or_create(key, secret)

A client is thin: connections, rate limits and the venue's clock are the pool's. So forgetting one closes nothing, and
whoever still holds it goes on using it.
"""

import asyncio
from hashlib import sha256
from itertools import islice
from operator import itemgetter
from secrets import token_bytes

from feeder.clock import Clock, SystemClock
from feeder.errors import ParameterError, PoolError, RestError

from .client import BybitClient
from .pool import SessionPool
from .secret import Secret
from .settings import Settings

TTL_SECONDS = 600.0
"""How long a client is kept that nobody uses."""

MAX_CLIENTS = 100_000
"""More than one address can use within the usual TTL: at 600 requests per 5 s, each by another key, 72,000."""

_Name = tuple[str | None, bytes | None, bool, bool, int, str | None]
"""Key, digest of the secret, testnet, demo, recv_window, base_url: what makes a client another one."""

_SWEEPS_PER_TTL = 10
_SHORTEST_SWEEP = 1.0  # seconds between two
_SLICE = 1_000  # clients looked at in one turn of the loop: 0.1 ms
_MADE_ROOM = 16  # at the bound this fraction goes at once, so that a look at all is paid for by many new ones


class CacheCounters:
    """What has happened in a cache."""

    __slots__ = ("evicted", "expired", "hits", "misses", "swept")

    def __init__(self) -> None:
        self.hits = 0
        self.misses = 0  # a client was made
        self.expired = 0  # found too old when it was asked for
        self.swept = 0  # forgotten for their age by `cleanup_expired` or in the background
        self.evicted = 0  # forgotten to make room


class ClientCache:
    """Clients by key, secret and environment; the same object for the same of these, within `ttl_seconds` of its use.

    A use is a `get_or_create` or a request; a client with a request under way is in use, however long that takes, and
    stays. Over `max_clients` the longest unused go, a sixteenth at once; those in use stay even then. Clients stand on
    `pool`, or the pool of the process, or, where there is none, on one of the cache's own. `clock` is for tests, and
    by default the pool's.

    No event loop is needed to fill or read it. Within one, the old are swept in the background, a slice at a time;
    without one, by the reads. Like the pool, a cache is for one thread and, once its clients send, for one event loop.
    `counters` are plain ints, `len(cache)` is how many clients are kept.
    """

    def __init__(
        self,
        pool: SessionPool | None = None,
        *,
        ttl_seconds: float = TTL_SECONDS,
        max_clients: int = MAX_CLIENTS,
        clock: Clock | None = None,
    ) -> None:
        if not 0 < ttl_seconds < float("inf") or max_clients < 1:
            raise ValueError(f"ttl_seconds {ttl_seconds}, max_clients {max_clients}: both must be above 0, and finite")
        self.counters = CacheCounters()
        self._clock = clock or (SystemClock() if pool is None else pool.clock)
        self._monotonic = self._clock.monotonic
        self._own_pool: SessionPool | None = None
        self._fixed_pool = pool  # given, or our own; None: that of the process, whichever it is
        self._pool = pool  # the one that the clients stand on
        self._ttl = ttl_seconds
        self._most = max_clients
        self._clients: dict[_Name, BybitClient] = {}
        self._salt = token_bytes(16)  # so that a digest, seen in a dump, cannot be looked up
        self._sweep_seconds = max(ttl_seconds / _SWEEPS_PER_TTL, _SHORTEST_SWEEP)
        self._sweep_at = float("-inf")
        self._handle: asyncio.Handle | None = None  # of the next sweep, or slice of it
        self._closed = False

    def __len__(self) -> int:
        return len(self._clients)

    def __repr__(self) -> str:
        return f"ClientCache({len(self._clients)} clients)"

    async def __aenter__(self) -> "ClientCache":
        self._begin_sweep(self._monotonic())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Forget all clients; the cache's own pool, if there is one, is closed, and with it requests under way."""
        self._closed = True
        self._sweep_at = float("inf")
        self._clients.clear()
        self._cancel()
        if self._own_pool is not None:
            await self._own_pool.aclose()

    def get_or_create(
        self,
        api_key: str | None = None,
        api_secret: str | Secret | None = None,
        testnet: bool = False,
        demo: bool = False,
        recv_window: int = 5000,
        *,
        base_url: str | None = None,
    ) -> BybitClient:
        """The client for this key and environment; None and None is the public one. Parameters are BybitClient's.

        Raises PoolError when the cache is closed, and what BybitClient raises; then nothing is kept.
        """
        now = self._monotonic()
        if now >= self._sweep_at:
            self._begin_sweep(now)
        if api_secret is None:
            digest = None
        else:
            if type(api_secret) is str:
                text = api_secret
            elif type(api_secret) is Secret:
                text = api_secret.reveal()
            else:
                problem = f"must be text or a Secret, not {type(api_secret).__name__}"
                del api_secret
                raise ParameterError("ClientCache", "api_secret", problem)
            # "surrogatepass": an error of the encoding would have the secret in it.
            digest = sha256(self._salt + text.encode("utf-8", "surrogatepass")).digest()
            del text
        name = (api_key, digest, testnet, demo, recv_window, base_url)
        client = self._clients.get(name)
        if client is not None and (self._fixed_pool or SessionPool.default) is self._pool:
            if now - client.last_used < self._ttl or client.in_flight:
                client.last_used = now
                self.counters.hits += 1
                return client
            self.counters.expired += 1
        try:
            pool = self._ground()
            client = BybitClient(api_key, api_secret, testnet, demo, recv_window, pool=pool, base_url=base_url)
        except RestError:
            del api_secret  # so that no traceback that shows local variables shows it
            raise
        client.last_used = now
        self.counters.misses += 1
        self._clients.pop(name, None)  # an old one of this name needs no room
        if len(self._clients) >= self._most:
            self._make_room()
        self._clients[name] = client
        return client

    def get_or_create_from(self, settings: Settings) -> BybitClient:
        """The client that the settings describe."""
        return self.get_or_create(**settings.parameters)

    def cleanup_expired(self) -> int:
        """Forget whatever was not used for the TTL; how many that were. No need to call it within an event loop."""
        return self._forget_old(list(self._clients), self._monotonic())

    def _ground(self) -> SessionPool:
        """The pool for a new client. Clients on another, which the process has closed since, are no use any more."""
        if self._closed:
            raise PoolError("the client cache is closed; make another")
        pool = self._fixed_pool or SessionPool.default
        if pool is None:
            pool = self._fixed_pool = self._own_pool = SessionPool(clock=self._clock)
        if pool is not self._pool:
            self._clients.clear()
            self._pool = pool
        return pool

    # Forgetting

    def _forget_old(self, names: list[_Name], now: float) -> int:
        clients = self._clients
        last = now - self._ttl
        before = len(clients)
        for name in names:
            client = clients.get(name)
            if client is not None and client.last_used <= last and not client.in_flight:
                del clients[name]
        forgotten = before - len(clients)
        self.counters.swept += forgotten
        return forgotten

    def _make_room(self) -> None:
        idle = [(client.last_used, name) for name, client in self._clients.items() if not client.in_flight]
        idle.sort(key=itemgetter(0))
        for _, name in islice(idle, max(1, self._most // _MADE_ROOM)):
            del self._clients[name]
            self.counters.evicted += 1

    # The background sweep: a timer and no task, so that a cache nobody closes leaves nothing behind in its loop.

    def _begin_sweep(self, now: float) -> None:
        """Look at all clients, and have it done again while there are any: by the loop, or by reads without one."""
        self._sweep_at = now + self._sweep_seconds
        self._cancel()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.cleanup_expired()
        else:
            self._sweep(loop, list(self._clients), now)

    def _sweep(self, loop: asyncio.AbstractEventLoop, names: list[_Name], now: float) -> None:
        self._forget_old(names[-_SLICE:], now)
        del names[-_SLICE:]
        if names:
            self._handle = loop.call_soon(self._sweep, loop, names, now)
        else:
            self._handle = loop.call_later(self._sweep_seconds, self._on_timer)

    def _on_timer(self) -> None:
        if self._clients:
            self._begin_sweep(self._monotonic())
        else:
            self._sweep_at = float("-inf")  # the next read begins again
            self._handle = None

    def _cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
