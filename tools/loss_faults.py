"""What a network does to packets, one fault a class: what is wanted (a frozen dataclass) and the rule that does it.

A rule gets packets one after the other and returns what comes out for them: nothing, the packet, two of it, or others
that it held back until now. It knows no socket and no clock; its dice are seeded, and thrown for each line apart.
"""

import struct
from collections import Counter, deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from hashlib import blake2b
from random import Random
from typing import ClassVar

from feeder.errors import WireError
from feeder.wire import layout
from feeder.wire.messages import HEADER_LENGTH, Kind, Template
from feeder.wire.packet import Packet, parse

LONGEST_BURST = 1000  # packets
DEEPEST_REORDER = 64  # packets
_REMEMBERED = 10_000  # deltas of quiet books that were lost once
_MESSAGE_COUNT = 7  # offset in a packet's header


@dataclass(slots=True)
class Arrival:
    """One datagram on its way. `when`: monotonic seconds; `is_copy`: the network made it, not the sender."""

    line: str
    channel_id: int
    datagram: bytes
    when: float
    is_copy: bool = False


@dataclass(slots=True)
class LineCounts:
    """What became of one line's datagrams; the counters are by name of the fault."""

    arrived: int = 0
    passed: int = 0  # came out, at once or later, each counted once
    lost: Counter[str] = field(default_factory=Counter)
    duplicated: Counter[str] = field(default_factory=Counter)
    delayed: Counter[str] = field(default_factory=Counter)  # came out later than they went in, or behind later ones
    altered: Counter[str] = field(default_factory=Counter)


class Dice:
    """A rule's randomness: of its own for each line, or the same for every copy of a packet."""

    def __init__(self, seed: int, rule: int) -> None:
        self._name = f"{seed}/{rule}"
        self._key = self._name.encode("ascii").ljust(16, b"\0")[:64]
        self._lines: dict[str, Random] = {}

    def of(self, line: str) -> Random:
        """The line's own."""
        dice = self._lines.get(line)
        if dice is None:
            dice = self._lines[line] = Random(f"{self._name}/{line}")
        return dice

    def common(self, datagram: bytes) -> Random:
        """The same for the same packet on whichever line: its header names session, sequence and time of sending."""
        return Random(self._digest(datagram))

    def hits(self, arrival: Arrival, rate: float, *, together: bool) -> bool:
        """Whether this packet is one of so many (0 to 1)."""
        if together:
            return self._digest(arrival.datagram) < rate * (1 << 64)
        return self.of(arrival.line).random() < rate

    def _digest(self, datagram: bytes) -> int:
        return int.from_bytes(blake2b(datagram[:HEADER_LENGTH], digest_size=8, key=self._key).digest(), "little")


class Rule:
    """One fault at work on one network. By default a rule holds nothing back."""

    def __init__(self, name: str, dice: Dice, counts: Callable[[str], LineCounts]) -> None:
        self.name = name
        self.dice = dice
        self.counts = counts

    def begin(self, now: float) -> None:
        """The faults are switched on."""

    def on_packet(self, arrival: Arrival, now: float) -> list[Arrival]:
        """What comes out when this comes in."""
        raise NotImplementedError

    def on_time(self, now: float) -> list[Arrival]:
        """What was held long enough."""
        return []

    def give_back(self) -> list[Arrival]:
        """All that is held, for the faults are switched off."""
        return []

    def lose(self, arrival: Arrival) -> list[Arrival]:
        """It does not arrive."""
        self.counts(arrival.line).lost[self.name] += 1
        return []


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing a network does.

    lines: those it does it to ("R" for answers to retransmit requests), None for all. kinds: of the channels it does
    it to, None for all; answers arrive on a channel of kind RETRANSMIT. Raises ValueError for what cannot be.
    """

    name: ClassVar[str]
    lines: tuple[str, ...] | None = None
    kinds: tuple[Kind, ...] | None = None

    def touches(self, line: str, channel_id: int) -> bool:
        """Whether packets of this channel on this line are affected."""
        return (self.lines is None or line in self.lines) and (
            self.kinds is None or channel_id & 15 in self.kinds  # what holds for its kind, whatever the partition
        )

    def rule(self, dice: Dice, counts: Callable[[str], LineCounts]) -> Rule:
        """The rule that does it."""
        raise NotImplementedError


# Loss ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fixed(Fault):
    """Loses the packets with these numbers, the first of each channel on each line being 1, or those chosen.

    `chosen` gets (line, channel id, datagram).
    """

    name: ClassVar[str] = "fixed"
    packets: Collection[int] = ()
    chosen: Callable[[str, int, bytes], bool] | None = None

    def rule(self, dice: Dice, counts: Callable[[str], LineCounts]) -> Rule:  # noqa: D102
        return _Fixed(self, dice, counts)


class _Fixed(Rule):
    def __init__(self, fault: Fixed, dice: Dice, counts: Callable[[str], LineCounts]) -> None:
        super().__init__(fault.name, dice, counts)
        self._packets = frozenset(fault.packets)
        self._chosen = fault.chosen
        self._seen: Counter[tuple[str, int]] = Counter()

    def on_packet(self, arrival: Arrival, now: float) -> list[Arrival]:
        place = arrival.line, arrival.channel_id
        self._seen[place] += 1
        if self._seen[place] in self._packets or (self._chosen is not None and self._chosen(*place, arrival.datagram)):
            return self.lose(arrival)
        return [arrival]


@dataclass(frozen=True)
class RandomLoss(Fault):
    """Loses one packet in so many; `rate` 0 to 1. together: every line loses the same packets."""

    name: ClassVar[str] = "random"
    rate: float
    together: bool = False

    def __post_init__(self) -> None:
        _check_share("rate", self.rate)

    def rule(self, dice: Dice, counts: Callable[[str], LineCounts]) -> Rule:  # noqa: D102
        return _RandomLoss(self, dice, counts)


class _RandomLoss(Rule):
    def __init__(self, fault: RandomLoss, dice: Dice, counts: Callable[[str], LineCounts]) -> None:
        super().__init__(fault.name, dice, counts)
        self._rate = fault.rate
        self._together = fault.together

    def on_packet(self, arrival: Arrival, now: float) -> list[Arrival]:
        if self.dice.hits(arrival, self._rate, together=self._together):
            return self.lose(arrival)
        return [arrival]


@dataclass(frozen=True)
class Burst(Fault):
    """Loses `shortest` to `longest` packets of a channel in a row.

    A burst begins at a packet with probability `rate`, or with each `every`-th packet of a channel on a line, or
    either. together: bursts of `rate` begin on every line at the same packet and are equally long.
    """

    name: ClassVar[str] = "burst"
    shortest: int
    longest: int
    rate: float = 0.0
    every: int = 0
    together: bool = False

    def __post_init__(self) -> None:
        _check_share("rate", self.rate)
        if not 1 <= self.shortest <= self.longest <= LONGEST_BURST:
            raise ValueError(f"a burst of {self.shortest} to {self.longest} packets; 1 to {LONGEST_BURST} are possible")
        if self.every < 0 or not (self.rate or self.every):
            raise ValueError("a burst needs a rate of packets it begins at, or every how many")

    def rule(self, dice: Dice, counts: Callable[[str], LineCounts]) -> Rule:  # noqa: D102
        return _Burst(self, dice, counts)


class _Burst(Rule):
    def __init__(self, fault: Burst, dice: Dice, counts: Callable[[str], LineCounts]) -> None:
        super().__init__(fault.name, dice, counts)
        self._fault = fault
        self._left: Counter[tuple[str, int]] = Counter()  # packets that a burst still takes
        self._seen: Counter[tuple[str, int]] = Counter()

    def on_packet(self, arrival: Arrival, now: float) -> list[Arrival]:
        fault, place = self._fault, (arrival.line, arrival.channel_id)
        self._seen[place] += 1
        if not self._left[place] and (
            (fault.every and self._seen[place] % fault.every == 0)
            or (fault.rate and self.dice.hits(arrival, fault.rate, together=fault.together))
        ):
            dice = self.dice.common(arrival.datagram) if fault.together else self.dice.of(arrival.line)
            self._left[place] = dice.randint(fault.shortest, fault.longest)
        if self._left[place]:
            self._left[place] -= 1
            return self.lose(arrival)
        return [arrival]


@dataclass(frozen=True)
class LastBeforeSilence(Fault):
    """Loses the last packet with data before a pause of a channel.

    That a packet was the last is known when a heartbeat follows it, or nothing for `seconds`: so long each one is held
    back. The one before is let go by the next.
    """

    name: ClassVar[str] = "last"
    seconds: float = 0.015  # less than the feed's 20 ms from data to heartbeat

    def __post_init__(self) -> None:
        _check_seconds("seconds", self.seconds)

    def rule(self, dice: Dice, counts: Callable[[str], LineCounts]) -> Rule:  # noqa: D102
        return _LastBeforeSilence(self, dice, counts)


class _LastBeforeSilence(Rule):
    def __init__(self, fault: LastBeforeSilence, dice: Dice, counts: Callable[[str], LineCounts]) -> None:
        super().__init__(fault.name, dice, counts)
        self._seconds = fault.seconds
        self._held: dict[tuple[str, int], tuple[Arrival, float]] = {}

    def on_packet(self, arrival: Arrival, now: float) -> list[Arrival]:
        place = arrival.line, arrival.channel_id
        is_data = _has_data(arrival.datagram)
        out: list[Arrival] = []
        if place in self._held:
            held, since = self._held.pop(place)
            if is_data and now - since < self._seconds:
                out.append(_later(held, now, self))
            else:
                self.lose(held)
        if is_data:
            self._held[place] = arrival, now
        else:
            out.append(arrival)
        return out

    def on_time(self, now: float) -> list[Arrival]:
        for place, (held, since) in list(self._held.items()):
            if now - since >= self._seconds:
                del self._held[place]
                self.lose(held)
        return []

    def give_back(self) -> list[Arrival]:
        held, self._held = self._held, {}
        return [arrival for arrival, _ in held.values()]


@dataclass(frozen=True)
class QuietBook(Fault):
    """Loses each packet with a BookDelta of one of these instrument ids, once: what is sent again arrives.

    With all_copies every line loses its own; otherwise one line loses it and the others carry it.
    """

    name: ClassVar[str] = "quiet"
    instruments: Collection[int]
    all_copies: bool = True

    def __post_init__(self) -> None:
        if not self.instruments:
            raise ValueError("no instrument whose packets are to be lost")

    def rule(self, dice: Dice, counts: Callable[[str], LineCounts]) -> Rule:  # noqa: D102
        return _QuietBook(self, dice, counts)


class _QuietBook(Rule):
    def __init__(self, fault: QuietBook, dice: Dice, counts: Callable[[str], LineCounts]) -> None:
        super().__init__(fault.name, dice, counts)
        self._instruments = frozenset(fault.instruments)
        self._all_copies = fault.all_copies
        self._lost: dict[tuple[str, int, int, int], None] = {}  # line, session, instrument, its sequence; oldest first

    def on_packet(self, arrival: Arrival, now: float) -> list[Arrival]:
        packet = _sound(arrival.datagram)
        if packet is None:
            return [arrival]
        line = arrival.line if self._all_copies else ""
        found = [
            (
                line,
                packet.session_id,
                frame.instrument_id,
                int.from_bytes(packet.data[frame.root : frame.root + 8], "little"),
            )
            for frame in packet.frames
            if frame.template == Template.BOOK_DELTA and frame.instrument_id in self._instruments
        ]
        if all(delta in self._lost for delta in found):
            return [arrival]
        self._lost.update(dict.fromkeys(found))
        while len(self._lost) > _REMEMBERED:
            del self._lost[next(iter(self._lost))]
        return self.lose(arrival)


@dataclass(frozen=True)
class LineDown(Fault):
    """Loses all packets from `start` to `end`, seconds since the faults were switched on."""

    name: ClassVar[str] = "down"
    start: float
    end: float

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise ValueError(f"down from {self.start:g} to {self.end:g} s; the end must be behind the start")

    def rule(self, dice: Dice, counts: Callable[[str], LineCounts]) -> Rule:  # noqa: D102
        return _LineDown(self, dice, counts)


class _LineDown(Rule):
    def __init__(self, fault: LineDown, dice: Dice, counts: Callable[[str], LineCounts]) -> None:
        super().__init__(fault.name, dice, counts)
        self._start = fault.start
        self._end = fault.end
        self._began = 0.0

    def begin(self, now: float) -> None:
        self._began = now

    def on_packet(self, arrival: Arrival, now: float) -> list[Arrival]:
        if self._start <= now - self._began < self._end:
            return self.lose(arrival)
        return [arrival]


# Time and order ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Duplicate(Fault):
    """Delivers one packet in so many twice, the copy `delay` seconds behind; `rate` 0 to 1."""

    name: ClassVar[str] = "duplicate"
    rate: float
    delay: float = 0.0

    def __post_init__(self) -> None:
        _check_share("rate", self.rate)
        _check_seconds("delay", self.delay)

    def rule(self, dice: Dice, counts: Callable[[str], LineCounts]) -> Rule:  # noqa: D102
        return _Duplicate(self, dice, counts)


class _Duplicate(Rule):
    def __init__(self, fault: Duplicate, dice: Dice, counts: Callable[[str], LineCounts]) -> None:
        super().__init__(fault.name, dice, counts)
        self._rate = fault.rate
        self._delay = fault.delay

    def on_packet(self, arrival: Arrival, now: float) -> list[Arrival]:
        if self.dice.of(arrival.line).random() >= self._rate:
            return [arrival]
        self.counts(arrival.line).duplicated[self.name] += 1
        copy = Arrival(arrival.line, arrival.channel_id, arrival.datagram, arrival.when + self._delay, is_copy=True)
        return [arrival, copy]


@dataclass(frozen=True)
class Delay(Fault):
    """Delivers every packet `seconds` later, and up to `jitter` seconds more: then packets may overtake each other."""

    name: ClassVar[str] = "delay"
    seconds: float
    jitter: float = 0.0

    def __post_init__(self) -> None:
        _check_seconds("seconds", self.seconds)
        _check_seconds("jitter", self.jitter)

    def rule(self, dice: Dice, counts: Callable[[str], LineCounts]) -> Rule:  # noqa: D102
        return _Delay(self, dice, counts)


class _Delay(Rule):
    def __init__(self, fault: Delay, dice: Dice, counts: Callable[[str], LineCounts]) -> None:
        super().__init__(fault.name, dice, counts)
        self._seconds = fault.seconds
        self._jitter = fault.jitter

    def on_packet(self, arrival: Arrival, now: float) -> list[Arrival]:
        arrival.when += self._seconds
        if self._jitter:
            arrival.when += self.dice.of(arrival.line).uniform(0.0, self._jitter)
        self.counts(arrival.line).delayed[self.name] += 1
        return [arrival]


@dataclass(frozen=True)
class Reorder(Fault):
    """Holds one packet in so many until 1 to `depth` later ones of its channel and line have come, at most `seconds`.

    `rate` 0 to 1. The few that are held are overtaken by nearly all behind them; at 1 everything is well mixed instead.
    """

    name: ClassVar[str] = "reorder"
    depth: int
    seconds: float = 0.007  # within the 10 ms that a consumer waits for a packet that was overtaken
    rate: float = 0.1

    def __post_init__(self) -> None:
        _check_share("rate", self.rate)
        _check_seconds("seconds", self.seconds)
        if not 1 <= self.depth <= DEEPEST_REORDER:
            raise ValueError(f"reordered by {self.depth} packets; 1 to {DEEPEST_REORDER} are possible")

    def rule(self, dice: Dice, counts: Callable[[str], LineCounts]) -> Rule:  # noqa: D102
        return _Reorder(self, dice, counts)


class _Reorder(Rule):
    def __init__(self, fault: Reorder, dice: Dice, counts: Callable[[str], LineCounts]) -> None:
        super().__init__(fault.name, dice, counts)
        self._depth = fault.depth
        self._seconds = fault.seconds
        self._rate = fault.rate
        self._held: dict[tuple[str, int], deque[tuple[int, float, Arrival]]] = {}  # goes with, came; as they came
        self._seen: Counter[tuple[str, int]] = Counter()

    def on_packet(self, arrival: Arrival, now: float) -> list[Arrival]:
        place = arrival.line, arrival.channel_id
        number = self._seen[place]
        self._seen[place] = number + 1
        held = self._held.setdefault(place, deque())
        out = self._overdue(held, now)
        dice = self.dice.of(arrival.line)
        if dice.random() < self._rate:
            held.append((number + dice.randint(1, self._depth), now, arrival))
        else:
            out.append(arrival)
        due = [each for each in held if each[0] <= number]
        if due:
            self._held[place] = deque(each for each in held if each[0] > number)
            out += [_later(each, now, self) for _, _, each in due]
        return out

    def on_time(self, now: float) -> list[Arrival]:
        return [arrival for held in self._held.values() for arrival in self._overdue(held, now)]

    def give_back(self) -> list[Arrival]:
        held, self._held = self._held, {}
        return [arrival for waiting in held.values() for _, _, arrival in waiting]

    def _overdue(self, held: deque[tuple[int, float, Arrival]], now: float) -> list[Arrival]:
        out: list[Arrival] = []
        while held and now - held[0][1] >= self._seconds:
            out.append(_later(held.popleft()[2], now, self))
        return out


# Contents ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Alter(Fault):
    """Changes a price or a quantity of a BookDelta in one in so many of the packets that have one; `rate` 0 to 1.

    The framing stays sound, and every line carries the same change.
    """

    name: ClassVar[str] = "alter"
    rate: float

    def __post_init__(self) -> None:
        _check_share("rate", self.rate)

    def rule(self, dice: Dice, counts: Callable[[str], LineCounts]) -> Rule:  # noqa: D102
        return _Alter(self, dice, counts)


class _Alter(Rule):
    def __init__(self, fault: Alter, dice: Dice, counts: Callable[[str], LineCounts]) -> None:
        super().__init__(fault.name, dice, counts)
        self._rate = fault.rate

    def on_packet(self, arrival: Arrival, now: float) -> list[Arrival]:
        if self.dice.hits(arrival, self._rate, together=True):
            altered = alter(arrival.datagram, self.dice.common(arrival.datagram))
            if altered is not None:
                arrival.datagram = altered
                self.counts(arrival.line).altered[self.name] += 1
        return [arrival]


def alter(datagram: bytes, dice: Random) -> bytes | None:
    """The packet with one value of one level of one BookDelta changed; None when it has no level to change."""
    packet = _sound(datagram)
    if packet is None:
        return None
    levels = []
    for frame in packet.frames:
        if frame.template == Template.BOOK_DELTA:
            start = frame.root + frame.block_length + layout.GROUP.size
            size, count = layout.GROUP.unpack_from(datagram, start - layout.GROUP.size)
            levels += [start + size * number for number in range(count)]
    if not levels:
        return None
    offset = dice.choice(levels) + dice.choice((0, 8))  # the price, or the quantity
    value: int = _VALUE.unpack_from(datagram, offset)[0]
    altered = bytearray(datagram)
    _VALUE.pack_into(altered, offset, value + 1)
    return bytes(altered)


_VALUE = struct.Struct("<q")


@dataclass(frozen=True)
class Truncate(Fault):
    """Cuts one packet in so many short, anywhere; `rate` 0 to 1."""

    name: ClassVar[str] = "truncate"
    rate: float

    def __post_init__(self) -> None:
        _check_share("rate", self.rate)

    def rule(self, dice: Dice, counts: Callable[[str], LineCounts]) -> Rule:  # noqa: D102
        return _Truncate(self, dice, counts)


class _Truncate(Rule):
    def __init__(self, fault: Truncate, dice: Dice, counts: Callable[[str], LineCounts]) -> None:
        super().__init__(fault.name, dice, counts)
        self._rate = fault.rate

    def on_packet(self, arrival: Arrival, now: float) -> list[Arrival]:
        dice = self.dice.of(arrival.line)
        if dice.random() < self._rate and arrival.datagram:
            arrival.datagram = arrival.datagram[: dice.randrange(len(arrival.datagram))]
            self.counts(arrival.line).altered[self.name] += 1
        return [arrival]


def _later(arrival: Arrival, now: float, rule: Rule) -> Arrival:
    """It was held until now."""
    arrival.when = max(arrival.when, now)
    rule.counts(arrival.line).delayed[rule.name] += 1
    return arrival


def _has_data(datagram: bytes) -> bool:
    return len(datagram) >= HEADER_LENGTH and datagram[_MESSAGE_COUNT] > 0


def _sound(datagram: bytes) -> Packet | None:
    try:
        return parse(datagram)
    except WireError:
        return None


def _check_share(what: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{what} {value:g} is no share from 0 to 1")


def _check_seconds(what: str, value: float) -> None:
    if not 0 <= value < float("inf"):
        raise ValueError(f"{what} {value:g} is no time in seconds")
