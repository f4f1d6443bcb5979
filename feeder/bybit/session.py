"""The rules of one public connection, without a socket: what is wanted, what the venue granted, when to ask again.

Sans-IO: inputs come with the monotonic time, outputs are actions that the caller carries out in order. A topic's way:

    WANTED -> SUBSCRIBING -> ACTIVE -> RESYNC_DUE -> UNSUBSCRIBING -> WANTED ...
                  |            ^ by a snapshot only        ^ left by the venue's ack or the deadline
                  `-> REFUSED -> (much later) SUBSCRIBING, alone in its request

Whatever happens to the connection, a wanted topic stays wanted: a disconnect only sends it back to WANTED. An ack never
gates data (the venue sends first snapshots before it), and a book is ACTIVE by its snapshot, never by an ack.
"""

import heapq
import re
from collections.abc import Callable, Iterable, Iterator
from random import Random

import msgspec

from feeder.market.status import StatusReason

from .actions import Action, Phase, Reconnect, Refused, Reset, Send, Topic
from .counters import Counters
from .messages import CommandResponse, Message
from .outbox import SUBSCRIBE, UNSUBSCRIBE, Outbox, Request
from .pacing import Timing, TokenBucket, backoff_delay
from .topics import pack

PING = '{"op":"ping"}'

_WORD = re.compile(r"[\w.\-]+")  # the venue names the topic it refuses somewhere in a sentence


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
        self._ping_at = 0.0
        self._pong_by: float | None = None
        self._outbox = Outbox()
        self._send_at = 0.0  # no request before
        self._requests: dict[str, Request] = {}  # unanswered, by req_id, oldest first
        self._request_id = 0
        self._timers: list[tuple[float, int, Topic]] = []  # stale entries are skipped: see _set_deadline
        self._timer_id = 0
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
        return topic

    def unwant(self, name: str) -> None:
        """Let go of a topic. Call `pump` when all are told."""
        topic = self.topics[name]
        topic.wanted = False
        if topic.phase is Phase.UNSUBSCRIBING:
            return
        if topic.phase in (Phase.WANTED, Phase.REFUSED):
            self._forget(topic)
        else:
            self._unsubscribe(topic)

    # The connection

    def on_connected(self, now: float) -> list[Action]:
        """The socket is open: ask for all that is wanted, but for what the venue refused not long ago."""
        self.connected = True
        self._connected_at = now
        self._ping_at = now + self._timing.ping_interval
        self._pong_by = None
        self._send_at = now
        for topic in self.topics.values():
            if topic.phase is Phase.WANTED:
                self._outbox.subscribe[topic.name] = None
            elif topic.deadline is not None:
                self._set_deadline(topic, topic.deadline)
        return self.pump(now)

    def on_disconnected(self, now: float) -> list[Action]:
        """The socket is gone: every book is worthless until its next snapshot."""
        if not self.connected:
            return []
        self.connected = False
        if now - self._connected_at >= self._timing.connection_healthy_after:
            self._reconnects = 0
        self._outbox.clear()
        self._requests.clear()
        self._timers.clear()
        actions: list[Action] = []
        for topic in list(self.topics.values()):
            if not topic.wanted:
                del self.topics[topic.name]
            elif topic.phase is not Phase.REFUSED:
                topic.phase = Phase.WANTED
                topic.deadline = None
                self._outbox.subscribe[topic.name] = None
                self._renew(topic, StatusReason.DISCONNECTED, actions)
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
        if message.is_pong:
            self._pong_by = None
            return []
        actions: list[Action] = []
        identity = self._identify(message)
        request = self._requests.pop(identity, None) if identity is not None else None
        if request is not None:
            if message.success:
                for topic in self._concerned(request.operation, request.names):
                    self._granted(topic, now)
            else:
                self._failed(request, message.ret_msg, now, actions)
        return actions + self.pump(now)

    def on_command_response(self, response: CommandResponse, now: float) -> list[Action]:
        """The option endpoint's verdict per topic."""
        actions: list[Action] = []
        failed, granted = response.data.failTopics, response.data.successTopics
        for name in granted:
            if (topic := self.topics.get(name)) is not None:
                self._granted(topic, now)
        for name in failed:
            topic = self.topics.get(name)
            if topic is None:
                continue
            if topic.phase is Phase.SUBSCRIBING:
                self._refuse(topic, response.ret_msg or "in failTopics", now, actions)
            elif topic.phase is Phase.UNSUBSCRIBING:
                self._unsubscribed(topic)
        judged = {*failed, *granted}
        if not judged and not response.success and self._requests:
            oldest = self._requests.pop(next(iter(self._requests)))
            self._failed(oldest, response.ret_msg, now, actions)
        for identity, request in list(self._requests.items()):
            request.names = [name for name in request.names if name not in judged]
            if not request.names:
                del self._requests[identity]
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
            self._set_deadline(topic, now)
        return self.on_timer(now)

    # Time

    def next_timer(self) -> float | None:
        """When to call `on_timer` at the latest; None while there is no connection."""
        if not self.connected:
            return None
        soonest = self._ping_at if self._pong_by is None else min(self._ping_at, self._pong_by)
        if self._outbox:
            soonest = min(soonest, self._send_at)
        while self._timers and self._timers[0][2].deadline != self._timers[0][0]:
            heapq.heappop(self._timers)
        if self._timers:
            soonest = min(soonest, self._timers[0][0])
        return soonest

    def on_timer(self, now: float) -> list[Action]:
        """Do what is due. Calling it early or often does no harm."""
        if not self.connected:
            return []
        if self._pong_by is not None and now >= self._pong_by:
            self._counters.pong_timeouts += 1
            self._pong_by = None
            return [Reconnect(f"no pong within {self._timing.pong_deadline:g} s")]
        actions: list[Action] = []
        if now >= self._ping_at:
            self._ping_at = now + self._timing.ping_interval
            if self._pong_by is None:
                self._pong_by = now + self._timing.pong_deadline
            actions.append(Send(PING))
        while self._timers and self._timers[0][0] <= now:
            when, _, topic = heapq.heappop(self._timers)
            if topic.deadline == when:
                topic.deadline = None
                self._on_deadline(topic, now, actions)
        for identity in [identity for identity, request in self._requests.items() if request.deadline <= now]:
            del self._requests[identity]
        return actions + self.pump(now)

    def pump(self, now: float) -> list[Action]:
        """Send what waits to be sent, a request at a time."""
        actions: list[Action] = []
        while self.connected and self._outbox and now >= self._send_at:
            request = self._next_request(now)
            if request is None:
                continue
            self._request_id += 1
            identity = str(self._request_id)
            self._requests[identity] = request
            self._send_at = now + self._timing.request_interval
            self._counters.requests += 1
            body = {"op": request.operation, "args": request.names, "req_id": identity}
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
        topics = list(self._concerned(operation, names))
        for topic in topics:
            if operation == SUBSCRIBE:
                topic.phase = Phase.SUBSCRIBING
                self._set_deadline(topic, now + self._timing.snapshot_deadline)
            else:
                self._set_deadline(topic, now + self._timing.unsubscribe_deadline)
        if not topics:
            return None
        return Request(operation, [topic.name for topic in topics], now + self._timing.request_deadline)

    def _concerned(self, operation: str, names: Iterable[str]) -> Iterator[Topic]:
        """The topics among these for which the operation still matters: not those that data has made ACTIVE since."""
        phases = (Phase.WANTED, Phase.SUBSCRIBING) if operation == SUBSCRIBE else (Phase.UNSUBSCRIBING,)
        for name in names:
            topic = self.topics.get(name)
            if topic is not None and topic.phase in phases:
                yield topic

    def _identify(self, message: Message) -> str | None:
        """The req_id of the request a response answers, however little the response says about it.

        The venue leaves req_id out of some failures: then the request that holds the topic it names, else the oldest
        one of that operation.
        """
        if message.req_id:
            return message.req_id
        words = set(_WORD.findall(message.ret_msg))
        for identity, request in self._requests.items():
            if not words.isdisjoint(request.names):
                return identity
        for identity, request in self._requests.items():
            if message.op in ("", request.operation):
                return identity
        return None

    def _granted(self, topic: Topic, now: float) -> None:
        """The venue has done what was asked."""
        if topic.phase is Phase.SUBSCRIBING:
            topic.refusals = 0
            if not topic.is_book:
                self._activate(topic, now)
        elif topic.phase is Phase.UNSUBSCRIBING:
            self._unsubscribed(topic)

    def _failed(self, request: Request, text: str, now: float, actions: list[Action]) -> None:
        """One topic the venue will not have fails its whole request: find it, and ask for the others again."""
        self._counters.failed_requests += 1
        words = set(_WORD.findall(text))
        named = words.intersection(request.names)
        topics = list(self._concerned(request.operation, request.names))
        # The topic named may be one that data has made ACTIVE since: then nobody left in the request is to blame.
        culprits = [topic for topic in topics if topic.name in named] if named or len(topics) > 1 else topics
        others = [topic.name for topic in topics if topic not in culprits]
        for topic in culprits:
            if request.operation == UNSUBSCRIBE:
                self._unsubscribed(topic)  # it was not subscribed
            elif "already subscribed" in text:
                self._granted(topic, now)
            else:
                self._refuse(topic, text, now, actions)
        # Nobody named: halve, until what the venue dislikes stands alone or the request is short enough.
        middle = 0 if named else len(others) // 2
        for group in (others[:middle], others[middle:]):
            if group:
                self._outbox.groups.append((request.operation, group))

    def _refuse(self, topic: Topic, text: str, now: float, actions: list[Action]) -> None:
        if not topic.wanted:
            self._forget(topic)
            return
        topic.refusals += 1
        self._counters.refused_topics += 1
        delay = backoff_delay(topic.refusals, self._timing.refused_first, self._timing.refused_cap, self._random)
        # Never sooner than promised: here the jitter stretches.
        delay = max(delay, self._timing.refused_first)
        topic.phase = Phase.REFUSED
        self._set_deadline(topic, now + delay)
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
        self._set_deadline(topic, now + (self._timing.hold_deadline if hold else delay))
        self._counters.resyncs[reason] += 1
        self._renew(topic, reason, actions)

    def _on_deadline(self, topic: Topic, now: float, actions: list[Action]) -> None:
        match topic.phase:
            case Phase.SUBSCRIBING:
                self._begin_resync(topic, StatusReason.NO_SNAPSHOT, now, actions)
            case Phase.RESYNC_DUE:
                wait = self._budget.take(now)
                if wait:
                    self._set_deadline(topic, now + wait)
                else:
                    self._unsubscribe(topic)
            case Phase.UNSUBSCRIBING:
                self._unsubscribed(topic)
            case Phase.REFUSED:
                topic.phase = Phase.WANTED
                self._outbox.groups.append((SUBSCRIBE, [topic.name]))
            case Phase.WANTED | Phase.ACTIVE:
                raise AssertionError(f"{topic.name} has a deadline while {topic.phase.name}")

    def _activate(self, topic: Topic, now: float) -> None:
        topic.phase = Phase.ACTIVE
        topic.deadline = None
        topic.refusals = 0
        topic.active_since = now

    def _unsubscribe(self, topic: Topic) -> None:
        topic.phase = Phase.UNSUBSCRIBING
        topic.deadline = None  # it runs from the moment of sending
        self._outbox.unsubscribe[topic.name] = None

    def _unsubscribed(self, topic: Topic) -> None:
        if not topic.wanted:
            self._forget(topic)
            return
        topic.phase = Phase.WANTED
        topic.deadline = None
        self._outbox.subscribe[topic.name] = None

    def _forget(self, topic: Topic) -> None:
        topic.deadline = None
        self._outbox.subscribe.pop(topic.name, None)
        del self.topics[topic.name]

    def _renew(self, topic: Topic, reason: StatusReason, actions: list[Action]) -> None:
        topic.generation = self._next_generation()
        if topic.is_book:
            actions.append(Reset(topic, topic.generation, reason))

    def _set_deadline(self, topic: Topic, when: float) -> None:
        """Set the one deadline of a topic. An older entry in the heap no longer equals it, and is skipped."""
        topic.deadline = when
        self._timer_id += 1
        heapq.heappush(self._timers, (when, self._timer_id, topic))
