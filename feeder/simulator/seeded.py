"""The random market of a whole exchange: who moves when, and what each orderbook topic publishes on its grid.

All waiting things stand in one heap; `due` works it off up to a time. A symbol's market moves only while somebody
subscribes to something of it, and at most once per 20 ms cell: its event rate is the update rate of its 20 ms topic.
"""

import heapq
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import partial

from feeder.clock import Clock
from feeder.errors import FeederError
from feeder.simulator.decimals import Scale
from feeder.simulator.market import Market
from feeder.simulator.messages import BookFacts, Trade, book_message, levels_message, trade_message
from feeder.simulator.source import BookState, Publication, Touch
from feeder.simulator.tape import Tape
from feeder.simulator.topic_book import TopicBook, difference
from feeder.simulator.universe import Listing
from feeder.simulator.venue import CATEGORIES, LEVEL_ONE_REPEAT_SECONDS, BookTopic, TradeTopic, parse_topic

CELL_SECONDS = 0.020
USUAL_RATE_LIMIT = 40.0  # updates/s of the busiest symbols, as BTCUSDT has on a calm day
_RATE_LIMIT = 1 / CELL_SECONDS
_ZIPF_EXPONENT = 0.8
_FALLEN_BEHIND_SECONDS = 1.0


def spread_rate(total: float, count: int) -> list[float]:
    """Updates per second of each of `count` symbols, Zipf-like and busiest first, adding up to `total` if it can be.

    No symbol has more than 40, or when all have that, more than the grid's 50.
    """
    if total >= USUAL_RATE_LIMIT * count:
        return [min(total / count, _RATE_LIMIT)] * count
    weights = [(rank + 1) ** -_ZIPF_EXPONENT for rank in range(count)]
    rates: list[float] = []
    left, weight_left = total, sum(weights)
    for weight in weights:  # the busiest are capped first, and what they leave goes to the others
        rate = min(left * weight / weight_left, USUAL_RATE_LIMIT)
        rates.append(rate)
        left -= rate
        weight_left -= weight
    return rates


class _Symbol:
    """One listing: its market, and which topics make it move."""

    def __init__(
        self, listing: Listing, place: int, market: Callable[[], Market], rate: float, rng: random.Random, tape: Tape
    ) -> None:
        self.listing = listing
        self.place = place  # among those of its category
        self.scale: Scale = listing.scale
        self.rate = rate
        self.rng = rng
        self.phase = rng.random()  # of each grid's period
        self.books: dict[int, _Book] = {}
        self.trades_wanted = False
        self.followers = 0
        self.moving = False  # whether its next event stands in the heap
        self.last_depth: int | None = None
        self.tape = tape
        self._make_market = market
        self._market: Market | None = None

    @property
    def market(self) -> Market:
        """The market, made when it is first looked at: thousands of symbols nobody asks for cost nothing."""
        if self._market is None:
            self._market = self._make_market()
        return self._market

    @property
    def wanted(self) -> bool:
        return self.trades_wanted or self.followers > 0 or any(book.active for book in self.books.values())

    def relist(self, listing: Listing) -> None:
        """Another tick and step, nowhere coarser: all that is held is written in their units."""
        old, new, market = self.scale, listing.scale, self.market
        price_factor = 10 ** (new.price_digits - old.price_digits)
        size_factor = 10 ** (new.size_digits - old.size_digits)
        market.relist(listing, price_factor, size_factor)
        for book in self.books.values():
            book.book.rescale(price_factor, size_factor)
        self.listing, self.scale = listing, new

    def next_event(self, after: float, times: float) -> float:
        """A time in a later 20 ms cell than that of `after`, at `times` the usual rate."""
        cell = math.floor(after / CELL_SECONDS - self.phase)
        chance = self.rate * times * CELL_SECONDS
        cell += 1 if chance >= 1 else 1 + int(math.log1p(-self.rng.random()) / math.log1p(-chance))
        return (cell + self.phase + self.rng.uniform(0.05, 0.95)) * CELL_SECONDS


class _Book:
    """One orderbook topic. `pending`: its next push stands in the heap; `repeating`: so does its level-1 repeat."""

    __slots__ = ("active", "book", "grid", "pending", "repeating", "sent_at", "symbol", "topic")

    def __init__(self, topic: str, depth: int, symbol: _Symbol, first_u: int) -> None:
        self.topic = topic
        self.symbol = symbol
        self.grid = CATEGORIES[symbol.listing.category].depths[depth] / 1000
        self.book = TopicBook(depth)
        self.book.replace(symbol.market.window(depth), first_u, symbol.market.seq)
        self.active = False
        self.pending = False
        self.repeating = False
        self.sent_at = 0.0

    def refresh(self) -> list[int]:
        """Take over what the market did since; the changes, empty if the window is the same."""
        market = self.symbol.market
        changes = difference(self.book.levels, market.window(self.book.depth))
        if changes:
            self.book.apply(changes, self.book.u + 1, market.seq)
        return changes

    def next_push(self, after: float) -> float:
        """The grid's next time."""
        step = math.floor(after / self.grid - self.symbol.phase) + 1
        return (step + self.symbol.phase) * self.grid


class SeededSource:
    """A seeded market over `listings` (busiest first) with about `updates_per_second` book updates in all."""

    def __init__(self, listings: Sequence[Listing], seed: int, updates_per_second: float, clock: Clock) -> None:
        self._clock = clock
        self._seed = seed
        self._heap: list[tuple[float, int, Callable[[float], Publication | None]]] = []
        self._entries = 0
        self._surge = (1.0, 0.0)  # times the usual rates, until when
        self._symbols: dict[tuple[str, str], _Symbol] = {}
        self._trades: dict[tuple[str, str], list[_Symbol]] = {}
        self._listed: Counter[str] = Counter()  # symbols of each category
        rates = spread_rate(updates_per_second, len(listings))
        self._usual_rate = sum(rates) / len(rates)
        for rank, (listing, rate) in enumerate(zip(listings, rates, strict=True)):
            self._list(listing, rank, rate)

    def listings(self, category: str) -> list[Listing]:
        """What the category lists."""
        return [symbol.listing for key, symbol in self._symbols.items() if key[0] == category]

    def find(self, category: str, symbol: str) -> tuple[int, Listing] | None:
        """A listed symbol and its place."""
        found = self._symbols.get((category, symbol))
        return None if found is None else (found.place, found.listing)

    def has_topic(self, category: str, topic: str) -> bool:
        """Whether the symbol is listed and the depth on offer."""
        match parse_topic(topic):
            case BookTopic(depth, symbol):
                return depth in CATEGORIES[category].depths and (category, symbol) in self._symbols
            case TradeTopic():
                return (category, topic) in self._trades
        return False

    def subscribe(self, category: str, topic: str, now: float) -> bytes | None:
        """Set the topic's symbols in motion; a book topic's snapshot at its current `u`."""
        match parse_topic(topic):
            case BookTopic(depth, name):
                symbol = self._symbols[category, name]
                book = self._book(symbol, depth)
                if not book.active:
                    book.refresh()
                    book.active = True
                    book.sent_at = now
                    if depth == 1 and not book.repeating:
                        book.repeating = True
                        self._push(now + LEVEL_ONE_REPEAT_SECONDS, partial(self._repeat, book))
                symbol.last_depth = depth
                self._move(symbol, now)
                return self._snapshot(book)
            case TradeTopic():
                for symbol in self._trades[category, topic]:
                    symbol.trades_wanted = True
                    self._move(symbol, now)
        return None

    def unsubscribe(self, category: str, topic: str) -> None:
        """Let the topic rest; its symbols stop moving when nothing of them is wanted."""
        match parse_topic(topic):
            case BookTopic(depth, name):
                self._symbols[category, name].books[depth].active = False
            case TradeTopic():
                for symbol in self._trades[category, topic]:
                    symbol.trades_wanted = False

    def follow(self, category: str, symbol: str, now: float) -> None:
        """Set the symbol in motion."""
        followed = self._symbols[category, symbol]
        followed.followers += 1
        self._move(followed, now)

    def leave(self, category: str, symbol: str) -> None:
        """Let the symbol rest once nobody follows it and nothing of it is wanted."""
        self._symbols[category, symbol].followers -= 1

    def due(self, now: float) -> Iterator[Publication]:
        """Move the markets up to `now`."""
        while self._heap and self._heap[0][0] <= now:
            due, _, act = heapq.heappop(self._heap)
            # A process that was held up goes on from now; it does not make up for lost hours.
            publication = act(max(due, now - _FALLEN_BEHIND_SECONDS))
            if publication is not None:
                yield publication

    def next_due(self) -> float | None:
        """The time of the next entry."""
        return self._heap[0][0] if self._heap else None

    def book_topics(self, category: str, symbol: str) -> list[str]:
        """The topics of the depths somebody has asked for."""
        found = self._symbols.get((category, symbol))
        return [book.topic for book in found.books.values()] if found else []

    def resend(self, category: str, topic: str, *, restart: bool) -> Publication | None:
        """The topic's current book as a snapshot."""
        parsed = parse_topic(topic)
        if not isinstance(parsed, BookTopic) or (category, parsed.symbol) not in self._symbols:
            return None
        book = self._symbols[category, parsed.symbol].books.get(parsed.depth)
        if book is None:
            return None
        if restart:
            book.book.apply([], 1, book.book.seq)
        return Publication(category, topic, self._snapshot(book), is_delta=False)

    def change_tick(self, category: str, symbol: str, tick: str | None, step: str | None) -> None:
        """Give a symbol a finer tick or step. FeederError if it is not listed, or they do not divide the old ones."""
        found = self._symbols.get((category, symbol))
        if found is None:
            raise FeederError(f"no {category} {symbol} is listed here; name one that is")
        old = found.listing
        found.relist(old.with_steps(tick or old.tick, step or old.step))

    def enlist(self, listing: Listing) -> None:
        """List one symbol more, as busy as the others are on average. FeederError if there is one of that name."""
        if (listing.category, listing.symbol) in self._symbols:
            raise FeederError(f"{listing.category} {listing.symbol} is listed here already; name another")
        self._list(listing, len(self._symbols), self._usual_rate)

    def surge(self, times: float, until: float) -> None:
        """Let every symbol move `times` as often until then; symbols at rest are woken at their next event."""
        self._surge = (times, until)

    def book(self, category: str, symbol: str, depth: int | None) -> BookState | None:
        """A depth's book; of one that nobody subscribes to, as the market is now."""
        found = self._symbols.get((category, symbol))
        if found is None:
            return None
        wanted = (found.last_depth or CATEGORIES[category].default_depth) if depth is None else depth
        if wanted not in CATEGORIES[category].depths:
            return None
        book = self._book(found, wanted)
        if not book.active:
            book.refresh()
        now_ms = self._now_ms()
        return BookState(category, symbol, found.scale, book.book, now_ms, found.market.matched_ms or now_ms)

    def rest_book(self, category: str, symbol: str) -> BookState | None:
        """The book whose `u` the REST order book tells."""
        return self.book(category, symbol, CATEGORIES[category].rest_book_depth)

    def touch(self, category: str, symbol: str, depth: int = 1) -> Touch | None:
        """The best levels as the market is now, whatever was published."""
        found = self._symbols.get((category, symbol))
        if found is None:
            return None
        levels = found.market.touch() if depth == 1 else found.market.window(depth)
        return Touch(found.scale, levels, found.market.seq)

    def tape(self, category: str, symbol: str) -> Tape | None:
        """What it has traded since it was listed."""
        found = self._symbols.get((category, symbol))
        return None if found is None else found.tape

    def time_ms(self, category: str) -> int:
        """By the clock."""
        return self._now_ms()

    def _list(self, listing: Listing, rank: int, rate: float) -> None:
        name = f"{self._seed}:{listing.category}:{listing.symbol}"
        # The busiest symbols are deep enough for the 1000-level topic; the quiet ones are as thin as they really are.
        levels = max(120, 1100 // (1 + rank // 8))
        visible = CATEGORIES[listing.category].default_depth
        symbol = _Symbol(
            listing,
            self._listed[listing.category],
            lambda: Market(listing, levels, visible, random.Random(f"market:{name}")),  # noqa: S311 - no secret
            rate,
            random.Random(f"times:{name}"),  # noqa: S311 - no secret
            Tape(listing.category, self._now_ms(), Decimal(listing.tick) * listing.mid_ticks),
        )
        self._listed[listing.category] += 1
        self._symbols[listing.category, listing.symbol] = symbol
        topic = f"publicTrade.{listing.base if listing.category == 'option' else listing.symbol}"
        sharers = self._trades.setdefault((listing.category, topic), [])
        symbol.trades_wanted = any(sharer.trades_wanted for sharer in sharers)
        sharers.append(symbol)
        if symbol.trades_wanted:
            self._move(symbol, self._clock.monotonic())

    def _book(self, symbol: _Symbol, depth: int) -> _Book:
        book = symbol.books.get(depth)
        if book is None:
            topic = f"orderbook.{depth}.{symbol.listing.symbol}"
            rng = random.Random(f"{self._seed}:{symbol.listing.category}:{topic}")  # noqa: S311 - no secret
            book = symbol.books[depth] = _Book(topic, depth, symbol, rng.randrange(10**6, 10**8))
        return book

    def _move(self, symbol: _Symbol, now: float) -> None:
        if not symbol.moving:
            symbol.moving = True
            symbol.market.matched_ms = symbol.market.matched_ms or self._now_ms()
            self._push(self._next_event(symbol, now), partial(self._event, symbol))

    def _next_event(self, symbol: _Symbol, after: float) -> float:
        times, until = self._surge
        return symbol.next_event(after, times if after < until else 1.0)

    def _event(self, symbol: _Symbol, due: float) -> Publication | None:
        if not symbol.wanted:
            symbol.moving = False
            return None
        late_ns = round((self._clock.monotonic() - due) * 1e9)
        trades = symbol.market.step((self._clock.wall_ns() - max(late_ns, 0)) // 1_000_000)
        for trade in trades:
            symbol.tape.add(trade)
        for book in symbol.books.values():
            if book.active and not book.pending:
                book.pending = True
                self._push(book.next_push(due), partial(self._publish, book))
        self._push(self._next_event(symbol, due), partial(self._event, symbol))
        return self._trade(symbol, trades) if trades and symbol.trades_wanted else None

    def _trade(self, symbol: _Symbol, trades: list[Trade]) -> Publication:
        listing = symbol.listing
        topic = f"publicTrade.{listing.base if listing.category == 'option' else listing.symbol}"
        payload = trade_message(listing.category, topic, trades, self._now_ms())
        return Publication(listing.category, topic, payload, is_delta=False)

    def _publish(self, book: _Book, due: float) -> Publication | None:
        book.pending = False
        changes = book.refresh() if book.active else []
        if not changes:
            return None
        book.sent_at = due
        category = book.symbol.listing.category
        if book.book.depth == 1:
            return Publication(category, book.topic, self._snapshot(book), is_delta=False)
        listing = book.symbol.listing
        payload = book_message(
            category,
            book.topic,
            listing.symbol,
            book.symbol.scale,
            snapshot=False,
            changes=changes,
            facts=self._facts(book),
        )
        return Publication(category, book.topic, payload, is_delta=True)

    def _repeat(self, book: _Book, due: float) -> Publication | None:
        if not book.active:
            book.repeating = False
            return None
        quiet_until = book.sent_at + LEVEL_ONE_REPEAT_SECONDS
        silent = due >= quiet_until - 1e-6
        if silent:
            book.sent_at = due
            quiet_until = due + LEVEL_ONE_REPEAT_SECONDS
        self._push(quiet_until, partial(self._repeat, book))
        if not silent:
            return None
        return Publication(book.symbol.listing.category, book.topic, self._snapshot(book), is_delta=False)

    def _snapshot(self, book: _Book) -> bytes:
        listing = book.symbol.listing
        return levels_message(
            listing.category, book.topic, listing.symbol, book.symbol.scale, book.book.levels, self._facts(book)
        )

    def _facts(self, book: _Book) -> BookFacts:
        return BookFacts(book.book.u, book.book.seq, self._now_ms(), book.symbol.market.matched_ms)

    def _now_ms(self) -> int:
        return self._clock.wall_ns() // 1_000_000

    def _push(self, due: float, act: Callable[[float], Publication | None]) -> None:
        self._entries += 1
        heapq.heappush(self._heap, (due, self._entries, act))
