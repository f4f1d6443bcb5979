"""The venue's clock as we know it. No I/O: whoever asks the venue for its time tells it here (clock_offset.py)."""

from collections.abc import Iterable
from typing import NamedTuple

from feeder.clock import MILLISECOND_NS, SECOND_NS, Clock


class TimeSample(NamedTuple):
    """One question for the venue's time: monotonic seconds when it was sent and answered, and ns since the epoch."""

    sent: float
    venue_ns: int
    received: float

    @property
    def round_trip(self) -> float:
        """Seconds; the answer is wrong by half of it at most."""
        return self.received - self.sent


class VenueTime:
    """The venue's time now: our monotonic clock plus what was measured, or our wall clock while nothing was.

    Once measured, a step of our wall clock changes nothing here but `offset_seconds`. `proven`: the venue has sent data
    that was fresh by this clock, so it is no recording.
    """

    def __init__(self, clock: Clock) -> None:
        self.proven = False
        self.round_trip_seconds: float | None = None  # of the sample in use; None: there is none
        self._clock = clock
        self._ahead_ns = 0  # the venue's time less our monotonic time
        self._measured_at: float | None = None  # monotonic seconds

    def now_ms(self) -> int:
        """The venue's time, in ms since the epoch."""
        return self._now_ns() // MILLISECOND_NS

    @property
    def offset_seconds(self) -> float:
        """What to add to our wall clock to have the venue's; 0 while nothing was measured."""
        return (self._now_ns() - self._clock.wall_ns()) / SECOND_NS

    @property
    def age_seconds(self) -> float | None:
        """How long ago it was measured; None: never."""
        return None if self._measured_at is None else self._clock.monotonic() - self._measured_at

    def take(self, samples: Iterable[TimeSample]) -> None:
        """Take over the best of these samples (at least one): the shortest round trip leaves the least doubt.

        The answer is taken to be of the middle between question and answer.
        """
        best = min(samples, key=lambda sample: sample.round_trip)
        self._ahead_ns = best.venue_ns - round((best.sent + best.received) / 2 * SECOND_NS)
        self.round_trip_seconds = best.round_trip
        self._measured_at = best.received

    def _now_ns(self) -> int:
        if self._measured_at is None:
            return self._clock.wall_ns()
        return round(self._clock.monotonic() * SECOND_NS) + self._ahead_ns
