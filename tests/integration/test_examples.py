"""The examples run as they stand, against the simulator; what they print is true, and no secret is in it."""

import asyncio
import importlib.util
import json
import os
import re
import sys
import urllib.request
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from feeder.errors import RestError
from tests.helpers.processes import Addresses, simulator
from tests.helpers.secrets import API_KEY, API_SECRET

EXAMPLES = Path(__file__).parents[2] / "tools" / "examples"
ACCOUNT = f"--key={API_KEY}:{API_SECRET}"

PRINTED = {
    "rest_public": (
        r"venue time 20\d\d-\d\d-\d\dT",
        r"(ticker \w+ [\d.]+ turnover [\d.]+\n){3}",
        r"(candle \w+ \d\d:00( [\d.]+){4}\n){3}",
        r"instruments \d+\n",
    ),
    "rest_account": (
        r"UNIFIED equity in USD [\d.]+",
        r"USDT [\d.]+ worth [\d.]+",
        r"fee BTCUSDT taker 0\.\d+ maker 0\.\d+",
    ),
    "rest_orders": (r"placed [\d.]+ at [\d.]+", r"amended to [\d.]+ New", r"in the end Cancelled"),
    "rest_errors": (
        r"a ticker: done",
        r"no such symbol: refused with 10001, not again",
        r"a float: correct qty: .*float",
        r"a parameter forgotten: correct symbol: .*required",
        r"no such endpoint: UnknownEndpointError, not again",
        r"without a key: correct api_key",
        r"a wrong key: see to the key: .*10003",
        r"nobody there: ConnectError, try later",
        r"a closed pool: PoolError, not again",
    ),
    "rest_many_clients": (r"10000 clients in [\d.]+ ms", r"the same client: True hits: 1", r"\n20 requests\n"),
    "system_data": (
        r"instrument BTCUSDT Trading tick 0\.10\nticker [\d.]+ by rest\n",
        r"(book +[\d.]+ [\d.]+ \| [\d.]+ [\d.]+   by rest\n){3}",
        r"ticker [\d.]+ by stream\n",
        r"(book +[\d.]+ [\d.]+ \| [\d.]+ [\d.]+   by stream\n){3}",
        r"(trade (Buy|Sell) [\d.]+ at [\d.]+\n){3}",
    ),
    "system_streaming": (
        r"BTCUSDT [\d.]+ [\d.]+ spread [\d.]+",
        r"kline BTCUSDT 1( [\d.]+){4} (True|False)",
        r"topics left \['allLiquidation\.BTCUSDT'\]",
        r"\d+ books\n",
        r"\d+ callback of trade: ValueError: a mistake in a callback\n",
    ),
    "system_trading": (
        r"placed 0\.01 at [\d.]+ New",
        r"no answer came: TransportError",
        r"and yet it is there: New",
        r"fill Buy 0\.0\d+ at [\d.]+ fee [\d.]+",
        r"bought 0\.01 at [\d.]+ Filled",
        r"sold 0\.01 at [\d.]+ Filled",
        r"open orders 0 positions 0",
    ),
    "system_monitoring": (
        r"healthy\n",
        r"quality of BTCUSDT [\d.]+ of 100\n   age [\d.]+ ",
        r"running for [\d.]+ s, \d+ requests\n   address \d+ of 600 in 5 s",
        r"tickers: \d+ messages, latency p99 [\d.]+ ms",
        r"\d+ bytes of JSON",
    ),
    "system_configuration": (
        r"SystemSettings\(Settings\(testnet, with a key\), market, health, reload\) RateSettings\(requests=300",
        r"refused: rate\.request: no such key; did you mean rate\.requests\?",
        r"changed \['rate\.requests', 'watch'\]\nneeds a restart \['connection\.max_connections'\]",
        r"noticed: watched \[\('linear', 'BTCUSDT'\)\]",
    ),
    "system_recovery": (
        r"lost: closed by the venue",
        r"reconciled: False - closed by the venue",
        r"resumed: connection 2",
        r"fill Buy 0\.0\d+ at [\d.]+",
        r"reconciled: True - after connection 2",
        r"position BTCUSDT Buy 0\.01",
        r"fills (\d+) of \1 different ids",
        r"book BTCUSDT STALE DISCONNECTED\nbook BTCUSDT LIVE SNAPSHOT",
    ),
    "system_history": (
        r"2879 finished bars|2880 finished bars",
        r"missing \[\]",
        r"running [\d.]+ [\d.]+",
        r"1440 of them again, requests 0",
        r"highest [\d.]+ at 20\d\d-",
    ),
}


async def run(path: Path, *arguments: str, **environment: str) -> tuple[int | None, str, str]:
    """(exit code, standard output, standard error)."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-X", "dev", str(path), *arguments),
        env={name: value for name, value in os.environ.items() if not name.startswith("BYBIT_")} | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, output.decode(), errors.decode()


async def run_on(addresses: Addresses, name: str) -> tuple[int | None, str, str]:
    account = {"BYBIT_API_KEY": API_KEY, "BYBIT_API_SECRET": API_SECRET}
    path = EXAMPLES / f"{name}.py"
    if name.startswith("rest_"):
        return await run(path, f"--rest-url={addresses.rest}", **account)
    return await run(path, BYBIT_BASE_URL=addresses.rest, BYBIT_WEBSOCKET__URL=addresses.websocket, **account)


def inject(addresses: Addresses, fault: dict[str, object]) -> None:
    with urllib.request.urlopen(f"{addresses.rest}/simulator/faults", json.dumps(fault).encode(), timeout=10):
        pass


def test_every_example_is_run_here():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == PRINTED.keys()


@pytest.mark.parametrize("name", PRINTED)
async def test_an_example_runs_prints_facts_and_no_secret(name):
    async with simulator("--symbols=20", ACCOUNT) as (_, addresses):
        code, output, errors = await run_on(addresses, name)
    assert (code, errors) == (0, ""), (output, errors)
    for pattern in PRINTED[name]:
        assert re.search(pattern, output), (pattern, output)
    assert API_SECRET not in output + errors
    assert "[debug" not in output, "a library does not speak on standard output"


async def test_an_order_whose_answer_is_lost_is_found_and_cancelled_by_the_example():
    async with simulator("--symbols=3", ACCOUNT) as (_, addresses):
        lost = {"fault": "rest", "how": "lost", "path": "/v5/order/create", "times": 1}
        await asyncio.to_thread(inject, addresses, lost)
        code, output, errors = await run_on(addresses, "rest_orders")
    assert (code, errors) == (0, "")
    assert "no answer came, but the order is there" in output
    assert "in the end Cancelled" in output


class Silent:
    """A venue that never says what became of an order, and has it after so many questions."""

    def __init__(self, answers: list[list[str]]) -> None:
        self.answers = answers
        self.asked = 0

    async def place_order(self, *_: Any, order_link_id: str, **__: Any) -> None:
        raise RestError("no answer", unknown_outcome=True)

    async def open_orders(self, *_: Any, order_link_id: str, **__: Any) -> Any:
        self.asked += 1
        return SimpleNamespace(result=SimpleNamespace(entries=self.answers.pop(0) if self.answers else []))


async def test_the_example_that_orders_asks_for_one_on_its_way_until_it_cannot_come_any_more(monkeypatch, capsys):
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    spec = importlib.util.spec_from_file_location("rest_orders", EXAMPLES / "rest_orders.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    monkeypatch.setattr(example.asyncio, "sleep", sleep)
    venue = Silent([[], [], ["the order"]])
    await example.place(venue, "mine", Decimal(1))
    assert (venue.asked, waited) == (3, [1, 1])
    assert "the order is there" in capsys.readouterr().out
    with pytest.raises(RestError, match="no answer"):
        await example.place(Silent([]), "mine", Decimal(1))
    assert sum(waited[2:]) * 1000 > 5000, "recv_window, after which the venue refuses it"


@pytest.mark.parametrize("name", ["rest_orders", "system_trading"])
async def test_the_examples_that_order_leave_the_real_exchange_alone(name):
    path = EXAMPLES / f"{name}.py"
    code, output, errors = await run(
        path, BYBIT_API_KEY=API_KEY, BYBIT_API_SECRET=API_SECRET, BYBIT_ENVIRONMENT="mainnet"
    )
    assert code == 1
    assert "BYBIT_ENVIRONMENT=testnet" in errors
    assert output == ""


async def test_the_example_that_cuts_connections_leaves_the_venue_alone():
    path = EXAMPLES / "system_recovery.py"
    code, output, errors = await run(path, BYBIT_API_KEY=API_KEY, BYBIT_API_SECRET=API_SECRET)
    assert code == 1
    assert "start `feeder sim`" in errors
    assert output == ""
