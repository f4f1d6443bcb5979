"""Orders and executions that are there: what is open, what was, what was traded.

Source: Bybit v5, order/open-order, order/order-list and order/execution.
"""

from collections.abc import AsyncIterator
from typing import Literal

from .endpoints.typed import EXECUTIONS, OPEN_ORDERS, ORDER_HISTORY
from .reply import Page, Reply
from .results.orders import Execution, Order
from .sender import PageSender
from .words import Category, ExecType, OrderFilter, OrderStatus

_ORDERS = 50  # the most of a page
_EXECUTIONS = 100


class OrderQueries(PageSender):
    """Questions about orders. Every method raises RestError; all times are ms since the epoch.

    Of the filters that are given, the venue looks at one: order_id before order_link_id, symbol, base_coin.
    """

    __slots__ = ()

    async def open_orders(
        self,
        category: Category,
        *,
        symbol: str | None = None,
        base_coin: str | None = None,
        settle_coin: str | None = None,
        order_id: str | None = None,
        order_link_id: str | None = None,
        open_only: Literal[0, 1] | None = None,
        order_filter: OrderFilter | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Reply[Page[Order]]:
        """One page of open orders in real time, the youngest first: 1 to 50 a page, without `limit` 20. 50/s.

        linear needs `symbol`, `base_coin` or `settle_coin`. With `open_only` 1 it is the last 500 orders that are done
        instead, as far as the venue has not been restarted since; with an id, `open_only` means nothing. Source:
        order/open-order.
        """
        parameters = {
            "category": category,
            "symbol": symbol,
            "baseCoin": base_coin,
            "settleCoin": settle_coin,
            "orderId": order_id,
            "orderLinkId": order_link_id,
            "openOnly": open_only,
            "orderFilter": order_filter,
            "limit": limit,
            "cursor": cursor,
        }
        return await self.send(OPEN_ORDERS, parameters)

    def each_open_order(
        self,
        category: Category,
        *,
        symbol: str | None = None,
        base_coin: str | None = None,
        settle_coin: str | None = None,
        open_only: Literal[0, 1] | None = None,
        order_filter: OrderFilter | None = None,
    ) -> AsyncIterator[Order]:
        """All that `open_orders` finds, page after page."""
        parameters = {
            "category": category,
            "symbol": symbol,
            "baseCoin": base_coin,
            "settleCoin": settle_coin,
            "openOnly": open_only,
            "orderFilter": order_filter,
            "limit": _ORDERS,
        }
        return self.each(OPEN_ORDERS, parameters)

    async def order_history(
        self,
        category: Category,
        *,
        symbol: str | None = None,
        base_coin: str | None = None,
        settle_coin: str | None = None,
        order_id: str | None = None,
        order_link_id: str | None = None,
        order_filter: OrderFilter | None = None,
        order_status: OrderStatus | None = None,
        start_time: int | None = None,
        end_time: int | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Reply[Page[Order]]:
        """One page of past orders of two years: 1 to 50 a page, without `limit` 20. 50/s.

        Beyond the last 7 days there are filled ones alone. A span has 7 days at most; with one end of it, 7 days from
        there; with none, the last 7. It lags behind: in real time there are `open_orders`. Source: order/order-list.
        """
        parameters = {
            "category": category,
            "symbol": symbol,
            "baseCoin": base_coin,
            "settleCoin": settle_coin,
            "orderId": order_id,
            "orderLinkId": order_link_id,
            "orderFilter": order_filter,
            "orderStatus": order_status,
            "startTime": start_time,
            "endTime": end_time,
            "limit": limit,
            "cursor": cursor,
        }
        return await self.send(ORDER_HISTORY, parameters)

    def each_past_order(
        self,
        category: Category,
        *,
        symbol: str | None = None,
        base_coin: str | None = None,
        settle_coin: str | None = None,
        order_filter: OrderFilter | None = None,
        order_status: OrderStatus | None = None,
        start_time: int | None = None,
        end_time: int | None = None,
    ) -> AsyncIterator[Order]:
        """All that `order_history` finds in its 7 days, page after page."""
        parameters = {
            "category": category,
            "symbol": symbol,
            "baseCoin": base_coin,
            "settleCoin": settle_coin,
            "orderFilter": order_filter,
            "orderStatus": order_status,
            "startTime": start_time,
            "endTime": end_time,
            "limit": _ORDERS,
        }
        return self.each(ORDER_HISTORY, parameters)

    async def executions(
        self,
        category: Category,
        *,
        symbol: str | None = None,
        order_id: str | None = None,
        order_link_id: str | None = None,
        base_coin: str | None = None,
        settle_coin: str | None = None,
        start_time: int | None = None,
        end_time: int | None = None,
        exec_type: ExecType | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Reply[Page[Execution]]:
        """One page of fills of two years, the youngest first: 1 to 100 a page, without `limit` 50. 50/s.

        A span has 7 days at most; with one end of it, 7 days from there; with none, the last 7. Source:
        order/execution.
        """
        parameters = {
            "category": category,
            "symbol": symbol,
            "orderId": order_id,
            "orderLinkId": order_link_id,
            "baseCoin": base_coin,
            "settleCoin": settle_coin,
            "startTime": start_time,
            "endTime": end_time,
            "execType": exec_type,
            "limit": limit,
            "cursor": cursor,
        }
        return await self.send(EXECUTIONS, parameters)

    def each_execution(
        self,
        category: Category,
        *,
        symbol: str | None = None,
        order_id: str | None = None,
        order_link_id: str | None = None,
        base_coin: str | None = None,
        settle_coin: str | None = None,
        start_time: int | None = None,
        end_time: int | None = None,
        exec_type: ExecType | None = None,
    ) -> AsyncIterator[Execution]:
        """All that `executions` finds, page after page; one order may have many."""
        parameters = {
            "category": category,
            "symbol": symbol,
            "orderId": order_id,
            "orderLinkId": order_link_id,
            "baseCoin": base_coin,
            "settleCoin": settle_coin,
            "startTime": start_time,
            "endTime": end_time,
            "execType": exec_type,
            "limit": _EXECUTIONS,
        }
        return self.each(EXECUTIONS, parameters)
