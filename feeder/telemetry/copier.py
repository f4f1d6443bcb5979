"""From the feeder's plain attributes to the counters file, a slice per tick, so that no copy keeps the event loop.

Everything is visited once a second, at most VISITS_PER_TICK things in one tick of 10 ms; a visit takes some
microseconds. With more than 3,200 things to visit the round simply takes longer.
"""

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from operator import add, attrgetter, sub
from typing import Any, Protocol

from feeder.bybit.pool import BybitPool
from feeder.clock import SECOND_NS, Clock
from feeder.errors import CountersError
from feeder.histogram import Buckets
from feeder.log import logger, output, standard_error
from feeder.market.instrument import InstrumentKey
from feeder.market.status import BookStatus, StatusReason
from feeder.multicast.channel import LineSender
from feeder.multicast.plan import Channel
from feeder.multicast.publisher import TICK_INTERVAL, Publisher
from feeder.multicast.rotation import Rotation
from feeder.pipeline.router import Router
from feeder.pipeline.worker import Worker
from feeder.telemetry.counters import CountersWriter
from feeder.telemetry.garbage import Garbage
from feeder.telemetry.metrics import LOOP_LAG_BOUNDS_US, METRICS_OF, Of, field_count
from feeder.wire.messages import RejectReason

ROUND_PERIOD = 1.0  # seconds
VISITS_PER_TICK = 32

RELOAD_RESULTS = ("changed", "unchanged", "refused")
REFRESH_RESULTS = ("ok", "failed")

_log = logger("telemetry.copier")


def _reader(of: Of) -> Callable[[Any], tuple[int, ...]]:
    """Reads all of a kind's sources from one object, at C's speed."""
    sources = [metric.source for metric in METRICS_OF[of]]
    if of is Of.BOOK:
        sources.pop()  # the last update, which there may not be
    if len(sources) == 1:
        read_one = attrgetter(sources[0])
        return lambda source: (read_one(source),)
    return attrgetter(*sources)


_NO_RESYNC = {"NONE", "SUBSCRIBED", "SNAPSHOT", "DELISTED", "UNSUBSCRIBED"}
_RESYNCS = [reason.name for reason in StatusReason if reason.name not in _NO_RESYNC]
_PLAIN = (
    *(Of.FEEDER, Of.BOOKS, Of.BOOK, Of.CONNECTION, Of.CHANNEL, Of.LINE, Of.RING, Of.RETRANSMIT),
    *(Of.SNAPSHOTS, Of.GARBAGE),
)
_READERS = {of: _reader(of) for of in _PLAIN}


class Plant:
    """What is counted: the parts of one feeder. `lines` are its senders, each with the channel it serves.

    What no part of it knows, its owner sets here: how the configuration and the universe fare, and which `shard` it is.
    """

    def __init__(
        self, pool: BybitPool, router: Router, publisher: Publisher, lines: Iterable[tuple[Channel, LineSender]]
    ) -> None:
        self.pool = pool
        self.router = router
        self.publisher = publisher
        self.lines = list(lines)
        self.failures = 0  # copies that failed
        self.shard = "0/1"
        self.config_generation = 1  # of the configuration in use
        self.config_good = True  # the one read last was not refused
        self.config_restart_needed = 0  # keys whose new value waits for a restart
        self.config_reloads: Counter[str] = Counter()  # by result, one of RELOAD_RESULTS
        self.universe_refreshes: Counter[str] = Counter()  # by result, one of REFRESH_RESULTS
        self.refused_subscriptions = 0  # instruments that are wanted and cannot be followed
        self.refused_tables = 0  # instrument tables that were too short to be believed
        self.rest_requests = 0
        self.rest_retries = 0
        self.rest_failures = 0
        self.rest_refusals = 0
        self.rest_bans = 0  # HTTP 403

    @property
    def followed(self) -> int:
        """How many books there are."""
        return len(self.router.workers)

    @property
    def partitions_served(self) -> int:
        """How many partitions are this process's."""
        return len(self.publisher.partitions)

    @property
    def clock_offset_ns(self) -> int:
        """What to add to this machine's clock to have the exchange's."""
        return int(self.pool.venue_time.offset_seconds * SECOND_NS)

    @property
    def log_lines_lost(self) -> int:
        """Log lines that could not be written."""
        return standard_error.lost_lines

    @property
    def log_lines_suppressed(self) -> int:
        """Log lines left out because they only repeated others."""
        return output.suppressed


class _Target(Protocol):
    """Something to visit; `over` once it need not be visited again."""

    over: bool

    def copy(self) -> None:
        """Store what it counts now."""
        ...


class Copier:
    """Copies a plant's counters. `tick` is called every TICK_INTERVAL from the event loop, which it measures, too."""

    def __init__(self, counters: CountersWriter, plant: Plant, clock: Clock) -> None:
        self.lag = Buckets([bound * 1000 for bound in LOOP_LAG_BOUNDS_US])
        self._counters = counters
        self._plant = plant
        self._clock = clock
        self._round = Rotation(ROUND_PERIOD)
        self._last_tick: float | None = None
        self._garbage = Garbage(clock)
        self._sums = _Sums(counters)
        self._books: dict[InstrumentKey, _Book] = {}
        self._new: deque[InstrumentKey] = deque()  # books that have no record yet
        self._any_over = False
        self._failed: set[type] = set()
        self._targets: list[_Target] = [
            _Plain(counters, Of.FEEDER, "", plant),
            self._sums,
            _Counted(counters, Of.RESYNCS, lambda: _from_zero(_RESYNCS, _by_name(plant.pool.counters.resyncs))),
            _Counted(counters, Of.RELOADS, lambda: _from_zero(RELOAD_RESULTS, plant.config_reloads)),
            _Counted(counters, Of.REFRESHES, lambda: _from_zero(REFRESH_RESULTS, plant.universe_refreshes)),
            _Counted(counters, Of.SHARD, lambda: {plant.shard: 1}),
            _Plain(counters, Of.GARBAGE, "", self._garbage),
            _Counted(counters, Of.COLLECTIONS, lambda: self._garbage.collections),
            _Connections(counters, plant.pool),
            _VenueLags(counters, plant.pool),
            _Histogram(counters, Of.PONGS, "", plant.pool.counters.pongs),
            _Histogram(counters, Of.LATENCY, "", plant.publisher.latency),
            _Histogram(counters, Of.STAGES, "receive_to_dequeue", plant.router.stages.receive_to_dequeue),
            _Histogram(counters, Of.STAGES, "dequeue_to_encode", plant.router.stages.dequeue_to_encode),
            _Histogram(counters, Of.STAGES, "encode_to_send", plant.publisher.encode_to_send),
            _Histogram(counters, Of.LOOP_LAG, "", self.lag),
        ]
        for partition in plant.publisher.partitions:
            self._targets.append(_Plain(counters, Of.SNAPSHOTS, str(partition.number), partition))
            for kind, channel in partition.channels.items():
                label = f"{partition.number}|{kind.name.lower()}"
                self._targets.append(_Plain(counters, Of.CHANNEL, label, channel))
                if channel.ring is not None:
                    self._targets.append(_Plain(counters, Of.RING, label, channel.ring))
            retransmits = partition.retransmit.counters
            self._targets.append(_Plain(counters, Of.RETRANSMIT, str(partition.number), retransmits))
            rejects = partial(_by_name, retransmits.rejects, f"{partition.number}|")
            self._targets.append(_Counted(counters, Of.REJECTS, rejects))
        for where, sender in plant.lines:
            label = f"{where.partition}|{where.kind.name.lower()}|{sender.line}"
            self._targets.append(_Plain(counters, Of.LINE, label, sender))
        self._garbage.install()

    def tick(self, now: float) -> None:
        """Say that the loop turns, and copy what is due at `now`, monotonic seconds."""
        try:
            self._counters.beat(int(now * SECOND_NS), self._clock.wall_ns())
        except CountersError as error:  # nothing can be stored any longer, and the exporter says so
            self._fail(CountersWriter, error)
            return
        if self._last_tick is not None:
            self.lag.record(int((now - self._last_tick - TICK_INTERVAL) * SECOND_NS))
        self._last_tick = now
        visits = VISITS_PER_TICK
        while visits and (index := self._round.take(now, len(self._targets))) is not None:
            visits -= 1
            self._visit(self._targets[index])
        while visits and self._new:
            visits -= 1
            self._begin(self._new.popleft())
        if self._round.ended(now, len(self._targets)):
            self._look_around()

    def close(self) -> None:
        """Copy everything once more, as nothing is kept waiting any longer, and say that the feeder has ended."""
        for target in reversed(self._targets):  # the sums after the books that make them
            self._visit(target)
        self._garbage.remove()
        self._counters.close()

    def _look_around(self) -> None:
        """Between two rounds: let go of what has ended, and find the books that are new. Mostly there are none."""
        if self._any_over:
            self._any_over = False
            self._targets = [target for target in self._targets if not target.over]
            self._books = {key: book for key, book in self._books.items() if not book.over}
        workers = self._plant.router.workers
        if len(workers) != len(self._books):  # a new one and one that ended differ once the latter was visited
            self._new = deque(workers.keys() - self._books.keys())

    def _begin(self, key: InstrumentKey) -> None:
        worker = self._plant.router.workers.get(key)
        if worker is None:
            return
        try:
            book = _Book(self._counters, key, worker, self._plant.router.workers, self._sums)
        except Exception as error:  # noqa: BLE001 - as in `_visit`; it is tried again after the next round
            self._fail(_Book, error)
        else:
            self._books[key] = book
            self._targets.append(book)
            self._visit(book)

    def _visit(self, target: _Target) -> None:
        try:
            target.copy()
            self._any_over |= target.over
        except Exception as error:  # noqa: BLE001 - a number that cannot be shown must not stop the market data
            self._fail(type(target), error)

    def _fail(self, kind: type, error: Exception) -> None:
        """Counted each time, logged once per kind of thing, and once for all if nothing at all can be stored."""
        self._plant.failures += 1
        known = isinstance(error, CountersError)
        if known:
            kind = CountersWriter
        if kind not in self._failed:
            self._failed.add(kind)
            _log.error("counters not copied", error=str(error) if known else repr(error), exc_info=not known and error)


class _Plain:
    """An object whose attributes are stored as they are."""

    over = False

    def __init__(self, counters: CountersWriter, of: Of, label: str, source: object) -> None:
        self._counters = counters
        self._read = _READERS[of]
        self._source = source
        self._record = counters.add(of, label, field_count(of))

    def copy(self) -> None:
        self._counters.store(self._record, self._read(self._source))


class _Histogram:
    over = False

    def __init__(self, counters: CountersWriter, of: Of, label: str, buckets: Buckets) -> None:
        self._counters = counters
        self._buckets = buckets
        self._record = counters.add(of, label, field_count(of))

    def copy(self) -> None:
        self._counters.store(self._record, (self._buckets.total, *self._buckets.counts))


class _Records:
    """The records of one kind by label, each made when its label first comes up."""

    def __init__(self, counters: CountersWriter, of: Of) -> None:
        self._counters = counters
        self._of = of
        self._records: dict[str, int] = {}

    def store(self, label: str, values: Iterable[int]) -> None:
        record = self._records.get(label)
        if record is None:
            record = self._records[label] = self._counters.add(self._of, label, field_count(self._of))
        self._counters.store(record, values)

    def keep(self, labels: Collection[str]) -> None:
        """Let go of all others."""
        for label in self._records.keys() - labels:
            self._counters.remove(self._records.pop(label))


class _Counted:
    """Counts of one kind by label."""

    over = False

    def __init__(self, counters: CountersWriter, of: Of, counts: Callable[[], Mapping[str, int]]) -> None:
        self._counts = counts
        self._records = _Records(counters, of)

    def copy(self) -> None:
        for label, count in self._counts().items():
            self._records.store(label, (count,))


def _from_zero(labels: Iterable[str], counts: Mapping[str, int]) -> dict[str, int]:
    """These counts, and 0 of what has not happened yet: Prometheus sees no increase in a series that begins at 1."""
    return {**dict.fromkeys(labels, 0), **counts}


def _by_name(counts: Mapping[StatusReason, int] | Mapping[RejectReason, int], before: str = "") -> dict[str, int]:
    return {before + reason.name: count for reason, count in counts.items()}


class _Connections:
    over = False

    def __init__(self, counters: CountersWriter, pool: BybitPool) -> None:
        self._pool = pool
        self._read = _READERS[Of.CONNECTION]
        self._records = _Records(counters, Of.CONNECTION)

    def copy(self) -> None:
        connections = self._pool.connections()
        self._records.keep({connection.name for connection in connections})
        for connection in connections:
            self._records.store(connection.name, self._read(connection))


class _VenueLags:
    over = False

    def __init__(self, counters: CountersWriter, pool: BybitPool) -> None:
        self._pool = pool
        self._records = _Records(counters, Of.VENUE_LAG)

    def copy(self) -> None:
        lags = self._pool.venue_lags()
        self._records.keep(lags.keys())
        for category, lag in lags.items():
            seconds = (lag.latest, lag.least, lag.most)
            self._records.store(category, [int(value * SECOND_NS) for value in seconds])


class _Sums:
    """What all books have counted together. Books add what they counted since the last visit, so no sum ever falls."""

    over = False

    def __init__(self, counters: CountersWriter) -> None:
        self._counters = counters
        self._record = counters.add(Of.BOOKS, "", field_count(Of.BOOKS))
        self._sums = [0] * field_count(Of.BOOKS)
        # From 0, as `_from_zero` has it: a whole exchange lost at once is the first that is ever told of its reason.
        lost = {(BookStatus.STALE, reason): 0 for reason in StatusReason if reason.name in _RESYNCS}
        self._transitions: Counter[tuple[BookStatus, StatusReason]] = Counter(lost)
        self._transition_records = _Records(counters, Of.TRANSITIONS)

    def grow(self, amounts: Iterable[int]) -> None:
        self._sums = list(map(add, self._sums, amounts))

    def transit(self, transitions: Counter[tuple[BookStatus, StatusReason]]) -> None:
        self._transitions.update(transitions)

    def copy(self) -> None:
        self._counters.store(self._record, self._sums)
        for (status, reason), count in self._transitions.items():
            self._transition_records.store(f"{status.name}|{reason.name}", (count,))


class _Book:
    """One worker's record, and what it has told the sums so far."""

    def __init__(
        self,
        counters: CountersWriter,
        key: InstrumentKey,
        worker: Worker,
        workers: dict[InstrumentKey, Worker],
        sums: _Sums,
    ) -> None:
        self.over = False
        self._counters = counters
        self._key = key
        self._worker = worker
        self._workers = workers
        self._sums = sums
        self._read = _READERS[Of.BOOK]
        self._read_summed = _READERS[Of.BOOKS]
        self._told = (0,) * field_count(Of.BOOKS)
        self._told_transitions: Counter[tuple[BookStatus, StatusReason]] = Counter()
        self._record = counters.add(Of.BOOK, "|".join(key), field_count(Of.BOOK))

    def copy(self) -> None:
        worker = self._worker
        summed = self._read_summed(worker)
        if summed != self._told:
            self._sums.grow(map(sub, summed, self._told))
            self._told = summed
        if worker.transitions.total() != self._told_transitions.total():
            self._sums.transit(worker.transitions - self._told_transitions)
            self._told_transitions = Counter(worker.transitions)
        if self._workers.get(self._key) is worker:
            update = worker.last_update
            received = 0 if update is None else update.receive_time_ns
            self._counters.store(self._record, (*self._read(worker), received))
        elif not self.over:
            self.over = True
            self._counters.remove(self._record)
