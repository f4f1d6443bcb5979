"""When to speak of a trouble that lasts: at once, a minute later, and then each time after twice as long."""

FIRST = 60.0
"""Seconds from the first word to the second."""
MOST = 3600.0
"""Seconds between two words at the most."""


class Outage:
    """One trouble, such as an exchange that does not answer. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._spacing = FIRST
        self._next = 0.0

    def failed(self, now: float) -> bool:
        """It failed, again or for the first time: whether to say so."""
        if self._since is None:
            self._since = now
            self._spacing = FIRST
        elif now < self._next:
            return False
        else:
            self._spacing = min(2 * self._spacing, MOST)
        self._next = now + self._spacing
        return True

    def seconds(self, now: float) -> float:
        """How long it has lasted, 0 if there is none."""
        return 0.0 if self._since is None else now - self._since

    def over(self) -> None:
        """It is over."""
        self._since = None
