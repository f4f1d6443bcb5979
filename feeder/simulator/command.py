"""`feeder sim`: its arguments, and the service itself."""

import argparse
import sys
from pathlib import Path

from feeder.errors import FeederError
from feeder.simulator.keys import DEFAULT_KEY, ApiKey
from feeder.simulator.script import load_script
from feeder.simulator.server import Simulator, SimulatorConfig
from feeder.simulator.venue import CATEGORIES

MOST_SYMBOLS = 5_000  # several times what the real exchange lists; each takes memory from the start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `feeder sim`, on its own parser."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument(
        "--port", type=_port, default=9443, help="port of all WebSockets, 0 picks one (default %(default)s)"
    )
    parser.add_argument("--rest-port", type=_port, default=9444, help="REST port, 0 picks one (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of all that is random (default %(default)s)")
    parser.add_argument(
        "--faults",
        type=Path,
        metavar="FILE",
        help="what goes wrong and when: a YAML list (see feeder/simulator/script.py)",
    )
    parser.add_argument(
        "--key",
        type=_key,
        action="append",
        default=[],
        metavar="KEY:SECRET",
        help="an API key of this simulator, never one of the real exchange, as whoever lists processes reads it; "
        f"may be given several times, each with an account of its own (default {DEFAULT_KEY.key}:{DEFAULT_KEY.secret})",
    )
    parser.add_argument(
        "--rest-limits",
        action="store_true",
        help="refuse who asks REST or the order entry too often, as the exchange does",
    )
    market = parser.add_argument_group("a seeded market")
    market.add_argument(
        "--symbols", type=_symbols, metavar="N", help=f"how many are listed (default 20, at most {MOST_SYMBOLS})"
    )
    market.add_argument(
        "--categories", type=_categories, metavar="LIST", help="over which they are spread (default linear)"
    )
    market.add_argument(
        "--updates-per-second", type=_rate, metavar="TOTAL", help="book updates of all symbols together (default 400)"
    )
    replay = parser.add_argument_group("or recordings")
    replay.add_argument(
        "--replay",
        type=replay_argument,
        action="append",
        default=[],
        metavar="CATEGORY=FILE",
        help="lines of '<ns> <json>' or bare JSON, plain or gzip; may be given several times",
    )
    replay.add_argument("--speed", type=_speed, metavar="1|N|max", help="times real time (default 1)")


async def serve(args: argparse.Namespace) -> None:
    """Run the simulator until cancelled. Prints one line when it is ready. FeederError says what to change."""
    async with Simulator(config_of(args)) as simulator:
        sys.stdout.write(f"simulator ready websocket={simulator.websocket_url} rest={simulator.rest_url}\n")
        sys.stdout.flush()
        await simulator.wait()


def config_of(args: argparse.Namespace) -> SimulatorConfig:
    """The configuration that parsed arguments ask for. FeederError if they ask for two markets at once."""
    seeded = {
        "--symbols": args.symbols,
        "--categories": args.categories,
        "--updates-per-second": args.updates_per_second,
    }
    given = [name for name, value in seeded.items() if value is not None]
    if args.replay and given:
        raise FeederError(f"--replay plays what was recorded; leave {', '.join(given)} out, or --replay")
    if args.speed is not None and not args.replay:
        raise FeederError("--speed is that of a replay; leave it out, or give --replay")
    defaults = SimulatorConfig()
    return SimulatorConfig(
        host=args.host,
        port=args.port,
        rest_port=args.rest_port,
        seed=args.seed,
        symbols=args.symbols or defaults.symbols,
        categories=args.categories or defaults.categories,
        updates_per_second=args.updates_per_second or defaults.updates_per_second,
        replays=tuple(args.replay),
        faults=load_script(args.faults) if args.faults else (),
        speed=None if args.speed == "max" else args.speed or defaults.speed,
        keys=_accounts(args.key) or defaults.keys,
        rest_limits=args.rest_limits,
    )


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port; give 0 to 65535")
    return port


def _key(text: str) -> tuple[str, str]:
    key, colon, secret = text.partition(":")
    if not colon or not key or not secret:
        raise argparse.ArgumentTypeError("one is not KEY:SECRET, such as my-key:my-secret")  # not repeated: a secret
    return key, secret


def _accounts(keys: list[tuple[str, str]]) -> tuple[ApiKey, ...]:
    return tuple(ApiKey(key, secret, str(number)) for number, (key, secret) in enumerate(keys, 1))


def _symbols(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MOST_SYMBOLS:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and {MOST_SYMBOLS}")
    return number


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return rate


def _categories(text: str) -> tuple[str, ...]:
    return tuple(_category(name) for name in text.split(","))


def _category(name: str) -> str:
    if name not in CATEGORIES:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(CATEGORIES)}")
    return name


def replay_argument(text: str) -> tuple[str, Path]:
    """CATEGORY=FILE, as argparse's type."""
    category, equals, path = text.partition("=")
    if not equals or not path:
        raise argparse.ArgumentTypeError(f"{text!r} is not CATEGORY=FILE, such as linear=recording.jsonl.gz")
    return _category(category), Path(path)


def _speed(text: str) -> float | str:
    return text if text == "max" else _rate(text)
