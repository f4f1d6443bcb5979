"""Results of the order endpoints: acknowledgements, orders, executions, and the verdicts of a batch.

Source: Bybit v5, order/*.
"""

import msgspec

from feeder.bybit.messages import DECODE_ERRORS
from feeder.errors import ReplyError

from ..reply import Amount, Page, Reply, Text


class OrderAck(msgspec.Struct, rename="camel"):
    """The venue has taken the request, and no more than that: what becomes of the order, the order stream tells."""

    order_id: str
    order_link_id: Text = None


class CancelledOrders(msgspec.Struct, rename="camel"):
    """The orders that are being cancelled. Spot may say no more than whether it was a `success`."""

    orders: list[OrderAck] = msgspec.field(name="list", default_factory=list)
    success: bool | None = None


class ExtraFee(msgspec.Struct, rename="camel"):
    """A fee or tax beside the trading fee, as some places of residence have it; `fee` in `fee_coin`."""

    fee_coin: Text = None
    fee_type: Text = None
    sub_fee_type: Text = None
    fee_rate: Amount = None
    fee: Amount = None


class Order(msgspec.Struct, rename="camel"):
    """An order as it stands; times in ms.

    Open: `order_status` New, PartiallyFilled or Untriggered. Done: Rejected, PartiallyFilledCanceled (spot), Filled,
    Cancelled, Triggered, Deactivated. `cum_fee_detail` is the fee paid per coin; `cum_exec_fee` is for inverse and
    option. A `trigger_direction` of 1 is a rise, of 2 a fall. The venue writes `extra_fees` as a list, or as JSON in a
    text, which is left as it is.
    """

    order_id: str
    symbol: str
    order_link_id: Text = None
    parent_order_link_id: Text = None
    block_trade_id: Text = None
    price: Amount = None
    qty: Amount = None
    side: Text = None
    is_leverage: bool | None = None
    position_idx: int | None = None
    order_status: Text = None
    create_type: Text = None
    cancel_type: Text = None
    reject_reason: Text = None
    avg_price: Amount = None
    leaves_qty: Amount = None
    leaves_value: Amount = None
    cum_exec_qty: Amount = None
    cum_exec_value: Amount = None
    cum_exec_fee: Amount = None
    time_in_force: Text = None
    order_type: Text = None
    stop_order_type: Text = None
    order_iv: Amount = None
    market_unit: Text = None
    slippage_tolerance_type: Text = None
    slippage_tolerance: Amount = None
    trigger_price: Amount = None
    take_profit: Amount = None
    stop_loss: Amount = None
    tpsl_mode: Text = None
    oco_trigger_by: Text = None
    tp_limit_price: Amount = None
    sl_limit_price: Amount = None
    tp_trigger_by: Text = None
    sl_trigger_by: Text = None
    trigger_direction: int | None = None
    trigger_by: Text = None
    last_price_on_created: Amount = None
    base_price: Amount = None
    reduce_only: bool | None = None
    close_on_trigger: bool | None = None
    place_type: Text = None
    smp_type: Text = None
    smp_group: int | None = None
    smp_order_id: Text = None
    created_time: int | None = None
    updated_time: int | None = None
    extra_fees: list[ExtraFee] | str | None = None
    cum_fee_detail: dict[str, Amount] | None = None
    rpi_taker_access: bool | None = None
    rpi_matched_qty: Amount = None


class Execution(msgspec.Struct, rename="camel"):
    """One fill, or a funding, settlement or delivery, as `exec_type` says; `exec_time` in ms.

    A negative `exec_fee` is a rebate; `extra_fees` as of an order. `seq` is shared by fills that happened at once, and
    by symbols: it is unique together with the symbol only.
    """

    exec_id: str
    symbol: str
    order_id: Text = None
    order_link_id: Text = None
    side: Text = None
    order_price: Amount = None
    order_qty: Amount = None
    leaves_qty: Amount = None
    create_type: Text = None
    order_type: Text = None
    stop_order_type: Text = None
    exec_fee: Amount = None
    exec_fee_v2: Amount = None
    exec_price: Amount = None
    exec_qty: Amount = None
    exec_type: Text = None
    exec_value: Amount = None
    exec_time: int | None = None
    fee_currency: Text = None
    is_maker: bool | None = None
    fee_rate: Amount = None
    trade_iv: Amount = None
    mark_iv: Amount = None
    mark_price: Amount = None
    index_price: Amount = None
    underlying_price: Amount = None
    block_trade_id: Text = None
    closed_size: Amount = None
    seq: int | None = None
    extra_fees: list[ExtraFee] | str | None = None


class BatchOrder(msgspec.Struct, rename="camel"):
    """One order of a batch. The venue gives no `order_id` to one that it refused; `create_at` in ms."""

    category: Text = None
    symbol: Text = None
    order_id: Text = None
    order_link_id: Text = None
    create_at: int | None = None


class BatchEntry(msgspec.Struct, frozen=True):
    """One order of a batch and what the venue says of it: `code` is its retCode, 0 for accepted."""

    order: BatchOrder
    code: int
    message: str

    @property
    def accepted(self) -> bool:
        """Whether the venue has taken this order of the batch."""
        return self.code == 0


class _Verdict(msgspec.Struct):
    code: int
    msg: Text = None


class _Verdicts(msgspec.Struct):
    entries: list[_Verdict] = msgspec.field(name="list", default_factory=list)


_decode_verdicts = msgspec.json.Decoder(_Verdicts, strict=False).decode


def batch_outcome(reply: Reply[Page[BatchOrder]]) -> list[BatchEntry]:
    """Each order of a batch, in the order they were sent, with the venue's verdict on it.

    A batch is a success as a whole (retCode 0) whatever becomes of its orders: only this tells. Raises ReplyError if
    the venue gave not one verdict per order; what it gave is in `reply.raw`.
    """
    orders = reply.result.entries
    try:
        verdicts = _decode_verdicts(reply.extra).entries
    except DECODE_ERRORS as error:
        raise ReplyError(f"the verdicts of a batch cannot be understood: {error}", unknown_outcome=True) from error
    if len(orders) != len(verdicts):
        problem = f"{len(orders)} orders and {len(verdicts)} verdicts in the reply to a batch; ask for its orders"
        raise ReplyError(problem, unknown_outcome=True)
    return [BatchEntry(order, verdict.code, verdict.msg or "") for order, verdict in zip(orders, verdicts, strict=True)]
