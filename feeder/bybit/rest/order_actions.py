"""Orders placed, amended, cancelled, one by one or in batches: over REST and over the order-entry socket alike.

Every answer is an acknowledgement only; what becomes of an order, the private order stream tells, or `open_orders`.
Source: Bybit v5, order/* and websocket/trade/guideline.
"""

from collections.abc import Sequence
from typing import Literal

from .endpoints.typed import AMEND_ORDER, AMEND_ORDERS, CANCEL_ORDER, CANCEL_ORDERS, PLACE_ORDER, PLACE_ORDERS
from .order_requests import AmendRequest, CancelRequest, OrderRequest, written
from .reply import Page, Reply
from .results.orders import BatchOrder, OrderAck
from .sender import Number, Sender
from .words import (
    BboLevel,
    BboSideType,
    Category,
    MarketUnit,
    OrderFilter,
    OrderType,
    PositionIdx,
    Side,
    SlippageToleranceType,
    SmpType,
    TimeInForce,
    TpslMode,
    TriggerBy,
    TriggerDirection,
)


class OrderActions(Sender):
    """What can be done with orders. Every method raises RestError.

    With `error.unknown_outcome` the venue may have carried the request out: ask for the order, by
    `error.order_link_id`, before you send another.
    """

    __slots__ = ()

    async def place_order(
        self,
        category: Category,
        symbol: str,
        side: Side,
        order_type: OrderType,
        qty: Number,
        *,
        price: Number | None = None,
        time_in_force: TimeInForce | None = None,
        order_link_id: str | None = None,
        position_idx: PositionIdx | None = None,
        reduce_only: bool | None = None,
        close_on_trigger: bool | None = None,
        is_leverage: Literal[0, 1] | None = None,
        market_unit: MarketUnit | None = None,
        trigger_price: Number | None = None,
        trigger_direction: TriggerDirection | None = None,
        trigger_by: TriggerBy | None = None,
        order_filter: OrderFilter | None = None,
        order_iv: Number | None = None,
        take_profit: Number | None = None,
        stop_loss: Number | None = None,
        tp_trigger_by: TriggerBy | None = None,
        sl_trigger_by: TriggerBy | None = None,
        tpsl_mode: TpslMode | None = None,
        tp_limit_price: Number | None = None,
        sl_limit_price: Number | None = None,
        tp_order_type: OrderType | None = None,
        sl_order_type: OrderType | None = None,
        slippage_tolerance_type: SlippageToleranceType | None = None,
        slippage_tolerance: Number | None = None,
        rpi_taker_access: bool | None = None,
        bbo_side_type: BboSideType | None = None,
        bbo_level: BboLevel | None = None,
        smp_type: SmpType | None = None,
        mmp: bool | None = None,
    ) -> Reply[OrderAck]:
        """Place an order. 10 requests/s, spot 20. Source: order/create-order.

        `qty` is in the base coin, of inverse in USD; of a spot market order in `market_unit`, without it the quote coin
        for buying. A limit order needs `price`. Without `time_in_force` it is GTC, of a market order IOC.
        `order_link_id` is yours to know it by, unique, 36 characters at most; without it the client makes one.
        `position_idx` is needed in hedge mode. `reduce_only` makes a position smaller and nothing else,
        `close_on_trigger` even at the cost of other orders. `is_leverage` 1 borrows, spot only.

        Conditional: with `trigger_price` the order waits until the price named by `trigger_by` rises (1) or falls (2)
        to it, as `trigger_direction` says. Of spot, `order_filter` says which kind: tpslOrder or StopOrder.

        `take_profit` and `stop_loss` are prices, watched by `tp_trigger_by` and `sl_trigger_by` (LastPrice). Theirs are
        market orders, or limit orders at `tp_limit_price` and `sl_limit_price` when `tp_order_type` and
        `sl_order_type` are Limit, which needs the `tpsl_mode` Partial.

        A market order's `slippage_tolerance` is in ticks (5 to 2000) or percent (0.05 to 1) from the best price.
        `rpi_taker_access` lets it meet retail price improvement orders. `bbo_side_type` and `bbo_level` take the price
        from that level of its own side of the book (Queue) or the other (Counterparty).

        `order_iv`, an implied volatility as a fraction, goes before `price`; it and `mmp`, market maker protection, are
        for options, `smp_type` says what happens if the account would trade with itself.
        """
        parameters = {
            "category": category,
            "symbol": symbol,
            "side": side,
            "orderType": order_type,
            "qty": qty,
            "price": price,
            "timeInForce": time_in_force,
            "orderLinkId": order_link_id,
            "positionIdx": position_idx,
            "reduceOnly": reduce_only,
            "closeOnTrigger": close_on_trigger,
            "isLeverage": is_leverage,
            "marketUnit": market_unit,
            "triggerPrice": trigger_price,
            "triggerDirection": trigger_direction,
            "triggerBy": trigger_by,
            "orderFilter": order_filter,
            "orderIv": order_iv,
            "takeProfit": take_profit,
            "stopLoss": stop_loss,
            "tpTriggerBy": tp_trigger_by,
            "slTriggerBy": sl_trigger_by,
            "tpslMode": tpsl_mode,
            "tpLimitPrice": tp_limit_price,
            "slLimitPrice": sl_limit_price,
            "tpOrderType": tp_order_type,
            "slOrderType": sl_order_type,
            "slippageToleranceType": slippage_tolerance_type,
            "slippageTolerance": slippage_tolerance,
            "rpiTakerAccess": rpi_taker_access,
            "bboSideType": bbo_side_type,
            "bboLevel": bbo_level,
            "smpType": smp_type,
            "mmp": mmp,
        }
        return await self.send(PLACE_ORDER, parameters)

    async def amend_order(
        self,
        category: Category,
        symbol: str,
        *,
        order_id: str | None = None,
        order_link_id: str | None = None,
        qty: Number | None = None,
        price: Number | None = None,
        trigger_price: Number | None = None,
        trigger_by: TriggerBy | None = None,
        order_iv: Number | None = None,
        take_profit: Number | None = None,
        stop_loss: Number | None = None,
        tp_trigger_by: TriggerBy | None = None,
        sl_trigger_by: TriggerBy | None = None,
        tpsl_mode: TpslMode | None = None,
        tp_limit_price: Number | None = None,
        sl_limit_price: Number | None = None,
    ) -> Reply[OrderAck]:
        """Change an order that is not filled, or only in part. 10 requests/s. Source: order/amend-order.

        It needs `order_id`, which counts first, or `order_link_id`. What is not given stays; `qty` is the whole of the
        order, not what is left of it; a `take_profit` or `stop_loss` of 0 removes it.
        """
        parameters = {
            "category": category,
            "symbol": symbol,
            "orderId": order_id,
            "orderLinkId": order_link_id,
            "qty": qty,
            "price": price,
            "triggerPrice": trigger_price,
            "triggerBy": trigger_by,
            "orderIv": order_iv,
            "takeProfit": take_profit,
            "stopLoss": stop_loss,
            "tpTriggerBy": tp_trigger_by,
            "slTriggerBy": sl_trigger_by,
            "tpslMode": tpsl_mode,
            "tpLimitPrice": tp_limit_price,
            "slLimitPrice": sl_limit_price,
        }
        return await self.send(AMEND_ORDER, parameters)

    async def cancel_order(
        self,
        category: Category,
        symbol: str,
        *,
        order_id: str | None = None,
        order_link_id: str | None = None,
        order_filter: OrderFilter | None = None,
    ) -> Reply[OrderAck]:
        """Cancel an order that is not filled, or only in part. 10 requests/s, spot 20. Source: order/cancel-order.

        It needs `order_id`, which counts first, or `order_link_id`; `order_filter` is for spot. REST asks again when
        the outcome is unknown, so that OrderNotFoundError may mean that the first request has cancelled it.
        """
        parameters = {
            "category": category,
            "symbol": symbol,
            "orderId": order_id,
            "orderLinkId": order_link_id,
            "orderFilter": order_filter,
        }
        return await self.send(CANCEL_ORDER, parameters)

    async def place_orders(self, category: Category, orders: Sequence[OrderRequest]) -> Reply[Page[BatchOrder]]:
        """Place 1 to 20 orders, of spot 10. 10 orders/s, spot 20; options count requests. Source: order/batch-place.

        The reply is a success whatever becomes of them: `batch_outcome(reply)` tells which orders were taken.
        """
        return await self.send(PLACE_ORDERS, {"category": category, "request": written(PLACE_ORDERS, orders)})

    async def amend_orders(self, category: Category, orders: Sequence[AmendRequest]) -> Reply[Page[BatchOrder]]:
        """Change 1 to 20 orders, of spot 10; limits and outcome as of `place_orders`. Source: order/batch-amend."""
        return await self.send(AMEND_ORDERS, {"category": category, "request": written(AMEND_ORDERS, orders)})

    async def cancel_orders(self, category: Category, orders: Sequence[CancelRequest]) -> Reply[Page[BatchOrder]]:
        """Cancel 1 to 20 orders, of spot 10; limits and outcome as of `place_orders`. Source: order/batch-cancel."""
        return await self.send(CANCEL_ORDERS, {"category": category, "request": written(CANCEL_ORDERS, orders)})
