"""Topics and the venue's limits on them: built, parsed by splitting, packed into legal requests.

Source: Bybit v5, websocket/public/orderbook (depths) and websocket/wss-authentication (limits on args). They are data,
so that a change of the venue's is a change of a table.
"""

import contextlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from feeder.errors import VenueError
from feeder.market.instrument import Category

DEPTHS: Mapping[str, tuple[int, ...]] = {
    Category.SPOT: (1, 50, 200, 1000),
    Category.LINEAR: (1, 50, 200, 1000),
    Category.INVERSE: (1, 50, 200, 1000),
    Category.OPTION: (25, 100),
}
"""Levels per side that orderbook.{depth}.{symbol} offers. 500 is gone since 2025-09, and refused."""

CHARACTERS_PER_CONNECTION = 21_000  # the venue's limit on the text of all args of one public connection
_AROUND = 3  # of them stand around a topic: its quotes and comma
TOPICS_PER_CONNECTION = 200  # ours, below every limit of the venue: a dead socket takes few books with it
ARGS_PER_REQUEST: Mapping[str, int] = {Category.SPOT: 10, Category.OPTION: 2000, "private": 1}
"""The venue's limit on args of one request; futures have none but the characters.

The private stream has no limit, but topics of one category and of all may not stand in one request.
"""


_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


@dataclass(frozen=True, slots=True)
class BookTopic:
    """orderbook.{depth}.{symbol}."""

    depth: int
    symbol: str


@dataclass(frozen=True, slots=True)
class TradeTopic:
    """publicTrade.{subject}; the subject is a symbol, in the option category a base coin."""

    subject: str


def base_coin(symbol: str) -> str:
    """The coin an option symbol starts with: BTC of BTC-30JUN23-45000-P."""
    return symbol.partition("-")[0]


def last_day(symbol: str) -> date:
    """The day an option symbol expires on: 2023-06-30 of BTC-30JUN23-45000-P; the last of all days if it has none."""
    found = re.fullmatch("([0-9]{1,2})([A-Z]{3})([0-9]{2})", symbol.split("-")[1] if "-" in symbol else "")
    if found is not None and found[2] in _MONTHS:
        with contextlib.suppress(ValueError):  # the 31st of June
            return date(2000 + int(found[3]), _MONTHS.index(found[2]) + 1, int(found[1]))
    return date.max


def book_topic(category: str, depth: int, symbol: str) -> str:
    """The topic of a book. Raises VenueError when the venue has no such depth."""
    depths = DEPTHS.get(category)
    if depths is None:
        raise VenueError(f"no category {category!r}; use one of {', '.join(DEPTHS)}")
    if depth not in depths:
        raise VenueError(f"{category} {symbol}: no depth {depth}; use one of {', '.join(map(str, depths))}")
    return f"orderbook.{depth}.{symbol}"


def trade_topic(category: str, symbol: str) -> str:
    """The topic that carries a symbol's trades: the symbol's own, for options that of its base coin."""
    return f"publicTrade.{base_coin(symbol) if category == Category.OPTION else symbol}"


def parse_topic(topic: str) -> BookTopic | TradeTopic | None:
    """What a topic is about, or None when it is no kind that feeder reads."""
    match topic.split(".", 2):
        case ["orderbook", depth, symbol] if depth.isascii() and depth.isdecimal() and symbol:
            return BookTopic(int(depth), symbol)
        case ["publicTrade", *subject] if subject and all(subject):
            return TradeTopic(".".join(subject))
    return None


def characters(topic: str) -> int:
    """What a topic takes of a connection's characters, counted with its quotes and comma."""
    return len(topic) + _AROUND


def pack(category: str, topics: Iterable[str]) -> Iterator[list[str]]:
    """Split topics into requests the venue accepts; the one way for subscribe, resubscribe and unsubscribe."""
    most = ARGS_PER_REQUEST.get(category, CHARACTERS_PER_CONNECTION)
    batch: list[str] = []
    used = 0
    for topic in topics:
        needed = characters(topic)
        if batch and (len(batch) == most or used + needed > CHARACTERS_PER_CONNECTION):
            yield batch
            batch, used = [], 0
        batch.append(topic)
        used += needed
    if batch:
        yield batch


def has_room(present: Collection[str], more: Collection[str], most: int = TOPICS_PER_CONNECTION) -> bool:
    """Whether a connection that carries `present` may take `more` as well."""
    count = len(present) + len(more)
    # Asked of hundreds of topics for each that comes: as `characters` of them all, without calling it.
    return count <= most and sum(map(len, present)) + sum(map(len, more)) + _AROUND * count <= CHARACTERS_PER_CONNECTION
