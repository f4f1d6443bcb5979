"""The bars of one symbol over any time: of its past before the market began, and of what it traded since.

A bar opens where the one before closed, as the venue's do; one without trades is flat. What the market traded more than
a day ago is known by the hour: shorter bars of that time are flat as well.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from feeder.simulator.past import LAUNCH_MS, Past
from feeder.simulator.tape import HOUR_MS, MINUTE_MS, Bar, Tape

_DAY_MS = 24 * HOUR_MS
_WEEK_MS = 7 * _DAY_MS
_MONDAY_MS = 4 * _DAY_MS  # the epoch was a Thursday

INTERVALS = ("1", "3", "5", "15", "30", "60", "120", "240", "360", "720", "D", "W", "M")
"""As the venue names them: minutes, or a day, a week from Monday, a month, all in UTC."""


def begin_of(interval: str, time_ms: int) -> int:
    """When the bar that `time_ms` is in begins."""
    if interval == "M":
        moment = datetime.fromtimestamp(time_ms / 1000, UTC)
        return round(moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()) * 1000
    if interval == "W":
        return time_ms - (time_ms - _MONDAY_MS) % _WEEK_MS
    return time_ms - time_ms % _length_ms(interval)


def end_of(interval: str, begin_ms: int) -> int:
    """When the bar after it begins."""
    if interval == "M":
        return begin_of("M", begin_ms + 32 * _DAY_MS)
    return begin_ms + (_WEEK_MS if interval == "W" else _length_ms(interval))


def _length_ms(interval: str) -> int:
    return _DAY_MS if interval == "D" else int(interval) * MINUTE_MS


@dataclass(frozen=True, slots=True)
class Chart:
    """One symbol's past and tape, as one."""

    past: Past
    tape: Tape

    def price_before(self, time_ms: int) -> Decimal:
        """The last price of the minutes that begin before then."""
        close = self.tape.minutes.close_before(time_ms) or self.tape.hours.close_before(time_ms - HOUR_MS + 1)
        return close or self.past.price_at(min(time_ms, self.past.end_ms) - 1)

    def bar(self, start_ms: int, end_ms: int) -> Bar:
        """The bar over whole minutes, or beyond an hour whole hours, from `start_ms` on and before `end_ms`."""
        before = self.price_before(start_ms)
        bar = Bar(before, before, before, before, Decimal(0), Decimal(0))
        past = self.past.bar(start_ms, end_ms)
        if past is not None:
            bar.extend(past)
        bars = self.tape.hours if end_ms - start_ms >= HOUR_MS else self.tape.minutes
        for later in bars.between(start_ms, end_ms):
            bar.extend(later)
        return bar

    def newest(self, interval: str, end_ms: int) -> Iterator[tuple[int, Bar]]:
        """Each bar that begins at `end_ms` or before, newest first, with its beginning."""
        begin = begin_of(interval, end_ms)
        while end_of(interval, begin) > LAUNCH_MS:
            yield begin, self.bar(begin, end_of(interval, begin))
            begin = begin_of(interval, begin - 1)
