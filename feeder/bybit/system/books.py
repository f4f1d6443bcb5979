"""One symbol's exact book, kept from the feeder's own updates: LIVE only from a snapshot on, nothing missed since.

The rules are those of feeder.pipeline's worker, without its queue: here an update is applied when it comes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from feeder.book.order_book import OrderBook
from feeder.book.sync import BookSync, Verdict
from feeder.market.instrument import Instrument
from feeder.market.status import BookStatus, StatusReason
from feeder.market.update import BookUpdate, pairs

from ..rest.results.market import Level

Resync = Callable[[StatusReason, int], None]
"""Asks for a fresh snapshot, for this reason and of this generation. May be called while an update is being applied."""

Lost = Callable[[StatusReason], None]
"""Told when the book was LIVE and is not any longer."""


def amount(value: int, exponent: int) -> Decimal:
    """An integer at 10^exponent as an exact number."""
    return Decimal(value).scaleb(exponent)


class LiveBook:
    """A symbol's book at `depth` levels a side. `status` and `reason` say whether it can be trusted: only while LIVE.

    `updated_at` is when the last message of it came that counted, monotonic seconds; None before. `update_id` is that
    of its topic; `match_time_ns`, `send_time_ns` and `receive_time_ns` when the venue matched and sent it, and when it
    came here.
    """

    def __init__(self, instrument: Instrument, depth: int, now: float, resync: Resync, lost: Lost) -> None:
        self.instrument = instrument
        self.depth = depth
        self.status = BookStatus.SYNCING
        self.reason = StatusReason.SUBSCRIBED
        self.since = now  # monotonic seconds
        self.generation = 0
        self.updated_at: float | None = None
        self.match_time_ns = 0
        self.send_time_ns = 0
        self.receive_time_ns = 0
        self.gaps = 0
        self.crossings = 0
        self._book = OrderBook(depth)
        self._sync = BookSync(depth)
        self._resync = resync
        self._lost = lost
        self._asked_of = -1  # the generation a snapshot was asked for
        self._was_live = False

    @property
    def live(self) -> bool:
        """Whether it is exact now."""
        return self.status is BookStatus.LIVE

    @property
    def tick_size(self) -> Decimal:
        """The least that prices differ by; 0 where the venue does not say."""
        return amount(self.instrument.tick_size, self.instrument.price_exponent)

    @property
    def update_id(self) -> int:
        """Of the last update that counted."""
        return self._sync.last_update_id

    @property
    def sequence(self) -> int:
        """The matching engine's, of the last update that counted."""
        return self._sync.last_sequence

    def best(self) -> tuple[Level | None, Level | None]:
        """Best bid and best ask; None for an empty side, and both unless LIVE."""
        if not self.live:
            return None, None
        bid, ask = self._book.best_bid(), self._book.best_ask()
        return (None if bid is None else self._level(*bid)), (None if ask is None else self._level(*ask))

    def levels(self, count: int | None = None) -> tuple[list[Level], list[Level]]:
        """The best `count` bids and asks, or all, best first; none unless LIVE."""
        if not self.live:
            return [], []
        flat = self._book.levels() if count is None else self._book.top(count)
        return [self._level(*each) for each in pairs(flat.bids)], [self._level(*each) for each in pairs(flat.asks)]

    def spread_ticks(self) -> float | None:
        """From the best bid to the best ask in ticks; None with an empty side, or unless LIVE."""
        if not self.live:
            return None
        bid, ask = self._book.best_bid(), self._book.best_ask()
        if bid is None or ask is None:
            return None
        return (ask[0] - bid[0]) / (self.instrument.tick_size or 1)

    def on_update(self, update: BookUpdate, now: float) -> bool:
        """Take the topic's next update; whether that changed anything."""
        if update.generation < self.generation or self.status is BookStatus.DELISTED:
            return False
        self.generation = update.generation
        verdict = self._sync.on_update(update)
        if verdict is Verdict.DELTA:
            self._book.apply_delta(update.bids, update.asks)
            if self._book.touched and self._book.is_crossed():
                self._on_crossed(update.generation, now)
                return True
        elif verdict is Verdict.SNAPSHOT:
            self._book.apply_snapshot(update.bids, update.asks)
            if self._book.is_crossed():
                self._on_crossed(update.generation, now)
                return True
            self._set(BookStatus.LIVE, StatusReason.SNAPSHOT, now)
            self._was_live = True
            self._asked_of = -1
        elif verdict is Verdict.GAP:
            self.gaps += 1
            self._lose(StatusReason.GAP, now)
            self._ask(StatusReason.GAP, update.generation)
            return True
        elif verdict is not Verdict.DUPLICATE:
            return False
        self.updated_at = now
        self.match_time_ns = update.match_time_ns
        self.send_time_ns = update.send_time_ns
        self.receive_time_ns = update.receive_time_ns
        return verdict is not Verdict.DUPLICATE

    def on_reset(self, generation: int, reason: StatusReason, now: float) -> bool:
        """Only updates of `generation` count from now on, from a snapshot on; whether that changed anything."""
        if generation < self.generation:
            return False
        self.generation = generation
        before = (self.status, self.reason)
        if reason is StatusReason.DELISTED:
            self._sync.invalidate()
            self._set(BookStatus.DELISTED, reason, now)
        elif self.status is not BookStatus.DELISTED:
            self._lose(reason, now)
        return (self.status, self.reason) != before

    def on_definition(self, instrument: Instrument, now: float) -> None:
        """The instrument is as this from now on; its levels in another scale are no use any more."""
        old, self.instrument = self.instrument, instrument
        before = (old.price_exponent, old.quantity_exponent)
        if before != (instrument.price_exponent, instrument.quantity_exponent) and self._sync.synced:
            self._lose(StatusReason.SCALE, now)
            self._ask(StatusReason.SCALE, self.generation)

    def fail(self, now: float) -> None:
        """Something raised while it was changed: begin anew."""
        self._lose(StatusReason.MALFORMED, now)
        self._ask(StatusReason.MALFORMED, self.generation)

    def _on_crossed(self, generation: int, now: float) -> None:
        self.crossings += 1
        self._lose(StatusReason.CROSSED, now)
        self._ask(StatusReason.CROSSED, generation)

    def _lose(self, reason: StatusReason, now: float) -> None:
        """Not LIVE, and nothing but a snapshot makes it so."""
        self._sync.invalidate()
        was_live = self.live
        self._set(BookStatus.STALE if self._was_live else BookStatus.SYNCING, reason, now)
        if was_live:
            self._lost(reason)

    def _set(self, status: BookStatus, reason: StatusReason, now: float) -> None:
        if status is not self.status:
            self.since = now
        self.status = status
        self.reason = reason

    def _ask(self, reason: StatusReason, generation: int) -> None:
        if self._asked_of < generation:
            self._asked_of = generation
            self._resync(reason, generation)

    def _level(self, price: int, quantity: int) -> Level:
        instrument = self.instrument
        return Level(amount(price, instrument.price_exponent), amount(quantity, instrument.quantity_exponent))


@dataclass(frozen=True, slots=True)
class BookEvent:
    """A book changed, at most one for each turn of the event loop: its state when told.

    `bid` and `ask` are the best, None for an empty side or while the book is not LIVE. `book` has as many levels as are
    wanted; it goes on changing, so that it is newer than the event when it is read later.
    """

    category: str
    symbol: str
    status: BookStatus
    reason: StatusReason
    bid: Level | None
    ask: Level | None
    update_id: int
    match_time_ns: int
    receive_time_ns: int
    book: LiveBook


def book_event(book: LiveBook) -> BookEvent:
    """What the book is now."""
    bid, ask = book.best()
    return BookEvent(
        book.instrument.category,
        book.instrument.symbol,
        book.status,
        book.reason,
        bid,
        ask,
        book.update_id,
        book.match_time_ns,
        book.receive_time_ns,
        book,
    )
