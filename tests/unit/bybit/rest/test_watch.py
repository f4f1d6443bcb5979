"""Requests that take too long are ended; whoever cancels for another reason is not taken for it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from feeder.bybit.rest.watch import Watch


async def watched(watch: Watch, work: Callable[[], Any]) -> str:
    """What became of the work: what it returned, or "overdue"."""
    task = watch.begin()
    try:
        return str(await work())
    except asyncio.CancelledError:
        if not watch.is_overdue(task):
            raise
        return "overdue"
    finally:
        watch.end(task)


async def forever() -> None:
    await asyncio.Event().wait()


async def test_what_takes_too_long_is_ended_and_the_task_goes_on() -> None:
    watch = Watch(0.0)
    assert await watched(watch, forever) == "overdue"
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0
    assert await watched(watch, forever) == "overdue", "and once more"


async def test_what_ends_in_time_is_left_alone_also_later() -> None:
    watch = Watch(0.0)

    async def at_once() -> str:
        return "done"

    assert await watched(watch, at_once) == "done"
    for _ in range(5):
        await asyncio.sleep(0)  # the timer fires, and finds nobody


async def test_a_cancellation_from_elsewhere_is_one() -> None:
    watch = Watch(3600.0)
    task = asyncio.create_task(watched(watch, forever))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    watch.close()


async def test_a_cancellation_from_elsewhere_at_the_same_time_is_one_as_well() -> None:
    watch = Watch(0.0)
    loop = asyncio.get_running_loop()

    async def both() -> None:
        # Behind the watch's timer in the same turn of the loop, before the task has heard of it.
        loop.call_at(loop.time(), task.cancel)
        await asyncio.Event().wait()

    task = asyncio.create_task(watched(watch, both))
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_from_elsewhere_just_before_is_one_as_well() -> None:
    watch = Watch(3600.0)
    loop = asyncio.get_running_loop()

    def cancel_and_be_on_time() -> None:
        task.cancel()  # as the caller's own time-out does, of the same length and begun a little before
        loop.time = lambda: 1e12  # type: ignore[method-assign]
        watch._on_time(loop)
        del loop.time  # type: ignore[method-assign]

    task = asyncio.create_task(watched(watch, forever))
    await asyncio.sleep(0)
    loop.call_soon(cancel_and_be_on_time)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelling() == 1
    watch.close()


async def test_a_task_that_was_to_be_cancelled_before_is_still_told_of_its_time() -> None:
    watch = Watch(0.0)

    async def stubborn() -> str:
        try:
            await forever()
        except asyncio.CancelledError:
            return await watched(watch, forever)
        return "never"

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "overdue"


async def test_what_ends_in_spite_of_its_time_leaves_nothing_behind() -> None:
    watch = Watch(0.0)

    async def stubborn() -> str:
        try:
            await forever()
        except asyncio.CancelledError:
            return "done"
        return "never"

    assert await watched(watch, stubborn) == "done"
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0
    assert not watch._overdue
    assert not watch._until


async def test_a_thousand_requests_have_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    timers: list[float] = []
    call_at = loop.call_at

    def counted(when: float, *args: Any, **options: Any) -> asyncio.TimerHandle:
        timers.append(when)
        return call_at(when, *args, **options)

    monkeypatch.setattr(loop, "call_at", counted)
    watch = Watch(3600.0)
    tasks = [asyncio.create_task(watched(watch, forever)) for _ in range(1000)]
    await asyncio.sleep(0)
    assert len(timers) == 1
    watch.close()
    for task in tasks:
        task.cancel()
    assert all(isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*tasks, return_exceptions=True))


async def test_each_is_ended_in_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    now = [100.0]
    due: list[Callable[[], None]] = []
    monkeypatch.setattr(loop, "time", lambda: now[0])

    def call_at(_when: float, call: Callable[..., None], *args: Any) -> object:
        due.append(lambda: call(*args))
        return object()

    monkeypatch.setattr(loop, "call_at", call_at)
    watch = Watch(10.0)
    first = asyncio.create_task(watched(watch, forever))
    await asyncio.sleep(0)
    now[0] = 105.0
    second = asyncio.create_task(watched(watch, forever))
    await asyncio.sleep(0)
    now[0] = 110.0
    due.pop(0)()
    assert await first == "overdue"
    assert not second.done()
    now[0] = 115.0
    due.pop(0)()
    assert await second == "overdue"
    assert due == []
