"""The market of recordings: each category's messages, as they were received, from its first subscriber on.

The simulator keeps its own book of every recorded orderbook topic beside the stream, subscribed or not, so that whoever
comes after a topic's snapshot was played gets one made from it.
"""

import heapq
from collections.abc import Iterator, Sequence
from typing import Any

from feeder.clock import SECOND_NS, Clock
from feeder.errors import FeederError
from feeder.simulator.decimals import Scale, to_units
from feeder.simulator.messages import BookFacts, Trade, levels_message
from feeder.simulator.recording import Message, Recording
from feeder.simulator.source import BookState, Publication, Touch
from feeder.simulator.tape import Tape
from feeder.simulator.topic_book import TopicBook
from feeder.simulator.universe import Listing, new_listing
from feeder.simulator.venue import CATEGORIES, BookTopic, TradeTopic, parse_topic


class _PlayedBook:
    """The simulator's own book of one recorded topic; `begun` from its first snapshot on."""

    def __init__(self, topic: BookTopic, scale: Scale) -> None:
        self.symbol = topic.symbol
        self.scale = scale
        self.book = TopicBook(topic.depth)
        self.begun = False
        self.ts = 0
        self.cts = 0

    def play(self, body: dict[str, Any]) -> None:
        data = body["data"]
        snapshot = body["type"] == "snapshot"
        if not snapshot and (not self.begun or data["u"] <= self.book.u):
            return  # nothing to change yet, or an update that the book already has
        self.ts = body.get("ts", self.ts)
        self.cts = body.get("cts", self.ts)
        changes: list[int] = []
        for side, is_bid in ((data["b"], True), (data["a"], False)):
            for price, size in side:
                units = to_units(price, self.scale.price_digits)
                changes += (~units if is_bid else units, to_units(size, self.scale.size_digits))
        if snapshot:
            levels = {key: size for key, size in zip(changes[::2], changes[1::2], strict=True) if size}
            self.book.replace(levels, data["u"], data.get("seq", 0))
            self.begun = True
        else:
            self.book.apply(changes, data["u"], data.get("seq", 0))

    def touch(self, depth: int = 1) -> Touch:
        levels = self.book.levels
        sides = [key for key in levels if key < 0], [key for key in levels if key >= 0]
        best = [key for side in sides for key in ([min(side)] if side and depth == 1 else sorted(side)[:depth])]
        return Touch(self.scale, {key: levels[key] for key in best}, self.book.seq)


class _Playback:
    """One category's recordings, merged; each file's first message is at time 0."""

    def __init__(self, category: str) -> None:
        self.category = category
        self.books: dict[str, _PlayedBook] = {}
        self.topics: set[str] = set()
        self.listings: dict[str, Listing] = {}
        self.last_depth: dict[str, int] = {}
        self.asked: dict[str, None] = {}
        self.tapes: dict[str, Tape] = {}
        self.time_ms: int | None = None  # of the last message played, before any of the first one
        self.started_at: float | None = None
        self._next: list[tuple[int, int, Message, Iterator[Message]]] = []

    def add(self, recording: Recording) -> None:
        for symbol, precision in recording.precisions.items():
            if symbol in self.listings:
                # Two files may hold two topics of one symbol; they share its scale.
                known = self.listings[symbol].scale
                precision.price_digits = max(precision.price_digits, known.price_digits)
                precision.size_digits = max(precision.size_digits, known.size_digits)
            self.listings[symbol] = _listing(self.category, symbol, precision.price_digits, precision.size_digits)
            self.tapes.setdefault(symbol, Tape(self.category))
        self.topics.update(recording.topics)
        stream = recording.messages()
        self._queue(stream, len(self._next))
        self.time_ms = self._next[0][2].body.get("ts")
        for topic in self.topics:
            parsed = parse_topic(topic)
            if isinstance(parsed, BookTopic):
                self.books[topic] = _PlayedBook(parsed, self.listings[parsed.symbol].scale)

    def start(self, now: float) -> None:
        """Begin to play, unless that has begun."""
        if self.started_at is None:
            self.started_at = now

    def next_offset(self) -> int | None:
        return self._next[0][0] if self._next else None

    def take(self) -> Publication:
        """Play the next message: the simulator's own book takes it over, too."""
        _, order, message, stream = heapq.heappop(self._next)
        self._queue(stream, order)
        book = self.books.get(message.topic)
        if book is not None:
            book.play(message.body)
        elif isinstance(parse_topic(message.topic), TradeTopic):
            for row in message.body["data"]:
                self.tapes[row["s"]].add(_trade(row, self.listings[row["s"]].scale))
        self.time_ms = message.body.get("ts", self.time_ms)
        if book is not None and book.begun and self.time_ms is not None:
            self._begin_tape(book, self.time_ms)
        return Publication(self.category, message.topic, message.payload, message.body.get("type") == "delta")

    def _begin_tape(self, book: _PlayedBook, time_ms: int) -> None:
        """A symbol's market begins with its first book, if not with a trade: its past must not go on moving."""
        tape = self.tapes[book.symbol]
        if tape.begun_ms is None and (middle := book.touch().middle()) is not None:
            tape.begin(time_ms, middle)

    def snapshot(self, topic: str) -> bytes | None:
        played = self.books.get(topic)
        if played is None or not played.begun:
            return None
        facts = BookFacts(played.book.u, played.book.seq, played.ts, played.cts)
        return levels_message(self.category, topic, played.symbol, played.scale, played.book.levels, facts)

    def of_symbol(self, symbol: str) -> dict[int, _PlayedBook]:
        return {played.book.depth: played for played in self.books.values() if played.symbol == symbol}

    def _queue(self, stream: Iterator[Message], order: int) -> None:
        message = next(stream, None)
        if message is not None:
            heapq.heappush(self._next, (message.offset_ns, order, message, stream))


class ReplaySource:
    """Recordings played `speed` times as fast as they were made; None is as fast as they are taken.

    FeederError if two files of a category hold the same topic: their streams could only be mixed up.
    """

    def __init__(self, recordings: Sequence[Recording], speed: float | None, clock: Clock) -> None:
        self._speed = speed
        self._clock = clock
        self._playbacks: dict[str, _Playback] = {}
        holders: dict[tuple[str, str], Recording] = {}
        for recording in recordings:
            for topic in recording.topics:
                other = holders.setdefault((recording.category, topic), recording)
                if other is not recording:
                    raise FeederError(
                        f"{recording.category} topic {topic} is in {other.path} and in {recording.path}; leave one out"
                    )
            self._playbacks.setdefault(recording.category, _Playback(recording.category)).add(recording)

    def listings(self, category: str) -> list[Listing]:
        """The recorded symbols, with the finest digits in the files for tick and step."""
        playback = self._playbacks.get(category)
        return list(playback.listings.values()) if playback else []

    def find(self, category: str, symbol: str) -> tuple[int, Listing] | None:
        """A recorded symbol and its place."""
        for place, listing in enumerate(self.listings(category)):
            if listing.symbol == symbol:
                return place, listing
        return None

    def has_topic(self, category: str, topic: str) -> bool:
        """Whether it is in a recording."""
        playback = self._playbacks.get(category)
        return playback is not None and topic in playback.topics

    def subscribe(self, category: str, topic: str, now: float) -> bytes | None:
        """Start the category's time; a snapshot of our own if the recorded one has been played."""
        playback = self._playbacks[category]
        playback.start(now)
        parsed = parse_topic(topic)
        if isinstance(parsed, BookTopic):
            playback.last_depth[parsed.symbol] = parsed.depth
            playback.asked[topic] = None
        return playback.snapshot(topic)

    def unsubscribe(self, category: str, topic: str) -> None:
        """The recording goes on without a listener."""

    def follow(self, category: str, symbol: str, now: float) -> None:
        """Start the category's time."""
        self._playbacks[category].start(now)

    def leave(self, category: str, symbol: str) -> None:
        """The recording goes on without a listener."""

    def due(self, now: float) -> Iterator[Publication]:
        """The messages whose time has come, the categories in turns."""
        progress = True
        while progress:
            progress = False
            for playback in self._playbacks.values():
                due = self._due(playback)
                if due is not None and due <= now:
                    progress = True
                    yield playback.take()

    def next_due(self) -> float | None:
        """The time of the next message of the categories that have begun."""
        return min((due for due in map(self._due, self._playbacks.values()) if due is not None), default=None)

    def book_topics(self, category: str, symbol: str) -> list[str]:
        """The symbol's recorded orderbook topics that somebody has asked for."""
        playback = self._playbacks.get(category)
        return [topic for topic in playback.asked if playback.books[topic].symbol == symbol] if playback else []

    def resend(self, category: str, topic: str, *, restart: bool) -> Publication | None:
        """The topic's current book as a snapshot."""
        if restart:
            raise FeederError(f"{topic} is a replay, its update ids are recorded; restart a topic of a seeded market")
        payload = self._playbacks[category].snapshot(topic) if self.has_topic(category, topic) else None
        return None if payload is None else Publication(category, topic, payload, is_delta=False)

    def change_tick(self, category: str, symbol: str, tick: str | None, step: str | None) -> None:
        """Not of a recording."""
        raise FeederError(f"{symbol} is a replay, its numbers are recorded; change the tick in a seeded market")

    def enlist(self, listing: Listing) -> None:
        """Not in a recording."""
        raise FeederError(f"{listing.symbol} is not in the replay; list it in a seeded market")

    def surge(self, times: float, until: float) -> None:
        """Not of a recording."""
        raise FeederError("a replay has one speed; give it with --speed, or let a seeded market surge")

    def book(self, category: str, symbol: str, depth: int | None) -> BookState | None:
        """A depth's book; without one, that subscribed to last, the usual one, or the deepest there is."""
        playback = self._playbacks.get(category)
        depths = playback.of_symbol(symbol) if playback else {}
        if playback is None or not depths:
            return None
        if depth is None:
            usual = CATEGORIES[category].default_depth
            depth = playback.last_depth.get(symbol, usual if usual in depths else max(depths))
        played = depths.get(depth)
        if played is None:
            return None
        return BookState(category, symbol, played.scale, played.book, played.ts, played.cts)

    def rest_book(self, category: str, symbol: str) -> BookState | None:
        """The deepest recorded book; its `u` is the recording's."""
        playback = self._playbacks.get(category)
        depths = playback.of_symbol(symbol) if playback else {}
        return self.book(category, symbol, max(depths)) if depths else None

    def touch(self, category: str, symbol: str, depth: int = 1) -> Touch | None:
        """The best levels of the deepest recorded book as far as it was played."""
        playback = self._playbacks.get(category)
        if playback is None or symbol not in playback.listings:
            return None
        depths = playback.of_symbol(symbol)
        return depths[max(depths)].touch(depth) if depths else Touch(playback.listings[symbol].scale, {}, 0)

    def tape(self, category: str, symbol: str) -> Tape | None:
        """The recorded trades as far as they were played, at their recorded times."""
        playback = self._playbacks.get(category)
        return playback.tapes.get(symbol) if playback else None

    def time_ms(self, category: str) -> int:
        """The recorded time of what was played last, or first of all will be; the clock's if no time was recorded."""
        playback = self._playbacks.get(category)
        recorded = playback.time_ms if playback else None
        return self._clock.wall_ns() // 1_000_000 if recorded is None else recorded

    def _due(self, playback: _Playback) -> float | None:
        offset = playback.next_offset()
        if playback.started_at is None or offset is None:
            return None
        return playback.started_at + (offset / SECOND_NS / self._speed if self._speed else 0.0)


def _listing(category: str, symbol: str, price_digits: int, size_digits: int) -> Listing:
    finest = {digits: "0." + "1".rjust(digits, "0") if digits else "1" for digits in (price_digits, size_digits)}
    return new_listing(category, symbol, finest[price_digits], finest[size_digits], finest[price_digits])


def _trade(row: dict[str, Any], scale: Scale) -> Trade:
    return Trade(
        symbol=row["s"],
        scale=scale,
        buy=row.get("S") == "Buy",
        price=to_units(row["p"], scale.price_digits),
        size=to_units(row["v"], scale.size_digits),
        id=str(row.get("i", "")),
        tick_direction=row.get("L", ""),
        seq=row.get("seq", 0),
        time_ms=row.get("T", 0),
    )
