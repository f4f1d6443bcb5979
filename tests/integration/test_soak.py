"""The soak as its user starts it: one script on the real programs, and an end in the middle of one."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from feeder.telemetry.process import find
from tests.helpers.processes import children, until

TOOL = Path(__file__).parents[2] / "tools" / "soak.py"
SECONDS = 120.0


async def start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, str(TOOL), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


async def test_consumers_that_lose_packets_on_both_lines_show_no_wrong_book():
    process = await start("--only", "2 % lost on both lines, 20 %", "--json")
    try:
        said, complaints = await asyncio.wait_for(process.communicate(), SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    report = json.loads(said)
    (row,) = report["rows"]
    assert process.returncode == 0, (row["problems"], complaints.decode())
    assert report["good"]
    assert row["consumers"] == 2
    assert row["holes"] > 50
    assert row["filled"] > 50
    assert row["compared"] > 10_000
    assert row["compared_with_exchange"] > 5_000
    assert row["wrong"] == row["unflagged"] == 0


async def test_a_soak_that_is_told_to_end_leaves_no_program_behind():
    process = await start("--only", "no loss")
    started: list[int] = []

    def has_all() -> bool:
        started[:] = children(process.pid)
        return len(started) == 5  # simulator, feeder, reference, two consumers

    def left() -> list[int]:
        return [pid for pid in started if find(pid) is not None]

    try:
        await until(has_all, SECONDS, "its programs")
        process.send_signal(signal.SIGTERM)
        said = b"".join(await asyncio.wait_for(process.communicate(), SECONDS)).decode()
        assert process.returncode == 130, said
        assert "Traceback" not in said
        await until(lambda: not left(), SECONDS, "the end of what it started")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        for pid in left():
            os.kill(pid, signal.SIGKILL)
