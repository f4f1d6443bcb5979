"""The sections of a system's settings: their keys, what is usual, and what each may be."""

import re
from typing import Any, Literal

import msgspec

from feeder.bybit.pacing import Timing
from feeder.bybit.rest.pool import REQUESTS, Timeouts

from . import market_cache

_CACHE = market_cache.CacheLimits()


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the settings."""


class RateSettings(Section, frozen=True):
    """How fast REST may be asked: `requests` in any 5 s from this address by this process."""

    requests: int = REQUESTS
    wait_seconds: float = Timeouts().turn  # what would have to wait longer for its turn fails at once


class ConnectionSettings(Section, frozen=True):
    """REST's connections, and how long each step may take."""

    max_connections: int = 100
    connect_seconds: float = Timeouts().connect
    answer_seconds: float = Timeouts().answer
    ready_seconds: float = 10.0  # each part of the system may take so long to be there when it starts


class WebsocketSettings(Section, frozen=True):
    """The streams. `url` has no path and is needed where base_url is not one of the venue's own."""

    url: str | None = None
    ping_seconds: float = Timing().ping_interval
    pong_seconds: float = Timing().pong_deadline
    reconnect_first_seconds: float = Timing().reconnect_first
    reconnect_cap_seconds: float = Timing().reconnect_cap
    private_topics: list[str] = []  # beside order, execution, position and wallet, such as greeks
    public_topics: dict[str, list[str]] = {}  # by category, beside what `watch` needs, such as kline.1.BTCUSDT

    @property
    def timing(self) -> Timing:
        """As the streams have it."""
        return Timing(
            ping_interval=self.ping_seconds,
            pong_deadline=self.pong_seconds,
            reconnect_first=self.reconnect_first_seconds,
            reconnect_cap=self.reconnect_cap_seconds,
        )


class Watched(Section, frozen=True):
    """Symbols that the market follows from the start; `depth` 0 is the usual one."""

    category: Literal["spot", "linear", "inverse", "option"]
    symbols: list[str]
    depth: int = 0
    ticker: bool = True
    trades: bool = True

    @property
    def levels(self) -> int:
        """Of the book, a side."""
        return self.depth or (25 if self.category == "option" else 50)


class AccountSettings(Section, frozen=True):
    """What the account trades: REST lists by category, and linear contracts by the coin that they settle in."""

    categories: list[Literal["linear", "inverse", "spot", "option"]] = msgspec.field(
        default_factory=lambda: ["linear", "inverse", "spot", "option"]
    )
    settle_coins: list[str] = msgspec.field(default_factory=lambda: ["USDT", "USDC"])


class CacheSettings(Section, frozen=True):
    """How long the market keeps what REST said, in seconds, and how much of it; `history_pages` are of 1000 bars."""

    instrument_seconds: float = _CACHE.instrument_seconds
    ticker_seconds: float = _CACHE.ticker_seconds
    book_seconds: float = _CACHE.book_seconds
    trades_seconds: float = _CACHE.trades_seconds
    fee_rate_seconds: float = _CACHE.fee_rate_seconds
    entries: int = _CACHE.entries  # at most, of each kind
    history_pages: int = _CACHE.history_pages

    @property
    def of_market(self) -> market_cache.CacheLimits:
        """As the market has it."""
        return market_cache.CacheLimits(**msgspec.structs.asdict(self))


class LoggingSettings(Section, frozen=True):
    """How much the library logs; None leaves it as the program has it."""

    level: Literal["debug", "info", "warning", "error"] | None = None


class FeatureSettings(Section, frozen=True):
    """What a system has. None: if there is a key (and for order entry, if the environment offers it)."""

    private: bool | None = None  # the account's stream, and the account kept by it
    order_entry: bool | None = None
    market: bool = True
    health: bool = True  # the loop: health_check, reconciliation, reload
    reload: bool = True  # the loop looks whether the file has changed


class HealthSettings(Section, frozen=True):
    """How often a system looks at itself, and from when on something is a finding."""

    interval_seconds: float = 10.0
    reconcile_seconds: float | None = 300.0  # the account is compared with REST's as often; None: after cuts only
    stale_seconds: float = 30.0  # nothing came on a connection for so long
    clock_offset_seconds: float = 1.0  # this machine's clock is so far from the venue's
    quality: float = 50.0  # of a symbol's data, 0 to 100


SECTIONS: dict[str, Any] = {
    "rate": RateSettings,
    "connection": ConnectionSettings,
    "websocket": WebsocketSettings,
    "watch": list[Watched],
    "account": AccountSettings,
    "cache": CacheSettings,
    "logging": LoggingSettings,
    "features": FeatureSettings,
    "health": HealthSettings,
}
"""Each by its key."""

RANGES: dict[str, tuple[float, float, str]] = {
    "rate.requests": (5, REQUESTS, "requests in 5 s"),
    "rate.wait_seconds": (0, 300, "seconds"),
    "connection.max_connections": (1, 10_000, "connections"),
    "connection.connect_seconds": (0.1, 60, "seconds"),
    "connection.answer_seconds": (0.1, 300, "seconds"),
    "connection.ready_seconds": (0.1, 300, "seconds"),
    "websocket.ping_seconds": (0.1, 25, "seconds; the venue ends what is silent for 30 s or so"),
    "websocket.pong_seconds": (0.1, 60, "seconds"),
    "websocket.reconnect_first_seconds": (0.01, 60, "seconds"),
    "websocket.reconnect_cap_seconds": (0.01, 300, "seconds"),
    "cache.instrument_seconds": (0, 86_400, "seconds"),
    "cache.ticker_seconds": (0, 86_400, "seconds"),
    "cache.book_seconds": (0, 86_400, "seconds"),
    "cache.trades_seconds": (0, 86_400, "seconds"),
    "cache.fee_rate_seconds": (0, 86_400, "seconds"),
    "cache.entries": (1, 1_000_000, "answers of each kind"),
    "cache.history_pages": (1, 10_000, "pages of 0.75 MB each"),
    "health.interval_seconds": (0.05, 3600, "seconds"),
    "health.reconcile_seconds": (1, 86_400, "seconds, or null for after cuts only"),
    "health.stale_seconds": (1, 3600, "seconds"),
    "health.clock_offset_seconds": (0.01, 3600, "seconds"),
    "health.quality": (0, 100, "of 100"),
}
"""Of each number: least, most, unit."""

_REMEDIES = {  # of what is no number
    "websocket.url": "write wss://host, without user, password and path",
    "websocket.private_topics": "write a list such as [greeks]",
    "websocket.public_topics": "write lists by category, such as {linear: [kline.1.BTCUSDT]}",
    "watch": "write a list such as [{category: linear, symbols: [BTCUSDT]}]",
    "watch.category": "use spot, linear, inverse or option",
    "watch.depth": "write a number of levels such as 50, or leave it out",
    "watch.symbols": "write a list such as [BTCUSDT, ETHUSDT]",
    "account.categories": "write some of [linear, inverse, spot, option]",
    "account.settle_coins": "write a list such as [USDT, USDC]",
    "logging.level": "use debug, info, warning or error",
}


def remedy_of(path: str) -> str:
    """What to do about a key that has a value it cannot have."""
    key = re.sub(r"\[[0-9]*\]", "", path)
    if key in RANGES:
        least, most, unit = RANGES[key]
        return f"use {least:g} to {most:g} {unit}"
    if key in SECTIONS and key not in _REMEDIES:
        return f"write its keys with their values: {', '.join(SECTIONS[key].__struct_fields__)}"
    return _REMEDIES.get(key, "write true or false" if key.startswith(("features.", "watch.")) else "mend it")
