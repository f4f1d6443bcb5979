import pytest

from feeder.readable import age_text, rate_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"), (0.04, "0.0s"), (-1.0, "0.0s"), (9.94, "9.9s"), (9.96, "10s"), (99.4, "99s"), (99.6, "2m"),
        (5400, "90m"), (99.4 * 3600, "99h"), (40 * 86400, "40d"),
        (0.24, "0.2s"), (99, "99s"), (120, "2m"), (7200, "2h"), (9e5, "10d"),
    ],
)  # fmt: skip
def test_an_age_has_at_most_four_characters(seconds, text):
    assert age_text(seconds) == text
    assert len(text) <= 4


def test_rates_show_a_decimal_only_while_they_are_small():
    assert [rate_text(rate) for rate in (0.0, 0.26, 9.94, 9.96, 12345.6)] == ["0", "0.3", "9.9", "10", "12,346"]
    assert [rate_text(rate) for rate in (0, 0.04, 9.94, 9.96, 1234.5)] == ["0", "0.0", "9.9", "10", "1,234"]
