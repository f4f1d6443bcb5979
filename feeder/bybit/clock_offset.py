"""Keeps what we know of the venue's clock up to date: asks for it at start and every few minutes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random

from feeder.errors import RestError
from feeder.log import logger

from .pacing import backoff_delay
from .venue_time import TimeSample, VenueTime

INTERVAL = 120.0  # seconds; two clocks of 100 ppm each part by 24 ms meanwhile
LARGE_OFFSET = 1.0  # seconds from which on an operator is told

_RETRY_FIRST = 2.0

_log = logger("bybit.clock")


class ClockOffset:
    """Measures the venue's time with `ask`, which raises RestError when it cannot; that costs nothing but the news."""

    def __init__(
        self, venue_time: VenueTime, ask: Callable[[], Awaitable[Sequence[TimeSample]]], random: Random
    ) -> None:
        self._venue_time = venue_time
        self._ask = ask
        self._random = random
        self._failures = 0  # in a row
        self._told = False  # of the offset being large

    async def run(self) -> None:
        """Measure for ever."""
        while True:  # noqa: ASYNC110 - nobody signals time
            await asyncio.sleep(await self.measure())

    async def measure(self) -> float:
        """Measure once; the seconds until the next time. After HTTP 403 that is when the venue may be asked again."""
        try:
            samples = await self._ask()
        except RestError as error:
            self._failures += 1
            if self._failures == 1:
                _log.warning("venue's time unknown", error=str(error))
            delay = backoff_delay(self._failures, _RETRY_FIRST, INTERVAL, self._random)
            return max(delay, error.retry_after_seconds)
        self._failures = 0
        self._venue_time.take(samples)
        self._tell()
        return INTERVAL

    def _tell(self) -> None:
        venue_time = self._venue_time
        offset = venue_time.offset_seconds
        doubt = (venue_time.round_trip_seconds or 0.0) / 2
        large = abs(offset) - doubt > LARGE_OFFSET
        if large and not self._told:
            _log.warning(
                "clock differs from the venue's",
                remedy="synchronise this machine's clock by NTP (timedatectl, chronyc tracking): the feed's receive and"
                " send times are wrong by so much; what is too old is judged by the venue's clock all the same",
                offset_seconds=round(offset, 3),
                round_trip_seconds=round(venue_time.round_trip_seconds or 0.0, 3),
            )
        self._told = large
