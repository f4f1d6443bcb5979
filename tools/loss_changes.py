"""What the staged network delivers otherwise than it was sent: twice, later, in another order, altered, cut short."""

import struct
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from loss_rule import Arrival, Dice, Fault, LineCounts, Rule, check_seconds, check_share, later, sound

from feeder.wire import layout
from feeder.wire.messages import Template

DEEPEST_REORDER = 64  # packets
_VALUE = struct.Struct("<q")


@dataclass(frozen=True)
class Duplicate(Fault):
    """Delivers one packet in so many twice, the copy `delay` seconds behind; `rate` 0 to 1."""

    name: ClassVar[str] = "duplicate"
    rate: float
    delay: float = 0.0

    def __post_init__(self) -> None:
        check_share("rate", self.rate)
        check_seconds("delay", self.delay)

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
        check_seconds("seconds", self.seconds)
        check_seconds("jitter", self.jitter)

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
        check_share("rate", self.rate)
        check_seconds("seconds", self.seconds)
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
            out += [later(each, now, self) for _, _, each in due]
        return out

    def on_time(self, now: float) -> list[Arrival]:
        return [arrival for held in self._held.values() for arrival in self._overdue(held, now)]

    def give_back(self) -> list[Arrival]:
        held, self._held = self._held, {}
        return [arrival for waiting in held.values() for _, _, arrival in waiting]

    def _overdue(self, held: deque[tuple[int, float, Arrival]], now: float) -> list[Arrival]:
        out: list[Arrival] = []
        while held and now - held[0][1] >= self._seconds:
            out.append(later(held.popleft()[2], now, self))
        return out


@dataclass(frozen=True)
class Alter(Fault):
    """Changes a price or a quantity of a BookDelta in one in so many of the packets that have one; `rate` 0 to 1.

    The framing stays sound, and every line carries the same change.
    """

    name: ClassVar[str] = "alter"
    rate: float

    def __post_init__(self) -> None:
        check_share("rate", self.rate)

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
    packet = sound(datagram)
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


@dataclass(frozen=True)
class Truncate(Fault):
    """Cuts one packet in so many short, anywhere; `rate` 0 to 1."""

    name: ClassVar[str] = "truncate"
    rate: float

    def __post_init__(self) -> None:
        check_share("rate", self.rate)

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
