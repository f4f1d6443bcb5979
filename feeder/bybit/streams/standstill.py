"""Whether our own event loop stood still: then nobody else is late by that. No I/O; times are monotonic seconds.

A loop that stood still serves its timers before it reads what came meanwhile (uvloop always does), so that what is due
then proves nothing against the venue. Every link with deadlines goes by this one rule: after a timer that came late
nobody is judged before a grace is over, in which the sockets are read, and who was waited for gets the time back.
"""

import math

LATE = 0.25
"""Seconds; a timer that comes so late means that the loop stood still."""

GRACE = 0.25
"""Seconds, in which what came meanwhile is read."""

_MOST_IN_A_ROW = 4  # a loop that is always late would never find a dead connection


class Standstill:
    """The lateness of one link's timer."""

    def __init__(self) -> None:
        self._wake_at = math.inf
        self._judge_at = -math.inf
        self._in_a_row = 0

    def wake_at(self, due: float) -> float:
        """When the timer is to be, if something is due then; it is expected at that time from now on."""
        self._wake_at = max(due, self._judge_at)
        return self._wake_at

    def excused(self, now: float) -> float:
        """The seconds by which nobody is late, if the timer comes only now; else 0. Ask this first."""
        late = now - self._wake_at
        if late < LATE:
            if late >= 0:
                self._in_a_row = 0
            return 0.0
        if self._in_a_row == _MOST_IN_A_ROW:
            return 0.0
        self._in_a_row += 1
        self._judge_at = self._wake_at = now + GRACE
        return late + GRACE

    def may_judge(self, now: float) -> bool:
        """Whether a deadline that is over counts."""
        return now >= self._judge_at
