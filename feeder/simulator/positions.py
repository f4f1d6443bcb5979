"""Positions in contracts, and what was made by closing them."""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, NamedTuple

from feeder.simulator.decimals import plain
from feeder.simulator.orders import EXACT, ZERO, Order, exact_worth
from feeder.simulator.universe import Listing


class Closed(NamedTuple):
    """What one fill closed of a position: quantity, its value when it was opened and now, profit, and fees of both."""

    qty: Decimal
    entry_value: Decimal
    exit_value: Decimal
    profit: Decimal
    entry_fee: Decimal
    exit_fee: Decimal

    @property
    def net(self) -> Decimal:
        """Profit after the fees of opening and closing it."""
        return self.profit - self.entry_fee - self.exit_fee


@dataclass(slots=True)
class Position:
    """`size` is below 0 of a short one; `cost` what it was opened for, and `fees` what that took.

    `idx` 0 is the one-way mode's. `realised` is all profit after fees since ever, `current` that since it was opened
    last. Amounts are in the coin that it settles in; times in ms since the epoch.
    """

    number: int
    listing: Listing
    idx: int
    created_ms: int
    updated_ms: int
    size: Decimal = ZERO
    cost: Decimal = ZERO
    fees: Decimal = ZERO
    realised: Decimal = ZERO
    current: Decimal = ZERO
    seq: int = -1
    opened_ms: int = 0

    @property
    def average(self) -> Decimal:
        """The entry price; 0 without a position."""
        if not self.size:
            return ZERO
        size = abs(self.size)
        mean = size / self.cost if self.listing.category == "inverse" else self.cost / size
        return mean.quantize(EXACT, ROUND_HALF_EVEN)

    def add(self, change: Decimal, price: Decimal, fee: Decimal = ZERO) -> Closed:
        """Buy (above 0) or sell at a price; what was closed by it."""
        held, qty = abs(self.size), abs(change)
        closing = min(held, qty) if self.size * change < 0 else ZERO
        exit_fee = fee if closing == qty else _exact(fee * closing / qty)
        cost, entry_fee, value, profit = ZERO, ZERO, ZERO, ZERO
        if closing:
            whole = closing == held
            cost = self.cost if whole else self._rounded(self.cost * closing / held)
            entry_fee = self.fees if whole else _exact(self.fees * closing / held)
            value = exact_worth(self.listing, closing, price)
            profit = self._gain(cost, value)
            self.cost -= cost
            self.fees -= entry_fee
        if qty > closing:
            self.cost += exact_worth(self.listing, qty - closing, price)
            self.fees += fee - exit_fee
        turned = closing < qty  # opened, enlarged or turned around
        fresh = not held or (closing == held and turned)
        self.size += change
        self.realised += profit - fee
        self.current = ZERO if not self.size else -(fee - exit_fee) if fresh else self.current + profit - fee
        return Closed(closing, _exact(cost), _exact(value), profit, entry_fee, exit_fee)

    def profit(self, price: Decimal) -> Decimal:
        """Of all of it, at a price."""
        return self._gain(self.cost, exact_worth(self.listing, abs(self.size), price)) if self.size else ZERO

    def _gain(self, cost: Decimal, value: Decimal) -> Decimal:
        gain = cost - value if self.listing.category == "inverse" else value - cost
        return _exact(gain if self.size > 0 else -gain)

    def _rounded(self, cost: Decimal) -> Decimal:
        return cost if self.listing.category == "inverse" else _exact(cost)


@dataclass(slots=True)
class ClosedProfit:
    """What one order closed of a position, with all its fills. `number` counts them all."""

    number: int
    order: Order
    leverage: Decimal
    created_ms: int
    updated_ms: int
    qty: Decimal = ZERO
    entry_value: Decimal = ZERO
    exit_value: Decimal = ZERO
    entry_fee: Decimal = ZERO
    exit_fee: Decimal = ZERO
    profit: Decimal = ZERO
    fills: int = 0

    def add(self, closed: Closed, now_ms: int) -> None:
        """One fill more."""
        self.qty += closed.qty
        self.entry_value += closed.entry_value
        self.exit_value += closed.exit_value
        self.entry_fee += closed.entry_fee
        self.exit_fee += closed.exit_fee
        self.profit += closed.net
        self.fills += 1
        self.updated_ms = now_ms

    def row(self) -> dict[str, Any]:
        """As /v5/position/closed-pnl tells it."""
        order, listing = self.order, self.order.listing
        return {
            "symbol": listing.symbol,
            "orderId": order.order_id,
            "side": order.side,
            "qty": plain(order.qty),
            "orderPrice": order.price_text(),
            "orderType": order.kind,
            "execType": "Trade",
            "closedSize": plain(self.qty),
            "cumEntryValue": plain(self.entry_value),
            "avgEntryPrice": plain(self._mean(self.entry_value)),
            "cumExitValue": plain(self.exit_value),
            "avgExitPrice": plain(self._mean(self.exit_value)),
            "closedPnl": plain(self.profit),
            "openFee": plain(self.entry_fee),
            "closeFee": plain(self.exit_fee),
            "fillCount": str(self.fills),
            "leverage": plain(self.leverage),
            "createdTime": str(self.created_ms),
            "updatedTime": str(self.updated_ms),
        }

    def _mean(self, value: Decimal) -> Decimal:
        mean = self.qty / value if self.order.listing.category == "inverse" else value / self.qty
        return mean.quantize(EXACT, ROUND_HALF_EVEN)


def _exact(amount: Decimal) -> Decimal:
    return amount.quantize(EXACT, ROUND_HALF_EVEN)
