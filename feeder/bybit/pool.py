"""All connections to the venue: which topic goes where, and the one place that knows what is wanted.

What is wanted outlives every socket. The venue allows 500 new connections per 5 minutes and address; attempts that
reach it take a token from one bucket of 150 that gains one per second, so that the worst 5 minutes make
150 + 300 = 450. A few connections then retry every 1 to 2 s throughout an outage of minutes (attempts that no venue
answers cost no token), and any number of them stays within the limit. Of several processes that share an address each
has its part of both numbers.
"""

import asyncio
import itertools
import ssl
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from feeder.clock import Clock
from feeder.errors import FixedPointError, VenueError
from feeder.log import logger
from feeder.market.instrument import Instrument, InstrumentKey, TradingStatus
from feeder.market.status import StatusReason

from .actions import Phase
from .clock_offset import ClockOffset
from .connection import Connection, Market, MarketSink
from .connection_status import ConnectionStatus, VenueLag, connection_status, venue_lags
from .counters import Counters
from .freshness import MAX_LAG_SECONDS, Freshness
from .instruments import InstrumentTable, gravest
from .normalize import Scale
from .pacing import Timing, TokenBucket
from .session import Session
from .stream import Stream
from .topics import TOPICS_PER_CONNECTION, book_topic, has_room, trade_topic
from .venue_time import VenueTime

_CONNECT_BURST = 150.0
_CONNECTS_PER_SECOND = 1.0
_REFRESH_SECONDS = 5.0  # a book waits so long for what REST says of it: then it takes the scale that its numbers need

_log = logger("bybit.pool")


@dataclass(frozen=True, slots=True)
class Subscription:
    """A wanted book: at which depth (1, 50, 200, 1000; options 25, 100), and whether its trades are wanted as well."""

    category: str
    symbol: str
    depth: int
    trades: bool = True

    @property
    def key(self) -> InstrumentKey:
        """(category, symbol)."""
        return (self.category, self.symbol)


class BybitPool:
    """Books and trades of any number of instruments, from as many connections as that takes.

    `websocket_url` has no path (`wss://stream.bybit.com`); `/v5/public/{category}` is appended. The instrument table
    must be loaded. Updates, resets and changed definitions go to `sink`, from the event loop `start` ran in.

    Books whose data is older than `max_lag_seconds` by `venue_time` are reset (None: whatever its age, nothing is).
    `share`: so many processes connect from this address.
    """

    def __init__(
        self,
        websocket_url: str,
        instruments: InstrumentTable,
        sink: MarketSink,
        *,
        clock: Clock,
        random: Random,
        timing: Timing | None = None,
        topics_per_connection: int = TOPICS_PER_CONNECTION,
        max_lag_seconds: float | None = MAX_LAG_SECONDS,
        share: int = 1,
    ) -> None:
        self.counters = Counters()
        self.venue_time = VenueTime(clock)
        self._max_lag_seconds = max_lag_seconds
        self._url = websocket_url.rstrip("/")
        self._instruments = instruments
        self._sink = sink
        self._clock = clock
        self._random = random
        self._timing = timing or Timing()
        self._topics_per_connection = topics_per_connection
        self._generations = itertools.count(1)
        burst = max(1.0, _CONNECT_BURST / share)
        self._connect_budget = TokenBucket(burst, _CONNECTS_PER_SECOND / share, clock.monotonic())
        self._ssl_context = ssl.create_default_context() if self._url.startswith("wss:") else None
        self._streams: list[Stream[Connection]] = []
        self._markets: dict[InstrumentKey, Market] = {}
        self._stream_of: dict[InstrumentKey, Stream[Connection]] = {}  # a delisted book is on none
        self._trade_stream_of: dict[tuple[str, str], Stream[Connection]] = {}  # by (category, topic)
        self._connection_number = itertools.count(1)
        self._refreshing: dict[Market, asyncio.Task[None]] = {}  # one question to REST per book at a time
        self._closing: set[asyncio.Task[None]] = set()
        self._measuring: asyncio.Task[None] | None = None
        self._started = False

    async def start(self) -> None:
        """Connect. Returns at once: connections come up by themselves, and again for ever."""
        self._started = True
        offset = ClockOffset(self.venue_time, self._instruments.times, self._random)
        self._measuring = asyncio.create_task(offset.run(), name="venue's clock")
        for stream in self._streams:
            stream.start()

    async def aclose(self) -> None:
        """Close every connection; nothing reaches the sink afterwards but the resets of its books."""
        self._started = False
        measuring = [self._measuring] if self._measuring is not None else []
        tasks = [*measuring, *self._refreshing.values(), *self._closing]
        for task in (*measuring, *self._refreshing.values()):
            task.cancel()
        await asyncio.gather(*tasks, *(stream.aclose() for stream in self._streams), return_exceptions=True)

    def connections(self) -> list[ConnectionStatus]:
        """The state of every connection."""
        now = self._clock.monotonic()
        return [connection_status(stream, now) for stream in self._streams]

    def venue_lags(self) -> dict[str, VenueLag]:
        """The age of the data by category, as far as any came over the present connections."""
        return venue_lags(self._streams)

    def subscribe(self, subscriptions: Sequence[Subscription]) -> list[VenueError]:
        """Want these from now on; what is wanted already stays as it is, but for its trades.

        Returns, and logs, an error for each that cannot be: no such symbol or depth, two ids alike, wanted at another
        depth. The others are not touched by it.
        """
        errors: list[VenueError] = []
        touched: dict[Stream[Connection], None] = {}
        for subscription in subscriptions:
            try:
                self._subscribe(subscription, touched)
            except VenueError as error:
                errors.append(error)
                _log.error(
                    "subscription refused",
                    category=subscription.category,
                    symbol=subscription.symbol,
                    depth=subscription.depth,
                    error=str(error),
                )
        self._wake_or_retire(touched)  # one may have carried nothing but trades that are not wanted any longer
        return errors

    def unsubscribe(self, keys: Iterable[InstrumentKey]) -> None:
        """Want these no longer. Their books get no reset: nobody is to look at them any more."""
        touched: dict[Stream[Connection], None] = {}
        for key in keys:
            market = self._markets.pop(key, None)
            if market is not None:
                self._take_off(market, touched)
                self._instruments.release(key)
        self._wake_or_retire(touched)

    def resync(self, key: InstrumentKey, reason: StatusReason, generation: int) -> bool:
        """Begin a book anew because its consumer found it broken; True if that was news.

        Ignored when `generation` is not the current one, as what broke is gone already, or while a resync is under way.
        """
        market = self._markets.get(key)
        if market is None or market.topic.generation != generation or market.topic.phase is not Phase.ACTIVE:
            return False
        stream = self._stream_of[key]
        stream.perform(stream.connection.resync(market, reason))
        return True

    def trades_generation(self, key: InstrumentKey) -> int | None:
        """A number that is another once trades of this instrument may have been missed; None while none are wanted."""
        market = self._markets.get(key)
        name = trade_topic(*key)
        stream = self._trade_stream_of.get((key[0], name)) if market is not None and market.trades else None
        return None if stream is None else stream.connection.session.topics[name].generation

    async def refresh(self, wanted: Mapping[str, Iterable[str] | None]) -> None:
        """Load the instruments of these categories anew (see InstrumentTable.reload), and have every book go on by it.

        A changed definition goes to the sink, a book whose scale changes begins anew, one whose instrument is closed or
        listed no longer is delisted. Raises RestError when a category failed, of which nothing changes; the others are
        up to date then.
        """
        before = {key: self._instruments.get(key) for key in self._markets}
        failures = await self._instruments.reload(wanted)
        if not self._started:
            return
        for key, market in list(self._markets.items()):
            instrument = self._instruments.get(key)
            if instrument is not before.get(key):
                self._adopt(instrument, market, self._stream_of.get(key))
            closed = instrument.status is TradingStatus.CLOSED and key[0] in wanted and key[0] not in failures
            if closed and key in self._stream_of:
                self._delist(market)
        if failures:
            raise gravest(failures.values())

    # Which topic goes where

    def _subscribe(self, subscription: Subscription, touched: dict[Stream[Connection], None]) -> None:
        key = subscription.key
        market = self._markets.get(key)
        if market is None:
            name = book_topic(subscription.category, subscription.depth, subscription.symbol)
            instrument = self._instruments.claim(key)
            together = [name, trade_topic(*key)] if subscription.trades else [name]
            stream = self._place(subscription.category, together)
            topic = stream.connection.session.want(name, is_book=True)
            scale = Scale(instrument.price_exponent, instrument.quantity_exponent)
            market = Market(key, subscription.depth, False, topic, scale)
            self._markets[key] = stream.connection.books[name] = market
            self._stream_of[key] = stream
            touched[stream] = None
        elif market.depth != subscription.depth:
            raise VenueError(
                f"{subscription.category} {subscription.symbol} is wanted at depth {market.depth} already; "
                f"unsubscribe it before asking for depth {subscription.depth}"
            )
        self._want_trades(market, subscription.trades, touched)

    def _take_off(self, market: Market, touched: dict[Stream[Connection], None]) -> None:
        """Ask the venue for this book and its trades no longer."""
        stream = self._stream_of.get(market.key)
        if stream is None:
            return
        self._want_trades(market, False, touched)
        del self._stream_of[market.key]
        del stream.connection.books[market.topic.name]
        stream.connection.session.unwant(market.topic.name)
        touched[stream] = None

    def _wake_or_retire(self, streams: Iterable[Stream[Connection]]) -> None:
        """Send what there is to send; close a connection that nothing is wanted of any longer."""
        for stream in streams:
            stream.wake()
            if not any(topic.wanted for topic in stream.connection.session.topics.values()):
                self._retire(stream)

    def _want_trades(self, market: Market, wanted: bool, touched: dict[Stream[Connection], None]) -> None:
        if market.trades == wanted or market.key not in self._stream_of:
            return
        market.trades = wanted
        category, symbol = market.key
        name = trade_topic(category, symbol)
        stream = self._trade_stream_of.get((category, name))
        if wanted:
            if stream is None:
                stream = self._place(category, [name], self._stream_of[market.key])
                self._trade_stream_of[category, name] = stream
                stream.connection.session.want(name, is_book=False)
                stream.connection.trades[name] = {}
            stream.connection.trades[name][symbol] = market
        elif stream is not None:
            del stream.connection.trades[name][symbol]
            if not stream.connection.trades[name]:
                del stream.connection.trades[name]
                del self._trade_stream_of[category, name]
                stream.connection.session.unwant(name)
        if stream is not None:
            touched[stream] = None

    def _place(
        self, category: str, topics: Sequence[str], first: Stream[Connection] | None = None
    ) -> Stream[Connection]:
        """The first connection with room for these topics, which stay together; a new one if there is none."""
        candidates = self._streams if first is None else [first, *self._streams]
        for stream in candidates:
            if stream.connection.category == category and has_room(
                stream.connection.session.topics, topics, self._topics_per_connection
            ):
                return stream
        connection = Connection(
            f"{category}-{next(self._connection_number)}",
            category,
            Session(
                category,
                timing=self._timing,
                random=self._random,
                next_generation=self._generations.__next__,
                counters=self.counters,
            ),
            self._sink,
            self._clock,
            self.counters,
            Freshness(self.venue_time, self._max_lag_seconds),
            self._refresh_scale,
            self._check_listing,
        )
        stream = Stream(
            f"{self._url}/v5/public/{category}",
            connection,
            clock=self._clock,
            counters=self.counters,
            attempts=self._connect_budget,
            ssl_context=self._ssl_context,
        )
        self._streams.append(stream)
        if self._started:
            stream.start()
        return stream

    def _retire(self, stream: Stream[Connection]) -> None:
        """Close a connection that nobody needs any longer."""
        self._streams.remove(stream)
        task = asyncio.create_task(stream.aclose(), name=f"close {stream.connection.name}")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    # What REST is asked about one instrument

    def _refresh_scale(self, market: Market, price_exponent: int, quantity_exponent: int) -> None:
        """Numbers of this market need these exponents: ask the venue for its scale once, whatever comes meanwhile."""
        self._ask_once(market, self._change_scale(market, price_exponent, quantity_exponent))

    def _check_listing(self, market: Market) -> None:
        """The venue refused this book: ask whether it still trades the instrument."""
        self._ask_once(market, self._follow_listing(market))

    def _ask_once(self, market: Market, question: Coroutine[None, None, None]) -> None:
        if market in self._refreshing or not self._started:
            question.close()
            return
        task = asyncio.create_task(question, name=f"instrument {market.key}")
        self._refreshing[market] = task
        task.add_done_callback(lambda _: self._refreshing.pop(market, None))

    async def _refresh(self, market: Market) -> Stream[Connection] | None:
        """Bring the table up to date about an instrument; the book's stream, if it is still wanted afterwards."""
        category, symbol = market.key
        try:
            async with asyncio.timeout(_REFRESH_SECONDS):
                await self._instruments.refresh(market.key)
        except (VenueError, TimeoutError) as error:
            _log.warning("instrument not refreshed", category=category, symbol=symbol, error=str(error) or "timeout")
        return self._stream_of.get(market.key) if self._markets.get(market.key) is market else None

    async def _change_scale(self, market: Market, price_exponent: int, quantity_exponent: int) -> None:
        stream = await self._refresh(market)
        if stream is None:
            return
        refusal = None
        try:
            instrument = self._instruments.make_finer(market.key, price_exponent, quantity_exponent)
        except FixedPointError as error:
            refusal = error
            instrument = self._instruments.get(market.key)
        self._adopt(instrument, market, stream)
        if refusal is None:
            stream.perform(stream.connection.release(market))
        else:
            stream.perform(stream.connection.refuse_scale(market, refusal))

    async def _follow_listing(self, market: Market) -> None:
        stream = await self._refresh(market)
        if stream is None:
            return
        instrument = self._instruments.get(market.key)
        self._adopt(instrument, market, stream)
        # Data that came meanwhile knows better than REST.
        if instrument.status is TradingStatus.CLOSED and market.topic.phase is not Phase.ACTIVE:
            self._delist(market)

    def _adopt(self, instrument: Instrument, market: Market, stream: Stream[Connection] | None) -> None:
        """Go on as the table has it now; a delisted book has no stream."""
        exponents = (instrument.price_exponent, instrument.quantity_exponent)
        if exponents != market.scale.exponents:
            category, symbol = market.key
            self.counters.scale_changes += 1
            _log.warning(
                "scale changed",
                category=category,
                symbol=symbol,
                price_exponent=instrument.price_exponent,
                quantity_exponent=instrument.quantity_exponent,
            )
            if stream is not None and market.topic.phase is Phase.ACTIVE:  # reset before its scale changes
                stream.perform(stream.connection.resync(market, StatusReason.SCALE))
            market.scale = Scale(*exponents)
        self._sink.on_definition(instrument)

    def _delist(self, market: Market) -> None:
        """Nothing more will come of it. It stays wanted here, and so known, until somebody unsubscribes it."""
        category, symbol = market.key
        self.counters.delisted += 1
        _log.warning("instrument delisted", category=category, symbol=symbol, topic=market.topic.name)
        touched: dict[Stream[Connection], None] = {}
        self._take_off(market, touched)
        self._sink.on_reset(market.key, market.topic.generation, StatusReason.DELISTED)
        self._wake_or_retire(touched)
