from typing import Any

import pytest
from bench_report import HEADING, LIMITS, Limit, ratios, remarks, row, spread


def figures(**changed: Any) -> dict[str, Any]:
    return {
        "offered_per_second": 45_000.0,
        "achieved_per_second": 44_990.0,
        "handled_per_second": 44_990.0,
        "cpu_us_per_update": 5.0,
        "cpu_percent": 22.0,
        "decode_ratio": 7.0,
        "latency_us": {"p50": 100, "p90": 200, "p99": 400, "p99.9": 800, "max": 123_456},
        "updates_per_packet": 8.0,
        "folded": 0,
        "books": {"compared": 820, "equal": 820, "wrong": []},
        "skipped": None,
        "sent": {"messages": 2_000},
        "starved_percent": 0.5,
        "venue_cpu_percent": 30.0,
        "listener_cpu_percent": 20.0,
        "lost_by_listener": 0,
        "not_live": 0,
        "logged": {},
        "settled": {"seconds": 0.1, "pending": 0},
        **changed,
    }


def test_spread_is_the_median_between_the_extremes() -> None:
    assert spread([1.2, 0.9, 1.0]) == {"median": 1.0, "min": 0.9, "max": 1.2}


def test_ratios_are_of_the_runs_of_a_pair_the_second_over_the_first() -> None:
    pairs = [
        (figures(cpu_us_per_update=10.0), figures(cpu_us_per_update=5.0)),
        (figures(cpu_us_per_update=20.0), figures(cpu_us_per_update=16.0)),
        (figures(cpu_us_per_update=10.0), figures(cpu_us_per_update=6.0)),
    ]
    assert ratios(pairs)["CPU per update"] == {"median": 0.6, "min": 0.5, "max": 0.8}
    assert ratios(pairs)["latency p99"]["median"] == 1.0


def test_what_was_not_measured_in_a_pair_has_no_ratio() -> None:
    assert "CPU per update over decode" not in ratios([(figures(decode_ratio=None), figures())])


@pytest.mark.parametrize(("value", "word"), [(6.0, "ok"), (6.01, "MISSED"), (None, "?")])
def test_a_limit_is_kept_up_to_itself(value: float | None, word: str) -> None:
    limit = Limit("crash", "CPU us per update", lambda f: f["cpu_us_per_update"], 6.0)
    assert limit.line(figures(cpu_us_per_update=value)).split()[0] == word


def test_every_limit_of_a_load_finds_its_figure() -> None:
    for limit in LIMITS:
        if limit.scenario in ("crash", "overload"):
            assert limit.value(figures()) is not None


@pytest.mark.parametrize("changed", [{"achieved_per_second": 30_000.0}, {"not_live": 1}, {"folded": 1}])
def test_a_load_that_was_not_borne_misses_a_limit_however_cheap_it_was(changed: dict[str, Any]) -> None:
    limits = [limit for limit in LIMITS if limit.scenario == "crash"]
    assert [limit.line(figures()).split()[0] for limit in limits] == ["ok"] * len(limits)
    assert [limit.line(figures(**changed)).split()[0] for limit in limits].count("MISSED") == 1


def test_a_row_fits_its_heading() -> None:
    width = max(map(len, HEADING.splitlines()))
    assert len(row("crash", figures())) == width
    assert row("crash", figures()).split()[-1] == "820/820"


def test_a_clean_run_needs_no_remark() -> None:
    assert remarks(figures()) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"achieved_per_second": 40_000.0}, "achieved 40,000/s of 45,000/s"),
        ({"skipped": 1_200}, "1,200 of 2,000 updates were skipped"),
        ({"starved_percent": 40.0}, "held feeder's core for 40 %"),
        ({"lost_by_listener": 3}, "lost packets 3 times"),
        ({"not_live": 2}, "2 times a book ceased to be LIVE"),
        ({"logged": {"connection lost": 4}}, "'connection lost' 4x"),
        ({"venue_cpu_percent": 75.0}, "took 95 %"),
        ({"settled": {"seconds": 0.0, "pending": 5}}, "5 books never came"),
        ({"books": {"compared": 2, "equal": 1, "wrong": ["X0001USDT"]}}, "X0001USDT"),
    ],
)
def test_what_spoils_a_run_is_said(changed: dict[str, Any], said: str) -> None:
    assert said in remarks(figures(**changed))[0]
