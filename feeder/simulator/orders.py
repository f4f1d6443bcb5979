"""Orders and what came of them, as the venue's listings tell them."""

from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from feeder.simulator.decimals import plain
from feeder.simulator.triggers import Trigger
from feeder.simulator.universe import Listing

NEW, UNTRIGGERED, TRIGGERED, DEACTIVATED = "New", "Untriggered", "Triggered", "Deactivated"
PARTLY_FILLED, FILLED, CANCELLED, REJECTED = "PartiallyFilled", "Filled", "Cancelled", "Rejected"
PARTLY_CANCELLED = "PartiallyFilledCanceled"  # of spot; a contract's is Cancelled and tells what it executed

EXACT = Decimal("1e-8")
"""To this the venue rounds what a division leaves."""

ZERO = Decimal(0)


def exact_worth(listing: Listing, qty: Decimal, price: Decimal) -> Decimal:
    """What a quantity is worth in the coin that is paid or settled with, not rounded."""
    return qty / price if listing.category == "inverse" else qty * price


def worth(listing: Listing, qty: Decimal, price: Decimal) -> Decimal:
    """The same as the venue books it."""
    value = exact_worth(listing, qty, price)
    return value.quantize(EXACT, ROUND_HALF_EVEN) if listing.category == "inverse" else value


@dataclass(slots=True)
class Order:
    """One order. `number` counts all orders of the exchange. Times in ms since the epoch.

    `by_value`: `qty` is an amount of the quote coin, as of a market buy on spot. `price` of a market order is the
    worst that it would take, 0 on spot and before it is triggered. `texts` are take profit, stop loss and their like,
    kept as they were sent, for when it fills. `stop` is its stopOrderType. `parent` is the orderId of the order whose
    fill it protects, `pair` that of the order which goes when this one is triggered or cancelled; one that `shares`
    needs no coins of its own, as they are its pair's. `priority` ranks it among the account's orders at one price.
    `weight` is the sum of its fills' values, not rounded.
    """

    number: int
    order_id: str
    link_id: str
    listing: Listing
    side: str
    kind: str
    time_in_force: str
    qty: Decimal
    price: Decimal
    created_ms: int
    position_idx: int = 0
    reduce_only: bool = False
    close_on_trigger: bool = False
    by_value: bool = False
    trigger: Trigger | None = None
    spot_filter: str = "Order"
    texts: dict[str, str] = field(default_factory=dict)
    status: str = NEW
    cancel_type: str = "UNKNOWN"
    reject_reason: str = "EC_NoError"
    updated_ms: int = 0
    price_on_created: str = ""
    create_type: str = "CreateByUser"
    stop: str = ""
    parent: str = ""
    pair: str = ""
    shares: bool = False
    priority: int = 0
    filled: Decimal = ZERO
    weight: Decimal = ZERO
    value: Decimal = ZERO
    fee: Decimal = ZERO
    fee_coin: str = ""
    closed_profit: Decimal = ZERO

    @property
    def buy(self) -> bool:
        """Whether it buys."""
        return self.side == "Buy"

    @property
    def is_open(self) -> bool:
        """Whether it may still come to something."""
        return self.status in (NEW, PARTLY_FILLED, UNTRIGGERED)

    @property
    def is_active(self) -> bool:
        """Whether it is at the market."""
        return self.status in (NEW, PARTLY_FILLED)

    @property
    def reduces(self) -> bool:
        """Whether it may only make a position smaller."""
        return (self.reduce_only or self.close_on_trigger) and self.listing.category != "spot"

    @property
    def closes_all(self) -> bool:
        """Whether it is for all of its position, whatever that is then: that is told by both flags and no quantity."""
        return not self.qty and self.reduces and self.reduce_only and self.close_on_trigger

    @property
    def left(self) -> Decimal:
        """What is not filled: a quantity, or an amount if it is by value."""
        return self.qty - (self.value if self.by_value else self.filled)

    @property
    def leaves(self) -> Decimal:
        """What is not filled and still may be."""
        return self.left if self.is_open or self.status == TRIGGERED else ZERO

    @property
    def average(self) -> Decimal:
        """The mean price of its fills; 0 without any."""
        if not self.filled:
            return ZERO
        mean = self.filled / self.weight if self.listing.category == "inverse" else self.weight / self.filled
        return mean.quantize(EXACT, ROUND_HALF_EVEN)

    def crosses(self, price: Decimal) -> bool:
        """Whether it would trade with a level of the other side."""
        return not self.price or (price <= self.price if self.buy else price >= self.price)

    def price_text(self) -> str:
        """Its price as lists tell it."""
        scale = self.listing.scale
        return scale.price(int(self.price.scaleb(scale.price_digits))) if self.price else "0"

    def market_unit(self) -> str:
        """What a spot market order's quantity counts."""
        if self.listing.category != "spot" or self.kind != "Market":
            return ""
        return "quoteCoin" if self.by_value else "baseCoin"

    def is_of(self, order_filter: str) -> bool:
        """Whether a listing with this orderFilter has it."""
        if self.listing.category == "spot":
            return order_filter == self.spot_filter
        return order_filter == ("Order" if self.trigger is None else "StopOrder")

    def row(self) -> dict[str, Any]:
        """As order listings tell it."""
        listing, texts = self.listing, self.texts
        spot = listing.category == "spot"
        row: dict[str, Any] = {
            "orderId": self.order_id,
            "orderLinkId": self.link_id,
            "parentOrderLinkId": "",
            "blockTradeId": "",
            "symbol": listing.symbol,
            "price": self.price_text(),
            "qty": plain(self.qty),
            "side": self.side,
            "isLeverage": "0" if spot else "",
            "positionIdx": self.position_idx,
            "orderStatus": self.status,
            "cancelType": self.cancel_type,
            "rejectReason": self.reject_reason,
            "avgPrice": plain(self.average) if self.filled else "",
            "leavesQty": plain(self.leaves),
            "leavesValue": plain(worth(listing, self.leaves, self.price) if self.price else self.leaves),
            "cumExecQty": plain(self.filled),
            "cumExecValue": plain(self.value),
            "cumExecFee": plain(self.fee),
            "cumFeeDetail": {self.fee_coin: plain(self.fee)} if self.fee_coin else {},
            "timeInForce": self.time_in_force,
            "orderType": self.kind,
            "stopOrderType": self.stop,
            "orderIv": "",
            "marketUnit": self.market_unit(),
            "triggerPrice": "" if self.trigger is None else plain(self.trigger.price),
            "triggerDirection": 0 if self.trigger is None else self.trigger.direction,
            "triggerBy": "" if self.trigger is None else self.trigger.by,
            "ocoTriggerBy": "",
            "lastPriceOnCreated": self.price_on_created,
            "basePrice": "",
            "reduceOnly": self.reduce_only,
            "closeOnTrigger": self.close_on_trigger,
            "placeType": "price" if listing.category == "option" else "",
            "smpType": "None",
            "smpGroup": 0,
            "smpOrderId": "",
            "slippageToleranceType": "UNKNOWN",
            "slippageTolerance": "",
            "createdTime": str(self.created_ms),
            "updatedTime": str(self.updated_ms),
        }
        if listing.category in ("linear", "inverse"):
            row["createType"] = self.create_type
        return row | {name: texts.get(name, "") for name in ATTACHED}

    def private_row(self) -> dict[str, Any]:
        """As the private stream tells it."""
        spot, option = self.listing.category == "spot", self.listing.category == "option"
        row = self.row()
        for name in ("parentOrderLinkId", "basePrice"):
            del row[name]
        if not (spot or option):  # where the lists leave a text empty, the stream names the default
            row["tpslMode"] = row["tpslMode"] or "UNKNOWN"
            row["tpLimitPrice"], row["slLimitPrice"] = row["tpLimitPrice"] or "0", row["slLimitPrice"] or "0"
            row["price"] = plain(self.price)
            row["lastPriceOnCreated"] = plain(Decimal(self.price_on_created)) if self.price_on_created else ""
        closed = {} if spot else {"closedPnl": plain(self.closed_profit)}
        return row | closed | {"category": self.listing.category, "feeCurrency": self.fee_coin if spot else ""}


ATTACHED = (
    "takeProfit",
    "stopLoss",
    "tpslMode",
    "tpLimitPrice",
    "slLimitPrice",
    "tpTriggerBy",
    "slTriggerBy",
)
"""What may go with an order for when it fills."""
