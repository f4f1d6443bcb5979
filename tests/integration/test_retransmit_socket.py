"""Requests on real sockets: to the sockets of a loop, and to the real program until the end of its farewell."""

import asyncio
import contextlib
import errno
import json
import socket
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from feeder.cli import main
from feeder.clock import SystemClock
from feeder.errors import MachineError
from feeder.multicast.channel import ChannelPublisher
from feeder.multicast.plan import Channel, ChannelPlan, Endpoint, Line
from feeder.multicast.retransmit import RetransmitServer
from feeder.multicast.retransmit_socket import REQUESTS_PER_TURN, RetransmitSockets
from feeder.multicast.ring import RING_MESSAGES, Ring
from feeder.multicast.sockets import open_receiver
from feeder.wire import encoder
from feeder.wire.decoder import decode
from feeder.wire.messages import (
    BookChecksum,
    ChannelInfo,
    Kind,
    PacketFlag,
    RejectReason,
    RetransmitReject,
    RetransmitRequest,
)
from feeder.wire.packet import Packet, pack_header_into, parse
from tests.helpers.processes import feeder, multicast_port, multicast_section, simulator, until

SESSION = 9
SECONDS = 20.0
MESSAGE = encoder.book_checksum(1, BookChecksum(1, 2, 3))


def request(first: int, count: int, *, partition: int = 0, session: int = SESSION) -> bytes:
    header = bytearray(32)
    own = 16 * partition + Kind.RETRANSMIT
    pack_header_into(header, own, PacketFlag.RETRANSMIT, 1, session, 0, 0)
    body = RetransmitRequest(first, count, 16 * partition)
    return bytes(header) + encoder.retransmit_request(body, 320)


class Partition:
    """A channel of which 3 packets of one message were sent, and its server."""

    def __init__(self, number: int = 0) -> None:
        clock = SystemClock()
        self.books = ChannelPublisher(16 * number, SESSION, PacketFlag.INCREMENTAL, [], clock, lambda _: None, Ring())
        for _ in range(3):
            self.books.write(MESSAGE)
            self.books.flush()
        self.server = RetransmitServer(16 * number + Kind.RETRANSMIT, [self.books], clock)


def channel(port: int, *addresses: str, partition: int = 0) -> Channel:
    ends = tuple(Endpoint(name, address, port, address) for name, address in zip("ABC", addresses, strict=False))
    return Channel(partition, Kind.RETRANSMIT, 16 * partition + Kind.RETRANSMIT, ends)


@contextlib.contextmanager
def consumer(address: str = "127.0.0.1") -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind((address, 0))
        yield sock


@pytest.fixture
async def sockets() -> AsyncIterator[RetransmitSockets]:
    served = RetransmitSockets(SystemClock())
    yield served
    served.close()


async def answer(sock: socket.socket) -> Packet:
    data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 2048), SECONDS)
    return parse(data)


async def test_a_request_is_answered_to_where_it_came_from(sockets):
    port, partition = multicast_port(), Partition()
    sockets.open(partition.server, channel(port, "127.0.0.1"))
    with consumer() as one, consumer() as other:
        one.sendto(request(2, 2), ("127.0.0.1", port))
        packet = await answer(one)
        assert (packet.sequence, packet.next_sequence, packet.flags) == (2, 4, 0x09)
        assert packet.data[32:] == MESSAGE * 2
        with pytest.raises(BlockingIOError):
            other.recv(2048)


async def test_lines_of_one_address_share_a_socket_and_others_have_their_own(sockets):
    port, partition = multicast_port(), Partition()
    sockets.open(partition.server, channel(port, "127.0.0.1", "127.0.0.1", "127.0.0.2"))
    with consumer() as sock:
        for address in ("127.0.0.1", "127.0.0.2"):
            sock.sendto(request(1, 1), (address, port))
            _, source = await asyncio.wait_for(asyncio.get_running_loop().sock_recvfrom(sock, 2048), SECONDS)
            assert source == (address, port)


async def test_a_turn_of_the_loop_serves_eight_requests_and_no_partition_waits_for_another_flood():
    port = multicast_port()
    partitions = [Partition(number) for number in range(3)]
    served = RetransmitSockets(SystemClock())
    loop = asyncio.get_running_loop()
    totals: list[int] = []
    firsts: dict[int, int] = {}  # turn in which each partition was first served

    def each_turn() -> None:
        totals.append(sum(partition.server.counters.requests for partition in partitions))
        for number, partition in enumerate(partitions):
            if partition.server.counters.requests:
                firsts.setdefault(number, len(totals))
        if totals[-1] < 102:
            loop.call_soon(each_turn)

    try:
        for number, partition in enumerate(partitions):
            served.open(partition.server, channel(port + 16 * number, "127.0.0.1", partition=number))
        with consumer() as sock:
            for _ in range(100):
                sock.sendto(request(1, 1), ("127.0.0.1", port))
            for number in (1, 2):
                sock.sendto(request(1, 1, partition=number), ("127.0.0.1", port + 16 * number))
            each_turn()
            await until(lambda: totals[-1] == 102, SECONDS, "all requests to be served")
    finally:
        served.close()
    steps = [after - before for before, after in pairwise(totals)]
    assert max(steps) <= REQUESTS_PER_TURN
    assert firsts[1] - firsts[0] <= 3
    assert firsts[2] - firsts[0] <= 3


class Refusing:
    """A socket that nothing can be sent with, and whose reads bring an error of the network now and then."""

    def __init__(self, sock: socket.socket, error: OSError) -> None:
        self._sock = sock
        self._error = error
        self._reads = 0

    def recvfrom(self, size: int) -> tuple[bytes, Any]:
        self._reads += 1
        if self._reads == 1:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        return self._sock.recvfrom(size)

    def sendto(self, _data: bytes, _address: Any) -> int:
        raise self._error

    def close(self) -> None:
        self._sock.close()

    def fileno(self) -> int:
        return self._sock.fileno()


@pytest.mark.parametrize(
    ("error", "counted"),
    [
        (BlockingIOError(errno.EAGAIN, "full"), {"dropped": 3, "errors": 1}),
        (OSError(errno.EPERM, "Operation not permitted"), {"dropped": 0, "errors": 4}),
    ],
)
async def test_errors_of_the_network_are_counted_and_end_nothing(sockets, monkeypatch, error, counted):
    port, partition = multicast_port(), Partition()
    opened = socket.socket

    def refusing(*_: object) -> Any:
        return Refusing(sock, error)

    with opened(socket.AF_INET, socket.SOCK_DGRAM) as sock, consumer() as asking:
        sock.setblocking(False)
        sock.bind(("127.0.0.1", port))
        monkeypatch.setattr("feeder.multicast.retransmit_socket._open", refusing)
        sockets.open(partition.server, channel(port, "127.0.0.1"))
        for _ in range(3):
            asking.sendto(request(1, 1), ("127.0.0.1", port))
        counters = partition.server.counters
        await until(lambda: counters.requests == 3, SECONDS, "the requests")
        sockets.close()
    assert {name: getattr(counters, name) for name in counted} == counted


async def test_a_consumer_that_is_gone_does_not_end_the_others_service(sockets):
    port, partition = multicast_port(), Partition()
    sockets.open(partition.server, channel(port, "127.0.0.1"))
    with consumer() as gone:
        gone.sendto(request(1, 1), ("127.0.0.1", port))
    await until(lambda: partition.server.counters.requests == 1, SECONDS, "the request of the one that is gone")
    with consumer() as sock:
        sock.sendto(b"", ("127.0.0.1", port))
        sock.sendto(request(1, 1), ("127.0.0.1", port))
        assert (await answer(sock)).next_sequence == 2
    assert partition.server.counters.invalid == 1


async def test_a_datagram_longer_than_a_packet_is_no_request(sockets):
    port, partition = multicast_port(), Partition()
    sockets.open(partition.server, channel(port, "127.0.0.1"))
    with consumer() as sock:
        sock.sendto(request(1, 1) + bytes(1400), ("127.0.0.1", port))
        await until(lambda: partition.server.counters.requests == 1, SECONDS, "the datagram")
    assert partition.server.counters.invalid == 1


async def test_a_port_in_use_is_named_with_its_key_and_nothing_stays_open():
    port = multicast_port()
    with consumer() as other:
        taken = other.getsockname()[1]
        served = RetransmitSockets(SystemClock())
        served.open(Partition().server, channel(port, "127.0.0.1"))
        with pytest.raises(MachineError, match=rf"multicast.port: .*127.0.0.1:{taken}.*ss -ulpn"):
            served.open(Partition(1).server, channel(taken, "127.0.0.1", partition=1))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(("127.0.0.1", port))


# The program ----------------------------------------------------------------------------------------------------------


def test_a_port_in_use_is_exit_1_as_it_may_be_free_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = multicast_port()
    path = tmp_path / "feeder.yaml"
    path.write_text(
        json.dumps({
            "exchange": {"websocket_url": "ws://127.0.0.1:9", "rest_url": "http://127.0.0.1:9"},
            "subscriptions": [{"category": "linear", "symbols": ["BTCUSDT"]}],
            "multicast": multicast_section(port),
            "state": {"directory": None},
            "telemetry": {"listen": None, "counters": str(tmp_path / "counters.dat")},
            "control": {"socket": None},
        }),
        "utf-8",
    )  # fmt: skip
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", port + 16 + 5))
        assert main(["run", f"--config={path}"]) == 1
    said = capsys.readouterr().err
    assert f"multicast.port: cannot listen for retransmit requests on 127.0.0.1:{port + 21}" in said


def described(packet: Packet) -> list[ChannelInfo]:
    bodies = [message.body for frame in packet.frames if (message := decode(packet, frame)) is not None]
    return [body for body in bodies if isinstance(body, ChannelInfo)]


async def test_a_feeder_says_where_to_ask_and_answers_until_its_farewell_is_over(tmp_path: Path) -> None:
    section = {**multicast_section(), "partitions": 1, "end_of_session_seconds": 2.0}
    port = section["port"]
    plan = ChannelPlan(1, port, [Line(name, **line) for name, line in section["lines"].items()])
    ends = [plan.channel(0, kind).endpoints[0] for kind in (Kind.BOOKS, Kind.DEFINITIONS)]
    async with simulator("--symbols=2", "--updates-per-second=100") as (_, venue):
        settings = {
            "exchange": {"websocket_url": venue.websocket, "rest_url": venue.rest},
            "subscriptions": [{"category": "linear", "symbols": "all", "trades": True}],
            "multicast": section,
        }
        with (
            open_receiver(ends[0], receive_buffer=1 << 20) as books,
            open_receiver(ends[1], receive_buffer=1 << 20) as definitions,
        ):
            async with feeder(tmp_path, settings) as running:
                kept: dict[int, Packet] = {}
                while len(kept) < 20:
                    packet = await answer(books)
                    if packet.frames:
                        kept[packet.sequence] = packet
                infos: dict[Kind, ChannelInfo] = {}
                while len(infos) < 6:
                    infos |= {info.kind: info for info in described(await answer(definitions))}
                with consumer() as sock:
                    for end_of_session in (False, True):
                        if end_of_session:
                            running.process.terminate()
                            while not (await answer(books)).flags & PacketFlag.END_OF_SESSION:
                                pass
                        for sequence, lost in kept.items():
                            (line,) = {(line.group, line.port) for line in infos[Kind.RETRANSMIT].lines}
                            data = request(sequence, len(lost.frames), session=lost.session_id)
                            sock.sendto(data, line)
                            again = await answer(sock)
                            assert (again.sequence, again.data[32:]) == (sequence, lost.data[32:])
                    sock.sendto(request(1, 1), line)
                    packet = await answer(sock)
                    message = decode(packet, packet.frames[0])
                    assert message is not None
                    assert isinstance(message.body, RetransmitReject)
                    assert message.body.reason is RejectReason.OTHER_SESSION
                assert await running.end() == 0, running.log
    assert line == ("127.0.0.1", port + 5)
    sizes = {kind.name: info.ring_size for kind, info in infos.items()}
    assert [kind for kind, info in infos.items() if not info.heartbeat_ns] == [Kind.RETRANSMIT], "it only answers"
    kept_kinds = ("BOOKS", "TRADES", "RETRANSMIT")
    assert sizes == {kind.name: RING_MESSAGES if kind.name in kept_kinds else 0 for kind in Kind}
