"""The score and its parts, by numbers worked out by hand."""

import pytest

from feeder.bybit.system.quality import BookFacts, Feed, Part, Quality, QualityRecord, Rhythm, unwatched

LIVE = BookFacts(live=True, status="LIVE", reason="SNAPSHOT", crossed=False, since_seconds=5.0, spread_ticks=2.0)
FRESH = (Feed("book", 0.5, True, 10.0, 60.0), Feed("ticker", 1.0, True, 10.0, 60.0))


def judged(
    record: QualityRecord | None = None,
    now: float = 1000.0,
    feeds: tuple[Feed, ...] = FRESH,
    book: BookFacts = LIVE,
) -> Quality:
    return (record or QualityRecord()).judge(now, "linear", "BTCUSDT", feeds, book)


def stale(reason: str = "DISCONNECTED") -> BookFacts:
    return BookFacts(False, "STALE", reason, reason == "CROSSED", 1.25, None)


def sampled(record: QualityRecord, spreads: list[float], end: float = 1000.0) -> QualityRecord:
    for place, ticks in enumerate(spreads):
        record.on_spread(end - len(spreads) + place, ticks)
    return record


def test_a_live_book_with_fresh_data_scores_100() -> None:
    quality = judged()
    assert quality.score == 100.0
    assert [(part.name, part.value) for part in quality.parts] == [
        ("age", 1.0),
        ("gaps", 1.0),
        ("candles", 1.0),
        ("crossed", 1.0),
        ("spread", 1.0),
    ]


def test_a_symbol_that_nothing_came_of_scores_0_and_says_why() -> None:
    feeds = (Feed("book", 3.0, False, 10.0, 60.0), Feed("ticker", 2.0, False, 10.0, 60.0))
    quality = judged(feeds=feeds)
    assert quality.score == 0.0
    assert quality.part("age").sentence == "no data of book and ticker has come in 3.0 s"


def test_an_unwatched_symbol_scores_0_and_says_what_to_do() -> None:
    quality = unwatched("linear", "BTCUSDT")
    assert quality.score == 0.0
    assert quality.part("age").sentence == "nothing of linear BTCUSDT is watched; call watch for it"
    with pytest.raises(KeyError):
        quality.part("spread")


@pytest.mark.parametrize(("age", "value"), [(10.0, 1.0), (22.5, 0.75), (35.0, 0.5), (60.0, 0.0), (90.0, 0.0)])
def test_age_counts_from_fresh_to_dead(age: float, value: float) -> None:
    quality = judged(feeds=(Feed("book", age, True, 10.0, 60.0), FRESH[1]))
    part = quality.part("age")
    assert (part.value, part.number, part.unit) == (value, age, "s")
    assert part.sentence == f"book: last data {age:.1f} s ago; fresh up to 10 s"
    assert quality.score == 100 * value


def test_the_worst_feed_is_the_one_that_counts_even_when_it_never_came() -> None:
    part = judged(feeds=(FRESH[0], Feed("ticker", 35.0, False, 10.0, 60.0))).part("age")
    assert (part.value, part.sentence) == (0.5, "ticker: no data yet, watched for 35.0 s; fresh up to 10 s")


def test_among_equals_the_older_feed_is_named() -> None:
    assert judged().part("age").number == 1.0


def test_an_interruption_alone_leaves_70_and_is_forgotten_over_the_window() -> None:
    record = QualityRecord(300.0)
    record.on_interruption(1000.0, "of the book: GAP")
    quality = judged(record, now=1000.0)
    assert quality.score == 70.0
    assert quality.lowest is quality.part("gaps")
    assert quality.part("gaps").sentence == "1 interruption in the last 300 s, the last of the book: GAP"
    assert judged(record, now=1150.0).part("gaps").value == round(0.7**0.5, 4) == 0.8367
    assert judged(record, now=1299.0).part("gaps").value == round(0.7 ** (1 / 300), 4)
    assert judged(record, now=1300.0).part("gaps").value == 1.0


def test_interruptions_add_up() -> None:
    record = QualityRecord(100.0)
    record.on_interruption(1000.0, "of the book: GAP")
    record.on_interruption(1050.0, "of the ticker: closed")
    part = judged(record, now=1050.0).part("gaps")
    assert (part.value, part.number) == (round(0.7**1.5, 4), 2.0)
    assert part.sentence == "2 interruptions in the last 100 s, the last of the ticker: closed"


def test_what_a_cut_takes_along_within_5_s_is_the_same_interruption() -> None:
    record = QualityRecord(300.0)
    for at, what in ((1000.0, "of the book: DISCONNECTED"), (1000.0, "of the ticker: cut"), (1004.9, "of the trades")):
        record.on_interruption(at, what)
    part = judged(record, now=1004.9).part("gaps")
    assert part.sentence == "1 interruption in the last 300 s, the last of the trades"
    assert part.value == round(0.7 ** (1 - 4.9 / 300), 4)
    record.on_interruption(1005.0, "of the book: GAP")
    again = judged(record, now=1005.0)
    assert again.part("gaps").number == 2.0, "5 s from its beginning: one that never ends is not one"
    assert again.score < 50


def test_a_book_that_is_not_live_scores_0() -> None:
    quality = judged(book=stale())
    assert quality.score == 0.0
    assert quality.part("gaps").sentence == "the book is STALE (DISCONNECTED) for 1.2 s"
    assert quality.part("spread").number is None


def test_a_crossed_book_is_0_until_it_is_whole_and_leaves_70_afterwards() -> None:
    record = QualityRecord(300.0)
    record.on_crossed(1000.0)
    assert judged(record, book=stale("CROSSED")).part("crossed").value == 0.0
    healed = judged(record)
    assert (healed.score, healed.part("crossed").value, healed.part("gaps").value) == (70.0, 0.7, 1.0)
    assert healed.part("crossed").sentence == "crossed 1 time in the last 300 s"
    assert judged(record, now=1300.0).score == 100.0


def test_missing_bars_take_their_share_for_an_hour() -> None:
    record = QualityRecord()
    record.on_candles(1000.0, "1", asked=1000, missing=100)
    record.on_candles(1000.0, "5", asked=1000, missing=0)
    part = judged(record).part("candles")
    assert (part.value, part.number, part.sentence) == (0.95, 100.0, "100 of 2000 bars missing")
    assert judged(record, now=4600.0).part("candles").value == 1.0


def test_bars_read_again_replace_those_of_the_same_interval() -> None:
    record = QualityRecord()
    record.on_candles(1000.0, "1", asked=10, missing=5)
    record.on_candles(1001.0, "1", asked=10, missing=0)
    record.on_candles(1002.0, "1", asked=0, missing=0)  # nothing was finished: says nothing
    assert judged(record, now=1002.0).part("candles").value == 1.0


def wide(spreads: list[float], ticks: float, seconds: float) -> Part:
    """The spread's part when it has been `ticks` for so long, after samples of these."""
    now = 1000.0 + seconds
    record = sampled(QualityRecord(300.0), spreads, end=1001.0)
    record.on_spread(1000.0, ticks)
    return judged(record, now=now, book=BookFacts(True, "LIVE", "SNAPSHOT", False, 5.0, ticks)).part("spread")


def test_a_usual_spread_is_no_outlier_even_if_it_never_changed_before() -> None:
    part = wide([1.0] * 30, 4.0, seconds=100.0)
    assert (part.value, part.number, part.sentence) == (1.0, 0.0, "4 ticks, usually 1; odd for 0.0 s of the last 30 s")


@pytest.mark.parametrize(("seconds", "value"), [(0.0, 1.0), (1.5, 0.95), (15.0, 0.5), (30.0, 0.0), (200.0, 0.0)])
def test_a_wide_moment_costs_little_and_what_lasts_is_0(seconds: float, value: float) -> None:
    part = wide([1.0] * 30, 99.0, seconds)
    assert (part.value, part.number, part.unit) == (value, min(seconds, 30.0), "s")


def test_a_wide_moment_is_forgotten_half_a_minute_later() -> None:
    record = sampled(QualityRecord(300.0), [1.0] * 30)
    record.on_spread(1000.0, 99.0)
    record.on_spread(1003.0, 1.0)
    assert [judged(record, now=now).part("spread").number for now in (1003.0, 1020.0, 1031.0, 1033.0)] == [3, 3, 2, 0]


@pytest.mark.parametrize(("ticks", "value"), [(4.0, 1.0), (7.5, 0.5), (11.0, 0.0), (99.0, 0.0)])
def test_a_wide_spread_counts_by_ticks_where_the_usual_does_not_vary(ticks: float, value: float) -> None:
    assert wide([1.0] * 30, ticks, seconds=30.0).value == value


def test_a_wide_spread_counts_by_the_usual_deviation() -> None:
    # Median 20, absolute deviations 0 and 10 in equal parts: their median is 5, sigma 1.4826 x 5, z 6.5.
    record = sampled(QualityRecord(), [20.0] * 10 + [10.0] * 5 + [30.0] * 5, end=970.0)
    part = judged(record, book=BookFacts(True, "LIVE", "SNAPSHOT", False, 5.0, 68.1845)).part("spread")
    assert part.value == 0.5


def test_a_narrow_spread_is_never_odd() -> None:
    assert wide([100.0] * 30, 1.0, seconds=30.0).value == 1.0


@pytest.mark.parametrize(("ticks", "value"), [(175.0, 1.0), (262.5, 0.5), (350.0, 0.0)])
def test_a_spread_of_many_ticks_that_stood_still_may_move_by_some_of_itself(ticks: float, value: float) -> None:
    assert wide([100.0] * 30, ticks, seconds=30.0).value == value


def test_few_samples_judge_nothing() -> None:
    part = judged(sampled(QualityRecord(), [1.0] * 19)).part("spread")
    assert (part.value, part.number, part.sentence) == (1.0, None, "19 samples, too few to judge by")


def test_a_side_that_became_empty_is_0_and_one_that_always_was_is_not() -> None:
    one_sided = BookFacts(True, "LIVE", "SNAPSHOT", False, 5.0, None)
    part = judged(sampled(QualityRecord(), [1.0] * 30), book=one_sided).part("spread")
    assert (part.value, part.sentence) == (0.0, "one side of the book is empty")
    assert judged(book=one_sided).score == 100.0


def test_samples_are_taken_at_a_pace_and_forgotten() -> None:
    record = QualityRecord(200.0)
    assert record.wants_spread(1000.0)
    record.on_spread(1000.0, 1.0)
    assert not record.wants_spread(1000.9)
    assert record.wants_spread(1001.0)
    sampled(record, [1.0] * 30)
    assert judged(record, now=1170.0, book=LIVE).part("spread").number is not None
    assert judged(record, now=1300.0, book=LIVE).part("spread").number is None


def test_what_is_remembered_is_bounded() -> None:
    record = sampled(QualityRecord(1e6), [1.0] * 10_000)
    for at in range(0, 100_000, 10):
        record.on_interruption(float(at), "of the book: GAP")
    assert judged(record, now=100_000.0).part("gaps").number == 100.0


def test_the_parts_multiply() -> None:
    record = QualityRecord(300.0)
    record.on_interruption(1000.0, "of the book: GAP")
    record.on_candles(1000.0, "1", asked=10, missing=1)
    assert judged(record, feeds=(Feed("book", 35.0, True, 10.0, 60.0),)).score == 31.5  # 100 x 0.5 x 0.7 x 0.9


@pytest.mark.parametrize("window", [0.0, -1.0, float("inf"), float("nan")])
def test_a_window_of_no_length_is_refused(window: float) -> None:
    with pytest.raises(ValueError, match="window_seconds"):
        QualityRecord(window)


class TestRhythm:
    def test_before_it_is_known_it_is_patient(self) -> None:
        rhythm = Rhythm()
        for now in range(8):
            rhythm.on_data(float(now))
        assert rhythm.limits == (40.0, 120.0)
        rhythm.on_data(8.0)
        assert rhythm.limits == (10.0, 60.0)

    def test_a_slow_feed_has_more_time(self) -> None:
        rhythm = Rhythm()
        for now in range(0, 100, 5):
            rhythm.on_data(float(now))
        assert rhythm.limits == (50.0, 300.0)

    def test_a_feed_that_becomes_slower_is_given_more_time_soon(self) -> None:
        rhythm = Rhythm()
        for now in range(1000):
            rhythm.on_data(float(now))
        for now in range(1000, 1200, 5):
            rhythm.on_data(float(now))
        assert rhythm.limits == pytest.approx((50.0, 300.0), rel=0.01)

    def test_a_burst_is_one_beat(self) -> None:
        rhythm = Rhythm()
        for second in range(0, 100, 5):
            for part in range(50):
                rhythm.on_data(second + part / 100)
        assert rhythm.limits == (50.0, 300.0)

    def test_nobody_has_for_ever(self) -> None:
        rhythm = Rhythm()
        for now in range(0, 100_000, 1000):
            rhythm.on_data(float(now))
        assert rhythm.limits == (600.0, 3600.0)

    def test_an_interruption_is_no_beat(self) -> None:
        rhythm = Rhythm()
        for now in range(9):
            rhythm.on_data(float(now))
        rhythm.pause()
        rhythm.on_data(500.0)
        rhythm.on_data(501.0)
        assert rhythm.limits == (10.0, 60.0)
