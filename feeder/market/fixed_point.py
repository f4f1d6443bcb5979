"""Exact fixed point: a decimal text becomes an integer at a decimal exponent, or an error; never a float.

`parse_fixed("1054.30", -2)` is 105430. A price's exponent is -2 when the smallest digit that counts is the hundredth.
"""

from feeder.errors import FinerThanScale, FixedPointError

INT64_MAX = (1 << 63) - 1
FINEST_EXPONENT = -18  # below it, a 64-bit integer holds no useful range
FINER_DIGITS = 6
"""How many digits finer than its scale a number may make an instrument.

A scale is the same for all numbers of an instrument, so every digit takes a factor of ten from the largest that fits.
int64 holds 9.2e18; the largest real numbers at the venue's own scales (1e5 at 10^-2, 1e12 at 10^0) leave six digits. A
number finer than that is a fault of one message, and must not cost the instrument all others.
"""

_POWERS: tuple[int, ...] = tuple(10**n for n in range(40))


def parse_fixed(text: str, exponent: int) -> int:
    """The integer `text` / 10^exponent, exactly.

    `text` is a plain non-negative decimal ("0", "28552.10"), `exponent` is between -18 and 0. Zeros beyond the scale
    are dropped. Raises FinerThanScale when other digits are, FixedPointError when it is no such number or exceeds
    a signed 64-bit integer.
    """
    whole, point, fraction = text.partition(".")
    if point:
        digits = whole + fraction
        shift = -exponent - len(fraction)
        if shift < 0:
            return _parse_long(text, exponent)
    else:
        digits = whole
        shift = -exponent
    # isdecimal also accepts other scripts' digits, int() also accepts signs, spaces and underscores: ask for both.
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > 38:
        raise FixedPointError(f"{text[:60]!r} is not a plain decimal number")
    value = int(digits) * _POWERS[shift]
    if value > INT64_MAX:
        raise FixedPointError(f"{text[:60]!r} at 10^{exponent} exceeds 64 bits")
    return value


def _parse_long(text: str, exponent: int) -> int:
    """The rare text with more decimals than the scale: exact if they are all zeros."""
    needed = exponent_of(text)
    if needed < exponent:
        raise FinerThanScale(text, exponent, needed)
    whole, _, fraction = text.partition(".")
    return parse_fixed(f"{whole}.{fraction[:-exponent]}" if exponent else whole, exponent)


def exponent_of(text: str) -> int:
    """The coarsest exponent, at most 0, that holds `text` exactly: "0.010" gives -2, "5" and "500" give 0.

    Raises FixedPointError when `text` is no plain decimal, or finer than 10^-18.
    """
    whole, _, fraction = text.partition(".")
    digits = whole + fraction
    if not (digits.isascii() and digits.isdecimal()):
        raise FixedPointError(f"{text[:60]!r} is not a plain decimal number")
    exponent = -len(fraction.rstrip("0"))
    if exponent < FINEST_EXPONENT:
        raise FixedPointError(f"{text[:60]!r} is finer than 10^{FINEST_EXPONENT}")
    return exponent


def format_fixed(value: int, exponent: int) -> str:
    """The decimal text of `value` * 10^exponent, padded to the exponent: (105430, -2) gives "1054.30"."""
    if exponent >= 0:
        return str(value * _POWERS[exponent])
    sign = "-" if value < 0 else ""
    digits = str(abs(value)).rjust(1 - exponent, "0")
    return f"{sign}{digits[:exponent]}.{digits[exponent:]}"


def rescale(value: int, exponent: int, finer: int) -> int:
    """`value` at 10^exponent, expressed at the finer (or equal) exponent. Raises FixedPointError over 64 bits."""
    rescaled = value * _POWERS[exponent - finer]
    if rescaled > INT64_MAX:
        raise FixedPointError(f"{format_fixed(value, exponent)} at 10^{finer} exceeds 64 bits")
    return rescaled
