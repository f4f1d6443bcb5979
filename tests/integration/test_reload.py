"""The configuration of a running feeder changes under load: what stays notices nothing."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from feeder.client import PacketsLost, StatusChanged, Subscriber, ViewStatus
from feeder.market.status import StatusReason
from feeder.multicast.plan import Line
from tests.helpers.compare import differences
from tests.helpers.processes import Addresses, Program, feeder, multicast_section, simulator, until

SYMBOLS = 120


class Reloading:
    """A feeder whose configuration file is written anew."""

    def __init__(self, folder: Path, program: Program, addresses: Addresses, section: dict[str, Any]) -> None:
        self.path = folder / "feeder.yaml"
        self.program = program
        self.addresses = addresses
        self.section = section

    def write(self, **changes: Any) -> None:
        """Replace keys of the file, by a rename as editors do."""
        settings = yaml.safe_load(self.path.read_text("utf-8")) | changes
        beside = self.path.with_suffix(".new")
        beside.write_text(yaml.safe_dump(settings), "utf-8")
        beside.replace(self.path)

    def subscriber(self, **options: Any) -> Subscriber:
        lines = [Line(name, line["group"], line["interface"]) for name, line in self.section["lines"].items()]
        return Subscriber(lines=lines, port=self.section["port"], **options)


@asynccontextmanager
async def running(folder: Path, symbols: list[str], rate: int = 3000) -> AsyncIterator[Reloading]:
    section = multicast_section()
    async with simulator(f"--symbols={SYMBOLS}", f"--updates-per-second={rate}", "--seed=5") as (_, addresses):
        settings = {
            "exchange": {"websocket_url": addresses.websocket, "rest_url": addresses.rest},
            "subscriptions": [{"category": "linear", "depth": 50, "symbols": symbols}],
            "multicast": section,
            "log": {"level": "info"},
        }
        async with feeder(folder, settings) as program:
            yield Reloading(folder, program, addresses, section)


async def listed(folder: Path) -> list[str]:
    """The symbols of the simulator."""
    async with simulator(f"--symbols={SYMBOLS}", "--updates-per-second=1", "--seed=5") as (_, addresses):
        _, body = await asyncio.to_thread(addresses.get, "/v5/market/instruments-info?category=linear&limit=1000")
        return sorted(entry["symbol"] for entry in body["result"]["list"])


def live(consumer: Subscriber) -> set[str]:
    return {key[1] for key, view in consumer.books.items() if view.status is ViewStatus.LIVE}


async def test_symbols_come_and_go_under_load_and_no_consumer_sees_a_hole_nor_another_book_a_change(tmp_path):
    symbols = await listed(tmp_path)
    stays, comes, goes = symbols[:40], symbols[40:80], symbols[80:]
    async with running(tmp_path, stays + goes) as plant, plant.subscriber() as consumer:
        await until(lambda: live(consumer) == set(stays + goes), 20, "every book LIVE")
        changed: Counter[str] = Counter()
        holes: list[PacketsLost] = []
        consumer.on(StatusChanged, lambda event: changed.update([event.view.key[1] if event.view.key else ""]))
        consumer.on(PacketsLost, holes.append)
        for there, gone in ((comes, goes), (goes, comes), (comes, goes)):
            plant.write(subscriptions=[{"category": "linear", "depth": 50, "symbols": stays + there}])
            plant.program.process.send_signal(signal.SIGHUP)
            await until(lambda there=there: live(consumer) == set(stays + there), 20, "the others LIVE")
            for symbol in gone:
                view = consumer.book("linear", symbol)
                assert (view.status, view.reason) == (ViewStatus.STALE, StatusReason.UNSUBSCRIBED)
        assert not holes
        assert not set(stays) & changed.keys()
        assert set(comes + goes) <= changed.keys()
        found = await differences([consumer.book("linear", symbol) for symbol in stays + there], plant.addresses)
        assert not found
        assert plant.program.log.count('"applied": ["subscriptions"]') == 3


async def test_a_bad_file_changes_nothing_and_says_why_and_the_next_good_one_counts(tmp_path):
    async with running(tmp_path, ["BTCUSDT", "ETHUSDT"], rate=100) as plant, plant.subscriber() as consumer:
        await until(lambda: len(live(consumer)) == 2, 20, "both books LIVE")
        good = plant.path.read_text("utf-8")
        for text, said in (
            (good.replace("linear", "liner"), "subscriptions[0].category"),
            (good + "queue: {capacityy: 3}\n", "queue.capacityy"),
            ("subscriptions: [", "is not YAML"),
            (good.replace("BTCUSDT", "XXXUSDT").replace("ETHUSDT", "YYYUSDT"), "linear:XXXUSDT"),
        ):
            plant.path.write_text(text, "utf-8")
            plant.program.process.send_signal(signal.SIGHUP)
            await plant.program.wait_for_log(said)
            assert "configuration refused; everything goes on as it was" in plant.program.log
        assert live(consumer) == {"BTCUSDT", "ETHUSDT"}
        plant.path.write_text(good.replace("info", "debug") + "queue: {capacity: 77}\n", "utf-8")
        plant.program.process.send_signal(signal.SIGHUP)
        await plant.program.wait_for_log("keys changed that need a restart")
        assert '"keys": ["queue.capacity"]' in plant.program.log
        assert '"applied": ["log.level"]' in plant.program.log
        assert await plant.program.end() == 0


async def test_a_file_that_is_written_is_read_without_being_told(tmp_path):
    async with running(tmp_path, ["BTCUSDT"], rate=100) as plant, plant.subscriber() as consumer:
        await until(lambda: live(consumer) == {"BTCUSDT"}, 20, "the book LIVE")
        plant.write(subscriptions=[{"category": "linear", "symbols": ["BTCUSDT", "ETHUSDT"]}])
        await until(lambda: live(consumer) == {"BTCUSDT", "ETHUSDT"}, 20, "the other LIVE as well")


async def test_another_depth_is_the_same_instrument_begun_anew(tmp_path):
    async with running(tmp_path, ["BTCUSDT", "ETHUSDT"], rate=200) as plant, plant.subscriber() as consumer:
        await until(lambda: len(live(consumer)) == 2, 20, "both books LIVE")
        view = consumer.book("linear", "BTCUSDT")
        sequence = view.sequence
        plant.write(
            subscriptions=[
                {"category": "linear", "symbols": ["ETHUSDT"]},
                {"category": "linear", "symbols": ["BTCUSDT"], "depth": 200},
            ]
        )
        plant.program.process.send_signal(signal.SIGHUP)
        await until(lambda: len(view.depth().bids) == 2 * 200, 20, "200 levels")
        assert consumer.book("linear", "BTCUSDT") is view
        assert view.sequence > sequence
        assert not await differences(list(consumer.books.values()), plant.addresses)
