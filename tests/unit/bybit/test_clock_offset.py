"""The venue's clock: what is believed of it, when it is asked again, and when an operator hears of it."""

from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from feeder.bybit.clock_offset import INTERVAL, ClockOffset
from feeder.bybit.venue_time import TimeSample, VenueTime
from feeder.clock import SECOND_NS, ManualClock
from feeder.errors import RestError

from .support import Longest


class Venue:
    """Its clock is ahead of ours by `ahead` seconds; its answers take `round_trip`, evenly both ways."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.time = VenueTime(self.clock)
        self.ahead = 0.0
        self.round_trips = [0.2, 0.02, 0.05]
        self.error: RestError | None = None
        self.offset = ClockOffset(self.time, self.ask, Longest())

    async def ask(self) -> Sequence[TimeSample]:
        if self.error is not None:
            raise self.error
        samples = []
        for round_trip in self.round_trips:
            sent = self.clock.monotonic()
            self.clock.advance(round_trip / 2)
            at_venue = self.clock.wall_ns() + round(self.ahead * SECOND_NS)
            self.clock.advance(round_trip / 2)
            samples.append(TimeSample(sent, at_venue, self.clock.monotonic()))
        return samples


async def test_offset_is_that_of_the_shortest_round_trip_less_half_of_it() -> None:
    venue = Venue()
    assert (venue.time.offset_seconds, venue.time.age_seconds) == (0, None)
    venue.ahead = 0.75
    assert await venue.offset.measure() == INTERVAL
    assert venue.time.offset_seconds == pytest.approx(0.75, abs=1e-6)
    assert venue.time.round_trip_seconds == pytest.approx(0.02)
    venue.clock.advance(60)
    assert venue.time.age_seconds == pytest.approx(60.05, abs=0.01)
    assert venue.time.now_ms() == pytest.approx(venue.clock.wall_ns() // 1_000_000 + 750, abs=1)


async def test_large_offset_is_logged_once_with_the_remedy_and_again_when_it_comes_back() -> None:
    venue = Venue()
    said = []
    for ahead in (0.5, 1.5, 2.5, -2.5, 0.1, -1.2):
        venue.ahead = ahead
        with capture_logs() as logs:
            await venue.offset.measure()
        said.append([line["offset_seconds"] for line in logs])
        assert all("NTP" in line["remedy"] for line in logs)
    assert said == [[], [1.5], [], [], [], [-1.2]]


async def test_offset_that_a_long_round_trip_may_explain_is_not_logged() -> None:
    venue = Venue()
    venue.ahead, venue.round_trips = 1.2, [0.6]
    with capture_logs() as logs:
        await venue.offset.measure()
    assert logs == []


async def test_venue_that_cannot_be_asked_leaves_the_last_offset_and_is_asked_again_ever_more_seldom() -> None:
    venue = Venue()
    venue.ahead = 3.0
    await venue.offset.measure()
    venue.error = RestError("GET nowhere: refused", retriable=True)
    with capture_logs() as logs:
        assert [await venue.offset.measure() for _ in range(8)] == [2, 4, 8, 16, 32, 64, INTERVAL, INTERVAL]
    assert len(logs) == 1
    assert venue.time.offset_seconds == pytest.approx(3.0)
    venue.error = None
    assert await venue.offset.measure() == INTERVAL


async def test_venue_that_wants_silence_gets_it() -> None:
    venue = Venue()
    venue.error = RestError("HTTP 403", retriable=True, retry_after_seconds=600)
    assert await venue.offset.measure() == 600
    assert venue.time.offset_seconds == 0
