"""What a line of the log looks like: JSON for programs, text for people, and a priority in front for journald."""

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

Line = Mapping[str, Any]
"""event, level, timestamp, part, then the facts as they were given, `exception` and `stack` last. Plain data."""
Render = Callable[[Line], str]
"""One line without its end."""

_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}  # as in sd-daemon(3)
_COLORS = {"debug": "2", "info": "32", "warning": "33", "error": "31", "critical": "1;31"}
_HEADING = ("event", "level", "timestamp", "part")
_TRACES = ("exception", "stack")
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:/@+-*")


def is_journal(stream: str | None, descriptor: int) -> bool:
    """Whether a descriptor is a stream to journald; `stream` is the environment's JOURNAL_STREAM (device:inode)."""
    if stream is None:
        return False
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return stream == f"{status.st_dev}:{status.st_ino}"


def as_json(line: Line) -> str:
    """One JSON object, in ASCII."""
    return json.dumps(line)


def as_text(line: Line, *, colors: bool) -> str:
    """Time, level, event, [part], facts; a traceback in lines of its own."""
    traces = "".join(f"\n{_visible(text)}" for name in _TRACES for text in str(line.get(name, "")).splitlines())
    time = line["timestamp"][:23] + "Z"
    return f"{time} {_text(line, _TRACES, colors=colors)}{traces}"


def as_journal_text(line: Line) -> str:
    """As text, all in one line, as journald takes each line for a message; and without the time, which it adds."""
    return _text(line, (), colors=False)


def for_journal(render: Render) -> Render:
    """With the priority that journald files it under."""

    def rendered(line: Line) -> str:
        return f"<{_PRIORITIES.get(line['level'], 6)}>{render(line)}"

    return rendered


def _text(line: Line, without: tuple[str, ...], *, colors: bool) -> str:
    level = f"{line['level']:<8}"
    if colors:
        level = f"\x1b[{_COLORS.get(line['level'], '0')}m{level}\x1b[0m"
    facts = [
        f" {_visible(name)}={_value(value)}"
        for name, value in line.items()
        if name not in _HEADING and name not in without
    ]
    return f"{level} {_visible(line['event']):<28} [{_visible(line['part'])}]{''.join(facts)}"


def _value(value: object) -> str:
    if isinstance(value, str) and value and _BARE.issuperset(value):
        return value
    return json.dumps(value)


def _visible(text: str) -> str:
    """Without what would end the line, or move a terminal's cursor."""
    return text if text.isprintable() else json.dumps(text)[1:-1]
