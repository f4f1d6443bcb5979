"""What is known of one endpoint before it is called: a row of the table in `endpoints`.

Source: Bybit v5, rate-limit/rate-limit and the page of each endpoint.
"""

from collections.abc import Callable
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import msgspec

Result = TypeVar("Result")


class Limit(NamedTuple):
    """So many requests in any span of so many seconds."""

    requests: int
    seconds: float = 1.0


UNTOLD = Limit(10)
"""Where the venue documents no limit of an endpoint: what most of its neighbours have."""


UNSURE = "; whether it was carried out is unknown"
"""What an error says of a request that changes something and may have done so."""


class Envelope(msgspec.Struct, Generic[Result]):
    """What is around every result: retCode, retMsg, result, retExtInfo and time (ms since the epoch)."""

    code: Annotated[int, msgspec.Meta(ge=-(1 << 31), lt=1 << 31)] = msgspec.field(name="retCode")
    result: Result
    message: str | None = msgspec.field(name="retMsg", default=None)
    extra: msgspec.Raw = msgspec.field(name="retExtInfo", default=msgspec.Raw(b"{}"))
    time: Annotated[int, msgspec.Meta(ge=0, le=9_000_000_000_000)] = 0


class _PlainEnvelope(Envelope[Any]):
    """Of a result without a Struct, which the venue leaves out where there is none to tell (mmp-modify, for one)."""

    result: Any = None


class Endpoint(Generic[Result]):
    """Method and path, and how a request to it is built, limited and repeated.

    `signed`: it needs a key. `required` names what must be given, as the venue spells it; "orderId|orderLinkId" is one
    or the other. `limit` holds per key; endpoints of one `group` share it, and where `by_category` has a category, that
    limit holds for this category, apart from the others. What is not signed has no key, so its limits are not looked
    at. `repeatable`: the same request twice does what one does, so that it may be sent again when nobody knows what
    became of it. `result` is the Struct of the reply's `result`; Any leaves it as plain Python objects. `decode` reads
    a whole reply. `empty_is_none`: before that `""` is made null in it, as for every Struct unless it says otherwise.
    """

    __slots__ = (
        "by_category",
        "changes",
        "decode",
        "empty_is_none",
        "group",
        "limit",
        "method",
        "path",
        "repeatable",
        "required",
        "result",
        "signed",
    )

    def __init__(
        self,
        method: str,
        path: str,
        *,
        required: tuple[str, ...] = (),
        signed: bool = True,
        limit: Limit = UNTOLD,
        by_category: dict[str, Limit] | None = None,
        group: str | None = None,
        repeatable: bool | None = None,
        result: type[Result] | Any = Any,
        empty_is_none: bool | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.required = required
        self.signed = signed
        self.limit = limit
        self.by_category = by_category or {}
        self.group = group or path
        self.changes = method != "GET"
        self.repeatable = not self.changes if repeatable is None else repeatable
        self.result = result
        self.empty_is_none = result is not Any if empty_is_none is None else empty_is_none
        # Not strict: the venue writes times, counts and flags as text, and in places the same one as a number.
        reply: Any = _PlainEnvelope if result is Any else Envelope[result]  # type: ignore[valid-type]  # only now known
        self.decode: Callable[[bytes], Envelope[Result]] = msgspec.json.Decoder(reply, strict=False).decode

    def __repr__(self) -> str:
        return f"{self.method} {self.path}"


def get(path: str, *required: str, **facts: Any) -> "Endpoint[Any]":
    """A GET whose result stays plain; a row of the table. `facts` are those of Endpoint."""
    return Endpoint("GET", path, required=required, **facts)


def post(path: str, *required: str, **facts: Any) -> "Endpoint[Any]":
    """A POST whose result stays plain; a row of the table. `facts` are those of Endpoint."""
    return Endpoint("POST", path, required=required, **facts)
