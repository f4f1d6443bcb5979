"""The bench's helper programs: each on a given core, told what to do by lines of JSON on its standard input.

A request is `{"do": name, ...}`, its answer one line. A helper ends when its input does.
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).parent
_ANSWER_SECONDS = 120.0
_PR_SET_PDEATHSIG = 1  # prctl(2)
_prctl = ctypes.CDLL(None).prctl


class BenchError(Exception):
    """The bench cannot go on; the text says why."""


class Child:
    """A helper program from tools/. `paths` are put on its PYTHONPATH. Its standard error is the bench's."""

    def __init__(
        self, program: str, *arguments: str, core: int, paths: tuple[Path, ...] = (), python: str = sys.executable
    ) -> None:
        self.name = " ".join((program, *arguments[:1]))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
        self._process = subprocess.Popen(
            [python, str(HERE / program), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # an interrupt from the terminal is the bench's affair
            preexec_fn=partial(bind, core),
        )
        self.pid = self._process.pid
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, do: str, **arguments: Any) -> Any:
        """The answer to a request. Raises BenchError when the helper ended or takes too long."""
        self.tell(do, **arguments)
        return self.answer()

    def tell(self, do: str, **arguments: Any) -> None:
        """Send a request; `answer` waits for what it says."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise BenchError(f"{self.name} ended with {self._process.wait()}") from error

    def answer(self) -> Any:
        """The next line the helper says."""
        assert self._process.stdout is not None
        out = self._process.stdout.fileno()
        parts = [self._unread]
        while b"\n" not in parts[-1]:
            if not select.select([out], [], [], _ANSWER_SECONDS)[0]:
                raise BenchError(f"{self.name} does not answer")
            part = os.read(out, 1 << 20)
            if not part:
                raise BenchError(f"{self.name} ended with {self._process.wait()}")
            parts.append(part)
        line, _, self._unread = b"".join(parts).partition(b"\n")
        reply = json.loads(line)
        if isinstance(reply, dict) and "error" in reply:
            raise BenchError(f"{self.name}: {reply['error']}")
        return reply

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def bind(core: int) -> None:
    """In a new process: stay on this core, and end when the bench does, however that ends."""
    os.sched_setaffinity(0, {core})
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def reply(answer: Any) -> None:
    """For helpers: answer the request."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def cpu_ns(pid: int) -> int:
    """The CPU time a whole process has used, all its threads, in ns: its CPU clock, see clock_getcpuclockid(3)."""
    return time.clock_gettime_ns(~pid << 3 | 2)


def waited_ns(pid: int) -> int:
    """How long a process's first thread was ready to run and its core was another's, in ns: proc(5), schedstat."""
    return int(Path(f"/proc/{pid}/schedstat").read_text("ascii").split()[1])


def memory(pid: int) -> Mapping[str, int]:
    """Bytes: rss, pss, uss (private), and peak, the most that rss ever was."""
    found: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()[1:]:
        key, value, *_ = line.split()
        found[key] = int(value) * 1024
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    peak = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
    uss = found["Private_Clean:"] + found["Private_Dirty:"]
    return {"rss": found["Rss:"], "pss": found["Pss:"], "uss": uss, "peak": peak}
