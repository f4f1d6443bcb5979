"""One account: what it owns, the positions it holds, and what its orders bind."""

from collections import deque
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import NamedTuple

from feeder.simulator.executions import Execution
from feeder.simulator.liquidity import Liquidity
from feeder.simulator.numbering import Numbers
from feeder.simulator.orders import UNTRIGGERED, ZERO, Order, worth
from feeder.simulator.positions import ClosedProfit, Position
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

KEPT = 10_000
"""Closed orders, executions and closed profits of one account; the oldest are forgotten, with their orderLinkIds."""

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


class Bindings(NamedTuple):
    """What orders bind, by coin: spot orders what they pay with, those of contracts their margin."""

    locked: dict[str, Decimal]
    margin: dict[str, Decimal]


class Account:
    """`mark` tells the mark price of a symbol."""

    def __init__(self, name: str, mark: Callable[[Listing], Decimal]) -> None:
        self.name = name
        self.cash = dict(FIRST_BALANCES)
        self.realised: dict[str, Decimal] = {}  # by coin, fees taken off
        self.orders: dict[str, Order] = {}  # by orderId, oldest first
        self.links: dict[str, Order] = {}  # by orderLinkId, as long as the order is known
        self.executions: deque[Execution] = deque(maxlen=KEPT)
        self.closings: dict[str, ClosedProfit] = {}  # by orderId, oldest first
        self.positions: dict[tuple[str, str, int], Position] = {}  # one for each symbol and side that was traded
        self.leverages: dict[tuple[str, str], tuple[Decimal, Decimal]] = {}  # of buys and of sells
        self.hedged: set[tuple[str, str]] = set()
        self._mark = mark
        self._open: dict[tuple[str, str], dict[str, Order]] = {}  # by symbol
        self._closed: deque[Order] = deque()
        self._liquidity: dict[tuple[str, str], Liquidity] = {}  # one for each symbol that was traded

    def add(self, order: Order) -> None:
        """A new order is its own."""
        self.orders[order.order_id] = order
        self._open.setdefault(_key(order.listing), {})[order.order_id] = order
        if order.link_id:
            self.links[order.link_id] = order

    def settle(self, order: Order) -> None:
        """An order has changed: one that is not open any more is kept as long as there is room."""
        orders = self._open.get(_key(order.listing), {})
        if order.is_open or order.order_id not in orders:
            return
        del orders[order.order_id]
        if not orders:
            del self._open[_key(order.listing)]
        self._closed.append(order)
        if len(self._closed) > KEPT:
            forgotten = self._closed.popleft()
            del self.orders[forgotten.order_id]
            self.links.pop(forgotten.link_id, None)
        while len(self.closings) > KEPT:
            del self.closings[next(iter(self.closings))]

    def open_orders(self) -> list[Order]:
        """Those still in force, oldest first."""
        return sorted(self._all_open(), key=lambda order: order.number)

    def open_orders_of(self, listing: Listing) -> list[Order]:
        """Those of one symbol, oldest first."""
        return list(self._open.get(_key(listing), {}).values())

    def symbols(self) -> list[tuple[str, str]]:
        """Category and symbol of everything that it has open orders in."""
        return list(self._open)

    def liquidity(self, listing: Listing) -> Liquidity:
        """What it may still take of a symbol's book."""
        return self._liquidity.setdefault(_key(listing), Liquidity())

    def position(self, listing: Listing, idx: int, numbers: Numbers, now_ms: int) -> Position:
        """The position of a side, empty the first time."""
        key = listing.category, listing.symbol, idx
        position = self.positions.get(key)
        if position is None:
            position = self.positions[key] = Position(numbers.take("position"), listing, idx, now_ms, now_ms)
        return position

    def stop(self, position: Position, kind: str) -> Order | None:
        """The take profit, stop loss or trailing stop of a whole position that waits."""
        for order in self.open_orders_of(position.listing):
            if order.stop == kind and order.position_idx == position.idx and order.status == UNTRIGGERED:
                return order
        return None

    def leverage(self, listing: Listing) -> tuple[Decimal, Decimal]:
        """Of buys and of sells."""
        return self.leverages.get((listing.category, listing.symbol), (USUAL_LEVERAGE, USUAL_LEVERAGE))

    def held(self, listing: Listing, idx: int) -> Decimal:
        """The position's size."""
        position = self.positions.get((listing.category, listing.symbol, idx))
        return ZERO if position is None else position.size

    def bound(self, order: Order, price: Decimal) -> tuple[str, Decimal]:
        """The coin that an order takes at a price, and how much of it, while it is open."""
        listing, qty = order.listing, order.left
        waits = order.status == UNTRIGGERED
        if listing.category == "spot":
            if waits and (order.spot_filter != "tpslOrder" or order.shares):
                qty = ZERO
            if not price and order.trigger is not None:  # it will be a market order
                price = order.trigger.price
            if order.buy:
                return listing.quote, qty if order.by_value else qty * price
            return listing.base, qty / price if order.by_value else qty
        coin = listing.settle
        if order.reduces or waits:
            return coin, ZERO
        taker = fee_rates(listing.category)[0]
        if listing.category == "option":
            return coin, worth(listing, qty, price) * (1 + taker)
        held = self.held(listing, order.position_idx)
        opposite = abs(held) if held and (held > 0) != order.buy else ZERO
        value = worth(listing, max(qty - opposite, ZERO), price)
        return coin, value / self.leverage(listing)[0 if order.buy else 1] + value * taker

    def can_pay(self, order: Order, price: Decimal) -> bool:
        """Whether it can pay for all its open orders, and for this one at a price, which may be one of them."""
        coin, needed = self.bound(order, price)
        if not needed:  # what only closes is taken whatever is left
            return True
        if order.order_id in self.orders:  # counted at its own price already
            needed -= self.bound(order, order.price)[1] if order.is_open else ZERO
        return self.available(coin) >= needed

    def bindings(self) -> Bindings:
        """What open orders bind, by coin."""
        locked: dict[str, Decimal] = {}
        margin: dict[str, Decimal] = {}
        for order in self._all_open():
            coin, amount = self.bound(order, order.price)
            if amount:
                sums = locked if order.listing.category == "spot" else margin
                sums[coin] = sums.get(coin, ZERO) + amount
        return Bindings(locked, margin)

    def spot_locked(self, coin: str) -> Decimal:
        """Bound by open spot orders."""
        return self.bindings().locked.get(coin, ZERO)

    def order_margin(self, coin: str) -> Decimal:
        """Bound by open orders of contracts."""
        return self.bindings().margin.get(coin, ZERO)

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

    def available(self, coin: str, bound: Bindings | None = None) -> Decimal:
        """What a new order may bind; `bound` is what is bound now, if it is known."""
        bound = self.bindings() if bound is None else bound
        taken = bound.locked.get(coin, ZERO) + bound.margin.get(coin, ZERO) + self.position_margin(coin)[0]
        return self.cash.get(coin, ZERO) + min(self.unrealised(coin), ZERO) - taken

    def pay(self, coin: str, amount: Decimal) -> None:
        """Put an amount to a balance, or below 0 take it off."""
        self.cash[coin] = self.cash.get(coin, ZERO) + amount

    def _all_open(self) -> Iterator[Order]:
        return (order for orders in self._open.values() for order in orders.values())

    def _settling_in(self, coin: str) -> list[Position]:
        return [each for each in self.positions.values() if each.size and each.listing.settle == coin]


def _key(listing: Listing) -> tuple[str, str]:
    return listing.category, listing.symbol
