"""What `feeder ctl` prints for a person: aligned, without colours, within 80 columns as far as the texts allow."""

import textwrap
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from feeder.readable import NOTHING, age_text

WIDTH = 80
_LABEL = 11  # columns
_GAP = "  "

Row = Mapping[str, Any]


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> list[str]:
    """Columns under their heads, the first `left` of them set to the left, the others to the right."""
    cells = [heads, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    return [
        _GAP.join(
            text.ljust(width) if column < left else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def labelled(label: str, text: str) -> list[str]:
    """A text beside its label, wrapped."""
    indent = " " * _LABEL
    wrapped = textwrap.wrap(text, WIDTH, initial_indent=label.ljust(_LABEL), subsequent_indent=indent)
    return wrapped or [label]


def status(told: Row) -> list[str]:
    """The whole of GET /status."""
    shard = f"shard {told['shard']}, " if told["shard"] else ""
    up = duration(told["uptime_seconds"])
    lines = [f"feeder {told['version']}, {shard}process {told['pid']}, up {up}", ""]
    ready = "ready" if told["ready"] else f"not ready: {'; '.join(told['reasons'])}"
    lines += labelled("state", f"{told['state']}, {ready}")
    counts = ", ".join(f"{count:,} {name}" for name, count in told["books"].items() if count)
    lines += labelled("books", f"{told['followed']:,} followed{f': {counts}' if counts else ''}")
    lines += labelled("pending", f"{plural(told['pending_updates'], 'update')}")
    lines += _config(told["config"])
    by_hand = told["by_hand"]
    moved = [f"{kind} {', '.join(by_hand[kind])}" for kind in ("subscribed", "unsubscribed") if by_hand[kind]]
    if moved:
        lines += labelled("by hand", "; ".join(moved))
    lines += labelled("session", str(told["session"]))
    lines += labelled("log level", told["log_level"])
    if told["connections"]:
        lines += ["", *_connections(told["connections"])]
    return [*lines, *_refused(told["refused"])]


def _config(told: Row) -> list[str]:
    loaded = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(told["loaded_at"]))
    lines = labelled("config", f"{told['path']}, generation {told['generation']}, loaded {loaded}")
    if told["restart_needed"]:
        lines += labelled("", f"restart needed for {', '.join(told['restart_needed'])}")
    if told["error"] is not None:
        lines += labelled("", f"NOT USED as it is now: {told['error']}")
    return lines


def _connections(rows: Iterable[Row]) -> list[str]:
    heads = ("connection", "category", "state", "topics", "active", "lag", "silent", "attempt")
    cells = [
        (
            row["name"],
            row["category"],
            row["state"],
            str(row["topics"]),
            str(row["active"]),
            lag(row["lag_seconds"]),
            age_text(row["silent_seconds"]),
            str(row["attempt"]) if row["attempt"] else NOTHING,
        )
        for row in rows
    ]
    return table(heads, cells, left=3)


def _refused(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    lines = ["", "refused"]
    for row in rows:
        lines += textwrap.wrap(
            f"{row['instrument']}: {row['error']}", WIDTH, initial_indent="  ", subsequent_indent="    "
        )
    return lines


def books(rows: Sequence[Row], width: int | None = None) -> list[str]:
    """Rows of GET /books, by instrument; in so many columns, if that can be done by leaving out what matters least."""
    if not rows:
        return []
    columns: dict[str, list[str]] = {}
    for row in sorted(rows, key=lambda row: str(row["instrument"])):
        live = row["status"] == "LIVE"
        for head, text in {
            "instrument": row["instrument"],
            "status": row["status"] if live else f"{row['status']} {row['reason']}",
            "since": age_text(row["since_seconds"]),
            "age": age_text(row["age_seconds"]),
            "depth": f"{row['depth']}{'' if row['trades'] else '*'}",
            "updates": f"{row['updates']:,}",
            "queue": str(row["queue_depth"]),
            "folds": f"{row['folds']:,}",
            "gaps": f"{row['gaps']:,}",
            "resyncs": f"{row['resyncs']:,}",
        }.items():
            columns.setdefault(head, []).append(text)
    for spare in ("queue", "since", "depth", "updates"):
        needed = sum(max(map(len, (head, *texts))) + len(_GAP) for head, texts in columns.items()) - len(_GAP)
        if width is not None and needed > width:
            del columns[spare]
    lines = table(list(columns), zip(*columns.values(), strict=True), left=2)
    if "depth" in columns and not all(row["trades"] for row in rows):
        lines.append("* the book only, without trades")
    return lines


def outcomes(rows: Iterable[Row]) -> list[str]:
    """What became of each instrument."""
    cells = [(row["instrument"], "done" if row["done"] else "NOT DONE", row["text"]) for row in rows]
    width = max((len(cell[0]) for cell in cells), default=0)
    return [f"{name.ljust(width)}{_GAP}{done.ljust(8)}{_GAP}{text}".rstrip() for name, done, text in cells]


def reload(told: Row) -> list[str]:
    """What a reload did."""
    if not told["changed"]:
        lines = ["nothing has changed"]
    else:
        moved = [f"{plural(told[kind], 'book')} {kind}" for kind in ("subscribed", "unsubscribed") if told[kind]]
        lines = textwrap.wrap("; ".join([f"reloaded: {', '.join(told['applied']) or 'nothing'}", *moved]), WIDTH)
    if told["restart_needed"]:
        lines += textwrap.wrap(f"restart needed for {', '.join(told['restart_needed'])}", WIDTH)
    return [*lines, *_refused(told["refused"])]


def plural(count: int, noun: str) -> str:
    """ "1 book", "2,000 books"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def lag(seconds: float | None) -> str:
    """Milliseconds below a second; negative when the clocks differ."""
    if seconds is None:
        return NOTHING
    return f"{seconds * 1000:.0f}ms" if abs(seconds) < 0.9995 else f"{seconds:.1f}s"


def duration(seconds: float) -> str:
    """The two greatest units: "14 s", "3 min 2 s", "5 h 12 min", "8 d 3 h"."""
    whole = int(seconds)
    for unit, name, below, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= unit:
            return f"{whole // unit} {name} {whole % unit // below} {small}"
    return f"{whole} s"
