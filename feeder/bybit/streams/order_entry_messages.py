"""What goes over the order-entry socket: requests as text, and what the answers mean. No I/O.

The parameters and results are those of REST; around them are a request's identity, its time, and the limits. Source:
Bybit v5, websocket/trade/guideline.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec
from multidict import CIMultiDict

from feeder.errors import ReplyError, RestError

from ..messages import DECODE_ERRORS
from ..rest.answer import rate_status, without_empty
from ..rest.endpoint import UNSURE, Endpoint
from ..rest.endpoints.typed import AMEND_ORDER, AMEND_ORDERS, CANCEL_ORDER, CANCEL_ORDERS, PLACE_ORDER, PLACE_ORDERS
from ..rest.reply import RateStatus, Reply
from ..rest.ret_codes import OK, refused

_LARGEST_MS = 9_000_000_000_000


class Operation(NamedTuple):
    """What can be asked over the socket: its name there, and the endpoint of REST that does the same."""

    name: str
    endpoint: Endpoint[Any]
    decode: Callable[[bytes], Any]  # of the answer's `data`


def _operation(name: str, endpoint: Endpoint[Any]) -> Operation:
    # Not strict: the venue writes times as text.
    return Operation(name, endpoint, msgspec.json.Decoder(endpoint.result, strict=False).decode)


OPERATIONS: Mapping[str, Operation] = {
    each.endpoint.path: each
    for each in (
        _operation("order.create", PLACE_ORDER),
        _operation("order.amend", AMEND_ORDER),
        _operation("order.cancel", CANCEL_ORDER),
        _operation("order.create-batch", PLACE_ORDERS),
        _operation("order.amend-batch", AMEND_ORDERS),
        _operation("order.cancel-batch", CANCEL_ORDERS),
    )
}
"""By the endpoint's path."""


class Answer(msgspec.Struct):
    """Any message of the order-entry socket. An answer has the `req_id` of its request; a pong and auth have none."""

    req_id: str = msgspec.field(name="reqId", default="")
    op: str = ""
    code: int | None = msgspec.field(name="retCode", default=None)
    message: str | None = msgspec.field(name="retMsg", default=None)
    data: msgspec.Raw = msgspec.Raw(b"null")
    extra: msgspec.Raw = msgspec.field(name="retExtInfo", default=msgspec.Raw(b"{}"))
    header: dict[str, Any] | None = None

    @property
    def rate(self) -> RateStatus | None:
        """What it says of the limit; None when it says nothing, or nonsense."""
        if not self.header:
            return None
        return rate_status(CIMultiDict({name: str(value) for name, value in self.header.items()}))

    @property
    def time_ms(self) -> int:
        """When the venue made it, ms since the epoch; 0 where it does not tell."""
        for name, value in (self.header or {}).items():
            if name.lower() == "timenow" and str(value).isdecimal() and len(str(value)) <= len(str(_LARGEST_MS)):
                return int(value)
        return 0


class _Identity(msgspec.Struct):
    """The least that tells whose answer an odd message is."""

    req_id: str = msgspec.field(name="reqId", default="")


decode_answer = msgspec.json.Decoder(Answer).decode
_decode_identity = msgspec.json.Decoder(_Identity).decode


def identity_of(payload: bytes) -> str:
    """The reqId in a message that is not as documented; empty where there is none to be found."""
    try:
        return _decode_identity(payload).req_id
    except DECODE_ERRORS:
        return ""


def request_text(identity: str, operation: Operation, given: Mapping[str, Any], now_ms: int, recv_window: int) -> str:
    """One request, as it is sent at `now_ms` of the venue's clock. `given` are parameters that were checked."""
    header = {"X-BAPI-TIMESTAMP": str(now_ms), "X-BAPI-RECV-WINDOW": str(recv_window)}
    request = {"reqId": identity, "header": header, "op": operation.name, "args": [given]}
    return msgspec.json.encode(request).decode()


def understood(
    operation: Operation,
    given: Mapping[str, Any],
    answer: Answer,
    raw: bytes,
    rate: RateStatus | None,
    address: str,
    key: str,
) -> Reply[Any] | RestError:
    """What the answer to a request means: the reply that REST would give, with `rate` in it, or the error.

    `key` is left out of errors: the venue quotes it.
    """
    if answer.code is None:
        return unlike(operation, address, "an answer without a retCode")
    if answer.op and answer.op != operation.name:
        return unlike(operation, address, f"an answer to {answer.op[:40]!r} has this request's reqId")
    message = answer.message or ""
    if answer.code != OK:
        return refused(operation.endpoint, address, answer.code, message.replace(key, "***"))
    try:
        result = operation.decode(without_empty(bytes(answer.data)))
    except DECODE_ERRORS as error:
        return unlike(operation, address, f"the answer is not as documented: {error}")
    if operation.endpoint is PLACE_ORDER and result.order_link_id not in (None, given["orderLinkId"]):
        return unlike(operation, address, f"the answer is about another order, {result.order_link_id[:40]!r}")
    return Reply(result, raw, answer.time_ms, message, answer.extra, rate)


def unlike(operation: Operation, address: str, problem: str) -> ReplyError:
    """An answer that says nothing of what became of the request."""
    return ReplyError(f"{address}: {operation.name}: {problem}{UNSURE}", unknown_outcome=True)
