from decimal import Decimal
from typing import Any

import pytest

from feeder.clock import ManualClock
from tests.unit.simulator.summaries import SYMBOLS, Scene, seeded


def _run(category: str, seed: int = 1, seconds: float = 200) -> tuple[Scene, list[dict[str, Any]]]:
    clock = ManualClock()
    scene = Scene(clock, seeded(clock, seed=seed), seed)
    client = scene.client(category, f"allLiquidation.{SYMBOLS[category]}")
    client.take()
    scene.pass_time(seconds, turn=0.05)
    return scene, client.take_data()


@pytest.mark.parametrize("category", ["linear", "inverse"])
def test_liquidations_come_now_and_then_in_half_seconds_near_the_price(category: str) -> None:
    scene, messages = _run(category)
    assert 5 < len(messages) < 60
    symbol = SYMBOLS[category]
    quote = scene.quotes.find(category, symbol)
    assert quote is not None
    sides = set()
    for message in messages:
        assert message["topic"] == f"allLiquidation.{symbol}"
        assert message["type"] == "snapshot"
        assert message["ts"] % 500 < 50
        times = [row["T"] for row in message["data"]]
        assert times == sorted(times)
        assert all(message["ts"] - 550 <= time < message["ts"] for time in times)
        for row in message["data"]:
            assert row["s"] == symbol
            assert abs(Decimal(row["p"]) / quote.last - 1) < Decimal("0.05")
            assert Decimal(row["v"]) > 0
            assert Decimal(row["v"]) % Decimal(quote.listing.step) == 0
            sides.add(row["S"])
    assert sides == {"Buy", "Sell"}


def test_a_long_is_bankrupt_below_the_price_and_a_short_above() -> None:
    clock = ManualClock()
    scene = Scene(clock, seeded(clock))
    client = scene.client("linear", "allLiquidation.BTCUSDT")
    seen = 0
    for _ in range(4000):
        scene.pass_time(0.05, turn=0.05)
        quote = scene.quotes.find("linear", "BTCUSDT")
        assert quote is not None
        for message in client.take_data():
            for row in message["data"]:
                assert (Decimal(row["p"]) < quote.last) == (row["S"] == "Buy")
                seen += 1
    assert seen > 5


def test_the_same_seed_has_the_same_liquidations() -> None:
    (_, one), (_, same), (_, other) = _run("linear"), _run("linear"), _run("linear", seed=2)
    assert one == same != other
