"""Bars against the slow way: every trade by itself."""

import itertools
import random
from decimal import Decimal

import pytest

from feeder.simulator.chart import INTERVALS, Chart, begin_of, end_of
from feeder.simulator.messages import Trade
from feeder.simulator.past import LAUNCH_MS, Past
from feeder.simulator.tape import HOUR_MS, KEPT_TRADES, MINUTE_MS, Bar, Bars, Tape
from feeder.simulator.universe import Listing, listings

NOON = 1_700_049_600_000  # 2023-11-15, a Wednesday, 12:00 UTC
DAY_MS = 24 * HOUR_MS


def _listing(category: str = "linear") -> Listing:
    return next(listings(category))


def _past(category: str = "linear", end_ms: int = NOON, volume: str = "100000") -> Past:
    listing = _listing(category)
    return Past.made(listing, 1, end_ms, Decimal(listing.price), Decimal(volume))


def _trade(listing: Listing, time_ms: int, price: int, size: int = 5) -> Trade:
    return Trade(listing.symbol, listing.scale, True, price, size, "1", "PlusTick", 1, time_ms)


def _by_hand(trades: list[tuple[int, Decimal, Decimal]], start_ms: int, end_ms: int) -> tuple[Decimal, ...] | None:
    """(open, high, low, close, volume) of the trades of a span, oldest first; it opens at the last price before."""
    before = [price for time, price, _ in trades if time < start_ms]
    within = [(price, size) for time, price, size in trades if start_ms <= time < end_ms]
    prices = before[-1:] + [price for price, _ in within]
    return prices[0], max(prices), min(prices), prices[-1], sum((size for _, size in within), Decimal(0))


def _facts(bar: Bar) -> tuple[Decimal, ...]:
    return bar.open, bar.high, bar.low, bar.close, bar.volume


@pytest.mark.parametrize("interval", ["1", "5", "60", "240"])
def test_bars_are_those_of_the_single_trades_before_and_after_the_market_began(interval: str) -> None:
    past = _past(volume="50000")
    listing, rng = past.listing, random.Random(3)
    tape, price = Tape("linear", NOON, Decimal(listing.price)), 787_000
    singles = [
        (trade.time_ms, Decimal(trade.price).scaleb(-2), Decimal(trade.size).scaleb(-3))
        for trade in itertools.takewhile(lambda trade: trade.time_ms > NOON - 12 * HOUR_MS, past.trades())
    ][::-1]
    time = NOON
    while time < NOON + 9 * HOUR_MS:
        price += rng.randrange(-50, 51)
        trade = _trade(listing, time, price * 10, rng.randrange(1, 900))
        tape.add(trade)
        singles.append((time, Decimal(trade.price).scaleb(-2), Decimal(trade.size).scaleb(-3)))
        time += rng.randrange(1, 400_000)  # some minutes have no trade
    chart = Chart(past, tape)
    told = list(itertools.islice(chart.newest(interval, time), 10 if interval == "240" else 100))
    assert [begin for begin, _ in told] == sorted((begin for begin, _ in told), reverse=True)
    compared = 0
    for begin, bar in told:
        if begin > singles[0][0]:
            assert _facts(bar) == _by_hand(singles, begin, end_of(interval, begin))
            compared += 1
    assert compared >= 4


@pytest.mark.parametrize("category", ["linear", "spot", "inverse"])
def test_short_bars_of_the_past_add_up_to_long_ones(category: str) -> None:
    chart = Chart(_past(category, volume="90000000" if category == "inverse" else "3000"), Tape(category, NOON))
    hours = dict(itertools.islice(chart.newest("60", NOON - 1), 500))
    (day, whole), *_ = (row for row in itertools.islice(chart.newest("D", NOON - 1), 3) if row[0] + DAY_MS < NOON)
    parts = [hours[day + hour * HOUR_MS] for hour in range(24)]
    assert whole.open == parts[0].open
    assert whole.close == parts[-1].close
    assert whole.high == max(part.high for part in parts)
    assert whole.low == min(part.low for part in parts)
    assert whole.volume == sum(part.volume for part in parts) > 0
    assert abs(whole.turnover / sum(part.turnover for part in parts) - 1) < Decimal("0.05")
    assert all(one.open == other.close for one, other in zip(parts[1:], parts, strict=False))


def test_the_past_ends_where_the_market_begins_and_moves_by_percents_a_day() -> None:
    past = _past()
    assert past.price_at(NOON - 1) == pytest.approx(Decimal(78700), rel=Decimal("0.0001"))
    day = past.bar(NOON - DAY_MS, NOON)
    assert day is not None
    assert Decimal("0.0005") < day.high / day.low - 1 < Decimal("0.1")
    assert day.volume == pytest.approx(Decimal(100_000), rel=Decimal("0.01"))


def test_the_past_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    def trades(seed: int) -> list[Trade]:
        listing = _listing()
        return list(itertools.islice(Past.made(listing, seed, NOON, Decimal(78700), Decimal(1000)).trades(), 50))

    assert trades(1) == trades(1)
    assert trades(1) != trades(2)


def test_there_is_nothing_before_the_launch_and_a_quiet_symbol_trades_seldom() -> None:
    past = _past(volume="0.1")
    assert past.beat_ms > HOUR_MS
    assert past.bar(LAUNCH_MS - DAY_MS, LAUNCH_MS) is None
    chart = Chart(past, Tape("linear", NOON))
    begins = [begin for begin, _ in chart.newest("W", NOON)]
    assert begins[-1] <= LAUNCH_MS < end_of("W", begins[-1])
    assert len(begins) == 190


def test_a_bar_without_trades_is_flat() -> None:
    past, tape = _past(), Tape("linear", NOON)
    tape.add(_trade(past.listing, NOON + 1000, 7_870_050))
    begin, bar = next(Chart(past, tape).newest("1", NOON + 7 * MINUTE_MS))
    assert begin == NOON + 7 * MINUTE_MS
    assert _facts(bar) == (Decimal("78700.50"),) * 4 + (0,)


@pytest.mark.parametrize("interval", INTERVALS)
def test_intervals_follow_each_other_without_hole_or_overlap(interval: str) -> None:
    begin = begin_of(interval, NOON)
    for _ in range(30):
        end = end_of(interval, begin)
        assert begin_of(interval, begin) == begin_of(interval, end - 1) == begin
        assert begin_of(interval, end) == end > begin
        begin = end


def test_weeks_begin_on_monday_and_months_on_their_first_day() -> None:
    assert begin_of("W", NOON) == NOON - 2 * DAY_MS - 12 * HOUR_MS
    assert begin_of("M", NOON) == NOON - 14 * DAY_MS - 12 * HOUR_MS
    assert end_of("M", begin_of("M", NOON)) - begin_of("M", NOON) == 30 * DAY_MS


def test_a_tape_keeps_as_many_trades_as_rest_tells_and_a_day_of_minutes() -> None:
    listing, tape = _listing(), Tape("linear", NOON)
    for number in range(4000):
        tape.add(_trade(listing, NOON + number * MINUTE_MS, 1000 + number))
    assert len(tape.trades) == KEPT_TRADES
    assert 1500 <= len(tape.minutes.between(0, NOON * 2)) <= 3000
    assert len(tape.hours.between(0, NOON * 2)) == 67
    # What was traded when no minute is kept any more, the hours still tell.
    chart = Chart(_past(), tape)
    assert chart.price_before(NOON + 3 * HOUR_MS) == Decimal(1000 + 179).scaleb(-2)
    assert chart.price_before(NOON + 3999 * MINUTE_MS) == Decimal(1000 + 3998).scaleb(-2)


def test_a_recordings_time_may_step_back() -> None:
    bars = Bars(MINUTE_MS)
    for time in (NOON, NOON + MINUTE_MS, NOON + 1):
        bars.add(time, Bar(*[Decimal(1)] * 4, volume=Decimal(2), turnover=Decimal(2)))
    assert [bar.volume for bar in bars.between(0, 2 * NOON)] == [2, 4]
    assert bars.close_before(NOON) is None


def test_before_the_middle_of_an_hour_of_which_no_minutes_are_kept_its_end_is_not_known() -> None:
    tape, price = Tape("linear", NOON, Decimal(50)), Decimal(50)
    for hour in (0, 1):
        tape.hours.add(NOON + hour * HOUR_MS, Bar(price, price, price, price + hour, Decimal(1), price))
    chart = Chart(_past(), tape)
    assert chart.price_before(NOON + HOUR_MS + HOUR_MS // 2) == 50
    assert chart.price_before(NOON + 2 * HOUR_MS) == 51
