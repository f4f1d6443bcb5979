"""Decimal texts become exact integers, or errors; nothing in between."""

import pytest

from feeder.errors import FinerThanScale, FixedPointError
from feeder.market.fixed_point import INT64_MAX, exponent_of, format_fixed, parse_fixed, rescale


@pytest.mark.parametrize(
    ("text", "exponent", "value"),
    [
        ("0", 0, 0),
        ("0", -18, 0),
        ("0.000", -2, 0),
        ("1054.30", -2, 105430),
        ("1054.3", -2, 105430),
        ("1054", -2, 105400),
        ("1054.3000000", -2, 105430),  # zeros beyond the scale
        ("007.5", -1, 75),
        (".5", -1, 5),
        ("5.", -1, 50),
        ("5.000", 0, 5),
        ("9223372036854775807", 0, INT64_MAX),
        ("9.223372036854775807", -18, INT64_MAX),
        ("0.000000000000000001", -18, 1),
    ],
)
def test_exact_number_is_the_integer_it_says(text: str, exponent: int, value: int) -> None:
    assert parse_fixed(text, exponent) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "-1",
        "+1",
        "1e3",
        "1E3",
        "1_0",
        " 1",
        "1 ",
        "1\n",
        "NaN",
        "Infinity",
        "0x1",
        "1.2.3",
        "1,5",
        "\u0663",
        "1.\u0663",
        "--",
    ],
)
@pytest.mark.parametrize("exponent", [0, -2, -18])
def test_what_is_no_plain_decimal_is_an_error(text: str, exponent: int) -> None:
    with pytest.raises(FixedPointError, match="not a plain decimal"):
        parse_fixed(text, exponent)


@pytest.mark.parametrize(
    ("text", "exponent"),
    [("9223372036854775808", 0), ("92233720368547758.08", -2), ("9" * 38, 0), ("10", -18)],
)
def test_number_over_64_bits_is_an_error(text: str, exponent: int) -> None:
    with pytest.raises(FixedPointError, match="exceeds 64 bits"):
        parse_fixed(text, exponent)


def test_text_without_end_is_an_error_at_once_and_not_quoted_whole() -> None:
    with pytest.raises(FixedPointError) as caught:
        parse_fixed("9" * 1_000_000, 0)
    assert len(str(caught.value)) < 200


def test_finer_number_names_the_exponent_it_needs() -> None:
    with pytest.raises(FinerThanScale) as caught:
        parse_fixed("0.12500", -2)
    assert (caught.value.text, caught.value.exponent, caught.value.needed) == ("0.12500", -2, -3)


def test_number_finer_than_any_scale_is_no_wish_for_a_finer_one() -> None:
    with pytest.raises(FixedPointError) as caught:
        parse_fixed("0." + "0" * 18 + "1", -2)
    assert not isinstance(caught.value, FinerThanScale)


@pytest.mark.parametrize(
    ("text", "exponent"), [("5", 0), ("500", 0), ("0.010", -2), ("1.50", -1), ("1.", 0), ("0." + "0" * 17 + "1", -18)]
)
def test_exponent_is_that_of_the_last_digit_that_counts(text: str, exponent: int) -> None:
    assert exponent_of(text) == exponent


@pytest.mark.parametrize("text", ["", ".", "x", "-1", "1e5", "\u0663", "0." + "0" * 18 + "1"])
def test_no_exponent_for_what_is_no_number_or_too_fine(text: str) -> None:
    with pytest.raises(FixedPointError):
        exponent_of(text)


@pytest.mark.parametrize(
    ("value", "exponent", "text"),
    [(105430, -2, "1054.30"), (5, -3, "0.005"), (0, -2, "0.00"), (7, 0, "7"), (7, 2, "700"), (-105, -2, "-1.05")],
)
def test_text_of_an_integer_is_padded_to_its_exponent(value: int, exponent: int, text: str) -> None:
    assert format_fixed(value, exponent) == text


def test_rescaling_is_exact_or_an_error() -> None:
    assert rescale(105430, -2, -2) == 105430
    assert rescale(105430, -2, -5) == 105430000
    assert rescale(9, 0, -18) == 9 * 10**18
    with pytest.raises(FixedPointError, match="100 at 10\\^-17 exceeds 64 bits"):
        rescale(100, 0, -17)
