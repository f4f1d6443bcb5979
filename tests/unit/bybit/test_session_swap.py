"""Topics that come and go on a connection in use: at once, while the venue still owes its answers."""

import pytest

from feeder.bybit.actions import Action, Phase
from feeder.bybit.messages import CommandResponse, CommandTopics, Message
from feeder.bybit.session import Session
from feeder.bybit.topics import ARGS_PER_REQUEST

from .support import make_session, requests

OLD, NEW = "orderbook.50.BTCUSDT", "orderbook.200.BTCUSDT"


def live(session: Session, *names: str, now: float = 0.0) -> None:
    """Want these, and have the venue grant and send them."""
    topics = [session.want(name, is_book=name.startswith("orderbook")) for name in names]
    answer(session, session.on_connected(now), now)
    assert {topic.phase for topic in topics} == {Phase.ACTIVE}


def answer(session: Session, actions: list[Action], now: float) -> list[list[str]]:
    """Ack all that is asked, send snapshots, likewise what is asked for then; operation and topics of each request."""
    asked = []
    queue = requests(actions)
    while queue:
        request = queue.pop(0)
        asked.append([request["op"], *request["args"]])
        ack = Message(success=True, req_id=request["req_id"], op=request["op"])
        queue += requests(session.on_response(ack, now))
        if request["op"] == "subscribe":
            for name in request["args"]:
                session.admit(session.topics[name], is_snapshot=True, now=now)
    return asked


def drive(session: Session, actions: list[Action], now: float) -> list[list[str]]:
    """As `answer`, until nothing is left to send."""
    asked = answer(session, actions, now)
    for _ in range(200):
        now += 0.05
        asked += answer(session, session.on_timer(now), now)
    return asked


def test_another_depth_is_asked_for_before_the_old_one_s_end_is_acked() -> None:
    session = make_session()
    live(session, OLD, "orderbook.50.ETHUSDT")
    session.unwant(OLD)
    topic = session.want(NEW, is_book=True)
    first = requests(session.pump(1.0))
    second = requests(session.pump(1.1))
    assert [(request["op"], request["args"]) for request in first + second] == [
        ("unsubscribe", [OLD]),
        ("subscribe", [NEW]),
    ]
    assert session.admit(topic, is_snapshot=True, now=1.2), "its snapshot comes before either ack"
    session.on_response(Message(success=True, req_id=second[0]["req_id"], op="subscribe"), 1.3)
    session.on_response(Message(success=True, req_id=first[0]["req_id"], op="unsubscribe"), 1.4)
    assert OLD not in session.topics
    assert session.topics["orderbook.50.ETHUSDT"].phase is Phase.ACTIVE


def test_topic_wanted_again_before_its_end_is_acked_begins_anew_after_the_ack() -> None:
    session = make_session()
    live(session, OLD)
    before = session.topics[OLD].generation
    session.unwant(OLD)
    (letting_go,) = requests(session.pump(1.0))
    topic = session.want(OLD, is_book=True)
    assert topic.generation > before
    assert requests(session.pump(1.1)) == [], "the venue would answer that it has it already"
    assert not session.admit(topic, is_snapshot=False, now=1.1), "deltas on their way are of the old subscription"
    actions = session.on_response(Message(success=True, req_id=letting_go["req_id"], op="unsubscribe"), 1.2)
    assert answer(session, actions, 1.2) == [["subscribe", OLD]]
    assert session.admit(topic, is_snapshot=True, now=1.3)


@pytest.mark.parametrize("category", ["linear", "spot", "option"])
def test_three_hundred_swapped_in_one_go_are_few_requests_and_touch_no_other(category: str) -> None:
    session = make_session(category)
    stay = [f"orderbook.50.STAYS{n}USDT" for n in range(50)]
    go = [f"orderbook.50.GOES{n}USDT" for n in range(300)]
    come = [f"orderbook.50.COMES{n}USDT" for n in range(300)]
    for name in (*stay, *go):
        session.want(name, is_book=True)
    drive(session, session.on_connected(0.0), 0.0)
    before = [(session.topics[name].generation, session.topics[name].phase) for name in stay]
    for name in go:
        session.unwant(name)
    for name in come:
        session.want(name, is_book=True)
    asked = drive(session, session.pump(20.0), 20.0)
    limit = ARGS_PER_REQUEST.get(category, 1000)
    assert len(asked) <= 2 * -(-300 // min(limit, 300)) + 2
    assert {name for _, *names in asked for name in names} == {*go, *come}
    assert [asked[0][0], asked[-1][0]] == ["unsubscribe", "subscribe"], "there is room before more is asked for"
    assert list(session.topics) == [*stay, *come]
    assert [(session.topics[name].generation, session.topics[name].phase) for name in stay] == before


def test_swap_while_disconnected_asks_for_the_new_alone() -> None:
    session = make_session()
    live(session, OLD, "publicTrade.BTCUSDT")
    session.on_disconnected(1.0)
    session.unwant(OLD)
    session.want(NEW, is_book=True)
    assert drive(session, session.on_connected(2.0), 2.0) == [["subscribe", "publicTrade.BTCUSDT", NEW]]


def test_an_option_let_go_of_before_its_subscription_is_answered_is_unsubscribed_all_the_same() -> None:
    session = make_session(category="option")
    name, other = "orderbook.25.BTC-27NOV26-90000-C", "orderbook.25.BTC-27NOV26-90000-P"
    session.want(name, is_book=True)
    session.on_connected(0.0)
    session.want(other, is_book=True)
    session.unwant(name)  # waits for its turn: requests are spaced
    assert requests(session.pump(0.0)) == []
    data = CommandTopics(successTopics=[name])
    asked = requests(session.on_command_response(CommandResponse(success=True, data=data), 0.01))
    asked += requests(session.on_timer(1.0)) + requests(session.on_timer(2.0))
    assert ["unsubscribe", name] in [[request["op"], *request["args"]] for request in asked]
