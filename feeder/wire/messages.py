"""The messages of the wire as plain tuples, one class per template of schema.xml, and the constants of packets.

Prices and quantities are integers at the exponents beside them; times are nanoseconds since the epoch; levels are flat
tuples (price, quantity, price, quantity, ...), bids first.
"""

import enum
from typing import NamedTuple

from feeder.market.instrument import Category, TradingStatus
from feeder.market.status import BookStatus, StatusReason
from feeder.market.update import Side

PROTOCOL_ID = 0x4642  # "BF" in memory: the first two bytes of every packet
HEADER_VERSION = 1
HEADER_LENGTH = 32  # bytes
MAX_PACKET = 1400  # bytes of UDP payload, below any path's MTU, so that IP never fragments
MAX_MESSAGES = 255  # per packet: messageCount is one byte
SCHEMA_ID = 17986  # 0x4642
SCHEMA_VERSION = 3
MAX_DELTA_LEVELS = 81  # levels of one BookDelta that fit a packet
MAX_SNAPSHOT_LEVELS = 83  # levels of one SnapshotLevels that fit a packet
NULL_MANTISSA = -(1 << 63)

CATEGORY_CODES = {Category.SPOT: 1, Category.LINEAR: 2, Category.INVERSE: 3, Category.OPTION: 4}
CATEGORIES = {code: category for category, code in CATEGORY_CODES.items()}


class PacketFlag(enum.IntFlag):
    """packetFlags of the header."""

    INCREMENTAL = 0x01
    SNAPSHOT = 0x02
    DEFINITION = 0x04
    RETRANSMIT = 0x08
    HEARTBEAT = 0x10
    END_OF_SESSION = 0x20
    TEST = 0x80


class EventFlag(enum.IntFlag):
    """eventFlags of a message's prefix."""

    FIRST = 0x01  # first message of an event
    LAST = 0x02  # last message of an event: apply all of it now
    SNAPSHOT = 0x04  # belongs to a snapshot, not to the run of updates
    CONFLATED = 0x08  # several venue updates folded into one


class Kind(enum.IntEnum):
    """What a channel carries; channelId = 16 * partition + kind."""

    BOOKS = 0
    TRADES = 1
    BBO = 2
    SNAPSHOTS = 3
    DEFINITIONS = 4
    RETRANSMIT = 5  # unicast


MULTICAST_KINDS = (Kind.BOOKS, Kind.TRADES, Kind.BBO, Kind.SNAPSHOTS, Kind.DEFINITIONS)


class RejectReason(enum.IntEnum):
    """Why a retransmit request is not served."""

    TOO_OLD = 1  # before the oldest message held
    NOT_SENT = 2  # the channel has not come so far
    OTHER_SESSION = 3
    RATE = 4  # too much asked for by this source
    NOT_HELD = 5  # nothing of this channel is kept here


class Template(enum.IntEnum):
    """templateId of the SBE header."""

    INSTRUMENT_DEFINITION = 1
    INSTRUMENT_STATUS = 2
    BOOK_DELTA = 10
    BOOK_CLEAR = 11
    BOOK_CHECKSUM = 12
    BBO = 13
    TRADE = 14
    TRADES_LOST = 15
    SNAPSHOT_BEGIN = 20
    SNAPSHOT_LEVELS = 21
    SNAPSHOT_END = 22
    CYCLE_END = 23
    RETRANSMIT_REQUEST = 30
    RETRANSMIT_REJECT = 31
    CHANNEL_INFO = 40


class InstrumentDefinition(NamedTuple):
    """An instrument's name, scale and steps."""

    symbol: str
    tick_size: int
    quantity_step: int
    definition_version: int
    category: Category
    price_exponent: int
    quantity_exponent: int
    status: TradingStatus


class InstrumentStatus(NamedTuple):
    """A book's status from here on; advances instrument_sequence on the books channel."""

    instrument_sequence: int
    status: BookStatus
    reason: StatusReason


class BookDelta(NamedTuple):
    """Absolute quantities per price, 0 removes; the first bid_count levels are bids."""

    instrument_sequence: int
    venue_update_id: int
    venue_sequence: int
    match_time_ns: int
    send_time_ns: int
    receive_time_ns: int
    price_exponent: int
    quantity_exponent: int
    bid_count: int
    levels: tuple[int, ...]


class BookClear(NamedTuple):
    """The book is empty from here."""

    instrument_sequence: int
    reason: StatusReason


class BookChecksum(NamedTuple):
    """What the feeder's book at instrument_sequence sums to."""

    instrument_sequence: int
    levels: int
    checksum: int


class Bbo(NamedTuple):
    """Best bid and offer; a side that is empty has None for price and quantity."""

    instrument_sequence: int
    bid_price: int | None
    bid_quantity: int | None
    ask_price: int | None
    ask_quantity: int | None
    match_time_ns: int
    send_time_ns: int
    receive_time_ns: int
    price_exponent: int
    quantity_exponent: int
    status: BookStatus


class Trade(NamedTuple):
    """One trade."""

    price: int
    quantity: int
    trade_sequence: int
    book_sequence: int
    venue_sequence: int
    match_time_ns: int
    send_time_ns: int
    receive_time_ns: int
    trade_id: str
    price_exponent: int
    quantity_exponent: int
    aggressor: Side


class TradesLost(NamedTuple):
    """Trades that the feeder had to give up."""

    first_trade_sequence: int
    last_trade_sequence: int
    lost: int


class SnapshotBegin(NamedTuple):
    """A book's snapshot follows: `fragments` SnapshotLevels and a SnapshotEnd."""

    instrument_sequence: int
    books_sequence: int
    venue_update_id: int
    venue_sequence: int
    match_time_ns: int
    send_time_ns: int
    receive_time_ns: int
    fragments: int
    bid_count: int
    ask_count: int
    status: BookStatus
    reason: StatusReason
    price_exponent: int
    quantity_exponent: int


class SnapshotLevels(NamedTuple):
    """A part of a snapshot's levels; the first bid_count are bids."""

    instrument_sequence: int
    fragment: int
    bid_count: int
    levels: tuple[int, ...]


class SnapshotEnd(NamedTuple):
    """The end of a book's snapshot and what it sums to."""

    instrument_sequence: int
    levels: int
    checksum: int


class CycleEnd(NamedTuple):
    """Every book of the partition was visited once."""

    cycle_time_ns: int
    instruments: int


class RetransmitRequest(NamedTuple):
    """A consumer's wish for `messages` messages of a channel, in the session that the packet's header names."""

    first_sequence: int
    messages: int  # how many
    channel_id: int


class RetransmitReject(NamedTuple):
    """Why a request is not served, and what the channel holds; retry_delay_ns 0: not worth asking again."""

    first_sequence: int
    oldest_sequence: int
    next_sequence: int
    retry_delay_ns: int
    messages: int
    channel_id: int
    reason: RejectReason


class LineInfo(NamedTuple):
    """Where one line of a channel is sent to."""

    line: str
    group: str
    port: int


class ChannelInfo(NamedTuple):
    """What a channel is and where."""

    heartbeat_ns: int
    cycle_time_ns: int
    ring_size: int
    channel_id: int
    kind: Kind
    partitions: int
    lines: tuple[LineInfo, ...]


Body = (
    InstrumentDefinition
    | InstrumentStatus
    | BookDelta
    | BookClear
    | BookChecksum
    | Bbo
    | Trade
    | TradesLost
    | SnapshotBegin
    | SnapshotLevels
    | SnapshotEnd
    | CycleEnd
    | RetransmitRequest
    | RetransmitReject
    | ChannelInfo
)


class Message(NamedTuple):
    """One message of a packet, framed and decoded."""

    instrument_id: int
    event_flags: int
    body: Body
