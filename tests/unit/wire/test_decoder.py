"""What is encoded decodes to the same; what is not ours is refused whole; what is newer is skipped."""

import struct

import pytest

from feeder.errors import WireError
from feeder.market.status import BookStatus
from feeder.wire.decoder import decode
from feeder.wire.messages import Message
from feeder.wire.packet import parse
from tests.helpers.wire_samples import INSTRUMENT, packet, samples

SAMPLES = samples()


@pytest.mark.parametrize(("body", "data"), SAMPLES, ids=lambda s: type(s).__name__)
def test_message_survives_the_wire(body, data):
    parsed = parse(packet(data, sequence=41))
    message = decode(parsed, parsed.frames[0])
    assert isinstance(message, Message)
    assert message.body == body
    assert message.instrument_id in {INSTRUMENT, 0}


def test_packet_of_all_templates_keeps_order_and_counts_sequence():
    parsed = parse(packet(*(data for _, data in SAMPLES), sequence=100))
    bodies = [decode(parsed, frame).body for frame in parsed.frames]  # type: ignore[union-attr]
    assert bodies == [body for body, _ in SAMPLES]
    assert parsed.next_sequence == 100 + len(SAMPLES)


@pytest.mark.parametrize(("body", "data"), SAMPLES, ids=lambda s: type(s).__name__)
def test_fields_appended_by_a_later_version_are_skipped(body, data):
    block = struct.unpack_from("<H", data, 8)[0]
    root_end = 16 + block
    longer = bytearray(data[:root_end] + b"\xaa" * 16 + data[root_end:])
    struct.pack_into("<H", longer, 0, len(longer))
    struct.pack_into("<H", longer, 8, block + 16)
    struct.pack_into("<H", longer, 14, 2)
    parsed = parse(packet(bytes(longer)))
    assert decode(parsed, parsed.frames[0]).body == body  # type: ignore[union-attr]


def test_group_entries_grown_by_a_later_version_are_skipped():
    body, data = next((b, d) for b, d in SAMPLES if type(b).__name__ == "BookDelta")
    head, levels = data[:72], data[72:]
    grown = bytearray(head + b"".join(levels[i : i + 16] + b"\xbb" * 8 for i in range(0, len(levels), 16)))
    struct.pack_into("<H", grown, 0, len(grown))
    struct.pack_into("<H", grown, 68, 24)
    parsed = parse(packet(bytes(grown)))
    assert decode(parsed, parsed.frames[0]).body == body  # type: ignore[union-attr]


def test_header_bytes_appended_by_a_later_version_are_skipped():
    body, data = SAMPLES[2]
    whole = packet(data)
    longer = bytearray(whole[:32] + b"\xcc" * 8 + whole[32:])
    longer[3] = 40
    parsed = parse(bytes(longer))
    assert decode(parsed, parsed.frames[0]).body == body  # type: ignore[union-attr]


def test_unknown_template_is_ignored_not_an_error():
    data = bytearray(SAMPLES[1][1])
    struct.pack_into("<H", data, 10, 999)
    parsed = parse(packet(bytes(data)))
    assert decode(parsed, parsed.frames[0]) is None


@pytest.mark.parametrize(
    ("offset", "value", "why"),
    [
        (32, 20, "frame length"),  # not a multiple of 8
        (32, 8, "frame length"),  # below prefix and SBE header
        (32, 2000, "frame length"),  # beyond the packet
        (32, 24, "block length"),  # root beyond the frame
        (32 + 12, 7, "schema id"),
    ],
)
def test_a_packet_with_one_bad_frame_is_rejected_whole(offset, value, why):
    data = bytearray(packet(SAMPLES[2][1], SAMPLES[1][1]))
    struct.pack_into("<H", data, offset, value)
    with pytest.raises(WireError, match=why):
        parse(bytes(data))


def test_bytes_behind_the_last_message_or_before_the_first_are_refused():
    whole = packet(SAMPLES[2][1])
    for broken in [whole + b"\0" * 8, whole[:-8], whole[:31], b"", b"\0" * 64]:
        with pytest.raises(WireError):
            parse(broken)


def test_impossible_values_are_refused():
    delta = bytearray(SAMPLES[2][1])
    struct.pack_into("<H", delta, 70, 60)  # more levels than the frame holds
    parsed = parse(packet(bytes(delta)))
    with pytest.raises(WireError):
        decode(parsed, parsed.frames[0])


def test_a_status_of_a_later_version_is_none_to_trade_on():
    data = bytearray(SAMPLES[1][1])
    data[24] = 200
    parsed = parse(packet(bytes(data)))
    assert decode(parsed, parsed.frames[0]).body.status is BookStatus.STALE  # type: ignore[union-attr]
