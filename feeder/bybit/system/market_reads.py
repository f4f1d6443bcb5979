"""What the market reads by REST, each kind through a cache of its own."""

import asyncio
from collections.abc import Hashable
from typing import Any, TypeVar

from feeder.clock import Clock
from feeder.errors import InvalidRequestError
from feeder.market.instrument import Category

from ..rest.client import BybitClient
from ..rest.results.account import FeeRate
from ..rest.results.market import InstrumentDetails, OrderBook, PublicTrade, Ticker
from ..topics import base_coin
from .history import HistoryPages
from .market_cache import CacheCounts, CacheLimits, Kept, TtlCache
from .unknown_symbol import of_symbol, unknown_symbol

_BOOK_LEVELS = {Category.OPTION: 25}  # the most that REST tells
_MOST_LEVELS = 1000
_TRADES = {Category.SPOT: 60}
_MOST_TRADES = 1000


Entry = TypeVar("Entry", InstrumentDetails, Ticker, FeeRate)


class MarketReads:
    """Cached reads by (category, symbol). All raise RestError; InstrumentError for a symbol that the venue has not.

    What is read of the same symbol within its time to live makes no request; see CacheLimits.
    """

    def __init__(self, client: BybitClient, limits: CacheLimits, clock: Clock) -> None:
        self._client = client
        entries = limits.entries
        self._instruments: TtlCache[InstrumentDetails] = TtlCache(limits.instrument_seconds, entries, clock)
        self._tickers: TtlCache[Ticker] = TtlCache(limits.ticker_seconds, entries, clock)
        self._books: TtlCache[OrderBook] = TtlCache(limits.book_seconds, entries, clock)
        self._trades: TtlCache[list[PublicTrade]] = TtlCache(limits.trades_seconds, entries, clock)
        self._fee_rates: TtlCache[FeeRate] = TtlCache(limits.fee_rate_seconds, entries, clock)
        self._caches: dict[str, TtlCache[Any]] = {
            "instruments": self._instruments,
            "tickers": self._tickers,
            "books": self._books,
            "trades": self._trades,
            "fee_rates": self._fee_rates,
        }
        self.history = HistoryPages(client, limits.history_pages, clock)

    async def instrument(self, category: Any, symbol: str) -> Kept[InstrumentDetails]:
        """What the venue says of an instrument."""

        async def fetch() -> InstrumentDetails:
            coin = base_coin(symbol) if category == Category.OPTION else None
            try:
                page = (await self._client.instruments(category, symbol=symbol, base_coin=coin)).result
            except InvalidRequestError as error:
                raise of_symbol(error, category, symbol) from error
            return _the_one(page.entries, category, symbol)

        return await self._instruments.get((category, symbol), fetch)

    async def ticker(self, category: Any, symbol: str) -> Kept[Ticker]:
        """A symbol's ticker."""

        async def fetch() -> Ticker:
            try:
                page = (await self._client.tickers(category, symbol=symbol)).result
            except InvalidRequestError as error:
                raise of_symbol(error, category, symbol) from error
            return _the_one(page.entries, category, symbol)

        return await self._tickers.get((category, symbol), fetch)

    async def order_book(self, category: Any, symbol: str) -> Kept[OrderBook]:
        """A symbol's book with all levels that REST tells: 1000 a side, of options 25."""

        async def fetch() -> OrderBook:
            limit = _BOOK_LEVELS.get(category, _MOST_LEVELS)
            try:
                return (await self._client.order_book(category, symbol, limit=limit)).result
            except InvalidRequestError as error:
                raise of_symbol(error, category, symbol) from error

        return await self._books.get((category, symbol), fetch)

    async def trades(self, category: Any, symbol: str) -> Kept[list[PublicTrade]]:
        """A symbol's last trades, youngest first, as many as REST tells: 1000, of spot 60."""

        async def fetch() -> list[PublicTrade]:
            limit = _TRADES.get(category, _MOST_TRADES)
            try:
                return (await self._client.recent_trades(category, symbol=symbol, limit=limit)).result.entries
            except InvalidRequestError as error:
                raise of_symbol(error, category, symbol) from error

        return await self._trades.get((category, symbol), fetch)

    async def fee_rate(self, category: Any, symbol: str) -> Kept[FeeRate]:
        """What trading a symbol costs the client's key; of options all of a base coin alike."""
        coin = base_coin(symbol) if category == Category.OPTION else None

        async def fetch() -> FeeRate:
            asked = None if coin else symbol
            try:
                page = (await self._client.fee_rates(category, symbol=asked, base_coin=coin)).result
            except InvalidRequestError as error:
                raise of_symbol(error, category, symbol) from error
            if coin and page.entries:
                return page.entries[0]
            return _the_one(page.entries, category, symbol)

        return await self._fee_rates.get((category, symbol), fetch)

    def counts(self) -> dict[str, CacheCounts]:
        """Of each cache, by its kind."""
        return {kind: cache.counts for kind, cache in self._caches.items()} | {"history": self.history.counts}

    def configure(self, limits: CacheLimits) -> None:
        """Other times to live and sizes, from now on."""
        entries = limits.entries
        self._instruments.resize(limits.instrument_seconds, entries)
        self._tickers.resize(limits.ticker_seconds, entries)
        self._books.resize(limits.book_seconds, entries)
        self._trades.resize(limits.trades_seconds, entries)
        self._fee_rates.resize(limits.fee_rate_seconds, entries)
        self.history.resize(limits.history_pages)

    def invalidate(self, category: str | None = None, symbol: str | None = None) -> int:
        """Forget all that REST said, or that of a category or symbol; how many things that were."""

        def matches(key: Hashable) -> bool:
            assert isinstance(key, tuple)
            return category in (None, key[0]) and symbol in (None, key[1])

        kept = sum(cache.invalidate(matches) for cache in self._caches.values())
        return kept + self.history.invalidate(category, symbol)

    async def aclose(self) -> None:
        """End what is under way."""
        await asyncio.gather(self.history.aclose(), *(cache.aclose() for cache in self._caches.values()))


def _the_one(entries: list[Entry], category: str, symbol: str) -> Entry:
    """The entry of this symbol. Raises InstrumentError."""
    for entry in entries:
        if entry.symbol == symbol:
            return entry
    raise unknown_symbol(category, symbol)
