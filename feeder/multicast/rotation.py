"""Even pacing of a round: every one of n things once per period, spread out, never in a burst."""

_MOST_PER_TURN = 64  # visits at once after a stall; the round then takes longer instead


class Rotation:
    """Says which indices to visit now. Time is given, monotonic seconds; `period` may be changed between rounds."""

    __slots__ = ("_next", "_start", "elapsed", "period")

    def __init__(self, period: float) -> None:
        self.period = period
        self.elapsed = 0.0  # seconds the last whole round took
        self._start: float | None = None
        self._next = 0

    def take(self, now: float, count: int) -> range:
        """The indices, below `count`, that are due at `now`."""
        if self._start is None:
            self._start = now
        share = (now - self._start) / self.period
        due = min(count, int(share * count) + 1, self._next + _MOST_PER_TURN)
        first, self._next = self._next, max(self._next, due)
        return range(first, self._next)

    def ended(self, now: float, count: int) -> bool:
        """Whether the round is over at `now`; if so the next one begins."""
        if self._start is None or self._next < count or now - self._start < self.period:
            return False
        self.elapsed = now - self._start
        late = self.elapsed > 2 * self.period
        self._start = now if late else self._start + self.period
        self._next = 0
        return True
