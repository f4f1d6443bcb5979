"""An order-entry connection's conversation, message by message, without a socket."""

import json
from typing import Any

import pytest

from feeder.simulator.keys import DEFAULT_KEY, ApiKey
from feeder.simulator.rest_reply import Answer, Refused
from feeder.simulator.trade_session import PATHS, OrderRequest, TradeSession

NOW_MS = 1_711_001_595_207
ID = "cnt5leec0hvan15eukcg-2t"
READER = ApiKey("reader", "reader-secret", read_only=True)
ORDER = {"category": "linear", "symbol": "ETHUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.2", "price": "2800"}
HEADER = {"X-BAPI-TIMESTAMP": str(NOW_MS), "X-BAPI-RECV-WINDOW": "8000", "Referer": "bot-001"}


def _login(args: Any) -> ApiKey:
    keys = {"key": DEFAULT_KEY, "reader": READER}
    if isinstance(args, list) and args and args[0] in keys:
        return keys[args[0]]
    raise Refused(10004, "Error sign.")


class Scene:
    def __init__(self) -> None:
        self.times: list[tuple[str, str]] = []
        self.session = TradeSession(ID, _login, self._check)

    def handle(self, **request: Any) -> dict[str, Any] | OrderRequest:
        handled = self.session.handle(json.dumps(request).encode(), NOW_MS)
        return handled if isinstance(handled, OrderRequest) else json.loads(handled)

    def ask(self, **request: Any) -> dict[str, Any]:
        answer = self.handle(**request)
        assert isinstance(answer, dict)
        return answer

    def order(self, **request: Any) -> dict[str, Any] | OrderRequest:
        return self.handle(**{"op": "order.create", "header": HEADER, "args": [ORDER]} | request)

    def code(self, **request: Any) -> int:
        """Why an order is refused, 0 if it is taken."""
        handled = self.order(**request)
        return 0 if isinstance(handled, OrderRequest) else int(handled["retCode"])

    def _check(self, timestamp: str, window: str) -> None:
        self.times.append((timestamp, window))
        if timestamp == "1000":
            raise Refused(10002, "too old")


@pytest.fixture
def stranger() -> Scene:
    return Scene()


@pytest.fixture
def scene(stranger: Scene) -> Scene:
    stranger.ask(op="auth", args=["key"])
    return stranger


def test_a_log_in_is_answered_as_documented(stranger: Scene) -> None:
    assert stranger.ask(op="auth", args=["key"]) == {"retCode": 0, "retMsg": "OK", "op": "auth", "connId": ID}
    assert stranger.ask(op="auth", args=["key"], reqId="1") == {
        "reqId": "1",
        "retCode": 20001,
        "retMsg": "Repeat auth",
        "op": "auth",
        "connId": ID,
    }


def test_a_refused_log_in_has_its_code(stranger: Scene) -> None:
    answer = stranger.ask(op="auth", args=["other"])
    assert (answer["retCode"], answer["retMsg"]) == (10004, "Error sign.")


def test_a_ping_is_answered_with_the_time_also_before_the_log_in(stranger: Scene) -> None:
    assert stranger.ask(op="ping") == {
        "retCode": 0,
        "retMsg": "OK",
        "op": "pong",
        "data": [str(NOW_MS)],
        "connId": ID,
    }


def test_nothing_else_is_done_before_the_log_in(stranger: Scene) -> None:
    assert stranger.code() == 10007


def test_a_request_comes_out_with_its_parameters_and_is_answered_in_the_documented_shape(scene: Scene) -> None:
    request = scene.order(reqId="test-005")
    assert request == OrderRequest("order.create", {"reqId": "test-005"}, ORDER)
    assert isinstance(request, OrderRequest)
    assert scene.times == [(str(NOW_MS), "8000")]
    header = {"X-Bapi-Limit": "10", "Timenow": str(NOW_MS)}
    assert json.loads(scene.session.answer(request, Answer({"orderId": "a4"}), header)) == {
        "reqId": "test-005",
        "retCode": 0,
        "retMsg": "OK",
        "op": "order.create",
        "data": {"orderId": "a4"},
        "retExtInfo": {},
        "header": header,
        "connId": ID,
    }
    refused = json.loads(scene.session.answer(request, Refused(110007, "ab not enough"), header))
    assert (refused["retCode"], refused["data"], refused["retExtInfo"]) == (110007, {}, {})


def test_what_became_of_each_order_of_a_batch_is_told_beside_them(scene: Scene) -> None:
    request = scene.order(op="order.cancel-batch", args=[{"category": "linear", "request": [ORDER]}])
    assert isinstance(request, OrderRequest)
    extra = {"list": [{"code": 0, "msg": "OK"}]}
    answer = json.loads(scene.session.answer(request, Answer({"list": []}, extra=extra), {}))
    assert answer["retExtInfo"] == extra
    assert "reqId" not in answer


@pytest.mark.parametrize("op", sorted(PATHS))
def test_every_op_is_taken(scene: Scene, op: str) -> None:
    batch = {"category": "spot", "request": []}
    assert scene.code(op=op, args=[batch if op.endswith("-batch") else ORDER]) == 0


@pytest.mark.parametrize("op", ["order.replace", "subscribe", "", None, ["order.create"]])
def test_an_op_that_there_is_not_is_refused(scene: Scene, op: Any) -> None:
    assert scene.code(op=op) == 10404


def test_a_request_id_is_taken_only_once_even_by_one_that_was_refused(scene: Scene) -> None:
    assert scene.code(reqId="one", args=[]) == 10001
    assert scene.code(reqId="one") == 20006
    assert scene.code(reqId="two") == 0
    assert (scene.code(), scene.code()) == (0, 0)  # without one


@pytest.mark.parametrize(("req_id", "code"), [("x" * 36, 0), ("x" * 37, 10001), (7, 10001), ([], 10001)])
def test_a_request_id_is_a_text_of_36_characters_at_most(scene: Scene, req_id: Any, code: int) -> None:
    assert scene.code(reqId=req_id) == code


def test_ids_of_long_ago_are_forgotten(scene: Scene) -> None:
    for number in range(10_001):
        scene.order(reqId=str(number))
    assert scene.code(reqId="1") == 20006
    assert scene.code(reqId="0") == 0


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, 10001),
        ([], 10001),
        ({}, 10001),
        ({"X-BAPI-TIMESTAMP": "now"}, 10001),
        ({"X-BAPI-TIMESTAMP": 1.5}, 10001),
        ({"X-BAPI-TIMESTAMP": True}, 10001),
        ({"X-BAPI-TIMESTAMP": str(NOW_MS), "X-BAPI-RECV-WINDOW": "-1"}, 10001),
        ({"X-BAPI-TIMESTAMP": "1000"}, 10002),
        ({"X-BAPI-TIMESTAMP": NOW_MS, "X-BAPI-RECV-WINDOW": 5000}, 0),  # as pybit sends them
    ],
)
def test_the_header_has_the_time(scene: Scene, header: Any, code: int) -> None:
    assert scene.code(header=header) == code


@pytest.mark.parametrize("args", [None, {}, ORDER, [], [ORDER, ORDER], ["order"], [[ORDER]]])
def test_args_are_one_object(scene: Scene, args: Any) -> None:
    assert scene.code(args=args) == 10001


@pytest.mark.parametrize("category", [None, "", "futures", 7, ["linear"]])
def test_a_category_that_there_is_not_is_none_of_this_service(scene: Scene, category: Any) -> None:
    assert scene.code(args=[ORDER | {"category": category}]) == 10404


def test_a_batch_is_a_list(scene: Scene) -> None:
    assert scene.code(op="order.create-batch", args=[ORDER | {"request": ORDER}]) == 10001


def test_a_key_that_only_reads_places_nothing(stranger: Scene) -> None:
    stranger.ask(op="auth", args=["reader"])
    assert stranger.code() == 10005


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff"])
def test_what_is_no_object_is_answered_and_the_connection_stays(scene: Scene, text: bytes) -> None:
    answer = scene.session.handle(text, NOW_MS)
    assert isinstance(answer, bytes)
    assert json.loads(answer)["retCode"] == 10001
    assert scene.code() == 0
