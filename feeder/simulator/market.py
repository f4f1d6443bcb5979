"""The random market of one symbol: a book that is never crossed, and trades that hit its top. No clock, no socket.

Levels carry the keys of `topic_book`: ascending on each side from the best price, one tick deeper is one tick more on
either side. Only `random.Random` moves the market, so the n-th step of a symbol is the same for the same seed.
"""

import random
import uuid
from bisect import bisect_left
from decimal import Decimal

from feeder.simulator.messages import Trade
from feeder.simulator.topic_book import finer_key, rescaled
from feeder.simulator.universe import Listing

_THINNEST = 3  # levels a side never falls below
_BUSY_LEVELS = 12.0  # mean index of the level that a change picks
_TYPICAL_VALUE = Decimal(3000)  # of one level, in quote currency


class Market:
    """One symbol's matching engine, moved by `step`.

    `levels` is how deep each side is kept; a penny price leaves fewer bids. `seq` is the cross sequence of the last
    step, `matched_ms` its time.
    """

    def __init__(self, listing: Listing, levels: int, visible: int, rng: random.Random) -> None:
        self.listing = listing
        self.scale = listing.scale
        self.seq = rng.randrange(10**9, 10**11)
        self.matched_ms = 0
        self.sizes: dict[int, int] = {}
        self._rng = rng
        self._tick = listing.tick_units
        self._step = listing.step_units
        self._target = levels
        self._visible = visible
        self._reference = max(listing.mid_ticks, 4)
        value = Decimal(1) if listing.category == "inverse" else Decimal(listing.price)
        self._typical = max(1.0, float(_TYPICAL_VALUE / (value * Decimal(listing.step))))
        self._last_price = 0
        self._last_direction = "PlusTick"
        self._trade_number = rng.randrange(10**18)
        self.bids = [~((self._reference - 1) * self._tick)]
        self.asks = [self._reference * self._tick]
        for side in self.bids, self.asks:
            self.sizes[side[0]] = self._size()
        self._deep = False

    def touch(self) -> dict[int, int]:
        """The best level of each side; of a market that nobody has looked into, this costs no deeper ones."""
        return {side[0]: self.sizes[side[0]] for side in (self.bids, self.asks)}

    def window(self, depth: int) -> dict[int, int]:
        """The levels a subscriber of `depth` sees now."""
        self._deepen()
        sizes = self.sizes
        return {key: sizes[key] for key in self.bids[:depth] + self.asks[:depth]}

    def step(self, time_ms: int) -> list[Trade]:
        """One event of the matching engine at `time_ms`: the visible book changes, and perhaps something trades."""
        self._deepen()
        rng = self._rng
        self.seq += rng.randrange(1, 30)
        self.matched_ms = time_ms
        # The further the price has walked, the harder it is pulled back: a run of days stays plausible.
        buyers = min(max(0.5 - 2 * ((self.asks[0] // self._tick) / self._reference - 1), 0.05), 0.95)
        trades: list[Trade] = []
        roll = rng.random()
        if roll < 0.08:
            trades = self._trade(buy=rng.random() < buyers)
        elif roll < 0.3:
            self._requote(up=rng.random() < buyers)
        self._change_level(self._visible, certain=True)
        for _ in range(min(int(rng.expovariate(0.45)), 12)):
            self._change_level(self._target if rng.random() < 0.1 else self._visible)
        self._refill(self.bids)
        self._refill(self.asks)
        return trades

    def relist(self, listing: Listing, price_factor: int, size_factor: int) -> None:
        """Go on with another tick and step, in units smaller by these factors."""
        self.listing = listing
        self.scale = listing.scale
        self.sizes = rescaled(self.sizes, price_factor, size_factor)
        self.bids = [finer_key(key, price_factor) for key in self.bids]
        self.asks = [finer_key(key, price_factor) for key in self.asks]
        self._last_price *= price_factor
        self._reference = max(listing.mid_ticks, 4)
        self._typical *= size_factor * self._step / listing.step_units
        self._tick = listing.tick_units
        self._step = listing.step_units

    def _change_level(self, visible: int, *, certain: bool = False) -> None:
        """A new size, a new level or a level less within the first `visible` of a side; `certain`: a new size."""
        rng = self._rng
        side = self.bids if rng.random() < 0.5 else self.asks
        reach = min(visible, len(side))
        index = int(rng.expovariate(1 / _BUSY_LEVELS)) if visible <= self._visible else rng.randrange(reach)
        index = min(index, reach - 1)
        key = side[index]
        roll = 0.0 if certain else rng.random()
        if roll < 0.7:
            size = self._size()
            self.sizes[key] = size if size != self.sizes[key] else size + self._step
        elif roll < 0.85:
            if index > 0 and len(side) > _THINNEST:
                self._remove(side, index)
        elif index + 1 < len(side):
            gap = (side[index + 1] - key) // self._tick
            if gap > 1:
                self._insert(side, key + rng.randrange(1, gap) * self._tick)

    def _requote(self, *, up: bool) -> None:
        """The price walks: someone improves into the spread, or where there is none withdraws the best quote."""
        spread = (self.asks[0] - ~self.bids[0]) // self._tick
        ahead, behind = (self.bids, self.asks) if up else (self.asks, self.bids)
        if spread > 1:
            self._insert(ahead, ahead[0] - self._rng.randrange(1, min(spread, 4)) * self._tick)
        elif len(behind) > _THINNEST:
            self._remove(behind, 0)

    def _trade(self, *, buy: bool) -> list[Trade]:
        """A market order takes a part of the best level, all of it, or now and then a few levels."""
        side = self.asks if buy else self.bids
        rng = self._rng
        whole = 0 if rng.random() < 0.6 else min(int(rng.expovariate(1.2)) + 1, 4, len(side) - _THINNEST)
        trades = []
        for _ in range(max(whole, 0)):
            trades.append(self._print(side[0], self.sizes[side[0]], buy=buy))
            self._remove(side, 0)
        steps = self.sizes[side[0]] // self._step
        if not trades and steps > 1:
            taken = rng.randrange(1, steps) * self._step
            self.sizes[side[0]] -= taken
            trades.append(self._print(side[0], taken, buy=buy))
        return trades

    def _print(self, key: int, size: int, *, buy: bool) -> Trade:
        price = key if key >= 0 else ~key
        if price != self._last_price:
            self._last_direction = "PlusTick" if price > self._last_price else "MinusTick"
        elif not self._last_direction.startswith("Zero"):
            self._last_direction = "Zero" + self._last_direction
        self._last_price = price
        if self.listing.category == "spot":
            self._trade_number += 1
            identity = f"2{self._trade_number:018d}"
        else:
            identity = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        return Trade(
            symbol=self.listing.symbol,
            scale=self.scale,
            buy=buy,
            price=price,
            size=size,
            id=identity,
            tick_direction=self._last_direction,
            seq=self.seq,
            time_ms=self.matched_ms,
        )

    def _insert(self, side: list[int], key: int) -> None:
        side.insert(bisect_left(side, key), key)
        self.sizes[key] = self._size()

    def _remove(self, side: list[int], index: int) -> None:
        del self.sizes[side.pop(index)]

    def _deepen(self) -> None:
        """Make the levels behind the best, the first time that they are wanted."""
        if not self._deep:
            self._deep = True
            self._refill(self.bids)
            self._refill(self.asks)

    def _refill(self, side: list[int]) -> None:
        """Bring the far end back to the depth that is kept."""
        while len(side) > self._target:
            self._remove(side, -1)
        while len(side) < self._target:
            key = side[-1] + self._tick * (1 + min(int(self._rng.expovariate(1.2)), 5))
            if side is self.bids and key > ~self._tick:
                break  # no price below one tick
            side.append(key)
            self.sizes[key] = self._size()

    def _size(self) -> int:
        return max(1, int(self._typical * self._rng.lognormvariate(-0.7, 1.2))) * self._step
