"""Bybit's WebSocket streams, v5, as a library: an account's own, the market's, order entry."""

from .channel import Channel, Events
from .private import PrivateStream
from .public import PublicStream, kline_topic, liquidation_topic, ticker_topic
from .topic_stream import Latency, StreamHealth

__all__ = [
    "Channel",
    "Events",
    "Latency",
    "PrivateStream",
    "PublicStream",
    "StreamHealth",
    "kline_topic",
    "liquidation_topic",
    "ticker_topic",
]
