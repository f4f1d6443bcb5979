"""Fills, as the venue tells them."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from feeder.simulator.decimals import plain
from feeder.simulator.orders import Order


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill of an order, with the order as it was then. `number` counts all executions of the exchange.

    `profit` is that of the part of a position that it closed, before fees.
    """

    number: int
    exec_id: str
    order: Order
    order_price: str
    order_qty: Decimal
    leaves: Decimal
    price: Decimal
    qty: Decimal
    value: Decimal
    fee: Decimal
    fee_coin: str
    fee_rate: Decimal
    maker: bool
    closed: Decimal
    profit: Decimal
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
            "orderPrice": self.order_price,
            "orderQty": plain(self.order_qty),
            "leavesQty": plain(self.leaves),
            "orderType": order.kind,
            "stopOrderType": order.stop or "UNKNOWN",
            "execFee": plain(self.fee),
            "execFeeV2": "",
            "execId": self.exec_id,
            "execPrice": plain(self.price),
            "execQty": plain(self.qty),
            "execType": "Trade",
            "execValue": plain(self.value),
            "execTime": str(self.time_ms),
            "feeCurrency": self.fee_coin,
            "isMaker": self.maker,
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
            row["createType"] = order.create_type
        return row

    def private_row(self) -> dict[str, Any]:
        """As the private stream tells it."""
        category = self.order.listing.category
        told = {"category": category, "isLeverage": "0", "marketUnit": self.order.market_unit()}
        return self.row() | told | {"execPnl": plain(self.profit)}
