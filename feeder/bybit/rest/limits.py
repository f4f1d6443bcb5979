"""How fast the venue may be asked. No I/O and no clock of their own; times are monotonic seconds.

Source: Bybit v5, rate-limit/rate-limit: so many requests of one address in any 5 s, so many of one account and endpoint
in any second. Both are rolling windows, which a token bucket of the same size would overrun by up to its whole burst
(full at first, refilled within the same second), so these are windows, too.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterator

from .endpoint import Limit

_PRUNED_AT = 1000  # windows; a window that nobody used for its whole span says nothing
_KEPT_SECONDS = 60.0  # beyond that: a request may have it, and wait for something else


class Window:
    """Slots: at most `limit.requests` in any span of `limit.seconds` and `margin`, first come, first served.

    `margin` allows for requests that overtake one another on their way.
    """

    __slots__ = ("_gone", "_held_until", "_margin", "_times", "limit")

    def __init__(self, limit: Limit, margin: float) -> None:
        self.limit = limit
        self._margin = margin
        self._times: list[float] = []  # of the slots given, ascending; some are yet to come
        self._gone = 0  # so many of them, the first, matter no more
        self._held_until = float("-inf")

    def next_at(self, now: float, count: int = 1) -> float:
        """When the next `count` slots together would be: `now` or later."""
        times, gone, (requests, seconds) = self._times, self._gone, self.limit
        span = seconds + self._margin
        oldest = now - span
        length = len(times)
        while gone < length and times[gone] <= oldest:
            gone += 1
        if gone > 2 * requests:
            # As many stay as a span may hold: `learn` hears of a time when these were not gone yet.
            del times[: gone - requests]
            length -= gone - requests
            gone = requests
        self._gone = gone
        at = now if now > self._held_until else self._held_until
        if length and times[-1] > at:
            at = times[-1]
        # What asks for more than all slots waits for all of them.
        free = requests - count if requests > count else 0
        if length - gone > free and times[-1 - free] + span > at:
            at = times[-1 - free] + span
        return at

    def take(self, now: float, count: int = 1) -> float:
        """Take the next `count` slots; the time at which they are."""
        at = self.next_at(now, count)
        self._times += [at] * count
        return at

    def try_take(self, now: float, count: int = 1) -> bool:
        """Take `count` slots if they are there now."""
        times = self._times
        # With room to spare nothing need be forgotten; this is what most requests find.
        if (
            len(times) - self._gone + count <= self.limit.requests
            and now >= self._held_until
            and (not times or times[-1] <= now)
        ):
            times += [now] * count
            return True
        if self.next_at(now, count) > now:
            return False
        self._times += [now] * count
        return True

    def give_back(self, at: float, count: int = 1) -> None:
        """Return slots that are not used after all."""
        for _ in range(count):
            index = bisect_left(self._times, at)
            if index == len(self._times) or self._times[index] != at:
                return
            del self._times[index]
            self._gone -= index < self._gone

    def hold(self, until: float) -> None:
        """No slot before this, whatever was used: the venue said so."""
        self._held_until = max(self._held_until, until)

    @property
    def held_until(self) -> float:
        """The end of the longest hold."""
        return self._held_until

    def learn(self, requests: int, remaining: int, sent: float) -> None:
        """What the venue's answer to the request sent at `sent` says: so many allowed, so many left then.

        What was used beyond our own requests, others with the same account used: it counts from then on.
        """
        requests = max(requests, 1)
        if requests != self.limit.requests:
            self.limit = Limit(requests, self.limit.seconds)
        ours = len(self._times) - bisect_right(self._times, sent - self.limit.seconds)
        others = requests - remaining - ours
        if others > 0:
            self._times = sorted([*self._times, *[sent] * others])

    def used(self, now: float) -> int:
        """Slots of the last `limit.seconds`, and those given for later."""
        return len(self._times) - bisect_right(self._times, now - self.limit.seconds)

    def is_idle(self, now: float) -> bool:
        """Whether nothing it knows matters any more, and has not for a while."""
        last = self._times[-1] if self._times else float("-inf")
        return now > max(last + self.limit.seconds, self._held_until) + _KEPT_SECONDS


class Windows:
    """The windows of all keys and endpoint groups; those that are idle are forgotten in time."""

    def __init__(self, margin: float) -> None:
        self._margin = margin
        self._windows: dict[Hashable, Window] = {}
        self._pruned_at = _PRUNED_AT

    def __len__(self) -> int:
        return len(self._windows)

    def __iter__(self) -> Iterator[tuple[Hashable, Window]]:
        return iter(list(self._windows.items()))

    def of(self, key: Hashable, limit: Limit, now: float) -> Window:
        """The window of this key, begun with `limit` where there is none."""
        window = self._windows.get(key)
        if window is None:
            if len(self._windows) >= self._pruned_at:
                self._windows = {each: known for each, known in self._windows.items() if not known.is_idle(now)}
                self._pruned_at = max(_PRUNED_AT, 2 * len(self._windows))
            window = self._windows[key] = Window(limit, self._margin)
            window.hold(now)  # so that it is not idle yet
        return window
