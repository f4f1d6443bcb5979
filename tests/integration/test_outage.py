"""The whole way on real sockets: the exchange dies and returns, consumers join late, lose packets, lose a line."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from feeder.client import BookChanged, FeedEnded, PacketsLost, Subscriber, ViewStatus
from feeder.market.instrument import instrument_id
from feeder.multicast.plan import Line
from feeder.wire.messages import Kind
from tests.helpers.compare import differences
from tests.helpers.processes import Addresses, Program, feeder, multicast_section, simulator, until

SYMBOLS = 200


def subscriber(section: dict[str, Any], kind: type[Subscriber] = Subscriber, **options: Any) -> Subscriber:
    lines = [Line(name, line["group"], line["interface"]) for name, line in section["lines"].items()]
    return kind(lines=lines, port=section["port"], **options)


def statuses(consumer: Subscriber) -> set[ViewStatus]:
    return {view.status for view in consumer.books.values()}


def all_live(consumer: Subscriber, count: int) -> bool:
    return len(consumer.books) == count and statuses(consumer) == {ViewStatus.LIVE}


def same_ports(addresses: Addresses) -> list[str]:
    """What makes another simulator listen where this one did."""
    return [f"--port={addresses.websocket.rpartition(':')[2]}", f"--rest-port={addresses.rest.rpartition(':')[2]}"]


@asynccontextmanager
async def running(
    folder: Path, symbols: int, rate: int = 1000
) -> AsyncIterator[tuple[Program, Addresses, Program, dict[str, Any]]]:
    section = multicast_section()
    async with simulator(f"--symbols={symbols}", f"--updates-per-second={rate}", "--seed=7") as (sim, addresses):
        settings = {
            "exchange": {"websocket_url": addresses.websocket, "rest_url": addresses.rest},
            "subscriptions": [{"category": "linear", "depth": 50, "symbols": "all"}],
            "multicast": section,
        }
        async with feeder(folder, settings) as following:
            yield sim, addresses, following, section


async def test_every_book_is_stale_when_the_exchange_dies_and_live_and_equal_when_it_returns(tmp_path):
    async with running(tmp_path, SYMBOLS) as (sim, addresses, following, section), subscriber(section) as consumer:
        await until(lambda: all_live(consumer, SYMBOLS), 20, "every book LIVE")
        sim.process.kill()
        await until(lambda: statuses(consumer) == {ViewStatus.STALE}, 5, "every book STALE")
        await asyncio.sleep(2)  # an outage long enough for reconnects to have failed
        again = [*same_ports(addresses), f"--symbols={SYMBOLS}", "--updates-per-second=1000", "--seed=8"]
        async with simulator(*again) as (_, second):
            await until(lambda: all_live(consumer, SYMBOLS), 10, "every book LIVE again")
            assert await differences(list(consumer.books.values()), second) == []
        assert "book stale" in following.log


async def test_a_late_joiner_a_lossy_consumer_and_one_without_line_a_end_with_equal_books(tmp_path):
    rng = random.Random(3)

    class Lossy(Subscriber):
        """Loses one datagram in twenty of each line in its own receive path, and now and then a burst of both."""

        lost = 0
        losing = True

        def on_datagram(self, line: str, channel_id: int, data: bytes) -> None:
            if self.losing and rng.random() < 0.05:
                self.lost += 1
                return
            super().on_datagram(line, channel_id, data)

    class WithoutA(Subscriber):
        gone = False

        def on_datagram(self, line: str, channel_id: int, data: bytes) -> None:
            if not (self.gone and line == "A"):
                super().on_datagram(line, channel_id, data)

    async with running(tmp_path, 40, 800) as (_, addresses, _, section):
        lossy, without_a = subscriber(section, Lossy), subscriber(section, WithoutA)
        holes: list[PacketsLost] = []
        holes_without_a: list[PacketsLost] = []
        lossy.on(PacketsLost, holes.append)
        without_a.on(PacketsLost, holes_without_a.append)
        async with lossy, without_a:
            await until(lambda: all_live(without_a, 40), 20, "every book LIVE")
            without_a.gone = True
            await asyncio.sleep(4)
            late = subscriber(section)
            async with late:
                await until(lambda: all_live(late, 40), 10, "the late joiner's books LIVE")
                lossy.losing = False
                await until(lambda: all_live(lossy, 40), 5, "the lossy consumer's books LIVE")
                assert lossy.lost > 50
                assert [hole for hole in holes if hole.kind is Kind.BOOKS]
                assert not holes_without_a
                for consumer in (late, lossy, without_a):
                    assert await differences(list(consumer.books.values()), addresses) == []


async def test_sigterm_says_end_of_session_and_exits_with_0(tmp_path):
    async with running(tmp_path, 4) as (_, _, following, section):
        ended: list[FeedEnded] = []
        changed: list[BookChanged] = []
        consumer = subscriber(section)
        consumer.on(FeedEnded, ended.append)
        consumer.on(BookChanged, changed.append)
        async with consumer:
            await until(lambda: all_live(consumer, 4), 20, "every book LIVE")
            assert await following.end() == 0
            await until(lambda: len(ended) == 4, 5, "end of session on every partition")
            assert statuses(consumer) == {ViewStatus.ENDED}
        assert changed


async def test_sigterm_while_the_exchange_cannot_be_reached_ends_with_0(tmp_path):
    settings = {
        "exchange": {"websocket_url": "ws://127.0.0.1:9", "rest_url": "http://127.0.0.1:9"},
        "subscriptions": [{"category": "linear", "symbols": ["BTCUSDT"]}],
        "multicast": multicast_section(),
    }
    async with feeder(tmp_path, settings) as following:
        await following.wait_for_log("instruments not loaded")
        assert await following.end() == 0


async def test_a_feeder_starts_without_rest_from_the_copy_kept_on_disk(tmp_path):
    async with running(tmp_path, 4) as (sim, addresses, following, section):
        await following.wait_for_log("books followed")
        assert await following.end() == 0
        await sim.end()
        settings = yaml.safe_load((tmp_path / "feeder.yaml").read_text())
        async with feeder(tmp_path, settings) as second, subscriber(section) as consumer:
            await second.wait_for_log("books followed")
            await until(lambda: len(consumer.books) == 4, 5, "every book defined")
            async with simulator(*same_ports(addresses), "--symbols=4", "--seed=7"):
                await until(lambda: all_live(consumer, 4), 5, "every book LIVE")


@pytest.mark.parametrize("symbols", [["NOSUCHUSDT"], ["BTCUSDT", "NOSUCHUSDT"]])
async def test_a_symbol_the_exchange_does_not_have_is_named_and_sinks_nothing_else(tmp_path, symbols):
    section = multicast_section()
    async with simulator("--symbols=4") as (_, addresses):
        settings = {
            "exchange": {"websocket_url": addresses.websocket, "rest_url": addresses.rest},
            "subscriptions": [{"category": "linear", "symbols": symbols}],
            "multicast": section,
        }
        async with feeder(tmp_path, settings) as following:
            if len(symbols) == 1:
                assert await asyncio.wait_for(following.process.wait(), 20) == 78
                assert "NOSUCHUSDT" in following.log
                return
            async with subscriber(section, instruments=[("linear", "BTCUSDT")]) as consumer:
                await until(lambda: consumer.book("linear", "BTCUSDT").is_live, 20, "BTCUSDT LIVE")
            assert "NOSUCHUSDT" in following.log


async def test_two_instruments_of_one_id_are_not_started_with(tmp_path):
    async with simulator("--symbols=4") as (_, addresses):
        settings = {
            "exchange": {"websocket_url": addresses.websocket, "rest_url": addresses.rest},
            "subscriptions": [{"category": "linear", "symbols": "all"}],
            "instrument_ids": {"linear:ETHUSDT": instrument_id("linear", "BTCUSDT")},
            "multicast": multicast_section(),
        }
        async with feeder(tmp_path, settings) as following:
            assert await asyncio.wait_for(following.process.wait(), 20) == 78
            assert "is that of linear:BTCUSDT" in following.log
