"""When to measure the venue's clock, and what it shows: a signed request needs its time, within a second or so.

No I/O: the client asks /v5/market/time and tells the answers here. Source: Bybit v5, guide: server_time - recv_window
<= timestamp < server_time + 1000.
"""

import asyncio
from collections.abc import Sequence

from feeder.bybit.venue_time import TimeSample, VenueTime
from feeder.clock import Clock

SAMPLES = 3  # the first pays for the connection
_FRESH_SECONDS = 600.0  # clocks of 100 ppm part by 60 ms meanwhile, a thousandth of what the venue allows
_RETRY_SECONDS = 30.0


class VenueClock:
    """The venue's time at one address, as far as it is known; our own clock until then.

    `now_ms()` is it, in ms since the epoch. `measuring` is held by whoever asks the venue: all who need the time at
    first wait for the one answer.
    """

    def __init__(self, clock: Clock) -> None:
        self.measuring = asyncio.Lock()
        self._clock = clock
        self._time = VenueTime(clock)
        self.now_ms = self._time.now_ms
        self._due = float("-inf")
        self._distrusted = True  # nothing is known, or the venue said that it is wrong

    @property
    def offset_seconds(self) -> float:
        """What to add to our wall clock to have the venue's."""
        return self._time.offset_seconds

    @property
    def is_due(self) -> bool:
        """Whether it is to be measured (again)."""
        return self._clock.monotonic() >= self._due

    @property
    def is_needed(self) -> bool:
        """Whether no request should be signed before it is measured: unless that failed just now."""
        return self._distrusted and self.is_due

    def take(self, samples: Sequence[TimeSample]) -> None:
        """What the venue said (at least one sample)."""
        self._time.take(samples)
        self._distrusted = False
        self._due = self._clock.monotonic() + _FRESH_SECONDS

    def postpone(self) -> None:
        """Not again for a while: it is being measured, or the venue could not be asked."""
        self._due = self._clock.monotonic() + _RETRY_SECONDS

    def distrust(self) -> None:
        """The venue says that our time is wrong: measure before the next request."""
        self._distrusted = True
        self._due = float("-inf")
