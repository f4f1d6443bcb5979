"""How fast feeder may ask: delays that grow with failure, and budgets that bound a storm. No clock of their own."""

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Timing:
    """Every delay and deadline of a connection, in seconds. The defaults are for the real venue."""

    ping_interval: float = 20.0  # what the venue recommends
    pong_deadline: float = 10.0
    silence: float = 3.0  # nothing came for so long: ping at once. One topic of depth 1 alone is repeated every 3 s
    probe_deadline: float = 2.0  # for the pong to that, unless something else comes: STALE 5 s after a line goes dead
    request_interval: float = 0.05  # thousands of topics at once right after the handshake break TLS connections
    request_deadline: float = 10.0  # after it an unanswered request is forgotten; its topics have their own deadlines
    snapshot_deadline: float = 10.0  # seen: 0.17 to 1.4 s
    postponed_deadline: float = 90.0  # as above, for a book whose snapshot was old; by then its connection is another
    unsubscribe_deadline: float = 5.0
    resync_first: float = 1.0  # the first resync of a topic is immediate; this is before the second
    resync_cap: float = 60.0
    hold_deadline: float = 10.0  # a book held for its scale goes on after it, whatever became of the scale
    resync_burst: float = 50.0  # topics per connection at once ...
    resync_rate: float = 10.0  # ... and per second from then on
    refused_first: float = 1.0  # a book that was refused by mistake is not to wait long; one that is gone, ever longer
    refused_cap: float = 3600.0
    healthy_after: float = 60.0  # ACTIVE for so long, a topic's next resync is immediate again
    reconnect_first: float = 0.1
    reconnect_cap: float = 2.0  # so that books are LIVE within 5 s of the venue's return; see pool.py for the limit
    connection_healthy_after: float = 10.0  # connected for so long, the next reconnect is quick again


def backoff_delay(failures: int, first: float, cap: float, random: Random) -> float:
    """Seconds to wait after so many failures in a row (at least 1): first, doubled each time, at most cap.

    Jittered down to half, so that what failed together does not come back together.
    """
    delay = min(first * 2.0 ** min(failures - 1, 30), cap)
    return delay * (0.5 + 0.5 * random.random())


class TokenBucket:
    """A budget of `capacity` tokens that refills at `rate` per second. Times are monotonic seconds."""

    def __init__(self, capacity: float, rate: float, now: float) -> None:
        self._capacity = capacity
        self._rate = rate
        self._tokens = capacity
        self._updated = now

    def take(self, now: float) -> float:
        """Take a token and return 0, or take none and return the seconds until one is there."""
        self._refill(now)
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        # A nanosecond more, so that rounding never makes the wait end just short of a whole token.
        return (1 - self._tokens) / self._rate + 1e-9

    def give_back(self, now: float) -> None:
        """Return a token that was not used after all."""
        self._refill(now)
        self._tokens = min(self._capacity, self._tokens + 1)

    def _refill(self, now: float) -> None:
        self._tokens = min(self._capacity, self._tokens + (now - self._updated) * self._rate)
        self._updated = now
