"""A consumer's book: what the feeder's book holds at an instrument sequence, and whether that can be believed."""

from dataclasses import dataclass

from feeder.book.order_book import OrderBook
from feeder.client.status import FEEDER_STATUS, ViewStatus
from feeder.clock import SECOND_NS, Clock
from feeder.market.instrument import InstrumentKey
from feeder.market.status import BookStatus, StatusReason
from feeder.market.update import Levels
from feeder.wire.messages import BookDelta, InstrumentDefinition, SnapshotBegin

_ANY_DEPTH = 1 << 30  # the feeder keeps the window and sends what leaves it


@dataclass(slots=True)
class PartitionHealth:
    """What all books of a partition share: looked at when a status is asked for, so no loss loops over books."""

    hole_end: int = 0  # last channel sequence of the latest hole that is not filled
    silent: bool = False
    ended: bool = False
    closed: bool = False


class BookView:
    """One book, read-only to its user. Prices and quantities are integers at the view's exponents.

    sequence is the instrumentSequence applied last, venue_update_id the exchange's own, conflated whether that update
    was folded from several; the three times are nanoseconds since the epoch.
    """

    __slots__ = (
        "_book",
        "_clock",
        "_health",
        "_updated",
        "conflated",
        "definition",
        "feeder_status",
        "instrument_id",
        "joined",
        "match_time_ns",
        "price_exponent",
        "proof",
        "quantity_exponent",
        "reason",
        "receive_time_ns",
        "send_time_ns",
        "sequence",
        "updates",
        "venue_sequence",
        "venue_update_id",
    )

    def __init__(self, instrument_id: int, health: PartitionHealth, clock: Clock) -> None:
        self.instrument_id = instrument_id
        self.definition: InstrumentDefinition | None = None
        self.updates = 0
        self._health = health
        self._clock = clock
        self.reset()

    def __repr__(self) -> str:
        name = self.instrument_id if self.definition is None else f"{self.definition.category}:{self.definition.symbol}"
        return f"<BookView {name} {self.status.name} at {self.sequence}>"

    @property
    def key(self) -> InstrumentKey | None:
        """(category, symbol), None until the definition has come."""
        definition = self.definition
        return None if definition is None else (definition.category, definition.symbol)

    @property
    def status(self) -> ViewStatus:
        """What the book is worth at this moment."""
        health = self._health
        if health.closed:
            return ViewStatus.CLOSED
        if health.ended:
            return ViewStatus.ENDED
        if health.silent:
            return ViewStatus.FEEDER_LOST
        if not self.joined:
            return ViewStatus.JOINING
        if self.proof < health.hole_end:
            return ViewStatus.SUSPECT
        return FEEDER_STATUS[self.feeder_status]

    @property
    def is_live(self) -> bool:
        """Whether the book is exactly the feeder's, and the feeder's exactly the exchange's."""
        return self.status is ViewStatus.LIVE

    @property
    def age_seconds(self) -> float | None:
        """Seconds since the book last changed; None before the first change."""
        return None if self._updated is None else self._clock.monotonic() - self._updated

    def top(self, count: int = 1) -> Levels:
        """The best `count` levels of each side, best first, as flat [price, quantity, ...] lists."""
        return self._book.top(count)

    def depth(self) -> Levels:
        """All levels, best first."""
        return self._book.levels()

    def best_bid(self) -> tuple[int, int] | None:
        """(price, quantity)."""
        return self._book.best_bid()

    def best_ask(self) -> tuple[int, int] | None:
        """(price, quantity)."""
        return self._book.best_ask()

    def checksum(self) -> int:
        """CRC-32 as on the wire: all bids descending, then all asks ascending."""
        return self._book.checksum()

    # For feeder.client.recovery, the view's only writer --------------------------------------------------------------

    def reset(self) -> None:
        """Forget the book: a new session, or a break that only a snapshot can mend."""
        self._book = OrderBook(_ANY_DEPTH)
        self._updated: float | None = None
        self.joined = False
        self.proof = 0
        self.sequence = 0
        self.feeder_status = BookStatus.SYNCING
        self.reason = StatusReason.NONE
        self.venue_update_id = self.venue_sequence = 0
        self.match_time_ns = self.send_time_ns = self.receive_time_ns = 0
        self.price_exponent = self.quantity_exponent = 0
        self.conflated = False

    def clear(self) -> None:
        """Empty the book."""
        self._book.clear()

    def apply(self, delta: BookDelta, *, conflated: bool) -> None:
        """Apply one delta and take over its ids and times."""
        split = 2 * delta.bid_count
        levels = list(delta.levels)
        self._book.apply_delta(levels[:split], levels[split:])
        self._take_over(delta)
        self.conflated = conflated
        self.updates += 1

    def load(self, begin: SnapshotBegin, bids: list[int], asks: list[int]) -> None:
        """Replace everything by a snapshot."""
        self._book.apply_snapshot(bids, asks)
        self._take_over(begin)
        self.sequence = begin.instrument_sequence
        self.feeder_status, self.reason = begin.status, begin.reason
        self.conflated = False
        # What a snapshot tells may be old: its age counts from when the feeder got it, by this machine's clock.
        age_ns = max(0, self._clock.wall_ns() - begin.receive_time_ns)
        self._updated = self._clock.monotonic() - age_ns / SECOND_NS if begin.receive_time_ns else None
        self.joined = True

    def _take_over(self, message: BookDelta | SnapshotBegin) -> None:
        self.venue_update_id = message.venue_update_id
        self.venue_sequence = message.venue_sequence
        self.match_time_ns = message.match_time_ns
        self.send_time_ns = message.send_time_ns
        self.receive_time_ns = message.receive_time_ns
        self.price_exponent = message.price_exponent
        self.quantity_exponent = message.quantity_exponent
        self._updated = self._clock.monotonic()
