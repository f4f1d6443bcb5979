"""The rules of one connection, with the time moved by hand."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from feeder.bybit.actions import Action, Phase, Reconnect, Refused, Reset, Send, Topic
from feeder.bybit.counters import PONG_BOUNDS_US
from feeder.bybit.messages import Message, decode, decode_command_response
from feeder.bybit.pacing import Timing
from feeder.bybit.session import PING, Session
from feeder.market.status import StatusReason

from .support import make_session, payload, requests

NOW = 100.0


def ack(request: dict[str, Any]) -> Message:
    return Message(success=True, req_id=request["req_id"], op=request["op"])


def failure(text: str, request: dict[str, Any] | None = None, op: str = "") -> Message:
    return Message(success=False, ret_msg=text, req_id=request["req_id"] if request else "", op=op)


def resets(actions: list[Action]) -> list[tuple[str, StatusReason]]:
    return [(action.topic.name, action.reason) for action in actions if isinstance(action, Reset)]


def refusals(actions: list[Action]) -> list[str]:
    return [action.topic.name for action in actions if isinstance(action, Refused)]


def connected(category: str, *names: str, timing: Timing | None = None) -> tuple[Session, list[dict[str, Any]]]:
    """A session that wants these topics and has just connected, and what it sent."""
    session = make_session(category, timing)
    for name in names:
        session.want(name, is_book=name.startswith("orderbook"))
    return session, requests(session.on_connected(NOW))


def run(session: Session, until: float) -> Iterator[tuple[float, list[Action]]]:
    """Let time pass as the transport does: from timer to timer."""
    while (when := session.next_timer()) is not None and when <= until:
        yield when, session.on_timer(when)


def snapshot(session: Session, name: str, now: float = NOW) -> bool:
    return session.admit(session.topics[name], is_snapshot=True, now=now)


def delta(session: Session, name: str, now: float = NOW) -> bool:
    return session.admit(session.topics[name], is_snapshot=False, now=now)


def live(category: str = "linear", *names: str) -> Session:
    """A session whose books are all ACTIVE."""
    session, sent = connected(category, *(names or ("orderbook.50.A",)))
    for request in sent:
        session.on_response(ack(request), NOW)
    for topic in session.topics.values():
        assert session.admit(topic, is_snapshot=True, now=NOW)
    return session


# Subscribing


def test_spot_is_asked_ten_topics_at_a_time_and_never_faster_than_the_pace() -> None:
    session, sent = connected("spot", *(f"orderbook.50.S{n}" for n in range(25)))
    assert [len(request["args"]) for request in sent] == [10]
    assert session.on_timer(NOW + 0.049) == []
    more = [(when, requests(actions)) for when, actions in run(session, NOW + 1)]
    assert [(round(when - NOW, 3), [len(request["args"]) for request in batch]) for when, batch in more] == [
        (0.05, [10]),
        (0.1, [5]),
    ]


def test_snapshot_before_the_ack_makes_the_book_active() -> None:
    session, sent = connected("linear", "orderbook.50.A")
    assert snapshot(session, "orderbook.50.A")
    assert delta(session, "orderbook.50.A")
    session.on_response(ack(sent[0]), NOW)
    assert session.topics["orderbook.50.A"].phase is Phase.ACTIVE


def test_ack_alone_makes_trades_active_but_not_a_book() -> None:
    session, sent = connected("linear", "orderbook.50.A", "publicTrade.A")
    session.on_response(ack(sent[0]), NOW)
    assert session.topics["publicTrade.A"].phase is Phase.ACTIVE
    assert session.topics["orderbook.50.A"].phase is Phase.SUBSCRIBING


def test_deltas_before_the_first_snapshot_are_dropped_and_counted() -> None:
    session, _ = connected("linear", "orderbook.50.A")
    assert not delta(session, "orderbook.50.A")
    assert session._counters.dropped_old_generation == 1


def test_only_differences_are_sent() -> None:
    session = live("linear", "orderbook.50.A")
    session.want("orderbook.50.A", is_book=True)
    session.want("orderbook.50.B", is_book=True)
    assert [request["args"] for request in requests(session.pump(NOW + 1))] == [["orderbook.50.B"]]


def test_topic_let_go_of_is_unsubscribed_and_forgotten_by_the_ack() -> None:
    session = live("linear", "orderbook.50.A", "orderbook.50.B")
    session.unwant("orderbook.50.A")
    (request,) = requests(session.pump(NOW + 1))
    assert (request["op"], request["args"]) == ("unsubscribe", ["orderbook.50.A"])
    assert not delta(session, "orderbook.50.A")
    session.on_response(ack(request), NOW + 1)
    assert list(session.topics) == ["orderbook.50.B"]


def test_topic_wanted_again_while_it_is_let_go_of_is_subscribed_anew() -> None:
    session = live()
    old = session.topics["orderbook.50.A"].generation
    session.unwant("orderbook.50.A")
    (request,) = requests(session.pump(NOW + 1))
    topic = session.want("orderbook.50.A", is_book=True)
    assert topic.generation > old
    (again,) = requests(session.on_response(ack(request), NOW + 2))
    assert (again["op"], again["args"]) == ("subscribe", ["orderbook.50.A"])


# Refusals


def test_topic_named_in_a_refusal_does_not_sink_its_batch() -> None:
    session, sent = connected("linear", "orderbook.50.A", "orderbook.50.BAD", "orderbook.50.B")
    actions = session.on_response(failure("error:handler not found,topic:orderbook.50.BAD", sent[0]), NOW + 1)
    assert refusals(actions) == ["orderbook.50.BAD"]
    assert [request["args"] for request in requests(actions)] == [["orderbook.50.A", "orderbook.50.B"]]
    assert session.topics["orderbook.50.BAD"].phase is Phase.REFUSED
    assert session._counters.refused_topics == 1


def test_name_that_only_contains_another_is_not_taken_for_it() -> None:
    session, sent = connected("linear", "orderbook.1.BTCUSDT", "orderbook.1.BTCUSDTX")
    actions = session.on_response(failure("error:handler not found,topic:orderbook.1.BTCUSDTX", sent[0]), NOW)
    assert refusals(actions) == ["orderbook.1.BTCUSDTX"]


def test_refusal_that_names_nobody_is_halved_until_the_topic_stands_alone() -> None:
    names = [f"orderbook.50.S{n}" for n in range(16)]
    session, sent = connected("linear", *names)
    queue, refused, granted = list(sent), [], []
    now = NOW
    while queue:
        now += 1
        request = queue.pop(0)
        bad = "orderbook.50.S11" in request["args"]
        actions = session.on_response(failure("denied", request) if bad else ack(request), now)
        refused += refusals(actions)
        granted += [] if bad else request["args"]
        queue += requests(actions) + [r for _, later in run(session, now + 0.9) for r in requests(later)]
    assert refused == ["orderbook.50.S11"]
    assert sorted(granted) == sorted(set(names) - {"orderbook.50.S11"})
    assert session._counters.requests <= 1 + 2 * 4


def test_too_many_args_end_as_legal_requests_without_a_refusal() -> None:
    names = [f"orderbook.50.S{n}" for n in range(10)]
    session, sent = connected("spot", *names)
    actions = session.on_response(failure("args size >5", sent[0]), NOW + 1)
    batches = [r["args"] for r in requests(actions)]
    batches += [r["args"] for _, later in run(session, NOW + 2) for r in requests(later)]
    assert batches == [names[:5], names[5:]]


def test_spot_refusal_without_req_id_finds_its_request_by_the_topic_it_names() -> None:
    names = [f"orderbook.50.S{n}" for n in range(10)] + ["orderbook.50.NOSUCHSYM"]
    session, sent = connected("spot", *names)
    sent += [r for _, actions in run(session, NOW + 0.06) for r in requests(actions)]
    assert len(sent) == 2
    actions = session.on_response(decode(payload("spot-failure-invalid-symbol")), NOW + 1)
    assert refusals(actions) == ["orderbook.50.NOSUCHSYM"]
    assert all(session.topics[name].phase is Phase.SUBSCRIBING for name in names[:10])


def test_topic_already_subscribed_counts_as_subscribed() -> None:
    session, sent = connected("linear", "publicTrade.BTCUSDT", "orderbook.50.A")
    actions = session.on_response(decode(payload("linear-failure-already-subscribed")), NOW + 1)
    assert sent[0]["req_id"] == "1"
    assert refusals(actions) == []
    assert session.topics["publicTrade.BTCUSDT"].phase is Phase.ACTIVE
    assert [request["args"] for request in requests(actions)] == [["orderbook.50.A"]]


def test_refusal_naming_a_topic_that_data_made_active_blames_nobody_else() -> None:
    session, sent = connected("linear", "orderbook.50.A", "orderbook.50.B")
    assert snapshot(session, "orderbook.50.A")
    actions = session.on_response(failure("error:already subscribed,topic:orderbook.50.A", sent[0]), NOW + 1)
    assert refusals(actions) == []
    assert [request["args"] for request in requests(actions)] == [["orderbook.50.B"]]
    assert session.topics["orderbook.50.A"].phase is Phase.ACTIVE


def test_refused_topic_is_asked_for_again_alone_after_a_second_then_ever_later() -> None:
    session, sent = connected("linear", "orderbook.50.BAD")
    asked = []
    refusal = "error:handler not found,topic:orderbook.50.BAD"
    actions = session.on_response(failure(refusal, sent[0]), NOW)
    for _ in range(14):
        assert refusals(actions) == ["orderbook.50.BAD"]
        start = actions[0].topic.deadline - actions[0].delay_seconds  # type: ignore[union-attr, operator]
        when, request = next(
            (when, r) for when, later in run(session, start + 10_000) for r in requests(later) if session.topics
        )
        asked.append(round(when - start))
        assert request["args"] == ["orderbook.50.BAD"]
        session.on_response(Message(op="pong"), when)
        actions = session.on_response(failure(refusal, request), when)
    assert asked == [*(2**n for n in range(12)), 3600, 3600]


def until_request(session: Session, until: float) -> tuple[float, dict[str, Any]]:
    """The next request the session makes, and when; the venue answers pings meanwhile."""
    for when, actions in run(session, until):
        if Send(PING) in actions:
            session.on_response(Message(op="pong"), when)
        for request in requests(actions):
            return when, request
    raise AssertionError("no request")


def test_topic_refused_without_its_name_is_let_go_of_before_it_is_asked_for_again() -> None:
    # The venue may be sending it: the refusal may have meant that, or another request.
    session, sent = connected("linear", "orderbook.50.A")
    assert refusals(session.on_response(failure("error", sent[0]), NOW)) == ["orderbook.50.A"]
    when, unsubscribe = until_request(session, NOW + 5)
    assert (unsubscribe["op"], unsubscribe["args"]) == ("unsubscribe", ["orderbook.50.A"])
    session.on_response(failure("error:not subscribed", unsubscribe), when)
    assert until_request(session, when + 5)[1]["op"] == "subscribe"


def test_topic_refused_before_stays_alone_in_its_request_also_after_it_was_let_go_of() -> None:
    session, sent = connected("linear", "orderbook.50.A")
    session.on_response(failure("error", sent[0]), NOW)
    when, unsubscribe = until_request(session, NOW + 5)
    session.want("orderbook.50.B", is_book=True)
    asked = [request["args"] for request in requests(session.on_response(ack(unsubscribe), when + 0.01))]
    asked += [request["args"] for _, actions in run(session, when + 1) for request in requests(actions)]
    assert asked == [["orderbook.50.A"], ["orderbook.50.B"]]


def test_refusal_without_req_id_and_name_is_of_the_oldest_request_as_answers_come_in_order() -> None:
    session, _ = connected("linear", "orderbook.50.A")
    session.want("orderbook.50.B", is_book=True)
    assert requests(session.pump(NOW + 1))
    assert refusals(session.on_response(failure("denied", op="subscribe"), NOW + 2)) == ["orderbook.50.A"]
    assert refusals(session.on_response(failure("denied"), NOW + 2)) == ["orderbook.50.B"]


def test_refusal_of_a_topic_nothing_was_asked_about_blames_no_other() -> None:
    session = live("linear", "orderbook.50.A")
    session.want("orderbook.50.B", is_book=True)
    assert requests(session.pump(NOW + 1))
    assert session.on_response(failure("error:handler not found,topic:orderbook.50.A"), NOW + 2) == []
    assert session.topics["orderbook.50.B"].phase is Phase.SUBSCRIBING


def test_topic_whose_letting_go_was_never_answered_is_let_go_of_again_if_it_is_wanted_no_more() -> None:
    session = live("linear", "orderbook.50.A")
    session.resync(session.topics["orderbook.50.A"], StatusReason.GAP, NOW + 1)
    session.want("orderbook.50.B", is_book=True)
    assert requests(session.pump(NOW + 5.99))
    assert session.on_timer(NOW + 6) == [], "its turn has not come"
    assert session.topics["orderbook.50.A"].phase is Phase.WANTED
    session.unwant("orderbook.50.A")
    (request,) = requests(session.pump(NOW + 7))
    assert (request["op"], request["args"]) == ("unsubscribe", ["orderbook.50.A"])


def test_topic_refused_on_a_guess_and_then_unwanted_is_let_go_of() -> None:
    session, sent = connected("linear", "orderbook.50.A")
    session.on_response(failure("error", sent[0]), NOW)
    session.unwant("orderbook.50.A")
    (request,) = requests(session.pump(NOW + 1))
    assert (request["op"], request["args"]) == ("unsubscribe", ["orderbook.50.A"])
    session.on_response(ack(request), NOW + 1)
    assert session.topics == {}


def test_refused_topic_stays_refused_over_a_reconnect() -> None:
    session, sent = connected("linear", "orderbook.50.BAD", "orderbook.50.A")
    session.on_response(failure("topic:orderbook.50.BAD", sent[0]), NOW)
    session.on_disconnected(NOW + 1)
    assert [request["args"] for request in requests(session.on_connected(NOW + 2))] == [["orderbook.50.A"]]
    later = [r["args"] for _, actions in run(session, NOW + 61) for r in requests(actions) if r["op"] == "subscribe"]
    assert ["orderbook.50.BAD"] in later


def test_option_verdict_refuses_the_failed_and_grants_the_others() -> None:
    session, _ = connected("option", "orderbook.25.BTC-NOSUCH", "publicTrade.BTC")
    actions = session.on_command_response(decode_command_response(payload("option-ack-failed")), NOW)
    assert refusals(actions) == ["orderbook.25.BTC-NOSUCH"]
    assert session.topics["publicTrade.BTC"].phase is Phase.ACTIVE
    assert session._requests == {}


def test_option_unsubscribe_is_matched_by_its_topics() -> None:
    session = live("option", "orderbook.25.BTC-27NOV26-90000-C")
    session.resync(session.topics["orderbook.25.BTC-27NOV26-90000-C"], StatusReason.GAP, NOW + 1)
    (again,) = requests(session.on_command_response(decode_command_response(payload("option-ack")), NOW + 2))
    assert again["op"] == "subscribe"


# Answers and what they are about


def test_success_without_req_id_grants_nothing() -> None:
    session, _ = connected("linear", "publicTrade.A")
    session.on_response(Message(success=True, op="subscribe"), NOW)
    assert session.topics["publicTrade.A"].phase is Phase.SUBSCRIBING


def test_answer_is_about_the_last_request_a_topic_was_in_and_no_older_one() -> None:
    session, sent = connected("linear", "publicTrade.A", "publicTrade.B")
    session.unwant("publicTrade.A")
    (unsubscribe,) = requests(session.pump(NOW + 1))
    session.want("publicTrade.A", is_book=False)
    (again,) = requests(session.on_response(ack(unsubscribe), NOW + 2))
    assert again["args"] == ["publicTrade.A"]
    session.on_response(ack(sent[0]), NOW + 2.1)
    assert session.topics["publicTrade.B"].phase is Phase.ACTIVE
    assert session.topics["publicTrade.A"].phase is Phase.SUBSCRIBING


def test_trade_topic_made_active_by_old_data_is_asked_for_again_with_the_request_that_failed() -> None:
    # One topic the venue will not have fails the whole request, so this one is not granted, whatever came of it before.
    session, sent = connected("linear", "publicTrade.A", "orderbook.50.BAD")
    assert delta(session, "publicTrade.A")
    actions = session.on_response(failure("error:handler not found,topic:orderbook.50.BAD", sent[0]), NOW + 1)
    assert [request["args"] for request in requests(actions)] == [["publicTrade.A"]]
    assert delta(session, "publicTrade.A"), "what comes meanwhile passes"


@pytest.mark.parametrize("name", ["publicTrade.A", "orderbook.50.A"])
def test_topic_that_is_active_but_was_never_acked_is_asked_for_until_the_venue_says_it_has_it(name: str) -> None:
    session, _ = connected("linear", name)
    assert snapshot(session, name)
    when, request = until_request(session, NOW + 11)
    assert (when, request["op"], request["args"]) == (NOW + 10, "subscribe", [name])
    when, request = until_request(session, when + 21)
    assert when == NOW + 30, "ever later"
    session.on_response(failure(f"error:already subscribed,topic:{name}", request), when)
    assert session.topics[name].phase is Phase.ACTIVE
    with pytest.raises(AssertionError, match="no request"):
        until_request(session, when + 10_000)


def test_topic_that_is_active_and_refused_after_all_is_refused() -> None:
    session, sent = connected("linear", "orderbook.50.A")
    assert snapshot(session, "orderbook.50.A"), "in flight from an older subscription"
    actions = session.on_response(failure("error:handler not found,topic:orderbook.50.A", sent[0]), NOW + 1)
    assert refusals(actions) == ["orderbook.50.A"]


def test_option_topic_that_is_active_and_fails_after_all_is_refused() -> None:
    session, _ = connected("option", "orderbook.25.BTC-NOSUCH", "publicTrade.BTC")
    assert snapshot(session, "orderbook.25.BTC-NOSUCH")
    actions = session.on_command_response(decode_command_response(payload("option-ack-failed")), NOW)
    assert refusals(actions) == ["orderbook.25.BTC-NOSUCH"]


def test_topic_nobody_wants_is_let_go_of_until_the_venue_answers() -> None:
    session = live()
    session.unwant("orderbook.50.A")
    asked = [request for _, actions in run(session, NOW + 1) for request in requests(actions)]
    when = NOW
    for expected in (5, 15, 35):
        when, request = until_request(session, NOW + 40)
        assert (round(when - NOW), request["op"], request["args"]) == (expected, "unsubscribe", ["orderbook.50.A"])
        asked.append(request)
    session.on_response(ack(asked[-1]), when)
    assert session.topics == {}


def test_topic_wanted_again_after_a_long_silence_does_not_wait_for_that_to_end() -> None:
    session = live()
    session.unwant("orderbook.50.A")
    for _, _ in zip(range(6), iter(lambda: until_request(session, NOW + 10_000), None), strict=False):
        pass
    now = session._send_at
    session.want("orderbook.50.A", is_book=True)
    (unsubscribe,) = requests(session.pump(now))
    assert unsubscribe["op"] == "unsubscribe"
    when, request = until_request(session, now + 6)
    assert (round(when - now), request["op"]) == (5, "subscribe")


def test_response_to_nothing_is_ignored() -> None:
    session = live()
    assert session.on_response(failure("denied"), NOW) == []
    assert session.on_response(Message(success=True, req_id="999"), NOW) == []
    assert session.topics["orderbook.50.A"].phase is Phase.ACTIVE


# Resync


def test_resync_unsubscribes_waits_for_the_ack_and_subscribes() -> None:
    session = live()
    topic = session.topics["orderbook.50.A"]
    old = topic.generation
    actions = session.resync(topic, StatusReason.GAP, NOW + 1)
    assert resets(actions) == [("orderbook.50.A", StatusReason.GAP)]
    assert topic.generation > old
    (unsubscribe,) = requests(actions)
    assert (unsubscribe["op"], unsubscribe["args"]) == ("unsubscribe", ["orderbook.50.A"])
    assert not snapshot(session, "orderbook.50.A"), "a snapshot of the old subscription is worthless as well"
    (subscribe,) = requests(session.on_response(ack(unsubscribe), NOW + 1.2))
    assert (subscribe["op"], subscribe["args"]) == ("subscribe", ["orderbook.50.A"])
    assert not delta(session, "orderbook.50.A"), "in flight from the old subscription"
    assert snapshot(session, "orderbook.50.A", NOW + 1.4)
    assert delta(session, "orderbook.50.A", NOW + 1.4)


def test_one_resync_at_a_time_however_many_gaps_are_seen() -> None:
    session = live()
    topic = session.topics["orderbook.50.A"]
    first = session.resync(topic, StatusReason.GAP, NOW + 1)
    assert len(requests(first)) == 1
    generation = topic.generation
    assert session.resync(topic, StatusReason.GAP, NOW + 1.1) == []
    assert topic.generation == generation
    assert session._counters.resyncs == {StatusReason.GAP: 1}


def test_unsubscribe_never_acked_ends_at_its_deadline() -> None:
    session = live()
    session.resync(session.topics["orderbook.50.A"], StatusReason.GAP, NOW + 1)
    sent = [(round(when - NOW, 3), r["op"]) for when, actions in run(session, NOW + 8) for r in requests(actions)]
    assert sent == [(6.0, "subscribe")]


def test_unsubscribe_the_venue_refuses_counts_as_done() -> None:
    session = live()
    (request,) = requests(session.resync(session.topics["orderbook.50.A"], StatusReason.GAP, NOW + 1))
    (again,) = requests(session.on_response(failure("error:not subscribed", request), NOW + 2))
    assert again["op"] == "subscribe"


def answer_all(session: Session, until: float) -> list[tuple[float, str]]:
    """A venue that acks everything and answers pings, but never sends a snapshot; what it was asked, and when."""
    asked = []
    for when, actions in run(session, until):
        queue = list(actions)
        while queue:
            action = queue.pop(0)
            if not isinstance(action, Send):
                continue
            if action.text == PING:
                session.on_response(Message(op="pong"), when)
                continue
            request = json.loads(action.text)
            asked.append((round(when - NOW, 2), request["op"]))
            queue += session.on_response(ack(request), when)
    return asked


def test_snapshot_that_never_comes_is_asked_for_ever_more_slowly() -> None:
    session, _ = connected("linear", "orderbook.50.A")
    subscribes = [when for when, operation in answer_all(session, NOW + 600) if operation == "subscribe"]
    gaps = [round(later - earlier) for earlier, later in itertools.pairwise(subscribes)]
    assert gaps[:8] == [11, 12, 14, 18, 26, 42, 70, 70]
    assert set(session._counters.resyncs) == {StatusReason.NO_SNAPSHOT}


def test_two_hundred_snapshots_missing_at_once_are_resynced_within_the_budget() -> None:
    names = [f"orderbook.50.S{n}" for n in range(200)]
    session, _ = connected("linear", *names)
    unsubscribed: dict[str, float] = {}
    for when, actions in run(session, NOW + 26):
        for request in requests(actions):
            if request["op"] == "unsubscribe":
                unsubscribed = dict.fromkeys(request["args"], when - NOW) | unsubscribed
        if any(isinstance(action, Send) and action.text == PING for action in actions):
            session.on_response(Message(op="pong"), when)
    assert sum(when < 10.1 for when in unsubscribed.values()) == 50
    assert len(unsubscribed) == 200
    assert 24.9 <= max(unsubscribed.values()) <= 25.2


def test_book_that_keeps_failing_waits_longer_each_time_and_a_healthy_one_does_not() -> None:
    session = live()
    topic = session.topics["orderbook.50.A"]

    def delay_of_a_resync(now: float) -> float:
        session.resync(topic, StatusReason.GAP, now)
        due = now if topic.phase is Phase.UNSUBSCRIBING else topic.deadline or 0.0
        for _, actions in run(session, due + 1):
            for request in requests(actions):
                session.on_response(ack(request), due + 1)
        session.on_response(Message(op="pong"), due + 1)
        session._unsubscribed(topic) if topic.phase is Phase.UNSUBSCRIBING else None
        session.pump(due + 2)
        assert snapshot(session, topic.name, due + 2)
        return due - now

    delays = [delay_of_a_resync(NOW), delay_of_a_resync(NOW + 10), delay_of_a_resync(NOW + 20)]
    assert delays == [0, 1, 2]
    assert delay_of_a_resync(NOW + 200) == 0


def test_held_resync_asks_nothing_until_it_is_released() -> None:
    session = live()
    topic = session.topics["orderbook.50.A"]
    actions = session.resync(topic, StatusReason.SCALE, NOW + 1, hold=True)
    assert resets(actions) == [("orderbook.50.A", StatusReason.SCALE)]
    assert requests(actions) == []
    assert [r for _, later in run(session, NOW + 10) for r in requests(later)] == []
    assert [request["op"] for request in requests(session.release(topic, NOW + 10))] == ["unsubscribe"]


def test_held_resync_nobody_releases_goes_on_by_itself() -> None:
    session = live()
    session.resync(session.topics["orderbook.50.A"], StatusReason.SCALE, NOW + 1, hold=True)
    sent = [(when, r["op"]) for when, actions in run(session, NOW + 12) for r in requests(actions)]
    assert sent == [(NOW + 11, "unsubscribe")]


# Ping and silence


def test_ping_every_twenty_seconds_while_pongs_come() -> None:
    session = live()
    pings = []
    for when, actions in run(session, NOW + 65):
        if Send(PING) in actions:
            pings.append(when - NOW)
            session.on_response(decode(payload("linear-pong")), when + 0.1)
    assert pings == [20, 40, 60]
    pongs = session._counters.pongs
    assert pongs.counts[PONG_BOUNDS_US.index(100_000)] == sum(pongs.counts) == 3
    assert pongs.total == pytest.approx(0.3e9, abs=10)


@pytest.mark.parametrize("shape", ["spot-pong", "linear-pong", "option-pong"])
def test_either_shape_of_pong_keeps_the_connection(shape: str) -> None:
    session = live()
    session.on_timer(NOW + 20)
    session.on_response(decode(payload(shape)), NOW + 29)
    assert not any(isinstance(action, Reconnect) for action in session.on_timer(NOW + 31))


def test_silence_past_the_pong_deadline_reconnects_even_if_data_came() -> None:
    session = live()
    session.on_timer(NOW + 20)
    assert session.on_timer(NOW + 29.9) == []
    (action,) = session.on_timer(NOW + 30)
    assert isinstance(action, Reconnect)
    assert session._counters.pong_timeouts == 1


# Disconnect


def test_disconnect_resets_every_book_and_wants_them_all_again() -> None:
    names = ["orderbook.50.A", "orderbook.50.B", "publicTrade.A"]
    session = live("linear", *names)
    old = {topic.name: topic.generation for topic in session.topics.values()}
    actions = session.on_disconnected(NOW + 5)
    assert resets(actions) == [(name, StatusReason.DISCONNECTED) for name in names[:2]]
    assert all(session.topics[name].generation > old[name] for name in names[:2])
    assert session.next_timer() is None
    assert not snapshot(session, "orderbook.50.A")
    (request,) = requests(session.on_connected(NOW + 6))
    assert (request["op"], sorted(request["args"])) == ("subscribe", names)


def test_disconnect_in_any_phase_keeps_what_is_wanted() -> None:
    session, sent = connected("linear", *(f"orderbook.50.{name}" for name in "ABCDE"))
    session.on_response(ack(sent[0]), NOW)
    for name in "ABD":
        snapshot(session, f"orderbook.50.{name}")
    session.resync(session.topics["orderbook.50.A"], StatusReason.GAP, NOW + 1)
    session.resync(session.topics["orderbook.50.B"], StatusReason.SCALE, NOW + 1, hold=True)
    session.unwant("orderbook.50.D")
    session.on_disconnected(NOW + 2)
    (request,) = requests(session.on_connected(NOW + 3))
    assert sorted(request["args"]) == [f"orderbook.50.{name}" for name in "ABCE"]


def test_second_disconnect_in_a_row_says_nothing_more() -> None:
    session = live()
    assert session.on_disconnected(NOW + 1) != []
    assert session.on_disconnected(NOW + 2) == []


def test_reconnects_are_quick_then_capped_and_quick_again_after_health() -> None:
    session = live()
    session.on_disconnected(NOW + 1)
    assert [round(session.reconnect_delay(), 3) for _ in range(7)] == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    session.on_connected(NOW + 20)
    session.on_disconnected(NOW + 21)
    assert session.reconnect_delay() == 2.0, "a connection that lasts a second is no recovery"
    session.on_connected(NOW + 30)
    session.on_disconnected(NOW + 45)
    assert session.reconnect_delay() == 0.1


def test_generations_are_never_used_twice() -> None:
    session = live("linear", "orderbook.50.A", "orderbook.50.B")
    seen = [topic.generation for topic in session.topics.values()]
    for turn in range(5):
        for topic in list(session.topics.values()):
            session.resync(topic, StatusReason.GAP, NOW + turn)
            seen.append(topic.generation)
        session.on_disconnected(NOW + turn)
        session.on_connected(NOW + turn)
        for topic in session.topics.values():
            seen.append(topic.generation)
            assert session.admit(topic, is_snapshot=True, now=NOW + turn)
    assert len(set(seen)) == len(seen)


def test_topic_is_compared_by_identity() -> None:
    assert Topic("a", True, 1) != Topic("a", True, 1)
