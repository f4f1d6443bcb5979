"""The endpoints that have a method and a Struct of their own: what a trader needs daily.

A limit holds per key: public endpoints count against the address alone. Where the venue's table has categories in
cells of their own, each has its own limit; linear and inverse share a cell. Sources: Bybit v5, rate-limit/rate-limit
and the page of each endpoint.
"""

from typing import Any

from ..endpoint import Endpoint, Limit
from ..reply import Page
from ..results.account import AccountInfo, FeeRate, Wallet
from ..results.market import (
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
from ..results.orders import BatchOrder, CancelledOrders, Execution, Order, OrderAck
from ..results.positions import ClosedPnl, Position

SERVER_TIME: Endpoint[ServerTime] = Endpoint("GET", "/v5/market/time", signed=False, result=ServerTime)
SYSTEM_STATUS: Endpoint[Page[SystemStatus]] = Endpoint(
    "GET", "/v5/system/status", signed=False, result=Page[SystemStatus]
)
TICKERS: Endpoint[Page[Ticker]] = Endpoint(
    "GET", "/v5/market/tickers", required=("category",), signed=False, result=Page[Ticker]
)
INSTRUMENTS_INFO: Endpoint[Page[InstrumentDetails]] = Endpoint(
    "GET", "/v5/market/instruments-info", required=("category",), signed=False, result=Page[InstrumentDetails]
)
ORDER_BOOK: Endpoint[OrderBook] = Endpoint(
    "GET", "/v5/market/orderbook", required=("category", "symbol"), signed=False, result=OrderBook
)
RPI_ORDER_BOOK: Endpoint[RpiOrderBook] = Endpoint(
    "GET", "/v5/market/rpi_orderbook", required=("symbol", "limit"), signed=False, result=RpiOrderBook
)
RECENT_TRADES: Endpoint[Page[PublicTrade]] = Endpoint(
    "GET", "/v5/market/recent-trade", required=("category",), signed=False, result=Page[PublicTrade]
)
KLINES: Endpoint[Page[Candle]] = Endpoint(
    "GET", "/v5/market/kline", required=("symbol", "interval"), signed=False, result=Page[Candle]
)
MARK_PRICE_KLINES: Endpoint[Page[PriceCandle]] = Endpoint(
    "GET", "/v5/market/mark-price-kline", required=("symbol", "interval"), signed=False, result=Page[PriceCandle]
)
INDEX_PRICE_KLINES: Endpoint[Page[PriceCandle]] = Endpoint(
    "GET", "/v5/market/index-price-kline", required=("symbol", "interval"), signed=False, result=Page[PriceCandle]
)
PREMIUM_INDEX_KLINES: Endpoint[Page[PriceCandle]] = Endpoint(
    "GET",
    "/v5/market/premium-index-price-kline",
    required=("symbol", "interval"),
    signed=False,
    result=Page[PriceCandle],
)
FUNDING_HISTORY: Endpoint[Page[FundingRate]] = Endpoint(
    "GET", "/v5/market/funding/history", required=("category", "symbol"), signed=False, result=Page[FundingRate]
)
OPEN_INTEREST: Endpoint[Page[OpenInterest]] = Endpoint(
    "GET",
    "/v5/market/open-interest",
    required=("category", "symbol", "intervalTime"),
    signed=False,
    result=Page[OpenInterest],
)

PLACE_ORDER: Endpoint[OrderAck] = Endpoint(
    "POST",
    "/v5/order/create",
    required=("category", "symbol", "side", "orderType", "qty"),
    limit=Limit(10),
    by_category={"option": Limit(10), "spot": Limit(20)},
    result=OrderAck,
)
# An amendment is not sent twice: the second would undo a later one, and an answer that nothing changed or that the
# order is done would hide that the first was carried out.
AMEND_ORDER: Endpoint[OrderAck] = Endpoint(
    "POST",
    "/v5/order/amend",
    required=("category", "symbol", "orderId|orderLinkId"),
    limit=Limit(10),
    by_category={"option": Limit(10), "spot": Limit(10)},
    result=OrderAck,
)
# An order once cancelled stays cancelled, and its id names no other: twice does what once does. The answer to the
# second may be that there is no such order.
CANCEL_ORDER: Endpoint[OrderAck] = Endpoint(
    "POST",
    "/v5/order/cancel",
    required=("category", "symbol", "orderId|orderLinkId"),
    limit=Limit(10),
    by_category={"option": Limit(10), "spot": Limit(20)},
    repeatable=True,
    result=OrderAck,
)
# Not sent twice: the second would also cancel what was placed in between.
CANCEL_ALL_ORDERS: Endpoint[CancelledOrders] = Endpoint(
    "POST",
    "/v5/order/cancel-all",
    required=("category",),
    limit=Limit(10),
    by_category={"option": Limit(1), "spot": Limit(20)},
    result=CancelledOrders,
)
# Batches have limits of their own, counted in orders, not in requests (options: in requests).
PLACE_ORDERS: Endpoint[Page[BatchOrder]] = Endpoint(
    "POST",
    "/v5/order/create-batch",
    required=("category", "request"),
    limit=Limit(10),
    by_category={"option": Limit(10), "spot": Limit(20)},
    result=Page[BatchOrder],
)
AMEND_ORDERS: Endpoint[Page[BatchOrder]] = Endpoint(
    "POST",
    "/v5/order/amend-batch",
    required=("category", "request"),
    limit=Limit(10),
    by_category={"option": Limit(10), "spot": Limit(20)},
    result=Page[BatchOrder],
)
CANCEL_ORDERS: Endpoint[Page[BatchOrder]] = Endpoint(
    "POST",
    "/v5/order/cancel-batch",
    required=("category", "request"),
    limit=Limit(10),
    by_category={"option": Limit(10), "spot": Limit(20)},
    repeatable=True,
    result=Page[BatchOrder],
)
DISCONNECT_CANCEL_ALL: Endpoint[Any] = Endpoint(
    "POST", "/v5/order/disconnected-cancel-all", required=("timeWindow",), limit=Limit(5), repeatable=True
)
OPEN_ORDERS: Endpoint[Page[Order]] = Endpoint(
    "GET", "/v5/order/realtime", required=("category",), limit=Limit(50), result=Page[Order]
)
ORDER_HISTORY: Endpoint[Page[Order]] = Endpoint(
    "GET", "/v5/order/history", required=("category",), limit=Limit(50), result=Page[Order]
)
EXECUTIONS: Endpoint[Page[Execution]] = Endpoint(
    "GET", "/v5/execution/list", required=("category",), limit=Limit(50), result=Page[Execution]
)

POSITIONS: Endpoint[Page[Position]] = Endpoint(
    "GET", "/v5/position/list", required=("category",), limit=Limit(50), result=Page[Position]
)
CLOSED_PNL: Endpoint[Page[ClosedPnl]] = Endpoint(
    "GET", "/v5/position/closed-pnl", required=("category",), limit=Limit(50), result=Page[ClosedPnl]
)
SET_LEVERAGE: Endpoint[Any] = Endpoint(
    "POST",
    "/v5/position/set-leverage",
    required=("category", "symbol", "buyLeverage", "sellLeverage"),
    limit=Limit(10),
    repeatable=True,
)
# Not sent twice: with tpslMode Partial each request adds orders.
TRADING_STOP: Endpoint[Any] = Endpoint(
    "POST",
    "/v5/position/trading-stop",
    required=("category", "symbol", "tpslMode", "positionIdx"),
    limit=Limit(10),
)
SWITCH_POSITION_MODE: Endpoint[Any] = Endpoint(
    "POST",
    "/v5/position/switch-mode",
    required=("category", "mode", "symbol|coin"),
    limit=Limit(10),
    repeatable=True,
)

WALLET_BALANCE: Endpoint[Page[Wallet]] = Endpoint(
    "GET", "/v5/account/wallet-balance", required=("accountType",), limit=Limit(50), result=Page[Wallet]
)
FEE_RATES: Endpoint[Page[FeeRate]] = Endpoint(
    "GET", "/v5/account/fee-rate", required=("category",), limit=Limit(5), result=Page[FeeRate]
)
ACCOUNT_INFO: Endpoint[AccountInfo] = Endpoint("GET", "/v5/account/info", limit=Limit(50), result=AccountInfo)

TYPED: tuple[Endpoint[Any], ...] = (
    SERVER_TIME,
    SYSTEM_STATUS,
    TICKERS,
    INSTRUMENTS_INFO,
    ORDER_BOOK,
    RPI_ORDER_BOOK,
    RECENT_TRADES,
    KLINES,
    MARK_PRICE_KLINES,
    INDEX_PRICE_KLINES,
    PREMIUM_INDEX_KLINES,
    FUNDING_HISTORY,
    OPEN_INTEREST,
    PLACE_ORDER,
    AMEND_ORDER,
    CANCEL_ORDER,
    CANCEL_ALL_ORDERS,
    PLACE_ORDERS,
    AMEND_ORDERS,
    CANCEL_ORDERS,
    DISCONNECT_CANCEL_ALL,
    OPEN_ORDERS,
    ORDER_HISTORY,
    EXECUTIONS,
    POSITIONS,
    CLOSED_PNL,
    SET_LEVERAGE,
    TRADING_STOP,
    SWITCH_POSITION_MODE,
    WALLET_BALANCE,
    FEE_RATES,
    ACCOUNT_INFO,
)
"""Every endpoint above."""
