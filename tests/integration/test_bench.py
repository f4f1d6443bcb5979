"""The bench as its user starts it, with a load that any machine bears; nothing here looks at how fast it was."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from feeder.telemetry.process import find
from tests.helpers.processes import children, until

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


@pytest.mark.parametrize("argument", ["--rate=0", "--seconds=-1", "--symbols=0", "--runs=0", "--json=/nowhere/x.json"])
async def test_an_argument_that_makes_no_sense_is_refused_before_anything_is_measured(argument: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(BENCH), argument, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said = (await asyncio.wait_for(process.communicate(), SECONDS))[0].decode()
    assert process.returncode == 2
    assert argument.partition("=")[0] in said.splitlines()[-1]


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_a_bench_that_is_ended_leaves_no_program_behind(tmp_path: Path, number: signal.Signals) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(BENCH), "--symbols=5", "--rate=50", "--seconds=600",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "TMPDIR": str(tmp_path)}, start_new_session=True,
    )  # fmt: skip
    started: list[int] = []

    def left() -> list[int]:
        return [pid for pid in started if find(pid) is not None]

    try:
        # The last it starts is the feeder under test.
        await until(lambda: any(tmp_path.glob("feeder-bench-*/run/counters.dat")), SECONDS, "the feeder under test")
        started += children(process.pid)
        if number is signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does
        else:
            process.send_signal(number)
        said = (await asyncio.wait_for(process.communicate(), SECONDS))[0].decode()
        await until(lambda: not left(), SECONDS, "the end of what it started")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        for pid in left():
            os.kill(pid, signal.SIGKILL)
    assert len(started) == 4  # load, decoder, listener, feeder
    if number is not signal.SIGKILL:
        assert process.returncode == 128 + number, said
        assert "Traceback" not in said
        assert files(tmp_path) == []
