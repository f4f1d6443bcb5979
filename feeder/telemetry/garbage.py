"""What Python's cycle collector does to the process: how often it runs, and how long everything stands still for it."""

import gc
from typing import Any

from feeder.clock import SECOND_NS, Clock

_WINDOW_SECONDS = 60.0


class Garbage:
    """Counts collections from `install` to `remove`. Times are nanoseconds.

    `collections` is by generation, `pause_ns` the sum of all pauses.
    """

    def __init__(self, clock: Clock) -> None:
        self.collections = {"0": 0, "1": 0, "2": 0}
        self.pause_ns = 0
        self._clock = clock
        self._began_at = 0.0  # monotonic seconds
        self._window_began_at = clock.monotonic()
        self._longest = self._longest_before = 0  # of the present window and the one before it

    def install(self) -> None:
        """Begin to count."""
        gc.callbacks.append(self._on_phase)

    def remove(self) -> None:
        """Count no longer."""
        gc.callbacks.remove(self._on_phase)

    @property
    def longest_pause_ns(self) -> int:
        """The longest pause of the last one to two minutes: that at the start would hide all others for ever."""
        self._turn(self._clock.monotonic())
        return max(self._longest, self._longest_before)

    def _on_phase(self, phase: str, info: dict[str, Any]) -> None:
        now = self._clock.monotonic()
        if phase == "start":
            self._began_at = now
            return
        pause = int((now - self._began_at) * SECOND_NS)
        self.collections[str(info["generation"])] += 1
        self.pause_ns += pause
        self._turn(now)
        self._longest = max(self._longest, pause)

    def _turn(self, now: float) -> None:
        """Begin a new window if the present one is over."""
        over = now - self._window_began_at
        if over >= _WINDOW_SECONDS:
            self._longest_before = self._longest if over < 2 * _WINDOW_SECONDS else 0
            self._longest = 0
            self._window_began_at = now
