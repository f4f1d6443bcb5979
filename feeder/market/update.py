"""Neutral updates: what any venue adapter hands to the pipeline.

Levels are flat lists of integers, `[price, quantity, price, quantity, ...]`, so that a book's thousands of levels cost
no object each. Prices and quantities are at the instrument's exponents. Times are nanoseconds since the epoch.
"""

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field


class Side(enum.IntEnum):
    """The aggressor's side of a trade; the values are those on the wire."""

    BUY = 1
    SELL = 2


@dataclass(slots=True)
class BookUpdate:
    """A snapshot (replaces the book) or a delta (absolute quantity per price, 0 removes) of one book.

    A folded update covers venue update ids first_update_id to update_id and is flagged `conflated`; otherwise both are
    equal. `generation` is that of the subscription which delivered it: an update of an older one is dropped.
    """

    snapshot: bool
    bids: list[int]
    asks: list[int]
    update_id: int
    first_update_id: int
    venue_sequence: int
    match_time_ns: int
    send_time_ns: int
    receive_time_ns: int
    generation: int = 0
    conflated: bool = False


@dataclass(slots=True)
class TradeUpdate:
    """One trade as the venue reported it. `aggressor` is the taker's side, `trade_id` at most 40 ASCII characters."""

    price: int
    quantity: int
    aggressor: Side
    trade_id: str
    venue_sequence: int
    match_time_ns: int
    send_time_ns: int
    receive_time_ns: int


@dataclass(slots=True)
class Levels:
    """Both sides of a book as flat lists, best first."""

    bids: list[int] = field(default_factory=list)
    asks: list[int] = field(default_factory=list)


def pairs(flat: list[int]) -> Iterator[tuple[int, int]]:
    """The (price, quantity) pairs of a flat list."""
    values = iter(flat)
    return zip(values, values, strict=True)
