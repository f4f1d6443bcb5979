"""The soak's programs: exchange, feeder, reference, consumers; processes of their own, ended with the soak."""

import asyncio
import ctypes
import os
import signal
import sys
import time
import urllib.request
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import msgspec
import yaml
from soak_records import Settings, Tail

READY_SECONDS = 60.0
_END_SECONDS = 15.0
_PR_SET_PDEATHSIG = 1  # prctl(2)
_prctl = ctypes.CDLL(None).prctl
_TOOLS = Path(__file__).parent
PARTITIONS = 4
LINES = (("A", "239.77.0.0", "127.0.0.1"), ("B", "239.78.0.0", "127.0.0.1"))


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


@dataclass(frozen=True)
class Market:
    """What the exchange lists and how much of it moves."""

    symbols: int
    rate: float
    seed: int
    upstream: tuple[dict[str, Any], ...] = ()  # entries of a script of faults (feeder/simulator/script.py)


class Consumer:
    """A consumer's process and the file of what it sees."""

    def __init__(self, name: str, program: Program, records: Path, started: float) -> None:
        self.name = name
        self.program = program
        self.tail = Tail(records)
        self.started = started


class Stage:
    """Everything of one script, on ports of its own. `close` ends whatever runs."""

    def __init__(self, folder: Path, package: Path, port: int, market: Market, settings: Mapping[str, Any]) -> None:
        self.folder = folder
        self.feeder: Program | None = None
        self.simulator: Program | None = None
        self.consumers: dict[str, Consumer] = {}
        self.books: dict[int, tuple[str, str]] = {}
        self._package = package
        self._port = port
        self._market = market
        self._settings = settings
        self._rest = self._websocket = ""
        self._count = 0

    async def open(self) -> None:
        """Start the exchange."""
        market = self._market
        script = self.folder / "faults.yaml"
        script.write_text(yaml.safe_dump(list(market.upstream)), "utf-8")
        self.simulator = await self._start(
            "simulator",
            *("-m", "feeder", "sim", "--port=0", "--rest-port=0", f"--symbols={market.symbols}"),
            *(f"--updates-per-second={market.rate}", f"--seed={market.seed}", "--categories=linear,spot"),
            f"--faults={script}",
        )
        line = await self.simulator.line()
        words = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if not {"websocket", "rest"} <= words.keys():
            raise SoakError(f"the simulator did not start: {self.simulator.last_words}")
        self._websocket, self._rest = words["websocket"], words["rest"]
        for category in ("linear", "spot"):
            told = await asyncio.to_thread(self._get, f"/v5/market/instruments-info?category={category}&limit=1000")
            for each in told["result"]["list"]:
                self.books[zlib.crc32(f"{category}:{each['symbol']}".encode("ascii"))] = (category, each["symbol"])

    async def start_feeder(self) -> None:
        """`feeder run`; also again, after it was killed."""
        settings: dict[str, Any] = {
            "exchange": {"websocket_url": self._websocket, "rest_url": self._rest},
            "subscriptions": [{"category": category, "symbols": "all"} for category in ("linear", "spot")],
            "multicast": {
                "port": self._port,
                "end_of_session_seconds": 0.3,
                "lines": {name: {"group": group, "interface": address} for name, group, address in LINES},
            },
            "state": {"directory": str(self.folder / "state")},
            "telemetry": {"listen": None, "counters": str(self.folder / "counters.dat")},
            "control": {"socket": str(self.folder / "control.sock")},
            **self._settings,
        }
        path = self.folder / "feeder.yaml"
        path.write_text(yaml.safe_dump(settings), "utf-8")
        self.feeder = await self._start("feeder", "-m", "feeder", "run", f"--config={path}")

    async def start_consumer(self, name: str, *, everything: bool, **settings: Any) -> Consumer:
        """A consumer, or the reference; of every book by its name, or of everything that there is."""
        self._count += 1
        records = self.folder / f"{name}-{self._count}.jsonl"
        told = Settings(
            name=name,
            records=str(records),
            port=self._port,
            lines=list(LINES),
            partitions=PARTITIONS,
            books=len(self.books),
            instruments=None if everything else list(self.books.values()),
            **settings,
        )
        text = msgspec.json.encode(told).decode()
        program = await self._start(name, str(_TOOLS / "soak_consumer.py"), text)
        consumer = Consumer(name, program, records, time.monotonic())
        self.consumers[name] = consumer
        return consumer

    async def close(self) -> None:
        """Nothing is left running."""
        for program in self._programs():
            if program.running:
                program.process.send_signal(signal.SIGCONT)
                await program.kill()

    def check(self) -> None:
        """SoakError when something ended by itself."""
        for program in self._programs():
            if not program.running:
                raise SoakError(f"{program.log.stem} ended with {program.process.returncode}: {program.last_words}")

    def checksums(self, book: int) -> list[tuple[int, int, int]]:
        """(u, seq, checksum) of a book's updates as the exchange remembers them. Blocks."""
        category, symbol = self.books[book]
        told = self._get(f"/simulator/checksums/{category}/{symbol}")["checksums"]
        return [(u, seq, checksum) for u, seq, checksum in told]

    def faults_done(self) -> list[dict[str, Any]]:
        """What went wrong at the exchange so far. Blocks."""
        faults: list[dict[str, Any]] = self._get("/simulator/faults")["faults"]
        return faults

    def _programs(self) -> Iterator[Program]:
        for consumer in self.consumers.values():
            yield consumer.program
        for program in (self.feeder, self.simulator):
            if program is not None:
                yield program

    async def _start(self, name: str, *arguments: str) -> Program:
        return await Program.start(arguments, self.folder / f"{name}.log", self._package)

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self._rest + path, timeout=30) as reply:
            return msgspec.json.decode(reply.read())


@contextmanager
def stopped(program: Program) -> Iterator[None]:
    """The process stands still meanwhile (SIGSTOP, SIGCONT)."""
    program.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        program.process.send_signal(signal.SIGCONT)
