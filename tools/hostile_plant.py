"""A feed of four unlike books without sockets, and what each was at every sequence: the measure of consumers."""

from random import Random
from typing import NamedTuple

from feeder.client.book_view import BookView
from feeder.market.status import BookStatus
from feeder.market.update import Side, TradeUpdate
from feeder.multicast.retransmit import RetransmitServer
from tests.helpers.feed import Consumer, Datagram, Feed, Levels, Source, levels_of

STEP_SECONDS = 0.010
SYMBOLS = ("BTCUSDT", "ETHUSDT", "XRPUSDT", "ADAUSDT")
_WEIGHTS = (20, 8, 3, 1)  # the last is a quiet book, for which little but its checksum speaks
_LEVELS = 12  # a side


class Truth(NamedTuple):
    """A book of the feeder's at one instrumentSequence."""

    live: bool
    levels: Levels
    scale: tuple[int, int]
    key: tuple[str, str]


class HostilePlant:
    """The feed, moved on by hand. `random` decides what the market does."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.feed = Feed(SYMBOLS, retransmits=True)
        self.truth: dict[tuple[int, int], Truth] = {}
        for source in self.sources:
            self._remember(source)
            self._restart(source)

    @property
    def sources(self) -> list[Source]:
        """One per book."""
        return list(self.feed.sources.values())

    @property
    def server(self) -> RetransmitServer:
        """Where lost messages can be asked for."""
        return self.feed.publisher.partitions[0].retransmit

    @property
    def now(self) -> float:
        """Monotonic seconds."""
        return self.feed.clock.monotonic()

    def step(self) -> list[Datagram]:
        """STEP_SECONDS pass; what the feed sent in them, on both lines."""
        random = self.random
        for source in random.choices(self.sources, _WEIGHTS, k=int(random.random() * 3)):
            self._act(source)
        self.feed.clock.advance(STEP_SECONDS)
        self.feed.publisher.tick(self.now)
        self.feed.turn()
        sent, self.feed.wire[:] = list(self.feed.wire), []
        return sent

    def run(self, seconds: float, consumers: list[Consumer]) -> None:
        """Time passes and everything arrives."""
        for _ in range(round(seconds / STEP_SECONDS)):
            for datagram in self.step():
                for consumer in consumers:
                    consumer.feed.on_datagram(*datagram)
            for consumer in consumers:
                consumer.feed.on_time()

    def lie(self, consumer: Consumer) -> str:
        """The first book that the consumer shows as LIVE and that is not the feeder's at that sequence; else empty."""
        for symbol, source in self.feed.sources.items():
            view = consumer.feed.books.views.get(source.id)
            if view is not None and view.is_live and self.truth.get((source.id, view.sequence)) != _shown(view):
                return f"{symbol} at instrumentSequence {view.sequence}"
        return ""

    def behind(self, consumer: Consumer) -> str:
        """The first book that is not LIVE though the feeder's is, or not as far; empty if there is none."""
        for symbol, source in self.feed.sources.items():
            view = consumer.feed.books.views.get(source.id)
            if view is None or view.is_live is not (source.publisher.state is BookStatus.LIVE):
                return f"{symbol} is {'unknown' if view is None else view.status.name}"
            if view.sequence != source.publisher.sequence:
                return f"{symbol} is at {view.sequence}, not {source.publisher.sequence}"
        return ""

    def _act(self, source: Source) -> None:
        random = self.random
        draw = random.random()
        if source.publisher.state is not BookStatus.LIVE:
            if draw < 0.3:
                self._restart(source)
        elif draw < 0.02:
            source.stale()
        elif draw < 0.04:
            self._restart(source)
        elif draw < 0.12:
            source.publisher.trades([TradeUpdate(100, 5, Side.BUY, f"t{random.random():.9f}", 1, 2, 3, 4)])
        else:
            bids = [
                value for _ in range(random.randrange(1, 4)) for value in (random.randrange(80, 100), _size(random))
            ]
            source.delta(bids, [random.randrange(101, 120), _size(random)], conflated=draw > 0.95)
        self._remember(source)

    def _restart(self, source: Source) -> None:
        random = self.random
        source.restart(
            [value for n in range(_LEVELS) for value in (99 - n, 1 + _size(random))],
            [value for n in range(_LEVELS) for value in (101 + n, 1 + _size(random))],
        )
        self._remember(source)

    def _remember(self, source: Source) -> None:
        publisher = source.publisher
        instrument = publisher.instrument
        self.truth[source.id, publisher.sequence] = Truth(
            publisher.state is BookStatus.LIVE,
            source.levels(),
            (instrument.price_exponent, instrument.quantity_exponent),
            instrument.key,
        )


def _size(random: Random) -> int:
    return max(0, random.randrange(-3, 10))


def _shown(view: BookView) -> Truth:
    key = view.key
    return Truth(
        view.is_live, levels_of(view), (view.price_exponent, view.quantity_exponent), ("", "") if key is None else key
    )
