"""What the exchange lists and trades changes under a feeder that runs: its books follow, the others notice nothing."""

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from feeder.client import Subscriber, ViewStatus
from feeder.market.instrument import InstrumentKey, TradingStatus
from feeder.market.status import StatusReason
from feeder.multicast.plan import Line
from tests.helpers.audit import Auditor
from tests.helpers.compare import differences
from tests.helpers.processes import Addresses, Program, feeder, multicast_section, simulator, until

REFRESH_SECONDS = 10  # the least that may be configured
LINEAR = {"category": "linear"}


class Market:
    """A simulator, a feeder that follows it, and a consumer under audit."""

    def __init__(self, addresses: Addresses, program: Program, consumer: Subscriber) -> None:
        self.addresses = addresses
        self.program = program
        self.consumer = consumer
        self.auditor = Auditor(consumer, addresses)

    async def fault(self, fault: str, **keys: Any) -> None:
        body = json.dumps({"fault": fault, **keys}).encode()
        request = urllib.request.Request(self.addresses.rest + "/simulator/faults", data=body)
        await asyncio.to_thread(lambda: urllib.request.urlopen(request, timeout=10).close())

    def live(self) -> set[InstrumentKey]:
        return {key for key, view in self.consumer.books.items() if view.status is ViewStatus.LIVE}

    async def until_live(self, keys: set[InstrumentKey], seconds: float, what: str) -> None:
        try:
            await until(lambda: self.live() == keys, seconds, what)
        except AssertionError as error:
            lacking, extra = sorted(keys - self.live()), sorted(self.live() - keys)
            raise AssertionError(f"{error}: without {lacking}, with {extra}; {self.program.log[-3000:]}") from None


@asynccontextmanager
async def market(folder: Path, subscriptions: list[dict[str, Any]], *arguments: str) -> AsyncIterator[Market]:
    section = multicast_section()
    async with simulator("--updates-per-second=200", *arguments) as (_, addresses):
        settings = {
            "exchange": {"websocket_url": addresses.websocket, "rest_url": addresses.rest},
            "subscriptions": subscriptions,
            "universe": {"refresh_seconds": REFRESH_SECONDS},
            "multicast": section,
        }
        lines = [Line(name, line["group"], line["interface"]) for name, line in section["lines"].items()]
        async with feeder(folder, settings) as program, Subscriber(lines=lines, port=section["port"]) as consumer:
            yield Market(addresses, program, consumer)
            assert await program.end() == 0, program.log


async def test_the_top_by_turnover_is_followed_as_it_changes(tmp_path):
    subscriptions = [LINEAR | {"symbols": {"top": 10}}, {"category": "spot", "symbols": ["BTCUSDT"]}]
    async with market(tmp_path, subscriptions, "--symbols=50", "--categories=linear,spot") as plant:
        rows = plant.addresses.get("/v5/market/tickers?category=linear")[1]["result"]["list"]
        ranked = [("linear", row["symbol"]) for row in sorted(rows, key=lambda row: -float(row["turnover24h"]))]
        spot = ("spot", "BTCUSDT")
        await plant.until_live({*ranked[:10], spot}, 30, "the top")
        plant.auditor.forget()
        gone, ticked, new, risen = ranked[0], ranked[1], ("linear", "BRANDNEWUSDT"), ranked[20]
        await plant.fault("list", **LINEAR, symbol=new[1])
        for rank, symbol in enumerate((new[1], risen[1])):
            await plant.fault("turnover", **LINEAR, symbol=symbol, turnover=str(10**12 - rank))
        await plant.fault("tick_change", **LINEAR, symbol=ticked[1], tick="0.005")
        await plant.fault("delist", **LINEAR, symbol=gone[1], status="gone")
        await plant.fault("delist", category="spot", symbol=spot[1], status="Closed")
        # Two came and one is gone: of the ten before, nine are within the ten and the two more that may stay.
        expected = {new, risen, *ranked[1:10]}
        await plant.until_live(expected, 3 * REFRESH_SECONDS, "the new top")
        assert plant.auditor.changes[gone][0].reason is StatusReason.DELISTED
        assert plant.consumer.book(*spot).status is ViewStatus.DELISTED, "listed by name: it stays, and says so"
        tick = plant.consumer.book(*ticked).definition
        assert tick is not None
        assert (tick.status, tick.definition_version) == (TradingStatus.TRADING, 2)
        touched = {key for key, changes in plant.auditor.changes.items() if changes}
        assert touched <= {gone, spot, new, risen, ticked}, "the others notice nothing"
        # They are listed again, and ranked as before.
        await plant.fault("list", **LINEAR, symbol=gone[1])
        await plant.fault("list", category="spot", symbol=spot[1])
        await plant.until_live(expected | {gone, spot}, 3 * REFRESH_SECONDS, "those that are listed again")
        assert not await differences([plant.consumer.book(*key) for key in plant.live()], plant.addresses)
        await asyncio.to_thread(plant.auditor.compare)
        assert plant.auditor.wrong == []


async def test_a_category_that_lists_nothing_yet_keeps_no_other_waiting(tmp_path):
    subscriptions = [LINEAR | {"symbols": "all"}, {"category": "inverse", "symbols": "all"}]
    async with market(tmp_path, subscriptions, "--symbols=4") as plant:
        rows = plant.addresses.get("/v5/market/instruments-info?category=linear")[1]["result"]["list"]
        linear = {("linear", row["symbol"]) for row in rows}
        await plant.until_live(linear, 30, "the category that lists something")
        assert "instruments not loaded" in plant.program.log
        await plant.fault("list", category="inverse", symbol="BTCUSD", tick="0.5", step="1", price="60000")
        await plant.until_live(linear | {("inverse", "BTCUSD")}, 20, "the other as well")
