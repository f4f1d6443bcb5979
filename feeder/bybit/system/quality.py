"""How far a symbol's data can be trusted now: a score with its parts. No I/O; times are monotonic seconds.

    score = 100 x age x gaps x candles x crossed x spread        each part 0 to 1

A product, so that one part at 0 (a book that is not LIVE, no data at all) is a score of 0 whatever the others say.

age      The worst of the watched feeds: 1 until `fresh` seconds since its last message, then straight down to 0 at
         `dead`. A book of depth 1 is repeated every 3 s: 5 and 15. Other books and tickers come when something changes,
         so that they are held to their own rhythm: 10 and 60 times the usual time between two seconds with data, that
         of 1 s at least and 60 s at most; before the rhythm is known 40 (quiet books were seen silent for 36) and 120.
         Late data is not this part's matter: its connection is replaced, which is an interruption.
gaps     0 while the book is not LIVE. Else 0.7 ^ sum(1 - age / window) over the interruptions (missed update, lost
         connection, trades lost) of the last `window_seconds` (300): each counts in full at first and less and less to
         the window's end. What happens within 5 s of one is part of it: a connection that is cut takes book, ticker and
         trades with it. So one alone leaves 70, above the usual `health.quality` (50), and two at once 49.
candles  The share of bars that were there, of those asked for in the last hour.
crossed  0 while the book is asked for anew because its best bid was at or above its best ask; else as gaps.
spread   How long of the last tenth of the window (30 s) it was usual: 1 - odd seconds / 30. Odd it is by z = (spread -
         median) / max(1.4826 x median absolute deviation, median / 4, 1 tick), over the samples of the whole window:
         not at all up to z = 3, wholly from z = 10 on, straight between. So one wide moment costs next to nothing, and
         only what lasts half a minute is 0. Only a wide spread is odd. 1 while there are fewer than 20 samples (one is
         taken every 1.5 s at most), 0 when one side of a book that had two is empty.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

import msgspec

WINDOW_SECONDS = 300.0

DEPTH_1 = (5.0, 15.0)
"""Fresh and dead, seconds: repeated every 3 s by the venue."""

_UNKNOWN_RHYTHM = (40.0, 120.0)
_BEATS = 8  # seconds with data before a rhythm is known, and those of which the usual is the mean, about
_LONGEST_BEAT = 60.0
_FRESH, _DEAD = 10.0, 60.0  # beats

_SPREAD_SAMPLES = 200  # over the window
_FEWEST_SAMPLES = 20
_TO_SIGMA = 1.4826  # of a normal distribution's median absolute deviation
_LEAST_SHARE = 0.25  # of the median: a wide spread that stands still may yet move by some of itself
_ODD, _ABSURD = 3.0, 10.0  # z
_JUDGED_SHARE = 0.1  # of the window, the newest: how much of it was odd
_EVENTS = 100  # remembered of a kind: half a hundred in the window are 0 already
_ONE_EVENT_SECONDS = 5.0  # what happens within so long of an event's beginning is part of it
_LEFT = 0.7  # by an event
_CANDLES_SECONDS = 3600.0


class Part(msgspec.Struct, frozen=True):
    """`value` 0 to 1, the `number` it comes from (None: there is none) in `unit`, and that in words."""

    name: str
    value: float
    number: float | None
    unit: str
    sentence: str


class Quality(msgspec.Struct, frozen=True):
    """`score` 0 to 100, rounded to a tenth: the product of the parts."""

    category: str
    symbol: str
    score: float
    parts: list[Part]

    def part(self, name: str) -> Part:
        """The part of this name. Raises KeyError."""
        for part in self.parts:
            if part.name == name:
                return part
        raise KeyError(name)

    @property
    def lowest(self) -> Part:
        """The part that costs most; of equals the first."""
        return min(self.parts, key=lambda part: part.value)


class Feed(NamedTuple):
    """A watched feed: seconds since its last message, or since it is watched when none has come."""

    name: str
    age_seconds: float
    has_data: bool
    fresh_seconds: float
    dead_seconds: float


class Rhythm:
    """How often a feed comes that comes only when something changes, in whole seconds: a burst is one beat."""

    def __init__(self) -> None:
        self._beat_at: float | None = None
        self._beats = 0
        self._usual = 1.0  # seconds between two

    @property
    def limits(self) -> tuple[float, float]:
        """Fresh and dead, seconds."""
        if self._beats < _BEATS:
            return _UNKNOWN_RHYTHM
        usual = min(max(self._usual, 1.0), _LONGEST_BEAT)
        return _FRESH * usual, _DEAD * usual

    def on_data(self, now: float) -> None:
        """A message came."""
        if self._beat_at is None:
            self._beat_at = now
        elif (gap := now - self._beat_at) >= 1.0:
            self._beat_at = now
            self._beats += 1
            self._usual += (gap - self._usual) / min(self._beats, _BEATS)

    def pause(self) -> None:
        """The feed is interrupted: the silence that begins is not its own."""
        self._beat_at = None


@dataclass(frozen=True, slots=True)
class BookFacts:
    """The book now: LIVE or not, and why, since when. `spread_ticks` is None when a side is empty."""

    live: bool
    status: str
    reason: str
    crossed: bool
    since_seconds: float
    spread_ticks: float | None


class QualityRecord:
    """What happened to one symbol of late. Bounded: only the newest events and samples count."""

    def __init__(self, window_seconds: float = WINDOW_SECONDS) -> None:
        if not 0 < window_seconds < float("inf"):
            raise ValueError(f"window_seconds {window_seconds!r}: must be above 0")
        self._window = window_seconds
        self._interruptions: deque[tuple[float, str]] = deque(maxlen=_EVENTS)
        self._crossings: deque[tuple[float, str]] = deque(maxlen=_EVENTS)
        self._spreads: deque[tuple[float, float]] = deque(maxlen=_SPREAD_SAMPLES)
        self._candles: dict[str, tuple[float, int, int]] = {}  # by interval: when, asked for, missing

    def on_interruption(self, now: float, what: str) -> None:
        """Something was missed, or may have been: `what` in a few words."""
        _note(self._interruptions, now, what)

    def on_crossed(self, now: float) -> None:
        """The best bid was at or above the best ask."""
        _note(self._crossings, now, "crossed")

    def wants_spread(self, now: float) -> bool:
        """Whether it is time for another sample."""
        return not self._spreads or now - self._spreads[-1][0] >= self._window / _SPREAD_SAMPLES

    def on_spread(self, now: float, ticks: float) -> None:
        """A sample of the spread, in ticks."""
        self._spreads.append((now, ticks))

    def on_other_tick(self) -> None:
        """Spreads are counted in other ticks from now on."""
        self._spreads.clear()

    def on_candles(self, now: float, interval: str, asked: int, missing: int) -> None:
        """So many finished bars were asked for, and so many of them the venue does not have."""
        if asked:
            self._candles[interval] = (now, asked, missing)

    def judge(self, now: float, category: str, symbol: str, feeds: Sequence[Feed], book: BookFacts) -> Quality:
        """The quality now."""
        parts = [
            _age(feeds),
            self._gaps(now, book),
            self._missing_candles(now),
            self._crossed(now, book),
            self._spread(now, book),
        ]
        return Quality(category, symbol, _score(parts), parts)

    def _gaps(self, now: float, book: BookFacts) -> Part:
        count, weight, last = self._recent(self._interruptions, now)
        if not book.live:
            said = f"the book is {book.status} ({book.reason}) for {book.since_seconds:.1f} s"
            return Part("gaps", 0.0, float(count), "interruptions", said)
        if not count:
            return Part("gaps", 1.0, 0.0, "interruptions", f"nothing missed in the last {self._window:g} s")
        said = f"{_counted(count, 'interruption')} in the last {self._window:g} s, the last {last}"
        return Part("gaps", _rounded(_LEFT**weight), float(count), "interruptions", said)

    def _crossed(self, now: float, book: BookFacts) -> Part:
        count, weight, _ = self._recent(self._crossings, now)
        if book.crossed and not book.live:
            return Part("crossed", 0.0, float(count), "times", "the book was crossed and is asked for anew")
        if not count:
            return Part("crossed", 1.0, 0.0, "times", f"never crossed in the last {self._window:g} s")
        said = f"crossed {_counted(count, 'time')} in the last {self._window:g} s"
        return Part("crossed", _rounded(_LEFT**weight), float(count), "times", said)

    def _missing_candles(self, now: float) -> Part:
        recent = [(asked, missing) for at, asked, missing in self._candles.values() if now - at < _CANDLES_SECONDS]
        asked, missing = sum(each for each, _ in recent), sum(each for _, each in recent)
        if not asked:
            return Part("candles", 1.0, None, "bars", "no bars were asked for in the last hour")
        said = f"{missing} of {asked} bars missing"
        return Part("candles", _rounded(1 - missing / asked), float(missing), "bars", said)

    def _spread(self, now: float, book: BookFacts) -> Part:
        samples = [(at, ticks) for at, ticks in self._spreads if now - at < self._window]
        if not book.live:
            return Part("spread", 1.0, None, "s", "not judged while the book is not LIVE")
        if len(samples) < _FEWEST_SAMPLES:
            return Part("spread", 1.0, None, "s", f"{len(samples)} samples, too few to judge by")
        if book.spread_ticks is None:
            return Part("spread", 0.0, None, "s", "one side of the book is empty")
        middle = median(ticks for _, ticks in samples)
        deviation = max(_TO_SIGMA * median(abs(each - middle) for _, each in samples), _LEAST_SHARE * middle, 1.0)
        judged = self._window * _JUDGED_SHARE
        # Each sample holds until the next one; since the last it is as the book is now.
        newest = (samples[-1][0], book.spread_ticks)
        odd, end = 0.0, now
        for at, ticks in (newest, *reversed(samples[:-1])):
            usual = _falling((ticks - middle) / deviation, _ODD, _ABSURD)
            odd += (1 - usual) * (end - max(at, now - judged))
            end = at
            if end <= now - judged:
                break
        said = f"{book.spread_ticks:g} ticks, usually {middle:g}; odd for {odd:.1f} s of the last {judged:g} s"
        return Part("spread", _rounded(1 - odd / judged), _rounded(odd), "s", said)

    def _recent(self, events: deque[tuple[float, str]], now: float) -> tuple[int, float, str]:
        """How many are within the window, the sum of their weights, and what the last one was."""
        within = [(now - at, what) for at, what in events if now - at < self._window]
        weight = sum(1 - age / self._window for age, _ in within)
        return len(within), weight, within[-1][1] if within else ""


def _note(events: deque[tuple[float, str]], now: float, what: str) -> None:
    """Another event, or more of the last one, which keeps its time."""
    at = now
    if events and now - events[-1][0] < _ONE_EVENT_SECONDS:
        at, _ = events.pop()
    events.append((at, what))


def unwatched(category: str, symbol: str) -> Quality:
    """Of a symbol that nothing is known of."""
    said = f"nothing of {category} {symbol} is watched; call watch for it"
    return Quality(category, symbol, 0.0, [Part("age", 0.0, None, "s", said)])


def _age(feeds: Sequence[Feed]) -> Part:
    if not any(feed.has_data for feed in feeds):
        longest = max((feed.age_seconds for feed in feeds), default=0.0)
        names = " and ".join(feed.name for feed in feeds)
        return Part("age", 0.0, None, "s", f"no data of {names} has come in {longest:.1f} s")
    values = [(_falling(feed.age_seconds, feed.fresh_seconds, feed.dead_seconds), feed) for feed in feeds]
    value, worst = min(values, key=lambda each: (each[0], -each[1].age_seconds))
    said = f"{worst.name}: last data {worst.age_seconds:.1f} s ago"
    if not worst.has_data:
        said = f"{worst.name}: no data yet, watched for {worst.age_seconds:.1f} s"
    return Part("age", value, _rounded(worst.age_seconds), "s", f"{said}; fresh up to {worst.fresh_seconds:g} s")


def _falling(number: float, full: float, nothing: float) -> float:
    """1 up to `full`, 0 from `nothing` on, straight between."""
    return _rounded(min(max((nothing - number) / (nothing - full), 0.0), 1.0))


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _rounded(number: float) -> float:
    return round(number, 4)


def _score(parts: Sequence[Part]) -> float:
    product = 100.0
    for part in parts:
        product *= part.value
    return round(product, 1)
