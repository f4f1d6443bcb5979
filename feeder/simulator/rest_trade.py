"""The endpoints of orders: /v5/order and /v5/execution. Source: Bybit v5, the page of each."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from feeder.simulator import rest_parameters as read
from feeder.simulator.account import Account
from feeder.simulator.executions import Execution
from feeder.simulator.ledger import Ledger
from feeder.simulator.orders import (
    CANCELLED,
    DEACTIVATED,
    FILLED,
    NEW,
    PARTLY_CANCELLED,
    PARTLY_FILLED,
    REJECTED,
    TRIGGERED,
    UNTRIGGERED,
    Order,
)
from feeder.simulator.refusals import TOO_MANY, refused
from feeder.simulator.rest_caller import Caller
from feeder.simulator.rest_reply import PARAMETER_ERROR, Answer, Endpoint, Parameters, Refused, owner, page
from feeder.simulator.rest_span import span

Filter = Callable[[Order], bool]

_RECENT = 500  # closed orders that are told in real time
_BATCH = {"spot": 10, "linear": 20, "inverse": 20, "option": 20}
_ORDER_FILTERS = ("Order", "StopOrder", "tpslOrder", "OcoOrder", "BidirectionalTpslOrder")
_STATUSES = (
    NEW,
    UNTRIGGERED,
    FILLED,
    CANCELLED,
    DEACTIVATED,
    PARTLY_FILLED,
    PARTLY_CANCELLED,
    REJECTED,
    TRIGGERED,
)
_PRODUCTS = ("DERIVATIVES", "SPOT", "OPTIONS")


class TradeEndpoints:
    """Answers by path."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def endpoints(self) -> dict[tuple[str, str], Endpoint]:
        """By method and path."""
        place, amend, cancel = self._ledger.place, self._ledger.amend, self._ledger.cancel
        return {
            ("POST", "/v5/order/create"): self._one(place),
            ("POST", "/v5/order/amend"): self._one(amend),
            ("POST", "/v5/order/cancel"): self._one(cancel),
            ("POST", "/v5/order/create-batch"): self._batch(place, tells_time=True),
            ("POST", "/v5/order/amend-batch"): self._batch(amend),
            ("POST", "/v5/order/cancel-batch"): self._batch(cancel),
            ("POST", "/v5/order/cancel-all"): self._cancel_all,
            ("POST", "/v5/order/disconnected-cancel-all"): self._protect,
            ("GET", "/v5/order/realtime"): self._realtime,
            ("GET", "/v5/order/history"): self._history,
            ("GET", "/v5/execution/list"): self._executions,
        }

    def _one(self, act: Callable[[Account, Parameters], Order]) -> Endpoint:
        def answer(call: Caller) -> Answer:
            return Answer(_named(act(self._account(call), call.parameters)))

        return answer

    def _batch(self, act: Callable[[Account, Parameters], Order], *, tells_time: bool = False) -> Endpoint:
        """Each order by itself: what became of it stands in retExtInfo, in the same order."""

        def answer(call: Caller) -> Answer:
            category = read.category(call.parameters).name
            requests = call.parameters.get("request")
            if not isinstance(requests, list) or not requests or not all(isinstance(each, dict) for each in requests):
                raise read.invalid("request")
            if len(requests) > _BATCH[category]:
                raise Refused(PARAMETER_ERROR, f"params error: more than {_BATCH[category]} orders in a batch")
            rows, verdicts = [], []
            for index, request in enumerate(requests):
                row = {"category": category, "symbol": _text(request, "symbol")}
                try:
                    order = self._of_batch(call, index, request | {"category": category}, act)
                except Refused as why:
                    row |= {"orderId": _text(request, "orderId"), "orderLinkId": _text(request, "orderLinkId")}
                    row |= {"createAt": ""} if tells_time else {}
                    verdicts.append({"code": why.code, "msg": why.message})
                else:
                    row |= _named(order) | ({"createAt": str(order.created_ms)} if tells_time else {})
                    verdicts.append({"code": 0, "msg": "OK"})
                rows.append(row)
            return Answer({"list": rows}, extra={"list": verdicts})

        return answer

    def _of_batch(
        self, call: Caller, index: int, given: Parameters, act: Callable[[Account, Parameters], Order]
    ) -> Order:
        if index >= call.orders_allowed:
            raise refused(TOO_MANY)
        return act(self._account(call), given)

    def _cancel_all(self, call: Caller) -> Answer:
        given = call.parameters
        category = read.category(given).name
        chosen = next((name for name in ("symbol", "baseCoin", "settleCoin") if read.text(given, name)), "")
        if category in ("linear", "inverse") and not chosen:
            raise read.required("symbol, baseCoin or settleCoin")
        only_normal = "Order" if category == "spot" else ""
        order_filter = read.choice(given, "orderFilter", _ORDER_FILTERS, only_normal)
        stop = read.choice(given, "stopOrderType", ("Stop",)) if order_filter == "StopOrder" else ""

        def wanted(order: Order) -> bool:
            named = _coins(order) | {"symbol": order.listing.symbol}
            return (
                order.listing.category == category
                and (not chosen or named[chosen] == given[chosen])
                and (not order_filter or order.is_of(order_filter))
                and stop in ("", order.stop)
            )

        orders = self._ledger.cancel_all(self._account(call), wanted)
        return Answer({"list": [_named(order) for order in orders], "success": "1"})

    def _protect(self, call: Caller) -> Answer:
        """Only checked: the end of a private connection cancels nothing here."""
        self._account(call)
        read.choice(call.parameters, "product", _PRODUCTS, "OPTIONS")
        if read.whole(call.parameters, "timeWindow", None, 3, 300) is None:
            raise read.required("timeWindow")
        return Answer({}, message="success")

    def _realtime(self, call: Caller) -> Answer:
        """Open orders; with openOnly those that were closed last; one that is named whatever became of it."""
        given = call.parameters
        category = read.category(given).name
        closed = read.whole(given, "openOnly", 0, 0, 2) > 0
        if category == "linear" and not any(
            read.text(given, name) for name in ("symbol", "baseCoin", "settleCoin", "orderId", "orderLinkId")
        ):
            raise read.required("symbol, baseCoin or settleCoin")
        orders = self._orders(call, category)
        if not (read.text(given, "orderId") or read.text(given, "orderLinkId")):
            orders = [order for order in orders if order.is_open != closed]
            orders = orders[:_RECENT] if closed else orders
        return _orders_page(given, category, orders)

    def _history(self, call: Caller) -> Answer:
        """Orders that came to an end, by when they were created."""
        given = call.parameters
        category = read.category(given).name
        status = read.choice(given, "orderStatus", _STATUSES)
        start, end = span(given, self._ledger.now_ms())
        orders = [
            order
            for order in self._orders(call, category)
            if not order.is_open and status in ("", order.status) and start <= order.created_ms <= end
        ]
        return _orders_page(given, category, orders)

    def _executions(self, call: Caller) -> Answer:
        given = call.parameters
        category = read.category(given).name
        start, end = span(given, self._ledger.now_ms())
        kind = read.text(given, "execType", "Trade")
        limit = read.limit(given, 50, 100)
        matches = _matching(given, category)
        found = [
            execution
            for execution in reversed(self._account(call).executions)
            if kind == "Trade" and matches(execution.order) and start <= execution.time_ms <= end
        ]
        part, cursor = page(found, _number_of_execution, limit, read.text(given, "cursor"))
        rows = [execution.row() for execution in part]
        return Answer({"nextPageCursor": cursor, "category": category, "list": rows})

    def _orders(self, call: Caller, category: str) -> list[Order]:
        """Those that a listing's parameters ask for, newest first."""
        given = call.parameters
        matches = _matching(given, category)
        order_filter = read.choice(given, "orderFilter", _ORDER_FILTERS)
        account = self._account(call)
        order_id, link_id = read.text(given, "orderId"), read.text(given, "orderLinkId")
        orders: Iterable[Order] = reversed(account.orders.values())
        if order_id or link_id:  # however many there are
            named = account.orders.get(order_id) if order_id else account.links.get(link_id)
            orders = [] if named is None else [named]
        return [order for order in orders if matches(order) and (not order_filter or order.is_of(order_filter))]

    def _account(self, call: Caller) -> Account:
        return self._ledger.account(owner(call).account)


def _matching(given: Parameters, category: str) -> Filter:
    """By orderId, else orderLinkId, else symbol, else coin: only the first that is given counts."""
    order_id, link_id = read.text(given, "orderId"), read.text(given, "orderLinkId")
    symbol, base, settle = (read.text(given, name) for name in ("symbol", "baseCoin", "settleCoin"))

    def matches(order: Order) -> bool:
        if order.listing.category != category:
            return False
        if order_id or link_id:
            return order.order_id == order_id if order_id else order.link_id == link_id
        if symbol:
            return order.listing.symbol == symbol
        return base in ("", order.listing.base) and settle in ("", order.listing.settle)

    return matches


def _orders_page(given: Parameters, category: str, orders: Sequence[Order]) -> Answer:
    limit = read.limit(given, 20, 50)
    part, cursor = page(orders, _number_of_order, limit, read.text(given, "cursor"))
    return Answer({"nextPageCursor": cursor, "category": category, "list": [order.row() for order in part]})


def _number_of_order(order: Order) -> int:
    return order.number


def _number_of_execution(execution: Execution) -> int:
    return execution.number


def _named(order: Order) -> dict[str, str]:
    return {"orderId": order.order_id, "orderLinkId": order.link_id}


def _coins(order: Order) -> dict[str, str]:
    return {"baseCoin": order.listing.base, "settleCoin": order.listing.settle}


def _text(request: Mapping[str, Any], name: str) -> str:
    value = request.get(name)
    return value if isinstance(value, str) else ""
