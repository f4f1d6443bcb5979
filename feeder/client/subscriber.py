"""The consumer's way in: `async with Subscriber(...) as feed: async for event in feed`.

Needs the standard library and sortedcontainers only. Joins only the channels that the wanted instruments need; joins
late, follows every line, notices what it lost and rebuilds it; a book it cannot vouch for says so in its status.
"""

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from random import Random
from types import TracebackType
from typing import Self, TypeVar, cast, get_args

from feeder.client.book_view import BookView
from feeder.client.events import Event, EventsDropped
from feeder.client.partition import PartitionFeed
from feeder.clock import Clock, SystemClock
from feeder.errors import FeedError
from feeder.market.instrument import Category, InstrumentKey, instrument_id
from feeder.multicast.asker import Address, Asker
from feeder.multicast.plan import DEFAULT_LINES, DEFAULT_PARTITIONS, DEFAULT_PORT, Channel, ChannelPlan, Line
from feeder.multicast.receiver import Receiver
from feeder.wire.messages import Kind

EVENT_BACKLOG = 100_000  # events kept for a slow `async for`; beyond it the oldest go, and it is said
_CYCLES_TO_BE_SEEN = 2  # snapshot rounds after which an instrument of the feed is known
_TICK_SECONDS = 0.005  # how late a hole or a silence may be noticed
_TURNS_TO_READ = 4  # of the event loop; each reads a batch of every socket

BOOK_KINDS = (Kind.BOOKS, Kind.SNAPSHOTS, Kind.DEFINITIONS)

E = TypeVar("E", bound=Event)

_log = logging.getLogger("feeder.client")


class Subscriber:
    """Follows a feeder's multicast.

    instruments: (category, symbol) pairs or "category:SYMBOL" texts, or None for all. lines, port, partitions: as the
    feeder's configuration has them (`feeder check --json` prints them); an instrument id that the feeder overrides is
    given in instrument_ids.
    kinds: channels to join; books, snapshots and definitions go together.
    """

    def __init__(
        self,
        instruments: Iterable[InstrumentKey | str] | None = None,
        *,
        lines: Sequence[Line] = DEFAULT_LINES,
        port: int = DEFAULT_PORT,
        partitions: int = DEFAULT_PARTITIONS,
        kinds: Collection[Kind] = (*BOOK_KINDS, Kind.TRADES),
        instrument_ids: dict[InstrumentKey, int] | None = None,
        clock: Clock | None = None,
        random: Random | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        random = random or Random()  # noqa: S311 - jitter, not secrets
        self._plan = ChannelPlan(partitions, port, lines)
        self._ids = {} if instrument_ids is None else dict(instrument_ids)
        self._callbacks: dict[type[object], list[Callable[[Event], None]]] = {}
        self._events: deque[Event] = deque()
        self._dropped = 0
        self.callback_errors = 0
        self._waiter: asyncio.Future[None] | None = None
        self._iterated = False
        self._ticker: asyncio.Task[None] | None = None
        keys = None if instruments is None else [_key(each) for each in instruments]
        wanted = None if keys is None else {self.instrument_id(*key) for key in keys}
        if wanted is not None and not wanted:
            raise FeedError("no instrument wanted; name at least one (category, symbol), or give None for all")
        if set(kinds) & set(BOOK_KINDS) and not set(kinds) >= set(BOOK_KINDS):
            raise FeedError("books need the channels books, snapshots and definitions together (BOOK_KINDS)")
        self._names = {self.instrument_id(*key): ":".join(key) for key in keys or ()}
        self._warned: set[int] = set()  # partitions whose missing instruments were named
        self._failure: FeedError | None = None
        self.feeds: dict[int, PartitionFeed] = {}
        self._asker = Asker(self._on_unicast)
        channels: list[Channel] = []
        for partition in range(partitions):
            mine = None if wanted is None else {i for i in wanted if self._plan.partition_of(i) == partition}
            if mine is None or mine:
                joined = [self._plan.channel(partition, kind) for kind in sorted(kinds)]
                channels += joined
                self.feeds[partition] = PartitionFeed(
                    partition,
                    joined,
                    self._clock,
                    self._emit,
                    mine,
                    ask=self.ask,
                    random=random,
                    dropped=lambda channel_id: self._receiver.dropped(channel_id),
                )
        self._by_channel = {channel.channel_id: self.feeds[channel.partition] for channel in channels}
        self._receiver = Receiver(channels, self.on_datagram)

    async def __aenter__(self) -> Self:
        self._receiver.open()
        self._asker.open()
        for feed in self.feeds.values():
            feed.books.health.closed = False
        self._ticker = asyncio.create_task(self._tick(), name="feeder-subscriber")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Leave the groups; every view is CLOSED from here, and an `async for` that is waiting ends."""
        self._receiver.close()
        self._asker.close()
        self._close_views()
        ticker, self._ticker = self._ticker, None
        if ticker is not None:
            ticker.cancel()
            await asyncio.wait([ticker])
        self._wake()

    def on(self, kind: type[E], callback: Callable[[E], None]) -> None:
        """Call `callback` with each event of one class (feeder.client.events), right when it happens.

        It is an ordinary function. An exception it raises is logged and counted in `callback_errors`; the feed goes on.
        Raises FeedError for what is no event class or cannot be called at once.
        """
        if kind not in get_args(Event):
            raise FeedError(f"{kind!r} is no event class; see feeder.client.events")
        if not callable(callback) or inspect.iscoroutinefunction(callback):
            raise FeedError(f"{callback!r} is no ordinary function; use `async for` to await what follows an event")
        self._callbacks.setdefault(kind, []).append(cast(Callable[[Event], None], callback))

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Every event from the first iteration on. Slower than the feed? The oldest go, and EventsDropped says so.

        Raises FeedError when the subscription turns out not to fit the feed.
        """
        self._iterated = True
        events = self._events
        while True:
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                yield EventsDropped(dropped)
            while events and not self._dropped:
                yield events.popleft()
            if not events:
                if self._failure is not None:
                    raise self._failure
                if self._ticker is None:
                    return
                self._waiter = asyncio.get_running_loop().create_future()
                await self._waiter

    def instrument_id(self, category: str, symbol: str) -> int:
        """The id of an instrument in this feed. Raises FeedError for a category that does not exist."""
        if category not in list(Category):
            raise FeedError(f"no category {category!r}; use one of {', '.join(Category)}")
        known = self._ids.get((category, symbol))
        return instrument_id(category, symbol) if known is None else known

    def book(self, category: str, symbol: str) -> BookView:
        """The view of a wanted book; the same object for the subscription's whole life. Raises FeedError if unknown."""
        number = self.instrument_id(category, symbol)
        feed = self.feeds.get(self._plan.partition_of(number))
        view = None if feed is None else feed.books.views.get(number)
        if view is None:
            raise FeedError(f"{category} {symbol} is not subscribed, or not defined by the feeder (yet)")
        return view

    @property
    def books(self) -> dict[InstrumentKey, BookView]:
        """All books whose definition is known."""
        views = (view for feed in self.feeds.values() for view in feed.books.views.values())
        return {view.key: view for view in views if view.key is not None}

    def view_of(self, instrument_id: int) -> BookView | None:
        """The view of an instrument id, as events carry it."""
        feed = self.feeds.get(self._plan.partition_of(instrument_id))
        return None if feed is None else feed.books.views.get(instrument_id)

    def on_datagram(self, line: str, channel_id: int, data: bytes) -> None:
        """Every datagram comes through here; tests lose some by overriding it."""
        self._by_channel[channel_id].on_datagram(line, channel_id, data)

    def on_answer(self, partition: int, data: bytes) -> None:
        """Every datagram from a feeder that was asked comes through here; tests lose some by overriding it."""
        self.feeds[partition].on_answer(data)

    def ask(self, datagram: bytes, address: Address) -> None:
        """Every request for lost messages goes through here."""
        self._asker.ask(datagram, address)

    def _on_unicast(self, data: bytes) -> None:
        """Hand an answer to its partition; one of none is no answer."""
        partition = (
            int.from_bytes(data[4:6], "little") >> 4
        )  # of the channel id, which `on_answer` checks with the rest
        if partition in self.feeds:
            self.on_answer(partition, data)

    def _emit(self, event: Event) -> None:
        for callback in self._callbacks.get(type(event), ()):
            try:
                callback(event)
            except Exception:  # noqa: BLE001 - the user's error must not cost the books behind it in the packet, nor the ticker
                self.callback_errors += 1
                _log.exception("callback failed on %s", type(event).__name__)
        if self._iterated:
            if len(self._events) >= EVENT_BACKLOG:
                self._events.popleft()
                self._dropped += 1
            self._events.append(event)
            self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _close_views(self) -> None:
        for feed in self.feeds.values():
            feed.books.health.closed = True

    async def _tick(self) -> None:
        try:
            await self._tick_on()
        except Exception as error:  # noqa: BLE001 - whatever it is: from here on nobody would notice a hole or a silence
            _log.exception("the subscriber stopped")
            self._close_views()
            self._failure = FeedError(f"the subscriber stopped: {error!r}")
            self._wake()

    async def _tick_on(self) -> None:
        last = self._clock.monotonic()
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = self._clock.monotonic()
            if now - last > 2 * _TICK_SECONDS:
                # The loop was late: what came meanwhile is read before anything is called lost.
                for _ in range(_TURNS_TO_READ):
                    await asyncio.sleep(0)
            last = now
            for feed in self.feeds.values():
                feed.on_time()
                self._check(feed)

    def _check(self, feed: PartitionFeed) -> None:
        """Say, once, what will never come: a feed cut differently, instruments it does not carry."""
        books = feed.books
        if self._failure is None and books.partitions not in (None, self._plan.partitions):
            self._failure = FeedError(
                f"the feeder has {books.partitions} partitions, {self._plan.partitions} are followed; give partitions="
            )
            _log.error("%s", self._failure)
            self._wake()
        if not books.cycles:  # a new session: it may carry others
            self._warned.discard(feed.partition)
        elif books.cycles >= _CYCLES_TO_BE_SEEN and feed.partition not in self._warned:
            self._warned.add(feed.partition)
            for number, view in books.views.items():
                if view.definition is None:
                    _log.warning("%s is not published by the feeder", self._names.get(number, number))


def _key(instrument: InstrumentKey | str) -> InstrumentKey:
    """(category, symbol) of either way to name an instrument."""
    if isinstance(instrument, str):
        category, colon, symbol = instrument.partition(":")
        if not colon:
            raise FeedError(f"{instrument!r} names no instrument; write (category, symbol) or 'category:SYMBOL'")
        return category, symbol
    return instrument
