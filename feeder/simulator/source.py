"""What the exchange needs from where its market comes from: the random one, or recordings."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, Protocol

from feeder.simulator.decimals import Scale
from feeder.simulator.tape import Tape
from feeder.simulator.topic_book import TopicBook, price_of
from feeder.simulator.universe import Listing


class Publication(NamedTuple):
    """One data message on its way to all subscribers of its topic."""

    category: str
    topic: str
    payload: bytes
    is_delta: bool


@dataclass(frozen=True, slots=True)
class BookState:
    """An orderbook topic's book, and what it takes to write it down. Times in ms since the epoch, 0 before any."""

    category: str
    symbol: str
    scale: Scale
    book: TopicBook
    ts: int
    cts: int

    def sides(self, levels: Mapping[int, int]) -> tuple[list[list[str]], list[list[str]]]:
        """Levels as texts, bids and asks, best first."""
        price, size = self.scale.price, self.scale.size
        bids: list[list[str]] = []
        asks: list[list[str]] = []
        for key in sorted(levels):
            (bids if key < 0 else asks).append([price(price_of(key)), size(levels[key])])
        return bids, asks


@dataclass(frozen=True, slots=True)
class Touch:
    """The best level of each side or more, best first, `levels` as in TopicBook; a side may be missing.

    `seq` is the cross sequence.
    """

    scale: Scale
    levels: Mapping[int, int]
    seq: int

    def best(self, *, bid: bool) -> tuple[int, int] | None:
        """Price and size of a side, in whole units."""
        return next(((price_of(key), size) for key, size in self.levels.items() if (key < 0) == bid), None)

    def middle(self) -> Decimal | None:
        """The price between them, or the only one; None without levels."""
        prices = [best[0] for bid in (True, False) if (best := self.best(bid=bid)) is not None]
        return (Decimal(sum(prices)) / len(prices)).scaleb(-self.scale.price_digits) if prices else None


class Summaries(Protocol):
    """The topics that sum a market up and are not published by it. Times are ms of the market's own time."""

    @property
    def wanted(self) -> bool:
        """Whether anybody is subscribed to one of them."""
        ...

    def topics(self, category: str, symbol: str) -> list[str]:
        """All that it has of a listed symbol."""
        ...

    def has_topic(self, category: str, topic: str) -> bool:
        """Whether a client may subscribe to it."""
        ...

    def subscribe(self, category: str, topic: str, now: float) -> bytes | None:
        """A client wants a topic from now on (monotonic seconds); the snapshot for it alone, or None."""
        ...

    def unsubscribe(self, category: str, topic: str) -> None:
        """The last client that wanted the topic has gone."""
        ...

    def due(self) -> Iterator[Publication]:
        """What is to be published by now. Taking one makes it happen; the rest stays due."""
        ...

    def wait_seconds(self) -> float | None:
        """How long until there is something to do, if the market's time goes on as the clock's; None if never."""
        ...


class Source(Protocol):
    """A market that publishes. Times are seconds of the injected clock's monotonic hand."""

    def listings(self, category: str) -> Sequence[Listing]:
        """What the category lists; empty for one that is not simulated."""
        ...

    def find(self, category: str, symbol: str) -> tuple[int, Listing] | None:
        """A listed symbol, with its place among those of the category, from 0; None if it is not listed."""
        ...

    def has_topic(self, category: str, topic: str) -> bool:
        """Whether a client may subscribe to it."""
        ...

    def subscribe(self, category: str, topic: str, now: float) -> bytes | None:
        """A client wants a topic from now on; the snapshot for it alone, or None if what is published will do."""
        ...

    def unsubscribe(self, category: str, topic: str) -> None:
        """The last client that wanted the topic has gone."""
        ...

    def follow(self, category: str, symbol: str, now: float) -> None:
        """Let a symbol's market go on without a subscriber, until `leave` was called as often. It must be listed."""
        ...

    def leave(self, category: str, symbol: str) -> None:
        """Take one `follow` back."""
        ...

    def due(self, now: float) -> Iterator[Publication]:
        """What is to be published up to `now`, in order. Taking one makes it happen; the rest stays due."""
        ...

    def next_due(self) -> float | None:
        """When there will be something to do; None if not before somebody subscribes."""
        ...

    def book_topics(self, category: str, symbol: str) -> Sequence[str]:
        """The symbol's orderbook topics that have been subscribed to, whether or not they still are."""
        ...

    def resend(self, category: str, topic: str, *, restart: bool) -> Publication | None:
        """The topic's book as a snapshot for everybody; `restart` begins its `u` again at 1. None without a book."""
        ...

    def change_tick(self, category: str, symbol: str, tick: str | None, step: str | None) -> None:
        """Give a symbol a finer tick or step from now on. FeederError if it is not finer, or cannot be changed."""
        ...

    def enlist(self, listing: Listing) -> None:
        """List one symbol more. FeederError if it is there already, or cannot be."""
        ...

    def surge(self, times: float, until: float) -> None:
        """Let every symbol move `times` as often until then. FeederError if that cannot be."""
        ...

    def book(self, category: str, symbol: str, depth: int | None) -> BookState | None:
        """The book of a depth; by default the one subscribed to last, else the usual one. None if there is none."""
        ...

    def rest_book(self, category: str, symbol: str) -> BookState | None:
        """The book that the REST order book tells."""
        ...

    def touch(self, category: str, symbol: str, depth: int = 1) -> Touch | None:
        """The best levels now. None if it is not listed; without levels when its book has not begun."""
        ...

    def tape(self, category: str, symbol: str) -> Tape | None:
        """What it has traded since its market began; None if it is not listed."""
        ...

    def time_ms(self, category: str) -> int:
        """What time it is in the market, ms since the epoch: a recording goes on at the time it was made."""
        ...
