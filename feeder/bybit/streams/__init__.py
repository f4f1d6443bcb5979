"""Bybit's WebSocket streams, v5, as a library: an account's own, the market's, order entry."""

from .account import Account, AccountHealth, Reconciled
from .channel import Channel, Events, Latest
from .latency import Latency
from .messages import (
    ExecutionUpdate,
    FastExecution,
    Greeks,
    Kline,
    Liquidation,
    MarketTrade,
    OrderUpdate,
    PositionUpdate,
    TickerUpdate,
    WalletUpdate,
)
from .order_entry import EntryHealth, OrderEntry
from .order_entry_link import LateAck
from .private import PrivateStream
from .public import PublicStream, kline_topic, liquidation_topic, ticker_topic
from .topic_stream import StreamHealth

__all__ = [
    "Account",
    "AccountHealth",
    "Channel",
    "EntryHealth",
    "Events",
    "ExecutionUpdate",
    "FastExecution",
    "Greeks",
    "Kline",
    "LateAck",
    "Latency",
    "Latest",
    "Liquidation",
    "MarketTrade",
    "OrderEntry",
    "OrderUpdate",
    "PositionUpdate",
    "PrivateStream",
    "PublicStream",
    "Reconciled",
    "StreamHealth",
    "TickerUpdate",
    "WalletUpdate",
    "kline_topic",
    "liquidation_topic",
    "ticker_topic",
]
