"""One symbol, from whichever of stream and REST knows best: every answer says which that was, and how old it is."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Generic, Literal, NamedTuple, TypeVar

from feeder.clock import MILLISECOND_NS
from feeder.errors import InstrumentError, ParameterError, StreamError
from feeder.market.status import BookStatus

from ..rest.results.account import FeeRate
from ..rest.results.market import InstrumentDetails, Level, OrderBook, Ticker
from .books import LiveBook
from .history import History
from .market_cache import Kept
from .market_reads import MarketReads
from .market_symbol import WatchedSymbol
from .market_trades import RECENT, Trade, of_rest
from .quality import Quality, unwatched

Value = TypeVar("Value")
SourceName = Literal["stream", "rest"]

READY_SECONDS = 10.0


class Sourced(NamedTuple, Generic[Value]):
    """A value, where it is from, and how many seconds ago it came here."""

    value: Value
    source: SourceName
    age_seconds: float


@dataclass(frozen=True, slots=True)
class LastPrices:
    """The prices of a symbol, each with its source and age; None for what the venue does not tell.

    `last` is of the last trade; `bid` and `ask` of the book while that is LIVE, else of the ticker. Spot's ticker has
    none of these but `last`.
    """

    last: Sourced[Decimal] | None
    mark: Sourced[Decimal] | None
    index: Sourced[Decimal] | None
    bid: Sourced[Decimal] | None
    ask: Sourced[Decimal] | None


class SymbolView:
    """One symbol of the market. What is watched comes from the stream while that is right, else from REST.

    The methods that may ask raise RestError, and InstrumentError for a symbol that the venue has not.
    """

    def __init__(
        self,
        category: str,
        symbol: str,
        reads: MarketReads,
        watched: Callable[[], WatchedSymbol | None],
        whole_trades: Callable[[], int],
        history: Callable[[str, int | datetime, int | datetime | None], History],
    ) -> None:
        self.category = category
        self.symbol = symbol
        self._reads = reads
        self._watched = watched
        self._whole_trades = whole_trades
        self._history = history

    def __repr__(self) -> str:
        return f"SymbolView({self.category} {self.symbol})"

    @property
    def live_book(self) -> LiveBook | None:
        """The stream's book, to be read at once and as often as wanted; None while the symbol is not watched."""
        watched = self._watched()
        return None if watched is None else watched.book

    async def ready(self, seconds: float = READY_SECONDS) -> None:
        """Return when the book is LIVE and the ticker, if watched, has come.

        Raises StreamError when that takes longer or the symbol is not watched, InstrumentError when it is delisted.
        """
        name = f"{self.category} {self.symbol}"
        watched = self._watched()
        try:
            async with asyncio.timeout(seconds):
                while watched is not None and not watched.is_ready:
                    if watched.book.status is BookStatus.DELISTED:
                        raise InstrumentError(f"{name} is delisted; unwatch it")
                    await watched.news()
                    watched = self._watched()
        except TimeoutError:
            assert watched is not None
            lacking = "" if watched.book.live else f": the book is {watched.book.status.name}"
            raise StreamError(f"{name}: no data within {seconds:g} s{lacking or ': no ticker yet'}") from None
        if watched is None:
            raise StreamError(f"{name} is not watched; call watch for it first")

    async def ticker(self) -> Sourced[Ticker]:
        """The ticker: the stream's (a TickerUpdate) while that is up, else by REST."""
        watched = self._watched()
        if watched is not None and watched.ticker_is_current:
            assert watched.ticker is not None
            assert watched.ticker_at is not None
            return Sourced(watched.ticker, "stream", watched.age(watched.ticker_at))
        return _by_rest(await self._reads.ticker(self.category, self.symbol))

    async def book(self, levels: int | None = None) -> Sourced[OrderBook]:
        """The best `levels` a side, or all there are: the stream's exact book while LIVE, else a snapshot by REST.

        Update ids of the two sources count differently and must not be compared.
        """
        if levels is not None and levels < 1:
            raise ParameterError("book", "levels", f"{levels}: must be 1 or more")
        watched = self._watched()
        if watched is not None and watched.book.live:
            book = watched.book
            assert book.updated_at is not None
            bids, asks = book.levels(levels)
            return Sourced(self._order_book(book, bids, asks), "stream", watched.age(book.updated_at))
        kept = await self._reads.order_book(self.category, self.symbol)
        told = kept.value
        cut = OrderBook(
            symbol=told.symbol,
            bids=told.bids[:levels],
            asks=told.asks[:levels],
            time_ms=told.time_ms,
            update_id=told.update_id,
            sequence=told.sequence,
            matching_time_ms=told.matching_time_ms,
        )
        return Sourced(cut, "rest", kept.age_seconds)

    async def trades(self, count: int = 100) -> Sourced[list[Trade]]:
        """The last `count` trades (at most 1000), oldest first.

        The stream's, if it has told so many without a break; else with what REST knows of (of spot the last 60), each
        trade once. The age is that of the youngest answer.
        """
        if not 1 <= count <= RECENT:
            raise ParameterError("trades", "count", f"{count}: must be 1 to {RECENT}")
        watched = self._watched()
        if watched is not None and self._whole_trades() >= count:
            assert watched.trades.updated_at is not None
            return Sourced(watched.trades.newest(count), "stream", watched.age(watched.trades.updated_at))
        kept = await self._reads.trades(self.category, self.symbol)
        told = of_rest(self.category, kept.value)
        watched = self._watched()
        merged = told[-count:] if watched is None else watched.trades.merged(told, count)
        return Sourced(merged, "rest", kept.age_seconds)

    async def instrument(self) -> Sourced[InstrumentDetails]:
        """What the venue says of it: tick, lot, limits."""
        return _by_rest(await self._reads.instrument(self.category, self.symbol))

    async def fee_rate(self) -> Sourced[FeeRate]:
        """What trading it costs; needs a client with a key."""
        return _by_rest(await self._reads.fee_rate(self.category, self.symbol))

    async def last_prices(self) -> LastPrices:
        """Last, mark, index, best bid and ask, each from where it is youngest."""
        ticker = await self.ticker()
        watched = self._watched()
        told = ticker.value
        last = _part(ticker, told.last_price)
        bid, ask = _part(ticker, told.bid1_price), _part(ticker, told.ask1_price)
        if watched is not None:
            trade, at = watched.trades.last, watched.trades.updated_at
            if trade is not None and at is not None and (last is None or watched.age(at) < ticker.age_seconds):
                last = Sourced(trade.price, "stream", watched.age(at))
            if watched.book.live and watched.book.updated_at is not None:
                age = watched.age(watched.book.updated_at)
                best_bid, best_ask = watched.book.best()
                bid, ask = _best(best_bid, age), _best(best_ask, age)
        return LastPrices(last, _part(ticker, told.mark_price), _part(ticker, told.index_price), bid, ask)

    def history(self, interval: str, start: int | datetime, end: int | datetime | None = None) -> History:
        """Its bars; see Market.history."""
        return self._history(interval, start, end)

    def quality(self) -> Quality:
        """How far its data can be trusted now."""
        watched = self._watched()
        return unwatched(self.category, self.symbol) if watched is None else watched.quality()

    def _order_book(self, book: LiveBook, bids: list[Level], asks: list[Level]) -> OrderBook:
        return OrderBook(
            symbol=self.symbol,
            bids=bids,
            asks=asks,
            time_ms=book.send_time_ns // MILLISECOND_NS,
            update_id=book.update_id,
            sequence=book.sequence,
            matching_time_ms=book.match_time_ns // MILLISECOND_NS,
        )


def _by_rest(kept: Kept[Value]) -> Sourced[Value]:
    return Sourced(kept.value, "rest", kept.age_seconds)


def _part(whole: Sourced[Ticker], price: Decimal | None) -> Sourced[Decimal] | None:
    return None if price is None else Sourced(price, whole.source, whole.age_seconds)


def _best(level: Level | None, age: float) -> Sourced[Decimal] | None:
    return None if level is None else Sourced(level.price, "stream", age)
