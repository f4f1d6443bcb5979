"""What reaches the service manager: every state once, in order, the watchdog twice a period; and nothing ever waits."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from feeder.clock import ManualClock
from feeder.telemetry.notify import Notifier

STOPPING = "STOPPING=1\nEXTEND_TIMEOUT_USEC=11000000"


class Manager:
    """The service manager's end: a real socket, read without waiting."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind(address)

    def heard(self) -> list[str]:
        messages = []
        while True:
            try:
                messages.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return messages


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "notify")


@pytest.fixture
def manager(path: str) -> Iterator[Manager]:
    manager = Manager(path)
    yield manager
    manager.socket.close()


@pytest.fixture
def notifier(path: str, manager: Manager) -> Iterator[Notifier]:
    notifier = Notifier(path, 10.0, ManualClock(monotonic=12.5))
    yield notifier
    notifier.close()


def fill(path: str) -> socket.socket:
    """Another sender has filled the manager's queue."""
    other = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    other.setblocking(False)
    try:
        while True:
            other.sendto(b"other", path)
    except BlockingIOError:
        return other


def test_the_life_of_a_service_in_order(notifier, manager):
    notifier.ready("0 of 5 books LIVE")
    notifier.status("5 of 5 books LIVE")
    notifier.reloading()
    notifier.ready("5 of 6 books LIVE")
    notifier.stopping(11.0)
    assert manager.heard() == [
        "READY=1\nSTATUS=0 of 5 books LIVE",
        "STATUS=5 of 5 books LIVE",
        "RELOADING=1\nMONOTONIC_USEC=12500000",
        "READY=1\nSTATUS=5 of 6 books LIVE",
        STOPPING,
    ]


def test_a_reload_that_the_end_cut_short_does_not_take_the_end_back(notifier, manager):
    notifier.reloading()
    notifier.stopping(11.0)
    notifier.ready("5 of 5 books LIVE")
    notifier.reloading()
    notifier.status("0 of 5 books LIVE")
    assert manager.heard()[1:] == [STOPPING, "STATUS=0 of 5 books LIVE"]


def test_a_status_is_sent_when_it_changed_only(notifier, manager):
    notifier.ready("a")
    for text in ("a", "b", "b", "a"):
        notifier.status(text)
    assert manager.heard() == ["READY=1\nSTATUS=a", "STATUS=b", "STATUS=a"]


def test_a_status_of_two_lines_sets_no_other_variable(notifier, manager):
    notifier.status("books\nSTOPPING=1")
    assert manager.heard() == ["STATUS=books STOPPING=1"]


def test_the_watchdog_is_fed_twice_per_period_however_often_the_loop_turns(notifier, manager):
    for tick in range(2000):
        notifier.watchdog(1000.0 + tick / 100)
    assert manager.heard() == ["WATCHDOG=1"] * 4


def test_a_loop_that_stood_still_feeds_nothing_for_the_time_it_stood(notifier, manager):
    notifier.watchdog(0.0)
    notifier.watchdog(60.0)
    notifier.watchdog(60.01)
    assert manager.heard() == ["WATCHDOG=1"] * 2


def test_without_a_period_no_watchdog_is_fed(path, manager):
    notifier = Notifier(path)
    notifier.watchdog(0.0)
    notifier.watchdog(1e9)
    assert manager.heard() == []
    notifier.close()


def test_what_a_full_socket_did_not_take_is_sent_at_a_later_tick_in_order_and_only_the_last_status(
    notifier, manager, path
):
    other = fill(path)
    notifier.ready("0 books")
    notifier.status("1 book")
    notifier.watchdog(0.0)
    notifier.status("2 books")
    notifier.stopping(11.0)
    assert notifier.full == 5
    assert set(manager.heard()) == {"other"}
    notifier.watchdog(0.01)
    assert manager.heard() == ["READY=1\nSTATUS=0 books", "WATCHDOG=1", "STATUS=2 books", STOPPING]
    notifier.watchdog(0.02)
    assert manager.heard() == []
    assert notifier.failures == 0
    other.close()


def test_a_socket_that_stays_full_lets_nothing_grow(notifier, manager, path):
    other = fill(path)
    for n in range(10_000):
        notifier.status(f"{n} books")
        notifier.watchdog(float(n * 10))
        notifier.reloading()
    assert len(notifier._waiting) <= 32
    other.close()


def test_nobody_to_tell_is_no_trouble():
    environ: dict[str, str] = {"PATH": "/bin"}
    notifier = Notifier.from_environment(environ)
    with structlog.testing.capture_logs() as logs:
        notifier.ready("x")
        notifier.status("y")
        notifier.reloading()
        notifier.watchdog(0.0)
        notifier.stopping(11.0)
        notifier.close()
    assert (logs, environ, notifier.failures) == ([], {"PATH": "/bin"}, 0)


def test_the_variables_are_taken_out_so_that_no_child_inherits_them(path, manager):
    environ = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "4000000", "WATCHDOG_PID": str(os.getpid()), "PATH": "/bin"}
    notifier = Notifier.from_environment(environ)
    assert environ == {"PATH": "/bin"}
    for now in (0.0, 1.99, 2.0):
        notifier.watchdog(now)
    assert manager.heard() == ["WATCHDOG=1"] * 2
    notifier.close()


def test_a_watchdog_that_is_meant_for_another_process_is_not_fed(path, manager):
    environ = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "4000000", "WATCHDOG_PID": str(os.getpid() + 1)}
    notifier = Notifier.from_environment(environ)
    notifier.watchdog(0.0)
    notifier.status("x")
    assert manager.heard() == ["STATUS=x"]
    notifier.close()


@pytest.mark.parametrize("usec", ["", "0", "-1", "soon", "1.5", "٣"])
def test_a_watchdog_period_that_is_none_is_said_and_not_fed(path, manager, usec):
    with structlog.testing.capture_logs() as logs:
        notifier = Notifier.from_environment({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": usec})
    notifier.watchdog(0.0)
    assert [(log["log_level"], "WATCHDOG_USEC" in log["error"]) for log in logs] == [("warning", True)]
    assert manager.heard() == []
    notifier.close()


def test_an_abstract_address_begins_with_an_at_sign():
    name = f"feeder-test-{os.getpid()}"
    manager = Manager(f"\0{name}")
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": f"@{name}"})
    notifier.stopping(11.0)
    assert manager.heard() == [STOPPING]
    notifier.close()
    manager.socket.close()


@pytest.mark.parametrize("address", ["", "run/notify", "vsock:2:1", "/nosuch/notify", "/" + "long" * 100, "/a\0b"])
def test_an_address_that_nobody_answers_at_is_said_once_and_raises_nothing(address):
    with structlog.testing.capture_logs() as logs:
        notifier = Notifier(address, 1.0)
        notifier.ready("x")
        for tick in range(500):
            notifier.watchdog(tick / 100)
        notifier.stopping(11.0)
        notifier.close()
    assert [log["event"] for log in logs] == ["service manager not told"]


def test_a_manager_that_comes_back_is_told_again(tmp_path):
    path = str(tmp_path / "late")
    notifier = Notifier(path)
    with structlog.testing.capture_logs():
        notifier.status("lost")
    manager = Manager(path)
    notifier.status("heard")
    assert manager.heard() == ["STATUS=heard"]
    notifier.close()
    manager.socket.close()
