"""A request to place or amend an order, read and checked against its symbol's rules."""

import re
from collections.abc import Mapping
from dataclasses import replace
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from feeder.simulator import rest_parameters as read
from feeder.simulator import verdicts
from feeder.simulator.decimals import digits_of
from feeder.simulator.instruments import Rules
from feeder.simulator.orders import ATTACHED, UNTRIGGERED, ZERO, Order, worth
from feeder.simulator.quotes import Quote, Quotes
from feeder.simulator.rest_reply import PARAMETER_ERROR, Parameters, Refused
from feeder.simulator.triggers import Trigger
from feeder.simulator.verdicts import Verdict

_LINK_ID = re.compile(r"[A-Za-z0-9_-]{1,36}", re.ASCII)
_LONGEST_NUMBER = 32
_TIMES_IN_FORCE = ("GTC", "IOC", "FOK", "PostOnly", "RPI")
TRIGGERS = ("LastPrice", "IndexPrice", "MarkPrice")
_SPOT_FILTERS = ("Order", "tpslOrder", "StopOrder")
_HOW = ("tpOrderType", "slOrderType")
_LIMITS = ("tpLimitPrice", "slLimitPrice")
_PRICED = ("takeProfit", "stopLoss", *_LIMITS)


def quote_of(quotes: Quotes, given: Parameters) -> Quote:
    """The symbol of a request that can be traded now."""
    category = read.category(given)
    quote = quotes.find(category.name, read.text(given, "symbol"))
    if quote is None:
        raise verdicts.SYMBOL.refused(category.name)
    if not quote.is_trading:
        raise verdicts.NOT_LIVE.refused(category.name)
    return quote


def link_id_of(given: Parameters) -> str:
    """Its orderLinkId; empty if it has none."""
    link_id = read.text(given, "orderLinkId")
    if link_id and not _LINK_ID.fullmatch(link_id):
        raise read.invalid("orderLinkId")
    return link_id


def new_order(given: Parameters, quote: Quote, number: int, order_id: str, now_ms: int) -> Order:
    """The order that a request to place one asks for, not in force yet."""
    listing = quote.listing
    category = listing.category
    side = _one_of(given, "side", ("Buy", "Sell"), verdicts.SIDE, category)
    kind = _one_of(given, "orderType", ("Market", "Limit"), verdicts.KIND, category)
    market = kind == "Market"
    time_in_force = _one_of(given, "timeInForce", _TIMES_IN_FORCE, verdicts.TIME_IN_FORCE, category, default="GTC")
    link_id = link_id_of(given)
    if category == "option" and not link_id:
        raise read.required("orderLinkId")
    unit = read.choice(given, "marketUnit", ("baseCoin", "quoteCoin"), "quoteCoin" if side == "Buy" else "baseCoin")
    trigger = _trigger(given, quote)
    spot_filter = read.choice(given, "orderFilter", _SPOT_FILTERS, "Order") if category == "spot" else "Order"
    if trigger is None and spot_filter != "Order":
        raise read.required("triggerPrice")
    highest, lowest = quote.limits()
    bound = highest if side == "Buy" else lowest
    if category == "spot" or trigger is not None:  # it has one when it is triggered
        bound = ZERO
    order = Order(
        number=number,
        order_id=order_id,
        link_id=link_id,
        listing=listing,
        side=side,
        kind=kind,
        time_in_force="IOC" if market else time_in_force,
        qty=_number(given, "qty", verdicts.QTY, category),
        price=bound if market else _number(given, "price", verdicts.PRICE, category),
        created_ms=now_ms,
        updated_ms=now_ms,
        position_idx=read.whole(given, "positionIdx", 0, 0, 2),
        reduce_only=read.flag(given, "reduceOnly"),
        close_on_trigger=read.flag(given, "closeOnTrigger"),
        by_value=market and category == "spot" and unit == "quoteCoin",
        trigger=trigger,
        spot_filter=spot_filter,
        texts=_attached(given, {}),
        price_on_created=quote.price(quote.last),
        priority=number,
    )
    if trigger is not None:
        order.status, order.create_type = UNTRIGGERED, "CreateByStopOrder"
        order.stop = "tpslOrder" if spot_filter == "tpslOrder" else "Stop"
    return order


def amended(given: Parameters, order: Order, quote: Quote) -> Order:
    """The order as a request to amend it would have it. Refused if it asks for nothing new."""
    category = order.listing.category
    trigger = order.trigger
    if trigger is not None and order.status == UNTRIGGERED and not trigger.trail and read.text(given, "triggerPrice"):
        price = _number(given, "triggerPrice", verdicts.PRICE, category)
        rises = price > quote.last if category == "spot" else trigger.rises
        by = read.choice(given, "triggerBy", TRIGGERS, trigger.by)
        trigger = replace(trigger, price=price, by=by, rises=rises)
    priced = order.kind == "Limit" and read.text(given, "price")
    wanted = replace(
        order,
        qty=_number(given, "qty", verdicts.QTY, category) if read.text(given, "qty") else order.qty,
        price=_number(given, "price", verdicts.PRICE, category) if priced else order.price,
        trigger=trigger,
        texts=_attached(given, order.texts),
    )
    if wanted == order:
        raise verdicts.unchanged()
    wanted.listing = quote.listing  # its tick and step may have become finer since
    return wanted


def check(order: Order, quote: Quote) -> None:
    """Raise Refused if the order breaks a rule of its symbol."""
    rules, category, market = Rules.of(order.listing), order.listing.category, order.kind == "Market"
    price = quote.at_market(buy=order.buy) if market else order.price
    if not market:
        if not rules.tick <= order.price <= rules.max_price:
            raise verdicts.PRICE.refused(category)
        if order.price % rules.tick:
            raise verdicts.PRICE_TICK.refused(category)
    _check_attached(order, quote)
    for limit in (Decimal(order.texts.get(name) or 0) for name in _LIMITS):
        if limit > rules.max_price:
            raise verdicts.PRICE.refused(category)
        if limit % rules.tick:
            raise verdicts.PRICE_TICK.refused(category)
    qty = order.qty
    if order.closes_all and order.status == UNTRIGGERED:
        return  # it will close what there is then
    if order.by_value:
        qty = (qty / price / rules.step).to_integral_value(ROUND_FLOOR) * rules.step
    if qty > (rules.max_market_qty if market else rules.max_qty):  # first: it may be too much to be divided
        raise verdicts.QTY_MOST.refused(category)
    if qty % rules.step:
        raise (verdicts.QTY_ZERO if qty < rules.step else verdicts.QTY_STEP).refused(category)
    if qty < rules.min_qty:
        raise (verdicts.VALUE if order.by_value else verdicts.QTY_ZERO).refused(category)
    if not order.reduce_only and worth(order.listing, qty, price) < rules.min_value:
        raise verdicts.VALUE.refused(category)
    if order.status == UNTRIGGERED:  # its price is for the market as it is once it is triggered
        return
    highest, lowest = quote.limits()
    if not market and order.buy and order.price > highest:
        raise verdicts.BUY_LIMIT.refused(category)
    if not market and not order.buy and order.price < lowest:
        raise verdicts.SELL_LIMIT.refused(category)


def number(given: Parameters, name: str) -> Decimal | None:
    """A decimal of a request that is no order's; None when it is absent. Refused by 10001 if it is none."""
    if not read.text(given, name):
        return None
    return _number(given, name, Verdict(PARAMETER_ERROR, f"params error: {name} is invalid", 0, ""), "linear")


def _number(given: Parameters, name: str, verdict: Verdict, category: str) -> Decimal:
    """A plain decimal as text. A JSON number is refused: the venue wants amounts quoted."""
    value = given.get(name)
    if not isinstance(value, str) or len(value) > _LONGEST_NUMBER:
        raise verdict.refused(category)
    try:
        digits_of(value)
    except ValueError as error:
        raise verdict.refused(category) from error
    return Decimal(value)


def _one_of(
    given: Parameters, name: str, allowed: tuple[str, ...], verdict: Verdict, category: str, default: str = ""
) -> str:
    value = given.get(name) or default
    if value not in allowed:
        raise verdict.refused(category)
    assert isinstance(value, str)
    return value


def check_trigger(order: Order, quote: Quote) -> None:
    """Raise Refused if a conditional order of a contract would be triggered already."""
    trigger = order.trigger
    if order.status != UNTRIGGERED or trigger is None or order.listing.category == "spot" or trigger.trail:
        return
    now = quote.index(quote.last) if trigger.by == "IndexPrice" else quote.last
    if trigger.reached(now):
        raise verdicts.triggered_already(trigger.price, now, rises=trigger.rises)


def _trigger(given: Parameters, quote: Quote) -> Trigger | None:
    category = quote.listing.category
    if not read.text(given, "triggerPrice"):
        return None
    price = _number(given, "triggerPrice", verdicts.PRICE, category)
    if not price:
        return None
    if category == "spot":  # the venue sees itself from which side the price is reached
        return Trigger(price, 0, "LastPrice", rises=price > quote.last)
    direction = read.whole(given, "triggerDirection", 0, 0, 2)
    if not direction:
        raise Refused(PARAMETER_ERROR, "TriggerDirection invalid")
    return Trigger(price, direction, read.choice(given, "triggerBy", TRIGGERS, "LastPrice"), rises=direction == 1)


def _check_attached(order: Order, quote: Quote) -> None:
    """Raise Refused if a take profit or stop loss of a contract's order is on the wrong side of its price."""
    if order.listing.category not in ("linear", "inverse"):
        return
    base = order.price if order.kind == "Limit" else quote.last
    if order.kind == "Market" and order.status == UNTRIGGERED and order.trigger is not None:
        base = order.trigger.price
    for name, above in (("takeProfit", order.buy), ("stopLoss", not order.buy)):
        price = Decimal(order.texts.get(name) or 0)
        if price and (price > base) != above:
            raise verdicts.wrong_side(name, order.side, price, base, above=above)


def _attached(given: Parameters, before: Mapping[str, str]) -> dict[str, str]:
    texts: dict[str, Any] = dict(before)
    for name in (*ATTACHED, *_HOW):
        text = read.text(given, name)
        if text and name in _PRICED:
            number(given, name)
        if text:
            texts[name] = text
    return texts
