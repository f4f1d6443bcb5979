"""The listener's flags, and the feed they name."""

import argparse
import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

from feeder import __version__
from feeder.errors import ConfigError
from feeder.listen.json_lines import SCHEMA, STREAM_LEVELS
from feeder.listen.stats import column_meanings
from feeder.market.instrument import Category, InstrumentKey
from feeder.multicast.plan import DEFAULT_LINES, DEFAULT_PARTITIONS, DEFAULT_PORT, ChannelPlan, Line

_DEFAULT_CATEGORY = Category.LINEAR
_LINES_SHOWN = ", ".join(f"{line.name}={line.group}@{line.interface}" for line in DEFAULT_LINES)
_TIMEOUT_SECONDS = 10.0
_WIDTH = 110  # of what --help has below the flags
_STATS = "\n".join(
    textwrap.fill(
        f"{name:<27}{meaning}", _WIDTH, initial_indent="  ", subsequent_indent=" " * 29, break_on_hyphens=False
    )
    for name, meaning in column_meanings()
)

_EPILOG = f"""\
examples:
  feeder-listen                                  all instruments; Enter opens a ladder
  feeder-listen linear:BTCUSDT                   the ladder of one book
  feeder-listen BTCUSDT spot:ETHUSDT             a list of two
  feeder-listen --json BTCUSDT | jq .            every event as it happens
  feeder-listen --json --once > books.jsonl      every book whole, once, when all are LIVE
  feeder-listen --stats                          what each channel and line brought, every second
  feeder-listen --line A=239.77.0.0@eth0 --line B=239.78.0.0@eth1 --partitions 8

keys of the screens:
  up down page-up page-down home end   move         Enter   ladder of the book        Esc b   back
  n r a t   sort by symbol, rate, age, status       /       filter     s   statistics     ?   help     q Ctrl-C   quit

exit codes: 0 ok, 1 failure (--once: books missing after --timeout), 2 usage (also live screens without a terminal),
            78 a --config that cannot be used

--stats, counts since it started; B's columns are as A's:
{_STATS}

--json:
{SCHEMA}
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for. `instruments` is empty for all of them."""

    instruments: tuple[InstrumentKey, ...]
    plan: ChannelPlan
    instrument_ids: dict[InstrumentKey, int] = field(default_factory=dict)
    configured: bool = False  # by a file
    as_json: bool = False
    once: bool = False
    stats: bool = False
    levels: int | None = None
    timeout: float = _TIMEOUT_SECONDS  # of --once


def parse(arguments: Sequence[str] | None) -> Options:
    """The options of a command line.

    Ends the program with 2 for wrong usage; raises ConfigError for a --config that cannot be used.
    """
    parser = _parser()
    args = parser.parse_args(arguments)
    if args.config is not None and (args.line or args.port is not None or args.partitions is not None):
        parser.error("--config says lines, port and partitions; give either it or --line, --port, --partitions")
    if args.timeout is not None and not args.once:
        parser.error("--timeout is how long --once waits; without --once there is no end to wait for")
    names = [line.name for line in args.line or ()]
    for name in sorted({name for name in names if names.count(name) > 1}):
        parser.error(f"--line {name} is given {names.count(name)} times; each line has a name of its own")
    ids: dict[InstrumentKey, int] = {}
    if args.config is not None:
        # Only whoever gives a file needs what reads it. What the feeder follows is its own affair and not looked at.
        from feeder.config import parse_file

        config = parse_file(args.config, os.environ)
        plan, ids = config.multicast.plan, config.ids
    else:
        try:
            plan = ChannelPlan(
                DEFAULT_PARTITIONS if args.partitions is None else args.partitions,
                DEFAULT_PORT if args.port is None else args.port,
                args.line or DEFAULT_LINES,
            )
        except ConfigError as error:
            parser.error(f"{error.problem}; {error.remedy}")
    return Options(
        tuple(dict.fromkeys(args.instrument)),
        plan,
        ids,
        configured=args.config is not None,
        as_json=args.json,
        once=args.once,
        stats=args.stats,
        levels=args.levels,
        timeout=_TIMEOUT_SECONDS if args.timeout is None else args.timeout,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="feeder-listen",
        description="Look at a feeder's multicast: books, a list of all instruments, channel statistics, or JSON.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "instrument",
        nargs="*",
        type=_instrument,
        help=f"category:SYMBOL, or SYMBOL alone for category {_DEFAULT_CATEGORY}; none for all instruments",
    )
    mode = parser.add_argument_group("instead of live screens")
    mode.add_argument("--json", action="store_true", help="one JSON object per line on standard output")
    mode.add_argument("--once", action="store_true", help="wait until every book is LIVE, print them, end")
    mode.add_argument("--stats", action="store_true", help="channel statistics every second; with --once, one table")
    parser.add_argument(
        "--levels",
        type=_at_least_one,
        metavar="N",
        help=f"at most N levels of each side (--json: {STREAM_LEVELS} unless given; --once: all; ladder: as fit)",
    )
    parser.add_argument(
        "--timeout", type=_seconds, metavar="S", help=f"how long --once waits ({_TIMEOUT_SECONDS:g} seconds)"
    )
    feed = parser.add_argument_group("where the feed is (`feeder check --json` prints it)")
    feed.add_argument("--config", metavar="FILE", help="the feeder's configuration: lines, port, partitions, ids")
    feed.add_argument(
        "--line",
        action="append",
        type=_line,
        metavar="NAME=GROUP@INTERFACE",
        help=f"one per line; the interface is this machine's, by address or name ({_LINES_SHOWN})",
    )
    feed.add_argument("--port", type=int, metavar="P", help=f"base port ({DEFAULT_PORT})")
    feed.add_argument("--partitions", type=int, metavar="N", help=f"as the feeder has them ({DEFAULT_PARTITIONS})")
    parser.add_argument("--version", action="version", version=f"feeder-listen {__version__}")
    return parser


def _instrument(text: str) -> InstrumentKey:
    category, colon, symbol = text.rpartition(":")
    category = category.lower() if colon else str(_DEFAULT_CATEGORY)
    if category not in list(Category):
        raise argparse.ArgumentTypeError(f"no category {category!r} in {text!r}; use one of {', '.join(Category)}")
    if not symbol or not symbol.isascii() or not symbol.isprintable():
        raise argparse.ArgumentTypeError(f"no symbol in {text!r}; write it as linear:BTCUSDT")
    return (category, symbol.upper())


def _line(text: str) -> Line:
    name, equals, rest = text.partition("=")
    group, at, interface = rest.partition("@")
    if not (name and equals and group and at and interface):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=GROUP@INTERFACE, such as A=239.77.0.0@127.0.0.1")
    return Line(name, group, interface)


def _at_least_one(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of levels, 1 or more")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds
