"""Every error feeder raises on purpose; the operating system's own errors pass through unchanged.

FeederError
|- ConfigError          a key of the configuration: its path, what is wrong, what to do        (exit code 78)
|- MachineError         what a key asks of this machine cannot be had now; another time it may be        (exit code 1)
|- VenueError           the exchange, or what it sent
|  |- MessageError      a message that cannot be understood
|  |- InstrumentError   a symbol the instrument table does not have
|  |- StreamError       a WebSocket stream of the library
|  |  |- StreamAuthError   the venue does not let this key in
|  |  |- TopicError        a topic that the venue refused, or that there is not
|  |  `- OverrunError      events came faster than they were taken, and some were lost to whoever is too slow
|  `- RestError         a REST request that failed; `retriable`, `retry_after_seconds`, `unknown_outcome` say what next
|     |- ParameterError     found wrong before anything was sent; names the parameter
|     |- UnknownEndpointError   no such method and path
|     |- PoolError          the session pool is closed, or belongs to another event loop
|     |- BudgetError        not sent: its turn within the rate limits is too far away
|     |- BarredError        HTTP 403; nothing is sent to the venue for 10 minutes
|     |- TransportError     no whole answer came
|     |  |- ConnectError       no connection, so surely not sent
|     |  |  `- TlsError           the other side is not the one it should be
|     |  `- ReplyTimeoutError  sent, and no answer within the time
|     |- ReplyError         an answer that is not the API's: HTTP status, redirect, HTML, cut short, of another shape
|     |  `- HttpStatusError    an HTTP status other than 200
|     `- RefusedError       retCode is not 0
|        |- InvalidRequestError   a parameter the venue does not accept
|        |- ClockError         our time is outside the venue's window
|        |- AuthError          key, signature, permission, address, region
|        |- RateLimitedError   too many requests
|        |- UnavailableError   overload, time-out or restart at the venue
|        `- OrderError         what the matching engine or risk control says
|           |- OrderNotFoundError
|           |- DuplicateOrderError
|           `- BalanceError
|- FixedPointError      a decimal text that is not an exact number
|  `- FinerThanScale    exact, but finer than the instrument's exponent
|- CountersError        a counters file that is missing or cannot be understood
|- ControlError         a control socket that cannot be made, or on which no feeder answers as it should
|- WireError            bytes that are not a packet or message of ours
`- FeedError            a consumer's subscription that cannot work
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

# What tells one request from the others that were under way.
_TELLING = ("category", "symbol", "orderId", "orderLinkId")


class FeederError(Exception):
    """The root of the tree. `retriable` says whether doing the same again may help."""

    retriable = False


class ConfigError(FeederError):
    """A configuration key that cannot be used.

    `path` is the key as written (`multicast.lines.A.group`), `problem` what is wrong, `remedy` what to do.
    """

    def __init__(self, path: str, problem: str, remedy: str) -> None:
        super().__init__(f"{path}: {problem}; {remedy}")
        self.path = path
        self.problem = problem
        self.remedy = remedy


class MachineError(FeederError):
    """What the configuration asks of this machine cannot be had now: a port in use, an interface that is down.

    Nothing is wrong with the file, and the same start may succeed later, so whoever restarts feeder goes on doing so.
    `path` is the key that asks for it, `problem` what is wrong, `remedy` what to do.
    """

    retriable = True

    def __init__(self, path: str, problem: str, remedy: str) -> None:
        super().__init__(f"{path}: {problem}; {remedy}")
        self.path = path
        self.problem = problem
        self.remedy = remedy


class VenueError(FeederError):
    """The exchange, or what it sent."""


class MessageError(VenueError):
    """A venue message that cannot be understood."""


class InstrumentError(VenueError):
    """A symbol the instrument table does not have."""


class StreamError(VenueError):
    """A WebSocket stream that does not do what it is asked."""


class StreamAuthError(StreamError):
    """The venue does not let this key in; `ret_code` is None where it tells none (the private stream)."""

    def __init__(self, message: str, ret_code: int | None = None) -> None:
        super().__init__(message)
        self.ret_code = ret_code


class TopicError(StreamError):
    """A topic that the venue refused, or that there is not; `topic` names it."""

    def __init__(self, topic: str, problem: str) -> None:
        super().__init__(f"{topic}: {problem}")
        self.topic = topic


class OverrunError(StreamError):
    """Events came faster than they were taken: `lost` of them, counted from the oldest, whoever asks now never sees."""

    def __init__(self, message: str, lost: int) -> None:
        super().__init__(message)
        self.lost = lost


class RestError(VenueError):
    """A REST request that failed. Raised with a message that names the address and the cause.

    `retry_after_seconds` is how long to leave the venue alone first, 0 for no more than one's own backoff.
    `unknown_outcome`: the request changes something and the venue may have carried it out; ask before it is sent again.
    `retriable` is then true only of what may be done twice, as a cancellation. `parameters` are what was asked, by the
    venue's names; of an order, `order_link_id` is what to ask by, of a batch `order_link_ids`.
    """

    parameters: Mapping[str, Any] = MappingProxyType({})
    order_link_id: str | None = None
    order_link_ids: tuple[str, ...] = ()

    def __init__(
        self,
        message: str,
        *,
        retriable: bool = False,
        retry_after_seconds: float = 0.0,
        unknown_outcome: bool = False,
    ) -> None:
        super().__init__(message)
        self.retriable = retriable
        self.retry_after_seconds = retry_after_seconds
        self.unknown_outcome = unknown_outcome

    def __str__(self) -> str:
        message = super().__str__()
        named = [str(self.parameters[name]) for name in _TELLING if name in self.parameters]
        return f"{message} ({' '.join(named)})" if named else message


class ParameterError(RestError):
    """A parameter that is missing, of the wrong type or impossible; `parameter` is its name. Nothing was sent."""

    def __init__(self, endpoint: str, parameter: str, problem: str) -> None:
        super().__init__(f"{endpoint}: {parameter}: {problem}")
        self.parameter = parameter


class UnknownEndpointError(RestError):
    """A method and path that Bybit v5 does not have. Nothing was sent."""


class PoolError(RestError):
    """A session pool that is closed, or that another event loop opened.

    Nothing was sent, unless it was closed while the request was under way: then see `unknown_outcome`.
    """


class BudgetError(RestError):
    """Not sent: within the rate limits its turn would come later than the caller may wait."""


class BarredError(RestError):
    """The venue answered HTTP 403 and is left alone: `retry_after_seconds` says for how long yet."""


class TransportError(RestError):
    """No whole answer came."""


class ConnectError(TransportError):
    """There is no connection, so the request was surely not sent."""


class TlsError(ConnectError):
    """The connection cannot be trusted: a certificate that is not the venue's, out of date, or no TLS at all."""


class ReplyTimeoutError(TransportError):
    """The request was sent and no answer came within the time."""


class ReplyError(RestError):
    """An answer that the API never gives: HTML, a redirect, cut short, not JSON, JSON of another shape."""


class HttpStatusError(ReplyError):
    """An HTTP status other than 200; `status` is that."""

    def __init__(self, message: str, status: int, *, retriable: bool, unknown_outcome: bool = False) -> None:
        super().__init__(message, retriable=retriable, unknown_outcome=unknown_outcome)
        self.status = status


class RefusedError(RestError):
    """The venue answered with a `ret_code` other than 0; `ret_message` is its text."""

    def __init__(
        self,
        message: str,
        ret_code: int,
        ret_message: str,
        *,
        retriable: bool = False,
        retry_after_seconds: float = 0.0,
        unknown_outcome: bool = False,
    ) -> None:
        super().__init__(
            message, retriable=retriable, retry_after_seconds=retry_after_seconds, unknown_outcome=unknown_outcome
        )
        self.ret_code = ret_code
        self.ret_message = ret_message


class InvalidRequestError(RefusedError):
    """A parameter that the venue does not accept; which one, its text says."""


class ClockError(RefusedError):
    """Our time is outside the window that the venue accepts, by its own clock."""


class AuthError(RefusedError):
    """Key, signature, permission, address or region: the venue does not let this key do this."""


class RateLimitedError(RefusedError):
    """More requests than the venue allows; it did not carry this one out."""


class UnavailableError(RefusedError):
    """The venue is overloaded, restarting, or took too long itself."""


class OrderError(RefusedError):
    """What the matching engine or risk control says to an order, position or account."""


class OrderNotFoundError(OrderError):
    """No such order, or one that is done already."""


class DuplicateOrderError(OrderError):
    """An order with this orderLinkId was accepted before."""


class BalanceError(OrderError):
    """Not enough balance or margin."""


class FixedPointError(FeederError):
    """A decimal text that is not an exact, non-negative number within 64 bits."""


class FinerThanScale(FixedPointError):  # noqa: N818 - named for the fact, as the venue's documents speak of scale
    """An exact number that needs a finer exponent; `needed` is the exponent that would hold it."""

    def __init__(self, text: str, exponent: int, needed: int) -> None:
        super().__init__(f"{text!r} is finer than 10^{exponent}; it needs 10^{needed}")
        self.text = text
        self.exponent = exponent
        self.needed = needed


class CountersError(FeederError):
    """A counters file that is missing or cannot be understood."""

    retriable = True  # the next feeder makes a new one


class ControlError(FeederError):
    """A control socket that cannot be made, or on which no feeder answers as it should."""


class WireError(FeederError):
    """Bytes that are not a packet or a message of ours."""


class FeedError(FeederError):
    """A consumer's subscription that cannot work."""
