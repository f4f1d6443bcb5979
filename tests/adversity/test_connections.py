"""Connections are cut, half-open, slow, bursty or refused: their books say so in seconds, and only theirs."""

import asyncio

import pytest

from feeder.client import ViewStatus
from feeder.market.status import StatusReason
from tests.helpers.scene import Scene, scene

STALE, DISCONNECTED = ViewStatus.STALE, StatusReason.DISCONNECTED


def of(staged: Scene, *categories: str) -> set[tuple[str, str]]:
    """The books of these categories."""
    return {key for key in staged.consumer.books if key[0] in categories}


async def every_book_lost(staged: Scene, keys: set[tuple[str, str]], reason: StatusReason, seconds: float) -> None:
    await staged.until(
        lambda: all(staged.is_lost(key, STALE, reason) for key in keys), seconds, f"{len(keys)} books {reason.name}"
    )


@pytest.mark.parametrize(
    ("keys", "categories"),
    [
        ({"category": "linear", "count": 1}, ("linear",)),
        ({"category": "spot"}, ("spot",)),
        ({}, ("linear", "spot")),
    ],
)
async def test_a_connection_that_is_cut_takes_down_its_own_books_and_comes_back(tmp_path, keys, categories):
    async with scene(tmp_path) as staged:
        await staged.inject("disconnect", **keys)
        await every_book_lost(staged, of(staged, *categories), DISCONNECTED, 10)
        await staged.ends_well()
        assert staged.lost == of(staged, *categories)


async def test_text_that_is_no_json_costs_the_connection_as_it_may_have_been_any_books(tmp_path):
    async with scene(tmp_path) as staged:
        await staged.inject("raw", category="linear", text='{"topic":')
        await every_book_lost(staged, of(staged, "linear"), DISCONNECTED, 10)
        await staged.ends_well()
        assert staged.lost == of(staged, "linear")


async def test_a_half_open_connection_is_found_out_within_seconds_and_replaced(tmp_path):
    async with scene(tmp_path) as staged:
        await staged.inject("half_open", category="linear", count=1)
        await every_book_lost(staged, of(staged, "linear"), DISCONNECTED, 15)
        await staged.ends_well()
        assert staged.lost == of(staged, "linear")


async def test_what_a_connection_lost_while_it_was_half_open_is_a_gap(tmp_path):
    async with scene(tmp_path) as staged:
        await staged.inject("half_open", category="linear", seconds=1.5)
        await staged.until(lambda: bool(staged.lost), 20, "a book STALE")
        await staged.ends_well(60)
        assert staged.lost <= of(staged, "linear")


async def test_a_line_that_is_late_but_within_the_limit_costs_nothing(tmp_path):
    async with scene(tmp_path) as staged:
        await staged.inject("slow", category="linear", delay=1.5, seconds=4)
        await staged.pass_time(6)
        await staged.ends_well()
        assert not staged.lost


async def test_a_line_that_is_later_than_the_limit_makes_its_books_stale_until_it_is_well(tmp_path):
    # With more patience for silence, as the line is not dead.
    settings = {"freshness": {"max_lag_seconds": 4.0, "silence_seconds": 15.0}}
    async with scene(tmp_path, settings=settings) as staged:
        await staged.inject("slow", category="linear", delay=6.0, seconds=12)
        await every_book_lost(staged, of(staged, "linear"), StatusReason.OUTDATED, 25)
        await staged.pass_time(6)
        await staged.ends_well(60)
        assert staged.lost == of(staged, "linear")


async def test_a_line_that_trickles_falls_behind_and_is_found_out(tmp_path):
    async with scene(tmp_path) as staged:
        await staged.inject("slow", category="linear", bytes_per_second=5_000, seconds=15)
        await staged.until(lambda: bool(staged.lost), 30, "a book STALE")
        await staged.pass_time(12)
        await staged.ends_well(60)
        assert staged.lost <= of(staged, "linear")


async def test_a_short_hold_and_the_burst_behind_it_cost_nothing(tmp_path):
    async with scene(tmp_path, rate=300) as staged:
        await staged.inject("bursty", category="linear", seconds=2)
        await staged.pass_time(4)
        await staged.ends_well()
        assert not staged.lost


async def test_a_hold_that_looks_like_death_is_taken_for_it(tmp_path):
    async with scene(tmp_path) as staged:
        await staged.inject("bursty", category="linear", seconds=9)
        await every_book_lost(staged, of(staged, "linear"), DISCONNECTED, 20)
        await staged.ends_well(60)
        assert staged.lost == of(staged, "linear")


async def test_a_surge_of_updates_costs_nothing(tmp_path):
    async with scene(tmp_path, rate=100) as staged:
        before = sum(view.updates for view in staged.consumer.books.values())
        await staged.pass_time(3)
        usual = sum(view.updates for view in staged.consumer.books.values()) - before
        await staged.inject("surge", times=3, seconds=5)
        await staged.pass_time(3)
        more = sum(view.updates for view in staged.consumer.books.values()) - before - usual
        assert more > 1.5 * usual
        await staged.ends_well()
        assert not staged.lost


async def test_a_script_of_trouble_ends_with_every_book_live_and_equal(tmp_path):
    script = """
        - {at: 5.0, fault: gap, category: linear, symbol: ETHUSDT}
        - {at: 5.5, fault: half_open, category: spot, seconds: 2}
        - {at: 6.0, fault: bursty, category: linear, seconds: 1}
        - {at: 6.2, fault: gap, category: linear, symbol: BTCUSDT}
        - {at: 6.3, fault: restart, category: linear, symbol: BTCUSDT}
        - {at: 6.5, fault: disconnect, category: linear}
        - {at: 6.6, fault: out_of_order, category: linear, symbol: ETHUSDT}
        - {at: 8.0, fault: tick_change, category: linear, symbol: BTCUSDT, tick: "0.001"}
        - {at: 8.0, fault: disconnect}
        - {at: 8.5, fault: surge, times: 3, seconds: 2}
        - {at: 9.0, fault: crossed, category: linear, symbol: ETHUSDT}
    """
    async with scene(tmp_path, script=script) as staged:
        await staged.until(lambda: len(staged.told_by_simulator()) == 11, 40, "the script's end")
        await asyncio.sleep(0.5)
        await staged.ends_well(90)
        assert ("linear", "BTCUSDT") in staged.lost
