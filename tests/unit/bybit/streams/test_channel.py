"""Events reach callbacks and iterators in order; whoever is too slow or breaks harms nobody else."""

import asyncio

import pytest

from feeder.bybit.streams.channel import Channel
from feeder.errors import OverrunError


@pytest.fixture
def reported() -> list[Exception]:
    return []


@pytest.fixture
def channel(reported: list[Exception]) -> Channel[int]:
    return Channel("numbers", reported.append)


async def test_callbacks_are_called_at_once_and_in_order(channel: Channel[int]) -> None:
    seen: list[tuple[str, int]] = []
    channel.on(lambda event: seen.append(("first", event)))
    end = channel.on(lambda event: seen.append(("second", event)))
    channel.publish(1)
    assert seen == [("first", 1), ("second", 1)]
    end()
    channel.publish(2)
    assert seen[2:] == [("first", 2)]
    end()  # twice does no harm


async def test_one_function_may_be_subscribed_twice_and_each_is_ended_by_itself(channel: Channel[int]) -> None:
    seen: list[int] = []
    end = channel.on(seen.append)
    channel.on(seen.append)
    channel.publish(1)
    end()
    channel.publish(2)
    assert seen == [1, 1, 2]


async def test_a_callback_that_raises_is_reported_and_stops_nobody(
    channel: Channel[int], reported: list[Exception]
) -> None:
    seen: list[int] = []
    channel.on(lambda event: 1 // (event - 1))
    channel.on(seen.append)
    channel.publish(1)
    channel.publish(2)
    assert seen == [1, 2]
    assert [type(error) for error in reported] == [ZeroDivisionError]


async def test_a_coroutine_function_takes_one_event_after_the_other(
    channel: Channel[int], reported: list[Exception]
) -> None:
    seen: list[int] = []
    gate = asyncio.Event()

    async def slow(event: int) -> None:
        if event == 1:
            await gate.wait()
        if event == 2:
            raise ValueError("two")
        seen.append(event)

    channel.on(slow)
    for event in (1, 2, 3):
        channel.publish(event)
    await asyncio.sleep(0)
    assert seen == []
    gate.set()
    await channel.aclose()
    assert seen == [1, 3], "closing waits for what was published"
    assert [str(error) for error in reported] == ["two"]


async def test_ending_a_coroutine_function_cancels_it_and_leaves_no_task(channel: Channel[int]) -> None:
    before = asyncio.all_tasks()

    async def hangs(_event: int) -> None:
        await asyncio.Event().wait()

    end = channel.on(hangs)
    channel.publish(1)
    await asyncio.sleep(0)
    end()
    await asyncio.wait(asyncio.all_tasks() - before)
    assert asyncio.all_tasks() == before
    assert not channel


async def test_an_iterator_sees_what_came_since_it_was_made_and_ends_with_its_channel(channel: Channel[int]) -> None:
    channel.publish(0)
    events = channel.events()
    channel.publish(1)
    channel.publish(2)
    await channel.aclose()
    channel.publish(3)
    assert [event async for event in events] == [1, 2]


async def test_an_iterator_that_waits_is_woken_by_an_event_and_by_the_end(channel: Channel[int]) -> None:
    async def collect() -> list[int]:
        async with channel.events() as events:
            return [event async for event in events]

    task = asyncio.create_task(collect())
    await asyncio.sleep(0)
    channel.publish(1)
    await asyncio.sleep(0)
    await channel.aclose()
    assert await task == [1]


async def test_an_iterator_that_is_too_slow_is_told_how_much_it_lost_and_goes_on_with_the_newest(
    channel: Channel[int],
) -> None:
    quick, slow = channel.events(), channel.events(capacity=2)
    for event in range(5):
        channel.publish(event)
    with pytest.raises(OverrunError, match="numbers: 3 events lost") as raised:
        await anext(slow)
    assert raised.value.lost == 3
    assert [await anext(slow), await anext(slow)] == [3, 4]
    assert [await anext(quick) for _ in range(5)] == [0, 1, 2, 3, 4], "the others lose nothing"


async def test_leaving_an_iterator_frees_its_queue(channel: Channel[int]) -> None:
    async with channel.events():
        assert channel
    assert not channel


async def test_a_queue_of_nothing_is_refused(channel: Channel[int]) -> None:
    with pytest.raises(ValueError, match="holds none"):
        channel.events(capacity=0)
