"""Instruments that leave the feed and come back, and partitions that other processes serve."""

import pytest

from feeder.client.status import ViewStatus
from feeder.clock import ManualClock
from feeder.market.status import BookStatus, StatusReason
from feeder.multicast.book_publisher import BookPublisher
from feeder.multicast.plan import ChannelPlan
from feeder.multicast.publisher import SNAPSHOT_BYTES_PER_SECOND, Publisher
from feeder.wire.messages import Kind
from tests.helpers.feed import Consumer, Feed, instrument


def test_an_instrument_that_leaves_says_so_and_goes_on_with_its_sequences_when_it_comes_back():
    feed = Feed(["BTCUSDT", "ETHUSDT"])
    btc = feed.sources["BTCUSDT"]
    consumer = Consumer(feed)
    btc.restart([100, 1], [101, 1])
    feed.run(1.5, [consumer])
    view = consumer.view(btc)
    assert view.status is ViewStatus.LIVE
    sequence = btc.publisher.sequence

    feed.publisher.remove(btc.publisher)
    feed.run(0.1, [consumer])
    assert (view.status, view.reason, view.sequence) == (ViewStatus.STALE, StatusReason.UNSUBSCRIBED, sequence + 1)
    late = Consumer(feed)
    feed.run(2.5, [consumer, late])
    assert btc.id not in late.feed.books.views  # neither in snapshots nor in definitions
    assert late.feed.books.instruments == 1

    again = feed.publisher.add(btc.publisher.instrument, 200)
    again.status(BookStatus.SYNCING, StatusReason.SUBSCRIBED)
    feed.run(2.5, [consumer, late])
    assert (view.status, view.sequence) == (ViewStatus.SYNCING, sequence + 2)
    btc.publisher = again
    btc.restart([90, 1], [91, 1])
    feed.run(0.1, [consumer, late])
    assert [each.view(btc).status for each in (consumer, late)] == [ViewStatus.LIVE] * 2
    assert consumer.view(btc).best_bid() == (90, 1)
    assert late.feed.books.instruments == 2


def test_a_book_that_was_never_live_leaves_as_syncing_and_a_closed_one_stays_closed():
    feed = Feed(["BTCUSDT", "ETHUSDT"])
    consumer = Consumer(feed)
    btc, eth = feed.sources["BTCUSDT"], feed.sources["ETHUSDT"]
    eth.publisher.status(BookStatus.DELISTED, StatusReason.DELISTED)
    feed.run(1.5, [consumer])
    for source in (btc, eth):
        feed.publisher.remove(source.publisher)
    feed.run(1.5, [consumer])
    views = consumer.view(btc), consumer.view(eth)
    assert [view.status for view in views] == [ViewStatus.SYNCING, ViewStatus.DELISTED]
    assert [view.reason for view in views] == [StatusReason.UNSUBSCRIBED, StatusReason.DELISTED]


def test_nobody_is_passed_over_in_the_round_in_which_another_leaves():
    symbols = [f"S{number:02}USDT" for number in range(20)]
    feed = Feed(symbols)
    for source in feed.sources.values():
        source.restart([100, 1], [101, 1])
    consumer = Consumer(feed)
    feed.run(0.5, [consumer])  # in the middle of a round
    for symbol in symbols[:8]:
        feed.publisher.remove(feed.sources[symbol].publisher)
    feed.run(0.6, [consumer])
    waiting = [symbol for symbol in symbols[8:] if consumer.view(feed.sources[symbol]).status is not ViewStatus.LIVE]
    assert not waiting
    defined = {view.key for view in consumer.feed.books.views.values() if view.definition is not None}
    assert {("linear", symbol) for symbol in symbols[8:]} <= defined


def test_every_definition_of_those_that_stay_is_told_in_the_round_in_which_others_leave(
    monkeypatch: pytest.MonkeyPatch,
):
    symbols = [f"S{number:02}USDT" for number in range(40)]
    feed = Feed(symbols)
    told: list[str] = []
    publish = BookPublisher.publish_reference

    def tell(publisher: BookPublisher) -> int:
        told.append(publisher.instrument.symbol)
        return publish(publisher)

    monkeypatch.setattr(BookPublisher, "publish_reference", tell)
    feed.run(0.5, [])  # in the middle of the first round
    untold = [
        each.instrument.symbol
        for each in feed.publisher.partitions[0].instruments
        if each.instrument.symbol not in told
    ]
    gone = [*told[:6], *untold[:2]]
    assert len(gone) == 8
    for symbol in gone:
        feed.publisher.remove(feed.sources[symbol].publisher)
    while len(told) < len(symbols) - 2:
        feed.run(0.01, [])
    assert sorted([*told, *untold[:2]]) == symbols, "nobody twice, nobody left out"


def test_a_process_serves_its_own_partitions_and_its_share_of_the_snapshots():
    clock = ManualClock()
    opened: list[int] = []

    def open_senders(channel):
        opened.append(channel.channel_id)
        return []

    publisher = Publisher(ChannelPlan(partitions=4), open_senders, clock, lambda _: None, serves=[1, 3])
    assert {channel_id >> 4 for channel_id in opened} == {1, 3}
    assert len(opened) == 10
    for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT"):
        one = instrument(symbol)
        assert publisher.serves(one.id) is (one.id % 4 in {1, 3})
        if publisher.serves(one.id):
            partition = next(p for p in publisher.partitions if p.number == one.id % 4)
            assert publisher.add(one, 50) in partition.instruments
    budgets: list[float] = []
    for partition in publisher.partitions:
        partition.publish_snapshots = lambda now, budget, *, complete: budgets.append(budget) or budget  # type: ignore[method-assign]
    clock.advance(0.010)
    publisher.tick(clock.monotonic())
    assert budgets == pytest.approx([0.010 * SNAPSHOT_BYTES_PER_SECOND / 2])
    assert Kind.BOOKS in publisher.partitions[0].channels
