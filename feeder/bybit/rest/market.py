"""What anybody may ask of the market, without a key.

These endpoints have no limit per key; they count against the budget of the address (600 requests in 5 s). Source:
Bybit v5, market/* and system-status.
"""

from collections.abc import AsyncIterator
from typing import Literal

from .endpoints.typed import (
    FUNDING_HISTORY,
    INDEX_PRICE_KLINES,
    INSTRUMENTS_INFO,
    KLINES,
    MARK_PRICE_KLINES,
    OPEN_INTEREST,
    ORDER_BOOK,
    PREMIUM_INDEX_KLINES,
    RECENT_TRADES,
    RPI_ORDER_BOOK,
    SERVER_TIME,
    SYSTEM_STATUS,
    TICKERS,
)
from .reply import Page, Reply
from .results.market import (
    Candle,
    FundingRate,
    InstrumentDetails,
    OpenInterest,
    OrderBook,
    PriceCandle,
    PublicTrade,
    RpiOrderBook,
    ServerTime,
    SystemStatus,
    Ticker,
)
from .sender import PageSender
from .words import Category, Contract, InstrumentStatus, Interval, IntervalTime, OptionType, SystemState

_INSTRUMENTS = 1000  # the most of a page
_OPEN_INTERESTS = 200


class MarketCalls(PageSender):
    """The public endpoints. Every method raises RestError; all times are ms since the epoch."""

    __slots__ = ()

    async def server_time(self) -> Reply[ServerTime]:
        """The venue's clock. Source: market/time."""
        return await self.send(SERVER_TIME, {})

    async def system_status(
        self,
        *,
        id: str | None = None,  # noqa: A002 - the venue's name
        state: SystemState | None = None,
    ) -> Reply[Page[SystemStatus]]:
        """Maintenance and incidents, or the one of an `id`. Less than 10 s are not announced. Source: system-status."""
        return await self.send(SYSTEM_STATUS, {"id": id, "state": state})

    async def tickers(
        self,
        category: Category,
        *,
        symbol: str | None = None,
        base_coin: str | None = None,
        exp_date: str | None = None,
    ) -> Reply[Page[Ticker]]:
        """Prices, best bid and offer and the last 24 hours: of one symbol, or of all of a category in one page.

        Options need `symbol` or `base_coin`; `exp_date`, as 25DEC26, is theirs alone. Source: market/tickers.
        """
        parameters = {"category": category, "symbol": symbol, "baseCoin": base_coin, "expDate": exp_date}
        return await self.send(TICKERS, parameters)

    async def instruments(
        self,
        category: Category,
        *,
        symbol: str | None = None,
        symbol_type: str | None = None,
        status: InstrumentStatus | None = None,
        base_coin: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Reply[Page[InstrumentDetails]]:
        """One page of what is traded, 1 to 1000 a page (without `limit`: 500); spot comes in one page always.

        Without `status` those that trade, and of options those before and after as well. Options are those of
        `base_coin`, without it of BTC. Source: market/instrument.
        """
        parameters = {
            "category": category,
            "symbol": symbol,
            "symbolType": symbol_type,
            "status": status,
            "baseCoin": base_coin,
            "limit": limit,
            "cursor": cursor,
        }
        return await self.send(INSTRUMENTS_INFO, parameters)

    def each_instrument(
        self,
        category: Category,
        *,
        symbol_type: str | None = None,
        status: InstrumentStatus | None = None,
        base_coin: str | None = None,
    ) -> AsyncIterator[InstrumentDetails]:
        """All that `instruments` finds, page after page."""
        parameters = {
            "category": category,
            "symbolType": symbol_type,
            "status": status,
            "baseCoin": base_coin,
            "limit": _INSTRUMENTS,
        }
        return self.each(INSTRUMENTS_INFO, parameters)

    async def order_book(self, category: Category, symbol: str, *, limit: int | None = None) -> Reply[OrderBook]:
        """The best `limit` bids and asks: 1 to 1000, options 1 to 25; without it 1, and of contracts 25.

        Its update id is that of the stream of 1000 levels. Source: market/orderbook.
        """
        return await self.send(ORDER_BOOK, {"category": category, "symbol": symbol, "limit": limit})

    async def rpi_order_book(self, symbol: str, limit: int, *, category: Category | None = None) -> Reply[RpiOrderBook]:
        """The best `limit` (1 to 50) bids and asks with retail price improvement orders; not of options.

        Source: market/rpi-orderbook.
        """
        return await self.send(RPI_ORDER_BOOK, {"category": category, "symbol": symbol, "limit": limit})

    async def recent_trades(
        self,
        category: Category,
        *,
        symbol: str | None = None,
        base_coin: str | None = None,
        option_type: OptionType | None = None,
        limit: int | None = None,
    ) -> Reply[Page[PublicTrade]]:
        """The last trades, 1 to 1000 (spot: 1 to 60); without `limit` 500 (60).

        `symbol` is needed except for options, which are those of `base_coin`, without it of BTC. Source:
        market/recent-trade.
        """
        parameters = {
            "category": category,
            "symbol": symbol,
            "baseCoin": base_coin,
            "optionType": option_type,
            "limit": limit,
        }
        return await self.send(RECENT_TRADES, parameters)

    async def klines(
        self,
        category: Literal["spot", "linear", "inverse"],
        symbol: str,
        interval: Interval,
        *,
        start: int | None = None,
        end: int | None = None,
        limit: int | None = None,
    ) -> Reply[Page[Candle]]:
        """Candles from `start` to `end`, the youngest first: 1 to 1000, without `limit` 200. Source: market/kline."""
        return await self.send(KLINES, _candles(category, symbol, interval, start, end, limit))

    async def mark_price_klines(
        self,
        category: Contract,
        symbol: str,
        interval: Interval,
        *,
        start: int | None = None,
        end: int | None = None,
        limit: int | None = None,
    ) -> Reply[Page[PriceCandle]]:
        """Candles of the mark price; as `klines`. Source: market/mark-kline."""
        return await self.send(MARK_PRICE_KLINES, _candles(category, symbol, interval, start, end, limit))

    async def index_price_klines(
        self,
        category: Contract,
        symbol: str,
        interval: Interval,
        *,
        start: int | None = None,
        end: int | None = None,
        limit: int | None = None,
    ) -> Reply[Page[PriceCandle]]:
        """Candles of the index price; as `klines`. Source: market/index-kline."""
        return await self.send(INDEX_PRICE_KLINES, _candles(category, symbol, interval, start, end, limit))

    async def premium_index_klines(
        self,
        symbol: str,
        interval: Interval,
        *,
        category: Literal["linear"] = "linear",
        start: int | None = None,
        end: int | None = None,
        limit: int | None = None,
    ) -> Reply[Page[PriceCandle]]:
        """Candles of the premium index, which USDT and USDC perpetuals have; as `klines`.

        Source: market/premium-index-kline.
        """
        return await self.send(PREMIUM_INDEX_KLINES, _candles(category, symbol, interval, start, end, limit))

    async def funding_history(
        self,
        category: Contract,
        symbol: str,
        *,
        start_time: int | None = None,
        end_time: int | None = None,
        limit: int | None = None,
    ) -> Reply[Page[FundingRate]]:
        """Funding rates that were settled, the youngest first: 1 to 200, without `limit` 200.

        `start_time` needs `end_time`; `end_time` alone gives the last ones before it. Source:
        market/history-fund-rate.
        """
        parameters = {
            "category": category,
            "symbol": symbol,
            "startTime": start_time,
            "endTime": end_time,
            "limit": limit,
        }
        return await self.send(FUNDING_HISTORY, parameters)

    async def open_interest(
        self,
        category: Contract,
        symbol: str,
        interval_time: IntervalTime,
        *,
        start_time: int | None = None,
        end_time: int | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Reply[Page[OpenInterest]]:
        """One page of open interest, the youngest first: 1 to 200 a page, without `limit` 50.

        Source: market/open-interest.
        """
        parameters = {
            "category": category,
            "symbol": symbol,
            "intervalTime": interval_time,
            "startTime": start_time,
            "endTime": end_time,
            "limit": limit,
            "cursor": cursor,
        }
        return await self.send(OPEN_INTEREST, parameters)

    def each_open_interest(
        self,
        category: Contract,
        symbol: str,
        interval_time: IntervalTime,
        *,
        start_time: int | None = None,
        end_time: int | None = None,
    ) -> AsyncIterator[OpenInterest]:
        """All that `open_interest` finds, page after page; without `start_time` back to the symbol's launch."""
        parameters = {
            "category": category,
            "symbol": symbol,
            "intervalTime": interval_time,
            "startTime": start_time,
            "endTime": end_time,
            "limit": _OPEN_INTERESTS,
        }
        return self.each(OPEN_INTEREST, parameters)


def _candles(
    category: str, symbol: str, interval: Interval, start: int | None, end: int | None, limit: int | None
) -> dict[str, object]:
    return {"category": category, "symbol": symbol, "interval": interval, "start": start, "end": end, "limit": limit}
