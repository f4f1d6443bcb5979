"""Requests and answers as PROTOCOL.md, "Asking again", has them; and what liars and floods get."""

import random
from collections import Counter

import pytest

from feeder.clock import ManualClock
from feeder.multicast.channel import ChannelPublisher
from feeder.multicast.rate_limit import BURST, PACKETS_PER_SECOND, RETRY_SECONDS, SOURCES
from feeder.multicast.retransmit import RetransmitCounters, RetransmitServer
from feeder.multicast.ring import Ring
from feeder.wire import encoder
from feeder.wire.decoder import decode
from feeder.wire.messages import (
    BookChecksum,
    Kind,
    PacketFlag,
    RejectReason,
    RetransmitReject,
    RetransmitRequest,
)
from feeder.wire.packet import Packet, pack_header_into, parse

SESSION = 77
OWN = 16 * 2 + Kind.RETRANSMIT
BOOKS, TRADES, SNAPSHOTS = 32, 33, 35
SOURCE = "192.0.2.1"
MOST = 4  # times the bytes of its request that an answer may have
NOW = ManualClock().monotonic()
ONE_PACKET = 352  # bytes of a request whose answer may be any one packet


def message(sequence: int, size: int = 32) -> bytes:
    """A message that tells which it is."""
    body = encoder.book_checksum(sequence, BookChecksum(sequence, 2, 3))
    return (size.to_bytes(2, "little") + body[2:]).ljust(size, b"\0")


class Line:
    line = "A"

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, packet: memoryview) -> None:
        self.sent.append(bytes(packet))


class Part:
    """One partition's channels and its server."""

    def __init__(self, *, flags: PacketFlag = PacketFlag.INCREMENTAL, **limits: int) -> None:
        self.clock = ManualClock()
        self.line = Line()
        self.books, self.trades, snapshots = (
            ChannelPublisher(number, SESSION, flags, [self.line], self.clock, lambda _: None, ring)
            for number, ring in ((BOOKS, Ring(**limits)), (TRADES, Ring(**limits)), (SNAPSHOTS, None))
        )
        self.server = RetransmitServer(OWN, [self.books, self.trades, snapshots], self.clock)

    def send(self, *counts: int, size: int = 32) -> None:
        """Packets of so many messages on the books channel."""
        for count in counts:
            for _ in range(count):
                self.books.write(message(self.books.sequence, size))
            self.books.flush()

    def ask(self, first: int, count: int, *, size: int = ONE_PACKET, source: str = SOURCE, **what: int) -> list[Packet]:
        answer = self.server.answer(request(first, count, size=size, **what), source, self.clock.monotonic())
        assert sum(map(len, answer)) <= MOST * size
        assert all(len(packet) <= 1400 for packet in answer)
        return [parse(packet) for packet in answer]

    def refused(self, first: int, count: int, **what: int) -> RetransmitReject:
        return reject(*self.ask(first, count, **what))


def request(
    first: int,
    count: int,
    *,
    channel: int = BOOKS,
    size: int = ONE_PACKET,
    session: int = SESSION,
    to: int = OWN,
    flags: int = PacketFlag.RETRANSMIT,
) -> bytes:
    header = bytearray(32)
    pack_header_into(header, to, flags, 1, session, 0, 0)
    return bytes(header) + encoder.retransmit_request(RetransmitRequest(first, count, channel), size - 32)


def reject(packet: Packet) -> RetransmitReject:
    assert (packet.channel_id, packet.session_id, packet.sequence) == (OWN, SESSION, 0)
    assert packet.flags & ~PacketFlag.TEST == PacketFlag.RETRANSMIT
    (frame,) = packet.frames
    decoded = decode(packet, frame)
    assert decoded is not None
    assert isinstance(decoded.body, RetransmitReject)
    return decoded.body


def messages(packets: list[Packet]) -> list[bytes]:
    """The messages of packets that follow each other, byte for byte."""
    found = []
    for packet, following in zip(packets, [*packets[1:], None], strict=True):
        assert following is None or packet.next_sequence == following.sequence
        found += [packet.data[frame.root - 16 : frame.end] for frame in packet.frames]
    return found


def expected(first: int, count: int, size: int = 32) -> list[bytes]:
    return [message(sequence, size) for sequence in range(first, first + count)]


def test_a_lost_packet_comes_again_with_the_same_messages_under_a_header_of_its_own():
    part = Part()
    part.send(3, 40, 5)
    part.clock.advance(2.5)
    (packet,) = part.ask(4, 40)
    sent = part.line.sent[1]
    assert packet.data[32:] == sent[32:]
    assert (packet.channel_id, packet.session_id, packet.sequence, len(packet.frames)) == (BOOKS, SESSION, 4, 40)
    assert packet.flags == PacketFlag.INCREMENTAL | PacketFlag.RETRANSMIT
    assert packet.sending_time_ns == part.clock.wall_ns() == parse(sent).sending_time_ns + 2_500_000_000
    counters = part.server.counters
    assert (counters.requests, counters.packets, counters.messages, counters.bytes) == (1, 1, 40, len(packet.data))


def test_test_data_stays_flagged_in_answers_and_rejects():
    part = Part(flags=PacketFlag.INCREMENTAL | PacketFlag.TEST)
    part.send(1)
    (packet,) = part.ask(1, 1)
    assert packet.flags == PacketFlag.INCREMENTAL | PacketFlag.RETRANSMIT | PacketFlag.TEST
    (packet,) = part.ask(2, 1)
    assert packet.flags == PacketFlag.RETRANSMIT | PacketFlag.TEST


@pytest.mark.parametrize(("first", "count"), [(1, 1), (2, 3), (3, 4), (1, 9), (5, 5), (9, 1), (4, 1)])
def test_a_request_over_packet_boundaries_is_cut_at_messages(first, count):
    part = Part()
    part.send(3, 1, 5)
    assert messages(part.ask(first, count)) == expected(first, count)


def test_small_packets_come_again_as_one():
    part = Part()
    part.send(*[1] * 30)
    (packet,) = part.ask(1, 30)
    assert messages([packet]) == expected(1, 30)


@pytest.mark.parametrize(("last", "packets"), [(344, 1), (352, 2)])
def test_small_packets_come_again_as_one_of_1400_bytes_at_most(last, packets):
    part = Part()
    part.send(1, 1, size=512)
    part.send(1, size=last)
    assert len(part.ask(1, 3, size=1400)) == packets


def test_what_was_asked_for_beyond_the_last_packet_sent_is_left_out():
    part = Part()
    part.send(10)
    part.books.write(message(11))  # in the open packet
    assert messages(part.ask(8, 4_000_000_000)) == expected(8, 3)


@pytest.mark.parametrize("size", [64, 72, 96, 352, 712, 1400])
def test_an_answer_stops_at_the_message_that_would_make_it_more_than_four_times_its_request(size):
    part = Part()
    part.send(*[13] * 40, size=104)  # packets of 1,384 bytes
    packets = part.ask(1, 500, size=size)
    told = messages(packets)
    assert told == expected(1, len(told), 104)
    room = MOST * size - sum(len(packet.data) for packet in packets)
    assert room < 104 + 32, "it might have held another message"


def test_a_padded_request_gets_any_whole_packet():
    part = Part()
    part.send(1, size=1368)
    (packet,) = part.ask(1, 1)
    assert len(packet.data) == 1400


def test_a_request_too_short_for_its_first_message_is_counted_and_not_answered():
    part = Part()
    part.send(1, size=1368)
    assert part.ask(1, 1, size=64) == []
    assert part.server.counters.unpadded == 1


# Rejects -------------------------------------------------------------------------------------------------------------


def test_a_trimmed_ring_says_where_it_begins_and_never_to_ask_again():
    part = Part(most_messages=100)
    part.send(*[10] * 50)
    oldest = part.books.ring.oldest_sequence  # type: ignore[union-attr]
    assert 300 < oldest <= 401
    told = part.refused(oldest - 1, 5)
    assert told == RetransmitReject(oldest - 1, oldest, 501, 0, 5, BOOKS, RejectReason.TOO_OLD)
    assert messages(part.ask(oldest, 5)) == expected(oldest, 5)
    assert part.refused(0, 5).reason is RejectReason.TOO_OLD


def test_a_request_that_spans_the_oldest_message_is_too_old_as_a_whole():
    part = Part(most_messages=100)
    part.send(*[10] * 50)
    oldest = part.books.ring.oldest_sequence  # type: ignore[union-attr]
    assert part.refused(oldest - 3, 50).reason is RejectReason.TOO_OLD


def test_messages_of_the_open_packet_are_not_sent_yet():
    part = Part()
    part.send(4)
    part.books.write(message(5))
    told = part.refused(5, 1)
    assert (told.reason, told.oldest_sequence, told.next_sequence) == (RejectReason.NOT_SENT, 1, 5)
    assert told.retry_delay_ns > 0
    part.books.flush()
    assert messages(part.ask(5, 1)) == expected(5, 1)


def test_a_channel_that_has_sent_nothing_says_so():
    told = Part().refused(1, 1, channel=TRADES)
    assert (told.reason, told.oldest_sequence, told.next_sequence) == (RejectReason.NOT_SENT, 1, 1)


@pytest.mark.parametrize("session", [0, SESSION - 1, SESSION + 1, (1 << 64) - 1])
def test_another_session_is_told_the_present_one(session):
    part = Part()
    part.send(4)
    told = part.refused(1, 4, session=session)  # `reject` has looked at the header
    assert (told.reason, told.retry_delay_ns) == (RejectReason.OTHER_SESSION, 0)


@pytest.mark.parametrize("channel", [SNAPSHOTS, OWN, 0, 16, 65535])
def test_a_channel_that_is_not_kept_here_is_refused(channel):
    part = Part()
    part.send(4)
    told = part.refused(1, 4, channel=channel)
    assert (told.reason, told.channel_id, told.retry_delay_ns) == (RejectReason.NOT_HELD, channel, 0)


def test_a_reject_fits_four_times_the_shortest_request():
    part = Part()
    (packet,) = part.ask(1, 1, size=64)
    assert len(packet.data) <= MOST * 64


# What is no request --------------------------------------------------------------------------------------------------

_GOOD = request(1, 4)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        bytes(64),
        _GOOD[:-8],
        _GOOD + b"x",
        _GOOD[:7] + b"\0" + _GOOD[8:],
        _GOOD[:7] + b"\2" + _GOOD[8:],
        _GOOD + bytes(1401 - len(_GOOD)),
        request(1, 0),
        request(1, 4, to=BOOKS),
        request(1, 4, to=OWN - 16),
        request(1, 4, flags=0),
        request(1, 4, flags=PacketFlag.INCREMENTAL),
        request(1, 4, flags=PacketFlag.RETRANSMIT | PacketFlag.INCREMENTAL),
        _GOOD[:32] + message(1),
    ],
)
def test_what_is_no_request_is_counted_and_not_answered(data):
    part = Part()
    part.send(4)
    assert list(part.server.answer(data, SOURCE, NOW)) == []
    assert part.server.counters.invalid == part.server.counters.requests == 1
    assert len(part.server.sources) == 0, "and nothing is remembered of who sent it"


def test_two_servers_cannot_be_made_to_answer_each_other():
    one, other = Part(), Part()
    one.send(4)
    for first in (1, 9):  # packets of the channel; a reject
        for packet in one.server.answer(request(first, 1), SOURCE, NOW):
            assert list(other.server.answer(packet, SOURCE, NOW)) == []


def test_altered_requests_neither_raise_nor_get_more_than_four_times_their_bytes():
    part = Part()
    part.send(*[13] * 100, size=104)
    generator = random.Random(1)
    for number in range(20_000):
        data = bytearray(request(generator.randrange(1400), generator.randrange(1, 99), size=64))
        for _ in range(generator.randrange(1, 4)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        answer = part.server.answer(bytes(data), SOURCE, NOW + number)
        assert sum(map(len, answer)) <= MOST * len(data)


# Limits --------------------------------------------------------------------------------------------------------------


def test_a_flood_gets_its_burst_then_one_reject_and_then_silence_and_is_named_once(caplog):
    part = Part()
    part.send(1)
    answers = [part.ask(1, 1) for _ in range(BURST + 1000)]
    assert messages([packet for answer in answers[:BURST] for packet in answer][:1]) == expected(1, 1)
    assert all(len(answer) == 1 for answer in answers[: BURST + 1])
    told = reject(answers[BURST][0])
    assert (told.reason, told.retry_delay_ns) == (RejectReason.RATE, int(RETRY_SECONDS * 1e9))
    assert not any(answers[BURST + 1 :])
    assert part.server.counters.rate_limited == 999
    assert part.server.counters.rejects == Counter({RejectReason.RATE: 1})
    part.clock.advance(RETRY_SECONDS)
    for _ in range(BURST):
        part.ask(1, 1)
    assert part.server.counters.rejects == Counter({RejectReason.RATE: 2})
    assert [record.getMessage() for record in caplog.records] == [f"{SOURCE} asks partition 2 for over 1000 packets/s"]


def test_a_source_is_served_again_after_the_delay_it_was_told():
    part = Part()
    part.send(1)
    for _ in range(BURST + 1):
        part.ask(1, 1)
    part.clock.advance(RETRY_SECONDS)
    assert messages(part.ask(1, 1)) == expected(1, 1)


def test_in_the_long_run_a_source_gets_a_thousand_packets_a_second():
    part = Part()
    part.send(*[13] * 40, size=104)
    sent = 0
    for _ in range(20_000):
        sent += len(part.server.answer(request(1, 500, size=1400), SOURCE, part.clock.monotonic()))
        part.clock.advance(0.001)
    assert BURST + 0.9 * 20 * PACKETS_PER_SECOND < sent <= BURST + 1 + 20 * PACKETS_PER_SECOND


def test_an_answer_is_cut_to_the_packets_that_a_source_has_left():
    part = Part()
    part.send(*[13] * 40, size=104)
    for _ in range(BURST - 2):
        part.ask(1, 13)
    assert messages(part.ask(1, 500, size=1400)) == expected(1, 26, 104)


def test_another_source_is_not_held_to_account():
    part = Part()
    part.send(1)
    for _ in range(BURST + 10):
        part.ask(1, 1)
    assert messages(part.ask(1, 1, source="192.0.2.2")) == expected(1, 1)


def test_a_flood_from_a_hundred_thousand_forged_addresses_does_not_grow_the_table():
    part = Part()
    part.send(1)
    data = request(1, 1)
    for number in range(100_000):
        source = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        assert len(part.server.answer(data, source, NOW)) == 1
        assert len(part.server.sources) <= SOURCES


def test_the_source_not_heard_longest_is_the_one_forgotten():
    part = Part()
    part.send(1)
    part.ask(1, 1)
    for number in range(SOURCES - 1):
        part.ask(1, 1, source=f"10.0.{number >> 8}.{number & 255}")
    for _ in range(BURST):
        part.ask(1, 1)
    for number in range(SOURCES - 1):
        part.ask(1, 1, source=f"10.1.{number >> 8}.{number & 255}")
    assert part.ask(1, 1) == [], "still known, still silent"
    part.ask(1, 1, source="10.2.0.0")
    assert len(part.ask(1, 1)) == 1, "forgotten by now"


def test_what_was_answered_is_counted():
    part = Part()
    part.send(10, 10)
    part.ask(1, 10)
    part.ask(1, 20, size=1400)
    part.ask(99, 1)
    part.server.answer(b"", SOURCE, NOW)
    assert part.server.counters == RetransmitCounters(
        requests=4,
        packets=2,
        bytes=32 + 320 + 32 + 640,
        messages=30,
        invalid=1,
        rejects=Counter({RejectReason.NOT_SENT: 1}),
    )
