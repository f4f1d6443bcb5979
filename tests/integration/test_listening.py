"""Which doors feeder and its exporter open: those that SECURITY.md names, and no other."""

import asyncio
import os
import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.helpers.processes import children, feeder, multicast_section, simulator, until

SECURITY = (Path(__file__).parents[2] / "SECURITY.md").read_text("utf-8")
_LISTEN = "0A"  # TCP_LISTEN of proc(5)


@dataclass(frozen=True, order=True)
class Door:
    """A socket as /proc/net has it. `peer` is who it is connected to, "" for anybody."""

    kind: str
    local: str
    peer: str = ""
    listening: bool = False


def _address(text: str) -> str:
    """127.0.0.1:80 of 0100007F:0050; IPv6 likewise, in words of the machine's byte order."""
    host, _, port = text.partition(":")
    words = [bytes.fromhex(host[at : at + 8])[::-1] for at in range(0, len(host), 8)]
    family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
    return f"{socket.inet_ntop(family, b''.join(words))}:{int(port, 16)}"


def _table(pid: int, name: str) -> list[list[str]]:
    return [line.split() for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]]


def doors(pid: int) -> list[Door]:
    """Every socket of a process that has an address, or is of a kind that needs none."""
    inodes = set()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            if match := re.fullmatch(r"socket:\[(\d+)\]", str(each.readlink())):
                inodes.add(match[1])
    found = []
    for kind in ("tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6", "icmp", "icmp6"):
        path = Path(f"/proc/{pid}/net/{kind}")
        for row in _table(pid, kind) if path.exists() else ():
            if row[9] in inodes:
                inodes.discard(row[9])
                peer = _address(row[2])
                found.append(Door(kind, _address(row[1]), "" if peer.endswith(":0") else peer, row[3] == _LISTEN))
    for row in _table(pid, "unix"):
        if row[6] in inodes:
            inodes.discard(row[6])
            if len(row) > 7:
                found.append(Door("unix", row[7], listening=int(row[3], 16) & 0x10000 != 0))  # __SO_ACCEPTCON
    for kind, column in (("packet", 8), ("netlink", 9)):
        path = Path(f"/proc/{pid}/net/{kind}")
        found += [Door(kind, row[2]) for row in (_table(pid, kind) if path.exists() else ()) if row[column] in inodes]
        inodes -= {row[column] for row in (_table(pid, kind) if path.exists() else ())}
    # What is in no table: UDP sockets without a port, and of other families none of these programs has any.
    found += [Door("unknown", inode) for inode in sorted(inodes)]
    return sorted(found)


def test_a_look_at_the_doors_sees_every_kind(tmp_path):
    before = doors(os.getpid())
    control = str(tmp_path / "control")
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as tcp6,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as unix,
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as netlink,
    ):
        udp.bind(("127.0.0.2", 0))
        unix.bind(control)
        unix.listen()
        netlink.bind((0, 0))
        found = [door for door in doors(os.getpid()) if door not in before]
        assert set(found) == {
            Door("tcp", f"127.0.0.1:{tcp.getsockname()[1]}", listening=True),
            Door("tcp6", f"::1:{tcp6.getsockname()[1]}", listening=True),
            Door("udp", f"127.0.0.2:{udp.getsockname()[1]}"),
            Door("unix", control, listening=True),
            Door("netlink", str(netlink.getsockname()[0])),
        }


def settings(folder: Path, websocket: str, rest: str, port: int) -> dict[str, Any]:
    return {
        "exchange": {"websocket_url": websocket, "rest_url": rest},
        "subscriptions": [{"category": "linear", "symbols": "all"}],
        "multicast": multicast_section(),
        "telemetry": {"listen": f"127.0.0.1:{port}", "counters": str(folder / "counters.dat")},
        "control": {"socket": str(folder / "control.sock")},
        "log": {"format": "json"},
    }


async def test_no_door_is_open_but_the_documented_ones(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listen = probe.getsockname()[1]
    async with simulator("--symbols=5", "--updates-per-second=50") as (_, exchange):
        given = settings(tmp_path, exchange.websocket, exchange.rest, listen)
        port = given["multicast"]["port"]
        async with feeder(tmp_path, given) as program:
            await until(lambda: program.log.count("book live") == 5, 30, "every book LIVE")
            await program.wait_for_log("metrics served")
            (exporter,) = children(program.process.pid)
            own = await asyncio.to_thread(doors, program.process.pid)
            its = await asyncio.to_thread(doors, exporter)
            mode = (tmp_path / "control.sock").stat().st_mode & 0o777
            assert await program.end() == 0

    def kinds(*names: str) -> list[Door]:
        return [door for door in own if door.kind in names]

    # The exporter has one door, and nothing of the feeder's.
    assert its == [Door("tcp", f"127.0.0.1:{listen}", listening=True)]
    # The feeder takes no TCP connection from anybody; those it has are its own to the exchange.
    exchanges = {address.partition("//")[2] for address in (exchange.websocket, exchange.rest)}
    assert not [door for door in kinds("tcp", "tcp6") if door.listening]
    assert {door.peer for door in kinds("tcp", "tcp6")} <= exchanges
    # UDP that anybody may send to: requests for lost messages. All else is connected to a group of the feed.
    requests = {f"127.0.0.1:{port + 16 * partition + 5}" for partition in range(4)}
    groups = {
        f"239.{line}.0.{16 * partition + kind}:{port + 16 * partition + kind}"
        for line in (77, 78)
        for partition in range(4)
        for kind in range(5)
    }
    udp = kinds("udp", "udp6")
    assert sorted(door.local for door in udp if not door.peer) == sorted(requests)
    assert sorted(door.peer for door in udp if door.peer) == sorted(groups)
    # Unix: the control socket, for owner and group.
    assert {door.local for door in kinds("unix")} == {given["control"]["socket"]}
    assert mode == 0o660
    assert {door.kind for door in own} == {"tcp", "udp", "unix"}, "nothing raw, no packet socket, no other family"


def test_security_md_names_the_doors():
    for key in ("telemetry.listen", "control.socket", "multicast.port + 16 * partition + 5"):
        assert f"`{key}`" in SECURITY
