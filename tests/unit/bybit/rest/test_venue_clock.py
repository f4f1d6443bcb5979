"""When the venue's clock is measured, and what a request waits for."""

from feeder.bybit.rest.venue_clock import VenueClock
from feeder.bybit.venue_time import TimeSample
from feeder.clock import ManualClock


def ahead(clock: ManualClock, seconds: float) -> TimeSample:
    now = clock.monotonic()
    return TimeSample(now, clock.wall_ns() + round(seconds * 1e9), now)


def test_before_it_is_known_it_is_ours_and_every_request_needs_it() -> None:
    clock = ManualClock()
    venue = VenueClock(clock)
    assert (venue.is_due, venue.is_needed, venue.offset_seconds) == (True, True, 0.0)
    assert venue.now_ms() == clock.wall_ns() // 1_000_000


def test_what_was_measured_holds_for_ten_minutes_and_then_nobody_waits_for_the_next() -> None:
    clock = ManualClock()
    venue = VenueClock(clock)
    venue.take([ahead(clock, 7.0)])
    clock.advance(599.0)
    assert (venue.is_due, venue.is_needed, venue.offset_seconds) == (False, False, 7.0)
    clock.advance(1.0)
    assert (venue.is_due, venue.is_needed, venue.offset_seconds) == (True, False, 7.0)


def test_a_venue_that_cannot_be_asked_is_left_alone_for_half_a_minute() -> None:
    clock = ManualClock()
    venue = VenueClock(clock)
    venue.postpone()
    clock.advance(29.0)
    assert (venue.is_due, venue.is_needed) == (False, False)
    clock.advance(1.0)
    assert (venue.is_due, venue.is_needed) == (True, True)


def test_a_clock_that_the_venue_calls_wrong_is_needed_at_once() -> None:
    clock = ManualClock()
    venue = VenueClock(clock)
    venue.take([ahead(clock, 7.0)])
    venue.postpone()
    venue.distrust()
    assert (venue.is_due, venue.is_needed) == (True, True)
    venue.take([ahead(clock, -2.0)])
    assert (venue.is_due, venue.is_needed, venue.offset_seconds) == (False, False, -2.0)
