"""When to ping, and how long to wait for the pong. Times are monotonic seconds."""


class Heartbeat:
    """The venue's own ping, every `interval`; the connection is dead when no pong comes within `patience`."""

    def __init__(self, interval: float, patience: float) -> None:
        self.patience = patience
        self._interval = interval
        self._ping_at = 0.0
        self._pong_by: float | None = None  # of the oldest ping without a pong

    def start(self, now: float) -> None:
        """The connection is new."""
        self._ping_at = now + self._interval
        self._pong_by = None

    def heard(self) -> None:
        """A pong came."""
        self._pong_by = None

    def is_dead(self, now: float) -> bool:
        """Whether a pong is overdue."""
        return self._pong_by is not None and now >= self._pong_by

    def beats(self, now: float) -> bool:
        """Whether to ping now; if so, the next one is due an interval later."""
        if now < self._ping_at:
            return False
        self._ping_at = now + self._interval
        if self._pong_by is None:
            self._pong_by = now + self.patience
        return True

    def soonest(self) -> float:
        """When either is due next."""
        return self._ping_at if self._pong_by is None else min(self._ping_at, self._pong_by)
