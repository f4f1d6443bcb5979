"""A message by the schema's names (see tests.helpers.schema.Values), from what each decoder makes of it, and to it.

All decoders are compared in this one shape.
"""

from collections.abc import Iterable
from typing import Any

from feeder.book.checksum import pack
from feeder.market.instrument import Category, TradingStatus
from feeder.market.status import BookStatus, StatusReason
from feeder.market.update import BookUpdate, Side, TradeUpdate
from feeder.wire import encoder, messages
from feeder.wire.messages import Body, Kind, LineInfo, RejectReason
from tests.helpers.schema import Schema, Values

SCHEMA = Schema()


def of_body(body: Body) -> dict[str, Any]:
    """From feeder's own decoder: its tuples have the schema's fields, in the schema's order, without pads."""
    template = SCHEMA.templates[type(body).__name__]
    values: dict[str, Any] = {}
    row: Iterable[Any] = body
    for name, value in zip(template.names(), row, strict=True):
        if name == template.group:
            names = [f.name for f in template.entry.fields if not f.is_pad]
            rows: Iterable[Any] = value if name == "lines" else zip(value[::2], value[1::2], strict=True)
            values[name] = [dict(zip(names, entry, strict=True)) for entry in rows]
        else:
            values[name] = getattr(value, "name", value)
    return values


def of_foreign(value: Values) -> dict[str, Any]:
    """From PyPI `sbe`: its dictionary, less the pads."""
    return {
        name: [of_foreign(entry) for entry in field] if isinstance(field, list) else field
        for name, field in value.items()
        if not name.startswith("pad")
    }


_ENUMS = {
    "category": Category,
    "aggressorSide": Side,
    "kind": Kind,
}


def body_of(template: str, values: Values) -> Body:
    """The tuple that feeder's decoder is to return."""
    row: list[Any] = []
    for name, value in values.items():
        if name == "levels" and isinstance(value, list):
            row.append(tuple(number for level in value for number in (level["price"], level["quantity"])))
        elif name == "lines":
            row.append(tuple(LineInfo(*line.values()) for line in value))
        elif name == "status":
            row.append((TradingStatus if template == "InstrumentDefinition" else BookStatus)[value])
        elif name == "reason":
            row.append((RejectReason if template == "RetransmitReject" else StatusReason)[value])
        else:
            row.append(_ENUMS[name][value] if name in _ENUMS else value)
    body: Body = getattr(messages, template)(*row)
    return body


def encoded(template: str, values: Values, instrument_id: int, event_flags: int, size: int = 0) -> bytes:
    """The message by feeder's own encoder, which knows each template's event flags where they are always the same."""
    body = body_of(template, values)
    match body:
        case messages.InstrumentDefinition():
            return encoder.instrument_definition(instrument_id, event_flags, body)
        case messages.InstrumentStatus():
            return encoder.instrument_status(instrument_id, event_flags, *body)
        case messages.BookDelta(sequence, update_id, venue_sequence, match, send, receive, price, quantity, bids, flat):
            update = BookUpdate(False, [], [], update_id, update_id, venue_sequence, match, send, receive)
            return encoder.book_delta(instrument_id, event_flags, sequence, update, price, quantity, bids, flat)
        case messages.BookClear():
            return encoder.book_clear(instrument_id, event_flags, *body)
        case messages.BookChecksum():
            return encoder.book_checksum(instrument_id, body)
        case messages.Bbo():
            return encoder.bbo(instrument_id, body)
        case messages.Trade():
            trade = TradeUpdate(body.price, body.quantity, body.aggressor, body.trade_id, *body[4:8])
            scale = body.price_exponent, body.quantity_exponent
            return encoder.trade(instrument_id, trade, body.trade_sequence, body.book_sequence, *scale)
        case messages.TradesLost():
            return encoder.trades_lost(instrument_id, body)
        case messages.SnapshotBegin():
            return encoder.snapshot_begin(instrument_id, body)
        case messages.SnapshotLevels(sequence, fragment, bids, flat):
            return encoder.snapshot_levels(instrument_id, sequence, fragment, bids, pack(list(flat), []))
        case messages.SnapshotEnd():
            return encoder.snapshot_end(instrument_id, body)
        case messages.CycleEnd():
            return encoder.cycle_end(body)
        case messages.RetransmitRequest():
            return encoder.retransmit_request(body, size)
        case messages.RetransmitReject():
            return encoder.retransmit_reject(body)
        case messages.ChannelInfo():
            return encoder.channel_info(body)
