"""What the staged network does not deliver: chosen packets, random ones, bursts, last ones, a quiet book's, all."""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import ClassVar

from loss_rule import Arrival, Dice, Fault, LineCounts, Rule, check_seconds, check_share, has_data, later, sound

from feeder.wire.messages import Template

LONGEST_BURST = 1000  # packets
_REMEMBERED = 10_000  # deltas of quiet books that were lost once


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
        check_share("rate", self.rate)

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
        check_share("rate", self.rate)
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
        check_seconds("seconds", self.seconds)

    def rule(self, dice: Dice, counts: Callable[[str], LineCounts]) -> Rule:  # noqa: D102
        return _LastBeforeSilence(self, dice, counts)


class _LastBeforeSilence(Rule):
    def __init__(self, fault: LastBeforeSilence, dice: Dice, counts: Callable[[str], LineCounts]) -> None:
        super().__init__(fault.name, dice, counts)
        self._seconds = fault.seconds
        self._held: dict[tuple[str, int], tuple[Arrival, float]] = {}

    def on_packet(self, arrival: Arrival, now: float) -> list[Arrival]:
        place = arrival.line, arrival.channel_id
        is_data = has_data(arrival.datagram)
        out: list[Arrival] = []
        if place in self._held:
            held, since = self._held.pop(place)
            if is_data and now - since < self._seconds:
                out.append(later(held, now, self))
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
        packet = sound(arrival.datagram)
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
