"""The byte layout of every template, little-endian, as struct formats; tests hold them against schema.xml."""

import functools
import struct

from feeder.wire.messages import SCHEMA_ID, SCHEMA_VERSION, Template

# protocolId, headerVersion, headerLength, channelId, packetFlags, messageCount, sessionId, sequence, sendingTime
HEADER = struct.Struct("<HBBHBBQQQ")
# frameLength, eventFlags, reserved, instrumentId; then the SBE header: blockLength, templateId, schemaId, version
FRAME = struct.Struct("<HBBIHHHH")
GROUP = struct.Struct("<HH")
LINE = struct.Struct("<8s16sHxxxxxx")

FORMATS = {
    Template.INSTRUMENT_DEFINITION: "32sqqIBbbB",
    Template.INSTRUMENT_STATUS: "QBBxxxxxx",
    Template.BOOK_DELTA: "QQQQQQbbH",
    Template.BOOK_CLEAR: "QBxxxxxxx",
    Template.BOOK_CHECKSUM: "QII",
    Template.BBO: "QqqqqQQQbbBxxxxx",
    Template.TRADE: "qqQQQQQQ40sbbBxxxxx",
    Template.TRADES_LOST: "QQIxxxx",
    Template.SNAPSHOT_BEGIN: "QQQQQQQHHHBBbbxxxxxx",
    Template.SNAPSHOT_LEVELS: "QHH",
    Template.SNAPSHOT_END: "QII",
    Template.CYCLE_END: "QIxxxx",
    Template.RETRANSMIT_REQUEST: "QIHxx",
    Template.RETRANSMIT_REJECT: "QQQQIHBx",
    Template.CHANNEL_INFO: "QQIHBBxxxx",
}
ROOTS = {template: struct.Struct("<" + body) for template, body in FORMATS.items()}
LEVEL_SIZE = 16  # price i64, quantity i64

FrameHead = tuple[int, int, int, int]  # blockLength, templateId, schemaId, version


def frame_head(template: Template) -> FrameHead:
    """The SBE header's four values for one template."""
    return (ROOTS[template].size, int(template), SCHEMA_ID, SCHEMA_VERSION)


@functools.cache
def whole(template: Template) -> struct.Struct:
    """Prefix, SBE header and root in one Struct, for a template without a group."""
    return struct.Struct(FRAME.format + FORMATS[template])


@functools.cache
def with_levels(template: Template, count: int) -> struct.Struct:
    """Prefix, SBE header, root, group dimension and `count` levels in one Struct."""
    return struct.Struct(f"{FRAME.format}{FORMATS[template]}HH{2 * count}q")


@functools.cache
def levels(count: int) -> struct.Struct:
    """`count` levels."""
    return struct.Struct(f"<{2 * count}q")
