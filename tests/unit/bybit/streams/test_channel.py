"""Events reach callbacks and iterators in order; whoever is too slow or breaks harms nobody else."""

import asyncio
import gc
from collections.abc import Callable

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


async def test_a_callback_may_close_its_own_channel_and_finishes(channel: Channel[int]) -> None:
    seen: list[int] = []

    async def last(event: int) -> None:
        await channel.aclose()
        seen.append(event)

    before = asyncio.all_tasks()
    channel.on(last)
    channel.publish(1)
    async with asyncio.timeout(5):
        await asyncio.wait(asyncio.all_tasks() - before)
    assert seen == [1]


async def test_a_callback_may_have_a_task_close_its_channel_and_wait_for_that(channel: Channel[int]) -> None:
    """As a system does, which closes its parts in tasks of their own."""
    seen: list[int] = []

    async def last(event: int) -> None:
        await asyncio.create_task(channel.aclose())
        seen.append(event)

    before = asyncio.all_tasks()
    channel.on(last)
    channel.publish(1)
    async with asyncio.timeout(5):
        await asyncio.wait(asyncio.all_tasks() - before)
    assert seen == [1]


async def test_closing_waits_for_the_callbacks_of_others(channel: Channel[int]) -> None:
    gate, seen = asyncio.Event(), []

    async def slow(event: int) -> None:
        await gate.wait()
        seen.append(event)

    async def closes(_event: int) -> None:
        await channel.aclose()
        seen.append(0)

    before = asyncio.all_tasks()
    channel.on(slow)
    channel.on(closes)
    channel.publish(1)
    await asyncio.sleep(0)
    gate.set()
    async with asyncio.timeout(5):
        await asyncio.wait(asyncio.all_tasks() - before)
    assert seen == [1, 0]


async def test_a_coroutine_function_that_ends_itself_finishes_what_it_does_and_sees_no_more(
    channel: Channel[int], reported: list[Exception]
) -> None:
    seen: list[int] = []

    async def once(event: int) -> None:
        end()
        await asyncio.sleep(0)
        seen.append(event)

    before = asyncio.all_tasks()
    end = channel.on(once)
    channel.publish(1)
    channel.publish(2)
    await asyncio.wait(asyncio.all_tasks() - before)
    assert (seen, reported, bool(channel)) == ([1], [], False)


async def test_a_coroutine_function_goes_on_after_something_in_it_was_cancelled(
    channel: Channel[int], reported: list[Exception]
) -> None:
    """Not by whoever ended it: a task that it waited for was cancelled elsewhere."""
    seen: list[int] = []

    async def waits(event: int) -> None:
        seen.append(event)
        if event == 1:
            other = asyncio.create_task(asyncio.sleep(1000))
            other.cancel()
            await other

    channel.on(waits)
    channel.publish(1)
    channel.publish(2)
    await channel.aclose()
    assert seen == [1, 2]
    assert ["waits was cancelled, by something" in str(error) for error in reported] == [True]


async def test_a_callback_that_raises_what_iterators_end_with_goes_on(
    channel: Channel[int], reported: list[Exception]
) -> None:
    seen: list[int] = []

    async def odd(event: int) -> None:
        seen.append(event)
        raise StopAsyncIteration

    channel.on(odd)
    channel.publish(1)
    channel.publish(2)
    await channel.aclose()
    assert seen == [1, 2]
    assert len(reported) == 2


async def test_a_callback_that_hits_upon_a_cancelled_future_stops_nobody(
    channel: Channel[int], reported: list[Exception]
) -> None:
    seen: list[int] = []
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    future.cancel()
    channel.on(lambda _event: future.result())
    channel.on(seen.append)
    channel.publish(1)
    assert seen == [1]
    assert len(reported) == 1


async def test_a_callback_that_another_has_ended_is_not_called_any_more(channel: Channel[int]) -> None:
    seen: list[int] = []
    ends: list[Callable[[], None]] = []
    channel.on(lambda _event: ends[0]())
    ends.append(channel.on(seen.append))
    channel.publish(1)
    assert seen == []


async def test_an_object_whose_call_is_a_coroutine_function_is_one(channel: Channel[int]) -> None:
    class Model:
        def __init__(self) -> None:
            self.seen: list[int] = []

        async def __call__(self, event: int) -> None:
            self.seen.append(event)

    model = Model()
    channel.on(model)
    channel.publish(1)
    await channel.aclose()
    assert model.seen == [1]


async def test_a_coroutine_that_nobody_would_await_is_reported(
    channel: Channel[int], reported: list[Exception]
) -> None:
    async def take(event: int) -> None:
        pass

    channel.on(lambda event: take(event))
    channel.publish(1)
    assert ["give the coroutine function itself" in str(error) for error in reported] == [True]


async def test_whoever_comes_after_the_end_waits_for_nothing(channel: Channel[int]) -> None:
    before = asyncio.all_tasks()

    async def never(_event: int) -> None:
        raise AssertionError

    await channel.aclose()
    assert [event async for event in channel.events()] == []
    channel.on(never)()
    channel.on(print)()
    channel.publish(1)
    assert asyncio.all_tasks() == before
    assert not channel


async def test_an_iterator_that_was_dropped_keeps_no_events(channel: Channel[int]) -> None:
    channel.publish(0)

    async def first() -> int:
        async for event in channel.events():
            return event
        raise AssertionError

    task = asyncio.create_task(first())
    await asyncio.sleep(0)
    channel.publish(1)
    assert await task == 1
    gc.collect()
    assert not channel


async def test_a_program_that_ends_ends_its_callbacks(channel: Channel[int], reported: list[Exception]) -> None:
    """As asyncio.run does it: every task is cancelled, whatever channels are open."""

    async def hangs(_event: int) -> None:
        await asyncio.Event().wait()

    before = asyncio.all_tasks()
    channel.on(hangs)
    channel.publish(1)
    channel.publish(2)
    await asyncio.sleep(0)
    (task,) = asyncio.all_tasks() - before
    task.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait([task])
    assert task.cancelled()
    assert reported == []
