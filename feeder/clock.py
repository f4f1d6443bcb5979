"""The two clocks everybody is given, so that tests can hold them still.

Wall time (ns since the Unix epoch) stamps data; monotonic time (seconds) measures intervals and deadlines.
"""

import time
from typing import Protocol

MILLISECOND_NS = 1_000_000
SECOND_NS = 1_000_000_000


class Clock(Protocol):
    """Wall time in nanoseconds and monotonic time in seconds."""

    def wall_ns(self) -> int:
        """Nanoseconds since the Unix epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...


class SystemClock:
    """The machine's own clocks."""

    # The functions themselves: these are asked for each message.
    wall_ns = staticmethod(time.time_ns)
    monotonic = staticmethod(time.monotonic)


class ManualClock:
    """A clock that moves only when it is told to; both hands move together."""

    def __init__(self, wall_ns: int = 1_700_000_000 * SECOND_NS, monotonic: float = 1000.0) -> None:
        self._wall_ns = wall_ns
        self._monotonic_ns = round(monotonic * SECOND_NS)

    def wall_ns(self) -> int:
        """Nanoseconds since the Unix epoch, as set."""
        return self._wall_ns

    def monotonic(self) -> float:
        """Seconds, as set."""
        return self._monotonic_ns / SECOND_NS

    def advance(self, seconds: float) -> None:
        """Move both hands forward by `seconds` (at least 0)."""
        if seconds < 0:
            raise ValueError(f"a clock cannot go back: {seconds}")
        step = round(seconds * SECOND_NS)
        self._wall_ns += step
        self._monotonic_ns += step
