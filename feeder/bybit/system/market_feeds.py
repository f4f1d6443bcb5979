"""The market's sockets: books and trades by the feeder's own pool, tickers by a public stream of each category."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from random import Random

from feeder.clock import Clock
from feeder.errors import InstrumentError, StreamError, VenueError
from feeder.market.instrument import Category, Instrument, InstrumentKey, TradingStatus
from feeder.market.status import BookStatus, StatusReason
from feeder.market.update import BookUpdate, TradeUpdate

from ..connection_status import ConnectionStatus
from ..instruments import InstrumentTable, gravest
from ..pacing import Timing
from ..pool import BybitPool, Subscription
from ..rest.client import BybitClient
from ..streams.channel import Channel
from ..streams.hosts import public_host
from ..streams.messages import TickerUpdate
from ..streams.public import PublicStream, ticker_topic
from ..streams.topic_stream import StreamHealth
from ..topics import base_coin, book_topic
from .books import BookEvent, book_event
from .market_symbol import WatchedSymbol
from .market_trades import Trade

REFRESH_SECONDS = 3600.0
"""How often definitions and listings of what is watched are read anew."""

_log = logging.getLogger("feeder.bybit.market")


class MarketFeeds:
    """Takes what the sockets bring to the watched symbols and to the channels. It is the pool's MarketSink."""

    def __init__(
        self,
        client: BybitClient,
        websocket_url: str | None,
        window_seconds: float,
        *,
        clock: Clock,
        random: Random,
        timing: Timing | None,
    ) -> None:
        self.watched: dict[InstrumentKey, WatchedSymbol] = {}  # bounded by what the user watches
        self.errors: Channel[Exception] = Channel("market errors", self._log)
        self.tickers: Channel[TickerUpdate] = Channel("market tickers", self.report)
        self.books: Channel[BookEvent] = Channel("market books", self.report)
        self.trades: Channel[Trade] = Channel("market trades", self.report)
        self._client = client
        self._url = websocket_url or public_host(client.base_url)
        self._window_seconds = window_seconds
        self._clock = clock
        self._random = random
        self._timing = timing
        self._instruments = InstrumentTable(client, clock=clock)
        self._pool = BybitPool(self._url, self._instruments, self, clock=clock, random=random, timing=timing)
        self._tickers: dict[str, PublicStream] = {}  # by category
        self._loading: dict[str, asyncio.Lock] = {}  # by category: one reads its table, the others wait
        self._loaded: set[tuple[str, str | None]] = set()  # categories; of options their coins, of which are few
        self._changed: dict[InstrumentKey, WatchedSymbol] = {}  # since the last turn of the loop
        self._flush: asyncio.Handle | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._running = False

    async def start(self) -> None:
        """Connect what is watched, from now on."""
        if self._running:
            return
        self._running = True
        await self._pool.start()
        self._refreshing = asyncio.create_task(self._refresh(), name="market's instruments")

    async def aclose(self) -> None:
        """Close all sockets, then end iterators and callbacks."""
        self._running = False
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)
        await asyncio.gather(self._pool.aclose(), *(stream.aclose() for stream in self._tickers.values()))
        self._tickers.clear()
        watched = list(self.watched.values())
        self.watched.clear()
        for each in watched:
            each.tell()
        self._changed.clear()
        if self._flush is not None:
            self._flush.cancel()
        for channel in (self.tickers, self.books, self.trades, self.errors):
            await channel.aclose()

    async def watch(self, category: str, symbol: str, depth: int, ticker: bool, trades: bool) -> None:
        """See Market.watch."""
        self._check_running()
        book_topic(category, depth, symbol)  # raises what is wrong with category or depth before anything is asked
        key = (category, symbol)
        instrument = await self._instrument(key)
        watched = self.watched.get(key)
        if watched is not None and watched.book.status is BookStatus.DELISTED:  # and it is listed again by now
            await self.unwatch(key)
            watched = self.watched.get(key)
        self._check_running()  # it may have been closed meanwhile
        fresh = watched is None
        if watched is None:
            watched = WatchedSymbol(instrument, depth, self._resync, self._window_seconds, self._clock)
            self.watched[key] = watched
        errors = self._pool.subscribe([Subscription(category, symbol, depth, trades)])
        if errors:
            if fresh:
                del self.watched[key]
            raise errors[0]
        if not trades:
            watched.trades.interrupt()
        await self._want_ticker(watched, ticker)

    async def unwatch(self, key: InstrumentKey) -> bool:
        """See Market.unwatch."""
        watched = self.watched.pop(key, None)
        if watched is None:
            return False
        watched.tell()
        self._pool.unsubscribe([key])
        await self._want_ticker(watched, False)
        category = key[0]
        stream = self._tickers.get(category)
        if stream is not None and not stream.topics:
            del self._tickers[category]
            await stream.aclose()
        return True

    def whole_trades(self, key: InstrumentKey) -> int:
        """How many of the youngest trades that the stream told have none missing among them, or behind them."""
        watched = self.watched.get(key)
        return 0 if watched is None else watched.trades.whole(self._pool.trades_generation(key))

    def connections(self) -> list[ConnectionStatus]:
        """Those of books and trades."""
        return self._pool.connections()

    def ticker_health(self) -> dict[str, StreamHealth]:
        """The tickers' streams, by category."""
        return {category: stream.health() for category, stream in self._tickers.items()}

    def report(self, error: Exception) -> None:
        """Tell `errors` of one; without anybody there, the log."""
        if self.errors:
            self.errors.publish(error)
        else:
            self._log(error)

    # What the pool brings

    def on_book(self, key: InstrumentKey, update: BookUpdate) -> None:
        """A snapshot or delta."""
        watched = self.watched.get(key)
        if watched is None:
            return
        try:
            if watched.on_book(update):
                self._on_change(key, watched)
        except Exception as error:  # noqa: BLE001 - reported; one symbol's trouble must not reach another
            self._on_defect(key, watched, error)

    def on_trades(self, key: InstrumentKey, trades: list[TradeUpdate], generation: int) -> None:
        """Trades of one message."""
        watched = self.watched.get(key)
        if watched is None:
            return
        for trade in watched.on_trades(trades, self._pool.trades_generation(key)):
            self.trades.publish(trade)

    def on_trades_lost(self, key: InstrumentKey, count: int) -> None:
        """At least so many could not be taken."""
        watched = self.watched.get(key)
        if watched is not None:
            watched.on_trades_lost(count)

    def on_reset(self, key: InstrumentKey, generation: int, reason: StatusReason) -> None:
        """The book is not LIVE from here."""
        watched = self.watched.get(key)
        if watched is None:
            return
        if watched.book.on_reset(generation, reason, self._clock.monotonic()):
            self._on_change(key, watched)
            if reason is StatusReason.DELISTED:
                self.report(InstrumentError(f"{key[0]} {key[1]} is delisted, nothing more will come; unwatch it"))
            elif reason is StatusReason.REFUSED:
                self.report(StreamError(f"{key[0]} {key[1]}: the venue refuses its book; it is asked for again"))

    def on_definition(self, instrument: Instrument) -> None:
        """The instrument is as this from here."""
        watched = self.watched.get(instrument.key)
        if watched is not None:
            watched.on_definition(instrument)

    # Within

    def _check_running(self) -> None:
        if not self._running:
            raise StreamError("the market is not open; use `async with`, or call start")

    async def _instrument(self, key: InstrumentKey) -> Instrument:
        """The instrument; its category's table is read with the first. Raises RestError, InstrumentError."""
        category, symbol = key
        coin = base_coin(symbol) if category == Category.OPTION else None
        async with self._loading.setdefault(category, asyncio.Lock()):
            if (category, coin) not in self._loaded:
                failures = await self._instruments.load({category: None if coin is None else [symbol]})
                if failures:
                    raise gravest(failures.values())
                self._loaded.add((category, coin))
            try:
                instrument = self._instruments.get(key)
            except InstrumentError:
                instrument = await self._instruments.refresh(key)  # it may be new; raises if there is none
        if instrument.status is TradingStatus.CLOSED:
            instrument = await self._instruments.refresh(key)  # it may be listed again
        if instrument.status is TradingStatus.CLOSED:
            raise InstrumentError(f"{category} {symbol} is closed: the venue trades it no longer")
        return instrument

    async def _want_ticker(self, watched: WatchedSymbol, wanted: bool) -> None:
        category, symbol = watched.key
        stream = self._tickers.get(category)
        topic = ticker_topic(symbol)
        if not wanted:
            watched.want_ticker(None)
            if stream is not None:
                stream.unsubscribe(topic)
            return
        if stream is None:
            stream = self._tickers[category] = self._make_stream(category)
            await stream.start()
        watched.want_ticker(partial(stream.is_current, topic))
        stream.subscribe(topic)

    def _resync(self, key: InstrumentKey, reason: StatusReason, generation: int) -> None:
        """Ask for a book anew in the loop's next turn: its connection is in the middle of a message now."""
        asyncio.get_running_loop().call_soon(self._pool.resync, key, reason, generation)

    def _on_defect(self, key: InstrumentKey, watched: WatchedSymbol, error: Exception) -> None:
        watched.book.fail(self._clock.monotonic())
        self._on_change(key, watched)
        self.report(error)

    def _on_change(self, key: InstrumentKey, watched: WatchedSymbol) -> None:
        """Tell of this book at the end of this turn of the loop, once for all that happens to it until then."""
        self._changed[key] = watched
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        changed, self._changed = self._changed, {}
        self._flush = None
        wanted = bool(self.books)
        for key, watched in changed.items():
            if self.watched.get(key) is not watched:
                continue
            watched.sample_spread()
            watched.tell()
            if wanted:
                self.books.publish(book_event(watched.book))

    def _on_ticker(self, ticker: TickerUpdate) -> None:
        watched = self.watched.get((ticker.category, ticker.symbol))
        if watched is not None and watched.wants_ticker:
            watched.on_ticker(ticker)
            watched.tell()
            self.tickers.publish(ticker)

    def _on_tickers_lost(self, category: str) -> Callable[[str], None]:
        def on_lost(why: str) -> None:
            for (its_category, _), watched in self.watched.items():
                if its_category == category:
                    watched.on_ticker_lost(why)

        return on_lost

    def _make_stream(self, category: str) -> PublicStream:
        stream = PublicStream(
            category,
            client=self._client,
            url=self._url,
            timing=self._timing,
            clock=self._clock,
            random=self._random,
        )
        stream.tickers.on(self._on_ticker)
        stream.lost.on(self._on_tickers_lost(category))
        stream.errors.on(self.report)
        return stream

    async def _refresh(self) -> None:
        """Definitions and listings of what is watched, for ever."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS * (0.9 + 0.2 * self._random.random()))
            wanted: dict[str, list[str]] = {}
            for category, symbol in self.watched:
                wanted.setdefault(category, []).append(symbol)
            try:
                await self._pool.refresh(wanted)
            except VenueError as error:
                self.report(error)

    def _log(self, error: Exception) -> None:
        _log.warning("%s: %s", type(error).__name__, error)
