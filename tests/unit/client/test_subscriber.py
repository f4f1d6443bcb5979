"""The subscriber's own affairs: a user's errors and a user's slowness are the user's."""

import asyncio

import pytest

from feeder.client import (
    BookChanged,
    EventsDropped,
    FeederLost,
    Line,
    SessionChanged,
    Subscriber,
    ViewStatus,
    subscriber,
)
from feeder.clock import ManualClock
from feeder.errors import ConfigError, FeedError
from tests.helpers.feed import Feed, levels_of

LINES = (Line("A", "239.77.0.0", "127.0.0.1"), Line("B", "239.78.0.0", "127.0.0.1"))


def joined() -> tuple[Feed, Subscriber]:
    """A feed without sockets and a subscriber that has joined it."""
    feed = Feed(("BTCUSDT", "ETHUSDT"))
    consumer = Subscriber(partitions=1, lines=LINES, clock=feed.clock)
    for source in feed.sources.values():
        source.restart([100, 5], [101, 6])
    for _ in range(120):
        feed.clock.advance(0.01)
        feed.publisher.tick(feed.clock.monotonic())
        feed.turn()
        deliver(feed, consumer)
    return feed, consumer


def deliver(feed: Feed, consumer: Subscriber) -> None:
    wire, feed.wire[:] = list(feed.wire), []
    for line, channel, data in wire:
        if channel != 2:  # bbo is not joined unless asked for
            consumer.on_datagram(line, channel, data)


def test_a_callback_that_raises_costs_neither_the_books_behind_it_nor_the_feed(caplog):
    feed, consumer = joined()

    def fail(_: BookChanged) -> None:
        raise RuntimeError("the user's mistake")

    consumer.on(BookChanged, fail)
    for source in feed.sources.values():
        source.delta([100, 9], [])
    feed.turn()
    deliver(feed, consumer)
    for source in feed.sources.values():
        view = consumer.view_of(source.id)
        assert view is not None
        assert levels_of(view) == source.levels()
    assert consumer.callback_errors == 2
    assert "the user's mistake" in caplog.text


def test_whoever_hears_of_a_new_session_sees_no_book_of_the_old_one():
    feed, consumer = joined()
    seen: list[ViewStatus] = []
    consumer.on(SessionChanged, lambda _: seen.extend(view.status for view in consumer.books.values()))
    feed.start()
    feed.turn()
    deliver(feed, consumer)
    assert seen == [ViewStatus.JOINING, ViewStatus.JOINING]


async def test_silence_is_noticed_though_a_callback_raises(caplog):
    clock = ManualClock()
    feed = Feed(clock=clock)
    consumer = Subscriber(partitions=1, lines=LINES, port=29800, clock=clock)
    heard = asyncio.Event()

    def fail(_: FeederLost) -> None:
        heard.set()
        raise RuntimeError("again")

    consumer.on(FeederLost, fail)
    async with consumer:
        feed.turn()
        deliver(feed, consumer)
        for _ in range(2):
            clock.advance(1.0)
            await asyncio.wait_for(heard.wait(), 5)
            heard.clear()
            feed.publisher.tick(clock.monotonic())
            feed.turn()
            deliver(feed, consumer)
    assert consumer.callback_errors == 2


async def test_no_book_is_believed_once_time_is_not_looked_at_any_more(caplog, monkeypatch):
    _, consumer = joined()
    assert all(view.is_live for view in consumer.books.values())
    stopped = ValueError("a mistake of ours")

    def fail() -> None:
        raise stopped

    async with consumer:
        monkeypatch.setattr(consumer.feeds[0], "on_time", fail)
        async with asyncio.timeout(5):
            with pytest.raises(FeedError, match="a mistake of ours"):
                async for _ in consumer:
                    pass
        assert {view.status for view in consumer.books.values()} == {ViewStatus.CLOSED}
    assert "a mistake of ours" in caplog.text


async def test_events_beyond_the_backlog_are_dropped_and_it_is_said(monkeypatch):
    monkeypatch.setattr(subscriber, "EVENT_BACKLOG", 10)
    feed, consumer = joined()
    events = aiter(consumer)
    source = feed.sources["BTCUSDT"]
    source.delta([100, 1], [])
    feed.turn()

    async def first() -> object:
        return await anext(events)

    waiting = asyncio.ensure_future(first())
    consumer._ticker = asyncio.ensure_future(asyncio.sleep(60))
    await asyncio.sleep(0)
    for quantity in range(1, 31):
        source.delta([100, quantity], [])
        feed.turn()
    deliver(feed, consumer)
    told = [await waiting, *[await anext(events) for _ in range(10)]]
    assert isinstance(told[0], EventsDropped)
    assert told[0].count >= 20
    assert all(isinstance(event, BookChanged) for event in told[1:])
    view = consumer.book("linear", "BTCUSDT")
    assert view.status is ViewStatus.LIVE
    assert levels_of(view) == source.levels()
    consumer._ticker.cancel()


def test_what_cannot_be_subscribed_is_refused_with_its_name():
    with pytest.raises(FeedError, match="no category 'fx'"):
        Subscriber([("fx", "EURUSD")])
    with pytest.raises(FeedError, match="no instrument wanted"):
        Subscriber([])
    with pytest.raises(ConfigError, match="multicast"):
        Subscriber(lines=[Line("A", "10.0.0.1", "lo")])
    consumer = Subscriber([("linear", "BTCUSDT")])
    assert consumer.book("linear", "BTCUSDT").status is ViewStatus.JOINING
    with pytest.raises(FeedError, match="linear ETHUSDT is not subscribed"):
        consumer.book("linear", "ETHUSDT")


def test_only_the_partitions_of_wanted_instruments_are_joined():
    assert list(Subscriber([("linear", "BTCUSDT")]).feeds) == [3683288332 % 4]
    assert list(Subscriber([("linear", "BTCUSDT")], instrument_ids={("linear", "BTCUSDT"): 7}).feeds) == [3]
    assert list(Subscriber().feeds) == [0, 1, 2, 3]


async def test_a_subscriber_may_be_entered_again():
    consumer = Subscriber([("linear", "BTCUSDT")], partitions=1, lines=LINES, port=29900)
    async with consumer:
        assert consumer.book("linear", "BTCUSDT").status is ViewStatus.JOINING
    assert consumer.book("linear", "BTCUSDT").status is ViewStatus.CLOSED
    async with consumer:
        assert consumer.book("linear", "BTCUSDT").status is ViewStatus.JOINING
