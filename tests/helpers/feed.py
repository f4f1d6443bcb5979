"""A whole feed without sockets: the real publisher, the real consumer, and a wire between them that tests may cut."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random

from feeder.book.order_book import OrderBook
from feeder.client.book_view import BookView
from feeder.client.events import Event
from feeder.client.partition import PartitionFeed
from feeder.clock import ManualClock
from feeder.market.instrument import Instrument, instrument_id
from feeder.market.status import BookStatus, StatusReason
from feeder.market.update import BookUpdate
from feeder.multicast.book_publisher import BookPublisher
from feeder.multicast.plan import Channel, ChannelPlan
from feeder.multicast.publisher import Publisher

Levels = tuple[tuple[int, ...], tuple[int, ...]]
Datagram = tuple[str, int, bytes]  # line, channel id, payload


def instrument(symbol: str = "BTCUSDT", category: str = "linear") -> Instrument:
    return Instrument(category, symbol, instrument_id(category, symbol), -2, -3, 10, 1)


@dataclass(slots=True)
class Recorder:
    """A sender of one line of one channel that puts packets on the shared wire."""

    line: str
    channel_id: int
    wire: list[Datagram]

    def send(self, packet: memoryview) -> None:
        self.wire.append((self.line, self.channel_id, bytes(packet)))


class Source:
    """One instrument's worker, reduced to what the publisher sees of it; remembers the book at every sequence."""

    def __init__(self, publisher: BookPublisher, history: dict[tuple[int, int], Levels], clock: ManualClock) -> None:
        self.publisher = publisher
        self._clock = clock
        self.book = OrderBook(1000)
        self.update_id = 0
        self._history = history

    @property
    def id(self) -> int:
        return self.publisher.instrument.id

    def restart(self, bids: list[int], asks: list[int]) -> None:
        self.book.apply_snapshot(bids, asks)
        self.publisher.restart(self.book, self._update(snapshot=True))
        self._remember()

    def delta(self, bids: list[int], asks: list[int], *, conflated: bool = False) -> None:
        self.book.apply_delta(bids, asks)
        self.publisher.delta(self._update(conflated=conflated), bids, asks)
        self._remember()

    def stale(self) -> None:
        self.publisher.status(BookStatus.STALE, StatusReason.GAP)
        self._remember()

    def levels(self) -> Levels:
        levels = self.book.levels()
        return tuple(levels.bids), tuple(levels.asks)

    def _update(self, *, snapshot: bool = False, conflated: bool = False) -> BookUpdate:
        self.update_id += 1
        return BookUpdate(
            snapshot, [], [], self.update_id, self.update_id, 1, 2, 3, self._clock.wall_ns(), 0, conflated
        )

    def _remember(self) -> None:
        self._history[self.id, self.publisher.sequence] = self.levels()


@dataclass
class Feed:
    """One partition, `lines` lines. `wire` holds what was sent and not yet delivered."""

    symbols: Iterable[str] = ("BTCUSDT",)
    clock: ManualClock = field(default_factory=ManualClock)
    wire: list[Datagram] = field(default_factory=list)
    histories: dict[int, dict[tuple[int, int], Levels]] = field(default_factory=dict)  # by session
    sources: dict[str, Source] = field(default_factory=dict)
    plan: ChannelPlan = field(default_factory=lambda: ChannelPlan(partitions=1))
    retransmits: bool = False  # whether it says where lost messages can be asked for, and answers

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """A new publisher process: a new session, sequences from 1."""
        self.deferred: list[Callable[[], None]] = []

        def open_senders(channel: Channel) -> list[Recorder]:
            return [Recorder(end.line, channel.channel_id, self.wire) for end in channel.endpoints]

        self.publisher = Publisher(self.plan, open_senders, self.clock, self.deferred.append)
        history = self.histories.setdefault(self.publisher.session_id, {})
        self.sources = {
            symbol: Source(self.publisher.add(instrument(symbol), 50), history, self.clock) for symbol in self.symbols
        }
        self.publisher.complete = True
        if self.retransmits:
            for partition in self.publisher.partitions:
                partition.describe(self.plan.retransmit(partition.number, {}))
        for source in self.sources.values():
            source.publisher.status(BookStatus.SYNCING, StatusReason.SUBSCRIBED)

    def turn(self) -> None:
        """The rest of an event-loop turn: what was deferred runs."""
        while self.deferred:
            self.deferred.pop(0)()

    def run(self, seconds: float, consumers: Iterable["Consumer"], step: float = 0.010) -> None:
        """Time passes: rounds and heartbeats are sent and delivered whole."""
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
            self.publisher.tick(self.clock.monotonic())
            self.turn()
            self.deliver(consumers)
            for consumer in consumers:
                consumer.feed.on_time()
                self.answer(consumer)

    def send(self, consumers: Iterable["Consumer"], keep: Callable[[Datagram], bool] = lambda _: True) -> None:
        """The turn ends and its packets arrive, less what `keep` refuses."""
        self.turn()
        self.deliver(consumers, keep)

    def deliver(self, consumers: Iterable["Consumer"], keep: Callable[[Datagram], bool] = lambda _: True) -> None:
        """Hand over what is on the wire, less what `keep` refuses."""
        wire, self.wire[:] = list(self.wire), []
        for datagram in wire:
            if keep(datagram):
                for consumer in consumers:
                    consumer.feed.on_datagram(*datagram)

    def answer(self, consumer: "Consumer", keep: Callable[[bytes], bool] = lambda _: True) -> None:
        """A consumer's requests arrive, and the answers to them, less what `keep` refuses."""
        while consumer.asked:
            datagram, _ = consumer.asked.pop(0)
            server = self.publisher.partitions[0].retransmit
            for answer in server.answer(datagram, "10.0.0.1", self.clock.monotonic()) if keep(datagram) else ():
                if keep(answer):
                    consumer.feed.on_answer(answer)


class Consumer:
    """A consumer of everything in the feed, and what it was told."""

    def __init__(self, feed: Feed, wanted: Iterable[str] | None = None) -> None:
        self.events: list[Event] = []
        ids = None if wanted is None else {instrument(symbol).id for symbol in wanted}
        self.asked: list[tuple[bytes, tuple[str, int]]] = []  # requests for lost messages
        self.feed = PartitionFeed(
            0,
            list(feed.plan.channels),
            feed.clock,
            self.events.append,
            ids,
            ask=lambda datagram, address: self.asked.append((datagram, address)),
            random=Random(1),
        )

    def view(self, source: Source) -> BookView:
        return self.feed.books.views[source.id]

    def told(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


def levels_of(view: BookView) -> Levels:
    levels = view.depth()
    return tuple(levels.bids), tuple(levels.asks)
