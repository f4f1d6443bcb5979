"""Everything of the library as one system: REST, streams, the market of each symbol, health, settings."""

from feeder.market.status import BookStatus, StatusReason

from .books import BookEvent, LiveBook
from .events import EVENTS, ErrorOccurred
from .history import Candles, History
from .history_bars import Span
from .market import Market, MarketStatus
from .market_cache import CacheCounts
from .market_trades import Trade
from .market_view import LastPrices, Sourced, SymbolView
from .quality import Part, Quality
from .settings import SystemSettings
from .system import BybitSystem
from .system_reload import Reloaded
from .system_status import Finding, Health, SystemStatus

__all__ = [
    "EVENTS",
    "BookEvent",
    "BookStatus",
    "BybitSystem",
    "CacheCounts",
    "Candles",
    "ErrorOccurred",
    "Finding",
    "Health",
    "History",
    "LastPrices",
    "LiveBook",
    "Market",
    "MarketStatus",
    "Part",
    "Quality",
    "Reloaded",
    "Sourced",
    "Span",
    "StatusReason",
    "SymbolView",
    "SystemSettings",
    "SystemStatus",
    "Trade",
]
