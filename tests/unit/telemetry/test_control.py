"""The control socket on a real Unix socket, with a feeder that only notes what it is told."""

import asyncio
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog

from feeder.errors import ConfigError, ControlError
from feeder.market.instrument import InstrumentKey
from feeder.telemetry import control
from feeder.telemetry.control import ControlServer, Outcome
from tests.helpers.processes import until

SOME = {"instruments": ["linear:BTCUSDT"]}


class NotingOperations:
    def __init__(self) -> None:
        self.log_level = "info"
        self.told: list[Any] = []
        self.rows = 3
        self.failure: Exception | None = None
        self.turns = 0
        self.reloads = 0
        self.wait: asyncio.Event | None = None

    def status(self) -> dict[str, object]:
        return {"pid": os.getpid()}

    def books(self) -> Iterator[dict[str, object]]:
        for number in range(self.rows):
            yield {"instrument": f"linear:S{number}", "turns": self.turns}

    async def subscribe(
        self, instruments: Sequence[InstrumentKey], depth: int | None, *, trades: bool
    ) -> list[Outcome]:
        self.told.append(("subscribe", list(instruments), depth, trades))
        return [Outcome(":".join(key), symbol != "NOSUCH", "as told") for key in instruments for symbol in [key[1]]]

    async def unsubscribe(self, instruments: Sequence[InstrumentKey]) -> list[Outcome]:
        self.told.append(("unsubscribe", list(instruments)))
        return []

    def resync(self, instruments: Sequence[InstrumentKey]) -> list[Outcome]:
        self.told.append(("resync", list(instruments)))
        return []

    async def reload(self) -> dict[str, object]:
        self.reloads += 1
        if self.wait is not None:
            await self.wait.wait()
        if self.failure is not None:
            raise self.failure
        return {"changed": True}


class Served:
    def __init__(self, path: Path, operations: NotingOperations, server: ControlServer) -> None:
        self.path = path
        self.operations = operations
        self.server = server

    @property
    def clients(self) -> int:
        found = self.server._runner.server
        return 0 if found is None else len(found.connections)

    async def ask(self, method: str, path: str, body: object = None, **options: Any) -> tuple[int, Any]:
        """(status, JSON)."""
        if body is not None:
            options["data"] = body if isinstance(body, bytes) else json.dumps(body)
        connector = aiohttp.UnixConnector(str(self.path))
        async with (
            aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(10)) as session,
            session.request(method, f"http://feeder{path}", **options) as reply,
        ):
            return reply.status, json.loads(await reply.read())


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[Served]:
    operations = NotingOperations()
    server = ControlServer(path, operations)
    await server.start()
    try:
        yield Served(path, operations, server)
    finally:
        await server.aclose()


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path / "control.sock") as found:
        yield found


# What is asked --------------------------------------------------------------------------------------------------------


async def test_status_and_books_are_told(served):
    assert await served.ask("GET", "/status") == (200, {"pid": os.getpid()})
    status, told = await served.ask("GET", "/books")
    assert (status, [row["instrument"] for row in told["books"]]) == (200, ["linear:S0", "linear:S1", "linear:S2"])
    _, told = await served.ask("GET", "/books?instrument=linear:S2&instrument=linear:S0")
    assert [row["instrument"] for row in told["books"]] == ["linear:S0", "linear:S2"]


async def test_a_thousand_books_leave_the_event_loop_its_turns(served):
    served.operations.rows = 1000

    async def turn() -> None:
        while True:
            served.operations.turns += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    _, told = await served.ask("GET", "/books")
    turning.cancel()
    assert len(told["books"]) == 1000
    assert len({row["turns"] for row in told["books"]}) == 20


async def test_what_is_told_arrives_once_per_instrument_with_its_defaults(served):
    names = ["linear:SOLUSDT", "spot:BTCUSDT", "linear:SOLUSDT", "linear:NOSUCH"]
    status, told = await served.ask("POST", "/subscribe", {"instruments": names})
    assert status == 200
    assert told["outcomes"] == [
        {"instrument": "linear:SOLUSDT", "done": True, "text": "as told"},
        {"instrument": "spot:BTCUSDT", "done": True, "text": "as told"},
        {"instrument": "linear:NOSUCH", "done": False, "text": "as told"},
    ]
    await served.ask("POST", "/subscribe", {**SOME, "depth": 200, "trades": False})
    await served.ask("POST", "/unsubscribe", SOME)
    await served.ask("POST", "/resync", SOME)
    btc = [("linear", "BTCUSDT")]
    assert served.operations.told == [
        ("subscribe", [("linear", "SOLUSDT"), ("spot", "BTCUSDT"), ("linear", "NOSUCH")], None, True),
        ("subscribe", btc, 200, False),
        ("unsubscribe", btc),
        ("resync", btc),
    ]


async def test_the_log_level_is_told_and_set(served):
    assert await served.ask("GET", "/log-level") == (200, {"level": "info"})
    assert await served.ask("POST", "/log-level", {"level": "debug"}) == (200, {"level": "debug"})
    assert served.operations.log_level == "debug"


async def test_who_changes_what_is_in_the_log(served):
    with structlog.testing.capture_logs() as logs:
        await served.ask("POST", "/resync", SOME)
        await served.ask("POST", "/log-level", {"level": "debug"})
        await served.ask("GET", "/status")
    assert [(entry["event"], entry["request"], entry["asked"]) for entry in logs] == [
        ("control request", "POST /resync", SOME),
        ("control request", "POST /log-level", {"level": "debug"}),
    ]
    assert f"process {os.getpid()} of user {os.getuid()}" in logs[0]["address"]


# Mistakes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/subscribe", b"{", "the body is not JSON"),
        ("/subscribe", [], "the body: expected `object`"),
        ("/subscribe", {}, "instruments: missing"),
        ("/subscribe", {"instruments": []}, "instruments: empty; name at least one"),
        ("/subscribe", {"instruments": ["linear:BTCUSDT", "BTCUSDT"]}, "instruments[1]: 'BTCUSDT' names no instrument"),
        ("/subscribe", {"instruments": ["futures:BTCUSDT"]}, "write category:SYMBOL"),
        ("/subscribe", {"instruments": ["linear:btc usdt"]}, "write category:SYMBOL"),
        ("/subscribe", {"instruments": [7]}, "expected `str`, got `int`"),
        ("/subscribe", {**SOME, "depth": "50"}, "depth: expected `int | null`"),
        ("/subscribe", {**SOME, "depth": 7}, "depth: linear has no depth 7; use 1, 50, 200, 1000"),
        ("/subscribe", {**SOME, "dept": 50}, "dept: no such field; the fields are: instruments, depth, trades"),
        ("/resync", {**SOME, "depth": 50}, "depth: no such field"),
        ("/reload", {"now": True}, "now: no such field; the fields are: none"),
        ("/log-level", {"level": "loud"}, "use debug, info, warning or error"),
        ("/log-level", {}, "level: missing; use debug, info, warning or error"),
    ],
)
async def test_a_mistake_in_a_request_is_400_and_names_the_field_and_the_remedy(served, path, body, named):
    status, told = await served.ask("POST", path, body)
    assert status == 400
    assert named in told["error"]
    assert served.operations.told == []


@pytest.mark.parametrize("query", ["instrument=BTCUSDT", "symbol=BTCUSDT"])
async def test_a_mistake_in_a_query_is_400(served, query):
    status, told = await served.ask("GET", f"/books?{query}")
    assert status == 400
    assert "linear:BTCUSDT" in told["error"]


async def test_an_unknown_path_lists_those_there_are_and_a_wrong_method_says_the_right_one(served):
    status, told = await served.ask("GET", "/stats")
    assert status == 404
    assert "/status, /books, /subscribe, /unsubscribe, /resync, /reload, /log-level" in told["error"]
    status, told = await served.ask("GET", "/reload")
    assert (status, told["error"]) == (405, "/reload is not for GET; use POST")
    status, told = await served.ask("DELETE", "/log-level")
    assert (status, told["error"]) == (405, "/log-level is not for DELETE; use GET or POST")


async def test_a_body_without_end_is_413(served):
    status, told = await served.ask("POST", "/resync", b" " * (control.LARGEST_BODY + 1))
    assert status == 413
    assert str(control.LARGEST_BODY) in told["error"]


async def test_a_bad_configuration_is_422_with_its_key(served):
    served.operations.failure = ConfigError("queue.total", "0", "use more")
    with structlog.testing.capture_logs() as logs:
        status, told = await served.ask("POST", "/reload")
    assert (status, told["error"]) == (422, "queue.total: 0; use more")
    assert (told["path"], told["problem"], told["remedy"]) == ("queue.total", "0", "use more")
    assert [entry["log_level"] for entry in logs] == ["info"]


@pytest.mark.parametrize("failure", [ZeroDivisionError("by hand"), ConnectionResetError(104, "of something else")])
async def test_what_fails_is_500_logged_once_and_ends_nothing(served, failure):
    served.operations.failure = failure
    with structlog.testing.capture_logs() as logs:
        status, told = await served.ask("POST", "/reload")
    assert status == 500
    assert repr(failure) in told["error"]
    errors = [entry for entry in logs if entry["log_level"] == "error"]
    assert [(entry["event"], entry["exc_info"]) for entry in errors] == [("control request failed", True)]
    assert (await served.ask("GET", "/status"))[0] == 200


# Clients that are slow, gone, or too many -----------------------------------------------------------------------------


async def test_a_client_that_is_slow_is_cut_off(served, monkeypatch):
    monkeypatch.setattr(control, "CONNECTION_SECONDS", 0.1)
    for said in (b"", b"GET /sta", b"POST /resync HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{"):
        reader, writer = await asyncio.open_unix_connection(str(served.path))
        writer.write(said)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
    assert (await served.ask("GET", "/status"))[0] == 200


@pytest.mark.parametrize(
    "said",
    [
        b"GARBAGE\r\n\r\n",
        b"\x16\x03\x01" + bytes(range(256)) + b"\r\n\r\n",
        b"GET /status HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /status HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /reload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    ],
)
async def test_what_is_no_http_is_told_so_and_logs_nothing(served, caplog, said):
    reader, writer = await asyncio.open_unix_connection(str(served.path))
    writer.write(said)
    async with asyncio.timeout(10):
        assert b" 400 " in await reader.readline()
        await reader.read()
    writer.close()
    assert [record for record in caplog.records if record.levelname != "DEBUG"] == []
    assert served.operations.reloads == 0


async def test_a_client_that_reads_nothing_is_cut_off(served, monkeypatch):
    monkeypatch.setattr(control, "CONNECTION_SECONDS", 0.2)
    served.operations.rows = 50_000
    reader, writer = await asyncio.open_unix_connection(str(served.path))
    writer.transport.pause_reading()
    writer.write(b"GET /books HTTP/1.1\r\nHost: x\r\n\r\n")
    await until(lambda: served.clients == 1, 10, "the client's connection")
    await until(lambda: not served.clients, 20, "the client's end")
    writer.close()
    assert not reader.at_eof()


async def test_clients_beyond_the_limit_are_closed_and_others_served_again_when_some_have_left(served):
    there = [await asyncio.open_unix_connection(str(served.path)) for _ in range(control.MOST_CLIENTS)]
    await until(lambda: served.clients == control.MOST_CLIENTS, 10, "every client's connection")
    reader, extra = await asyncio.open_unix_connection(str(served.path))
    assert await asyncio.wait_for(reader.read(), 10) == b""
    for _, writer in [*there, (reader, extra)]:
        writer.close()
    await until(lambda: not served.clients, 10, "the clients' end")
    assert (await served.ask("GET", "/status"))[0] == 200


async def test_requests_whose_clients_have_left_are_bounded_too(served):
    operations = served.operations
    operations.wait = asyncio.Event()
    for number in range(control.MOST_CLIENTS):
        _, writer = await asyncio.open_unix_connection(str(served.path))
        writer.write(b"POST /reload HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda count=number: operations.reloads > count, 10, "the reload to begin")
        writer.close()
        await writer.wait_closed()
    with pytest.raises(aiohttp.ClientError):
        await served.ask("GET", "/status")
    operations.wait.set()
    await until(lambda: not served.clients, 10, "the reloads' end")
    assert (await served.ask("GET", "/status"))[0] == 200


async def test_what_is_no_http_is_refused_and_hurts_nobody(served):
    reader, writer = await asyncio.open_unix_connection(str(served.path))
    writer.write(b"\x16\x03\x01 hello\r\n\r\n")
    assert b" 400 " in await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert (await served.ask("GET", "/status"))[0] == 200


async def test_a_request_that_hangs_does_not_keep_the_feeder_from_ending(tmp_path):
    async with serving(tmp_path / "control.sock") as served:
        served.operations.wait = asyncio.Event()
        asking = asyncio.create_task(served.ask("POST", "/reload"))
        await until(lambda: served.operations.reloads == 1, 10, "the reload to begin")
        await asyncio.wait_for(served.server.aclose(), 10)
        with pytest.raises(aiohttp.ClientError):
            await asking


# The socket's file ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
async def test_owner_and_group_may_connect_and_nobody_else_whatever_the_umask(tmp_path, monkeypatch, umask):
    modes = []
    real_chmod = Path.chmod

    def noting(path: Path, mode: int) -> None:
        modes.append(stat.S_IMODE(path.stat().st_mode))
        real_chmod(path, mode)

    monkeypatch.setattr(Path, "chmod", noting)
    before = os.umask(umask)
    try:
        async with serving(tmp_path / "control.sock") as served:
            assert stat.S_IMODE(served.path.stat().st_mode) == 0o660
    finally:
        os.umask(before)
    assert modes == [0o660 & ~umask], "it was made so: never more open, not for a moment"


async def test_its_folder_is_made_and_the_socket_is_gone_at_the_end(tmp_path):
    path = tmp_path / "run" / "feeder" / "control.sock"
    async with serving(path):
        assert path.is_socket()
    assert list(path.parent.iterdir()) == []


def leave_a_stale_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))


async def test_a_dead_feeders_socket_is_replaced(tmp_path):
    leave_a_stale_socket(tmp_path / "control.sock")
    async with serving(tmp_path / "control.sock") as served:
        assert (await served.ask("GET", "/status"))[0] == 200


async def test_a_living_feeders_socket_is_left_to_it(served):
    second = ControlServer(served.path, NotingOperations())
    with pytest.raises(ControlError, match=rf"process {os.getpid()} answers there; give each .* control\.socket"):
        await second.start()
    await second.aclose()
    assert (await served.ask("GET", "/status"))[0] == 200


async def test_one_whose_queue_is_full_lives(tmp_path):
    path = tmp_path / "control.sock"
    clients = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as busy:
        busy.bind(str(path))
        busy.listen(0)
        for _ in range(2):
            client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            clients.append(client)
            client.connect_ex(str(path))
        with pytest.raises(ControlError, match="another process answers there"):
            await ControlServer(path, NotingOperations()).start()
        for client in clients:
            client.close()
    assert path.exists()


async def test_what_is_no_socket_is_not_removed(tmp_path):
    path = tmp_path / "control.sock"
    path.write_text("precious")
    with pytest.raises(ControlError, match="is no socket"):
        await ControlServer(path, NotingOperations()).start()
    assert path.read_text() == "precious"


async def test_a_place_that_cannot_be_written_to_is_named_with_the_remedy(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "control.sock", tmp_path / ("x" * 120)):
        server = ControlServer(path, NotingOperations())
        with pytest.raises(ControlError) as caught:
            await server.start()
        assert str(path) in str(caught.value)
        assert "let control.socket name a place to write to" in str(caught.value)
        await server.aclose()
    assert not caught.value.retriable


async def test_a_successors_socket_is_not_removed_at_the_end(tmp_path):
    path = tmp_path / "control.sock"
    async with serving(path) as first:
        path.unlink()
        leave_a_stale_socket(path)
        await first.server.aclose()
        assert path.is_socket()
    assert path.is_socket()


async def test_of_two_feeders_that_start_at_once_one_is_refused(tmp_path):
    path = tmp_path / "control.sock"
    with control._alone_in(path), pytest.raises(ControlError, match="another feeder starts there"):
        await ControlServer(path, NotingOperations()).start()
    async with serving(path) as served:
        assert (await served.ask("GET", "/status"))[0] == 200
