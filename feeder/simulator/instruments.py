"""What an order of each symbol must keep to, and how instruments-info tells it."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from feeder.simulator.past import LAUNCH_MS
from feeder.simulator.universe import Listing

TRADING = "Trading"

MAX_LEVERAGE = Decimal(100)
LEVERAGE_STEP = Decimal("0.01")
FUNDING_MS = 8 * 3_600_000

LIMIT_RATIO = Decimal("0.05")
"""How far from the mark price a limit order's price may be on the side that would trade."""

_FUNDING_BOUND = "0.005"
_MAX_QTY = "1000000000"
_MAX_MARKET_QTY = "500000000"
_MIN_VALUE = "5"
_MAX_PRICE = "1999999"


@dataclass(frozen=True, slots=True)
class Rules:
    """Exact bounds of an order. `min_value` is of price times quantity; 0 where the venue has none."""

    tick: Decimal
    step: Decimal
    min_qty: Decimal
    max_qty: Decimal
    max_market_qty: Decimal
    min_value: Decimal
    max_price: Decimal

    @classmethod
    def of(cls, listing: Listing) -> "Rules":
        """Those of a symbol."""
        valued = listing.category in ("linear", "spot")
        return cls(
            tick=Decimal(listing.tick),
            step=Decimal(listing.step),
            min_qty=Decimal(listing.step),
            max_qty=Decimal(_MAX_QTY),
            max_market_qty=Decimal(_MAX_MARKET_QTY),
            min_value=Decimal(_MIN_VALUE) if valued else Decimal(0),
            max_price=Decimal(_MAX_PRICE),
        )


def instrument(listing: Listing, status: str, number: int) -> dict[str, Any]:
    """One row of instruments-info; `number` is the symbol's own."""
    row: dict[str, Any] = {
        "symbol": listing.symbol,
        "symbolId": number,
        "status": status,
        "baseCoin": listing.base,
        "quoteCoin": listing.quote,
    }
    if listing.category == "spot":
        return row | _spot(listing)
    row |= {
        "settleCoin": listing.settle,
        "launchTime": str(LAUNCH_MS),
        "deliveryTime": str(listing.delivery_ms),
        "displayName": "",
        "priceFilter": {"minPrice": listing.tick, "maxPrice": _MAX_PRICE, "tickSize": listing.tick},
    }
    return row | (_option(listing) if listing.category == "option" else _futures(listing))


def _spot(listing: Listing) -> dict[str, Any]:
    return {
        "innovation": "0",
        "marginTrading": "none",
        "stTag": "0",
        "symbolType": "",
        "lotSizeFilter": {
            "basePrecision": listing.step,
            "quotePrecision": "0.0000001",
            "minOrderQty": listing.step,
            "maxOrderQty": _MAX_QTY,
            "minOrderAmt": _MIN_VALUE,
            "maxOrderAmt": _MAX_QTY,
            "maxLimitOrderQty": _MAX_QTY,
            "maxMarketOrderQty": _MAX_MARKET_QTY,
            "postOnlyMaxLimitOrderSize": _MAX_QTY,
        },
        "priceFilter": {"tickSize": listing.tick},
        "riskParameters": _risk_parameters(),
    }


def _option(listing: Listing) -> dict[str, Any]:
    return {
        "optionsType": listing.contract,
        "deliveryFeeRate": "0.00015",
        "lotSizeFilter": {"minOrderQty": listing.step, "maxOrderQty": _MAX_QTY, "qtyStep": listing.step},
    }


def _futures(listing: Listing) -> dict[str, Any]:
    return {
        "contractType": listing.contract,
        "symbolType": "",
        "deliveryFeeRate": "",
        "priceScale": str(listing.scale.price_digits),
        "leverageFilter": {
            "minLeverage": "1",
            "maxLeverage": f"{MAX_LEVERAGE:.2f}",
            "leverageStep": str(LEVERAGE_STEP),
        },
        "lotSizeFilter": {
            "minOrderQty": listing.step,
            "maxOrderQty": _MAX_QTY,
            "maxMktOrderQty": _MAX_MARKET_QTY,
            "postOnlyMaxOrderQty": _MAX_QTY,
            "qtyStep": listing.step,
            "minNotionalValue": _MIN_VALUE,
        },
        "unifiedMarginTrade": True,
        "fundingInterval": FUNDING_MS // 60_000,
        "copyTrading": "none",
        "upperFundingRate": _FUNDING_BOUND,
        "lowerFundingRate": f"-{_FUNDING_BOUND}",
        "isPreListing": False,
        "preListingInfo": None,
        "riskParameters": _risk_parameters(),
    }


def _risk_parameters() -> dict[str, str]:
    return {"priceLimitRatioX": str(LIMIT_RATIO), "priceLimitRatioY": str(2 * LIMIT_RATIO)}
