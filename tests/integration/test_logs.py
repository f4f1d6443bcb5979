"""The log of the real programs, read as an operator or a program reads it."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from tests.helpers.processes import Program, feeder, multicast_section, simulator, until
from tests.integration.test_outage import same_ports

SYMBOLS = 120

# As systemd starts a service: standard error is a stream to journald, and the environment says which.
UNDER_JOURNALD = ("sh", "-c", 'JOURNAL_STREAM=$(stat -Lc %d:%i /dev/stderr) exec "$@"', "sh")


def settings(websocket: str, rest: str, **others: Any) -> dict[str, Any]:
    return {
        "exchange": {"websocket_url": websocket, "rest_url": rest},
        "subscriptions": [{"category": "linear", "depth": 50, "symbols": "all"}],
        "multicast": multicast_section(),
        "control": {"socket": None},
        **others,
    }


def logged(program: Program) -> list[dict[str, Any]]:
    return [json.loads(line) for line in program.log.splitlines(keepends=True) if line.endswith("\n")]


def said(program: Program, event: str, **facts: Any) -> list[dict[str, Any]]:
    return [line for line in logged(program) if line["event"] == event and facts.items() <= line.items()]


def counted(lines: list[dict[str, Any]]) -> Counter[str]:
    """How often each event happened: lines, and those they stand for."""
    found = Counter[str]()
    for line in lines:
        found[line["event"]] += line.get("suppressed", 1)
    return found


async def test_an_outage_is_some_lines_that_account_for_every_book(tmp_path):
    async with (
        simulator(f"--symbols={SYMBOLS}", "--updates-per-second=300") as (sim, addresses),
        feeder(tmp_path, settings(addresses.websocket, addresses.rest)) as running,
    ):
        rest = SYMBOLS - 20
        await until(lambda: said(running, "book live", suppressed=rest) != [], 30, "all books LIVE, said")
        sim.process.kill()
        await until(lambda: said(running, "connection failed") != [], 15, "the outage, said")
        await until(lambda: said(running, "book stale", suppressed=rest) != [], 30, "the other books, counted")
        before = len(said(running, "connected"))
        again = [*same_ports(addresses), f"--symbols={SYMBOLS}", "--updates-per-second=300"]
        async with simulator(*again):
            await until(lambda: len(said(running, "connected")) == 2 * before, 20, "the end of the outage, said")
            await until(lambda: len(said(running, "book live")) > 21, 20, "the first book's return, said")
            assert await running.end() == 0
        lines = logged(running)
        (end,) = said(running, "feeder stopped")
        back = said(running, "connected")[before:]
        assert len(said(running, "connection failed")) == before  # not each attempt
    assert all(line["outage_seconds"] > 5 and line["attempt"] > 1 for line in back)
    assert len(lines) < 200
    assert all(list(line)[:4] == ["event", "level", "timestamp", "part"] for line in lines)
    assert not [line for line in lines if "picows" in line["part"]]
    told = counted(lines)
    assert told["book live"] == end["transitions"]["LIVE/SNAPSHOT"]
    assert told["book stale"] == SYMBOLS  # at the outage; that they end with the feeder goes without saying
    assert [line["event"] for line in lines if line["event"] in {"ready", "not ready"}][:2] == ["ready", "not ready"]


async def test_under_journald_every_line_of_feeder_and_exporter_has_its_priority(tmp_path):
    nowhere = settings("ws://127.0.0.1:9", "http://127.0.0.1:9")
    nowhere["telemetry"] = {"listen": "127.0.0.1:0", "counters": str(tmp_path / "counters.dat")}
    async with feeder(tmp_path, nowhere, within=UNDER_JOURNALD) as running:
        await running.wait_for_log("metrics served")
        await running.wait_for_log("instruments not loaded")
        assert await running.end() == 0
        text = running.log
    priorities = {"info": "6", "warning": "4", "error": "3"}
    levels = set()
    for line in text.splitlines():
        match = re.fullmatch(r"<([0-7])>(\{.*\})", line)
        assert match, line
        level = json.loads(match[2])["level"]
        assert priorities[level] == match[1]
        levels.add(level)
    assert {"info", "error"} <= levels


def run(script: str, tmp_path: Path) -> tuple[int, list[str]]:
    """A small program that logs, under journald: its exit code, and what it logged."""
    with (tmp_path / "log").open("w+b") as stream:
        status = os.fstat(stream.fileno())
        environment = {**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        done = subprocess.run([sys.executable, "-c", script], stderr=stream, env=environment, timeout=30, check=False)
        stream.seek(0)
        return done.returncode, stream.read().decode().splitlines()


async def test_what_was_left_out_is_said_at_the_end_though_nothing_more_is_logged(tmp_path):
    script = """
from feeder import log
log.configure("info")
for number in range(50):
    log.logger("test").info("book live", symbol=str(number))
"""
    code, lines = await asyncio.to_thread(run, script, tmp_path)
    assert code == 0
    assert len(lines) == 21
    assert json.loads(lines[-1].removeprefix("<6>"))["suppressed"] == 30


async def test_what_ends_a_program_is_one_line_of_its_log(tmp_path):
    script = """
from feeder import log
log.configure("info", as_json=False)
def connect(address): raise RuntimeError(f"cannot connect to {address}")
connect("ws://user:hunter2@127.0.0.1:9443")
"""
    code, lines = await asyncio.to_thread(run, script, tmp_path)
    assert code == 1
    (line,) = lines
    assert line.startswith("<2>critical unexpected error")
    assert "cannot connect to ws://***@127.0.0.1:9443" in line
    assert "hunter2" not in line
