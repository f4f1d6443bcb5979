"""What an update costs in a shard: shard 0 of 2 against one process that serves all, in turn on the same core.

A shard follows the symbols of its own partitions. It is compared twice: with as many updates a second as the unsharded
process has (its symbols are busier), and with those of its symbols out of the same market, about half. Fewer updates a
second leave more turns of the loop with little to do in them and packets with less in them, in one process or in two.
"""

import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench_market import Shape
from bench_report import ratios, spread_text, window_remarks
from bench_run import Venue, compare, settle, window

Figures = dict[str, Any]

_SHAPE = Shape(820)
_RATE = 45_000.0
_SHARD = (0, 2)
_WINDOW_SECONDS = 8.0
_WARM_UP_SECONDS = 2.0
_PAIRS = 3


def shards(checkout: Path, seed: int, seconds: float | None) -> Figures:
    """Figures of each run, and the shard's over the unsharded's; `seconds` is the length of a window."""
    seconds = seconds or _WINDOW_SECONDS
    runs: dict[str, list[Figures]] = {"unsharded": [], "shard_same": [], "shard_half": []}
    books: list[Figures] = []
    with ExitStack() as stack:
        venue = Venue(stack, replace(_SHAPE, seed=seed))
        share = len(venue.symbols(_SHARD)) / len(venue.symbols())
        whole = {"unsharded": _RATE}
        shard = {"shard_same": _RATE / share, "shard_half": _RATE}
        for turn in range(_PAIRS):
            sides = (whole, shard) if turn % 2 == 0 else (shard, whole)
            books += [_run(venue, checkout, seconds, _SHARD if each is shard else None, each, runs) for each in sides]
    return {
        "seed": seed,
        "shard": "{}/{}".format(*_SHARD),
        "share": share,
        "same": ratios(list(zip(runs["unsharded"], runs["shard_same"], strict=True))),
        "half": ratios(list(zip(runs["unsharded"], runs["shard_half"], strict=True))),
        "unequal": sum(each["compared"] - each["equal"] for each in books),
        "books": books,
        "runs": runs,
    }


def _run(
    venue: Venue,
    checkout: Path,
    seconds: float,
    shard: tuple[int, int] | None,
    rates: dict[str, float],
    runs: dict[str, list[Figures]],
) -> Figures:
    """One process at each of these rates of the whole market; how its books compare at the end."""
    with venue.listener() as listener, venue.subject(checkout, listener, shard=shard) as subject:
        for name, rate in rates.items():
            venue.load.ask("start", rate=rate, grid_ms=0)
            time.sleep(_WARM_UP_SECONDS)
            runs[name].append({**window(listener, subject, seconds), "offered_to_all": rate})
            ended = venue.load.ask("stop")["ended_ns"]
            runs[name][-1]["settled"] = settle(venue, listener, ended, shard)
        return compare(venue, shard)


def text(figures: Figures) -> str:
    """What a reader wants to see of it."""
    runs = figures["runs"]
    lines = [
        f"shards, seed {figures['seed']}: shard {figures['shard']}, {figures['share']:.0%} of the symbols, over one "
        f"process for all, median (least to most) of {len(runs['unsharded'])} pairs"
    ]
    for key, what in (("same", "as many updates/s in each process"), ("half", "the same market, its own part of it")):
        lines.append(f"    {what}: " + _rates(runs["unsharded"]) + " against " + _rates(runs[f"shard_{key}"]))
        lines += [f"      {name:26}{spread_text(each, 3)}" for name, each in figures[key].items()]
    lines.append(f"    books unequal: {figures['unequal']}")
    return "\n".join(lines + window_remarks([each for windows in runs.values() for each in windows]))


def _rates(runs: list[Figures]) -> str:
    rate = sum(each["handled_per_second"] for each in runs) / len(runs)
    cost = sum(each["cpu_us_per_update"] for each in runs) / len(runs)
    return f"{rate:,.0f}/s at {cost:.2f} us"
