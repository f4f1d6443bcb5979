"""Bars by number, so that any interval is counted alike: bar 0 is the one that the epoch is in. All times are UTC.

The venue's weeks begin on Monday, its months on the first. Source: Bybit v5, market/kline.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import get_args

from feeder.errors import ParameterError

from ..rest.words import Interval

_MINUTE_MS = 60_000
_DAY_MS = 86_400_000
_WEEK_MS = 7 * _DAY_MS
_MONDAY_MS = -3 * _DAY_MS  # the epoch was a Thursday
_MONTHS = 12
_INTERVALS: tuple[str, ...] = get_args(Interval)
LARGEST_MS = 9_000_000_000_000
_LEAST_MS = 100_000_000_000  # in 1973: what is less is seconds, but for 0, which is "all there is"


def number_of(interval: str, time_ms: int) -> int:
    """The number of the bar that `time_ms` is in."""
    if interval == "M":
        moment = datetime.fromtimestamp(time_ms / 1000, UTC)
        return (moment.year - 1970) * _MONTHS + moment.month - 1
    if interval == "W":
        return (time_ms - _MONDAY_MS) // _WEEK_MS
    return time_ms // _length_ms(interval)


def start_of(interval: str, number: int) -> int:
    """When a bar begins, ms since the epoch."""
    if interval == "M":
        years, month = divmod(number, _MONTHS)
        return int(datetime(1970 + years, month + 1, 1, tzinfo=UTC).timestamp()) * 1000
    if interval == "W":
        return number * _WEEK_MS + _MONDAY_MS
    return number * _length_ms(interval)


def check_interval(interval: str) -> None:
    """Raises ParameterError for one that the venue does not have."""
    if interval not in _INTERVALS:
        raise ParameterError("history", "interval", f"{interval!r} is none; use one of {', '.join(_INTERVALS)}")


def moment_ms(name: str, moment: "int | datetime") -> int:
    """A time given as ms since the epoch, or as a datetime with its time zone. Raises ParameterError."""
    if isinstance(moment, datetime):
        if moment.utcoffset() is None:
            raise ParameterError("history", name, "has no time zone; give one, as datetime(..., tzinfo=UTC)")
        moment = round(moment.timestamp() * 1000)
    elif type(moment) is int and 0 < moment < _LEAST_MS:
        raise ParameterError("history", name, f"{moment} looks like seconds; give ms since the epoch, or a datetime")
    if type(moment) is not int:
        raise ParameterError("history", name, f"must be ms since the epoch or a datetime, not {type(moment).__name__}")
    if not 0 <= moment <= LARGEST_MS:
        raise ParameterError("history", name, f"{moment} is no time in ms since the epoch")
    return moment


@dataclass(frozen=True, slots=True)
class Span:
    """Bars that the venue does not have: `bars` of them, from `start_ms` on and before `end_ms`."""

    start_ms: int
    end_ms: int
    bars: int


def _length_ms(interval: str) -> int:
    return _DAY_MS if interval == "D" else int(interval) * _MINUTE_MS
