"""The order endpoints: what can be done with orders, what is told of them, and what REST alone can do.

Source: Bybit v5, order/*.
"""

from typing import Any, Literal

from .endpoints.typed import CANCEL_ALL_ORDERS, DISCONNECT_CANCEL_ALL
from .order_actions import OrderActions
from .order_queries import OrderQueries
from .reply import Reply
from .results.orders import CancelledOrders
from .words import Category, DcpProduct, OrderFilter


class OrderCalls(OrderActions, OrderQueries):
    """The order endpoints. Every method raises RestError; of `unknown_outcome` see OrderActions."""

    __slots__ = ()

    async def cancel_all_orders(
        self,
        category: Category,
        *,
        symbol: str | None = None,
        base_coin: str | None = None,
        settle_coin: str | None = None,
        order_filter: OrderFilter | None = None,
        stop_order_type: Literal["Stop"] | None = None,
    ) -> Reply[CancelledOrders]:
        """Cancel all open orders of a category that fit. 10 requests/s, spot 20, option 1. Source: order/cancel-all.

        linear and inverse need `symbol`, `base_coin` or `settle_coin`; of several the first counts. Without
        `order_filter` contracts lose all kinds of orders, spot its ordinary ones. `stop_order_type` with StopOrder
        spares take profits, stop losses and trailing stops.
        """
        parameters = {
            "category": category,
            "symbol": symbol,
            "baseCoin": base_coin,
            "settleCoin": settle_coin,
            "orderFilter": order_filter,
            "stopOrderType": stop_order_type,
        }
        return await self.send(CANCEL_ALL_ORDERS, parameters)

    async def set_disconnect_cancel_all(self, time_window: int, *, product: DcpProduct | None = None) -> Reply[Any]:
        """How long, 3 to 300 s, the private stream may be gone before the venue cancels all orders. 5 requests/s.

        `product` is what it holds for, without it options. The venue enables this per account, and it starts with a
        subscription of the private topic dcp. A new window holds after some 10 s. The result is empty. Source:
        order/dcp.
        """
        return await self.send(DISCONNECT_CANCEL_ALL, {"product": product, "timeWindow": time_window})
