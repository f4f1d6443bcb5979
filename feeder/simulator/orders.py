"""Orders and what came of them, as the venue's listings tell them."""

from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from feeder.simulator.decimals import plain
from feeder.simulator.universe import Listing

NEW, UNTRIGGERED, FILLED, CANCELLED, DEACTIVATED = "New", "Untriggered", "Filled", "Cancelled", "Deactivated"

EXACT = Decimal("1e-8")
"""To this the venue rounds what a division leaves."""

ZERO = Decimal(0)


def worth(listing: Listing, qty: Decimal, price: Decimal) -> Decimal:
    """What a quantity is worth in the coin that is paid or settled with."""
    if listing.category == "inverse":
        return (qty / price).quantize(EXACT, ROUND_HALF_EVEN)
    return qty * price


@dataclass(frozen=True, slots=True)
class Trigger:
    """The price at which a conditional order is to come into force."""

    price: Decimal
    direction: int
    by: str


@dataclass(slots=True)
class Order:
    """One order. `number` counts all orders of the exchange. Times in ms since the epoch.

    `by_value`: `qty` is an amount of the quote coin, as of a market buy on spot. `price` of a market order is the
    worst that it would take, 0 on spot. `texts` are take profit, stop loss and their like, kept as they were sent.
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
    filled: Decimal = ZERO
    average: Decimal = ZERO
    value: Decimal = ZERO
    fee: Decimal = ZERO
    fee_coin: str = ""

    @property
    def buy(self) -> bool:
        """Whether it buys."""
        return self.side == "Buy"

    @property
    def is_open(self) -> bool:
        """Whether it may still come to something."""
        return self.status in (NEW, UNTRIGGERED)

    @property
    def leaves(self) -> Decimal:
        """What is not filled and still may be."""
        return self.qty - self.filled if self.is_open else ZERO

    def crosses(self, price: Decimal) -> bool:
        """Whether it would trade with the best level of the other side."""
        return self.kind == "Market" or (price <= self.price if self.buy else price >= self.price)

    def is_of(self, order_filter: str) -> bool:
        """Whether a listing with this orderFilter has it."""
        if self.listing.category == "spot":
            return order_filter == self.spot_filter
        return order_filter == ("Order" if self.trigger is None else "StopOrder")

    def row(self) -> dict[str, Any]:
        """As order listings tell it."""
        listing, texts = self.listing, self.texts
        spot = listing.category == "spot"
        price = listing.scale.price(int(self.price.scaleb(listing.scale.price_digits)))
        stop = "" if self.trigger is None else ("tpslOrder" if self.spot_filter == "tpslOrder" else "Stop")
        row: dict[str, Any] = {
            "orderId": self.order_id,
            "orderLinkId": self.link_id,
            "parentOrderLinkId": "",
            "blockTradeId": "",
            "symbol": listing.symbol,
            "price": price,
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
            "stopOrderType": stop,
            "orderIv": "",
            "marketUnit": ("quoteCoin" if self.by_value else "baseCoin") if spot and self.kind == "Market" else "",
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
            row["createType"] = "CreateByUser"
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
        closed = {} if spot else {"closedPnl": "0"}
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
"""What may go with an order and only waits here: take profit and stop loss are not triggered."""


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill; always the whole order, as a taker. `number` counts all executions of the exchange."""

    number: int
    exec_id: str
    order: Order
    price: Decimal
    qty: Decimal
    value: Decimal
    fee: Decimal
    fee_coin: str
    fee_rate: Decimal
    closed: Decimal
    mark: Decimal
    time_ms: int
    seq: int

    def row(self) -> dict[str, Any]:
        """As the list of executions tells it."""
        order, listing = self.order, self.order.listing
        row: dict[str, Any] = {
            "symbol": listing.symbol,
            "orderId": order.order_id,
            "orderLinkId": order.link_id,
            "side": order.side,
            "orderPrice": listing.scale.price(int(order.price.scaleb(listing.scale.price_digits))),
            "orderQty": plain(order.qty),
            "leavesQty": "0",
            "orderType": order.kind,
            "stopOrderType": "UNKNOWN",
            "execFee": plain(self.fee),
            "execFeeV2": "",
            "execId": self.exec_id,
            "execPrice": plain(self.price),
            "execQty": plain(self.qty),
            "execType": "Trade",
            "execValue": plain(self.value),
            "execTime": str(self.time_ms),
            "feeCurrency": self.fee_coin,
            "isMaker": False,
            "feeRate": plain(self.fee_rate),
            "tradeIv": "",
            "markIv": "",
            "markPrice": plain(self.mark),
            "indexPrice": "",
            "underlyingPrice": "",
            "blockTradeId": "",
            "closedSize": plain(self.closed),
            "seq": self.seq,
            "extraFees": "",
        }
        if listing.category in ("linear", "inverse"):
            row["createType"] = "CreateByUser"
        return row

    def private_row(self) -> dict[str, Any]:
        """As the private stream tells it."""
        spot = self.order.listing.category == "spot"
        told = {"category": self.order.listing.category, "isLeverage": "0" if spot else "", "marketUnit": ""}
        return self.row() | told | {"execPnl": "0"}
