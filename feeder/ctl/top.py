"""`feeder ctl top`: a feeder's activity, live, from its counters file; the feeder is asked nothing.

The file gets each value once a second, so that a rate over one second may count twice as much as there was, or nothing:
on a terminal, which shows a new picture each second, rates are over the last five; elsewhere pictures are as far apart.
"""

import dataclasses
import json
import math
import os
import shutil
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

from feeder.clock import Clock, SystemClock
from feeder.ctl.activity import Activity, Look, compare
from feeder.ctl.screen import message, paint
from feeder.ctl.terminal import Terminal
from feeder.errors import CountersError
from feeder.telemetry.health import look

ROWS_IN_JSON = 20
LIVE_SECONDS, SMOOTH_SECONDS = 1.0, 5.0
_WHICH = "--config, --shard or --counters say which feeder is meant"
_SIZE = (100, 40)  # columns and lines where there is no terminal


class Top:
    """Looks at the counters file at `path`; `smooth` is over how many seconds rates are, at least two looks."""

    def __init__(self, path: Path, clock: Clock, smooth: float = 0.0) -> None:
        self._path = path
        self._clock = clock
        self._smooth = smooth
        self._looks: deque[Look] = deque()
        self.reason = ""  # why there is no activity

    def look(self) -> Activity | None:
        """Look once more, and compare with before; None, and why in `reason`, when the file tells nothing."""
        now = Look(self._clock.monotonic(), self._clock.wall_ns(), look(self._path, self._clock))
        self.reason = now.health.reason
        looks = self._looks
        while len(looks) > 1 and now.at - looks[1].at >= self._smooth:
            looks.popleft()
        activity = compare(looks[0] if looks else None, now)
        if activity is None or activity.seconds == 0:  # another session's counts are nothing to compare with
            looks.clear()
        if activity is not None:
            looks.append(now)
        return activity


def run(path: Path, interval: float | None, *, once: bool, as_json: bool) -> int:
    """Show it until `q`, Ctrl-C or SIGTERM, or once after an interval; the exit code."""
    clock = SystemClock()
    try:
        if not once and not as_json and sys.stdout.isatty():
            return _live(Top(path, clock, SMOOTH_SECONDS), clock, interval or LIVE_SECONDS)
        top = Top(path, clock)
        if once:
            return _once(top, interval or SMOOTH_SECONDS, as_json=as_json)
        return _stream(top, clock, interval or SMOOTH_SECONDS, as_json=as_json)
    except KeyboardInterrupt:
        return 0


def told(activity: Activity | None, reason: str) -> dict[str, Any]:
    """An activity for JSON: the first books of each kind only."""
    if activity is None:
        return {"state": "UNKNOWN", "reason": reason}
    first = dataclasses.replace(
        activity, busiest=activity.busiest[:ROWS_IN_JSON], sickest=activity.sickest[:ROWS_IN_JSON]
    )
    found = {**dataclasses.asdict(first), "state": activity.state.name}
    return {name: None if value == math.inf else value for name, value in found.items()}


def _once(top: Top, interval: float, *, as_json: bool) -> int:
    """Raises CountersError when the file tells nothing."""
    _must_look(top)
    time.sleep(interval)
    _write(_must_look(top), top.reason, as_json=as_json)
    return 0


def _stream(top: Top, clock: Clock, interval: float, *, as_json: bool) -> int:
    """For a file or a program: one picture or object behind the other.

    A person who names the wrong file is told so, and raises CountersError; a program may wait for its feeder.
    """
    if as_json:
        top.look()
    else:
        _must_look(top)
    due = clock.monotonic()
    while True:
        due = max(due + interval, clock.monotonic())
        time.sleep(due - clock.monotonic())
        _write(top.look(), top.reason, as_json=as_json)


def _must_look(top: Top) -> Activity:
    activity = top.look()
    if activity is None:
        raise CountersError(_with_remedy(top.reason))
    return activity


def _with_remedy(reason: str) -> str:
    return f"{reason}{'' if reason.endswith('?') else ';'} {_WHICH}"


def _write(activity: Activity | None, reason: str, *, as_json: bool) -> None:
    lines = [json.dumps(told(activity, reason))] if as_json else [*_picture(activity, reason), ""]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _live(top: Top, clock: Clock, interval: float) -> int:
    with Terminal() as terminal:
        due = clock.monotonic()
        while True:
            terminal.show(_picture(top.look(), top.reason, "q quit" if terminal.takes_keys else "Ctrl-C quit"))
            due = max(due + interval, clock.monotonic())
            while (left := due - clock.monotonic()) > 0:
                if terminal.asked_to_end(left):
                    return 0


def _picture(activity: Activity | None, reason: str, keys: str = "") -> list[str]:
    size = shutil.get_terminal_size(_SIZE)
    colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    if activity is None:
        lines = message(_with_remedy(reason), size.columns, colours=colours)
        return [*lines, keys] if keys else lines
    return paint(activity, time.time_ns(), size.columns, size.lines, colours=colours, keys=keys)
