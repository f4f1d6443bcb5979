"""Exchange, feeder and consumers on hosts of their own: lines A and B on two networks, and one to ask the exchange by.

                 a 10.77.1.0/24 (line A), b 10.77.2.0/24 (line B), m 10.77.0.0/24
feeder .1 ──── switch ──┬── one .11
and exchange            ├── two .12
                        └── relay .20 ──── far 10.77.3.11 (A), 10.77.4.11 (B)
"""

import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.helpers.namespaces import Host, Wiring, wiring
from tests.helpers.processes import READY_SECONDS, Program, feeder, simulator

ROOT = Path(__file__).parents[2]
SYMBOLS = 8
RATE = 300
PARTITIONS = 4  # as configured by default
PORT = 20000
GROUPS = {"A": "239.77.0.0", "B": "239.78.0.0"}
LINES = {"A": "a", "B": "b"}  # line: network
_NETWORKS = {"a": "10.77.1", "b": "10.77.2", "m": "10.77.0"}
_FAR = {"A": "10.77.3", "B": "10.77.4"}
_FEEDER, _RELAY = 1, 20
_CONSUMERS = {"one": 11, "two": 12}


class Asked:
    """A program that is asked by lines of JSON and answers by lines of JSON; killed at the end if it still runs."""

    def __init__(self, process: asyncio.subprocess.Process, complaints: Path) -> None:
        self.process = process
        self._complaints = complaints

    async def line(self, seconds: float) -> dict[str, Any]:
        """What it says next."""
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), seconds)
        assert line, self._complaints.read_text("utf-8", errors="replace")
        told: dict[str, Any] = json.loads(line)
        return told

    async def ask(self, do: str, *, seconds: float = 15, **arguments: Any) -> dict[str, Any]:
        """Its answer; `seconds` is what it may take for what it is asked, if that is a matter of time."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, "seconds": seconds, **arguments}).encode() + b"\n")
        return await self.line(seconds + 30)

    async def ends_well(self) -> None:
        """Every book is LIVE again and the exchange's own, and none was ever LIVE and wrong."""
        told = await self.ask("well")
        checked = told.pop("checked")
        assert checked > 0, told
        assert told == {"differences": [], "wrong": [], "unknown": 0, "callback_errors": 0}, told


@asynccontextmanager
async def asked(host: Host, *command: str) -> AsyncIterator[Asked]:
    """A Python program on a host."""
    with tempfile.NamedTemporaryFile(prefix="feeder-test-", suffix=".log") as complaints:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *(*host.within, sys.executable, *command), stdin=pipe, stdout=pipe, stderr=complaints.file, cwd=ROOT
        )
        try:
            yield Asked(process, Path(complaints.name))
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


@dataclass
class Plant:
    """The running whole."""

    hosts: dict[str, Host]
    feeder: Program
    consumers: dict[str, Asked]
    relay: Asked | None

    async def all_live(self) -> None:
        """Every consumer has every book LIVE; what they see counts from here on."""
        for consumer in self.consumers.values():
            told = await consumer.ask("live", seconds=30)
            assert told["live"], (told, self.feeder.log)
        for consumer in self.consumers.values():
            await consumer.ask("mark")

    async def end_relay(self) -> dict[str, Any]:
        """What the relay did; it is gone then."""
        assert self.relay is not None
        self.relay.process.send_signal(signal.SIGTERM)
        return await self.relay.line(15)


@asynccontextmanager
async def plant(
    folder: Path, consumers: Sequence[str] = ("one", "two"), *, relay: Sequence[str] = ()
) -> AsyncIterator[Plant]:
    """All books LIVE at all consumers. With options for tools/relay.py a consumer `far` is behind it."""
    with wiring() as wires:
        hosts = _wire(wires, consumers, with_relay=bool(relay))
        exchange = f"{_NETWORKS['m']}.{_FEEDER}"
        async with AsyncExitStack() as stack:
            start = stack.enter_async_context
            arguments = (f"--symbols={SYMBOLS}", f"--updates-per-second={RATE}", f"--host={exchange}")
            _, addresses = await start(simulator(*arguments, within=hosts["feeder"].within))
            settings = {
                "exchange": {"websocket_url": addresses.websocket, "rest_url": addresses.rest},
                "subscriptions": [{"category": "linear", "symbols": "all"}],
                "multicast": {
                    "port": PORT,
                    "end_of_session_seconds": 0.2,
                    "lines": {
                        line: {"group": GROUPS[line], "interface": f"{_NETWORKS[network]}.{_FEEDER}"}
                        for line, network in LINES.items()
                    },
                },
            }
            following = await start(feeder(folder, settings, within=hosts["feeder"].within))
            relaying = await start(asked(hosts["relay"], *_relay_command(relay))) if relay else None
            if relaying is not None:
                await relaying.line(READY_SECONDS)
            running: dict[str, Asked] = {}
            for name in (*consumers, *(("far",) if relay else ())):
                lines = [[line, GROUPS[line], LINES[line]] for line in LINES]
                wanted = {"lines": lines, "port": PORT, "rest": addresses.rest, "books": SYMBOLS}
                running[name] = await start(asked(hosts[name], "-m", "tests.helpers.consumer", json.dumps(wanted)))
            for consumer in running.values():
                await consumer.line(READY_SECONDS)
            staged = Plant(hosts, following, running, relaying)
            await staged.all_live()
            yield staged
            assert await following.end() == 0, following.log


def _relay_command(options: Sequence[str]) -> list[str]:
    inner = [f"--from-interface={line}={network}" for line, network in LINES.items()]
    outer = [f"--to-interface={line}=far-{network}" for line, network in LINES.items()]
    return [str(ROOT / "tools" / "relay.py"), *inner, *outer, f"--port={PORT}", *options]


def _wire(wires: Wiring, consumers: Sequence[str], *, with_relay: bool) -> dict[str, Host]:
    switch = wires.host("switch")
    hosts = {"switch": switch}
    places = {"feeder": _FEEDER, **{name: _CONSUMERS[name] for name in consumers}}
    if with_relay:
        places["relay"] = _RELAY
    for network in _NETWORKS:
        wires.bridge(switch, network)
    for name, number in places.items():
        host = hosts[name] = wires.host(name)
        for network, address in _NETWORKS.items():
            wires.plug(host, network, f"{address}.{number}/24", switch, network, f"{network}-{name}")
    if with_relay:
        far = hosts["far"] = wires.host("far")
        wires.plug(far, "m", f"{_NETWORKS['m']}.30/24", switch, "m", "m-far")
        _wire_far(wires, hosts["feeder"], hosts["relay"], far)
    return hosts


def _wire_far(wires: Wiring, feeder_host: Host, relay: Host, far: Host) -> None:
    """Two cables to a consumer behind the relay, which routes what is not multicast."""
    relay.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
    for line, network in LINES.items():
        wires.cable(relay, f"far-{network}", far, network)
        relay.run("ip", "address", "add", f"{_FAR[line]}.1/24", "dev", f"far-{network}")
        far.run("ip", "address", "add", f"{_FAR[line]}.11/24", "dev", network)
        far.route(f"{_NETWORKS[network]}.0/24", f"{_FAR[line]}.1")
        feeder_host.route(f"{_FAR[line]}.0/24", f"{_NETWORKS[network]}.{_RELAY}")
