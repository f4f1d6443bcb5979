"""Alive, hanging, ended, gone; ready or not, and why; and when an exporter has outlived its use."""

import os
from typing import Any

import pytest

from feeder.clock import ManualClock
from feeder.telemetry import process
from feeder.telemetry.counters import CountersWriter
from feeder.telemetry.health import ORPHAN_SECONDS, Health, State, Watch, look, readiness
from feeder.telemetry.metrics import METRICS_OF, SCHEMA, Of
from feeder.telemetry.process import Process

SOURCES = [metric.source for metric in METRICS_OF[Of.FEEDER]]


class Feeder:
    def __init__(self, path: Any, session: int = 7) -> None:
        self.clock = ManualClock()
        self.path = path
        self.writer = CountersWriter(path, schema=SCHEMA, session_id=session, start_ns=self.clock.wall_ns())
        self.writer.beat(round(self.clock.monotonic() * 1e9), self.clock.wall_ns())
        self.process: Process | None = process.find(os.getpid())
        self.own = self.writer.add(Of.FEEDER, "", len(SOURCES))

    def look(self, *, records: bool = True) -> Health:
        return look(self.path, self.clock, records=records, find=lambda _: self.process)

    def follows(self, *statuses: int, complete: bool = True, followed: int | None = None) -> None:
        for number, status in enumerate(statuses):
            record = self.writer.add(Of.BOOK, f"linear|S{number}", 8)
            self.writer.store(record, [status])
        values = dict.fromkeys(SOURCES, 0)
        values["publisher.complete"] = complete
        values["followed"] = len(statuses) if followed is None else followed
        self.writer.store(self.own, values.values())

    def connects(self, *states: int) -> None:
        for number, state in enumerate(states):
            self.writer.store(self.writer.add(Of.CONNECTION, f"linear-{number}", 4), [state])


@pytest.fixture
def feeder(tmp_path):
    return Feeder(tmp_path / "counters.dat")


LIVE, STALE, DELISTED = 2, 3, 4


def test_a_feeder_whose_loop_turns_is_running(feeder):
    feeder.clock.advance(1.4)
    health = feeder.look()
    assert (health.state, health.reason) == (State.RUNNING, "")
    assert health.age_seconds == pytest.approx(1.4)


def test_one_whose_loop_does_not_turn_hangs(feeder):
    feeder.clock.advance(7.3)
    health = feeder.look()
    assert health.state is State.HANGING
    assert "has not turned for 7.3 s" in health.reason
    assert health.tells


def test_one_that_died_is_gone_at_once(feeder):
    feeder.process = None
    health = feeder.look()
    assert health.state is State.GONE
    assert f"process {os.getpid()}" in health.reason
    assert not health.tells


def test_another_process_of_the_same_id_is_not_the_feeder(feeder):
    feeder.process = Process(feeder.process.start + 1, 0.0, 0)
    assert feeder.look().state is State.GONE


def test_one_that_ended_has_ended_even_while_its_process_winds_up(feeder):
    feeder.writer.close()
    assert feeder.look().state is State.ENDED


def test_no_file_tells_nothing(feeder):
    feeder.path.unlink()
    health = feeder.look()
    assert (health.state, health.counters) == (State.UNKNOWN, None)
    assert "No such file" in health.reason


# Ready ----------------------------------------------------------------------------------------------------------------


def test_all_books_live_and_all_connections_up_is_ready(feeder):
    feeder.follows(LIVE, LIVE)
    feeder.connects(2)
    assert readiness(feeder.look()) == {
        "ready": True,
        "reasons": [],
        "followed": 2,
        "books": {"SYNCING": 0, "LIVE": 2, "STALE": 0, "DELISTED": 0},
        "connections": {"CONNECTING": 0, "CONNECTED": 1, "WAITING": 0, "CLOSED": 0},
    }


@pytest.mark.parametrize(
    ("statuses", "ready"),
    [
        ([LIVE, STALE], False),
        ([LIVE] * 98 + [STALE], False),
        ([LIVE] * 99 + [STALE], True),
        ([LIVE] * 812 + [STALE] * 8, True),
        ([LIVE] * 811 + [STALE] * 9, False),
        ([LIVE, DELISTED], True),
        ([DELISTED], False),
    ],
)
def test_one_in_a_hundred_may_be_on_its_way(feeder, statuses, ready):
    feeder.follows(*statuses)
    feeder.connects(2)
    assert readiness(feeder.look())["ready"] is ready


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"complete": False}, "the instruments are not loaded yet"),
        ({"followed": 0}, "no book can be LIVE"),
        ({"followed": 300}, "2 of 300 books are LIVE"),  # the others have no record yet
    ],
)
def test_a_feeder_that_is_still_starting_is_not_ready(feeder, settings, reason):
    feeder.follows(LIVE, LIVE, **settings)
    feeder.connects(2)
    assert readiness(feeder.look())["reasons"] == [reason]


def test_before_the_first_copy_nothing_is_ready(feeder):
    assert readiness(feeder.look())["reasons"] == ["the instruments are not loaded yet"]


def test_a_connection_that_is_down_is_not_ready(feeder):
    feeder.follows(LIVE)
    feeder.connects(2, 3, 1)
    assert readiness(feeder.look())["reasons"] == ["2 of 3 connections to the exchange are not up"]


def test_a_feeder_that_hangs_is_not_ready_whatever_its_books_were(feeder):
    feeder.follows(LIVE)
    feeder.connects(2)
    feeder.clock.advance(5)
    ready = readiness(feeder.look())
    assert not ready["ready"]
    assert "has not turned" in ready["reasons"][0]


# An exporter of its own -----------------------------------------------------------------------------------------------


def test_the_exporter_stays_while_its_feeder_runs_or_hangs(feeder):
    watch = Watch(7)
    for _ in range(5):
        assert watch.over(feeder.look(records=False), feeder.clock.monotonic()) is None
        feeder.clock.advance(400)


def test_it_stays_ten_minutes_with_a_dead_feeder(feeder):
    watch = Watch(7)
    feeder.process = None
    assert watch.over(feeder.look(), feeder.clock.monotonic()) is None
    feeder.clock.advance(ORPHAN_SECONDS - 1)
    assert watch.over(feeder.look(), feeder.clock.monotonic()) is None
    feeder.clock.advance(1)
    assert "is gone" in watch.over(feeder.look(), feeder.clock.monotonic())


def test_it_ends_as_soon_as_another_feeder_made_the_file(feeder, tmp_path):
    watch = Watch(7)
    feeder.process = None
    assert watch.over(feeder.look(), feeder.clock.monotonic()) is None
    Feeder(tmp_path / "counters.dat", session=8)
    assert "another feeder" in watch.over(feeder.look(), feeder.clock.monotonic())


def test_it_ends_with_a_feeder_that_ended(feeder):
    feeder.writer.close()
    assert Watch(7).over(feeder.look(), feeder.clock.monotonic()) == "the feeder has ended"


def test_a_file_that_somebody_deleted_is_waited_for_as_long(feeder):
    watch = Watch(7)
    data = feeder.path.read_bytes()
    feeder.path.unlink()
    assert watch.over(feeder.look(), 0.0) is None
    feeder.path.write_bytes(data)
    assert watch.over(feeder.look(), 500.0) is None
    feeder.path.unlink()
    assert watch.over(feeder.look(), 700.0) is None
    assert watch.over(feeder.look(), 1300.0) is not None
