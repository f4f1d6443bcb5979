"""A fault and the rule that does it: what all faults of the staged network share.

A rule gets packets one after the other and returns what comes out for them: nothing, the packet, two of it, or others
that it held back until now. It knows no socket and no clock; its dice are seeded, and thrown for each line apart.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from random import Random
from typing import ClassVar

from feeder.errors import WireError
from feeder.wire.messages import HEADER_LENGTH, Kind
from feeder.wire.packet import Packet, parse

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


def later(arrival: Arrival, now: float, rule: Rule) -> Arrival:
    """It was held until now."""
    arrival.when = max(arrival.when, now)
    rule.counts(arrival.line).delayed[rule.name] += 1
    return arrival


def has_data(datagram: bytes) -> bool:
    """Whether it is more than a heartbeat."""
    return len(datagram) >= HEADER_LENGTH and datagram[_MESSAGE_COUNT] > 0


def sound(datagram: bytes) -> Packet | None:
    """The packet in it; None when its framing is broken."""
    try:
        return parse(datagram)
    except WireError:
        return None


def check_share(what: str, value: float) -> None:
    """Raises ValueError for what is not from 0 to 1."""
    if not 0 <= value <= 1:
        raise ValueError(f"{what} {value:g} is no share from 0 to 1")


def check_seconds(what: str, value: float) -> None:
    """Raises ValueError for what is not finite or negative."""
    if not 0 <= value < float("inf"):
        raise ValueError(f"{what} {value:g} is no time in seconds")
