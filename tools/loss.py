"""One consumer's network, without I/O: a datagram goes in, what arrives of it and when comes out.

For unit tests, for real sockets (tools/relay.py) and for other tools. Seed, datagrams and times are given: the same
ones give the same losses. Faults as a text, for command lines:

    random:0.01@A,B;duplicate:0.05,delay=0.002;reorder:64;burst:1,1000,rate=0.0001,together#books

that is `name:values@lines#kinds` with `;` between; every fault's values stand in order or by their name, and a list of
them with `+` between; `@` and `#` narrow a fault to lines (A, B; R for answers to requests) and to kinds of channels.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from loss_changes import Alter, Delay, Duplicate, Reorder, Truncate, alter
from loss_missing import Burst, Fixed, LastBeforeSilence, LineDown, QuietBook, RandomLoss
from loss_rule import Arrival, Dice, Fault, LineCounts, Rule

from feeder.market.instrument import Category, instrument_id
from feeder.wire.messages import Kind

__all__ = [
    "Alter",
    "Burst",
    "Delay",
    "Duplicate",
    "Fault",
    "FaultTextError",
    "Fixed",
    "LastBeforeSilence",
    "LineCounts",
    "LineDown",
    "Network",
    "QuietBook",
    "RandomLoss",
    "Reorder",
    "Truncate",
    "alter",
    "parse",
]


class Network:
    """What stands between a feeder and one consumer.

    Faults act in the order given. `active` False: everything passes as it is, and what was held back goes on. `stats`
    are counts by line. Call `on_time` every few milliseconds for what is held back to leave in time; without it, it
    leaves with the next datagram of its line and channel.
    """

    def __init__(self, faults: Sequence[Fault], seed: int) -> None:
        self.faults = tuple(faults)
        self.stats: dict[str, LineCounts] = {}
        self._rules = [fault.rule(Dice(seed, number), self._counts) for number, fault in enumerate(faults)]
        self._touching: dict[tuple[str, int], list[Rule]] = {}
        self._active = True
        self._begun = False
        self._given_back: list[Arrival] = []

    @property
    def active(self) -> bool:
        """Whether the faults act."""
        return self._active

    @active.setter
    def active(self, value: bool) -> None:
        if self._active and not value:
            for rule in self._rules:
                self._given_back += rule.give_back()
            self._begun = False
        self._active = value

    def arrivals(self, line: str, channel_id: int, datagram: bytes, now: float) -> list[tuple[float, bytes]]:
        """What arrives on this line and channel because this was sent: when, in monotonic seconds, and the bytes.

        Empty: it is lost, or held back. Earlier ones that were held back may come out with it.
        """
        self._counts(line).arrived += 1
        out = self._leaving(line, channel_id) if self._given_back else []
        arrivals = [Arrival(line, channel_id, datagram, now)]
        if self._active:
            self._begin(now)
            arrivals = self._pass(arrivals, self._rules_of(line, channel_id), now)
        out += self._out(arrivals)
        return [(max(now, arrival.when), arrival.datagram) for arrival in out]

    def on_time(self, now: float) -> list[tuple[str, int, float, bytes]]:
        """What was held back long enough: line, channel id, when, and the bytes."""
        out, self._given_back = self._out(self._given_back), []
        if self._active:
            self._begin(now)
            for rule in self._rules:
                for arrival in rule.on_time(now):
                    rules = self._rules_of(arrival.line, arrival.channel_id)
                    out += self._out(self._pass([arrival], rules[rules.index(rule) + 1 :], now))
        return [(arrival.line, arrival.channel_id, max(now, arrival.when), arrival.datagram) for arrival in out]

    def told(self) -> dict[str, Any]:
        """The counts as JSON says them, by line."""
        return {
            line: {
                "arrived": counts.arrived,
                "passed": counts.passed,
                "lost": dict(counts.lost),
                "duplicated": dict(counts.duplicated),
                "delayed": dict(counts.delayed),
                "altered": dict(counts.altered),
            }
            for line, counts in sorted(self.stats.items())
        }

    def _begin(self, now: float) -> None:
        if not self._begun:
            self._begun = True
            for rule in self._rules:
                rule.begin(now)

    def _pass(self, arrivals: list[Arrival], rules: list[Rule], now: float) -> list[Arrival]:
        for rule in rules:
            if not arrivals:
                break
            arrivals = [out for arrival in arrivals for out in rule.on_packet(arrival, now)]
        return arrivals

    def _rules_of(self, line: str, channel_id: int) -> list[Rule]:
        rules = self._touching.get((line, channel_id))
        if rules is None:
            pairs = zip(self.faults, self._rules, strict=True)
            rules = [rule for fault, rule in pairs if fault.touches(line, channel_id)]
            self._touching[line, channel_id] = rules
        return rules

    def _leaving(self, line: str, channel_id: int) -> list[Arrival]:
        place = line, channel_id
        leaving = [each for each in self._given_back if (each.line, each.channel_id) == place]
        self._given_back = [each for each in self._given_back if (each.line, each.channel_id) != place]
        return self._out(leaving)

    def _out(self, arrivals: list[Arrival]) -> list[Arrival]:
        for arrival in arrivals:
            if not arrival.is_copy:
                self._counts(arrival.line).passed += 1
        return arrivals

    def _counts(self, line: str) -> LineCounts:
        counts = self.stats.get(line)
        if counts is None:
            counts = self.stats[line] = LineCounts()
        return counts


class FaultTextError(ValueError):
    """A text of faults that cannot be understood; says which part, and what would be."""


def _each(convert: Callable[[str], int]) -> Callable[[str], tuple[int, ...]]:
    return lambda text: tuple(convert(part) for part in text.split("+"))


def _flag(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError(f"{text!r} is neither yes nor no")
    return text == "yes"


def _instrument(text: str) -> int:
    """An instrument id, as a number or as category/SYMBOL."""
    category, slash, symbol = text.partition("/")
    if not slash:
        return int(text)
    if category not in list(Category):
        raise ValueError(f"no category {category!r}; use one of {', '.join(Category)}")
    return instrument_id(category, symbol)


def _make(kind: Callable[..., Fault], **values: Callable[[str], Any]) -> tuple[Callable[..., Fault], dict[str, Any]]:
    return kind, values


_FAULTS: Final = {
    "fixed": _make(Fixed, packets=_each(int)),
    "random": _make(RandomLoss, rate=float, together=_flag),
    "burst": _make(Burst, shortest=int, longest=int, rate=float, every=int, together=_flag),
    "last": _make(LastBeforeSilence, seconds=float),
    "quiet": _make(QuietBook, instruments=_each(_instrument), all_copies=_flag),
    "duplicate": _make(Duplicate, rate=float, delay=float),
    "delay": _make(Delay, seconds=float, jitter=float),
    "reorder": _make(Reorder, depth=int, seconds=float, rate=float),
    "down": _make(LineDown, start=float, end=float),
    "alter": _make(Alter, rate=float),
    "truncate": _make(Truncate, rate=float),
}


def parse(text: str) -> tuple[Fault, ...]:
    """The faults that a text names, none for an empty one. Raises FaultTextError."""
    return tuple(_fault(part.strip()) for part in text.split(";") if part.strip())


def _fault(text: str) -> Fault:
    rest, narrow_kinds, kinds = text.partition("#")
    rest, narrow_lines, lines = rest.partition("@")
    name, _, values = rest.partition(":")
    if name not in _FAULTS:
        raise FaultTextError(f"{text!r}: no fault {name!r}; there are {', '.join(_FAULTS)}")
    kind, converters = _FAULTS[name]
    build = partial(
        kind,
        lines=tuple(_line(text, each) for each in lines.split(",")) if narrow_lines else None,
        kinds=tuple(_kind(text, each) for each in kinds.split(",")) if narrow_kinds else None,
    )
    usage = f"{name}:{','.join(converters)}"
    given: dict[str, Any] = {}
    for number, word in enumerate(values.split(",") if values else ()):
        key, equals, value = word.partition("=")
        if not equals:
            # In their order; a flag may stand as its bare name.
            key, value = (
                (word, "yes")
                if converters.get(word) is _flag
                else ([*converters, ""][min(number, len(converters))], word)
            )
        if key not in converters or key in given:
            raise FaultTextError(f"{text!r}: {word!r} is one value too many or unknown; write {usage}")
        try:
            given[key] = converters[key](value)
        except ValueError as error:
            raise FaultTextError(f"{text!r}: {key}: {error}; write {usage}") from error
    try:
        return build(**given)
    except TypeError as error:  # a value without which the fault means nothing
        raise FaultTextError(f"{text!r}: a value is missing; write {usage}") from error
    except ValueError as error:
        raise FaultTextError(f"{text!r}: {error}") from error


def _line(text: str, name: str) -> str:
    if not name:
        raise FaultTextError(f"{text!r}: no line behind @ or a comma; name some, such as @A,B")
    return name


def _kind(text: str, name: str) -> Kind:
    try:
        return Kind[name.upper()]
    except KeyError:
        known = ", ".join(kind.name.lower() for kind in Kind)
        raise FaultTextError(f"{text!r}: no kind of channel {name!r}; there are {known}") from None
