"""`feeder ctl` on a real feeder: what it tells, what it does to the books that consumers see, and who may ask."""

import asyncio
import json
import signal
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from feeder.client import StatusChanged, Subscriber, ViewStatus
from feeder.market.status import StatusReason
from feeder.multicast.plan import Line
from tests.helpers.compare import differences
from tests.helpers.processes import Addresses, Program, feeder, multicast_section, simulator, until

FIRST, SECOND, THIRD = "BTCUSDT", "ETHUSDT", "SOLUSDT"


class Controlled:
    """A feeder that follows the first two of the simulator's symbols."""

    def __init__(self, folder: Path, program: Program, addresses: Addresses, settings: dict[str, Any]) -> None:
        self.folder = folder
        self.program = program
        self.addresses = addresses
        self.settings = settings

    @property
    def socket(self) -> Path:
        return self.folder / "control.sock"

    async def ctl(self, *arguments: str) -> tuple[int, str, str]:
        """(exit code, standard output, standard error) of `feeder ctl` with the feeder's own configuration."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "feeder", "ctl", "--config", str(self.folder / "feeder.yaml"), *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    async def told(self, *arguments: str) -> dict[str, Any]:
        """What the feeder says, as it says it."""
        code, out, err = await self.ctl(*arguments, "--json")
        assert code == 0, err
        found: dict[str, Any] = json.loads(out)
        return found

    def subscriber(self) -> Subscriber:
        section = self.settings["multicast"]
        lines = [Line(name, line["group"], line["interface"]) for name, line in section["lines"].items()]
        return Subscriber(lines=lines, port=section["port"])


@asynccontextmanager
async def controlled(folder: Path, **more: Any) -> AsyncIterator[Controlled]:
    async with simulator("--symbols=8", "--updates-per-second=400", "--seed=3") as (_, addresses):
        settings = {
            "exchange": {"websocket_url": addresses.websocket, "rest_url": addresses.rest},
            "subscriptions": [{"category": "linear", "depth": 50, "symbols": [FIRST, SECOND]}],
            "multicast": multicast_section(),
            "log": {"format": "json"},
            **more,
        }
        async with feeder(folder, settings) as program:
            yield Controlled(folder, program, addresses, settings)


def live(consumer: Subscriber) -> set[str]:
    return {key[1] for key, view in consumer.books.items() if view.status is ViewStatus.LIVE}


async def test_a_feeder_tells_how_it_is(tmp_path):
    async with controlled(tmp_path) as plant, plant.subscriber() as consumer:
        await until(lambda: live(consumer) == {FIRST, SECOND}, 20, "both books LIVE")
        told = await plant.told("status")
        assert (told["pid"], told["state"], told["ready"]) == (plant.program.process.pid, "running", True)
        assert (told["followed"], told["books"]["LIVE"], told["refused"]) == (2, 2, [])
        assert [(c["category"], c["state"], c["topics"]) for c in told["connections"]] == [("linear", "CONNECTED", 4)]
        assert (told["config"]["path"], told["config"]["error"]) == (str(tmp_path / "feeder.yaml"), None)
        code, out, _ = await plant.ctl("status")
        assert code == 0
        assert f"process {plant.program.process.pid}" in out
        assert "2 followed: 2 LIVE" in out
        code, out, _ = await plant.ctl("books")
        assert code == 0
        assert [line.split()[:2] for line in out.splitlines()[1:]] == [
            [f"linear:{FIRST}", "LIVE"],
            [f"linear:{SECOND}", "LIVE"],
        ]
        code, out, _ = await plant.ctl("top", "--once", "--interval", "2")
        assert code == 0
        assert f"RUNNING  process {plant.program.process.pid}" in out
        assert f"linear:{FIRST}" in out


async def test_symbols_come_and_go_by_hand_and_the_others_see_nothing_of_it(tmp_path):
    async with controlled(tmp_path) as plant, plant.subscriber() as consumer:
        await until(lambda: live(consumer) == {FIRST, SECOND}, 20, "both books LIVE")
        others: list[StatusChanged] = []
        consumer.on(StatusChanged, lambda event: others.append(event) if event.view.key == ("linear", FIRST) else None)
        code, out, _ = await plant.ctl("subscribe", f"linear:{THIRD}", "linear:NOSUCHUSDT", "--depth", "200")
        assert code == 1
        done, refused = out.splitlines()
        assert (done.split()[:2], refused.split()[:3]) == (
            [f"linear:{THIRD}", "done"],
            ["linear:NOSUCHUSDT", "NOT", "DONE"],
        )
        await until(lambda: live(consumer) == {FIRST, SECOND, THIRD}, 20, "the new book LIVE")
        assert not await differences([consumer.book("linear", THIRD)], plant.addresses)
        (row,) = (await plant.told("books", f"linear:{THIRD}"))["books"]
        assert (row["status"], row["depth"], row["trades"]) == ("LIVE", 200, True)
        code, out, _ = await plant.ctl("unsubscribe", f"linear:{SECOND}", f"linear:{THIRD}")
        assert code == 0, out
        await until(lambda: live(consumer) == {FIRST}, 20, "the others gone")
        assert consumer.book("linear", SECOND).reason is StatusReason.UNSUBSCRIBED
        code, _, err = await plant.ctl("books", f"linear:{SECOND}")
        assert code == 1
        assert f"not followed: linear:{SECOND}" in err
        assert f"linear:{SECOND}" in (await plant.told("status"))["by_hand"]["unsubscribed"]
        code, out, _ = await plant.ctl("subscribe", f"linear:{SECOND}")
        assert code == 0, out
        await until(lambda: live(consumer) == {FIRST, SECOND}, 20, "it is back")
        assert not await differences([consumer.book("linear", name) for name in (FIRST, SECOND)], plant.addresses)
        assert not others


async def test_a_resync_begins_one_book_anew(tmp_path):
    async with controlled(tmp_path) as plant, plant.subscriber() as consumer:
        await until(lambda: live(consumer) == {FIRST, SECOND}, 20, "both books LIVE")
        changes: list[tuple[str, ViewStatus, StatusReason]] = []
        consumer.on(
            StatusChanged, lambda event: changes.append((event.view.key[1], event.view.status, event.view.reason))
        )
        code, out, _ = await plant.ctl("resync", f"linear:{FIRST}")
        assert code == 0, out
        await until(lambda: changes[-1:] == [(FIRST, ViewStatus.LIVE, StatusReason.SNAPSHOT)], 20, "LIVE again")
        assert (FIRST, ViewStatus.STALE, StatusReason.REQUESTED) in changes
        assert {symbol for symbol, _, _ in changes} == {FIRST}
        code, out, _ = await plant.ctl("resync", "linear:NOSUCHUSDT")
        assert code == 1
        assert "NOT DONE" in out


async def test_a_reload_of_a_bad_file_is_refused_with_its_key_and_of_a_good_one_done(tmp_path):
    async with controlled(tmp_path) as plant, plant.subscriber() as consumer:
        await until(lambda: live(consumer) == {FIRST, SECOND}, 20, "both books LIVE")
        path = tmp_path / "feeder.yaml"
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "queue": {"capacity": 9, "total": 1}}))
        code, out, err = await plant.ctl("reload")
        assert (code, out) == (78, "")
        assert "queue.total: less than queue.capacity" in err
        told = await plant.told("status")
        assert "queue.total" in told["config"]["error"]
        assert live(consumer) == {FIRST, SECOND}
        good = {**yaml.safe_load(path.read_text()), "queue": {"capacity": 9}}
        good["subscriptions"][0]["symbols"] = [FIRST, THIRD]
        path.write_text(yaml.safe_dump(good))
        told = await plant.told("reload")
        assert told["restart_needed"] == ["queue.capacity"]
        await until(lambda: live(consumer) == {FIRST, THIRD}, 20, "the other book")
        assert (await plant.told("status"))["config"]["error"] is None


async def test_the_log_level_changes_while_it_runs(tmp_path):
    async with controlled(tmp_path, log={"format": "json", "level": "error"}) as plant:
        await until(plant.socket.is_socket, 20, "the socket")
        assert (await plant.ctl("log-level"))[1] == "error\n"
        await plant.ctl("resync", f"linear:{FIRST}")
        assert "control request" not in plant.program.log
        assert (await plant.ctl("log-level", "info"))[1] == "info\n"
        await plant.ctl("resync", f"linear:{FIRST}")
        assert '"request": "POST /resync"' in plant.program.log


async def test_owner_and_group_may_ask_and_a_second_feeder_leaves_the_socket_to_the_first(tmp_path):
    async with controlled(tmp_path) as plant:
        await until(plant.socket.is_socket, 20, "the socket")
        assert stat.S_IMODE(plant.socket.stat().st_mode) == 0o660
        second = tmp_path / "second"
        second.mkdir()
        more = {"multicast": multicast_section(), "control": {"socket": str(plant.socket)}}
        async with feeder(second, {**plant.settings, **more}) as other:
            await other.wait_for_log("control socket not made")
            assert f"process {plant.program.process.pid} answers there" in other.log
            assert await other.end() == 0
        assert (await plant.told("status"))["pid"] == plant.program.process.pid
        assert await plant.program.end() == 0
        assert not plant.socket.exists()
        code, _, err = await plant.ctl("status")
        assert code == 1
        assert "no such socket" in err


async def test_a_feeder_that_was_killed_is_told_apart_and_its_socket_taken_over(tmp_path):
    async with controlled(tmp_path) as plant:
        await until(plant.socket.is_socket, 20, "the socket")
        await plant.told("status")
        plant.program.process.kill()
        await plant.program.process.wait()
        code, _, err = await plant.ctl("status")
        assert code == 1
        assert "nobody answers; the feeder that made it has died" in err
        async with feeder(tmp_path, plant.settings) as second:
            await second.wait_for_log("feeder started")
            assert (await plant.told("status"))["pid"] == second.process.pid


async def test_a_feeder_that_stands_still_is_given_up_and_top_says_so(tmp_path):
    async with controlled(tmp_path) as plant:
        await until(plant.socket.is_socket, 20, "the socket")
        await plant.told("status")
        plant.program.process.send_signal(signal.SIGSTOP)
        code, _, err = await plant.ctl("status")
        assert code == 1
        assert f"the feeder (process {plant.program.process.pid}) does not answer within 5 s" in err
        code, out, _ = await plant.ctl("top", "--once", "--interval", "1")
        assert code == 0
        assert "HANGING" in out.splitlines()[0]
        plant.program.process.send_signal(signal.SIGCONT)
        assert (await plant.told("log-level"))["level"] == "info"
        assert await plant.program.end() == 0
