"""What the README shows works as it stands there."""

import asyncio
import re
import sys
from pathlib import Path

from tests.helpers.processes import feeder, multicast_section, simulator
from tests.helpers.secrets import API_KEY, API_SECRET, secret_file

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


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


async def test_the_rest_example_in_the_readme_places_an_order(tmp_path):
    code = re.search(r"## Bybit's REST as a library.*?```python\n(.*?)```", README, re.DOTALL)
    assert code is not None
    program = tmp_path / "library.py"
    async with simulator("--symbols=3", f"--key={API_KEY}:{API_SECRET}") as (_, addresses):
        account = f'"{API_KEY}", "{API_SECRET}", base_url="{addresses.rest}"'
        text = code[1].replace('"KEY", "SECRET", testnet=True', account)
        assert addresses.rest in text
        secret_file(program, text)
        process = await asyncio.create_subprocess_exec(sys.executable, str(program), stdout=asyncio.subprocess.PIPE)
        output, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    assert re.fullmatch(rb"\d+\.\d+ [0-9a-f-]{36}\n", output)


def test_every_make_target_the_readme_names_exists():
    makefile = (Path(__file__).parents[2] / "Makefile").read_text("utf-8")
    for target in set(re.findall(r"\bmake ([a-z-]+)", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
