"""`feeder ctl top` on a real counters file: other versions, cut short, missing; once, as JSON, and on a terminal."""

import asyncio
import fcntl
import json
import os
import pty
import re
import signal
import struct
import sys
import termios
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from feeder.cli import main
from feeder.clock import SECOND_NS, ManualClock, SystemClock
from feeder.ctl import top
from feeder.ctl.activity import compare
from feeder.ctl.top import Top, told
from feeder.telemetry.counters import CountersWriter
from feeder.telemetry.health import State
from feeder.telemetry.metrics import SCHEMA, Of, field_count
from tests.helpers.processes import until

from .activities import STALE, book, lags, looked


class Feeder:
    """This process, as far as its counters file tells."""

    def __init__(self, path: Path, clock: ManualClock | SystemClock, *, schema: int = SCHEMA, session: int = 7) -> None:
        self.path = path
        self.clock = clock
        self.writer = CountersWriter(path, schema=schema, session_id=session, start_ns=clock.wall_ns())
        self.book = self.writer.add(Of.BOOK, "linear|BTCUSDT", field_count(Of.BOOK))
        self.updates(0)

    def updates(self, count: int) -> None:
        self.writer.store(self.book, book("BTCUSDT", updates=count).values)
        self.writer.beat(int(self.clock.monotonic() * SECOND_NS), self.clock.wall_ns())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "counters.dat"


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Nobody sleeps; for how long it would have been."""
    slept: list[float] = []
    monkeypatch.setattr("feeder.ctl.top.time.sleep", slept.append)
    return slept


# Looks ----------------------------------------------------------------------------------------------------------------


def test_rates_are_over_the_last_seconds_that_are_to_be_smoothed(path):
    clock = ManualClock()
    feeder = Feeder(path, clock)
    plain, smooth = Top(path, clock), Top(path, clock, 5.0)
    counts = [0, 10, 20, 30, 40, 50, 60, 160]
    rates = []
    for count in counts:
        feeder.updates(count)
        rates.append([(a.seconds, a.updates_per_second) for a in (plain.look(), smooth.look()) if a is not None])
        clock.advance(1.0)
    assert rates[0] == [(0, 0), (0, 0)]
    assert rates[3] == [(1, 10), (3, 10)]
    assert rates[7] == [(1, 100), (5, 28)]


def test_after_a_restart_of_the_feeder_rates_begin_anew(path):
    clock = ManualClock()
    Feeder(path, clock).updates(1000)
    watching = Top(path, clock, 5.0)
    for _ in range(3):
        watching.look()
        clock.advance(1.0)
    second = Feeder(path, clock, session=8)
    assert watching.look().seconds == 0
    clock.advance(1.0)
    second.updates(30)
    found = watching.look()
    assert (found.session_id, found.seconds, found.updates_per_second) == (8, 1, 30)


def test_a_file_that_comes_late_is_seen(path):
    clock = ManualClock()
    watching = Top(path, clock)
    assert watching.look() is None
    assert "No such file" in watching.reason
    Feeder(path, clock)
    assert watching.look().state is State.RUNNING
    path.unlink()
    assert watching.look() is None
    Feeder(path, clock)
    assert watching.look().seconds == 0


# Once -----------------------------------------------------------------------------------------------------------------


def test_once_prints_one_picture_after_one_interval(path, capsys, at_once):
    Feeder(path, SystemClock())
    assert main(["ctl", "top", "--counters", str(path), "--once", "--interval", "2"]) == 0
    out = capsys.readouterr().out
    assert at_once == [2.0]
    assert out.startswith("feeder 0.1.0  RUNNING  process ")
    assert "linear:BTCUSDT  LIVE" in out
    assert "\x1b" not in out


def test_the_configuration_names_the_file(path, tmp_path, capsys, at_once):
    Feeder(path, SystemClock())
    (tmp_path / "feeder.yaml").write_text(f"telemetry: {{counters: {path}}}")
    assert main(["ctl", "--config", str(tmp_path / "feeder.yaml"), "top", "--once"]) == 0
    assert at_once == [top.SMOOTH_SECONDS]
    path.rename(tmp_path / "counters-1.dat")
    assert main(["ctl", "top", "--config", str(tmp_path / "feeder.yaml"), "--shard", "1/2", "--once"]) == 0
    assert main(["ctl", "top", "--config", str(tmp_path / "feeder.yaml"), "--shard", "0/2", "--once"]) == 1
    assert f"{tmp_path / 'counters-0.dat'}: No such file" in capsys.readouterr().err


def cut_short(path: Path) -> None:
    Feeder(path, SystemClock())
    path.write_bytes(path.read_bytes()[:200])


def of_another_version(path: Path) -> None:
    Feeder(path, SystemClock(), schema=SCHEMA + 1)


def of_something_else(path: Path) -> None:
    path.write_bytes(b"\0" * 4096)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda path: None, "No such file or directory; is a feeder with this telemetry.counters running?"),
        (cut_short, "cut short"),
        (of_another_version, "made by another version of feeder"),
        (of_something_else, "not a counters file"),
    ],
)
def test_a_file_that_tells_nothing_is_exit_1_at_once_where_there_is_no_terminal(path, capsys, at_once, make, named):
    make(path)
    for more in ([], ["--once"], ["--once", "--json"]):
        assert main(["ctl", "top", "--counters", str(path), *more]) == 1
        assert at_once == []
        captured = capsys.readouterr()
        assert captured.out == ""
        assert str(path) in captured.err
        assert named in captured.err
        assert "--config, --shard or --counters say which feeder is meant" in captured.err
        assert "?;" not in captured.err


# JSON -----------------------------------------------------------------------------------------------------------------


def test_json_is_one_object_for_each_interval(path, capsys, monkeypatch):
    clock = SystemClock()
    feeder = Feeder(path, clock)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        feeder.updates(len(slept))
        if len(slept) == 2:
            feeder.path.unlink()
        if len(slept) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("feeder.ctl.top.time.sleep", sleep)
    assert main(["ctl", "top", "--counters", str(path), "--json", "--interval", "3"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert slept[0] == pytest.approx(3, abs=0.5)
    assert (first["state"], first["pid"], first["books"]["LIVE"]) == ("RUNNING", os.getpid(), 1)
    assert first["busiest"][0]["instrument"] == "linear:BTCUSDT"
    assert second["state"] == "UNKNOWN"
    assert "No such file" in second["reason"]


def test_json_holds_so_many_books_and_no_infinity():
    records = [book(f"S{number}", status=STALE) for number in range(100)]
    before = looked(1, lags())
    activity = compare(before, looked(2, *records, lags(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)))
    found = json.loads(json.dumps(told(activity, ""), allow_nan=False))
    assert len(found["busiest"]) == len(found["sickest"]) == top.ROWS_IN_JSON
    assert found["loop_lag_most_seconds"] is None
    assert found["books"]["STALE"] == 100


# On a terminal --------------------------------------------------------------------------------------------------------


class Terminal:
    """A terminal of 100 columns and 30 lines; `text` is all that was ever shown."""

    def __init__(self, descriptor: int, process: asyncio.subprocess.Process) -> None:
        self.descriptor = descriptor
        self.process = process
        self.text = ""
        asyncio.get_running_loop().add_reader(descriptor, self._read)

    def _read(self) -> None:
        try:
            self.text += os.read(self.descriptor, 65536).decode()
        except OSError:  # the other side is closed
            asyncio.get_running_loop().remove_reader(self.descriptor)

    @property
    def pictures(self) -> list[str]:
        """Without colours."""
        return re.sub(r"\x1b\[[0-9;]*[mKJ]", "", self.text).split("\x1b[H")[1:]

    async def shows(self, text: str) -> None:
        """Wait until the latest picture has the text, on one line or wrapped."""
        pattern = re.compile(r"\s+".join(map(re.escape, text.split())))
        await until(lambda: any(map(pattern.search, self.pictures[-1:])), 20, f"{text!r} on the terminal")


@asynccontextmanager
async def on_a_terminal(path: Path) -> AsyncIterator[Terminal]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 30, 100, 0, 0))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "feeder", "ctl", "top", "--counters", str(path)),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    terminal = Terminal(ours, process)
    try:
        yield terminal
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        asyncio.get_running_loop().remove_reader(ours)
        os.close(theirs)
        os.close(ours)


async def test_live_it_follows_the_feeder_through_everything(path):
    async with on_a_terminal(path) as terminal:
        await terminal.shows("No such file")
        feeder = Feeder(path, SystemClock())
        await terminal.shows("linear:BTCUSDT  LIVE")
        await terminal.shows("q quit")
        assert "RUNNING" in terminal.pictures[-1]
        await terminal.shows("HANGING")  # nobody beats any longer
        feeder.writer.close()
        await terminal.shows("ENDED")
        assert "\x1b[2J" not in terminal.text, "nothing is cleared before it is written over"
        assert max(len(picture.splitlines()) for picture in terminal.pictures) <= 30


@pytest.mark.parametrize("ending", ["q", "interrupt", "terminate"])
async def test_it_ends_when_it_is_told_to_and_gives_the_terminal_back(path, ending):
    async with on_a_terminal(path) as terminal:
        modes = termios.tcgetattr(terminal.descriptor)
        await terminal.shows("No such file")
        assert termios.tcgetattr(terminal.descriptor) != modes
        if ending == "q":
            os.write(terminal.descriptor, b"xyq")
        else:
            terminal.process.send_signal(signal.SIGINT if ending == "interrupt" else signal.SIGTERM)
        assert await asyncio.wait_for(terminal.process.wait(), 10) == 0
        assert termios.tcgetattr(terminal.descriptor) == modes
        await until(lambda: terminal.text.endswith("\x1b[?25h\x1b[?1049l"), 5, "the shell's screen")
