"""A callback that is too slow, raises, or is none at all: its name is told, once."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from feeder.bybit.streams.channel import QUEUE_CAPACITY, Channel
from feeder.errors import OverrunError


@pytest.fixture
def reported() -> list[Exception]:
    return []


@pytest.fixture
def channel(reported: list[Exception]) -> Channel[int]:
    return Channel("numbers", reported.append)


def losses(reported: list[Exception]) -> list[int]:
    assert all(isinstance(error, OverrunError) for error in reported)
    return [error.lost for error in reported if isinstance(error, OverrunError)]


async def test_a_callback_that_stays_too_slow_is_told_of_tenfold_and_at_the_end(
    channel: Channel[int], reported: list[Exception]
) -> None:
    seen: list[int] = []

    async def slow(event: int) -> None:
        seen.append(event)
        await asyncio.sleep(0)

    channel.on(slow)
    published = 0
    for _ in range(QUEUE_CAPACITY + 1):
        channel.publish(published)
        published += 1
    for _ in range(3000):  # it takes one of two
        await asyncio.sleep(0)
        channel.publish(published)
        channel.publish(published + 1)
        published += 2
    await channel.aclose()
    lost = losses(reported)
    assert sum(lost) == published - len(seen) > 2000
    assert lost[:4] == [1, 9, 90, 900], "ten times as much each time"
    assert len(lost) == 5, "the rest at the end"
    first, *others = map(str, reported)
    assert "numbers: the callback" in first
    assert "slow is too slow: 1 events lost; do less in it, or take the newest only, by latest()" in first
    assert "90 events lost, 100 since it fell behind;" in others[1]


async def test_falling_behind_again_is_told_again(channel: Channel[int], reported: list[Exception]) -> None:
    gate = asyncio.Event()

    async def slow(_event: int) -> None:
        await gate.wait()

    channel.on(slow)
    for _ in range(2):
        gate.clear()
        for event in range(QUEUE_CAPACITY + 5):
            channel.publish(event)
        gate.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await channel.aclose()
    assert losses(reported) == [5, 5]
    assert all("since it fell behind" not in str(error) for error in reported)


@pytest.mark.parametrize("callback", [5, None, "on_number"])
async def test_what_cannot_be_called_is_refused_at_once(channel: Channel[int], callback: object) -> None:
    with pytest.raises(TypeError) as raised:
        channel.on(callback)  # type: ignore[arg-type]
    assert str(raised.value) == (f"numbers: on({callback!r}): not callable; give a function or a coroutine function")
    assert not channel


class _Later:
    def __await__(self) -> object:
        raise AssertionError("nobody awaits it")


async def _take(event: int) -> None:
    raise AssertionError("nobody awaits it")


@pytest.mark.parametrize(
    ("make", "kind"), [(lambda event: _take(event), "coroutine"), (lambda _event: _Later(), "_Later")]
)
async def test_a_function_that_makes_what_nobody_awaits_is_told_of_once(
    channel: Channel[int], reported: list[Exception], make: Callable[[int], Awaitable[None]], kind: str
) -> None:
    """An unawaited coroutine would be a warning, which is an error here."""
    end = channel.on(make)
    for event in range(3):
        channel.publish(event)
    (error,) = reported
    assert isinstance(error, TypeError)
    assert str(error) == (
        f"numbers: the callback <lambda> makes a {kind}, which nobody awaits; give the coroutine function itself"
    )
    end()
    channel.on(make)
    channel.publish(3)
    assert len(reported) == 2, "another subscription is another mistake"


async def test_a_function_may_begin_a_task(channel: Channel[int], reported: list[Exception]) -> None:
    seen: list[int] = []
    tasks: list[asyncio.Task[None]] = []

    async def take(event: int) -> None:
        seen.append(event)

    def begin(event: int) -> asyncio.Task[None]:
        tasks.append(asyncio.create_task(take(event)))
        return tasks[-1]

    channel.on(begin)
    channel.publish(1)
    await tasks[0]
    assert (seen, reported) == ([1], [])


class _Bot:
    error = ValueError("no price")

    def on_number(self, _event: int) -> None:
        raise self.error

    async def on_number_later(self, _event: int) -> None:
        raise ValueError("later")

    def __call__(self, _event: int) -> None:
        raise ValueError("called")


async def test_what_a_callback_raises_names_it_and_its_channel(
    channel: Channel[int], reported: list[Exception]
) -> None:
    bot = _Bot()
    channel.on(bot.on_number)
    channel.on(bot.on_number_later)
    channel.on(partial(bot.on_number_later))
    channel.on(bot)
    channel.publish(1)
    channel.publish(2)
    await channel.aclose()
    notes = {(str(error), *error.__notes__) for error in reported}
    assert notes == {
        ("no price", "in the callback _Bot.on_number of numbers"),  # once, though it is the same error again
        ("later", "in the callback _Bot.on_number_later of numbers"),
        ("called", "in the callback _Bot of numbers"),
    }
    assert len(reported) == 8
