"""The log of errors that nobody else takes: of a stream's `errors`, of a system's `error_occurred`."""

import logging
import math

from feeder.clock import Clock
from feeder.log_limit import Kind, RepetitionLimit

_NEWS_LENGTH = 200
_MOST_SHOWN = 1000  # callbacks and types of errors: those of a program's source are far fewer


class ErrorLog:
    """Warnings. What a callback raised has its traceback the first time, not each time.

    Repetitions are left out, and counted (`log_limit.py`).
    """

    def __init__(self, log: logging.Logger, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._limit = RepetitionLimit()
        self._shown: set[tuple[type[Exception], str]] = set()  # with their tracebacks

    def warn(self, source: str, error: Exception) -> None:
        """Log one of a source. Its notes say in which callback it was raised, and are not there otherwise."""
        where = "; ".join(getattr(error, "__notes__", ()))
        line = f"{source}: {type(error).__name__}: {error}{where and f' ({where})'}"
        now = self._clock.monotonic()
        self._tell_left_out(now)
        if not self._limit.admit(Kind(self._log.name, source, "warning"), line[:_NEWS_LENGTH], now):
            return
        kind = (type(error), where)
        is_news = bool(where) and kind not in self._shown and len(self._shown) < _MOST_SHOWN
        if is_news:
            self._shown.add(kind)
        self._log.warning("%s", line, exc_info=error if is_news else None)

    def close(self) -> None:
        """Tell what was left out."""
        self._tell_left_out(math.inf)

    def _tell_left_out(self, now: float) -> None:
        for kind, lines in self._limit.due(now):
            self._log.warning("%s: %d more lines like those before were left out", kind.event, lines)
