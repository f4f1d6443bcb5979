"""When to ping, and how long to wait for the pong. Times are monotonic seconds."""

import math


class Heartbeat:
    """The venue's own ping, every `interval`; the connection is dead when no pong comes within `patience` seconds.

    A connection from which nothing at all has come for `silence` seconds is pinged at once, and dead if it stays silent
    for `probe_patience` more: a half-open one is told from a quiet one in a few seconds.
    """

    def __init__(self, interval: float, patience: float, silence: float, probe_patience: float) -> None:
        self._interval = interval
        self._patience = patience
        self._silence = silence
        self._probe_patience = probe_patience
        self.start(0.0)

    def start(self, now: float) -> None:
        """The connection is new."""
        self._ping_at = now + self._interval
        self._pong_by = math.inf  # of the oldest ping without a pong
        self._pinged_at: float | None = None  # that ping
        self.heard_at = now
        self._answer_by = math.inf  # of a probe: a pong, or anything else

    def heard(self, now: float) -> None:
        """Something came."""
        self.heard_at = now
        self._answer_by = math.inf

    def on_pong(self, now: float) -> float | None:
        """A pong came; seconds since the oldest ping without one, None if there is none."""
        self._pong_by = math.inf
        pinged_at, self._pinged_at = self._pinged_at, None
        return None if pinged_at is None else now - pinged_at

    def excuse(self, seconds: float) -> None:
        """We did not listen for so long: what came meanwhile is still to be read."""
        self._pong_by += seconds
        self._answer_by += seconds

    @property
    def patience(self) -> float:
        """Seconds that were waited for an answer, if the connection is dead."""
        return self._patience if self._pong_by <= self._answer_by else self._probe_patience

    def is_dead(self, now: float) -> bool:
        """Whether a pong, or the answer to a probe, is overdue."""
        return now >= min(self._pong_by, self._answer_by)

    def beats(self, now: float) -> bool:
        """Whether to ping now; if so, the next one is due an interval later."""
        if now < self._ping_at:
            return False
        self._ping_at = now + self._interval
        self._ping(now)
        return True

    def probes(self, now: float) -> bool:
        """Whether to ping now because of silence; if so, not again before something comes."""
        if self._answer_by < math.inf or now < self.heard_at + self._silence:
            return False
        self._answer_by = now + self._probe_patience
        self._ping(now)
        return True

    def soonest(self) -> float:
        """When any of it is due next."""
        probe_at = self.heard_at + self._silence if self._answer_by == math.inf else math.inf
        return min(self._ping_at, self._pong_by, self._answer_by, probe_at)

    def _ping(self, now: float) -> None:
        if self._pinged_at is None:
            self._pinged_at = now
        self._pong_by = min(self._pong_by, now + self._patience)
