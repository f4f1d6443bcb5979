"""`feeder ctl`: its arguments, and what each command asks, prints and returns.

Exit codes: 0 done; 1 something was not done, or the feeder cannot be reached; 2 usage; 78 a configuration that cannot
be used, be it ours or the one that the feeder was to reload.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from feeder import config
from feeder.bybit.topics import DEPTHS
from feeder.config import Config, Telemetry
from feeder.ctl import tables, top
from feeder.ctl.client import ControlClient
from feeder.errors import ConfigError, ControlError
from feeder.market.instrument import is_symbol

_SHORTEST_INTERVAL = 1.0  # seconds: the counters file gets no new values sooner


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `feeder ctl`, on its own parser."""
    _which(parser, config="config/feeder.yaml", socket=None, shard=None)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, act: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
        _which(added)
        added.add_argument("--json", action="store_true", help="print what the feeder says, on one line")
        added.set_defaults(act=act)
        return added

    command("status", _status, "how the feeder is: books, connections, configuration")
    books = command("books", _books, "a line for each book")
    books.add_argument("instruments", nargs="*", type=_instrument, metavar="INSTRUMENT", help="only these")
    books.add_argument("--not-live", action="store_true", help="only those that are not LIVE")
    subscribe = command("subscribe", _subscribe, "follow instruments besides those of the configuration")
    subscribe.add_argument("--depth", type=int, metavar="LEVELS", help="50 if not said, 25 for options")
    subscribe.add_argument("--no-trades", action="store_true", help="books only")
    unsubscribe = command("unsubscribe", _unsubscribe, "follow instruments no longer")
    resync = command("resync", _resync, "begin books anew with the exchange")
    for each in (subscribe, unsubscribe, resync):
        each.add_argument(
            "instruments", nargs="+", type=_instrument, metavar="INSTRUMENT", help="such as linear:BTCUSDT"
        )
    command("reload", _reload, "read the configuration again; one that cannot be used changes nothing")
    level = command("log-level", _log_level, "how much is logged, or from now on is to be")
    level.add_argument("level", nargs="?", choices=["debug", "info", "warning", "error"], metavar="LEVEL")
    live = command("top", _top, "the busiest and the sickest books, live, also of a feeder that hangs; q quits")
    live.add_argument("--counters", type=Path, metavar="FILE", help="above telemetry.counters of the configuration")
    live.add_argument(
        "--interval",
        type=_interval,
        metavar="SECONDS",
        help=f"between two pictures: {top.LIVE_SECONDS:g} on a terminal, {top.SMOOTH_SECONDS:g} elsewhere",
    )
    live.add_argument("--once", action="store_true", help="one picture after one interval")


def run(args: argparse.Namespace) -> int:
    """Do what was asked; the exit code. Raises ControlError, CountersError and ConfigError, which say what to do."""
    code: int = args.act(args)
    return code


# Which feeder ---------------------------------------------------------------------------------------------------------


def _which(parser: argparse.ArgumentParser, **defaults: Any) -> None:
    """The flags that name a feeder: before the command and behind it, where only what is given counts."""
    known = bool(defaults)
    for flag, metavar, text in (
        ("config", "FILE", "the feeder's (default config/feeder.yaml)"),
        ("shard", "K/N", "the feeder that was started with this --shard"),
        ("socket", "PATH", "its control socket: above the configuration, which is not read then"),
    ):
        default = defaults[flag] if known else argparse.SUPPRESS
        parser.add_argument(f"--{flag}", default=default, metavar=metavar, help=text)
    parser.add_argument(
        "--set",
        dest="set" if known else "set_behind",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override one key of the configuration, as for feeder run",
    )


def _config(args: argparse.Namespace) -> Config:
    """The feeder's configuration. Only what names its files is judged: a mistake elsewhere must keep nobody out."""
    found = config.parse_file(args.config, os.environ, [*args.set, *args.set_behind])
    if args.shard is None:
        return found
    listens_nowhere = Telemetry(listen=None, counters=found.telemetry.counters)
    return config.Shard.parse(args.shard).narrow(msgspec.structs.replace(found, telemetry=listens_nowhere))


def _feeder(args: argparse.Namespace) -> ControlClient:
    if args.socket is not None:
        return ControlClient(Path(args.socket))
    try:
        path = _config(args).control.socket
    except ConfigError as error:
        raise ConfigError(error.path, error.problem, f"{error.remedy}; or give --socket") from error
    if path is None:
        raise ConfigError("control.socket", "null, so this feeder cannot be asked", "name a path and start it again")
    return ControlClient(Path(path))


def _look(args: argparse.Namespace, path: str, query: Mapping[str, list[str]] | None = None) -> dict[str, Any]:
    """What the feeder tells; where the configuration cannot be used, what the one at the default socket tells.

    A file that somebody broke under a running feeder must not hide how that is. Nobody is told to do anything at a
    guessed socket.
    """
    try:
        feeder = _feeder(args)
    except ConfigError as mistake:
        if mistake.path == "control.socket" or mistake.path.startswith("--"):  # said, and that alone is wrong
            raise
        try:
            guessed = _default_socket(args)
        except ConfigError:
            raise mistake from None
        if guessed is None:
            raise
        what = f"{mistake.path}: {mistake.problem}"
        _complain(f"configuration {args.config} cannot be used ({what}); asking at {guessed} instead")
        try:
            return ControlClient(guessed).get(path, query)
        except ControlError as error:
            _complain(str(error))
            raise mistake from error
    return feeder.get(path, query)


def _default_socket(args: argparse.Namespace) -> Path | None:
    """Where a feeder listens whose file does not say. Raises ConfigError when what does say it cannot be used."""
    said = {name: value for name, value in os.environ.items() if name == "FEEDER_CONTROL__SOCKET"}
    flags = [flag for flag in (*args.set, *args.set_behind) if flag.startswith("control.socket=")]
    found = config.parse({}, said, flags)
    if args.shard is not None:
        shard = config.Shard.parse(args.shard)
        lines = msgspec.structs.replace(found.multicast, partitions=shard.count)  # the file's number is not known
        found = shard.narrow(msgspec.structs.replace(found, multicast=lines, telemetry=Telemetry(listen=None)))
    return None if found.control.socket is None else Path(found.control.socket)


# Commands -------------------------------------------------------------------------------------------------------------


def _status(args: argparse.Namespace) -> int:
    told = _look(args, "/status")
    _print(args, told, lambda: tables.status(told))
    return 0


def _books(args: argparse.Namespace) -> int:
    names = list(dict.fromkeys(args.instruments))
    told = _look(args, "/books", {"instrument": names} if names else None)
    found = told["books"]
    absent = sorted(set(names) - {row["instrument"] for row in found})
    none = []
    if args.not_live:
        told["books"] = [row for row in found if row["status"] != "LIVE"]
        none = ["every book is LIVE" if found else "there is no book"]
    _print(args, told, lambda: tables.books(told["books"], _width()) or none)
    if absent:
        _complain(f"not followed: {', '.join(absent)}; `feeder ctl subscribe` would follow them")
    return 1 if absent else 0


def _subscribe(args: argparse.Namespace) -> int:
    for name in args.instruments:
        depths = DEPTHS[name.partition(":")[0]]
        if args.depth is not None and args.depth not in depths:
            args.parser.error(f"{name}: no depth {args.depth}; use {', '.join(map(str, depths))}")
    return _tell(args, "/subscribe", {"depth": args.depth, "trades": not args.no_trades})


def _unsubscribe(args: argparse.Namespace) -> int:
    return _tell(args, "/unsubscribe", {})


def _resync(args: argparse.Namespace) -> int:
    return _tell(args, "/resync", {})


def _tell(args: argparse.Namespace, path: str, more: dict[str, object]) -> int:
    told = _feeder(args).post(path, {"instruments": args.instruments, **more})
    _print(args, told, lambda: tables.outcomes(told["outcomes"]))
    return 0 if all(outcome["done"] for outcome in told["outcomes"]) else 1


def _reload(args: argparse.Namespace) -> int:
    try:
        told = _feeder(args).post("/reload", {})
    except ConfigError as error:
        raise ConfigError(error.path, error.problem, f"{error.remedy}; the feeder goes on as it was") from error
    _print(args, told, lambda: tables.reload(told))
    return 1 if told["refused"] else 0


def _log_level(args: argparse.Namespace) -> int:
    level, path = args.level, "/log-level"
    told = _look(args, path) if level is None else _feeder(args).post(path, {"level": level})
    _print(args, told, lambda: [told["level"]])
    return 0


def _top(args: argparse.Namespace) -> int:
    path = args.counters or Path(_config(args).telemetry.counters)
    return top.run(path, args.interval, once=args.once, as_json=args.json)


# ----------------------------------------------------------------------------------------------------------------------


def _print(args: argparse.Namespace, told: dict[str, Any], lines: Callable[[], Iterable[str]]) -> None:
    """What the feeder said: as it did, or as lines for a person."""
    if args.json:
        print(json.dumps(told))
        return
    for line in lines():
        print(line)


def _width() -> int | None:
    """Of the terminal, if there is one."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _complain(text: str) -> None:
    print(f"feeder: {text}", file=sys.stderr)


def _instrument(text: str) -> str:
    category, _, symbol = text.partition(":")
    if category not in DEPTHS or not is_symbol(symbol):
        raise argparse.ArgumentTypeError(f"{text!r} names no instrument; write category:SYMBOL, such as linear:BTCUSDT")
    return text


def _interval(text: str) -> float:
    seconds = float(text)
    if not _SHORTEST_INTERVAL <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text} is not between {_SHORTEST_INTERVAL:g} and 3600")
    return seconds
