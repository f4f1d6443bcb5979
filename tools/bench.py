"""The benchmark: what feeder costs under the exchange's load, beside the limits it is held to.

The real program (`feeder run`) has a core to itself; a generator of rendered messages and a listener to all multicast
channels share the other. Figures are of the machine at that moment: compare commits with --against, never by absolute
times.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from bench_child import BenchError
from bench_consumer import consumer
from bench_market import Shape
from bench_memory import memory_per_symbol
from bench_order_entry import order_entry
from bench_order_entry import text as order_entry_text
from bench_report import HEADING, LIMITS, commit, details, machine, ratios, remarks, row, spread
from bench_rest import rest
from bench_rest import text as rest_text
from bench_retransmit import retransmit
from bench_retransmit import text as retransmit_text
from bench_run import Plan, run
from bench_scrape import scrape
from bench_scrape import text as scrape_text
from bench_shards import shards
from bench_shards import text as shards_text
from bench_subject import THIS_CHECKOUT

Figures = dict[str, Any]

_LINEAR = Shape(820)  # symbols of the whole linear market
_CRASH = 45_000.0
PLANS = {
    "market": Plan(_LINEAR, 4_600, 10),
    "peak": Plan(_LINEAR, 8_800, 10),
    "crash": Plan(_LINEAR, _CRASH, 60, relay_seconds=3),
    "grid": Plan(_LINEAR, _CRASH, 10, grid_ms=20),
    "overload": Plan(_LINEAR, 200_000, 10, overload=True, floors=False),
}
_FEW, _MANY = 50, 2_000
_SYMBOLS_SECONDS = 8.0
SCENARIOS = (*PLANS, "symbols", "memory", "consumer", "retransmit", "scrape", "shards", "rest", "orders")
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """0 if it could be measured; limits missed are said, not punished."""
    args = _parse()
    for number in _ENDING:
        signal.signal(number, _end)
    result: Figures = {"machine": machine(), "commit": commit(THIS_CHECKOUT), "scenarios": {}}
    print(f"feeder {result['commit']} on {result['machine']['cpu']}, Python {result['machine']['python']}")
    if result["machine"]["cores"] < 2:
        print("only one core: generator and feeder share it, and no figure means much")
    try:
        if args.against is not None:
            _against(args, result)
        else:
            _scenarios(args, result)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        if args.json is not None:
            args.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    return 0


def _end(number: int, _: FrameType | None) -> None:
    """Told to end: what was started ends first, whatever is asked meanwhile."""
    for each in _ENDING:
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What feeder costs under the exchange's load.")
    parser.add_argument("scenario", nargs="*", metavar="SCENARIO", help=f"{', '.join(SCENARIOS)}; default all")
    parser.add_argument("--seconds", type=_amount, help="how long each load is measured")
    parser.add_argument("--symbols", type=_count, help="one run of your own: so many symbols (820)")
    parser.add_argument("--rate", type=_amount, help="updates per second of all symbols together (45000)")
    parser.add_argument("--levels", type=_count, help="levels changed by each update (3)")
    parser.add_argument("--depth", type=int, choices=(50, 200, 1000), help="levels a side (50)")
    parser.add_argument("--seed", type=int, default=1, help="of books and changes (1)")
    parser.add_argument("--grid", action="store_true", help="your own run: all that is due each 20 ms comes together")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep every figure")
    parser.add_argument("--against", metavar="REV", help="this checkout over that commit, in interleaved pairs")
    parser.add_argument("--runs", type=_count, default=3, help="pairs of --against (3)")
    args = parser.parse_args()
    unknown = [each for each in args.scenario if each not in SCENARIOS]
    if unknown:
        parser.error(f"no scenario {unknown[0]}; use one of {', '.join(SCENARIOS)}")
    args.own = any(each is not None for each in (args.symbols, args.rate, args.levels, args.depth)) or args.grid
    if args.own and args.scenario:
        parser.error("name scenarios, or give --symbols, --rate, --levels, --depth, --grid for a run of your own")
    if args.json is not None and not args.json.parent.is_dir():
        parser.error(f"--json: there is no folder {args.json.parent}")
    return args


def _amount(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _count(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def _plans(args: argparse.Namespace) -> dict[str, Plan]:
    """The loads asked for, by name."""
    if args.own:
        shape = Shape(args.symbols or _LINEAR.symbols, args.depth or 50, args.levels or 3)
        plans = {"own": Plan(shape, args.rate or _CRASH, 10, grid_ms=20 * args.grid, relay_seconds=2)}
    else:
        plans = {name: plan for name, plan in PLANS.items() if name in (args.scenario or PLANS)}
    return {
        name: replace(
            plan,
            shape=replace(plan.shape, seed=args.seed),
            seconds=args.seconds or plan.seconds,
            relay_seconds=plan.relay_seconds if args.against is None else 0.0,
        )
        for name, plan in plans.items()
    }


def _measure(name: str, plan: Plan, checkout: Path) -> Figures:
    figures = run(plan, checkout)
    print(row(name, figures))
    print(details(figures))
    for remark in remarks(figures):
        print(f"    NOTE {remark}")
    sys.stdout.flush()
    return figures


def _scenarios(args: argparse.Namespace, result: Figures) -> None:
    found = result["scenarios"]
    wanted = [] if args.own else args.scenario or SCENARIOS
    print(HEADING, flush=True)
    for name, plan in _plans(args).items():
        found[name] = _measure(name, plan, THIS_CHECKOUT)
    if "symbols" in wanted:
        found["symbols"] = _symbols(args)
    if "memory" in wanted:
        found["memory"] = memory_per_symbol(THIS_CHECKOUT, args.seed)
        print(
            f"memory: {found['memory']['kb_per_symbol']:.1f} kB a symbol at depth 50 "
            f"({found['memory']['mb_over_bare']:.1f} MB for 1,000 over a bare interpreter with the libraries)"
        )
    if "consumer" in wanted:
        found["consumer"] = consumer(THIS_CHECKOUT, args.seed)
        print(
            f"consumer: {found['consumer']['cpu_us_per_update']:.2f} us CPU per update, both lines, "
            f"datagrams in memory to books (no socket reads), at {found['consumer']['rate']:,.0f} updates/s"
        )
    if "retransmit" in wanted:
        found["retransmit"] = retransmit(THIS_CHECKOUT, args.seed, args.seconds)
        print(retransmit_text(found["retransmit"]))
    if "scrape" in wanted:
        found["scrape"] = scrape(THIS_CHECKOUT, args.seed, args.seconds)
        print(scrape_text(found["scrape"]))
    if "shards" in wanted:
        found["shards"] = shards(THIS_CHECKOUT, args.seed, args.seconds)
        print(shards_text(found["shards"]))
    if "rest" in wanted:
        found["rest"] = rest(THIS_CHECKOUT)
        print(rest_text(found["rest"]))
    if "orders" in wanted:
        found["orders"] = order_entry(THIS_CHECKOUT)
        print(order_entry_text(found["orders"]))
    lines = [limit.line(found[limit.scenario]) for limit in LIMITS if limit.scenario in found]
    if lines:
        print("limits:", *lines, sep="\n")


def _symbols(args: argparse.Namespace) -> Figures:
    """The same rate with few and with many symbols, in turn."""
    plans = {
        count: Plan(Shape(count, seed=args.seed), _CRASH, args.seconds or _SYMBOLS_SECONDS, floors=False)
        for count in (_FEW, _MANY)
    }
    runs: dict[int, list[Figures]] = {_FEW: [], _MANY: []}
    for count in (_FEW, _MANY, _MANY, _FEW):
        runs[count].append(_measure(f"symbols {count}", plans[count], THIS_CHECKOUT))
    pairs = zip(runs[_FEW], runs[_MANY], strict=True)
    ratio = spread([many["cpu_us_per_update"] / few["cpu_us_per_update"] for few, many in pairs])
    return {"ratio": ratio, "few": runs[_FEW], "many": runs[_MANY]}


def _against(args: argparse.Namespace, result: Figures) -> None:
    """Each load on both checkouts in turn (A B B A ...), and this one's figures over the other's."""
    if not args.own and not args.scenario:
        args.scenario = ["crash"]
        args.seconds = args.seconds or 10.0
    plans = _plans(args)
    if len(plans) < len(args.scenario):
        raise BenchError("--against compares loads: name one of " + ", ".join(PLANS))
    with _worktree(args.against) as other:
        result["against"] = commit(other)
        print(f"A is {result['against']}, B is {result['commit']}")
        print(HEADING, flush=True)
        for name, plan in plans.items():
            pairs: list[tuple[Figures, Figures]] = []
            for turn in range(args.runs):
                sides: dict[str, Figures] = {}
                for side in "AB" if turn % 2 == 0 else "BA":
                    sides[side] = _measure(f"{name} {side}{turn + 1}", plan, other if side == "A" else THIS_CHECKOUT)
                pairs.append((sides["A"], sides["B"]))
            found = ratios(pairs)
            result["scenarios"][name] = {"ratios": found, "pairs": pairs}
            print(f"{name}: B over A, median (least to most) of {args.runs} pairs")
            for what, each in found.items():
                print(f"  {what:28}{each['median']:.3f}  ({each['min']:.3f} to {each['max']:.3f})")


@contextmanager
def _worktree(revision: str) -> Iterator[Path]:
    """A checkout of a commit beside this one, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="feeder-bench-") as folder:
        path = Path(folder) / "checkout"
        git = ["git", "-C", str(THIS_CHECKOUT), "worktree"]
        made = subprocess.run(
            [*git, "add", "--detach", str(path), revision], capture_output=True, text=True, check=False
        )
        if made.returncode:
            raise BenchError(f"no checkout of {revision}: {made.stderr.strip()}")
        try:
            yield path
        finally:
            subprocess.run([*git, "remove", "--force", str(path)], capture_output=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
