"""The rules of one public connection, without a socket: what is wanted, what the venue granted, when to ask again.

Sans-IO: inputs come with the monotonic time, outputs are actions that the caller carries out in order. A topic's way:

    WANTED -> SUBSCRIBING -> ACTIVE -> RESYNC_DUE -> UNSUBSCRIBING -> WANTED ...
                  |            ^ by a snapshot only        ^ left by the venue's ack or the deadline
                  `-> REFUSED -> (much later) SUBSCRIBING, alone in its request

Whatever happens to the connection, a wanted topic stays wanted: a disconnect only sends it back to WANTED. An ack never
gates data (the venue sends first snapshots before it), and a book is ACTIVE by its snapshot, never by an ack.

Data in flight from an older subscription may look like the new one's, so it proves no grant: an ACTIVE topic whose
request was not acked by the deadline is asked for again, and "already subscribed" is an ack as well. Nothing else would
notice a quiet trade topic that the venue does not send. Likewise what the venue may be sending although it is not
wanted or not counted on (`unsure`) is let go of, again until the venue has answered.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from random import Random

import msgspec

from feeder.clock import SECOND_NS
from feeder.market.status import StatusReason

from .actions import Action, Phase, Reconnect, Refused, Reset, Send, Topic
from .counters import Counters
from .deadlines import Deadlines
from .heartbeat import Heartbeat
from .messages import CommandResponse, Message
from .outbox import SUBSCRIBE, UNSUBSCRIBE, Outbox, Request, Unanswered
from .pacing import Timing, TokenBucket, backoff_delay
from .topics import pack

PING = '{"op":"ping"}'

_WORD = re.compile(r"[\w./\-]+")  # the venue names the topic it refuses somewhere in a sentence


class Session:
    """One connection's topics and what the venue says about them. All times are monotonic seconds."""

    def __init__(
        self,
        category: str,
        *,
        timing: Timing,
        random: Random,
        next_generation: Callable[[], int],
        counters: Counters,
    ) -> None:
        self.topics: dict[str, Topic] = {}
        self.connected = False
        self._category = category
        self._timing = timing
        self._random = random
        self._next_generation = next_generation
        self._counters = counters
        self._connected_at = 0.0
        self._reconnects = 0  # since the connection was last healthy
        self._heartbeat = Heartbeat(timing.ping_interval, timing.pong_deadline, timing.silence, timing.probe_deadline)
        self._outbox = Outbox()
        self._send_at = 0.0  # no request before
        self._requests = Unanswered()
        self._deadlines = Deadlines()
        self._budget = TokenBucket(timing.resync_burst, timing.resync_rate, 0.0)

    # What is wanted

    def want(self, name: str, *, is_book: bool) -> Topic:
        """Ask for a topic, now or as soon as there is a connection. Call `pump` when all are told."""
        topic = self.topics.get(name)
        if topic is None:
            topic = self.topics[name] = Topic(name, is_book, self._next_generation())
            self._outbox.subscribe[name] = None
        elif not topic.wanted:
            topic.wanted = True
            topic.generation = self._next_generation()
            if topic.unanswered > 1:  # patience has grown long while nobody wanted it: see _patience
                self._outbox.groups.append((UNSUBSCRIBE, [name]))
        return topic

    def unwant(self, name: str) -> None:
        """Let go of a topic. Call `pump` when all are told."""
        topic = self.topics[name]
        topic.wanted = False
        if topic.phase is Phase.UNSUBSCRIBING:
            return
        if topic.phase in (Phase.WANTED, Phase.REFUSED) and not topic.unsure:
            self._forget(topic)
        else:
            self._unsubscribe(topic)

    # The connection

    def on_connected(self, now: float) -> list[Action]:
        """The socket is open: ask for all that is wanted, but for what the venue refused not long ago."""
        self.connected = True
        self._connected_at = now
        self._heartbeat.start(now)
        self._send_at = now
        for topic in self.topics.values():
            if topic.phase is Phase.WANTED:
                self._outbox.subscribe[topic.name] = None
            elif topic.deadline is not None:
                self._deadlines.set(topic, topic.deadline)
        return self.pump(now)

    def on_disconnected(self, now: float, reason: StatusReason = StatusReason.DISCONNECTED) -> list[Action]:
        """The socket is gone, or given up: every book is worthless until its next snapshot."""
        if not self.connected:
            return []
        self.connected = False
        if now - self._connected_at >= self._timing.connection_healthy_after:
            self._reconnects = 0
        self._outbox.clear()
        self._requests.clear()
        self._deadlines.clear()
        actions: list[Action] = []
        for topic in list(self.topics.values()):
            topic.request, topic.granted, topic.unsure, topic.unanswered = "", False, False, 0
            if not topic.wanted:
                del self.topics[topic.name]
            elif topic.phase is not Phase.REFUSED:
                topic.phase = Phase.WANTED
                topic.deadline = None
                self._outbox.subscribe[topic.name] = None
                self._renew(topic, reason, actions)
        return actions

    def reconnect_delay(self) -> float:
        """Seconds to wait before the next attempt to connect: 0.1 s after a healthy connection, growing to the cap."""
        self._reconnects += 1
        return backoff_delay(self._reconnects, self._timing.reconnect_first, self._timing.reconnect_cap, self._random)

    # What the venue says

    def admit(self, topic: Topic, *, is_snapshot: bool, now: float) -> bool:
        """Whether data of a topic that is not ACTIVE may pass; a book's first snapshot makes it ACTIVE."""
        if topic.phase is Phase.ACTIVE:
            return True
        if topic.phase is Phase.SUBSCRIBING and (is_snapshot or not topic.is_book):
            self._activate(topic, now)
            return True
        self._counters.dropped_old_generation += 1
        return False

    def on_response(self, message: Message, now: float) -> list[Action]:
        """An ack, a failure or a pong."""
        self._heartbeat.heard(now)
        if message.is_pong:
            seconds = self._heartbeat.on_pong(now)
            if seconds is not None:
                self._counters.pongs.record(int(seconds * SECOND_NS))
            return []
        actions: list[Action] = []
        request = self._answered(message)
        if request is not None:
            del self._requests[request.identity]
            if message.success:
                for topic in list(self._awaiting(request)):
                    self._granted(topic, now)
            else:
                self._failed(request, message.ret_msg, now, actions)
        return actions + self.pump(now)

    def on_command_response(self, response: CommandResponse, now: float) -> list[Action]:
        """The option endpoint's verdict per topic."""
        self._heartbeat.heard(now)
        actions: list[Action] = []
        failed, granted = response.data.failTopics, response.data.successTopics
        for name in granted:
            # Of one whose unsubscribe is still to be sent this answers the subscribe before it.
            if (topic := self.topics.get(name)) is not None and name not in self._outbox.unsubscribe:
                self._granted(topic, now)
        for name in failed:
            topic = self.topics.get(name)
            if topic is None:
                continue
            if topic.phase in (Phase.SUBSCRIBING, Phase.ACTIVE):
                self._refuse(topic, response.ret_msg or "in failTopics", now, actions, unsure=True)
            elif topic.phase is Phase.UNSUBSCRIBING:
                self._unsubscribed(topic)
        judged = {*failed, *granted}
        if not judged and not response.success and (oldest := self._requests.oldest(SUBSCRIBE)) is not None:
            del self._requests[oldest.identity]
            self._failed(oldest, response.ret_msg, now, actions)
        self._requests.strike(judged)
        return actions + self.pump(now)

    def heard(self, now: float) -> None:
        """Data came. To be told a few times a second at most; see `silence` of Timing."""
        self._heartbeat.heard(now)

    def silent_seconds(self, now: float) -> float:
        """How long ago anything came, or the connection was made; a quarter of a second more or less."""
        return now - self._heartbeat.heard_at

    def excuse(self, seconds: float) -> None:
        """We did not listen for so long: nobody is late by that."""
        self._heartbeat.excuse(seconds)

    def postpone(self, topic: Topic, now: float) -> None:
        """A book's snapshot came and could not be used yet: wait for another for longer."""
        patience = self._timing.postponed_deadline
        # Not at each of them: at depth 1 they come in hundreds.
        if topic.phase is Phase.SUBSCRIBING and (topic.deadline is None or topic.deadline < now + patience / 2):
            self._deadlines.set(topic, now + patience)

    def renew(self, topics: Iterable[Topic], reason: StatusReason, now: float) -> list[Action]:
        """Begin books anew whose snapshots were postponed: at once, as the fault was the connection's, not theirs."""
        actions: list[Action] = []
        for topic in topics:
            if topic.wanted and topic.phase is Phase.SUBSCRIBING:
                self._counters.resyncs[reason] += 1
                self._renew(topic, reason, actions)
                self._unsubscribe(topic)
        return actions + self.pump(now)

    # What the books say

    def resync(self, topic: Topic, reason: StatusReason, now: float, *, hold: bool = False) -> list[Action]:
        """Begin a book anew: unsubscribe, wait for the ack, subscribe; nothing if that is already under way.

        With `hold` nothing is asked until `release`, or the deadline for it: what comes could not be used before.
        """
        actions: list[Action] = []
        if topic.wanted and topic.phase in (Phase.ACTIVE, Phase.SUBSCRIBING):
            self._begin_resync(topic, reason, now, actions, hold=hold)
        return actions + self.on_timer(now)

    def release(self, topic: Topic, now: float) -> list[Action]:
        """Go on with a resync that was held."""
        if topic.phase is Phase.RESYNC_DUE:
            self._deadlines.set(topic, now)
        return self.on_timer(now)

    # Time

    def next_timer(self) -> float | None:
        """When to call `on_timer` at the latest; None while there is no connection."""
        if not self.connected:
            return None
        soonest = self._heartbeat.soonest()
        if self._outbox:
            soonest = min(soonest, self._send_at)
        due = self._deadlines.soonest()
        return soonest if due is None else min(soonest, due)

    def on_timer(self, now: float) -> list[Action]:
        """Do what is due. Calling it early or often does no harm."""
        if not self.connected:
            return []
        if self._heartbeat.is_dead(now):
            self._counters.pong_timeouts += 1
            patience = self._heartbeat.patience
            self._heartbeat.start(now)
            return [Reconnect(f"no pong within {patience:g} s")]
        actions: list[Action] = []
        if self._heartbeat.beats(now):
            actions.append(Send(PING))
        elif self._heartbeat.probes(now):
            self._counters.silence_probes += 1
            actions.append(Send(PING))
        for topic in self._deadlines.due(now):
            self._on_deadline(topic, now, actions)
        self._requests.expire(now)
        return actions + self.pump(now)

    def pump(self, now: float) -> list[Action]:
        """Send what waits to be sent, a request at a time."""
        actions: list[Action] = []
        while self.connected and self._outbox and now >= self._send_at:
            request = self._next_request(now)
            if request is None:
                continue
            self._send_at = now + self._timing.request_interval
            self._counters.requests += 1
            body = {"op": request.operation, "args": request.names, "req_id": request.identity}
            actions.append(Send(msgspec.json.encode(body).decode()))
        return actions

    # Within

    def _next_request(self, now: float) -> Request | None:
        """Take the next batch out of the outbox: groups first, then lettings go, then asks."""
        outbox = self._outbox
        operation = UNSUBSCRIBE if outbox.unsubscribe else SUBSCRIBE
        if outbox.groups:
            operation, names = outbox.groups.popleft()
        else:
            queue = outbox.unsubscribe or outbox.subscribe
            names = next(pack(self._category, queue))
            for name in names:
                del queue[name]
        topics = [
            topic for name in names if (topic := self.topics.get(name)) is not None and _may_ask(operation, topic)
        ]
        if not topics:
            return None
        request = self._requests.open(operation, [topic.name for topic in topics], now + self._timing.request_deadline)
        for topic in topics:
            topic.request = request.identity
            topic.unanswered += 1
            if operation == SUBSCRIBE and topic.phase is not Phase.ACTIVE:
                topic.phase = Phase.SUBSCRIBING
            self._deadlines.set(topic, now + self._patience(topic))
        return request

    def _patience(self, topic: Topic) -> float:
        """Seconds until a request about a topic counts as unanswered; ever longer where nobody waits for the answer."""
        timing = self._timing
        if topic.phase is Phase.SUBSCRIBING:
            return timing.snapshot_deadline
        if topic.phase is Phase.UNSUBSCRIBING and topic.wanted:
            return timing.unsubscribe_deadline
        first = timing.snapshot_deadline if topic.phase is Phase.ACTIVE else timing.unsubscribe_deadline
        return backoff_delay(topic.unanswered, first, timing.refused_cap, self._random)

    def _awaiting(self, request: Request) -> Iterator[Topic]:
        """The topics for which the answer to this request still matters."""
        for name in request.names:
            topic = self.topics.get(name)
            if topic is not None and topic.request == request.identity and _may_ask(request.operation, topic):
                yield topic

    def _answered(self, message: Message) -> Request | None:
        """The request a response answers.

        The venue echoes req_id in every success, but leaves it out of some failures. Such a failure is of the request
        that holds the topic it names; if it names none, of the oldest subscribe, as the venue answers in order. A wrong
        guess costs a retry. A success without req_id is believed for no topic: that would cost the topic.
        """
        if message.req_id:
            return self._requests.get(message.req_id)
        if message.success:
            return None
        words = set(_WORD.findall(message.ret_msg))
        request = self._requests.holding(words, message.op)
        if request is None and message.op in ("", SUBSCRIBE) and words.isdisjoint(self.topics):
            request = self._requests.oldest(SUBSCRIBE)
        return request

    def _granted(self, topic: Topic, now: float) -> None:
        """The venue has done what was asked."""
        if topic.phase is Phase.UNSUBSCRIBING:
            self._unsubscribed(topic)
        elif topic.phase in (Phase.SUBSCRIBING, Phase.ACTIVE):
            topic.granted, topic.unsure = True, False
            topic.refusals = topic.unanswered = 0
            if topic.phase is Phase.ACTIVE:
                topic.deadline = None
            elif not topic.is_book:
                self._activate(topic, now)

    def _failed(self, request: Request, text: str, now: float, actions: list[Action]) -> None:
        """One topic the venue will not have fails its whole request: find it, and ask for the others again."""
        self._counters.failed_requests += 1
        words = set(_WORD.findall(text))
        named = words.intersection(request.names)
        topics = list(self._awaiting(request))
        # The topic named may have gone another way since: then nobody left in the request is to blame.
        culprits = [topic for topic in topics if topic.name in named] if named or len(topics) > 1 else topics
        others = [topic.name for topic in topics if topic not in culprits]
        for topic in culprits:
            if request.operation == UNSUBSCRIBE:
                self._unsubscribed(topic)  # it was not subscribed
            elif "already subscribed" in text:
                self._granted(topic, now)
            else:
                self._refuse(topic, text, now, actions, unsure=not named)
        # Nobody named: halve, until what the venue dislikes stands alone or the request is short enough.
        middle = 0 if named else len(others) // 2
        for group in (others[:middle], others[middle:]):
            if group:
                self._outbox.groups.append((request.operation, group))

    def _refuse(self, topic: Topic, text: str, now: float, actions: list[Action], *, unsure: bool) -> None:
        """The venue will not have it; `unsure` if that is a guess, or may be because it has it already."""
        topic.refusals += 1
        topic.unanswered = 0
        topic.granted, topic.unsure = False, unsure
        self._counters.refused_topics += 1
        delay = backoff_delay(topic.refusals, self._timing.refused_first, self._timing.refused_cap, self._random)
        # Never sooner than promised: here the jitter stretches.
        delay = max(delay, self._timing.refused_first)
        topic.phase = Phase.REFUSED
        self._deadlines.set(topic, now + delay)
        topic.generation = self._next_generation()
        actions.append(Refused(topic, topic.generation, text, delay))

    def _begin_resync(
        self, topic: Topic, reason: StatusReason, now: float, actions: list[Action], *, hold: bool = False
    ) -> None:
        """The first resync of a healthy topic is immediate, the next ones wait ever longer."""
        if topic.phase is Phase.ACTIVE and now - topic.active_since >= self._timing.healthy_after:
            topic.failures = 0
        delay = 0.0
        if topic.failures:
            delay = backoff_delay(topic.failures, self._timing.resync_first, self._timing.resync_cap, self._random)
        topic.failures += 1
        topic.phase = Phase.RESYNC_DUE
        self._deadlines.set(topic, now + (self._timing.hold_deadline if hold else delay))
        self._counters.resyncs[reason] += 1
        self._renew(topic, reason, actions)

    def _on_deadline(self, topic: Topic, now: float, actions: list[Action]) -> None:
        match topic.phase:
            case Phase.SUBSCRIBING:
                self._begin_resync(topic, StatusReason.NO_SNAPSHOT, now, actions)
            case Phase.RESYNC_DUE:
                wait = self._budget.take(now)
                if wait:
                    self._deadlines.set(topic, now + wait)
                else:
                    self._unsubscribe(topic)
            case Phase.UNSUBSCRIBING if topic.wanted:
                self._unsubscribed(topic, unsure=True)
            case Phase.UNSUBSCRIBING:
                self._outbox.groups.append((UNSUBSCRIBE, [topic.name]))
            case Phase.REFUSED if topic.unsure:
                topic.phase = Phase.UNSUBSCRIBING
                self._outbox.groups.append((UNSUBSCRIBE, [topic.name]))
            case Phase.REFUSED:
                topic.phase = Phase.WANTED
                self._outbox.groups.append((SUBSCRIBE, [topic.name]))
            case Phase.ACTIVE:
                self._outbox.groups.append((SUBSCRIBE, [topic.name]))
            case Phase.WANTED:
                raise AssertionError(f"{topic.name} has a deadline while {topic.phase.name}")

    def _activate(self, topic: Topic, now: float) -> None:
        topic.phase = Phase.ACTIVE
        if topic.granted:
            topic.deadline = None
        topic.refusals = 0
        topic.active_since = now

    def _unsubscribe(self, topic: Topic) -> None:
        topic.phase = Phase.UNSUBSCRIBING
        topic.deadline = None  # it runs from the moment of sending
        topic.granted = False
        topic.unanswered = 0
        self._outbox.subscribe.pop(topic.name, None)
        self._outbox.unsubscribe[topic.name] = None

    def _unsubscribed(self, topic: Topic, *, unsure: bool = False) -> None:
        """The venue has let go of it; or may have, and is asked for it all the same."""
        if not topic.wanted:
            self._forget(topic)
            return
        topic.phase = Phase.WANTED
        topic.deadline = None
        topic.granted, topic.unsure = False, unsure
        topic.unanswered = 0
        if topic.refusals:
            self._outbox.groups.append((SUBSCRIBE, [topic.name]))
        else:
            self._outbox.subscribe[topic.name] = None

    def _forget(self, topic: Topic) -> None:
        topic.deadline = None
        self._outbox.subscribe.pop(topic.name, None)
        self._outbox.unsubscribe.pop(topic.name, None)
        del self.topics[topic.name]

    def _renew(self, topic: Topic, reason: StatusReason, actions: list[Action]) -> None:
        topic.generation = self._next_generation()
        if topic.is_book:
            actions.append(Reset(topic, topic.generation, reason))


def _may_ask(operation: str, topic: Topic) -> bool:
    """Whether a request of this kind makes sense for a topic as it is now."""
    if operation == UNSUBSCRIBE:
        return topic.phase is Phase.UNSUBSCRIBING
    return topic.phase in (Phase.WANTED, Phase.SUBSCRIBING) or (topic.phase is Phase.ACTIVE and not topic.granted)
