"""The orders of all accounts: taken, changed, cancelled, and filled against the market's touch.

There is no matching engine here. An order that would trade when it comes in is filled at once and whole, at the best
price of the other side, however little there is of it; the market does not notice. One that rests stays as it is until
somebody amends or cancels it: the market trades through its price without it. Conditional orders, take profit and stop
loss wait and are never triggered.
"""

import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import fields
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from feeder.clock import MILLISECOND_NS, Clock
from feeder.simulator import rest_parameters as read
from feeder.simulator import verdicts
from feeder.simulator.account import Account, Position, fee_rates
from feeder.simulator.listeners import Listener, Listeners
from feeder.simulator.order_entry import amended, check, link_id_of, new_order, quote_of
from feeder.simulator.orders import CANCELLED, DEACTIVATED, EXACT, FILLED, UNTRIGGERED, ZERO, Execution, Order, worth
from feeder.simulator.position_rows import private_position_row
from feeder.simulator.quotes import Quote, Quotes
from feeder.simulator.rest_reply import Parameters
from feeder.simulator.universe import Listing
from feeder.simulator.wallet import private_wallet_row

_MOST_OPEN = 500


class Ledger:
    """Accounts by name; each is opened when it is first asked for."""

    def __init__(self, quotes: Quotes, seed: int, clock: Clock) -> None:
        self._quotes = quotes
        self._clock = clock
        self._seed = seed
        self._accounts: dict[str, Account] = {}
        self._listeners = Listeners()
        self._numbers = {"order": 0, "execution": 0, "position": 0}

    def account(self, name: str) -> Account:
        """Its orders, executions, positions and balances."""
        account = self._accounts.get(name)
        if account is None:
            account = self._accounts[name] = Account(name, self._mark)
        return account

    def now_ms(self) -> int:
        """What time orders are stamped with."""
        return self._clock.wall_ns() // MILLISECOND_NS

    def listen(self, account_name: str, callback: Listener) -> Callable[[], None]:
        """Call it for what happens to an account, in order, after each change is whole; the result stops that."""
        return self._listeners.add(account_name, callback)

    def advance(self) -> None:
        """Let what rests meet the market as it is now."""

    def place(self, account: Account, given: Parameters) -> Order:
        """Take an order as /v5/order/create does. Refused if it breaks a rule; then nothing has changed."""
        quote = quote_of(self._quotes, given)
        category = quote.listing.category
        number = self._numbers["order"] + 1
        order = new_order(given, quote, number, self._id("order", number, category), self.now_ms())
        _check_mode(account, order)
        _reduce(account, order)
        check(order, quote)
        if order.link_id and order.link_id in account.links:
            raise verdicts.DUPLICATE.refused(category)
        if len(account.open_orders_of(order.listing)) >= _MOST_OPEN:
            raise verdicts.TOO_MANY_OPEN.refused(category)
        self._check_funds(account, order, quote)
        self._numbers["order"] = order.number
        account.add(order)
        self._match(account, order, quote)
        self._tell(account, order, filled=bool(order.filled))
        return order

    def amend(self, account: Account, given: Parameters) -> Order:
        """Change an open order as /v5/order/amend does. Refused if it cannot be; then it is as before."""
        quote = quote_of(self._quotes, given)
        order = _open_order(account, given)
        wanted = amended(given, order)
        _reduce(account, wanted)
        check(wanted, quote)
        order_as_it_was = _copy_into(order, wanted)
        try:
            self._check_funds(account, order, quote)
        except Exception:
            _copy_into(order, order_as_it_was)
            raise
        order.updated_ms = self.now_ms()
        self._match(account, order, quote)
        self._tell(account, order, filled=bool(order.filled))
        return order

    def cancel(self, account: Account, given: Parameters) -> Order:
        """Cancel an open order as /v5/order/cancel does."""
        order = _open_order(account, given)
        self._close(order, "CancelByUser", "EC_PerCancelRequest")
        self._tell(account, order, filled=False)
        return order

    def cancel_all(self, account: Account, wanted: Callable[[Order], bool]) -> Sequence[Order]:
        """Cancel the open orders that are wanted; which those were, oldest first."""
        orders = [order for order in account.open_orders() if wanted(order)]
        for order in orders:
            self._close(order, "CancelAllByUser", "EC_PerCancelRequest")
            self._tell(account, order, filled=False)
        return orders

    def _tell(self, account: Account, order: Order, *, filled: bool) -> None:
        if not self._listeners.wanted(account.name):
            return
        listing, now_ms, tell = order.listing, self.now_ms(), self._listeners.tell
        category = listing.category
        tell(account.name, "order", category, [order.private_row()], now_ms)
        if filled:
            tell(account.name, "execution", category, [account.executions[-1].private_row()], now_ms)
        if category != "spot":
            key = category, listing.symbol, order.position_idx
            position = account.positions.get(key) or Position(0, listing, order.position_idx, 0, 0)
            tell(account.name, "position", category, [private_position_row(account, position, self._quotes)], now_ms)
        tell(account.name, "wallet", "", [private_wallet_row(account, self._quotes)], now_ms)

    def _mark(self, listing: Listing) -> Decimal:
        quote = self._quotes.find(listing.category, listing.symbol)
        return Decimal(listing.price) if quote is None else quote.last

    def _check_funds(self, account: Account, order: Order, quote: Quote) -> None:
        """Refused unless the account can pay for all its open orders, this one among them."""
        price = quote.at_market(buy=order.buy) if order.kind == "Market" else order.price
        coin, needed = account.bound(order, price)
        if not needed:  # what only closes is taken whatever is left
            return
        known = order.order_id in account.orders
        if account.available(coin) - (ZERO if known else needed) < ZERO:
            raise verdicts.BALANCE.refused(order.listing.category)

    def _match(self, account: Account, order: Order, quote: Quote) -> None:
        """Fill it if it trades at once; let it rest, or be cancelled, if it does not."""
        if order.status == UNTRIGGERED:
            return
        best = quote.best(bid=not order.buy)
        crosses = best is not None and order.crosses(best[0])
        if order.time_in_force in ("PostOnly", "RPI"):
            if crosses:
                self._close(order, "UNKNOWN", "EC_PostOnlyWillTakeLiquidity")
        elif best is not None and crosses:
            self._fill(account, order, quote, best[0])
        elif order.time_in_force in ("IOC", "FOK"):
            self._close(order, "UNKNOWN", "EC_NoImmediateQtyToFill")

    def _fill(self, account: Account, order: Order, quote: Quote, price: Decimal) -> None:
        listing = order.listing
        qty, step = order.qty, Decimal(listing.step)
        if order.by_value:
            qty = (qty / price / step).to_integral_value(ROUND_FLOOR) * step
        value = worth(listing, qty, price)
        rate = fee_rates(listing.category)[0]
        spot = listing.category == "spot"
        coin = (listing.base if order.buy else listing.quote) if spot else listing.settle
        fee = ((qty if spot and order.buy else value) * rate).quantize(EXACT, ROUND_HALF_EVEN)
        account.pay(coin, -fee)
        closed = ZERO
        if spot:
            account.pay(listing.base, qty if order.buy else -qty)
            account.pay(listing.quote, -value if order.buy else value)
        else:
            closed = self._move_position(account, order, qty, price, fee, quote.touch.seq)
        order.status, order.filled, order.average, order.value = FILLED, qty, price, value
        order.fee, order.fee_coin, order.updated_ms = fee, coin, self.now_ms()
        number = self._next("execution")
        execution = Execution(
            number=number,
            exec_id=self._id("execution", number, listing.category),
            order=order,
            price=price,
            qty=qty,
            value=value,
            fee=fee,
            fee_coin=coin,
            fee_rate=rate,
            closed=closed,
            mark=quote.last,
            time_ms=order.updated_ms,
            seq=quote.touch.seq,
        )
        account.executions.append(execution)

    def _move_position(
        self, account: Account, order: Order, qty: Decimal, price: Decimal, fee: Decimal, seq: int
    ) -> Decimal:
        """What was closed by it."""
        listing, now_ms = order.listing, self.now_ms()
        key = listing.category, listing.symbol, order.position_idx
        position = account.positions.get(key)
        if position is None:
            position = Position(self._next("position"), listing, order.position_idx, now_ms, now_ms)
            account.positions[key] = position
        closed, profit = position.add(qty if order.buy else -qty, price)
        position.seq, position.updated_ms = seq, now_ms
        position.realised += profit - fee
        if not position.size:
            position.stops.clear()
        coin = listing.settle
        account.realised[coin] = account.realised.get(coin, ZERO) + profit - fee
        if listing.category == "option":  # the premium changes hands; there is no settlement
            account.pay(coin, -qty * price if order.buy else qty * price)
        else:
            account.pay(coin, profit)
        return closed

    def _close(self, order: Order, cancel_type: str, reason: str = "EC_NoError") -> None:
        order.status = DEACTIVATED if order.status == UNTRIGGERED else CANCELLED
        order.cancel_type, order.reject_reason = cancel_type, reason
        order.updated_ms = self.now_ms()

    def _id(self, kind: str, number: int, category: str) -> str:
        rng = random.Random(f"ledger:{self._seed}:{kind}:{number}")  # noqa: S311 - no secret
        if category == "spot":
            return f"1{rng.randrange(10**18):018d}"
        return str(uuid.UUID(int=rng.getrandbits(128), version=4))

    def _next(self, counter: str) -> int:
        self._numbers[counter] += 1
        return self._numbers[counter]


def _open_order(account: Account, given: Parameters) -> Order:
    """The open order that a request names by orderId, or else by orderLinkId."""
    category = read.category(given).name
    order_id, link_id = read.text(given, "orderId"), link_id_of(given)
    if not (order_id or link_id):
        raise read.required("orderId or orderLinkId")
    order = account.orders.get(order_id) if order_id else account.links.get(link_id)
    symbol = read.text(given, "symbol")
    if order is None or (order.listing.category, order.listing.symbol) != (category, symbol):
        raise verdicts.UNKNOWN.refused(category)
    if not order.is_open:
        raise (verdicts.FILLED if order.status == FILLED else verdicts.CANCELLED).refused(category)
    return order


def _check_mode(account: Account, order: Order) -> None:
    """Refused unless its positionIdx is one that the symbol has in its position mode."""
    listing = order.listing
    if listing.category == "spot":
        return
    hedged = (listing.category, listing.symbol) in account.hedged
    if (order.position_idx > 0) != hedged:
        raise verdicts.wrong_mode()
    if hedged and (order.position_idx == 1) != order.buy:
        order.reduce_only = True  # against the side that the position is of, an order can only reduce it


def _reduce(account: Account, order: Order) -> None:
    """A reduce-only order is never for more than the position; for 0 it is for all of it."""
    if not order.reduce_only or order.listing.category == "spot":
        return
    held = account.held(order.listing, order.position_idx)
    if not held or (held > 0) == order.buy:
        raise verdicts.no_position()
    order.qty = abs(held) if not order.qty else min(order.qty, abs(held))


def _copy_into(order: Order, other: Order) -> Order:
    """Make an order like another; a copy of what it was."""
    before = Order(**{each.name: getattr(order, each.name) for each in fields(Order)})
    for each in fields(Order):
        setattr(order, each.name, getattr(other, each.name))
    return before
