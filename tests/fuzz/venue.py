"""The venue's messages as a fuzz target: from the bytes of a frame to a consumer's book, and a naive book beside.

An input is a run of lines. A line is a message as it comes from the exchange, to the linear connection at first; or a
directive that starts with `!` (see `_DIRECTIVES`): a true message of the exchange, time, a lost connection. The
exchange of the stage answers requests as the true one does. What must hold:

- nothing raises, no worker fails, nothing is refused by the encoder, and the log stays short;
- what is taken for a book's update is exactly what the message says, read in another way;
- a message of a wanted book is taken, or its book is not LIVE: no update is lost in silence;
- a LIVE book, the feeder's and the consumer's, is the one that a naive book makes of what was taken;
- whatever came, an exchange that behaves makes every book LIVE and its own again.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import Any

import structlog

from feeder.bybit.actions import Phase
from feeder.bybit.instruments import InstrumentTable
from feeder.bybit.instruments_info import InstrumentInfo, LotSizeFilter, PriceFilter
from feeder.bybit.pool import BybitPool, Subscription
from feeder.bybit.rest.client import BybitClient
from feeder.bybit.stream import Stream
from feeder.client.partition import PartitionFeed
from feeder.clock import MILLISECOND_NS, ManualClock
from feeder.errors import RestError
from feeder.market.instrument import Instrument, InstrumentKey
from feeder.market.status import BookStatus, StatusReason
from feeder.market.update import BookUpdate, TradeUpdate, pairs
from feeder.multicast.plan import Channel, ChannelPlan
from feeder.multicast.publisher import Publisher
from feeder.pipeline.router import Router
from feeder.pipeline.symbol_queue import QueueBudget
from tests.helpers.feed import Datagram, Recorder

OPTION = "BTC-27NOV26-90000-C"
WANTED = (
    Subscription("linear", "BTCUSDT", 50, trades=True),
    Subscription("linear", "ETHUSDT", 1, trades=False),
    Subscription("linear", "XRPUSDT", 200, trades=True),
    Subscription("option", OPTION, 25, trades=True),
)
TOPICS = {f"orderbook.{wanted.depth}.{wanted.symbol}": wanted.key for wanted in WANTED}

_MOST_LINES = 80
_MOST_LOG_LINES = 12  # of one message; a new connection's books are said one by one
_LONGEST_LOG_LINE = 1500
_MOST_TIMERS = 2000  # in 10 s: four a second for freshness, twenty for requests, and more
_MOST_OLD = 110  # so many updates that seem to be old show that a counter has begun anew
_HEALING_ROUNDS = _MOST_OLD + 200  # 20 s each: a topic that was refused by mistake may be asked for after an hour


class Table(InstrumentTable):
    """The instruments of the stage, without REST; `reachable` says whether a refresh succeeds."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(BybitClient(base_url="http://none"), clock=clock)
        self.reachable = True
        steps = {"BTCUSDT": ("0.10", "0.001"), "ETHUSDT": ("0.01", "0.01"), "XRPUSDT": ("0.0001", "0.1")}
        for symbol, (tick, step) in steps.items():
            self._take("linear", [_listed(symbol, tick, step)])
        self._take("option", [_listed(OPTION, "5", "0.01")])

    async def refresh(self, key: InstrumentKey) -> Instrument:
        await asyncio.sleep(0)
        if not self.reachable:
            raise RestError("nobody answers", retriable=True)
        return self.get(key)


def _listed(symbol: str, tick: str, step: str) -> InstrumentInfo:
    return InstrumentInfo(symbol, "Trading", PriceFilter(tick), LotSizeFilter(qtyStep=step))


@dataclass
class NaiveBook:
    """A book as one would write it in ten lines, fed with what was taken from the venue."""

    depth: int
    bids: dict[int, int] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)
    last: int | None = None  # update id; None: broken, or nothing came yet
    trimmed: bool = False  # the venue sent more levels than the window has

    def take(self, update: BookUpdate) -> None:
        if update.snapshot or (update.update_id == 1 and self.last != 0):
            if self.depth == 1 and update.update_id == self.last != 1:
                return  # the repetition of an unchanged book
            self.bids, self.asks = {}, {}
            for side, flat in ((self.bids, update.bids), (self.asks, update.asks)):
                side.update({price: quantity for price, quantity in pairs(flat) if quantity})
            self.last = update.update_id
            self.trimmed = False
        elif self.depth == 1:
            self.last = None
        elif self.last is not None and update.update_id == self.last + 1:
            for side, flat in ((self.bids, update.bids), (self.asks, update.asks)):
                side.update(pairs(flat))
                for price in [price for price, quantity in side.items() if not quantity]:
                    del side[price]
            self.last = update.update_id
        elif self.last is not None and update.update_id > self.last:
            self.last = None
        for side, worst in ((self.bids, min), (self.asks, max)):
            while len(side) > self.depth:
                self.trimmed = True
                del side[worst(side)]

    def levels(self) -> tuple[list[int], list[int]]:
        bids = [number for price in sorted(self.bids, reverse=True) for number in (price, self.bids[price])]
        asks = [number for price in sorted(self.asks) for number in (price, self.asks[price])]
        return bids, asks


class Tap:
    """What the venue side says, compared with the message it came from and told to the naive books and the router."""

    def __init__(self, router: Router, clock: ManualClock) -> None:
        self.router = router
        self.naive = {wanted.key: NaiveBook(wanted.depth) for wanted in WANTED}
        self.exponents: dict[InstrumentKey, tuple[int, int]] = {}
        self.message: dict[str, Any] = {}
        self.taken: list[InstrumentKey] = []

    def on_book(self, key: InstrumentKey, update: BookUpdate) -> None:
        data = self.message["data"]
        assert TOPICS[self.message["topic"]] == key
        assert update.snapshot is (self.message["type"] == "snapshot")
        assert update.update_id == update.first_update_id == data["u"]
        for flat, texts in ((update.bids, data["b"]), (update.asks, data["a"])):
            read = [exact for price, quantity in texts for exact in (Fraction(price), Fraction(quantity))]
            scales = [Fraction(10) ** exponent for exponent in self.exponents[key]] * len(texts)
            assert [number * scale for number, scale in zip(flat, scales, strict=True)] == read
            assert all(0 <= number < 1 << 63 for number in flat)
        self.taken.append(key)
        self.naive[key].take(update)
        self.router.on_book(key, update)

    def on_trades(self, key: InstrumentKey, trades: list[TradeUpdate], generation: int) -> None:
        self.router.on_trades(key, trades, generation)

    def on_trades_lost(self, key: InstrumentKey, count: int) -> None:
        self.router.on_trades_lost(key, count)

    def on_reset(self, key: InstrumentKey, generation: int, reason: StatusReason) -> None:
        self.naive[key].last = None
        self.router.on_reset(key, generation, reason)

    def on_definition(self, instrument: Instrument) -> None:
        self.exponents[instrument.key] = (instrument.price_exponent, instrument.quantity_exponent)
        self.router.on_definition(instrument)


@dataclass
class TrueBook:
    """A book as the exchange has it."""

    topic: str
    update_id: int = 10
    quantity: int = 1

    def message(self, clock: ManualClock, kind: str) -> bytes:
        symbol = self.topic.split(".", 2)[2]
        now = clock.wall_ns() // MILLISECOND_NS
        bids = [["100", str(self.quantity)], *([["95", "2"]] if kind == "snapshot" and ".1." not in self.topic else [])]
        data = {"s": symbol, "b": bids, "a": [["105", "3"]], "u": self.update_id, "seq": self.update_id * 10}
        return json.dumps({"topic": self.topic, "type": kind, "ts": now, "data": data, "cts": now - 2}).encode()

    def change(self) -> None:
        self.update_id += 1
        self.quantity = self.quantity % 50 + 1

    def exact_levels(self) -> tuple[list[tuple[Fraction, Fraction]], list[tuple[Fraction, Fraction]]]:
        second = [(Fraction(95), Fraction(2))] if ".1." not in self.topic else []
        return [(Fraction(100), Fraction(self.quantity)), *second], [(Fraction(105), Fraction(3))]


class Socket:
    """The transport of one connection and the exchange at its other end, as far as that knows of the connection."""

    is_disconnected = True

    def __init__(self, stage: "Stage", category: str) -> None:
        self.answers: list[bytes] = []
        self.subscribed: set[str] = set()
        self._stage = stage
        self._category = category

    def send(self, _kind: object, text: bytes) -> None:
        request = json.loads(text)
        operation = request["op"]
        if operation == "ping":
            self.answers.append(b'{"success":true,"ret_msg":"pong","op":"ping"}')
            return
        known = [topic for topic in request["args"] if topic in self.subscribed]
        if operation == "subscribe":
            new = [topic for topic in request["args"] if topic not in self.subscribed]
            self.subscribed.update(new)
        else:
            new = []
            self.subscribed.difference_update(request["args"])
        if self._category == "option":
            body: dict[str, Any] = {"success": True, "conn_id": "c", "type": "COMMAND_RESP"}
            body["data"] = {"failTopics": known if operation == "subscribe" else [], "successTopics": new or known}
        elif operation == "subscribe" and known:
            new = []
            text_ = f"error:already subscribed,topic:{known[0]}"
            body = {"success": False, "ret_msg": text_, "req_id": request["req_id"], "op": operation}
        else:
            body = {"success": True, "ret_msg": "", "conn_id": "c", "req_id": request["req_id"], "op": operation}
        self.answers.append(json.dumps(body).encode())
        books = self._stage.true
        self.answers += [books[topic].message(self._stage.clock, "snapshot") for topic in new if topic in books]

    def disconnect(self, graceful: bool = True) -> None:
        self.answers.clear()


class Logged:
    """Counts what is logged, and writes none of it."""

    def __init__(self) -> None:
        self.lines = 0

    def __call__(self, _logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        self.lines += 1
        size = len(str(event))
        assert size <= _LONGEST_LOG_LINE, f"a line of {size} characters is logged"
        raise structlog.DropEvent


class Stage:
    """The exchange, the whole feeder but its sockets, a consumer."""

    def __init__(self, logged: Logged, max_lag_seconds: float | None) -> None:
        self.logged = logged
        self.clock = ManualClock()
        self.true = {topic: TrueBook(topic) for topic in TOPICS}
        self.table = Table(self.clock)
        self.wire: list[Datagram] = []
        self.deferred: list[Callable[[], None]] = []
        plan = ChannelPlan(partitions=1)

        def open_senders(channel: Channel) -> list[Recorder]:
            return [Recorder("A", channel.channel_id, self.wire)]

        self.publisher = Publisher(plan, open_senders, self.clock, self.deferred.append)
        self.router = Router(8, QueueBudget(40), self._resync, self.clock)
        self.tap = Tap(self.router, self.clock)
        self.pool = BybitPool(
            "ws://none", self.table, self.tap, clock=self.clock, random=Random(1), max_lag_seconds=max_lag_seconds
        )
        self.feed = PartitionFeed(
            0, plan.channels, self.clock, lambda _: None, None, ask=lambda *_: None, random=Random(1)
        )
        Stream._set_timer, kept = (lambda *_: None), Stream._set_timer  # type: ignore[method-assign]
        try:
            assert not self.pool.subscribe(WANTED)
        finally:
            Stream._set_timer = kept  # type: ignore[method-assign]
        self.pool._started = True  # its questions to REST are asked; its sockets are the stage's
        for wanted in WANTED:
            instrument = self.table.get(wanted.key)
            self.tap.exponents[wanted.key] = (instrument.price_exponent, instrument.quantity_exponent)
            self.router.add(instrument, wanted.depth, self.publisher.add(instrument, wanted.depth))
        self.publisher.complete = True
        self.streams = {stream.connection.category: stream for stream in self.pool._streams}
        self.sockets: dict[str, Socket] = {}
        for category, stream in self.streams.items():
            stream._set_timer = lambda when: None  # type: ignore[method-assign]
            self._connect(category)
        self.category = "linear"
        self.burst = False
        self.mute = False

    async def turn(self) -> None:
        """Everything that waits is handled: answers, questions to REST, workers, packets; then all must be well."""
        for _ in range(20):
            for category, stream in self.streams.items():
                if stream._transport is None:
                    self._connect(category)
                if not self.mute:
                    self._answer(category)
            for _ in range(3):
                await asyncio.sleep(0)
            await self.router.drain()
            if not any(socket.answers for socket in self.sockets.values()) and not self.pool._refreshing:
                break
        while self.deferred:
            self.deferred.pop(0)()
        wire, self.wire[:] = list(self.wire), []
        for datagram in wire:
            self.feed.on_datagram(*datagram)
        self.check()

    async def wait(self, seconds: float) -> None:
        """Time passes: timers fire when they are due."""
        until = self.clock.monotonic() + seconds
        for _ in range(_MOST_TIMERS):
            due = min(stream.connection.session.next_timer() or until for stream in self.streams.values())
            now = self.clock.monotonic()
            self.clock.advance(max(0.0, min(due, until) - now) + 1e-8)  # this clock has whole nanoseconds
            for stream in self.streams.values():
                stream.perform(stream.connection.on_timer())
            await self.turn()
            if self.clock.monotonic() >= until:
                return
        raise AssertionError("timers fire and fire")

    async def payload(self, payload: bytes) -> None:
        """A message comes in on the present connection."""
        stream = self.streams[self.category]
        if stream._transport is None:
            return
        self.tap.message = message = read(payload)
        key = TOPICS.get(message.get("topic", "")) if isinstance(message.get("topic"), str) else None
        active = key is not None and key[0] == self.category and self._phase(key) is Phase.ACTIVE
        self.tap.taken.clear()
        before = self.logged.lines
        outputs = stream.connection.on_payload(payload, self.clock.wall_ns())
        lines = self.logged.lines - before
        assert lines <= _MOST_LOG_LINES, f"{lines} lines are logged of one message"
        taken = list(self.tap.taken)
        assert len(taken) <= 1
        if outputs is not None:
            stream.perform(outputs)
        if active and not taken:
            assert key is not None
            assert self.tap.naive[key].last is None, "a message was lost and its book is as before"
        if not self.burst:
            await self.turn()

    def check(self) -> None:
        """What must hold when everything is handled."""
        assert not self.router.totals()["failures"], "a worker failed"
        assert not self.publisher._failed, "an instrument could not be published"
        assert not self.feed.malformed, self.feed.last_malformed
        assert not self.feed.books.counters.malformed
        for key, worker in self.router.workers.items():
            naive = self.tap.naive[key]
            levels = worker.book.levels()
            if worker.status is BookStatus.LIVE:
                assert naive.last is not None, f"{key} is LIVE on a broken run"
                assert worker._sync.last_update_id == naive.last
                if not naive.trimmed:
                    assert (levels.bids, levels.asks) == naive.levels(), f"{key} is LIVE and wrong"
                assert all(high > low for high, low in pairwise(levels.bids[::2]))
                assert not (levels.bids and levels.asks) or levels.bids[0] < levels.asks[0], "LIVE and crossed"
            view = self.feed.books.views.get(worker.instrument.id)
            if view is not None and view.is_live:
                assert worker.status is BookStatus.LIVE
                assert view.depth() == levels, f"the consumer's {key} is LIVE and wrong"

    async def heal(self) -> None:
        """The exchange behaves: every book becomes LIVE and its own."""
        self.burst = self.mute = False
        self.table.reachable = True
        await self.turn()
        for number in range(_HEALING_ROUNDS):
            for topic in self.true:
                await self._true(topic)
            if number and self._live():
                break
            if number >= _MOST_OLD:
                self.clock.advance(20.0)
                for stream in self.streams.values():
                    stream.perform(stream.connection.on_timer())
                await self.turn()
        for key, worker in self.router.workers.items():
            assert worker.status is BookStatus.LIVE, f"{key} is {worker.status.name} {worker.reason.name} for ever"
        # In the books there may yet be an update of the exchange's form that was none of the exchange's.
        for stream in self.streams.values():
            stream.drop("lost")
        await self.turn()
        for topic in self.true:
            await self._true(topic)
        assert self._live()
        assert all(self._own(topic, key) for topic, key in TOPICS.items()), "a book is LIVE and not the exchange's"
        for _ in range(60):  # rounds of snapshots and definitions
            self.clock.advance(0.05)
            self.publisher.tick(self.clock.monotonic())
            while self.deferred:
                self.deferred.pop(0)()
            wire, self.wire[:] = list(self.wire), []
            for datagram in wire:
                self.feed.on_datagram(*datagram)
            self.feed.on_time()
        self.check()
        assert all(view.is_live for view in self.feed.books.views.values())
        assert len(self.feed.books.views) == len(WANTED)

    def _live(self) -> bool:
        return all(worker.status is BookStatus.LIVE for worker in self.router.workers.values())

    def _own(self, topic: str, key: InstrumentKey) -> bool:
        price, quantity = (Fraction(10) ** exponent for exponent in self.tap.exponents[key])
        levels = self.router.workers[key].book.levels()
        bids, asks = ([(p * price, q * quantity) for p, q in pairs(side)] for side in (levels.bids, levels.asks))
        return (bids, asks) == self.true[topic].exact_levels()

    async def _true(self, topic: str, *, lose: bool = False) -> None:
        """The exchange's book changes, and whoever has subscribed is told."""
        book = self.true[topic]
        book.change()
        category = TOPICS[topic][0]
        if lose or topic not in self.sockets[category].subscribed or self.streams[category]._transport is None:
            return
        present, self.category = self.category, category
        await self.payload(book.message(self.clock, "snapshot" if book.topic.startswith("orderbook.1.") else "delta"))
        self.category = present

    def _phase(self, key: InstrumentKey) -> Phase:
        return self.pool._markets[key].topic.phase

    def _resync(self, key: InstrumentKey, reason: StatusReason, generation: int) -> None:
        self.pool.resync(key, reason, generation)

    def _connect(self, category: str) -> None:
        self.clock.advance(0.1)
        self.sockets[category] = Socket(self, category)
        self.streams[category].on_connected(self.sockets[category])  # type: ignore[arg-type]

    def _answer(self, category: str) -> None:
        stream, socket = self.streams[category], self.sockets[category]
        while socket.answers and stream._transport is not None:
            answer = socket.answers.pop(0)
            self.tap.message = read(answer)
            outputs = stream.connection.on_payload(answer, self.clock.wall_ns())
            if outputs is not None:
                stream.perform(outputs)


def read(payload: bytes) -> dict[str, Any]:
    """A message as Python's own JSON reads it; empty when it is none."""
    try:
        message = json.loads(payload.decode("utf-8", "replace"), parse_int=_whole)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def _whole(text: str) -> int:
    return int(text) if len(text) < 4000 else 0  # of such a number nothing is taken


def run(data: bytes) -> None:
    """One run of lines. Raises when something that must hold does not."""
    asyncio.run(_play(data))


async def _play(data: bytes) -> None:
    lines = data.split(b"\n")[:_MOST_LINES]
    logged = Logged()
    structlog.configure(processors=[logged])
    stage = Stage(logged, 5.0 if lines[0] == b"!judge-age" else None)
    try:
        await stage.turn()
        await stage.wait(0.5)
        await follow(stage, lines)
        await stage.heal()
    finally:
        await stage.router.aclose()
        for task in stage.pool._refreshing.values():
            task.cancel()
        await asyncio.gather(*stage.pool._refreshing.values(), return_exceptions=True)
        structlog.reset_defaults()


async def follow(stage: Stage, lines: list[bytes]) -> None:
    """Do what these lines say."""
    for line in lines:
        if line.startswith(b"!"):
            word, _, argument = line[1:].partition(b" ")
            directive = _DIRECTIVES.get(word)
            if directive is not None:
                await directive(stage, argument)
        elif line:
            await stage.payload(line)


def _topic(argument: bytes) -> str:
    topics = list(TOPICS)
    return topics[int(argument) % len(topics)] if argument.isdigit() and len(argument) < 9 else topics[0]


async def _change(stage: Stage, argument: bytes) -> None:
    await stage._true(_topic(argument))


async def _lose(stage: Stage, argument: bytes) -> None:
    await stage._true(_topic(argument), lose=True)


async def _snapshot(stage: Stage, argument: bytes) -> None:
    topic = _topic(argument)
    stage.category, present = TOPICS[topic][0], stage.category
    if topic in stage.sockets[stage.category].subscribed:
        await stage.payload(stage.true[topic].message(stage.clock, "snapshot"))
    stage.category = present


async def _wait(stage: Stage, argument: bytes) -> None:
    await stage.wait(min(int(argument), 100) / 10 if argument.isdigit() and len(argument) < 9 else 0.5)


async def _drop(stage: Stage, argument: bytes) -> None:
    stage.streams[stage.category].drop("lost")
    await stage.turn()


async def _option(stage: Stage, argument: bytes) -> None:
    stage.category = "option"


async def _linear(stage: Stage, argument: bytes) -> None:
    stage.category = "linear"


async def _burst(stage: Stage, argument: bytes) -> None:
    stage.burst = True


async def _turn(stage: Stage, argument: bytes) -> None:
    stage.burst = False
    await stage.turn()


async def _mute(stage: Stage, argument: bytes) -> None:
    stage.mute = True


async def _hear(stage: Stage, argument: bytes) -> None:
    stage.mute = False
    await stage.turn()


async def _no_rest(stage: Stage, argument: bytes) -> None:
    stage.table.reachable = False


_DIRECTIVES = {
    b"change": _change,  # the exchange's book number so-and-so changes
    b"lose": _lose,  # it changes, and nobody hears of it
    b"snapshot": _snapshot,  # the exchange sends its book anew
    b"wait": _wait,  # tenths of a second
    b"drop": _drop,  # the connection is lost
    b"option": _option,  # messages come in on the option connection from here
    b"linear": _linear,
    b"burst": _burst,  # workers do not get to run until `turn`
    b"turn": _turn,
    b"mute": _mute,  # requests are not answered until `hear`
    b"hear": _hear,
    b"no-rest": _no_rest,
}


def directives() -> Iterator[bytes]:
    """Every directive, as a line."""
    for word in _DIRECTIVES:
        yield b"\n!" + word + b" 1\n"
