"""A private connection's conversation, message by message, without a socket."""

import json
from typing import Any

import pytest

from feeder.simulator.keys import DEFAULT_KEY, ApiKey
from feeder.simulator.private_session import PrivateSession
from feeder.simulator.private_topics import News, news_of
from feeder.simulator.rest_reply import Refused
from feeder.simulator.told import Told

NOW_MS = 1_700_000_000_000
ID = "cejreaspqfh3sjdnldmg-p"
GOOD = ["key", 1, "sign"]


def _login(args: Any) -> ApiKey:
    if args == GOOD:
        return DEFAULT_KEY
    raise Refused(10003, "API key is invalid.")


@pytest.fixture
def stranger() -> PrivateSession:
    return PrivateSession(ID, _login)


@pytest.fixture
def session(stranger: PrivateSession) -> PrivateSession:
    _ask(stranger, op="auth", args=GOOD)
    return stranger


def _ask(session: PrivateSession, **request: Any) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(session.handle(json.dumps(request).encode(), NOW_MS))
    return answer


def _problem(session: PrivateSession, **request: Any) -> str:
    answer = _ask(session, **request)
    assert answer["success"] is (answer["ret_msg"] == "")
    return str(answer["ret_msg"])


def test_who_logs_in_is_told_so_in_the_shape_that_was_recorded(stranger: PrivateSession) -> None:
    assert _ask(stranger, op="auth", args=GOOD) == {"success": True, "ret_msg": "", "op": "auth", "conn_id": ID}
    assert stranger.api_key is DEFAULT_KEY


def test_a_request_id_comes_back_and_one_that_was_not_sent_does_not(stranger: PrivateSession) -> None:
    assert _ask(stranger, op="auth", args=GOOD, req_id="7")["req_id"] == "7"
    assert "req_id" not in _ask(stranger, op="subscribe", args=["order"])


def test_a_refused_log_in_says_why_in_words_alone_and_may_be_tried_again(stranger: PrivateSession) -> None:
    answer = _ask(stranger, op="auth", args=["other", 1, "sign"])
    assert answer == {"success": False, "ret_msg": "API key is invalid.", "op": "auth", "conn_id": ID}
    assert _problem(stranger, op="auth", args=GOOD) == ""


def test_a_second_log_in_is_refused_and_the_first_one_holds(session: PrivateSession) -> None:
    assert _problem(session, op="auth", args=GOOD) == "Repeat auth"
    assert _problem(session, op="subscribe", args=["order"]) == ""


def test_nobody_subscribes_before_the_log_in_but_may_ping(stranger: PrivateSession) -> None:
    assert _problem(stranger, op="subscribe", args=["order"]) == "Request not authorized"
    assert _ask(stranger, op="ping", req_id="test") == {
        "req_id": "test",
        "op": "pong",
        "args": [str(NOW_MS)],
        "conn_id": ID,
    }


@pytest.mark.parametrize(
    "topic",
    [
        *("order", "execution", "execution.fast", "position", "wallet", "greeks"),
        *(f"order.{category}" for category in ("spot", "linear", "inverse", "option")),
        *(f"execution.fast.{category}" for category in ("spot", "linear", "inverse")),
        *(f"position.{category}" for category in ("linear", "inverse", "option")),
    ],
)
def test_every_documented_topic_is_there(session: PrivateSession, topic: str) -> None:
    assert _problem(session, op="subscribe", args=[topic]) == ""


@pytest.mark.parametrize("topic", ["orders", "order.BTCUSDT", "position.spot", "execution.fast.option", "wallet.spot"])
def test_a_topic_that_there_is_not_fails_the_whole_request(session: PrivateSession, topic: str) -> None:
    assert _problem(session, op="subscribe", args=["wallet", topic]) == f"error:handler not found,topic:{topic}"
    assert session.topics == {}


def test_a_topic_is_subscribed_once(session: PrivateSession) -> None:
    assert _problem(session, op="subscribe", args=["order"]) == ""
    assert _problem(session, op="subscribe", args=["wallet", "order"]) == "error:already subscribed,topic:order"
    assert _problem(session, op="subscribe", args=["wallet", "wallet"]) == "error:already subscribed,topic:wallet"
    assert list(session.topics) == ["order"]


def test_one_request_has_topics_of_one_kind(session: PrivateSession) -> None:
    assert "categorised" in _problem(session, op="subscribe", args=["order", "execution.linear"])
    assert _problem(session, op="subscribe", args=["order.linear", "execution.linear", "wallet"]) == ""
    assert _problem(session, op="subscribe", args=["order", "position"]) == ""  # in a request of its own


def test_what_was_unsubscribed_can_be_subscribed_again(session: PrivateSession) -> None:
    _ask(session, op="subscribe", args=["order", "wallet"])
    assert _problem(session, op="unsubscribe", args=["order", "position"]) == ""
    assert list(session.topics) == ["wallet"]
    assert _problem(session, op="subscribe", args=["order"]) == ""


@pytest.mark.parametrize("args", [None, [], "order", [1], [["order"]]])
def test_args_that_are_no_texts_are_refused(session: PrivateSession, args: Any) -> None:
    assert _problem(session, op="subscribe", args=args) == "Params Error"


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"7", b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_answered_and_the_connection_stays(session: PrivateSession, text: bytes) -> None:
    answer = json.loads(session.handle(text, NOW_MS))
    assert answer["success"] is False
    assert answer["ret_msg"].startswith("Failed to decode incoming data:")
    assert _problem(session, op="subscribe", args=["order"]) == ""


@pytest.mark.parametrize("op", ["login", None, ["auth"], {}])
def test_an_op_that_there_is_not_is_refused(session: PrivateSession, op: Any) -> None:
    assert _problem(session, op=op) == "error:invalid op"


EXECUTION = {
    "category": "linear",
    "symbol": "ICPUSDT",
    "execId": "3510f361",
    "execPrice": "12.015",
    "execQty": "3000",
    "execType": "Trade",
    "execFee": "0.1",
    "orderId": "443d63fa",
    "orderLinkId": "test-00001",
    "isMaker": False,
    "side": "Sell",
    "execTime": "1716800399334",
    "seq": 34771365464,
}


def test_an_execution_is_told_fast_with_the_documented_fields_and_without_an_id() -> None:
    fast, full = news_of(Told("execution", "linear", [EXECUTION], NOW_MS))
    message = json.loads(fast.message("execution.fast", "id"))
    assert message.keys() == {"topic", "creationTime", "data"}
    assert message["data"][0].keys() == EXECUTION.keys() - {"execType", "execFee"}
    assert json.loads(full.message("execution", "id")) == {
        "topic": "execution",
        "id": "id",
        "creationTime": NOW_MS,
        "data": [EXECUTION],
    }


def test_of_a_maker_the_fast_topic_tells_no_order_link_id() -> None:
    fast = news_of(Told("execution", "spot", [EXECUTION | {"isMaker": True}], NOW_MS))[0]
    assert fast.rows[0]["orderLinkId"] == ""


@pytest.mark.parametrize(("category", "kind"), [("linear", "Funding"), ("linear", "BustTrade"), ("option", "Trade")])
def test_other_executions_and_those_of_options_are_not_told_fast(category: str, kind: str) -> None:
    told = Told("execution", category, [EXECUTION | {"execType": kind, "category": category}], NOW_MS)
    assert [news.kind for news in news_of(told)] == ["execution"]


def test_news_go_to_the_topic_for_all_and_to_their_own_categorys(session: PrivateSession) -> None:
    for topic in ("order", "order.linear", "order.spot", "wallet"):
        _ask(session, op="subscribe", args=[topic])
    assert session.topics_of(News("order", "linear", [], NOW_MS)) == ["order", "order.linear"]
    assert session.topics_of(News("wallet", "", [], NOW_MS)) == ["wallet"]
    assert session.topics_of(News("position", "linear", [], NOW_MS)) == []
