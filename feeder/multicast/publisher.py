"""The feed's sending side: every channel of every partition served here, flushed once per event-loop turn.

No timer stands between a change and its packet: the first message written in a turn asks the loop for one flush right
behind the callbacks already waiting, so an idle channel sends at once and a busy one packs.
"""

from collections.abc import Callable, Sequence

from feeder.clock import SECOND_NS, Clock
from feeder.errors import ConfigError
from feeder.market.instrument import Instrument, InstrumentKey
from feeder.multicast.book_publisher import BookPublisher
from feeder.multicast.channel import HEARTBEAT_INTERVAL, ChannelPublisher, Sender
from feeder.multicast.plan import Channel, ChannelPlan
from feeder.multicast.rotation import Rotation
from feeder.wire import encoder
from feeder.wire.messages import MULTICAST_KINDS, ChannelInfo, CycleEnd, Kind, LineInfo, PacketFlag

SNAPSHOT_BYTES_PER_SECOND = 4_000_000  # of all partitions together
DEFINITION_PERIOD = 1.0  # seconds
TICK_INTERVAL = 0.010  # seconds between calls of `tick`

Defer = Callable[[Callable[[], None]], object]
OpenSenders = Callable[[Channel], Sequence[Sender]]

_FLAGS = {
    Kind.BOOKS: PacketFlag.INCREMENTAL,
    Kind.TRADES: PacketFlag.INCREMENTAL,
    Kind.BBO: PacketFlag.INCREMENTAL,
    Kind.SNAPSHOTS: PacketFlag.SNAPSHOT,
    Kind.DEFINITIONS: PacketFlag.DEFINITION,
}


class Partition:
    """One partition's channels, its instruments, and their rounds of snapshots and definitions."""

    def __init__(
        self,
        number: int,
        plan: ChannelPlan,
        open_channel: Callable[[Channel], ChannelPublisher],
        mark_bbo: Callable[[BookPublisher], None],
    ) -> None:
        self.number = number
        self.mark_bbo = mark_bbo
        self.instruments: list[BookPublisher] = []
        self.snapshot_bytes = 0  # of the last whole round
        self.channels = {kind: open_channel(plan.channel(number, kind)) for kind in MULTICAST_KINDS}
        self.books = self.channels[Kind.BOOKS]
        self.trades = self.channels[Kind.TRADES]
        self.bbo = self.channels[Kind.BBO]
        self.snapshots = self.channels[Kind.SNAPSHOTS]
        self.definitions = self.channels[Kind.DEFINITIONS]
        self._plan = plan
        self._snapshot_round = Rotation(1.0)
        self._definition_round = Rotation(DEFINITION_PERIOD)
        self._bytes = 0

    def tick(self, now: float, snapshot_period: float) -> None:
        """Send what the rounds have due at `now`, monotonic seconds."""
        count = len(self.instruments)
        for index in self._snapshot_round.take(now, count):
            self._bytes += self.instruments[index].publish_snapshot()
        if self._snapshot_round.ended(now, count):
            self.snapshots.write(encoder.cycle_end(CycleEnd(int(self._snapshot_round.elapsed * SECOND_NS), count)))
            self.snapshot_bytes, self._bytes = self._bytes, 0
            self._snapshot_round.period = snapshot_period
        infos = len(MULTICAST_KINDS)
        for index in self._definition_round.take(now, count + infos):
            if index < infos:
                self.definitions.write(encoder.channel_info(self._info(MULTICAST_KINDS[index])))
            else:
                instrument = self.instruments[index - infos]
                instrument.publish_definition()
                instrument.publish_bbo(even_unchanged=True)
        self._definition_round.ended(now, count + infos)

    def _info(self, kind: Kind) -> ChannelInfo:
        channel = self._plan.channel(self.number, kind)
        return ChannelInfo(
            int(HEARTBEAT_INTERVAL * SECOND_NS),
            int(self._snapshot_round.period * SECOND_NS),
            0,
            channel.channel_id,
            kind,
            self._plan.partitions,
            tuple(LineInfo(end.line, end.group, end.port) for end in channel.endpoints),
        )


class Publisher:
    """All partitions. `defer` runs a callback right behind those already waiting (`loop.call_soon`)."""

    def __init__(
        self,
        plan: ChannelPlan,
        open_senders: OpenSenders,
        clock: Clock,
        defer: Defer,
        *,
        test_data: bool = False,
    ) -> None:
        self.plan = plan
        self.session_id = clock.wall_ns()
        self.flushes = 0
        self.snapshot_period = 1.0  # seconds
        self._clock = clock
        self._defer = defer
        self._open: list[ChannelPublisher] = []  # channels with an unsent packet
        self._bbos: dict[BookPublisher, None] = {}  # a set that keeps its order
        self._scheduled = False
        self._publishers: dict[InstrumentKey, BookPublisher] = {}
        self._ids: dict[int, InstrumentKey] = {}
        extra = PacketFlag.TEST if test_data else PacketFlag(0)

        def open_channel(channel: Channel) -> ChannelPublisher:
            return ChannelPublisher(
                channel.channel_id,
                self.session_id,
                _FLAGS[channel.kind] | extra,
                open_senders(channel),
                clock,
                self._on_open,
            )

        self.partitions = [Partition(number, plan, open_channel, self._mark_bbo) for number in range(plan.partitions)]

    def add(self, instrument: Instrument, depth: int) -> BookPublisher:
        """The publisher of a new instrument; its worker says what status it begins in.

        Raises ConfigError when the instrument's id belongs to another one already.
        """
        other = self._ids.setdefault(instrument.id, instrument.key)
        if other != instrument.key:
            raise ConfigError(
                "instrument_ids",
                f"{instrument.key} and {other} have the same instrument id {instrument.id}",
                "give one of them another id here",
            )
        partition = self.partitions[self.plan.partition_of(instrument.id)]
        publisher = BookPublisher(instrument, depth, partition)
        self._publishers[instrument.key] = publisher
        partition.instruments.append(publisher)
        return publisher

    @property
    def publishers(self) -> dict[InstrumentKey, BookPublisher]:
        """Every instrument's publisher."""
        return self._publishers

    def flush(self) -> None:
        """Send every open packet, best bids and offers included."""
        self._scheduled = False
        self.flushes += 1
        if self._bbos:
            bbos, self._bbos = self._bbos, {}
            for publisher in bbos:
                publisher.publish_bbo()
        channels, self._open = self._open, []
        for channel in channels:
            channel.flush()

    def tick(self, now: float) -> None:
        """Heartbeats and rounds; called every TICK_INTERVAL with monotonic seconds."""
        total = sum(partition.snapshot_bytes for partition in self.partitions)
        self.snapshot_period = max(1.0, total / SNAPSHOT_BYTES_PER_SECOND)
        for partition in self.partitions:
            partition.tick(now, self.snapshot_period)
            for channel in partition.channels.values():
                channel.tick(now)

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

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._defer(self.flush)
