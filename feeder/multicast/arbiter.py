"""Line arbitration of one channel, without I/O: packets of all lines in, one ordered run of messages out.

The rules: the first copy of a message wins, whichever line brings it. A packet ahead of its turn waits until the hole
before it is filled, 64 packets wait, or 10 ms pass; then the hole is named and what waited goes on. A named hole stays
open for a packet that was only late, and for retransmitted ones, until it is whole or given up. A greater session id
is accepted at once; a smaller one only after end of session or a second of silence, or it is a late packet of the past.

No single wrong packet stops a channel for good: one that claims a sequence far ahead makes all that follow look old,
and one that claims the end of the session makes them impossible. So when nothing but old packets came for a second, or
messages come behind the end, the session begins anew from there, as if it were another.
"""

import enum
from dataclasses import dataclass, field
from typing import NamedTuple

from feeder.multicast.channel import HEARTBEAT_INTERVAL
from feeder.wire.messages import PacketFlag
from feeder.wire.packet import Packet

REORDER_PACKETS = 64
REORDER_SECONDS = 0.010
SILENCE_SECONDS = 3 * HEARTBEAT_INTERVAL  # three heartbeats missed on every line
SESSION_TAKEOVER_SECONDS = 1.0
LARGEST_OPEN_HOLE = 2000  # messages; what is larger is mended by snapshots sooner than by retransmission
MOST_OPEN_HOLES = 256
_END = int(PacketFlag.END_OF_SESSION)  # as a plain integer: an enum's comparison takes its time


class ChannelState(enum.Enum):
    """How a channel does, at its consumer."""

    WAITING = "WAITING"  # no packet yet
    IN_STEP = "IN_STEP"
    RECOVERING = "RECOVERING"  # holes are open
    SILENT = "SILENT"  # not even a heartbeat on any line
    ENDED = "ENDED"  # the feeder said goodbye


class Run(NamedTuple):
    """Messages in turn: the frames of `packet` from index `first` to before `end`."""

    packet: Packet
    first: int
    end: int

    @property
    def sequence(self) -> int:
        """The channel sequence of the first."""
        return self.packet.sequence + self.first


class Hole(NamedTuple):
    """Channel sequences first to last have not come on any line; what follows begins a new run."""

    first: int
    last: int

    @property
    def messages(self) -> int:
        """How many are missing."""
        return self.last - self.first + 1


class Filled(NamedTuple):
    """An open hole is whole: its messages in order, late. `seconds` since it was named."""

    hole: Hole
    runs: list[Run]
    seconds: float


class Abandoned(NamedTuple):
    """An open hole will not be filled; `runs` is what did come of it."""

    hole: Hole
    runs: list[Run]


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


Output = Run | Hole | Filled | Abandoned | SessionStarted | SessionEnded | Silent | Heard


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
    filled: int = 0  # of them, those that came in the end
    sessions: int = 0
    malformed: int = 0  # datagrams that were no packets of this channel; counted by who parses them
    lines: dict[str, LineStats] = field(default_factory=dict)


class OpenHole:
    """A hole that may still be filled, and what came of it so far."""

    __slots__ = ("_came", "hole", "noticed")

    def __init__(self, hole: Hole, noticed: float) -> None:
        self.hole = hole
        self.noticed = noticed  # monotonic seconds
        self._came: dict[int, tuple[Packet, int]] = {}  # by sequence: which message of which packet

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing."""
        return len(self._came) == self.hole.messages

    def missing(self, first: int, last: int) -> Hole | None:
        """From the first to the last message that is missing between these two, None if none is."""
        came = self._came
        while first <= last and first in came:
            first += 1
        while first <= last and last in came:
            last -= 1
        return Hole(first, last) if first <= last else None

    def take(self, packet: Packet) -> bool:
        """Keep what belongs here; whether any of it was missing."""
        before = len(self._came)
        first, last = self.hole
        for sequence in range(max(first, packet.sequence), min(last + 1, packet.next_sequence)):
            self._came.setdefault(sequence, (packet, sequence - packet.sequence))
        return len(self._came) > before

    def runs(self) -> list[Run]:
        """What came, in order."""
        runs: list[Run] = []
        for sequence in sorted(self._came):
            packet, index = self._came[sequence]
            if runs and runs[-1].packet is packet and runs[-1].end == index:
                runs[-1] = Run(packet, runs[-1].first, index + 1)
            else:
                runs.append(Run(packet, index, index + 1))
        return runs


class Arbiter:
    """The receiving state of one channel. Times are monotonic seconds, given.

    `retransmitted`: whether its holes stay open; on a channel whose messages are nowhere kept they do not.
    """

    def __init__(self, channel_id: int, *, retransmitted: bool = False) -> None:
        self.channel_id = channel_id
        self.open_holes: dict[int, OpenHole] = {}  # by first sequence, oldest first
        self._retransmitted = retransmitted
        self.stats = ChannelStats()
        self.session_id = 0  # 0: nothing heard yet
        self.next_sequence = 0
        self.silent = False
        self._ended = False
        self._last_heard: float | None = None  # or when listening began, before the first packet
        self._in_step = 0.0  # when a packet last reached next_sequence: every heartbeat does
        self._misled = False  # none did for so long that next_sequence must be wrong
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
            if self._misled:
                self._begin(packet, now, out)
        elif self._ended and packet.sequence + count > self.next_sequence:
            self._begin(packet, now, out)
        else:
            self._in_step = now
            self._misled = False
        per_line = stats.lines.get(line)
        if per_line is None:
            per_line = stats.lines[line] = LineStats()
        self._count_line(per_line, packet.sequence, count)
        expected = self.next_sequence
        if packet.sequence <= expected:
            late = bool(self.open_holes) and self._fill(packet, now, out)
            if packet.sequence + count > expected:
                per_line.first += 1
                self._deliver(packet, out)
                if self._waiting:
                    self._drain(out)
            elif late:
                per_line.first += 1
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
            self._give_up_all(now, out)
            self.silent = False
            out.append(Heard())
        # Time is looked at in `on_time` only: a late reader has another line's copy in the next socket, unread.
        while len(self._waiting) > REORDER_PACKETS:
            self._give_up(now, out)
        if packet.flags & _END and not self._ended:
            self._give_up_all(now, out)
            self._ended = True
            out.append(SessionEnded(self.session_id))
        return out

    def on_time(self, now: float) -> list[Output]:
        """To be called every few milliseconds, all sockets being read: holes whose time is up, silence."""
        out: list[Output] = []
        while self._waiting and now - min(self._arrived.values()) >= REORDER_SECONDS:
            self._give_up(now, out)  # a hole is as old as the first packet that still waits behind it
        if self._last_heard is None:
            self._last_heard = now
        # Asked only here, all being read: who did not run for a second finds old copies of a line unread at first.
        self._misled = now - self._in_step >= SESSION_TAKEOVER_SECONDS
        if not self.silent and not self._ended and now - self._last_heard >= SILENCE_SECONDS:
            self.silent = True
            out.append(Silent())
        return out

    def on_retransmitted(self, packet: Packet, now: float) -> list[Output]:
        """One sound packet of this channel that was asked for; only what a hole misses is taken from it."""
        out: list[Output] = []
        if packet.session_id == self.session_id:
            self._fill(packet, now, out)
        return out

    def abandon(self, first: int) -> list[Output]:
        """Expect no more of the open hole that begins there."""
        hole = self.open_holes.pop(first)
        return [Abandoned(hole.hole, hole.runs())]

    @property
    def state(self) -> ChannelState:
        """How the channel does."""
        if not self.session_id:
            return ChannelState.WAITING
        if self._ended:
            return ChannelState.ENDED
        if self.silent:
            return ChannelState.SILENT
        return ChannelState.RECOVERING if self.open_holes else ChannelState.IN_STEP

    def _fill(self, packet: Packet, now: float, out: list[Output]) -> bool:
        """Put a late packet where it is missing; whether it was."""
        taken = False
        for first, hole in list(self.open_holes.items()):
            if packet.sequence <= hole.hole.last and packet.next_sequence > first and hole.take(packet):
                taken = True
                if hole.is_whole:
                    del self.open_holes[first]
                    self.stats.filled += hole.hole.messages
                    out.append(Filled(hole.hole, hole.runs(), now - hole.noticed))
        return taken

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
        self.next_sequence = packet.sequence
        self._in_step = now
        self._misled = False
        self._ended = False
        self._waiting.clear()
        self._arrived.clear()
        self.open_holes.clear()
        self.stats.sessions += 1
        for per_line in self.stats.lines.values():
            per_line.next_sequence = 0
        out.append(SessionStarted(packet.session_id, packet.sequence))

    def _deliver(self, packet: Packet, out: list[Output]) -> None:
        skip = self.next_sequence - packet.sequence
        self.stats.messages += len(packet.frames) - skip
        self.next_sequence = packet.sequence + len(packet.frames)
        out.append(Run(packet, skip, len(packet.frames)))

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

    def _give_up(self, now: float, out: list[Output]) -> None:
        """Name the first hole and go on behind it."""
        first = min(self._waiting)
        hole = Hole(self.next_sequence, first - 1)
        out.append(hole)
        self.stats.holes += 1
        self.stats.lost += hole.messages
        self.next_sequence = first
        if self._retransmitted:
            self._open(hole, now, out)
        self._drain(out)

    def _open(self, hole: Hole, now: float, out: list[Output]) -> None:
        if len(self.open_holes) == MOST_OPEN_HOLES:
            out += self.abandon(next(iter(self.open_holes)))
        if hole.messages <= LARGEST_OPEN_HOLE:
            self.open_holes[hole.first] = OpenHole(hole, now)
        else:
            out.append(Abandoned(hole, []))

    def _give_up_all(self, now: float, out: list[Output]) -> None:
        while self._waiting:
            self._give_up(now, out)

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
