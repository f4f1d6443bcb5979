"""The declared metrics of one feeder as prometheus-client's families, from its counters file."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from feeder.clock import SECOND_NS
from feeder.telemetry import process
from feeder.telemetry.counters import Counters, Record
from feeder.telemetry.health import Health, State, books_by_status, connections_by_state
from feeder.telemetry.metrics import BOUNDS, METRICS, METRICS_OF, Metric, Of, Type
from feeder.telemetry.process import Process

_MICROSECONDS = 1_000_000

Samples = Iterable[tuple[tuple[str, ...], float]]
"""Label values and a value, each."""


@dataclass(slots=True)
class Scrapes:
    """What the exporter itself did so far."""

    count: int = 0
    latest_ns: int = 0


class FeederCollector(Collector):
    """Looks at the feeder once per scrape.

    Of a feeder that is not there any more only its own state is told: its last counts would look like present ones.
    """

    def __init__(self, look: Callable[[], Health], scrapes: Scrapes) -> None:
        self._look = look
        self._scrapes = scrapes

    def collect(self) -> Iterator[Family]:
        """Every declared metric that there is something to say of, in the order of declaration."""
        health = self._look()
        records: dict[int, list[tuple[tuple[str, ...], Record]]] = {}
        if health.counters is not None and health.tells:
            for record in health.counters.records:
                records.setdefault(record.kind, []).append((tuple(record.label.split("|")), record))
        for metric in METRICS:
            if metric.of is Of.EXPORTER:
                samples = _SEEN[metric.name](health)
                if samples is not None:
                    yield _family(metric, samples)
            elif metric.of is Of.SCRAPE:
                yield _family(metric, [((), getattr(self._scrapes, metric.source) / metric.per)])
            elif metric.type is Type.HISTOGRAM and metric.of in records:
                yield _histograms(metric, records[metric.of])
            elif metric.of in records:
                index = METRICS_OF[metric.of].index(metric)
                per, labels = metric.per, metric.labels
                found = records[metric.of]
                yield _family(
                    metric, [(label if labels else (), record.values[index] / per) for label, record in found]
                )


def _family(metric: Metric, samples: Samples) -> Family:
    kind = CounterMetricFamily if metric.type is Type.COUNTER else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _histograms(metric: Metric, records: Iterable[tuple[tuple[str, ...], Record]]) -> Family:
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    bounds = [str(bound / _MICROSECONDS) for bound in BOUNDS[metric.of]]
    for labels, record in records:
        total, *counts = record.values
        cumulated = accumulate(counts)
        buckets = list(zip([*bounds, "+Inf"], cumulated, strict=True))
        family.add_metric(labels if metric.labels else (), buckets, total / SECOND_NS)
    return family


Look = Callable[[Health], Samples | None]


def _of_file(value: Callable[[Counters], float]) -> Look:
    return lambda health: None if health.counters is None else [((), value(health.counters))]


def _of_process(value: Callable[[Process], float]) -> Look:
    return lambda health: None if health.process is None else [((), value(health.process))]


def _counted(counts: Callable[[Counters], dict[str, int]]) -> Look:
    def samples(health: Health) -> Samples | None:
        if health.counters is None or not health.tells:
            return None
        return [((name,), count) for name, count in counts(health.counters).items()]

    return samples


def _build(health: Health) -> Samples | None:
    found = health.counters
    return None if found is None else [((found.version, str(found.session_id)), 1)]


def _open_files(health: Health) -> Samples | None:
    count = None if health.process is None or health.counters is None else process.open_files(health.counters.pid)
    return None if count is None else [((), count)]


# What the exporter finds out by itself, by the metric's name.
_SEEN: dict[str, Look] = {
    "feeder_up": lambda health: [((), health.state is State.RUNNING)],
    "feeder_heartbeat_age_seconds": lambda health: None if health.counters is None else [((), health.age_seconds)],
    "feeder_start_time_seconds": _of_file(lambda found: found.start_ns / SECOND_NS),
    "feeder_build_info": _build,
    "feeder_process_cpu_seconds_total": _of_process(lambda process: process.cpu_seconds),
    "feeder_process_resident_memory_bytes": _of_process(lambda process: process.resident_bytes),
    "feeder_process_open_fds": _open_files,
    "feeder_books": _counted(books_by_status),
    "feeder_venue_connections": _counted(connections_by_state),
}
