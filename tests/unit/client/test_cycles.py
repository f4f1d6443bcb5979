"""A consumer of everything can tell when it has seen everything: each cycle's end says how many books there are."""

import pytest

from tests.helpers.feed import Consumer, Feed


@pytest.mark.parametrize("wanted", [None, ("BTCUSDT",)])
def test_the_end_of_a_cycle_says_how_many_instruments_the_partition_has(wanted):
    feed = Feed(("BTCUSDT", "ETHUSDT", "XRPUSDT"))
    consumer = Consumer(feed, wanted)
    assert (consumer.feed.books.cycles, consumer.feed.books.instruments) == (0, None)
    feed.run(2.2, [consumer])
    assert (consumer.feed.books.cycles, consumer.feed.books.instruments) == (2, 3)
    assert consumer.feed.books.partitions == 1


def test_a_new_session_is_counted_anew():
    feed = Feed(("BTCUSDT", "ETHUSDT"))
    consumer = Consumer(feed)
    feed.run(1.2, [consumer])
    feed.clock.advance(1.0)
    feed.symbols = ("BTCUSDT",)
    feed.start()
    feed.run(0.2, [consumer])
    assert (consumer.feed.books.cycles, consumer.feed.books.instruments) == (0, None)
    feed.run(1.0, [consumer])
    assert (consumer.feed.books.cycles, consumer.feed.books.instruments) == (1, 1)


def test_datagrams_that_are_no_packets_are_counted_on_their_channel():
    feed = Feed()
    consumer = Consumer(feed)
    consumer.feed.on_datagram("A", 1, b"nonsense")
    assert [arbiter.stats.malformed for _, arbiter in consumer.feed.arbiters.values()] == [0, 1, 0, 0, 0]
