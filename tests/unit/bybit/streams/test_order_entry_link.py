"""The rules of an order-entry connection, by hand: time stands still until it is told to go on."""

import json
from random import Random
from typing import Any

import pytest

from feeder.bybit.actions import Reconnect, Send
from feeder.bybit.counters import Counters
from feeder.bybit.pacing import Timing
from feeder.bybit.rest.client import BybitClient
from feeder.bybit.rest.pool import SessionPool
from feeder.bybit.rest.reply import RateStatus, Reply
from feeder.bybit.streams.auth import Authenticator
from feeder.bybit.streams.order_entry_link import DRAIN_SECONDS, EntryState, LateAck, OrderEntryLink
from feeder.bybit.streams.order_entry_messages import OPERATIONS
from feeder.clock import ManualClock
from feeder.errors import (
    AuthError,
    DuplicateOrderError,
    InvalidRequestError,
    OrderError,
    RateLimitedError,
    ReplyError,
    ReplyTimeoutError,
    RestError,
    StreamAuthError,
    TransportError,
    UnavailableError,
)
from tests.helpers.secrets import API_KEY, API_SECRET

ADDRESS = "ws://127.0.0.1:1/v5/trade"
CREATE, AMEND, CANCEL = (OPERATIONS[f"/v5/order/{name}"] for name in ("create", "amend", "cancel"))
BATCH = OPERATIONS["/v5/order/create-batch"]
ORDER = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "1", "price": "5"}
ORDER |= {"orderLinkId": "mine"}
SIGNED_IN = b'{"retCode":0,"retMsg":"OK","op":"auth","connId":"c-1"}'
PONG = b'{"retCode":0,"retMsg":"OK","op":"pong","data":["1711002002529"],"connId":"c-1"}'
QUIET = Timing(silence=1000.0)
"""Where pings would be in the way."""


class Desk:
    """A link, what it told, and the clock."""

    def __init__(self, timing: Timing = QUIET, seed: int = 1) -> None:
        self.clock = ManualClock()
        self.client = BybitClient(API_KEY, API_SECRET, pool=SessionPool(clock=self.clock))
        self.states: list[EntryState] = []
        self.late: list[LateAck] = []
        self.errors: list[Exception] = []
        self.outcomes: list[tuple[Any, RateStatus | None]] = []
        self.waiting = True
        self.counters = Counters()
        self.link = OrderEntryLink(
            ADDRESS,
            self,
            authenticator=Authenticator(self.client),
            venue_ms=self.client.venue_ms,
            recv_window=5000,
            answer_seconds=15.0,
            timing=timing,
            clock=self.clock,
            random=Random(seed),
            counters=self.counters,
        )

    def on_state(self) -> None:
        self.states.append(self.link.state)

    def on_late(self, late: LateAck) -> None:
        self.late.append(late)

    def on_error(self, error: Exception) -> None:
        self.errors.append(error)

    def take(self, outcome: Any, rate: RateStatus | None) -> bool:
        if self.waiting:
            self.outcomes.append((outcome, rate))
        return self.waiting

    def sign_in(self) -> "Desk":
        self.link.on_connected()
        self.hear(SIGNED_IN)
        return self

    def order(self, operation: Any = CREATE, given: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send one; what went out."""
        (output,) = self.link.request(operation, ORDER if given is None else given, self.take)
        assert isinstance(output, Send)
        sent: dict[str, Any] = json.loads(output.text)
        return sent

    def hear(self, message: bytes | dict[str, Any]) -> Any:
        raw = message if isinstance(message, bytes) else json.dumps(message).encode()
        return self.link.on_payload(raw, 0)

    def later(self, seconds: float) -> Any:
        """Let time pass as a loop does: timers are served when they are due."""
        until = self.clock.monotonic() + seconds
        outputs: list[Any] = []
        while (when := self.link.next_timer()) is not None and when <= until:
            self.clock.advance(max(0.0, when - self.clock.monotonic()))
            outputs += self.link.on_timer()
            if any(isinstance(output, Reconnect) for output in outputs):
                return outputs
        self.clock.advance(max(0.0, until - self.clock.monotonic()))
        return outputs

    @property
    def outcome(self) -> Any:
        """The only one."""
        ((outcome, _),) = self.outcomes
        return outcome


def ack(sent: dict[str, Any], **changes: Any) -> dict[str, Any]:
    answer = {
        "reqId": sent["reqId"],
        "retCode": 0,
        "retMsg": "OK",
        "op": sent["op"],
        "data": {"orderId": "a4c1718e", "orderLinkId": sent["args"][0].get("orderLinkId", "")},
        "retExtInfo": {},
        "header": {
            "X-Bapi-Limit": "10",
            "X-Bapi-Limit-Status": "9",
            "X-Bapi-Limit-Reset-Timestamp": "1711001595208",
            "Traceid": "38b7977b430f9bd228f4b19724794dfd",
            "Timenow": "1711001595209",
        },
        "connId": "cnt5leec0hvan15eukcg-2v",
    }
    return answer | changes


def refusal(sent: dict[str, Any], code: int, text: str = "no") -> dict[str, Any]:
    return ack(sent, retCode=code, retMsg=text, data={})


def test_the_first_message_signs_in_by_the_venue_s_clock_and_nothing_goes_out_before_its_answer() -> None:
    desk = Desk()
    (output,) = desk.link.on_connected()
    assert isinstance(output, Send)
    message = json.loads(output.text)
    assert message["op"] == "auth"
    assert message["args"][0] == API_KEY
    assert message["args"][1] == desk.clock.wall_ns() // 10**6 + 10_000
    assert not desk.link.is_ready
    assert desk.hear(SIGNED_IN) == []
    assert desk.link.is_ready
    assert desk.states == [EntryState.SIGNING_IN, EntryState.READY]


def test_a_session_that_is_signed_in_already_is_ready() -> None:
    desk = Desk()
    desk.link.on_connected()
    desk.hear({"retCode": 20001, "retMsg": "repeat auth", "op": "auth"})
    assert desk.link.is_ready


def test_no_answer_to_auth_costs_the_connection() -> None:
    desk = Desk()
    desk.link.on_connected()
    (output,) = desk.later(10.0)
    assert output == Reconnect("no answer to auth within 10 s")


def test_a_refused_key_is_told_with_its_code_and_tried_again_ever_later_for_ever() -> None:
    desk = Desk()
    delays = []
    for attempt in range(40):
        desk.link.on_connected()
        answer = {"retCode": 33004, "retMsg": f"api key {API_KEY} expired", "op": "auth"}
        assert desk.hear(answer) == [Reconnect("auth refused")]
        desk.link.on_disconnected()
        assert desk.link.state is EntryState.REFUSED
        delays.append(desk.link.reconnect_delay())
        error = desk.errors[attempt]
        assert isinstance(error, StreamAuthError)
        assert "; check the key, its secret, and that both are of this environment (http" in str(error)
        assert error.ret_code == 33004
        assert API_KEY not in str(error)
        assert desk.link.refused is error
    assert delays[0] <= 2.0
    assert 30.0 <= min(delays[10:]) <= max(delays) <= 60.0
    desk.sign_in()
    assert desk.link.refused is None
    desk.link.on_disconnected()
    assert desk.link.state is EntryState.DOWN
    assert desk.link.reconnect_delay() <= 2.0


def test_a_request_has_the_venue_s_time_at_its_sending_and_the_window_of_the_client() -> None:
    desk = Desk().sign_in()
    desk.clock.advance(123.0)
    sent = desk.order()
    assert sent["header"] == {
        "X-BAPI-TIMESTAMP": str(desk.clock.wall_ns() // 10**6),
        "X-BAPI-RECV-WINDOW": "5000",
    }
    assert sent["op"] == "order.create"
    assert sent["args"] == [ORDER]


def test_no_two_requests_have_the_same_identity_over_connections_and_processes() -> None:
    desk, other = Desk(seed=1).sign_in(), Desk(seed=2).sign_in()
    names = [desk.order()["reqId"] for _ in range(50)]
    desk.link.on_disconnected()
    desk.sign_in()
    names += [each.order()["reqId"] for _ in range(50) for each in (desk, other)]
    assert len(set(names)) == 150
    assert max(map(len, names)) <= 36


def test_an_answer_becomes_the_reply_that_rest_would_give_with_the_limit() -> None:
    desk = Desk().sign_in()
    sent = desk.order()
    assert desk.hear(ack(sent)) is None
    ((reply, rate),) = desk.outcomes
    assert isinstance(reply, Reply)
    assert (reply.result.order_id, reply.result.order_link_id) == ("a4c1718e", "mine")
    assert reply.time_ms == 1711001595209
    assert json.loads(reply.raw) == ack(sent)
    assert rate == reply.rate == RateStatus(10, 9, 1711001595208)
    assert desk.link.in_flight == 0


def test_answers_may_come_in_any_order() -> None:
    desk = Desk().sign_in()
    sent = [desk.order(given=ORDER | {"orderLinkId": f"n-{number}"}) for number in range(5)]
    for number in (3, 0, 4, 2, 1):
        desk.hear(ack(sent[number]))
    assert [outcome.result.order_link_id for outcome, _ in desk.outcomes] == ["n-3", "n-0", "n-4", "n-2", "n-1"]


@pytest.mark.parametrize(
    ("code", "kind", "retriable"),
    [
        (10001, InvalidRequestError, False),
        (10005, AuthError, False),
        (10006, RateLimitedError, True),
        (10403, RateLimitedError, True),
        (10404, InvalidRequestError, False),
        (10429, RateLimitedError, True),
        (10019, UnavailableError, True),
        (20003, RateLimitedError, True),
        (20006, InvalidRequestError, False),
        (110003, OrderError, False),
        (110072, DuplicateOrderError, False),
    ],
)
def test_a_refusal_is_the_error_of_its_code_and_nothing_was_carried_out(code, kind, retriable) -> None:
    desk = Desk().sign_in()
    desk.hear(refusal(desk.order(), code, f"no, {API_KEY}"))
    error = desk.outcome
    assert isinstance(error, kind)
    assert (error.retriable, error.unknown_outcome, error.ret_code) == (retriable, False, code)
    assert API_KEY not in str(error)
    assert f"{ADDRESS}: retCode {code}" in str(error)


def test_an_internal_error_of_the_venue_leaves_the_outcome_unknown() -> None:
    desk = Desk().sign_in()
    desk.hear(refusal(desk.order(), 10016))
    assert isinstance(desk.outcome, UnavailableError)
    assert desk.outcome.unknown_outcome
    assert desk.link.unknown_outcomes == 1


def test_a_second_answer_is_to_nobody() -> None:
    desk = Desk().sign_in()
    sent = desk.order()
    desk.hear(ack(sent))
    desk.hear(refusal(sent, 110007))
    assert isinstance(desk.outcome, Reply)
    assert desk.link.unmatched == 1
    assert "retCode 110007" in str(desk.errors[0])


@pytest.mark.parametrize("answer", [{"reqId": "not-ours"}, {"reqId": ""}])
def test_an_answer_of_another_identity_or_none_settles_no_request(answer) -> None:
    desk = Desk().sign_in()
    desk.hear(ack(desk.order()) | answer)
    assert desk.outcomes == []
    assert desk.link.in_flight == 1
    assert desk.link.unmatched == 1
    assert len(desk.errors) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"op": "order.cancel"},
        {"data": {"orderId": "1", "orderLinkId": "another"}},
        {"data": {"orderLinkId": "mine"}},
        {"data": []},
        {"data": None},
        {"retCode": None},
        {"retCode": "zero"},
        {"header": ["X-Bapi-Limit"]},
    ],
    ids=str,
)
def test_an_answer_that_is_not_as_documented_leaves_the_outcome_unknown_at_once(changes) -> None:
    desk = Desk().sign_in()
    desk.hear(ack(desk.order(), **changes))
    assert isinstance(desk.outcome, ReplyError)
    assert desk.outcome.unknown_outcome
    assert not desk.outcome.retriable
    assert desk.link.in_flight == 0


@pytest.mark.parametrize(
    "header", [None, {}, {"X-Bapi-Limit": "many"}, {"X-Bapi-Limit": "10"}, {"Timenow": "-1"}, {"Timenow": "9" * 30}]
)
def test_a_header_without_sense_says_nothing(header) -> None:
    desk = Desk().sign_in()
    desk.hear(ack(desk.order(), header=header))
    assert desk.outcome.rate is None
    assert desk.outcome.time_ms == 0


def test_the_limit_is_read_whatever_the_case_of_its_names_and_the_type_of_its_values() -> None:
    desk = Desk().sign_in()
    header = {"x-bapi-limit": 20, "x-bapi-limit-status": 19, "x-bapi-limit-reset-timestamp": 1711001595208}
    desk.hear(ack(desk.order(), header=header))
    assert desk.outcomes[0][1] == RateStatus(20, 19, 1711001595208)


@pytest.mark.parametrize("garbage", [b"", b"\xff\xfe", b"[1]", b"{", b"null", b"[" * 10_000, b'{"op":5}'])
def test_garbage_is_told_and_costs_no_request(garbage) -> None:
    desk = Desk().sign_in()
    sent = desk.order()
    assert desk.hear(garbage) is None
    assert desk.counters.decode_errors == 1
    assert len(desk.errors) == 1
    desk.hear(ack(sent))
    assert isinstance(desk.outcome, Reply)


def test_no_answer_in_time_leaves_the_outcome_unknown_and_the_late_one_is_told() -> None:
    desk = Desk().sign_in()
    sent = desk.order()
    desk.later(14.9)
    assert desk.outcomes == []
    desk.later(0.1)
    error = desk.outcome
    assert isinstance(error, ReplyTimeoutError)
    assert error.unknown_outcome
    assert not error.retriable
    assert desk.late == []
    desk.waiting = False
    desk.clock.advance(5.0)
    desk.hear(ack(sent))
    (late,) = desk.late
    assert isinstance(late.outcome, Reply)
    assert (late.operation, late.order_link_ids, late.seconds) == ("order.create", ("mine",), pytest.approx(20.0))
    assert late.parameters == ORDER
    assert desk.link.late_acks == 1
    desk.hear(ack(sent))
    assert desk.link.unmatched == 1


def test_each_request_has_its_own_deadline() -> None:
    desk = Desk().sign_in()
    desk.order()
    desk.later(10.0)
    second = desk.order()
    desk.later(6.0)
    assert len(desk.outcomes) == 1
    desk.hear(ack(second))
    assert isinstance(desk.outcomes[1][0], Reply)


def test_what_was_sent_on_a_connection_that_is_lost_is_unknown_and_not_sent_again() -> None:
    desk = Desk().sign_in()
    desk.order()
    desk.order(CANCEL, {"category": "linear", "symbol": "BTCUSDT", "orderId": "1"})
    desk.link.on_disconnected()
    desk.link.on_disconnected()
    place, cancel = (outcome for outcome, _ in desk.outcomes)
    for error in (place, cancel):
        assert isinstance(error, TransportError)
        assert error.unknown_outcome
    assert (place.retriable, cancel.retriable) == (False, True)
    (output,) = desk.link.on_connected()
    assert json.loads(output.text)["op"] == "auth"  # type: ignore[union-attr]  # it is a Send
    assert desk.hear(SIGNED_IN) == []
    assert desk.link.unknown_outcomes == 2


def test_an_outcome_that_nobody_waits_for_is_told_whatever_it_is() -> None:
    desk = Desk().sign_in()
    desk.waiting = False
    desk.hear(ack(desk.order()))
    desk.hear(refusal(desk.order(), 110007))
    desk.order(given=ORDER | {"orderLinkId": "third"})
    desk.link.on_disconnected()
    kinds = [type(late.outcome) for late in desk.late]
    assert kinds[0] is Reply
    assert all(issubclass(kind, RestError) for kind in kinds[1:])
    last = desk.late[2].outcome
    assert isinstance(last, TransportError)
    assert (last.order_link_id, last.unknown_outcome) == ("third", True)
    assert desk.link.late_acks == 3


def test_overdue_requests_are_remembered_up_to_a_bound() -> None:
    desk = Desk().sign_in()
    sent = [desk.order() for _ in range(1001)]
    desk.later(15.0)
    assert len(desk.outcomes) == 1001
    desk.waiting = False
    desk.hear(ack(sent[0]))
    desk.hear(ack(sent[1]))
    assert (desk.link.unmatched, desk.link.late_acks) == (1, 1)


def test_a_restart_of_the_venue_takes_nothing_new_waits_for_what_was_sent_and_connects_again() -> None:
    desk = Desk().sign_in()
    first, second = desk.order(), desk.order()
    assert desk.hear(refusal(second, 10019)) == []
    assert desk.link.state is EntryState.RESTARTING
    assert desk.hear(ack(first)) == [Reconnect("the venue restarts order entry, or has let go of the key")]
    kinds = [type(outcome) for outcome, _ in desk.outcomes]
    assert kinds == [UnavailableError, Reply]


def test_a_restart_does_not_wait_long_for_what_was_sent() -> None:
    desk = Desk().sign_in()
    desk.order()
    desk.hear(refusal(desk.order(), 10019))
    (output,) = desk.later(DRAIN_SECONDS)
    assert isinstance(output, Reconnect)
    desk.link.on_disconnected()
    assert desk.outcomes[1][0].unknown_outcome


@pytest.mark.parametrize("code", [10003, 10007, 33004])
def test_a_key_that_is_revoked_in_mid_stream_signs_in_anew_to_learn_so(code) -> None:
    desk = Desk().sign_in()
    assert desk.hear(refusal(desk.order(), code)) == [
        Reconnect("the venue restarts order entry, or has let go of the key")
    ]
    assert isinstance(desk.outcome, AuthError)


def test_auth_refused_in_mid_stream_costs_the_connection() -> None:
    desk = Desk().sign_in()
    desk.order()
    assert desk.hear({"retCode": 10003, "retMsg": "API key is invalid.", "op": "auth"}) == [Reconnect("auth refused")]
    desk.link.on_disconnected()
    assert desk.link.state is EntryState.REFUSED
    assert desk.outcome.unknown_outcome


def test_a_quiet_connection_is_pinged_and_dead_without_a_pong() -> None:
    desk = Desk(Timing()).sign_in()
    (ping,) = desk.later(3.0)
    assert ping == Send('{"op":"ping"}')
    assert desk.hear(PONG) is None
    assert sum(desk.counters.pongs.counts) == 1
    outputs = desk.later(10.0)
    assert outputs[-1] == Reconnect("no pong within 2 s")
    assert desk.counters.pong_timeouts == 1


def test_a_loop_that_stood_still_reads_what_came_before_it_judges() -> None:
    desk = Desk(Timing()).sign_in()
    sent = desk.order()
    desk.later(3.0)
    desk.link.next_timer()
    desk.clock.advance(60.0)
    assert desk.link.on_timer() == []
    assert desk.outcomes == []
    desk.hear(PONG)
    desk.hear(ack(sent))
    assert not any(isinstance(output, Reconnect) for output in desk.later(1.0))
    assert isinstance(desk.outcome, Reply)


def test_a_loop_that_stood_still_judges_when_there_was_nothing_to_read() -> None:
    desk = Desk(Timing()).sign_in()
    desk.order()
    desk.later(3.0)
    desk.link.next_timer()
    desk.clock.advance(60.0)
    assert desk.link.on_timer() == []
    assert isinstance(desk.later(1.0)[-1], Reconnect)
    assert isinstance(desk.outcome, ReplyTimeoutError)


def test_the_delay_before_the_next_connection_grows_until_one_has_held() -> None:
    desk = Desk()
    delays = [desk.link.reconnect_delay() for _ in range(10)]
    assert delays[0] <= 0.1
    assert 1.0 <= delays[-1] <= 2.0
    desk.sign_in()
    desk.clock.advance(10.0)
    desk.link.on_disconnected()
    assert desk.link.reconnect_delay() <= 0.1


def test_a_batch_is_one_request_with_the_verdict_of_each_order() -> None:
    desk = Desk().sign_in()
    rows = [{"symbol": "BTCUSDT", "orderLinkId": name} for name in "ab"]
    sent = desk.order(BATCH, {"category": "linear", "request": rows})
    listed = [
        {"category": "linear", "symbol": "BTCUSDT", "orderId": "1", "orderLinkId": "a", "createAt": "1711001595209"},
        {"category": "linear", "symbol": "BTCUSDT", "orderId": "", "orderLinkId": "b", "createAt": ""},
    ]
    verdicts = [{"code": 0, "msg": "OK"}, {"code": 10001, "msg": "position idx not match position mode"}]
    desk.hear(ack(sent, data={"list": listed}, retExtInfo={"list": verdicts}))
    assert [order.order_id for order in desk.outcome.result.entries] == ["1", None]
    assert json.loads(bytes(desk.outcome.extra)) == {"list": verdicts}


def test_round_trips_are_measured_from_sending_to_answer() -> None:
    desk = Desk().sign_in()
    sent = desk.order()
    desk.clock.advance(0.005)
    desk.hear(ack(sent))
    assert desk.link.round_trips.count == 1
    assert desk.link.round_trips.maximum == pytest.approx(5_000_000, rel=1e-6)


def test_what_was_overdue_on_a_connection_that_is_gone_is_waited_for_no_more() -> None:
    desk = Desk().sign_in()
    sent = desk.order()
    desk.later(15.0)
    desk.link.on_disconnected()
    desk.sign_in()
    desk.hear(ack(sent))
    assert (desk.link.late_acks, desk.link.unmatched) == (0, 1)


def test_a_key_that_is_refused_keeps_its_requests_until_the_connection_ends() -> None:
    """They are told of once, and what went wrong is known by then."""
    desk = Desk().sign_in()
    desk.order()
    assert desk.hear({"retCode": 10003, "retMsg": "no", "op": "auth"}) == [Reconnect("auth refused")]
    assert desk.outcomes == []
    assert desk.states[-1] is EntryState.READY
    desk.link.on_disconnected()
    assert desk.states[-1] is EntryState.REFUSED
    assert desk.outcome.unknown_outcome


def test_a_pong_behind_what_piled_up_while_our_loop_stood_still_has_its_time() -> None:
    desk = Desk().sign_in()
    desk.later(8.0)
    sent = desk.order()  # due at 23 s, before the pong
    assert desk.later(12.0) == [Send('{"op":"ping"}')]
    assert desk.link.next_timer() == desk.clock.monotonic() + 3.0
    desk.clock.advance(63.0)
    assert desk.link.on_timer() == []
    desk.hear(ack(sent))
    assert not any(isinstance(output, Reconnect) for output in desk.later(6.0))


def test_a_venue_that_says_again_that_it_restarts_is_not_waited_for_longer() -> None:
    desk = Desk().sign_in()
    first, second, _ = desk.order(), desk.order(), desk.order()
    desk.hear(refusal(first, 10019))
    desk.later(DRAIN_SECONDS / 2)
    desk.hear(refusal(second, 10019))
    (output,) = desk.later(DRAIN_SECONDS / 2)
    assert isinstance(output, Reconnect)
