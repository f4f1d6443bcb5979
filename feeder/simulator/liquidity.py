"""What an account can still trade with of one symbol's book.

The market does not notice that an account traded with it. What the account has taken of a level therefore stays taken,
for that account, until the level changes its size or goes.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from feeder.simulator.source import Touch
from feeder.simulator.topic_book import price_of

DEPTH = 500
"""Levels of each side that an order can walk through."""


class Level(NamedTuple):
    """`key` and `size` are the market's, as in TopicBook; `qty` is what the account has not taken of it."""

    key: int
    size: int
    price: Decimal
    qty: Decimal


class Liquidity:
    """Of one account and symbol. Holds at most the levels of one look at the book."""

    def __init__(self) -> None:
        self._taken: dict[int, tuple[int, Decimal]] = {}  # by the level's key: its size then, and what was taken of it

    def levels(self, touch: Touch, *, bid: bool) -> Iterator[Level]:
        """A side as the account sees it, best first, without levels that it has used up."""
        book, scale = touch.levels, touch.scale
        self._taken = {key: taken for key, taken in self._taken.items() if book.get(key) == taken[0]}
        for key, size in book.items():
            if (key < 0) != bid:
                continue
            qty = Decimal(size).scaleb(-scale.size_digits)
            if key in self._taken:
                qty -= self._taken[key][1]
            if qty > 0:
                yield Level(key, size, Decimal(price_of(key)).scaleb(-scale.price_digits), qty)

    def take(self, level: Level, qty: Decimal) -> None:
        """The account has traded with so much of a level."""
        _, before = self._taken.get(level.key, (0, Decimal(0)))
        self._taken[level.key] = level.size, before + qty
