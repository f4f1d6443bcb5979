"""A market that looks at a simulated venue, and what tests do to both."""

import asyncio
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Any

import pytest

from feeder.bybit.pacing import Timing
from feeder.bybit.rest.client import BybitClient
from feeder.bybit.rest.pool import SessionPool
from feeder.bybit.system.market import Market
from feeder.bybit.system.market_view import SymbolView
from feeder.simulator.keys import DEFAULT_KEY
from feeder.simulator.script import parse_fault
from feeder.simulator.server import Simulator, SimulatorConfig

BTC = ("linear", "BTCUSDT")
ETH = ("linear", "ETHUSDT")
SECONDS = 10.0
QUICK = Timing(reconnect_first=0.2, reconnect_cap=0.2, resync_first=0.01, refused_first=0.05)


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    """The venue."""
    config = SimulatorConfig(categories=("linear", "spot", "option"), symbols=8, updates_per_second=800.0)
    async with Simulator(config) as sim:
        yield sim


@pytest.fixture
async def market(sim: Simulator) -> AsyncIterator[Market]:
    """Open, with a key, and watching nothing yet."""
    async with (
        SessionPool(requests=100_000) as pool,
        Market(
            BybitClient(DEFAULT_KEY.key, DEFAULT_KEY.secret, pool=pool, base_url=sim.rest_url),
            websocket_url=sim.websocket_url,
            timing=QUICK,
            random=Random(1),
        ) as market,
    ):
        yield market


async def until(condition: Callable[[], bool]) -> None:
    """Return once it holds."""
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110 - of many things, and none of them tells
            await asyncio.sleep(0.005)


async def watch(market: Market, key: tuple[str, str], **wanted: Any) -> SymbolView:
    """Watch, and wait for the data."""
    view = await market.watch(*key, **wanted)
    await view.ready(SECONDS)
    return view


def fault(sim: Simulator, kind: str, key: tuple[str, str], **more: Any) -> None:
    """Something goes wrong with a symbol."""
    sim.inject(parse_fault({"fault": kind, "category": key[0], "symbol": key[1], **more}))


def forget(market: Market, *keys: tuple[str, str]) -> None:
    """What happened to them is long ago."""
    for key in keys:
        market._feeds.watched[key].record._window = 0.01


def score(market: Market, key: tuple[str, str] = BTC) -> float:
    """Of a symbol's data now."""
    return market.quality(*key).score


def trades_told(market: Market) -> int:
    """How many trades of BTC the stream has told."""
    return len(market._feeds.watched[BTC].trades.newest(1000))
