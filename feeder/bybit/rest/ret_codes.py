"""What the venue's retCodes mean for whoever asked. Source: Bybit v5, error."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from feeder.errors import (
    AuthError,
    BalanceError,
    ClockError,
    DuplicateOrderError,
    InvalidRequestError,
    OrderError,
    OrderNotFoundError,
    RateLimitedError,
    RefusedError,
    UnavailableError,
)

from .endpoint import UNSURE, Endpoint

OK = 0
UNCHANGED = frozenset({34040, 110025, 110026, 110027, 110043})
"""It is already as it was asked to be: no error."""


class _Kind(NamedTuple):
    error: type[RefusedError]
    retriable: bool = False  # the same request may go through a little later
    uncertain: bool = False  # it may have been carried out all the same
    remedy: str = ""


_CLOCK = _Kind(ClockError, retriable=True, remedy="the clock is measured anew; see also recv_window")
_KEY = _Kind(AuthError, remedy="check the key, its secret, and that both are of this environment")
_PERMISSION = _Kind(AuthError, remedy="this key may not do that; change its permissions at the venue")
_BARRED = _Kind(AuthError)
_TOO_MANY = _Kind(RateLimitedError, retriable=True)
_LATER = _Kind(UnavailableError, retriable=True, uncertain=True)
_ORDER = _Kind(OrderError)
_UNKNOWN_ORDER = _Kind(OrderNotFoundError)
_DUPLICATE = _Kind(DuplicateOrderError)
_BALANCE = _Kind(BalanceError)
_INVALID = _Kind(InvalidRequestError)

_KINDS: Mapping[int, _Kind] = {
    -1: _CLOCK,
    429: _LATER,
    10000: _LATER,
    10001: _INVALID,
    10002: _CLOCK,
    10003: _KEY,
    10004: _Kind(AuthError, remedy="check the secret: it does not belong to this key"),
    10005: _PERMISSION,
    10006: _TOO_MANY,
    10007: _KEY,
    10008: _BARRED,
    10009: _BARRED,
    10010: _Kind(AuthError, remedy="this key is bound to other addresses; add this machine's at the venue"),
    10014: _Kind(InvalidRequestError),
    10016: _LATER,
    10017: _INVALID,
    10018: _TOO_MANY,
    # Of the order-entry socket alone, and it means the request that it answers: that one was not taken.
    10019: _Kind(UnavailableError, retriable=True, remedy="order entry restarts; a new connection is taken"),
    10024: _BARRED,
    10027: _BARRED,
    10028: _Kind(AuthError, remedy="the account must be a unified one"),
    10029: _PERMISSION,
    10403: _TOO_MANY,
    10404: _Kind(InvalidRequestError, remedy="order entry has no such operation for this category"),
    10429: _TOO_MANY,
    20003: _TOO_MANY,
    20006: _Kind(InvalidRequestError, remedy="another request had this reqId; place the order anew"),
    33004: _Kind(AuthError, remedy="the key has expired; make a new one at the venue"),
    110001: _UNKNOWN_ORDER,
    110004: _BALANCE,
    110006: _BALANCE,
    110007: _BALANCE,
    110008: _UNKNOWN_ORDER,
    110010: _UNKNOWN_ORDER,
    110012: _BALANCE,
    110014: _BALANCE,
    110030: _DUPLICATE,
    110044: _BALANCE,
    110045: _BALANCE,
    110051: _BALANCE,
    110052: _BALANCE,
    110053: _BALANCE,
    110072: _DUPLICATE,
    110079: _Kind(OrderError, retriable=True),  # it is being processed; nothing was changed
    170007: _LATER,
    170131: _BALANCE,
    170139: _UNKNOWN_ORDER,
    170141: _DUPLICATE,
    170142: _UNKNOWN_ORDER,
    170143: _UNKNOWN_ORDER,
    170146: _LATER,
    170147: _LATER,
    170213: _UNKNOWN_ORDER,
    170222: _TOO_MANY,
}
_LONGEST_MESSAGE = 300


def refused(endpoint: Endpoint[Any], address: str, code: int, message: str) -> RefusedError:
    """The error for a reply whose retCode is neither OK nor UNCHANGED.

    Where the venue may have carried the request out all the same, the outcome is unknown, and the error retriable only
    if a second time does not matter.
    """
    kind = _KINDS.get(code) or _of_range(code)
    unknown = kind.uncertain and endpoint.changes
    text = f"{address}: retCode {code} {message[:_LONGEST_MESSAGE]}"
    if kind.remedy:
        text += f"; {kind.remedy}"
    if unknown:
        text += UNSURE
    return kind.error(
        text,
        code,
        message,
        retriable=kind.retriable and (endpoint.repeatable or not unknown),
        unknown_outcome=unknown,
    )


def _of_range(code: int) -> _Kind:
    """What a code not known by itself is about."""
    if 110000 <= code < 120000 or 170000 <= code < 180000 or 3400000 <= code < 3500000:
        return _ORDER
    return _Kind(RefusedError)
