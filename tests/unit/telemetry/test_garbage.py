"""Runs of the cycle collector and what they cost, with the time moved by hand."""

import gc

import pytest

from feeder.clock import ManualClock
from feeder.telemetry.garbage import Garbage


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def garbage(clock: ManualClock) -> Garbage:
    return Garbage(clock)


def run(garbage: Garbage, clock: ManualClock, generation: int, seconds: float) -> None:
    garbage._on_phase("start", {"generation": generation})
    clock.advance(seconds)
    garbage._on_phase("stop", {"generation": generation, "collected": 0, "uncollectable": 0})


def test_runs_are_counted_by_generation_and_their_pauses_added_up(garbage: Garbage, clock: ManualClock) -> None:
    run(garbage, clock, 0, 0.001)
    run(garbage, clock, 2, 0.25)
    run(garbage, clock, 0, 0.002)
    assert garbage.collections == {"0": 2, "1": 0, "2": 1}
    assert garbage.pause_ns == pytest.approx(253_000_000, abs=10)
    assert garbage.longest_pause_ns == pytest.approx(250_000_000, abs=10)


def test_the_longest_pause_is_forgotten_after_a_minute_or_two(garbage: Garbage, clock: ManualClock) -> None:
    run(garbage, clock, 2, 0.5)
    clock.advance(59)
    run(garbage, clock, 0, 0.001)
    assert garbage.longest_pause_ns == pytest.approx(500_000_000, abs=10)
    clock.advance(10)
    assert garbage.longest_pause_ns == pytest.approx(500_000_000, abs=10), "of the minute before"
    run(garbage, clock, 0, 0.002)
    clock.advance(60)
    assert garbage.longest_pause_ns == pytest.approx(2_000_000, abs=10)
    run(garbage, clock, 2, 0.3)
    clock.advance(1000)
    assert garbage.longest_pause_ns == 0, "of long ago, though nobody looked since"
    assert garbage.pause_ns == pytest.approx(803_000_000, abs=10)


def test_the_collector_itself_is_listened_to_until_the_end(garbage: Garbage) -> None:
    garbage.install()
    gc.collect(1)
    garbage.remove()
    gc.collect(2)
    assert garbage.collections["1"] >= 1
    assert garbage.collections["2"] == 0
