"""The units as systemd-analyze judges them, what a real run asks of the kernel, and what a service manager hears."""

import asyncio
import json
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from feeder import cli, config
from feeder.multicast import receiver, sockets
from tests.helpers.processes import Program, children, feeder, multicast_section, simulator, until
from tests.helpers.require import missing, require

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = DEPLOY / "systemd"


def keys(unit: str) -> dict[str, list[str]]:
    """A unit's keys, each with its values in order."""
    found: dict[str, list[str]] = {}
    for line in (UNITS / unit).read_text().splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


# As systemd-analyze judges them ---------------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with systemd's own units, ours, and what they run."""
    require("systemd-analyze")
    root = tmp_path / "root"
    shutil.copytree("/usr/lib/systemd/system", root / "usr/lib/systemd/system", symlinks=True)
    own = root / "etc/systemd/system"
    own.mkdir(parents=True)
    for unit in UNITS.glob("*.service"):
        shutil.copy(unit, own)
    for program in ("opt/feeder/current/bin/feeder", "bin/kill"):
        path = root / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    return root


def verify(root: Path) -> tuple[int, str]:
    """(exit code, complaints)."""
    names = ["feeder.service", "feeder@0.service", "feeder@1.service"]
    done = subprocess.run(
        ["systemd-analyze", "verify", f"--root={root}", *names], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def drop_in(root: Path, name: str, units: list[str]) -> None:
    for unit in units:
        folder = root / "etc/systemd/system" / f"{unit}.service.d"
        folder.mkdir()
        shutil.copy(UNITS / name, folder)


def test_the_units_are_verified_in_silence(root):
    assert verify(root) == (0, "")


def test_a_unit_with_a_mistake_is_not(root):
    unit = root / "etc/systemd/system/feeder.service"
    unit.write_text(unit.read_text().replace("WatchdogSec=", "WatchDogSec="))
    assert "Unknown key 'WatchDogSec'" in verify(root)[1].replace("name ", "key ")


def test_the_affinity_drop_in_is_verified_in_silence(root):
    drop_in(root, "cpu-affinity.conf", ["feeder@"])
    assert verify(root) == (0, "")


def test_the_backoff_drop_in_is_for_a_systemd_that_can_back_off(root):
    drop_in(root, "restart-backoff.conf", ["feeder", "feeder@"])
    version = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True, check=True).stdout
    unknown = set(re.findall(r"Unknown key(?: name)? '(\w+)'", verify(root)[1]))
    assert unknown == (set() if int(version.split()[1]) >= 254 else {"RestartSteps", "RestartMaxDelaySec"})


@pytest.mark.parametrize("unit", ["feeder.service", "feeder@.service"])
def test_the_exposure_is_at_most_2(unit):
    judge = require("systemd-analyze")
    arguments = ["security", "--offline=yes", "--threshold=20", "--no-pager", str(UNITS / unit)]
    done = subprocess.run([judge, *arguments], capture_output=True, text=True, check=False)
    said = re.search(r"Overall exposure level for .*: ([0-9.]+)", done.stdout)
    assert said is not None, done.stderr
    assert (done.returncode, float(said[1]) <= 2.0) == (0, True), done.stdout


def test_a_shard_differs_from_the_whole_by_what_makes_it_a_shard():
    whole, shard = keys("feeder.service"), keys("feeder@.service")
    differing = {key for key in whole.keys() | shard.keys() if whole.get(key) != shard.get(key)}
    assert differing == {"Description", "Conflicts", "After", "ExecStart", "EnvironmentFile"}
    assert shard["ExecStart"] == [whole["ExecStart"][0] + " --shard=%i/${SHARDS}"]
    assert "feeder.service" in shard["Conflicts"]


@pytest.mark.parametrize("unit", ["feeder.service", "feeder@.service"])
def test_the_units_mean_what_feeder_means(unit):
    unit_keys = keys(unit)
    assert unit_keys["RestartPreventExitStatus"] == [str(cli.EXIT_CONFIG)]
    environ = dict(value.split("=", 1) for value in unit_keys["Environment"])
    effective = config.load(DEPLOY.parent / "config" / "feeder.yaml", environ)
    assert effective.state.directory == "/var/lib/feeder"
    assert effective.telemetry.counters == "/run/feeder/counters.dat"
    assert effective.control.socket == "/run/feeder/control.sock"
    assert (unit_keys["StateDirectory"], unit_keys["RuntimeDirectory"]) == (["feeder"], ["feeder"])
    shards = re.search(r"^SHARDS=(\d+)$", (UNITS / "feeder.env").read_text(), re.MULTILINE)
    assert shards is not None
    for index in range(int(shards[1])):
        narrowed = config.Shard.parse(f"{index}/{shards[1]}").narrow(effective)
        assert narrowed.telemetry.counters == f"/run/feeder/counters-{index}.dat"


@pytest.mark.parametrize("unit", ["feeder.service", "feeder@.service"])
@pytest.mark.parametrize(
    ("key", "value", "otherwise"),
    [
        ("Type", "notify", "it counts as started before its sockets are open"),
        ("WatchdogSec", "10", "a feeder that hangs stays"),
        ("Restart", "always", "a stray SIGTERM, on which it ends with 0, ends the feed"),
        ("StartLimitIntervalSec", "0", "a day without network ends the feed"),
        ("KillMode", "mixed", "the exporter is told to end with the feeder, not by it"),
        ("TimeoutStopSec", "15", "it is killed during its farewell"),
        ("ExecReload", "/bin/kill -HUP $MAINPID", "a reload ends it"),
        ("RuntimeDirectoryPreserve", "yes", "a shard that ends takes the others' sockets and counters along"),
        ("UMask", "0027", "everybody reads the counters"),
        ("NoNewPrivileges", "yes", "SECURITY.md says so"),
        ("CapabilityBoundingSet", "", "SECURITY.md says so"),
        ("ProtectSystem", "strict", "SECURITY.md says so"),
        ("ProtectHome", "yes", "SECURITY.md says so"),
        ("PrivateDevices", "yes", "SECURITY.md says so"),
        ("ProtectProc", "invisible", "SECURITY.md says so"),
        ("MemoryDenyWriteExecute", "yes", "SECURITY.md says so"),
    ],
)
def test_what_the_units_rely_on(unit, key, value, otherwise):
    assert keys(unit).get(key) == [value], otherwise


def test_the_machines_own_variables_stand_over_the_units():
    assert keys("feeder.service")["EnvironmentFile"] == ["-/etc/feeder/feeder.env"]
    assert keys("feeder@.service")["EnvironmentFile"] == ["/etc/feeder/feeder.env"], "without SHARDS it must not start"


@pytest.mark.parametrize("unit", ["feeder.service", "feeder@.service"])
def test_the_control_socket_knows_its_clients_users(unit):
    assert "PrivateUsers" not in keys(unit), "SO_PEERCRED would name all users but feeder's and root nobody, 65534"


def test_sysctl_gives_what_the_sockets_ask_for():
    text = (DEPLOY / "sysctl" / "10-feeder.conf").read_text()
    values = {key: int(value) for key, value in re.findall(r"^([a-z_.]+) = (\d+)$", text, re.MULTILINE)}
    assert values["net.core.rmem_max"] == receiver.RECEIVE_BUFFER
    assert values["net.core.wmem_max"] == sockets._SEND_BUFFER
    for key in values:
        if Path("/proc/sys/net/core/rmem_max").exists():  # not in a container with a network of its own
            assert Path("/proc/sys", *key.split(".")).exists(), key


def test_the_installed_user_is_the_units():
    (line,) = [text for text in (UNITS / "feeder.sysusers").read_text().splitlines() if text[:1] != "#"]
    assert line.split()[:2] == ["u", keys("feeder.service")["User"][0]]


# What a real run asks of the kernel -----------------------------------------------------------------------------------


def allowed(unit: str) -> set[str]:
    """The system calls that a unit's filter lets through."""
    judge = require("systemd-analyze")
    listed = subprocess.run([judge, "--no-pager", "syscall-filter"], capture_output=True, text=True, check=True).stdout
    sets: dict[str, list[str]] = {}
    members: list[str] = []
    for line in listed.splitlines():
        if line.startswith("@"):
            members = sets.setdefault(line.strip(), [])
        elif line.startswith("    ") and not line.strip().startswith("#"):
            members.append(line.strip())

    def expand(name: str) -> set[str]:
        return set().union(*map(expand, sets[name])) if name.startswith("@") else {name}

    calls: set[str] = set()
    for value in keys(unit)["SystemCallFilter"]:
        named = set().union(*map(expand, value.removeprefix("~").split()))
        calls = calls - named if value.startswith("~") else calls | named
    return calls


def traced(path: Path) -> set[str]:
    """The system calls of an strace."""
    return set(re.findall(r"^\d+ +(?:<\.\.\. )?([a-z_][a-z0-9_]*)(?:\(| resumed)", path.read_text(), re.MULTILINE))


@pytest.fixture
def tracing(tmp_path: Path) -> tuple[list[str], Path]:
    """What to put before a command so that its system calls come to a file, and the file."""
    strace, trace = require("strace"), tmp_path / "trace"
    if subprocess.run([strace, "-qq", "true"], capture_output=True, check=False).returncode:
        missing("strace", "this machine lets nobody trace")
    return [strace, "-D", "-f", "-qq", "-s", "0", "-o", str(trace)], trace


async def test_a_real_run_makes_no_system_call_that_the_filter_forbids(tmp_path, tracing):
    command, trace = tracing
    async with simulator("--symbols=5", "--updates-per-second=50") as (sim, exchange):
        given = settings(tmp_path, exchange.websocket, exchange.rest, listen=True)
        given["multicast"]["lines"]["B"]["interface"] = "lo"  # by its name, which netlink tells
        async with feeder(tmp_path, given, within=command) as program:
            await until(lambda: program.log.count("book live") == 5, 60, "every book LIVE")
            assert await answers(given, "/metrics", 200)
            reader, writer = await asyncio.open_unix_connection(given["control"]["socket"])
            writer.write(b"GET /status HTTP/1.1\r\nHost: feeder\r\nConnection: close\r\n\r\n")
            assert b" 200 " in await asyncio.wait_for(reader.readline(), 30)
            writer.close()
            program.process.send_signal(signal.SIGHUP)
            await program.wait_for_log("configuration read")
            sim.process.kill()
            await program.wait_for_log("book stale")
            assert await program.end() == 0
    made = traced(trace)
    assert {"sendto", "epoll_pwait", "socket", "mmap", "listen"} <= made, "the trace is one of feeder and exporter"
    assert made <= allowed("feeder.service")
    assert not re.search(r"PROT_WRITE\|PROT_EXEC", trace.read_text()), "MemoryDenyWriteExecute forbids it"
    families = set(re.findall(r"socket\((AF_\w+)", trace.read_text()))
    (permitted,) = keys("feeder.service")["RestrictAddressFamilies"]
    assert {"AF_INET", "AF_UNIX", "AF_NETLINK"} <= families <= set(permitted.split())


def test_what_the_filter_is_for_it_forbids():
    calls = allowed("feeder@.service")
    assert {"sched_setaffinity", "setpriority", "io_uring_setup"} <= calls
    assert not calls & {
        "mount",
        "ptrace",
        "bpf",
        "setuid",
        "chown",
        "reboot",
        "init_module",
        "keyctl",
        "perf_event_open",
    }


# What a service manager hears -----------------------------------------------------------------------------------------


class Manager:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.messages: list[dict[str, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(path))

    def heard(self, **variables: str) -> list[dict[str, str]]:
        """The messages so far that have these variables."""
        while True:
            try:
                text = self._socket.recv(4096).decode()
            except BlockingIOError:
                return [message for message in self.messages if variables.items() <= message.items()]
            self.messages.append(dict(line.split("=", 1) for line in text.splitlines()))

    async def hears(self, count: int = 1, **variables: str) -> None:
        await until(lambda: len(self.heard(**variables)) >= count, 30, f"{variables} {count} times")

    def index(self, **variables: str) -> int:
        """Where the first such message stands."""
        return self.messages.index(self.heard(**variables)[0])

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.close()


def settings(folder: Path, websocket: str, rest: str, *, listen: bool = False) -> dict[str, Any]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return {
        "exchange": {"websocket_url": websocket, "rest_url": rest},
        "subscriptions": [{"category": "linear", "symbols": "all"}],
        "multicast": multicast_section(),
        "telemetry": {"listen": f"127.0.0.1:{port}" if listen else None, "counters": str(folder / "counters.dat")},
        "control": {"socket": str(folder / "control.sock")},
        "log": {"format": "json"},
    }


@asynccontextmanager
async def managed(
    folder: Path, manager: Manager, websocket: str, rest: str, *, listen: bool = False, watchdog: float = 1.0
) -> AsyncIterator[tuple[Program, dict[str, Any]]]:
    """A feeder as a unit of Type=notify starts it."""
    given = settings(folder, websocket, rest, listen=listen)
    variables = [f"NOTIFY_SOCKET={manager.path}", f"WATCHDOG_USEC={round(watchdog * 1e6)}"]
    async with feeder(folder, given, within=["/usr/bin/env", *variables]) as program:
        yield program, given


def fetch(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=10) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except OSError:
        return 0, b""


async def answers(given: dict[str, Any], path: str, status: int, seconds: float = 30) -> bytes:
    """Wait for a status of the exporter; the body."""
    end = time.monotonic() + seconds
    while True:
        found, body = await asyncio.to_thread(fetch, f"http://{given['telemetry']['listen']}{path}")
        if found == status:
            return body
        assert time.monotonic() < end, (found, body)
        await asyncio.sleep(0.02)


async def test_ready_comes_though_the_exchange_is_down_and_the_watchdog_is_fed(tmp_path, manager):
    nobody = "127.0.0.1:9"
    async with managed(tmp_path, manager, f"ws://{nobody}", f"http://{nobody}") as (program, _):
        await manager.hears(READY="1")
        await manager.hears(STATUS="0 of 0 books LIVE, 0 connections up")
        began = time.monotonic()
        seen = len(manager.heard(WATCHDOG="1"))
        await manager.hears(seen + 4, WATCHDOG="1")
        assert time.monotonic() - began > 1.4, "every 0.5 s, not every tick"
        assert await program.end() == 0
        await manager.hears(STOPPING="1", EXTEND_TIMEOUT_USEC="10300000")  # 0.3 s of them the farewell
    assert manager.index(READY="1") < manager.index(STOPPING="1")
    assert len(manager.heard(READY="1")) == 1


async def test_the_status_tells_of_books_and_a_reload_is_framed(tmp_path, manager):
    async with (
        simulator("--symbols=5", "--updates-per-second=50") as (sim, exchange),
        managed(tmp_path, manager, exchange.websocket, exchange.rest) as (program, _),
    ):
        await manager.hears(STATUS="5 of 5 books LIVE, 1 connections up")
        path = tmp_path / "feeder.yaml"
        good = path.read_text()
        for count, text in enumerate((good, "multicast: {prot: 1}\n"), 1):
            path.write_text(text)
            program.process.send_signal(signal.SIGHUP)
            await manager.hears(count, RELOADING="1")
            await manager.hears(count + 1, READY="1")
        await program.wait_for_log("configuration refused")
        frames = [m for m in manager.heard() if m.keys() & {"READY", "RELOADING"}]
        assert ["RELOADING" in frame for frame in frames] == [False, True, False, True, False]
        now = time.monotonic() * 1e6
        assert all(now - 60e6 < int(frame["MONOTONIC_USEC"]) <= now for frame in frames if "RELOADING" in frame)
        path.write_text(good)
        sim.process.kill()
        await manager.hears(STATUS="0 of 5 books LIVE, 0 connections up")
        assert await program.end() == 0


async def test_no_child_takes_itself_for_the_service(tmp_path, manager):
    nobody = "127.0.0.1:9"
    async with managed(tmp_path, manager, f"ws://{nobody}", f"http://{nobody}", listen=True) as (program, given):
        await answers(given, "/livez", 200)
        (exporter,) = children(program.process.pid)
        environment = await asyncio.to_thread(Path(f"/proc/{exporter}/environ").read_text)
        assert "NOTIFY_SOCKET" not in environment
        assert "WATCHDOG_USEC" not in environment
        assert await program.end() == 0


async def test_a_feeder_that_hangs_feeds_no_watchdog_and_livez_says_so_within_2_seconds(tmp_path, manager):
    nobody = "127.0.0.1:9"
    async with managed(tmp_path, manager, f"ws://{nobody}", f"http://{nobody}", listen=True) as (program, given):
        await answers(given, "/livez", 200)
        await manager.hears(2, WATCHDOG="1")
        program.process.send_signal(signal.SIGSTOP)
        try:
            state = Path(f"/proc/{program.process.pid}/stat")
            await until(lambda: state.read_text().rpartition(")")[2].split()[0] == "T", 5, "the feeder to stand still")
            fed = len(manager.heard(WATCHDOG="1"))
            told = json.loads(await answers(given, "/livez", 503, 10))
            fed_meanwhile = len(manager.heard(WATCHDOG="1")) - fed
        finally:
            program.process.send_signal(signal.SIGCONT)
        assert told["heartbeat_age_seconds"] <= 2.0
        assert fed_meanwhile == 0, "for longer than a period of the watchdog"
        await manager.hears(fed + 2, WATCHDOG="1")
        await answers(given, "/livez", 200)
        assert await program.end() == 0


async def test_a_service_manager_that_is_not_there_costs_a_line_in_the_log(tmp_path):
    nobody = "127.0.0.1:9"
    given = settings(tmp_path, f"ws://{nobody}", f"http://{nobody}")
    async with feeder(tmp_path, given, within=["/usr/bin/env", "NOTIFY_SOCKET=/nosuch/notify"]) as program:
        await program.wait_for_log("instruments not loaded")
        assert program.log.count("service manager not told") == 1
        assert await program.end() == 0
