"""A consumer of today and a feeder of a later version, and the other way round: everything is appended to."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from feeder.client.events import BboChanged, Defined, Traded
from feeder.client.status import ViewStatus
from feeder.clock import ManualClock
from feeder.market.update import Side, TradeUpdate
from feeder.multicast.channel import ChannelPublisher
from feeder.multicast.retransmit import RetransmitServer
from feeder.multicast.ring import Ring
from feeder.wire.messages import MAX_PACKET, SCHEMA_VERSION, PacketFlag
from feeder.wire.packet import parse
from tests.helpers import foreign, values, vectors
from tests.helpers.evolution import LaterFeeder, encode_later, later_packet
from tests.helpers.feed import Consumer, Datagram, Feed, levels_of


def decode(data: bytes) -> tuple[str, dict[str, Any]]:
    message = foreign.SCHEMA.decode(data)
    return message.message_name, values.of_foreign(message.value)


@dataclass
class LaterFeed(Feed):
    """A feed whose every datagram is the later version's."""

    later: LaterFeeder = field(default_factory=lambda: LaterFeeder(decode))
    sent: list[bytes] = field(default_factory=list)

    def deliver(self, consumers: Iterable[Consumer], keep: Callable[[Datagram], bool] = lambda _: True) -> None:
        self.wire[:] = self.later.translate(self.wire)
        self.sent += [data for _, _, data in self.wire]
        super().deliver(consumers, keep)


def all_live_and_equal(feed: Feed, consumer: Consumer) -> bool:
    return all(
        consumer.view(source).status is ViewStatus.LIVE and levels_of(consumer.view(source)) == source.levels()
        for source in feed.sources.values()
    )


def test_books_trades_and_definitions_of_a_later_feeder_are_read_and_equal():
    feed = LaterFeed(("BTCUSDT", "ETHUSDT", "XRPUSDT"))
    early = Consumer(feed)
    for source in feed.sources.values():
        source.restart([100, 5, 99, 6], [101, 7, 102, 8])
    feed.run(1.5, [early])
    assert all_live_and_equal(feed, early)
    late = Consumer(feed)
    for step in range(150):
        for source in feed.sources.values():
            source.delta([100, step + 1, 98 - step % 5, step % 3], [101 + step % 4, step % 2 + 1])
        if step == 75:
            feed.sources["BTCUSDT"].publisher.trades([TradeUpdate(100, 3, Side.SELL, "id", 1, 2, 3, 4)])
            feed.sources["ETHUSDT"].stale()
            feed.sources["ETHUSDT"].restart([90, 1], [91, 1])
        feed.turn()
        feed.run(0.01, [early, late])
    assert all_live_and_equal(feed, early)
    assert all_live_and_equal(feed, late), "joined by snapshots alone"
    assert [event.trade.price for event in early.told(Traded)] == [100]
    assert early.told(BboChanged)
    assert {event.definition.symbol for event in early.told(Defined)} == set(feed.sources)
    for consumer in (early, late):
        assert consumer.feed.malformed == 0
        assert consumer.feed.books.counters.malformed == 0
        assert consumer.feed.books.counters.checksum_mismatches == 0
    assert feed.later.newcomers > 100
    assert max(map(len, feed.sent)) <= MAX_PACKET
    assert {data[3] for data in feed.sent} == {56}
    versions = {int.from_bytes(data[70:72], "little") for data in feed.sent if data[7]}
    assert versions == {SCHEMA_VERSION + 1}


def test_a_hole_in_a_later_feed_is_proven_over_by_what_follows():
    feed = LaterFeed(("BTCUSDT", "ETHUSDT"))
    consumer = Consumer(feed)
    for source in feed.sources.values():
        source.restart([100, 5], [101, 7])
    feed.run(1.5, [consumer])
    btc, eth = feed.sources.values()
    btc.delta([100, 6], [])
    feed.send([consumer], lambda datagram: datagram[1] != 0)
    eth.delta([100, 9], [])
    feed.run(1.5, [consumer])
    assert consumer.feed.books.counters.snapshots_loaded > 0
    assert all_live_and_equal(feed, consumer)


def test_a_feeder_of_today_answers_a_consumer_of_a_later_version():
    clock = ManualClock()
    books = ChannelPublisher(0, 77, PacketFlag.INCREMENTAL, [], clock, lambda _: None, Ring())
    for vector in vectors.load(SCHEMA_VERSION).messages[:3]:
        books.write(vector.data)
    books.flush()
    request = encode_later("RetransmitRequest", {"firstSequence": 2, "count": 2, "channelId": 0}, 0, 3)
    padded = (320).to_bytes(2, "little") + request[2:].ljust(318, b"\0")
    header = {"channelId": 5, "packetFlags": 8, "sessionId": 77, "sequence": 0, "sendingTime": 0}
    (answer,) = RetransmitServer(5, [books], clock).answer(later_packet(header, [padded]), "192.0.2.1", 0.0)
    assert (parse(answer).sequence, parse(answer).next_sequence) == (2, 4)
