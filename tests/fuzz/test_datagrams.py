"""What a consumer does about the packets kept, one by one: what it takes, and how soon it recovers."""

from feeder.client.events import SessionChanged
from feeder.client.status import ViewStatus
from feeder.wire.messages import Kind
from feeder.wire.packet import HEADER_LENGTH, pack_header_into
from tests.fuzz import datagrams
from tests.fuzz.corpus import DATA
from tests.fuzz.datagrams import Script, Stage
from tests.helpers.feed import Consumer, Feed, levels_of


def arrived(name: str) -> Stage:
    """A stage after the records of one kept input."""
    stage, script = Stage(), Script((DATA / "multicast" / name).read_bytes())
    while not script.ended:
        datagrams._RECORDS[script.number() % len(datagrams._RECORDS)](stage, script)
    return stage


def heartbeat(feed: Feed, sequence: int, flags: int = 0x10) -> bytes:
    packet = bytearray(HEADER_LENGTH)
    pack_header_into(packet, 0, flags, 0, feed.publisher.session_id, sequence, 1)
    return bytes(packet)


def test_delta_of_a_later_schema_version_is_applied():
    stage = arrived("delta-of-the-future")
    view = stage.consumer.view(stage.sources[0])
    assert view.is_live
    assert levels_of(view) == ((100, 9, 99, 6), (101, 4, 102, 8))


def test_delta_with_a_short_root_breaks_its_book_and_no_other():
    stage = arrived("delta-with-a-short-root")
    first, second = (stage.consumer.view(source) for source in stage.sources)
    assert (first.status, second.status) == (ViewStatus.JOINING, ViewStatus.LIVE)
    assert stage.consumer.feed.books.counters.malformed == 1


def test_sequence_that_the_feed_does_not_confirm_is_given_up_within_a_second_or_so():
    stage = arrived("sequence-far-ahead")
    stage.run(0.2)  # longer than packets wait for their turn
    assert [stage.consumer.view(source).status for source in stage.sources] == [ViewStatus.SUSPECT] * 2
    stage.run(2.6)  # a second without anything new, then a cycle of snapshots
    assert all(stage.consumer.view(source).is_live for source in stage.sources)


def test_session_whose_messages_go_on_behind_its_end_has_not_ended():
    stage = arrived("end-that-is-none")
    assert stage.consumer.view(stage.sources[0]).status is ViewStatus.ENDED
    stage.run(2.6)
    assert all(stage.consumer.view(source).is_live for source in stage.sources)


def test_line_that_lags_by_seconds_is_no_new_session():
    stage = Stage()
    late = []
    for _ in range(60):
        stage.feed.clock.advance(0.05)
        stage.feed.publisher.tick(stage.feed.clock.monotonic())
        sent = stage.sent()
        late += [datagram for datagram in sent if datagram[0] == "B"]
        stage.deliver([datagram for datagram in sent if datagram[0] == "A"])
        stage.consumer.feed.on_time()
    before = len(stage.consumer.told(SessionChanged))
    stage.deliver(late)
    assert len(stage.consumer.told(SessionChanged)) == before
    assert all(stage.consumer.view(source).is_live for source in stage.sources)


def test_heartbeats_of_before_the_end_do_not_undo_it():
    stage = Stage()
    stage.feed.publisher.end_session()
    stage.deliver(stage.sent())
    sequence = stage.feed.publisher.partitions[0].books.sequence
    stage.deliver([("B", 0, heartbeat(stage.feed, sequence))])
    assert stage.consumer.view(stage.sources[0]).status is ViewStatus.ENDED


def test_snapshot_that_overtakes_the_books_channel_is_loaded_when_that_has_come_as_far():
    feed = Feed()
    (source,) = feed.sources.values()
    source.restart([100, 5], [101, 7])
    feed.run(0.1, [])
    late = Consumer(feed)
    feed.run(0.3, [late])
    held = []
    kind = {channel.channel_id: channel.kind for channel in feed.plan.channels}
    for step in range(100):
        source.delta([100, step + 1], [])
        feed.clock.advance(0.02)
        feed.publisher.tick(feed.clock.monotonic())
        feed.turn()
        held += [datagram for datagram in feed.wire if kind[datagram[1]] is Kind.BOOKS]
        feed.deliver([late], lambda datagram: kind[datagram[1]] is not Kind.BOOKS)
    assert not late.view(source).is_live
    for datagram in held:
        late.feed.on_datagram(*datagram)
        if late.view(source).is_live:
            assert (
                levels_of(late.view(source))
                == feed.histories[feed.publisher.session_id][source.id, late.view(source).sequence]
            )
    assert late.view(source).is_live
    assert levels_of(late.view(source)) == source.levels()
