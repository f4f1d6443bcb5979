"""The venue's clock as we know it. No I/O: whoever asks the venue for its time tells it here."""

from collections.abc import Iterable

from feeder.clock import MILLISECOND_NS, SECOND_NS, Clock

LARGE_OFFSET_SECONDS = 1.0


class VenueTime:
    """The venue's time now: our monotonic clock plus what was measured, or our wall clock while nothing was.

    Once measured, a step of our wall clock changes nothing here but `offset_seconds`. `proven`: the venue has sent data
    that was fresh by this clock, so it is no recording.
    """

    def __init__(self, clock: Clock) -> None:
        self.proven = False
        self.round_trip_seconds: float | None = None  # of the measurement in use: it is wrong by half of it at most
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

    def take(self, samples: Iterable[tuple[float, int, float]]) -> None:
        """Take over the best of some samples: (sent, the venue's time in ns, received), the others monotonic seconds.

        The answer is taken to be of the middle between the two; the shortest round trip leaves the least doubt.
        """
        sent, venue_ns, received = min(samples, key=lambda sample: sample[2] - sample[0])
        self._ahead_ns = venue_ns - round((sent + received) / 2 * SECOND_NS)
        self.round_trip_seconds = received - sent
        self._measured_at = received

    def _now_ns(self) -> int:
        if self._measured_at is None:
            return self._clock.wall_ns()
        return round(self._clock.monotonic() * SECOND_NS) + self._ahead_ns
