"""A fill, booked: fee, coins or position, and the order's sums."""

from decimal import ROUND_HALF_EVEN, Decimal

from feeder.simulator.account import Account, fee_rates
from feeder.simulator.executions import Execution
from feeder.simulator.matching import Match
from feeder.simulator.numbering import Numbers
from feeder.simulator.orders import EXACT, FILLED, PARTLY_FILLED, ZERO, Order, exact_worth, worth
from feeder.simulator.positions import Closed, ClosedProfit


def book(
    account: Account,
    order: Order,
    match: Match,
    numbers: Numbers,
    *,
    maker: bool,
    mark: Decimal,
    seq: int,
    now_ms: int,
) -> Execution:
    """Settle one match; what the list of executions tells of it from now on."""
    listing, qty, price = order.listing, match.qty, match.price
    spot = listing.category == "spot"
    rate = fee_rates(listing.category)[1 if maker else 0]
    value = worth(listing, qty, price)
    coin = (listing.base if order.buy else listing.quote) if spot else listing.settle
    fee = ((qty if spot and order.buy else value) * rate).quantize(EXACT, ROUND_HALF_EVEN)
    account.pay(coin, -fee)
    closed = Closed(ZERO, ZERO, ZERO, ZERO, ZERO, ZERO)
    if spot:
        account.pay(listing.base, qty if order.buy else -qty)
        account.pay(listing.quote, -value if order.buy else value)
    else:
        closed = _move_position(account, order, match, fee, numbers, seq, now_ms)
    order.filled += qty
    order.value += value
    order.weight += exact_worth(listing, qty, price)
    order.fee += fee
    order.fee_coin = coin
    order.closed_profit += closed.net
    order.status = PARTLY_FILLED if order.left > ZERO else FILLED
    order.updated_ms = now_ms
    number = numbers.take("execution")
    execution = Execution(
        number=number,
        exec_id=numbers.identity("execution", number, listing.category),
        order=order,
        order_price=order.price_text(),
        order_qty=order.qty,
        leaves=order.leaves,
        price=price,
        qty=qty,
        value=value,
        fee=fee,
        fee_coin=coin,
        fee_rate=rate,
        maker=maker,
        closed=closed.qty,
        profit=closed.profit,
        mark=mark,
        time_ms=now_ms,
        seq=seq,
    )
    account.executions.append(execution)
    return execution


def _move_position(
    account: Account, order: Order, match: Match, fee: Decimal, numbers: Numbers, seq: int, now_ms: int
) -> Closed:
    listing = order.listing
    position = account.position(listing, order.position_idx, numbers, now_ms)
    opening = not position.size
    closed = position.add(match.qty if order.buy else -match.qty, match.price, fee)
    position.seq, position.updated_ms = seq, now_ms
    if opening or (closed.qty and closed.qty < match.qty):
        position.opened_ms = now_ms
    coin = listing.settle
    account.realised[coin] = account.realised.get(coin, ZERO) + closed.profit - fee
    if listing.category == "option":  # the premium changes hands; there is no settlement
        value = match.qty * match.price
        account.pay(coin, -value if order.buy else value)
    else:
        account.pay(coin, closed.profit)
    if closed.qty:
        entry = account.closings.get(order.order_id)
        if entry is None:
            leverage = account.leverage(listing)[1 if order.buy else 0]  # of the side that was closed
            entry = ClosedProfit(numbers.take("closing"), order, leverage, now_ms, now_ms)
            account.closings[order.order_id] = entry
        entry.add(closed, now_ms)
    return closed
