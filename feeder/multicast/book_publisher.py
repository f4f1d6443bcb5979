"""One instrument's voice on the wire: what its worker tells becomes events, numbered per instrument.

instrumentSequence advances by one with every BookDelta, BookClear and InstrumentStatus on the books channel and never
resets within a session. An event is written in one go, so no other instrument's message comes in between.
"""

import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from feeder.book.checksum import pack
from feeder.book.order_book import OrderBook
from feeder.market.instrument import Category, Instrument
from feeder.market.status import BookStatus, StatusReason
from feeder.market.update import BookUpdate, TradeUpdate
from feeder.multicast.channel import ChannelPublisher
from feeder.wire import encoder
from feeder.wire.encoder import DELTA_SIZE
from feeder.wire.layout import LEVEL_SIZE
from feeder.wire.messages import (
    MAX_DELTA_LEVELS,
    MAX_SNAPSHOT_LEVELS,
    Bbo,
    BookChecksum,
    InstrumentDefinition,
    SnapshotBegin,
    SnapshotEnd,
    TradesLost,
)

_FIRST, _LAST, _CONFLATED = 0x01, 0x02, 0x08
_WHOLE = _FIRST | _LAST  # an event of one message
_MOST = 2 * MAX_DELTA_LEVELS  # values of a flat list that fit one BookDelta


class PartitionChannels(Protocol):
    """The channels of the instrument's partition, and a mark that its best bid or offer may have changed."""

    books: ChannelPublisher
    trades: ChannelPublisher
    bbo: ChannelPublisher
    snapshots: ChannelPublisher
    definitions: ChannelPublisher

    def mark_bbo(self, publisher: "BookPublisher") -> None:
        """Have `publish_bbo` called before the next flush."""
        ...

    def hurry(self) -> None:
        """Have the next flush in this very turn of the loop."""
        ...


class Sequences(NamedTuple):
    """How far an instrument has come in this session: its instrumentSequence and its tradeSequence."""

    book: int = 0
    trades: int = 0


_NONE_YET = Sequences()


class BookPublisher:
    """Implements the pipeline's BookSink for one instrument; its worker is the only caller of events."""

    def __init__(
        self,
        instrument: Instrument,
        depth: int,
        channels: PartitionChannels,
        after: Sequences = _NONE_YET,
    ) -> None:
        self._define(instrument)
        self.depth = depth
        self.state = BookStatus.SYNCING
        self.reason = StatusReason.SUBSCRIBED
        self.sequence = after.book  # instrumentSequence of the last message written
        self.trade_sequence = after.trades
        self.update = BookUpdate(True, [], [], 0, 0, 0, 0, 0, 0)  # the last one published, for its ids and times
        self._book: OrderBook | None = None
        self._channels = channels
        self._books = channels.books
        self._announced = 0  # definitionVersion last written to the books channel
        self._last_bbo: tuple[object, ...] = ()

    @property
    def sequences(self) -> Sequences:
        """Where another publisher of the instrument in this session is to go on."""
        return Sequences(self.sequence, self.trade_sequence)

    # What the worker tells -------------------------------------------------------------------------------------------

    def restart(self, book: OrderBook, update: BookUpdate) -> None:
        """The book was replaced: clear, all levels, LIVE, in one event."""
        instrument = self.instrument
        messages = []
        if self._announced != instrument.definition_version:
            self._announced = instrument.definition_version
            messages.append(self._definition(_FIRST))
        self.sequence += 1
        first = 0 if messages else _FIRST
        messages.append(encoder.book_clear(instrument.id, first, self.sequence, StatusReason.SNAPSHOT))
        levels = book.levels()
        messages += self._deltas(update, levels.bids, levels.asks, first=0, last=0)
        self.sequence += 1
        live = BookStatus.LIVE, StatusReason.SNAPSHOT
        messages.append(encoder.instrument_status(instrument.id, _LAST, self.sequence, *live))
        if self.state is not BookStatus.LIVE:  # the trades channel was told that it is not
            said = encoder.instrument_status(instrument.id, _WHOLE, self.sequence, *live)
            self._channels.trades.write(said)
        self.state, self.reason = live
        self._book = book
        self.update = replace(update, bids=[], asks=[])  # ids and times are wanted later, a whole book's levels are not
        for message in messages:
            self._channels.books.write(message)
        self._channels.mark_bbo(self)

    def delta(self, update: BookUpdate, bids: list[int], asks: list[int]) -> None:
        """An applied change; flat levels, quantity 0 removes."""
        self.update = update
        channel = self._books
        values = len(bids) + len(asks)
        if values <= _MOST:
            sequence = self.sequence + 1
            size = DELTA_SIZE + (values << 3)
            offset = channel.reserve(size)
            try:
                self._delta.pack_into(channel.buffer, offset, sequence, update, bids, asks)
            except Exception:
                channel.release(size)  # what stood there before would go out in its place
                raise
            self.sequence = sequence
        else:
            for message in self._deltas(update, bids, asks, first=_FIRST, last=_LAST):
                channel.write(message)
        if not channel.oldest_ns:
            channel.oldest_ns = update.receive_time_ns
        assert self._book is not None  # it was restarted before
        if self._book.touched:
            self._channels.mark_bbo(self)

    def status(self, status: BookStatus, reason: StatusReason) -> None:
        """The book is not LIVE from here; said on the books, trades and bbo channels."""
        self.state, self.reason = status, reason
        self.sequence += 1
        message = encoder.instrument_status(self.instrument.id, _WHOLE, self.sequence, status, reason)
        self._channels.books.write(message)
        self._channels.trades.write(message)
        self._channels.mark_bbo(self)
        self._channels.hurry()

    def unsubscribed(self) -> None:
        """Nothing more will come: whoever holds the book is to know that it stands still. A closed one has said so."""
        if self.state is not BookStatus.DELISTED:
            status = BookStatus.SYNCING if self.state is BookStatus.SYNCING else BookStatus.STALE
            self.status(status, StatusReason.UNSUBSCRIBED)
        self._book = None

    def trades(self, trades: Sequence[TradeUpdate]) -> None:
        """Trades, in the venue's order."""
        instrument = self.instrument
        write = self._channels.trades.write
        for update in trades:
            self.trade_sequence += 1
            write(
                encoder.trade(
                    instrument.id,
                    update,
                    self.trade_sequence,
                    self.sequence,
                    instrument.price_exponent,
                    instrument.quantity_exponent,
                )
            )

    def trades_lost(self, count: int) -> None:
        """Trades had to be given up; their sequence numbers are used up."""
        first = self.trade_sequence + 1
        self.trade_sequence += count
        self._channels.trades.write(
            encoder.trades_lost(self.instrument.id, TradesLost(first, self.trade_sequence, count))
        )

    def definition(self, instrument: Instrument) -> None:
        """A new scale or new steps; the next restart announces it on the books channel."""
        self._define(instrument)
        self._channels.definitions.write(self._whole_definition())

    # What the rotations ask for --------------------------------------------------------------------------------------

    def publish_reference(self) -> int:
        """The definition, and the best bid and offer even if unchanged; bytes of the definition."""
        message = self._whole_definition()
        self._channels.definitions.write(message)
        self.publish_bbo(even_unchanged=True)
        return len(message)

    def publish_bbo(self, *, even_unchanged: bool = False) -> int:
        """Best bid and offer, when they changed or it is asked for all the same; bytes written."""
        book = self._book
        live = book is not None and self.state is BookStatus.LIVE
        bid, ask = (book.best_bid(), book.best_ask()) if book is not None and live else (None, None)
        state = (bid, ask, self.state)
        if state == self._last_bbo and not even_unchanged:
            return 0
        self._last_bbo = state
        bid_price, bid_quantity = bid or (None, None)
        ask_price, ask_quantity = ask or (None, None)
        update, instrument = self.update, self.instrument
        message = encoder.bbo(
            instrument.id,
            Bbo(
                self.sequence,
                bid_price,
                bid_quantity,
                ask_price,
                ask_quantity,
                update.match_time_ns,
                update.send_time_ns,
                update.receive_time_ns,
                instrument.price_exponent,
                instrument.quantity_exponent,
                self.state,
            ),
        )
        self._channels.bbo.write(message)
        return len(message)

    def publish_snapshot(self) -> int:
        """The whole book on the snapshots channel and its checksum on the books channel; bytes written.

        A book that is not LIVE sends begin and end only: there is nothing to rebuild from.
        """
        channels, instrument, update = self._channels, self.instrument, self.update
        snapshots = channels.snapshots
        packed = b""
        bid_count = 0
        if self._book is not None and self.state is BookStatus.LIVE:
            levels = self._book.levels()
            bid_count = len(levels.bids) >> 1
            packed = pack(levels.bids, levels.asks)
        checksum = zlib.crc32(packed)  # feeder.book.checksum: the wire's bytes are what it is over
        count = len(packed) // LEVEL_SIZE
        fragments = range(0, count, MAX_SNAPSHOT_LEVELS)
        definition = self._whole_definition()
        begin = encoder.snapshot_begin(
            instrument.id,
            SnapshotBegin(
                self.sequence,
                channels.books.sequence - 1,
                update.update_id,
                update.venue_sequence,
                update.match_time_ns,
                update.send_time_ns,
                update.receive_time_ns,
                len(fragments),
                bid_count,
                count - bid_count,
                self.state,
                self.reason,
                instrument.price_exponent,
                instrument.quantity_exponent,
            ),
        )
        snapshots.write_together([definition, begin])
        size = len(definition) + len(begin)
        for index, first in enumerate(fragments):
            bids = min(max(bid_count - first, 0), MAX_SNAPSHOT_LEVELS)
            part = packed[first * LEVEL_SIZE : (first + MAX_SNAPSHOT_LEVELS) * LEVEL_SIZE]
            message = encoder.snapshot_levels(instrument.id, self.sequence, index, bids, part)
            snapshots.write(message)
            size += len(message)
        end = encoder.snapshot_end(instrument.id, SnapshotEnd(self.sequence, count, checksum))
        snapshots.write(end)
        if self.state is BookStatus.LIVE:
            channels.books.write(encoder.book_checksum(instrument.id, BookChecksum(self.sequence, count, checksum)))
        return size + len(end)

    # -----------------------------------------------------------------------------------------------------------------

    def _deltas(self, update: BookUpdate, bids: list[int], asks: list[int], *, first: int, last: int) -> list[bytes]:
        """As many BookDelta as the levels need, at least one."""
        instrument = self.instrument
        parts = _split(bids, asks) or [(0, [])]
        messages = []
        for index, (bid_count, flat) in enumerate(parts):
            self.sequence += 1
            flags = (
                (first if index == 0 else 0)
                | (last if index == len(parts) - 1 else 0)
                | (_CONFLATED if update.conflated else 0)
            )
            messages.append(
                encoder.book_delta(
                    instrument.id,
                    flags,
                    self.sequence,
                    update,
                    instrument.price_exponent,
                    instrument.quantity_exponent,
                    bid_count,
                    flat,
                )
            )
        return messages

    def _define(self, instrument: Instrument) -> None:
        """What is the same in many messages is made once; the definition, which may not fit, when it goes out."""
        self.instrument = instrument
        self._reference: bytes | None = None
        self._delta = encoder.DeltaEncoder(instrument.id, instrument.price_exponent, instrument.quantity_exponent)

    def _whole_definition(self) -> bytes:
        if self._reference is None:
            self._reference = self._definition(_WHOLE)
        return self._reference

    def _definition(self, flags: int) -> bytes:
        instrument = self.instrument
        return encoder.instrument_definition(
            instrument.id,
            flags,
            InstrumentDefinition(
                instrument.symbol,
                instrument.tick_size,
                instrument.quantity_step,
                instrument.definition_version,
                Category(instrument.category),
                instrument.price_exponent,
                instrument.quantity_exponent,
                instrument.status,
            ),
        )


def _split(bids: list[int], asks: list[int]) -> list[tuple[int, list[int]]]:
    """(bids in it, flat levels) per message, bids before asks."""
    flat = bids + asks
    parts = []
    for start in range(0, len(flat), _MOST):
        part = flat[start : start + _MOST]
        parts.append((max(0, min(len(bids) - start, len(part))) >> 1, part))
    return parts
