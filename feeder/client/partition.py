"""Everything a consumer knows of one partition, without I/O: datagrams of all its channels in, events out."""

import ipaddress
from collections.abc import Callable, Collection, Iterable, Sequence
from random import Random

from feeder.client.events import (
    BboChanged,
    Event,
    HoleAbandoned,
    HoleFilled,
    PacketsLost,
    Traded,
    TradesGone,
)
from feeder.client.recovery import PartitionBooks
from feeder.client.repairs import Repairs
from feeder.clock import Clock
from feeder.errors import WireError
from feeder.multicast.arbiter import Abandoned, Arbiter, Filled, Hole, Output, Run, SessionStarted
from feeder.multicast.asker import Address
from feeder.multicast.plan import Channel
from feeder.multicast.receiver import sound
from feeder.wire import decoder
from feeder.wire.messages import Bbo, ChannelInfo, Kind, PacketFlag, RetransmitReject, Trade, TradesLost
from feeder.wire.packet import Packet, parse

RETRANSMITTED = (Kind.BOOKS, Kind.TRADES)
"""Channels whose messages the feeder keeps for who lost them."""


class PartitionFeed:
    """The channels of one partition that are listened to.

    wanted: instrument ids, or None for all. ask: sends a request for lost messages to an address. dropped: how many
    datagrams of a channel this machine has dropped so far, for want of room in a socket's buffer.
    """

    def __init__(
        self,
        partition: int,
        channels: Iterable[Channel],
        clock: Clock,
        emit: Callable[[Event], None],
        wanted: Collection[int] | None,
        *,
        ask: Callable[[bytes, Address], None],
        random: Random,
        dropped: Callable[[int], int] = lambda _: 0,
    ) -> None:
        self.partition = partition
        self.books = PartitionBooks(partition, clock, emit, wanted, self._on_info)
        self.arbiters = {
            channel.channel_id: (
                channel.kind,
                Arbiter(channel.channel_id, retransmitted=channel.kind in RETRANSMITTED),
            )
            for channel in channels
        }
        self.repairs = Repairs(
            partition, {id_: arbiter for id_, (kind, arbiter) in self.arbiters.items() if kind in RETRANSMITTED}, random
        )
        self.malformed = 0  # datagrams that are no packets of ours
        self.last_malformed = ""
        self.missed_trades = 0
        self._clock = clock
        self._emit = emit
        self._wanted = wanted
        self._ask = ask
        self._dropped = dropped
        self._dropped_before: dict[int, int] = {}  # by channel, when its last hole was named
        self._trade_sequences: dict[int, int] = {}
        self._retransmit_id = 16 * partition + Kind.RETRANSMIT

    def on_datagram(self, line: str, channel_id: int, data: bytes) -> None:
        """One datagram of one channel on one line."""
        kind, arbiter = self.arbiters[channel_id]
        try:
            packet = sound(data, channel_id)
        except WireError as error:
            self._refuse(error)
            arbiter.stats.malformed += 1
            return
        self._handle(kind, arbiter, arbiter.on_packet(line, packet, self._clock.monotonic()))

    def on_answer(self, data: bytes) -> None:
        """One datagram from the feeder itself, in answer to a request."""
        now = self._clock.monotonic()
        try:
            packet = parse(data)
            if packet.channel_id == self._retransmit_id:
                self._on_rejects(packet, now)
                return
            kind, arbiter = self._asked_of(packet)
        except WireError as error:
            self._refuse(error)
            return
        self._handle(kind, arbiter, arbiter.on_retransmitted(packet, now))
        self.repairs.on_answer(packet.channel_id, len(data), now)
        self._ask_again(kind, arbiter, now)

    def on_time(self) -> None:
        """To be called every few milliseconds."""
        now = self._clock.monotonic()
        for kind, arbiter in self.arbiters.values():
            outputs = arbiter.on_time(now)
            if outputs:
                self._handle(kind, arbiter, outputs)
            if arbiter.open_holes:
                self._ask_again(kind, arbiter, now)

    def _ask_again(self, kind: Kind, arbiter: Arbiter, now: float) -> None:
        """Send the requests that are due."""
        requests, hopeless = self.repairs.due(arbiter.channel_id, now)
        for datagram, address in requests:
            self._ask(datagram, address)
        for hole in hopeless:
            self._handle(kind, arbiter, arbiter.abandon(hole.first))

    def _asked_of(self, packet: Packet) -> tuple[Kind, Arbiter]:
        """The channel of a retransmission."""
        kind, arbiter = self.arbiters.get(packet.channel_id, (None, None))
        if arbiter is None or kind not in RETRANSMITTED or not packet.flags & PacketFlag.RETRANSMIT:
            raise WireError(
                f"a packet of channel {packet.channel_id} that is no retransmission of what is followed here"
            )
        return kind, arbiter

    def _on_rejects(self, packet: Packet, now: float) -> None:
        for frame in packet.frames:
            message = decoder.decode(packet, frame)
            if message is not None and isinstance(message.body, RetransmitReject):
                for hole in self.repairs.on_reject(message.body, packet.session_id, now):
                    kind, arbiter = self.arbiters[message.body.channel_id]
                    self._handle(kind, arbiter, arbiter.abandon(hole.first))

    def _on_info(self, info: ChannelInfo) -> None:
        """Where lost messages can be asked for, as the feeder says it."""
        if info.kind is Kind.RETRANSMIT and info.channel_id == self._retransmit_id:
            self.repairs.addresses = tuple(
                dict.fromkeys((line.group, line.port) for line in info.lines if _is_unicast(line.group))
            )

    def _handle(self, kind: Kind, arbiter: Arbiter, outputs: Sequence[Output]) -> None:
        """What an arbiter says, in its order: what it changes first, then what is said of it."""
        for output in outputs:
            if kind is Kind.BOOKS:
                self.books.on_books(output)
            elif kind is Kind.SNAPSHOTS:
                self.books.on_snapshots(output, arbiter.session_id)
            elif kind is Kind.DEFINITIONS:
                self.books.on_definitions(output)
            elif isinstance(output, Run):
                self._on_ticks(output, late=False)
            elif isinstance(output, Filled | Abandoned):
                for run in output.runs:
                    self._on_ticks(run, late=True)
            elif isinstance(output, SessionStarted) and kind is Kind.TRADES:
                self._trade_sequences.clear()
            if not isinstance(output, Run):
                self._tell(kind, arbiter, output)

    def _tell(self, kind: Kind, arbiter: Arbiter, output: Output) -> None:
        """Holes, as they come and go."""
        partition, channel_id = self.partition, arbiter.channel_id
        if isinstance(output, Hole):
            dropped = self._dropped(channel_id)
            here = dropped - self._dropped_before.get(channel_id, 0)
            self._dropped_before[channel_id] = dropped
            if kind in RETRANSMITTED:
                self.repairs.on_hole(channel_id, output, self._clock.monotonic())
            self._emit(PacketsLost(partition, kind, output.first, output.last, here))
        elif isinstance(output, Filled):
            self.repairs.on_filled(channel_id, output)
            self._emit(HoleFilled(partition, kind, output.hole.first, output.hole.last, output.seconds))
        elif isinstance(output, Abandoned):
            self.repairs.on_abandoned(channel_id, output.hole)
            self._emit(HoleAbandoned(partition, kind, output.hole.first, output.hole.last))
        elif isinstance(output, SessionStarted) and kind in RETRANSMITTED:
            self.repairs.on_session(channel_id)

    def _on_ticks(self, run: Run, *, late: bool) -> None:
        """Trades and best bids and offers: told as they are, they have no state to rebuild."""
        packet = run.packet
        for frame in packet.frames[run.first : run.end]:
            if self._wanted is not None and frame.instrument_id not in self._wanted:
                continue
            try:
                message = decoder.decode(packet, frame)
            except WireError as error:
                self._refuse(error)
                continue
            body = None if message is None else message.body
            if isinstance(body, Trade):
                missed = self._missed(frame.instrument_id, body.trade_sequence, body.trade_sequence, late=late)
                self._emit(Traded(frame.instrument_id, body, missed, late))
            elif isinstance(body, TradesLost):
                self._missed(frame.instrument_id, body.first_trade_sequence, body.last_trade_sequence, late=late)
                self._emit(TradesGone(frame.instrument_id, body))
            elif isinstance(body, Bbo):
                self._emit(BboChanged(frame.instrument_id, body))

    def _missed(self, instrument_id: int, first: int, last: int, *, late: bool) -> int:
        """How many trades are missing before `first`; the first message after joining has none missing."""
        expected = self._trade_sequences.get(instrument_id, first)
        if late and last < expected:
            self.missed_trades = max(0, self.missed_trades - (last - first + 1))
            return 0
        self._trade_sequences[instrument_id] = last + 1
        missed = max(0, first - expected)
        self.missed_trades += missed
        return missed

    def _refuse(self, error: WireError) -> None:
        self.malformed += 1
        self.last_malformed = str(error)


def _is_unicast(text: str) -> bool:
    """Whether a packet can be sent there as it stands: a name would be looked up, and who knows who wrote it."""
    try:
        address = ipaddress.IPv4Address(text)
    except ipaddress.AddressValueError:
        return False
    return not (address.is_multicast or address.is_unspecified)
