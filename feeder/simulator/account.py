"""One account: what it owns, the positions it holds, and what its orders bind."""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal

from feeder.simulator.orders import EXACT, NEW, ZERO, Execution, Order, worth
from feeder.simulator.universe import Listing

FIRST_BALANCES = {
    "USDT": Decimal(100_000),
    "USDC": Decimal(100_000),
    "BTC": Decimal(10),
    "ETH": Decimal(100),
    "SOL": Decimal(1000),
    "XRP": Decimal(100_000),
}
"""What every account begins with."""

USUAL_LEVERAGE = Decimal(10)
MAINTENANCE = Decimal("0.005")

_TAKER = {
    "spot": Decimal("0.001"),
    "linear": Decimal("0.00055"),
    "inverse": Decimal("0.00055"),
    "option": Decimal("0.0003"),
}
_MAKER = {
    "spot": Decimal("0.001"),
    "linear": Decimal("0.0002"),
    "inverse": Decimal("0.0002"),
    "option": Decimal("0.0002"),
}


def fee_rates(category: str) -> tuple[Decimal, Decimal]:
    """Taker and maker. An option's is of its premium here, of its underlying at the venue."""
    return _TAKER[category], _MAKER[category]


@dataclass(slots=True)
class Position:
    """`size` is below 0 of a short one; `average` its entry price. `idx` 0 is the one-way mode's."""

    number: int
    listing: Listing
    idx: int
    created_ms: int
    updated_ms: int
    size: Decimal = ZERO
    average: Decimal = ZERO
    realised: Decimal = ZERO
    seq: int = -1
    stops: dict[str, str] = field(default_factory=dict)

    def add(self, change: Decimal, price: Decimal) -> tuple[Decimal, Decimal]:
        """Buy (above 0) or sell at a price; what was closed by it, and the profit on that."""
        closed, profit = ZERO, ZERO
        if self.size * change < 0:
            closed = min(abs(self.size), abs(change))
            profit = self.profit(price, closed)
        opened = abs(change) - closed
        left = self.size + change
        if opened:
            before = abs(self.size) - closed
            self.average = price if not before else self._mean(before, opened, price)
        elif not left:
            self.average = ZERO
        self.size = left
        return closed, profit

    def profit(self, price: Decimal, qty: Decimal | None = None) -> Decimal:
        """Of so much of it, or all, at a price; in the coin that it settles in."""
        qty = abs(self.size) if qty is None else qty
        if not qty:
            return ZERO
        if self.listing.category == "inverse":
            gain = (qty / self.average - qty / price).quantize(EXACT, ROUND_HALF_EVEN)
        else:
            gain = (price - self.average) * qty
        return gain if self.size > 0 else -gain

    def _mean(self, before: Decimal, opened: Decimal, price: Decimal) -> Decimal:
        if self.listing.category == "inverse":
            mean = (before + opened) / (before / self.average + opened / price)
        else:
            mean = (before * self.average + opened * price) / (before + opened)
        return mean.quantize(EXACT, ROUND_HALF_EVEN)


class Account:
    """`mark` tells the mark price of a symbol."""

    def __init__(self, name: str, mark: Callable[[Listing], Decimal]) -> None:
        self.name = name
        self.cash = dict(FIRST_BALANCES)
        self.realised: dict[str, Decimal] = {}  # by coin, fees taken off
        self.orders: dict[str, Order] = {}  # by orderId, oldest first
        self.links: dict[str, Order] = {}  # by orderLinkId, for ever
        self._open: list[Order] = []  # and some that were closed since anybody looked
        self.executions: list[Execution] = []
        self.positions: dict[tuple[str, str, int], Position] = {}
        self.leverages: dict[tuple[str, str], tuple[Decimal, Decimal]] = {}  # of buys and of sells
        self.hedged: set[tuple[str, str]] = set()
        self._mark = mark

    def add(self, order: Order) -> None:
        """A new order is its own."""
        self.orders[order.order_id] = order
        self._open.append(order)
        if order.link_id:
            self.links[order.link_id] = order

    def open_orders(self) -> list[Order]:
        """Those still in force, oldest first."""
        self._open = [order for order in self._open if order.is_open]
        return list(self._open)

    def open_orders_of(self, listing: Listing) -> list[Order]:
        """Those of one symbol."""
        key = listing.category, listing.symbol
        return [order for order in self.open_orders() if (order.listing.category, order.listing.symbol) == key]

    def leverage(self, listing: Listing) -> tuple[Decimal, Decimal]:
        """Of buys and of sells."""
        return self.leverages.get((listing.category, listing.symbol), (USUAL_LEVERAGE, USUAL_LEVERAGE))

    def held(self, listing: Listing, idx: int) -> Decimal:
        """The position's size."""
        position = self.positions.get((listing.category, listing.symbol, idx))
        return ZERO if position is None else position.size

    def bound(self, order: Order, price: Decimal) -> tuple[str, Decimal]:
        """The coin that an order takes at a price, and how much of it, while it is open."""
        listing, qty = order.listing, order.qty - order.filled
        if listing.category == "spot":
            if not order.buy:
                return listing.base, qty
            return listing.quote, qty if order.by_value else qty * price
        coin = listing.settle
        if order.reduce_only or order.status != NEW:
            return coin, ZERO
        taker = fee_rates(listing.category)[0]
        if listing.category == "option":
            return coin, worth(listing, qty, price) * (1 + taker)
        held = self.held(listing, order.position_idx)
        opposite = abs(held) if held and (held > 0) != order.buy else ZERO
        value = worth(listing, max(qty - opposite, ZERO), price)
        return coin, value / self.leverage(listing)[0 if order.buy else 1] + value * taker

    def spot_locked(self, coin: str) -> Decimal:
        """Bound by open spot orders."""
        return self._bound(coin, spot=True)

    def order_margin(self, coin: str) -> Decimal:
        """Bound by open orders of contracts."""
        return self._bound(coin, spot=False)

    def position_margin(self, coin: str) -> tuple[Decimal, Decimal]:
        """Initial and maintenance margin of the positions that settle in a coin."""
        margins = [self.margins(position) for position in self._settling_in(coin)]
        return sum((each[0] for each in margins), ZERO), sum((each[1] for each in margins), ZERO)

    def margins(self, position: Position) -> tuple[Decimal, Decimal]:
        """Initial and maintenance margin of a position at the mark price. An option's is not simulated."""
        listing = position.listing
        if listing.category == "option":
            return ZERO, ZERO
        value = worth(listing, abs(position.size), self._mark(listing))
        return value / self.leverage(listing)[0 if position.size > 0 else 1], value * MAINTENANCE

    def unrealised(self, coin: str) -> Decimal:
        """Profit of the contracts that settle in a coin, at their mark prices."""
        return sum(
            (
                position.profit(self._mark(position.listing))
                for position in self._settling_in(coin)
                if position.listing.category != "option"
            ),
            ZERO,
        )

    def available(self, coin: str) -> Decimal:
        """What a new order may bind."""
        margin = self.order_margin(coin) + self.position_margin(coin)[0]
        return self.cash.get(coin, ZERO) + min(self.unrealised(coin), ZERO) - self.spot_locked(coin) - margin

    def pay(self, coin: str, amount: Decimal) -> None:
        """Put an amount to a balance, or below 0 take it off."""
        self.cash[coin] = self.cash.get(coin, ZERO) + amount

    def _bound(self, coin: str, *, spot: bool) -> Decimal:
        total = ZERO
        for order in self.open_orders():
            if (order.listing.category == "spot") == spot:
                taken, amount = self.bound(order, order.price)
                total += amount if taken == coin else ZERO
        return total

    def _settling_in(self, coin: str) -> list[Position]:
        return [each for each in self.positions.values() if each.size and each.listing.settle == coin]
