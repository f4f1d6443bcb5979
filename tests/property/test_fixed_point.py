"""Exact fixed point against decimal.Decimal, which computes another way."""

from decimal import Context, Decimal

from hypothesis import example, given
from hypothesis import strategies as st

from feeder.errors import FinerThanScale, FixedPointError
from feeder.market.fixed_point import FINEST_EXPONENT, exponent_of, format_fixed, parse_fixed, rescale

WIDE = Context(prec=100)  # no result below is rounded

digits = st.text("0123456789", max_size=19)
plain = st.builds(lambda whole, rest, point: whole + "." + rest if point else whole, digits, digits, st.booleans())
alphabets = st.sampled_from(["0123456789.", "0123456789.-+eE_ ", "0123456789.\u0663\u00b2\uff11"])
anything = alphabets.flatmap(lambda alphabet: st.text(alphabet, max_size=24))
exponents = st.integers(FINEST_EXPONENT, 0)


def exact(text: str) -> Decimal | None:
    """The number, or None when the text is none: Decimal reads more, so its extras are struck out first."""
    if text in ("", ".") or any(character not in "0123456789." for character in text) or text.count(".") > 1:
        return None
    return Decimal(text)


def at(number: Decimal, exponent: int) -> Decimal | None:
    """The number in units of 10^exponent, or None when that is not whole."""
    scaled = WIDE.scaleb(number, -exponent)
    return scaled if scaled == WIDE.to_integral_value(scaled) else None


@given(text=plain | anything, exponent=exponents)
@example(text="9223372036854775807", exponent=0)
@example(text="9223372036854775808", exponent=0)
@example(text="0.0000000000000000010", exponent=-18)
def test_every_text_is_its_number_exactly_or_an_error(text: str, exponent: int) -> None:
    number = exact(text)
    expected = None if number is None else at(number, exponent)
    needed = None
    try:
        value = parse_fixed(text, exponent)
    except FinerThanScale as error:
        needed = error.needed
    except FixedPointError:
        assert number is None or at(number, FINEST_EXPONENT) is None or (expected is not None and expected >= 1 << 63)
        return
    if needed is None:
        assert value == expected
        assert 0 <= value < 1 << 63
    else:
        assert number is not None
        assert expected is None
        assert at(number, needed) is not None


@given(text=plain)
def test_the_exponent_needed_holds_the_number_and_none_coarser_does(text: str) -> None:
    number = exact(text)
    try:
        exponent = exponent_of(text)
    except FixedPointError:
        assert number is None or at(number, FINEST_EXPONENT) is None
        return
    assert number is not None
    assert at(number, exponent) is not None
    assert exponent == 0 or at(number, exponent + 1) is None


@given(value=st.integers(0, (1 << 63) - 1), exponent=exponents, finer=exponents)
def test_text_and_integer_are_the_same_number_at_any_scale(value: int, exponent: int, finer: int) -> None:
    text = format_fixed(value, exponent)
    assert at(Decimal(text), exponent) == value
    assert parse_fixed(text, exponent) == value
    if finer > exponent:
        return
    try:
        rescaled = rescale(value, exponent, finer)
    except FixedPointError:
        assert value * 10 ** (exponent - finer) >= 1 << 63
    else:
        assert parse_fixed(text, finer) == rescaled
