"""The entries of a batch: orders to place, to amend, to cancel.

Each has the names of `place_order`, `amend_order` and `cancel_order`, which say what they mean. Source: Bybit v5,
order/batch-place, order/batch-amend and order/batch-cancel.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal

import msgspec

from feeder.errors import ParameterError

from .endpoint import Endpoint
from .sender import Number
from .words import (
    MarketUnit,
    OrderFilter,
    OrderType,
    PositionIdx,
    Side,
    SmpType,
    TimeInForce,
    TpslMode,
    TriggerBy,
    TriggerDirection,
)


class OrderRequest(msgspec.Struct, rename="camel", omit_defaults=True):
    """An order to place in a batch; see `place_order`."""

    symbol: str
    side: Side
    order_type: OrderType
    qty: Number
    price: Number | None = None
    time_in_force: TimeInForce | None = None
    order_link_id: str | None = None
    position_idx: PositionIdx | None = None
    reduce_only: bool | None = None
    close_on_trigger: bool | None = None
    is_leverage: Literal[0, 1] | None = None
    market_unit: MarketUnit | None = None
    trigger_price: Number | None = None
    trigger_direction: TriggerDirection | None = None
    trigger_by: TriggerBy | None = None
    order_filter: OrderFilter | None = None
    order_iv: Number | None = None
    take_profit: Number | None = None
    stop_loss: Number | None = None
    tp_trigger_by: TriggerBy | None = None
    sl_trigger_by: TriggerBy | None = None
    tpsl_mode: TpslMode | None = None
    tp_limit_price: Number | None = None
    sl_limit_price: Number | None = None
    tp_order_type: OrderType | None = None
    sl_order_type: OrderType | None = None
    smp_type: SmpType | None = None
    mmp: bool | None = None


class AmendRequest(msgspec.Struct, rename="camel", omit_defaults=True):
    """A change to an order in a batch; see `amend_order`. It needs `order_id` or `order_link_id`."""

    symbol: str
    order_id: str | None = None
    order_link_id: str | None = None
    qty: Number | None = None
    price: Number | None = None
    trigger_price: Number | None = None
    trigger_by: TriggerBy | None = None
    order_iv: Number | None = None
    take_profit: Number | None = None
    stop_loss: Number | None = None
    tp_trigger_by: TriggerBy | None = None
    sl_trigger_by: TriggerBy | None = None
    tpsl_mode: TpslMode | None = None
    tp_limit_price: Number | None = None
    sl_limit_price: Number | None = None


class CancelRequest(msgspec.Struct, rename="camel", omit_defaults=True):
    """An order to cancel in a batch. It needs `order_id`, which counts first, or `order_link_id`."""

    symbol: str
    order_id: str | None = None
    order_link_id: str | None = None


def written(
    endpoint: Endpoint[Any], requests: Sequence[OrderRequest | AmendRequest | CancelRequest]
) -> list[dict[str, Any]]:
    """The entries as parameters: with the venue's names, what was not given left out, amounts as they were given.

    Raises ParameterError for none at all, and for one that names no order where the endpoint needs it.
    """
    if not requests:
        raise ParameterError(repr(endpoint), "request", "is empty; give at least one order")
    for number, request in enumerate(requests, 1):
        if isinstance(request, AmendRequest | CancelRequest) and not (request.order_id or request.order_link_id):
            raise ParameterError(repr(endpoint), "orderId or orderLinkId", f"is required, in order {number} as well")
    return [msgspec.to_builtins(request, builtin_types=(Decimal,)) for request in requests]
