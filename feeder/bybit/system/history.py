"""Bars of any length of time: asked for in pages of 1000, the finished ones kept, what is missing told.

The venue gives a page with the youngest bar first and says nothing of a bar that it does not have. Bars are numbered
(history_bars), and a page is always of the same thousand numbers, so that whoever asks again finds it. A page that is
not over yet is asked for from where it ended; the bar that is running is told and never kept. A bar counts as finished
a second after its end, and is kept from ten seconds after it on.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import msgspec

from feeder.clock import Clock
from feeder.errors import InvalidRequestError, ParameterError

from ..rest.reply import Page, Reply
from ..rest.results.market import Candle
from .history_bars import LARGEST_MS, Span, check_interval, moment_ms, number_of, start_of
from .market_cache import CacheCounts, TtlCache
from .unknown_symbol import of_symbol

BARS_PER_PAGE = 1000  # the most that the venue gives at once
_CATEGORIES = ("spot", "linear", "inverse")  # options have no bars
_SETTLE_MS = 1000  # a bar that ended no longer ago may still get its last trades
_KEEP_MS = 10_000  # nor is it kept, or called missing, before: the venue may be late with it
_AHEAD_MS = 60_000  # so far our idea of the venue's time may be behind


_PageKey = tuple[str, str, str, int]
"""Category, symbol, interval, number of the page."""


class Source(Protocol):
    """What of BybitClient is needed."""

    async def klines(
        self, category: Any, symbol: str, interval: Any, *, start: int | None, end: int | None, limit: int | None
    ) -> Reply[Page[Candle]]:
        """Bars that begin from `start` to `end`, both included, the youngest first."""
        ...

    def venue_ms(self) -> int:
        """The venue's time, ms."""
        ...


class Candles(NamedTuple):
    """Finished bars, oldest first; what is missing among them; the bar that is not finished, if it was asked for."""

    candles: list[Candle]
    missing: list[Span]
    running: Candle | None


@dataclass(slots=True)
class _Stored:
    """The finished bars of one page: all that the venue has before number `until`."""

    until: int
    candles: list[Candle] = field(default_factory=list)


class _Extended(NamedTuple):
    """A page as the venue has it now, with the bars that are not finished, oldest first."""

    stored: _Stored
    running: list[Candle]


class HistoryPages:
    """Pages of finished bars, at most `pages`: the one unused for longest goes first. They never expire."""

    def __init__(self, source: Source, pages: int, clock: Clock) -> None:
        self._source = source
        self._most = pages
        self._counts = CacheCounts()
        self._stored: OrderedDict[_PageKey, _Stored] = OrderedDict()
        self._flights: TtlCache[_Extended] = TtlCache(0.0, 1, clock)  # for its one request at a time
        self._launches: TtlCache[int | None] = TtlCache(float("inf"), 10_000, clock)
        self._invalidations = 0

    @property
    def counts(self) -> CacheCounts:
        """As of now; a page that only wanted its newest bars is a miss."""
        flights = self._flights.counts
        return msgspec.structs.replace(
            self._counts,
            entries=len(self._stored),
            misses=flights.misses,
            joined=flights.joined,
            failures=flights.failures,
        )

    def latest(self, interval: str) -> int:
        """The number of the last bar that may have begun."""
        return number_of(interval, self._source.venue_ms() + _AHEAD_MS)

    async def page(self, category: str, symbol: str, interval: str, index: int, until: int) -> _Extended:
        """A page, with all finished bars before number `until` that there are. Raises RestError, InstrumentError."""
        key = (category, symbol, interval, index)
        stored = self._stored.get(key)
        if stored is not None:
            self._stored.move_to_end(key)
            if stored.until >= until:
                self._counts.hits += 1
                return _Extended(stored, [])
        return (await self._flights.get(key, lambda: self._extend(key))).value

    async def first_bar(self, category: str, symbol: str) -> int | None:
        """When the venue's first bar of a minute begins, ms; None when it has no bars yet. Four requests, then kept."""
        asked = (category, symbol)
        first = (await self._launches.get(asked, lambda: self._find_first(category, symbol))).value
        if first is None:
            self._launches.invalidate(lambda key: key == asked)
        return first

    def resize(self, pages: int) -> None:
        """Keep so many from now on."""
        self._most = pages
        self._evict()

    def invalidate(self, category: str | None = None, symbol: str | None = None) -> int:
        """Forget the pages of a symbol, of a category, or all; how many that were."""

        def matches(key: Any) -> bool:
            return category in (None, key[0]) and symbol in (None, key[1])

        self._invalidations += 1
        chosen = [key for key in self._stored if matches(key)]
        for key in chosen:
            del self._stored[key]
        self._flights.invalidate(matches)
        self._launches.invalidate(matches)
        return len(chosen)

    async def aclose(self) -> None:
        """Forget all, and end what is under way."""
        self._stored.clear()
        await asyncio.gather(self._flights.aclose(), self._launches.aclose())

    async def _extend(self, key: _PageKey) -> _Extended:
        """Ask for what is not known of a page yet."""
        category, symbol, interval, index = key
        first, end = index * BARS_PER_PAGE, (index + 1) * BARS_PER_PAGE
        old = self._stored.get(key) or _Stored(first)
        invalidations = self._invalidations
        try:
            reply = await self._source.klines(
                category,
                symbol,
                interval,
                start=start_of(interval, old.until),
                end=start_of(interval, end) - 1,
                limit=BARS_PER_PAGE,
            )
        except InvalidRequestError as error:
            raise of_symbol(error, category, symbol) from error
        # By number: no row twice, and none that was not asked for.
        rows = {number_of(interval, candle.start_ms): candle for candle in reply.result.entries}
        # By the venue's own time, in the reply: a bar is over when the next one has begun.
        over, settled = (number_of(interval, reply.time_ms - ago) for ago in (_SETTLE_MS, _KEEP_MS))
        kept = min(end, max(old.until, settled))
        until = min(end, max(kept, min(over, max(rows, default=first) + 1)))
        fresh = [(number, rows[number]) for number in sorted(rows) if old.until <= number < end]
        # A new object: whoever iterates over the old one goes on with it.
        stored = _Stored(kept, old.candles + [candle for number, candle in fresh if number < kept])
        if invalidations == self._invalidations:
            self._stored[key] = stored
            self._evict()
        finished = [candle for number, candle in fresh if kept <= number < until]
        told = _Stored(until, stored.candles + finished) if until > kept else stored
        return _Extended(told, [candle for number, candle in fresh if number >= until])

    async def _find_first(self, category: str, symbol: str) -> int | None:
        """By its first month, which is in one page of 1000 of them, in that its first day, its first hour, its first
        minute."""
        first = end = None
        for interval in ("M", "D", "60", "1"):
            reply = await self._source.klines(category, symbol, interval, start=first, end=end, limit=BARS_PER_PAGE)
            if not reply.result.entries:
                break
            first = min(candle.start_ms for candle in reply.result.entries)
            end = start_of(interval, number_of(interval, first) + 1) - 1
        return first

    def _evict(self) -> None:
        while len(self._stored) > self._most:
            self._stored.popitem(last=False)
            self._counts.evicted += 1


class History:
    """The finished bars that begin at `start` or later and before `end`, oldest first: `async for candle in history`.

    `missing` grows as it goes on: spans that the venue has no bars for, though it has older ones; before a symbol's
    first bar nothing is missing. `running` is the first bar that is not finished, once the iteration has come to it;
    None when it was not asked for. Every iteration begins anew. `told` hears at its end how many finished bars were
    asked for, and how many of them are missing.
    """

    def __init__(
        self,
        pages: HistoryPages,
        category: str,
        symbol: str,
        interval: str,
        start: int | datetime,
        end: int | datetime | None,
        told: "Callable[[History, int, int], None]",
    ) -> None:
        if category not in _CATEGORIES:
            raise ParameterError("history", "category", f"{category!r} has no bars; use {', '.join(_CATEGORIES)}")
        check_interval(interval)
        start_ms = moment_ms("start", start)
        end_ms = None if end is None else moment_ms("end", end)
        if end_ms is not None and end_ms <= start_ms:
            raise ParameterError("history", "end", "must be later than start")
        self.category = category
        self.symbol = symbol
        self.interval = interval
        self.missing: list[Span] = []
        self.running: Candle | None = None
        self._pages = pages
        self._first = number_of(interval, start_ms - 1) + 1  # the first that begins there or later
        self._end_ms = end_ms
        self._told = told

    def __aiter__(self) -> AsyncIterator[Candle]:
        return self._each()

    async def list(self) -> Candles:
        """All of it, about 0.75 MB for 1000 bars. Raises RestError, InstrumentError."""
        candles = [candle async for candle in self]
        return Candles(candles, self.missing, self.running)

    async def _each(self) -> AsyncIterator[Candle]:
        interval = self.interval
        self.missing, self.running = [], None
        number = self._first
        end = self._pages.latest(interval) + 1
        if self._end_ms is not None:
            end = min(end, number_of(interval, self._end_ms - 1) + 1)
        begun = False  # whether there is an older bar than those that are looked at
        asked = missing = 0
        while number < end:
            index = number // BARS_PER_PAGE
            until = min(end, (index + 1) * BARS_PER_PAGE)
            stored, running = await self._pages.page(self.category, self.symbol, interval, index, until)
            finished = min(until, stored.until)
            expected = number
            for candle in stored.candles:
                found = number_of(interval, candle.start_ms)
                if found >= finished:
                    break
                if found >= number:
                    if found > expected and not begun:
                        expected = min(await self._expected(expected), found)
                    missing += self._miss(expected, found)
                    asked += found + 1 - expected
                    expected = found + 1
                    yield candle
                begun = True
            if not begun and expected < finished:
                expected = await self._expected(expected)
                if expected >= finished:  # pages without any bar are not asked for
                    number = expected
                    continue
            asked += max(finished - expected, 0)
            missing += self._miss(expected, finished)
            for candle in running:
                if self.running is None and number <= number_of(interval, candle.start_ms) < end:
                    self.running = candle
            number = until
        self._told(self, asked, missing)

    async def _expected(self, number: int) -> int:
        """This bar, or the first that the venue has if that is later; past all bars when it has none."""
        first_ms = await self._pages.first_bar(self.category, self.symbol)
        return max(number, number_of(self.interval, LARGEST_MS if first_ms is None else first_ms))

    def _miss(self, first: int, end: int) -> int:
        """Note a span of bars that are missing, if it is one; over the end of a page it goes on."""
        if first >= end:
            return 0
        start_ms, end_ms = start_of(self.interval, first), start_of(self.interval, end)
        bars = end - first
        if self.missing and self.missing[-1].end_ms == start_ms:
            last = self.missing.pop()
            start_ms, bars = last.start_ms, bars + last.bars
        self.missing.append(Span(start_ms, end_ms, bars))
        return end - first
