"""The `feeder` command. Exit codes: 0 ok, 1 failure, 2 usage, 78 bad configuration."""

import argparse
import asyncio
import json
import math
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import uvloop

from feeder import __version__, config, demo, log
from feeder.clock import SystemClock
from feeder.ctl import cli as ctl
from feeder.errors import ConfigError, FeederError, MachineError
from feeder.multicast.sockets import open_sender
from feeder.reload import Settings
from feeder.service import Service
from feeder.simulator import command as simulator
from feeder.telemetry.notify import Notifier

Result = TypeVar("Result")
Stop = Callable[[Callable[[], object]], None]
"""Says what is to be called when the process is asked to end."""

EXIT_FAILURE = 1
EXIT_STOPPED = 130  # what was to be shown was not
EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h; systemd is told not to restart on it


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command and return its exit code."""
    args, unknown = _parser().parse_known_args(argv)
    if unknown:
        args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except ConfigError as error:
        print(f"feeder: configuration: {error}", file=sys.stderr)
        return EXIT_CONFIG
    except FeederError as error:
        print(f"feeder: {error}", file=sys.stderr)
        return EXIT_FAILURE
    except BrokenPipeError:
        # Whoever read our output has left; nothing is wrong, and Python must not complain of it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return EXIT_STOPPED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="feeder", description="Bybit order books, republished on UDP multicast.")
    parser.add_argument("--version", action="version", version=f"feeder {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="follow the exchange and publish its books")
    _config_arguments(run)
    run.set_defaults(parser=run, run=_run)

    check = commands.add_parser(
        "check", help="look for mistakes in a configuration: exit 78; what this machine lacks for it: 1"
    )
    _config_arguments(check)
    check.add_argument("--json", action="store_true", help="print the effective configuration and every channel")
    check.set_defaults(parser=check, run=_check)

    control = commands.add_parser("ctl", help="ask a running feeder, and tell it what to do")
    ctl.add_arguments(control)
    control.set_defaults(parser=control, run=ctl.run)

    demonstration = commands.add_parser("demo", help="simulator, feeder and consumer for a few seconds, books compared")
    demo.add_arguments(demonstration)
    demonstration.set_defaults(parser=demonstration, run=_demonstrate)

    sim = commands.add_parser("sim", help="an imitation of the exchange: a seeded market, or recordings")
    simulator.add_arguments(sim)
    sim.set_defaults(parser=sim, run=_simulate)
    return parser


def _config_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", default="config/feeder.yaml", metavar="FILE", help="default %(default)s")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override one key, such as multicast.port=21000; above FEEDER_MULTICAST__PORT, above the file",
    )
    parser.add_argument(
        "--shard",
        metavar="K/N",
        help="one of N processes that share the feed: it serves the partitions p with p mod N = K",
    )


def _run(args: argparse.Namespace) -> int:
    shard = None if args.shard is None else config.Shard.parse(args.shard)
    settings = Settings(Path(args.config), os.environ, args.set, shard, SystemClock())
    formats = {"auto": None, "json": True, "text": False}
    log.configure(settings.config.log.level, as_json=formats[settings.config.log.format])
    service = Service(settings, Notifier.from_environment(os.environ))

    async def run(on_stop: Stop) -> int:
        on_stop(service.stop)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, service.reload_soon)
        await service.run()
        # Everything has been said and closed. What uvloop would still wait for is a name server without an answer, whom
        # nobody can interrupt: a minute, as the system's resolver may be set up.
        log.flush_suppressed(math.inf)
        sys.stderr.flush()
        os._exit(0)

    return _serve(run)


def _check(args: argparse.Namespace) -> int:
    shard = None if args.shard is None else config.Shard.parse(args.shard)
    settings = config.parse_file(args.config, os.environ, args.set)
    problems: list[FeederError] = list(config.problems(settings))
    addresses: dict[str, str] = {}
    if not problems:
        if shard is not None:
            settings = shard.narrow(settings)
        addresses, problems = _addresses(settings)
    for problem in problems:
        whose = "this machine" if isinstance(problem, MachineError) else "configuration"
        print(f"feeder: {whose}: {problem}", file=sys.stderr)
    if problems:
        return EXIT_FAILURE if all(isinstance(problem, MachineError) for problem in problems) else EXIT_CONFIG
    plan = settings.multicast.plan
    served = range(plan.partitions) if shard is None else shard.partitions(plan.partitions)
    requests = [plan.retransmit(partition, addresses) for partition in served]
    channels = [
        {
            "partition": channel.partition,
            "channelId": channel.channel_id,
            "kind": channel.kind.name.lower(),
            "line": end.line,
            "group": end.group,
            "port": end.port,
            "interface": end.interface,
        }
        for channel in (*plan.channels, *requests)
        if channel.partition in served
        for end in channel.sockets
    ]
    if args.json:
        print(json.dumps({"config": msgspec.to_builtins(settings), "channels": channels}))
    else:
        print(f"{args.config}: no mistakes found; {len(channels)} sockets")
    return 0


def _addresses(settings: config.Config) -> tuple[dict[str, str], list[FeederError]]:
    """The unicast address of each line, and the lines whose interface this machine does not have."""
    addresses: dict[str, str] = {}
    problems: list[FeederError] = []
    multicast = settings.multicast
    for end in next(iter(multicast.plan.channels)).endpoints:
        try:
            with open_sender(end, ttl=multicast.ttl, loop=multicast.loop) as sender:
                addresses[end.line] = sender.getsockname()[0]
        except (ConfigError, MachineError) as error:
            problems.append(error)
    return addresses, problems


def _demonstrate(args: argparse.Namespace) -> int:
    log.configure("warning", as_json=False)

    async def run(on_stop: Stop) -> int:
        code = await _until_stopped(demo.run(args), on_stop)
        return EXIT_STOPPED if code is None else code

    return _serve(run)


def _simulate(args: argparse.Namespace) -> int:
    log.configure("warning")

    async def run(on_stop: Stop) -> int:
        await _until_stopped(simulator.serve(args), on_stop)
        return 0

    return _serve(run)


async def _until_stopped(work: Coroutine[Any, Any, Result], on_stop: Stop) -> Result | None:
    """What the work returns; None, with all of it put away, if the process is asked to end before."""
    task = asyncio.ensure_future(work)
    on_stop(task.cancel)
    await asyncio.wait([task])
    return None if task.cancelled() else task.result()


def _serve(run: Callable[[Stop], Coroutine[Any, Any, int]]) -> int:
    """Run to the end on uvloop; `run` is given a function that says what SIGTERM, SIGINT and SIGHUP do."""

    async def main_task() -> int:
        loop = asyncio.get_running_loop()

        def on_stop(stop: Callable[[], object]) -> None:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                    loop.add_signal_handler(number, stop)

        return await run(on_stop)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main_task())
