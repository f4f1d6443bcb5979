"""The soak's scripts say what they stage in words that the staging tools understand, and what must be seen of it."""

import pytest
from loss import parse
from soak_records import Flag
from soak_report import table
from soak_row import Row, fill_times, quantile
from soak_scripts import SCRIPTS, Do, Expect

from feeder.simulator.script import parse_fault


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_can_be_staged(script):
    for follower in script.followers:
        parse(follower.faults)
    for fault in script.upstream:
        parse_fault(fault)
        assert fault["at"] < script.seconds
    for act in script.acts:
        assert act.at + act.seconds < script.seconds
        assert act.do in (Do.KILL_FEEDER, Do.START_FEEDER) or act.who < len(script.followers)


def test_scripts_have_names_of_their_own():
    assert len({script.name for script in SCRIPTS}) == len(SCRIPTS)


def test_what_must_be_seen_and_was_not_is_named():
    expect = Expect(holes=True, requests=False, fill_p99_ms=50.0)
    assert expect.misses(holes=3, requests=0, fill_p99_ms=49.0) == []
    assert expect.misses(holes=40, filled=38, requests=0, fill_p99_ms=49.0) == []
    few = ["37 of 40 holes filled, where nearly all were expected"]
    assert expect.misses(holes=40, filled=37, requests=0, fill_p99_ms=49.0) == few
    assert expect.misses(holes=0, requests=2, fill_p99_ms=51.0) == [
        "holes: 0, where some was expected",
        "requests: 2, where none was expected",
        "holes filled in 51 ms (p99), not within 50 ms",
    ]


def test_holes_of_before_the_consumer_knew_where_to_ask_are_no_measure_of_filling_them():
    flags = [
        Flag(10.0, "SessionChanged", 0, session=1),
        Flag(11.4, "HoleFilled", 0, "BOOKS", 1, 1, seconds=0.3),
        Flag(12.0, "HoleFilled", 0, "BOOKS", 5, 5, seconds=0.01),
        Flag(12.0, "HoleFilled", 0, "SNAPSHOTS", 5, 5, seconds=0.5),
    ]
    assert list(fill_times(flags)) == [0.01]


def test_quantiles_are_of_values_that_were_seen():
    values = [float(n) for n in range(1, 101)]
    assert [quantile(values, part) for part in (0.5, 0.99, 1.0)] == [50.0, 99.0, 100.0]
    assert quantile([7.0], 0.5) == 7.0


def test_the_table_says_why_a_script_fails():
    good, bad = Row("loss", 1, packets=1234), Row("death", 1, problems=["consumer 1: book 4 was LIVE and wrong"])
    lines = table([good, bad], {}).splitlines()
    assert lines[2].startswith("| loss | 1 |")
    assert lines[2].endswith("| holds |")
    assert lines[3].endswith("| FAILS |")
    assert lines[-1] == "- death FAILS: consumer 1: book 4 was LIVE and wrong"
