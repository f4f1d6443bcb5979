"""What the data path notices of a Prometheus that scrapes 1,000 symbols every second: windows without and with it."""

import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench_child import Child, cpu_ns
from bench_market import Shape
from bench_report import ratios, spread, spread_text, window_remarks
from bench_run import Venue, compare, settle, window
from bench_subject import cores

Figures = dict[str, Any]

_SHAPE = Shape(1_000)
_RATE = 20_000.0  # the scraped exporter shares its core with generator and listener, which must not fall behind by that
_PERIOD_SECONDS = 1.0
_WINDOW_SECONDS = 8.0
_WARM_UP_SECONDS = 2.0
_TURNS = "ABBAABBA"  # A without scrapes, B with


def scrape(checkout: Path, seed: int, seconds: float | None) -> Figures:
    """One feeder with its exporter under load, in turn left alone and scraped; `seconds` is the length of a turn."""
    seconds = seconds or _WINDOW_SECONDS
    windows: dict[str, list[Figures]] = {"A": [], "B": []}
    with ExitStack() as stack:
        venue = Venue(stack, replace(_SHAPE, seed=seed))
        listener = stack.enter_context(venue.listener())
        subject = stack.enter_context(venue.subject(checkout, listener, metrics=True))
        scraper = stack.enter_context(Child("bench_scraper.py", subject.metrics_url, core=cores()[1]))
        exporter = subject.exporter()
        venue.load.ask("start", rate=_RATE, grid_ms=0)
        time.sleep(_WARM_UP_SECONDS)
        for turn in _TURNS:
            cpu = cpu_ns(exporter)
            if turn == "B":
                scraper.ask("start", period=_PERIOD_SECONDS)
            figures = window(listener, subject, seconds)
            scraped = scraper.ask("stop") if turn == "B" else None
            windows[turn].append({**figures, "scraped": scraped, "exporter_cpu_ns": cpu_ns(exporter) - cpu})
        settle(venue, listener, venue.load.ask("stop")["ended_ns"])
        books = compare(venue)
        logged = subject.logged()
    scraped = [each["scraped"] for each in windows["B"]]
    answers = [taken for each in scraped for taken in each["seconds"]]
    cpu = sum(each["exporter_cpu_ns"] for each in windows["B"])
    return {
        "seed": seed,
        "symbols": _SHAPE.symbols,
        "rate": _RATE,
        "ratios": ratios(list(zip(windows["A"], windows["B"], strict=True))),
        "scrapes": len(answers),
        "failed": sum(len(each["failed"]) for each in scraped),
        "samples": scraped[-1]["samples"],
        "bytes": scraped[-1]["bytes"],
        "answer_seconds": spread(answers) if answers else None,
        "exporter_cpu_seconds_per_scrape": cpu / 1e9 / len(answers) if answers else None,
        "books": books,
        "without": windows["A"],
        "with": windows["B"],
        "logged": logged,
    }


def text(figures: Figures) -> str:
    """What a reader wants to see of it."""
    lines = [
        f"scrape, seed {figures['seed']}: {figures['symbols']:,} symbols, {figures['rate']:,.0f} updates/s; with a "
        f"scrape of {figures['samples']:,} samples every second over without, median (least to most) of "
        f"{len(figures['with'])} pairs"
    ]
    lines += [f"    {what:28}{spread_text(each, 3)}" for what, each in figures["ratios"].items()]
    if figures["scrapes"]:
        lines.append(
            f"    {figures['scrapes']} answers of {figures['bytes'] / 1e3:,.0f} kB in "
            f"{spread_text(figures['answer_seconds'], 2)} s, {figures['failed']} failed; "
            f"{figures['exporter_cpu_seconds_per_scrape']:.2f} s CPU each, of the exporter"
        )
    lines.append(f"    books equal {figures['books']['equal']} of {figures['books']['compared']}")
    return "\n".join(lines + window_remarks([*figures["without"], *figures["with"]]))
