"""Who is told, and what it costs when nobody is."""

from typing import Any

import pytest

from feeder.simulator import notices
from feeder.simulator.told import Told
from tests.unit.simulator.floor import Floor


def test_for_who_listens_no_more_no_rows_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    floor = Floor()
    account, told = floor.ledger.account("2"), list[Told]()
    stop = floor.ledger.listen("2", told.append)
    given = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "qty": "0.1", "orderType": "Market"}
    floor.ledger.place(account, given)
    assert [each.topic for each in told] == ["order", "execution", "position", "wallet"]
    stop()
    stop()

    def unwanted(*args: Any) -> None:
        raise AssertionError("for whom?")

    monkeypatch.setattr(notices, "private_wallet_row", unwanted)
    floor.ledger.place(account, given)
    assert len(told) == 4
