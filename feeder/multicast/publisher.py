"""The feed's sending side: every channel of every partition served here, flushed once per event-loop turn.

No timer stands between a change and its packet: the first message written in a turn asks the loop for one flush right
behind the callbacks already waiting, so an idle channel sends at once and a busy one packs.
"""

import logging
from collections.abc import Callable, Collection, Sequence

from feeder.clock import SECOND_NS, Clock
from feeder.histogram import STAGE_BOUNDS_US, Buckets
from feeder.market.instrument import Instrument
from feeder.multicast.book_publisher import BookPublisher, Sequences
from feeder.multicast.channel import HEARTBEAT_INTERVAL, ChannelPublisher, Sender
from feeder.multicast.plan import Channel, ChannelPlan
from feeder.multicast.retransmit import RetransmitServer
from feeder.multicast.ring import RING_MESSAGES, Ring
from feeder.multicast.rotation import Rotation
from feeder.wire import encoder
from feeder.wire.messages import MULTICAST_KINDS, ChannelInfo, CycleEnd, Kind, LineInfo, PacketFlag

SNAPSHOT_PERIOD = 1.0  # seconds a round of snapshots takes at least
SNAPSHOT_BYTES_PER_SECOND = 4_000_000  # of all partitions together
_SNAPSHOT_BURST = 200_000  # bytes at once after a stall
DEFINITION_PERIOD = 0.95  # seconds; every second, a late loop included
TICK_INTERVAL = 0.010  # seconds between calls of `tick`
_LONGEST_WAIT = 0.001  # seconds that a busy loop may keep a packet open
_MOST_VISITS = 64  # of a round in one tick
_TURNS = 4  # ticks until a partition's rounds are served again: seldom enough to pack, often enough for their periods

LATENCY_BOUNDS_US = (
    *(20, 50, 100, 150, 200, 300, 500, 750),
    *(1_000, 1_500, 2_000, 3_000, 5_000, 7_500),
    *(10_000, 20_000, 50_000, 100_000, 200_000, 500_000),
    *(1_000_000, 5_000_000),
)
"""Upper bounds of the latency buckets, microseconds."""

_log = logging.getLogger("feeder.multicast")

Defer = Callable[[Callable[[], None]], object]
OpenSenders = Callable[[Channel], Sequence[Sender]]
Attempt = Callable[[BookPublisher, Callable[[BookPublisher], int]], int]

_FLAGS = {
    Kind.BOOKS: PacketFlag.INCREMENTAL,
    Kind.TRADES: PacketFlag.INCREMENTAL,
    Kind.BBO: PacketFlag.INCREMENTAL,
    Kind.SNAPSHOTS: PacketFlag.SNAPSHOT,
    Kind.DEFINITIONS: PacketFlag.DEFINITION,
}
_KEPT = (Kind.BOOKS, Kind.TRADES)  # may be asked for again


class Partition:
    """One partition's channels, its instruments, and their rounds of snapshots and definitions."""

    def __init__(
        self,
        number: int,
        plan: ChannelPlan,
        open_channel: Callable[[Channel], ChannelPublisher],
        clock: Clock,
        mark_bbo: Callable[[BookPublisher], None],
        hurry: Callable[[], None],
        attempt: Attempt,
    ) -> None:
        self.number = number
        self.mark_bbo = mark_bbo
        self.hurry = hurry
        self._attempt = attempt
        self.instruments: list[BookPublisher] = []
        self.channels = {kind: open_channel(plan.channel(number, kind)) for kind in MULTICAST_KINDS}
        self.books = self.channels[Kind.BOOKS]
        self.trades = self.channels[Kind.TRADES]
        self.bbo = self.channels[Kind.BBO]
        self.snapshots = self.channels[Kind.SNAPSHOTS]
        self.definitions = self.channels[Kind.DEFINITIONS]
        own = plan.retransmit(number, {}).channel_id
        self.retransmit = RetransmitServer(own, [self.channels[kind] for kind in _KEPT], clock)
        self._described = [plan.channel(number, kind) for kind in MULTICAST_KINDS]
        self._partitions = plan.partitions
        self._snapshot_round = Rotation(SNAPSHOT_PERIOD)
        self._definition_round = Rotation(DEFINITION_PERIOD)

    def describe(self, channel: Channel) -> None:
        """Tell consumers of one more channel, where requests for lost messages are answered."""
        self._described.append(channel)

    @property
    def snapshot_cycle_ns(self) -> int:
        """How long the last whole round of snapshots took, nanoseconds; 0 before the end of the first."""
        return int(self._snapshot_round.elapsed * SECOND_NS)

    def remove(self, instrument: BookPublisher) -> None:
        """Publish an instrument no longer."""
        index = self.instruments.index(instrument)
        del self.instruments[index]
        self._snapshot_round.removed(index)
        self._definition_round.removed(len(self._described) + index)

    def publish_snapshots(self, now: float, budget: float, *, complete: bool) -> float:
        """Send the snapshots due at `now`, monotonic seconds, while there is a budget of bytes; what is left of it.

        The end of a round is told only when the instruments are `complete`: it says how many there are.
        """
        count = len(self.instruments)
        for _ in range(_MOST_VISITS):
            if budget <= 0 or (index := self._snapshot_round.take(now, count)) is None:
                break
            budget -= self._attempt(self.instruments[index], BookPublisher.publish_snapshot)
        if self._snapshot_round.ended(now, count) and complete:
            self.snapshots.write(encoder.cycle_end(CycleEnd(int(self._snapshot_round.elapsed * SECOND_NS), count)))
        return budget

    def publish_definitions(self, now: float) -> None:
        """Send the definitions, channel descriptions and unchanged best bids and offers due at `now`."""
        infos = len(self._described)
        count = len(self.instruments) + infos
        for _ in range(_MOST_VISITS):
            if (index := self._definition_round.take(now, count)) is None:
                break
            if index < infos:
                self.definitions.write(encoder.channel_info(self._info(self._described[index])))
            else:
                self._attempt(self.instruments[index - infos], BookPublisher.publish_reference)
        self._definition_round.ended(now, count)

    def _info(self, channel: Channel) -> ChannelInfo:
        return ChannelInfo(
            0 if channel.kind is Kind.RETRANSMIT else int(HEARTBEAT_INTERVAL * SECOND_NS),
            int(max(SNAPSHOT_PERIOD, self._snapshot_round.elapsed) * SECOND_NS),
            RING_MESSAGES if channel.kind in (*_KEPT, Kind.RETRANSMIT) else 0,
            channel.channel_id,
            channel.kind,
            self._partitions,
            tuple(LineInfo(end.line, end.group, end.port) for end in channel.endpoints),
        )


class Publisher:
    """The partitions that this process `serves`: all, unless others serve the rest.

    `defer` runs a callback right behind those already waiting (`loop.call_soon`).
    """

    def __init__(
        self,
        plan: ChannelPlan,
        open_senders: OpenSenders,
        clock: Clock,
        defer: Defer,
        *,
        serves: Collection[int] | None = None,
        test_data: bool = False,
    ) -> None:
        self.plan = plan
        self.session_id = clock.wall_ns()
        self.flushes = 0
        # One value a flush of a books channel: nanoseconds from its first update's receipt to its last departure.
        self.latency = Buckets([bound * 1000 for bound in LATENCY_BOUNDS_US])
        self.encode_to_send = Buckets([bound * 1000 for bound in STAGE_BOUNDS_US])  # likewise, from its first message
        self.complete = False  # set by the owner when every instrument has been added
        self._clock = clock
        self._defer = defer
        self._open: list[ChannelPublisher] = []  # channels with an unsent packet
        self._bbos: dict[BookPublisher, None] = {}  # a set that keeps its order
        self._scheduled = False
        self._urgent = False  # something was said that must not wait for more
        self._pending = -1  # bytes that waited at the last look; -1 before the first
        self._opened_at = 0.0  # monotonic seconds when the first of them was written
        self._failed: set[BookPublisher] = set()
        self._ticks = 0
        self._last_tick = clock.monotonic()
        self._snapshot_budget = 0.0  # bytes that may be sent now
        extra = PacketFlag.TEST if test_data else PacketFlag(0)

        def open_channel(channel: Channel) -> ChannelPublisher:
            return ChannelPublisher(
                channel.channel_id,
                self.session_id,
                _FLAGS[channel.kind] | extra,
                open_senders(channel),
                clock,
                self._on_open,
                Ring() if channel.kind in _KEPT else None,
            )

        self.partitions = [
            Partition(number, plan, open_channel, clock, self._mark_bbo, self._hurry, self._attempt)
            for number in (range(plan.partitions) if serves is None else serves)
        ]
        self._partition = {partition.number: partition for partition in self.partitions}
        # Of all partitions of all processes together so many bytes a second are sent as snapshots.
        self._snapshot_rate = SNAPSHOT_BYTES_PER_SECOND * len(self.partitions) / plan.partitions
        self._removed: dict[int, Sequences] = {}  # by instrument id

    def serves(self, instrument_id: int) -> bool:
        """Whether the instrument belongs to a partition of this process."""
        return self.plan.partition_of(instrument_id) in self._partition

    def add(self, instrument: Instrument, depth: int) -> BookPublisher:
        """The publisher of an instrument, whose id nobody else has; its worker says what status it begins in.

        One that was removed before goes on with its sequences, which never begin again within a session.
        """
        partition = self._partition[self.plan.partition_of(instrument.id)]
        publisher = BookPublisher(instrument, depth, partition, self._removed.pop(instrument.id, Sequences()))
        partition.instruments.append(publisher)
        return publisher

    def remove(self, publisher: BookPublisher) -> None:
        """Say that an instrument is not followed any longer, and publish it no more; its worker has ended."""
        publisher.unsubscribed()
        self._partition[self.plan.partition_of(publisher.instrument.id)].remove(publisher)
        self._removed[publisher.instrument.id] = publisher.sequences
        self._failed.discard(publisher)

    def flush(self) -> None:
        """Send every open packet, best bids and offers included."""
        self.flushes += 1
        bbos, self._bbos = self._bbos, {}
        for publisher in bbos:
            self._attempt(publisher, BookPublisher.publish_bbo)
        self._scheduled = self._urgent = False
        channels, self._open = self._open, []
        for done, channel in enumerate(channels, start=1):
            try:
                channel.flush()
            except Exception:
                self._open += channels[done:]  # the next flush sends what this one did not come to
                if self._open:
                    self._schedule()
                raise
            if channel.oldest_ns:
                now_ns = self._clock.wall_ns()
                self.latency.record(now_ns - channel.oldest_ns)
                self.encode_to_send.record(now_ns - channel.opened_ns)
                channel.oldest_ns = 0
            channel.opened_ns = 0

    def tick(self, now: float) -> None:
        """Heartbeats and rounds; called every TICK_INTERVAL with monotonic seconds."""
        elapsed = now - self._last_tick
        self._last_tick = now
        budget = min(self._snapshot_budget + elapsed * self._snapshot_rate, _SNAPSHOT_BURST)
        for partition in self._due():
            budget = partition.publish_snapshots(now, budget, complete=self.complete)
            partition.publish_definitions(now)
        self._snapshot_budget = budget
        for partition in self.partitions:
            for channel in partition.channels.values():
                channel.tick(now)

    def _due(self) -> list[Partition]:
        """The partitions whose rounds this tick serves: of up to _TURNS of them one, which fills packets better."""
        turn = self._ticks
        self._ticks += 1
        turns = min(len(self.partitions), _TURNS)
        due = self.partitions[turn % turns :: turns]
        first = turn // turns % len(due)  # each time another one, so that none goes short
        return due[first:] + due[:first]

    def end_session(self) -> None:
        """Say on every channel that the session is over."""
        self.flush()
        for partition in self.partitions:
            for channel in partition.channels.values():
                channel.end_session()

    def _on_open(self, channel: ChannelPublisher) -> None:
        self._open.append(channel)
        self._schedule()

    def _mark_bbo(self, publisher: BookPublisher) -> None:
        self._bbos[publisher] = None
        self._schedule()

    def _attempt(self, publisher: BookPublisher, publish: Callable[[BookPublisher], int]) -> int:
        """Publish something of one instrument; one that cannot be published must not silence the others."""
        try:
            return publish(publisher)
        except Exception:  # noqa: BLE001 - whatever it is, it is of this instrument alone
            if publisher not in self._failed:
                self._failed.add(publisher)
                _log.exception("instrument %s cannot be published", publisher.instrument.key)
            return 0

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._pending = -1
            self._opened_at = self._clock.monotonic()
            self._defer(self._flush_unless_more_comes)

    def _flush_unless_more_comes(self) -> None:
        """Flush as soon as a turn of the loop brought nothing more, or what is open has waited long enough.

        Several connections seldom speak in the same turn. Sending after each of them costs more than all the rest of
        an update's way; waiting until the loop has nothing else to do costs an idle feeder one empty turn.
        """
        pending = sum(channel.pending for channel in self._open)
        late = self._clock.monotonic() - self._opened_at >= _LONGEST_WAIT
        if self._urgent or late or pending == self._pending:
            self.flush()
        else:
            self._pending = pending
            self._defer(self._flush_unless_more_comes)

    def _hurry(self) -> None:
        self._urgent = True
