"""The picture that `feeder ctl top` shows: lines of text for a width and a height, with colours if they are wanted."""

import textwrap
import time
from collections.abc import Sequence

from feeder.clock import SECOND_NS
from feeder.ctl.activity import Activity, BookActivity
from feeder.ctl.tables import duration, lag
from feeder.readable import NOTHING, age_text, rate_text
from feeder.telemetry.health import State

BOLD, DIM, RED, YELLOW = "1", "2", "31", "33"
_TONES = {"STALE": RED, "SYNCING": YELLOW, "DELISTED": DIM}
_HEADS = ("instrument", "status", "upd/s", "age", "gaps", "resyncs", "folds", "queue", "peak")
_LEFT = 2  # columns set to the left
_GAP = "  "
_LABEL = 12  # columns
_OWN_AGE = 2.0  # seconds

_Toned = tuple[str, str]
"""A line and its colour."""


def paint(activity: Activity, wall_ns: int, width: int, height: int, *, colours: bool, keys: str = "") -> list[str]:
    """The head, the sickest, the busiest; of the latter two what there is room for, half of it each if need be.

    `keys` says what can be pressed.
    """
    lines = _head(activity, wall_ns, width, keys)
    room = max(0, height - len(lines) - 6)  # an empty line, a title and the column heads, twice
    sick = min(len(activity.sickest), max(room // 2, room - len(activity.busiest)))
    sickest, busiest = activity.sickest[:sick], activity.busiest[: room - sick]
    cells = [_cells(book) for book in (*sickest, *busiest)]
    widths = [max(map(len, column)) for column in zip(_HEADS, *cells, strict=True)]
    nothing = _nothing(activity)
    sick_title = "sickest" if activity.sickest else f"sickest: {nothing or 'none, every book is LIVE and well'}"
    hidden = len(activity.sickest) - len(sickest)
    lines += _block(sick_title + (f", and {hidden:,} more" if hidden else ""), sickest, widths, width)
    lines += _block("busiest" if activity.busiest else f"busiest: {nothing}", busiest, widths, width)
    return [_toned(text[:width], tone if colours else "") for text, tone in lines[:height]]


def message(text: str, width: int, *, colours: bool) -> list[str]:
    """When there is nothing to show but why."""
    return [_toned(line, RED if colours else "") for line in textwrap.wrap(text, width)]


def _nothing(activity: Activity) -> str:
    """Why a block without books tells nothing; empty if that there is none in it is good news."""
    running, count = activity.state is State.RUNNING, sum(activity.books.values())
    if not count:
        return "there is no book" if running else "nothing is told of any book"
    if not running:
        return "none in its last numbers"
    return "" if activity.books["LIVE"] == count else "none that is told"


def _head(activity: Activity, wall_ns: int, width: int, keys: str) -> list[_Toned]:
    running = activity.state is State.RUNNING
    first = f"feeder {activity.version}  {activity.state.name}  "
    first += f"process {activity.pid}  up {duration(activity.uptime_seconds)}"
    clock = time.strftime("%H:%M:%S UTC", time.gmtime(wall_ns // SECOND_NS))
    for right in (f"{keys}  {clock}", keys) if keys else (clock,):
        if len(first) + 2 + len(right) <= width:
            first = first.ljust(width - len(right)) + right
            break
    lines = [(first, BOLD if running else f"{BOLD};{RED}")]
    if not running:
        lines += [(text, RED) for text in textwrap.wrap(f"{activity.reason}; the numbers are its last", width)]
    statuses = [f"{count:,} {name}" for name, count in activity.books.items() if count or name == "LIVE"]
    if not running and not sum(activity.books.values()):
        statuses = [NOTHING]  # one that ended has let go of them: not that there were none
    up, connections = activity.connections["CONNECTED"], sum(activity.connections.values())
    exchange = [f"{up} of {connections} connections up", f"lag {lag(activity.venue_lag_seconds)}"]
    load = [
        f"{NOTHING if activity.cpu is None or not activity.seconds else f'{activity.cpu * 100:.0f}'} % cpu",
        f"{NOTHING if activity.resident_bytes is None else f'{activity.resident_bytes / 1e6:,.0f}'} MB",
        f"loop lag p99 {_bound(activity.loop_lag_p99_seconds)}, most {_bound(activity.loop_lag_most_seconds)}",
    ]
    pending = f"{activity.pending_updates:,} of {activity.pending_updates_limit:,} updates"
    for label, parts, tone in (
        ("books", statuses, "" if activity.books["LIVE"] else YELLOW),
        ("exchange", exchange, "" if up == connections else YELLOW),
        ("per second", _per_second(activity), ""),
        ("pending", [pending], ""),
        ("load", load, ""),
    ):
        lines.append((label.ljust(_LABEL) + _GAP.join(parts), tone))
    return lines


def _per_second(activity: Activity) -> Sequence[str]:
    if not activity.seconds:
        return [NOTHING]
    return [
        f"{rate_text(activity.updates_per_second)} updates",
        f"{rate_text(activity.folds_per_second)} folds",
        f"{rate_text(activity.gaps_per_second)} gaps",
        f"{rate_text(activity.resyncs_per_second)} resyncs",
        f"over {activity.seconds:.1f} s",
    ]


def _bound(seconds: float | None) -> str:
    if seconds is None:
        return NOTHING
    return "> 5 s" if seconds == float("inf") else f"<= {seconds * 1000:g} ms"


def _block(title: str, books: Sequence[BookActivity], widths: Sequence[int], width: int) -> list[_Toned]:
    lines = [("", ""), (title, BOLD)]
    if books:
        lines.append((_line(_HEADS, widths, width), DIM))
    return lines + [(_line(_cells(book), widths, width), _TONES.get(book.status, "")) for book in books]


def _cells(book: BookActivity) -> tuple[str, ...]:
    return (
        book.instrument,
        book.status,
        rate_text(book.updates_per_second),
        _age(book.age_seconds),
        _counted(book.gaps, book.new_gaps),
        _counted(book.resyncs, book.new_resyncs),
        _counted(book.folds, book.new_folds),
        f"{book.queue_depth:,}",
        f"{book.queue_high_water:,}",
    )


def _age(seconds: float | None) -> str:
    """The counters are up to a second old themselves, so that less cannot be told."""
    return f"<{_OWN_AGE:g}s" if seconds is not None and seconds < _OWN_AGE else age_text(seconds)


def _counted(count: int, new: int) -> str:
    return f"{count:,} +{new:,}" if new else f"{count:,}"


def _line(cells: Sequence[str], widths: Sequence[int], width: int) -> str:
    """As many columns as there is room for."""
    text = ""
    for column, (cell, wide) in enumerate(zip(cells, widths, strict=True)):
        gap = _GAP if column else ""
        if len(text) + len(gap) + wide > width and column:
            break
        text += gap + (cell.ljust(wide) if column < _LEFT else cell.rjust(wide))
    return text.rstrip()


def _toned(text: str, tone: str) -> str:
    return f"\x1b[{tone}m{text}\x1b[0m" if tone else text
