"""What is known of one watched symbol: book, ticker, trades, and what happened to them. No I/O."""

import asyncio
from collections.abc import Callable, Iterable

from feeder.clock import Clock
from feeder.market.instrument import Instrument, InstrumentKey
from feeder.market.status import StatusReason
from feeder.market.update import BookUpdate, TradeUpdate

from ..streams.messages import TickerUpdate
from .books import LiveBook
from .market_trades import RecentTrades, Trade, of_stream
from .quality import DEPTH_1, BookFacts, Feed, Quality, QualityRecord, Rhythm

Ask = Callable[[InstrumentKey, StatusReason, int], None]
"""Asks for a fresh snapshot of a book of this generation; may be called while an update is being applied."""


class WatchedSymbol:
    """One watched symbol.

    `ticker` is as of `ticker_at` (monotonic seconds); `ticker_is_current` unless the stream that told it is down.
    """

    def __init__(
        self, instrument: Instrument, depth: int, wants_ticker: bool, ask: Ask, window_seconds: float, clock: Clock
    ) -> None:
        now = clock.monotonic()
        key = instrument.key
        self.book = LiveBook(
            instrument, depth, now, lambda reason, generation: ask(key, reason, generation), self._on_lost
        )
        self.wants_ticker = wants_ticker
        self.trades = RecentTrades()
        self.ticker: TickerUpdate | None = None
        self.ticker_at: float | None = None
        self.ticker_is_current = False
        self.record = QualityRecord(window_seconds)
        self._clock = clock
        self._since = now
        self._book_rhythm = Rhythm()
        self._ticker_rhythm = Rhythm()
        self._news = asyncio.Event()

    @property
    def key(self) -> InstrumentKey:
        """(category, symbol)."""
        return self.book.instrument.key

    @property
    def is_ready(self) -> bool:
        """Whether all that is wanted is there and can be relied on."""
        return self.book.live and (self.ticker_is_current or not self.wants_ticker)

    async def news(self) -> None:
        """Wait until something is told of it."""
        self._news.clear()
        await self._news.wait()

    def tell(self) -> None:
        """Wake who waits for news."""
        self._news.set()

    def on_book(self, update: BookUpdate) -> bool:
        """Take the book's next update; whether that changed anything."""
        now = self._clock.monotonic()
        changed = self.book.on_update(update, now)
        if self.book.updated_at == now:
            self._book_rhythm.on_data(now)
        return changed

    def sample_spread(self) -> None:
        """Remember the spread, if it is time for that."""
        now = self._clock.monotonic()
        if self.record.wants_spread(now):
            ticks = self.book.spread_ticks()
            if ticks is not None:
                self.record.on_spread(now, ticks)

    def on_trades(self, trades: Iterable[TradeUpdate]) -> list[Trade]:
        """Take trades, oldest first; as they are told."""
        told = [of_stream(self.book.instrument, trade) for trade in trades]
        self.trades.add(told, self._clock.monotonic())
        return told

    def on_trades_lost(self, count: int) -> None:
        """So many could not be taken."""
        self.trades.interrupt()
        self.record.on_interruption(self._clock.monotonic(), f"of the trades: {count} lost")

    def on_ticker(self, ticker: TickerUpdate) -> None:
        """The ticker is as this now."""
        now = self._clock.monotonic()
        self.ticker, self.ticker_at, self.ticker_is_current = ticker, now, True
        self._ticker_rhythm.on_data(now)

    def on_ticker_lost(self, why: str) -> None:
        """The ticker's stream is down."""
        if self.ticker_is_current:
            self.record.on_interruption(self._clock.monotonic(), f"of the ticker: {why}")
        self.ticker_is_current = False
        self._ticker_rhythm.pause()

    def quality(self) -> Quality:
        """How far all this can be trusted now."""
        now = self._clock.monotonic()
        book = self.book
        facts = BookFacts(
            live=book.live,
            status=book.status.name,
            reason=book.reason.name,
            crossed=book.reason is StatusReason.CROSSED,
            since_seconds=now - book.since,
            spread_ticks=book.spread_ticks(),
        )
        limits = DEPTH_1 if book.depth == 1 else self._book_rhythm.limits
        feeds = [self._feed("book", book.updated_at, limits, now)]
        if self.wants_ticker:
            feeds.append(self._feed("ticker", self.ticker_at, self._ticker_rhythm.limits, now))
        return self.record.judge(now, *self.key, feeds, facts)

    def age(self, at: float) -> float:
        """Seconds since then."""
        return self._clock.monotonic() - at

    def _feed(self, name: str, at: float | None, limits: tuple[float, float], now: float) -> Feed:
        return Feed(name, now - (self._since if at is None else at), at is not None, *limits)

    def _on_lost(self, reason: StatusReason) -> None:
        """The book was LIVE."""
        now = self._clock.monotonic()
        self._book_rhythm.pause()
        if reason is StatusReason.CROSSED:
            self.record.on_crossed(now)
        elif reason is not StatusReason.DELISTED:
            self.record.on_interruption(now, f"of the book: {reason.name}")
        if reason in (StatusReason.DISCONNECTED, StatusReason.OUTDATED):
            self.trades.interrupt()
