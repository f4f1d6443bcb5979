"""Take profit, stop loss and trailing stop: the orders that protect a position, or what was bought or sold on spot.

They wait as conditional orders. Those of a whole position follow its size; the partial ones have their own, but never
more than the position. All go when the position is closed or turned around.
"""

from decimal import ROUND_FLOOR, Decimal
from typing import NamedTuple

from feeder.simulator.account import Account
from feeder.simulator.numbering import Numbers
from feeder.simulator.orders import UNTRIGGERED, Order
from feeder.simulator.positions import Position
from feeder.simulator.triggers import Trigger
from feeder.simulator.universe import Listing

TAKE_PROFIT, STOP_LOSS, TRAILING_STOP = "TakeProfit", "StopLoss", "TrailingStop"
WHOLE = (TAKE_PROFIT, STOP_LOSS, TRAILING_STOP)
PARTIAL = ("PartialTakeProfit", "PartialStopLoss")


class Wanted(NamedTuple):
    """A protecting order: `kind` is TakeProfit or StopLoss, `limit` its price once triggered, 0 at the market."""

    kind: str
    price: Decimal
    by: str
    limit: Decimal


def wanted_by(order: Order) -> list[Wanted]:
    """What the order asked for to protect what it fills."""
    texts, found = order.texts, []
    for kind, price, by, limit, how in (
        (TAKE_PROFIT, "takeProfit", "tpTriggerBy", "tpLimitPrice", "tpOrderType"),
        (STOP_LOSS, "stopLoss", "slTriggerBy", "slLimitPrice", "slOrderType"),
    ):
        if Decimal(texts.get(price) or 0):
            limited = texts.get(how) == "Limit" and (order.listing.category == "spot" or is_partial(order))
            at = Decimal(texts.get(limit) or 0) if limited else Decimal(0)
            found.append(Wanted(kind, Decimal(texts[price]), texts.get(by) or "LastPrice", at))
    return found


def is_partial(order: Order) -> bool:
    """Whether its take profit and stop loss are for what it fills, and not for the whole position."""
    return order.texts.get("tpslMode") == "Partial"


def of_position(position: Position, wanted: Wanted, numbers: Numbers, now_ms: int, qty: Decimal | None = None) -> Order:
    """A take profit or stop loss of a whole position, or of a quantity of it."""
    long = position.size > 0
    rises = long == (wanted.kind == TAKE_PROFIT)
    kind = wanted.kind if qty is None else f"Partial{wanted.kind}"
    trigger = Trigger(wanted.price, 1 if rises else 2, wanted.by, rises)
    order = _waiting(position.listing, "Sell" if long else "Buy", trigger, wanted.limit, numbers, now_ms)
    order.qty = abs(position.size) if qty is None else qty
    return _protecting(order, position, kind)


def trailing_stop(position: Position, trigger: Trigger, numbers: Numbers, now_ms: int) -> Order:
    """One of a whole position."""
    order = _waiting(position.listing, "Sell" if position.size > 0 else "Buy", trigger, Decimal(0), numbers, now_ms)
    order.qty = abs(position.size)
    return _protecting(order, position, TRAILING_STOP)


def of_spot(order: Order, numbers: Numbers, now_ms: int) -> list[Order]:
    """What a spot order asked for, for what it got, once it is filled: one order, or two of which one will do."""
    step = Decimal(order.listing.step)
    got = order.filled - order.fee if order.buy else order.filled
    qty = (got / step).to_integral_value(ROUND_FLOOR) * step
    found = []
    for wanted in wanted_by(order) if qty else []:
        rises = order.buy == (wanted.kind == TAKE_PROFIT)
        trigger = Trigger(wanted.price, 0, "LastPrice", rises)
        side = "Sell" if order.buy else "Buy"
        stop = _waiting(order.listing, side, trigger, wanted.limit, numbers, now_ms)
        stop.qty, stop.spot_filter, stop.stop, stop.parent = qty, "tpslOrder", "tpslOrder", order.order_id
        found.append(stop)
    bind(found)
    return found


def waiting(account: Account, position: Position, kind: str) -> list[Order]:
    """The orders of a kind (stopOrderType) that protect a position."""
    return [
        order
        for order in account.open_orders_of(position.listing)
        if (order.stop, order.position_idx, order.status) == (kind, position.idx, UNTRIGGERED)
    ]


def of_parent(account: Account, parent: Order, kind: str) -> Order | None:
    """The partial take profit or stop loss that an earlier fill of the same order has set, as long as it waits."""
    for order in account.open_orders_of(parent.listing):
        if (order.parent, order.stop, order.status) == (parent.order_id, f"Partial{kind}", UNTRIGGERED):
            return order
    return None


def bind(orders: list[Order]) -> None:
    """Let the one go when the other is triggered or cancelled."""
    if len(orders) == len(PARTIAL):
        first, second = orders
        first.pair, second.pair, second.shares = second.order_id, first.order_id, True


def take(account: Account, position: Position, order: Order) -> list[Order]:
    """A protecting order is the account's from now on; what changed by it.

    A whole position has one of each kind: another one changes it. Of partial ones there can be many.
    """
    known = account.stop(position, order.stop) if order.stop in WHOLE else None
    if known is None:
        account.add(order)
        return [order]
    if known.trigger == order.trigger:
        return []
    known.trigger, known.updated_ms = order.trigger, order.created_ms
    return [known]


def fitted(account: Account, position: Position) -> tuple[list[Order], list[tuple[Order, str]]]:
    """After a position has changed: orders whose quantity was fitted to it, and those to be cancelled, with the type.

    A conditional order of the user's own is left alone until it is triggered.
    """
    held, changed, gone = position.size, [], []
    for order in account.open_orders_of(position.listing):
        if not order.reduces or order.position_idx != position.idx:
            continue
        protects = order.stop in WHOLE or order.stop in PARTIAL
        if order.status == UNTRIGGERED and not protects:
            continue
        if not held or (held > 0) == order.buy:
            gone.append((order, "CancelByTpSlTsClear" if protects else "CancelByReduceOnly"))
        elif order.left > abs(held) or (order.stop in WHOLE and order.status == UNTRIGGERED and order.qty != abs(held)):
            order.qty = order.filled + abs(held)
            changed.append(order)
    return changed, gone


def _waiting(listing: Listing, side: str, trigger: Trigger, limit: Decimal, numbers: Numbers, now_ms: int) -> Order:
    number = numbers.take("order")
    return Order(
        number=number,
        order_id=numbers.identity("order", number, listing.category),
        link_id="",
        listing=listing,
        side=side,
        kind="Limit" if limit else "Market",
        time_in_force="GTC" if limit else "IOC",
        qty=Decimal(0),
        price=limit,
        created_ms=now_ms,
        updated_ms=now_ms,
        trigger=trigger,
        status=UNTRIGGERED,
        priority=number,
    )


def _protecting(order: Order, position: Position, kind: str) -> Order:
    order.position_idx, order.reduce_only, order.close_on_trigger = position.idx, True, True
    order.stop, order.create_type = kind, f"CreateBy{kind}"
    order.texts = {"tpslMode": "Partial" if kind in PARTIAL else "Full"}
    return order
