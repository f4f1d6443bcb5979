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

IsCurrent = Callable[[], bool]
"""Whether the ticker that came last is as the venue has it: its connection is up, and nothing was missed."""


class WatchedSymbol:
    """One watched symbol. `ticker` is as of `ticker_at`, monotonic seconds."""

    def __init__(self, instrument: Instrument, depth: int, ask: Ask, window_seconds: float, clock: Clock) -> None:
        now = clock.monotonic()
        key = instrument.key
        self.book = LiveBook(
            instrument, depth, now, lambda reason, generation: ask(key, reason, generation), self._on_lost
        )
        self.trades = RecentTrades()
        self.ticker: TickerUpdate | None = None
        self.ticker_at: float | None = None
        self.record = QualityRecord(window_seconds)
        self._clock = clock
        self._since = now
        self._book_rhythm = Rhythm()
        self._is_current: IsCurrent | None = None  # while the ticker is wanted
        self._ticker_since = now
        self._ticker_rhythm = Rhythm()
        self._ticker_lost = False
        self._news = asyncio.Event()

    @property
    def key(self) -> InstrumentKey:
        """(category, symbol)."""
        return self.book.instrument.key

    @property
    def wants_ticker(self) -> bool:
        """Whether its ticker is wanted."""
        return self._is_current is not None

    @property
    def ticker_is_current(self) -> bool:
        """Whether there is a ticker, and the venue's is no other."""
        return self.ticker is not None and self._is_current is not None and self._is_current()

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

    def want_ticker(self, is_current: IsCurrent | None) -> None:
        """Have its ticker by stream from now on, or (None) no longer."""
        if self.wants_ticker != (is_current is not None):
            self.ticker = self.ticker_at = None
            self._ticker_since = self._clock.monotonic()
            self._ticker_rhythm = Rhythm()
            self._ticker_lost = False
        self._is_current = is_current

    def on_book(self, update: BookUpdate) -> bool:
        """Take the book's next update; whether that changed anything."""
        now = self._clock.monotonic()
        changed = self.book.on_update(update, now)
        if self.book.updated_at == now:
            self._book_rhythm.on_data(now)
        return changed

    def on_definition(self, instrument: Instrument) -> None:
        """The instrument is as this from now on."""
        tick = self.book.tick_size
        self.book.on_definition(instrument, self._clock.monotonic())
        if self.book.tick_size != tick:
            self.record.on_other_tick()

    def sample_spread(self) -> None:
        """Remember the spread, if it is time for that."""
        now = self._clock.monotonic()
        if self.record.wants_spread(now):
            ticks = self.book.spread_ticks()
            if ticks is not None:
                self.record.on_spread(now, ticks)

    def on_trades(self, trades: Iterable[TradeUpdate], run: int | None) -> list[Trade]:
        """Take trades of this run, oldest first; as they are told."""
        told = [of_stream(self.book.instrument, trade) for trade in trades]
        self.trades.add(told, run, self._clock.monotonic())
        return told

    def on_trades_lost(self, count: int) -> None:
        """So many could not be taken."""
        self.trades.interrupt()
        self.record.on_interruption(self._clock.monotonic(), f"of the trades: {count} lost")

    def on_ticker(self, ticker: TickerUpdate) -> None:
        """The ticker is as this now."""
        now = self._clock.monotonic()
        self.ticker, self.ticker_at, self._ticker_lost = ticker, now, False
        self._ticker_rhythm.on_data(now)

    def on_ticker_lost(self, why: str) -> None:
        """A connection of tickers is down, perhaps this one's."""
        if self.ticker is not None and not self._ticker_lost and not self.ticker_is_current:
            self._ticker_lost = True
            self.record.on_interruption(self._clock.monotonic(), f"of the ticker: {why}")
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
        feeds = [_feed("book", book.updated_at, self._since, limits, now)]
        if self.wants_ticker:
            feeds.append(_feed("ticker", self.ticker_at, self._ticker_since, self._ticker_rhythm.limits, now))
        return self.record.judge(now, *self.key, feeds, facts)

    def age(self, at: float) -> float:
        """Seconds since then."""
        return self._clock.monotonic() - at

    def _on_lost(self, reason: StatusReason) -> None:
        """The book was LIVE."""
        now = self._clock.monotonic()
        self._book_rhythm.pause()
        if reason is StatusReason.CROSSED:
            self.record.on_crossed(now)
        elif reason is not StatusReason.DELISTED:
            self.record.on_interruption(now, f"of the book: {reason.name}")


def _feed(name: str, at: float | None, since: float, limits: tuple[float, float], now: float) -> Feed:
    return Feed(name, now - (since if at is None else at), at is not None, *limits)
