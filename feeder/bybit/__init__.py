"""The venue: everything that knows Bybit's JSON, rules and limits, and nothing else.

As a library: BybitClient, SessionPool, ClientCache and Settings for REST; PrivateStream and PublicStream for its
WebSockets; the errors. All that a request raises is a RestError, all that a stream raises a StreamError;
feeder/errors.py draws the tree.

What is of the sub-packages is imported when it is asked for: programs that want a constant of the venue's need no HTTP.
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
    OverrunError,
    ParameterError,
    PoolError,
    RateLimitedError,
    RefusedError,
    ReplyError,
    ReplyTimeoutError,
    RestError,
    StreamAuthError,
    StreamError,
    TlsError,
    TopicError,
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
    from .streams import (
        Channel,
        Events,
        Latency,
        PrivateStream,
        PublicStream,
        StreamHealth,
        kline_topic,
        liquidation_topic,
        ticker_topic,
    )

_PACKAGES = ("rest", "streams")  # in the order in which they are needed

__all__ = [
    "AmendRequest",
    "AuthError",
    "BalanceError",
    "BarredError",
    "BudgetError",
    "BybitClient",
    "CancelRequest",
    "Channel",
    "ClientCache",
    "ClockError",
    "ConfigError",
    "ConnectError",
    "DuplicateOrderError",
    "Events",
    "HttpStatusError",
    "InvalidRequestError",
    "Latency",
    "OrderError",
    "OrderNotFoundError",
    "OrderRequest",
    "OverrunError",
    "Page",
    "ParameterError",
    "PoolError",
    "PrivateStream",
    "PublicStream",
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
    "StreamAuthError",
    "StreamError",
    "StreamHealth",
    "Timeouts",
    "TlsError",
    "TopicError",
    "TransportError",
    "UnavailableError",
    "UnknownEndpointError",
    "batch_outcome",
    "client_from",
    "kline_topic",
    "liquidation_topic",
    "ticker_topic",
]

if not TYPE_CHECKING:  # a type checker knows every name by the imports above, and that there is no other

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        packages = (import_module(f".{each}", __name__) for each in _PACKAGES)
        value = globals()[name] = next(getattr(each, name) for each in packages if name in each.__all__)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
