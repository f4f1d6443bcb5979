"""Which symbols a shard is asked for, what a reader is shown of it, and the limit it is held to."""

from typing import Any

import pytest
from bench_report import LIMITS
from bench_run import Venue
from bench_shards import text
from bench_subject import PARTITIONS

from feeder.market.instrument import instrument_id
from feeder.multicast.plan import ChannelPlan


def spread(value: float) -> dict[str, float]:
    return {"median": value, "min": value - 0.1, "max": value + 0.1}


def window(rate: float, cost: float, **changed: Any) -> dict[str, Any]:
    figures = {"handled_per_second": rate, "cpu_us_per_update": cost, "starved_percent": 0.5}
    return {**figures, "lost_by_listener": 0, "folded": 0, **changed}


FIGURES: dict[str, Any] = {
    "seed": 3,
    "shard": "0/2",
    "share": 0.49,
    "same": {"CPU per update": spread(1.04)},
    "half": {"CPU per update": spread(1.3)},
    "unequal": 0,
    "runs": {
        "unsharded": [window(45_000, 15.0), window(45_200, 15.2)],
        "shard_same": [window(45_000, 15.5)] * 2,
        "shard_half": [window(22_000, 20.0)] * 2,
    },
}


def test_a_shards_symbols_are_those_of_its_partitions() -> None:
    venue = object.__new__(Venue)
    venue.addresses = {"symbols": [f"X{number:04d}USDT" for number in range(100)]}
    plan = ChannelPlan(PARTITIONS)
    shards = [venue.symbols((k, 2)) for k in (0, 1)]
    assert sorted(shards[0] + shards[1]) == venue.symbols() == venue.addresses["symbols"]
    for k, symbols in enumerate(shards):
        assert {plan.partition_of(instrument_id("linear", symbol)) % 2 for symbol in symbols} == {k}


def test_both_comparisons_are_told_with_what_was_compared() -> None:
    told = text(FIGURES)
    for part in ("seed 3", "shard 0/2, 49% of the symbols", "2 pairs", "1.040 (0.940 to 1.140)", "1.300 (1.200"):
        assert part in told
    assert "as many updates/s in each process: 45,100/s at 15.10 us against 45,000/s at 15.50 us" in told
    assert "its own part of it: 45,100/s at 15.10 us against 22,000/s at 20.00 us" in told


@pytest.mark.parametrize(("value", "verdict"), [(1.1, "ok"), (1.11, "MISSED")])
def test_a_shard_that_costs_more_than_a_tenth_more_misses_its_limit(value: float, verdict: str) -> None:
    figures = {**FIGURES, "same": {"CPU per update": spread(value)}}
    first, unequal = [limit.line(figures).split()[0] for limit in LIMITS if limit.scenario == "shards"]
    assert (first, unequal) == (verdict, "ok")
