"""The price at which a conditional order comes into force, and how a trailing stop's price follows the market."""

from dataclasses import dataclass, replace
from decimal import Decimal

_NONE = Decimal(0)


@dataclass(frozen=True, slots=True)
class Trigger:
    """`rises`: reached from below, else from above. `direction` is that as the venue tells it: 1, 2, or 0 on spot.

    A trailing stop stands `trail` away from the best price since it is `active`; until then `price` is the price at
    which it becomes so.
    """

    price: Decimal
    direction: int
    by: str
    rises: bool
    trail: Decimal = _NONE
    active: bool = True

    def reached(self, price: Decimal) -> bool:
        """Whether the market is there."""
        return self.active and (price >= self.price if self.rises else price <= self.price)

    def followed(self, price: Decimal) -> "Trigger":
        """As it stands once the market has been at a price: the same unless it trails."""
        if not self.trail:
            return self
        if not self.active:
            if price > self.price if self.rises else price < self.price:
                return self
            return replace(self, active=True, price=self._behind(price))
        closer = min(self.price, self._behind(price)) if self.rises else max(self.price, self._behind(price))
        return self if closer == self.price else replace(self, price=closer)

    def _behind(self, price: Decimal) -> Decimal:
        return price + self.trail if self.rises else price - self.trail


def trailing(distance: Decimal, active: Decimal | None, last: Decimal, *, rises: bool) -> Trigger:
    """A trailing stop as it is set: from a price on that makes it active, or at once behind the last price."""
    direction = 1 if rises else 2
    if active:
        return Trigger(active, direction, "LastPrice", rises, distance, active=False)
    return Trigger(last + distance if rises else last - distance, direction, "LastPrice", rises, distance)
