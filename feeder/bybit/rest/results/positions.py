"""Results of the position endpoints.

Source: Bybit v5, position/*.
"""

import msgspec

from ..reply import Amount, Text


class Position(msgspec.Struct, rename="camel"):
    """A position; `side` is None where there is none, and `size` never negative. Times in ms.

    `position_idx`: 0 one-way, 1 the buy side and 2 the sell side of hedge mode. `seq` is -1 where the symbol was never
    traded. `liq_price` is an estimate under cross margin. Where `is_reduce_only`, the two times of the system's
    adjustments are still to come.
    """

    symbol: str
    position_idx: int | None = None
    risk_id: int | None = None
    risk_limit_value: Amount = None
    side: Text = None
    size: Amount = None
    avg_price: Amount = None
    position_value: Amount = None
    auto_add_margin: bool | None = None
    position_status: Text = None
    leverage: Amount = None
    break_even_price: Amount = None
    mark_price: Amount = None
    liq_price: Amount = None
    bust_price: Amount = None
    position_im: Amount = msgspec.field(name="positionIM", default=None)
    position_im_by_mp: Amount = msgspec.field(name="positionIMByMp", default=None)
    position_mm: Amount = msgspec.field(name="positionMM", default=None)
    position_mm_by_mp: Amount = msgspec.field(name="positionMMByMp", default=None)
    position_balance: Amount = None
    take_profit: Amount = None
    stop_loss: Amount = None
    trailing_stop: Amount = None
    session_avg_price: Amount = None
    delta: Amount = None
    gamma: Amount = None
    vega: Amount = None
    theta: Amount = None
    unrealised_pnl: Amount = None
    cur_realised_pnl: Amount = None
    cum_realised_pnl: Amount = None
    adl_rank_indicator: int | None = None
    created_time: int | None = None
    updated_time: int | None = None
    open_time: int | None = None
    seq: int | None = None
    is_reduce_only: bool | None = None
    mmr_sys_updated_time: int | None = None
    leverage_sys_updated_time: int | None = None
    tpsl_mode: Text = None
    trade_mode: int | None = None


class ClosedPnl(msgspec.Struct, rename="camel"):
    """Profit or loss of a position, or a part of it, that an order closed; times in ms, fees in the settlement coin."""

    symbol: str
    order_id: Text = None
    side: Text = None
    qty: Amount = None
    order_price: Amount = None
    order_type: Text = None
    exec_type: Text = None
    closed_size: Amount = None
    cum_entry_value: Amount = None
    avg_entry_price: Amount = None
    cum_exit_value: Amount = None
    avg_exit_price: Amount = None
    closed_pnl: Amount = None
    fill_count: int | None = None
    leverage: Amount = None
    open_fee: Amount = None
    close_fee: Amount = None
    created_time: int | None = None
    updated_time: int | None = None
