"""When a connection's data is too old to be believed, and when it is again; the hands of all clocks moved by test."""

import pytest

from feeder.bybit.freshness import EVERYTHING, TICK, Freshness, Verdict
from feeder.bybit.venue_time import TimeSample, VenueTime
from feeder.clock import MILLISECOND_NS, SECOND_NS, ManualClock

ACCEPT, HOLD, STUCK, REPLACE = Verdict.ACCEPT, Verdict.HOLD, Verdict.STUCK, Verdict.REPLACE
DAY = 86_400.0


class SteppedClock(ManualClock):
    """A machine whose wall clock is wrong by `wrong` seconds; the venue's own is the true time."""

    wrong = 0.0

    def wall_ns(self) -> int:
        return self.true_ns() + round(self.wrong * SECOND_NS)

    def true_ns(self) -> int:
        return super().wall_ns()


class Line:
    """A connection as freshness sees it, used in the way connection.py does."""

    def __init__(self, limit: float | None = 5.0, clock: SteppedClock | None = None, venue: VenueTime | None = None):
        self.clock = clock or SteppedClock()
        self.venue_time = venue or VenueTime(self.clock)
        self.freshness = Freshness(self.venue_time, limit)
        self.judged = 0
        self.connect()

    @property
    def now(self) -> float:
        return self.clock.monotonic()

    def connect(self) -> None:
        self.freshness.on_connected(self.now)

    def measure(self) -> None:
        """Ask the venue for its time, over no distance."""
        self.venue_time.take([TimeSample(self.now, self.clock.true_ns(), self.now)])

    def hear(self, age: float = 0.0) -> Verdict:
        """A data message comes that the venue sent so many seconds ago."""
        return self.hear_sent_at(self.clock.true_ns() // MILLISECOND_NS - round(age * 1000))

    def hear_sent_at(self, ts_ms: int) -> Verdict:
        if ts_ms >= self.freshness.judge_before_ms:
            return ACCEPT
        self.judged += 1
        return self._follow(self.freshness.judge(ts_ms, self.now))

    def wait(self, seconds: float, age: float | None = None, every: float = 0.05) -> set[Verdict]:
        """Let time pass, with a message of this age now and then; everything that came of it."""
        verdicts = set()
        until = self.now + seconds
        while self.now < until - 1e-9:
            self.clock.advance(min(every, until - self.now))
            verdicts.add(self.tick())
            if age is not None:
                verdicts.add(self.hear(age))
        return verdicts

    def tick(self) -> Verdict:
        return self._follow(self.freshness.on_timer(self.now))

    def stall(self, seconds: float) -> None:
        """Our event loop stands still; its timers run first when it goes on."""
        self.clock.advance(seconds)
        self.tick()

    def until_replaced(self, age: float) -> float:
        """Seconds of data of this age that a new connection is given."""
        since = self.now
        while REPLACE not in self.wait(TICK, age):
            assert self.now < since + 1000
        return self.now - since

    def _follow(self, verdict: Verdict) -> Verdict:
        if verdict is REPLACE:
            self.freshness.on_replaced(self.now)
            self.connect()
        return ACCEPT if verdict is Verdict.FRESH else verdict


@pytest.fixture
def line() -> Line:
    """A connection that has been fresh for a minute."""
    line = Line()
    line.measure()
    assert line.wait(60, 0.1) == {ACCEPT}
    return line


def test_fresh_data_costs_one_comparison_and_four_samples_a_second(line: Line) -> None:
    line.judged = 0
    assert line.wait(10, 0.1, every=0.01) == {ACCEPT}
    assert line.judged == pytest.approx(10 / TICK, abs=2)


@pytest.mark.parametrize("age", [5.5, 60, 10 * DAY])
def test_connection_with_old_data_is_replaced_after_a_second_of_nothing_else(line: Line, age: float) -> None:
    line.clock.advance(age)  # the data of a stuck venue would be stuck at its last fresh message
    line.connect()
    assert line.hear(age) is HOLD
    assert line.wait(0.9, age) == {HOLD, ACCEPT}  # the timer has nothing to say
    assert REPLACE in line.wait(0.2, age)


def test_connection_that_falls_behind_is_replaced_a_second_after_it_passed_the_limit(line: Line) -> None:
    behind = 0.0
    verdicts: set[Verdict] = set()
    while behind < 10 and REPLACE not in verdicts:
        behind += 0.05
        verdicts = line.wait(0.05, behind)
    assert 6.0 <= behind <= 6.4


def test_time_stamps_that_stand_still_while_updates_go_on_are_old_data_in_the_end(line: Line) -> None:
    stuck_at = line.clock.true_ns() // MILLISECOND_NS
    since = line.now
    verdict = ACCEPT
    while verdict is ACCEPT and line.now < since + 60:
        line.clock.advance(0.1)
        verdict = line.tick()
        if verdict is ACCEPT:
            verdict = line.hear_sent_at(stuck_at)
    assert verdict is REPLACE
    assert 6.0 <= line.now - since <= 6.5


def test_one_fresh_message_among_old_ones_keeps_the_connection(line: Line) -> None:
    for _ in range(100):
        assert line.hear(6) in (ACCEPT, STUCK)
        assert line.wait(0.5) == {ACCEPT}
        assert line.hear(0.1) is ACCEPT


def test_quiet_connection_is_not_old(line: Line) -> None:
    assert line.wait(300) == {ACCEPT}
    assert line.hear(0.1) is ACCEPT
    assert line.wait(300) == {ACCEPT}


def test_quiet_connection_whose_only_message_is_old_is_replaced_by_the_timer(line: Line) -> None:
    assert line.wait(30) == {ACCEPT}
    assert line.hear(8) is ACCEPT
    assert line.wait(0.9) == {ACCEPT}
    assert REPLACE in line.wait(0.3)


def test_book_whose_time_stamps_stand_still_among_fresh_ones_is_stuck_alone(line: Line) -> None:
    stuck_at = line.clock.true_ns() // MILLISECOND_NS
    verdicts: list[Verdict] = []
    for _ in range(100):
        line.wait(0.1, 0.05)
        verdicts.append(line.hear_sent_at(stuck_at))
    assert set(verdicts[:49]) == {ACCEPT}
    assert set(verdicts[55:]) == {STUCK}


def test_burst_after_a_hiccup_of_the_venue_makes_no_book_stuck_and_no_connection_old(line: Line) -> None:
    line.wait(7)  # nothing comes, then all that was held up, oldest first, within half a second
    for age in range(70, 0, -1):
        line.clock.advance(0.005)
        assert line.hear(age / 10) is ACCEPT
    assert line.wait(10, 0.1) == {ACCEPT}


# A connection that is new


def test_old_snapshot_is_held_back_and_the_first_fresh_message_believed() -> None:
    line = Line()
    assert line.hear(9) is HOLD
    assert line.wait(0.5, 9) <= {HOLD, ACCEPT}
    assert line.freshness.judge(line.clock.true_ns() // MILLISECOND_NS, line.now) is Verdict.FRESH
    assert line.wait(10, 0.2) == {ACCEPT}


def test_venue_that_stays_behind_is_given_ever_longer_up_to_a_minute(line: Line) -> None:
    line.until_replaced(20)
    patience = [line.until_replaced(20) for _ in range(7)]
    assert patience == pytest.approx([2, 4, 8, 16, 32, 60, 60], abs=0.6)
    assert line.hear(0.1) is ACCEPT, "believed at its first fresh message, however long it took"


def test_data_at_the_edge_of_the_limit_makes_books_wait_ever_longer_for_proof(line: Line) -> None:
    waits = []
    for _ in range(8):
        line.until_replaced(5.5)
        since = line.now
        while line.hear(4.5) is not ACCEPT:
            line.wait(0.05)
            assert line.now < since + 60
        waits.append(line.now - since)
    assert waits == pytest.approx([0, 1, 2, 4, 8, 16, 30, 30], abs=0.3)
    assert line.wait(61, 4.5) == {ACCEPT}
    line.until_replaced(5.5)
    assert line.hear(4.5) is ACCEPT, "after a minute without trouble what was before is forgotten"


def test_stuck_book_does_not_keep_its_connection_from_proving_fresh(line: Line) -> None:
    for _ in range(3):
        line.until_replaced(8)
        line.wait(5, 0.1)
    line.until_replaced(8)
    since = line.now
    while line.hear(0.1) is HOLD:
        assert line.hear(3600) is HOLD
        line.wait(0.1)
        assert line.now < since + 60
    assert line.now - since == pytest.approx(4, abs=0.3)


# Whose fault it is


@pytest.mark.parametrize("timer_first", [True, False])
def test_stall_of_our_own_is_excused_when_what_waited_comes_in(line: Line, timer_first: bool) -> None:
    line.clock.advance(6)
    if timer_first:
        line.tick()
    for age in range(60, 0, -1):
        line.clock.advance(0.01)
        assert line.hear(age / 10) is ACCEPT
    line.tick()
    assert line.wait(10, 0.1) == {ACCEPT}


@pytest.mark.parametrize("timer_first", [True, False])
def test_quiet_connection_s_message_that_waited_for_us_is_not_old(line: Line, timer_first: bool) -> None:
    line.clock.advance(6)
    if timer_first:
        line.tick()
    assert line.hear(5.9) is ACCEPT
    line.tick()
    assert line.wait(10) == {ACCEPT}


def test_stall_does_not_excuse_data_that_is_older_than_it(line: Line) -> None:
    line.stall(3)
    assert REPLACE not in line.wait(0.9, 20)
    assert REPLACE in line.wait(0.3, 20)


def test_backlog_that_we_cannot_work_off_is_old_data_however_often_we_stall(line: Line) -> None:
    since = line.now
    while REPLACE not in {line.tick(), line.hear(9)}:
        line.clock.advance(0.9)
        assert line.now < since + 3


def test_stall_is_told_in_seconds(line: Line) -> None:
    line.clock.advance(TICK + 0.4)
    assert line.freshness.stalled(line.now) == 0
    line.clock.advance(3)
    assert line.freshness.stalled(line.now) == pytest.approx(3.4, abs=TICK)


# Clocks


@pytest.mark.parametrize("step", [-3600.0, -10.0, 10.0, 3600.0])
def test_step_of_our_wall_clock_changes_nothing_once_the_venue_s_was_measured(line: Line, step: float) -> None:
    line.clock.wrong = step
    assert line.wait(20, 0.1) == {ACCEPT}
    assert line.freshness.lag_seconds == pytest.approx(0.1, abs=0.01)
    assert line.venue_time.offset_seconds == pytest.approx(-step, abs=0.01)
    assert line.until_replaced(6) <= 2, "and it still notices old data"


def test_clock_that_was_never_compared_is_taken_at_its_word_and_mended_by_the_first_comparison() -> None:
    line = Line()
    line.clock.wrong = 10.0
    assert line.hear(0.1) is HOLD
    assert line.until_replaced(0.1) < 2
    line.measure()
    assert line.hear(0.1) is ACCEPT
    assert line.wait(10, 0.1) == {ACCEPT}


def test_clock_behind_the_venue_s_and_never_compared_believes_everything() -> None:
    line = Line()
    line.clock.wrong = -10.0
    assert line.hear(0.1) is ACCEPT
    assert line.wait(10, 0.1) == {ACCEPT}
    assert line.freshness.lag_seconds == pytest.approx(-9.9, abs=0.01)


def test_comparison_that_finds_another_offset_counts_at_once(line: Line) -> None:
    now = line.now
    line.venue_time.take([TimeSample(now, line.clock.true_ns() + 10 * SECOND_NS, now)])
    assert line.until_replaced(0.1) < 2
    line.measure()
    assert line.hear(0.1) is ACCEPT


def test_message_from_the_future_makes_no_other_book_stuck(line: Line) -> None:
    line.wait(TICK)
    assert line.hear(-3600) is ACCEPT
    line.wait(TICK, 0.1)
    assert line.hear(5.02) is ACCEPT
    assert line.wait(10, 0.1) == {ACCEPT}


# Recordings


def test_recording_older_than_a_day_is_let_through_and_told_of() -> None:
    line = Line()
    assert line.wait(60, 30 * DAY) == {ACCEPT}
    assert line.freshness.recorded
    assert line.judged == pytest.approx(60 / TICK, abs=2), "and costs no more than fresh data"


def test_data_of_a_day_ago_is_old_once_the_venue_has_sent_fresh_data_anywhere() -> None:
    live = Line()
    other = Line(clock=live.clock, venue=live.venue_time)
    assert other.hear(2 * DAY) is ACCEPT
    assert live.hear(0.1) is ACCEPT
    other.wait(TICK)
    assert other.hear(2 * DAY) is HOLD
    assert not other.freshness.recorded


def test_future_time_stamps_do_not_prove_that_the_venue_is_live() -> None:
    line = Line()
    assert line.hear(-2 * DAY) is ACCEPT
    line.connect()
    assert line.hear(2 * DAY) is ACCEPT


def test_without_a_limit_nothing_is_judged_and_the_lag_is_measured() -> None:
    line = Line(limit=None)
    assert line.wait(60, 3600) == {ACCEPT}
    assert line.freshness.lag_seconds == pytest.approx(3600)
    assert line.judged == pytest.approx(60 / TICK, abs=2)


# What telemetry reads


def test_lag_is_that_of_the_last_sample_and_the_range_of_the_last_second(line: Line) -> None:
    line.wait(3, 0.2, every=TICK)
    for age in (0.1, 0.7, 0.3, 0.4):
        line.wait(TICK, age, every=TICK)
    assert line.freshness.lag_seconds == pytest.approx(0.4)
    line.wait(1.5)
    assert line.freshness.last_lags is not None
    least, most = line.freshness.last_lags
    assert least <= 0.3
    assert most >= 0.4
    line.wait(100)
    assert line.freshness.last_lags == (least, most)


def test_two_connections_are_judged_apart() -> None:
    linear = Line()
    spot = Line(clock=linear.clock, venue=linear.venue_time)
    assert (linear.hear(0.1), spot.hear(0.1)) == (ACCEPT, ACCEPT)
    verdicts: set[Verdict] = set()
    for _ in range(40):
        verdicts |= spot.wait(0.05, 30)
        assert (linear.tick(), linear.hear(0.1)) == (ACCEPT, ACCEPT)
    assert REPLACE in verdicts
    assert spot.freshness.judge_before_ms == EVERYTHING
