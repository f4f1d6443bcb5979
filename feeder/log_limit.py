"""Repetition in the log, limited and counted: 820 books that lose one connection are 20 lines and a number."""

import math
from collections import OrderedDict
from typing import NamedTuple

LINES = 20
"""Lines of one kind that a window takes."""
WINDOW = 10.0
"""Seconds from the first line of a kind to the count of those left out."""
NEWS = 100
"""Lines above LINES that a window takes because they say something that no line of it said: another reason or error."""
KINDS = 1000
"""Kinds that are told apart at a time; all others are one."""

_OTHERS = "other events"


class Kind(NamedTuple):
    """What makes two lines repetitions of each other."""

    part: str
    event: str
    level: str


class Suppressed(NamedTuple):
    """How many lines of a kind a window left out."""

    kind: Kind
    lines: int


class _Window:
    __slots__ = ("end", "left_out", "lines", "said")

    def __init__(self, end: float) -> None:
        self.end = end
        self.lines = 0
        self.left_out = 0
        self.said: set[str] = set()


class RepetitionLimit:
    """Decides which lines are written. A kind's window begins with its first line, which is always one of them.

    Times are monotonic seconds. `suppressed` counts all lines ever left out.
    """

    def __init__(self) -> None:
        self.suppressed = 0
        self.next_end = math.inf  # when `due` may have something to tell
        self._windows: OrderedDict[Kind, _Window] = OrderedDict()  # all as long, so by their ends

    def admit(self, kind: Kind, news: str, now: float) -> bool:
        """Whether a line is to be written. `news` is what it says besides; ask `due` first."""
        window = self._windows.get(kind)
        if window is None:
            if len(self._windows) >= KINDS and kind.event != _OTHERS:
                return self.admit(Kind("", _OTHERS, kind.level), news, now)
            window = self._windows[kind] = _Window(now + WINDOW)
            self.next_end = min(self.next_end, window.end)
        if window.lines < LINES:
            window.lines += 1
            if news:
                window.said.add(news)
            return True
        if news and news not in window.said and len(window.said) < LINES + NEWS:
            window.said.add(news)
            return True
        window.left_out += 1
        self.suppressed += 1
        return False

    def due(self, now: float) -> list[Suppressed]:
        """Close the windows that are over at `now` (infinity: all), and tell what they left out."""
        told: list[Suppressed] = []
        while self._windows:
            kind, window = next(iter(self._windows.items()))
            if window.end > now:
                self.next_end = window.end
                return told
            del self._windows[kind]
            if window.left_out:
                told.append(Suppressed(kind, window.left_out))
        self.next_end = math.inf
        return told
