"""What the README and the library's page show works as it stands there."""

import asyncio
import json
import re
import sys
from pathlib import Path

from tests.helpers.processes import feeder, multicast_section, simulator
from tests.helpers.secrets import API_KEY, API_SECRET, secret_file

ROOT = Path(__file__).parents[2]
README, LIBRARY = ((ROOT / name).read_text("utf-8") for name in ("README.md", "LIBRARY.md"))


async def test_the_consumer_in_the_readme_prints_best_bids(tmp_path):
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert code is not None
    section = multicast_section()
    text = code[1].replace('Subscriber(["linear:BTCUSDT"]', f'Subscriber(["linear:BTCUSDT"], port={section["port"]}')
    assert str(section["port"]) in text
    program = tmp_path / "consumer.py"
    program.write_text(text)
    async with simulator("--symbols=3") as (_, addresses):
        settings = {
            "exchange": {"websocket_url": addresses.websocket, "rest_url": addresses.rest},
            "subscriptions": [{"category": "linear", "symbols": ["BTCUSDT"]}],
            "multicast": section,
        }
        async with feeder(tmp_path, settings):
            consumer = await asyncio.create_subprocess_exec(
                sys.executable, "-u", str(program), stdout=asyncio.subprocess.PIPE
            )
            assert consumer.stdout is not None
            try:
                line = await asyncio.wait_for(consumer.stdout.readline(), 20)
            finally:
                consumer.kill()
                await consumer.communicate()
    assert re.fullmatch(rb"\d+\.\d+ \d+\.\d+\n", line)


async def output_of(section: str, text: str, tmp_path: Path) -> bytes:
    """What the first program under a heading prints, on a simulator, with a key of the tests."""
    code = re.search(rf"^## {section}\n.*?```python\n(.*?)```", text, re.DOTALL | re.MULTILINE)
    assert code is not None
    program = tmp_path / "library.py"
    async with simulator("--symbols=3", f"--key={API_KEY}:{API_SECRET}") as (_, addresses):
        on_simulator = {
            '"KEY", "SECRET", testnet=True': f'"{API_KEY}", "{API_SECRET}", base_url="{addresses.rest}"',
            "PrivateStream(client)": f'PrivateStream(client, url="{addresses.websocket}")',
            "client=client)": f'client=client, url="{addresses.websocket}")',
        }
        meant = code[1]
        for shown, there in on_simulator.items():
            meant = meant.replace(shown, there)
        assert addresses.rest in meant or "bybit.yaml" in meant
        secret_file(program, meant)
        settings = {
            "api_key": API_KEY,
            "api_secret": API_SECRET,
            "base_url": addresses.rest,
            "websocket": {"url": addresses.websocket},
        }
        secret_file(tmp_path / "bybit.yaml", json.dumps(settings))
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(program), stdout=asyncio.subprocess.PIPE, cwd=tmp_path
        )
        output, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    return output


async def test_the_rest_example_places_an_order(tmp_path):
    assert re.fullmatch(rb"\d+\.\d+ [0-9a-f-]{36}\n", await output_of("REST", LIBRARY, tmp_path))


async def test_the_streams_example_prints_a_ticker(tmp_path):
    assert re.fullmatch(rb"\d+\.\d+ \d+\.\d+\n", await output_of("Streams", LIBRARY, tmp_path))


async def test_the_account_example_tells_its_fill(tmp_path):
    lines = sorted((await output_of("Account", LIBRARY, tmp_path)).decode().splitlines(), reverse=True)
    assert re.fullmatch(r"fill BTCUSDT Buy 0\.001 \d+(\.\d+)?", lines[0])
    assert re.fullmatch(r"Filled \d \d+(\.\d+)?", lines[1])


async def test_the_system_example_prints_a_price(tmp_path):
    assert re.fullmatch(rb"BTCUSDT \d+\.\d+ running\n", await output_of("One system", LIBRARY, tmp_path))


def test_every_make_target_that_is_named_exists():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in set(re.findall(r"\bmake ([a-z-]+)", README + LIBRARY)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
