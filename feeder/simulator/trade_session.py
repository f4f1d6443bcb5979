"""One order-entry connection's side of the conversation: its log-in, its requests, and the shape of the answers.

Sans-IO. Source: Bybit v5, "Websocket Trade Guideline"; what is marked "undocumented" is a guess at what it leaves out.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from feeder.simulator.keys import ApiKey
from feeder.simulator.private_session import Login
from feeder.simulator.refusals import refused
from feeder.simulator.rest_reply import PARAMETER_ERROR, Answer, Refused
from feeder.simulator.venue import CATEGORIES, is_number

PATHS = {
    "order.create": "/v5/order/create",
    "order.amend": "/v5/order/amend",
    "order.cancel": "/v5/order/cancel",
    "order.create-batch": "/v5/order/create-batch",
    "order.amend-batch": "/v5/order/amend-batch",
    "order.cancel-batch": "/v5/order/cancel-batch",
}
"""What is asked for, by its name here and over REST."""

_NOT_LOGGED_IN = Refused(10007, "User authentication failed.")  # undocumented which code it is
_REPEATED_LOGIN = Refused(20001, "Repeat auth")
_DUPLICATE_ID = Refused(20006, "Duplicate reqId")
_UNKNOWN_OP = Refused(10404, "op type is not found")
_UNKNOWN_CATEGORY = Refused(10404, "category is not correct")
_LONGEST_ID = 36
_IDS_KEPT = 10_000  # the venue does not say for how long an id is taken

CheckTime = Callable[[str, str], None]
"""Raises Refused for a request of another time than now: its timestamp and recv_window, "" for none."""


class OrderRequest(NamedTuple):
    """A request to be carried out. `named` is the part of the answer that says to what it answers."""

    op: str
    named: Mapping[str, str]
    parameters: Mapping[str, Any]


class TradeSession:
    """The state of one connection."""

    def __init__(self, connection_id: str, login: Login, check_time: CheckTime) -> None:
        self.connection_id = connection_id
        self.api_key: ApiKey | None = None
        self._login = login
        self._check_time = check_time
        self._ids: dict[str, None] = {}  # oldest first

    def handle(self, text: bytes, now_ms: int) -> bytes | OrderRequest:
        """What to answer to a message of the client, whatever it is, or what it wants to have done."""
        try:
            request = json.loads(text)
        except (ValueError, RecursionError) as error:
            return self._refusal({}, "", Refused(PARAMETER_ERROR, f"Failed to decode incoming data:{error}"))
        if not isinstance(request, dict):
            return self._refusal({}, "", Refused(PARAMETER_ERROR, "Failed to decode incoming data:not a JSON object"))
        op, req_id = request.get("op"), request.get("reqId")
        op = op if isinstance(op, str) else ""
        named = {"reqId": req_id} if isinstance(req_id, str) else {}
        if op == "ping":
            return self._encode(named, Answer({}), {"op": "pong", "data": [str(now_ms)]})
        try:
            if op == "auth":
                self._authenticate(request.get("args"))
                return self._encode(named, Answer({}), {"op": op})
            return OrderRequest(op, named, self._parameters(op, req_id, request))
        except Refused as why:
            return self._refusal(named, op, why)

    def answer(self, request: OrderRequest, answer: Answer | Refused, header: Mapping[str, str]) -> bytes:
        """To a request, when it is known what became of it."""
        extra = {} if isinstance(answer, Refused) else answer.extra
        data = {} if isinstance(answer, Refused) else answer.result
        tail = {"op": request.op, "data": data, "retExtInfo": extra, "header": header}
        return self._encode(request.named, answer, tail)

    def _authenticate(self, args: Any) -> None:
        if self.api_key is not None:
            raise _REPEATED_LOGIN
        self.api_key = self._login(args)

    def _parameters(self, op: str, req_id: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Of what is asked for. Raises Refused."""
        if self.api_key is None:
            raise _NOT_LOGGED_IN
        self._take_id(req_id)
        if op not in PATHS:
            raise _UNKNOWN_OP
        self._check_header(request.get("header"))
        args = request.get("args")
        if not isinstance(args, list) or len(args) != 1 or not isinstance(args[0], dict):
            raise Refused(PARAMETER_ERROR, "params error: args must be one object")
        if args[0].get("category") not in tuple(CATEGORIES):
            raise _UNKNOWN_CATEGORY
        if op.endswith("-batch") and not isinstance(args[0].get("request"), list):
            raise Refused(PARAMETER_ERROR, "params error: request is invalid")
        if self.api_key.read_only:
            raise refused(10005)
        return args[0]

    def _take_id(self, req_id: Any) -> None:
        """Each only once; a request need not have one."""
        if req_id is None:
            return
        if not isinstance(req_id, str) or len(req_id) > _LONGEST_ID:
            raise Refused(PARAMETER_ERROR, f"params error: reqId is no text of up to {_LONGEST_ID} characters")
        if req_id in self._ids:
            raise _DUPLICATE_ID
        self._ids[req_id] = None
        if len(self._ids) > _IDS_KEPT:
            del self._ids[next(iter(self._ids))]

    def _check_header(self, header: Any) -> None:
        if not isinstance(header, dict):
            raise Refused(PARAMETER_ERROR, "params error: header is required")
        timestamp, window = (_digits(header, name) for name in ("X-BAPI-TIMESTAMP", "X-BAPI-RECV-WINDOW"))
        if not timestamp:
            raise Refused(PARAMETER_ERROR, "params error: X-BAPI-TIMESTAMP is required")
        self._check_time(timestamp, window)

    def _refusal(self, named: Mapping[str, str], op: str, why: Refused) -> bytes:
        """Of what never became a request to the matching engine."""
        tail: dict[str, Any] = {"op": op}
        if op in PATHS:
            tail |= {"data": {}, "retExtInfo": {}, "header": {}}
        return self._encode(named, why, tail)

    def _encode(self, named: Mapping[str, str], answer: Answer | Refused, tail: Mapping[str, Any]) -> bytes:
        code = answer.code if isinstance(answer, Refused) else 0
        whole = {**named, "retCode": code, "retMsg": answer.message, **tail, "connId": self.connection_id}
        return json.dumps(whole, separators=(",", ":")).encode()


def _digits(header: Mapping[str, Any], name: str) -> str:
    """A number of the header as text, also of one that came as a number; "" for none."""
    value = header.get(name)
    if value is None or value == "":
        return ""
    text = str(value) if isinstance(value, str | int) else ""
    if not is_number(text):
        raise Refused(PARAMETER_ERROR, f"params error: {name} is invalid")
    return text
