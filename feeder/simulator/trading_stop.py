"""A request to protect a position, read and checked. Source: Bybit v5, position/trading-stop page."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple

from feeder.simulator import rest_parameters as read
from feeder.simulator import stops
from feeder.simulator.account import Account
from feeder.simulator.decimals import plain
from feeder.simulator.order_entry import TRIGGERS, number
from feeder.simulator.positions import Position
from feeder.simulator.quotes import Quote
from feeder.simulator.rest_reply import PARAMETER_ERROR, Parameters, Refused
from feeder.simulator.stops import PARTIAL, STOP_LOSS, TAKE_PROFIT, TRAILING_STOP, Wanted
from feeder.simulator.triggers import Trigger, trailing

_MODES = ("Full", "Partial")
_MOST_PARTIAL = 20
_SIDES = ((TAKE_PROFIT, "takeProfit", "tp"), (STOP_LOSS, "stopLoss", "sl"))


class StopsRequest(NamedTuple):
    """What is to be set, and which kinds (stopOrderType) are to go. `qty` is None for the whole position."""

    position: Position
    wanted: list[Wanted]
    qty: Decimal | None
    trail: Trigger | None
    cancelled: list[str]


def read_request(given: Parameters, account: Account, quote: Quote) -> StopsRequest:
    """Refused unless there is a position, and each price is on the side of the last price where it belongs."""
    mode = read.choice(given, "tpslMode", _MODES)
    idx = read.whole(given, "positionIdx", None, 0, 2)
    if not mode or idx is None:
        raise read.required("positionIdx" if mode else "tpslMode")
    listing = quote.listing
    position = account.positions.get((listing.category, listing.symbol, idx))
    if position is None or not position.size:
        raise Refused(PARAMETER_ERROR, "can not set tp/sl/ts for zero position")
    partial, wanted, cancelled = mode == "Partial", [], []
    for kind, name, prefix in _SIDES:
        price = number(given, name)
        if price == 0:
            cancelled.append(f"Partial{kind}" if partial else kind)
        elif price is not None:
            _check_side(name, price, position, quote, above=(position.size > 0) == (kind == TAKE_PROFIT))
            by = read.choice(given, f"{prefix}TriggerBy", TRIGGERS, "LastPrice")
            wanted.append(Wanted(kind, _on_tick(price, quote), by, _limit(given, prefix, quote, partial=partial)))
    qty = _size(given, account, position, wanted) if partial and wanted else None
    distance, active = number(given, "trailingStop"), number(given, "activePrice")
    trail = None
    if distance == 0:
        cancelled.append(TRAILING_STOP)
    elif distance is not None:
        if active:
            _check_side("activePrice", active, position, quote, above=position.size > 0)
        trail = trailing(_on_tick(distance, quote), active, quote.last, rises=position.size < 0)
        known = account.stop(position, TRAILING_STOP)
        if known is not None and known.trigger is not None and known.trigger.trail == trail.trail and not active:
            trail = known.trigger  # it has followed the market since; that stays
    return StopsRequest(position, wanted, qty, trail, cancelled)


def _check_side(name: str, price: Decimal, position: Position, quote: Quote, *, above: bool) -> None:
    if (price > quote.last) != above:
        side, where = "Buy" if position.size > 0 else "Sell", "higher" if above else "lower"
        text = f"{name} {plain(price)} of a {side} position should be {where} than {plain(quote.last)}"
        raise Refused(PARAMETER_ERROR, text)


def _limit(given: Parameters, prefix: str, quote: Quote, *, partial: bool) -> Decimal:
    if read.choice(given, f"{prefix}OrderType", ("Market", "Limit"), "Market") == "Market":
        return Decimal(0)
    if not partial:
        raise read.invalid(f"{prefix}OrderType")
    price = number(given, f"{prefix}LimitPrice")
    if not price:
        raise read.required(f"{prefix}LimitPrice")
    return _on_tick(price, quote)


def _size(given: Parameters, account: Account, position: Position, wanted: list[Wanted]) -> Decimal:
    names = ["tpSize" if each.kind == TAKE_PROFIT else "slSize" for each in wanted]
    sizes = {name: number(given, name) for name in names}
    for name, size in sizes.items():
        if not size:
            raise read.required(name)
        if size > abs(position.size) or size % Decimal(position.listing.step):
            raise read.invalid(name)
    if len(set(sizes.values())) > 1:
        raise Refused(PARAMETER_ERROR, "tpSize and slSize must be equal")
    if sum(len(stops.waiting(account, position, kind)) for kind in PARTIAL) + len(wanted) > _MOST_PARTIAL:
        raise Refused(PARAMETER_ERROR, f"a position can have at most {_MOST_PARTIAL} partial tp/sl orders")
    size = sizes[names[0]]
    assert size is not None
    return size


def _on_tick(price: Decimal, quote: Quote) -> Decimal:
    tick = Decimal(quote.listing.tick)
    return (price / tick).to_integral_value(ROUND_HALF_EVEN) * tick
