"""The soak's programs: exchange, feeder, reference, consumers; processes of their own, ended with the soak."""

import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml
from soak_exchange import Exchange
from soak_program import Program, SoakError
from soak_records import Settings, Tail

from feeder.market.instrument import InstrumentKey

_TOOLS = Path(__file__).parent
PARTITIONS = 4
LINES = (("A", "239.77.0.0", "127.0.0.1"), ("B", "239.78.0.0", "127.0.0.1"))


class Consumer:
    """A consumer's process and the file of what it sees."""

    def __init__(self, name: str, program: Program, records: Path, started: float) -> None:
        self.name = name
        self.program = program
        self.tail = Tail(records)
        self.started = started


class Stage:
    """Everything of one script, on ports of its own. `close` ends whatever runs."""

    def __init__(self, folder: Path, package: Path, port: int, exchange: Exchange, settings: Mapping[str, Any]) -> None:
        self.folder = folder
        self.feeder: Program | None = None
        self.consumers: dict[str, Consumer] = {}
        self._package = package
        self._port = port
        self.exchange = exchange
        self._settings = settings
        self._count = 0

    async def open(self) -> None:
        """Start the exchange."""
        await self.exchange.start(self._start, self.folder)

    @property
    def books(self) -> Mapping[int, InstrumentKey]:
        """What there is, by instrumentId."""
        return self.exchange.books

    async def start_feeder(self) -> None:
        """`feeder run`; also again, after it was killed."""
        settings: dict[str, Any] = {
            "exchange": {"websocket_url": self.exchange.websocket, "rest_url": self.exchange.rest},
            "subscriptions": self.exchange.subscriptions,
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

    def _programs(self) -> Iterator[Program]:
        for consumer in self.consumers.values():
            yield consumer.program
        for program in (self.feeder, self.exchange.program):
            if program is not None:
                yield program

    async def _start(self, name: str, *arguments: str) -> Program:
        return await Program.start(arguments, self.folder / f"{name}.log", self._package)
