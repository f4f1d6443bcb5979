"""What an operator is told of what was asked for."""

from pathlib import Path

import pytest

from feeder.config import Shard
from feeder.market.instrument import instrument_id
from feeder.operations import Operator
from feeder.reload import Settings
from tests.unit.following_scene import Exchange, Scene, config
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
        assert texts[0] == (True, "is followed now, at depth 50")
        assert texts[1][0] is False
        assert "the exchange is asked again now" in texts[1][1]
        assert texts[2] == (False, "belongs to shard 1/2; ask that one")
        assert texts[3] == (True, "will be followed as soon as the exchange has told the instruments of spot")
        await turns()
        (again, spots) = await operator.subscribe([asked[0], spot], None, trades=True)
        assert again.text == spots.text == "was followed already, at depth 50"
        gone = await operator.unsubscribe([spot, spot, ("spot", "ETHUSDT")])
        assert [outcome.done for outcome in gone] == [True, True, False]
        assert spot not in scene.roster.followed


async def test_what_is_asked_for_by_hand_and_not_told_yet_leaves_the_feeder_ready(settings: Settings):
    exchange = Exchange(linear=LISTED, spot=["BTCUSDT"])
    exchange.silent = {"spot"}
    async with running(Scene(exchange, {"symbols": ["BTCUSDT"]})) as scene:
        operator = Operator(settings, scene.following, reload, scene.clock)  # type: ignore[arg-type]
        await operator.subscribe([("spot", "BTCUSDT")], None, trades=True)
        await turns()
        assert scene.publisher.complete
        assert operator.status()["state"] == "running"
        scene.following.change(config({"symbols": ["BTCUSDT"]}, {"category": "spot", "symbols": "all"}))
        await turns()
        reasons = operator.status()["reasons"]
        assert isinstance(reasons, list)
        assert "the instruments of spot are not loaded: spot is silent" in reasons


async def test_nothing_is_remembered_of_an_unsubscribe_that_changed_nothing_nor_of_what_the_configuration_says(
    settings: Settings,
):
    exchange = Exchange(linear=LISTED)
    async with running(Scene(exchange, {"symbols": ["BTCUSDT"]})) as scene:
        operator = Operator(settings, scene.following, reload, scene.clock)  # type: ignore[arg-type]
        (outcome,) = await operator.unsubscribe([("linear", "ETHUSDT")])
        assert not outcome.done
        scene.following.change(config({"symbols": ["BTCUSDT", "ETHUSDT"]}))
        assert scene.followed == {"BTCUSDT", "ETHUSDT"}
        await operator.unsubscribe([("linear", "ETHUSDT")])
        assert operator.status()["by_hand"] == {"subscribed": [], "unsubscribed": ["linear:ETHUSDT"]}
        await operator.subscribe([("linear", "ETHUSDT")], None, trades=True)
        assert scene.followed == {"BTCUSDT", "ETHUSDT"}
        assert operator.status()["by_hand"] == {"subscribed": [], "unsubscribed": []}
