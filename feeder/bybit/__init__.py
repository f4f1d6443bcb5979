"""The venue: everything that knows Bybit's JSON, rules and limits, and nothing else.

As a library: BybitClient, SessionPool, ClientCache, Settings and the errors. All that a request raises is a RestError;
feeder/errors.py draws the tree.

What is of `rest` is imported when it is asked for: programs that want a constant of the venue's need no HTTP.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from feeder.errors import (
    AuthError,
    BalanceError,
    BarredError,
    BudgetError,
    ClockError,
    ConfigError,
    ConnectError,
    DuplicateOrderError,
    HttpStatusError,
    InvalidRequestError,
    OrderError,
    OrderNotFoundError,
    ParameterError,
    PoolError,
    RateLimitedError,
    RefusedError,
    ReplyError,
    ReplyTimeoutError,
    RestError,
    TlsError,
    TransportError,
    UnavailableError,
    UnknownEndpointError,
)

if TYPE_CHECKING:
    from .rest import (
        AmendRequest,
        BybitClient,
        CancelRequest,
        ClientCache,
        OrderRequest,
        Page,
        RateStatus,
        Reply,
        Secret,
        SessionPool,
        Settings,
        Timeouts,
        batch_outcome,
        client_from,
    )

__all__ = [
    "AmendRequest",
    "AuthError",
    "BalanceError",
    "BarredError",
    "BudgetError",
    "BybitClient",
    "CancelRequest",
    "ClientCache",
    "ClockError",
    "ConfigError",
    "ConnectError",
    "DuplicateOrderError",
    "HttpStatusError",
    "InvalidRequestError",
    "OrderError",
    "OrderNotFoundError",
    "OrderRequest",
    "Page",
    "ParameterError",
    "PoolError",
    "RateLimitedError",
    "RateStatus",
    "RefusedError",
    "Reply",
    "ReplyError",
    "ReplyTimeoutError",
    "RestError",
    "Secret",
    "SessionPool",
    "Settings",
    "Timeouts",
    "TlsError",
    "TransportError",
    "UnavailableError",
    "UnknownEndpointError",
    "batch_outcome",
    "client_from",
]

if not TYPE_CHECKING:  # a type checker knows every name by the imports above, and that there is no other

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(".rest", __name__), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
