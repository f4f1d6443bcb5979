"""A position as it is told: by /v5/position/list, and by the private stream."""

from decimal import Decimal
from typing import Any

from feeder.simulator.account import Account
from feeder.simulator.decimals import Scale, plain
from feeder.simulator.orders import EXACT
from feeder.simulator.positions import Position
from feeder.simulator.quotes import Quotes
from feeder.simulator.stops import STOP_LOSS, TAKE_PROFIT, TRAILING_STOP

_ONLY_REST = ("avgPrice", "breakEvenPrice", "positionIMByMp", "positionMMByMp", "openTime")
_ZERO_IN_STREAM = (
    "positionValue",
    "positionBalance",
    "unrealisedPnl",
    "takeProfit",
    "stopLoss",
    "trailingStop",
)
_GREEKS = ("delta", "gamma", "vega", "theta")


def position_row(account: Account, position: Position, quotes: Quotes) -> dict[str, Any]:
    """As the list of positions tells it."""
    size = position.size
    quote = quotes.find(position.listing.category, position.listing.symbol)
    listing = position.listing if quote is None else quote.listing  # its tick may have become finer since
    mark = quote.last if quote is not None else position.average
    initial, maintenance = account.margins(position)
    option = listing.category == "option"
    leverage = account.leverage(listing)[1 if size < 0 else 0]
    return _stops(account, position, listing.scale) | {
        "positionIdx": position.idx,
        "riskId": 0 if option or quote is None else quote.rank + 1,
        "riskLimitValue": "" if option else "2000000",
        "symbol": listing.symbol,
        "side": "Buy" if size > 0 else "Sell" if size else "",
        "size": plain(abs(size)),
        "avgPrice": plain(position.average),
        "positionValue": _exact(position.cost) if size else "",
        "autoAddMargin": 0,
        "positionStatus": "Normal",
        "leverage": "" if option else plain(leverage),
        "breakEvenPrice": "",
        "markPrice": listing.scale.price(int(mark.scaleb(listing.scale.price_digits))),
        "liqPrice": "",
        "bustPrice": "",
        "positionIM": _exact(initial),
        "positionIMByMp": _exact(initial),
        "positionMM": _exact(maintenance),
        "positionMMByMp": _exact(maintenance),
        "positionBalance": _exact(initial),
        "tradeMode": 0,
        "tpslMode": "" if option else "Full",
        "sessionAvgPrice": "",
        "delta": "",
        "gamma": "",
        "vega": "",
        "theta": "",
        "unrealisedPnl": _exact(position.profit(mark)) if size else "",
        "curRealisedPnl": _exact(position.current),
        "cumRealisedPnl": _exact(position.realised),
        "adlRankIndicator": 2 if size else 0,
        "isReduceOnly": False,
        "mmrSysUpdatedTime": "",
        "leverageSysUpdatedTime": "",
        "createdTime": str(position.created_ms) if position.created_ms else "",
        "updatedTime": str(position.updated_ms) if position.updated_ms else "",
        "openTime": position.opened_ms if size else 0,
        "seq": position.seq,
    }


def private_position_row(account: Account, position: Position, quotes: Quotes) -> dict[str, Any]:
    """As the private stream has it: entryPrice for avgPrice, and 0 where REST tells nothing."""
    row = position_row(account, position, quotes)
    entry = row["avgPrice"]
    for name in _ONLY_REST:
        del row[name]
    for name in _ZERO_IN_STREAM:
        row[name] = row[name] or "0"
    if position.listing.category != "option":
        for name in _GREEKS:
            del row[name]
    return row | {"category": position.listing.category, "entryPrice": entry}


def _stops(account: Account, position: Position, scale: Scale) -> dict[str, str]:
    """The prices that protect the whole position; the distance of a trailing stop."""
    told = {}
    for name, kind in (("takeProfit", TAKE_PROFIT), ("stopLoss", STOP_LOSS), ("trailingStop", TRAILING_STOP)):
        order = account.stop(position, kind)
        trigger = None if order is None else order.trigger
        price = Decimal(0) if trigger is None else trigger.trail or trigger.price
        told[name] = scale.price(int(price.scaleb(scale.price_digits))) if price else ""
    return told


def _exact(amount: Decimal) -> str:
    return plain(amount.quantize(EXACT))
