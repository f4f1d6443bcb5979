"""The bench as its user starts it, with a load that any machine bears; nothing here looks at how fast it was."""

import asyncio
import json
import sys
from pathlib import Path

BENCH = Path(__file__).parents[2] / "tools" / "bench.py"
SECONDS = 120.0


async def test_a_small_load_is_measured_and_every_book_found_equal(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    arguments = ("--symbols=5", "--rate=200", "--seconds=1", f"--json={file}")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(BENCH), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        said = (await asyncio.wait_for(process.communicate(), SECONDS))[0].decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, said
    result = json.loads(file.read_text("utf-8"))
    figures = result["scenarios"]["own"]
    assert figures["books"] == {"compared": 5, "live": 5, "equal": 5, "wrong": []}, said
    assert figures["settled"]["pending"] == 0
    assert figures["handled"] > 100
    assert figures["folded"] == figures["not_live"] == figures["lost_by_listener"] == 0, said
    assert figures["cpu_us_per_update"] > figures["relay_us"] > figures["decode_us"] > 0
    assert 0 < figures["latency_us"]["p50"] <= figures["latency_us"]["max"]
    assert figures["memory"]["after"]["rss"] > figures["memory"]["after"]["uss"] > 0
    assert figures["plan"]["shape"] == {"symbols": 5, "depth": 50, "levels": 3, "seed": 1}
    assert {"cpu", "cores", "kernel", "python"} <= result["machine"].keys()
    assert result["commit"] in said
    assert "5/5" in said
