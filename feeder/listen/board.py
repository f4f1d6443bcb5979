"""What the screens read: books by name, and rates, trades and the health of lines, sampled on a timer.

Nothing here happens per book event: rates are differences of counters that the client keeps anyway, so hundreds of
books cost the same whether they are quiet or busy. Trades alone are kept as they come, a few per instrument.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from feeder.client.book_view import BookView
from feeder.client.events import Traded, TradesGone
from feeder.client.partition import PartitionFeed
from feeder.client.status import ViewStatus
from feeder.clock import SECOND_NS, Clock
from feeder.market.instrument import InstrumentKey
from feeder.market.status import StatusReason
from feeder.multicast.plan import ChannelPlan
from feeder.wire.messages import Kind

OWN_STATUSES = frozenset(
    {ViewStatus.JOINING, ViewStatus.SUSPECT, ViewStatus.FEEDER_LOST, ViewStatus.ENDED, ViewStatus.CLOSED}
)
NOT_PUBLISHED = "NOT PUBLISHED"

_SAMPLE_SECONDS = 0.19  # every other tick of the screens
_WINDOW_SAMPLES = 11  # rates are means over the last two seconds
_LINE_SAMPLES = 5  # a line that brought nothing for a second is down
_TRADES_KEPT = 100  # per instrument
_LATENCIES_KEPT = 50  # of the book that is looked at


@dataclass(frozen=True, slots=True)
class _Sample:
    time: float
    updates: dict[int, int]  # by instrument id
    packets: int
    lines: dict[tuple[int, str], int]  # packets of a partition's books on a line


class Board:
    """The feed as the screens see it. `wanted`: names and ids of the books asked for, None for all there are."""

    def __init__(
        self,
        feeds: Mapping[int, PartitionFeed],
        plan: ChannelPlan,
        clock: Clock,
        wanted: Mapping[InstrumentKey, int] | None = None,
    ) -> None:
        self.feeds = feeds
        self.plan = plan
        self.clock = clock
        self.wanted = wanted
        self._names = {number: key for key, number in (wanted or {}).items()}
        self.started = clock.monotonic()
        self._samples: deque[_Sample] = deque(maxlen=_WINDOW_SAMPLES)
        self._trades: dict[int, deque[Traded | TradesGone]] = {}
        self._latencies: dict[int, tuple[int, deque[int]]] = {}

    # Books -----------------------------------------------------------------------------------------------------------

    def books(self) -> dict[InstrumentKey, BookView]:
        """The books asked for, in that order; or every book whose name is known."""
        if self.wanted is not None:
            return {key: self.feed_of(number).books.views[number] for key, number in self.wanted.items()}
        views = (view for feed in self.feeds.values() for view in feed.books.views.values())
        return {view.key: view for view in views if view.key is not None}

    def feed_of(self, instrument_id: int) -> PartitionFeed:
        """The partition that carries an instrument."""
        return self.feeds[self.plan.partition_of(instrument_id)]

    def name_of(self, instrument_id: int) -> InstrumentKey | None:
        """(category, symbol); None for an instrument that was not asked for by name and is not defined yet."""
        name = self._names.get(instrument_id)
        if name is not None:
            return name
        view = self.feed_of(instrument_id).books.views.get(instrument_id)
        return None if view is None else view.key

    def is_absent(self, view: BookView) -> bool:
        """Whether the feeder does not publish this instrument: a whole snapshot cycle went by without it."""
        waited = view.definition is None and self.feed_of(view.instrument_id).books.cycles >= 2
        return waited and view.status is ViewStatus.JOINING  # what a feeder has that is lost, nobody knows

    def told(self, view: BookView) -> str:
        """What a book is, in a word or two: "LIVE", "STALE: GAP", "FEEDER LOST", "NOT PUBLISHED"."""
        status = view.status
        return NOT_PUBLISHED if self.is_absent(view) else status_text(status, reason_of(view, status))

    # Sampled ---------------------------------------------------------------------------------------------------------

    def sample(self) -> None:
        """To be called on a timer, at each refresh or more often."""
        now = self.clock.monotonic()
        if self._samples and now - self._samples[-1].time < _SAMPLE_SECONDS:
            return
        updates: dict[int, int] = {}
        lines: dict[tuple[int, str], int] = {}
        packets = 0
        for partition, feed in self.feeds.items():
            updates.update((number, view.updates) for number, view in feed.books.views.items())
            for kind, arbiter in feed.arbiters.values():
                packets += arbiter.stats.packets
                if kind is Kind.BOOKS:
                    lines.update(((partition, name), stats.packets) for name, stats in arbiter.stats.lines.items())
        self._samples.append(_Sample(now, updates, packets, lines))

    def rate(self, view: BookView) -> float:
        """Updates of a book per second."""
        if not self._seconds:
            return 0.0
        first, last = self._samples[0], self._samples[-1]
        number = view.instrument_id
        return (last.updates.get(number, 0) - first.updates.get(number, 0)) / self._seconds

    def total_rate(self) -> float:
        """Updates of all books per second."""
        if not self._seconds:
            return 0.0
        return (sum(self._samples[-1].updates.values()) - sum(self._samples[0].updates.values())) / self._seconds

    def packet_rate(self) -> float:
        """Packets of all joined channels on all lines per second."""
        return (self._samples[-1].packets - self._samples[0].packets) / self._seconds if self._seconds else 0.0

    def lines(self, partition: int | None = None) -> list[tuple[str, bool]]:
        """Each line's name and whether it has brought the books of one or of every partition of late.

        An idle channel sends four heartbeats a second, so that a second without a packet is not silence by chance.
        """
        if not self._samples:
            return [(line.name, False) for line in self.plan.lines]
        first, last = self._samples[max(0, len(self._samples) - 1 - _LINE_SAMPLES)].lines, self._samples[-1].lines
        partitions = self.feeds if partition is None else (partition,)
        return [
            (line.name, all(last.get((p, line.name), 0) > first.get((p, line.name), 0) for p in partitions))
            for line in self.plan.lines
        ]

    @property
    def _seconds(self) -> float:
        return self._samples[-1].time - self._samples[0].time if self._samples else 0.0

    # Whole feed ------------------------------------------------------------------------------------------------------

    def heard(self) -> bool:
        """Whether any sound packet has come."""
        return any(arbiter.stats.packets for feed in self.feeds.values() for _, arbiter in feed.arbiters.values())

    def holes(self) -> int:
        """Holes on all joined channels."""
        return sum(arbiter.stats.holes for feed in self.feeds.values() for _, arbiter in feed.arbiters.values())

    def other_partitions(self) -> int | None:
        """How many partitions the feeder has, if it is another number than is listened to."""
        for feed in self.feeds.values():
            if feed.books.partitions not in {None, self.plan.partitions}:
                return feed.books.partitions
        return None

    # Trades and latency ----------------------------------------------------------------------------------------------

    def on_trade(self, event: Traded | TradesGone) -> None:
        """A trade, or that some were lost."""
        tape = self._trades.get(event.instrument_id)
        if tape is None:
            tape = self._trades[event.instrument_id] = deque(maxlen=_TRADES_KEPT)
        tape.appendleft(event)

    def trades(self, instrument_id: int) -> deque[Traded | TradesGone]:
        """The latest trades, newest first."""
        return self._trades.get(instrument_id) or deque()

    def latency_ns(self, view: BookView) -> int | None:
        """Median time from the feeder's receipt of an update to its application here, of those seen while looking.

        Differences of two machines' clocks are part of it. A book that a snapshot filled says nothing about it, so
        only updates that arrived since the last look count.
        """
        updates, seen = self._latencies.setdefault(
            view.instrument_id, (view.updates, deque[int](maxlen=_LATENCIES_KEPT))
        )
        age = view.age_seconds
        if view.updates > updates and age is not None and view.status is ViewStatus.LIVE:
            seen.append(self.clock.wall_ns() - round(age * SECOND_NS) - view.receive_time_ns)
        self._latencies[view.instrument_id] = (view.updates, seen)
        return sorted(seen)[len(seen) // 2] if seen else None


def reason_of(view: BookView, status: ViewStatus) -> StatusReason:
    """The feeder's reason for a status; NONE for one that is this consumer's own."""
    return StatusReason.NONE if status in OWN_STATUSES else view.reason


def status_text(status: ViewStatus, reason: StatusReason = StatusReason.NONE) -> str:
    """ "LIVE", "STALE: GAP", "FEEDER LOST"."""
    text = status.value.replace("_", " ")
    return text if reason in {StatusReason.NONE, StatusReason.SNAPSHOT} else f"{text}: {reason.name.replace('_', ' ')}"
