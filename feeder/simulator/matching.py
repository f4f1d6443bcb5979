"""Which levels an order trades with, and how much of each. No side effects."""

from collections.abc import Iterable
from decimal import ROUND_FLOOR, Decimal
from typing import NamedTuple

from feeder.simulator.liquidity import Level
from feeder.simulator.orders import ZERO, Order


class Match(NamedTuple):
    """A quantity at a price, with one level."""

    level: Level
    price: Decimal
    qty: Decimal


class Walk(NamedTuple):
    """The matches of an order, best level first; `whole`: nothing of the order would be left that could trade."""

    matches: list[Match]
    whole: bool

    @property
    def qty(self) -> Decimal:
        """Of all."""
        return sum((match.qty for match in self.matches), ZERO)


def walk(order: Order, levels: Iterable[Level], *, maker: bool) -> Walk:
    """Go through the other side as far as the order's price and what is left of it allow.

    A taker gets each level's price; a maker, whom the market has come to, its own.
    """
    step = Decimal(order.listing.step)
    left = order.left
    matches: list[Match] = []
    for level in levels:
        if left <= ZERO or not order.crosses(level.price):
            break
        price = order.price if maker else level.price
        wanted = (left / price / step).to_integral_value(ROUND_FLOOR) * step if order.by_value else left
        if not wanted:  # what is left of the amount buys no step at this price, nor at a worse one
            return Walk(matches, whole=True)
        qty = min(wanted, level.qty)
        matches.append(Match(level, price, qty))
        left -= qty * price if order.by_value else qty
    whole = left <= ZERO
    if order.by_value and matches and not whole:
        whole = left < matches[-1].price * step
    return Walk(matches, whole)
