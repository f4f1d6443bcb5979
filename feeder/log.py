"""Structured logging: one line per state change, the same field names everywhere.

Field names: `category`, `symbol`, `topic`, `depth`, `connection`, `channel`, `line`, `status`, `reason`, `generation`,
`update_id`, `expected_update_id`, `attempt`, `delay_seconds`, `outage_seconds`, `address`, `path`, `error`, `count`.
The event is a short lower-case phrase that never varies ("book stale"), so that it can be searched for and counted. A
line with `suppressed` stands for as many lines of its part, event and level that were left out (`log_limit.py`).

The lines of structlog's loggers (ours) and of the standard library's (the consumer library's, and others') go the same
way: level, limit, redaction, rendering, standard error. None of it raises or waits.
"""

import atexit
import logging
import math
import os
import re
import select
import sys
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Any, NoReturn, cast

import structlog

from feeder import log_render
from feeder.log_limit import Kind, RepetitionLimit, Suppressed
from feeder.log_redact import plain

Logger = structlog.typing.FilteringBoundLogger

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
"""The levels one can ask for."""

# What changes from one line to the next where others put it into the event's text: addresses, ports, ids.
_NUMBER = re.compile(r"0x[0-9a-f]+|\d+")
_NEWS_LENGTH = 200


class StandardError:
    """Standard error, never raising or waiting: a full disk or an idle reader must not stop a book.

    The stream is looked up at each line; lines that could not be written, or not to their end, are counted.
    """

    def __init__(self) -> None:
        self.lost_lines = 0
        self._torn = False  # a line has begun and could not be ended

    def write(self, text: str) -> None:
        """Write whole lines, or count them as lost."""
        ends = int(self._torn)  # an end for the line before
        text = "\n" * ends + text
        # A pipe that is not full takes so many bytes at once; a socket to journald, or a terminal, takes more.
        most = select.PIPE_BUF if text.isascii() else select.PIPE_BUF // 4
        written = 0
        try:
            while written < len(text):
                if self._is_full():
                    raise BlockingIOError
                sys.stderr.write(text[written : written + most])
                sys.stderr.flush()
                written += most
                self._torn = written < len(text)
        except (OSError, ValueError, AttributeError):  # ValueError: the stream is closed; AttributeError: it never was
            self.lost_lines += text.count("\n", max(written, ends))

    def _is_full(self) -> bool:
        """Whether writing would wait for a reader."""
        try:
            descriptor = sys.stderr.fileno()
        except (AttributeError, OSError, ValueError):
            return False
        room = select.poll()
        room.register(descriptor, select.POLLOUT)
        return not room.poll(0)


standard_error = StandardError()
"""Where everything is logged to."""


class Output:
    """The way of every line from its logger to standard error."""

    def __init__(self) -> None:
        self.level = "info"
        self._number = LEVELS[self.level]
        self._limit = RepetitionLimit()
        self._render: log_render.Render = log_render.as_json
        # Re-entrant: a finaliser may log while another line of the same thread is on its way.
        self._lock = threading.RLock()

    @property
    def suppressed(self) -> int:
        """Lines left out as repetitions."""
        return self._limit.suppressed

    def begin(self, render: log_render.Render) -> None:
        """Lines look like this from now on, and nothing has been repeated yet."""
        self._render = render
        self._limit = RepetitionLimit()

    def set_level(self, level: str) -> None:
        """Leave out lines below this level, one of LEVELS."""
        if level not in LEVELS:
            raise ValueError(f"no log level {level!r}: it is one of {', '.join(LEVELS)}")
        self.level = level
        self._number = LEVELS[level]
        others = self._number if level == "debug" else max(self._number, logging.WARNING)
        logging.getLogger().setLevel(others)  # what libraries have to say is for whoever debugs, unless it is trouble
        logging.getLogger("feeder").setLevel(self._number)

    def flush(self, now: float) -> None:
        """Tell what was left out until `now`."""
        if now >= self._limit.next_end:
            with self._lock:
                for suppressed in self._limit.due(now):
                    self._tell(suppressed)

    def take(self, kind: Kind, event: str, facts: Mapping[str, Any]) -> None:
        """Write a line, unless it is below the level or repeats others too often."""
        if LEVELS.get(kind.level, logging.CRITICAL) < self._number:
            return
        now = time.monotonic()
        try:
            with self._lock:
                self.flush(now)
                if self._limit.admit(kind, _news(kind.level, facts), now):
                    self._write(kind, event, facts)
        except Exception as error:  # noqa: BLE001 - trouble with a line must not become trouble for what it speaks of
            self._write(kind, event[:_NEWS_LENGTH], {"log_error": type(error).__name__})

    def from_structlog(self, _logger: object, method: str, facts: structlog.typing.EventDict) -> NoReturn:
        """The only processor: nothing is left to be done by structlog."""
        event = facts.pop("event", "")
        if not isinstance(event, str):
            event = str(plain("", event))
        part = str(facts.pop("part", ""))
        level = structlog.stdlib.add_log_level(None, method, {})["level"]
        self.take(Kind(part, event, level), event, facts)
        raise structlog.DropEvent

    def _tell(self, suppressed: Suppressed) -> None:
        self._write(suppressed.kind, suppressed.kind.event, {"suppressed": suppressed.lines})

    def _write(self, kind: Kind, event: str, facts: Mapping[str, Any]) -> None:
        traces = structlog.processors.format_exc_info(
            None, "", {name: facts[name] for name in ("exc_info", "stack") if facts.get(name)}
        )
        line = {
            "event": plain("", event),
            "level": kind.level,
            "timestamp": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "part": plain("", kind.part),
        }
        for name, value in facts.items():
            if name not in line and name not in ("exc_info", "stack"):
                line[name] = plain(name, value)
        for name, value in traces.items():
            line[name] = plain("", value)
        standard_error.write(self._render(line) + "\n")


output = Output()
"""The way of every line of this process."""


class _FromStandardLibrary(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """Called for what the loggers' levels let pass."""
        facts: dict[str, Any] = dict(_EXTRAS(cast(logging.Logger, None), "", {"_record": record}))
        del facts["_record"]
        facts |= {"exc_info": record.exc_info, "stack": record.stack_info}
        try:
            event = record.getMessage()
        except Exception as error:  # noqa: BLE001 - the arguments do not fit the text, or cannot be shown
            event, facts["log_error"] = str(plain("", record.msg)), type(error).__name__
        part = record.name.removeprefix("feeder.")
        template = record.msg if record.args and isinstance(record.msg, str) else _NUMBER.sub("N", event)[:_NEWS_LENGTH]
        output.take(Kind(_NUMBER.sub("N", part), template, _level_name(record.levelno)), event, facts)


_EXTRAS = structlog.stdlib.ExtraAdder()


def logger(name: str) -> Logger:
    """The logger of one part of feeder, named as the part is (`bybit.session`)."""
    return cast(Logger, structlog.get_logger(part=name))


def configure(level: str = "info", *, as_json: bool | None = None) -> None:
    """Write logs to standard error at `level` and above: JSON, or readable text when that is a terminal.

    Where standard error is a stream to journald, each line begins with its priority (sd-daemon(3)). An exception that
    nobody catches is logged, too.
    """
    terminal = sys.stderr is not None and sys.stderr.isatty()
    journal = log_render.is_journal(os.environ.get("JOURNAL_STREAM"), 2)
    render: log_render.Render
    if (not terminal) if as_json is None else as_json:
        render = log_render.as_json
    elif journal:
        render = log_render.as_journal_text
    else:
        render = partial(log_render.as_text, colors=terminal)
    output.begin(log_render.for_journal(render) if journal else render)
    structlog.configure(
        processors=[output.from_structlog],
        # Levels are compared in `take`, so that a logger bound before the level changed obeys it, too.
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        cache_logger_on_first_use=False,
    )
    # The consumer library logs through the standard library, so that it needs nothing else; join both streams.
    logging.basicConfig(handlers=[_FromStandardLibrary()], force=True)
    output.set_level(level)
    sys.excepthook = _on_uncaught


def library_logs() -> None:
    """Unless somebody has configured structlog, give feeder's lines to the standard library's loggers (`feeder.*`).

    For whoever uses parts of feeder as a library: structlog itself would print them on standard output.
    """
    if not structlog.is_configured():
        structlog.configure(
            processors=[_to_standard_library],
            wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
            cache_logger_on_first_use=False,
        )


def _to_standard_library(_logger: object, method: str, facts: structlog.typing.EventDict) -> NoReturn:
    named = logging.getLogger(f"feeder.{facts.pop('part', '')}")
    number = LEVELS.get(structlog.stdlib.add_log_level(None, method, {})["level"], logging.CRITICAL)
    if named.isEnabledFor(number):
        event, trace = facts.pop("event", ""), facts.pop("exc_info", None)
        told = " ".join(f"{name}={plain(name, value)}" for name, value in facts.items())
        named.log(number, "%s %s", event, told, exc_info=trace)
    raise structlog.DropEvent


def level() -> str:
    """The level that is logged, one of LEVELS."""
    return output.level


def set_level(level: str) -> None:
    """Log at this level from now on, whatever logger it comes from. Raises ValueError for one that is not in LEVELS."""
    output.set_level(level)


def flush_suppressed(now: float) -> None:
    """Tell how many repetitions were left out, of those whose time is over at `now`, monotonic seconds (infinity: all).

    To be called often, as it mostly compares two numbers: any later line tells the same, but there may be none.
    """
    output.flush(now)


atexit.register(flush_suppressed, math.inf)


def _on_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What ends the program is a line like any other."""
    if issubclass(kind, Exception):
        logger("program").critical("unexpected error", error=repr(error), exc_info=(kind, error, trace))
    else:
        sys.__excepthook__(kind, error, trace)


def _level_name(number: int) -> str:
    if number >= logging.CRITICAL:
        return "critical"
    return next((name for name in reversed(LEVELS) if number >= LEVELS[name]), "debug")


def _news(level: str, facts: Mapping[str, Any]) -> str:
    """What a line says that others of its kind may not have said: its reason and, of an error, its text."""
    reason = str(facts.get("reason", ""))
    if LEVELS.get(level, logging.CRITICAL) < logging.ERROR:
        return reason[:_NEWS_LENGTH]
    return f"{reason} {facts.get('error', '')}"[:_NEWS_LENGTH].strip()
