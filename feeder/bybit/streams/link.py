"""What one connection of a stream says and means, without a socket: signing in, topics, data handed on.

Topics are the `Session`'s, as those of the feeder's books are. Data is never gated by an ack. Rows that cannot be
understood cost their topic a new subscription; on a private connection they may have been a fill, so that they cost the
connection, and whoever keeps state asks REST. So does a message whose topic cannot be told.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

import msgspec

from feeder.clock import Clock
from feeder.errors import MessageError, StreamAuthError, StreamError, TopicError
from feeder.market.status import StatusReason

from ..actions import Action, Phase, Reconnect, Refused, Send
from ..counters import Counters
from ..messages import DECODE_ERRORS, Message, decode, decode_command_response
from ..pacing import Timing
from ..session import Session
from ..stream import Output
from .auth import AUTH_SECONDS, Authenticator, refused_delay
from .messages import Envelope, decode_envelope
from .standstill import Standstill


class Owner(Protocol):
    """Whom a link tells what it finds. None of it may raise, but for `deliver`."""

    def deliver(self, envelope: Envelope, receive_time_ns: int) -> None:
        """Data of a wanted topic. Raises MessageError for what cannot be understood."""
        ...

    def on_topics(self) -> None:
        """Something was granted or refused."""
        ...

    def on_error(self, error: StreamError) -> None:
        """Something is not as it should be; the link goes on."""
        ...


class TopicLink:
    """One connection's topics. `authenticator` makes it a private one."""

    def __init__(
        self,
        name: str,
        category: str,
        owner: Owner,
        *,
        authenticator: Authenticator | None,
        timing: Timing,
        clock: Clock,
        random: Random,
        next_generation: Callable[[], int],
        counters: Counters,
    ) -> None:
        self.name = name
        self.auth_refused: StreamAuthError | None = None  # by the last attempt
        self.session = Session(
            category, timing=timing, random=random, next_generation=next_generation, counters=counters
        )
        self._owner = owner
        self._authenticator = authenticator
        self._clock = clock
        self._random = random
        self._counters = counters
        self._auth_by: float | None = None  # its answer is waited for
        self._refusals = 0  # of the key, in a row
        self._standstill = Standstill()

    @property
    def is_settled(self) -> bool:
        """Whether the venue has answered, for good or ill, for every topic that is wanted."""
        return self.session.connected and all(
            topic.granted or topic.phase is Phase.REFUSED for topic in self.session.topics.values() if topic.wanted
        )

    # The socket

    def on_connected(self) -> Sequence[Output]:
        """The socket is open: sign in, or ask for the topics at once."""
        now = self._clock.monotonic()
        if self._authenticator is None:
            return self._apply(self.session.on_connected(now))
        self._auth_by = now + AUTH_SECONDS
        return [Send(self._authenticator.message())]

    def on_disconnected(self, reason: StatusReason = StatusReason.DISCONNECTED) -> None:
        """The socket is gone, or given up."""
        self._auth_by = None
        self._apply(self.session.on_disconnected(self._clock.monotonic(), reason))
        self._owner.on_topics()

    def reconnect_delay(self) -> float:
        """Seconds to wait before the next attempt to connect; longer for a key that was refused."""
        delay = self.session.reconnect_delay()
        if self.auth_refused is None:
            return delay
        return max(delay, refused_delay(self._refusals, self._random))

    def next_timer(self) -> float | None:
        """When to call `on_timer` at the latest, monotonic seconds."""
        due = self._auth_by if self._auth_by is not None else self.session.next_timer()
        return None if due is None else self._standstill.wake_at(due)

    def on_timer(self) -> Sequence[Output]:
        """Do what is due."""
        now, session = self._clock.monotonic(), self.session
        session.excuse(self._standstill.excused(now))
        if not self._standstill.may_judge(now):
            return self._apply(session.pump(now))  # what is wanted since can be asked for
        if self._auth_by is None:
            return self._apply(session.on_timer(now))
        return [] if now < self._auth_by else [Reconnect(f"no answer to auth within {AUTH_SECONDS:g} s")]

    def on_payload(self, payload: bytes, receive_time_ns: int) -> Sequence[Output] | None:
        """Take one text message. None: it was data and there is nothing to do."""
        self._counters.messages += 1
        try:
            envelope = decode_envelope(payload)
        except DECODE_ERRORS as error:
            self._counters.decode_errors += 1
            return [Reconnect(f"undecodable message: {error}")]
        if not envelope.topic:
            return self._on_answer(payload, envelope)
        now = self._clock.monotonic()
        session = self.session
        session.heard(now)
        topic = session.topics.get(envelope.topic)
        if topic is None:
            self._counters.unknown_topics += 1
            return None
        if topic.phase is not Phase.ACTIVE and not session.admit(
            topic, is_snapshot=envelope.type == "snapshot", now=now
        ):
            return None
        try:
            self._owner.deliver(envelope, receive_time_ns)
        except MessageError as error:
            self._counters.decode_errors += 1
            self._owner.on_error(StreamError(f"{self.name}: {envelope.topic}: {error}"))
            if self._authenticator is not None:
                return [Reconnect(f"a message of {envelope.topic} cannot be understood")]
            return self._apply(session.resync(topic, StatusReason.MALFORMED, now))
        return None

    # Within

    def _on_answer(self, payload: bytes, envelope: Envelope) -> Sequence[Output]:
        now = self._clock.monotonic()
        try:
            if envelope.type == "COMMAND_RESP":
                actions = self.session.on_command_response(decode_command_response(payload), now)
            else:
                message = decode(payload)
                if message.op == "auth" and self._authenticator is not None:
                    return self._on_auth(self._authenticator, message, now)
                if not (message.is_pong or message.is_response):
                    self._counters.unknown_messages += 1
                    return []
                actions = self.session.on_response(message, now)
        except DECODE_ERRORS:
            self._counters.unknown_messages += 1
            return []
        outputs = self._apply(actions)
        self._owner.on_topics()
        return outputs

    def _on_auth(self, authenticator: Authenticator, message: Message, now: float) -> Sequence[Output]:
        if message.success:
            if self._auth_by is None:
                return []
            self._auth_by = self.auth_refused = None
            self._refusals = 0
            outputs = self._apply(self.session.on_connected(now))
            self._owner.on_topics()
            return outputs
        said = authenticator.refused(message.ret_msg)
        self.auth_refused = StreamAuthError(f"{self.name}: the venue refuses the key: {said}")
        self._refusals += 1
        self._owner.on_error(self.auth_refused)
        self._owner.on_topics()
        return [Reconnect("auth refused")]

    def _apply(self, actions: Sequence[Action]) -> list[Output]:
        outputs: list[Output] = []
        for action in actions:
            if isinstance(action, Send | Reconnect):
                outputs.append(action)
            elif isinstance(action, Refused):
                self._owner.on_error(TopicError(action.topic.name, f"the venue refuses it: {action.message[:200]}"))
        return outputs


def rows_of(envelope: Envelope, decode_rows: Callable[[msgspec.Raw], list[object]]) -> list[object]:
    """The rows of a message's data. Raises MessageError."""
    try:
        return decode_rows(envelope.data)
    except DECODE_ERRORS as error:
        raise MessageError(str(error)) from error
