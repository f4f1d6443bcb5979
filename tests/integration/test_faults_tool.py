"""The table of faults as its user starts it; the faults themselves are in tests/adversity."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from feeder.telemetry.process import find
from tests.helpers.processes import children, until

TOOL = Path(__file__).parents[2] / "tools" / "faults.py"
SECONDS = 60.0


async def test_a_table_that_is_told_to_end_leaves_no_program_behind():
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(TOOL), "--only", "stuck", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    started: list[int] = []

    def has_both() -> bool:
        started[:] = children(process.pid)
        return len(started) == 2  # simulator, feeder

    def left() -> list[int]:
        return [pid for pid in started if find(pid) is not None]

    try:
        await until(has_both, SECONDS, "its programs")
        process.send_signal(signal.SIGTERM)
        said = (await asyncio.wait_for(process.communicate(), SECONDS))[0].decode()
        assert process.returncode == 130, said
        assert "Traceback" not in said
        await until(lambda: not left(), SECONDS, "the end of what it started")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        for pid in left():
            os.kill(pid, signal.SIGKILL)
