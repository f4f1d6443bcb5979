"""A network of its own between a feeder and consumers: hears the feed's groups, sends on what a staged network lets by.

    .venv/bin/python tools/relay.py --from-interface 10.77.1.20 --to-interface 10.77.3.1 --faults "delay:0.02,0.01"

Each datagram goes through tools/loss.py and on to the same groups on another interface, or to other groups. Lines may
have interfaces of their own (--from-interface A=eth0 --from-interface B=eth1). Prints a line of JSON when it is ready,
and what it did when it is told to end (SIGTERM, SIGINT). Requests for lost messages are unicast: they are routed.
"""

import argparse
import asyncio
import heapq
import itertools
import json
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from loss import FaultTextError, Network, parse

from feeder.errors import ConfigError, MachineError
from feeder.multicast.channel import LineSender
from feeder.multicast.plan import DEFAULT_LINES, DEFAULT_PARTITIONS, DEFAULT_PORT, ChannelPlan, Line
from feeder.multicast.receiver import Receiver
from feeder.multicast.sockets import open_sender

_TICK_SECONDS = 0.002  # how much later than said something held back may leave

_Delivery = tuple[float, int, str, int, bytes]  # when, a number to keep the order, line, channel id, datagram


class Relay:
    """`async with Relay(...)`: sends what comes on `source`'s channels to `target`'s, through `network`.

    Raises MachineError, ConfigError or OSError on entry when a socket cannot be had, ValueError for a relay that hears
    itself.
    """

    def __init__(self, source: ChannelPlan, target: ChannelPlan, network: Network) -> None:
        _check(source, target)
        self.network = network
        self._target = target
        self._receiver = Receiver(source.channels, self._on_datagram)
        self._senders: dict[tuple[str, int], LineSender] = {}
        self._heap: list[_Delivery] = []
        self._numbers = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._ticker: asyncio.Task[None] | None = None

    @property
    def received(self) -> int:
        """Datagrams heard."""
        return self._receiver.datagrams

    @property
    def sent(self) -> int:
        """Datagrams sent on."""
        return sum(sender.packets for sender in self._senders.values())

    @property
    def refused(self) -> int:
        """Datagrams that the system would not send."""
        return sum(sender.refused + sender.errors for sender in self._senders.values())

    async def __aenter__(self) -> Self:
        try:
            for channel in self._target.channels:
                for endpoint in channel.endpoints:
                    sock = open_sender(endpoint, ttl=1, loop=True)
                    self._senders[endpoint.line, channel.channel_id] = LineSender(endpoint.line, sock)
            self._receiver.open()
        except BaseException:
            self._close()
            raise
        self._ticker = asyncio.create_task(self._tick(), name="relay")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._ticker is not None
        self._receiver.close()
        self._ticker.cancel()
        await asyncio.wait([self._ticker])
        self._close()

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for sender in self._senders.values():
            sender.close()

    def _on_datagram(self, line: str, channel_id: int, data: bytes) -> None:
        now = time.monotonic()
        for when, datagram in self.network.arrivals(line, channel_id, data, now):
            self._deliver(line, channel_id, when, datagram, now)

    def _deliver(self, line: str, channel_id: int, when: float, datagram: bytes, now: float) -> None:
        if when <= now:
            self._senders[line, channel_id].send(memoryview(datagram))
            return
        first = not self._heap or when < self._heap[0][0]
        heapq.heappush(self._heap, (when, next(self._numbers), line, channel_id, datagram))
        if first:
            self._wait()

    def _wait(self) -> None:
        """Have `_due` called for the first delivery."""
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(0.0, self._heap[0][0] - time.monotonic()), self._due)

    def _due(self) -> None:
        now = time.monotonic()
        heap = self._heap
        while heap and heap[0][0] <= now:
            _, _, line, channel_id, datagram = heapq.heappop(heap)
            self._senders[line, channel_id].send(memoryview(datagram))
        self._timer = None
        if heap:
            self._wait()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = time.monotonic()
            for line, channel_id, when, datagram in self.network.on_time(now):
                self._deliver(line, channel_id, when, datagram, now)


def _check(source: ChannelPlan, target: ChannelPlan) -> None:
    """Raises ValueError when what is sent on would be heard again, or the two carry different channels."""
    if source.partitions != target.partitions or [a.name for a in source.lines] != [b.name for b in target.lines]:
        raise ValueError("a relay sends on the partitions and lines that it hears")
    heard = {(end.group, end.port, end.interface) for channel in source.channels for end in channel.endpoints}
    for channel in target.channels:
        for end in channel.endpoints:
            if (end.group, end.port, end.interface) in heard:
                raise ValueError(
                    f"{end.group}:{end.port} on {end.interface} is both heard and sent to; "
                    "choose another interface, another group or another port"
                )


def by_line(words: Sequence[str] | None, lines: Sequence[str], otherwise: Mapping[str, str]) -> dict[str, str]:
    """`A=x` for a line, or `x` for every line. Raises ValueError for a line that is not there, or none for one."""
    found: dict[str, str] = {}
    for word in words or ():
        line, equals, value = word.partition("=")
        if equals and line not in lines:
            raise ValueError(f"{word!r} names line {line}; there are {', '.join(lines)}")
        found.update({line: value} if equals else dict.fromkeys(lines, word))
    missing = [line for line in lines if line not in found and line not in otherwise]
    if missing:
        raise ValueError(f"none is given for line {', '.join(missing)}")
    return {**otherwise, **found}


async def run(relay: Relay) -> dict[str, Any]:
    """Relay until a signal; what was done."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with relay:
        print(json.dumps({"ready": True}), flush=True)
        await ended.wait()
    return {
        "received": relay.received,
        "sent": relay.sent,
        "refused": relay.refused,
        "lines": relay.network.told(),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """0 after a signal; 1 when a socket cannot be had."""
    names = [line.name for line in DEFAULT_LINES]
    groups = {line.name: line.group for line in DEFAULT_LINES}
    parser = argparse.ArgumentParser(description="Send a feed on through a bad network. [LINE=] for one line only.")
    parser.add_argument("--from-interface", action="append", required=True, metavar="[LINE=]INTERFACE")
    parser.add_argument("--to-interface", action="append", required=True, metavar="[LINE=]INTERFACE")
    parser.add_argument("--group", action="append", metavar="LINE=GROUP", help="heard (as the feeder's defaults)")
    parser.add_argument("--to-group", action="append", metavar="LINE=GROUP", help="sent to (as heard)")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="base port (default %(default)s)")
    parser.add_argument("--to-port", type=int, help="base port sent to (as --port)")
    parser.add_argument("--partitions", type=int, default=DEFAULT_PARTITIONS, help="of the feed (default %(default)s)")
    parser.add_argument("--faults", default="", help="see tools/loss.py; none: everything goes on at once")
    parser.add_argument("--seed", type=int, default=1, help="of all that is random (default %(default)s)")
    args = parser.parse_args(arguments)
    try:
        heard = by_line(args.group, names, groups)
        sent = by_line(args.to_group, names, heard)
        inner, outer = by_line(args.from_interface, names, {}), by_line(args.to_interface, names, {})
        source = [Line(name, heard[name], inner[name]) for name in names]
        target = [Line(name, sent[name], outer[name]) for name in names]
        to_port = args.port if args.to_port is None else args.to_port
        relay = Relay(
            ChannelPlan(args.partitions, args.port, source),
            ChannelPlan(args.partitions, to_port, target),
            Network(parse(args.faults), args.seed),
        )
    except (FaultTextError, ValueError, ConfigError) as error:
        parser.error(str(error))
    try:
        print(json.dumps(asyncio.run(run(relay))), flush=True)
    except (ConfigError, MachineError, OSError) as error:
        print(f"relay: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
