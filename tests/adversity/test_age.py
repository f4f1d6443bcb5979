"""Connections live and updates come, but their times are old: the books are STALE, however continuous they are."""

import pytest

from feeder.client import ViewStatus
from feeder.market.status import StatusReason
from tests.helpers.scene import scene


@pytest.mark.parametrize(
    ("fault", "keys"),
    [("old_data", {"age": 60, "seconds": 6}), ("stuck_times", {"seconds": 12})],
)
async def test_a_live_connection_with_old_data_takes_its_books_down_until_it_is_fresh(tmp_path, fault, keys):
    async with scene(tmp_path) as staged:
        await staged.inject(fault, category="linear", **keys)
        linear = {key for key in staged.consumer.books if key[0] == "linear"}
        await staged.until(
            lambda: all(staged.is_lost(key, ViewStatus.STALE, StatusReason.OUTDATED) for key in linear),
            20,
            "every linear book STALE OUTDATED",
        )
        await staged.pass_time(keys["seconds"])
        await staged.ends_well(90)
        assert staged.lost == linear


async def test_a_little_age_costs_nothing(tmp_path):
    async with scene(tmp_path) as staged:
        await staged.inject("old_data", category="linear", age=1.5, seconds=3)
        await staged.pass_time(4)
        await staged.ends_well()
        assert not staged.lost


async def test_no_book_comes_live_on_old_data(tmp_path):
    """A book that is cut off while the data is old is not LIVE before it is fresh, though its snapshot has come."""
    async with scene(tmp_path) as staged:
        done = await staged.inject("old_data", category="linear", age=60, seconds=6)
        await staged.inject("disconnect", category="linear")
        linear = {key for key in staged.consumer.books if key[0] == "linear"}
        await staged.until(lambda: linear <= staged.lost, 10, "every linear book STALE")
        await staged.ends_well(90)
        for key in linear:
            changes = staged.auditor.changes[key]
            lost_at = next(c.wall_ns for c in changes if c.status is not ViewStatus.LIVE)
            live_at = [c.wall_ns for c in changes if c.status is ViewStatus.LIVE and c.wall_ns > lost_at]
            assert min(live_at) >= done["wall_ns"] + 5.9e9
