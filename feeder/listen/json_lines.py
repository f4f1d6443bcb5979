"""Events as JSON, one object per line. The schema, for `--help` and for programs:"""

from collections.abc import Callable
from typing import Any, cast

import msgspec

from feeder.client.book_view import BookView
from feeder.client.events import (
    BookChanged,
    Defined,
    Event,
    FeedEnded,
    FeederHeard,
    FeederLost,
    HoleAbandoned,
    HoleFilled,
    PacketsLost,
    SessionChanged,
    StatusChanged,
    Traded,
    TradesGone,
)
from feeder.listen.board import Board, reason_of
from feeder.listen.decimals import iso_text
from feeder.listen.stats import StatsMeter, channel_object, partition_object
from feeder.market.fixed_point import format_fixed
from feeder.market.update import pairs

SCHEMA = """\
Each object has `event`, `time` (ISO 8601, UTC) and `time_ns`: when this listener saw it. Prices and quantities
are exact decimals in strings; levels are [price, quantity], best first; other times are nanoseconds since the
epoch. Integers such as time_ns exceed 2^53: readers whose numbers are double-precision (JavaScript, jq before
1.7) round them; take `time`, or a reader with 64-bit integers. Events of an instrument have `category`, `symbol`
(both null until it is defined), `instrument_id`, `partition`.
  book         status, reason, instrument_sequence, venue_update_id, venue_sequence, conflated, match_time_ns,
               send_time_ns, receive_time_ns, bids, asks (as they are after it).
               In the stream also cleared, changed_bids, changed_asks: begin with an empty book if cleared,
               then set the quantity of each price; 0 removes it.
               With --once also checksum: CRC-32 over all levels, as in the feed's BookChecksum
  status       status, reason, instrument_sequence, venue_update_id
  trade        side (buy or sell, the taker's), price, quantity, trade_id, trade_sequence, book_sequence,
               venue_sequence, match_time_ns, send_time_ns, receive_time_ns, missed (trades lost before it),
               late (true: one of the missed, sent again; trade_sequence says its place)
  trades_lost  first_trade_sequence, last_trade_sequence, count: given up by the feeder
  definition   tick_size, quantity_step, price_exponent, quantity_exponent, definition_version, trading_status
  hole         partition, kind, channel_id, first, last, lost: messages lost on every line. Of kind books: each
               book of the partition is SUSPECT until its next event or checksum, or the hole is filled.
               dropped_here: datagrams this machine dropped meanwhile; 0: the network lost them
  hole_filled  the same but dropped_here; seconds: what was lost has come, sent again or only late
  hole_abandoned         the same but seconds: it will not come; books wait for snapshots, trades stay lost
  session      partition, session_id: a feeder (re)started; each book of the partition begins anew
  feeder_lost  partition: nothing on any line; each of its books is FEEDER_LOST until feeder_heard or session
  feeder_heard, ended    partition; ended: the feeder closed its session
  events_dropped         count: whoever reads this was too slow. Books after it are right, changes are missing
Statuses: LIVE; SYNCING, STALE, DELISTED (the feeder's word); JOINING, SUSPECT, FEEDER_LOST, ENDED,
CLOSED (the listener's own). With --stats: one `channel` per channel and one `partition` per partition, each second;
its `retransmit` is what was asked for again of books and trades, and p99_seconds from a hole named to filled."""

STREAM_LEVELS = 10  # of each side in a `book` of the stream, unless told otherwise

JsonObject = dict[str, Any]


class JsonLines:
    """Makes objects of events. `levels`: at most so many of each side, None for all."""

    def __init__(self, board: Board, levels: int | None = STREAM_LEVELS) -> None:
        self._board = board
        self._levels = levels
        self._encode = msgspec.json.Encoder().encode
        self._makers: dict[type[Any], Callable[[Any], JsonObject]] = {
            BookChanged: self._book_changed,
            StatusChanged: self._status,
            Traded: self._trade,
            TradesGone: self._trades_lost,
            Defined: self._definition,
            PacketsLost: lambda e: {**self._hole("hole", e), "dropped_here": e.dropped_here},
            HoleFilled: lambda e: {**self._hole("hole_filled", e), "seconds": round(e.seconds, 6)},
            HoleAbandoned: lambda e: self._hole("hole_abandoned", e),
            SessionChanged: lambda e: {"event": "session", "partition": e.partition, "session_id": e.session_id},
            FeederLost: lambda e: {"event": "feeder_lost", "partition": e.partition},
            FeederHeard: lambda e: {"event": "feeder_heard", "partition": e.partition},
            FeedEnded: lambda e: {"event": "ended", "partition": e.partition},
        }

    @property
    def kinds(self) -> tuple[type[Event], ...]:
        """The classes of events that are told."""
        return cast(tuple[type[Event], ...], tuple(self._makers))

    def event(self, event: Event) -> bytes:
        """The line of one event, to be called while it happens: a book is told as it is at this moment."""
        return self._line(self._makers[type(event)](event))

    def dropped(self, count: int) -> bytes:
        """The line that says that lines are missing."""
        return self._line({"event": "events_dropped", "count": count})

    def book(self, view: BookView) -> bytes:
        """The line of a whole book, for --once."""
        return self._line({**self._book(view), "checksum": view.checksum()})

    def stats(self, meter: StatsMeter) -> list[bytes]:
        """The lines of --stats."""
        channels = [{"event": "channel", **channel_object(row)} for row in meter.channels()]
        return [
            self._line(o)
            for o in (*channels, *({"event": "partition", **partition_object(row)} for row in meter.partitions()))
        ]

    def _line(self, made: JsonObject) -> bytes:
        now = self._board.clock.wall_ns()
        head = {"event": made["event"], "time": iso_text(now), "time_ns": now}
        return self._encode(head | made) + b"\n"

    def _named(self, event: str, instrument_id: int) -> JsonObject:
        category, symbol = self._board.name_of(instrument_id) or (None, None)
        return {
            "event": event,
            "category": category,
            "symbol": symbol,
            "instrument_id": instrument_id,
            "partition": self._board.plan.partition_of(instrument_id),
        }

    def _book(self, view: BookView) -> JsonObject:
        status = view.status
        top = view.depth() if self._levels is None else view.top(self._levels)
        return {
            **self._named("book", view.instrument_id),
            "status": status.value,
            "reason": reason_of(view, status).name,
            "instrument_sequence": view.sequence,
            "venue_update_id": view.venue_update_id,
            "venue_sequence": view.venue_sequence,
            "conflated": view.conflated,
            "match_time_ns": view.match_time_ns,
            "send_time_ns": view.send_time_ns,
            "receive_time_ns": view.receive_time_ns,
            "bids": _levels(view, top.bids),
            "asks": _levels(view, top.asks),
        }

    def _book_changed(self, event: BookChanged) -> JsonObject:
        view = event.view
        if event.cleared:
            whole = view.depth()
            bids, asks = whole.bids, whole.asks
        else:
            bids, asks = [], []
            for delta in event.deltas:
                split = 2 * delta.bid_count
                bids += delta.levels[:split]
                asks += delta.levels[split:]
        return {
            **self._book(view),
            "cleared": event.cleared,
            "changed_bids": _levels(view, bids),
            "changed_asks": _levels(view, asks),
        }

    def _status(self, event: StatusChanged) -> JsonObject:
        return {
            **self._named("status", event.view.instrument_id),
            "status": event.status.value,
            "reason": event.reason.name,
            "instrument_sequence": event.view.sequence,
            "venue_update_id": event.view.venue_update_id,
        }

    def _trade(self, event: Traded) -> JsonObject:
        trade = event.trade
        return {
            **self._named("trade", event.instrument_id),
            "side": trade.aggressor.name.lower(),
            "price": format_fixed(trade.price, trade.price_exponent),
            "quantity": format_fixed(trade.quantity, trade.quantity_exponent),
            "trade_id": trade.trade_id,
            "trade_sequence": trade.trade_sequence,
            "book_sequence": trade.book_sequence,
            "venue_sequence": trade.venue_sequence,
            "match_time_ns": trade.match_time_ns,
            "send_time_ns": trade.send_time_ns,
            "receive_time_ns": trade.receive_time_ns,
            "missed": event.missed,
            "late": event.late,
        }

    def _trades_lost(self, event: TradesGone) -> JsonObject:
        lost = event.lost
        return {
            **self._named("trades_lost", event.instrument_id),
            "first_trade_sequence": lost.first_trade_sequence,
            "last_trade_sequence": lost.last_trade_sequence,
            "count": lost.lost,
        }

    def _definition(self, event: Defined) -> JsonObject:
        definition = event.definition
        return {
            **self._named("definition", event.instrument_id),
            "tick_size": format_fixed(definition.tick_size, definition.price_exponent),
            "quantity_step": format_fixed(definition.quantity_step, definition.quantity_exponent),
            "price_exponent": definition.price_exponent,
            "quantity_exponent": definition.quantity_exponent,
            "definition_version": definition.definition_version,
            "trading_status": definition.status.name,
        }

    def _hole(self, name: str, event: PacketsLost | HoleFilled | HoleAbandoned) -> JsonObject:
        return {
            "event": name,
            "partition": event.partition,
            "kind": event.kind.name.lower(),
            "channel_id": self._board.plan.channel(event.partition, event.kind).channel_id,
            "first": event.first,
            "last": event.last,
            "lost": event.last - event.first + 1,
        }


def _levels(view: BookView, flat: list[int]) -> list[tuple[str, str]]:
    price_exponent, quantity_exponent = view.price_exponent, view.quantity_exponent
    return [(format_fixed(p, price_exponent), format_fixed(q, quantity_exponent)) for p, q in pairs(flat)]
