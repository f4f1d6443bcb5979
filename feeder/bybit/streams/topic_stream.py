"""Topics over as many connections as they need, kept alive for ever: what the private and the public stream share."""

import asyncio
import itertools
import logging
import ssl
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from random import Random
from types import TracebackType
from typing import Any, Self

import msgspec

from feeder.clock import MILLISECOND_NS, Clock
from feeder.errors import StreamAuthError, StreamError, TopicError
from feeder.histogram import Histogram
from feeder.log import library_logs

from ..actions import Phase
from ..counters import Counters
from ..pacing import Timing, TokenBucket
from ..stream import Stream, StreamState
from ..topics import TOPICS_PER_CONNECTION, has_room
from .auth import Authenticator
from .channel import Channel
from .error_log import ErrorLog
from .latency import Latency
from .link import TopicLink
from .messages import Envelope

_CONNECT_BURST = 50.0  # attempts at once, and per second: 200 in 5 minutes, of the 500 that the venue allows an address
_CONNECTS_PER_SECOND = 0.5
READY_SECONDS = 10.0

_log = logging.getLogger("feeder.bybit.streams")


class StreamHealth(msgspec.Struct, frozen=True):
    """How a stream is. `state`: live when every connection is up and every topic answered for, else what it is doing.

    `connections` are those that are up. `silent_seconds` is how long ago the most silent of them said anything; None
    while none is signed in. `refused` names topics that the venue refused. Counts are since the start.
    """

    state: str
    connections: int
    topics: int
    active: int
    refused: list[str]
    connects: int
    reconnects: int
    messages: int
    decode_errors: int
    silent_seconds: float | None
    latency: Latency | None


class TopicStream:
    """A stream of one address. `async with` starts and closes it; topics may come and go at any time.

    `resumed` tells the number of a connection (1, 2, ...) that is up, and of whose topics each is answered for: from
    now on nothing is missed. `lost` tells why one went down. `errors` tells what is wrong meanwhile: StreamAuthError,
    TopicError, StreamError, and what callbacks raised.
    """

    def __init__(
        self,
        name: str,
        url: str,
        category: str,
        *,
        authenticator: Authenticator | None,
        timing: Timing | None,
        clock: Clock,
        random: Random,
        venue_ms: Callable[[], int] | None = None,
    ) -> None:
        library_logs()
        self.name = name
        self.counters = Counters()
        self._error_log = ErrorLog(_log, clock)
        # To tell `errors` of what its own callbacks raise would go on for ever.
        self.errors: Channel[Exception] = Channel(f"{name} errors", partial(self._error_log.warn, name))
        self.resumed: Channel[int] = Channel(f"{name} resumed", self.report)
        self.lost: Channel[str] = Channel(f"{name} lost", self.report)
        self.url = url
        self._category = category
        self._authenticator = authenticator
        self._timing = timing or Timing()
        self._clock = clock
        self._random = random
        self._venue_ms = venue_ms or (lambda: clock.wall_ns() // MILLISECOND_NS)
        self._latency = Histogram()
        self._generations = itertools.count(1)
        self._numbers = itertools.count(1)
        self._resumptions = itertools.count(1)
        self._attempts = TokenBucket(_CONNECT_BURST, _CONNECTS_PER_SECOND, clock.monotonic())
        self._ssl = ssl.create_default_context() if url.startswith("wss:") else None
        self._streams: list[Stream[TopicLink]] = []
        self._stream_of: dict[str, Stream[TopicLink]] = {}
        self._live: set[Stream[TopicLink]] = set()  # those of which `resumed` was told
        self._closing: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._starting = self._started = self._closed = False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Connect; returns at once. Connections come up by themselves, and again for ever; see `ready`.

        Raises StreamError when it is closed.
        """
        if self._closed:
            raise self._closed_error()
        if not self._started:
            self._started = True
            for stream in self._streams:
                stream.start()

    async def aclose(self) -> None:
        """Close all connections, then end iterators and callbacks, which first get what waits for them.

        A closed one is not started again.
        """
        self._closed = True
        self._news.set()
        streams, self._streams = self._streams, []
        self._stream_of.clear()
        await asyncio.gather(*(stream.aclose() for stream in streams), *self._closing, return_exceptions=True)
        channels: list[Channel[Any]] = [*self._channels(), self.resumed, self.lost, self.errors]
        for channel in channels:
            await channel.aclose()
        self._error_log.close()

    async def ready(self, seconds: float = READY_SECONDS) -> None:
        """Return when every connection is up and every topic granted.

        Raises StreamAuthError when the key is refused, TopicError when a topic is, StreamError when the time is over,
        or the stream closed or not started.
        """
        try:
            async with asyncio.timeout(seconds):
                while not self._is_ready():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise StreamError(f"{self.name}: not ready within {seconds:g} s: {self._doing()}") from None

    def subscribe(self, *topics: str) -> None:
        """Want these from now on. Raises TopicError for what is none, and then nothing has changed.

        Raises StreamError when the stream is closed.
        """
        if self._closed:
            raise self._closed_error()
        self._check_text("subscribe", topics)
        self._check(topics)
        touched: dict[Stream[TopicLink], None] = {}
        for topic in topics:
            if topic not in self._stream_of:
                stream = self._stream_of[topic] = self._place(topic)
                stream.connection.session.want(topic, is_book=self._begins_with_snapshot(topic))
                touched[stream] = None
        for stream in touched:
            stream.wake()

    def unsubscribe(self, *topics: str) -> None:
        """Want these no longer; those that were not wanted are left alone."""
        self._check_text("unsubscribe", topics)
        touched: dict[Stream[TopicLink], None] = {}
        for topic in topics:
            stream = self._stream_of.pop(topic, None)
            if stream is not None:
                stream.connection.session.unwant(topic)
                self._forget(topic)
                touched[stream] = None
        for stream in touched:
            stream.wake()
            self._retire_idle(stream)
        self._news.set()

    @property
    def topics(self) -> list[str]:
        """Those that are wanted."""
        return list(self._stream_of)

    def is_current(self, topic: str) -> bool:
        """Whether it is wanted and its connection up, the venue sends it, and nothing of it was missed since."""
        stream = self._stream_of.get(topic)
        return stream is not None and stream.connection.session.topics[topic].phase is Phase.ACTIVE

    def health(self) -> StreamHealth:
        """How it is now."""
        now = self._clock.monotonic()
        up = [stream for stream in self._streams if stream.state is StreamState.CONNECTED]
        sessions = [stream.connection.session for stream in self._streams]
        wanted = [topic for session in sessions for topic in session.topics.values()]
        counters = self.counters
        return StreamHealth(
            state=self._state(),
            connections=len(up),
            topics=len(self._stream_of),
            active=sum(topic.granted for topic in wanted),
            refused=[topic.name for topic in wanted if topic.phase is Phase.REFUSED],
            connects=counters.connects,
            reconnects=counters.reconnects,
            messages=counters.messages,
            decode_errors=counters.decode_errors,
            silent_seconds=max((each.silent_seconds(now) for each in sessions if each.connected), default=None),
            latency=Latency.of(self._latency),
        )

    def report(self, error: Exception) -> None:
        """Tell `errors` of one; without anybody there, the log."""
        if self.errors:
            self.errors.publish(error)
        else:
            self._error_log.warn(self.name, error)

    # What is different from stream to stream

    def _check(self, topics: Sequence[str]) -> None:
        """Raises TopicError for a topic that this stream does not have, or not beside the others."""
        raise NotImplementedError

    def _begins_with_snapshot(self, topic: str) -> bool:
        """Whether data counts from a snapshot on only."""
        return False

    def _forget(self, topic: str) -> None:
        """It is wanted no longer."""

    def _take(self, envelope: Envelope) -> None:
        """Hand a message's data to its channel. Raises MessageError."""
        raise NotImplementedError

    def _channels(self) -> Iterable[Channel[Any]]:
        """Of data."""
        raise NotImplementedError

    # Told by the links

    def deliver(self, envelope: Envelope, receive_time_ns: int) -> None:
        """Data of a wanted topic. Raises MessageError."""
        if made := envelope.time_ms:
            waited_ns = self._clock.wall_ns() - receive_time_ns
            self._latency.record((self._venue_ms() - made) * MILLISECOND_NS - waited_ns)
        self._take(envelope)

    def on_topics(self) -> None:
        """Something was granted or refused, or a connection went down."""
        for stream in tuple(self._streams):  # callbacks may add to them, or take away
            settled = stream in self._streams and stream.connection.is_settled
            if settled and stream not in self._live:
                self._live.add(stream)
                self.resumed.publish(next(self._resumptions))
            elif stream in self._live and not stream.connection.session.connected:
                self._live.discard(stream)
                self.lost.publish(stream.down_reason)
        self._news.set()

    def on_error(self, error: StreamError) -> None:
        """A link found something wrong."""
        self.report(error)

    # Within

    def _check_text(self, method: str, topics: Sequence[object]) -> None:
        for topic in topics:
            if not isinstance(topic, str):
                kind = type(topic).__name__
                raise TypeError(f"{self.name}: a topic is text, not {kind}; give topics one by one: {method}(*topics)")

    def _is_ready(self) -> bool:
        """Raises what there is no hope for, for now."""
        if self._closed:
            raise self._closed_error()
        if not (self._started or self._starting):
            raise StreamError(f"{self.name}: it is not started; use `async with`, or call start()")
        for stream in self._streams:
            link = stream.connection
            if link.auth_refused is not None:
                raise StreamAuthError(str(link.auth_refused))  # another each time: what is raised grows a traceback
            for topic in link.session.topics.values():
                if topic.phase is Phase.REFUSED and topic.wanted:
                    raise TopicError(topic.name, "the venue refuses it, and is asked again later; see `errors`")
        return self._started and all(stream.connection.is_settled for stream in self._streams)

    def _state(self) -> str:
        if self._closed or not self._started:
            return "closed" if self._closed else "not started"
        for stream in self._streams:
            if stream.connection.auth_refused is not None:
                return "auth refused"
            if stream.state is not StreamState.CONNECTED:
                return stream.state.name.lower()
            if not stream.connection.is_settled:
                return "subscribing"
        return "live"

    def _doing(self) -> str:
        down = [stream for stream in self._streams if stream.state is not StreamState.CONNECTED]
        said = next((stream.down_reason for stream in down if stream.down_reason), "")
        return f"{self._state()} {self.url}{f', {said}' if said else ''}"

    def _place(self, topic: str) -> Stream[TopicLink]:
        for stream in self._streams:
            if has_room(stream.connection.session.topics, [topic], TOPICS_PER_CONNECTION):
                return stream
        link = TopicLink(
            f"{self.name}-{next(self._numbers)}",
            self._category,
            self,
            authenticator=self._authenticator,
            timing=self._timing,
            clock=self._clock,
            random=self._random,
            next_generation=self._generations.__next__,
            counters=self.counters,
        )
        stream = Stream(
            self.url,
            link,
            clock=self._clock,
            counters=self.counters,
            attempts=self._attempts,
            ssl_context=self._ssl,
        )
        self._streams.append(stream)
        if self._started:
            stream.start()
        return stream

    def _retire_idle(self, stream: Stream[TopicLink]) -> None:
        """Close a connection that nothing is wanted of, but for the last."""
        idle = not any(topic.wanted for topic in stream.connection.session.topics.values())
        if not idle or self._streams == [stream] or stream not in self._streams:
            return
        self._streams.remove(stream)
        self._live.discard(stream)
        if not self._started:
            return
        task = asyncio.create_task(stream.aclose(), name=f"close {stream.connection.name}")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _closed_error(self) -> StreamError:
        return StreamError(f"{self.name}: it is closed, and has one life; make another")
