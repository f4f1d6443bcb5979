"""Whoever takes only the newest event never works through old ones, and is told of none that is lost."""

import asyncio

import pytest

from feeder.bybit.streams.channel import Channel


@pytest.fixture
def reported() -> list[Exception]:
    return []


@pytest.fixture
def channel(reported: list[Exception]) -> Channel[tuple[str, int]]:
    return Channel("prices", reported.append)


async def test_only_the_newest_waits(channel: Channel[tuple[str, int]], reported: list[Exception]) -> None:
    async with channel.latest() as latest:
        for price in range(100_000):
            channel.publish(("BTC", price))
        assert await anext(latest) == ("BTC", 99_999)
        channel.publish(("BTC", 5))
        assert await anext(latest) == ("BTC", 5)
        waiting = asyncio.ensure_future(anext(latest))
        await asyncio.sleep(0)
        assert not waiting.done(), "what was taken does not come again"
        channel.publish(("ETH", 6))
        assert await waiting == ("ETH", 6)
    assert not channel, "async with ends it"
    assert reported == []


async def test_of_each_key_the_newest_waits_and_no_key_waits_for_ever(channel: Channel[tuple[str, int]]) -> None:
    latest = channel.latest(lambda event: event[0])
    for event in (("BTC", 1), ("ETH", 2), ("BTC", 3)):
        channel.publish(event)
    assert await anext(latest) == ("BTC", 3), "its place is that of the first, its value that of the last"
    channel.publish(("BTC", 4))
    assert await anext(latest) == ("ETH", 2)
    assert await anext(latest) == ("BTC", 4)


async def test_closing_the_channel_ends_it_after_what_waits(channel: Channel[tuple[str, int]]) -> None:
    latest = channel.latest()
    channel.publish(("BTC", 1))
    await channel.aclose()
    assert [event async for event in latest] == [("BTC", 1)]
    assert [event async for event in channel.latest()] == []


async def test_an_ended_one_gives_nothing(channel: Channel[tuple[str, int]]) -> None:
    latest = channel.latest()
    channel.publish(("BTC", 1))
    latest.end()
    assert [event async for event in latest] == []


async def test_a_key_that_raises_is_reported_and_harms_nobody(
    channel: Channel[tuple[str, int]], reported: list[Exception]
) -> None:
    broken = channel.latest(lambda event: dict[object, int]()[event])
    other = channel.latest()
    channel.publish(("BTC", 1))
    assert await anext(other) == ("BTC", 1)
    assert [type(error) for error in reported] == [KeyError]
    assert broken is not None, "it is kept until here"


def test_a_key_is_a_function(channel: Channel[tuple[str, int]]) -> None:
    with pytest.raises(TypeError, match=r"prices: latest\('symbol'\): give a function"):
        channel.latest("symbol")  # type: ignore[arg-type]
