"""`feeder ctl` on a real control socket: what is asked, printed and returned, and every way not to reach a feeder."""

import asyncio
import json
import os
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from feeder.cli import main
from feeder.ctl import client, tables
from feeder.errors import ConfigError
from feeder.telemetry import control
from feeder.telemetry.control import ControlServer
from tests.helpers.processes import until

from .canned import RELOADED, STATUS, CannedOperations

Ran = tuple[int, str, str]
Run = Callable[..., Awaitable[Ran]]


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> Ran:
    """(exit code, standard output, standard error) of `feeder ctl`."""
    try:
        code = main(["ctl", *arguments])
    except SystemExit as ending:
        code = int(ending.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


@pytest.fixture
async def feeder(path: Path) -> AsyncIterator[CannedOperations]:
    operations = CannedOperations()
    server = ControlServer(path, operations)
    await server.start()
    with structlog.testing.capture_logs():  # they are not what is printed
        yield operations
    await server.aclose()


@pytest.fixture
def ctl(path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    async def run(*arguments: str) -> Ran:
        return await asyncio.to_thread(ran, capsys, "--socket", str(path), *arguments)

    return run


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "SILENCE_SECONDS", 0.1)
    monkeypatch.setattr(client, "PROBE_SECONDS", 0.1)


# Commands -------------------------------------------------------------------------------------------------------------


async def test_status_and_books(feeder, ctl):
    code, out, _ = await ctl("status")
    assert code == 0
    assert out.startswith("feeder 0.1.0, shard 0/2, process 4242, up 3 h 12 min\n")
    code, out, _ = await ctl("books")
    assert (code, [line.split()[0] for line in out.splitlines()[1:]]) == (
        0,
        ["linear:1000PEPEUSDT", "linear:BTCUSDT", "spot:ETHUSDT"],
    )
    _, out, _ = await ctl("books", "--not-live")
    assert "BTCUSDT" not in out
    assert "STALE DISCONNECTED" in out
    assert await ctl("books", "--not-live", "linear:BTCUSDT") == (0, "every book is LIVE\n", "")
    code, out, _ = await ctl("books", "--not-live", "linear:BTCUSDT", "--json")
    assert (code, json.loads(out)["books"]) == (0, [])


async def test_json_is_the_feeders_object_on_one_line(feeder, ctl):
    code, out, _ = await ctl("status", "--json")
    assert (code, out.count("\n"), json.loads(out)) == (0, 1, STATUS)
    _, out, _ = await ctl("books", "--json", "--not-live")
    assert [row["instrument"] for row in json.loads(out)["books"]] == ["spot:ETHUSDT", "linear:1000PEPEUSDT"]
    code, out, _ = await ctl("resync", "--json", "linear:NOSUCH")
    outcome = {"instrument": "linear:NOSUCH", "done": False, "text": "no such instrument"}
    assert (code, json.loads(out)) == (1, {"outcomes": [outcome]})
    code, out, _ = await ctl("reload", "--json")
    assert (code, json.loads(out)) == (0, RELOADED)
    _, out, _ = await ctl("log-level", "--json")
    assert json.loads(out) == {"level": "info"}


async def test_a_book_that_is_not_followed_is_named_and_is_exit_1(feeder, ctl):
    code, out, err = await ctl("books", "linear:BTCUSDT", "linear:NOSUCH")
    assert code == 1
    assert "linear:BTCUSDT" in out
    assert "not followed: linear:NOSUCH" in err


async def test_what_is_to_be_done_reaches_the_feeder(feeder, ctl):
    assert (await ctl("subscribe", "linear:SOLUSDT", "spot:BTCUSDT"))[0] == 0
    assert (await ctl("subscribe", "linear:SOLUSDT", "--depth", "200", "--no-trades"))[0] == 0
    assert (await ctl("unsubscribe", "linear:SOLUSDT"))[0] == 0
    code, out, _ = await ctl("resync", "linear:BTCUSDT", "linear:NOSUCH")
    assert (code, out) == (
        1,
        "linear:BTCUSDT  done      as told\nlinear:NOSUCH   NOT DONE  no such instrument\n",
    )
    assert feeder.asked == [
        ("subscribe", [("linear", "SOLUSDT"), ("spot", "BTCUSDT")], None, True),
        ("subscribe", [("linear", "SOLUSDT")], 200, False),
        ("unsubscribe", [("linear", "SOLUSDT")]),
        ("resync", [("linear", "BTCUSDT"), ("linear", "NOSUCH")]),
    ]


async def test_a_reload_is_0_with_refused_instruments_1_and_of_a_bad_configuration_78(feeder, ctl):
    code, out, _ = await ctl("reload")
    assert (code, out) == (0, "\n".join([*tables.reload(RELOADED), ""]))
    feeder.reloaded = {**RELOADED, "refused": [{"instrument": "linear:NOSUCH", "error": "no such instrument"}]}
    code, out, _ = await ctl("reload")
    assert code == 1
    assert "linear:NOSUCH: no such instrument" in out
    feeder.mistake = ConfigError("queue.total", "0", "use more")
    assert await ctl("reload") == (
        78,
        "",
        "feeder: configuration: queue.total: 0; use more; the feeder goes on as it was\n",
    )


async def test_the_log_level_is_told_and_set(feeder, ctl):
    assert await ctl("log-level") == (0, "info\n", "")
    assert await ctl("log-level", "debug") == (0, "debug\n", "")
    assert feeder.log_level == "debug"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "COMMAND"),
        (["fly"], "fly"),
        (["status", "--nosuch"], "--nosuch"),
        (["resync"], "INSTRUMENT"),
        (["resync", "BTCUSDT"], "write category:SYMBOL, such as linear:BTCUSDT"),
        (["subscribe", "linear:BTCUSDT", "--depth", "7"], "linear:BTCUSDT: no depth 7; use 1, 50, 200, 1000"),
        (["log-level", "loud"], "debug"),
        (["top", "--interval", "0.1"], "0.1 is not between 1 and 3600"),
    ],
)
async def test_wrong_usage_is_2_and_asks_nobody(feeder, ctl, arguments, named):
    code, _, err = await ctl(*arguments)
    assert code == 2
    assert named in err
    assert feeder.asked == []


# Which feeder ---------------------------------------------------------------------------------------------------------


async def test_the_configuration_names_the_socket_before_or_behind_the_command(feeder, path, capsys, tmp_path):
    file = tmp_path / "feeder.yaml"
    file.write_text(f"control: {{socket: {path}}}\nqueue: {{total: 0}}\n")  # no subscriptions either: not our affair
    for arguments in (["--config", str(file), "log-level"], ["log-level", "--config", str(file)]):
        assert await asyncio.to_thread(ran, capsys, *arguments) == (0, "info\n", "")
    file.write_text("")
    overridden = ["--config", str(file), "--set", f"control.socket={path}", "log-level", "--set", "log.level=error"]
    assert await asyncio.to_thread(ran, capsys, *overridden) == (0, "info\n", "")


async def test_a_shard_has_its_own_socket(feeder, path, capsys, tmp_path):
    (tmp_path / "feeder.yaml").write_text(f"control: {{socket: {tmp_path / 'control.sock'}}}\ntelemetry: {{listen: x}}")
    shard = ["--config", str(tmp_path / "feeder.yaml"), "--shard", "1/2", "log-level"]
    code, _, err = await asyncio.to_thread(ran, capsys, *shard)
    assert code == 1
    assert f"{tmp_path / 'control-1.sock'}: no such socket" in err
    path.rename(tmp_path / "control-1.sock")
    assert await asyncio.to_thread(ran, capsys, *shard) == (0, "info\n", "")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("control: [", "is not YAML"),
        ("control: {socket: 7}", "control.socket"),
        ("control: {socket: null}", "control.socket: null, so this feeder cannot be asked"),
        ("nosuch: 1", "nosuch"),
    ],
)
def test_a_configuration_that_names_no_socket_is_78(tmp_path, capsys, monkeypatch, text, named):
    monkeypatch.chdir(tmp_path)  # where nobody listens at the default socket
    (tmp_path / "feeder.yaml").write_text(text)
    code, _, err = ran(capsys, "--config", str(tmp_path / "feeder.yaml"), "status")
    assert code == 78
    assert named in err
    assert ran(capsys, "--config", str(tmp_path / "nosuch.yaml"), "status")[0] == 78
    assert ran(capsys, "--shard", "2/2", "status")[0] == 78


@pytest.mark.parametrize("text", ["control: [", "nosuch: 1", None])
async def test_a_broken_configuration_does_not_hide_the_feeder_at_the_default_socket(
    feeder, path, capsys, monkeypatch, tmp_path, text
):
    def told(socket: str) -> str:
        return f"asking at {socket} instead"

    file = tmp_path / "feeder.yaml"
    if text is not None:
        file.write_text(text)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    default = tmp_path / "run" / "control.sock"
    arguments = ["--config", str(file), "log-level"]
    code, out, err = await asyncio.to_thread(ran, capsys, *arguments)
    assert (code, out) == (78, "")
    assert "run/control.sock: no such socket" in err
    assert err.splitlines()[-1].startswith("feeder: configuration: ")
    path.rename(default)
    code, out, err = await asyncio.to_thread(ran, capsys, *arguments)
    assert (code, out) == (0, "info\n")
    assert told("run/control.sock") in err
    assert f"configuration {file} cannot be used (" in err
    code, _, err = await asyncio.to_thread(ran, capsys, *arguments[:2], "log-level", "debug")
    assert (code, feeder.log_level) == (78, "info"), "nobody is told to do anything at a guessed socket"
    default.rename(tmp_path / "run" / "control-20.sock")
    code, _, err = await asyncio.to_thread(ran, capsys, *arguments, "--shard", "20/21")
    assert code == 0
    assert told("run/control-20.sock") in err
    (tmp_path / "run" / "control-20.sock").rename(path)
    monkeypatch.setenv("FEEDER_CONTROL__SOCKET", str(path))
    code, _, err = await asyncio.to_thread(ran, capsys, *arguments)
    assert code == 0
    assert told(str(path)) in err


# A feeder that cannot be reached --------------------------------------------------------------------------------------


async def test_no_socket_a_dead_one_and_what_is_none_are_told_apart(ctl, path):
    code, out, err = await ctl("status")
    assert (code, out) == (1, "")
    assert f"{path}: no such socket; is a feeder with this control.socket running?" in err
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    code, _, err = await ctl("status")
    assert code == 1
    assert f"{path}: nobody answers; the feeder that made it has died" in err
    path.unlink()
    path.write_text("")
    code, _, err = await ctl("status")
    assert code == 1
    assert "is no socket" in err


async def test_no_permission_says_who_may(ctl, path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as somebodys:
        somebodys.bind(str(path))

        def refuse(*_: object) -> None:
            raise PermissionError(13, "Permission denied")  # what it is for all but root

        monkeypatch.setattr(client._UnixConnection, "connect", refuse)
        code, _, err = await ctl("status")
    assert code == 1
    assert f"{path}: no permission; be user " in err
    path.unlink()
    _, _, err = await ctl("status")
    assert f"be one who may look into {path.parent}" in err


async def test_a_path_too_long_for_a_socket_is_told(capsys):
    code, _, err = await asyncio.to_thread(ran, capsys, "--socket", "x" * 200, "status")
    assert code == 1
    assert "too long" in err


@contextmanager
def listening(path: Path, answer: bytes | None) -> Iterator[None]:
    """One that takes connections, and says this to each, or nothing and holds them."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(path))
    server.listen(8)
    held: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            held.append(connection)
            if answer is not None:
                connection.recv(65536)
                connection.sendall(answer)
                connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        for each in [server, *held]:
            each.close()


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize("command", [["status"], ["resync", "linear:BTCUSDT"]])
async def test_one_that_hangs_is_given_up(ctl, path, command):
    with listening(path, None):
        code, out, err = await asyncio.wait_for(ctl(*command), 10)
    assert (code, out) == (1, "")
    assert f"the feeder (process {os.getpid()}) does not answer within 0.2 s; it hangs, is stopped" in err


@pytest.mark.usefixtures("quickly")
async def test_one_that_stalls_in_the_middle_of_its_answer_is_given_up(ctl, path):
    class Stalling(threading.Thread):
        def run(self) -> None:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
                server.bind(str(path))
                server.listen(1)
                bound.set()
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")
                    connection.recv(65536)  # until the client gives up

    bound = threading.Event()
    stalling = Stalling()
    stalling.start()
    await asyncio.to_thread(bound.wait, 10)
    code, _, err = await asyncio.wait_for(ctl("status"), 10)
    stalling.join()
    assert code == 1
    assert "does not answer within 0.2 s" in err


@pytest.mark.usefixtures("quickly")
async def test_one_that_works_on_what_it_was_told_is_waited_for_as_long_as_it_is_there(feeder, ctl, monkeypatch):
    waiting = asyncio.Event()
    done = asyncio.Event()

    async def slow() -> dict[str, Any]:
        waiting.set()
        await done.wait()
        return RELOADED

    monkeypatch.setattr(feeder, "reload", slow)
    asking = asyncio.create_task(ctl("reload"))
    await asyncio.wait_for(waiting.wait(), 10)
    await until(lambda: feeder.probes >= 3, 10, "the feeder to be asked whether it is there")
    assert not asking.done()
    done.set()
    assert (await asyncio.wait_for(asking, 10))[0] == 0


@pytest.mark.usefixtures("quickly")
async def test_not_for_ever(feeder, ctl, monkeypatch):
    monkeypatch.setattr(client, "PATIENCE_SECONDS", 0.3)
    done = asyncio.Event()

    async def slow() -> dict[str, Any]:
        await done.wait()
        return RELOADED

    monkeypatch.setattr(feeder, "reload", slow)
    code, _, err = await asyncio.wait_for(ctl("reload"), 10)
    done.set()
    assert code == 1
    assert "not done within 0.3 s; it may still do it" in err


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (b"", "closed the connection without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{", "closed the connection without an answer"),
        (b"SSH-2.0\r\n", "closed the connection without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n<>", "what answers there is no feeder"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "what answers there is no feeder"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 15\r\n\r\n" + b'{"error":"why"}', "control.sock: why"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n{}", "status 500"),
    ],
)
async def test_what_is_no_answer_of_a_feeder_is_told(ctl, path, answer, named):
    with listening(path, answer):
        code, out, err = await ctl("status")
    assert (code, out) == (1, "")
    assert named in err


async def test_a_feeder_with_too_many_clients_says_so(feeder, ctl, path, monkeypatch):
    monkeypatch.setattr(control, "MOST_CLIENTS", 0)
    code, _, err = await ctl("status")
    assert code == 1
    assert "it is ending, or has too many clients" in err
