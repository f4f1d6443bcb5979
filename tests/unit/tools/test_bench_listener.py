import struct
from typing import NamedTuple

import pytest
from bench_listener import Latencies, Reading

SENT = 1_790_000_000_000_000_000
ORIGIN_US = SENT // 1000 - 50_000_000_000 - 900
INSTRUMENT = 77
BOOKS, BBO, SNAPSHOTS = 0, 2, 3


class Delta(NamedTuple):
    update: int
    received_us_ago: int = 200
    flags: int = 0x03

    def frame(self) -> bytes:
        received = SENT - self.received_us_ago * 1000
        body = struct.pack("<QQQQQQbbH", 9, self.update, 50_000_000_000, SENT - 1, SENT - 1, received, -2, -3, 0)
        return framed(10, body + struct.pack("<HH", 16, 0), self.flags, 52)


def framed(template: int, body: bytes, flags: int = 0x03, block: int | None = None) -> bytes:
    body += bytes(-len(body) % 8)
    length = 16 + len(body)
    return struct.pack("<HBBIHHHH", length, flags, 0, INSTRUMENT, block or len(body), template, 17986, 1) + body


def status(value: int) -> bytes:
    return framed(2, struct.pack("<QBBxxxxxx", 3, value, 0))


def clear() -> bytes:
    return framed(11, struct.pack("<QBxxxxxxx", 3, 0))


def begin(update: int) -> bytes:
    return framed(20, struct.pack("<QQQQQQQHHHBBbbxxxxxx", 5, 6, update, 0, 0, 0, 0, 0, 0, 0, 2, 0, -2, -3))


def packet(sequence: int, *frames: bytes, kind: int = BOOKS, flags: int = 1, session: int = 5) -> bytes:
    header = struct.pack("<HBBHBBQQQ", 0x4642, 1, 32, 16 * 2 + kind, flags, len(frames), session, sequence, SENT)
    return header + b"".join(frames)


@pytest.fixture
def reading() -> Reading:
    """A book LIVE at update 100."""
    reading = Reading(ORIGIN_US)
    reading.on_datagram("A", packet(1, clear(), Delta(100).frame(), status(2)))
    return reading


def test_the_snapshot_a_book_starts_with_is_no_update(reading: Reading) -> None:
    assert reading.live == {INSTRUMENT}
    assert reading.figures.deltas == reading.figures.covered == 0
    assert reading.updates == {INSTRUMENT: 100}


def test_updates_are_counted_by_the_ids_they_cover(reading: Reading) -> None:
    reading.on_datagram("A", packet(4, Delta(101).frame(), Delta(106, flags=0x03 | 0x08).frame()))
    told = reading.figures.told()
    assert (told["deltas"], told["covered"], told["conflated"]) == (2, 6, 1)


def test_an_event_of_two_messages_is_one_update(reading: Reading) -> None:
    reading.on_datagram("A", packet(4, Delta(101, flags=1).frame(), Delta(101, flags=2).frame()))
    assert reading.figures.covered == 1


def test_latency_is_from_receive_time_to_the_packets_sending_time(reading: Reading) -> None:
    reading.on_datagram("A", packet(4, Delta(101, 150).frame(), Delta(102, 350).frame()))
    told = reading.figures.told()
    assert told["latency_us"]["p50"] == 150
    assert told["latency_us"]["max"] == 350
    assert told["latency_from_write_us"]["p50"] == 900


def test_a_book_that_restarts_skips_ids_that_nobody_handled(reading: Reading) -> None:
    reading.on_datagram("A", packet(4, status(3)))
    assert reading.figures.not_live == 1
    assert not reading.live
    reading.on_datagram("A", packet(5, clear(), Delta(900).frame(), status(2)))
    reading.on_datagram("A", packet(8, Delta(901).frame()))
    assert reading.figures.covered == 1
    assert reading.live == {INSTRUMENT}


def test_lost_packets_are_seen_on_each_line(reading: Reading) -> None:
    reading.on_datagram("B", packet(4, Delta(101).frame()))
    reading.on_datagram("B", packet(6, Delta(103).frame()))
    reading.on_datagram("A", packet(5, Delta(102).frame()))
    assert reading.figures.lost == 2


def test_a_packet_of_several_messages_counts_as_many(reading: Reading) -> None:
    reading.on_datagram("A", packet(4, Delta(101).frame(), Delta(102).frame()))
    reading.on_datagram("A", packet(6, Delta(103).frame()))
    assert reading.figures.lost == 0


def test_another_session_is_no_loss(reading: Reading) -> None:
    reading.on_datagram("A", packet(1, status(1), session=6))
    assert reading.figures.lost == 0


def test_packets_are_counted_by_kind_on_line_a_heartbeats_apart(reading: Reading) -> None:
    reading.on_datagram("A", packet(1, framed(13, bytes(72)), kind=BBO))
    reading.on_datagram("B", packet(1, framed(13, bytes(72)), kind=BBO))
    reading.on_datagram("A", packet(4, flags=0x10))
    assert reading.figures.told()["packets"] == {"books": 1, "bbo": 1, "heartbeats": 1}


def test_the_last_update_is_awaited_and_may_come_by_snapshot(reading: Reading) -> None:
    reading.expect({INSTRUMENT: 102})
    reading.on_datagram("A", packet(4, Delta(101).frame()))
    assert reading.finals
    reading.on_datagram("A", packet(1, begin(101), kind=SNAPSHOTS, flags=2))
    assert reading.finals
    reading.on_datagram("A", packet(2, begin(102), kind=SNAPSHOTS, flags=2))
    assert not reading.finals
    assert reading.last_update_ns == SENT


def test_what_is_there_already_is_not_awaited(reading: Reading) -> None:
    reading.expect({INSTRUMENT: 100})
    assert not reading.finals


def test_percentiles_are_the_least_value_that_so_many_do_not_exceed() -> None:
    latencies = Latencies()
    for value in range(1, 1001):
        latencies.counts[value] += 1
    assert latencies.told() == {"p50": 500, "p90": 900, "p99": 990, "p99.9": 999, "max": 1000}
    assert Latencies().told() == {}
