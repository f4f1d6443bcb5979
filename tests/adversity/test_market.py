"""The venue misbehaves at random while the library's market looks on: what it shows as LIVE is the venue's own book."""

import asyncio
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from random import Random

import pytest

from feeder.bybit.pacing import Timing
from feeder.bybit.rest.client import BybitClient
from feeder.bybit.rest.pool import SessionPool
from feeder.bybit.system.books import BookEvent
from feeder.bybit.system.market import Market
from feeder.market.status import BookStatus
from feeder.simulator.script import parse_fault
from feeder.simulator.server import Simulator, SimulatorConfig

KEYS = (("linear", "BTCUSDT"), ("linear", "ETHUSDT"), ("spot", "BTCUSDT"))
OF_BOOKS = ("gap", "out_of_order", "duplicate", "crossed", "malformed", "snapshot", "restart")
ROUNDS = 60
SECONDS = 15.0
QUICK = Timing(
    reconnect_first=0.01,
    reconnect_cap=0.05,
    resync_first=0.01,
    resync_cap=0.05,
    refused_first=0.05,
    request_interval=0.001,
)


class Witness:
    """Holds each book that is told as LIVE against the simulator's at the same update, at that moment."""

    def __init__(self, sim: Simulator) -> None:
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._sim = sim

    def look(self, event: BookEvent) -> None:
        """Called for each change."""
        self.counts[event.status.name] += 1
        if event.status is not BookStatus.LIVE:
            if event.bid is not None or event.book.levels() != ([], []):
                self.wrong.append(f"levels while {event.status.name}")
            return
        state = self._sim.exchange.source.book(event.category, event.symbol, 50)
        assert state is not None
        held = state.book.at(event.update_id)
        if held is None or held[1] != event.book.sequence:  # the ids began anew since
            self.counts["not held"] += 1
            return
        bids, asks = event.book.levels()
        theirs = [[(Decimal(price), Decimal(size)) for price, size in side] for side in state.sides(held[0])]
        if theirs != [[(level.price, level.size) for level in side] for side in (bids, asks)]:
            self.wrong.append(f"{event.symbol} at {event.update_id}")
        self.counts["compared"] += 1


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110 - of many things, and none of them tells
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_book_is_shown_that_is_not_the_venues_and_all_heal(seed: int) -> None:
    random = Random(seed)
    config = SimulatorConfig(categories=("linear", "spot"), symbols=4, updates_per_second=600.0, seed=seed)
    async with (
        Simulator(config) as sim,
        SessionPool(requests=100_000) as pool,
        Market(
            BybitClient(pool=pool, base_url=sim.rest_url),
            websocket_url=sim.websocket_url,
            window_seconds=0.5,
            timing=QUICK,
            random=Random(seed),
        ) as market,
    ):
        witness = Witness(sim)
        market.books.on(witness.look)
        views = [await market.watch(*key) for key in KEYS]
        for view in views:
            await view.ready(SECONDS)
        for _ in range(ROUNDS):
            category, symbol = random.choice(KEYS)
            kind = random.choice(OF_BOOKS)
            if random.random() < 0.1:
                sim.inject(parse_fault({"fault": "disconnect", "category": category}))
            elif random.random() < 0.1:
                await market.unwatch(category, symbol)
                await market.watch(category, symbol)
            else:
                sim.inject(parse_fault({"fault": kind, "category": category, "symbol": symbol}))
            told = witness.counts.total()
            await until(lambda told=told: witness.counts.total() > told + 3)  # type: ignore[misc]  # its own round's
        for view in views:
            await view.ready(SECONDS)
        await until(lambda: all(market.quality(*key).score == 100.0 for key in KEYS))
        assert witness.wrong == []
        assert witness.counts["compared"] > ROUNDS
        assert witness.counts["STALE"] > 0
