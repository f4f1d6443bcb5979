"""Short ways to write updates, and a sink that keeps the book a consumer would have."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from feeder.book.order_book import OrderBook
from feeder.market.instrument import Instrument, instrument_id
from feeder.market.status import BookStatus, StatusReason
from feeder.market.update import BookUpdate, Side, TradeUpdate, pairs

SideLevels = dict[int, int]


def flat(levels: SideLevels) -> list[int]:
    """{price: quantity} as a flat list."""
    return [number for level in levels.items() for number in level]


def book_update(
    update_id: int,
    bids: SideLevels | None = None,
    asks: SideLevels | None = None,
    *,
    snapshot: bool = False,
    generation: int = 0,
    sequence: int | None = None,
) -> BookUpdate:
    """A delta (or snapshot) whose times tell its update id; its venue sequence is ten times that unless given."""
    return BookUpdate(
        snapshot=snapshot,
        bids=flat(bids or {}),
        asks=flat(asks or {}),
        update_id=update_id,
        first_update_id=update_id,
        venue_sequence=update_id * 10 if sequence is None else sequence,
        match_time_ns=update_id * 1000 + 1,
        send_time_ns=update_id * 1000 + 2,
        receive_time_ns=update_id * 1000 + 3,
        generation=generation,
    )


def trade(number: int) -> TradeUpdate:
    """A trade that is told apart by its price."""
    return TradeUpdate(number, 1, Side.BUY, str(number), number, number, number, number)


def an_instrument(symbol: str = "BTCUSDT", price_exponent: int = -2, version: int = 1) -> Instrument:
    """A linear instrument."""
    return Instrument(
        "linear", symbol, instrument_id("linear", symbol), price_exponent, -3, 10, 1, definition_version=version
    )


@dataclass
class ConsumerSink:
    """Records what a worker writes, as (name, ...) tuples, and applies it as a consumer would."""

    events: list[tuple[object, ...]] = field(default_factory=list)
    bids: SideLevels = field(default_factory=dict)
    asks: SideLevels = field(default_factory=dict)
    book_status: BookStatus | None = None
    update_ids: list[int] = field(default_factory=list)
    fail_next: Exception | None = None

    def restart(self, book: OrderBook, update: BookUpdate) -> None:
        self._fail_if_told()
        levels = book.levels()
        self.bids = dict(pairs(levels.bids))
        self.asks = dict(pairs(levels.asks))
        self.book_status = BookStatus.LIVE
        self.update_ids.append(update.update_id)
        self.events.append(("restart", update.update_id))

    def delta(self, update: BookUpdate, bids: list[int], asks: list[int]) -> None:
        self._fail_if_told()
        assert self.book_status is BookStatus.LIVE, "a delta of a book that is not LIVE"
        for side, levels in ((self.bids, bids), (self.asks, asks)):
            for price, quantity in pairs(levels):
                if quantity:
                    side[price] = quantity
                else:
                    side.pop(price, None)
        self.update_ids.append(update.update_id)
        self.events.append(("delta", update.update_id, tuple(bids), tuple(asks)))

    def status(self, status: BookStatus, reason: StatusReason) -> None:
        self._fail_if_told()
        assert status is not BookStatus.LIVE
        self.book_status = status
        self.events.append((status.name, reason.name))

    def trades(self, trades: list[TradeUpdate]) -> None:
        self._fail_if_told()
        self.events.append(("trades", *(trade.price for trade in trades)))

    def trades_lost(self, count: int) -> None:
        self.events.append(("trades_lost", count))

    def definition(self, instrument: Instrument) -> None:
        self.events.append(("definition", instrument.price_exponent, instrument.definition_version))

    def named(self, names: Iterable[str]) -> list[tuple[object, ...]]:
        """The events of these names, in order."""
        wanted = set(names)
        return [event for event in self.events if event[0] in wanted]

    def _fail_if_told(self) -> None:
        error, self.fail_next = self.fail_next, None
        if error is not None:
            raise error
