"""Whether what a connection brings is new: the venue's time now, less the venue time of the data. No I/O.

The hot path compares one integer per data message with `judge_before_ms`; what is older goes to `judge`. While all is
well that is what is older than the limit, and four messages a second, from which the lag is measured and by which the
connection is known to be alive. In doubt it is every message.

- A connection whose newest data has been older than the limit for a second has old data: it is replaced, its books
  are STALE at once. If that does not help the next one is given ever longer, up to a minute.
- A new connection's books wait for its first fresh message: an old snapshot makes no book LIVE, and what was held back
  is asked for anew then.
- A connection that has had old data again and again must be fresh for ever longer before its books count.
- A book whose data is older by more than the limit than other data that came before it, and is followed by fresh data
  of others, is stuck: it alone is asked for anew. Both compare the venue's times with each other.
- Silence is no age: a quiet book, or a quiet connection, has nothing to judge (see heartbeat.py).

Data that waited in our own socket because we were busy is as old, and is judged alike: the book is behind, whoever
is to blame, and a new connection is the quickest way to be rid of a backlog. But one stall that is over gets a second
in which what waited during it is excused, as the newest data of that second will be fresh again.

Until the venue has once sent fresh data, data older than a day is taken for a recording, and is not judged: no exchange
runs a day behind, while replays and clocks that were never set do.
"""

import enum

from .venue_time import VenueTime

EVERYTHING = 1 << 62
"""As `judge_before_ms`: every message is judged."""

MAX_LAG_SECONDS = 5.0
"""How old data may be, if nobody says otherwise."""

TICK = 0.25
"""Seconds between two samples of the lag."""

_DAY_MS = 86_400_000
_STALL = 0.5  # seconds late: our event loop was busy for so long
_EXCUSE = 1.0  # seconds after a stall in which what waited during it comes in
_WINDOW = 1.0  # seconds in which nothing was fresh: then the connection's data is old
_LONGEST_PATIENCE = 60.0
_LONGEST_PROOF = 30.0
_HEALTHY = 60.0  # seconds of fresh data: what was before does not count any more


class Verdict(enum.Enum):
    """What to do with a message that was judged."""

    FRESH = enum.auto()  # go on with it; and now is the time to ask for the books anew that were old before
    ACCEPT = enum.auto()  # go on with it
    STUCK = enum.auto()  # its book is old, unless the whole connection is: go on with a delta, drop a snapshot
    HOLD = enum.auto()  # a book's counts for nothing: the connection has not proved to be fresh
    REPLACE = enum.auto()  # the connection's data is old


class Freshness:
    """The age of one connection's data, over all its sockets. `limit_seconds` None: it is measured, never judged.

    `lag_seconds` is that of the last message sampled, `last_lags` the least and the most of the last full second in
    which any came; None before. A lag below 0 means that the venue's clock is ahead of what we take for it.
    """

    def __init__(self, venue_time: VenueTime, limit_seconds: float | None) -> None:
        self.limit_seconds = limit_seconds
        self.judge_before_ms = EVERYTHING
        self.lag_seconds: float | None = None
        self.last_lags: tuple[float, float] | None = None
        self.recorded = False  # data older than a day is being let through
        self._venue_time = venue_time
        self._limit_ms = round(limit_seconds * 1000) if limit_seconds is not None else EVERYTHING
        self._lags: tuple[float, float] | None = None  # of the second that is running
        self._lags_until = 0.0
        self._tick_at = 0.0
        self._stalled_ms = 0  # how long our last stall was ...
        self._excuse_until = 0.0  # ... and until when it excuses age
        self._newest_ms = 0  # of what was judged on this socket
        self._proven = False
        self._proven_at = 0.0
        self._fresh_since: float | None = None  # while not proven
        self._old_since: float | None = None  # nothing fresh since
        self._least_lag_ms = 0  # since then
        self._proof = 0.0  # seconds of fresh data that prove the next socket
        self._episodes = 0  # times the data got old since it was last healthy
        self._replaced = 0  # sockets given up in this episode

    @property
    def patience(self) -> float:
        """Seconds without anything fresh before the connection is replaced."""
        return min(_WINDOW * 2.0**self._replaced, _LONGEST_PATIENCE)

    def on_connected(self, now: float) -> None:
        """The socket is new: nothing that it brings is believed before it proves fresh."""
        self.judge_before_ms = EVERYTHING
        self.lag_seconds = self.last_lags = self._lags = None
        self._tick_at = now + TICK
        self._stalled_ms = 0
        self._newest_ms = 0
        self._proven = False
        self._fresh_since = self._old_since = None

    def judge(self, ts_ms: int, now: float) -> Verdict:
        """Judge a data message received now, by its venue time of sending."""
        now_ms = self._venue_time.now_ms()
        lag_ms = now_ms - ts_ms
        self._measure(lag_ms / 1000, now)
        excused_ms = self._stalled_ms if now < self._excuse_until else 0
        if lag_ms <= self._limit_ms + excused_ms:
            verdict = self._on_fresh(lag_ms, now)
        elif lag_ms > _DAY_MS and not self._venue_time.proven:
            self.recorded = True
            self._old_since = None
            verdict = Verdict.ACCEPT
        else:
            self.recorded = False
            verdict = self._on_old(ts_ms, lag_ms, now)
        if -self._limit_ms <= lag_ms and ts_ms > self._newest_ms:  # what is from the future is no measure for others
            self._newest_ms = ts_ms
        if self.recorded or self.limit_seconds is None:
            self.judge_before_ms = 0
        elif self._old_since is None and self._proven:
            self.judge_before_ms = now_ms - self._limit_ms
        else:
            self.judge_before_ms = EVERYTHING
        return verdict

    def on_timer(self, now: float) -> Verdict:
        """Take the next sample, if it is time. REPLACE when there was nothing but old data for too long."""
        late = now - self._tick_at
        if late < 0:
            return Verdict.ACCEPT
        self._tick_at = now + TICK
        self.judge_before_ms = EVERYTHING
        if late >= _STALL:
            self._stalled_ms = round((late + TICK) * 1000)
            self._excuse_until = now + _EXCUSE
            if self._least_lag_ms <= self._limit_ms + self._stalled_ms:
                self._old_since = None  # what was judged just now had waited here
        self._close_second(now)
        return Verdict.REPLACE if self._is_old(now) else Verdict.ACCEPT

    def on_replaced(self, now: float) -> None:
        """The connection is given up for REPLACE."""
        if not self._replaced:
            if now - self._proven_at >= _HEALTHY:
                self._episodes = 0
            self._proof = min(2.0 ** (self._episodes - 1), _LONGEST_PROOF) if self._episodes else 0.0
            self._episodes += 1
        self._replaced += 1

    def next_timer(self) -> float:
        """When to call `on_timer`, monotonic seconds."""
        return self._tick_at

    def stalled(self, now: float) -> float:
        """Seconds for which our own event loop must have stood still, if it comes to `on_timer` only now; else 0."""
        late = now - self._tick_at
        return late if late >= _STALL else 0.0

    # Within

    def _on_fresh(self, lag_ms: int, now: float) -> Verdict:
        self.recorded = False
        self._old_since = None
        if lag_ms >= -self._limit_ms:
            self._venue_time.proven = True
        if self._proven:
            return Verdict.FRESH
        if self._fresh_since is None:
            self._fresh_since = now
        if now - self._fresh_since < self._proof:
            return Verdict.HOLD
        self._proof = 0.0
        self._replaced = 0
        self._proven = True
        self._proven_at = now
        return Verdict.FRESH

    def _on_old(self, ts_ms: int, lag_ms: int, now: float) -> Verdict:
        if self._old_since is None:
            self._old_since = now
            self._least_lag_ms = lag_ms
        if now - self._old_since >= _WINDOW:  # sooner, it may be one stuck book among fresh ones
            self._fresh_since = None
        self._least_lag_ms = min(self._least_lag_ms, lag_ms)
        if self._is_old(now):
            return Verdict.REPLACE
        if not self._proven:
            return Verdict.HOLD
        return Verdict.STUCK if self._newest_ms - ts_ms > self._limit_ms else Verdict.ACCEPT

    def _is_old(self, now: float) -> bool:
        return self._old_since is not None and now - self._old_since >= self.patience

    def _measure(self, lag: float, now: float) -> None:
        self.lag_seconds = lag
        if self._lags is None:
            self._lags = (lag, lag)
        else:
            least, most = self._lags
            self._lags = (min(least, lag), max(most, lag))

    def _close_second(self, now: float) -> None:
        if now >= self._lags_until:
            self._lags_until = now + 1.0
            if self._lags is not None:
                self.last_lags, self._lags = self._lags, None
