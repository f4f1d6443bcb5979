"""Every field of every template, group and header stands where it stood when it was released: a literal table."""

import re
import struct

import pytest

from feeder.wire import layout
from feeder.wire.messages import SCHEMA_VERSION, Template
from tests.helpers.schema import Block, Schema

SCHEMA = Schema()

# name offset+size, ...: rows are only ever appended, and fields only at the end of one.
TABLE = """
messageHeader: blockLength 0+2, templateId 2+2, schemaId 4+2, version 6+2
groupSizeEncoding: blockLength 0+2, numInGroup 2+2
1 InstrumentDefinition: symbol 0+32, tickSize 32+8, quantityStep 40+8, definitionVersion 48+4, category 52+1,
    priceExponent 53+1, quantityExponent 54+1, status 55+1
2 InstrumentStatus: instrumentSequence 0+8, status 8+1, reason 9+1, pad1 10+2, pad2 12+4
10 BookDelta: instrumentSequence 0+8, venueUpdateId 8+8, venueSequence 16+8, venueMatchTime 24+8, venueSendTime 32+8,
    receiveTime 40+8, priceExponent 48+1, quantityExponent 49+1, bidCount 50+2
10 BookDelta.levels: price 0+8, quantity 8+8
11 BookClear: instrumentSequence 0+8, reason 8+1, pad1 9+1, pad2 10+2, pad3 12+4
12 BookChecksum: instrumentSequence 0+8, levels 8+4, checksum 12+4
13 Bbo: instrumentSequence 0+8, bidPrice 8+8, bidQuantity 16+8, askPrice 24+8, askQuantity 32+8, venueMatchTime 40+8,
    venueSendTime 48+8, receiveTime 56+8, priceExponent 64+1, quantityExponent 65+1, status 66+1, pad1 67+1, pad2 68+4
14 Trade: price 0+8, quantity 8+8, tradeSequence 16+8, bookSequence 24+8, venueSequence 32+8, venueMatchTime 40+8,
    venueSendTime 48+8, receiveTime 56+8, tradeId 64+40, priceExponent 104+1, quantityExponent 105+1,
    aggressorSide 106+1, pad1 107+1, pad2 108+4
15 TradesLost: firstTradeSequence 0+8, lastTradeSequence 8+8, count 16+4, pad1 20+4
20 SnapshotBegin: instrumentSequence 0+8, booksSequence 8+8, venueUpdateId 16+8, venueSequence 24+8,
    venueMatchTime 32+8, venueSendTime 40+8, receiveTime 48+8, fragments 56+2, bidCount 58+2, askCount 60+2,
    status 62+1, reason 63+1, priceExponent 64+1, quantityExponent 65+1, pad1 66+2, pad2 68+4
21 SnapshotLevels: instrumentSequence 0+8, fragment 8+2, bidCount 10+2
21 SnapshotLevels.levels: price 0+8, quantity 8+8
22 SnapshotEnd: instrumentSequence 0+8, levels 8+4, checksum 12+4
23 CycleEnd: cycleTime 0+8, instruments 8+4, pad1 12+4
30 RetransmitRequest: firstSequence 0+8, count 8+4, channelId 12+2, pad1 14+2
31 RetransmitReject: firstSequence 0+8, oldestSequence 8+8, nextSequence 16+8, retryDelay 24+8, count 32+4,
    channelId 36+2, reason 38+1, pad1 39+1
40 ChannelInfo: heartbeatInterval 0+8, cycleTime 8+8, ringSize 16+4, channelId 20+2, kind 22+1,
    partitions 23+1, pad1 24+4
40 ChannelInfo.lines: line 0+8, group 8+16, port 24+2, pad2 26+2, pad3 28+4
"""
ROWS = [row.partition(": ") for row in re.sub(r",\s+", ", ", TABLE).strip().splitlines()]
PINNED = {name: fields for name, _, fields in ROWS}

HEADER = [0, 2, 3, 4, 6, 7, 8, 16, 24]  # protocolId ... sendingTime, as PROTOCOL.md has them
PREFIX = [0, 2, 3, 4, 8, 10, 12, 14]  # frameLength, eventFlags, reserved, instrumentId, then the SBE header


def offsets(format_: str) -> list[tuple[int, int]]:
    """(offset, size) of each value of a struct format; pad bytes are none."""
    found = []
    before = "<"
    for count, code in re.findall(r"(\d*)([a-z?])", format_, re.IGNORECASE):
        repeats = int(count or 1) if code not in "sx" else 1
        for _ in range(repeats):
            item = (count if code in "sx" else "") + code
            if code != "x":
                found.append((struct.calcsize(before), struct.calcsize("<" + item)))
            before += item
    return found


def blocks() -> dict[str, Block]:
    found = dict(SCHEMA.composites)
    for template in SCHEMA.templates.values():
        found[f"{template.id} {template.name}"] = template.root
        if template.group:
            found[f"{template.id} {template.name}.{template.group}"] = template.entry
    return found


@pytest.mark.parametrize("name", PINNED)
def test_schema_has_every_field_where_it_is_pinned(name: str):
    fields = ", ".join(f"{f.name} {f.offset}+{f.size}" for f in blocks()[name].fields)
    assert fields == PINNED[name]


def test_nothing_is_in_the_schema_that_is_not_pinned():
    assert set(blocks()) == set(PINNED)


@pytest.mark.parametrize("name", PINNED)
def test_code_has_every_field_where_it_is_pinned(name: str):
    pinned = [
        (int(offset), int(size))
        for field, offset, size in re.findall(r"(\w+) (\d+)\+(\d+)", PINNED[name])
        if not field.startswith("pad")
    ]
    formats = {
        "messageHeader": layout.FRAME.format[5:],
        "groupSizeEncoding": layout.GROUP.format,
        "10 BookDelta.levels": layout.levels(1).format,
        "21 SnapshotLevels.levels": layout.levels(1).format,
        "40 ChannelInfo.lines": layout.LINE.format,
    }
    format_ = formats.get(name) or layout.FORMATS[Template(int(name.split()[0]))]
    assert offsets(format_) == pinned
    assert struct.calcsize("<" + format_.removeprefix("<")) == blocks()[name].size


def test_header_and_prefix_stand_where_they_are_pinned():
    assert [offset for offset, _ in offsets(layout.HEADER.format)] == HEADER
    assert [offset for offset, _ in offsets(layout.FRAME.format)] == PREFIX
    assert (layout.HEADER.size, layout.FRAME.size) == (32, 16)


def test_enum_values_stay_what_they_were():
    def pinned(name: str) -> str:
        return ", ".join(f"{value} {text}" for value, text in SCHEMA.enum(name).items())

    assert pinned("Category") == "1 SPOT, 2 LINEAR, 3 INVERSE, 4 OPTION"
    assert pinned("TradingStatus") == "1 TRADING, 2 PRELAUNCH, 3 DELIVERING, 4 CLOSED"
    assert pinned("BookStatus") == "1 SYNCING, 2 LIVE, 3 STALE, 4 DELISTED"
    assert pinned("StatusReason") == (
        "0 NONE, 1 SUBSCRIBED, 2 SNAPSHOT, 3 DISCONNECTED, 4 GAP, 5 CROSSED, 6 OVERFLOW, 7 MALFORMED, 8 SCALE, "
        "9 REFUSED, 10 NO_SNAPSHOT, 11 REQUESTED, 12 DELISTED, 13 OUTDATED, "
        "14 UNSUBSCRIBED"
    )
    assert pinned("AggressorSide") == "1 BUY, 2 SELL"
    assert pinned("ChannelKind") == "0 BOOKS, 1 TRADES, 2 BBO, 3 SNAPSHOTS, 4 DEFINITIONS, 5 RETRANSMIT"
    assert pinned("RejectReason") == "1 TOO_OLD, 2 NOT_SENT, 3 OTHER_SESSION, 4 RATE, 5 NOT_HELD"
    assert SCHEMA.version == SCHEMA_VERSION
