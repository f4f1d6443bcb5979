"""The accounts of the exchange and their orders: taken, changed, cancelled, and brought to the matching engine."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from decimal import Decimal

from feeder.clock import MILLISECOND_NS, Clock
from feeder.simulator import rest_parameters as read
from feeder.simulator import stops, trading_stop, verdicts
from feeder.simulator.account import Account
from feeder.simulator.engine import Engine
from feeder.simulator.messages import Trade
from feeder.simulator.notices import Listener, Notices
from feeder.simulator.numbering import Numbers
from feeder.simulator.order_entry import amended, check, check_trigger, link_id_of, new_order, quote_of
from feeder.simulator.orders import DEACTIVATED, FILLED, UNTRIGGERED, Order
from feeder.simulator.quotes import Quote, Quotes
from feeder.simulator.rest_reply import Parameters, Refused
from feeder.simulator.universe import Listing

_MOST_OPEN = 500
_MOST_WAITING = {"spot": 30, "linear": 10, "inverse": 10, "option": 10}  # conditional orders of the user's own

_UNCHANGED_STOPS = 34040
_State = tuple[int, Mapping[int, int], Trade | None]


class Ledger:
    """Accounts by name; each is opened when it is first asked for."""

    def __init__(self, quotes: Quotes, seed: int, clock: Clock) -> None:
        self._quotes = quotes
        self._clock = clock
        self._accounts: dict[str, Account] = {}
        self._numbers = Numbers(seed)
        self._notices = Notices(quotes)
        self._engine = Engine(self._numbers, self._notices)
        self._met: dict[tuple[str, str], _State] = {}  # by symbol: the market that orders last met

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
        return self._notices.listen(account_name, callback)

    def advance(self) -> None:
        """Let what rests or waits meet the market as it is now. Costs little where nothing has moved."""
        met, self._met = self._met, {}
        for key in dict.fromkeys(key for account in self._accounts.values() for key in account.symbols()):
            now = self._state(*key)
            if now is None:
                continue
            self._met[key] = now
            if met.get(key) == now:
                continue
            quote = self._quotes.find(*key)
            if quote is not None:
                for account in self._accounts.values():
                    self._meet(account, quote)
        self._notices.send()

    def place(self, account: Account, given: Parameters) -> Order:
        """Take an order as /v5/order/create does. Refused if it breaks a rule; then nothing has changed."""
        quote = quote_of(self._quotes, given)
        category = quote.listing.category
        number, now_ms = self._numbers.peek("order"), self.now_ms()
        order = new_order(given, quote, number, self._numbers.identity("order", number, category), now_ms)
        _check_mode(account, order)
        if order.status != UNTRIGGERED:
            _reduce(account, order)
        check(order, quote)
        check_trigger(order, quote)
        if order.link_id and order.link_id in account.links:
            raise verdicts.DUPLICATE.refused(category)
        _check_count(account, order)
        self._check_funds(account, order, quote)
        self._numbers.take("order")
        account.add(order)
        if order.status == UNTRIGGERED:
            self._engine.tell(account, order, quote, now_ms)
        else:
            self._engine.enter(account, order, quote, now_ms)
        self._notices.send()
        return order

    def amend(self, account: Account, given: Parameters) -> Order:
        """Change an open order as /v5/order/amend does. Refused if it cannot be; then it is as before."""
        quote = quote_of(self._quotes, given)
        _open_order(account, given)
        self._meet(account, quote)
        self._notices.send()
        order = _open_order(account, given)  # the market may have been faster
        wanted = amended(given, order, quote)
        if wanted.status != UNTRIGGERED:
            _reduce(account, wanted)
        if wanted.qty != order.qty and wanted.left <= 0:
            raise verdicts.QTY.refused(order.listing.category)
        check(wanted, quote)
        check_trigger(wanted, quote)
        behind = wanted.price != order.price or wanted.qty > order.qty
        bound = account.bound(order, order.price)[1]
        order_as_it_was = _copy_into(order, wanted)
        try:
            if account.bound(order, order.price)[1] > bound:  # what binds no more than before is always taken
                self._check_funds(account, order, quote)
        except Exception:
            _copy_into(order, order_as_it_was)
            raise
        order.updated_ms = self.now_ms()
        if behind:
            order.priority = self._numbers.take("order")
        if order.status == UNTRIGGERED:
            self._engine.tell(account, order, quote, order.updated_ms)
        else:
            self._engine.enter(account, order, quote, order.updated_ms)
        self._notices.send()
        return order

    def cancel(self, account: Account, given: Parameters) -> Order:
        """Cancel an open order as /v5/order/cancel does.

        One that the market fills in this moment is filled; the cancellation is taken nevertheless, and told to have
        come too late.
        """
        quote = self._quotes.find(read.category(given).name, read.text(given, "symbol"))
        order = _open_order(account, given)
        if quote is not None:
            self._meet(account, quote)
        now_ms = self.now_ms()
        if order.is_open:
            ended = self._engine.cancel(account, order, "CancelByUser", now_ms)
            self._engine.tell(account, order, quote, now_ms, others=ended[1:])
        elif order.status == FILLED:
            order.cancel_type, order.reject_reason = "CancelByUser", "EC_OrigClOrdIDDoesNotExist"
            self._notices.orders(account, [order], now_ms)
        self._notices.send()
        return order

    def cancel_all(self, account: Account, wanted: Callable[[Order], bool]) -> Sequence[Order]:
        """Cancel the open orders that are wanted; which those were, oldest first."""
        orders = []
        for order in [order for order in account.open_orders() if wanted(order)]:
            if order.is_open:  # and did not go with another
                quote = self._quotes.find(order.listing.category, order.listing.symbol)
                ended = self._engine.cancel(account, order, "CancelByUser", self.now_ms())
                orders += ended
                self._engine.tell(account, order, quote, self.now_ms(), others=ended[1:])
        self._notices.send()
        return orders

    def set_stops(self, account: Account, given: Parameters) -> None:
        """Set, change or cancel what protects a position, as /v5/position/trading-stop does."""
        quote = quote_of(self._quotes, given)
        request = trading_stop.read_request(given, account, quote)
        now_ms, position = self.now_ms(), request.position
        changed: list[Order] = []
        for kind in request.cancelled:
            for order in stops.waiting(account, position, kind):
                changed += self._engine.end(account, order, DEACTIVATED, "CancelByUser", now_ms)
        made = [
            *(stops.of_position(position, each, self._numbers, now_ms, request.qty) for each in request.wanted),
            *([stops.trailing_stop(position, request.trail, self._numbers, now_ms)] if request.trail else []),
        ]
        for order in made:
            changed += stops.take(account, position, order)
        if request.qty is not None:
            stops.bind(made)
        if not changed:
            raise Refused(_UNCHANGED_STOPS, "not modified")
        position.updated_ms = now_ms
        self._engine.tell_others(account, position, changed, quote, now_ms)
        self._notices.send()

    def set_leverage(self, account: Account, listing: Listing, leverage: tuple[Decimal, Decimal]) -> None:
        """Of buys and of sells."""
        account.leverages[listing.category, listing.symbol] = leverage
        for position in account.positions.values():
            if (position.listing.category, position.listing.symbol) == (listing.category, listing.symbol):
                self._notices.position(account, position, self.now_ms())
        self._notices.wallet(account, self.now_ms())
        self._notices.send()

    def _mark(self, listing: Listing) -> Decimal:
        quote = self._quotes.find(listing.category, listing.symbol)
        return Decimal(listing.price) if quote is None else quote.last

    def _state(self, category: str, symbol: str) -> _State | None:
        """What orders of a symbol can see of its market."""
        touch, tape = self._quotes.source.touch(category, symbol), self._quotes.source.tape(category, symbol)
        if touch is None or tape is None:
            return None
        return touch.seq, touch.levels, tape.trades[-1] if tape.trades else None

    def _meet(self, account: Account, quote: Quote) -> None:
        """The market comes first: what it does to the account's orders of a symbol until now."""
        if quote.is_trading:
            self._engine.meet(account, quote, self.now_ms())

    def _check_funds(self, account: Account, order: Order, quote: Quote) -> None:
        """Refused unless the account can pay for all its open orders, this one among them."""
        if not account.can_pay(order, self._engine.price_of(account, order, quote)):
            raise verdicts.BALANCE.refused(order.listing.category)


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


def _check_count(account: Account, order: Order) -> None:
    """Refused if the account has as many open orders of the symbol as it may have."""
    known, category = account.open_orders_of(order.listing), order.listing.category
    if order.status != UNTRIGGERED and sum(each.is_active for each in known) >= _MOST_OPEN:
        raise verdicts.TOO_MANY_OPEN.refused(category)
    waiting = sum(each.status == UNTRIGGERED and each.stop == order.stop for each in known)
    if order.status == UNTRIGGERED and waiting >= _MOST_WAITING[category]:
        raise verdicts.TOO_MANY_STOPS.refused(category)


def _reduce(account: Account, order: Order) -> None:
    """An order that only reduces is never for more than the position."""
    if not order.reduces:
        return
    held = account.held(order.listing, order.position_idx)
    if not held or (held > 0) == order.buy:
        raise verdicts.no_position()
    order.qty = order.filled + (abs(held) if order.closes_all else min(order.left, abs(held)))


def _copy_into(order: Order, other: Order) -> Order:
    """Make an order like another; a copy of what it was."""
    before = Order(**{each.name: getattr(order, each.name) for each in fields(Order)})
    for each in fields(Order):
        setattr(order, each.name, getattr(other, each.name))
    return before
