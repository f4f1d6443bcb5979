"""The rules of one order-entry connection, without a socket: signed in first, then each request has one outcome.

    DOWN -> SIGNING_IN -> READY -> RESTARTING -> DOWN          RESTARTING: the venue takes no more on this connection
                `-> REFUSED: the key; tried again ever later

Nothing is ever sent twice from here. A request that was sent ends by its answer, by its deadline, or with the
connection; in the last two cases its outcome is unknown. An answer is found by its reqId alone: a guess could tell a
trader that an order exists which does not.
"""

import enum
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple, Protocol

import msgspec

from feeder.clock import SECOND_NS, Clock
from feeder.errors import (
    MessageError,
    RefusedError,
    ReplyTimeoutError,
    RestError,
    StreamAuthError,
    StreamError,
    TransportError,
)
from feeder.histogram import Histogram
from feeder.market.status import StatusReason

from ..actions import Reconnect, Send
from ..counters import Counters
from ..heartbeat import Heartbeat
from ..messages import DECODE_ERRORS
from ..pacing import Timing, backoff_delay
from ..rest.endpoint import UNSURE
from ..rest.parameters import order_link_ids
from ..rest.reply import RateStatus, Reply
from ..session import PING
from ..stream import Output
from .auth import AUTH_SECONDS, Authenticator, refused_delay
from .order_entry_messages import Answer, Operation, decode_answer, identity_of, request_text, understood, unlike
from .standstill import Standstill

DRAIN_SECONDS = 1.0
"""How long the answers to what was sent are waited for on a connection that is about to be given up."""

_SIGNED_IN = (0, 20001)  # 20001: it was already
_RENEWED_BY = frozenset({10003, 10007, 10019, 33004})  # the venue restarts, or has forgotten or revoked the key
_MOST_OVERDUE = 1000  # whose answers are still looked for; of those before them an answer counts as unmatched

Outcome = Reply[Any] | RestError


class EntryState(enum.Enum):
    """What order entry is doing. Orders go out in READY alone."""

    DOWN = enum.auto()
    SIGNING_IN = enum.auto()
    READY = enum.auto()
    RESTARTING = enum.auto()  # a new connection is made as soon as what was sent is answered
    REFUSED = enum.auto()  # the key, by the last attempt


class LateAck(msgspec.Struct, frozen=True):
    """The outcome of a request for which nobody waits any more: its caller was cancelled, or told of a time-out.

    `operation` is the venue's name of it, `parameters` what was asked, `order_link_ids` the orders. `outcome` is the
    reply or the refusal; or, of one whose caller was cancelled, an error with `unknown_outcome` where no answer came.
    `seconds` since it was sent.
    """

    operation: str
    parameters: Mapping[str, Any]
    order_link_ids: tuple[str, ...]
    outcome: Outcome
    seconds: float


class Owner(Protocol):
    """Whom a link tells what happens. None of it may raise."""

    def on_state(self) -> None:
        """The link's state has changed."""
        ...

    def on_late(self, late: LateAck) -> None:
        """An outcome came that nobody waits for."""
        ...

    def on_error(self, error: StreamError | MessageError) -> None:
        """Something is not as it should be; the link goes on."""
        ...


Take = Callable[[Outcome, RateStatus | None], bool]
"""Takes a request's outcome, and what the venue said of its limit; whether anybody waits for it."""


class _Request(NamedTuple):
    operation: Operation
    given: Mapping[str, Any]
    sent_at: float
    take: Take


class OrderEntryLink:
    """One connection's requests. Times are monotonic seconds; `answer_seconds` is how long an answer is waited for."""

    name = "order-entry"

    def __init__(
        self,
        address: str,
        owner: Owner,
        *,
        authenticator: Authenticator,
        venue_ms: Callable[[], int],
        recv_window: int,
        answer_seconds: float,
        timing: Timing,
        clock: Clock,
        random: Random,
        counters: Counters,
    ) -> None:
        self.state = EntryState.DOWN
        self.refused: StreamAuthError | None = None  # by the last attempt to sign in
        self.round_trips = Histogram()  # ns, from a request to its answer
        self.sent = self.answered = self.rejected = 0
        self.unknown_outcomes = self.late_acks = self.unmatched = 0
        self._address = address
        self._owner = owner
        self._authenticator = authenticator
        self._venue_ms = venue_ms
        self._recv_window = recv_window
        self._answer_seconds = answer_seconds
        self._timing = timing
        self._clock = clock
        self._random = random
        self._counters = counters
        self._heartbeat = Heartbeat(timing.ping_interval, timing.pong_deadline, timing.silence, timing.probe_deadline)
        # The venue takes no reqId twice, from whatever connection or process of the account.
        self._prefix = f"{random.getrandbits(64):016x}"
        # By identity, the oldest first, which is due first. The rate limits bound it: what they let go in a deadline.
        self._pending: dict[str, _Request] = {}
        self._overdue: dict[str, _Request] = {}
        self._by: float | None = None  # for the answer to auth; in RESTARTING, for those to the requests
        self._connected_at = 0.0
        self._reconnects = 0  # since the connection was last healthy
        self._refusals = 0  # of the key, in a row
        self._standstill = Standstill()

    @property
    def is_ready(self) -> bool:
        """Whether a request may be sent now."""
        return self.state is EntryState.READY

    @property
    def in_flight(self) -> int:
        """Requests sent and not answered yet."""
        return len(self._pending)

    @property
    def silent_seconds(self) -> float | None:
        """How long ago anything came; None while there is no connection."""
        if self.state in (EntryState.DOWN, EntryState.REFUSED):
            return None
        return self._clock.monotonic() - self._heartbeat.heard_at

    def request(self, operation: Operation, given: Mapping[str, Any], take: Take) -> Sequence[Output]:
        """Send a request, whose parameters were checked, while `is_ready`. `take` is given its one outcome."""
        assert self.is_ready
        self.sent += 1
        identity = f"{self._prefix}-{self.sent}"
        self._pending[identity] = _Request(operation, given, self._clock.monotonic(), take)
        return [Send(request_text(identity, operation, given, self._venue_ms(), self._recv_window))]

    def untaken(self, operation: Operation, given: Mapping[str, Any], outcome: Outcome, sent_at: float) -> None:
        """Nobody waited any more for the outcome of what was sent then."""
        self.late_acks += 1
        if isinstance(outcome, RestError):
            name_orders(outcome, given)
        seconds = self._clock.monotonic() - sent_at
        self._owner.on_late(LateAck(operation.name, given, order_link_ids(given), outcome, seconds))

    # The socket

    def on_connected(self) -> Sequence[Output]:
        """The socket is open: sign in."""
        now = self._connected_at = self._clock.monotonic()
        self._heartbeat.start(now)
        self._by = now + AUTH_SECONDS
        self._enter(EntryState.SIGNING_IN)
        return [Send(self._authenticator.message())]

    def on_disconnected(self, reason: StatusReason = StatusReason.DISCONNECTED) -> None:
        """The socket is gone, or given up: what was sent and not answered is unknown."""
        if self.state is not EntryState.DOWN and self._clock.monotonic() - self._connected_at >= (
            self._timing.connection_healthy_after
        ):
            self._reconnects = 0
        self._by = None
        self._overdue.clear()  # no answer comes on another connection
        self._enter(EntryState.DOWN if self.refused is None else EntryState.REFUSED)
        pending, self._pending = self._pending, {}
        for request in pending.values():
            problem = f"{self._address}: {request.operation.name}: the connection was lost before the answer{UNSURE}"
            self._end_unknown(
                request,
                TransportError(problem, retriable=request.operation.endpoint.repeatable, unknown_outcome=True),
            )

    def reconnect_delay(self) -> float:
        """Seconds to wait before the next attempt to connect; longer for a key that was refused."""
        timing = self._timing
        self._reconnects += 1
        delay = backoff_delay(self._reconnects, timing.reconnect_first, timing.reconnect_cap, self._random)
        if self.refused is None:
            return delay
        return max(delay, refused_delay(self._refusals, self._random))

    def next_timer(self) -> float | None:
        """When to call `on_timer` at the latest; None while there is no connection."""
        if self.state in (EntryState.DOWN, EntryState.REFUSED):
            return None
        soonest = self._heartbeat.soonest()
        if self._by is not None:
            soonest = min(soonest, self._by)
        for request in self._pending.values():
            soonest = min(soonest, request.sent_at + self._answer_seconds)
            break  # the oldest
        return self._standstill.wake_at(soonest)

    def on_timer(self) -> Sequence[Output]:
        """Do what is due."""
        now = self._clock.monotonic()
        self._heartbeat.excuse(self._standstill.excused(now))
        if not self._standstill.may_judge(now):
            return []
        self._expire(now)
        if self._by is not None and now >= self._by:
            if self.state is EntryState.SIGNING_IN:
                return [Reconnect(f"no answer to auth within {AUTH_SECONDS:g} s")]
            return [Reconnect("the venue restarts order entry")]
        if self._heartbeat.is_dead(now):
            self._counters.pong_timeouts += 1
            return [Reconnect(f"no pong within {self._heartbeat.patience:g} s")]
        if self._heartbeat.beats(now):
            return [Send(PING)]
        if self._heartbeat.probes(now):
            self._counters.silence_probes += 1
            return [Send(PING)]
        return []

    def on_payload(self, payload: bytes, receive_time_ns: int) -> Sequence[Output] | None:
        """Take one text message. None: there is nothing to do."""
        self._counters.messages += 1
        now = self._clock.monotonic()
        self._heartbeat.heard(now)
        try:
            answer = decode_answer(payload)
        except DECODE_ERRORS as error:
            return self._on_odd(identity_of(payload), str(error), now)
        if not answer.req_id:
            if answer.op == "pong":
                seconds = self._heartbeat.on_pong(now)
                if seconds is not None:
                    self._counters.pongs.record(int(seconds * SECOND_NS))
                return None
            if answer.op == "auth":
                return self._on_auth(answer)
        request = self._pending.pop(answer.req_id, None) or self._overdue.pop(answer.req_id, None)
        if request is None:
            self.unmatched += 1
            self._counters.unknown_messages += 1
            self._complain(
                f"an answer to none of our requests: op {answer.op[:40]!r}, reqId {answer.req_id[:40]!r},"
                f" retCode {answer.code} {self._authenticator.without_key(answer.message or '')}"
            )
            return None
        rate, key = answer.rate, self._authenticator.key
        outcome = understood(request.operation, request.given, answer, payload, rate, self._address, key)
        self._end(request, outcome, rate, now)
        return self._after(answer.code, now)

    # Within

    def _on_auth(self, answer: Answer) -> Sequence[Output] | None:
        if answer.code in _SIGNED_IN:
            if self.state is EntryState.SIGNING_IN:
                self._by = self.refused = None
                self._refusals = 0
                self._enter(EntryState.READY)
                return []
            return None
        said = self._authenticator.refused(answer.message or "")
        self.refused = StreamAuthError(
            f"{self._address}: the venue refuses the key: retCode {answer.code} {said}", answer.code
        )
        self._refusals += 1
        self._owner.on_error(self.refused)
        return [Reconnect("auth refused")]

    def _on_odd(self, identity: str, problem: str, now: float) -> Sequence[Output] | None:
        """A message that is not as documented: the end of the request it names, as no other answer will come."""
        self._counters.decode_errors += 1
        request = self._pending.pop(identity, None)
        if request is None:
            self._complain(f"a message that cannot be understood: {problem}")
            return None
        self._end_unknown(request, unlike(request.operation, self._address, problem))
        return self._after(None, now)

    def _after(self, code: int | None, now: float) -> Sequence[Output] | None:
        """What an answer means for the connection."""
        if code in _RENEWED_BY and self.state is EntryState.READY:
            self._by = now + DRAIN_SECONDS
            self._enter(EntryState.RESTARTING)
        if self.state is not EntryState.RESTARTING:
            return None
        return [] if self._pending else [Reconnect("the venue restarts order entry, or has let go of the key")]

    def _expire(self, now: float) -> None:
        """Tell of those whose answer did not come in time."""
        due = [each for each, request in self._pending.items() if request.sent_at + self._answer_seconds <= now]
        for identity in due:
            request = self._overdue[identity] = self._pending.pop(identity)
            if len(self._overdue) > _MOST_OVERDUE:
                del self._overdue[next(iter(self._overdue))]
            problem = f"{self._address}: {request.operation.name}: no answer within {self._answer_seconds:g} s{UNSURE}"
            self._end_unknown(
                request,
                ReplyTimeoutError(problem, retriable=request.operation.endpoint.repeatable, unknown_outcome=True),
            )

    def _end(self, request: _Request, outcome: Outcome, rate: RateStatus | None, now: float) -> None:
        """A request's answer has come."""
        seconds = now - request.sent_at
        self.answered += 1
        self.round_trips.record(int(seconds * SECOND_NS))
        self.rejected += isinstance(outcome, RefusedError)
        self.unknown_outcomes += isinstance(outcome, RestError) and outcome.unknown_outcome
        if not request.take(outcome, rate):
            self.untaken(request.operation, request.given, outcome, request.sent_at)

    def _end_unknown(self, request: _Request, error: RestError) -> None:
        """Nobody knows what became of a request."""
        self.unknown_outcomes += 1
        if not request.take(error, None):
            self.untaken(request.operation, request.given, error, request.sent_at)

    def _complain(self, problem: str) -> None:
        self._owner.on_error(StreamError(f"{self._address}: {problem}"))

    def _enter(self, state: EntryState) -> None:
        if state is not self.state:
            self.state = state
            self._owner.on_state()


def name_orders(error: RestError, given: Mapping[str, Any]) -> None:
    """Say in an error what was asked, and by what the orders can be asked for."""
    error.order_link_id, error.order_link_ids, error.parameters = given.get("orderLinkId"), order_link_ids(given), given
