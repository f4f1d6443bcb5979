"""The feeder's own exporter, kept running: started beside it, started again if it dies, ended with it."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random

from feeder.bybit.pacing import backoff_delay
from feeder.clock import Clock
from feeder.log import logger
from feeder.telemetry.health import EXIT_REPLACED

_RETRY_FIRST, _RETRY_CAP = 0.5, 30.0  # seconds before it is started again
_STEADY_SECONDS = 60.0  # one that lived as long had no trouble starting
_END_SECONDS = 2.0

_log = logger("telemetry.child")


def command(counters: Path, listen: str, session_id: int, log_format: str) -> list[str]:
    """The exporter's command line."""
    arguments = (
        f"--counters={counters}",
        f"--listen={listen}",
        f"--session={session_id}",
        f"--log-format={log_format}",
    )
    return [sys.executable, "-m", "feeder.telemetry.exporter", *arguments]


async def keep_running(command: Sequence[str], clock: Clock, random: Random) -> None:
    """Run the exporter, for ever; when cancelled, end it first."""
    attempt = 0
    said = ""
    while True:
        began = clock.monotonic()
        try:
            # A session of its own: an interrupt from the terminal is the feeder's affair, which ends the exporter last.
            process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, start_new_session=True
            )
        except OSError as error:
            why = str(error)
        else:
            try:
                code = await process.wait()
            finally:
                await _end(process)
            why = f"exit code {code}"
            if code == EXIT_REPLACED:
                why = "another feeder writes the same file; give each its own telemetry.counters"
        attempt = 1 if clock.monotonic() - began > _STEADY_SECONDS else attempt + 1
        delay = backoff_delay(attempt, _RETRY_FIRST, _RETRY_CAP, random)
        log = _log.error if attempt == 1 or why != said else _log.debug  # one trouble is one line
        log("exporter ended", error=why, attempt=attempt, delay_seconds=round(delay, 1))
        said = why
        await asyncio.sleep(delay)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_END_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
