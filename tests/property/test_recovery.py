"""Random loss, duplicates and reordering on both lines: never a wrong LIVE book, and all books back in the end."""

import random
from collections import deque

import pytest

from feeder.client.events import ViewStatus
from feeder.wire.messages import Kind
from tests.helpers.feed import Consumer, Feed, levels_of


def trade_on(feed: Feed, rng: random.Random) -> None:
    """One random thing happens upstream."""
    source = rng.choice(list(feed.sources.values()))
    act = rng.random()
    if act < 0.02:
        source.stale()
    elif act < 0.06:
        size = rng.choice([1, 5, 200])
        source.restart([v for n in range(size) for v in (100 - n, 1)], [v for n in range(size) for v in (101 + n, 1)])
    elif source.publisher.sequence > 1:
        levels = rng.choice([1, 3, 3, 3, 100])
        side = [v for _ in range(levels) for v in (rng.randrange(1, 100), rng.randrange(3))]
        source.delta(side, [v for _ in range(levels) for v in (rng.randrange(101, 200), rng.randrange(3))])


NOTICED = 0.9  # seconds: a silence takes 0.75, everything else less


def check(feed: Feed, consumer: Consumer, seen: dict[tuple[int, int], int], told: deque) -> int:
    """How many views are LIVE: each equals the feeder's book at the same instrument sequence, and never goes back.

    Nor does it stand still: it has all that the feeder said NOTICED seconds ago. `told` are (time, session, sequences).
    """
    live = 0
    now = feed.clock.monotonic()
    sequences = {source.id: source.publisher.sequence for source in feed.sources.values()}
    told.append((now, feed.publisher.session_id, sequences))
    while len(told) > 1 and told[1][0] <= now - NOTICED:
        told.popleft()
    _, session, before = told[0] if told[0][0] <= now - NOTICED else (0, 0, {})
    history = feed.histories.get(consumer.feed.books._session_id, {})
    for source in feed.sources.values():
        view = consumer.view(source)
        if view.status is ViewStatus.LIVE:
            live += 1
            place = consumer.feed.books._session_id, source.id
            assert view.sequence >= seen.get(place, 0)
            seen[place] = view.sequence
            if session == consumer.feed.books._session_id:
                assert view.sequence >= before[source.id], "LIVE, and behind for long"
            assert levels_of(view) == history[source.id, view.sequence]
    return live


@pytest.mark.parametrize("answers", [None, 1.0, 0.7], ids=["never", "always", "sometimes"])
@pytest.mark.parametrize("loss", [0.01, 0.1, 0.3])
@pytest.mark.parametrize("seed", range(6))
def test_no_wrong_live_book_whatever_the_network_does(seed, loss, answers):
    rng = random.Random(seed)
    feed = Feed(("BTCUSDT", "ETHUSDT", "XRPUSDT", "ADAUSDT"), retransmits=answers is not None)
    for source in feed.sources.values():
        source.restart([100, 1], [101, 1])
    consumer = Consumer(feed, list(feed.sources))
    held: list = []
    checked = 0
    seen: dict[tuple[int, int], int] = {}
    told: deque = deque()
    for _ in range(1500):
        for _ in range(rng.randrange(4)):
            trade_on(feed, rng)
        feed.clock.advance(rng.choice([0.001, 0.005, 0.012]))
        feed.publisher.tick(feed.clock.monotonic())
        feed.turn()
        wire, feed.wire[:] = feed.wire + held, []
        held = []
        lagging = rng.choice([None, None, None, Kind.BOOKS, Kind.SNAPSHOTS])  # a channel's socket is read later
        for datagram in wire:
            if rng.random() < loss:
                continue
            if rng.random() < 0.05 or datagram[1] == lagging:
                held.append(datagram)
                continue
            consumer.feed.on_datagram(*datagram)
            if rng.random() < 0.05:
                consumer.feed.on_datagram(*datagram)
        consumer.feed.on_time()
        if rng.random() < 0.7:  # answers may take a while
            feed.answer(consumer, lambda _: rng.random() < (answers or 0))
        checked += check(feed, consumer, seen, told)
        if rng.random() < 0.001:
            feed.start()
            for source in feed.sources.values():
                source.restart([100, 1], [101, 1])
    assert checked > 50  # the run did look at live books
    repairs = consumer.feed.repairs.stats
    if answers is not None and loss > 0.05:
        assert repairs.requests > 0
        assert repairs.filled > 0
    for source in feed.sources.values():
        source.restart([100, 1], [101, 1])
    feed.run(2.3, [consumer])
    assert check(feed, consumer, seen, told) == len(feed.sources)
