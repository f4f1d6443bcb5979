"""Messages to bytes: each function returns one whole message, prefix to last pad byte.

The BookDelta path takes plain values instead of a tuple, as it runs for every update. Values out of a field's range
raise struct.error: the callers own the ranges.
"""

import struct
from collections.abc import Sequence

from feeder.market.status import BookStatus, StatusReason
from feeder.market.update import BookUpdate, TradeUpdate
from feeder.wire import layout
from feeder.wire.messages import (
    CATEGORY_CODES,
    NULL_MANTISSA,
    Bbo,
    BookChecksum,
    ChannelInfo,
    CycleEnd,
    InstrumentDefinition,
    RetransmitReject,
    RetransmitRequest,
    SnapshotBegin,
    SnapshotEnd,
    Template,
    TradesLost,
)

_BOTH = 0x03  # first and last of event
_SNAPSHOT = 0x04
_CONFLATED = 0x08

_DELTA_HEAD = layout.frame_head(Template.BOOK_DELTA)
DELTA_SIZE = layout.with_levels(Template.BOOK_DELTA, 0).size
"""Bytes of a BookDelta without levels."""

_delta_structs = [layout.with_levels(Template.BOOK_DELTA, n) for n in range(82)]
# The same bytes as above: after the frame's length, prefix and SBE header as one field, both exponents as one.
_delta_packers = [struct.Struct(f"<H14sQQQQQQ2sHHH{2 * n}q").pack_into for n in range(82)]

_SNAPSHOT_HEAD = layout.with_levels(Template.SNAPSHOT_LEVELS, 0)

_TRADE = layout.whole(Template.TRADE)
_TRADE_HEAD = layout.frame_head(Template.TRADE)


def book_delta(
    instrument_id: int,
    event_flags: int,
    instrument_sequence: int,
    update: BookUpdate,
    price_exponent: int,
    quantity_exponent: int,
    bid_count: int,
    levels: Sequence[int],
) -> bytes:
    """A BookDelta of at most 81 levels; `levels` is flat, its first `bid_count` pairs are bids."""
    count = len(levels) >> 1
    return _delta_structs[count].pack(
        DELTA_SIZE + (count << 4),
        event_flags,
        0,
        instrument_id,
        *_DELTA_HEAD,
        instrument_sequence,
        update.update_id,
        update.venue_sequence,
        update.match_time_ns,
        update.send_time_ns,
        update.receive_time_ns,
        price_exponent,
        quantity_exponent,
        bid_count,
        layout.LEVEL_SIZE,
        count,
        *levels,
    )


class DeltaEncoder:
    """One instrument's BookDelta that is an event of its own, packed straight into a packet: the hottest message.

    What is the same in all of them (prefix, SBE header, exponents) is packed once.
    """

    __slots__ = ("_conflated", "_exponents", "_plain")

    def __init__(self, instrument_id: int, price_exponent: int, quantity_exponent: int) -> None:
        self._plain = _prefix(instrument_id, _BOTH)
        self._conflated = _prefix(instrument_id, _BOTH | _CONFLATED)
        self._exponents = struct.pack("<bb", price_exponent, quantity_exponent)

    def pack_into(
        self,
        buffer: bytearray,
        offset: int,
        instrument_sequence: int,
        update: BookUpdate,
        bids: list[int],
        asks: list[int],
    ) -> None:
        """Write the message at `offset`; DELTA_SIZE and 16 a level is its length. At most 81 levels, flat lists."""
        count = (len(bids) + len(asks)) >> 1
        _delta_packers[count](
            buffer,
            offset,
            DELTA_SIZE + (count << 4),
            self._conflated if update.conflated else self._plain,
            instrument_sequence,
            update.update_id,
            update.venue_sequence,
            update.match_time_ns,
            update.send_time_ns,
            update.receive_time_ns,
            self._exponents,
            len(bids) >> 1,
            layout.LEVEL_SIZE,
            count,
            *bids,
            *asks,
        )


def _prefix(instrument_id: int, event_flags: int) -> bytes:
    return layout.FRAME.pack(0, event_flags, 0, instrument_id, *_DELTA_HEAD)[2:]


def instrument_definition(instrument_id: int, event_flags: int, body: InstrumentDefinition) -> bytes:
    """An InstrumentDefinition; the symbol has at most 32 ASCII characters."""
    return _whole(
        Template.INSTRUMENT_DEFINITION,
        instrument_id,
        event_flags,
        body.symbol.encode("ascii"),
        body.tick_size,
        body.quantity_step,
        body.definition_version,
        CATEGORY_CODES[body.category],
        body.price_exponent,
        body.quantity_exponent,
        body.status,
    )


def instrument_status(
    instrument_id: int, event_flags: int, instrument_sequence: int, status: BookStatus, reason: StatusReason
) -> bytes:
    """An InstrumentStatus."""
    return _whole(Template.INSTRUMENT_STATUS, instrument_id, event_flags, instrument_sequence, status, reason)


def book_clear(instrument_id: int, event_flags: int, instrument_sequence: int, reason: StatusReason) -> bytes:
    """A BookClear."""
    return _whole(Template.BOOK_CLEAR, instrument_id, event_flags, instrument_sequence, reason)


def book_checksum(instrument_id: int, body: BookChecksum) -> bytes:
    """A BookChecksum; an event of its own."""
    return _whole(Template.BOOK_CHECKSUM, instrument_id, _BOTH, *body)


def bbo(instrument_id: int, body: Bbo) -> bytes:
    """A Bbo; None becomes the null mantissa."""
    values = [NULL_MANTISSA if value is None else value for value in body]
    return _whole(Template.BBO, instrument_id, _BOTH, *values)


def trade(
    instrument_id: int,
    update: TradeUpdate,
    trade_sequence: int,
    book_sequence: int,
    price_exponent: int,
    quantity_exponent: int,
) -> bytes:
    """A Trade; the id has at most 40 ASCII characters."""
    return _TRADE.pack(
        _TRADE.size,
        _BOTH,
        0,
        instrument_id,
        *_TRADE_HEAD,
        update.price,
        update.quantity,
        trade_sequence,
        book_sequence,
        update.venue_sequence,
        update.match_time_ns,
        update.send_time_ns,
        update.receive_time_ns,
        update.trade_id.encode("ascii"),
        price_exponent,
        quantity_exponent,
        update.aggressor,
    )


def trades_lost(instrument_id: int, body: TradesLost) -> bytes:
    """A TradesLost."""
    return _whole(Template.TRADES_LOST, instrument_id, _BOTH, *body)


def snapshot_begin(instrument_id: int, body: SnapshotBegin) -> bytes:
    """A SnapshotBegin, the first message of a snapshot's event."""
    return _whole(Template.SNAPSHOT_BEGIN, instrument_id, 0x01 | _SNAPSHOT, *body)


def snapshot_levels(
    instrument_id: int, instrument_sequence: int, fragment: int, bid_count: int, levels: bytes
) -> bytes:
    """A SnapshotLevels of at most 83 levels: packed, 16 bytes each, the first `bid_count` are bids."""
    size = _SNAPSHOT_HEAD.size + len(levels)
    count = len(levels) // layout.LEVEL_SIZE
    head = layout.frame_head(Template.SNAPSHOT_LEVELS)
    return (
        _SNAPSHOT_HEAD.pack(
            size,
            _SNAPSHOT,
            0,
            instrument_id,
            *head,
            instrument_sequence,
            fragment,
            bid_count,
            layout.LEVEL_SIZE,
            count,
        )
        + levels
    )


def snapshot_end(instrument_id: int, body: SnapshotEnd) -> bytes:
    """A SnapshotEnd, the last message of a snapshot's event."""
    return _whole(Template.SNAPSHOT_END, instrument_id, 0x02 | _SNAPSHOT, *body)


def cycle_end(body: CycleEnd) -> bytes:
    """A CycleEnd; it belongs to no instrument."""
    return _whole(Template.CYCLE_END, 0, _BOTH | _SNAPSHOT, *body)


def retransmit_request(body: RetransmitRequest, size: int = 0) -> bytes:
    """A RetransmitRequest, padded to `size` bytes (a multiple of 8): an answer has at most 4 times as many."""
    packer = layout.whole(Template.RETRANSMIT_REQUEST)
    size = max(size, packer.size)
    head = layout.frame_head(Template.RETRANSMIT_REQUEST)
    return packer.pack(size, _BOTH, 0, 0, *head, *body).ljust(size, b"\0")


def retransmit_reject(body: RetransmitReject) -> bytes:
    """A RetransmitReject."""
    return _whole(Template.RETRANSMIT_REJECT, 0, _BOTH, *body)


def channel_info(body: ChannelInfo) -> bytes:
    """A ChannelInfo; it belongs to no instrument."""
    root = layout.ROOTS[Template.CHANNEL_INFO]
    size = layout.FRAME.size + root.size + layout.GROUP.size + layout.LINE.size * len(body.lines)
    return b"".join(
        [
            layout.FRAME.pack(size, _BOTH, 0, 0, *layout.frame_head(Template.CHANNEL_INFO)),
            root.pack(*body[:-1]),
            layout.GROUP.pack(layout.LINE.size, len(body.lines)),
            *(
                layout.LINE.pack(line.line.encode("ascii"), line.group.encode("ascii"), line.port)
                for line in body.lines
            ),
        ]
    )


def _whole(template: Template, instrument_id: int, event_flags: int, *values: int | bytes) -> bytes:
    packer = layout.whole(template)
    return packer.pack(packer.size, event_flags, 0, instrument_id, *layout.frame_head(template), *values)
