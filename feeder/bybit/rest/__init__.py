"""Bybit's REST API, v5, as a library: endpoints, signing, limits, a shared session pool, a cache of clients."""

from .cache import ClientCache
from .client import BybitClient
from .order_requests import AmendRequest, CancelRequest, OrderRequest
from .pool import SessionPool, Timeouts
from .reply import Page, RateStatus, Reply
from .results.orders import batch_outcome
from .secret import Secret
from .settings import Settings, client_from

__all__ = [
    "AmendRequest",
    "BybitClient",
    "CancelRequest",
    "ClientCache",
    "OrderRequest",
    "Page",
    "RateStatus",
    "Reply",
    "Secret",
    "SessionPool",
    "Settings",
    "Timeouts",
    "batch_outcome",
    "client_from",
]
