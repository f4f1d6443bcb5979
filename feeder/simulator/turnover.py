"""What tickers tell of each symbol's last 24 hours: seeded, the busiest first as they are listed, and slowly changing.

The ranking moves as a real one does: neighbours change places within hours, not within a test of a minute.
"""

import math
import random
from decimal import Decimal

from feeder.clock import Clock
from feeder.simulator.universe import Listing

_BUSIEST = 9e9  # dollars a day, as BTCUSDT has on linear
_ZIPF_EXPONENT = 1.1
_SWING = 0.2  # of the usual turnover, up and down
_PERIODS = (6 * 3600.0, 30 * 3600.0)  # seconds from one high to the next


class Turnovers:
    """Turnover of the last 24 hours in dollars, by symbol; `fix` gives one another."""

    def __init__(self, seed: int, clock: Clock) -> None:
        self._seed = seed
        self._clock = clock
        self._fixed: dict[tuple[str, str], Decimal] = {}
        self._waves: dict[tuple[str, str], tuple[float, float]] = {}

    def fix(self, category: str, symbol: str, turnover: Decimal) -> None:
        """From now on it is this and does not change."""
        self._fixed[category, symbol] = turnover

    def of(self, listing: Listing, rank: int) -> Decimal:
        """Now; `rank` is the symbol's place among those listed, from 0."""
        fixed = self._fixed.get((listing.category, listing.symbol))
        if fixed is not None:
            return fixed
        period, phase = self._wave(listing)
        turn = self._clock.wall_ns() / 1e9 / period + phase
        usual = float(self.usual(rank))
        return Decimal(round(usual * (1 + _SWING * math.sin(2 * math.pi * turn)) * 100)) / 100

    def usual(self, rank: int) -> Decimal:
        """What the turnover goes up and down around."""
        return Decimal(_BUSIEST * (rank + 1) ** -_ZIPF_EXPONENT)

    def _wave(self, listing: Listing) -> tuple[float, float]:
        """A symbol's own seconds from one high to the next, and where in them the epoch is."""
        key = listing.category, listing.symbol
        wave = self._waves.get(key)
        if wave is None:
            rng = random.Random(f"turnover:{self._seed}:{listing.category}:{listing.symbol}")  # noqa: S311 - no secret
            wave = self._waves[key] = rng.uniform(*_PERIODS), rng.random()
        return wave
