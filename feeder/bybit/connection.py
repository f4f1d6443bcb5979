"""What one connection carries: a message comes in, market updates go to the sink. No socket in here.

The hot path is `on_payload`: one decode, one dictionary look-up, one update. Everything unusual leaves it at once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from feeder.clock import Clock
from feeder.errors import FinerThanScale, FixedPointError, MessageError
from feeder.log import logger
from feeder.market.instrument import Instrument, InstrumentKey
from feeder.market.status import StatusReason
from feeder.market.update import BookUpdate, TradeUpdate

from .actions import Action, Phase, Reconnect, Refused, Reset, Send, Topic
from .counters import Counters
from .freshness import Freshness, Verdict
from .messages import (
    DECODE_ERRORS,
    BookData,
    Message,
    TradeData,
    decode,
    decode_command_response,
    decode_heading,
    find_topic,
)
from .normalize import Scale, book_update, needed_exponents, trade_update
from .old_books import OldBooks
from .session import Session
from .stream import Output

_log = logger("bybit.connection")
_ACTIVE = Phase.ACTIVE
_ONCE = 1000  # kinds of trouble remembered as logged; more than that is one flood, not many events


class MarketSink(Protocol):
    """Where updates go. Called from the event loop; must neither block nor raise."""

    def on_book(self, key: InstrumentKey, update: BookUpdate) -> None:
        """A snapshot or delta, in the venue's order, of the generation it carries."""
        ...

    def on_trades(self, key: InstrumentKey, trades: list[TradeUpdate], generation: int) -> None:
        """Trades of one venue message, in the venue's order; `generation` is that of the instrument's book."""
        ...

    def on_trades_lost(self, key: InstrumentKey, count: int) -> None:
        """At least so many trades of the instrument came that could not be taken."""
        ...

    def on_reset(self, key: InstrumentKey, generation: int, reason: StatusReason) -> None:
        """The book is STALE at once and pending updates are worthless: only those of `generation` count from now on."""
        ...

    def on_definition(self, instrument: Instrument) -> None:
        """The instrument as it is now. If its scale is another, the book was reset before; what follows is at that."""
        ...


@dataclass(slots=True, eq=False)
class Market:
    """One wanted book (and perhaps its trades), as its connection sees it."""

    key: InstrumentKey
    depth: int
    trades: bool
    topic: Topic
    scale: Scale


class Connection:
    """One connection's topics, from the bytes of a message to the sink."""

    def __init__(
        self,
        name: str,
        category: str,
        session: Session,
        sink: MarketSink,
        clock: Clock,
        counters: Counters,
        freshness: Freshness,
        request_scale: Callable[[Market, int, int], None],
        check_listing: Callable[[Market], None],
    ) -> None:
        self.name = name
        self.category = category
        self.session = session
        self.freshness = freshness
        self.judge_before_ms = freshness.judge_before_ms  # a copy: read for each message
        self.books: dict[str, Market] = {}  # by topic
        self.trades: dict[str, dict[str, Market]] = {}  # by topic, then by symbol: an option topic serves many
        self._sink = sink
        self._clock = clock
        self._counters = counters
        self._request_scale = request_scale
        self._check_listing = check_listing
        self._logged: set[str] = set()
        self._old_books = OldBooks()

    def on_connected(self) -> list[Output]:
        """The socket is open."""
        self._logged.clear()
        now = self._clock.monotonic()
        self._old_books.start()
        self.freshness.on_connected(now)
        self.judge_before_ms = self.freshness.judge_before_ms
        return self._apply(self.session.on_connected(now))

    def on_disconnected(self, reason: StatusReason = StatusReason.DISCONNECTED) -> None:
        """The socket is gone, or given up for this reason; every book is reset before this returns."""
        self.judge_before_ms = 0  # what is still read from it counts for nothing
        self._apply(self.session.on_disconnected(self._clock.monotonic(), reason))

    def on_timer(self) -> list[Output]:
        """Do what is due; call it at `next_timer` at the latest, and after `want` or `unwant`."""
        now = self._clock.monotonic()
        if not self.session.connected:
            return []
        freshness = self.freshness
        self.session.excuse(freshness.stalled(now))
        verdict = freshness.on_timer(now)
        self.judge_before_ms = freshness.judge_before_ms
        if verdict is Verdict.REPLACE:
            return [self._replaced(now)]
        actions: list[Action] = []
        if self._old_books:
            to_renew, to_resync = self._old_books.take()
            actions += self.session.renew(to_renew, StatusReason.OUTDATED, now)
            for topic in to_resync:
                actions += self.session.resync(topic, StatusReason.OUTDATED, now)
        return self._apply(actions + self.session.on_timer(now))

    def next_timer(self) -> float | None:
        """When to call `on_timer` at the latest, monotonic seconds; None while there is no connection."""
        soonest = self.session.next_timer()
        return None if soonest is None else min(soonest, self.freshness.next_timer())

    def reconnect_delay(self) -> float:
        """Seconds to wait before the next attempt to connect."""
        return self.session.reconnect_delay()

    def resync(self, market: Market, reason: StatusReason) -> list[Output]:
        """Begin a book anew, unless that is under way."""
        return self._apply(self.session.resync(market.topic, reason, self._clock.monotonic()))

    def release(self, market: Market) -> list[Output]:
        """Go on with a book that waited for its scale."""
        return self._apply(self.session.release(market.topic, self._clock.monotonic()))

    def refuse_scale(self, market: Market, error: FixedPointError) -> list[Output]:
        """The finer scale that a message asked for cannot be: it was malformed, and so is the next one like it."""
        self._counters.decode_errors += 1
        scale = market.scale
        market.scale = Scale(scale.price_exponent, scale.quantity_exponent, finer_digits=0)
        _log.warning("malformed message", connection=self.name, topic=market.topic.name, error=str(error))
        if market.topic.phase is Phase.RESYNC_DUE:  # a message of its book; trades are lost, and were counted
            self._sink.on_reset(market.key, market.topic.generation, StatusReason.MALFORMED)
        return self.release(market)

    def on_payload(self, payload: bytes, receive_time_ns: int) -> list[Output] | None:
        """Take one text message. None: it was data and there is nothing to do."""
        counters = self._counters
        counters.messages += 1
        try:
            message = decode(payload)
        except DECODE_ERRORS as error:
            return self._on_undecoded(payload, error)
        data = message.data
        if type(data) is BookData:
            market = self.books.get(message.topic)
            if market is None:
                return self._on_misfit(message.topic, "an object where trades are an array")
            if message.ts < self.judge_before_ms:  # a sample, or old: see freshness.py
                outputs = self._judge(message, market)
                if outputs is not None:
                    return outputs
            topic = market.topic
            if topic.phase is not _ACTIVE and not self.session.admit(
                topic, is_snapshot=message.type == "snapshot", now=self._clock.monotonic()
            ):
                return None
            try:
                update = book_update(message, data, market.scale, receive_time_ns, topic.generation)
            except (FixedPointError, MessageError) as error:
                return self._on_bad_book(market, data, error)
            counters.book_updates += 1
            self._sink.on_book(market.key, update)
            return None
        if type(data) is list:
            return self._on_trades(message, data, receive_time_ns)
        return self._on_control(message)

    def _on_trades(self, message: Message, trades: list[TradeData], receive_time_ns: int) -> list[Output] | None:
        markets = self.trades.get(message.topic)
        if markets is None:
            return self._on_misfit(message.topic, "an array where a book is an object")
        if message.ts < self.judge_before_ms:
            outputs = self._judge(message, None)
            if outputs is not None:
                return outputs
        topic = self.session.topics[message.topic]
        if not self.session.admit(topic, is_snapshot=False, now=self._clock.monotonic()):
            return None
        counters = self._counters
        updates: dict[Market, list[TradeUpdate]] = {}
        finer: dict[Market, tuple[int, int]] = {}  # exponents
        for trade in trades:
            market = markets.get(trade.s)
            if market is None:
                counters.trades_unrouted += 1
                continue
            try:
                update = trade_update(trade, message.ts, market.scale, receive_time_ns)
            except FinerThanScale:
                self._on_finer_trade(message.topic, market, trade, finer)
            except (FixedPointError, MessageError) as error:
                self._on_bad_trades(message.topic, {market: 1}, error)
            else:
                updates.setdefault(market, []).append(update)
        for market, its_updates in updates.items():
            counters.trades += len(its_updates)
            self._sink.on_trades(market.key, its_updates, market.topic.generation)
        for market, exponents in finer.items():
            self._request_scale(market, *exponents)
        return None

    def _judge(self, message: Message, market: Market | None) -> list[Output] | None:
        """Judge how old a message is; None: go on with it. Trades (no market) tell their own times and always go on."""
        now = self._clock.monotonic()
        freshness = self.freshness
        self.session.heard(now)
        verdict = freshness.judge(message.ts, now)
        self.judge_before_ms = freshness.judge_before_ms
        if freshness.recorded and self._first_time("recorded"):
            _log.warning("data of a recording, not judged for its age", connection=self.name, age_seconds=self._lag())
        if verdict is Verdict.REPLACE:
            return [self._replaced(now)]
        if verdict is Verdict.FRESH:
            # What was old before is begun anew by the timer: this message itself must go on.
            self._old_books.on_fresh(market.topic if market is not None else None)
        if market is None or verdict is Verdict.FRESH or verdict is Verdict.ACCEPT:
            return None
        topic = market.topic
        if verdict is Verdict.STUCK:
            self._old_books.doubt(topic)
            if topic.phase is _ACTIVE:
                return None  # the book may not miss it, should the topic not be stuck after all
        elif message.type == "snapshot":
            self._old_books.hold(topic)
        if message.type == "snapshot":
            self._counters.held_snapshots += 1
            self.session.postpone(topic, now)
        return []

    def _replaced(self, now: float) -> Reconnect:
        """Another connection instead of this one, for the age of its data."""
        self.freshness.on_replaced(now)
        self._counters.outdated += 1
        why = f"its newest data is {self._lag()} s old, freshness.max_lag_seconds {self.freshness.limit_seconds:g}"
        return Reconnect(why, StatusReason.OUTDATED)

    def _lag(self) -> float:
        return round(self.freshness.lag_seconds or 0.0, 1)

    def _on_finer_trade(
        self, topic: str, market: Market, trade: TradeData, finer: dict[Market, tuple[int, int]]
    ) -> None:
        """A trade lost for its scale; what it needs goes to `finer`, together with what others of its message need."""
        try:
            price_exponent, quantity_exponent = needed_exponents(trade, market.scale)
        except FixedPointError as error:
            self._on_bad_trades(topic, {market: 1}, error)
            return
        others = finer.get(market, (0, 0))
        finer[market] = (min(price_exponent, others[0]), min(quantity_exponent, others[1]))
        self._lose_trades({market: 1})

    def _on_control(self, message: Message) -> list[Output]:
        """Acks and pongs; or data without its `data`."""
        if message.topic:
            return self._on_undecodable_data(message.topic, MessageError("no data"))
        if message.is_pong or message.is_response:
            return self._apply(self.session.on_response(message, self._clock.monotonic()))
        self._on_unknown(f"op {message.op[:60]!r} type {message.type[:60]!r}")
        return []

    def _on_undecoded(self, payload: bytes, error: Exception) -> list[Output]:
        """Not what `Message` describes: the option endpoint's answers, topics nobody asked for, or trouble."""
        try:
            heading = decode_heading(payload)
            if heading.type == "COMMAND_RESP":
                response = decode_command_response(payload)
                return self._apply(self.session.on_command_response(response, self._clock.monotonic()))
        except DECODE_ERRORS:
            topic = find_topic(payload)
        else:
            topic = heading.topic or None
        if topic is not None and topic in self.session.topics:
            return self._on_undecodable_data(topic, error)
        try:
            msgspec.json.decode(payload)
        except DECODE_ERRORS:
            # It may have been for any book of this connection: none of them can be trusted any longer.
            self._counters.decode_errors += 1
            return [Reconnect(f"undecodable message: {error}")]
        if topic is not None:
            return self._on_unrouted(topic)
        self._on_unknown(f"message of {len(payload)} bytes: {error}")
        return []

    def _on_unrouted(self, topic: str) -> list[Output]:
        """Data of a topic without a book here: one being let go of, or one nobody asked for."""
        if topic in self.session.topics:
            self._counters.dropped_old_generation += 1
        else:
            self._counters.unknown_topics += 1
            if self._first_time(topic):
                _log.warning("unknown topic", connection=self.name, topic=topic[:200])
        return []

    def _on_misfit(self, topic: str, what: str) -> list[Output]:
        """Data in a shape that its topic does not have, if it is a topic of ours at all."""
        if topic in self.books or topic in self.trades:
            return self._on_undecodable_data(topic, MessageError(what))
        return self._on_unrouted(topic)

    def _on_unknown(self, what: str) -> None:
        self._counters.unknown_messages += 1
        if self._first_time(what):
            _log.warning("unknown message", connection=self.name, error=what)

    def _on_undecodable_data(self, topic: str, error: Exception) -> list[Output]:
        """Data of a wanted topic that cannot be read: what it changed is lost."""
        if topic not in self.session.topics:
            return self._on_unrouted(topic)
        market = self.books.get(topic)
        if market is not None:
            return self._on_malformed(market, error)
        # How many trades it held, and of which instruments of the topic, can no longer be told.
        self._on_bad_trades(topic, dict.fromkeys(self.trades.get(topic, {}).values(), 1), error)
        return []

    def _on_bad_book(self, market: Market, data: BookData, error: Exception) -> list[Output]:
        """Numbers finer than the scale ask for a finer one; other faults for a resync."""
        if isinstance(error, FinerThanScale):
            try:
                exponents = needed_exponents(data, market.scale)
            except FixedPointError as worse:
                outputs = self._on_malformed(market, worse)
                if not market.scale.finer_digits:  # one was refused; the venue may have changed its own since
                    self._check_listing(market)
                return outputs
            held = self.session.resync(market.topic, StatusReason.SCALE, self._clock.monotonic(), hold=True)
            outputs = self._apply(held)
            self._request_scale(market, *exponents)
            return outputs
        return self._on_malformed(market, error)

    def _on_malformed(self, market: Market, error: Exception) -> list[Output]:
        self._counters.decode_errors += 1
        if market.topic.phase in (Phase.ACTIVE, Phase.SUBSCRIBING):
            _log.warning("malformed message", connection=self.name, topic=market.topic.name, error=str(error))
        return self.resync(market, StatusReason.MALFORMED)

    def _on_bad_trades(self, topic: str, lost: Mapping[Market, int], error: Exception) -> None:
        self._counters.decode_errors += 1
        self._lose_trades(lost)
        if self._first_time(f"{topic} trades"):
            _log.warning("malformed message", connection=self.name, topic=topic, error=str(error))

    def _lose_trades(self, lost: Mapping[Market, int]) -> None:
        for market, count in lost.items():
            self._counters.trades_lost += count
            self._sink.on_trades_lost(market.key, count)

    def _apply(self, actions: Sequence[Action]) -> list[Output]:
        """Tell the sink what happened to books; leave what is for the socket to the caller."""
        outputs: list[Output] = []
        defect: Exception | None = None
        for action in actions:
            if isinstance(action, Send | Reconnect):
                outputs.append(action)
                continue
            try:
                self._tell(action)
            except Exception as error:  # noqa: BLE001 - raised below; the other books must not stay LIVE for it
                defect = error
        if defect is not None:
            raise defect
        return outputs

    def _tell(self, action: Reset | Refused) -> None:
        market = self.books.get(action.topic.name)
        if isinstance(action, Refused):
            _log.error(
                "topic refused",
                connection=self.name,
                category=self.category,
                topic=action.topic.name,
                error=action.message[:200],
                attempt=action.topic.refusals,
                delay_seconds=round(action.delay_seconds, 3),
            )
            if market is not None:
                self._sink.on_reset(market.key, action.generation, StatusReason.REFUSED)
                self._check_listing(market)
        elif market is not None:
            self._log_resync(action)
            self._sink.on_reset(market.key, action.generation, action.reason)

    def _log_resync(self, reset: Reset) -> None:
        if not self.session.connected:
            return  # said once for the connection, not for each of its books
        _log.info(
            "resync",
            connection=self.name,
            topic=reset.topic.name,
            reason=reset.reason.name,
            generation=reset.generation,
            attempt=reset.topic.failures,
        )

    def _first_time(self, what: str) -> bool:
        """Whether this trouble is to be logged: once per connection made, however often it happens."""
        if what in self._logged or len(self._logged) >= _ONCE:
            return False
        self._logged.add(what)
        return True
