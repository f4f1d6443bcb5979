"""Packing, numbering, heartbeats; one flush per turn however much was written."""

import dataclasses
import errno
import struct
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest

from feeder.clock import ManualClock
from feeder.market.instrument import instrument_id
from feeder.market.status import BookStatus, StatusReason
from feeder.multicast.channel import ChannelPublisher, LineSender
from feeder.multicast.plan import ChannelPlan
from feeder.multicast.publisher import Publisher
from feeder.multicast.ring import Ring
from feeder.wire import encoder
from feeder.wire.decoder import decode
from feeder.wire.messages import BookChecksum, ChannelInfo, Kind, PacketFlag
from feeder.wire.packet import Packet, parse
from tests.helpers.feed import Feed


class Line:
    def __init__(self, line: str = "A") -> None:
        self.line = line
        self.sent: list[bytes] = []

    def send(self, packet: memoryview) -> None:
        self.sent.append(bytes(packet))

    def packets(self) -> list[Packet]:
        return [parse(data) for data in self.sent]


def channel(*lines: Line, clock: ManualClock | None = None) -> tuple[ChannelPublisher, list[ChannelPublisher]]:
    opened: list[ChannelPublisher] = []
    publisher = ChannelPublisher(3, 77, PacketFlag.INCREMENTAL, lines, clock or ManualClock(), opened.append)
    return publisher, opened


MESSAGE = encoder.book_checksum(1, BookChecksum(1, 2, 3))  # 32 bytes


def test_lines_carry_byte_identical_packets():
    a, b = Line("A"), Line("B")
    publisher, _ = channel(a, b)
    publisher.write(MESSAGE)
    publisher.flush()
    assert a.sent == b.sent
    assert len(a.sent) == 1


def test_messages_pack_until_the_packet_is_full_and_are_numbered_without_a_break():
    line = Line()
    publisher, _ = channel(line)
    for _ in range(100):
        publisher.write(MESSAGE)
    publisher.flush()
    packets = line.packets()
    assert [len(p.frames) for p in packets] == [42, 42, 16]  # 42 * 32 + 32 <= 1400
    assert [p.sequence for p in packets] == [1, 43, 85]
    assert all(len(p.data) <= 1400 for p in packets)
    assert publisher.sequence == 101
    assert all(p.flags == 1 and p.session_id == 77 and p.channel_id == 3 for p in packets)


def test_messages_written_together_share_a_packet():
    line = Line()
    publisher, _ = channel(line)
    for _ in range(41):
        publisher.write(MESSAGE)
    publisher.write_together([MESSAGE, MESSAGE])
    publisher.flush()
    assert [len(p.frames) for p in line.packets()] == [41, 2]


def test_heartbeat_follows_data_after_20_ms_then_every_250_ms_and_carries_the_next_sequence():
    clock, line = ManualClock(monotonic=0.0), Line()
    publisher, _ = channel(line, clock=clock)
    publisher.write(MESSAGE)
    publisher.flush()
    times = []
    start = clock.monotonic()
    for _ in range(600):
        clock.advance(0.001)
        before = len(line.sent)
        publisher.tick(clock.monotonic())
        if len(line.sent) > before:
            times.append(round(clock.monotonic() - start, 3))
    assert times == [0.02, 0.27, 0.52]
    beat = line.packets()[-1]
    assert beat.flags == PacketFlag.HEARTBEAT
    assert (beat.sequence, beat.frames) == (2, [])


def test_end_of_session_sends_what_is_open_first():
    line = Line()
    publisher, _ = channel(line)
    publisher.write(MESSAGE)
    publisher.end_session()
    data, end = line.packets()
    assert data.flags == PacketFlag.INCREMENTAL
    assert (end.flags, end.sequence) == (PacketFlag.END_OF_SESSION, 2)


class Full:
    """A socket whose buffer is full, or whose interface is gone."""

    def __init__(self, error: OSError) -> None:
        self.error = error

    def send(self, data: memoryview) -> int:
        raise self.error


def test_a_full_send_buffer_and_a_dead_interface_are_counted_and_said_not_raised(caplog):
    full = LineSender("A", Full(BlockingIOError(errno.EAGAIN, "full")))  # type: ignore[arg-type]
    down = LineSender("B", Full(OSError(errno.ENETDOWN, "Network is down")))  # type: ignore[arg-type]
    healthy = Line("C")
    publisher = ChannelPublisher(0, 1, PacketFlag.INCREMENTAL, [full, down, healthy], ManualClock(), lambda _: None)
    publisher.write(MESSAGE)
    publisher.flush()
    assert (full.refused, full.packets, down.errors) == (1, 0, 1)
    assert "line B cannot send: [Errno 100] Network is down" in caplog.text
    assert len(healthy.sent) == 1


@pytest.mark.parametrize(
    ("error", "refused", "errors"),
    [
        (BlockingIOError(errno.EAGAIN, "full"), 3, 0),
        (
            OSError(errno.ENOBUFS, "No buffer space available"),
            3,
            0,
        ),  # a card's queue; Python makes it no BlockingIOError
        (OSError(errno.ENETUNREACH, "Network is unreachable"), 0, 3),
    ],
)
def test_a_full_buffer_is_told_apart_from_an_error_and_both_are_said_once(caplog, error, refused, errors):
    line = LineSender("A", Full(error))  # type: ignore[arg-type]
    for _ in range(3):
        line.send(memoryview(MESSAGE))
    assert (line.refused, line.errors, line.packets, line.bytes) == (refused, errors, 0, 0)
    assert caplog.text.count("line A cannot send") == 1


def test_a_packet_that_no_line_took_is_kept_for_retransmission_and_the_next_sequence_follows():
    ring = Ring()
    full = LineSender("A", Full(OSError(errno.ENOBUFS, "full")))  # type: ignore[arg-type]
    publisher = ChannelPublisher(0, 1, PacketFlag.INCREMENTAL, [full], ManualClock(), lambda _: None, ring)
    for _ in range(2):
        publisher.write(MESSAGE)
        publisher.write(MESSAGE)
        publisher.flush()
    assert (publisher.sequence, publisher.messages, full.refused) == (5, 4, 2)
    assert [(first, count) for first, count, _ in ring.packets(1)] == [(1, 2), (3, 2)]
    assert all(payload == MESSAGE * 2 for _, _, payload in ring.packets(1))


def test_a_turn_of_many_changes_is_one_packet_per_channel():
    feed = Feed(("BTCUSDT", "ETHUSDT"))
    for source in feed.sources.values():
        source.restart([100, 1], [101, 1])
    feed.turn()
    feed.wire.clear()
    for source in feed.sources.values():
        source.delta([100, 2], [])
        source.delta([100, 3], [])
    assert feed.wire == []  # nothing leaves before the end of the turn
    assert len(feed.deferred) == 1
    feed.turn()
    sent = [(line, channel_id) for line, channel_id, _ in feed.wire]
    assert sent == [("A", Kind.BOOKS), ("B", Kind.BOOKS), ("A", Kind.BBO), ("B", Kind.BBO)]


def test_bbo_goes_out_on_change_only_but_at_least_once_a_second():
    feed = Feed()
    (source,) = feed.sources.values()
    source.restart([100, 1, 99, 1], [101, 1])
    feed.turn()
    feed.wire.clear()
    source.delta([99, 5], [])  # below the top
    feed.turn()
    assert [c for _, c, _ in feed.wire] == [Kind.BOOKS] * 2
    feed.wire.clear()
    for _ in range(100):
        feed.clock.advance(0.01)
        feed.publisher.tick(feed.clock.monotonic())
        feed.turn()
    bbos = [parse(d) for line, c, d in feed.wire if c == Kind.BBO and line == "A" and parse(d).frames]
    assert len(bbos) >= 1


def test_stale_goes_to_books_trades_and_bbo_in_the_same_turn():
    feed = Feed()
    (source,) = feed.sources.values()
    source.restart([100, 1], [101, 1])
    feed.turn()
    feed.wire.clear()
    source.stale()
    feed.turn()
    told = {}
    for _, channel_id, data in feed.wire:
        packet = parse(data)
        told[channel_id] = decode(packet, packet.frames[0]).body  # type: ignore[union-attr]
    assert told[Kind.BOOKS] == told[Kind.TRADES]
    assert (told[Kind.BOOKS].status, told[Kind.BOOKS].reason) == (BookStatus.STALE, StatusReason.GAP)
    assert told[Kind.BBO].status is BookStatus.STALE
    assert told[Kind.BBO].bid_price is None


def test_a_books_definition_stands_in_the_packet_of_its_snapshots_begin():
    feed = Feed(("BTCUSDT", "ETHUSDT", "XRPUSDT"))
    for source in feed.sources.values():
        source.restart([v for n in range(50) for v in (100 - n, 1)], [v for n in range(50) for v in (101 + n, 1)])
    feed.turn()
    feed.wire.clear()
    for source in feed.sources.values():
        source.publisher.publish_snapshot()
    feed.turn()
    seen = 0
    for line, channel_id, data in feed.wire:
        if channel_id == Kind.SNAPSHOTS and line == "A":
            frames = parse(data).frames
            for index, frame in enumerate(frames):
                if frame.template == 20:
                    seen += 1
                    assert frames[index - 1].template == 1
                    assert frames[index - 1].instrument_id == frame.instrument_id
    assert seen == 3


def test_every_book_is_visited_once_per_cycle_evenly():
    feed = Feed(tuple(f"S{n}USDT" for n in range(50)))
    visits: list[tuple[float, int]] = []
    for _ in range(300):
        feed.clock.advance(0.01)
        feed.publisher.tick(feed.clock.monotonic())
        feed.turn()
        for line, channel_id, data in feed.wire:
            if channel_id == Kind.SNAPSHOTS and line == "A":
                visits += [(feed.clock.monotonic(), f.instrument_id) for f in parse(data).frames if f.template == 20]
        feed.wire.clear()
    ids = {instrument_id("linear", f"S{n}USDT") for n in range(50)}
    first = feed.clock.monotonic() - 3.0
    for second in (1, 2):
        window = [i for t, i in visits if first + second <= t < first + second + 1]
        assert set(window) == ids
        assert len(window) in range(49, 52)
    assert max(sum(t == at for t, _ in visits) for at, _ in visits) <= 2


def frames(feed: Feed, kind: Kind) -> list:
    """(template, event flags) of a channel's messages on line A."""
    packets = [parse(data) for line, channel, data in feed.wire if channel == kind and line == "A"]
    return [(frame.template, frame.event_flags) for packet in packets for frame in packet.frames]


def test_a_definition_stands_in_a_restart_only_if_it_changed():
    feed = Feed()
    (source,) = feed.sources.values()
    feed.turn()
    shapes = []
    for version in (1, 1, 2):
        source.publisher.instrument = dataclasses.replace(source.publisher.instrument, definition_version=version)
        feed.wire.clear()
        source.restart([100, 1], [101, 1])
        feed.turn()
        shapes.append(frames(feed, Kind.BOOKS))
    whole = [(1, 1), (11, 0), (10, 0), (2, 2)]  # definition, clear, levels, LIVE last
    assert shapes == [whole, [(11, 1), (10, 0), (2, 2)], whole]


def test_a_conflated_delta_of_many_messages_is_flagged_in_each():
    feed = Feed()
    (source,) = feed.sources.values()
    source.restart([100, 1], [101, 1])
    feed.turn()
    feed.wire.clear()
    source.delta([], [v for n in range(200, 400) for v in (n, 1)], conflated=True)
    feed.turn()
    assert frames(feed, Kind.BOOKS) == [(10, 0x09), (10, 0x08), (10, 0x0A)]


def test_test_data_is_flagged_in_every_packet():
    clock, sent = ManualClock(), []

    class Anything:
        line = "A"

        def send(self, packet: memoryview) -> None:
            sent.append(bytes(packet))

    publisher = Publisher(ChannelPlan(1), lambda _: [Anything()], clock, lambda _: None, test_data=True)
    publisher.complete = True
    for _ in range(3):
        publisher.tick(clock.monotonic())
        publisher.flush()
        clock.advance(1)
    publisher.end_session()
    assert {packet[6] & ~0x80 for packet in sent} >= {0x02, 0x04, 0x10, 0x20}
    assert all(packet[6] & 0x80 for packet in sent)


def test_definitions_and_channel_descriptions_come_every_second():
    feed = Feed(tuple(f"S{n}USDT" for n in range(30)))
    seen: dict[object, list[float]] = {}
    for _ in range(400):
        feed.clock.advance(0.01)
        feed.publisher.tick(feed.clock.monotonic())
        feed.turn()
        for line, channel, data in feed.wire:
            if channel == Kind.DEFINITIONS and line == "A":
                packet = parse(data)
                for frame in packet.frames:
                    body = decode(packet, frame).body  # type: ignore[union-attr]
                    name = body.kind if isinstance(body, ChannelInfo) else body.symbol
                    seen.setdefault(name, []).append(feed.clock.monotonic())
        feed.wire.clear()
    assert len(seen) == 30 + 5
    assert all(len(times) >= 4 for times in seen.values())
    assert all(later - sooner <= 1.0 for times in seen.values() for sooner, later in pairwise(times))


def test_snapshots_keep_to_four_megabytes_a_second_even_when_all_books_grow_at_once():
    feed = Feed(tuple(f"S{n}USDT" for n in range(300)))
    feed.run(3.0, [])
    for source in feed.sources.values():
        source.restart([v for n in range(1000) for v in (5000 - n, 1)], [v for n in range(1000) for v in (5001 + n, 1)])
    feed.turn()
    feed.wire.clear()
    sent = 0
    visited: list[int] = []
    for _ in range(400):
        feed.clock.advance(0.01)
        feed.publisher.tick(feed.clock.monotonic())
        feed.turn()
        for line, channel, data in feed.wire:
            if channel == Kind.SNAPSHOTS and line == "A":
                sent += len(data)
                visited += [frame.instrument_id for frame in parse(data).frames if frame.template == 20]
        feed.wire.clear()
    assert sent / 4.0 < 4_300_000
    assert len(set(visited)) == 300  # 9.7 MB: all of them within 4 s all the same


def test_one_instrument_that_cannot_be_published_does_not_silence_the_others(caplog):
    feed = Feed(("BTCUSDT", "ETHUSDT"))
    for source in feed.sources.values():
        source.restart([100, 1], [101, 1])
    broken = feed.sources["BTCUSDT"].publisher
    with pytest.raises(struct.error):
        broken.definition(dataclasses.replace(broken.instrument, quantity_step=10**19))
    feed.turn()
    feed.wire.clear()
    for _ in range(120):
        feed.clock.advance(0.01)
        feed.publisher.tick(feed.clock.monotonic())
        feed.turn()
    assert caplog.text.count("cannot be published") == 1
    assert [t for t, _ in frames(feed, Kind.SNAPSHOTS)].count(20) >= 1


def test_a_turn_with_a_new_best_bid_is_flushed_once():
    feed = Feed()
    (source,) = feed.sources.values()
    source.restart([100, 1], [101, 1])
    feed.turn()
    before = feed.publisher.flushes
    source.delta([100, 2], [])
    feed.turn()
    assert feed.publisher.flushes == before + 1


def test_what_fails_in_one_flush_does_not_end_all_flushing(caplog):
    feed = Feed(("BTCUSDT", "ETHUSDT"))
    first, second = feed.sources.values()
    for source in (first, second):
        source.restart([100, 1], [101, 1])
    feed.turn()
    first.publisher.instrument = dataclasses.replace(first.publisher.instrument, price_exponent=1000)
    first.publisher._last_bbo = ()
    feed.publisher._mark_bbo(first.publisher)
    feed.turn()
    assert "cannot be published" in caplog.text
    feed.wire.clear()
    second.delta([100, 2], [])
    feed.turn()
    assert [t for t, _ in frames(feed, Kind.BOOKS)] == [10]
    assert [t for t, _ in frames(feed, Kind.BBO)] == [13]


def test_what_one_failing_channel_left_unsent_goes_out_in_the_next_turn(monkeypatch: pytest.MonkeyPatch):
    feed = Feed()
    (source,) = feed.sources.values()
    source.restart([100, 1], [101, 1])
    feed.turn()
    feed.wire.clear()
    books = feed.publisher.partitions[0].books

    def fail(channel: ChannelPublisher) -> None:
        if channel is books:
            raise ValueError("defect")
        flush(channel)

    flush = ChannelPublisher.flush
    monkeypatch.setattr(ChannelPublisher, "flush", fail)
    source.delta([100, 2], [])
    with pytest.raises(ValueError, match="defect"):
        feed.turn()
    feed.turn()
    assert [t for t, _ in frames(feed, Kind.BBO)] == [13]


def test_the_end_of_a_round_is_told_only_when_the_instruments_are_known():
    feed = Feed(())
    feed.publisher.complete = False
    for complete in (False, True):
        feed.publisher.complete = complete
        feed.wire.clear()
        for _ in range(250):
            feed.clock.advance(0.01)
            feed.publisher.tick(feed.clock.monotonic())
            feed.turn()
        assert bool(frames(feed, Kind.SNAPSHOTS)) is complete


def once(feed: Feed) -> None:
    """One turn of the loop: what was deferred before it, and nothing that is deferred meanwhile."""
    due, feed.deferred[:] = list(feed.deferred), []
    for callback in due:
        callback()


def live_feed(*symbols: str) -> Feed:
    feed = Feed(symbols or ("BTCUSDT",))
    for source in feed.sources.values():
        source.restart([100, 1], [101, 1])
    feed.turn()
    feed.wire.clear()
    return feed


def test_a_packet_waits_for_more_only_as_long_as_each_turn_brings_more():
    feed = live_feed("BTCUSDT", "ETHUSDT")
    first, second = feed.sources.values()
    first.delta([100, 2], [])
    once(feed)
    assert not feed.wire  # another connection may have something to say in the next turn
    second.delta([100, 3], [])
    once(feed)
    assert not feed.wire
    once(feed)
    assert [t for t, _ in frames(feed, Kind.BOOKS)] == [10, 10]
    assert len([1 for line, channel, _ in feed.wire if (line, channel) == ("A", Kind.BOOKS)]) == 1


def test_a_packet_waits_a_millisecond_at_most_however_busy_the_loop_is():
    feed = live_feed()
    (source,) = feed.sources.values()
    turns = 0
    while not feed.wire:
        source.delta([100, 2 + turns], [])
        feed.clock.advance(0.0003)
        once(feed)
        turns += 1
    assert turns == 4


def test_a_book_that_is_lost_is_told_in_the_turn_that_knows_it():
    feed = live_feed("BTCUSDT", "ETHUSDT")
    first, second = feed.sources.values()
    first.delta([100, 2], [])
    second.stale()
    once(feed)
    assert [t for t, _ in frames(feed, Kind.BOOKS)] == [10, 2]


def test_a_delta_that_cannot_be_encoded_leaves_nothing_in_the_packet():
    feed = Feed(("BTCUSDT", "ETHUSDT"))
    good, bad = feed.sources.values()
    for source in (good, bad):
        source.restart([100, 1], [101, 1])
    feed.turn()
    feed.wire.clear()
    sequence = bad.publisher.sequence
    with pytest.raises(struct.error):
        bad.delta([100, 10**19], [])
    good.delta([100, 2], [])
    feed.turn()
    packets = [parse(data) for line, kind, data in feed.wire if line == "A" and kind == Kind.BOOKS]
    assert [(frame.template, frame.instrument_id) for p in packets for frame in p.frames] == [(10, good.id)]
    assert packets[-1].next_sequence == feed.publisher.partitions[0].books.sequence
    assert bad.publisher.sequence == sequence  # what follows continues the consumers' books


@pytest.mark.parametrize("partitions", [1, 4, 5, 64])
def test_every_partition_describes_its_channels_every_second(partitions: int):
    clock = ManualClock()
    sent: dict[int, list[float]] = {}
    deferred: list[Callable[[], None]] = []

    class Sender(Line):
        def send(self, packet: memoryview) -> None:
            for frame in parse(bytes(packet)).frames:
                if frame.template == 40:
                    sent.setdefault(int(self.line), []).append(clock.monotonic())

    publisher = Publisher(
        ChannelPlan(partitions), lambda channel: [Sender(str(channel.partition))], clock, deferred.append
    )
    for _ in range(400):
        clock.advance(0.01)
        publisher.tick(clock.monotonic())
        while deferred:
            deferred.pop(0)()
    assert len(sent) == partitions
    for times in sent.values():
        assert all(later - earlier < 1.005 for earlier, later in zip(times, times[5:], strict=False))  # five kinds


def test_no_partition_goes_short_of_snapshots_when_there_is_less_room_than_books():
    symbols: dict[int, list[str]] = {}
    for number in range(1000):
        symbols.setdefault(instrument_id("linear", f"S{number}USDT") % 8, []).append(f"S{number}USDT")
    feed = Feed([symbol for some in symbols.values() for symbol in some[:20]], plan=ChannelPlan(partitions=8))
    bids = [number for level in range(1000) for number in (level + 1, 1)]
    asks = [number for level in range(1000) for number in (level + 2000, 1)]
    for source in feed.sources.values():
        source.restart(bids, asks)  # 5 MB of all of them
    feed.turn()
    feed.wire.clear()
    visited: Counter[int] = Counter()
    for _ in range(200):
        feed.clock.advance(0.01)
        feed.publisher.tick(feed.clock.monotonic())
        feed.turn()
        for line, channel, data in feed.wire:
            if channel % 16 == Kind.SNAPSHOTS and line == "A":
                visited[channel // 16] += sum(frame.template == 20 for frame in parse(data).frames)
        feed.wire.clear()
    assert len(visited) == 8
    assert min(visited.values()) * 2 > max(visited.values())
