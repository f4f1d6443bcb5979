"""The listener as a person starts it: a process of its own, a publisher on loopback, pipes, signals, a terminal."""

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import signal
import struct
import sys
import termios
from collections.abc import AsyncIterator, Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from feeder.book.order_book import OrderBook
from feeder.clock import SystemClock
from feeder.market.instrument import Instrument, instrument_id
from feeder.market.status import BookStatus, StatusReason
from feeder.market.update import BookUpdate
from feeder.multicast.book_publisher import BookPublisher
from feeder.multicast.channel import LineSender
from feeder.multicast.plan import Channel, ChannelPlan
from feeder.multicast.publisher import Publisher
from feeder.multicast.sockets import open_sender

PROGRAM = Path(__file__).parents[2] / "tools" / "listen.py"
PORT = 24000 + os.getpid() % 200 * 40  # several test runs on one machine do not hear each other
PLAN = ChannelPlan(partitions=2, port=PORT)
WHERE = ("--port", str(PORT), "--partitions", "2")
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT")
DEADLINE = 20


class Feeder:
    """Books that change all the time until they are told to rest."""

    def __init__(self) -> None:
        self.senders: list[LineSender] = []
        self.publisher = Publisher(PLAN, self._open, SystemClock(), asyncio.get_running_loop().call_soon)
        self.publisher.complete = True
        self.books: dict[str, tuple[BookPublisher, OrderBook]] = {}
        for symbol in SYMBOLS:
            number = instrument_id("linear", symbol)
            publisher = self.publisher.add(Instrument("linear", symbol, number, -2, -3, 10, 1), 50)
            book = OrderBook(50)
            book.apply_snapshot([n for i in range(50) for n in (6000 - 10 * i, i + 1)], [6010, 7, 6020, 9])
            publisher.restart(book, update(1, snapshot=True))
            self.books[symbol] = publisher, book
        self.resting = False
        self._step = 1

    def _open(self, channel: Channel) -> list[LineSender]:
        senders = [LineSender(end.line, open_sender(end, ttl=1, loop=True)) for end in channel.endpoints]
        self.senders += senders
        return senders

    async def run(self) -> None:
        while True:
            await asyncio.sleep(0.01)
            self.publisher.tick(SystemClock().monotonic())
            self._step += 1
            if not self.resting:
                for publisher, book in self.books.values():
                    if publisher.state is BookStatus.LIVE:
                        bids = [6000 - 10 * (self._step % 9), self._step]
                        book.apply_delta(bids, [])
                        publisher.delta(update(self._step), bids, [])


def update(number: int, *, snapshot: bool = False) -> BookUpdate:
    return BookUpdate(snapshot, [], [], number, number, 10 * number, number, number, number)


@contextlib.asynccontextmanager
async def feeding() -> AsyncIterator[Feeder]:
    feeder = Feeder()
    task = asyncio.create_task(feeder.run())
    try:
        yield feeder
    finally:
        task.cancel()
        await asyncio.wait([task])
        for sender in feeder.senders:
            sender.close()


@contextlib.asynccontextmanager
async def started(*arguments: str, **how: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE} | how
    process = await asyncio.create_subprocess_exec(sys.executable, str(PROGRAM), *arguments, *WHERE, **pipes)
    try:
        async with asyncio.timeout(DEADLINE):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def listen(*arguments: str) -> tuple[int | None, list[Any], str]:
    """Exit code, lines of standard output (objects if --json), standard error."""
    async with started(*arguments) as process:
        out, error = await process.communicate()
    lines = out.decode().splitlines()
    return process.returncode, [json.loads(x) for x in lines] if "--json" in arguments else lines, error.decode()


async def until(condition: Callable[[], bool]) -> None:
    """What another process does can only be looked at; the caller has a deadline."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def test_once_over_all_instruments_has_every_book_of_the_feeder_whole():
    async with feeding() as feeder:
        feeder.resting = True
        code, books, error = await listen("--json", "--once")
        assert (code, error) == (0, "")
        assert [book["symbol"] for book in books] == sorted(SYMBOLS)
        for told in books:
            publisher, book = feeder.books[told["symbol"]]
            levels = book.levels()
            for side, flat in (("bids", levels.bids), ("asks", levels.asks)):
                assert told[side] == [
                    [f"{p / 100:.2f}", f"{q / 1000:.3f}"] for p, q in zip(flat[::2], flat[1::2], strict=True)
                ]
            assert told["checksum"] == book.checksum()
            assert told["instrument_sequence"] == publisher.sequence
            assert (told["event"], told["status"]) == ("book", "LIVE")


async def test_once_names_the_books_that_are_missing_and_prints_the_others():
    async with feeding() as feeder:
        feeder.books["ETHUSDT"][0].status(BookStatus.STALE, StatusReason.GAP)
        code, books, error = await listen("--json", "--once", "--timeout", "3", "btcusdt", "ETHUSDT", "spot:BTCUSDT")
        assert code == 1
        assert [(b["category"], b["symbol"], b["status"]) for b in books] == [
            ("linear", "BTCUSDT", "LIVE"),
            ("linear", "ETHUSDT", "STALE"),
            ("spot", "BTCUSDT", "JOINING"),
        ]
        assert "linear:ETHUSDT (STALE: GAP), spot:BTCUSDT (not published by this feeder)" in error


async def test_once_without_json_is_a_table():
    async with feeding():
        code, lines, _ = await listen("--once")
        assert code == 0
        assert [line.split()[1:3] for line in lines[1:]] == [[symbol, "LIVE"] for symbol in sorted(SYMBOLS)]
        code, lines, _ = await listen("--once", "--levels", "2", "BTCUSDT")
        assert code == 0
        assert lines[0] == " linear BTCUSDT  LIVE"
        assert any("spread 0.10 (1 tick)" in line for line in lines)


async def test_where_no_feeder_is_heard_it_says_where_it_listens():
    code, _, error = await listen("--once", "--timeout", "0.3")
    assert code == 1
    assert f"line A: groups 239.77.0.0 to 239.77.0.20, UDP ports {PORT} to {PORT + 20}, interface 127.0.0.1" in error


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_stream_is_one_object_per_line_and_a_signal_ends_it_with_0(number):
    async with feeding(), started("--json", "BTCUSDT") as process:
        assert process.stdout is not None
        events = []
        while sum(event["event"] == "book" for event in events) < 20:
            events.append(json.loads(await process.stdout.readline()))
        process.send_signal(number)
        out, error = await process.communicate()
        assert (process.returncode, error) == (0, b"")
        events += [json.loads(line) for line in out.splitlines()]
        books = [event for event in events if event["event"] == "book"]
        assert {book["symbol"] for book in books} == {"BTCUSDT"}
        sequences = [book["instrument_sequence"] for book in books]
        assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))


@contextlib.contextmanager
def pipe() -> Iterator[tuple[FileIO, FileIO]]:
    """A pipe whose ends may be closed before."""
    read, write = os.pipe()
    with FileIO(read) as reader, FileIO(write, "w") as writer:
        yield reader, writer


def waiting_in(reader: FileIO) -> int:
    """Bytes that nobody has read yet."""
    (count,) = struct.unpack("i", fcntl.ioctl(reader, termios.FIONREAD, bytes(4)))
    return int(count)


@pytest.mark.parametrize("arguments", [("--json",), ("--stats", "--json")])
async def test_a_reader_that_leaves_ends_it_quietly_with_0(arguments):
    with pipe() as (reader, writer):
        async with feeding(), started(*arguments, stdout=writer) as process:
            writer.close()
            await until(lambda: waiting_in(reader) > 0)
            reader.close()
            _, error = await process.communicate()
            assert (process.returncode, error) == (0, b"")


async def test_a_reader_that_does_not_read_does_not_keep_a_signal_from_ending_it():
    with pipe() as (reader, writer):
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        async with feeding(), started("--json", stdout=writer) as process:
            writer.close()
            await until(lambda: waiting_in(reader) > 3000)  # no other line goes into it
            process.terminate()
            assert await process.wait() == 0


@pytest.mark.parametrize("arguments", [("--once", "--json"), ("--once",), ("--json",), ("--stats",)])
async def test_an_output_that_cannot_be_written_is_not_blamed_on_the_network(arguments):
    with open("/dev/full", "wb") as full:  # noqa: ASYNC230, PTH123 - a device, which never blocks
        async with feeding(), started(*arguments, stdout=full) as process:
            _, error = await process.communicate()
    assert process.returncode == 1
    assert error.decode() == "feeder-listen: standard output cannot be written: No space left on device\n"


@pytest.mark.parametrize("mode", ["--json", "--stats"])
async def test_a_name_that_the_feeder_does_not_publish_is_told_once_and_listened_for(mode):
    async with feeding(), started(mode, "NOSUCH", "BTCUSDT", stdout=asyncio.subprocess.DEVNULL) as process:
        assert process.stderr is not None
        said = await process.stderr.readline()
        assert said.startswith(b"feeder-listen: linear:NOSUCH is not published")
        with pytest.raises(TimeoutError):  # nothing more is said, and it goes on
            await asyncio.wait_for(process.stderr.readline(), 3.5)
        process.terminate()
        assert await process.wait() == 0


async def test_stats_once_has_every_channel_and_line():
    async with feeding():
        code, objects, _ = await listen("--stats", "--once", "--json")
        assert code == 0
        channels = [o for o in objects if o["event"] == "channel"]
        assert [c["channel_id"] for c in channels] == [0, 1, 2, 3, 4, 16, 17, 18, 19, 20]
        for channel in channels:
            assert channel["lines"]["A"]["packets"] > 0
            assert channel["lines"]["A"]["missing"] == channel["holes"] == channel["malformed"] == 0
        assert sum(o["live"] for o in objects if o["event"] == "partition") == len(SYMBOLS)
        code, lines, _ = await listen("--stats", "--once", "BTCUSDT")
        assert code == 0
        assert "packets/s" in lines[0] or "pkt/s" in lines[0]


async def test_everything_but_the_screens_works_without_textual():
    program = (
        "import sys; sys.modules.update(textual=None, rich=None); from feeder.listen.cli import main; exit(main())"
    )
    async with feeding():
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, "--once", "--json", "BTCUSDT", *WHERE, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()  # ends by itself after its own --timeout
        assert process.returncode == 0
        assert json.loads(out)["status"] == "LIVE"


class Terminal:
    """A pseudo-terminal of 80 by 24 and what was written to it."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.shown = bytearray()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.master, lambda: self.shown.extend(os.read(self.master, 65536)))

    def close(self) -> None:
        self._loop.remove_reader(self.master)
        os.close(self.master)
        os.close(self.slave)

    def streams(self) -> dict[str, Any]:
        environment = os.environ | {"TERM": "xterm-256color"}
        return {"stdin": self.slave, "stdout": self.slave, "stderr": self.slave, "env": environment}


@pytest.fixture
async def terminal() -> AsyncIterator[Terminal]:
    opened = Terminal()
    yield opened
    opened.close()


async def test_statistics_are_redrawn_in_place_on_a_terminal_and_never_scroll_it(terminal):
    async with feeding(), started("--stats", **terminal.streams()) as process:
        await until(lambda: terminal.shown.count(b"\x1b[H") >= 3)
        process.terminate()
        assert await process.wait() == 0
    _, *tables, _ = terminal.shown.decode().split("\x1b[H\x1b[J")
    for table in tables:
        lines = table.splitlines()
        assert 10 < len(lines) < 24
        assert max(map(len, lines)) <= 80
        assert lines[0].split()[:3] == ["p", "kind", "ch"]
        assert lines[1].split()[:3] == ["0", "books", "0"]


@pytest.mark.parametrize("way", ["q", "SIGTERM", "SIGINT"])
async def test_the_screens_show_the_feed_and_leave_the_terminal_as_it_was(way, terminal):
    pytest.importorskip("textual")
    before = termios.tcgetattr(terminal.slave)
    async with feeding(), started(**terminal.streams()) as process:
        await until(lambda: b"DOGEUSDT" in terminal.shown and b"5 live" in terminal.shown)
        if way == "q":
            os.write(terminal.master, b"q")
        else:
            process.send_signal(signal.Signals[way])
        assert await process.wait() == 0
        await until(lambda: b"\x1b[?1049l" in terminal.shown)  # out of the alternate screen
    assert termios.tcgetattr(terminal.slave) == before
