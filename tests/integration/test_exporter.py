"""The exporter beside a real feeder: its numbers, and what it says when the feeder hangs, dies, ends, comes back."""

import asyncio
import json
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from http.client import HTTPException
from pathlib import Path
from random import Random
from typing import Any

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from feeder.client import Subscriber
from feeder.clock import SystemClock
from feeder.multicast.plan import Line
from feeder.telemetry import child
from feeder.telemetry.counters import CountersWriter
from feeder.telemetry.exporter import Exporter, Server
from feeder.telemetry.health import EXIT_REPLACED
from feeder.telemetry.metrics import METRICS, SCHEMA, Of, field_count
from tests.helpers.compare import differences
from tests.helpers.processes import Addresses, Program, children, feeder, multicast_section, simulator, until
from tests.helpers.require import require

Labels = frozenset[tuple[str, str]]


def fetch(url: str) -> tuple[int, str]:
    """(status, body); status 0 when nobody answers, or not to the end: it is leaving."""
    try:
        try:
            with urllib.request.urlopen(url, timeout=10) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
    except (OSError, HTTPException):
        return 0, ""


class Scrape:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self._values: dict[tuple[str, Labels], float] = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        return self._values[name, frozenset(labels.items())]

    def get(self, name: str, **labels: str) -> float | None:
        return self._values.get((name, frozenset(labels.items())))

    def sum(self, name: str, **labels: str) -> float:
        return sum(v for (n, found), v in self._values.items() if n == name and labels.items() <= dict(found).items())


class Watched:
    """A feeder with an exporter, and where that listens."""

    def __init__(self, program: Program, base: str) -> None:
        self.program = program
        self._base = base
        self._seen: set[int] = set()

    async def get(self, path: str) -> tuple[int, str]:
        return await asyncio.to_thread(fetch, self._base + path)

    async def scrape(self) -> Scrape:
        status, text = await self.get("/metrics")
        assert status == 200, text
        return Scrape(text)

    async def answers(self, path: str, status: int, seconds: float = 20) -> str:
        """Wait for a status; the body that came with it."""
        end = time.monotonic() + seconds
        while (found := await self.get(path))[0] != status:
            assert time.monotonic() < end, (path, found, self.program.log)
            await asyncio.sleep(0.05)
        return found[1]

    def exporters(self) -> list[int]:
        """Process ids of the feeder's children."""
        found = children(self.program.process.pid)
        self._seen.update(found)
        return found

    async def leave_nobody_behind(self) -> None:
        """An exporter outlives a feeder that is killed: end the feeder well, and kill what there is still."""
        if self.program.process.returncode is None:
            self.exporters()
            await self.program.end()
        for pid in filter(alive, self._seen):
            os.kill(pid, signal.SIGKILL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def settings(folder: Path, addresses: Addresses, port: int, **more: Any) -> dict[str, Any]:
    return {
        "exchange": {"websocket_url": addresses.websocket, "rest_url": addresses.rest},
        "subscriptions": [{"category": "linear", "depth": 50, "symbols": "all"}],
        "multicast": multicast_section(),
        "telemetry": {"listen": f"127.0.0.1:{port}", "counters": str(folder / "counters.dat")},
        "log": {"format": "json"},
        **more,
    }


@asynccontextmanager
async def watched(
    folder: Path, *arguments: str, port: int | None = None, within: Sequence[str] = (), **more: Any
) -> AsyncIterator[tuple[Watched, Program, dict[str, Any]]]:
    port = port or free_port()
    async with simulator(*(arguments or ("--symbols=5", "--updates-per-second=100"))) as (sim, addresses):
        given = settings(folder, addresses, port, **more)
        async with feeder(folder, given, within=within) as program:
            found = Watched(program, f"http://127.0.0.1:{port}")
            try:
                yield found, sim, given
            finally:
                await found.leave_nobody_behind()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


# Numbers --------------------------------------------------------------------------------------------------------------

DELTAS, TRADES, GAP = 150, 20, 40


def recorded() -> Iterator[str]:
    """A market of two symbols: one whole, one with an update missing."""

    def book(symbol: str, kind: str, u: int, size: str) -> str:
        levels = {"b": [["100.0", size]], "a": [["101.0", size]]}
        data = {"s": symbol, **levels, "u": u, "seq": u}
        return json.dumps({"topic": f"orderbook.50.{symbol}", "type": kind, "ts": 1760000000000 + u, "data": data})

    for symbol in ("BTCUSDT", "ETHUSDT"):
        yield book(symbol, "snapshot", 1000, "1.5")
    for number in range(1, DELTAS + 1):
        yield book("BTCUSDT", "delta", 1000 + number, f"{number}.5")
        if number != GAP:
            yield book("ETHUSDT", "delta", 1000 + number, f"{number}.5")
        if number <= TRADES:
            trade = {"T": 1760000000000, "s": "BTCUSDT", "S": "Buy", "v": "0.1", "p": "101.0", "i": f"t{number}"}
            data = [{**trade, "BT": False, "seq": number}]
            yield json.dumps({"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": 1760000000000, "data": data})


def _all_counted(now: Scrape) -> bool:
    """Whether what comes last has come to the file: each book is visited once a second."""
    return (
        now.get("feeder_book_updates_total", category="linear", symbol="BTCUSDT") == DELTAS + 1
        and now.get("feeder_book_gaps_total", category="linear", symbol="ETHUSDT") == 1
        and now.get("feeder_book_status", category="linear", symbol="ETHUSDT") == 2
        and now.get("feeder_status_transitions_total", status="LIVE", reason="SNAPSHOT") == 3
        and now.get("feeder_venue_trades_total") == now.get("feeder_trades_queued_total") == TRADES
        and (now.get("feeder_venue_book_updates_total") or 0) >= now.sum("feeder_book_updates_total")
        and now.sum("feeder_channel_messages_total", channel="trades") >= TRADES
        and now.get("feeder_books_followed") == 2
        and now.get("feeder_books", status="LIVE") == 2
    )


async def test_the_numbers_are_those_that_the_exchange_sent(tmp_path):
    recording = tmp_path / "linear.jsonl"
    recording.write_text("\n".join(recorded()))
    btc, eth = {"category": "linear", "symbol": "BTCUSDT"}, {"category": "linear", "symbol": "ETHUSDT"}
    async with watched(tmp_path, f"--replay=linear={recording}") as (feeder, _, _):
        await feeder.answers("/readyz", 200)
        end = time.monotonic() + 30
        while not _all_counted(now := await feeder.scrape()):
            assert time.monotonic() < end, feeder.program.log
            await asyncio.sleep(0.2)
        ready = json.loads(await feeder.answers("/readyz", 200))
    assert {metric.name.removesuffix("_total") for metric in METRICS} == set(now.families)
    assert ready["books"] == {"SYNCING": 0, "LIVE": 2, "STALE": 0, "DELISTED": 0}
    assert now("feeder_up") == 1
    assert now("feeder_books_followed") == now("feeder_books", status="LIVE") == 2
    assert now("feeder_venue_connections", state="CONNECTED") == now("feeder_venue_connects_total") == 1
    assert now("feeder_book_updates_total", **btc) == DELTAS + 1
    assert now("feeder_book_gaps_total", **btc) == now("feeder_book_folds_total", **btc) == 0
    assert now("feeder_book_status", **btc) == now("feeder_book_status", **eth) == 2
    assert now("feeder_book_gaps_total", **eth) == now("feeder_book_resyncs_requested_total", **eth) == 1
    assert now("feeder_venue_resyncs_total", reason="GAP") == 1
    assert now("feeder_status_transitions_total", status="STALE", reason="GAP") == 1
    assert now("feeder_status_transitions_total", status="LIVE", reason="SNAPSHOT") == 3
    assert now("feeder_venue_trades_total") == now("feeder_trades_queued_total") == TRADES
    assert now("feeder_venue_book_updates_total") >= now.sum("feeder_book_updates_total")
    assert now("feeder_venue_decode_errors_total") == now("feeder_telemetry_failures_total") == 0
    assert time.time() - now("feeder_book_last_update_timestamp_seconds", **btc) < 60
    for channel in ("books", "trades", "bbo", "snapshots", "definitions"):
        for partition in "0123":
            sent = now("feeder_channel_packets_total", partition=partition, channel=channel)
            for line in "AB":
                on_line = now("feeder_line_packets_total", partition=partition, channel=channel, line=line)
                assert abs(on_line - sent) <= 100, "visited at different times within one second of 100 ticks"
    assert now.sum("feeder_line_refused_packets_total") == now.sum("feeder_line_errors_total") == 0
    assert now.sum("feeder_channel_messages_total", channel="trades") >= TRADES
    assert 0 < now("feeder_latency_seconds_count") <= now("feeder_venue_book_updates_total")
    assert now("feeder_latency_seconds_sum") / now("feeder_latency_seconds_count") < 1
    assert now("feeder_process_resident_memory_bytes") > 1 << 20
    assert now("feeder_process_cpu_seconds_total") > 0
    assert abs(now("feeder_start_time_seconds") - time.time()) < 120


async def test_a_scrape_of_800_symbols_while_they_move(tmp_path):
    async with watched(tmp_path, "--symbols=800", "--updates-per-second=2000") as (feeder, _, _):
        await feeder.answers("/readyz", 200, 60)
        scrapes = [await feeder.scrape() for _ in range(5)]
        series = sum(len(family.samples) for family in scrapes[-1].families.values())
        assert len(scrapes[-1].families["feeder_book_status"].samples) == 800
        assert -1 < scrapes[-1]("feeder_venue_lag_seconds", category="linear") < 5
        assert 8 * 800 < series < 8 * 800 + 600
        counts = [scrape.sum("feeder_book_updates_total") for scrape in scrapes]
        assert counts == sorted(counts)
        assert json.loads(await feeder.answers("/livez", 200))["heartbeat_age_seconds"] < 2


def stage_count(scrape: Scrape, stage: str) -> float:
    """How many updates, or flushes, were measured."""
    return scrape.sum("feeder_stage_seconds_count", stage=stage)


async def test_scrapes_ten_times_a_second_are_answered_and_cost_no_book_while_more_comes_than_queues_hold(tmp_path):
    script = tmp_path / "faults.yaml"
    script.write_text("".join(f"- {{at: {at}, fault: bursty, category: linear, seconds: 1}}\n" for at in (2, 4, 6)))
    arguments = ("--symbols=10", "--updates-per-second=6000", f"--faults={script}")  # 6,000 wait, then come at once
    async with watched(tmp_path, *arguments, queue={"capacity": 10, "total": 40}) as (feeder, _, given):
        section = given["multicast"]
        lines = [Line(name, line["group"], line["interface"]) for name, line in section["lines"].items()]
        await feeder.answers("/livez", 200)
        async with Subscriber(lines=lines, port=section["port"]) as consumer:
            await until(lambda: sum(view.is_live for view in consumer.books.values()) == 10, 30, "every book LIVE")
            scrapes = [await feeder.scrape()]
            end = time.monotonic() + 9
            while time.monotonic() < end:
                await asyncio.sleep(0.1)
                scrapes.append(await feeder.scrape())
            addresses = Addresses("", given["exchange"]["rest_url"])
            assert await differences(list(consumer.books.values()), addresses) == []
            # Each histogram is copied in its own moment: a sample may be in one of them and not yet in both.
            async with asyncio.timeout(10):
                while stage_count(scrapes[-1], "receive_to_dequeue") != stage_count(scrapes[-1], "dequeue_to_encode"):
                    await asyncio.sleep(0.1)
                    scrapes.append(await feeder.scrape())
    folds = [scrape.sum("feeder_book_folds_total") for scrape in scrapes]
    assert folds[-1] > folds[0], "it was no overload"
    assert {scrape("feeder_up") for scrape in scrapes} == {1}
    assert [scrape("feeder_exporter_scrapes_total") for scrape in scrapes] == list(range(len(scrapes)))
    assert scrapes[-1]("feeder_exporter_scrape_seconds") > 0
    waited = stage_count(scrapes[-1], "receive_to_dequeue")
    assert 0 < waited < scrapes[-1]("feeder_venue_book_updates_total") / 8, "a sample"
    assert waited == stage_count(scrapes[-1], "dequeue_to_encode")
    assert stage_count(scrapes[-1], "encode_to_send") > 0


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor")
@pytest.mark.parametrize(
    ("faults", "told"),
    [
        (["how: 500", "how: 500", "ret_code: 10016"], {"retries": 3, "failures": 2, "refusals": 1, "bans": 0}),
        (["how: 403"], {"retries": 0, "failures": 0, "refusals": 0, "bans": 1}),
    ],
    ids=["asked again", "banned"],
)
async def test_what_became_of_requests_to_the_exchange_is_counted(tmp_path, faults, told):
    script = tmp_path / "faults.yaml"
    path = "path: /v5/market/instruments-info"
    script.write_text("".join(f"- {{fault: rest, {fault}, times: 1, {path}}}\n" for fault in faults))
    async with watched(tmp_path, "--symbols=3", "--updates-per-second=30", f"--faults={script}") as (feeder, _, _):
        await feeder.answers("/livez", 200)
        end = time.monotonic() + 20
        while True:
            scrape = await feeder.scrape()
            found = {name: scrape(f"feeder_rest_{name}_total") for name in told}
            if found == told:
                break
            assert time.monotonic() < end, found
            await asyncio.sleep(0.1)
        assert len(faults) <= scrape("feeder_rest_requests_total") <= 10


async def test_the_exporter_leaves_the_feeder_its_priority_and_its_core(tmp_path):
    core = min(os.sched_getaffinity(0))
    async with watched(tmp_path, within=(require("taskset"), "-c", str(core))) as (feeder, _, _):
        await feeder.answers("/livez", 200)
        (exporter,) = feeder.exporters()
        own = feeder.program.process.pid
        assert os.sched_getaffinity(own) == {core}
        assert os.sched_getaffinity(exporter).isdisjoint({core})
        assert os.getpriority(os.PRIO_PROCESS, exporter) == min(os.getpriority(os.PRIO_PROCESS, own) + 10, 19)


# When the feeder fails ------------------------------------------------------------------------------------------------


async def test_a_feeder_that_is_stopped_is_told_within_two_seconds_and_no_longer_than_it_is(tmp_path):
    async with watched(tmp_path) as (feeder, _, _):
        await feeder.answers("/readyz", 200)
        feeder.program.process.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        try:
            while (asked := time.monotonic()) - stopped < 10:
                status, body = await feeder.get("/livez")
                if status == 503:
                    break
                assert status == 200
                await asyncio.sleep(0.02)
            assert asked - stopped < 2, "the issue's limit"
            reason = json.loads(body)["reason"]
            hanging = await feeder.scrape()
            status, ready = await feeder.get("/readyz")
        finally:
            feeder.program.process.send_signal(signal.SIGCONT)
        await feeder.program.wait_for_log("the event loop stood still")
        assert "event loop" in reason
        assert "has not turned" in reason
        assert (status, json.loads(ready)["ready"]) == (503, False)
        assert hanging("feeder_up") == 0
        assert hanging("feeder_heartbeat_age_seconds") > 1.5
        assert hanging("feeder_books", status="LIVE") == 5, "what it knew last"
        await feeder.answers("/livez", 200)
        assert (await feeder.scrape())("feeder_up") == 1


def _outputs(pid: int) -> list[str]:
    """What a process holds open that somebody may be reading to its end."""
    held = [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()]
    return [what for what in held if what != "/dev/null" and not what.startswith(("socket:", "anon_inode:"))]


async def test_a_feeder_that_was_killed_is_told_until_the_next_one_takes_over_its_port(tmp_path):
    async with watched(tmp_path) as (first, _, given):
        await first.answers("/readyz", 200)
        (exporter,) = first.exporters()
        session = (await first.scrape()).families["feeder_build_info"].samples[0].labels["session"]
        first.program.process.kill()
        await first.program.process.wait()
        reason = json.loads(await first.answers("/livez", 503))["reason"]
        assert f"process {first.program.process.pid}) is gone" in reason
        gone = await first.scrape()
        assert gone("feeder_up") == 0
        assert set(gone.families) == {
            "feeder_up",
            "feeder_heartbeat_age_seconds",
            "feeder_start_time_seconds",
            "feeder_build_info",
            "feeder_exporter_scrapes",
            "feeder_exporter_scrape_seconds",
        }
        assert alive(exporter)
        await until(lambda: not _outputs(exporter), 10, "the exporter to let go of the feeder's output")
        async with feeder(tmp_path, given) as program:
            second = Watched(program, first._base)
            await second.answers("/readyz", 200)
            now = await second.scrape()
            assert now("feeder_up") == 1
            assert now.families["feeder_build_info"].samples[0].labels["session"] != session
            await until(lambda: not alive(exporter), 10, "the old exporter to end")
            assert await program.end() == 0


async def test_a_clean_stop_ends_the_exporter_too(tmp_path):
    async with watched(tmp_path) as (feeder, _, _):
        await feeder.answers("/livez", 200)
        (exporter,) = feeder.exporters()
        assert await feeder.program.end() == 0
        assert not alive(exporter)
        assert (await feeder.get("/livez"))[0] == 0


async def test_an_exporter_that_dies_is_started_again(tmp_path):
    async with watched(tmp_path) as (feeder, _, _):
        await feeder.answers("/livez", 200)
        (exporter,) = feeder.exporters()
        os.kill(exporter, signal.SIGKILL)
        await until(lambda: feeder.exporters() not in ([], [exporter]), 20, "another exporter")
        await feeder.answers("/livez", 200)
        assert feeder.program.log.count("exporter ended") == 1


async def test_a_port_in_use_is_said_once_and_taken_when_it_is_free(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        async with watched(tmp_path, port=taken.getsockname()[1]) as (feeder, _, _):
            await feeder.program.wait_for_log("metrics not served")
            await feeder.program.wait_for_log("books followed")
            await asyncio.sleep(1.5)  # some more attempts
            assert feeder.program.log.count("metrics not served") == 1
            assert "or change telemetry.listen" in feeder.program.log
            taken.close()
            await feeder.answers("/readyz", 200)


async def test_a_counters_file_that_cannot_be_made_costs_the_metrics_and_no_book(tmp_path):
    (tmp_path / "file").touch()
    async with simulator("--symbols=3", "--updates-per-second=30") as (_, addresses):
        given = settings(tmp_path / "file", addresses, free_port())
        async with feeder(tmp_path, given) as program:
            await program.wait_for_log("book live")
            assert "counters file not made" in program.log
            assert "telemetry.counters" in program.log
            assert await program.end() == 0


async def test_a_counters_file_that_somebody_empties_costs_the_metrics_and_no_process(tmp_path):
    async with watched(tmp_path) as (feeder, _, given):
        await feeder.answers("/readyz", 200)
        exporters = feeder.exporters()
        os.truncate(given["telemetry"]["counters"], 0)
        assert "cut short" in await feeder.answers("/livez", 503)
        await feeder.program.wait_for_log("counters not copied")
        assert (await feeder.scrape())("feeder_up") == 0
        assert feeder.exporters() == exporters
        assert await feeder.program.end() == 0
        assert feeder.program.log.count("counters not copied") == 1


async def test_a_second_feeder_on_the_same_counters_file_is_told_and_disturbs_nobody(tmp_path):
    async with watched(tmp_path) as (first, _, given):
        await first.answers("/readyz", 200)
        (tmp_path / "second").mkdir()
        async with feeder(tmp_path / "second", {**given, "multicast": multicast_section()}) as second:
            await second.wait_for_log("counters file not made")
            await second.wait_for_log("books followed")
            assert f"the feeder of process {first.program.process.pid} writes it" in second.log
            await first.answers("/livez", 200)
            assert await second.end() == 0
        assert "exporter ended" not in first.program.log
        await first.answers("/readyz", 200)


async def test_an_exporter_that_finds_another_feeders_file_is_explained():
    command = [sys.executable, "-c", f"raise SystemExit({EXIT_REPLACED})"]
    with structlog.testing.capture_logs() as logs:
        running = asyncio.create_task(child.keep_running(command, SystemClock(), Random(1)))
        await until(lambda: len(logs) >= 2, 20, "two attempts")
        running.cancel()
        await asyncio.wait([running])
    assert "give each its own telemetry.counters" in logs[0]["error"]
    assert [entry["log_level"] for entry in logs[:2]] == ["error", "debug"]


# What else the file may be --------------------------------------------------------------------------------------------


def _of_another_layout(path: Path) -> None:
    _change_word(path, 1)


def _of_another_feeder(path: Path) -> None:
    _change_word(path, 2)


def _change_word(path: Path, index: int) -> None:
    data = bytearray(path.read_bytes())
    memoryview(data).cast("q")[index] += 1
    path.write_bytes(data)


def _cut_short(path: Path) -> None:
    os.truncate(path, 300)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _unreadable(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)  # nobody can open it, not even root


@pytest.mark.parametrize(
    ("harm", "remedy"),
    [
        (_of_another_layout, "made by another version of feeder; use that version's exporter"),
        (_of_another_feeder, "made by another version of feeder; use that version's exporter"),
        (_cut_short, "cut short; feeder makes a new one at its start"),
        (_empty, "cut short; feeder makes a new one at its start"),
        (_unreadable, "is a feeder with this telemetry.counters running?"),
    ],
)
async def test_a_file_that_cannot_be_used_is_said_and_a_good_one_is_served_again(server, harm, remedy):
    path = server.exporter.path
    clock = SystemClock()

    def make() -> None:
        file = CountersWriter(path, schema=SCHEMA, session_id=1, start_ns=clock.wall_ns())
        file.add(Of.FEEDER, "", field_count(Of.FEEDER))
        file.beat(int(clock.monotonic() * 1e9) + 60 * 10**9, clock.wall_ns())

    make()
    assert (await ask(server, "/livez"))[0] == 200
    harm(path)
    status, body = await ask(server, "/livez")
    assert status == 503
    assert remedy in json.loads(body)["reason"]
    assert (await ask(server, "/readyz"))[0] == 503
    status, body = await ask(server, "/metrics")
    assert status == 200
    scrape = Scrape(body)
    assert scrape("feeder_up") == 0
    assert set(scrape.families) == {"feeder_up", "feeder_exporter_scrapes", "feeder_exporter_scrape_seconds"}
    make()
    assert (await ask(server, "/livez"))[0] == 200
    assert Scrape((await ask(server, "/metrics"))[1])("feeder_up") == 1


# Its clients ----------------------------------------------------------------------------------------------------------


@pytest.fixture
async def server(tmp_path):
    server = Server("127.0.0.1:0", Exporter(tmp_path / "nothing", SystemClock()))
    serving = asyncio.create_task(asyncio.to_thread(server.serve_forever, 0.05))
    yield server
    await asyncio.to_thread(server.shutdown)
    await serving
    server.server_close()


async def ask(server: Server, path: str) -> tuple[int, str]:
    return await asyncio.to_thread(fetch, f"http://127.0.0.1:{server.server_port}{path}")


async def raw(server: Server, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.server_port)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()
        await writer.wait_closed()


async def test_paths_and_methods(server):
    get = partial(ask, server)
    assert (await get("/"))[0] == (await get("/metrics/x"))[0] == 404
    status, text = await get("/metrics?name[]=x")
    assert (status, Scrape(text)("feeder_up")) == (200, 0)
    status, body = await get("/livez")
    assert (status, json.loads(body)["live"]) == (503, False)
    assert "is a feeder with this telemetry.counters running?" in body
    head = await raw(server, b"HEAD /livez HTTP/1.0\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 503 ")
    assert head.endswith(b"\r\n\r\n")
    assert b" 501 " in await raw(server, b"POST /metrics HTTP/1.0\r\n\r\n")
    assert b" 400 " in await raw(server, b"\x16\x03\x01 nonsense\r\n\r\n")


async def test_clients_that_say_nothing_keep_nobody_out_for_long(server):
    silent = [await asyncio.open_connection("127.0.0.1", server.server_port) for _ in range(40)]
    try:
        end = time.monotonic() + 20
        while (await ask(server, "/livez"))[0] != 503:
            assert time.monotonic() < end
            await asyncio.sleep(0.2)
    finally:
        for _, writer in silent:
            writer.close()
