"""Parameters of a request: checked before anything is sent, and written as the venue wants them.

Amounts go as text: Bybit's own numbers are texts, and a float is not what its user wrote (0.1 + 0.2). Which kind a
parameter is of goes by its name, which means the same wherever one trades; elsewhere, and of what is not named here, it
may be any but float.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from random import Random
from typing import Any
from urllib.parse import quote

import msgspec

from feeder.errors import ParameterError

from .endpoint import Endpoint

_AMOUNT = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)", re.ASCII)
_ORDER_LINK_ID = re.compile(r"[A-Za-z0-9_-]{1,36}", re.ASCII)
_SPREAD = "/v5/spread/"
_SPREAD_LINK_ID = re.compile(r"[A-Za-z0-9_-]{1,45}", re.ASCII)
_ORDERS = frozenset(["/v5/order/create", "/v5/order/create-batch", "/v5/spread/order/create"])
_BATCHES = frozenset(["/v5/order/create-batch", "/v5/order/amend-batch", "/v5/order/cancel-batch"])
_TRADING = ("/v5/market/", "/v5/order/", "/v5/position/", "/v5/execution/", "/v5/account/", "/v5/spread/")
_DEEPEST = 5
_LARGEST_AMOUNT = 10**50
_SMALLEST_EXPONENT, _LARGEST_EXPONENT = -50, 50  # of ten; written out, 1E+999999999 would fill the memory
_LARGEST_INTEGER = (1 << 63) - 1


def checked(endpoint: Endpoint[Any], parameters: Mapping[str, object], random: Random) -> dict[str, Any]:
    """The parameters as they are sent: those that are None left out, amounts as text.

    A new order without orderLinkId is given one, so that its outcome can be asked for. Raises ParameterError.
    """
    kinds = _kinds(endpoint)
    given = {
        name: kinds.get(name, _value)(endpoint, name, value, 0)
        for name, value in parameters.items()
        if value is not None
    }
    for names in endpoint.required:
        if "|" in names:
            if all(given.get(name, "") == "" for name in names.split("|")):
                raise ParameterError(repr(endpoint), names.replace("|", " or "), "is required")
        elif given.get(names, "") == "":
            raise ParameterError(repr(endpoint), names, "is required")
    if endpoint.path in _ORDERS and endpoint.method == "POST":
        for order in _orders(endpoint, given):
            if not order.get("orderLinkId"):
                order["orderLinkId"] = f"{random.getrandbits(128):032x}"
    return given


def query_string(endpoint: Endpoint[Any], given: Mapping[str, Any]) -> str:
    """The query string of a GET, in the order given, percent-encoded: what is signed is what is sent.

    A list is its name once for each value.
    """
    return "&".join(
        [
            f"{name}={_query_value(endpoint, name, one)}"
            for name, value in given.items()
            for one in (value if isinstance(value, list) else (value,))
        ]
    )


def body(given: Mapping[str, Any]) -> bytes:
    """The JSON of a POST."""
    return msgspec.json.encode(given)


def orders_of(endpoint: Endpoint[Any], given: Mapping[str, Any]) -> int:
    """How much of the key's limit it takes: of a batch, one for each order, but for options. At least 1."""
    if endpoint.path in _BATCHES and given.get("category") != "option" and isinstance(given["request"], list):
        return max(len(given["request"]), 1)
    return 1


def order_link_ids(given: Mapping[str, Any]) -> tuple[str, ...]:
    """The orderLinkId of each order that has one."""
    request = given.get("request")
    orders = request if isinstance(request, list) else [given]
    return tuple(order["orderLinkId"] for order in orders if isinstance(order, dict) and order.get("orderLinkId"))


def _orders(endpoint: Endpoint[Any], given: dict[str, Any]) -> list[dict[str, Any]]:
    if not endpoint.path.endswith("-batch"):
        return [given]
    orders = given["request"]
    if not isinstance(orders, list) or not all(isinstance(order, dict) for order in orders):
        raise ParameterError(repr(endpoint), "request", "must be a list of orders")
    return orders


def _text(endpoint: Endpoint[Any], name: str, value: object, _depth: int) -> str:
    if not isinstance(value, str):
        raise ParameterError(repr(endpoint), name, f"must be text, not {_shown(value)}")
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise ParameterError(repr(endpoint), name, "has half a character (a lone surrogate), which cannot be sent")
    return value if type(value) is str else str.__str__(value)  # of an Enum its value, not its name


def _order_link_id(endpoint: Endpoint[Any], name: str, value: object, depth: int) -> str:
    text = _text(endpoint, name, value, depth)
    if text and not _ORDER_LINK_ID.fullmatch(text):
        spread = endpoint.path.startswith(_SPREAD)
        if not (spread and _SPREAD_LINK_ID.fullmatch(text)):
            most = 45 if spread else 36
            raise ParameterError(repr(endpoint), name, f"may have {most} characters at most: letters, digits, - and _")
    return text


def _integer(endpoint: Endpoint[Any], name: str, value: object, _depth: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ParameterError(repr(endpoint), name, f"must be a whole number, not {_shown(value)}")
    if not -_LARGEST_INTEGER <= value <= _LARGEST_INTEGER:
        raise ParameterError(repr(endpoint), name, "is a number larger than the venue can read")
    return value if type(value) is int else int(value)


def _flag(endpoint: Endpoint[Any], name: str, value: object, _depth: int) -> bool:
    if not isinstance(value, bool):
        raise ParameterError(repr(endpoint), name, f"must be True or False, not {_shown(value)}")
    return value


def _amount(endpoint: Endpoint[Any], name: str, value: object, _depth: int) -> str:
    if isinstance(value, Decimal):
        if value.is_finite() and _SMALLEST_EXPONENT <= value.adjusted() <= _LARGEST_EXPONENT:
            return format(value, "f")
    elif isinstance(value, str):
        # Empty text is what the venue takes for "none" in some places.
        if not value or _AMOUNT.fullmatch(value):
            return value if type(value) is str else str.__str__(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        if -_LARGEST_AMOUNT < value < _LARGEST_AMOUNT:
            return str(int(value))
    elif isinstance(value, float):
        raise _inexact(endpoint, name, value)
    raise ParameterError(repr(endpoint), name, f"must be a plain decimal number, not {_shown(value)}")


def _value(endpoint: Endpoint[Any], name: str, value: object, depth: int) -> Any:
    """Any value that can be sent exactly."""
    if not name.isascii() or (depth == 0 and not name.isidentifier()):
        raise ParameterError(repr(endpoint), repr(name)[:40], "is no name of a parameter")
    if isinstance(value, str):
        return _text(endpoint, name, value, depth)
    if isinstance(value, int):
        return value if isinstance(value, bool) else _integer(endpoint, name, value, depth)
    if isinstance(value, Decimal):
        return _amount(endpoint, name, value, depth)
    if isinstance(value, float):
        raise _inexact(endpoint, name, value)
    if depth < _DEEPEST:
        kinds = _kinds(endpoint)
        if isinstance(value, Mapping):
            items = {str(key): item for key, item in value.items() if item is not None}
            return {key: kinds.get(key, _value)(endpoint, key, item, depth + 1) for key, item in items.items()}
        if isinstance(value, list | tuple):
            return [kinds.get(name, _value)(endpoint, name, item, depth + 1) for item in value]
    raise ParameterError(repr(endpoint), name, f"must be text, a number, a list or a mapping, not {_shown(value)}")


def _inexact(endpoint: Endpoint[Any], name: str, value: float) -> ParameterError:
    return ParameterError(repr(endpoint), name, f"{value!r} is a float, which is not exact; give a Decimal or text")


_Check = Callable[[Endpoint[Any], str, object, int], Any]

_NAMES: Mapping[_Check, str] = {
    _amount: """qty price triggerPrice takeProfit stopLoss tpLimitPrice slLimitPrice orderIv slippageTolerance
        buyLeverage sellLeverage leverage trailingStop activePrice tpSize slSize amount margin frozenAmt bboLevel""",
    _integer: """limit startTime endTime start end positionIdx triggerDirection isLeverage openOnly timeWindow
        tradeMode mode riskId autoAddMargin recvWindow""",
    _flag: "reduceOnly closeOnTrigger mmp rpiTakerAccess",
    _order_link_id: "orderLinkId",
    _text: """category symbol side orderType timeInForce orderId orderFilter orderStatus baseCoin quoteCoin settleCoin
        coin accountType cursor triggerBy tpTriggerBy slTriggerBy tpslMode tpOrderType slOrderType smpType marketUnit
        slippageToleranceType bboSideType execType stopOrderType""",
}
_KINDS: Mapping[str, _Check] = {name: check for check, names in _NAMES.items() for name in names.split()}
_NO_KINDS: Mapping[str, _Check] = {}


def _kinds(endpoint: Endpoint[Any]) -> Mapping[str, _Check]:
    return _KINDS if endpoint.path.startswith(_TRADING) else _NO_KINDS


def _query_value(endpoint: Endpoint[Any], name: str, value: Any) -> str:
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, list | dict):
        raise ParameterError(repr(endpoint), name, "must be one value, or a list of such")
    text = str(value)
    return text if text.isalnum() and text.isascii() else quote(text, safe="")


def _shown(value: object) -> str:
    """A value in an error: short, and of texts and numbers alone."""
    if isinstance(value, int) and not -_LARGEST_AMOUNT < value < _LARGEST_AMOUNT:
        return "a number of very many digits"
    if isinstance(value, str | int | float | Decimal | bool | None):
        return f"{str(value)[:40]!r} ({type(value).__name__})"
    return f"a {type(value).__name__}"
