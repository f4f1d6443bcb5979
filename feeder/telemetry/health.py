"""Whether a feeder is alive and ready, judged from outside: by its counters file and its process."""

import enum
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feeder.clock import SECOND_NS, Clock
from feeder.errors import CountersError
from feeder.market.status import BookStatus
from feeder.telemetry import counters, process
from feeder.telemetry.counters import Counters
from feeder.telemetry.metrics import CONNECTION_STATES, METRICS_OF, SCHEMA, Of
from feeder.telemetry.process import Process

FRESH_SECONDS = 1.5
"""A feeder whose event loop has not turned for longer hangs: one that is stopped is told as such within 2 seconds."""

READY_PERCENT = 99
"""Of the books that can be LIVE, how many must be: some book is always being begun anew among a thousand."""

ORPHAN_SECONDS = 600.0
"""How long an exporter goes on saying that its feeder is gone."""

EXIT_REPLACED = 3
"""An exporter's exit code when another feeder has made the counters file anew."""


class State(enum.Enum):
    """What became of a feeder."""

    RUNNING = enum.auto()
    HANGING = enum.auto()  # there, and its event loop does not turn
    ENDED = enum.auto()  # as it should
    GONE = enum.auto()  # without saying so
    UNKNOWN = enum.auto()  # the counters file does not tell


@dataclass(frozen=True, slots=True)
class Health:
    """A feeder as it is now; `reason` says why it is not RUNNING. `age_seconds` is that of its last heartbeat."""

    state: State
    reason: str = ""
    age_seconds: float = 0.0
    counters: Counters | None = None
    process: Process | None = None

    @property
    def tells(self) -> bool:
        """Whether its counters are of a process that is there still: of another they would look like present ones."""
        return self.state in {State.RUNNING, State.HANGING}


def look(
    path: Path,
    clock: Clock,
    *,
    records: bool = True,
    find: Callable[[int], Process | None] = process.find,
) -> Health:
    """Read the counters file, all of it or no more than its header, and look for the process that made it."""
    try:
        found = counters.read(path, SCHEMA, records=records)
    except CountersError as error:
        return Health(State.UNKNOWN, str(error))
    age = clock.monotonic() - found.heartbeat_monotonic_ns / SECOND_NS
    if found.ended:
        return Health(State.ENDED, "the feeder has ended", age, found)
    running = find(found.pid)
    if running is None or running.start != found.process_start:
        return Health(State.GONE, f"the feeder (process {found.pid}) is gone without having said so", age, found)
    if age > FRESH_SECONDS:
        reason = f"the feeder's event loop (process {found.pid}) has not turned for {age:.1f} s"
        return Health(State.HANGING, reason, age, found, running)
    return Health(State.RUNNING, "", age, found, running)


def books_by_status(found: Counters) -> Counter[str]:
    """How many books are in which status; statuses of no book are there with 0."""
    return _count(found, Of.BOOK, "status", {int(status): status.name for status in BookStatus})


def connections_by_state(found: Counters) -> Counter[str]:
    """How many connections to the exchange are in which state; states of none are there with 0."""
    return _count(found, Of.CONNECTION, "state.value", CONNECTION_STATES)


def reasons_not_ready(
    *, complete: bool, followed: int, books: Mapping[str, int], connections: Mapping[str, int]
) -> list[str]:
    """Why a feeder whose event loop turns is not ready; empty if it is. Ready is one of which all of this is true:

    - its instruments are loaded, so that every book wanted that the exchange lists is followed, and one may be LIVE;
    - every connection to the exchange is up;
    - of the books that are not DELISTED, READY_PERCENT are LIVE (so of fewer than 100 books, all).

    `followed` is how many books there are, `books` how many by status, `connections` how many by state.
    """
    wanted = followed - books["DELISTED"]
    reasons = []
    if not complete:
        reasons.append("the instruments are not loaded yet")
    elif not wanted:
        reasons.append("no book can be LIVE")
    elif (wanted - books["LIVE"]) * 100 > wanted * (100 - READY_PERCENT):
        reasons.append(f"{books['LIVE']} of {wanted} books are LIVE")
    there = sum(connections.values())
    down = there - connections["CONNECTED"]
    if down:
        reasons.append(f"{down} of {there} connections to the exchange are not up")
    return reasons


def readiness(health: Health) -> dict[str, Any]:
    """What /readyz says: whether the feeder is RUNNING and, by its counters, nothing keeps it from being ready."""
    found = health.counters
    if health.state is not State.RUNNING or found is None:
        return {"ready": False, "reasons": [health.reason]}
    values = next((record.values for record in found.records if record.kind == Of.FEEDER), None)
    told = dict(zip([metric.source for metric in METRICS_OF[Of.FEEDER]], values or [], strict=False))
    books, connections = books_by_status(found), connections_by_state(found)
    complete, followed = bool(told.get("publisher.complete")), told.get("followed", 0)
    reasons = reasons_not_ready(complete=complete, followed=followed, books=books, connections=connections)
    return {
        "ready": not reasons,
        "reasons": reasons,
        "followed": followed,
        "books": dict(books),
        "connections": dict(connections),
    }


class Watch:
    """Whether the exporter that a feeder started for itself is still of use. Times are monotonic seconds, given."""

    def __init__(self, session_id: int) -> None:
        self._session_id = session_id
        self._alone_since: float | None = None

    def over(self, health: Health, now: float) -> str | None:
        """Why it is to end; None while it is not."""
        found = health.counters
        if found is not None and found.session_id != self._session_id:
            return "another feeder has made the counters file anew"
        if health.state is State.ENDED:
            return health.reason
        if health.tells:
            self._alone_since = None
            return None
        if self._alone_since is None:
            self._alone_since = now
        return health.reason if now - self._alone_since >= ORPHAN_SECONDS else None


def _count(found: Counters, of: Of, source: str, names: dict[int, str]) -> Counter[str]:
    index = [metric.source for metric in METRICS_OF[of]].index(source)
    counts = Counter(dict.fromkeys(names.values(), 0))
    # A record that was made a moment ago holds zeros until its first copy.
    counts.update(names[value] for r in found.records if r.kind == of and (value := r.values[index]) in names)
    return counts
