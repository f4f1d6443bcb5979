"""One message of every template, as (message, encoded bytes), for layout, decoder and foreign-decoder tests."""

from feeder.book.checksum import pack
from feeder.market.instrument import Category, TradingStatus
from feeder.market.status import BookStatus, StatusReason
from feeder.market.update import BookUpdate, Side, TradeUpdate
from feeder.wire import encoder
from feeder.wire.messages import (
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
    RejectReason,
    RetransmitReject,
    RetransmitRequest,
    SnapshotBegin,
    SnapshotEnd,
    SnapshotLevels,
    Trade,
    TradesLost,
)

INSTRUMENT = 0xE7F1C0DE
UPDATE = BookUpdate(False, [], [], 1001, 1001, 864131802, 1_618_677_786_428_000_000, 1_618_677_786_430_000_000, 3)
TRADE = TradeUpdate(105390, 14, Side.SELL, "01cacfe9-8d1c-5ee4-995d-d79a43f955a6", 77, 1_618_677_785_116_000_000, 5, 6)

_DEFINITION = InstrumentDefinition("BTCUSDT", 10, 1, 2, Category.LINEAR, -2, -3, TradingStatus.TRADING)
_BBO = Bbo(9, 105390, 366, None, None, 1, 2, 3, -2, -3, BookStatus.LIVE)
_CHECKSUM = BookChecksum(9, 100, 0xDEADBEEF)
_LOST = TradesLost(5, 9, 5)
_BEGIN = SnapshotBegin(9, 400, 1001, 8, 1, 2, 3, 1, 1, 1, BookStatus.LIVE, StatusReason.SNAPSHOT, -2, -3)
_END = SnapshotEnd(9, 2, 0xCAFEBABE)
_CYCLE = CycleEnd(1_000_000_000, 8)
_REQUEST = RetransmitRequest(4711, 12, 16)
_REJECT = RetransmitReject(4711, 5000, 9000, 20_000_000, 12, 16, RejectReason.RATE)
_INFO = ChannelInfo(
    250_000_000, 10**9, 0, 19, Kind.SNAPSHOTS, 4, (LineInfo("A", "239.77.0.19", 1), LineInfo("B", "239.78.0.19", 2))
)
_LEVELS = (105390, 366, 105465, 5)


def samples() -> list[tuple[Body, bytes]]:
    """Every template once."""
    return [
        (_DEFINITION, encoder.instrument_definition(INSTRUMENT, 1, _DEFINITION)),
        (
            InstrumentStatus(7, BookStatus.STALE, StatusReason.GAP),
            encoder.instrument_status(INSTRUMENT, 3, 7, BookStatus.STALE, StatusReason.GAP),
        ),
        (
            BookDelta(8, 1001, 864131802, UPDATE.match_time_ns, UPDATE.send_time_ns, 3, -2, -3, 1, _LEVELS),
            encoder.book_delta(INSTRUMENT, 3, 8, UPDATE, -2, -3, 1, _LEVELS),
        ),
        (BookClear(9, StatusReason.SNAPSHOT), encoder.book_clear(INSTRUMENT, 1, 9, StatusReason.SNAPSHOT)),
        (_CHECKSUM, encoder.book_checksum(INSTRUMENT, _CHECKSUM)),
        (_BBO, encoder.bbo(INSTRUMENT, _BBO)),
        (
            Trade(105390, 14, 4, 8, 77, TRADE.match_time_ns, 5, 6, TRADE.trade_id, -2, -3, Side.SELL),
            encoder.trade(INSTRUMENT, TRADE, 4, 8, -2, -3),
        ),
        (_LOST, encoder.trades_lost(INSTRUMENT, _LOST)),
        (_BEGIN, encoder.snapshot_begin(INSTRUMENT, _BEGIN)),
        (SnapshotLevels(9, 0, 1, _LEVELS), encoder.snapshot_levels(INSTRUMENT, 9, 0, 1, pack(list(_LEVELS), []))),
        (_END, encoder.snapshot_end(INSTRUMENT, _END)),
        (_CYCLE, encoder.cycle_end(_CYCLE)),
        (_REQUEST, encoder.retransmit_request(_REQUEST)),
        (_REJECT, encoder.retransmit_reject(_REJECT)),
        (_INFO, encoder.channel_info(_INFO)),
    ]


def packet(*messages: bytes, sequence: int = 1, session: int = 77, channel_id: int = 0, flags: int = 1) -> bytes:
    """A whole datagram around encoded messages."""
    from feeder.wire.packet import pack_header_into

    buffer = bytearray(32)
    pack_header_into(buffer, channel_id, flags, len(messages), session, sequence, 1_700_000_000_000_000_000)
    return bytes(buffer) + b"".join(messages)
