"""Packets: the 32-byte header, and the frames inside, checked as a whole before any message is believed."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from feeder.errors import WireError
from feeder.wire.layout import FRAME, HEADER
from feeder.wire.messages import HEADER_LENGTH, HEADER_VERSION, PROTOCOL_ID

_MIN_FRAME = 16  # prefix and SBE header
_FRAME_LENGTH = struct.Struct("<H")


class Frame(NamedTuple):
    """Where one message stands in a packet: `root` is the offset of its root block, `end` behind its last pad byte."""

    instrument_id: int
    event_flags: int
    template: int
    block_length: int
    root: int
    end: int


class Packet(NamedTuple):
    """A packet whose framing is sound. sequence is that of the first frame; next_sequence that behind the last."""

    channel_id: int
    flags: int
    session_id: int
    sequence: int
    sending_time_ns: int
    frames: list[Frame]
    data: bytes

    @property
    def next_sequence(self) -> int:
        """The sequence the channel's next message will have."""
        return self.sequence + len(self.frames)


def pack_header_into(
    buffer: bytearray,
    channel_id: int,
    flags: int,
    message_count: int,
    session_id: int,
    sequence: int,
    sending_time_ns: int,
) -> None:
    """Write the header over the first 32 bytes of `buffer`."""
    HEADER.pack_into(
        buffer,
        0,
        PROTOCOL_ID,
        HEADER_VERSION,
        HEADER_LENGTH,
        channel_id,
        flags,
        message_count,
        session_id,
        sequence,
        sending_time_ns,
    )


def parse(data: bytes) -> Packet:
    """Check a datagram's framing. Raises WireError, naming what is wrong, and nothing else, for any bytes.

    Header bytes beyond those known here are skipped by headerLength. The SBE headers' schema id is checked; templates
    and versions are the decoder's affair.
    """
    size = len(data)
    if size < HEADER_LENGTH:
        raise WireError(f"packet of {size} bytes is shorter than its header")
    protocol, version, header_length, channel_id, flags, count, session, sequence, sent = HEADER.unpack_from(data)
    if protocol != PROTOCOL_ID:
        raise WireError(f"protocol id {protocol:#06x} is not {PROTOCOL_ID:#06x}")
    if version < HEADER_VERSION or header_length < HEADER_LENGTH or header_length > size:
        raise WireError(f"header version {version} of {header_length} bytes in a packet of {size}")
    frames = []
    offset = header_length
    unpack = FRAME.unpack_from
    for index in range(count):
        if offset + _MIN_FRAME > size:
            raise WireError(f"message {index} of {count} begins beyond the packet's end")
        length, event_flags, _, instrument_id, block_length, template, schema, _ = unpack(data, offset)
        end = offset + length
        if length < _MIN_FRAME or length & 7 or end > size:
            raise WireError(f"message {index} has frame length {length} at offset {offset} of {size} bytes")
        root = offset + _MIN_FRAME
        if root + block_length > end:
            raise WireError(f"message {index} has block length {block_length} in a frame of {length}")
        if schema != PROTOCOL_ID:
            raise WireError(f"message {index} has schema id {schema}, not {PROTOCOL_ID}")
        frames.append(Frame(instrument_id, event_flags, template, block_length, root, end))
        offset = end
    if offset != size:
        raise WireError(f"{size - offset} bytes behind the last message")
    return Packet(channel_id, flags, session, sequence, sent, frames, data)


def frame_lengths(messages: bytes) -> Iterator[int]:
    """Of messages that stand one behind the other, as we have packed them: how many bytes each has."""
    offset, size = 0, len(messages)
    while offset < size:
        (length,) = _FRAME_LENGTH.unpack_from(messages, offset)
        yield length
        offset += length
