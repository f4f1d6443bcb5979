"""Everything a consumer knows of one partition, without I/O: datagrams of all its channels in, events out."""

from collections.abc import Callable, Collection, Iterable

from feeder.client.events import BboChanged, Event, PacketsLost, Traded, TradesGone
from feeder.client.recovery import PartitionBooks
from feeder.clock import Clock
from feeder.errors import WireError
from feeder.multicast.arbiter import Arbiter, Hole, Output, Run, SessionStarted
from feeder.multicast.plan import Channel
from feeder.multicast.receiver import sound
from feeder.wire import decoder
from feeder.wire.messages import Bbo, Kind, Trade, TradesLost
from feeder.wire.packet import Packet


class PartitionFeed:
    """The channels of one partition that are listened to. `wanted`: instrument ids, or None for all."""

    def __init__(
        self,
        partition: int,
        channels: Iterable[Channel],
        clock: Clock,
        emit: Callable[[Event], None],
        wanted: Collection[int] | None,
    ) -> None:
        self.partition = partition
        self.books = PartitionBooks(partition, clock, emit, wanted)
        self.arbiters = {channel.channel_id: (channel.kind, Arbiter(channel.channel_id)) for channel in channels}
        self.malformed = 0  # datagrams that are no packets of ours
        self.last_malformed = ""
        self.missed_trades = 0
        self._clock = clock
        self._emit = emit
        self._wanted = wanted
        self._trade_sequences: dict[int, int] = {}

    def on_datagram(self, line: str, channel_id: int, data: bytes) -> None:
        """One datagram of one channel on one line."""
        kind, arbiter = self.arbiters[channel_id]
        try:
            packet = sound(data, channel_id)
        except WireError as error:
            self.malformed += 1
            self.last_malformed = str(error)
            arbiter.stats.malformed += 1
            return
        self._handle(kind, arbiter, arbiter.on_packet(line, packet, self._clock.monotonic()))

    def on_time(self) -> None:
        """To be called every few milliseconds."""
        now = self._clock.monotonic()
        for kind, arbiter in self.arbiters.values():
            outputs = arbiter.on_time(now)
            if outputs:
                self._handle(kind, arbiter, outputs)

    def _handle(self, kind: Kind, arbiter: Arbiter, outputs: list[Output]) -> None:
        if kind is Kind.BOOKS:
            self.books.on_books(outputs)
            return
        for output in outputs:
            if isinstance(output, Hole):
                self._emit(PacketsLost(self.partition, kind, output.first, output.last))
        if kind is Kind.SNAPSHOTS:
            self.books.on_snapshots(outputs, arbiter.session_id)
        elif kind is Kind.DEFINITIONS:
            self.books.on_definitions(outputs)
        else:
            for output in outputs:
                if isinstance(output, Run):
                    self._on_ticks(output.packet, output.first)
                elif isinstance(output, SessionStarted) and kind is Kind.TRADES:
                    self._trade_sequences.clear()

    def _on_ticks(self, packet: Packet, first: int) -> None:
        """Trades and best bids and offers: told as they are, they have no state to rebuild."""
        for frame in packet.frames[first:]:
            if self._wanted is not None and frame.instrument_id not in self._wanted:
                continue
            try:
                message = decoder.decode(packet, frame)
            except WireError as error:
                self.malformed += 1
                self.last_malformed = str(error)
                continue
            body = None if message is None else message.body
            if isinstance(body, Trade):
                missed = self._missed(frame.instrument_id, body.trade_sequence, body.trade_sequence)
                self._emit(Traded(frame.instrument_id, body, missed))
            elif isinstance(body, TradesLost):
                self._missed(frame.instrument_id, body.first_trade_sequence, body.last_trade_sequence)
                self._emit(TradesGone(frame.instrument_id, body))
            elif isinstance(body, Bbo):
                self._emit(BboChanged(frame.instrument_id, body))

    def _missed(self, instrument_id: int, first: int, last: int) -> int:
        """How many trades are missing before `first`; the first message after joining has none missing."""
        expected = self._trade_sequences.get(instrument_id, first)
        self._trade_sequences[instrument_id] = last + 1
        missed = max(0, first - expected)
        self.missed_trades += missed
        return missed
