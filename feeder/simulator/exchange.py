"""The simulated exchange between its market and its clients: who gets which message, and when.

No socket: clients are functions that take a message, and time comes from a clock.
"""

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from feeder.clock import Clock
from feeder.simulator.faults import Faults, Mishap, OldTimes, crossed, spoiled
from feeder.simulator.session import Session
from feeder.simulator.source import BookState, Publication, Source, Summaries
from feeder.simulator.topic_book import price_of
from feeder.simulator.turnover import Turnovers
from feeder.simulator.universe import Listing
from feeder.simulator.venue import BookTopic, TradeTopic, parse_topic

_DATA_BEFORE_ACK = 0.35  # share of subscribe requests whose ack comes after some of their first data


@dataclass(eq=False, slots=True)
class Client:
    """One connection; `send` takes a whole text message and never raises."""

    session: Session
    send: Callable[[bytes], None]


@dataclass(eq=False, slots=True)
class _Channel:
    """One topic's audience, what it was sent last, and a delta that another overtakes."""

    audience: list[Client] = field(default_factory=list)
    last: bytes | None = None
    held: bytes | None = None


class Exchange:
    """Clients come and go, subscribe and are published to.

    `summaries` are further topics than those of the source; a topic that both have is the source's.
    """

    def __init__(self, source: Source, seed: int, clock: Clock) -> None:
        self.source = source
        self.summaries: Summaries | None = None
        self.faults = Faults()
        self.turnovers = Turnovers(seed, clock)
        self.clients: dict[Client, None] = {}
        self.delisted: dict[tuple[str, str], str] = {}  # (category, symbol) to the status REST tells
        self.first_subscribed_at: float | None = None  # on the clock's monotonic hand
        self.published_total = 0
        self._clock = clock
        self._rng = random.Random(f"exchange:{seed}")  # noqa: S311 - no secret
        self._channels: dict[tuple[str, str], _Channel] = {}

    def connect(self, category: str, send: Callable[[bytes], None]) -> Client:
        """A new connection of a category."""

        def accepts(topic: str) -> bool:
            return (
                self._publisher(category, topic) is not None
                and not self._is_delisted(category, topic)
                and not self.faults.take_refusal(category, topic)
            )

        connection_id = f"{self._rng.getrandbits(96):024x}-{self._rng.getrandbits(20):05x}"
        client = Client(Session(category, connection_id, accepts), send)
        self.clients[client] = None
        return client

    def disconnect(self, client: Client) -> None:
        """The connection is gone; nothing is sent to it any more. Harmless if it was gone before."""
        if client in self.clients:
            del self.clients[client]
            for topic in client.session.topics:
                self._leave(client, topic)

    def receive(self, client: Client, text: bytes) -> None:
        """Answer a client's message, with the first data of what it subscribed to before or after the ack."""
        answer = client.session.handle(text, self._clock.wall_ns() // 1_000_000)
        for topic in answer.unsubscribed:
            self._leave(client, topic)
        if not answer.subscribed:
            client.send(answer.reply)
            return
        category = client.session.category
        if self.first_subscribed_at is None:
            self.first_subscribed_at = self._clock.monotonic()
        snapshots = []
        for topic in answer.subscribed:
            publisher = self._publisher(category, topic)
            assert publisher is not None
            snapshot = publisher.subscribe(category, topic, self._clock.monotonic())
            if snapshot is not None:
                snapshots.append((topic, snapshot))
        early = self._rng.randint(0, len(snapshots)) if self._rng.random() < _DATA_BEFORE_ACK else None
        if early is None:
            client.send(answer.reply)
        for index, (topic, snapshot) in enumerate(snapshots):
            if index == early:
                client.send(answer.reply)
            self._channel(category, topic).last = snapshot
            client.send(self._stamped(category, snapshot))
        # Only now does it hear of the topics' deltas: nothing may come before their snapshots.
        for topic in answer.subscribed:
            self._channel(category, topic).audience.append(client)
        if early == len(snapshots):
            # A recording's own first messages go out before the ack, too.
            self.advance(limit=len(answer.subscribed))
            client.send(answer.reply)

    def advance(self, limit: int) -> int:
        """Publish what is due by now, at most `limit` messages; how many there were."""
        count = 0
        due = self.source.due(self._clock.monotonic())
        if self.summaries is not None and self.summaries.wanted:
            due = _summed_up(due, self.summaries)
        for publication in itertools.islice(due, limit):
            count += 1
            self._publish(publication)
        return count

    def next_due(self) -> float | None:
        """When to advance again, on the clock's monotonic hand; None if nobody has subscribed yet."""
        due = self.source.next_due()
        wait = None if self.summaries is None else self.summaries.wait_seconds()
        if wait is None:
            return due
        then = self._clock.monotonic() + wait
        return then if due is None else min(due, then)

    def subscribed_books(self) -> list[BookState]:
        """The books of all orderbook topics that somebody is subscribed to."""
        states = []
        for (category, topic), channel in self._channels.items():
            parsed = parse_topic(topic)
            if channel.audience and isinstance(parsed, BookTopic):
                state = self.source.book(category, parsed.symbol, parsed.depth)
                if state is not None:
                    states.append(state)
        return states

    def plan(self, category: str, symbol: str, mishap: Mishap) -> list[str]:
        """Let something happen to the next delta of each subscribed book topic of a symbol; these topics."""
        topics = self.subscribed(category, symbol)
        for topic in topics:
            self.faults.plan(category, topic, mishap)
        return topics

    def repeat_update(self, category: str, symbol: str) -> list[str]:
        """Send the last message of each subscribed book topic of a symbol once more; these topics."""
        topics = self.subscribed(category, symbol)
        for topic in topics:
            channel = self._channels[category, topic]
            if channel.last is not None:
                self._deliver(category, channel, channel.last)
        return topics

    def resend_snapshot(self, category: str, symbol: str, *, restart: bool) -> list[str]:
        """Send everybody a snapshot of each subscribed book topic of a symbol; `restart` begins its `u` at 1."""
        topics = self.subscribed(category, symbol)
        for topic in topics:
            publication = self.source.resend(category, topic, restart=restart)
            if publication is not None:
                self._publish(publication)
        return topics

    def delist(self, category: str, symbol: str, status: str) -> list[str]:
        """Close a symbol: nothing of it is sent any more, and REST tells `status`; the topics that fell silent."""
        self.delisted[category, symbol] = status
        return self.subscribed(category, symbol)

    def enlist(self, listing: Listing) -> None:
        """List a symbol: one that was delisted again as it was, or a new one. FeederError if it is listed already."""
        key = listing.category, listing.symbol
        if key in self.delisted:
            del self.delisted[key]
        else:
            self.source.enlist(listing)

    def age_times(self, category: str, old: OldTimes) -> None:
        """Write other times into all that a category sends."""
        self.faults.old_times[category] = old

    def subscribed(self, category: str, symbol: str) -> list[str]:
        """The symbol's book topics that somebody is subscribed to."""
        channels = self._channels
        topics = self.source.book_topics(category, symbol)
        return [topic for topic in topics if (category, topic) in channels and channels[category, topic].audience]

    def _publish(self, publication: Publication) -> None:
        channel = self._channels.get((publication.category, publication.topic))
        if channel is None or not channel.audience:
            return
        category, topic, payload, is_delta = publication
        if self.delisted and self._is_delisted(category, topic):
            return
        if is_delta:
            mishap = self.faults.take_mishap(category, topic)
            if mishap is Mishap.SKIP:
                return
            if mishap is Mishap.SWAP:
                channel.held = payload
                return
            if mishap is Mishap.CROSS:
                payload = crossed(payload, self._best_ask(category, topic))
            elif mishap is Mishap.SPOIL:
                payload = spoiled(payload)
        else:
            channel.held = None  # the snapshot holds it already
        self.published_total += 1
        channel.last = payload
        self._deliver(category, channel, payload)
        if channel.held is not None:
            payload, channel.held = channel.held, None
            self._deliver(category, channel, payload)

    def _deliver(self, category: str, channel: _Channel, payload: bytes) -> None:
        payload = self._stamped(category, payload)
        for client in tuple(channel.audience):  # a client that is too slow leaves while it is sent to
            client.send(payload)

    def _stamped(self, category: str, payload: bytes) -> bytes:
        faults = self.faults
        return faults.stamped(category, payload, self._clock.monotonic()) if faults.old_times else payload

    def _is_delisted(self, category: str, topic: str) -> bool:
        match parse_topic(topic):
            case TradeTopic(name):
                return (category, name) in self.delisted
            case None:
                return False
            case parsed:
                return (category, parsed.symbol) in self.delisted

    def _best_ask(self, category: str, topic: str) -> str:
        """A topic's best ask; any price if there is none."""
        parsed = parse_topic(topic)
        assert isinstance(parsed, BookTopic)
        state = self.source.book(category, parsed.symbol, parsed.depth)
        assert state is not None
        best = min((key for key in state.book.levels if key >= 0), default=1)
        return state.scale.price(price_of(best))

    def _leave(self, client: Client, topic: str) -> None:
        category = client.session.category
        channel = self._channels[category, topic]
        channel.audience.remove(client)
        if not channel.audience:
            channel.held = None  # whoever comes next begins with a snapshot
            publisher = self._publisher(category, topic)
            assert publisher is not None
            publisher.unsubscribe(category, topic)

    def _publisher(self, category: str, topic: str) -> Source | Summaries | None:
        """Whose topic it is; None if nobody has it."""
        if self.source.has_topic(category, topic):
            return self.source
        summaries = self.summaries
        return summaries if summaries is not None and summaries.has_topic(category, topic) else None

    def _channel(self, category: str, topic: str) -> _Channel:
        return self._channels.setdefault((category, topic), _Channel())


def _summed_up(due: Iterator[Publication], summaries: Summaries) -> Iterator[Publication]:
    """What the source has, and after each of it what is due of the summaries: a replay's time goes on with each."""
    for publication in due:
        yield publication
        yield from summaries.due()
    yield from summaries.due()
