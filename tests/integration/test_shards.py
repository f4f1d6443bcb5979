"""Two processes serve one feed: consumers see one plan, and one of them restarted disturbs only its own partitions."""

from pathlib import Path
from typing import Any

from feeder.client import FeederHeard, FeederLost, PacketsLost, StatusChanged, Subscriber, ViewStatus
from feeder.client.events import FeedEnded
from feeder.multicast.plan import Line
from tests.helpers.compare import differences
from tests.helpers.processes import feeder, multicast_section, program, simulator, until

SYMBOLS = 40
PARTITIONS = 4


def all_live(consumer: Subscriber) -> bool:
    views = consumer.books.values()
    return len(views) == SYMBOLS and all(view.status is ViewStatus.LIVE for view in views)


async def test_a_shard_that_is_killed_and_started_again_disturbs_no_partition_of_the_other(tmp_path: Path):
    section: dict[str, Any] = multicast_section() | {"partitions": PARTITIONS}
    lines = [Line(name, line["group"], line["interface"]) for name, line in section["lines"].items()]
    async with simulator(f"--symbols={SYMBOLS}", "--updates-per-second=1000", "--seed=3") as (_, addresses):
        settings = {
            "exchange": {"websocket_url": addresses.websocket, "rest_url": addresses.rest},
            "subscriptions": [{"category": "linear", "symbols": "all"}],
            "multicast": section,
        }
        shard = ("run", f"--config={tmp_path / 'feeder.yaml'}", "--shard")
        async with (
            feeder(tmp_path, settings, shard="0/2") as first,
            program(*shard, "1/2") as second,
            Subscriber(lines=lines, port=section["port"], partitions=PARTITIONS) as consumer,
        ):
            await until(lambda: all_live(consumer), 20, "every book LIVE")
            assert (tmp_path / "counters-0.dat").exists()
            assert (tmp_path / "counters-1.dat").exists()
            of_first = {key for key, view in consumer.books.items() if view.instrument_id % PARTITIONS in (0, 2)}
            assert of_first
            assert len(of_first) < SYMBOLS
            lost: set[int] = set()
            heard: set[int] = set()
            touched: set[object] = set()
            holes: list[PacketsLost] = []
            consumer.on(FeederLost, lambda event: lost.add(event.partition))
            consumer.on(FeederHeard, lambda event: heard.add(event.partition))
            consumer.on(StatusChanged, lambda event: touched.add(event.view.key))
            consumer.on(PacketsLost, lambda event: holes.append(event) if event.partition in (0, 2) else None)
            second.process.kill()
            await until(lambda: lost == {1, 3}, 10, "the killed shard's partitions lost")
            async with program(*shard, "1/2") as again:
                await until(lambda: all_live(consumer), 20, "every book LIVE again")
                assert heard == {1, 3}
                assert not touched & of_first
                assert not holes
                assert not await differences(list(consumer.books.values()), addresses)
                ended: set[int] = set()
                consumer.on(FeedEnded, lambda event: ended.add(event.partition))
                assert await again.end() == 0
                await until(lambda: ended == {1, 3}, 10, "the end of its session")
            assert {key for key, view in consumer.books.items() if view.status is ViewStatus.LIVE} == of_first
            assert await first.end() == 0
