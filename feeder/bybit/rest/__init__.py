"""Bybit's REST API, v5, as a library: endpoints, signing, limits, a shared session pool, a cache of clients."""

from .cache import ClientCache
from .client import BybitClient
from .pool import SessionPool, Timeouts
from .reply import Page, RateStatus, Reply
from .secret import Secret
from .settings import Settings, client_from

__all__ = [
    "BybitClient",
    "ClientCache",
    "Page",
    "RateStatus",
    "Reply",
    "Secret",
    "SessionPool",
    "Settings",
    "Timeouts",
    "client_from",
]
