"""The last messages of a channel: which are held, which are forgotten, and where each is found."""

from itertools import pairwise

import pytest

from feeder.clock import ManualClock
from feeder.multicast.channel import ChannelPublisher, LineSender
from feeder.multicast.ring import RING_BYTES, RING_MESSAGES, Ring
from feeder.wire import encoder
from feeder.wire.messages import BookChecksum, PacketFlag


def filled(counts: list[int], **limits: int) -> Ring:
    """A ring of packets of so many messages; each message is one byte, the low byte of its sequence."""
    ring = Ring(**limits)
    for count in counts:
        ring.append(count, bytes((ring.next_sequence + index) % 256 for index in range(count)))
    return ring


def test_an_empty_ring_holds_nothing_and_awaits_the_first_message():
    ring = Ring()
    assert (ring.oldest_sequence, ring.next_sequence, ring.messages, ring.bytes) == (1, 1, 0, 0)


def test_a_packet_is_found_by_any_of_its_messages():
    ring = filled([3, 1, 5])
    packets = {1: (1, 3), 2: (1, 3), 3: (1, 3), 4: (4, 1), 5: (5, 5), 9: (5, 5)}
    for sequence, (begin, count) in packets.items():
        found = next(ring.packets(sequence))
        assert found == (begin, count, bytes(range(begin, begin + count)))
    assert [begin for begin, _, _ in ring.packets(2)] == [1, 4, 5]


def test_at_least_the_last_messages_are_held_and_only_a_hundredth_more():
    ring = filled([7] * 400, most_messages=1000, most_bytes=1 << 30)
    for _ in range(1000):
        ring.append(7, bytes(7))
        assert 1000 <= ring.messages <= 1000 + 10 + 2 * 7
        assert ring.next_sequence - ring.oldest_sequence == ring.messages == ring.bytes


def test_the_bytes_held_never_exceed_their_limit():
    ring = Ring(most_bytes=10_000)
    for size in [1368, 24, 512] * 300:
        ring.append(1, bytes(size))
        assert ring.bytes <= 10_000
        assert ring.bytes == sum(len(payload) for _, _, payload in ring.packets(ring.oldest_sequence))
    assert ring.bytes > 8_000


def test_packets_stay_gapless_and_right_while_the_oldest_are_forgotten():
    ring = filled([1, 4, 2] * 5000, most_messages=900, most_bytes=1 << 20)
    found = list(ring.packets(ring.oldest_sequence))
    assert found[0][0] == ring.oldest_sequence
    assert all(a + count == b for (a, count, _), (b, _, _) in pairwise(found))
    assert found[-1][0] + found[-1][1] == ring.next_sequence
    for begin, count, payload in found:
        assert payload == bytes((begin + index) % 256 for index in range(count))


def test_forgotten_packets_give_their_places_back():
    ring = filled([1] * 100_000, most_messages=2000)
    assert len(ring._payloads) == len(ring._sequences) <= 2 * 2020 + 1
    assert sum(map(len, ring._payloads)) == ring.bytes


def test_one_packet_beyond_every_limit_is_held_all_the_same():
    ring = filled([50, 50], most_messages=10, most_bytes=10)
    assert ring.oldest_sequence == 51
    assert next(ring.packets(60))[:2] == (51, 50)


def test_the_limits_are_those_that_are_published():
    assert (RING_MESSAGES, RING_BYTES) == (100_000, 32 * 1024 * 1024)


class Socket:
    """Takes nothing, or everything."""

    def __init__(self, error: OSError | None) -> None:
        self.error = error
        self.sent: list[bytes] = []

    def send(self, data: memoryview) -> int:
        if self.error is not None:
            raise self.error
        self.sent.append(bytes(data))
        return len(data)


@pytest.mark.parametrize("error", [None, BlockingIOError(11, "full"), OSError(105, "No buffer space available")])
def test_a_packet_is_kept_whether_or_not_a_line_took_it(error):
    line = Socket(error)
    channel = ChannelPublisher(
        0, 77, PacketFlag.INCREMENTAL, [LineSender("A", line)], ManualClock(), lambda _: None, Ring()
    )  # type: ignore[arg-type]
    message = encoder.book_checksum(1, BookChecksum(1, 2, 3))
    for _ in range(3):
        channel.write(message)
    assert channel.ring is not None
    assert channel.ring.messages == 0, "what is not sent yet is not held yet"
    channel.flush()
    channel.tick(1e9)
    channel.end_session()
    assert list(channel.ring.packets(1)) == [(1, 3, message * 3)], "heartbeats and ends of session are no messages"
    assert line.sent[:1] == ([] if error else [line.sent[0][:32] + message * 3])
