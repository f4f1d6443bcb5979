"""A process in the soak's care: started with a given feeder package, ended with the soak."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

READY_SECONDS = 60.0
_END_SECONDS = 15.0
_PR_SET_PDEATHSIG = 1  # prctl(2)
_prctl = ctypes.CDLL(None).prctl


class SoakError(Exception):
    """The soak cannot go on; the text says why."""


class Program:
    """A process in the soak's care. Its standard error goes to a file."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.log = log

    @classmethod
    async def start(cls, arguments: Sequence[str], log: Path, package: Path) -> Self:
        """Python with these arguments, and the feeder package of that checkout."""
        environment = {**os.environ, "PYTHONPATH": str(package), "PYTHONUNBUFFERED": "1"}
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env=environment,
                start_new_session=True,  # an interrupt from the terminal is the soak's affair
                preexec_fn=_die_with_parent,
            )
        return cls(process, log)

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.returncode is None

    def tell(self, line: str) -> None:
        """A line for its standard input; one that has ended hears nothing."""
        if self.running and self.process.stdin is not None and not self.process.stdin.is_closing():
            self.process.stdin.write(line.encode() + b"\n")

    async def line(self) -> str:
        """The next line it prints, empty at its end."""
        assert self.process.stdout is not None
        return (await asyncio.wait_for(self.process.stdout.readline(), READY_SECONDS)).decode()

    async def kill(self) -> None:
        """As `kill -9`."""
        if self.running:
            self.process.kill()
        await self.process.wait()

    async def terminate(self) -> int:
        """SIGTERM, and the exit code. SoakError when it does not end."""
        if self.running:
            self.process.terminate()
        return await self.ended()

    async def ended(self) -> int:
        """The exit code of one that was told to end. SoakError when it does not."""
        try:
            return await asyncio.wait_for(self.process.wait(), _END_SECONDS)
        except TimeoutError:
            await self.kill()
            raise SoakError(f"{self.log.stem} did not end within {_END_SECONDS:.0f} s") from None

    @property
    def rss(self) -> int:
        """Bytes of it in memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGESIZE")

    @property
    def last_words(self) -> str:
        """The end of its log."""
        text = self.log.read_text("utf-8", errors="replace").strip()
        return text[-2000:] or "it said nothing"


def _die_with_parent() -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def stopped(program: Program) -> Iterator[None]:
    """The process stands still meanwhile (SIGSTOP, SIGCONT)."""
    program.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        program.process.send_signal(signal.SIGCONT)
