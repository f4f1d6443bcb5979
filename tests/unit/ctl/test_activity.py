"""Two looks at a counters file: rates, the busiest, the sickest, and what is no rate at all."""

import random

import pytest

from feeder.clock import SECOND_NS
from feeder.ctl.activity import Look, compare
from feeder.telemetry.health import Health, State
from feeder.telemetry.metrics import Of

from .activities import DELISTED, LIVE, STALE, START_NS, SYNCING, book, lags, looked, record


def names(books):
    return [found.instrument.removeprefix("linear:") for found in books]


def test_rates_are_what_grew_over_the_time_between_two_looks():
    before = looked(10, book("BTCUSDT", updates=1000, folds=10, gaps=2, resyncs=1), book("ETHUSDT", updates=5))
    after = looked(14, book("BTCUSDT", updates=1400, folds=18, gaps=3, resyncs=2), book("ETHUSDT", updates=7))
    found = compare(before, after)
    assert (found.seconds, found.uptime_seconds) == (4, 14)
    assert (found.updates_per_second, found.folds_per_second) == (100.5, 2)
    assert (found.gaps_per_second, found.resyncs_per_second) == (0.25, 0.25)
    assert found.cpu == pytest.approx(0.5)
    btc, eth = found.busiest
    assert (btc.instrument, btc.updates_per_second, eth.updates_per_second) == ("linear:BTCUSDT", 100, 0.5)
    assert (btc.gaps, btc.new_gaps, btc.resyncs, btc.new_resyncs, btc.folds, btc.new_folds) == (3, 1, 2, 1, 18, 8)


def test_the_first_look_has_counts_and_no_rates():
    found = compare(None, looked(10, book("BTCUSDT", updates=1000, gaps=3)))
    assert (found.seconds, found.updates_per_second, found.cpu) == (0, 0, 0)
    assert (found.busiest[0].gaps, found.busiest[0].new_gaps) == (3, 0)


def test_another_session_is_not_compared_with():
    found = compare(looked(10, book("BTCUSDT", updates=9)), looked(14, book("BTCUSDT", updates=1000), session_id=8))
    assert (found.seconds, found.updates_per_second) == (0, 0)


def test_a_book_that_was_not_there_or_began_anew_grew_from_nothing():
    before = looked(10, book("OLDUSDT", updates=1000, gaps=9))
    found = compare(before, looked(12, book("OLDUSDT", updates=40, gaps=1), book("NEWUSDT", updates=60)))
    assert {b.instrument: b.updates_per_second for b in found.busiest} == {"linear:NEWUSDT": 30, "linear:OLDUSDT": 20}
    assert found.sickest[0].new_gaps == 1


def test_the_age_of_a_book_is_that_of_its_newest_update():
    at = START_NS + 7 * SECOND_NS
    found = compare(None, looked(10, book("AUSDT", received_ns=at), book("BUSDT")))
    assert [b.age_seconds for b in found.busiest] == [3.0, None]


def test_an_empty_record_is_no_book_yet():
    found = compare(None, looked(10, book("AUSDT", status=0), book("BUSDT")))
    assert names(found.busiest) == ["BUSDT"]
    assert found.books == {"SYNCING": 0, "LIVE": 1, "STALE": 0, "DELISTED": 0}


def test_the_sickest_are_stale_syncing_then_in_trouble_now_then_ever_then_behind_then_delisted():
    before = [
        book("MANYGAPS", gaps=90),
        book("NEWGAP", gaps=1),
        book("NEWRESYNC"),
        book("NEWFOLD"),
        book("STALENOW", status=STALE),
    ]
    after = [
        book("STALE", status=STALE),
        book("STALENOW", status=STALE, gaps=1),
        book("SYNCING", status=SYNCING),
        book("NEWGAP", gaps=2),
        book("NEWRESYNC", resyncs=1),
        book("NEWFOLD", folds=1),
        book("MANYGAPS", gaps=90),
        book("RESYNCED", resyncs=0),
        book("FOLDED", folds=0, queue_depth=3),
        book("DELISTED", status=DELISTED, gaps=99),
        book("WELL", updates=10_000, high_water=50),
    ]
    expected = ["STALENOW", "STALE", "SYNCING", "NEWGAP", "NEWRESYNC", "NEWFOLD", "MANYGAPS", "FOLDED", "DELISTED"]
    for seed in range(5):
        random.Random(seed).shuffle(after)
        assert names(compare(looked(10, *before), looked(11, *after)).sickest) == expected


def test_the_busiest_are_ordered_by_rate_then_name():
    counts = {"CUSDT": 5, "AUSDT": 5, "BUSDT": 9}
    after = [book(symbol, updates=count) for symbol, count in counts.items()]
    before = [book(symbol) for symbol in counts]
    assert names(compare(looked(1, *before), looked(2, *after)).busiest) == ["BUSDT", "AUSDT", "CUSDT"]


def test_the_loops_lag_is_that_of_the_interval():
    before = looked(1, lags(1000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3))  # it once stood still for more than 5 s
    found = compare(before, looked(2, lags(1098, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3)))
    assert (found.loop_lag_p99_seconds, found.loop_lag_most_seconds) == (0.001, 0.02)
    found = compare(before, looked(2, lags(1000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4)))
    assert found.loop_lag_most_seconds == float("inf")
    found = compare(before, looked(2, *before.health.counters.records))
    assert (found.loop_lag_p99_seconds, found.loop_lag_most_seconds) == (None, None), "it has not turned"


def test_what_is_of_the_whole_feeder_is_told():
    records = [
        record(Of.FEEDER, "", router__budget__used=12, router__budget__total=50_000),
        record(Of.CONNECTION, "linear-1", state__value=2),
        record(Of.CONNECTION, "linear-2", state__value=3),
        record(Of.VENUE_LAG, "linear", latest=40_000_000),
        record(Of.VENUE_LAG, "spot", latest=-5_000_000),
        book("BTCUSDT"),
    ]
    found = compare(None, looked(10, *records))
    assert (found.pending_updates, found.pending_updates_limit) == (12, 50_000)
    assert (found.connections["CONNECTED"], sum(found.connections.values())) == (1, 2)
    assert found.venue_lag_seconds == 0.04
    assert (found.version, found.pid, found.session_id, found.resident_bytes) == ("0.1.0", 4242, 7, 50_000_000)


def test_a_feeder_that_is_gone_was_up_until_its_last_heartbeat():
    look = looked(3600, book("BTCUSDT"), state=State.GONE, reason="gone", heartbeat_wall_ns=START_NS + 60 * SECOND_NS)
    found = compare(None, look)
    assert (found.state, found.reason, found.uptime_seconds) == (State.GONE, "gone", 60)
    assert (found.cpu, found.resident_bytes) == (None, None)


def test_a_file_that_tells_nothing_makes_no_activity():
    nothing = Look(1000, START_NS, Health(State.UNKNOWN, "no such file"))
    assert compare(None, nothing) is None
    assert compare(looked(10, book("BTCUSDT")), nothing) is None
    found = compare(nothing, looked(10, book("BTCUSDT", status=LIVE)))
    assert (found.seconds, names(found.busiest)) == (0, ["BTCUSDT"])
