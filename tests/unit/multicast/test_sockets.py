"""What the system refuses a socket: a buffer is worth a warning, what the feed is made of is an error with a name."""

import errno
import socket

import pytest

from feeder.errors import MachineError
from feeder.multicast.plan import Endpoint
from feeder.multicast.sockets import open_receiver, open_sender, prefer_buffer

END = Endpoint("A", "239.77.9.9", 20479, "127.0.0.1")
_ALL = 49  # IP_MULTICAST_ALL


def refuse(monkeypatch: pytest.MonkeyPatch, *refused: int) -> None:
    """Let the system forbid these socket options, as a seccomp filter does."""

    class Sandboxed(socket.socket):
        def setsockopt(self, level, option, *value):
            if option in refused:
                raise PermissionError(errno.EPERM, "Operation not permitted")
            super().setsockopt(level, option, *value)

    monkeypatch.setattr("socket.socket", Sandboxed)


def open_any(what: str) -> socket.socket:
    return open_sender(END, ttl=1, loop=True) if what == "sender" else open_receiver(END, receive_buffer=65536)


@pytest.mark.parametrize(("what", "option"), [("sender", socket.SO_SNDBUF), ("receiver", socket.SO_RCVBUF)])
def test_a_buffer_that_may_not_be_set_is_a_warning_with_its_remedy(what, option, monkeypatch, caplog):
    refuse(monkeypatch, option)
    with caplog.at_level("WARNING"), open_any(what) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, option) > 0
    assert "buffer not set: asked" in caplog.text
    assert "Operation not permitted" in caplog.text
    assert "until setsockopt is permitted" in caplog.text


def test_a_buffer_that_may_be_set_is_set_without_a_word(caplog):
    with caplog.at_level("WARNING"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        prefer_buffer(sock, socket.SO_RCVBUF, 65536)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 * 65536
    assert not caplog.text


@pytest.mark.parametrize(
    ("what", "option", "key"),
    [
        ("sender", socket.IP_MULTICAST_TTL, "multicast.ttl"),
        ("sender", socket.IP_MULTICAST_LOOP, "multicast.loop"),
        ("sender", socket.IP_MULTICAST_IF, "multicast.lines.A.interface"),
        ("receiver", socket.SO_REUSEADDR, "multicast.port"),
        ("receiver", _ALL, "multicast.lines.A.group"),
        ("receiver", socket.IP_ADD_MEMBERSHIP, "multicast.lines.A.interface"),
    ],
)
def test_an_option_the_feed_is_made_of_is_an_error_that_names_key_and_remedy(what, option, key, monkeypatch):
    refuse(monkeypatch, option)
    with pytest.raises(MachineError) as caught:
        open_any(what)
    assert caught.value.path == key
    assert "Operation not permitted" in caught.value.problem
    assert caught.value.remedy
    assert caught.value.retriable, "a later start may be permitted"
