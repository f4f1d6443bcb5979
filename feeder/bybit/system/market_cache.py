"""What REST said, kept for a while: bounded, and never asked twice at once for the same thing."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, fields
from typing import Generic, NamedTuple, TypeVar

import msgspec

from feeder.clock import Clock
from feeder.errors import PoolError

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """How long the market keeps what REST said, in seconds, and how much of it.

    `entries` is the most of each kind. `history_pages` are of 1000 finished bars, about 0.75 MB each; they never
    expire. 0 seconds: kept for nobody, though two who ask at once still make one request.
    """

    instrument_seconds: float = 300.0
    ticker_seconds: float = 1.0
    book_seconds: float = 1.0
    trades_seconds: float = 1.0
    fee_rate_seconds: float = 3600.0
    entries: int = 1000
    history_pages: int = 64

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_seconds"):
                if not 0 <= value < float("inf"):
                    raise ValueError(f"{field.name} {value!r}: must be seconds, 0 or more")
            elif type(value) is not int or value < 1:
                raise ValueError(f"{field.name} {value!r}: must be a whole number, 1 or more")


class CacheCounts(msgspec.Struct):
    """What has happened in a cache since the start, and how many `entries` it has now.

    `joined`: asked while the same was under way, and given its answer; `expired` ones were asked for and too old.
    """

    entries: int = 0
    hits: int = 0
    misses: int = 0
    joined: int = 0
    expired: int = 0
    evicted: int = 0
    failures: int = 0


class Kept(NamedTuple, Generic[Value]):
    """A value, and how many seconds ago it was asked for; 0 for one that has just come."""

    value: Value
    age_seconds: float


class TtlCache(Generic[Value]):
    """Values for `ttl_seconds`, at most `entries`: the one unused for longest goes first. Errors are not kept.

    For one event loop.
    """

    def __init__(self, ttl_seconds: float, entries: int, clock: Clock) -> None:
        self.ttl_seconds = ttl_seconds
        self._entries = entries
        self._clock = clock
        self._counts = CacheCounts()
        self._kept: OrderedDict[Hashable, tuple[Value, float]] = OrderedDict()  # the longest unused first
        self._flights: dict[Hashable, asyncio.Task[Value]] = {}  # bounded by who waits for them
        self._tasks: set[asyncio.Task[Value]] = set()  # those, and what was invalidated while it was under way

    @property
    def counts(self) -> CacheCounts:
        """As of now."""
        return msgspec.structs.replace(self._counts, entries=len(self._kept))

    async def get(self, key: Hashable, fetch: Callable[[], Awaitable[Value]]) -> Kept[Value]:
        """What is kept, or what `fetch` brings; raises what that raises, to everybody who waits for it.

        Who gives up waiting ends nothing: the others get their answer, and so does the cache. Raises PoolError when it
        is closed meanwhile.
        """
        now = self._clock.monotonic()
        kept = self._kept.get(key)
        if kept is not None:
            age = now - kept[1]
            if age < self.ttl_seconds:
                self._kept.move_to_end(key)
                self._counts.hits += 1
                return Kept(kept[0], age)
            del self._kept[key]
            self._counts.expired += 1
        flight = self._flights.get(key)
        if flight is None:
            self._counts.misses += 1
            flight = self._flights[key] = asyncio.create_task(self._fetch(key, fetch), name=f"fetch {key}")
            self._tasks.add(flight)
            flight.add_done_callback(self._tasks.discard)
        else:
            self._counts.joined += 1
        try:
            return Kept(await asyncio.shield(flight), 0.0)  # which also sees an error that nobody waits for
        except asyncio.CancelledError:
            asker = asyncio.current_task()
            if flight.cancelled() and asker is not None and not asker.cancelling():
                raise PoolError(f"closed while {key} was asked for") from None
            raise

    def invalidate(self, matches: Callable[[Hashable], bool] | None = None) -> int:
        """Forget what `matches`, or all; what is under way will not be kept either. How many were kept."""
        chosen = [key for key in self._kept if matches is None or matches(key)]
        for key in chosen:
            del self._kept[key]
        for key in [key for key in self._flights if matches is None or matches(key)]:
            del self._flights[key]
        return len(chosen)

    def resize(self, ttl_seconds: float, entries: int) -> None:
        """Other bounds, from now on and for what is kept already."""
        self.ttl_seconds = ttl_seconds
        self._entries = entries
        self._evict()

    async def aclose(self) -> None:
        """Forget all, and end what is under way."""
        self.invalidate()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fetch(self, key: Hashable, fetch: Callable[[], Awaitable[Value]]) -> Value:
        task = asyncio.current_task()
        asked = self._clock.monotonic()  # a value is at least as young as this
        try:
            value = await fetch()
        except Exception:
            self._counts.failures += 1
            raise
        else:
            if self._flights.get(key) is task and self.ttl_seconds > 0:
                self._kept[key] = (value, asked)
                self._evict()
            return value
        finally:
            if self._flights.get(key) is task:
                del self._flights[key]

    def _evict(self) -> None:
        while len(self._kept) > self._entries:
            self._kept.popitem(last=False)
            self._counts.evicted += 1
