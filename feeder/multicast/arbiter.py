"""Line arbitration of one channel, without I/O: packets of all lines in, one ordered run of messages out.

The rules: the first copy of a message wins, whichever line brings it. A packet ahead of its turn waits until the hole
before it is filled, 64 packets wait, or 10 ms pass; then the hole is given up and named. A greater session id is
accepted at once; a smaller one only after end of session or a second of silence, or it is a late packet of the past.

No single wrong packet stops a channel for good: one that claims a sequence far ahead makes all that follow look old,
and one that claims the end of the session makes them impossible. So when nothing but old packets came for a second, or
messages come behind the end, the session begins anew from there, as if it were another.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from feeder.multicast.channel import HEARTBEAT_INTERVAL
from feeder.wire.messages import PacketFlag
from feeder.wire.packet import Packet

REORDER_PACKETS = 64
REORDER_SECONDS = 0.010
SILENCE_SECONDS = 3 * HEARTBEAT_INTERVAL  # three heartbeats missed on every line
SESSION_TAKEOVER_SECONDS = 1.0


class Run(NamedTuple):
    """Messages in turn: the frames of `packet` from index `first`, channel sequence packet.sequence + first, on."""

    packet: Packet
    first: int


class Hole(NamedTuple):
    """Channel sequences first to last are lost on every line; what follows begins a new unbroken run."""

    first: int
    last: int


class SessionStarted(NamedTuple):
    """A publisher's session is followed from `sequence` on; nothing of an earlier one counts any more."""

    session_id: int
    sequence: int


class SessionEnded(NamedTuple):
    """The publisher said goodbye."""

    session_id: int


class Silent(NamedTuple):
    """Nothing, not even a heartbeat, on any line for SILENCE_SECONDS."""


class Heard(NamedTuple):
    """Something again after Silent."""


Output = Run | Hole | SessionStarted | SessionEnded | Silent | Heard


@dataclass(slots=True)
class LineStats:
    """What one line brought."""

    packets: int = 0
    messages: int = 0
    first: int = 0  # packets that this line brought before the others
    missing: int = 0  # messages that this line skipped, late ones taken off again
    next_sequence: int = 0


@dataclass(slots=True)
class ChannelStats:
    """What became of it."""

    packets: int = 0
    messages: int = 0  # delivered, each once
    duplicates: int = 0  # packets that brought nothing new
    old_session: int = 0  # packets of a past session
    reordered: int = 0  # packets that waited for their turn
    holes: int = 0
    lost: int = 0  # messages in holes
    sessions: int = 0
    malformed: int = 0  # datagrams that were no packets of this channel; counted by who parses them
    lines: dict[str, LineStats] = field(default_factory=dict)


class Arbiter:
    """The receiving state of one channel. Times are monotonic seconds, given."""

    def __init__(self, channel_id: int) -> None:
        self.channel_id = channel_id
        self.stats = ChannelStats()
        self.session_id = 0  # 0: nothing heard yet
        self.next_sequence = 0
        self.run_start = 0  # first sequence of the current unbroken run
        self.silent = False
        self._ended = False
        self._last_heard: float | None = None  # or when listening began, before the first packet
        self._in_step = 0.0  # when a packet last reached next_sequence: every heartbeat does
        self._waiting: dict[int, Packet] = {}
        self._arrived: dict[int, float] = {}  # when each that waits came

    def on_packet(self, line: str, packet: Packet, now: float) -> list[Output]:
        """One sound packet of this channel from one line."""
        out: list[Output] = []
        stats = self.stats
        stats.packets += 1
        if packet.session_id != self.session_id and not self._new_session(packet, now, out):
            return out
        self._last_heard = now
        count = len(packet.frames)
        if packet.sequence + count < self.next_sequence:
            if now - self._in_step >= SESSION_TAKEOVER_SECONDS:
                self._begin(packet, now, out)
        elif self._ended and packet.sequence + count > self.next_sequence:
            self._begin(packet, now, out)
        else:
            self._in_step = now
        per_line = stats.lines.get(line)
        if per_line is None:
            per_line = stats.lines[line] = LineStats()
        self._count_line(per_line, packet.sequence, count)
        expected = self.next_sequence
        if packet.sequence <= expected:
            if packet.sequence + count > expected:
                per_line.first += 1
                self._deliver(packet, out)
                if self._waiting:
                    self._drain(out)
            elif count:
                stats.duplicates += 1
        elif packet.sequence not in self._waiting or not self._waiting[packet.sequence].frames:
            if count:
                stats.reordered += 1
                per_line.first += 1
            self._waiting[packet.sequence] = packet
            self._arrived.setdefault(packet.sequence, now)
        elif count:
            stats.duplicates += 1
        if self.silent:
            # What was sent meanwhile is gone; nobody is to be told that all is well before that is said.
            self._give_up_all(out)
            self.silent = False
            out.append(Heard())
        if self._waiting:
            self._give_up_if_due(now, out)
        if packet.flags & PacketFlag.END_OF_SESSION and not self._ended:
            self._give_up_all(out)
            self._ended = True
            out.append(SessionEnded(self.session_id))
        return out

    def on_time(self, now: float) -> list[Output]:
        """To be called every few milliseconds: holes whose time is up, silence."""
        out: list[Output] = []
        if self._waiting:
            self._give_up_if_due(now, out)
        if self._last_heard is None:
            self._last_heard = now
        if not self.silent and not self._ended and now - self._last_heard >= SILENCE_SECONDS:
            self.silent = True
            out.append(Silent())
        return out

    def _new_session(self, packet: Packet, now: float, out: list[Output]) -> bool:
        """Whether to follow the packet's session; if so, everything of the old one is forgotten."""
        quiet = self._last_heard is None or now - self._last_heard >= SESSION_TAKEOVER_SECONDS
        if packet.session_id < self.session_id and not (self._ended or quiet):
            self.stats.old_session += 1
            return False
        if self._ended and packet.session_id < self.session_id and packet.flags & PacketFlag.END_OF_SESSION:
            self.stats.old_session += 1  # a farewell of a session even older
            return False
        self._begin(packet, now, out)
        return True

    def _begin(self, packet: Packet, now: float, out: list[Output]) -> None:
        """Follow this packet's session from it on."""
        self.session_id = packet.session_id
        self.next_sequence = self.run_start = packet.sequence
        self._in_step = now
        self._ended = False
        self._waiting.clear()
        self._arrived.clear()
        self.stats.sessions += 1
        for per_line in self.stats.lines.values():
            per_line.next_sequence = 0
        out.append(SessionStarted(packet.session_id, packet.sequence))

    def _deliver(self, packet: Packet, out: list[Output]) -> None:
        skip = self.next_sequence - packet.sequence
        self.stats.messages += len(packet.frames) - skip
        self.next_sequence = packet.sequence + len(packet.frames)
        out.append(Run(packet, skip))

    def _drain(self, out: list[Output]) -> None:
        """Deliver what waited and is in turn now; what is old by now is dropped."""
        waiting = self._waiting
        for sequence in sorted(waiting):
            if sequence > self.next_sequence:
                break
            packet = waiting.pop(sequence)
            del self._arrived[sequence]
            if packet.next_sequence > self.next_sequence:
                self._deliver(packet, out)

    def _give_up_if_due(self, now: float, out: list[Output]) -> None:
        """A hole is as old as the first packet that still waits behind it."""
        while self._waiting and (
            len(self._waiting) > REORDER_PACKETS or now - min(self._arrived.values()) >= REORDER_SECONDS
        ):
            self._give_up(out)

    def _give_up(self, out: list[Output]) -> None:
        """Name the first hole and go on behind it."""
        first = min(self._waiting)
        out.append(Hole(self.next_sequence, first - 1))
        self.stats.holes += 1
        self.stats.lost += first - self.next_sequence
        self.next_sequence = self.run_start = first
        self._drain(out)

    def _give_up_all(self, out: list[Output]) -> None:
        while self._waiting:
            self._give_up(out)

    @staticmethod
    def _count_line(stats: LineStats, sequence: int, count: int) -> None:
        stats.packets += 1
        stats.messages += count
        expected = stats.next_sequence
        if not expected or sequence >= expected:
            if expected:
                stats.missing += sequence - expected
            stats.next_sequence = sequence + count
        else:
            stats.missing = max(0, stats.missing - count)
