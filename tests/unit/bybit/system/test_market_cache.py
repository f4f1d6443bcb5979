"""What is kept, for how long, and that nobody asks twice at once."""

import asyncio

import pytest

from feeder.bybit.system.market_cache import CacheLimits, TtlCache
from feeder.clock import ManualClock
from feeder.errors import PoolError


class Venue:
    """Counts what it is asked, and answers when it is let."""

    def __init__(self, clock: ManualClock) -> None:
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.clock = clock

    async def answer(self) -> int:
        self.asked += 1
        number = self.asked
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return number


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> TtlCache[int]:
    return TtlCache(10.0, 3, clock)


@pytest.fixture
async def venue(clock: ManualClock) -> Venue:
    return Venue(clock)


async def asking(cache: TtlCache[int], venue: Venue) -> asyncio.Task[int]:
    async def ask() -> int:
        return (await cache.get("a", venue.answer)).value

    task = asyncio.create_task(ask())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


async def test_a_value_is_kept_for_its_time_and_says_its_age(
    cache: TtlCache[int], venue: Venue, clock: ManualClock
) -> None:
    assert await cache.get("a", venue.answer) == (1, 0.0)
    clock.advance(9.5)
    assert await cache.get("a", venue.answer) == (1, 9.5)
    clock.advance(0.5)
    assert await cache.get("a", venue.answer) == (2, 0.0)
    counts = cache.counts
    assert (counts.entries, counts.hits, counts.misses, counts.expired) == (1, 1, 2, 1)


async def test_a_value_is_as_old_as_its_question(cache: TtlCache[int], venue: Venue, clock: ManualClock) -> None:
    venue.gate.clear()
    task = await asking(cache, venue)
    clock.advance(4.0)
    venue.gate.set()
    await task
    assert await cache.get("a", venue.answer) == (1, 4.0)


async def test_two_who_ask_at_once_make_one_request(cache: TtlCache[int], venue: Venue) -> None:
    venue.gate.clear()
    first, second = await asking(cache, venue), await asking(cache, venue)
    venue.gate.set()
    assert (await first, await second) == (1, 1)
    assert (cache.counts.misses, cache.counts.joined) == (1, 1)


async def test_who_gives_up_does_not_cost_the_others_their_answer(cache: TtlCache[int], venue: Venue) -> None:
    venue.gate.clear()
    first, second = await asking(cache, venue), await asking(cache, venue)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    venue.gate.set()
    assert await second == 1
    assert (await cache.get("a", venue.answer)).value == 1


async def test_an_error_goes_to_all_who_wait_and_is_not_kept(cache: TtlCache[int], venue: Venue) -> None:
    venue.gate.clear()
    venue.error = OSError("down")
    tasks = [await asking(cache, venue), await asking(cache, venue)]
    venue.gate.set()
    assert [str(each) for each in await asyncio.gather(*tasks, return_exceptions=True)] == ["down", "down"]
    venue.error = None
    assert (await cache.get("a", venue.answer)).value == 2
    assert cache.counts.failures == 1


async def test_an_error_that_nobody_waits_for_is_seen(cache: TtlCache[int], venue: Venue) -> None:
    venue.gate.clear()
    venue.error = OSError("down")
    task = await asking(cache, venue)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    venue.gate.set()
    for _ in range(3):
        await asyncio.sleep(0)
    assert cache.counts.failures == 1  # and asyncio has nothing to complain of: a warning would fail this test


async def test_the_one_unused_for_longest_makes_room(cache: TtlCache[int], venue: Venue) -> None:
    for key in "abc":
        await cache.get(key, venue.answer)
    await cache.get("a", venue.answer)
    await cache.get("d", venue.answer)
    assert cache.counts.evicted == 1
    assert [(await cache.get(key, venue.answer)).value for key in "acd"] == [1, 3, 4]
    assert (await cache.get("b", venue.answer)).value == 5


async def test_what_is_invalidated_is_asked_for_again(cache: TtlCache[int], venue: Venue) -> None:
    for key in "ab":
        await cache.get(key, venue.answer)
    assert cache.invalidate(lambda key: key == "a") == 1
    assert [(await cache.get(key, venue.answer)).value for key in "ab"] == [3, 2]
    assert cache.invalidate() == 2


async def test_an_answer_to_what_was_asked_before_the_invalidation_is_not_kept(
    cache: TtlCache[int], venue: Venue
) -> None:
    venue.gate.clear()
    before = await asking(cache, venue)
    assert cache.invalidate() == 0
    venue.gate.set()
    assert await before == 1
    assert (await cache.get("a", venue.answer)).value == 2


async def test_a_smaller_cache_forgets_at_once(cache: TtlCache[int], venue: Venue, clock: ManualClock) -> None:
    for key in "abc":
        await cache.get(key, venue.answer)
    cache.resize(1.0, 1)
    assert cache.counts.entries == 1
    clock.advance(1.0)
    assert (await cache.get("c", venue.answer)).value == 4


async def test_without_a_time_to_live_nothing_is_kept(venue: Venue, clock: ManualClock) -> None:
    cache: TtlCache[int] = TtlCache(0.0, 3, clock)
    assert [(await cache.get("a", venue.answer)).value for _ in range(2)] == [1, 2]
    assert cache.counts.entries == 0


async def test_closing_ends_what_is_under_way_by_an_error_not_by_a_cancellation(
    cache: TtlCache[int], venue: Venue
) -> None:
    venue.gate.clear()
    task = await asking(cache, venue)
    await cache.aclose()
    with pytest.raises(PoolError, match="closed while a was asked for"):
        await task


async def test_what_is_asked_after_an_invalidation_is_shared_even_when_the_answer_before_it_comes_late(
    cache: TtlCache[int], venue: Venue
) -> None:
    late = venue.gate = asyncio.Event()
    before = await asking(cache, venue)
    cache.invalidate()
    venue.gate = asyncio.Event()
    second = await asking(cache, venue)
    late.set()
    assert await before == 1
    third = await asking(cache, venue)
    venue.gate.set()
    assert (await second, await third) == (2, 2)


@pytest.mark.parametrize("turns", range(6))
async def test_who_is_cancelled_while_it_closes_is_cancelled(cache: TtlCache[int], venue: Venue, turns: int) -> None:
    venue.gate.clear()
    task = await asking(cache, venue)
    closing = asyncio.create_task(cache.aclose())
    for _ in range(turns):
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError if task.cancel() else PoolError):
        await task
    await closing


async def test_closing_ends_what_was_invalidated_while_it_was_asked_for(cache: TtlCache[int], venue: Venue) -> None:
    venue.gate.clear()
    task = await asking(cache, venue)
    cache.invalidate()
    await cache.aclose()
    with pytest.raises(PoolError, match="closed while a was asked for"):
        await task


@pytest.mark.parametrize(
    ("name", "value"),
    [("ticker_seconds", -1.0), ("book_seconds", float("nan")), ("entries", 0), ("history_pages", True)],
)
def test_settings_that_cannot_be_are_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        CacheLimits(**{name: value})  # type: ignore[arg-type]  # that is what is tried
