"""The market: REST and streams merged, symbol by symbol.

async with Market(client) as market:
    view = await market.watch("linear", "BTCUSDT")
    await view.ready()
    print(await view.last_prices(), market.quality("linear", "BTCUSDT"))
"""

from datetime import datetime
from random import Random
from types import TracebackType
from typing import Self

import msgspec

from feeder.clock import Clock, SystemClock
from feeder.log import library_logs
from feeder.market.instrument import InstrumentKey

from ..pacing import Timing
from ..rest.client import BybitClient
from ..stream import StreamState
from ..streams.topic_stream import StreamHealth
from .history import Candles, History
from .market_cache import CacheCounts, CacheLimits
from .market_feeds import MarketFeeds
from .market_reads import MarketReads
from .market_symbol import WatchedSymbol
from .market_view import SymbolView
from .quality import WINDOW_SECONDS, Quality


class SymbolStatus(msgspec.Struct, frozen=True):
    """A watched symbol: its book's status and why, seconds since its last data (None: none came), its quality.

    `score` is of 100, and `weakness` the sentence of its lowest part; "" when no part costs anything.
    """

    category: str
    symbol: str
    depth: int
    book: str
    reason: str
    age_seconds: float | None
    score: float
    weakness: str


class MarketStatus(msgspec.Struct, frozen=True):
    """The market now: watched symbols, connections of books and trades that are up, tickers' streams, caches."""

    symbols: list[SymbolStatus]
    connections: int
    connected: int
    tickers: dict[str, StreamHealth]
    caches: dict[str, CacheCounts]


class Market:
    """Books, tickers and trades of watched symbols by stream; what is not watched, or down, by REST through caches.

    `tickers` (TickerUpdate, merged), `books` (BookEvent), `trades` (Trade) and `errors` are channels of what is
    watched. One symbol's trouble is its own: it is told by `errors`, by its book's status and its quality.

    `websocket_url` has no path; None: the venue's own of the client's environment. `window_seconds` is how long the
    quality remembers. The client stays the caller's.
    """

    def __init__(
        self,
        client: BybitClient,
        *,
        websocket_url: str | None = None,
        cache: CacheLimits | None = None,
        window_seconds: float = WINDOW_SECONDS,
        timing: Timing | None = None,
        clock: Clock | None = None,
        random: Random | None = None,
    ) -> None:
        library_logs()
        clock = clock or SystemClock()
        self._clock = clock
        self._feeds = MarketFeeds(
            client,
            websocket_url,
            window_seconds,
            clock=clock,
            random=random or Random(),  # noqa: S311 - for delays
            timing=timing,
        )
        self._reads = MarketReads(client, cache or CacheLimits(), clock)
        self.tickers = self._feeds.tickers
        self.books = self._feeds.books
        self.trades = self._feeds.trades
        self.errors = self._feeds.errors

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Ready to watch; connects when there is something to."""
        await self._feeds.start()

    async def aclose(self) -> None:
        """Close all sockets, end iterators and callbacks, and what is asked of REST."""
        await self._feeds.aclose()
        await self._reads.aclose()

    # What is watched

    async def watch(
        self, category: str, symbol: str, *, depth: int = 50, ticker: bool = True, trades: bool = True
    ) -> SymbolView:
        """Have a symbol by stream from now on: its book of `depth` levels, and as wanted its ticker and trades.

        Depths: 1, 50, 200, 1000; of options 25, 100. Again: changes what is wanted of it, but for the depth. The last
        1000 trades are kept, about 0.5 MB. Returns once it is asked for; `view.ready()` waits for the data. Raises
        InstrumentError for a symbol that the venue has not or trades no longer, VenueError for a category or depth,
        RestError.
        """
        await self._feeds.watch(category, symbol, depth, ticker, trades)
        return self.symbol(category, symbol)

    async def unwatch(self, category: str, symbol: str) -> bool:
        """Have it by stream no longer; whether it was watched."""
        return await self._feeds.unwatch((category, symbol))

    @property
    def watched(self) -> list[InstrumentKey]:
        """(category, symbol) of all that are."""
        return list(self._feeds.watched)

    def symbol(self, category: str, symbol: str) -> SymbolView:
        """One symbol, watched or not."""
        return SymbolView(
            category,
            symbol,
            self._reads,
            lambda: self._feeds.watched.get((category, symbol)),
            lambda: self._feeds.whole_trades((category, symbol)),
            lambda interval, start, end: self.history(category, symbol, interval, start, end),
        )

    def quality(self, category: str, symbol: str) -> Quality:
        """How far a symbol's data can be trusted now, with the parts that make the score; see quality.py."""
        return self.symbol(category, symbol).quality()

    # History

    def history(
        self, category: str, symbol: str, interval: str, start: int | datetime, end: int | datetime | None = None
    ) -> History:
        """The finished bars that begin at `start` or later and before `end` (None: now): `async for`, oldest first.

        Times are ms since the epoch, or datetimes with a time zone; intervals the venue's: "1" to "720" minutes, "D",
        "W", "M". Finished bars are asked for once. Raises ParameterError; the iteration RestError, and InstrumentError
        for a symbol that the venue has not.
        """
        return History(self._reads.history, category, symbol, interval, start, end, told=self._on_candles)

    async def candles(
        self, category: str, symbol: str, interval: str, start: int | datetime, end: int | datetime | None = None
    ) -> Candles:
        """As `history`, all at once: the bars, the spans that are missing, and the bar that is running."""
        return await self.history(category, symbol, interval, start, end).list()

    # The caches

    def invalidate(self, category: str | None = None, symbol: str | None = None) -> int:
        """Forget what REST said of a symbol, of a category, or all; how many answers that were."""
        return self._reads.invalidate(category, symbol)

    def configure(self, cache: CacheLimits) -> None:
        """Other times to live and sizes of the caches, from now on."""
        self._reads.configure(cache)

    def status(self) -> MarketStatus:
        """How all is now."""
        connections = self._feeds.connections()
        symbols = [_status_of(watched) for watched in self._feeds.watched.values()]
        return MarketStatus(
            symbols=symbols,
            connections=len(connections),
            connected=sum(each.state is StreamState.CONNECTED for each in connections),
            tickers=self._feeds.ticker_health(),
            caches=self._reads.counts(),
        )

    def _on_candles(self, history: History, asked: int, missing: int) -> None:
        watched = self._feeds.watched.get((history.category, history.symbol))
        if watched is not None:
            watched.record.on_candles(self._clock.monotonic(), history.interval, asked, missing)


def _status_of(watched: WatchedSymbol) -> SymbolStatus:
    book, quality = watched.book, watched.quality()
    category, symbol = watched.key
    lowest = quality.lowest
    return SymbolStatus(
        category=category,
        symbol=symbol,
        depth=book.depth,
        book=book.status.name,
        reason=book.reason.name,
        age_seconds=None if book.updated_at is None else watched.age(book.updated_at),
        score=quality.score,
        weakness=lowest.sentence if lowest.value < 1 else "",
    )
