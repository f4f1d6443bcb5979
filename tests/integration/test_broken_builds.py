"""The soak catches a build that is broken on purpose, as its user would see it."""

import asyncio
import json
import sys
from pathlib import Path

TOOL = Path(__file__).parents[2] / "tools" / "broken_builds.py"
SECONDS = 150.0


async def test_a_feeder_that_does_not_check_continuity_is_caught_by_the_soak_and_one_that_does_holds():
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(TOOL), "--only", "continuity", "--json", stdout=asyncio.subprocess.PIPE
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), SECONDS)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    result = json.loads(said)
    assert process.returncode == 0, result
    broken, unbroken = result["verdicts"]
    assert broken["wrong"] > 0
    assert "is not the exchange's" in broken["said"]
    assert (unbroken["build"], unbroken["wrong"], unbroken["problems"]) == ("unbroken", 0, [])
