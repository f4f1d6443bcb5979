"""Tickers, klines and liquidations on real sockets, beside REST and under the faults of connections."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from feeder.simulator.script import parse_fault
from feeder.simulator.server import Simulator, SimulatorConfig

DEADLINE = 10.0
TICKER, KLINE = "tickers.BTCUSDT", "kline.1.BTCUSDT"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorConfig(symbols=2, updates_per_second=80.0)) as running:
        yield running


async def _subscribed(http: aiohttp.ClientSession, simulator: Simulator, *topics: str) -> Any:
    socket = await http.ws_connect(f"{simulator.websocket_url}/v5/public/linear")
    await socket.send_json({"op": "subscribe", "args": list(topics)})
    return socket


async def _next(socket: Any, wanted: str) -> dict[str, Any]:
    """The next message of a topic, or the next answer for ""."""
    async with asyncio.timeout(DEADLINE):
        while True:
            message = json.loads(await socket.receive_str())
            if message.get("topic", "") == wanted:
                assert isinstance(message, dict)
                return message


async def _rest(http: aiohttp.ClientSession, simulator: Simulator, path: str) -> list[Any]:
    async with http.get(f"{simulator.rest_url}/v5/market/{path}&category=linear&symbol=BTCUSDT") as response:
        return list((await response.json())["result"]["list"])


async def test_tickers_and_klines_are_what_rest_tells_then(http: aiohttp.ClientSession, simulator: Simulator) -> None:
    socket = await _subscribed(http, simulator, TICKER, KLINE)
    ticker = (await _next(socket, TICKER))["data"]
    # Between two pushes REST may be a little ahead: when its last price was the same before and after, so is the bar's.
    for _ in range(100):
        before = (await _rest(http, simulator, "tickers?"))[0]["lastPrice"]
        bars = await _rest(http, simulator, "kline?interval=1&limit=1")
        after = (await _rest(http, simulator, "tickers?"))[0]["lastPrice"]
        if before == after:
            assert bars[0][4] == before
            break
    else:
        raise AssertionError("the market never stood still")
    for _ in range(20):
        ticker |= (await _next(socket, TICKER))["data"]
    (row,) = (await _next(socket, KLINE))["data"]
    assert row["start"] == int(bars[0][0]) or row["start"] == int(bars[0][0]) + 60_000
    assert set((await _rest(http, simulator, "tickers?"))[0]) >= {"lastPrice", "markPrice", "bid1Price"} <= set(ticker)


async def test_connection_faults_and_refusals_meet_them_as_they_meet_books(
    http: aiohttp.ClientSession, simulator: Simulator
) -> None:
    touched = simulator.inject(parse_fault({"fault": "refuse", "category": "linear", "symbol": "BTCUSDT"})).touched
    assert {TICKER, KLINE, "allLiquidation.BTCUSDT", "orderbook.50.BTCUSDT"} <= set(touched)
    socket = await _subscribed(http, simulator, TICKER)
    assert (await _next(socket, ""))["success"] is False
    await socket.send_json({"op": "subscribe", "args": [TICKER]})
    await _next(socket, TICKER)
    simulator.inject(parse_fault({"fault": "old_data", "category": "linear", "age": 3600, "seconds": 600}))
    fresh = asyncio.get_running_loop().time() + DEADLINE
    ages: set[int] = set()
    while not ages or max(ages) < 3_500_000:
        assert asyncio.get_running_loop().time() < fresh
        server_time = await _next(socket, TICKER)
        async with http.get(f"{simulator.rest_url}/v5/market/time") as response:
            ages.add((await response.json())["time"] - server_time["ts"])
    simulator.inject(parse_fault({"fault": "disconnect", "category": "linear"}))
    async with asyncio.timeout(DEADLINE):
        while (await socket.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
    assert socket.closed
