"""A latency is told in ms, and not at all before anything was measured."""

from feeder.bybit.streams import EntryHealth, Latency, StreamHealth
from feeder.histogram import Histogram


def test_it_is_in_ms() -> None:
    histogram = Histogram()
    for milliseconds in range(1, 101):
        histogram.record(milliseconds * 1_000_000)
    latency = Latency.of(histogram)
    assert latency is not None
    assert (latency.count, latency.maximum) == (100, 100)
    assert 48 < latency.p50 < 53
    assert 96 < latency.p99 <= 100


def test_without_a_measurement_there_is_none() -> None:
    assert Latency.of(Histogram()) is None


def test_streams_and_order_entry_tell_the_same() -> None:
    assert StreamHealth.__annotations__["latency"] == EntryHealth.__annotations__["round_trips"] == Latency | None
