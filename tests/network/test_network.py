"""The feed over real links, which lose, repeat, delay and reorder packets and go down: no LIVE book is ever wrong."""

import asyncio
import time
from collections.abc import Iterable
from typing import Any

import pytest

from tests.helpers.namespaces import Host
from tests.helpers.require import require_namespaces
from tests.network.plant import PARTITIONS, SYMBOLS, Asked, plant

_TRIES = 4


@pytest.fixture(autouse=True)
def _namespaces() -> None:
    require_namespaces()


def dropping(share: int) -> str:
    """Drop so many of a thousand datagrams."""
    return f"meta l4proto udp numgen random mod 1000 < {share} counter drop"


async def until_counted(host: Host, interfaces: Iterable[str], count: int) -> None:
    """The kernel says that each of these interfaces' first rule had so many packets."""
    end = time.monotonic() + 30
    while any(host.counted(interface)[0] < count for interface in interfaces):
        assert time.monotonic() < end, {interface: host.counted(interface) for interface in interfaces}
        await asyncio.sleep(0.2)


async def until_seen(consumer: Asked, **counts: int) -> dict[str, Any]:
    """What a consumer has seen, once it is at least this."""
    end = time.monotonic() + 30
    while True:
        seen = await consumer.ask("seen")
        if all(seen.get(what.replace("_", " "), 0) >= count for what, count in counts.items()):
            return seen
        assert time.monotonic() < end, seen
        await asyncio.sleep(0.2)


def noticed(seen: dict[str, Any]) -> bool:
    """Whether a consumer has seen anything but a whole feed."""
    return bool(seen["lost"]) or "holes" in seen


async def test_one_percent_lost_on_both_lines_is_noticed_by_nobody_else_and_makes_no_book_wrong(tmp_path):
    async with plant(tmp_path) as staged:
        one, two = staged.consumers["one"], staged.consumers["two"]
        host = staged.hosts["one"]
        for interface in "ab":
            host.filter(interface, dropping(10))
        await until_counted(host, "ab", 20)
        await one.ends_well()
        seen = await two.ask("seen")
        assert seen["lost"] == {}
        assert "holes" not in seen
        await two.ends_well()


async def test_what_a_bad_network_loses_is_asked_for_again_or_comes_with_snapshots(tmp_path):
    async with plant(tmp_path, ("one",)) as staged:
        one, host = staged.consumers["one"], staged.hosts["one"]
        for interface in "ab":
            host.filter(interface, dropping(250))  # of answers as well
        await until_counted(host, "ab", 300)
        await until_seen(one, holes_BOOKS=20, requests=20, filled_BOOKS=20)
        await one.ends_well()  # while packets are still being lost
        host.clear()
        await one.ask("mark")
        await one.ends_well()


async def test_repeated_packets_change_nothing(tmp_path):
    async with plant(tmp_path) as staged:
        one, two = staged.consumers["one"], staged.consumers["two"]
        switch = staged.hosts["switch"]
        # What comes from the feeder's port goes out twice on the port of `one`, and once on all others.
        switch.filter("a-feeder", 'meta l4proto udp numgen random mod 100 < 50 counter dup to "a-one"')
        await until_counted(switch, ["a-feeder"], 300)
        end = time.monotonic() + 30
        while (seen_one := await one.ask("seen"))["packets A"] < seen_one["packets B"] + 250:
            assert time.monotonic() < end, seen_one
            await asyncio.sleep(0.2)
        seen_two = await two.ask("seen")
        assert seen_two["packets A"] < 1.1 * seen_two["packets B"], seen_two
        assert "holes" not in {**seen_one, **seen_two}
        await one.ends_well()
        await two.ends_well()


async def test_delayed_and_reordered_packets_make_no_book_wrong(tmp_path):
    # Line B is late by more than a consumer waits for it, and both lines bring some packets behind later ones.
    faults = "reorder:64,0.02,0.3;delay:0.005,0.01@A;delay:0.03,0.02@B;random:0.05"
    async with plant(tmp_path, (), relay=("--faults", faults, "--seed=7")) as staged:
        far = staged.consumers["far"]
        await until_seen(far, reordered=500, holes=5)
        await far.ends_well()
        done = await staged.end_relay()
        for line in "AB":
            counts = done["lines"][line]
            assert counts["delayed"]["reorder"] > 100
            assert counts["delayed"]["delay"] > 1000
            assert counts["lost"]["random"] > 50
        assert done["refused"] == 0


async def test_one_line_down_is_noticed_by_nobody_and_both_by_everybody_until_they_are_back(tmp_path):
    async with plant(tmp_path) as staged:
        feeder, consumers = staged.hosts["feeder"], staged.consumers.values()
        # A machine that lets a program wait for a second makes any feeder look lost: then once more from the beginning.
        for _ in range(_TRIES):
            await staged.all_live()
            feeder.set_link("a", up=False)
            await asyncio.sleep(3)
            while_down = [await consumer.ask("seen") for consumer in consumers]
            feeder.set_link("a", up=True)
            await asyncio.sleep(2)
            for consumer in consumers:
                await consumer.ask("mark")
            await asyncio.sleep(1)
            afterwards = [await consumer.ask("seen") for consumer in consumers]
            if not any(map(noticed, while_down + afterwards)):
                break
        assert not any(map(noticed, while_down + afterwards)), (while_down, afterwards)
        assert all(seen["packets B"] > 100 > seen.get("packets A", 0) for seen in while_down)
        assert all(seen.get("packets A", 0) > 0.5 * seen["packets B"] for seen in afterwards)  # it is used again

        feeder.set_link("a", up=False)
        feeder.set_link("b", up=False)
        await asyncio.sleep(3)
        for consumer in consumers:
            told = await consumer.ask("live", seconds=0)
            assert told["statuses"] == {"FEEDER_LOST": SYMBOLS}
        feeder.set_link("a", up=True)
        feeder.set_link("b", up=True)
        for consumer in consumers:
            await consumer.ends_well()
            seen = await consumer.ask("seen")
            assert seen["feeder lost"] == seen["feeder heard"] >= PARTITIONS


async def test_a_consumers_own_cable_pulled_is_that_consumers_trouble_alone(tmp_path):
    async with plant(tmp_path) as staged:
        one, two = staged.consumers["one"], staged.consumers["two"]
        for interface in "ab":
            staged.hosts["one"].set_link(interface, up=False)
        await asyncio.sleep(3)
        assert (await one.ask("live", seconds=0))["statuses"] == {"FEEDER_LOST": SYMBOLS}
        for interface in "ab":
            staged.hosts["one"].set_link(interface, up=True)
        await one.ends_well()
        seen = await two.ask("seen")
        assert seen["lost"] == {}
        assert "holes" not in seen
        await two.ends_well()
