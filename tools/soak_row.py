"""What came of a script, in figures."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from soak_audit import Audit, Witness
from soak_records import Flag

_FEED_KINDS = ("BOOKS", "TRADES")  # what is sent again on request
_KNOWS_ADDRESS_SECONDS = 1.25  # after it heard of the session: all definitions, which say where to ask, in a second


@dataclass
class Row:
    """What came of a script. Counts are of all its consumers together; times in milliseconds or, named so, seconds."""

    script: str
    seed: int
    consumers: int = 0
    seconds: float = 0.0
    packets: int = 0
    lost: int = 0  # packets that did not arrive
    holes: int = 0
    filled: int = 0
    abandoned: int = 0
    requests: int = 0
    request_bytes: int = 0
    answer_bytes: int = 0
    fill_ms: dict[str, float] = field(default_factory=dict)  # p50, p99, max, from a hole named to filled
    fill_samples: int = 0  # of these
    compared: int = 0
    compared_with_exchange: int = 0
    missing: int = 0
    wrong: int = 0
    excused: int = 0
    altered: int = 0
    unflagged: int = 0
    conflated: int = 0
    checksum_mismatches: int = 0
    dropped_here: int = 0
    lost_longest_seconds: float = 0.0
    stood_still_seconds: float = 0.0
    settled_seconds: dict[str, float] = field(default_factory=dict)
    joined_seconds: dict[str, float] = field(default_factory=dict)  # late joins and restarts
    noticed_seconds: list[float] = field(default_factory=list)  # that the feeder was killed
    back_seconds: list[float] = field(default_factory=list)  # all LIVE, from when the restarted feeder was heard
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether the script holds."""
        return not self.problems


def count(row: Row, audit: Audit, *, ended: bool) -> None:
    """Fill in what the audit found. One that did not come to its end has compared less, which is then no finding."""
    unfinished = audit.finish()
    witnesses = list(audit.witnesses.values())
    flags = [flag for witness in witnesses for flag in witness.flags if flag.kind in _FEED_KINDS]
    row.consumers = len(witnesses)
    row.holes = _number(flags, "PacketsLost")
    row.filled = _number(flags, "HoleFilled")
    row.abandoned = _number(flags, "HoleAbandoned")
    row.dropped_here = sum(flag.dropped_here for flag in flags)
    milliseconds = sorted(1000 * seconds for witness in witnesses for seconds in fill_times(witness.flags))
    if milliseconds:
        parts = {"p50": 0.5, "p99": 0.99, "max": 1.0}
        row.fill_ms = {name: round(quantile(milliseconds, part), 2) for name, part in parts.items()}
        row.fill_samples = len(milliseconds)
    row.packets = _sum(witnesses, "datagrams")
    row.lost = _sum(witnesses, "lost")
    row.requests = _sum(witnesses, "requests")
    row.request_bytes = _sum(witnesses, "request_bytes")
    row.answer_bytes = _sum(witnesses, "answer_bytes")
    row.checksum_mismatches = _sum(witnesses, "checksum_mismatches")
    row.conflated = audit.reference.conflated
    row.lost_longest_seconds = round(max((witness.lost_longest for witness in witnesses), default=0.0), 3)
    row.stood_still_seconds = round(max((witness.stood_still for witness in witnesses), default=0.0), 3)
    row.compared = sum(witness.compared for witness in witnesses)
    row.missing = sum(witness.missing for witness in witnesses)
    row.excused = sum(witness.excused for witness in witnesses)
    row.altered = sum(witness.altered for witness in witnesses)
    row.compared_with_exchange = audit.exchange_compared
    row.wrong = audit.wrong.count + audit.feeder_wrong.count
    row.unflagged = audit.unflagged.count
    if ended:
        row.problems += unfinished
    for witness in (audit.reference, *witnesses):
        if errors := witness.figures.get("callback_errors", 0):
            row.problems.append(
                f"{witness.name}: {errors} of its callbacks failed, and what they were to write is missing"
            )
    for findings in (audit.wrong, audit.feeder_wrong, audit.unflagged):
        row.problems += findings.examples


def quantile(ordered: list[float], part: float) -> float:
    """By nearest rank, of at least one."""
    return ordered[max(0, -int(-part * len(ordered) // 1) - 1)]


def fill_times(flags: Iterable[Flag]) -> Iterator[float]:
    """Seconds from hole named to hole filled, of those that were named when the consumer knew where to ask."""
    began: dict[int, float] = {}  # the session of each partition
    for flag in flags:
        if flag.event == "SessionChanged":
            began[flag.partition] = flag.time
        named = flag.time - flag.seconds - began.get(flag.partition, 0.0)
        if flag.event == "HoleFilled" and flag.kind in _FEED_KINDS and named >= _KNOWS_ADDRESS_SECONDS:
            yield flag.seconds


def _number(flags: Iterable[Flag], event: str) -> int:
    return sum(flag.event == event for flag in flags)


def _sum(witnesses: Iterable[Witness], name: str) -> int:
    return sum(witness.figures.get(name, 0) for witness in witnesses)
