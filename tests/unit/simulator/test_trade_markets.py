"""Symbols that somebody trades move without a subscriber."""

import pytest

from feeder.clock import ManualClock
from feeder.simulator.exchange import Exchange
from feeder.simulator.keys import DEFAULT_KEY
from feeder.simulator.rest_auth import Authenticator
from feeder.simulator.seeded import SeededSource
from feeder.simulator.trade_markets import TradedMarkets
from feeder.simulator.universe import universe
from tests.unit.simulator.clients import pass_time
from tests.unit.simulator.private_clients import Teller


class Scene:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.exchange = Exchange(SeededSource(universe(["linear"], 3), 1, 90.0, self.clock), 1, self.clock)
        self.teller = Teller()
        self.markets = TradedMarkets(
            self.exchange, self.teller.listen, Authenticator((DEFAULT_KEY,), self.clock), self.clock
        )

    def seq(self, symbol: str) -> int:
        """It grows with everything that happens to a symbol."""
        touch = self.exchange.source.touch("linear", symbol)
        assert touch is not None
        return touch.seq

    def moves(self, symbol: str) -> bool:
        before = self.seq(symbol)
        pass_time(self.exchange, self.clock, 1.0)
        return self.seq(symbol) > before


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_an_ordered_symbol_moves_from_the_next_turn_on_and_no_other_does(scene: Scene) -> None:
    scene.teller.tell("1", "order", "linear", {"symbol": "BTCUSDT"})
    assert not scene.moves("BTCUSDT")  # it stands still while the order is carried out
    scene.markets.advance()
    assert scene.moves("BTCUSDT")
    assert not scene.moves("ETHUSDT")


def test_it_goes_on_when_its_last_subscriber_leaves(scene: Scene) -> None:
    scene.teller.tell("1", "order", "linear", {"symbol": "BTCUSDT"})
    scene.markets.advance()
    client = scene.exchange.connect("linear", lambda payload: None)
    scene.exchange.receive(client, b'{"op":"subscribe","args":["publicTrade.BTCUSDT"]}')
    scene.exchange.disconnect(client)
    assert scene.moves("BTCUSDT")


def test_the_first_order_begins_a_scripts_time_and_the_second_does_not_again(scene: Scene) -> None:
    scene.markets.advance()
    assert scene.exchange.first_subscribed_at is None
    scene.teller.tell("1", "order", "linear", {"symbol": "BTCUSDT"})
    scene.markets.advance()
    begun = scene.exchange.first_subscribed_at
    assert begun == scene.clock.monotonic()
    scene.clock.advance(1)
    scene.teller.tell("1", "order", "linear", {"symbol": "ETHUSDT"})
    scene.markets.advance()
    assert scene.exchange.first_subscribed_at == begun


def test_a_symbol_is_set_in_motion_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    followed: list[str] = []
    follow = scene.exchange.source.follow

    def spy(category: str, symbol: str, now: float) -> None:
        followed.append(symbol)
        follow(category, symbol, now)

    monkeypatch.setattr(scene.exchange.source, "follow", spy)
    for _ in range(3):
        scene.teller.tell("1", "order", "linear", {"symbol": "BTCUSDT"})
        scene.markets.advance()
    assert followed == ["BTCUSDT"]
