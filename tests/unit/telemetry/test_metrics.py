"""Every metric is declared once, exported, and explained; nothing else is exported; nothing is counted unseen."""

import asyncio
import dataclasses
import re
import subprocess

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from feeder.bybit.counters import Counters as VenueCounters
from feeder.bybit.stream import StreamState
from feeder.market.status import StatusReason
from feeder.multicast.retransmit import RetransmitCounters
from feeder.telemetry import process
from feeder.telemetry.exposition import FeederCollector, Scrapes
from feeder.telemetry.health import Health, State, look
from feeder.telemetry.metrics import CONNECTION_STATES, METRICS, METRICS_OF, SERIES_PER_BOOK, Of, Type
from tests.helpers.require import require

from .plant import TestPlant


def collected(health: Health) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(FeederCollector(lambda: health, Scrapes(5, 30_000_000)))
    return registry


@pytest.fixture
async def health(tmp_path):
    """A feeder that has something to say of everything."""
    plant = TestPlant(tmp_path / "counters.dat")
    plant.add("BTCUSDT")
    plant.add("ETHUSDT")
    plant.router.workers["linear", "BTCUSDT"].start()
    plant.pool.counters.resyncs[StatusReason.GAP] += 1
    plant.copier.lag.record(700_000)
    connection = plant.writer.add(Of.CONNECTION, "linear-1", len(METRICS_OF[Of.CONNECTION]))
    plant.writer.store(connection, [2, 40, 39, 0])
    lag = plant.writer.add(Of.VENUE_LAG, "linear", len(METRICS_OF[Of.VENUE_LAG]))
    plant.writer.store(lag, [40_000_000, 30_000_000, 50_000_000])
    plant.ticks(220)
    yield look(plant.path, plant.clock, find=process.find)
    await plant.aclose()


def test_names_follow_the_conventions():
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch(r"feeder(_[a-z]+)+", metric.name), metric.name
        assert metric.name.endswith("_total") == (metric.type is Type.COUNTER), metric.name
        if metric.per != 1 or metric.type is Type.HISTOGRAM:
            assert metric.name.removesuffix("_total").endswith("_seconds"), metric.name
        assert not re.search(r"_(ms|us|ns|mb|kb)\b", metric.name), metric.name
        assert metric.help[0].isupper() or metric.help[0].isdigit()
        assert not metric.help.endswith(".")
        assert metric.source


def test_a_book_has_its_eight_series_and_no_more():
    assert len(METRICS_OF[Of.BOOK]) == SERIES_PER_BOOK == 8


async def test_every_declared_metric_is_exported_and_nothing_else(health):
    text = generate_latest(collected(health)).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    for metric in METRICS:
        family = families.pop(metric.name.removesuffix("_total"))
        assert (family.type, family.documentation) == (metric.type, metric.help)
        assert family.samples, metric.name
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels), sample
    assert families == {}


async def test_the_newer_format_is_valid_too(health):
    text = generate_openmetrics(collected(health)).decode()
    assert len(list(parse_openmetrics(text))) == len(METRICS)


@pytest.mark.parametrize("state", State)
async def test_prometheus_own_linter_has_nothing_to_say(health, state):
    text = generate_latest(collected(dataclasses.replace(health, state=state)))
    command = [require("promtool"), "check", "metrics"]
    said = await asyncio.to_thread(subprocess.run, command, input=text, capture_output=True, check=False)
    assert (said.returncode, said.stdout + said.stderr) == (0, b"")


async def test_the_stages_are_one_histogram_told_apart_by_a_label(health):
    text = generate_latest(collected(health)).decode()
    (stages,) = [f for f in text_string_to_metric_families(text) if f.name == "feeder_stage_seconds"]
    counts = [sample.labels["stage"] for sample in stages.samples if sample.name.endswith("_count")]
    assert counts == ["receive_to_dequeue", "dequeue_to_encode", "encode_to_send"]


async def test_histograms_are_cumulated_and_end_in_their_count(health):
    text = generate_latest(collected(health)).decode()
    (lag,) = [f for f in text_string_to_metric_families(text) if f.name == "feeder_loop_lag_seconds"]
    buckets = [(sample.labels["le"], sample.value) for sample in lag.samples if sample.name.endswith("_bucket")]
    (count,) = [sample.value for sample in lag.samples if sample.name.endswith("_count")]
    (total,) = [sample.value for sample in lag.samples if sample.name.endswith("_sum")]
    values = [value for _, value in buckets]
    assert total == pytest.approx(0.0007), "seconds"
    assert values == sorted(values)
    assert buckets[-1] == ("+Inf", count)
    assert dict(buckets)["0.001"] - dict(buckets)["0.0005"] == 1


@pytest.mark.parametrize("state", [State.GONE, State.ENDED])
async def test_of_a_feeder_that_is_gone_no_counts_are_told(health, state):
    gone = dataclasses.replace(health, state=state, process=None)
    names = [family.name for family in text_string_to_metric_families(generate_latest(collected(gone)).decode())]
    assert names == [
        *("feeder_up", "feeder_heartbeat_age_seconds", "feeder_start_time_seconds", "feeder_build_info"),
        *("feeder_exporter_scrapes", "feeder_exporter_scrape_seconds"),
    ]


def test_without_a_counters_file_the_feeder_is_not_up():
    text = generate_latest(collected(Health(State.UNKNOWN, "no file"))).decode()
    values = {family.name: family.samples[0].value for family in text_string_to_metric_families(text)}
    assert values == {"feeder_up": 0, "feeder_exporter_scrapes": 5, "feeder_exporter_scrape_seconds": 0.03}


async def test_whatever_the_feeder_counts_is_exported(tmp_path):
    """Add a counter, and this says that it wants a metric."""
    sources = {metric.source.rpartition(".")[2] for metric in METRICS}
    for counters in (VenueCounters, RetransmitCounters):
        assert {field.name for field in dataclasses.fields(counters)} <= sources
    plant = TestPlant(tmp_path / "counters.dat")
    plant.add("BTCUSDT")
    assert set(plant.router.totals()) <= sources
    await plant.aclose()


def test_the_states_of_connections_are_those_there_are():
    assert {state.value: state.name for state in StreamState} == CONNECTION_STATES
