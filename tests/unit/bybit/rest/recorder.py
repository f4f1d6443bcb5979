"""All typed methods over a sender that keeps what is sent and answers with payloads from tests/data/rest."""

import json
import types
import typing
from collections.abc import AsyncIterator, Callable, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from random import Random
from typing import Any, Literal, TypeVar, Union

import msgspec
from multidict import CIMultiDict, CIMultiDictProxy

from feeder.bybit.rest.account import AccountCalls
from feeder.bybit.rest.answer import understood
from feeder.bybit.rest.endpoint import Endpoint
from feeder.bybit.rest.market import MarketCalls
from feeder.bybit.rest.orders import OrderCalls
from feeder.bybit.rest.parameters import checked
from feeder.bybit.rest.positions import PositionCalls
from feeder.bybit.rest.reply import Page, Reply
from feeder.bybit.rest.sender import Number
from feeder.bybit.rest.transport import Answer

Result = TypeVar("Result")
Entry = TypeVar("Entry")

PAYLOADS = Path(__file__).parents[3] / "data" / "rest"
HEADERS: CIMultiDictProxy[str] = CIMultiDictProxy(CIMultiDict())

# Texts that may well look like a number without being an amount.
_NAMES = frozenset(["orderId", "orderLinkId", "execId", "smpOrderId", "id", "blockTradeId", "i", "interval"])


def raw_result(payload: str) -> Any:
    return json.loads((PAYLOADS / f"{payload}.json").read_bytes())["result"]


class Recorder(MarketCalls, OrderCalls, PositionCalls, AccountCalls):
    """Sends nothing. `sent` is what would have been, checked as the client does; `payloads` are answered in turn."""

    def __init__(self, *payloads: str) -> None:
        self.payloads = list(payloads)
        self.sent: list[tuple[Endpoint[Any], dict[str, Any]]] = []

    async def send(self, endpoint: Endpoint[Result], parameters: Mapping[str, object]) -> Reply[Result]:
        self.sent.append((endpoint, checked(endpoint, parameters, Random(1))))
        body = (PAYLOADS / f"{self.payloads.pop(0)}.json").read_bytes()
        return understood(endpoint, Answer(endpoint, "https://api.bybit.com", 200, HEADERS, body), None, None)

    async def each(self, endpoint: Endpoint[Page[Entry]], parameters: Mapping[str, object]) -> AsyncIterator[Entry]:
        while self.payloads:
            reply = await self.send(endpoint, parameters)
            for entry in reply.result.entries:
                yield entry
            parameters = {**parameters, "cursor": reply.result.next_page_cursor}

    @property
    def parameters(self) -> dict[str, Any]:
        """Those of the last request."""
        return self.sent[-1][1]


def arguments(method: Callable[..., Any]) -> dict[str, Any]:
    """A value for each parameter of a method, of the type that it asks for."""
    hints = typing.get_type_hints(method)
    return {name: _example(name, hint) for name, hint in hints.items() if name != "return"}


def _example(name: str, hint: Any) -> Any:
    if typing.get_origin(hint) in (Union, types.UnionType):
        kinds = [kind for kind in typing.get_args(hint) if kind is not types.NoneType]
        if Decimal in kinds:
            return Decimal("1.50")
        hint = kinds[0]
    if typing.get_origin(hint) is Literal:
        return typing.get_args(hint)[0]
    return {str: f"a-{name[:20]}".replace("_", "-"), int: 7, bool: True}[hint]


def another(method: Callable[..., Any], name: str, value: Any) -> Any:
    """Another value for it; None, which leaves it out, where there is but one."""
    hint = typing.get_type_hints(method)[name]
    if isinstance(value, bool):
        return not value
    if isinstance(value, Decimal):
        return value + 1
    kinds = [hint, *typing.get_args(hint)]
    words = [word for kind in kinds if typing.get_origin(kind) is Literal for word in typing.get_args(kind)]
    if words:
        return next((word for word in words if word != value), None)
    return value + 1 if isinstance(value, int) else f"b{value[1:]}"


def amounts(method: Callable[..., Any]) -> set[str]:
    """The parameters that take an amount, and so refuse a float to the type checker."""
    hints = typing.get_type_hints(method)
    return {name for name, hint in hints.items() if hint in (Number, Number | None)}


def camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def assert_same(value: Any, raw: Any, where: str = "result", seen: set[tuple[type, str]] | None = None) -> None:
    """The decoded value says what the payload says, field by field, and leaves nothing of it out.

    Into `seen` goes each field that had a value, with its Struct.
    """
    seen = set() if seen is None else seen
    if isinstance(value, msgspec.Struct):
        _assert_struct(value, raw, where, seen)
    elif raw in ("", None):
        assert value is None, where
    elif isinstance(value, list):
        assert len(value) == len(raw), where
        for index, (item, raw_item) in enumerate(zip(value, raw, strict=True)):
            assert_same(item, raw_item, f"{where}[{index}]", seen)
    elif isinstance(value, dict):
        assert value.keys() == raw.keys(), where
        for key, item in value.items():
            assert_same(item, raw[key], f"{where}.{key}", seen)
    elif isinstance(value, bool):
        assert value is {"0": False, "1": True, 0: False, 1: True}[raw], where
    elif isinstance(value, int):
        assert value == int(raw), where
    elif isinstance(value, Decimal):
        assert format(value, "f") == raw, where
    else:
        assert type(value) is type(raw), where
        assert value == raw, where
        assert where.rpartition(".")[2] in _NAMES or not _is_number(value), f"{where} is an amount, not a text"


def _assert_struct(value: msgspec.Struct, raw: Any, where: str, seen: set[tuple[type, str]]) -> None:
    kind = type(value)
    if isinstance(raw, list):
        assert len(raw) == len(kind.__struct_fields__), where
        raw = dict(zip(kind.__struct_encode_fields__, raw, strict=True))
    assert set(raw) <= set(kind.__struct_encode_fields__), f"{where}: fields that the Struct lacks"
    for field, name in zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True):
        if name in raw:
            assert_same(getattr(value, field), raw[name], f"{where}.{name}", seen)
            if raw[name] not in ("", None):
                seen.add((kind, field))


def _is_number(value: Any) -> bool:
    try:
        Decimal(value)
    except (InvalidOperation, TypeError, ValueError):
        return False
    return True


def unseen(seen: set[tuple[type, str]], *kinds: Any) -> set[str]:
    """Fields of the Structs of which no payload has shown a value."""
    return {f"{kind.__name__}.{name}" for kind in kinds for name in kind.__struct_fields__ if (kind, name) not in seen}


def result_of(endpoint: Endpoint[Result], text: bytes) -> Result:
    """What the client makes of a reply with this `result`."""
    body = b'{"retCode": 0, "result": ' + text + b"}"
    return understood(endpoint, Answer(endpoint, "https://api.bybit.com", 200, HEADERS, body), None, None).result
