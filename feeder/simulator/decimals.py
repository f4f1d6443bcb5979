"""The simulator's own decimal arithmetic: text to whole units of 10^-digits, and back."""

import re
from dataclasses import dataclass
from decimal import Decimal

_PLAIN = re.compile(r"[0-9]+(?:\.[0-9]+)?", re.ASCII)

MAX_UNITS = (1 << 63) - 1


def digits_of(text: str) -> int:
    """The digits behind the point as written: "43.550" has 3. ValueError if `text` is no plain decimal."""
    if not _PLAIN.fullmatch(text):
        raise ValueError(f"{text[:60]!r} is not a plain decimal number")
    point = text.find(".")
    return 0 if point < 0 else len(text) - point - 1


def to_units(text: str, digits: int) -> int:
    """`text` in units of 10^-digits. ValueError if it is finer, or does not fit 64 bits."""
    own = digits_of(text)
    if own > digits:
        raise ValueError(f"{text[:60]!r} has more than {digits} digits behind the point")
    units = int(text.replace(".", "") + "0" * (digits - own))
    if units > MAX_UNITS:
        raise ValueError(f"{text[:60]!r} in units of 10^-{digits} does not fit 64 bits")
    return units


def padded(units: int, digits: int) -> str:
    """All digits: (7870430, 2) is "78704.30"."""
    if not digits:
        return str(units)
    text = str(units).rjust(digits + 1, "0")
    return f"{text[:-digits]}.{text[-digits:]}"


def trimmed(units: int, digits: int) -> str:
    """No zeros at the end: (7870430, 2) is "78704.3"."""
    text = padded(units, digits)
    return text.rstrip("0").rstrip(".") if digits else text


def plain(number: Decimal) -> str:
    """A decimal without exponent and without zeros at the end."""
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


@dataclass(frozen=True, slots=True)
class Scale:
    """How one symbol's numbers are written: digits behind the point, and whether prices keep their last zeros."""

    price_digits: int
    size_digits: int
    pads_prices: bool

    def price(self, units: int) -> str:
        """A price's text."""
        return padded(units, self.price_digits) if self.pads_prices else trimmed(units, self.price_digits)

    def plain_price(self, units: int) -> str:
        """A price's text without zeros at the end, however the category writes it."""
        return trimmed(units, self.price_digits)

    def size(self, units: int) -> str:
        """A size's text."""
        return trimmed(units, self.size_digits)
