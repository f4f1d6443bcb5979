import pytest

from feeder.listen.decimals import (
    DecimalColumn,
    clock_text,
    duration_text,
    fixed,
    iso_text,
    middle,
)


@pytest.mark.parametrize(
    ("value", "exponent", "text"),
    [
        (6425010, -2, "64,250.10"),
        (0, -3, "0.000"),
        (999, 0, "999"),
        (1234567, 0, "1,234,567"),
        (-12345678, -2, "-123,456.78"),
        (5, -8, "0.00000005"),
        ((1 << 63) - 1, -18, "9.223372036854775807"),
    ],
)
def test_decimals_are_exact_and_their_thousands_stand_apart(value, exponent, text):
    assert fixed(value, exponent) == text


def test_the_mid_price_is_exact_with_one_digit_more_only_when_it_needs_it():
    assert middle(6425010, 6425020, -2) == "64,250.15"
    assert middle(6425011, 6425020, -2) == "64,250.155"
    assert middle(7, 8, 0) == "7.5"


def test_points_stand_below_each_other_and_the_column_never_shrinks():
    column = DecimalColumn()
    numbers = ["64,250.10", "0.00001234", "7", "-"]
    for text in numbers:
        column.note(text)
    cells = [column.cell(text) for text in numbers]
    assert cells == ["64,250.10      ", "     0.00001234", "     7         ", "     -         "]
    column.note("1")
    assert column.width == 15


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (310_400, "310 us"), (4_900_000, "4.90 ms"), (49_000_000, "49.0 ms"), (490_000_000, "490 ms"),
        (1_200_000_000, "1.20 s"), (-3_000_000, "-3.00 ms"), (0, "0 us"),
    ],
)  # fmt: skip
def test_durations_show_three_digits_that_count(nanoseconds, text):
    assert duration_text(nanoseconds) == text


def test_times_are_utc():
    assert clock_text(1_700_000_000_123_456_789) == "22:13:20.123"
    assert clock_text(1_700_000_000_123_456_789, milliseconds=False) == "22:13:20"
    assert iso_text(1_700_000_000_000_000_009) == "2023-11-14T22:13:20.000000009Z"
