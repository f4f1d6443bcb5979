"""What a reader is shown of the retransmit scenario, and the limits it is held to."""

from bench_report import LIMITS
from bench_retransmit import text


def spread(value: float) -> dict[str, float]:
    return {"median": value, "min": value - 0.1, "max": value + 0.1}


FIGURES = {
    "seed": 3,
    "storm": {
        "requests": 6000,
        "answers": 5990,
        "rejects": 4,
        "wrong": 0,
        "unanswered": 6,
        "bytes_asked": 2_112_000,
        "bytes_answered": 7_660_400,
        "largest_ratio": 3.841,
        "cpu_us_per_request": spread(14.0),
        "floor_us_per_request": spread(7.0),
        "floor_ratio": spread(2.0),
    },
    "live": {
        "requests_per_second": 500.0,
        "ratio": spread(1.03),
        "latency_p50_ratio": spread(1.0),
        "latency_p99_ratio": spread(1.1),
    },
    "ring": {"ring_ns": spread(540.0)},
}


def test_every_figure_is_told():
    told = text(FIGURES)
    for part in (
        "seed 3",
        "120 times",
        "6,000 requests",
        "5,990 answers",
        "4 rejects",
        "6 unanswered",
        "ratio 3.84",
        "540 (",
    ):
        assert part in told
    assert "CPU per request 14.0 (13.9 to 14.1) us" in told


def test_a_request_that_costs_too_much_or_gets_nothing_misses_its_limit():
    lines = [limit.line(FIGURES) for limit in LIMITS if limit.scenario == "retransmit"]
    assert [line.split()[0] for line in lines] == ["ok", "ok", "MISSED", "ok"]
    sound = {**FIGURES["storm"], "rejects": 0, "unanswered": 0}
    for wrong, verdict in ((0, "ok"), (1, "MISSED")):
        answered = {**FIGURES, "storm": {**sound, "wrong": wrong}}
        assert [limit.line(answered).split()[0] for limit in LIMITS if limit.scenario == "retransmit"][2] == verdict
    dear = {**FIGURES, "storm": {**FIGURES["storm"], "cpu_us_per_request": spread(15.2)}}
    assert next(limit.line(dear).split()[0] for limit in LIMITS if limit.scenario == "retransmit") == "MISSED"
