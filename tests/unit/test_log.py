"""One line per state change, in one form, from whichever library; and never a reason to stop."""

import contextlib
import json
import logging
import math
import os
import subprocess
import sys
import threading

import pytest

from feeder import log
from tests.helpers.secrets import API_SECRET


class Broken:
    """A stream whose reader left, or whose disk is full."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def write(self, _: str) -> int:
        raise self.error

    def flush(self) -> None:
        raise self.error

    def isatty(self) -> bool:
        return False


@pytest.fixture
def lines(capsys):
    """What was logged since it was last called, as objects."""
    return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]


@pytest.fixture
def journal(monkeypatch):
    """Standard error is a stream to journald."""
    status = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")


# What cannot be written


@pytest.mark.parametrize(
    "error", [BrokenPipeError("gone"), OSError(28, "No space left on device"), ValueError("I/O on closed file")]
)
def test_a_line_that_cannot_be_written_is_counted_not_raised(monkeypatch, error):
    monkeypatch.setattr("sys.stderr", Broken(error))
    log.configure("info")
    before = log.standard_error.lost_lines
    log.logger("test").warning("book stale", symbol="BTCUSDT")
    logging.getLogger("feeder.client").warning("from the standard library")
    assert log.standard_error.lost_lines >= before + 2


def test_a_program_without_standard_error_runs(monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    log.configure("info")
    before = log.standard_error.lost_lines
    log.logger("test").warning("book stale")
    assert log.standard_error.lost_lines > before


def test_a_reader_that_reads_no_more_is_not_waited_for(monkeypatch):
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(writing, b"x" * 4096):
            pass
    os.set_blocking(writing, True)
    with os.fdopen(writing, "w", buffering=1) as stream:
        monkeypatch.setattr("sys.stderr", stream)
        log.configure("info")
        before = log.standard_error.lost_lines
        thread = threading.Thread(target=log.logger("test").warning, args=("book stale",), daemon=True)
        thread.start()
        thread.join(5)
        returned = not thread.is_alive()
        lost = log.standard_error.lost_lines - before
        os.read(reading, 1 << 20)
        thread.join()
        log.logger("test").warning("book live")
        os.set_blocking(reading, False)
        after = os.read(reading, 1 << 20)
        os.close(reading)
    assert returned
    assert lost == 1
    assert b"book live" in after


def test_a_line_that_fits_into_the_pipe_only_in_part_is_not_waited_for_and_spoils_no_other(monkeypatch):
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(writing, b"x" * 4096):
            pass
    os.set_blocking(writing, True)
    os.read(reading, 4096)
    with os.fdopen(writing, "w", buffering=1) as stream:
        monkeypatch.setattr("sys.stderr", stream)
        log.configure("info", as_json=True)
        before = log.standard_error.lost_lines
        thread = threading.Thread(target=log.logger("test").error, args=("failed",), kwargs={"error": "e" * 7000})
        thread.daemon = True
        thread.start()
        thread.join(5)
        returned = not thread.is_alive()
        lost = log.standard_error.lost_lines - before
        log.logger("test").warning("book stale")
        assert log.standard_error.lost_lines - before == 2
        os.set_blocking(reading, False)
        seen = os.read(reading, 1 << 20)
        thread.join()
        log.logger("test").warning("book live")
        seen += os.read(reading, 1 << 20)
        os.close(reading)
    assert returned
    assert lost == 1
    torn, whole, rest = seen.lstrip(b"x").split(b"\n")
    assert torn.startswith(b'{"event": "failed"')
    assert json.loads(whole)["event"] == "book live"
    assert rest == b""


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = __repr__


def test_nothing_that_is_logged_raises(lines):
    log.configure("debug", as_json=True)
    ours, theirs = log.logger("test"), logging.getLogger("feeder.client")
    ours.error("book stale", error=Unprintable(), reason=Unprintable())
    ours.error("book stale", count=10**5000)
    ours.error("book stale", exc_info=True)  # without an exception
    theirs.error("%d books", "no number")
    theirs.error("%s", Unprintable())
    theirs.error(Unprintable())
    theirs.error("%(name)s books", {"other": 1})
    theirs.error("two\nlines", extra={"level": "x", "api_key": "hunter2"})
    logged = lines()
    assert len(logged) == 8
    assert all(line["level"] == "error" for line in logged)
    assert logged[3]["event"] == "%d books"
    assert "log_error" in logged[3]
    assert logged[7]["event"] == "two\nlines"
    assert logged[7]["api_key"] == "***"


# What a line looks like


def test_lines_of_both_libraries_are_json_with_the_same_names(lines):
    log.configure("info", as_json=True)
    log.logger("pipeline.worker").warning("book stale", symbol="BTCUSDT")
    logging.getLogger("feeder.multicast").warning("line %s cannot send", "A", extra={"port": 20000})
    log.logger("pipeline.worker").debug("unheard")
    ours, theirs = lines()
    assert (ours["part"], ours["level"], ours["symbol"]) == ("pipeline.worker", "warning", "BTCUSDT")
    assert (theirs["part"], theirs["event"], theirs["port"]) == ("multicast", "line A cannot send", 20000)


def test_the_event_comes_first_and_facts_as_they_were_given(lines):
    log.configure("info", as_json=True)
    log.logger("test").info("book live", symbol="BTCUSDT", depth=50, a=1)
    (line,) = lines()
    assert list(line) == ["event", "level", "timestamp", "part", "symbol", "depth", "a"]


def refuse(what: str) -> None:
    raise ValueError(what)


def failing() -> None:
    try:
        refuse("secret='hunter2'")
    except ValueError as error:
        log.logger("test").exception("worker failed", symbol="BTCUSDT")
        log.logger("test").error("worker failed", exc_info=error)
        logging.getLogger("feeder.client").exception("callback failed")


def test_a_traceback_is_within_its_line_without_the_secret_in_it(lines):
    log.configure("info", as_json=True)
    failing()
    logged = lines()
    assert len(logged) == 3
    for line in logged:
        assert "ValueError: secret=***" in line["exception"]
        assert "in failing" in line["exception"]
        assert "hunter2" not in line["exception"]


def test_text_has_time_level_event_part_and_facts_and_moves_no_cursor(capsys):
    log.configure("info", as_json=False)
    log.logger("bybit.stream").warning(
        "connection\x1b[2J lost", reason="a b\n\x1b[31m", attempt=1, address="ws://h:1/x"
    )
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert "\x1b" not in text
    assert "Z warning  connection\\u001b[2J lost" in text
    assert text.endswith('[bybit.stream] reason="a b\\n\\u001b[31m" attempt=1 address=ws://h:1/x\n')
    failing()
    assert capsys.readouterr().err.count("\nTraceback") == 3


# journald


def test_journald_is_told_the_priority_of_each_line(journal, capsys):
    log.configure("debug", as_json=True)
    for level in ("debug", "info", "warning", "error", "critical"):
        getattr(log.logger("test"), level)("book stale")
        getattr(logging.getLogger("feeder.test"), level)("book stale")
    assert [line[:3] for line in capsys.readouterr().err.splitlines()] == [
        f"<{n}>" for n in (7, 7, 6, 6, 4, 4, 3, 3, 2, 2)
    ]


def test_text_for_journald_is_one_line_each_and_leaves_the_time_to_it(journal, capsys):
    log.configure("info", as_json=False)
    failing()
    logged = capsys.readouterr().err.splitlines()
    assert len(logged) == 3
    assert logged[0].startswith("<3>error    worker failed")
    assert 'symbol=BTCUSDT exception="Traceback' in logged[0]


@pytest.mark.parametrize("stream", [None, "", "0:0", "what"])
def test_no_priorities_where_standard_error_is_no_stream_to_journald(monkeypatch, capsys, stream):
    if stream is None:
        monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    else:
        monkeypatch.setenv("JOURNAL_STREAM", stream)
    log.configure("info", as_json=True)
    log.logger("test").info("book live")
    assert capsys.readouterr().err.startswith("{")


# Repetition


def test_a_disconnect_of_820_books_is_20_lines_and_what_was_left_out(lines):
    log.configure("info", as_json=True)
    for number in range(820):
        log.logger("pipeline.worker").warning("book stale", symbol=f"S{number}USDT", reason="DISCONNECTED")
    assert [line["symbol"] for line in lines()] == [f"S{number}USDT" for number in range(20)]
    log.flush_suppressed(math.inf)
    (told,) = lines()
    del told["timestamp"]
    assert told == {"event": "book stale", "level": "warning", "part": "pipeline.worker", "suppressed": 800}
    assert log.output.suppressed == 800
    log.flush_suppressed(math.inf)
    assert lines() == []


def test_what_was_left_out_is_said_before_the_next_line(lines, monkeypatch):
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    log.configure("info", as_json=True)
    for _ in range(50):
        log.logger("pipeline.worker").warning("book stale")
    log.flush_suppressed(9.9)
    lines()
    now = 10.0
    log.logger("service").info("feeder stopped")
    assert [(line["event"], line.get("suppressed")) for line in lines()] == [
        ("book stale", 30),
        ("feeder stopped", None),
    ]


def test_events_of_other_libraries_are_told_apart_by_what_stays_the_same_in_them(lines):
    log.configure("debug", as_json=True)
    for number in range(50):
        logging.getLogger(f"picows.client.{number}").info(f"established: ('127.0.0.1', {number}) at 0x7f{number:x}")
        logging.getLogger("feeder.multicast").warning("line %s cannot send", f"L{chr(65 + number)}")
    logging.getLogger("picows.client.51").info("Disconnected")
    assert len(lines()) == 41
    log.flush_suppressed(math.inf)
    assert {(line["part"], line["event"], line["suppressed"]) for line in lines()} == {
        ("picows.client.N", "established: ('N.N.N.N', N) at N", 30),
        ("multicast", "line %s cannot send", 30),
    }


def test_errors_that_say_something_else_are_not_lost_among_those_that_repeat(lines):
    log.configure("info", as_json=True)
    for number in range(100):
        log.logger("test").error("instruments not loaded", error=f"HTTP {500 + number // 25}", attempt=number)
    assert {line["error"] for line in lines()} == {"HTTP 500", "HTTP 501", "HTTP 502", "HTTP 503"}


# Levels


def test_the_level_changes_for_loggers_that_exist_already(lines):
    log.configure("warning", as_json=True)
    lazy, bound, theirs = log.logger("a"), log.logger("b").bind(symbol="X"), logging.getLogger("feeder.c")

    def said() -> set[str]:
        for logger in (lazy, bound, theirs):
            for level in ("debug", "info", "warning", "error"):
                getattr(logger, level)(f"{level} said")
        return {f"{line['part']}:{line['level']}" for line in lines()}

    above = ["debug", "info", "warning", "error"]
    for position in (2, 0, 3, 1):
        log.set_level(above[position])
        assert log.level() == above[position]
        assert said() == {f"{part}:{level}" for part in "abc" for level in above[position:]}


def test_a_level_that_does_not_exist_is_refused_and_changes_nothing():
    log.configure("warning")
    with pytest.raises(ValueError, match="no log level 'loud': it is one of debug, info, warning, error"):
        log.set_level("loud")
    assert log.level() == "warning"


@pytest.mark.parametrize(("level", "said"), [("debug", 3), ("info", 1), ("warning", 1), ("error", 0)])
def test_libraries_speak_of_trouble_only_unless_one_debugs(lines, level, said):
    log.configure(level, as_json=True)
    for name in ("debug", "info", "warning"):
        getattr(logging.getLogger("picows.client.61"), name)("WS connection established")
    assert len(lines()) == said


# Threads


def test_lines_of_many_threads_stay_whole(capfd):
    log.configure("info", as_json=True)

    def speak(name: str) -> None:
        for number in range(20):
            log.logger(name).info("book live", number=number, text="x" * 3000)

    threads = [threading.Thread(target=speak, args=(f"thread-{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([json.loads(line) for line in capfd.readouterr().err.splitlines()]) == 160


def test_a_finaliser_may_log_while_a_line_is_on_its_way(monkeypatch, lines):
    log.configure("info", as_json=True)
    write = log.standard_error.write

    def write_and_log(text: str) -> int:
        monkeypatch.setattr(log.standard_error, "write", write)
        logging.getLogger("asyncio").error("Task exception was never retrieved")
        return write(text)

    monkeypatch.setattr(log.standard_error, "write", write_and_log)
    thread = threading.Thread(target=log.logger("test").info, args=("book live",), daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
    assert {line["event"] for line in lines()} == {"book live", "Task exception was never retrieved"}


_AS_A_LIBRARY = """
import logging, sys
from feeder import log
log.library_logs()
{setup}
log.logger("bybit.stream").info("connected", address="ws://h:1/x", api_secret="{secret}")
try:
    1 / 0
except ZeroDivisionError as error:
    log.logger("bybit.stream").error("broken", error=repr(error), exc_info=error)
log.logger("bybit.stream").critical("all is lost")
"""


@pytest.mark.parametrize(
    ("setup", "expected"),
    [
        ("", ["broken error=ZeroDivisionError('division by zero')", "all is lost"]),
        (
            "logging.basicConfig(level='INFO', format='%(name)s %(levelname)s %(message)s')",
            [
                "feeder.bybit.stream INFO connected address=ws://h:1/x api_secret=***",
                "feeder.bybit.stream ERROR broken",
            ],
        ),
        ("logging.getLogger('feeder').addHandler(logging.NullHandler())", []),
        ("log.configure('info', as_json=True)", ['{"event": "connected", "level": "info"']),
    ],
)
def test_a_program_that_uses_parts_of_feeder_as_a_library_decides_what_becomes_of_their_lines(
    setup: str, expected: list[str]
) -> None:
    """By the standard library's rules: nothing on standard output, and only trouble where nobody has set it up."""
    code = _AS_A_LIBRARY.format(setup=setup, secret=API_SECRET)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    for line in expected:
        assert line in done.stderr
    assert bool(done.stderr) == bool(expected)
    assert API_SECRET not in done.stderr


def test_a_program_that_has_set_structlog_up_keeps_it_so() -> None:
    code = """
import structlog
from feeder import log
structlog.configure(processors=[structlog.processors.JSONRenderer()])
log.library_logs()
log.logger("bybit.stream").info("connected")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == '{"part": "bybit.stream", "event": "connected"}\n'
