"""What a symbol traded before its market began: made up, the same for the same seed, and without an end to the past.

Prices are on one slow wave that ends where the market begins. One trade of always the same size comes every `beat`
seconds. So a bar of any span is known at once, and those of short spans add up to those of long ones.
"""

import math
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from feeder.simulator.messages import Trade
from feeder.simulator.tape import Bar
from feeder.simulator.universe import Listing

LAUNCH_MS = 1_585_526_400_000
"""When every symbol was listed, as instruments-info says: there is no past before it."""

_SECOND_MS = 1000
_LEAST_STEPS = 10  # of one trade's size: a quiet symbol trades seldom rather than too much
_DAY_SECONDS = 86_400
_EXACT = Decimal("1e-8")


@dataclass(frozen=True, slots=True)
class Past:
    """One symbol's past up to `end_ms`, when it traded at `ticks`. `size` is of each trade, in steps."""

    listing: Listing
    seed: str
    end_ms: int
    ticks: int
    beat_ms: int
    steps: int
    height: float
    period_ms: float
    phase: float

    @classmethod
    def made(cls, listing: Listing, seed: int, end_ms: int, price: Decimal, volume: Decimal) -> "Past":
        """A past that ends at `price`, with `volume` a day."""
        name = f"past:{seed}:{listing.category}:{listing.symbol}"
        rng = random.Random(name)  # noqa: S311 - no secret
        per_second = float(volume / Decimal(listing.step)) / _DAY_SECONDS
        beat = min(max(1, math.ceil(_LEAST_STEPS / max(per_second, 1e-6))), _DAY_SECONDS)
        return cls(
            listing=listing,
            seed=name,
            end_ms=end_ms,
            ticks=max(1, round(price / Decimal(listing.tick))),
            beat_ms=beat * _SECOND_MS,
            steps=max(1, round(per_second * beat)),
            height=rng.uniform(0.004, 0.04),
            period_ms=rng.uniform(9, 60) * 3_600_000,
            phase=rng.random(),
        )

    def price_at(self, time_ms: int) -> Decimal:
        """Where it traded then, or last before."""
        return Decimal(self.listing.tick) * self._ticks_at(time_ms - time_ms % self.beat_ms)

    def bar(self, start_ms: int, end_ms: int) -> Bar | None:
        """The trades from `start_ms` on and before `end_ms`; None if there are none."""
        beat = self.beat_ms
        first = -(-max(start_ms, LAUNCH_MS) // beat) * beat
        last = (min(end_ms, self.end_ms) - 1) // beat * beat
        if first > last:
            return None
        times = [first, last]
        for turn in (0.25, 0.75):  # of a period: where the wave is highest, and lowest
            peak = (math.ceil(first / self.period_ms + self.phase - turn) + turn - self.phase) * self.period_ms
            times += [
                time for time in (int(peak // beat) * beat, int(peak // beat + 1) * beat) if first <= time <= last
            ]
        prices = [Decimal(self.listing.tick) * self._ticks_at(time) for time in times]
        high, low = max(prices), min(prices)
        volume = Decimal(self.listing.step) * self.steps * ((last - first) // beat + 1)
        mean = (prices[0] + prices[1] + high + low) / 4
        paid = volume / mean if self.listing.category == "inverse" else volume * mean
        return Bar(prices[0], high, low, prices[1], volume, paid.quantize(_EXACT, ROUND_HALF_EVEN))

    def trades(self) -> Iterator[Trade]:
        """The trades, newest first."""
        time = (self.end_ms - 1) // self.beat_ms * self.beat_ms
        while time >= LAUNCH_MS:
            yield self._trade(time)
            time -= self.beat_ms

    def _trade(self, time_ms: int) -> Trade:
        rng = random.Random(f"{self.seed}:{time_ms}")  # noqa: S311 - no secret
        listing = self.listing
        spot = listing.category == "spot"
        return Trade(
            symbol=listing.symbol,
            scale=listing.scale,
            buy=rng.random() < 0.5,
            price=self._ticks_at(time_ms) * listing.tick_units,
            size=self.steps * listing.step_units,
            id=f"2{rng.randrange(10**18):018d}" if spot else str(uuid.UUID(int=rng.getrandbits(128), version=4)),
            tick_direction="ZeroPlusTick",
            seq=time_ms // self.beat_ms,
            time_ms=time_ms,
        )

    def _ticks_at(self, time_ms: int) -> int:
        return max(1, round(self.ticks * (1 + self._wave(time_ms)) / (1 + self._wave(self.end_ms))))

    def _wave(self, time_ms: int) -> float:
        return self.height * math.sin(2 * math.pi * (time_ms / self.period_ms + self.phase))
