"""What was made by closing positions: with which leverage, and for how long it is kept."""

from decimal import Decimal

import pytest

from feeder.simulator import account
from tests.unit.simulator.floor import Floor


def test_the_leverage_is_that_of_the_side_that_was_closed() -> None:
    floor = Floor()
    floor.account.hedged.add(("linear", "BTCUSDT"))
    listing = floor.place(qty="1", positionIdx=1).listing
    floor.ledger.set_leverage(floor.account, listing, (Decimal(5), Decimal(20)))
    floor.place("Sell", qty="1", positionIdx=2)
    floor.place("Sell", qty="1", positionIdx=1)
    floor.place("Buy", qty="1", positionIdx=2)
    assert [closing.leverage for closing in floor.account.closings.values()] == [5, 20]


def test_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "KEPT", 5)
    floor = Floor()
    floor.market.put([("78000", "1000")], [("78010", "1000")])
    closed = []
    for _ in range(9):
        floor.place(qty="0.001")
        closed.append(floor.place("Sell", qty="0.001").order_id)
    assert list(floor.account.closings) == closed[-5:]
