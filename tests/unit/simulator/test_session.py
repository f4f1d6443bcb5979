import json
from typing import Any

import pytest

from feeder.simulator.session import Answer, Session


def _session(category: str, unknown: str = "NOSUCH") -> Session:
    return Session(category, "conn-1", lambda topic: unknown not in topic)


def _ask(session: Session, request: dict[str, Any] | str) -> tuple[Answer, dict[str, Any]]:
    text = request if isinstance(request, str) else json.dumps(request)
    answer = session.handle(text.encode(), now_ms=1_700_000_000_123)
    return answer, json.loads(answer.reply)


def _subscribe(*topics: str, **more: str) -> dict[str, Any]:
    return {"op": "subscribe", "args": list(topics), **more}


BOOK, TRADES = "orderbook.50.BTCUSDT", "publicTrade.BTCUSDT"


@pytest.mark.parametrize(
    ("category", "request_id", "reply"),
    [
        ("spot", None, '{"success":true,"ret_msg":"subscribe","conn_id":"conn-1","op":"subscribe"}'),
        ("spot", "r1", '{"success":true,"ret_msg":"subscribe","conn_id":"conn-1","req_id":"r1","op":"subscribe"}'),
        ("linear", None, '{"success":true,"ret_msg":"","conn_id":"conn-1","req_id":"","op":"subscribe"}'),
        ("inverse", "r1", '{"success":true,"ret_msg":"","conn_id":"conn-1","req_id":"r1","op":"subscribe"}'),
        (
            "option",
            "r1",
            '{"success":true,"conn_id":"conn-1",'
            '"data":{"failTopics":[],"successTopics":["orderbook.50.BTCUSDT"]},"type":"COMMAND_RESP"}',
        ),
    ],
)
def test_an_ack_has_its_categorys_shape(category: str, request_id: str | None, reply: str) -> None:
    more = {} if request_id is None else {"req_id": request_id}
    answer, _ = _ask(_session(category), _subscribe(BOOK, **more))
    assert answer.reply.decode() == reply
    assert answer.subscribed == [BOOK]


@pytest.mark.parametrize(
    ("category", "request_id", "reply"),
    [
        ("spot", None, '{"success":true,"ret_msg":"pong","conn_id":"conn-1","op":"ping"}'),
        ("spot", "p1", '{"success":true,"ret_msg":"pong","conn_id":"conn-1","req_id":"p1","op":"ping"}'),
        ("linear", None, '{"success":true,"ret_msg":"pong","conn_id":"conn-1","req_id":"","op":"ping"}'),
        ("option", "p1", '{"args":["1700000000123"],"op":"pong"}'),
    ],
)
def test_a_pong_has_its_categorys_shape(category: str, request_id: str | None, reply: str) -> None:
    more = {} if request_id is None else {"req_id": request_id}
    answer, _ = _ask(_session(category), {"op": "ping", **more})
    assert answer.reply.decode() == reply


def test_one_unknown_topic_fails_the_whole_request_on_linear() -> None:
    session = _session("linear")
    answer, reply = _ask(session, _subscribe(BOOK, "orderbook.50.NOSUCH", req_id="r1"))
    assert reply == {
        "success": False,
        "ret_msg": "error:handler not found,topic:orderbook.50.NOSUCH",
        "conn_id": "conn-1",
        "req_id": "r1",
        "op": "subscribe",
    }
    assert answer.subscribed == []
    assert not session.topics


def test_spot_refuses_an_unknown_symbol_without_saying_which_request() -> None:
    answer, reply = _ask(_session("spot"), _subscribe(BOOK, "orderbook.50.NOSUCH", req_id="r1"))
    assert reply == {
        "success": False,
        "ret_msg": "Invalid symbol :[orderbook.50.NOSUCH]",
        "conn_id": "conn-1",
        "op": "subscribe",
    }
    assert answer.subscribed == []


def test_option_tells_of_each_topic() -> None:
    session = _session("option")
    answer, reply = _ask(session, _subscribe("orderbook.25.A", "orderbook.25.NOSUCH"))
    assert reply["data"] == {"failTopics": ["orderbook.25.NOSUCH"], "successTopics": ["orderbook.25.A"]}
    assert answer.subscribed == ["orderbook.25.A"]
    assert "op" not in reply
    assert "req_id" not in reply


def test_a_topic_already_subscribed_sinks_the_others_and_keeps_delivering() -> None:
    session = _session("linear")
    _ask(session, _subscribe(BOOK))
    answer, reply = _ask(session, _subscribe(TRADES, BOOK))
    assert reply["ret_msg"] == f"error:already subscribed,topic:{BOOK}"
    assert answer.subscribed == answer.unsubscribed == []
    assert list(session.topics) == [BOOK]


def test_a_topic_twice_in_one_request_is_refused() -> None:
    _, reply = _ask(_session("inverse"), _subscribe(BOOK, BOOK))
    assert reply["ret_msg"] == f"error:already subscribed,topic:{BOOK}"


@pytest.mark.parametrize("op", ["subscribe", "unsubscribe"])
def test_spot_takes_ten_args_per_request_and_many_requests(op: str) -> None:
    session = _session("spot")
    topics = [f"orderbook.50.S{number}" for number in range(30)]
    _, reply = _ask(session, {"op": op, "args": topics[:11]})
    assert (reply["success"], reply["ret_msg"]) == (False, "args size >10")
    for start in range(0, 30, 10):
        _, reply = _ask(session, {"op": op, "args": topics[start : start + 10]})
        assert reply["success"]


def test_twenty_one_thousand_characters_of_args_per_connection_and_no_more() -> None:
    session = _session("linear")
    topics = [f"orderbook.50.{number:07d}" for number in range(1050)]  # 20 characters each
    assert _ask(session, _subscribe(*topics))[1]["success"]
    _, reply = _ask(session, _subscribe("x"))
    assert not reply["success"]
    assert "21000 characters" in reply["ret_msg"]
    # What is given back can be used again.
    _ask(session, {"op": "unsubscribe", "args": topics[:1]})
    assert _ask(session, _subscribe("orderbook.50.ABCDEFG"))[1]["success"]


def test_option_takes_two_thousand_args_per_connection() -> None:
    session = _session("option")
    assert _ask(session, _subscribe(*(f"o.{number}" for number in range(2000))))[1]["success"]
    answer, reply = _ask(session, _subscribe("one.more"))
    assert not reply["success"]
    assert reply["data"]["failTopics"] == ["one.more"]
    assert ">2000" in reply["ret_msg"]
    assert answer.subscribed == []


def test_unsubscribe_ends_what_was_subscribed_and_acks_the_rest() -> None:
    session = _session("linear")
    _ask(session, _subscribe(BOOK, TRADES))
    answer, reply = _ask(session, {"op": "unsubscribe", "args": [BOOK, "orderbook.50.OTHER"], "req_id": "u1"})
    assert (reply["success"], reply["op"], reply["req_id"]) == (True, "unsubscribe", "u1")
    assert answer.unsubscribed == [BOOK]
    assert list(session.topics) == [TRADES]


def test_an_unknown_op_is_named_invalid() -> None:
    _, reply = _ask(_session("linear"), {"op": "dance", "req_id": "r1"})
    assert (reply["success"], reply["ret_msg"], reply["op"]) == (False, "error:invalid op", "dance")


@pytest.mark.parametrize("category", ["spot", "linear", "inverse", "option"])
@pytest.mark.parametrize(
    "text", ["", "{", "hello", "[1]", "null", '"ping"', '{"op":"subscribe"}', '{"op":"subscribe","args":[1]}']
)
def test_rubbish_is_answered_and_changes_nothing(category: str, text: str) -> None:
    session = _session(category)
    answer, reply = _ask(session, text)
    assert reply["success"] is False
    assert reply["ret_msg"].startswith("Failed to decode incoming data:")
    assert answer.subscribed == answer.unsubscribed == []
    assert not session.topics


def test_bytes_that_are_no_text_are_answered() -> None:
    answer = _session("linear").handle(b"\xff\xfe\x00", 0)
    assert b"Failed to decode" in answer.reply


def test_bottomless_nesting_is_answered() -> None:
    answer = _session("linear").handle(b"[" * 500_000, 0)
    assert b"Failed to decode" in answer.reply
