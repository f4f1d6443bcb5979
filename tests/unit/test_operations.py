"""What an operator is told of what was asked for."""

from pathlib import Path

import pytest

from feeder.config import Shard
from feeder.market.instrument import instrument_id
from feeder.operations import Operator
from feeder.reload import Settings
from tests.unit.following_scene import Exchange, Scene
from tests.unit.test_following import LISTED, running, turns


async def reload() -> object:
    raise AssertionError("nobody asked for it")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    path = tmp_path / "feeder.yaml"
    path.write_text("subscriptions: [{category: linear, symbols: [BTCUSDT]}]")
    scene = Scene(Exchange(linear=LISTED), {"symbols": ["BTCUSDT"]})
    return Settings(path, {}, [], Shard(0, 2), scene.clock)


async def test_each_instrument_asked_for_is_told_what_became_of_it(settings: Settings):
    exchange = Exchange(linear=LISTED, spot=["BTCUSDT"])
    other = next(symbol for symbol in LISTED if instrument_id("linear", symbol) % 4 in {1, 3})
    mine = next(symbol for symbol in LISTED[::-1] if instrument_id("linear", symbol) % 4 in {0, 2})
    typo = next(name for n in range(99) if instrument_id("linear", name := f"NOPE{n}USDT") % 4 in {0, 2})
    spot = ("spot", "BTCUSDT")
    assert instrument_id(*spot) % 4 in {0, 2}
    async with running(Scene(exchange, {"symbols": [other]}, serves=[0, 2])) as scene:
        operator = Operator(settings, scene.following, reload, scene.clock)  # type: ignore[arg-type]
        asked = [("linear", mine), ("linear", typo), ("linear", other), spot]
        outcomes = await operator.subscribe(asked, None, trades=True)
        texts = [(outcome.done, outcome.text) for outcome in outcomes]
        assert texts[0] == (True, "followed now")
        assert texts[1][0] is False
        assert "the exchange is asked again now" in texts[1][1]
        assert texts[2] == (False, "belongs to another shard than 0/2; ask that one")
        assert texts[3] == (True, "will be followed as soon as the exchange has told the instruments of spot")
        await turns()
        (again, spots) = await operator.subscribe([asked[0], spot], None, trades=True)
        assert again.text == spots.text == "was followed already"
        gone = await operator.unsubscribe([spot, spot, ("spot", "ETHUSDT")])
        assert [outcome.done for outcome in gone] == [True, True, False]
        assert spot not in scene.roster.followed
