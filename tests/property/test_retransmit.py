"""Whatever was sent in whatever packets, and whatever is asked for: an answer is those very messages, and bounded."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from feeder.clock import ManualClock
from feeder.multicast.channel import ChannelPublisher
from feeder.multicast.retransmit import RetransmitServer
from feeder.multicast.ring import Ring
from feeder.wire import encoder
from feeder.wire.messages import PacketFlag, RetransmitRequest
from feeder.wire.packet import pack_header_into

SESSION, OWN, BOOKS = 5, 5, 0
NOW = ManualClock().monotonic()

# Sizes of messages; None ends the packet.
sent = st.lists(
    st.one_of(st.none(), st.sampled_from([16, 24, 104]), st.integers(2, 171).map(lambda units: 8 * units)),
    min_size=20,
    max_size=120,
)
asked = st.lists(
    st.tuples(
        st.integers(0, 130),
        st.one_of(st.integers(1, 130), st.just((1 << 32) - 1)),
        st.one_of(st.sampled_from([64, 352, 1400]), st.integers(8, 175).map(lambda units: 8 * units)),
    ),
    min_size=1,
    max_size=10,
)
limits = st.tuples(st.integers(1, 200), st.integers(1400, 100_000))


def some_message(number: int, size: int) -> bytes:
    """Sound framing, contents that differ: PROTOCOL.md, Messages."""
    return struct.pack("<HBBIHHHH", size, 3, 0, number, 0, 99, 0x4642, 2).ljust(size, bytes([number % 251]))


def messages_of(packet: bytes) -> list[bytes]:
    """A packet's messages, read by frameLength alone."""
    found, offset = [], 32
    while offset < len(packet):
        (length,) = struct.unpack_from("<H", packet, offset)
        found.append(packet[offset : offset + length])
        offset += length
    assert offset == len(packet)
    return found


@given(sent, asked, limits, st.booleans())
def test_an_answer_is_the_messages_asked_for_byte_for_byte_and_no_more(packing, requests, ring_limits, flushed):
    every: list[bytes] = [b""]  # by sequence, from 1
    told = 1  # the sequence behind those that left
    clock = ManualClock()
    ring = Ring(*ring_limits)
    channel = ChannelPublisher(BOOKS, SESSION, PacketFlag.INCREMENTAL, [], clock, lambda _: None, ring)
    server = RetransmitServer(OWN, [channel], clock)
    for size in packing:
        if size is None:
            channel.flush()
        else:
            every.append(some_message(len(every), size))
            channel.write(every[-1])
    if flushed:
        channel.flush()
    told = ring.next_sequence
    assert len(every) - told == channel._count
    for number, (first, count, size) in enumerate(requests):
        header = bytearray(32)
        pack_header_into(header, OWN, PacketFlag.RETRANSMIT, 1, SESSION, 0, 0)
        data = bytes(header) + encoder.retransmit_request(RetransmitRequest(first, count, BOOKS), size - 32)
        answer = server.answer(data, "192.0.2.1", NOW + number)
        assert sum(map(len, answer)) <= 4 * len(data)
        assert all(len(packet) <= 1400 for packet in answer)
        if not ring.oldest_sequence <= first < told:
            (only,) = answer
            assert struct.unpack_from("<H", only, 4) == (OWN,)
            continue
        wanted = every[first : min(first + count, told)]
        got: list[bytes] = []
        for packet in answer:
            _, _, _, channel_id, flags, messages, session, sequence, _ = struct.unpack_from("<HBBHBBQQQ", packet)
            assert (channel_id, flags, session, sequence) == (BOOKS, 0x09, SESSION, first + len(got))
            found = messages_of(packet)
            assert len(found) == messages
            got += found
        assert got == wanted[: len(got)]
        if len(got) < len(wanted):
            room = 4 * len(data) - sum(map(len, answer))
            assert room < len(wanted[len(got)]) + 32, "there was room for one more"
