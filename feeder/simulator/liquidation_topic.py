"""`allLiquidation.{symbol}`: the positions that were liquidated in the last half second.

They are made up, no account here had them: the same times and sides for the same seed, at prices near the last one.
Source: Bybit v5, "All Liquidation".
"""

import json
from decimal import Decimal

from feeder.simulator.quotes import Quote

CATEGORIES = ("linear", "inverse")
"""Only contracts are liquidated."""

PUSH_MS = 500
CHANCE = 0.05
"""Of a liquidation in a push's time: one in about ten seconds."""

_MOST_AT_ONCE = 4
_FURTHEST = 0.01  # from the last price to the bankruptcy price
_USUAL_VALUE = 5000  # of one, in the coin that is paid with


class Liquidations:
    """One symbol's liquidations."""

    sends_deltas = False

    def __init__(self, topic: str) -> None:
        self.topic = topic

    def snapshot(self, _quote: Quote) -> bytes | None:
        """Nothing: what has been is not told again."""
        return None

    def push(self, quote: Quote) -> bytes | None:
        """Those of the span that has just ended, oldest first."""
        end_ms = quote.now_ms // PUSH_MS * PUSH_MS
        rng = quote.quotes.random("liquidation", quote.listing.category, quote.listing.symbol, end_ms)
        if rng.random() >= CHANCE:
            return None
        times = sorted(end_ms - 1 - rng.randrange(PUSH_MS) for _ in range(rng.randint(1, _MOST_AT_ONCE)))
        rows = []
        for time_ms in times:
            long = rng.random() < 0.5
            # A long is bankrupt below the price that it is sold at, a short above.
            share = Decimal(f"{rng.uniform(0.001, _FURTHEST) * (-1 if long else 1):.6f}")
            value = Decimal(f"{_USUAL_VALUE * rng.lognormvariate(0, 1):.2f}")
            size = value if quote.listing.category == "inverse" else value / quote.last
            rows.append(
                {
                    "T": time_ms,
                    "s": quote.listing.symbol,
                    "S": "Buy" if long else "Sell",
                    "v": _size(quote, size),
                    "p": quote.price(quote.last * (1 + share)),
                }
            )
        message = {"topic": self.topic, "type": "snapshot", "ts": quote.now_ms, "data": rows}
        return json.dumps(message, separators=(",", ":")).encode("ascii")

    def next_ms(self, quote: Quote) -> int:
        """At the end of the span."""
        return quote.now_ms // PUSH_MS * PUSH_MS + PUSH_MS


def _size(quote: Quote, size: Decimal) -> str:
    listing = quote.listing
    steps = max(1, int(size / Decimal(listing.step)))
    return listing.scale.size(steps * listing.step_units)
