"""What a feeder does now: two looks at its counters file, and what happened between them. No I/O.

The busiest books are those with the most updates a second. The sickest are, in this order: STALE, SYNCING, then LIVE
ones with trouble, DELISTED last; among equals the one with more gaps, resyncs, folds since the earlier look, then with
more gaps, resyncs, folds since it is followed, then with more updates waiting. A LIVE book that never had any of it is
not sick at all.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from feeder.clock import SECOND_NS
from feeder.market.status import BookStatus
from feeder.telemetry.counters import Counters, Record
from feeder.telemetry.health import Health, State, books_by_status, connections_by_state
from feeder.telemetry.metrics import BOUNDS, METRICS_OF, Of

_RANKS = {"STALE": 0, "SYNCING": 1, "LIVE": 2, "DELISTED": 3}


@dataclass(frozen=True, slots=True)
class Look:
    """A feeder's health with its counters, and when it was looked at: monotonic seconds, wall nanoseconds."""

    at: float
    wall_ns: int
    health: Health


@dataclass(frozen=True, slots=True)
class BookActivity:
    """One book. Counts are since it is followed, `new_` ones since the earlier look; no age before the first update."""

    instrument: str
    status: str
    age_seconds: float | None
    updates_per_second: float
    folds_per_second: float
    queue_depth: int
    queue_high_water: int
    gaps: int
    resyncs: int
    folds: int
    new_gaps: int
    new_resyncs: int
    new_folds: int


@dataclass(frozen=True, slots=True)
class Activity:
    """A feeder between two looks, `seconds` apart.

    Where the session had no earlier look, `seconds` and all rates are 0.
    `loop_lag_p99_seconds` and `loop_lag_most_seconds` are bounds that the lag did not exceed (infinite above the last
    one), None if the loop did not turn; `cpu` is of one core.
    """

    state: State
    reason: str
    version: str
    pid: int
    session_id: int
    uptime_seconds: float
    seconds: float
    books: dict[str, int]
    connections: dict[str, int]
    updates_per_second: float
    folds_per_second: float
    gaps_per_second: float
    resyncs_per_second: float
    pending_updates: int
    pending_updates_limit: int
    venue_lag_seconds: float | None
    loop_lag_p99_seconds: float | None
    loop_lag_most_seconds: float | None
    cpu: float | None
    resident_bytes: int | None
    busiest: list[BookActivity]
    sickest: list[BookActivity]


def compare(before: Look | None, after: Look) -> Activity | None:
    """What happened between two looks; None if the later one found no counters."""
    now = after.health.counters
    if now is None:
        return None
    then = None if before is None else before.health.counters
    if before is None or then is None or then.session_id != now.session_id:
        before, then = after, now
    seconds = after.at - before.at
    per_second = _rate(seconds)
    books = _books(then, now, per_second, after.wall_ns)
    feeder = _fields(Of.FEEDER, next(_of(now, Of.FEEDER), None))
    there = after.health.process
    was = before.health.process
    last_seen = after.wall_ns if after.health.tells else now.heartbeat_wall_ns
    p99, most = _lags(then, now)
    return Activity(
        state=after.health.state,
        reason=after.health.reason,
        version=now.version,
        pid=now.pid,
        session_id=now.session_id,
        uptime_seconds=max(0.0, (last_seen - now.start_ns) / SECOND_NS),
        seconds=seconds,
        books=dict(books_by_status(now)),
        connections=dict(connections_by_state(now)),
        updates_per_second=sum(book.updates_per_second for book in books),
        folds_per_second=sum(book.folds_per_second for book in books),
        gaps_per_second=per_second(sum(book.new_gaps for book in books)),
        resyncs_per_second=per_second(sum(book.new_resyncs for book in books)),
        pending_updates=feeder.get("router.budget.used", 0),
        pending_updates_limit=feeder.get("router.budget.total", 0),
        venue_lag_seconds=_venue_lag(now),
        loop_lag_p99_seconds=p99,
        loop_lag_most_seconds=most,
        cpu=None if there is None or was is None else per_second(there.cpu_seconds - was.cpu_seconds),
        resident_bytes=None if there is None else there.resident_bytes,
        busiest=sorted(books, key=lambda book: (-book.updates_per_second, book.instrument)),
        sickest=sorted(filter(_is_sick, books), key=_sickness),
    )


def _rate(seconds: float) -> Callable[[float], float]:
    return lambda count: count / seconds if seconds > 0 else 0.0


def _books(then: Counters, now: Counters, per_second: Callable[[float], float], wall_ns: int) -> list[BookActivity]:
    names = {int(status): status.name for status in BookStatus}
    earlier = {record.label: _fields(Of.BOOK, record) for record in _of(then, Of.BOOK)}
    books = []
    for record in _of(now, Of.BOOK):
        told = _fields(Of.BOOK, record)
        if told["status"] not in names:
            continue  # a record made a moment ago, still empty
        past = earlier.get(record.label, {})
        new = {
            source: _grown(past.get(source, 0), told[source])
            for source in ("queue.puts", "queue.folds", "gaps", "resyncs_requested")
        }
        received = told["last_update.receive_time_ns"]
        books.append(
            BookActivity(
                instrument=record.label.replace("|", ":"),
                status=names[told["status"]],
                age_seconds=(wall_ns - received) / SECOND_NS if received else None,
                updates_per_second=per_second(new["queue.puts"]),
                folds_per_second=per_second(new["queue.folds"]),
                queue_depth=told["queue.depth"],
                queue_high_water=told["queue.high_water"],
                gaps=told["gaps"],
                resyncs=told["resyncs_requested"],
                folds=told["queue.folds"],
                new_gaps=new["gaps"],
                new_resyncs=new["resyncs_requested"],
                new_folds=new["queue.folds"],
            )
        )
    return books


def _grown(before: int, after: int) -> int:
    """By how much; a count that fell is another book's, which began at 0 when it took the first one's place."""
    return after - before if after >= before else after


def _is_sick(book: BookActivity) -> bool:
    counts = (book.gaps, book.resyncs, book.folds, book.queue_depth)
    return book.status != "LIVE" or any(counts)


def _sickness(book: BookActivity) -> tuple[object, ...]:
    now = (-book.new_gaps, -book.new_resyncs, -book.new_folds)
    ever = (-book.gaps, -book.resyncs, -book.folds)
    return (_RANKS[book.status], *now, *ever, -book.queue_depth, book.instrument)


def _venue_lag(found: Counters) -> float | None:
    """The greatest of all categories."""
    lags = [_fields(Of.VENUE_LAG, record)["latest"] for record in _of(found, Of.VENUE_LAG)]
    return max(lags) / SECOND_NS if lags else None


def _lags(then: Counters, now: Counters) -> tuple[float | None, float | None]:
    """Bounds of the loop's lag between two looks, or since the start if they are one: the 99th percentile, the most."""
    late, early = _counts(now), _counts(then)
    counts = [a - b for a, b in zip(late, early or [0] * len(late), strict=True)] if now is not then else late
    total = sum(counts)
    if total <= 0:
        return None, None
    bounds = [bound / 1e6 for bound in BOUNDS[Of.LOOP_LAG]] + [float("inf")]
    seen, p99 = 0, bounds[-1]
    for bound, count in zip(bounds, counts, strict=True):
        seen += count
        if seen * 100 >= total * 99:
            p99 = bound
            break
    return p99, max(bound for bound, count in zip(bounds, counts, strict=True) if count)


def _counts(found: Counters) -> Sequence[int]:
    """The loop lag's buckets, without the sum that stands before them."""
    return next((record.values[1:] for record in _of(found, Of.LOOP_LAG)), [])


def _of(found: Counters, of: Of) -> Iterator[Record]:
    return (record for record in found.records if record.kind == of)


def _fields(of: Of, record: Record | None) -> dict[str, int]:
    """A record's values by the names of their sources in feeder.telemetry.metrics."""
    return {} if record is None else dict(zip((m.source for m in METRICS_OF[of]), record.values, strict=True))
