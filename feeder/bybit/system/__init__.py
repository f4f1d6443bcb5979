"""Everything of the library as one system: REST, streams, the market of each symbol, health, settings."""

from .books import BookEvent, LiveBook
from .events import EVENTS, ErrorOccurred
from .history import Candles
from .market import Market
from .market_trades import Trade
from .market_view import SymbolView
from .quality import Quality
from .settings import SystemSettings
from .system import BybitSystem, Reloaded
from .system_status import Finding, Health, SystemStatus

__all__ = [
    "EVENTS",
    "BookEvent",
    "BybitSystem",
    "Candles",
    "ErrorOccurred",
    "Finding",
    "Health",
    "LiveBook",
    "Market",
    "Quality",
    "Reloaded",
    "SymbolView",
    "SystemSettings",
    "SystemStatus",
    "Trade",
]
