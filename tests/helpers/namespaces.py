"""Networks of the kernel's own on one machine: hosts are network namespaces, their cables veth pairs, switches bridges.

Everything is named after this process and removed at the end; nothing outside of these namespaces is touched.
"""

import itertools
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_numbers = itertools.count()


class Host:
    """One namespace, its loopback up. Interfaces in it are known by their names there."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.within = ("ip", "netns", "exec", name)  # before a command that is to run there

    def run(self, *command: str) -> str:
        """Run a short command there; its output. Raises AssertionError when it fails."""
        return _run(*self.within, *command)

    def set_link(self, interface: str, *, up: bool) -> None:
        """Take an interface up or down, as a pulled cable does."""
        self.run("ip", "link", "set", "dev", interface, "up" if up else "down")

    def route(self, network: str, through: str) -> None:
        """Reach a network through a neighbour's address."""
        self.run("ip", "route", "add", network, "via", through)

    def filter(self, interface: str, *rules: str) -> None:
        """Have nftables look at every packet that comes in by an interface. A rule's `counter` is read by `counted`."""
        lines = "\n".join(rules)
        table = (
            f"table netdev on_{interface} {{\nchain ingress {{\n"
            f'type filter hook ingress device "{interface}" priority 0\npolicy accept\n{lines}\n}}\n}}\n'
        )
        _run(*self.within, "nft", "-f", "-", text=table)

    def clear(self) -> None:
        """Remove all filters."""
        self.run("nft", "flush", "ruleset")

    def counted(self, interface: str) -> list[int]:
        """Packets that each rule's counter has counted, in the rules' order."""
        listing: dict[str, list[dict[str, Any]]] = json.loads(
            self.run("nft", "-j", "list", "table", "netdev", f"on_{interface}")
        )
        return [
            part["counter"]["packets"]
            for entry in listing["nftables"]
            if "rule" in entry
            for part in entry["rule"]["expr"]
            if "counter" in part
        ]


class Wiring:
    """Hosts and the cables between them."""

    def __init__(self) -> None:
        self._prefix = f"feeder-{os.getpid()}-{next(_numbers)}"
        self._hosts: list[Host] = []

    def host(self, name: str) -> Host:
        """A new host."""
        host = Host(f"{self._prefix}-{name}")
        _run("ip", "netns", "add", host.name)
        self._hosts.append(host)
        host.set_link("lo", up=True)
        return host

    def bridge(self, host: Host, name: str) -> None:
        """A switch in a host, which passes multicast to all its ports."""
        host.run("ip", "link", "add", "name", name, "type", "bridge", "mcast_snooping", "0")
        host.set_link(name, up=True)

    def cable(self, one: Host, interface: str, other: Host, other_interface: str) -> None:
        """A veth pair, both ends up."""
        pair = ("type", "veth", "peer", "name", other_interface, "netns", other.name)
        _run("ip", "link", "add", "name", interface, "netns", one.name, *pair)
        one.set_link(interface, up=True)
        other.set_link(other_interface, up=True)

    def plug(self, host: Host, interface: str, address: str, switch: Host, bridge: str, port: str) -> None:
        """A cable from a host's interface, which gets this address (with its prefix length), to a switch's port."""
        self.cable(host, interface, switch, port)
        switch.run("ip", "link", "set", "dev", port, "master", bridge)
        host.run("ip", "address", "add", address, "dev", interface)

    def remove(self) -> None:
        """Remove every host, and with it its cables."""
        for host in self._hosts:
            _run("ip", "netns", "del", host.name)
        self._hosts.clear()


@contextmanager
def wiring() -> Iterator[Wiring]:
    """A network that is removed at the end, however that comes."""
    wires = Wiring()
    try:
        yield wires
    finally:
        wires.remove()


def _run(*command: str, text: str | None = None) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}{_numbered(text)}"
    return done.stdout


def _numbered(text: str | None) -> str:
    lines: Sequence[str] = (text or "").splitlines()
    return "".join(f"\n{number:3} {line}" for number, line in enumerate(lines, start=1))
