"""One connection of a stream: it signs in, asks for its topics, hands on what comes. No socket, no waiting."""

import hashlib
import hmac
import itertools
import json
from typing import Any

import pytest

from feeder.bybit.actions import Phase, Reconnect, Send
from feeder.bybit.counters import Counters
from feeder.bybit.pacing import Timing
from feeder.bybit.rest.client import BybitClient
from feeder.bybit.rest.pool import SessionPool
from feeder.bybit.streams.auth import Authenticator
from feeder.bybit.streams.link import TopicLink
from feeder.bybit.streams.messages import Envelope
from feeder.clock import ManualClock
from feeder.errors import MessageError, StreamAuthError, StreamError, TopicError
from tests.helpers.secrets import API_KEY, API_SECRET

from ..support import Longest

ORDER = b'{"topic":"order","creationTime":5,"data":[]}'


class Owner:
    def __init__(self) -> None:
        self.delivered: list[str] = []
        self.errors: list[StreamError] = []
        self.unreadable = False

    def deliver(self, envelope: Envelope, receive_time_ns: int) -> None:
        if self.unreadable:
            raise MessageError("no such thing")
        self.delivered.append(envelope.topic)

    def on_topics(self) -> None:
        pass

    def on_error(self, error: StreamError) -> None:
        self.errors.append(error)


class Scene:
    def __init__(self, *, private: bool = True, topics: tuple[str, ...] = ("order", "wallet")) -> None:
        self.clock = ManualClock()
        self.owner = Owner()
        self.counters = Counters()
        pool = SessionPool(clock=self.clock)
        client = BybitClient(API_KEY, API_SECRET, base_url="http://127.0.0.1:1", pool=pool)
        self.link = TopicLink(
            "private-1" if private else "linear-1",
            "private" if private else "linear",
            self.owner,
            authenticator=Authenticator(client) if private else None,
            timing=Timing(),
            clock=self.clock,
            random=Longest(),
            next_generation=itertools.count(1).__next__,
            counters=self.counters,
        )
        for topic in topics:
            self.link.session.want(topic, is_book=topic.startswith("tickers."))

    def says(self, **message: Any) -> list[Any]:
        return list(self.link.on_payload(json.dumps(message).encode(), 0) or [])

    def signed_in(self) -> list[dict[str, Any]]:
        """What it asks for once it is let in, over the next half second."""
        self.link.on_connected()
        sent = self.says(success=True, ret_msg="", op="auth", conn_id="c")
        for _ in range(5):
            self.clock.advance(0.1)
            sent += self.link.on_timer()
        return [json.loads(output.text) for output in sent]

    def grant(self, requests: list[dict[str, Any]]) -> None:
        for request in requests:
            self.says(success=True, ret_msg="", op="subscribe", conn_id="c", req_id=request["req_id"])


def test_it_signs_in_before_it_asks_for_anything() -> None:
    scene = Scene()
    (auth,) = scene.link.on_connected()
    assert isinstance(auth, Send)
    message = json.loads(auth.text)
    expires = 1_700_000_010_000
    sign = hmac.new(API_SECRET.encode(), f"GET/realtime{expires}".encode(), hashlib.sha256).hexdigest()
    assert message == {"op": "auth", "args": [API_KEY, expires, sign]}
    scene.clock.advance(5)
    assert scene.link.on_timer() == []


def test_let_in_it_asks_for_each_topic_in_a_request_of_its_own() -> None:
    """One that is refused then takes no other with it, and a category's never stands beside that of all."""
    assert [request["args"] for request in Scene().signed_in()] == [["order"], ["wallet"]]


def test_it_is_settled_when_every_topic_is_answered_for() -> None:
    scene = Scene()
    first, second = scene.signed_in()
    settled = [scene.link.is_settled]
    scene.grant([first])
    settled.append(scene.link.is_settled)
    scene.says(success=False, ret_msg="error:topic", op="subscribe", conn_id="c", req_id=second["req_id"])
    assert [*settled, scene.link.is_settled] == [False, False, True], "for ill, too"
    assert [str(error) for error in scene.owner.errors] == ["wallet: the venue refuses it: error:topic"]
    assert isinstance(scene.owner.errors[0], TopicError)


def test_a_topic_added_later_is_asked_for_and_makes_it_unsettled_until_it_is_granted() -> None:
    scene = Scene()
    scene.grant(scene.signed_in())
    settled = [scene.link.is_settled]
    scene.link.session.want("position", is_book=False)
    settled.append(scene.link.is_settled)
    (output,) = scene.link.on_timer()
    assert isinstance(output, Send)
    scene.grant([json.loads(output.text)])
    assert [*settled, scene.link.is_settled] == [True, False, True]


def test_without_a_key_it_asks_for_its_topics_at_once() -> None:
    scene = Scene(private=False, topics=("tickers.BTCUSDT",))
    (output,) = scene.link.on_connected()
    assert isinstance(output, Send)
    assert json.loads(output.text)["args"] == ["tickers.BTCUSDT"]


def test_data_that_comes_before_its_ack_counts() -> None:
    scene = Scene()
    scene.signed_in()
    assert scene.link.on_payload(ORDER, 0) is None
    assert scene.owner.delivered == ["order"]


def test_of_a_topic_that_begins_with_a_snapshot_nothing_counts_before_that() -> None:
    scene = Scene(private=False, topics=("tickers.BTCUSDT",))
    scene.link.on_connected()
    delta = b'{"topic":"tickers.BTCUSDT","type":"delta","ts":1,"data":{}}'
    scene.link.on_payload(delta, 0)
    assert scene.owner.delivered == []
    scene.link.on_payload(delta.replace(b"delta", b"snapshot"), 0)
    scene.link.on_payload(delta, 0)
    assert len(scene.owner.delivered) == 2


def test_a_key_that_is_refused_is_told_without_the_key_and_tried_again_ever_later() -> None:
    scene = Scene()
    delays = []
    for _ in range(7):
        scene.link.on_connected()
        (output,) = scene.says(success=False, ret_msg=f"bad key {API_KEY}", op="auth", conn_id="c")
        assert isinstance(output, Reconnect)
        scene.link.on_disconnected()
        delays.append(scene.link.reconnect_delay())
    assert delays == [2, 4, 8, 16, 32, 60, 60]
    assert str(scene.owner.errors[0]) == (
        "private-1: the venue refuses the key: bad key ***; check the key, its secret, and that both are of this"
        " environment (http://127.0.0.1:1)"
    )
    assert isinstance(scene.link.auth_refused, StreamAuthError)


def test_a_key_that_is_taken_again_is_no_longer_refused() -> None:
    scene = Scene()
    scene.link.on_connected()
    scene.says(success=False, ret_msg="no", op="auth", conn_id="c")
    scene.link.on_disconnected()
    scene.grant(scene.signed_in())
    assert scene.link.auth_refused is None
    scene.link.on_disconnected()
    assert scene.link.reconnect_delay() < 1


def test_a_key_that_is_refused_in_mid_stream_ends_the_connection() -> None:
    scene = Scene()
    scene.grant(scene.signed_in())
    (output,) = scene.says(success=False, ret_msg="expired", op="auth", conn_id="c")
    assert isinstance(output, Reconnect)
    assert scene.link.auth_refused is not None


def test_being_let_in_twice_asks_for_nothing_twice() -> None:
    scene = Scene()
    scene.grant(scene.signed_in())
    assert scene.says(success=True, ret_msg="", op="auth", conn_id="c") == []


def test_an_auth_that_is_not_answered_costs_the_connection() -> None:
    scene = Scene()
    scene.link.on_connected()
    due = scene.link.next_timer()
    assert due is not None
    scene.clock.advance(due - scene.clock.monotonic())
    (output,) = scene.link.on_timer()
    assert isinstance(output, Reconnect)
    assert "no answer to auth" in output.reason


def test_after_a_loss_it_signs_in_and_asks_for_all_of_it_again() -> None:
    scene = Scene()
    scene.grant(scene.signed_in())
    scene.link.on_disconnected()
    assert not scene.link.is_settled
    assert scene.link.next_timer() is None
    assert [request["args"] for request in scene.signed_in()] == [["order"], ["wallet"]]


@pytest.mark.parametrize("garbage", [b"", b"{", b"\xff", b'{"topic":5}', b"[" * 5000, b'{"creationTime":-1}'])
def test_what_cannot_be_understood_costs_a_connection(garbage: bytes) -> None:
    """It may have been a fill: only asking REST tells."""
    scene = Scene()
    scene.grant(scene.signed_in())
    (output,) = scene.link.on_payload(garbage, 0) or []
    assert isinstance(output, Reconnect)
    assert scene.counters.decode_errors == 1


def test_rows_that_cannot_be_understood_cost_a_private_connection() -> None:
    scene = Scene()
    scene.grant(scene.signed_in())
    scene.owner.unreadable = True
    (output,) = scene.link.on_payload(ORDER, 0) or []
    assert isinstance(output, Reconnect)
    assert [str(error) for error in scene.owner.errors] == ["private-1: order: no such thing"]


def test_rows_that_cannot_be_understood_cost_a_public_topic_its_subscription_and_no_other() -> None:
    scene = Scene(private=False, topics=("tickers.BTCUSDT", "tickers.ETHUSDT"))
    (output,) = scene.link.on_connected()
    assert isinstance(output, Send)
    scene.grant([json.loads(output.text)])
    for symbol in ("BTCUSDT", "ETHUSDT"):
        scene.link.on_payload(b'{"topic":"tickers.%s","type":"snapshot","ts":1,"data":{}}' % symbol.encode(), 0)
    scene.clock.advance(1)
    scene.owner.unreadable = True
    (output,) = scene.link.on_payload(b'{"topic":"tickers.BTCUSDT","type":"delta","ts":1,"data":{}}', 0) or []
    assert isinstance(output, Send)
    assert json.loads(output.text)["op"] == "unsubscribe"
    assert json.loads(output.text)["args"] == ["tickers.BTCUSDT"]
    assert scene.link.session.topics["tickers.ETHUSDT"].phase is Phase.ACTIVE


@pytest.mark.parametrize("answer", [{"hello": 1}, {"op": "order.create", "data": {"x": 1}}, {"type": "COMMAND_RESP"}])
def test_an_answer_to_nothing_is_counted_and_left(answer: dict[str, Any]) -> None:
    scene = Scene()
    scene.grant(scene.signed_in())
    assert scene.says(**answer) == []
    assert scene.counters.unknown_messages == 1


def test_data_of_a_topic_that_nobody_wants_is_counted_and_left() -> None:
    scene = Scene()
    scene.grant(scene.signed_in())
    scene.link.on_payload(ORDER.replace(b"order", b"greeks"), 0)
    assert scene.owner.delivered == []
    assert scene.counters.unknown_topics == 1


def test_a_quiet_line_is_probed_and_a_dead_one_given_up() -> None:
    scene = Scene()
    scene.grant(scene.signed_in())
    sent: list[Any] = []
    for _ in range(100):
        due = scene.link.next_timer()
        assert due is not None
        scene.clock.advance(max(0.0, due - scene.clock.monotonic()))
        sent += scene.link.on_timer()
        if isinstance(sent[-1], Reconnect):
            break
    assert [type(output) for output in sent] == [Send, Reconnect]
    assert sent[0].text == '{"op":"ping"}'


def test_a_pong_of_the_private_stream_keeps_it_alive() -> None:
    scene = Scene()
    scene.grant(scene.signed_in())
    for _ in range(20):
        due = scene.link.next_timer()
        assert due is not None
        scene.clock.advance(max(0.0, due - scene.clock.monotonic()))
        for output in scene.link.on_timer():
            assert isinstance(output, Send)
            scene.says(op="pong", args=["1700000000000"], conn_id="c", req_id="")


def stands_still(scene: Scene, seconds: float = 60.0) -> None:
    """The loop comes to its timer only so long after it was due."""
    due = scene.link.next_timer()
    assert due is not None
    scene.clock.advance(due - scene.clock.monotonic() + seconds)


def test_a_loop_of_ours_that_stood_still_makes_nobody_late() -> None:
    """What was due is judged when what came meanwhile could be read: here, a pong."""
    scene = Scene()
    scene.grant(scene.signed_in())
    stands_still(scene, 0.0)
    assert [type(output) for output in scene.link.on_timer()] == [Send]
    stands_still(scene)
    assert scene.link.on_timer() == []
    scene.says(op="pong", args=["1"], conn_id="c")
    stands_still(scene, 0.0)
    assert [type(output) for output in scene.link.on_timer()] == [Send], "its next ping"


def test_a_line_that_is_dead_is_given_up_soon_after_our_loop_stood_still() -> None:
    scene = Scene()
    scene.grant(scene.signed_in())
    stands_still(scene, 0.0)
    scene.link.on_timer()
    stands_still(scene)
    assert scene.link.on_timer() == []
    began = scene.clock.monotonic()
    stands_still(scene, 0.0)
    (output,) = scene.link.on_timer()
    assert isinstance(output, Reconnect)
    assert scene.clock.monotonic() - began < 1


def test_an_answer_to_auth_that_came_while_our_loop_stood_still_counts() -> None:
    scene = Scene()
    scene.link.on_connected()
    stands_still(scene)
    assert scene.link.on_timer() == []
    scene.says(success=True, ret_msg="", op="auth", conn_id="c")
    assert scene.link.session.connected


def test_acks_that_came_while_our_loop_stood_still_count() -> None:
    """Else topics would be let go of and asked for again, and what came between would be lost."""
    scene = Scene()
    requests = scene.signed_in()
    stands_still(scene)
    assert scene.link.on_timer() == []
    scene.grant(requests)
    assert scene.link.is_settled
    stands_still(scene, 0.0)
    assert scene.link.on_timer() == [Send('{"op":"ping"}')]


def test_a_topic_that_is_wanted_while_nobody_is_judged_is_asked_for_at_once() -> None:
    scene = Scene()
    scene.grant(scene.signed_in())
    stands_still(scene)
    assert scene.link.on_timer() == []
    scene.link.session.want("greeks", is_book=False)
    (output,) = scene.link.on_timer()
    assert isinstance(output, Send)
    assert json.loads(output.text)["args"] == ["greeks"]


def test_a_public_connection_knows_of_no_auth() -> None:
    scene = Scene(private=False, topics=("tickers.BTCUSDT",))
    scene.link.on_connected()
    for success in (True, False):
        assert scene.says(success=success, ret_msg="", op="auth", conn_id="c") == []
    assert scene.link.auth_refused is None


def test_a_pong_behind_what_piled_up_while_our_loop_stood_still_has_its_time() -> None:
    scene = Scene()
    scene.grant(scene.signed_in())
    while not scene.link.on_timer():  # data comes, so that nothing is sent before the venue's own ping is due
        scene.clock.advance(2)
        scene.link.on_payload(ORDER, 0)
    stands_still(scene)
    assert scene.link.on_timer() == []
    for _ in range(9):
        scene.link.on_payload(ORDER, 0)
        scene.clock.advance(1)
        assert not any(isinstance(output, Reconnect) for output in scene.link.on_timer())


def test_a_line_on_which_data_comes_is_asked_for_no_sign_of_life_but_the_venue_s_own_ping() -> None:
    scene = Scene()
    scene.grant(scene.signed_in())
    for _ in range(9):
        scene.clock.advance(2)
        scene.link.on_payload(ORDER, 0)
        assert scene.link.on_timer() == []


def test_being_let_in_twice_does_not_begin_the_connection_anew() -> None:
    """It had been up for as long as it takes to count as healthy."""
    scene = Scene()
    scene.grant(scene.signed_in())
    scene.link.reconnect_delay()
    scene.clock.advance(9)
    scene.says(success=True, ret_msg="", op="auth", conn_id="c")
    scene.clock.advance(2)
    scene.link.on_disconnected()
    assert scene.link.reconnect_delay() == Timing().reconnect_first


def test_a_key_that_was_taken_meanwhile_is_tried_again_soon() -> None:
    scene = Scene()
    for _ in range(5):
        scene.link.on_connected()
        scene.says(success=False, ret_msg="no", op="auth", conn_id="c")
        scene.link.on_disconnected()
    scene.signed_in()
    scene.link.on_disconnected()
    scene.link.on_connected()
    scene.says(success=False, ret_msg="no", op="auth", conn_id="c")
    assert scene.link.reconnect_delay() == 2


def test_what_the_venue_says_of_a_key_is_cut_to_what_a_line_can_hold() -> None:
    scene = Scene()
    scene.link.on_connected()
    scene.says(success=False, ret_msg="x" * 10_000, op="auth", conn_id="c")
    assert len(str(scene.owner.errors[0])) < 350
