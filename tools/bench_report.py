"""What a bench prints and keeps: figures beside the limits they are held to, and ratios with their spread."""

import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Figures = dict[str, Any]

_MOST_SHORT = 2.0  # percent: a generator that sends less does not show what feeder bears


@dataclass(frozen=True)
class Limit:
    """What one figure of one scenario must be at most; `value` picks it out of the scenario's figures."""

    scenario: str
    name: str
    value: Callable[[Figures], float | None]
    most: float

    def line(self, figures: Figures) -> str:
        """The verdict, as text."""
        value = self.value(figures)
        if value is None:
            return f"  ?       {self.scenario}: {self.name}: not measured"
        verdict = "ok    " if value <= self.most else "MISSED"
        return f"  {verdict}  {self.scenario}: {self.name} {value:.4g} (at most {self.most:g})"


def _unequal(figures: Figures) -> float:
    return float(figures["books"]["compared"] - figures["books"]["equal"])


def _short(figures: Figures) -> float:
    return 100.0 - 100.0 * float(figures["achieved_per_second"] / figures["offered_per_second"])


LIMITS = (
    Limit("crash", "percent of the updates that were not sent in time", _short, _MOST_SHORT),
    Limit("crash", "CPU us per update", lambda f: f["cpu_us_per_update"], 6.0),
    Limit("crash", "times the msgspec decode of the same bytes", lambda f: f.get("decode_ratio"), 7.5),
    Limit("crash", "updates folded", lambda f: f["folded"], 0),
    Limit("crash", "times a book ceased to be LIVE", lambda f: f["not_live"], 0),
    Limit("crash", "books unequal", _unequal, 0),
    Limit("symbols", "cost with 2,000 symbols over that with 50", lambda f: f["ratio"]["median"], 1.3),
    Limit("overload", "books unequal", _unequal, 0),
    Limit("overload", "seconds until normal", lambda f: f["settled"]["seconds"], 1.0),
    Limit("overload", "books whose last update never came", lambda f: f["settled"]["pending"], 0),
    Limit("retransmit", "CPU us per request of one packet", lambda f: f["storm"]["cpu_us_per_request"]["median"], 15.0),
    Limit("retransmit", "bytes answered over bytes asked", lambda f: f["storm"]["largest_ratio"], 4.0),
    Limit(
        "retransmit",
        "requests unanswered, refused or wrongly answered",
        lambda f: sum(f["storm"][what] for what in ("unanswered", "rejects", "wrong")),
        0,
    ),
    Limit("retransmit", "CPU per update with requests over without", lambda f: f["live"]["ratio"]["median"], 1.05),
    Limit("scrape", "scrapes without an answer", lambda f: f["failed"], 0),
    Limit("scrape", "books unequal", _unequal, 0),
    Limit("shards", "CPU per update of a shard over unsharded", lambda f: f["same"]["CPU per update"]["median"], 1.1),
    Limit("shards", "books unequal", lambda f: f["unequal"], 0),
    Limit("rest", "clients on one pool over bare objects", lambda f: f["create"]["ratio"]["median"], 2.0),
    Limit("rest", "ms for 10,000 warm cache reads", lambda f: f["cache"]["warm"]["ms"]["median"], 10.0),
    Limit("rest", "ms for 10,000 cold ones", lambda f: f["cache"]["cold"]["ms"]["median"], 100.0),
    Limit("rest", "an order over bare aiohttp", lambda f: f["requests"]["uvloop"]["order"]["ratio"]["median"], 1.3),
    Limit("rest", "a wallet over bare aiohttp", lambda f: f["requests"]["uvloop"]["wallet"]["ratio"]["median"], 1.3),
    Limit("memory", "MB over the bare interpreter, 1,000 symbols", lambda f: f["mb_over_bare"], 60.0),
)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and extremes."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def spread_text(found: dict[str, float], digits: int) -> str:
    """A spread for a reader."""
    return f"{found['median']:.{digits}f} ({found['min']:.{digits}f} to {found['max']:.{digits}f})"


def ratios(pairs: Sequence[tuple[Figures, Figures]]) -> dict[str, dict[str, float]]:
    """Of pairs (a, b) of runs: b over a of what the bench compares, with its spread."""
    picks: dict[str, Callable[[Figures], float | None]] = {
        "CPU per update": lambda f: f["cpu_us_per_update"],
        "CPU per update over decode": lambda f: f.get("decode_ratio"),
        "latency p50": lambda f: f["latency_us"].get("p50"),
        "latency p99": lambda f: f["latency_us"].get("p99"),
    }
    found = {}
    for name, pick in picks.items():
        values = [after / before for a, b in pairs if (before := pick(a)) and (after := pick(b)) is not None]
        if values:
            found[name] = spread(values)
    return found


def machine() -> Figures:
    """Where it ran."""
    cpuinfo = Path("/proc/cpuinfo").read_text("utf-8")
    model = next((line.partition(":")[2].strip() for line in cpuinfo.splitlines() if "model name" in line), "unknown")
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": os.getloadavg(),
    }


def commit(checkout: Path) -> str:
    """The commit of a checkout, with -dirty when files differ from it."""
    result = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"],
        cwd=checkout, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return result.stdout.strip() or "unknown"


# Text -----------------------------------------------------------------------------------------------------------------

_COLUMNS = (  # two lines of heading, and a width
    ("offered", "per s", 9),
    ("handled", "per s", 9),
    ("CPU us", "/update", 9),
    ("of a", "core", 6),
    ("times", "decode", 8),
    ("", "p50", 8),
    ("latency", "p90", 8),
    ("ms", "p99", 8),
    ("", "p99.9", 8),
    ("", "max", 8),
    ("updates", "/packet", 9),
    ("", "folded", 8),
    ("books", "equal", 11),
)
_NAME = 14
_STARVED = 3.0  # percent of the time
_FULL_CORE = 90.0  # percent
HEADING = "\n".join(" " * _NAME + "".join(f"{column[line]:>{column[2]}}" for column in _COLUMNS) for line in (0, 1))


def row(name: str, figures: Figures) -> str:
    """One run as a line under HEADING."""
    latency, books = figures["latency_us"], figures["books"]
    cells = (
        f"{figures['offered_per_second']:,.0f}",
        f"{figures['handled_per_second']:,.0f}",
        _number(figures["cpu_us_per_update"]),
        f"{figures['cpu_percent']:.0f}%",
        _number(figures.get("decode_ratio")),
        *(_milliseconds(latency.get(each)) for each in ("p50", "p90", "p99", "p99.9", "max")),
        _number(figures["updates_per_packet"], 1),
        f"{figures['folded']:,}",
        f"{books['equal']}/{books['compared']}",
    )
    return f"{name:{_NAME}}" + "".join(f"{cell:>{column[2]}}" for cell, column in zip(cells, _COLUMNS, strict=True))


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _milliseconds(microseconds: float | None) -> str:
    if microseconds is None:
        return "-"
    return f"{microseconds / 1000:.2f}" if microseconds < 100_000 else f"{microseconds / 1000:,.0f}"


def remarks(figures: Figures) -> list[str]:
    """What a reader must know to believe a run."""
    said = []
    offered, achieved = figures["offered_per_second"], figures["achieved_per_second"]
    if _short(figures) > _MOST_SHORT:
        said.append(f"the generator achieved {achieved:,.0f}/s of {offered:,.0f}/s")
    if figures["starved_percent"] > _STARVED:
        said.append(
            f"other programs held feeder's core for {figures['starved_percent']:.0f} % of the time: measure again"
        )
    other = figures["venue_cpu_percent"] + figures["listener_cpu_percent"]
    if other > _FULL_CORE:
        said.append(f"generator and listener took {other:.0f} % of their core: latencies and rates are theirs too")
    if figures["lost_by_listener"]:
        said.append(f"the listener lost packets {figures['lost_by_listener']} times: what they held is not counted")
    if figures["not_live"]:
        said.append(f"{figures['not_live']} times a book ceased to be LIVE")
    if figures["skipped"]:
        said.append(f"{figures['skipped']:,} of {figures['sent']['messages']:,} updates were skipped by new snapshots")
    if figures["logged"]:
        said.append("feeder logged " + ", ".join(f"{text!r} {count}x" for text, count in figures["logged"].items()))
    if figures["settled"]["pending"]:
        said.append(f"{figures['settled']['pending']} books never came to their last update")
    if figures["books"]["wrong"]:
        said.append(f"unequal: {', '.join(figures['books']['wrong'])}")
    return said


def window_remarks(windows: Sequence[Figures]) -> list[str]:
    """The same of windows of one scenario together."""
    said = []
    starved = max(each["starved_percent"] for each in windows)
    if starved > _STARVED:
        said.append(f"other programs held feeder's core for up to {starved:.0f} % of a window: measure again")
    lost = sum(each["lost_by_listener"] for each in windows)
    if lost:
        said.append(f"the listener lost packets {lost} times: what they held is not counted")
    folded = sum(each["folded"] for each in windows)
    if folded:
        said.append(f"{folded:,} updates were folded: it was an overload")
    return [f"    NOTE {each}" for each in said]


def details(figures: Figures) -> str:
    """The second line of a run."""
    megabytes = {key: value / 1e6 for key, value in figures["memory"]["after"].items()}
    writes = figures["sent"]["writes"] / figures["sent"]["seconds"]
    told = figures["latency_from_write_us"]
    from_write = [f"{each} {_milliseconds(told.get(each))}" for each in ("p50", "p99")]
    parts = [
        f"idle {figures['idle_cpu_percent']:.1f}%",
        f"venue's write to packet out {' '.join(from_write)} ms",
        f"{writes:,.0f} socket writes/s",
        f"RSS {megabytes['rss']:.0f} PSS {megabytes['pss']:.0f} peak {megabytes['peak']:.0f} MB",
        f"last book right {figures['settled']['seconds']:.3f} s after the end",
    ]
    if "decode_us" in figures:
        parts.append(f"decode {figures['decode_us']:.3f} us")
    if "relay_us" in figures:
        parts.append(f"bare relay {figures['relay_us']:.2f} us")
    return "    " + "; ".join(parts)
