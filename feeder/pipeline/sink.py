"""Where a symbol's worker writes to: what becomes of a book is somebody else's business (feeder.multicast)."""

from typing import Protocol

from feeder.book.order_book import OrderBook
from feeder.market.instrument import Instrument
from feeder.market.status import BookStatus, StatusReason
from feeder.market.update import BookUpdate, TradeUpdate


class BookSink(Protocol):
    """One symbol's way out. Called in order, from that symbol's task only; nothing given may be changed or kept."""

    def restart(self, book: OrderBook, update: BookUpdate) -> None:
        """The book was replaced by `update`: all its levels go out, and it is LIVE from here."""
        ...

    def delta(self, update: BookUpdate, bids: list[int], asks: list[int]) -> None:
        """The LIVE book took these levels (flat, absolute quantities, 0 removes), those that left its window included.

        Ids and times are `update`'s; its own levels are not to be used: they may be a whole snapshot.
        """
        ...

    def status(self, status: BookStatus, reason: StatusReason) -> None:
        """The book is SYNCING, STALE or DELISTED from here; LIVE is told by `restart`."""
        ...

    def trades(self, trades: list[TradeUpdate]) -> None:
        """Trades, oldest first."""
        ...

    def trades_lost(self, count: int) -> None:
        """`count` trades that should have come here were dropped."""
        ...

    def definition(self, instrument: Instrument) -> None:
        """The instrument is defined anew. After a change of scale the book is not LIVE, and restarts in the new one."""
        ...
