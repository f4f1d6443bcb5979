"""The relay on real sockets of loopback: what the staged network lets by arrives, at its time, and nothing else."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from feeder.multicast.plan import ChannelPlan, Line
from feeder.multicast.receiver import Receiver
from feeder.multicast.sockets import open_sender
from tests.helpers.processes import multicast_port, until

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from loss import Delay, Fault, Fixed, LineDown, Network, Reorder  # noqa: E402 - a program of the checkout
from relay import Relay  # noqa: E402

LOOPBACK = "127.0.0.1"


def plan(port: int, groups: tuple[str, str]) -> ChannelPlan:
    return ChannelPlan(1, port, [Line(name, group, LOOPBACK) for name, group in zip("AB", groups, strict=True)])


class Ends:
    """A sender before the relay and a receiver behind it."""

    def __init__(self) -> None:
        port = multicast_port()
        self.source = plan(port, ("239.77.0.0", "239.78.0.0"))
        self.target = plan(port, ("239.79.0.0", "239.80.0.0"))
        self.heard: list[tuple[str, int, bytes, float]] = []
        self._senders = {
            (end.line, channel.channel_id): open_sender(end, ttl=0, loop=True)
            for channel in self.source.channels
            for end in channel.endpoints
        }
        self._receiver = Receiver(self.target.channels, self._on_datagram)

    def _on_datagram(self, line: str, channel_id: int, data: bytes) -> None:
        self.heard.append((line, channel_id, data, time.monotonic()))

    def send(self, line: str, channel_id: int, data: bytes) -> None:
        self._senders[line, channel_id].send(data)

    async def hears(self, count: int) -> None:
        await until(lambda: len(self.heard) >= count, 10, f"{count} datagrams behind the relay")

    def payloads(self, line: str) -> list[bytes]:
        return [data for name, _, data, _ in self.heard if name == line]

    async def __aenter__(self) -> "Ends":
        self._receiver.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._receiver.close()
        for sender in self._senders.values():
            sender.close()


@asynccontextmanager
async def between(*faults: Fault) -> AsyncIterator[tuple[Ends, Relay]]:
    async with Ends() as ends, Relay(ends.source, ends.target, Network(faults, 1)) as relay:
        yield ends, relay


async def test_every_datagram_of_every_channel_and_line_goes_on_as_it_was():
    async with between() as (ends, relay):
        sent = [(line, channel, f"{line}{channel}".encode()) for line in "AB" for channel in range(5)]
        for each in sent:
            ends.send(*each)
        await ends.hears(len(sent))
        assert sorted(each[:3] for each in ends.heard) == sorted(sent)
        assert (relay.received, relay.sent, relay.refused) == (10, 10, 0)


async def test_lost_packets_do_not_go_on_and_the_other_line_is_whole():
    async with between(Fixed((2,), lines=("A",))) as (ends, relay):
        for number in range(1, 4):
            for line in "AB":
                ends.send(line, 0, bytes([number]))
        await ends.hears(5)
        assert ends.payloads("A") == [b"\1", b"\3"]
        assert ends.payloads("B") == [b"\1", b"\2", b"\3"]
        assert relay.network.stats["A"].lost.total() == 1


async def test_what_is_delayed_comes_so_much_later_in_the_order_of_its_times():
    async with between(Delay(0.3, lines=("A",)), Delay(0.1, lines=("B",))) as (ends, _):
        sent_at = time.monotonic()
        for number in range(3):
            ends.send("A", 0, bytes([number]))
            ends.send("B", 0, bytes([number]))
        await ends.hears(6)
        assert [line for line, _, _, _ in ends.heard] == list("BBBAAA")
        assert ends.payloads("A") == ends.payloads("B") == [b"\0", b"\1", b"\2"]
        assert ends.heard[0][3] - sent_at >= 0.1
        assert ends.heard[3][3] - sent_at >= 0.3


async def test_what_is_held_back_leaves_in_time_though_nothing_follows():
    async with between(Reorder(64, 0.05, 1.0)) as (ends, _):
        for number in range(3):
            ends.send("A", 0, bytes([number]))
        await ends.hears(3)
        assert sorted(ends.payloads("A")) == [b"\0", b"\1", b"\2"]


async def test_a_dead_line_is_dead_while_the_other_lives():
    async with between(LineDown(0, 3600, lines=("A",))) as (ends, _):
        for line in "AB":
            ends.send(line, 0, b"x")
        await ends.hears(1)
        assert ends.payloads("A") == []
        assert ends.payloads("B") == [b"x"]


def test_a_relay_that_would_hear_itself_is_refused():
    with pytest.raises(ValueError, match="both heard and sent to"):
        Relay(plan(20480, ("239.77.0.0", "239.78.0.0")), plan(20480, ("239.77.0.0", "239.78.0.0")), Network((), 1))


async def command(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "tools" / "relay.py"),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_the_command_relays_until_it_is_told_to_end_and_says_what_it_did():
    async with Ends() as ends:
        process = await command(
            *("--from-interface", LOOPBACK, "--to-interface", LOOPBACK, "--partitions=1"),
            *(f"--port={ends.source.port}", "--to-group=A=239.79.0.0", "--to-group=B=239.80.0.0"),
            *("--faults", "fixed:1@A", "--seed=5"),
        )
        try:
            assert process.stdout is not None
            assert json.loads(await asyncio.wait_for(process.stdout.readline(), 30)) == {"ready": True}
            for number in range(2):
                for line in "AB":
                    ends.send(line, 0, bytes([number]))
            await ends.hears(3)
            process.send_signal(signal.SIGTERM)
            told, complaints = await asyncio.wait_for(process.communicate(), 15)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert (process.returncode, complaints) == (0, b"")
        figures = json.loads(told)
        assert (figures["received"], figures["sent"]) == (4, 3)
        assert figures["lines"]["A"]["lost"] == {"fixed": 1}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--from-interface=127.0.0.1", "--to-interface=127.0.0.1"), 2, "both heard and sent to"),
        (("--from-interface=lo", "--to-interface=127.0.0.1", "--faults=rain"), 2, "no fault 'rain'"),
        (("--from-interface=A=lo", "--to-interface=127.0.0.1"), 2, "none is given for line B"),
        (("--from-interface=C=lo", "--to-interface=127.0.0.1"), 2, "names line C; there are A, B"),
        (("--from-interface=nosuch", "--to-interface=127.0.0.1"), 1, "no interface 'nosuch'"),
    ],
)
async def test_the_command_says_what_it_cannot_do(arguments, code, says):
    process = await command(*arguments)
    _, complaints = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == code
    assert says in complaints.decode()
