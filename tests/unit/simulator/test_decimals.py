import pytest

from feeder.simulator.decimals import Scale, digits_of, padded, to_units, trimmed


def test_texts_become_whole_units_and_come_back_padded_or_trimmed() -> None:
    assert to_units("78704.3", 2) == 7870430
    assert padded(7870430, 2) == "78704.30"
    assert trimmed(7870430, 2) == "78704.3"
    assert trimmed(7870000, 2) == "78700"
    assert padded(5, 3) == "0.005"
    assert trimmed(100, 0) == "100"


def test_digits_count_as_written() -> None:
    assert [digits_of(text) for text in ("5", "43.550", "0.0")] == [0, 3, 1]


@pytest.mark.parametrize("text", ["", ".5", "5.", "-1", "+1", "1e3", " 1", "1_000", "NaN", "\u0661"])
def test_what_is_no_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a plain decimal"):
        digits_of(text)


def test_finer_text_and_overlong_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 1 digits"):
        to_units("0.05", 1)
    with pytest.raises(ValueError, match="does not fit 64 bits"):
        to_units("9223372036854775808", 0)
    assert to_units("9223372036854775807", 0) == 2**63 - 1


def test_futures_keep_the_last_zeros_of_a_price_and_nobody_those_of_a_size() -> None:
    futures, spot = Scale(2, 3, pads_prices=True), Scale(2, 3, pads_prices=False)
    assert (futures.price(7870430), futures.size(1500)) == ("78704.30", "1.5")
    assert (spot.price(7870430), spot.size(0)) == ("78704.3", "0")
