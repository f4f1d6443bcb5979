"""The programs as a stranger runs them: separate processes, addresses and ports of their own, ended by id."""

import asyncio
import itertools
import json
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.helpers.secrets import left_behind

READY_SECONDS = 30.0
_BLOCKS = range(20480, 32000, 80)  # below the ports that systems hand out by themselves
_AT_ONCE = 8  # more than any test needs
_reserved: deque[socket.socket] = deque()
_handed_out = itertools.count()


def multicast_port() -> int:
    """A base port whose block of 80 no other test of this or a parallel run uses: a bound TCP port says it is taken."""
    while len(_reserved) >= _AT_ONCE:
        _reserved.popleft().close()
    for _ in _BLOCKS:
        port = _BLOCKS[next(_handed_out) % len(_BLOCKS)]
        reservation = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            reservation.bind(("127.0.0.1", port))
        except OSError:
            reservation.close()
            continue
        _reserved.append(reservation)
        return port
    raise AssertionError("no block of multicast ports is free")


def multicast_section(port: int | None = None) -> dict[str, Any]:
    """Two lines on loopback."""
    return {
        "port": multicast_port() if port is None else port,
        "end_of_session_seconds": 0.3,
        "lines": {
            "A": {"group": "239.77.0.0", "interface": "127.0.0.1"},
            "B": {"group": "239.78.0.0", "interface": "127.0.0.1"},
        },
    }


class Program:
    """A running `python -m feeder ...`; its standard error is kept in a file."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text("utf-8", errors="replace")

    async def wait_for_log(self, text: str, seconds: float = READY_SECONDS) -> None:
        await until(lambda: text in self.log or self.process.returncode is not None, seconds, f"{text!r} in the log")
        assert text in self.log, self.log

    async def end(self) -> int:
        """SIGTERM, and the exit code."""
        if self.process.returncode is None:
            self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), 15)


@asynccontextmanager
async def program(*arguments: str, within: Sequence[str] = ()) -> AsyncIterator[Program]:
    """`python -m feeder` with these arguments, killed at the end if it still runs; `within` stands before the command.

    That must replace itself by the command, as `ip netns exec` does.
    """
    with tempfile.NamedTemporaryFile(prefix="feeder-test-", suffix=".log") as log:
        process = await asyncio.create_subprocess_exec(
            *within, sys.executable, "-m", "feeder", *arguments, stdout=asyncio.subprocess.PIPE, stderr=log.file
        )
        try:
            yield Program(process, Path(log.name))
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            log.seek(0)
            left_behind(log.read(), f"log of feeder {' '.join(arguments[:1])}")


def children(pid: int) -> list[int]:
    """The process ids of a program's children."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]


class Addresses:
    """Where a simulator listens."""

    def __init__(self, websocket: str, rest: str) -> None:
        self.websocket = websocket
        self.rest = rest

    def get(self, path: str) -> tuple[int, Any]:
        """(status, JSON) of a REST path."""
        try:
            with urllib.request.urlopen(self.rest + path, timeout=10) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"null")


@asynccontextmanager
async def simulator(*arguments: str, within: Sequence[str] = ()) -> AsyncIterator[tuple[Program, Addresses]]:
    """`feeder sim`, ready."""
    if not any(a.startswith("--port") for a in arguments):
        arguments = ("--port=0", "--rest-port=0", *arguments)
    async with program("sim", *arguments, within=within) as sim:
        assert sim.process.stdout is not None
        line = (await asyncio.wait_for(sim.process.stdout.readline(), READY_SECONDS)).decode()
        words = dict(word.split("=", 1) for word in line.split() if "=" in word)
        assert {"websocket", "rest"} <= words.keys(), (line, sim.log)
        yield sim, Addresses(words["websocket"], words["rest"])


@asynccontextmanager
async def feeder(
    folder: Path, settings: dict[str, Any], *, within: Sequence[str] = (), shard: str | None = None
) -> AsyncIterator[Program]:
    """`feeder run` on these settings; its files go into the folder, and metrics are served only if they say so."""
    path = folder / "feeder.yaml"
    own = {
        "state": {"directory": str(folder / "state")},
        "telemetry": {"listen": None, "counters": str(folder / "counters.dat")},
        "control": {"socket": str(folder / "control.sock")},
    }
    path.write_text(yaml.safe_dump({**own, **settings}), "utf-8")
    own_part = () if shard is None else ("--shard", shard)
    async with program("run", f"--config={path}", *own_part, within=within) as running:
        yield running


async def until(condition: Callable[[], bool], seconds: float, what: str) -> float:
    """Wait for a condition; seconds it took. Fails, naming what was waited for, when it does not come."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, f"waited {seconds} s for {what}"
        await asyncio.sleep(0.01)
    return time.monotonic() - start
