"""The exchange's clock as its REST shows it."""

from feeder.clock import SECOND_NS, Clock


class RestClock:
    """The simulator's clock, whose wall time a fault may set wrong for a while."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead_ns = 0
        self._until: float | None = None

    def set_ahead(self, seconds: float, until: float | None) -> None:
        """Be `seconds` fast (negative: slow) until this monotonic time, None for ever."""
        self._ahead_ns = round(seconds * SECOND_NS)
        self._until = until

    def wall_ns(self) -> int:
        """Nanoseconds since the Unix epoch, right or wrong."""
        if self._until is not None and self._clock.monotonic() >= self._until:
            self._ahead_ns, self._until = 0, None
        return self._clock.wall_ns() + self._ahead_ns

    def monotonic(self) -> float:
        """Seconds; always right."""
        return self._clock.monotonic()
