"""Even pacing of a round: every one of n things once per period, spread out, never in a burst."""


class Rotation:
    """Says which index to visit now. Times are monotonic seconds, given.

    A round that is not done when its period is over goes on, and the next begins late.
    """

    __slots__ = ("_next", "_start", "elapsed", "period")

    def __init__(self, period: float) -> None:
        self.period = period
        self.elapsed = 0.0  # seconds the last whole round took
        self._start: float | None = None
        self._next = 0

    def take(self, now: float, count: int) -> int | None:
        """The next index below `count` if it is due at `now`, else None."""
        if self._start is None:
            self._start = now
        index = self._next
        if index >= count or (now - self._start) / self.period * count < index:
            return None
        self._next = index + 1
        return index

    def ended(self, now: float, count: int) -> bool:
        """Whether the round is over at `now`; if so the next one begins."""
        if self._start is None or self._next < count or now - self._start < self.period:
            return False
        self.elapsed = now - self._start
        late = self.elapsed > 1.5 * self.period
        self._start = now if late else self._start + self.period
        self._next = 0
        return True

    def removed(self, index: int) -> None:
        """What stood at `index` is there no longer, and all behind it have moved up: none of them is to be missed."""
        if index < self._next:
            self._next -= 1
