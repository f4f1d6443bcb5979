"""Counters as a feeder would have left them, for pictures of what it does."""

from dataclasses import replace
from typing import Any

from feeder.clock import SECOND_NS
from feeder.ctl.activity import Look
from feeder.telemetry.counters import Counters, Record
from feeder.telemetry.health import Health, State
from feeder.telemetry.metrics import BOUNDS, METRICS_OF, Of
from feeder.telemetry.process import Process

START_NS = 1_700_000_000 * SECOND_NS
LIVE, STALE, SYNCING, DELISTED = 2, 3, 1, 4

_BOOK = {
    "status": "status",
    "queue_depth": "queue.depth",
    "high_water": "queue.high_water",
    "updates": "queue.puts",
    "folds": "queue.folds",
    "gaps": "gaps",
    "resyncs": "resyncs_requested",
    "received_ns": "last_update.receive_time_ns",
}


def record(of: Of, label: str, **values: int) -> Record:
    """A record by the names of its sources, dots written as two underscores; what is not named is 0."""
    named = {name.replace("__", "."): value for name, value in values.items()}
    sources = [metric.source for metric in METRICS_OF[of]]
    assert named.keys() <= set(sources), (named, sources)
    return Record(of, label, [named.get(source, 0) for source in sources])


def book(symbol: str, **values: int) -> Record:
    """A book, LIVE unless said otherwise."""
    sources = {_BOOK[name].replace(".", "__"): value for name, value in {"status": LIVE, **values}.items()}
    return record(Of.BOOK, f"linear|{symbol}", **sources)


def lags(*counts: int) -> Record:
    """The loop lag's histogram, its first buckets."""
    buckets = len(BOUNDS[Of.LOOP_LAG]) + 1
    return Record(Of.LOOP_LAG, "", [0, *counts, *([0] * (buckets - len(counts)))])


def looked(at: float, *records: Record, state: State = State.RUNNING, reason: str = "", **header: Any) -> Look:
    """A look `at` seconds after the feeder's start, when it had used half of these of the processor."""
    now = START_NS + int(at * SECOND_NS)
    found = Counters(
        pid=4242,
        process_start=1,
        start_ns=START_NS,
        session_id=7,
        heartbeat_monotonic_ns=0,
        heartbeat_wall_ns=now,
        ended=False,
        version="0.1.0",
        records=list(records),
    )
    there = Process(1, at / 2, 50_000_000) if state in {State.RUNNING, State.HANGING} else None
    return Look(1000.0 + at, now, Health(state, reason, 0.0, replace(found, **header), there))
