"""What is drawn of the dashboard's series, and how its numbers are written."""

import math

import pytest
from dashboard_series import PANELS, at_every, runs, written

from tests.helpers import grafana


def test_what_is_drawn_is_on_the_dashboard():
    titles = [panel["title"] for panel in grafana.load()["panels"] if panel["type"] != "row"]
    assert [title for title in titles if title in PANELS] == list(PANELS)


def test_a_series_is_broken_where_prometheus_had_no_value():
    points = [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0), (5.0, 4.0), (6.0, 5.0)]
    assert [[time for time, _ in run] for run in runs(points, 1.0)] == [[0.0, 1.0, 2.0], [5.0, 6.0]]
    assert runs([], 1.0) == []


def test_what_is_stacked_has_a_value_at_every_time():
    assert at_every([1.0, 2.0, 3.0004], [(1.0, 7.0), (3.0, 9.0)]) == [7.0, 0.0, 9.0]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0005, "s", "500 µs"),
        (0.05, "s", "50 ms"),
        (0.001, "s", "1 ms"),
        (2.5, "s", "2.5 s"),
        (-0.25, "s", "-250 ms"),
        (0, "s", "0"),
        (0.0137, "percentunit", "1.37 %"),
        (2000, "ops", "2k/s"),
        (12, "opm", "12/min"),
        (3_500_000, "bps", "3.5 Mbit/s"),
        (95_000_000, "bytes", "95 MB"),
        (200, "none", "200"),
        (math.nan, "none", ""),
    ],
)
def test_numbers_are_written_with_their_unit(value, unit, text):
    assert written(value, unit) == text
