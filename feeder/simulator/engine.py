"""The matching engine: an account's orders against the simulated market.

Accounts do not meet each other, and the market does not notice them. An order that comes in walks the levels of the
other side and gets no more than is there; what rests is filled at its own price, as a maker, when the other side comes
to it. Conditional orders are triggered by the last price, which is the mark price as well, or by the index price.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from feeder.simulator import stops
from feeder.simulator.account import Account
from feeder.simulator.executions import Execution
from feeder.simulator.liquidity import DEPTH, Level
from feeder.simulator.matching import Walk, walk
from feeder.simulator.notices import Notices
from feeder.simulator.numbering import Numbers
from feeder.simulator.orders import (
    CANCELLED,
    DEACTIVATED,
    FILLED,
    NEW,
    PARTLY_CANCELLED,
    REJECTED,
    TRIGGERED,
    UNTRIGGERED,
    ZERO,
    Order,
)
from feeder.simulator.positions import Position
from feeder.simulator.quotes import Quote
from feeder.simulator.settlement import book
from feeder.simulator.universe import Listing

_POST_ONLY = ("PostOnly", "RPI")
_AT_ONCE = ("IOC", "FOK")


class Engine:
    """Moves orders; each change is told once it is whole. `now_ms` of a call is when it happens."""

    def __init__(self, numbers: Numbers, notices: Notices) -> None:
        self._numbers = numbers
        self._notices = notices

    def price_of(self, account: Account, order: Order, quote: Quote) -> Decimal:
        """What the account must be able to pay an order at: a market order's mean price as the book is now.

        One that waits is bound at its own price, 0 for that of its trigger.
        """
        if order.kind == "Limit" or order.status == UNTRIGGERED:
            return order.price
        taken = walk(order, self._levels(account, order, quote), maker=False)
        value = sum((match.price * match.qty for match in taken.matches), ZERO)
        return value / taken.qty if taken.matches else quote.at_market(buy=order.buy)

    def enter(self, account: Account, order: Order, quote: Quote, now_ms: int) -> None:
        """Bring an order to the market: it trades as far as it can; what is left rests or is cancelled."""
        spot = order.listing.category == "spot"
        found = walk(order, self._levels(account, order, quote), maker=False)
        if order.time_in_force in _POST_ONLY and found.matches:
            status = _cut_short(order) if order.filled or not spot else REJECTED
            self.end(account, order, status, "UNKNOWN", now_ms, "EC_PostOnlyWillTakeLiquidity")
            self.tell(account, order, quote, now_ms)
            return
        if order.time_in_force == "FOK" and found.matches and not found.whole:
            self.end(account, order, CANCELLED, "UNKNOWN", now_ms, "EC_CancelForNoFullFill")
            self.tell(account, order, quote, now_ms)
            return
        executions = self._fill(account, order, found, quote, now_ms, maker=False)
        if executions and order.is_open and order.by_value and found.whole:
            order.status = FILLED  # what is left of its amount buys nothing
        if order.is_open and order.time_in_force in _AT_ONCE:
            self.end(account, order, _cut_short(order), "UNKNOWN", now_ms, "EC_NoImmediateQtyToFill")
        self._finish(account, order, executions, quote, now_ms)

    def meet(self, account: Account, quote: Quote, now_ms: int) -> None:
        """Let the market as it is now come to the account's orders of a symbol: by price, then by time."""
        active = [order for order in account.open_orders_of(quote.listing) if order.is_active]
        bid, ask = quote.best(bid=True), quote.best(bid=False)
        crossed = [
            order for order in active if (best := ask if order.buy else bid) is not None and order.crosses(best[0])
        ]
        crossed.sort(key=lambda order: (order.buy, -order.price if order.buy else order.price, order.priority))
        for order in crossed:
            if order.is_active:  # a fill before this one may have cancelled it
                found = walk(order, self._levels(account, order, quote), maker=True)
                executions = self._fill(account, order, found, quote, now_ms, maker=True)
                if executions:
                    self._finish(account, order, executions, quote, now_ms)
        self._trigger(account, quote, now_ms)

    def end(
        self, account: Account, order: Order, status: str, cancel_type: str, now_ms: int, reason: str = "EC_NoError"
    ) -> list[Order]:
        """An order comes to an end unfilled, and so does the one it is bound to; which those were."""
        order.status, order.cancel_type, order.reject_reason = status, cancel_type, reason
        order.updated_ms = now_ms
        account.settle(order)
        return [order, *self._part(account, order, cancel_type, now_ms)]

    def cancel(self, account: Account, order: Order, cancel_type: str, now_ms: int) -> list[Order]:
        """Cancel an open order as its owner asks; with the one it is bound to."""
        status = DEACTIVATED if order.status == UNTRIGGERED else _cut_short(order)
        return self.end(account, order, status, cancel_type, now_ms, "EC_PerCancelRequest")

    def tell(
        self,
        account: Account,
        order: Order,
        quote: Quote | None,
        now_ms: int,
        executions: Sequence[Execution] = (),
        others: Sequence[Order] = (),
    ) -> None:
        """Tell a round: the order, its fills, the position, the wallet; then what else it did to orders."""
        position = None
        if order.listing.category != "spot":
            position = account.position(order.listing, order.position_idx, self._numbers, now_ms)
            if not executions:
                position.seq = self._sequence(position.listing, quote)
        self._notices.round(account, order, executions, position, others, now_ms)

    def tell_others(
        self, account: Account, position: Position, orders: Sequence[Order], quote: Quote, now_ms: int
    ) -> None:
        """Tell of the orders that protect a position, and of the position."""
        position.seq = self._sequence(position.listing, quote)
        self._notices.orders(account, orders, now_ms)
        self._notices.position(account, position, now_ms)

    def _sequence(self, listing: Listing, quote: Quote | None) -> int:
        return self._numbers.sequence(listing.category, listing.symbol, 0 if quote is None else quote.touch.seq)

    def _fill(
        self, account: Account, order: Order, found: Walk, quote: Quote, now_ms: int, *, maker: bool
    ) -> list[Execution]:
        if not found.matches:
            return []
        listing = order.listing
        liquidity = account.liquidity(listing)
        seq = self._sequence(listing, quote)
        executions = []
        for match in found.matches:
            liquidity.take(match.level, match.qty)
            executions.append(
                book(account, order, match, self._numbers, maker=maker, mark=quote.last, seq=seq, now_ms=now_ms)
            )
        return executions

    def _finish(self, account: Account, order: Order, executions: list[Execution], quote: Quote, now_ms: int) -> None:
        """What a round does to other orders; then tell it all."""
        account.settle(order)
        others: list[Order] = []
        if executions and order.listing.category == "spot":
            if order.status == FILLED:
                others = stops.of_spot(order, self._numbers, now_ms)
                for stop in others:
                    account.add(stop)
        elif executions:
            others = self._after_fill(account, order, executions, now_ms)
        self.tell(account, order, quote, now_ms, executions, others)

    def _after_fill(self, account: Account, order: Order, executions: list[Execution], now_ms: int) -> list[Order]:
        """Fit the orders that only reduce a position to what it is now, and protect it as the order asked for."""
        position = account.position(order.listing, order.position_idx, self._numbers, now_ms)
        changed, gone = stops.fitted(account, position)
        for each in changed:
            each.updated_ms = now_ms
        for each, cancel_type in gone:
            if each.is_open:  # and was not cancelled with the one before it
                status = DEACTIVATED if each.status == UNTRIGGERED else CANCELLED
                changed += self.end(account, each, status, cancel_type, now_ms)
        opened = sum((execution.qty - execution.closed for execution in executions), ZERO)
        if opened:
            changed += self._protect(account, position, order, opened, now_ms)
        return list({each.order_id: each for each in changed}.values())

    def _protect(self, account: Account, position: Position, order: Order, opened: Decimal, now_ms: int) -> list[Order]:
        partial = stops.is_partial(order)
        made: list[Order] = []
        changed: list[Order] = []
        for wanted in stops.wanted_by(order):
            if not partial:
                changed += stops.take(account, position, stops.of_position(position, wanted, self._numbers, now_ms))
                continue
            known = stops.of_parent(account, order, wanted.kind)
            if known is not None:  # of an earlier fill of the same order
                known.qty, known.updated_ms = known.qty + opened, now_ms
                changed.append(known)
                continue
            stop = stops.of_position(position, wanted, self._numbers, now_ms, opened)
            stop.parent = order.order_id
            made.append(stop)
        if partial:
            stops.bind(made)
        for stop in made:
            account.add(stop)
        return changed + made

    def _part(self, account: Account, order: Order, cancel_type: str, now_ms: int) -> list[Order]:
        """End the order that goes with this one."""
        pair = account.orders.get(order.pair)
        if pair is None or pair.status != UNTRIGGERED:
            return []
        return self.end(account, pair, DEACTIVATED, cancel_type, now_ms)

    def _trigger(self, account: Account, quote: Quote, now_ms: int) -> None:
        waiting = [order for order in account.open_orders_of(quote.listing) if order.status == UNTRIGGERED]
        if not waiting:
            return
        last = quote.last
        prices = {"LastPrice": last, "MarkPrice": last, "IndexPrice": quote.index(last)}
        for order in waiting:
            if order.status != UNTRIGGERED or order.trigger is None:
                continue  # one before it has ended it
            price = prices[order.trigger.by]
            followed = order.trigger.followed(price)
            if followed is not order.trigger:
                order.trigger, order.updated_ms = followed, now_ms
                self._notices.orders(account, [order], now_ms)
            if order.trigger.reached(price):
                self._fire(account, order, quote, now_ms)

    def _fire(self, account: Account, order: Order, quote: Quote, now_ms: int) -> None:
        """A conditional order comes into force."""
        order.listing = listing = quote.listing
        order.status, order.updated_ms = TRIGGERED, now_ms
        self._notices.orders(account, [order], now_ms)
        self._notices.orders(account, self._part(account, order, _parting(order), now_ms), now_ms)
        order.status = NEW
        if order.kind == "Market" and listing.category != "spot":
            highest, lowest = quote.limits()
            order.price = highest if order.buy else lowest
        refused = ""
        if order.reduces:
            held = account.held(listing, order.position_idx)
            if not held or (held > 0) == order.buy:
                refused = "CancelByReduceOnly"
            else:
                order.qty = min(order.qty or abs(held), abs(held))
        elif not account.can_pay(order, self.price_of(account, order, quote)):
            refused = "CancelByCannotAffordOrderCost"
        if refused:
            self.end(account, order, CANCELLED, refused, now_ms)
            self.tell(account, order, quote, now_ms)
        else:
            self.enter(account, order, quote, now_ms)

    def _levels(self, account: Account, order: Order, quote: Quote) -> Iterator[Level]:
        """The other side as the account sees it."""
        touch = quote.quotes.source.touch(order.listing.category, order.listing.symbol, DEPTH)
        assert touch is not None
        return account.liquidity(order.listing).levels(touch, bid=not order.buy)


def _cut_short(order: Order) -> str:
    """The status of an order that is cancelled at the market."""
    return PARTLY_CANCELLED if order.listing.category == "spot" and order.filled else CANCELLED


def _parting(order: Order) -> str:
    """Why the order that goes with this one is cancelled once this one is triggered."""
    if order.listing.category != "spot" or order.trigger is None:
        return "CancelByTpSlTsClear"
    profit = order.trigger.rises != order.buy
    return "CancelByOCOSlCanceledByTpTriggered" if profit else "CancelByOCOTpCanceledBySlTriggered"
