"""SIGTERM in every state: within 5 s, exit code 0, and every channel has said end of session on every line."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.helpers.farewell import Farewell, farewell
from tests.helpers.processes import Program, feeder, multicast_section, simulator, until
from tests.helpers.require import require_namespaces

NOBODY = "127.0.0.1:9"
LIMIT = 5.0  # seconds


@asynccontextmanager
async def silent() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Takes connections and says nothing: its address, and whether somebody has connected."""
    came = asyncio.Event()
    kept = []

    def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kept.append(writer)
        came.set()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", came
    finally:
        server.close()
        for writer in kept:
            writer.close()


@asynccontextmanager
async def running(folder: Path, websocket: str, rest: str) -> AsyncIterator[tuple[Program, Farewell]]:
    settings: dict[str, Any] = {
        "exchange": {"websocket_url": websocket, "rest_url": rest},
        "subscriptions": [{"category": "linear", "symbols": "all"}],
        "multicast": multicast_section(),
        "control": {"socket": str(folder / "control.sock")},
        "log": {"format": "json"},
    }
    with farewell(settings["multicast"]) as heard:
        async with feeder(folder, settings) as program:
            await program.wait_for_log("feeder started")
            yield program, heard


async def end(program: Program, heard: Farewell) -> None:
    """Ask it to end, and hold it to its promises."""
    began = time.monotonic()
    code = await program.end()
    took = time.monotonic() - began
    await until(lambda: heard.complete, LIMIT, "end of session on every channel and line")
    assert code == 0, program.log
    assert took < LIMIT
    assert not heard.after_the_end
    assert "feeder stopped" in program.log
    assert "Traceback" not in program.log, program.log


async def test_while_the_exchange_cannot_be_reached(tmp_path):
    async with running(tmp_path, f"ws://{NOBODY}", f"http://{NOBODY}") as (program, heard):
        await program.wait_for_log("instruments not loaded")
        await end(program, heard)


async def test_while_the_instruments_are_answered_slowly(tmp_path):
    async with silent() as (address, came), running(tmp_path, f"ws://{NOBODY}", f"http://{address}") as running_now:
        await asyncio.wait_for(came.wait(), 20)
        await end(*running_now)


@asynccontextmanager
async def plant(folder: Path, symbols: int, rate: int) -> AsyncIterator[tuple[Program, Program, Farewell]]:
    """Simulator, feeder, and who listens to it."""
    async with (
        simulator(f"--symbols={symbols}", f"--updates-per-second={rate}") as (sim, exchange),
        running(folder, exchange.websocket, exchange.rest) as (program, heard),
    ):
        yield sim, program, heard


async def all_live(program: Program, count: int) -> None:
    await until(lambda: program.log.count("book live") == count, 30, "every book LIVE")


async def test_while_names_are_looked_up_and_nobody_answers(tmp_path):
    require_namespaces()
    resolver = tmp_path / "resolv.conf"
    resolver.write_text("nameserver 192.0.2.1\noptions timeout:30 attempts:5\n")
    network = (
        "ip link set lo up && ip route add 224.0.0.0/4 dev lo && ip route add 192.0.2.0/24 dev lo &&"
        f' mount --bind {resolver} /etc/resolv.conf && exec "$@"'
    )
    settings = {
        "exchange": {"websocket_url": "ws://nowhere.example", "rest_url": "http://nowhere.example"},
        "subscriptions": [{"category": "linear", "symbols": "all"}],
        "multicast": multicast_section(),
    }
    async with feeder(tmp_path, settings, within=["unshare", "--net", "--mount", "sh", "-c", network, "-"]) as program:
        sockets = Path(f"/proc/{program.process.pid}/net/udp")
        await until(lambda: ":0035 01" in sockets.read_text(), 20, "a question to the name server, port 53")
        began = time.monotonic()
        assert await program.end() == 0, program.log
        assert time.monotonic() - began < LIMIT
        assert "feeder stopped" in program.log


async def test_while_the_books_are_being_synchronised(tmp_path):
    async with (
        simulator("--symbols=20") as (_, exchange),
        silent() as (address, came),
        running(tmp_path, f"ws://{address}", exchange.rest) as (program, heard),
    ):
        await asyncio.wait_for(came.wait(), 20)
        assert "book live" not in program.log
        await end(program, heard)


async def test_while_snapshots_come(tmp_path):
    async with plant(tmp_path, 300, 2000) as (_, program, heard):
        await program.wait_for_log("books followed")
        await end(program, heard)


async def test_while_books_are_live_under_load(tmp_path):
    async with plant(tmp_path, 20, 3000) as (_, program, heard):
        await all_live(program, 20)
        await end(program, heard)
        assert all(heard.packets.values())


async def test_while_it_reconnects(tmp_path):
    async with plant(tmp_path, 20, 100) as (sim, program, heard):
        await all_live(program, 20)
        sim.process.kill()
        await until(lambda: program.log.count("book stale") == 20, 30, "every book STALE")
        await end(program, heard)


async def test_while_the_configuration_is_read_again(tmp_path):
    async with plant(tmp_path, 20, 100) as (_, program, heard):
        await all_live(program, 20)
        program.process.send_signal(signal.SIGHUP)
        await end(program, heard)


async def test_an_interrupt_is_as_good_as_sigterm(tmp_path):
    async with running(tmp_path, f"ws://{NOBODY}", f"http://{NOBODY}") as (program, heard):
        program.process.send_signal(signal.SIGINT)
        await program.wait_for_log("feeder stops")
        await end(program, heard)


async def test_signals_in_a_storm_end_it_once_and_well(tmp_path):
    async with plant(tmp_path, 20, 500) as (_, program, heard):
        await all_live(program, 20)
        for _ in range(300):
            os.kill(program.process.pid, signal.SIGHUP)
            await asyncio.sleep(0.001)
        assert "book stale" not in program.log
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGHUP, signal.SIGINT) * 20:
            os.kill(program.process.pid, number)
        await end(program, heard)
        assert program.log.count("feeder stops") == program.log.count("feeder stopped") == 1


async def test_sigterm_again_changes_nothing_of_the_order(tmp_path):
    async with plant(tmp_path, 20, 1000) as (_, program, heard):
        await all_live(program, 20)
        program.process.send_signal(signal.SIGTERM)
        await program.wait_for_log("feeder stops")
        await end(program, heard)
        assert program.log.count("feeder stops") == program.log.count("feeder stopped") == 1


async def test_sigterm_during_the_farewell_does_not_cut_it_short(tmp_path):
    async with running(tmp_path, f"ws://{NOBODY}", f"http://{NOBODY}") as (program, heard):
        program.process.send_signal(signal.SIGTERM)
        await until(lambda: any(heard.ends.values()), LIMIT, "the first end of session")
        await end(program, heard)
        assert all(ends >= 2 for ends in heard.ends.values()), "said again after 0.25 s"
