"""Bytes to messages. A reader skips by blockLength, so that fields appended by a later version do not disturb it."""

from collections.abc import Callable
from typing import Any

from feeder.errors import WireError
from feeder.market.fixed_point import FINEST_EXPONENT
from feeder.market.instrument import TradingStatus, is_symbol
from feeder.market.status import BookStatus, StatusReason
from feeder.market.update import Side
from feeder.wire import layout
from feeder.wire.messages import (
    CATEGORIES,
    NULL_MANTISSA,
    Bbo,
    Body,
    BookChecksum,
    BookClear,
    BookDelta,
    ChannelInfo,
    CycleEnd,
    InstrumentDefinition,
    InstrumentStatus,
    Kind,
    LineInfo,
    Message,
    RejectReason,
    RetransmitReject,
    RetransmitRequest,
    SnapshotBegin,
    SnapshotEnd,
    SnapshotLevels,
    Template,
    Trade,
    TradesLost,
)
from feeder.wire.packet import Frame, Packet

_STATUS = {int(status): status for status in BookStatus}
_REASON = {int(reason): reason for reason in StatusReason}
_TRADING_STATUS = {int(status): status for status in TradingStatus}
_REJECT_REASON = {int(reason): reason for reason in RejectReason}
_KINDS = {int(kind): kind for kind in Kind}
_ROOT_SIZES = {int(template): root.size for template, root in layout.ROOTS.items()}
_DELTA = layout.ROOTS[Template.BOOK_DELTA]
_DELTA_SIZE = _DELTA.size
_REQUEST = layout.ROOTS[Template.RETRANSMIT_REQUEST]
_EXPONENTS = range(FINEST_EXPONENT, 1)


def decode(packet: Packet, frame: Frame) -> Message | None:
    """One message of a sound packet; None for a template, category or channel kind that this version does not know.

    Any other enum's value of a later version is read as the one that promises least; a trade's side has none such.
    Raises WireError when the contents are impossible: a root shorter than version 1's, a group beyond the frame, a
    side that is none, an exponent beyond -18 to 0, more bids than levels, text that is not printable.
    """
    reader = _READERS.get(frame.template)
    if reader is None:
        return None
    if frame.block_length < _ROOT_SIZES[frame.template]:
        raise WireError(f"template {frame.template} has a root of {frame.block_length} bytes")
    try:
        body = reader(packet.data, frame)
    except ValueError as error:  # a side that we do not have, or text that is not ASCII
        raise WireError(f"template {frame.template}: {error!r}") from error
    return None if body is None else Message(frame.instrument_id, frame.event_flags, body)


def book_delta(data: bytes, frame: Frame) -> BookDelta:
    """A BookDelta; the caller has seen its template id. Raises WireError as `decode`."""
    if frame.block_length < _DELTA_SIZE:
        raise WireError(f"a BookDelta has a root of {frame.block_length} bytes")
    root = _DELTA.unpack_from(data, frame.root)
    levels = _levels(data, frame)
    _, _, _, _, _, _, price_exponent, quantity_exponent, bids = root
    if price_exponent not in _EXPONENTS or quantity_exponent not in _EXPONENTS or 2 * bids > len(levels):
        raise WireError(f"a BookDelta at 10^{price_exponent}, 10^{quantity_exponent} with {bids} bids")
    return BookDelta._make((*root, levels))


def retransmit_request(data: bytes, frame: Frame) -> RetransmitRequest:
    """A RetransmitRequest; the caller has seen its template id. Raises WireError as `decode`."""
    if frame.block_length < _REQUEST.size:
        raise WireError(f"a RetransmitRequest has a root of {frame.block_length} bytes")
    return RetransmitRequest._make(_REQUEST.unpack_from(data, frame.root))


def _exponents(price: int, quantity: int) -> tuple[int, int]:
    if price not in _EXPONENTS or quantity not in _EXPONENTS:
        raise WireError(f"exponents {price} and {quantity}")
    return price, quantity


def _levels(data: bytes, frame: Frame) -> tuple[int, ...]:
    start, size, count = _group(data, frame, layout.LEVEL_SIZE)
    if size == layout.LEVEL_SIZE:
        return layout.levels(count).unpack_from(data, start)
    one = layout.levels(1)
    return tuple(value for index in range(count) for value in one.unpack_from(data, start + index * size))


def _group(data: bytes, frame: Frame, entry: int) -> tuple[int, int, int]:
    """Offset of the first entry, size of one, and their number, checked against the frame."""
    start = frame.root + frame.block_length + layout.GROUP.size
    if start > frame.end:
        raise WireError(f"template {frame.template} ends before its group")
    size, count = layout.GROUP.unpack_from(data, start - layout.GROUP.size)
    if size < entry or start + size * count > frame.end:
        raise WireError(f"template {frame.template} has a group of {count} entries of {size} bytes")
    return start, size, count


def _root(template: Template, data: bytes, frame: Frame) -> tuple[Any, ...]:
    return layout.ROOTS[template].unpack_from(data, frame.root)


def _text(raw: bytes) -> str:
    text = raw.partition(b"\0")[0].decode("ascii")
    if not text.isprintable():  # it is shown on terminals, which obey control characters
        raise WireError(f"text {text!r}")
    return text


def _status(value: int) -> BookStatus:
    """A status that only a later version knows is none to trade on."""
    return _STATUS.get(value, BookStatus.STALE)


def _instrument_definition(data: bytes, frame: Frame) -> InstrumentDefinition | None:
    symbol, tick, step, version, code, price, quantity, trading = _root(Template.INSTRUMENT_DEFINITION, data, frame)
    category = CATEGORIES.get(code)
    if category is None:
        return None
    name = _text(symbol)
    if not is_symbol(name):
        raise WireError(f"a symbol {name!r}")
    scale = _exponents(price, quantity)
    status = _TRADING_STATUS.get(trading, TradingStatus.PRELAUNCH)  # it exists and does not trade
    return InstrumentDefinition(name, tick, step, version, category, *scale, status)


def _instrument_status(data: bytes, frame: Frame) -> InstrumentStatus:
    sequence, status, reason = _root(Template.INSTRUMENT_STATUS, data, frame)
    return InstrumentStatus(sequence, _status(status), _REASON.get(reason, StatusReason.NONE))


def _book_clear(data: bytes, frame: Frame) -> BookClear:
    sequence, reason = _root(Template.BOOK_CLEAR, data, frame)
    return BookClear(sequence, _REASON.get(reason, StatusReason.NONE))


def _book_checksum(data: bytes, frame: Frame) -> BookChecksum:
    return BookChecksum(*_root(Template.BOOK_CHECKSUM, data, frame))


def _bbo(data: bytes, frame: Frame) -> Bbo:
    values = _root(Template.BBO, data, frame)
    prices = (None if value == NULL_MANTISSA else value for value in values[1:5])
    scale = _exponents(values[8], values[9])
    return Bbo._make((values[0], *prices, *values[5:8], *scale, _status(values[10])))


def _trade(data: bytes, frame: Frame) -> Trade:
    values = _root(Template.TRADE, data, frame)
    return Trade._make((*values[:8], _text(values[8]), *_exponents(values[9], values[10]), Side(values[11])))


def _trades_lost(data: bytes, frame: Frame) -> TradesLost:
    return TradesLost(*_root(Template.TRADES_LOST, data, frame))


def _snapshot_begin(data: bytes, frame: Frame) -> SnapshotBegin:
    values = _root(Template.SNAPSHOT_BEGIN, data, frame)
    status, reason = _status(values[10]), _REASON.get(values[11], StatusReason.NONE)
    return SnapshotBegin._make((*values[:10], status, reason, *_exponents(values[12], values[13])))


def _snapshot_levels(data: bytes, frame: Frame) -> SnapshotLevels:
    sequence, fragment, bids = _root(Template.SNAPSHOT_LEVELS, data, frame)
    levels = _levels(data, frame)
    if 2 * bids > len(levels):
        raise WireError(f"a SnapshotLevels of {len(levels) // 2} levels with {bids} bids")
    return SnapshotLevels(sequence, fragment, bids, levels)


def _snapshot_end(data: bytes, frame: Frame) -> SnapshotEnd:
    return SnapshotEnd(*_root(Template.SNAPSHOT_END, data, frame))


def _cycle_end(data: bytes, frame: Frame) -> CycleEnd:
    return CycleEnd(*_root(Template.CYCLE_END, data, frame))


def _retransmit_reject(data: bytes, frame: Frame) -> RetransmitReject:
    values = _root(Template.RETRANSMIT_REJECT, data, frame)
    # Whatever else the reason, nothing comes, and retryDelay says whether to ask again.
    return RetransmitReject._make((*values[:6], _REJECT_REASON.get(values[6], RejectReason.NOT_HELD)))


def _channel_info(data: bytes, frame: Frame) -> ChannelInfo | None:
    heartbeat, cycle, ring, channel_id, code, partitions = _root(Template.CHANNEL_INFO, data, frame)
    kind = _KINDS.get(code)
    if kind is None:
        return None
    start, size, count = _group(data, frame, layout.LINE.size)
    lines = []
    for index in range(count):
        name, group, port = layout.LINE.unpack_from(data, start + index * size)
        lines.append(LineInfo(_text(name), _text(group), port))
    return ChannelInfo(heartbeat, cycle, ring, channel_id, kind, partitions, tuple(lines))


_READERS: dict[int, Callable[[bytes, Frame], Body | None]] = {
    Template.INSTRUMENT_DEFINITION: _instrument_definition,
    Template.INSTRUMENT_STATUS: _instrument_status,
    Template.BOOK_DELTA: book_delta,
    Template.BOOK_CLEAR: _book_clear,
    Template.BOOK_CHECKSUM: _book_checksum,
    Template.BBO: _bbo,
    Template.TRADE: _trade,
    Template.TRADES_LOST: _trades_lost,
    Template.SNAPSHOT_BEGIN: _snapshot_begin,
    Template.SNAPSHOT_LEVELS: _snapshot_levels,
    Template.SNAPSHOT_END: _snapshot_end,
    Template.CYCLE_END: _cycle_end,
    Template.RETRANSMIT_REQUEST: retransmit_request,
    Template.RETRANSMIT_REJECT: _retransmit_reject,
    Template.CHANNEL_INFO: _channel_info,
}
