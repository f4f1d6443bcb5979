"""Instruments are closed or change their tick, and REST, which would tell of it, fails in every way."""

import asyncio

import pytest

from feeder.client import ViewStatus
from feeder.market.status import StatusReason
from tests.helpers.processes import feeder, multicast_section, simulator
from tests.helpers.scene import scene

VICTIM = ("linear", "BTCUSDT")
BOOK = {"category": "linear", "symbol": "BTCUSDT"}
WAYS = [403, 429, 500, "hang", "truncated", "html", "wrong_json"]


@pytest.mark.parametrize("status", ["Closed", "Delivering", "gone"])
async def test_a_delisted_book_is_delisted_once_its_topic_is_refused_and_no_other(tmp_path, status):
    async with scene(tmp_path) as staged:
        await staged.inject("delist", **BOOK, status=status)
        await staged.pass_time(1)
        assert not staged.lost  # silence alone says nothing
        await staged.inject("disconnect", category="linear")
        view = staged.consumer.book(*VICTIM)
        await staged.until(lambda: view.status is not ViewStatus.LIVE, 10, "the victim lost")
        expected = ViewStatus.STALE if status == "Delivering" else ViewStatus.DELISTED
        await staged.until(lambda: view.status is expected, 20, f"the victim {expected.name}")
        await staged.ends_well(but=(VICTIM,))
        assert view.status is expected


@pytest.mark.parametrize("how", [403, 500, "html"])
async def test_a_delisting_is_found_out_even_if_rest_fails_at_first(tmp_path, how):
    async with scene(tmp_path) as staged:
        await staged.inject("rest", how=how, times=1)
        await staged.inject("delist", **BOOK)
        await staged.inject("disconnect", category="linear")
        view = staged.consumer.book(*VICTIM)
        await staged.until(lambda: view.status is not ViewStatus.LIVE, 10, "the victim lost")
        if how == 403:  # nobody may ask REST for ten minutes
            await staged.until(lambda: staged.is_lost(VICTIM, ViewStatus.STALE, StatusReason.REFUSED), 20, "REFUSED")
        else:
            await staged.until(lambda: view.status is ViewStatus.DELISTED, 60, "the victim DELISTED")
        await staged.ends_well(but=(VICTIM,))


@pytest.mark.parametrize("keys", [{"tick": "0.001"}, {"step": "0.00001"}, {"tick": "0.0001", "step": "0.0001"}])
async def test_finer_numbers_make_the_books_scale_finer(tmp_path, keys):
    async with scene(tmp_path) as staged:
        view = staged.consumer.book(*VICTIM)
        before = (view.price_exponent, view.quantity_exponent)
        await staged.inject("tick_change", **BOOK, **keys)
        await staged.until(lambda: staged.is_lost(VICTIM, ViewStatus.STALE, StatusReason.SCALE), 15, "STALE SCALE")
        await staged.pass_time(2)
        await staged.ends_well()
        assert staged.lost == {VICTIM}
        after = (view.price_exponent, view.quantity_exponent)
        assert after != before
        assert all(new <= old for new, old in zip(after, before, strict=True))


@pytest.mark.parametrize("how", WAYS)
async def test_finer_numbers_are_taken_even_if_rest_cannot_tell_of_them(tmp_path, how):
    async with scene(tmp_path) as staged:
        await staged.inject("rest", how=how, seconds=10)
        await staged.inject("tick_change", **BOOK, tick="0.001")
        await staged.until(lambda: staged.is_lost(VICTIM, ViewStatus.STALE, StatusReason.SCALE), 15, "STALE SCALE")
        await staged.ends_well(60)
        assert staged.lost == {VICTIM}


@pytest.mark.parametrize("how", [429, 500, "truncated"])
async def test_a_feeder_that_starts_while_rest_fails_asks_until_it_is_told(tmp_path, how):
    async with scene(tmp_path, script=f"- {{fault: rest, how: {how}, times: 3}}") as staged:
        assert len(staged.told_by_simulator()) == 1
        await staged.ends_well()


@pytest.mark.parametrize(
    ("how", "told"), [("html", "of HTML instead of JSON"), ("wrong_json", "the reply is not as documented")]
)
async def test_a_feeder_that_starts_against_what_is_no_exchange_ends_and_says_so(tmp_path, how, told):
    script = tmp_path / "faults.yaml"
    script.write_text(f"- {{fault: rest, how: {how}, seconds: 600}}", "utf-8")
    async with simulator("--symbols=2", f"--faults={script}") as (_, addresses):
        settings = {
            "exchange": {"websocket_url": addresses.websocket, "rest_url": addresses.rest},
            "subscriptions": [{"category": "linear", "symbols": "all"}],
            "multicast": multicast_section(),
        }
        async with feeder(tmp_path, settings) as following:
            assert await asyncio.wait_for(following.process.wait(), 30) == 1
            assert f"{addresses.rest}/v5/market/instruments-info" in following.log
            assert told in following.log


async def test_a_feeder_that_starts_again_while_rest_is_down_goes_by_what_it_kept(tmp_path):
    async with scene(tmp_path) as staged:
        await staged.inject("rest", how=503, seconds=600)
        assert await staged.feeder.end() == 0
        async with feeder(tmp_path, staged.settings) as staged.feeder:
            await staged.ends_well(60)
            assert "copy on disk" in staged.feeder.log
            assert await staged.feeder.end() == 0
