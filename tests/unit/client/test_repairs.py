"""Holes filled by retransmission: what is asked for, when, how often, and what becomes of the books meanwhile."""

from random import Random

from feeder.client.events import BookChanged, HoleAbandoned, HoleFilled, PacketsLost, StatusChanged, Traded
from feeder.client.repairs import ATTEMPTS, HOLE_SECONDS, JITTER_SECONDS, RETRY_SECONDS, Repairs
from feeder.client.status import ViewStatus
from feeder.market.update import Side, TradeUpdate
from feeder.multicast.arbiter import Arbiter, ChannelState, Hole, OpenHole
from feeder.wire.decoder import decode
from feeder.wire.encoder import book_checksum
from feeder.wire.messages import (
    BookChecksum,
    ChannelInfo,
    Kind,
    LineInfo,
    RejectReason,
    RetransmitReject,
    RetransmitRequest,
)
from feeder.wire.packet import parse
from tests.helpers.feed import Consumer, Datagram, Feed, Source, levels_of

BIDS, ASKS = [100, 5, 99, 6], [101, 7, 102, 8]
ADDRESS = ("127.0.0.1", 20005)


def live_feed(*symbols: str) -> tuple[Feed, Consumer]:
    """A feed that answers requests, its books LIVE, and a consumer that has joined them and knows where to ask."""
    feed = Feed(symbols or ("BTCUSDT",), retransmits=True)
    consumer = Consumer(feed)
    for source in feed.sources.values():
        source.restart(BIDS, ASKS)
    feed.turn()
    feed.run(1.3, [consumer])
    for source in feed.sources.values():
        assert consumer.view(source).status is ViewStatus.LIVE
    consumer.events.clear()
    return feed, consumer


def lose(feed: Feed, consumer: Consumer) -> None:
    """What is on the wire is lost on every line."""
    feed.send([consumer], keep=lambda _: False)


def notice(feed: Feed, consumer: Consumer) -> None:
    """The reorder window passes."""
    feed.clock.advance(0.011)
    consumer.feed.on_time()


def in_doubt() -> tuple[Feed, Consumer, Source]:
    """A book that has lost a delta, and knows it by the one that came behind."""
    feed, consumer = live_feed()
    (source,) = feed.sources.values()
    source.delta([100, 0], [])
    lose(feed, consumer)
    source.delta([98, 1], [])
    feed.send([consumer])
    notice(feed, consumer)
    return feed, consumer, source


def ask(feed: Feed, consumer: Consumer, seconds: float = JITTER_SECONDS) -> list[RetransmitRequest]:
    """Time passes; what is asked for then."""
    feed.clock.advance(seconds)
    consumer.feed.on_time()
    return requests(consumer)


def requests(consumer: Consumer) -> list[RetransmitRequest]:
    bodies = []
    for datagram, _ in consumer.asked:
        packet = parse(datagram)
        message = decode(packet, packet.frames[0])
        assert message is not None
        assert isinstance(message.body, RetransmitRequest)
        bodies.append(message.body)
    return bodies


def same(source: Source, consumer: Consumer) -> bool:
    return levels_of(consumer.view(source)) == source.levels()


def test_a_book_that_lost_a_delta_gets_it_and_then_what_it_kept():
    feed, consumer = live_feed("BTCUSDT", "ETHUSDT")
    hit, other = feed.sources.values()
    hit.delta([100, 0], [])
    lose(feed, consumer)
    for quantity in (1, 2, 3):
        hit.delta([98, quantity], [])
        feed.send([consumer])
    other.delta([100, 9], [])
    feed.send([consumer])
    notice(feed, consumer)
    assert consumer.view(hit).status is ViewStatus.SUSPECT
    assert consumer.view(other).status is ViewStatus.LIVE, "it lost nothing and does not wait"
    (request,) = ask(feed, consumer)
    assert request.messages == 1
    feed.answer(consumer)
    assert consumer.view(hit).status is ViewStatus.LIVE
    assert same(hit, consumer)
    assert [e.status for e in consumer.told(StatusChanged)] == [ViewStatus.SUSPECT, ViewStatus.LIVE]
    updates = [e.view.venue_update_id for e in consumer.told(BookChanged) if e.view is consumer.view(hit)]
    assert len(updates) == 4, "each change is told, in order"
    (filled,) = consumer.told(HoleFilled)
    assert (filled.first, filled.last) == (request.first_sequence, request.first_sequence)
    assert filled.seconds < 0.01
    assert consumer.feed.books.counters.breaks == 0
    assert consumer.feed.books.counters.snapshots_loaded == 2, "those of joining"


def test_a_quiet_books_only_delta_comes_back_though_nothing_follows_it():
    feed, consumer = live_feed()
    (source,) = feed.sources.values()
    feed.run(0.015, [consumer], step=0.005)
    source.delta([100, 0], [])
    lose(feed, consumer)
    feed.run(0.060, [consumer], step=0.005)
    assert consumer.view(source).status is ViewStatus.LIVE
    assert same(source, consumer)
    assert len(consumer.told(HoleFilled)) == 1


def test_a_filled_hole_proves_all_books_without_a_word_to_each():
    feed, consumer = live_feed("BTCUSDT", "ETHUSDT")
    hit, quiet = feed.sources.values()
    hit.delta([100, 0], [])
    lose(feed, consumer)
    hit.delta([98, 1], [])
    feed.send([consumer])
    notice(feed, consumer)
    assert consumer.view(quiet).status is ViewStatus.SUSPECT
    ask(feed, consumer)
    feed.answer(consumer)
    assert consumer.view(quiet).status is ViewStatus.LIVE
    assert not [e for e in consumer.told(StatusChanged) if e.view is consumer.view(quiet)]


def test_requests_wait_a_random_time_and_again_when_nothing_comes():
    arbiter = Arbiter(0, retransmitted=True)
    arbiter.session_id = 7
    arbiter.open_holes[10] = OpenHole(Hole(10, 12), noticed=100.0)
    repairs = Repairs(0, {0: arbiter}, Random(3))
    repairs.addresses = (ADDRESS,)
    repairs.on_hole(0, Hole(10, 12), 100.0)
    assert repairs.due(0, 100.0) == ([], [])
    ((datagram, address),), _ = repairs.due(0, 100.0 + JITTER_SECONDS)
    assert address == ADDRESS
    assert parse(datagram).session_id == 7
    sent = 100.0 + JITTER_SECONDS
    assert repairs.due(0, sent + RETRY_SECONDS - 0.001) == ([], [])
    assert len(repairs.due(0, sent + RETRY_SECONDS)[0]) == 1
    assert repairs.due(0, sent + 2 * RETRY_SECONDS) == ([], []), "each wait is longer"


def test_a_hole_that_nobody_fills_is_given_up_and_said_so():
    feed, consumer, source = in_doubt()
    for _ in range(400):
        feed.clock.advance(0.005)
        consumer.feed.on_time()
        if consumer.told(HoleAbandoned):
            break
    assert len(consumer.asked) == ATTEMPTS
    assert len(consumer.told(HoleAbandoned)) == 1
    assert not consumer.view(source).joined
    assert consumer.feed.arbiters[0][1].state is not ChannelState.RECOVERING
    consumer.asked.clear()
    feed.run(1.3, [consumer])
    assert consumer.view(source).status is ViewStatus.LIVE
    assert same(source, consumer)


def test_without_an_address_a_hole_waits_for_a_while_only():
    arbiter = Arbiter(0, retransmitted=True)
    arbiter.open_holes[10] = OpenHole(Hole(10, 12), noticed=100.0)
    repairs = Repairs(0, {0: arbiter}, Random(3))
    repairs.on_hole(0, Hole(10, 12), 100.0)
    assert repairs.due(0, 101.0) == ([], [])
    assert repairs.due(0, 100.0 + HOLE_SECONDS) == ([], [Hole(10, 12)])


def test_a_large_hole_is_asked_for_in_parts_eight_at_a_time():
    feed, consumer = live_feed()
    (source,) = feed.sources.values()
    for quantity in range(1, 1501):
        source.delta([100, quantity], [])
    lose(feed, consumer)
    source.delta([98, 1], [])
    feed.send([consumer])
    notice(feed, consumer)
    assert len(ask(feed, consumer)) == 8
    assert len(ask(feed, consumer)) == 8, "no more before one is answered or given up"
    feed.run(0.2, [consumer], step=0.005)
    assert consumer.view(source).status is ViewStatus.LIVE
    assert same(source, consumer)
    stats = consumer.feed.repairs.stats
    assert stats.filled == 1
    assert stats.messages == 1500
    assert stats.answer_bytes <= 4 * stats.request_bytes
    assert stats.requests < 60


def test_a_hole_too_large_to_ask_for_is_left_to_snapshots():
    feed, consumer = live_feed()
    (source,) = feed.sources.values()
    for quantity in range(1, 2201):
        source.delta([100, quantity], [])
    lose(feed, consumer)
    source.delta([98, 1], [])
    feed.send([consumer])
    notice(feed, consumer)
    assert len(consumer.told(HoleAbandoned)) == 1
    feed.run(1.2, [consumer])
    assert not consumer.asked
    assert consumer.feed.repairs.stats.requests == 0
    assert consumer.view(source).status is ViewStatus.LIVE
    assert same(source, consumer)


def test_a_snapshot_that_comes_first_ends_the_waiting():
    feed, consumer, source = in_doubt()
    source.publisher.publish_snapshot()
    feed.send([consumer])
    assert consumer.view(source).status is ViewStatus.LIVE
    assert same(source, consumer)
    ask(feed, consumer)
    feed.answer(consumer)  # what the hole had taken is old by now
    assert same(source, consumer)
    source.delta([97, 1], [])
    feed.send([consumer])
    assert consumer.view(source).status is ViewStatus.LIVE
    assert same(source, consumer)


def test_two_holes_may_be_filled_in_any_order():
    feed, consumer = live_feed()
    (source,) = feed.sources.values()
    for quantity in (1, 2):
        source.delta([100, quantity], [])
        lose(feed, consumer)
        source.delta([98, quantity], [])
        feed.send([consumer])
        notice(feed, consumer)
    ask(feed, consumer)
    assert len(consumer.asked) == 2
    consumer.asked.reverse()
    for asked in list(consumer.asked):  # the later hole's first
        assert consumer.view(source).status is ViewStatus.SUSPECT
        consumer.asked[:] = [asked]
        feed.answer(consumer)
    assert consumer.view(source).status is ViewStatus.LIVE
    assert same(source, consumer)
    assert len(consumer.told(HoleFilled)) == 2
    assert consumer.feed.books.counters.breaks == 0


def test_an_event_cut_by_a_hole_is_put_together_again():
    for cut in ([0], [1], [2], [3], [1, 2], [0, 1, 2, 3]):
        feed, consumer = live_feed("BTCUSDT", "ETHUSDT")
        source, other = feed.sources.values()
        source.delta([], [value for n in range(200, 500) for value in (n, 1)])  # one event over four packets
        other.delta([100, 8], [])
        feed.turn()
        packets = sorted({d[2] for d in feed.wire if d[1] == Kind.BOOKS}, key=lambda data: parse(data).sequence)
        assert len(packets) == 4
        lost = [packets[index] for index in cut]

        def keep(datagram: Datagram, lost: list[bytes] = lost) -> bool:
            return datagram[2] not in lost

        feed.deliver([consumer], keep)
        other.delta([100, 9], [])
        feed.send([consumer])
        notice(feed, consumer)
        assert consumer.view(source).status is ViewStatus.SUSPECT, cut
        ask(feed, consumer)
        feed.answer(consumer)
        feed.run(0.05, [consumer], step=0.005)
        for each in (source, other):
            assert consumer.view(each).status is ViewStatus.LIVE, cut
            assert same(each, consumer), cut
        assert consumer.feed.books.counters.breaks == 0, cut


def test_an_event_over_two_holes_is_put_together_when_they_are_filled_in_order():
    feed, consumer, lost = cut_twice()
    (source,) = feed.sources.values()
    ask(feed, consumer)
    assert len(consumer.asked) == 2
    feed.answer(consumer)
    assert consumer.view(source).status is ViewStatus.LIVE
    assert same(source, consumer)
    assert consumer.feed.books.counters.breaks == 0
    assert lost


def test_an_event_left_in_pieces_is_a_lost_book_though_every_hole_is_filled():
    feed, consumer, _ = cut_twice()
    (source,) = feed.sources.values()
    ask(feed, consumer)
    for asked in reversed(list(consumer.asked)):
        consumer.asked[:] = [asked]
        feed.answer(consumer)
        assert consumer.view(source).status is not ViewStatus.LIVE
    assert len(consumer.told(HoleFilled)) == 2
    feed.run(1.3, [consumer])
    assert consumer.view(source).status is ViewStatus.LIVE
    assert same(source, consumer)


def cut_twice() -> tuple[Feed, Consumer, tuple[bytes, bytes]]:
    """An event over five packets, of which the second and the fourth are lost, and nothing comes behind it."""
    feed, consumer = live_feed()
    (source,) = feed.sources.values()
    source.delta([], [value for n in range(200, 600) for value in (n, 1)])
    feed.turn()
    packets = sorted({d[2] for d in feed.wire if d[1] == Kind.BOOKS}, key=lambda data: parse(data).sequence)
    assert len(packets) == 5
    lost = packets[1], packets[3]
    feed.deliver([consumer], lambda datagram: datagram[2] not in lost)
    notice(feed, consumer)
    return feed, consumer, lost


def test_an_event_that_spans_two_holes_of_which_one_stays_is_never_believed():
    feed, consumer, lost = cut_twice()
    (source,) = feed.sources.values()
    assert consumer.feed.arbiters[0][1].state is ChannelState.RECOVERING
    ask(feed, consumer)
    dropped = parse(lost[1]).sequence
    feed.answer(consumer, lambda datagram: parse(datagram).sequence != dropped)
    assert consumer.view(source).status is not ViewStatus.LIVE
    feed.run(1.3, [consumer])
    assert consumer.view(source).status is ViewStatus.LIVE
    assert same(source, consumer)


def test_a_quiet_book_stays_in_doubt_behind_a_hole_that_was_given_up():
    feed, consumer = live_feed("BTCUSDT", "ETHUSDT")
    quiet, busy = feed.sources.values()
    for quantity in range(1, 2201):  # more than is asked for
        quiet.delta([100, quantity], [])
    lose(feed, consumer)
    busy.delta([98, 1], [])
    feed.send([consumer])
    notice(feed, consumer)
    assert len(consumer.told(HoleAbandoned)) == 1
    assert consumer.view(busy).status is ViewStatus.LIVE
    assert consumer.view(quiet).status is ViewStatus.SUSPECT
    feed.run(1.3, [consumer])
    assert consumer.view(quiet).status is ViewStatus.LIVE
    assert same(quiet, consumer)


def test_a_checksum_that_comes_while_a_book_waits_does_not_cost_it_what_it_kept():
    feed, consumer, source = in_doubt()
    source.publisher.publish_snapshot()
    feed.send([consumer], keep=lambda datagram: datagram[1] == Kind.BOOKS)  # the checksum alone
    source.delta([97, 1], [])
    feed.send([consumer])
    ask(feed, consumer)
    feed.answer(consumer)
    assert consumer.view(source).status is ViewStatus.LIVE
    assert same(source, consumer)


def test_a_checksum_shows_a_quiet_book_that_its_delta_was_in_the_hole():
    feed, consumer = live_feed("BTCUSDT", "ETHUSDT")
    quiet, _ = feed.sources.values()
    quiet.delta([100, 0], [])
    lose(feed, consumer)
    quiet.publisher.publish_snapshot()
    feed.send([consumer], keep=lambda datagram: datagram[1] == Kind.BOOKS)
    notice(feed, consumer)
    assert consumer.view(quiet).status is ViewStatus.SUSPECT
    assert consumer.feed.books.counters.breaks == 0
    ask(feed, consumer)
    feed.answer(consumer)
    assert consumer.view(quiet).status is ViewStatus.LIVE
    assert same(quiet, consumer)


def test_a_book_that_an_altered_checksum_told_to_wait_is_not_live_and_behind():
    feed, consumer = live_feed("BTCUSDT", "ETHUSDT")
    quiet, busy = feed.sources.values()
    busy.delta([100, 9], [])
    lose(feed, consumer)
    feed.publisher.partitions[0].books.write(book_checksum(quiet.id, BookChecksum(quiet.publisher.sequence + 7, 2, 1)))
    feed.send([consumer])
    notice(feed, consumer)
    quiet.publisher.publish_snapshot()
    feed.send([consumer])
    assert consumer.view(quiet).status is ViewStatus.LIVE
    quiet.delta([98, 1], [])
    feed.send([consumer])
    assert consumer.view(quiet).status is ViewStatus.LIVE
    assert same(quiet, consumer)


def test_a_book_proven_after_the_hole_does_not_wait_for_it():
    feed, consumer = live_feed("BTCUSDT", "ETHUSDT")
    hit, other = feed.sources.values()
    hit.delta([100, 0], [])
    lose(feed, consumer)
    other.delta([98, 1], [])
    feed.send([consumer])
    notice(feed, consumer)
    assert consumer.view(other).status is ViewStatus.LIVE
    other.publisher.sequence += 1  # a number is skipped: nothing of it can be in the hole
    other.delta([98, 2], [])
    feed.send([consumer])
    assert consumer.view(other).status is ViewStatus.JOINING


def test_a_joiner_in_doubt_is_told_when_the_hole_is_filled():
    feed, known = live_feed("BTCUSDT", "ETHUSDT")
    quiet, busy = feed.sources.values()
    late = Consumer(feed, ["BTCUSDT"])
    late.feed.repairs.addresses = (ADDRESS,)
    busy.delta([98, 1], [])
    feed.send([known, late])
    quiet.publisher.publish_snapshot()
    feed.turn()
    snapshot, feed.wire[:] = [d for d in feed.wire if d[1] == Kind.SNAPSHOTS], []
    busy.delta([98, 2], [])
    lose(feed, late)
    busy.delta([98, 3], [])
    feed.send([late])
    notice(feed, late)
    for datagram in snapshot:
        late.feed.on_datagram(*datagram)
    assert [e.status for e in late.told(StatusChanged)] == [ViewStatus.SUSPECT]
    ask(feed, late)
    feed.answer(late)
    assert [e.status for e in late.told(StatusChanged)] == [ViewStatus.SUSPECT, ViewStatus.LIVE]
    assert same(quiet, late)


def test_a_snapshot_from_before_a_hole_that_was_given_up_is_refused():
    feed, _ = live_feed()
    (source,) = feed.sources.values()
    late = Consumer(feed, ["BTCUSDT"])
    source.delta([98, 1], [])
    feed.send([late])
    source.publisher.publish_snapshot()
    feed.turn()
    snapshot, feed.wire[:] = [d for d in feed.wire if d[1] == Kind.SNAPSHOTS], []
    for quantity in range(1, 2201):
        source.delta([100, quantity], [])
    lose(feed, late)
    source.delta([98, 2], [])
    feed.send([late])
    notice(feed, late)
    for datagram in snapshot:
        late.feed.on_datagram(*datagram)
    assert late.feed.books.counters.snapshots_loaded == 0
    assert late.feed.books.counters.snapshots_refused > 0


def test_messages_that_fill_a_packet_each_are_asked_for_until_all_have_come():
    feed, consumer = live_feed()
    (source,) = feed.sources.values()
    for quantity in range(1, 61):
        source.delta([], [value for n in range(200, 281) for value in (n, quantity)])
    lose(feed, consumer)
    source.delta([98, 1], [])
    feed.send([consumer])
    notice(feed, consumer)
    feed.run(0.3, [consumer], step=0.005)
    assert len(consumer.told(HoleFilled)) == 1
    assert consumer.view(source).status is ViewStatus.LIVE
    assert same(source, consumer)
    assert consumer.feed.repairs.stats.requests >= 15, "four packets an answer"


def test_a_line_that_is_only_late_fills_the_hole_without_a_request():
    feed, consumer = live_feed()
    (source,) = feed.sources.values()
    source.delta([100, 0], [])
    feed.turn()
    late, feed.wire[:] = [d for d in feed.wire if d[0] == "B"], []
    source.delta([98, 1], [])
    feed.send([consumer])
    notice(feed, consumer)
    assert consumer.view(source).status is ViewStatus.SUSPECT
    feed.wire += late
    feed.deliver([consumer])
    assert consumer.view(source).status is ViewStatus.LIVE
    assert same(source, consumer)
    ask(feed, consumer)
    assert not consumer.asked
    assert consumer.feed.arbiters[0][1].stats.filled == 1


def test_rejects_end_a_hole_or_put_it_off():
    feed, consumer, _ = in_doubt()
    (request,) = ask(feed, consumer)
    consumer.asked.clear()
    now = feed.clock.monotonic()
    repairs = consumer.feed.repairs
    wait = RetransmitReject(request.first_sequence, 1, 99, 300_000_000, 1, 0, RejectReason.RATE)
    session = feed.publisher.session_id
    assert repairs.on_reject(wait, session, now) == []
    assert repairs.due(0, now + 0.299) == ([], [])
    assert len(repairs.due(0, now + 0.306)[0]) == 1
    never = RetransmitReject(request.first_sequence, 90, 99, 0, 1, 0, RejectReason.TOO_OLD)
    assert repairs.on_reject(never, session, now) == [Hole(request.first_sequence, request.first_sequence)]
    assert repairs.stats.rejects == {RejectReason.RATE: 1, RejectReason.TOO_OLD: 1}


def test_a_reject_of_a_session_that_is_over_ends_no_hole():
    feed, consumer, _ = in_doubt()
    (request,) = ask(feed, consumer)
    now, session = feed.clock.monotonic(), feed.publisher.session_id
    repairs = consumer.feed.repairs
    for reason, of in ((RejectReason.TOO_OLD, session - 1), (RejectReason.OTHER_SESSION, session)):
        assert repairs.on_reject(RetransmitReject(request.first_sequence, 1, 9, 0, 1, 0, reason), of, now) == []
    restarted = RetransmitReject(request.first_sequence, 1, 9, 0, 1, 0, RejectReason.OTHER_SESSION)
    assert len(repairs.on_reject(restarted, session + 1, now)) == 1


def test_a_consumer_that_asked_too_much_asks_nothing_until_it_may():
    feed, consumer = live_feed()
    (source,) = feed.sources.values()
    for quantity in range(1, 101):
        source.delta([100, quantity], [])
    lose(feed, consumer)
    source.delta([98, 1], [])
    feed.send([consumer])
    notice(feed, consumer)
    requested = ask(feed, consumer)
    assert len(requested) == 3
    now, session = feed.clock.monotonic(), feed.publisher.session_id
    reject = RetransmitReject(requested[0].first_sequence, 1, 999, 100_000_000, 34, 0, RejectReason.RATE)
    repairs = consumer.feed.repairs
    assert repairs.on_reject(reject, session, now) == []
    for later in (0.016, 0.040, 0.099):
        assert repairs.due(0, now + later) == ([], [])
    assert len(repairs.due(0, now + 0.106)[0]) == 3


def test_rejects_that_allow_a_retry_at_once_make_no_storm():
    feed, consumer, _ = in_doubt()
    session = feed.publisher.session_id
    asked = 0
    for _ in range(100):  # half a second
        for request in ask(feed, consumer, 0.005):
            asked += 1
            reject = RetransmitReject(request.first_sequence, 1, 9, 1, 1, 0, RejectReason.NOT_SENT)
            consumer.feed.repairs.on_reject(reject, session, feed.clock.monotonic())
        consumer.asked.clear()
    assert 10 < asked <= 0.5 / RETRY_SECONDS


def test_a_feeder_that_kept_too_little_says_so_and_snapshots_mend():
    feed, consumer, source = in_doubt()
    ring = feed.publisher.partitions[0].books.ring
    assert ring is not None
    ring._first = len(ring._sequences)  # as if it had been forgotten
    ask(feed, consumer)
    feed.answer(consumer)
    assert len(consumer.told(HoleAbandoned)) == 1
    assert consumer.feed.repairs.stats.rejects == {RejectReason.TOO_OLD: 1}
    feed.run(1.2, [consumer])
    assert consumer.view(source).status is ViewStatus.LIVE
    assert same(source, consumer)


def test_answers_of_another_session_change_nothing():
    feed, consumer, source = in_doubt()
    ask(feed, consumer)
    ((request, _),) = consumer.asked
    (answer,) = feed.publisher.partitions[0].retransmit.answer(request, "10.0.0.1", feed.clock.monotonic())
    other = bytearray(answer)
    other[8] ^= 1  # the session id
    consumer.feed.on_answer(bytes(other))
    assert consumer.view(source).status is ViewStatus.SUSPECT
    assert not consumer.told(HoleFilled)
    consumer.feed.on_answer(answer)
    assert consumer.view(source).status is ViewStatus.LIVE
    assert same(source, consumer)


def test_what_is_no_answer_is_counted_and_nothing_else():
    feed, consumer = live_feed()
    before = consumer.feed.malformed
    (source,) = feed.sources.values()
    source.delta([100, 3], [])
    feed.turn()
    plain = next(d[2] for d in feed.wire if d[1] == Kind.BOOKS)
    for data in (b"", b"FB", bytes(2000), plain):  # the last is no retransmission
        consumer.feed.on_answer(data)
    assert consumer.feed.malformed == before + 4
    assert not same(source, consumer)


def test_lost_trades_come_late_and_are_marked():
    feed, consumer = live_feed()
    (source,) = feed.sources.values()

    def trade(price: int) -> None:
        source.publisher.trades([TradeUpdate(price, 1, Side.BUY, str(price), 1, 2, 3, 4)])

    trade(1)
    feed.send([consumer])
    trade(2)
    lose(feed, consumer)
    trade(3)
    feed.send([consumer])
    notice(feed, consumer)
    assert consumer.feed.missed_trades == 1
    ask(feed, consumer)
    feed.answer(consumer)
    told = [(e.trade.price, e.missed, e.late) for e in consumer.told(Traded)]
    assert told == [(1, 0, False), (3, 1, False), (2, 0, True)]
    assert consumer.feed.missed_trades == 0


def test_a_hole_names_what_this_machine_dropped_itself():
    feed, consumer = live_feed()
    (source,) = feed.sources.values()
    dropped = 0
    consumer.feed._dropped = lambda _: dropped
    for here in (0, 5):
        dropped += here
        source.delta([100, 4 + here], [])
        lose(feed, consumer)
        source.delta([98, 4 + here], [])
        feed.send([consumer])
        notice(feed, consumer)
    assert [e.dropped_here for e in consumer.told(PacketsLost) if e.kind is Kind.BOOKS] == [0, 5]


def test_a_restarted_feeder_ends_the_asking():
    feed, consumer, source = in_doubt()
    feed.clock.advance(0.001)
    feed.start()
    feed.send([consumer])
    assert ask(feed, consumer, 0.1) == []
    (source,) = feed.sources.values()
    source.restart([50, 1], [51, 1])
    feed.run(1.3, [consumer])
    assert consumer.view(source).status is ViewStatus.LIVE
    assert same(source, consumer)


def test_only_an_address_is_asked_never_a_name():
    _, consumer = live_feed()
    repairs = consumer.feed.repairs
    assert repairs.addresses == (ADDRESS,)
    lines = [LineInfo("A", text, 20005) for text in ("feed.example", "eth0", "239.77.0.5", "0.0.0.0", "", "10.1.2.3")]
    consumer.feed._on_info(ChannelInfo(1, 1, 1, 5, Kind.RETRANSMIT, 1, tuple(lines)))
    assert repairs.addresses == (("10.1.2.3", 20005),)
    consumer.feed._on_info(ChannelInfo(1, 1, 1, 21, Kind.RETRANSMIT, 2, (LineInfo("A", "10.9.9.9", 1),)))
    assert repairs.addresses == (("10.1.2.3", 20005),), "another partition's"
