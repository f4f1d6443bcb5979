"""`feeder demo`: an exchange, a feeder and a consumer, three processes, for a few seconds; then the books compared.

The exchange is the simulator (or a recording it replays). The consumer, in this process, follows the multicast like any
other, and at the end asks the simulator for its own book at the very update id the consumer's book stands at.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from feeder.bybit.instruments import InstrumentTable
from feeder.bybit.rest.client import BybitClient
from feeder.client import BookChanged, BookView, FeedEnded, PacketsLost, Subscriber, Traded
from feeder.clock import SystemClock
from feeder.errors import FeederError
from feeder.histogram import Histogram
from feeder.market.fixed_point import format_fixed
from feeder.market.instrument import InstrumentKey
from feeder.market.update import pairs
from feeder.multicast.plan import Line
from feeder.simulator.command import replay_argument
from feeder.simulator.recording import Recording
from feeder.wire.messages import Kind

_RATE = 20  # book updates per second and symbol of the seeded market, on average
_SECONDS = 5.0
_SYMBOLS = 20
_READY_SECONDS = 30.0
_END_SECONDS = 10.0
_LOOK_INTERVAL = 1.0  # seconds between comparisons on the way
_LOOKS = 10  # books compared each time
_TRIES = 5  # a busy book may have left the simulator's memory by the time it is asked for


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `feeder demo`."""
    parser.add_argument("--seconds", type=_seconds, metavar="N", help="how long (default 5, with --listen no end)")
    parser.add_argument("--symbols", type=_count_of_symbols, metavar="N", help="of the seeded market (default 20)")
    parser.add_argument("--listen", action="store_true", help="open the listener on it; it ends when you quit (q)")
    parser.add_argument(
        "--replay", type=replay_argument, action="append", default=[], metavar="CATEGORY=FILE",
        help="replay recordings instead of the seeded market",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86400:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and below a day")
    return seconds


def _count_of_symbols(text: str) -> int:
    count = int(text) if text.isdecimal() else 0
    if not 1 <= count <= 1000:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to 1000")
    return count


@dataclass
class Result:
    """What came through."""

    seconds: float = 0.0
    updates: int = 0
    trades: int = 0
    conflated: int = 0
    holes: int = 0
    books: int = 0
    live: int = 0
    compared: int = 0
    equal: int = 0
    looks: int = 0
    looks_equal: int = 0
    ended_cleanly: bool = False
    counting: bool = False
    latency: Histogram = field(default_factory=Histogram)
    problems: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """Count from here."""
        self.updates = self.trades = self.conflated = 0
        self.latency = Histogram()
        self.counting = True

    def end(self, seconds: float) -> None:
        """Count no more: comparing the books loads this process, and is no part of what was watched."""
        self.counting = False
        self.seconds = seconds

    @property
    def good(self) -> bool:
        """Whether every book was LIVE and equal, every time anybody looked."""
        return (
            0 < self.books == self.live == self.equal == self.compared
            and self.looks == self.looks_equal
            and self.updates > 0
            and self.ended_cleanly
            and not self.problems
        )


async def run(args: argparse.Namespace) -> int:
    """The whole demonstration; 0 only if all books are equal."""
    if args.replay and args.symbols is not None:
        raise FeederError("--replay plays the symbols that were recorded; leave --symbols out, or --replay")
    result = Result()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="feeder-demo-")))
        source = [f"--replay={category}={path}" for category, path in args.replay]
        count = args.symbols or _SYMBOLS
        source = source or [f"--symbols={count}", f"--updates-per-second={_RATE * count}"]
        simulator = await stack.enter_async_context(_process(folder, "sim", "--port=0", "--rest-port=0", *source))
        websocket_url, rest_url = await _addresses(simulator, folder / "sim.log")
        recorded = _recorded(args.replay)
        settings = _settings(folder, recorded, websocket_url, rest_url)
        config = folder / "feeder.yaml"
        config.write_text(yaml.safe_dump(settings), encoding="utf-8")
        http = await stack.enter_async_context(aiohttp.ClientSession())
        books = [(category, symbol) for (category, _), symbols in recorded.items() for symbol in symbols]
        if not books:
            client = await stack.enter_async_context(BybitClient(base_url=rest_url))
            table = InstrumentTable(client, clock=SystemClock())
            for failure in (await table.load({"linear": None})).values():
                raise failure
            books = [("linear", symbol) for symbol in table.symbols("linear")]
        lines = [Line(name, line["group"], line["interface"]) for name, line in settings["multicast"]["lines"].items()]
        consumer = Subscriber(books, lines=lines, port=settings["multicast"]["port"])
        _count(consumer, result)
        await stack.enter_async_context(consumer)
        feeder = await stack.enter_async_context(_process(folder, "run", f"--config={config}"))
        views = [consumer.book(*key) for key in books]
        result.books = len(views)
        await _all_live(views, feeder, folder / "run.log")
        seconds = args.seconds or (None if args.listen else _SECONDS)
        if not args.json:
            port = settings["multicast"]["port"]
            print(f"{len(views)} books LIVE; `feeder-listen --port {port}` would hear them too", flush=True)
            print(f"watching for {seconds:g} s" if seconds else "watching until you quit the listener", flush=True)
        result.begin()
        watching = asyncio.ensure_future(_watch(views, http, rest_url, result))
        start = SystemClock().monotonic()
        if args.listen:
            await _listen(config, seconds, result)
        else:
            await asyncio.sleep(seconds or _SECONDS)
        result.end(SystemClock().monotonic() - start)
        watching.cancel()
        await asyncio.wait([watching])
        if not watching.cancelled():
            watching.result()
        result.live = sum(view.is_live for view in views)
        at_once = asyncio.Semaphore(_LOOKS)

        async def compare(view: BookView) -> None:
            async with at_once:
                equal = await _compare(view, http, rest_url, result.problems)
            result.equal += equal
            result.compared += 1

        await asyncio.gather(*map(compare, views))
        await _end(feeder, result)
        last_words = _last_words(folder / "run.log")
    _report(args, result, last_words)
    return 0 if result.good else 1


# The processes --------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _process(folder: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m feeder ...`, its log in the folder; ended at the end."""
    # The file is the child's for as long as it lives.
    with (folder / f"{arguments[0]}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "feeder", *arguments, stdout=asyncio.subprocess.PIPE, stderr=log
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _END_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()


def _last_words(log: Path) -> str:
    """What a process said last."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


async def _addresses(simulator: asyncio.subprocess.Process, log: Path) -> tuple[str, str]:
    """The simulator's addresses, from the line it prints when it is ready."""
    assert simulator.stdout is not None
    line = (await asyncio.wait_for(simulator.stdout.readline(), _READY_SECONDS)).decode()
    words = dict(word.split("=", 1) for word in line.split() if "=" in word)
    if not {"websocket", "rest"} <= words.keys():
        await simulator.wait()
        raise FeederError(f"the simulator did not start: {_last_words(log)}")
    return words["websocket"], words["rest"]


def _settings(
    folder: Path, recorded: dict[tuple[str, int], list[str]], websocket_url: str, rest_url: str
) -> dict[str, Any]:
    """A configuration on loopback whose ports no other demonstration on this machine uses at the same time."""
    subscriptions: list[dict[str, Any]] = [
        {"category": category, "depth": depth, "trades": True, "symbols": symbols}
        for (category, depth), symbols in sorted(recorded.items())
    ] or [{"category": "linear", "depth": 50, "trades": True, "symbols": "all"}]
    return {
        "exchange": {"websocket_url": websocket_url, "rest_url": rest_url},
        "subscriptions": subscriptions,
        "multicast": {
            "port": 22000 + os.getpid() % 500 * 80,
            "lines": {
                "A": {"group": "239.77.0.0", "interface": "127.0.0.1"},
                "B": {"group": "239.78.0.0", "interface": "127.0.0.1"},
            },
        },
        "state": {"directory": str(folder / "state")},
        "freshness": {"max_lag_seconds": None} if recorded else {},
        "telemetry": {"listen": None, "counters": str(folder / "counters.dat")},
        "control": {"socket": str(folder / "control.sock")},
        "log": {"format": "json"},
    }


def _recorded(replays: Iterable[tuple[str, Path]]) -> dict[tuple[str, int], list[str]]:
    """(category, depth) -> symbols of the recordings; of a symbol recorded at several depths the deepest."""
    depths: dict[InstrumentKey, int] = {}
    for category, path in replays:
        for topic in Recording.load(category, path).topics:
            kind, _, rest = topic.partition(".")
            depth, _, symbol = rest.partition(".")
            if kind == "orderbook":
                depths[category, symbol] = max(int(depth), depths.get((category, symbol), 0))
    found: dict[tuple[str, int], list[str]] = {}
    for (category, symbol), deepest in sorted(depths.items()):
        found.setdefault((category, deepest), []).append(symbol)
    return found


async def _listen(config: Path, seconds: float | None, result: Result) -> None:
    """The listener in this terminal, until its user quits or the time is over."""
    program = "import sys; from feeder.listen.cli import main; sys.exit(main())"
    listener = await asyncio.create_subprocess_exec(sys.executable, "-c", program, "--config", str(config))
    try:
        async with asyncio.timeout(seconds):
            if await listener.wait():
                result.problems.append("the listener could not be shown")
    except TimeoutError:
        pass
    finally:
        if listener.returncode is None:
            listener.terminate()
            await listener.wait()


async def _end(feeder: asyncio.subprocess.Process, result: Result) -> None:
    """SIGTERM; a feeder that ends well says so on the wire and with its exit code."""
    feeder.terminate()
    try:
        code = await asyncio.wait_for(feeder.wait(), _END_SECONDS)
    except TimeoutError:
        result.problems.append("the feeder did not end on SIGTERM")
        return
    if code:
        result.problems.append(f"the feeder ended with exit code {code}")
    elif not result.ended_cleanly:
        result.problems.append("no end of session was heard")


# What the consumer sees -----------------------------------------------------------------------------------------------


def _count(consumer: Subscriber, result: Result) -> None:
    wall_ns = SystemClock().wall_ns

    def on_book(event: BookChanged) -> None:
        if event.deltas and result.counting:
            result.updates += 1
            result.conflated += event.view.conflated
            result.latency.record(wall_ns() - event.deltas[-1].receive_time_ns)

    def on_trade(_: Traded) -> None:
        result.trades += result.counting

    def on_hole(event: PacketsLost) -> None:
        result.holes += event.kind is Kind.BOOKS

    def on_end(_: FeedEnded) -> None:
        result.ended_cleanly = True

    consumer.on(BookChanged, on_book)
    consumer.on(Traded, on_trade)
    consumer.on(PacketsLost, on_hole)
    consumer.on(FeedEnded, on_end)


async def _all_live(views: list[BookView], feeder: asyncio.subprocess.Process, log: Path) -> None:
    clock = SystemClock()
    end = clock.monotonic() + _READY_SECONDS
    while not all(view.is_live for view in views):
        if feeder.returncode is not None:
            raise FeederError(f"the feeder ended at once, with exit code {feeder.returncode}: {_last_words(log)}")
        if clock.monotonic() > end:
            missing = [":".join(view.key or ("?", str(view.instrument_id))) for view in views if not view.is_live]
            raise FeederError(f"{len(missing)} of {len(views)} books never came LIVE, {missing[0]} among them")
        await asyncio.sleep(0.05)


async def _watch(views: list[BookView], http: aiohttp.ClientSession, rest_url: str, result: Result) -> None:
    """Compare some books each second, while everything moves."""
    turn = 0
    while True:
        await asyncio.sleep(_LOOK_INTERVAL)
        for view in [views[(turn + n) % len(views)] for n in range(min(_LOOKS, len(views)))]:
            equal = await _compare(view, http, rest_url, result.problems)
            result.looks += 1
            result.looks_equal += equal
        turn += _LOOKS


async def _compare(view: BookView, http: aiohttp.ClientSession, rest_url: str, problems: list[str]) -> bool:
    """Whether the view equals the simulator's book at the view's update id."""
    assert view.key is not None
    category, symbol = view.key
    for _ in range(_TRIES):
        update_id, ours = view.venue_update_id, _decimals(view)
        url = f"{rest_url}/simulator/books/{category}/{symbol}"
        async with http.get(url, params={"u": str(update_id)}) as reply:
            if reply.status != 200:
                reason = await reply.text()
                continue
            book = await reply.json()
        theirs = tuple([(Decimal(p), Decimal(q)) for p, q in book[side]] for side in ("bids", "asks"))
        if theirs == ours:
            return True
        problems.append(f"{category} {symbol} differs at update {update_id}")
        return False
    problems.append(f"{category} {symbol} could not be compared: {reason}")
    return False


def _decimals(view: BookView) -> tuple[list[tuple[Decimal, Decimal]], ...]:
    levels = view.depth()
    return tuple(
        [
            (
                Decimal(format_fixed(price, view.price_exponent)),
                Decimal(format_fixed(quantity, view.quantity_exponent)),
            )
            for price, quantity in pairs(side)
        ]
        for side in (levels.bids, levels.asks)
    )


# The report -----------------------------------------------------------------------------------------------------------


def _report(args: argparse.Namespace, result: Result, last_words: str) -> None:
    microseconds = {f"p{p:g}": result.latency.percentile(p) / 1000 for p in (50, 90, 99, 99.9)}
    microseconds["max"] = result.latency.maximum / 1000
    rate = result.updates / result.seconds if result.seconds else 0.0
    if args.json:
        print(
            json.dumps(
                {
                    "seconds": round(result.seconds, 3),
                    "updates": result.updates,
                    "updates_per_second": round(rate, 1),
                    "trades": result.trades,
                    "conflated": result.conflated,
                    "holes": result.holes,
                    "latency_us": microseconds,
                    "books": result.books,
                    "live": result.live,
                    "equal": result.equal,
                    "looks": result.looks,
                    "looks_equal": result.looks_equal,
                    "problems": result.problems,
                    "ok": result.good,
                }
            )
        )
        return
    print(f"updates    {result.updates:,} in {result.seconds:.1f} s ({rate:,.0f}/s), {result.conflated} conflated")
    print(f"trades     {result.trades:,}")
    print("latency    " + ", ".join(f"{k} {v / 1000:.2f} ms" for k, v in microseconds.items()))
    print("           from the feeder's exchange socket to the consumer's book")
    print(f"holes      {result.holes}")
    print(
        f"books      {result.live} of {result.books} LIVE, {result.equal} equal to the simulator's at the same update"
    )
    print(f"           and {result.looks_equal} of {result.looks} equal when looked at on the way")
    for problem in result.problems:
        print(f"problem    {problem}")
    print("all books equal" if result.good else "NOT ALL GOOD")
    if not result.good:
        print(f"the feeder's last words: {last_words}", file=sys.stderr)
