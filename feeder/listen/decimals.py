"""Numbers as a person reads them: exact decimals with their thousands apart, durations, times."""

import time

from feeder.clock import SECOND_NS
from feeder.market.fixed_point import format_fixed


def fixed(value: int, exponent: int) -> str:
    """The exact decimal with thousands apart: (6425010, -2) gives "64,250.10"."""
    whole, point, fraction = format_fixed(value, exponent).partition(".")
    return f"{int(whole):,}{point}{fraction}" if len(whole) > 3 else whole + point + fraction


def middle(bid: int, ask: int, exponent: int) -> str:
    """Half of bid + ask, exactly; one digit more than the prices only if it needs it."""
    total = bid + ask
    return fixed(total * 5, exponent - 1) if total % 2 else fixed(total // 2, exponent)


class DecimalColumn:
    """Texts of decimals set so that their points stand below each other; it grows, and never shrinks."""

    def __init__(self, least: int = 0) -> None:
        self._whole = 1
        self._fraction = 0
        self._least = least

    @property
    def width(self) -> int:
        """Of every cell from now on."""
        return max(self._least, self.needed)

    @property
    def needed(self) -> int:
        """The width that the texts noted so far need, and no more."""
        return self._whole + self._fraction

    def note(self, text: str) -> None:
        """Make room for `text`."""
        whole, point, fraction = text.partition(".")
        self._whole = max(self._whole, len(whole))
        self._fraction = max(self._fraction, len(point) + len(fraction))

    def cell(self, text: str) -> str:
        """`text`, noted before, as wide as the column."""
        whole, point, fraction = text.partition(".")
        return (whole + (point + fraction).ljust(self._fraction)).rjust(self.width)


def duration_text(nanoseconds: float) -> str:
    """Three digits that count: "310 us", "4.90 ms", "1.20 s"; negative when clocks differ."""
    size = abs(nanoseconds)
    unit, name = (1e3, "us") if size < 1e6 else (1e6, "ms") if size < 1e9 else (1e9, "s")
    value = nanoseconds / unit
    decimals = 0 if name == "us" or abs(value) >= 99.5 else 1 if abs(value) >= 9.95 else 2
    return f"{value:.{decimals}f} {name}"


def clock_text(time_ns: int, *, milliseconds: bool = True) -> str:
    """Time of day, UTC."""
    seconds, rest = divmod(time_ns, SECOND_NS)
    text = time.strftime("%H:%M:%S", time.gmtime(seconds))
    return f"{text}.{rest // 1_000_000:03d}" if milliseconds else text


def iso_text(time_ns: int) -> str:
    """ISO 8601, UTC, to the nanosecond."""
    seconds, rest = divmod(time_ns, SECOND_NS)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:09d}Z"
