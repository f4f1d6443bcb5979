"""An exact order book of one instrument: integer prices and quantities in two sorted dictionaries.

Levels come and go as flat lists, `[price, quantity, price, quantity, ...]`, always of even length.

A price that loses its quantity stays in the dictionary with 0 for a while: nine in ten come back, and then neither the
deletion nor the insertion has to touch the order of prices, which is what costs in a SortedDict.
"""

from collections.abc import Iterator, Mapping
from itertools import compress, islice

from sortedcontainers import SortedDict

from feeder.book.checksum import checksum
from feeder.market.update import Levels, pairs

# What the best price of an empty side compares as: no real price is beyond 64 bits, so nothing crosses an empty side.
_NO_BID = -(1 << 63)
_NO_ASK = 1 << 63

_MOST_VACANT = 32  # prices a side may hold without a quantity before they are swept out

# Changing the quantity of a price that is there leaves the order of prices alone, so it may skip SortedDict's Python.
_replace = dict.__setitem__


class OrderBook:
    """Bids and asks of one instrument, at most `depth` levels a side.

    Not a judge of continuity (feeder.book.sync is): it applies what it is given. `absent_deletes` counts deletions of
    prices that were not there, `trimmed_levels` levels that fell out of the window. `touched` says whether the last
    change reached the best bid or offer: most do not, and then neither need be looked at.
    """

    __slots__ = (
        "_ask_count",
        "_ask_prices",
        "_asks",
        "_best_ask",
        "_best_bid",
        "_bid_count",
        "_bid_prices",
        "_bids",
        "absent_deletes",
        "depth",
        "touched",
        "trimmed_levels",
    )

    def __init__(self, depth: int) -> None:
        if depth < 1:
            raise ValueError(f"a book holds at least one level a side, not {depth}")
        self.depth = depth
        self.absent_deletes = 0
        self.trimmed_levels = 0
        self.touched = False
        self._bids = SortedDict()  # price to quantity; 0 where a level was and may soon be again
        self._asks = SortedDict()
        # Live views: indexing one is the cheapest public way to the first and last key.
        self._bid_prices = self._bids.keys()
        self._ask_prices = self._asks.keys()
        self._bid_count = 0  # levels: prices with a quantity
        self._ask_count = 0
        self._best_bid = _NO_BID
        self._best_ask = _NO_ASK

    def apply_snapshot(self, bids: list[int], asks: list[int]) -> None:
        """Replace the whole book; levels of quantity 0 are ignored, those beyond the window are cut and counted."""
        new_bids = {price: quantity for price, quantity in pairs(bids) if quantity}
        new_asks = {price: quantity for price, quantity in pairs(asks) if quantity}
        self.clear()
        self._bids.update(new_bids)
        self._asks.update(new_asks)
        self._bid_count, self._ask_count = len(new_bids), len(new_asks)
        self._trim()
        self._best_bid = self._bid_prices[-1] if new_bids else _NO_BID
        self._best_ask = self._ask_prices[0] if new_asks else _NO_ASK

    def apply_delta(self, bids: list[int], asks: list[int]) -> Levels | None:
        """Set the quantity of each price; 0 removes it, and removing an absent one is no error.

        Returns the levels that left the window in consequence, as removals (quantity 0), or None: whoever publishes
        this book publishes them too.
        """
        # One block per side: a shared method would cost a call and more attribute look-ups on the hottest path.
        touched = False
        if bids:
            side = self._bids
            held_at = side.get
            best = self._best_bid
            count = self._bid_count
            reached = False
            values = iter(bids)
            for price, quantity in zip(values, values):  # noqa: B905 - strict costs 50 ns a call
                if price >= best:
                    reached = True
                held = held_at(price)
                if quantity:
                    if held is None:
                        side[price] = quantity
                        count += 1
                    else:
                        _replace(side, price, quantity)
                        if not held:
                            count += 1
                elif held:
                    _replace(side, price, 0)
                    count -= 1
                else:
                    self.absent_deletes += 1
            self._bid_count = count
            if reached:
                touched = True
                self._best_bid = self._highest_bid()
            if len(side) - count > _MOST_VACANT:
                _sweep(side)
        if asks:
            side = self._asks
            held_at = side.get
            best = self._best_ask
            count = self._ask_count
            reached = False
            values = iter(asks)
            for price, quantity in zip(values, values):  # noqa: B905 - as above
                if price <= best:
                    reached = True
                held = held_at(price)
                if quantity:
                    if held is None:
                        side[price] = quantity
                        count += 1
                    else:
                        _replace(side, price, quantity)
                        if not held:
                            count += 1
                elif held:
                    _replace(side, price, 0)
                    count -= 1
                else:
                    self.absent_deletes += 1
            self._ask_count = count
            if reached:
                touched = True
                self._best_ask = self._lowest_ask()
            if len(side) - count > _MOST_VACANT:
                _sweep(side)
        self.touched = touched
        depth = self.depth
        if self._bid_count > depth or self._ask_count > depth:
            return self._trim()
        return None

    def best_bid(self) -> tuple[int, int] | None:
        """(price, quantity) of the highest bid, or None."""
        return (self._best_bid, self._bids[self._best_bid]) if self._bid_count else None

    def best_ask(self) -> tuple[int, int] | None:
        """(price, quantity) of the lowest ask, or None."""
        return (self._best_ask, self._asks[self._best_ask]) if self._ask_count else None

    def is_crossed(self) -> bool:
        """Whether the best bid is at or above the best ask; never with an empty side."""
        return self._best_bid >= self._best_ask

    def top(self, count: int) -> Levels:
        """The best `count` levels of each side, flat, best first."""
        bids = filter(self._bids.__getitem__, reversed(self._bids))
        asks = filter(self._asks.__getitem__, self._asks)
        return Levels(_flat(list(islice(bids, count)), self._bids), _flat(list(islice(asks, count)), self._asks))

    def levels(self) -> Levels:
        """All levels, flat, best first."""
        return Levels(_flat(list(reversed(self._bids)), self._bids), _flat(list(self._asks), self._asks))

    def difference(self, bids: list[int], asks: list[int]) -> Levels:
        """The delta that turns this book into the snapshot given: removals first, then new and changed levels."""
        return Levels(_difference(self._bids, bids), _difference(self._asks, asks))

    def checksum(self) -> int:
        """The CRC-32 of all levels, see feeder.book.checksum."""
        levels = self.levels()
        return checksum(levels.bids, levels.asks)

    def clear(self) -> None:
        """Remove all levels."""
        self._bids.clear()
        self._asks.clear()
        self._bid_count = self._ask_count = 0
        self._best_bid = _NO_BID
        self._best_ask = _NO_ASK
        self.touched = True

    def _highest_bid(self) -> int:
        side = self._bids
        if not self._bid_count:
            return _NO_BID
        price: int = self._bid_prices[-1]
        return price if side[price] else next(price for price in reversed(side) if side[price])

    def _lowest_ask(self) -> int:
        side = self._asks
        if not self._ask_count:
            return _NO_ASK
        price: int = self._ask_prices[0]
        return price if side[price] else next(price for price in side if side[price])

    def _trim(self) -> Levels:
        """Cut what is worse than the window; the best levels stay, so the best prices stay valid."""
        bids = _cut(self._bids, iter(self._bids), self._bid_count - self.depth)
        asks = _cut(self._asks, reversed(self._asks), self._ask_count - self.depth)
        self._bid_count -= len(bids) >> 1
        self._ask_count -= len(asks) >> 1
        self.trimmed_levels += (len(bids) + len(asks)) >> 1
        return Levels(bids, asks)


def _cut(side: SortedDict, worst_first: Iterator[int], count: int) -> list[int]:
    """Remove `count` levels, if that is more than none; the removals."""
    removals: list[int] = []
    while count > 0:
        price = next(worst_first)
        if side[price]:
            _replace(side, price, 0)
            removals += (price, 0)
            count -= 1
    return removals


def _sweep(side: SortedDict) -> None:
    """Forget the prices that have no quantity any more."""
    levels = {price: quantity for price, quantity in side.items() if quantity}
    side.clear()
    side.update(levels)


def _flat(prices: list[int], side: Mapping[int, int]) -> list[int]:
    """The levels among these prices as a flat list, in their order."""
    quantities = list(map(side.__getitem__, prices))
    prices = list(compress(prices, quantities))
    flat = prices * 2  # the right length; both halves are overwritten
    flat[::2] = prices
    flat[1::2] = filter(None, quantities)
    return flat


def _difference(side: Mapping[int, int], snapshot: list[int]) -> list[int]:
    """The flat delta that turns one side into its snapshot."""
    wanted = {price: quantity for price, quantity in pairs(snapshot) if quantity}
    delta: list[int] = []
    for price, quantity in side.items():
        if quantity and price not in wanted:
            delta += (price, 0)
    for price, quantity in wanted.items():
        if side.get(price) != quantity:
            delta += (price, quantity)
    return delta
