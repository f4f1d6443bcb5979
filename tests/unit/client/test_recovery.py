"""Joining late, losing packets on every hop, restarts: a book is the feeder's, or it says that it is not."""

from feeder.client.events import (
    BookChanged,
    FeederHeard,
    FeederLost,
    PacketsLost,
    SessionChanged,
    StatusChanged,
    Traded,
    TradesGone,
)
from feeder.client.status import ViewStatus
from feeder.market.status import BookStatus, StatusReason
from feeder.market.update import Side, TradeUpdate
from feeder.multicast.plan import ChannelPlan
from feeder.wire import encoder
from feeder.wire.decoder import decode
from feeder.wire.messages import Kind, Template
from feeder.wire.packet import parse
from tests.helpers.feed import Consumer, Feed, levels_of

BIDS, ASKS = [100, 5, 99, 6], [101, 7, 102, 8]


def live_feed(*symbols: str) -> tuple[Feed, Consumer]:
    """A feed whose books are LIVE and a consumer that has joined them."""
    feed = Feed(symbols or ("BTCUSDT",))
    consumer = Consumer(feed)
    for source in feed.sources.values():
        source.restart(BIDS, ASKS)
    feed.turn()
    feed.run(1.2, [consumer])
    for source in feed.sources.values():
        assert consumer.view(source).status is ViewStatus.LIVE
    consumer.events.clear()
    return feed, consumer


def test_late_joiner_is_live_within_one_cycle():
    feed = Feed(("BTCUSDT", "ETHUSDT", "XRPUSDT"))
    for source in feed.sources.values():
        source.restart(BIDS, ASKS)
    feed.run(3.0, [])
    late = Consumer(feed)
    feed.run(1.05, [late])
    for source in feed.sources.values():
        assert late.view(source).status is ViewStatus.LIVE
        assert levels_of(late.view(source)) == source.levels()
        assert late.view(source).venue_update_id == source.update_id


def test_late_joiner_keeps_up_with_changes_made_while_its_snapshot_travels():
    feed = Feed()
    (source,) = feed.sources.values()
    source.restart(BIDS, ASKS)
    feed.run(0.5, [])
    late = Consumer(feed)
    for step in range(200):
        source.delta([100, step + 1], [])
        feed.run(0.01, [late])
    assert late.view(source).status is ViewStatus.LIVE
    assert levels_of(late.view(source)) == source.levels()


def test_every_change_is_applied_and_told_once_though_both_lines_carry_it():
    feed, consumer = live_feed()
    (source,) = feed.sources.values()
    for quantity in range(1, 6):
        source.delta([100, quantity], [103, quantity])
        feed.send([consumer])
    assert levels_of(consumer.view(source)) == source.levels()
    assert len(consumer.told(BookChanged)) == 5
    assert [e.deltas[0].venue_update_id for e in consumer.told(BookChanged)] == [2, 3, 4, 5, 6]


def test_loss_on_one_line_alone_is_no_hole():
    feed, consumer = live_feed()
    (source,) = feed.sources.values()
    for quantity in range(1, 20):
        source.delta([100, quantity], [])
        feed.turn()
        line = "AB"[quantity % 2]
        feed.deliver([consumer], keep=lambda d, line=line: d[0] != line)
    feed.run(0.5, [consumer])
    assert not consumer.told(PacketsLost)
    assert levels_of(consumer.view(source)) == source.levels()
    books = consumer.feed.arbiters[int(Kind.BOOKS)][1].stats
    assert (books.lines["A"].missing, books.lines["B"].missing) == (9, 10)


def test_line_taken_away_is_no_hole():
    feed, consumer = live_feed()
    (source,) = feed.sources.values()
    for quantity in range(1, 200):
        source.delta([100, quantity], [])
        feed.clock.advance(0.01)
        feed.publisher.tick(feed.clock.monotonic())
        feed.send([consumer], keep=lambda d: d[0] != "A")
        consumer.feed.on_time()
    assert not consumer.told(PacketsLost)
    assert not consumer.told(StatusChanged)
    assert levels_of(consumer.view(source)) == source.levels()


def test_a_hole_puts_every_book_in_doubt_and_each_is_proven_by_itself():
    feed, consumer = live_feed("BTCUSDT", "ETHUSDT", "XRPUSDT")
    hit, busy, quiet = feed.sources.values()
    hit.delta([100, 77], [])
    feed.send([consumer], keep=lambda _: False)
    busy.delta([100, 1], [])
    feed.send([consumer])
    assert consumer.view(busy).status is ViewStatus.LIVE  # nothing is given up before the window has passed
    feed.clock.advance(0.011)
    consumer.feed.on_time()
    assert len([e for e in consumer.told(PacketsLost) if e.kind is Kind.BOOKS and e.first == e.last]) == 1
    assert consumer.view(busy).status is ViewStatus.LIVE  # its own message after the hole continued its sequence
    assert consumer.view(hit).status is ViewStatus.SUSPECT
    assert consumer.view(quiet).status is ViewStatus.SUSPECT
    feed.run(1.2, [consumer])
    for source in feed.sources.values():
        assert consumer.view(source).status is ViewStatus.LIVE
        assert levels_of(consumer.view(source)) == source.levels()
    assert not [e for e in consumer.told(StatusChanged) if e.view is consumer.view(quiet)]


def test_book_that_lost_a_delta_is_in_doubt_and_returns_by_snapshot_where_nothing_is_retransmitted():
    feed, consumer = live_feed()
    (source,) = feed.sources.values()
    source.delta([100, 0], [])
    feed.send([consumer], keep=lambda _: False)
    source.delta([98, 1], [])
    feed.send([consumer])
    feed.clock.advance(0.011)
    consumer.feed.on_time()
    assert consumer.view(source).status is ViewStatus.SUSPECT
    feed.run(1.1, [consumer])
    assert consumer.view(source).status is ViewStatus.LIVE
    assert levels_of(consumer.view(source)) == source.levels()
    assert [e.status for e in consumer.told(StatusChanged)] == [ViewStatus.SUSPECT, ViewStatus.LIVE]


def test_loss_of_a_quiet_books_only_delta_is_shown_by_the_heartbeat():
    feed, consumer = live_feed()
    (source,) = feed.sources.values()
    feed.run(0.015, [consumer], step=0.005)
    source.delta([100, 0], [])
    feed.send([consumer], keep=lambda _: False)
    feed.run(0.045, [consumer], step=0.005)
    assert consumer.view(source).status is not ViewStatus.LIVE
    feed.run(1.1, [consumer])
    assert consumer.view(source).status is ViewStatus.LIVE
    assert levels_of(consumer.view(source)) == source.levels()


def test_reordering_within_the_window_is_put_right_silently():
    feed, consumer = live_feed()
    (source,) = feed.sources.values()
    for quantity in range(1, 61):
        source.delta([100, quantity], [])
        feed.turn()
    feed.wire.reverse()
    feed.deliver([consumer])
    assert not consumer.told(PacketsLost)
    assert levels_of(consumer.view(source)) == source.levels()


def test_an_event_over_several_packets_is_applied_in_one_step():
    feed, consumer = live_feed()
    (source,) = feed.sources.values()
    before = levels_of(consumer.view(source))
    source.delta([], [value for n in range(200, 500) for value in (n, 1)])
    feed.turn()
    packets = [d for d in feed.wire if d[0] == "A" and d[1] == Kind.BOOKS]
    assert len(packets) > 2
    for datagram in packets[:-1]:
        consumer.feed.on_datagram(*datagram)
        assert levels_of(consumer.view(source)) == before
    consumer.feed.on_datagram(*packets[-1])
    assert levels_of(consumer.view(source)) == source.levels()
    assert len(consumer.told(BookChanged)) == 1


def test_an_event_that_lost_its_middle_is_not_applied_at_all():
    feed, consumer = live_feed()
    (source,) = feed.sources.values()
    before = levels_of(consumer.view(source))
    source.delta([], [value for n in range(200, 500) for value in (n, 1)])
    feed.turn()
    middle = [d for d in feed.wire if d[1] == Kind.BOOKS][2:4]
    feed.deliver([consumer], keep=lambda d: d not in middle)
    feed.clock.advance(0.011)
    consumer.feed.on_time()
    assert consumer.view(source).status is ViewStatus.SUSPECT
    assert levels_of(consumer.view(source)) == before
    feed.run(2.1, [consumer])
    assert consumer.view(source).status is ViewStatus.LIVE
    assert levels_of(consumer.view(source)) == source.levels()


def test_an_old_snapshot_never_rewinds_a_book():
    feed, consumer = live_feed()
    (source,) = feed.sources.values()
    source.publisher.publish_snapshot()
    feed.publisher.flush()
    held = [d for d in feed.wire if d[1] == Kind.SNAPSHOTS]
    feed.deliver([consumer], keep=lambda d: d not in held)
    source.delta([100, 1], [])
    feed.send([consumer])
    for datagram in held:
        consumer.feed.on_datagram(*datagram)
    assert levels_of(consumer.view(source)) == source.levels()


def test_a_snapshot_older_than_the_break_is_refused():
    """The delta after the snapshot was seen but is forgotten with the broken book: loading would lose it."""
    feed, consumer = live_feed()
    (source,) = feed.sources.values()
    source.publisher.publish_snapshot()
    feed.publisher.flush()
    held = [d for d in feed.wire if d[1] == Kind.SNAPSHOTS]
    feed.deliver([consumer], keep=lambda d: d not in held)
    source.delta([100, 1], [])
    feed.send([consumer])
    consumer.feed.books._books[source.id].view._book.apply_delta([55, 55], [])  # memory gone bad
    source.publisher.publish_snapshot()
    feed.publisher.flush()
    feed.deliver([consumer], keep=lambda d: d[1] == Kind.BOOKS)
    assert consumer.feed.books.counters.checksum_mismatches == 1
    assert consumer.view(source).status is ViewStatus.JOINING
    for datagram in held:
        consumer.feed.on_datagram(*datagram)
    assert consumer.view(source).status is ViewStatus.JOINING
    feed.run(2.1, [consumer])
    assert consumer.view(source).status is ViewStatus.LIVE
    assert levels_of(consumer.view(source)) == source.levels()


def test_upstream_stale_is_told_apart_from_downstream_loss():
    feed, consumer = live_feed()
    (source,) = feed.sources.values()
    source.stale()
    feed.send([consumer])
    assert consumer.view(source).status is ViewStatus.STALE
    source.restart([90, 1], [91, 1])
    feed.send([consumer])
    assert consumer.view(source).status is ViewStatus.LIVE
    assert levels_of(consumer.view(source)) == source.levels()
    assert [e.status for e in consumer.told(StatusChanged)] == [ViewStatus.STALE, ViewStatus.LIVE]


def test_a_joiner_learns_that_a_book_is_stale():
    feed = Feed()
    (source,) = feed.sources.values()
    source.restart(BIDS, ASKS)
    source.stale()
    feed.run(1.0, [])
    late = Consumer(feed)
    feed.run(1.1, [late])
    assert late.view(source).status is ViewStatus.STALE


def test_silence_on_all_lines_is_feeder_lost_and_heard_again():
    feed, consumer = live_feed()
    (source,) = feed.sources.values()
    source.delta([100, 1], [])
    feed.send([consumer])
    feed.clock.advance(0.74)
    consumer.feed.on_time()
    assert consumer.view(source).status is ViewStatus.LIVE
    feed.clock.advance(0.02)
    consumer.feed.on_time()
    assert consumer.view(source).status is ViewStatus.FEEDER_LOST
    assert len(consumer.told(FeederLost)) == 1
    feed.run(0.3, [consumer])
    assert consumer.view(source).status is ViewStatus.LIVE
    assert len(consumer.told(FeederHeard)) == 1


def test_a_restarted_feeder_is_followed_at_once_and_all_its_books_begin_anew():
    feed, consumer = live_feed("BTCUSDT", "ETHUSDT")
    feed.clock.advance(0.5)
    feed.start()
    first, second = feed.sources.values()
    feed.send([consumer])
    assert len(consumer.told(SessionChanged)) == 1
    assert consumer.view(first).status is ViewStatus.JOINING
    first.restart([50, 1], [51, 1])
    second.restart([60, 1], [61, 1])
    feed.run(1.1, [consumer])
    for source in feed.sources.values():
        assert consumer.view(source).status is ViewStatus.LIVE
        assert levels_of(consumer.view(source)) == source.levels()


def test_late_packets_of_the_old_session_change_nothing():
    feed, consumer = live_feed()
    (old,) = feed.sources.values()
    old.delta([100, 1], [])
    feed.turn()
    late = list(feed.wire)
    feed.wire.clear()
    feed.clock.advance(0.1)
    feed.start()
    (source,) = feed.sources.values()
    source.restart([50, 1], [51, 1])
    feed.run(1.1, [consumer])
    for datagram in late:
        consumer.feed.on_datagram(*datagram)
    assert consumer.view(source).status is ViewStatus.LIVE
    assert levels_of(consumer.view(source)) == source.levels()


def test_end_of_session_is_said_and_is_not_feeder_lost():
    feed, consumer = live_feed()
    (source,) = feed.sources.values()
    feed.publisher.end_session()
    feed.deliver([consumer])
    assert consumer.view(source).status is ViewStatus.ENDED
    feed.clock.advance(5)
    consumer.feed.on_time()
    assert not consumer.told(FeederLost)
    assert consumer.view(source).status is ViewStatus.ENDED


def test_trades_are_numbered_and_missing_ones_are_counted():
    feed, consumer = live_feed()
    (source,) = feed.sources.values()
    trade = TradeUpdate(100, 5, Side.SELL, "1", 9, 1, 2, 3)
    source.publisher.trades([trade])
    feed.send([consumer])
    source.publisher.trades([trade, trade])
    feed.send([consumer], keep=lambda _: False)
    source.publisher.trades([trade])
    source.publisher.trades_lost(3)
    feed.send([consumer])
    feed.clock.advance(0.011)
    consumer.feed.on_time()
    assert [(e.trade.trade_sequence, e.missed) for e in consumer.told(Traded)] == [(1, 0), (4, 2)]
    assert [(e.lost.first_trade_sequence, e.lost.lost) for e in consumer.told(TradesGone)] == [(5, 3)]


def test_garbage_and_other_channels_packets_are_counted_and_change_nothing():
    feed, consumer = live_feed()
    (source,) = feed.sources.values()
    source.delta([100, 1], [])
    feed.turn()
    line, channel, data = next(d for d in feed.wire if d[1] == Kind.BOOKS)
    for bad in [b"", b"x" * 40, data[:-8], data + b"\0" * 8]:
        consumer.feed.on_datagram(line, channel, bad)
    consumer.feed.on_datagram(line, int(Kind.TRADES), data)
    assert consumer.feed.malformed == 5
    assert "channel 0 on the address of channel 1" in consumer.feed.last_malformed
    feed.deliver([consumer])
    assert levels_of(consumer.view(source)) == source.levels()


def test_only_wanted_instruments_are_followed():
    feed = Feed(("BTCUSDT", "ETHUSDT"), plan=ChannelPlan(partitions=1))
    consumer = Consumer(feed, ["ETHUSDT"])
    for source in feed.sources.values():
        source.restart(BIDS, ASKS)
    feed.run(1.2, [consumer])
    assert list(consumer.feed.books.views) == [feed.sources["ETHUSDT"].id]
    assert consumer.view(feed.sources["ETHUSDT"]).is_live


def test_a_snapshot_that_the_book_outran_while_it_came_in_is_not_loaded():
    feed, consumer = live_feed("BTCUSDT", "ETHUSDT")
    source, other = feed.sources.values()
    source.restart([v for n in range(100) for v in (100 - n, 1)], [v for n in range(100) for v in (101 + n, 1)])
    feed.send([consumer])
    other.delta([100, 9], [])  # its loss puts both books in doubt
    feed.send([consumer], keep=lambda _: False)
    feed.run(0.05, [consumer], step=0.005)
    assert consumer.view(source).status is ViewStatus.SUSPECT
    source.delta([100, 2], [])  # on its way more slowly than the snapshot that contains it
    source.publisher.publish_snapshot()
    feed.turn()
    changes = [d for d in feed.wire if d[1] == Kind.BOOKS]
    *begin, end = [d for d in feed.wire if d[1] == Kind.SNAPSHOTS and d[0] == "A"]
    feed.wire.clear()
    for datagram in begin + changes:
        consumer.feed.on_datagram(*datagram)
    source.delta([100, 3], [])
    feed.send([consumer])
    assert consumer.view(source).status is ViewStatus.LIVE
    consumer.feed.on_datagram(*end)
    assert consumer.view(source).status is ViewStatus.LIVE
    assert levels_of(consumer.view(source)) == source.levels()


def test_a_returning_feeder_never_shows_an_old_book_as_live():
    feed, consumer = live_feed()
    (source,) = feed.sources.values()
    for quantity in range(1, 50):  # an outage: nothing of this arrives
        source.delta([100, quantity], [])
        feed.clock.advance(0.1)
        feed.send([consumer], keep=lambda _: False)
        consumer.feed.on_time()
    assert consumer.view(source).status is ViewStatus.FEEDER_LOST
    seen = []
    consumer.feed._emit = consumer.feed.books._emit = lambda _: seen.append(consumer.view(source).status)
    source.delta([100, 99], [])
    feed.send([consumer])
    assert ViewStatus.LIVE not in seen
    assert consumer.view(source).status is ViewStatus.SUSPECT


def test_snapshots_of_the_old_session_are_not_taken_for_the_new_one():
    feed, consumer = live_feed()
    (old,) = feed.sources.values()
    old.publisher.publish_snapshot()
    feed.turn()
    late = [d for d in feed.wire if d[1] == Kind.SNAPSHOTS]
    feed.wire.clear()
    feed.clock.advance(0.1)
    feed.start()
    (source,) = feed.sources.values()
    source.restart([50, 1], [51, 1])
    feed.send([consumer], keep=lambda d: d[1] == Kind.BOOKS)
    for datagram in late:
        consumer.feed.on_datagram(*datagram)
    assert consumer.view(source).status is ViewStatus.JOINING
    feed.run(1.1, [consumer])
    assert levels_of(consumer.view(source)) == source.levels()


def test_who_follows_everything_joins_a_book_whose_messages_came_before_its_definition():
    feed = Feed(("BTCUSDT", "ETHUSDT"))
    source = feed.sources["BTCUSDT"]
    other = feed.sources["ETHUSDT"]
    for each in (source, other):
        each.restart(BIDS, ASKS)
    feed.run(0.3, [])
    consumer = Consumer(feed)
    other.delta([100, 2], [])  # the consumer's run of the books channel begins here
    feed.send([consumer], keep=lambda d: d[1] == Kind.BOOKS)
    source.publisher.publish_snapshot()
    feed.turn()
    snapshot = [d for d in feed.wire if d[1] == Kind.SNAPSHOTS]
    source.delta([100, 3], [])
    feed.send([consumer], keep=lambda d: d[1] == Kind.BOOKS)
    assert consumer.view(source).status is ViewStatus.JOINING
    for datagram in snapshot:
        consumer.feed.on_datagram(*datagram)
    assert consumer.view(source).status is ViewStatus.LIVE
    assert levels_of(consumer.view(source)) == source.levels()


def test_a_snapshot_whose_levels_do_not_sum_up_is_not_believed():
    feed = Feed()
    (source,) = feed.sources.values()
    source.restart(BIDS, ASKS)
    feed.run(0.3, [])
    consumer = Consumer(feed)
    source.delta([100, 4], [])
    feed.send([consumer])
    source.publisher.publish_snapshot()
    feed.turn()
    wire, feed.wire[:] = list(feed.wire), []
    for line, channel, data in wire:
        if channel == Kind.SNAPSHOTS:
            broken = bytearray(data)
            broken[-32 - 16] ^= 1  # in the last level
            consumer.feed.on_datagram(line, channel, bytes(broken))
    assert consumer.view(source).status is ViewStatus.JOINING
    assert consumer.feed.books.counters.checksum_mismatches == 1
    feed.run(2.1, [consumer])
    assert levels_of(consumer.view(source)) == source.levels()
    assert consumer.view(source).is_live


def test_an_event_that_cannot_be_understood_costs_one_snapshot_not_the_session():
    feed, consumer = live_feed()
    (source,) = feed.sources.values()
    source.delta([100, 4], [])
    feed.turn()
    wire, feed.wire[:] = list(feed.wire), []
    for line, channel, data in wire:
        broken = bytearray(data)
        if channel == Kind.BOOKS:
            broken[32 + 16 + 52 + 2] = 99  # more levels than the frame holds
        consumer.feed.on_datagram(line, channel, bytes(broken))
    assert consumer.view(source).status is ViewStatus.JOINING
    feed.run(1.2, [consumer])
    assert consumer.view(source).status is ViewStatus.LIVE
    assert levels_of(consumer.view(source)) == source.levels()


def test_trades_count_anew_in_a_new_session():
    feed, consumer = live_feed()
    (old,) = feed.sources.values()
    trade = TradeUpdate(100, 5, Side.SELL, "1", 9, 1, 2, 3)
    old.publisher.trades([trade])
    feed.send([consumer])
    feed.clock.advance(0.1)
    feed.start()
    (source,) = feed.sources.values()
    source.publisher.trades([trade] * 5)
    feed.send([consumer], keep=lambda _: False)
    source.publisher.trades([trade])
    feed.send([consumer])
    assert [(event.trade.trade_sequence, event.missed) for event in consumer.told(Traded)] == [(1, 0), (6, 0)]


def test_a_trades_consumer_hears_that_a_book_is_live_again():
    feed, _ = live_feed()
    (source,) = feed.sources.values()
    source.stale()
    source.restart(BIDS, ASKS)
    feed.turn()
    packets = [parse(data) for line, channel, data in feed.wire if channel == Kind.TRADES and line == "A"]
    told = [decode(p, frame).body.status.name for p in packets for frame in p.frames]  # type: ignore[union-attr]
    assert told == ["STALE", "LIVE"]


def test_a_late_joiners_stale_book_is_as_old_as_the_feeders():
    feed = Feed()
    (source,) = feed.sources.values()
    source.restart(BIDS, ASKS)
    source.stale()
    feed.run(20.0, [])
    late = Consumer(feed)
    feed.run(1.1, [late])
    age = late.view(source).age_seconds
    assert age is not None
    assert 20.9 < age < 21.2


def altered_to_live(data: bytes) -> bytes:
    changed = bytearray(data)
    at = 32
    for _ in range(changed[7]):
        if int.from_bytes(changed[at + 10 : at + 12], "little") == Template.INSTRUMENT_STATUS:
            changed[at + 24] = 2
        at += int.from_bytes(changed[at : at + 2], "little")
    return bytes(changed)


def test_a_snapshot_that_overtakes_the_books_channel_contradicts_a_book_once_that_has_caught_up():
    feed = Feed(("BTCUSDT", "ETHUSDT"))
    victim, busy = feed.sources.values()
    for source in (victim, busy):
        source.restart([100, 5], [101, 7])
    consumer = Consumer(feed)
    feed.run(1.2, [consumer])
    victim.stale()
    feed.turn()
    sent, feed.wire[:] = list(feed.wire), []
    for line, channel, data in sent:
        consumer.feed.on_datagram(line, channel, altered_to_live(data) if channel == Kind.BOOKS else data)
    assert consumer.view(victim).is_live  # misled
    for step in range(300):  # the snapshots' sockets are read before those of the books
        busy.delta([100, step + 1], [])
        feed.clock.advance(0.01)
        feed.publisher.tick(feed.clock.monotonic())
        feed.turn()
        sent, feed.wire[:] = sorted(feed.wire, key=lambda d: -d[1]), []
        for datagram in sent:
            consumer.feed.on_datagram(*datagram)
        consumer.feed.on_time()
    assert not consumer.view(victim).is_live


def test_an_id_that_was_never_defined_is_forgotten_with_the_session():
    feed, consumer = live_feed()
    (source,) = feed.sources.values()
    stray = encoder.instrument_status(4711, 3, 1, BookStatus.LIVE, StatusReason.NONE)
    source.publisher._channels.books.write(stray)
    feed.send([consumer])
    assert set(consumer.feed.books.views) == {source.id, 4711}
    feed.clock.advance(0.5)
    feed.start()
    feed.send([consumer])
    assert set(consumer.feed.books.views) == {source.id}
