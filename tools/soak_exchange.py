"""The exchanges of the soak, and what they say of their own books.

The simulator misbehaves on demand and tells the checksum of every recent update. The bench's load is cheap enough for
thousands of updates a second for an hour; its books repeat, so what they were can be worked out here at any time.
"""

import asyncio
import json
import urllib.request
import zlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec
import yaml
from bench_market import FIRST_UPDATE, Shape, markets
from soak_program import Program, SoakError

from feeder.market.instrument import InstrumentKey

Run = Callable[..., Awaitable[Program]]
"""Starts a program: its name, then the interpreter's arguments."""

Checksum = tuple[int, int, int]
"""u, seq, and the CRC-32 of the levels as text, as `feeder sim` makes it."""

_CATEGORIES = ("linear", "spot")
_TOOLS = Path(__file__).parent


class Exchange(Protocol):
    """Where the feeder connects to. `books`: every book by its instrumentId."""

    program: Program | None
    websocket: str
    rest: str
    books: dict[int, InstrumentKey]
    subscriptions: list[dict[str, Any]]

    async def start(self, run: Run, folder: Path) -> None:
        """Ready for the feeder. SoakError when it is not."""
        ...

    def checksums(self, book: int, wanted: Iterable[tuple[int, int]]) -> list[Checksum]:
        """What is known of a book, at the (u, seq) that are wanted and perhaps others, oldest first. May block."""
        ...


@dataclass(frozen=True)
class Market:
    """What the simulator lists and how much of it moves."""

    symbols: int
    rate: float
    seed: int
    faults: tuple[dict[str, Any], ...] = ()  # entries of a script (feeder/simulator/script.py)


class Simulator:
    """`feeder sim`."""

    def __init__(self, market: Market) -> None:
        self.program: Program | None = None
        self.websocket = self.rest = ""
        self.books: dict[int, InstrumentKey] = {}
        self.subscriptions = [{"category": category, "symbols": "all"} for category in _CATEGORIES]
        self._market = market

    async def start(self, run: Run, folder: Path) -> None:
        """Until it listens."""
        market = self._market
        script = folder / "faults.yaml"
        script.write_text(yaml.safe_dump(list(market.faults)), "utf-8")
        self.program = await run(
            "simulator",
            *("-m", "feeder", "sim", "--port=0", "--rest-port=0", f"--symbols={market.symbols}"),
            *(f"--updates-per-second={market.rate}", f"--seed={market.seed}", f"--categories={','.join(_CATEGORIES)}"),
            f"--faults={script}",
        )
        line = await self.program.line()
        words = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if not {"websocket", "rest"} <= words.keys():
            raise SoakError(f"the simulator did not start: {self.program.last_words}")
        self.websocket, self.rest = words["websocket"], words["rest"]
        for category in _CATEGORIES:
            told = await asyncio.to_thread(self._get, f"/v5/market/instruments-info?category={category}&limit=1000")
            self.books |= {_id(category, each["symbol"]): (category, each["symbol"]) for each in told["result"]["list"]}

    def checksums(self, book: int, wanted: Iterable[tuple[int, int]]) -> list[Checksum]:
        """Every update that it remembers."""
        category, symbol = self.books[book]
        return [tuple(each) for each in self._get(f"/simulator/checksums/{category}/{symbol}")["checksums"]]

    def faults_done(self) -> int:
        """How many things it was told to do wrong it has done. Blocks."""
        return len(self._get("/simulator/faults")["faults"])

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self.rest + path, timeout=30) as reply:
            return msgspec.json.decode(reply.read())


class Load:
    """tools/bench_load.py. It sends nothing but snapshots until `begin`."""

    def __init__(self, shape: Shape) -> None:
        self.program: Program | None = None
        self.websocket = self.rest = ""
        self.subscriptions = [{"category": "linear", "symbols": "all", "depth": shape.depth, "trades": False}]
        self._shape = shape
        self._markets = {_id("linear", market.symbol): market for market in markets(shape)}
        self.books = {book: ("linear", market.symbol) for book, market in self._markets.items()}
        self._known: dict[tuple[int, int], int] = {}

    async def start(self, run: Run, folder: Path) -> None:
        """Until it listens."""
        self.program = await run("load", str(_TOOLS / "bench_load.py"), json.dumps(asdict(self._shape)))
        told = await self._answer()
        self.websocket, self.rest = told["websocket"], told["rest"]

    async def begin(self, rate: float) -> None:
        """So many updates a second from here on, together each 20 ms as the venue sends them."""
        await self._ask({"do": "start", "rate": rate, "grid_ms": 20})

    async def sent(self) -> int:
        """Updates since the last time, or the begin."""
        told: int = (await self._ask({"do": "mark"}))["messages"]
        return told

    def checksums(self, book: int, wanted: Iterable[tuple[int, int]]) -> list[Checksum]:
        """Worked out: `u` says how many updates there were; `seq` is taken at its word."""
        return [(u, seq, self._checksum(book, (u - FIRST_UPDATE) % self._shape.cycle)) for u, seq in wanted]

    def _checksum(self, book: int, messages: int) -> int:
        known = self._known.get((book, messages))
        if known is None:
            levels = (
                f"{_plain(price)}:{_plain(size)};"
                for side in self._markets[book].book(messages)
                for price, size in side
            )
            known = self._known[book, messages] = zlib.crc32("".join(levels).encode("ascii"))
        return known

    async def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self.program is not None
        self.program.tell(json.dumps(command))
        return await self._answer()

    async def _answer(self) -> dict[str, Any]:
        assert self.program is not None
        line = await self.program.line()
        if not line:
            raise SoakError(f"the load ended: {self.program.last_words}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _id(category: str, symbol: str) -> int:
    """The instrumentId, as PROTOCOL.md says; not by feeder's own code, which is under test."""
    return zlib.crc32(f"{category}:{symbol}".encode("ascii"))


def _plain(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text
