"""Real sockets on loopback: what is sent to a group arrives there and nowhere else."""

import asyncio
import socket

import pytest

from feeder.errors import ConfigError, MachineError
from feeder.multicast.plan import Channel, Endpoint
from feeder.multicast.receiver import Receiver
from feeder.multicast.sockets import drops, open_receiver, open_sender
from feeder.wire.messages import Kind
from tests.helpers.processes import multicast_port

PORT = multicast_port()


def endpoint(group: str, interface: str = "127.0.0.1") -> Endpoint:
    return Endpoint("A", group, PORT, interface)


@pytest.mark.parametrize("interface", ["127.0.0.1", "lo"])
async def test_a_receiver_hears_its_own_group_only_though_the_port_is_shared(interface):
    heard: list[tuple[int, bytes]] = []
    arrived = asyncio.Event()

    def on_datagram(_line: str, channel_id: int, data: bytes) -> None:
        heard.append((channel_id, data))
        if len(heard) == 2:
            arrived.set()

    ends = [endpoint("239.77.9.1", interface), endpoint("239.77.9.2", interface)]
    receiver = Receiver([Channel(0, Kind.BOOKS, n, (end,)) for n, end in enumerate(ends)], on_datagram)
    receiver.open()
    try:
        for end in [*ends, endpoint("239.77.9.3", interface)]:
            with open_sender(end, ttl=1, loop=True) as sender:
                sender.send(end.group.encode())
        await asyncio.wait_for(arrived.wait(), 5)
    finally:
        receiver.close()
    assert sorted(heard) == [(0, b"239.77.9.1"), (1, b"239.77.9.2")]


@pytest.mark.parametrize(("ttl", "loop"), [(0, True), (7, False)])
def test_ttl_and_loop_are_those_configured(ttl, loop):
    with open_sender(endpoint("239.77.9.7"), ttl=ttl, loop=loop) as sender:
        assert sender.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL) == ttl
        assert sender.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP) == loop


def test_a_port_another_program_holds_is_named():
    end = endpoint("239.77.9.8")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("", PORT))  # without SO_REUSEADDR
        with pytest.raises(MachineError, match=f"multicast.port: cannot listen on 239.77.9.8:{PORT}"):
            open_receiver(end, receive_buffer=65536)


def test_two_programs_on_one_machine_both_hear():
    end = endpoint("239.77.9.4")
    with (
        open_receiver(end, receive_buffer=65536) as one,
        open_receiver(end, receive_buffer=65536) as two,
        open_sender(end, ttl=1, loop=True) as sender,
    ):
        sender.send(b"x")
        for receiver in (one, two):
            receiver.settimeout(5)
            assert receiver.recv(10) == b"x"


@pytest.mark.parametrize(
    ("interface", "error"), [("nosuch0", MachineError), ("192.0.2.77", MachineError), ("300.1.1.1", ConfigError)]
)
def test_an_interface_that_does_not_exist_is_named_with_its_key(interface, error):
    for attempt in (
        lambda: open_sender(endpoint("239.77.9.5", interface), ttl=1, loop=True),
        lambda: open_receiver(endpoint("239.77.9.5", interface), receive_buffer=65536),
    ):
        with pytest.raises(error, match=r"multicast.lines.A.interface: .*" + interface):
            attempt()


def test_a_receive_buffer_cut_short_warns_with_the_sysctl(caplog):
    with caplog.at_level("WARNING"), open_receiver(endpoint("239.77.9.6"), receive_buffer=1 << 30) as receiver:
        assert receiver.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) < 1 << 30
    assert "net.core.rmem_max" in caplog.text


def test_a_system_that_does_not_tell_its_drops_is_taken_to_have_none(monkeypatch):
    with open_receiver(endpoint("239.77.9.7"), receive_buffer=65536) as receiver:
        monkeypatch.setattr("feeder.multicast.sockets._SO_MEMINFO", 9999)  # no option of any Linux
        assert drops(receiver) == 0
    with pytest.raises(OSError, match="Bad file descriptor"):
        drops(receiver)
