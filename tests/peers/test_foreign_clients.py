"""Clients that others wrote for the real exchange take the simulator for it: its REST, its topics, its books.

They run as published, but for their addresses (tools/peers.py), in a venv of their own (`make peers`).
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.helpers.processes import READY_SECONDS, Addresses, simulator
from tests.helpers.require import require_peers

SECONDS = 60
SYMBOLS = 40
MARKET = (f"--symbols={SYMBOLS}", "--categories=linear,spot", "--updates-per-second=400")
TOOL = Path(__file__).parents[2] / "tools" / "peers.py"


async def seen_by(client: str, addresses: Addresses, seconds: float, *options: str) -> dict[str, Any]:
    """What the tool tells of a run of a client."""
    command = [require_peers(), str(TOOL), client, "--json", f"--seconds={seconds}", *options]
    process = await asyncio.create_subprocess_exec(
        *command,
        f"--websocket={addresses.websocket}",
        f"--rest={addresses.rest}",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), seconds + 4 * READY_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert output, errors.decode(errors="replace")
    told: dict[str, Any] = json.loads(output)
    return told


async def test_foreign_clients_keep_uncrossed_and_equal_books_for_a_minute_and_through_a_disconnect(tmp_path, capsys):
    require_peers()
    script = tmp_path / "faults.yaml"
    # The delay of a network: pybit breaks when it is answered at once.
    faults = [{"fault": "slow", "category": name, "seconds": 3600, "delay": 0.03} for name in ("linear", "spot")]
    faults += [{"at": SECONDS / 2, "fault": "disconnect"}]
    script.write_text(yaml.safe_dump(faults), "utf-8")
    async with simulator(*MARKET, f"--faults={script}") as (_, addresses):
        runs = await asyncio.gather(
            *(seen_by(client, addresses, SECONDS) for client in ("ccxt", "cryptofeed", "pybit"))
        )
        *_, cut = addresses.get("/simulator/faults")[1]["faults"]
    with capsys.disabled():  # figures that a run leaves behind; nothing depends on them
        sys.stdout.write("".join(f"\n{json.dumps(run)}" for run in runs) + "\n")
    assert len(cut["touched"]) == 2 * len(runs), cut  # a connection for each category
    for run in runs:
        assert run["books"] == SYMBOLS, run
        assert run["crossed"] == 0, run
        assert run["different"] == [], run
        assert run["equal"] >= 3 * SYMBOLS, run  # of four or more copies of most books, one of them the last
        assert run["updates"] > 20 * SECONDS, run
        if run["snapshots"] is not None:
            assert run["snapshots"] == 2 * SYMBOLS, run


async def test_ccxt_loads_the_markets_of_every_category():
    require_peers()
    async with simulator("--symbols=480", "--categories=linear,spot,inverse,option") as (_, addresses):
        run = await seen_by("ccxt", addresses, 1, "--categories=inverse")
    # The 120 options are those of two coins and two expiries: each must have a name of its own.
    assert run["markets"] == {"spot": 120, "swap": 240, "option": 120}
    assert run["books"] == 120
    assert run["different"] == []


async def test_the_tool_tells_of_books_that_are_wrong_though_the_client_does_not(tmp_path):
    require_peers()
    async with simulator(*MARKET) as (_, addresses):
        listed = addresses.get("/v5/market/instruments-info?category=linear")[1]["result"]["list"]
    script = tmp_path / "faults.yaml"
    faults = [{"at": 3, "fault": "gap", "category": "linear", "symbol": row["symbol"]} for row in listed]
    faults += [{"at": 3, "fault": "crossed", "category": "spot", "symbol": "BTCUSDT"}]
    script.write_text(yaml.safe_dump(faults), "utf-8")
    async with simulator(*MARKET, f"--faults={script}") as (_, addresses):
        run = await seen_by("ccxt", addresses, 5)
    assert run["crossed"] > 0
    assert any(text.startswith("spot/BTCUSDT") for text in run["first_crossed"])
    assert any(text.startswith("linear/") for text in run["different"])
    assert all(text.startswith(("linear/", "spot/BTCUSDT")) for text in run["different"])
