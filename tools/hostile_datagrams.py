"""Hostile datagrams made of sound ones: broken ones, that PROTOCOL.md has every receiver refuse, and ones that lie.

What makes a datagram broken is done here on purpose, one rule at a time: no judgement of feeder's decides what the
test then asks feeder to refuse.
"""

import struct
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from feeder.wire.layout import FORMATS, LEVEL_SIZE, ROOTS
from feeder.wire.messages import HEADER_LENGTH, PROTOCOL_ID, Template

_PREFIX = 16  # of a message: frame prefix and SBE header
_LARGEST = 65507  # bytes that UDP can carry
OTHER_CHANNEL = "channel"
"""What is wrong with a packet of one channel at the address of another."""

_EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 1 << 31, (1 << 32) - 1, (1 << 62), (1 << 63) - 1, 1 << 63)

_LEVELS = (Template.BOOK_DELTA, Template.SNAPSHOT_LEVELS)
_NAMES = {
    Template.INSTRUMENT_DEFINITION: "symbol tick step version category priceExponent quantityExponent status",
    Template.INSTRUMENT_STATUS: "instrumentSequence status reason",
    Template.BOOK_DELTA: "instrumentSequence updateId venueSequence matchTime sendTime receiveTime priceExponent "
    "quantityExponent bidCount",
    Template.BOOK_CLEAR: "instrumentSequence reason",
    Template.BOOK_CHECKSUM: "instrumentSequence levels checksum",
    Template.SNAPSHOT_BEGIN: "instrumentSequence booksSequence updateId venueSequence matchTime sendTime receiveTime "
    "fragments bidCount askCount status reason priceExponent quantityExponent",
    Template.SNAPSHOT_LEVELS: "instrumentSequence fragment bidCount",
    Template.SNAPSHOT_END: "instrumentSequence levels checksum",
    Template.CYCLE_END: "cycleTime instruments",
}
"""The fields of what makes and mends books, for a finding's text; those of other templates are numbered."""


class Sound(NamedTuple):
    """A datagram that was sent, and where its messages begin."""

    data: bytes
    starts: tuple[int, ...]


def sound(data: bytes) -> Sound:
    """A datagram known to be sound, with its messages found."""
    starts = []
    at = HEADER_LENGTH
    for _ in range(data[7]):
        starts.append(at)
        at += int.from_bytes(data[at : at + 2], "little")
    return Sound(data, tuple(starts))


# Broken ---------------------------------------------------------------------------------------------------------------


def broken(random: Random, model: Sound) -> tuple[str, bytes]:
    """(what is wrong, a datagram that no receiver of `model`'s channel may take)."""
    name, make = _BROKEN[int(random.random() * len(_BROKEN))]
    return name, make(random, model)


def _truncated(random: Random, model: Sound) -> bytes:
    return model.data[: int(random.random() * len(model.data))]


def _between_messages(random: Random, model: Sound) -> bytes:
    return model.data[: random.choice(model.starts)] if model.starts else b""


def _extended(random: Random, model: Sound) -> bytes:
    return model.data + random.randbytes(random.choice((1, 7, 8, 16, 64)))


def _doubled(random: Random, model: Sound) -> bytes:
    return model.data + model.data


def _enormous(random: Random, model: Sound) -> bytes:
    size = _LARGEST if random.random() < 0.01 else 1401 + int(random.random() * 600)
    return model.data + bytes(size - len(model.data))


def _noise(random: Random, model: Sound) -> bytes:
    noise = random.randbytes(int(random.random() * 200))
    return noise if int.from_bytes(noise[:2], "little") != PROTOCOL_ID else b""


def _protocol(random: Random, model: Sound) -> bytes:
    return _other(random, model.data, 0, 2)


def _header_version(random: Random, model: Sound) -> bytes:
    return _put(model.data, 2, 1, 0)


def _header_length(random: Random, model: Sound) -> bytes:
    longest = min(256, len(model.data) + 1)
    short = random.random() < 0.5 or longest == 256
    return _put(model.data, 3, 1, int(random.random() * HEADER_LENGTH) if short else random.randrange(longest, 256))


def _channel(random: Random, model: Sound) -> bytes:
    return _other(random, model.data, 4, 2)


def _message_count(random: Random, model: Sound) -> bytes:
    return _other(random, model.data, 7, 1)


def _frame_length(random: Random, model: Sound) -> bytes:
    if not model.starts:
        return _message_count(random, model)
    at = random.choice(model.starts)
    beyond = len(model.data) - at + 8
    length = random.choice((0, 8, 15, random.randrange(17, 1400) | 1, random.randrange(beyond, 0x10000)))
    return _put(model.data, at, 2, length)


def _block_length(random: Random, model: Sound) -> bytes:
    if not model.starts:
        return _truncated(random, model)
    at = random.choice(model.starts)
    room = int.from_bytes(model.data[at : at + 2], "little") - _PREFIX
    return _put(model.data, at + 8, 2, random.randrange(room + 1, 0x10000))


def _schema(random: Random, model: Sound) -> bytes:
    if not model.starts:
        return _protocol(random, model)
    return _other(random, model.data, random.choice(model.starts) + 12, 2)


_BROKEN: tuple[tuple[str, Callable[[Random, Sound], bytes]], ...] = (
    ("truncated", _truncated),
    ("truncated between messages", _between_messages),
    ("bytes behind the last message", _extended),
    ("two packets in one", _doubled),
    ("too long for a packet", _enormous),
    ("noise", _noise),
    ("protocol id", _protocol),
    ("header version", _header_version),
    ("header length", _header_length),
    (OTHER_CHANNEL, _channel),
    ("message count", _message_count),
    ("frame length", _frame_length),
    ("block length", _block_length),
    ("schema id", _schema),
)


# Altered --------------------------------------------------------------------------------------------------------------


def templates(model: Sound) -> list[int]:
    """Of its messages, in order."""
    return [int.from_bytes(model.data[start + 10 : start + 12], "little") for start in model.starts]


def altered(random: Random, model: Sound, ids: tuple[int, ...], wanted: Template | None) -> tuple[str, bytes]:
    """(what is another, the same datagram with one field changed): its framing stays sound.

    ids: instrument ids of the feed, one of which a changed instrument id may become. wanted: the template to change a
    message of, which is there; None changes any, or the header.
    """
    if not model.starts or (wanted is None and random.random() < 0.3):
        at, width, name = random.choice(
            ((6, 1, "packetFlags"), (8, 8, "sessionId"), (16, 8, "sequence"), (24, 8, "sent"))
        )
        return f"header {name}", _lie(random, model.data, at, width)
    here = [each for each in zip(model.starts, templates(model), strict=True) if wanted in (None, each[1])]
    start, template = random.choice(here)
    data = model.data
    name = Template(template).name
    draw = random.random()
    if draw < 0.2:
        field = random.choice(("eventFlags", "reserved", "instrumentId", "templateId", "version", "blockLength"))
        if field == "instrumentId":
            number = random.choice([each for each in ids if each.to_bytes(4, "little") != data[start + 4 : start + 8]])
            return f"{name} instrumentId", _put(data, start + 4, 4, number)
        if field == "blockLength":
            return f"{name} blockLength", _put(data, start + 8, 2, random.randrange(ROOTS[Template(template)].size))
        at, width = {"eventFlags": (2, 1), "reserved": (3, 1), "templateId": (10, 2), "version": (14, 2)}[field]
        return f"{name} {field}", _lie(random, data, start + at, width)
    root = ROOTS[Template(template)].size
    if template in _LEVELS and draw < 0.65:
        group = start + _PREFIX + root
        count = int.from_bytes(data[group + 2 : group + 4], "little")
        if not count or random.random() < 0.1:
            at, what = random.choice(((0, "entry size"), (2, "level count")))
            return f"{name} {what}", _lie(random, data, group + at, 2)
        at = group + 4 + LEVEL_SIZE * random.randrange(count)
        price = random.random() < 0.5
        return f"{name} {'price' if price else 'quantity'}", _lie(random, data, at + (0 if price else 8), 8)
    if template == Template.CHANNEL_INFO and draw < 0.6:  # its lines: names, addresses, ports
        at = random.randrange(start + _PREFIX + root, start + int.from_bytes(data[start : start + 2], "little"))
        return f"{name} line", _lie(random, data, at, 1)
    fields = _fields(Template(template))
    number = random.randrange(len(fields))
    at, width = fields[number]
    names = _NAMES.get(Template(template), "").split()
    what = names[number] if names else f"field {number}"
    return f"{name} {what}", _lie(random, data, start + _PREFIX + at, width)


def _fields(template: Template) -> list[tuple[int, int]]:
    """(offset, width) of each field of a root block."""
    fields = []
    at = 0
    count = ""
    for char in FORMATS[template]:
        if char.isdigit():
            count += char
            continue
        width = struct.calcsize(f"<{count}{char}")
        if char != "x":
            fields.append((at, width))
        at += width
        count = ""
    return fields


def _lie(random: Random, data: bytes, at: int, width: int) -> bytes:
    """Another value near the true one, at an edge, or anywhere."""
    old = int.from_bytes(data[at : at + width], "little")
    bits = 8 * width
    while True:
        new = random.choice(
            (old + 1, old - 1, old + random.randrange(2, 100), random.choice(_EDGES), random.getrandbits(bits))
        )
        new &= (1 << bits) - 1
        if new != old:
            return _put(data, at, width, new)


def _other(random: Random, data: bytes, at: int, width: int) -> bytes:
    """Any other value."""
    old = int.from_bytes(data[at : at + width], "little")
    new = int(random.random() * ((1 << (8 * width)) - 1))
    return _put(data, at, width, new if new < old else new + 1)


def _put(data: bytes, at: int, width: int, value: int) -> bytes:
    return data[:at] + value.to_bytes(width, "little") + data[at + width :]
