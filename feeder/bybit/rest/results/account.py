"""Results of the account endpoints.

Source: Bybit v5, account/*.
"""

import msgspec

from ..reply import Amount, Text


class CoinBalance(msgspec.Struct, rename="camel"):
    """What an account has of one coin, in that coin except for `usd_value`.

    `available_to_withdraw` and `available_to_borrow` may be None: the venue calculates them no more for all accounts.
    `col_res` is what it reserves as collateral.
    """

    coin: str
    equity: Amount = None
    usd_value: Amount = None
    wallet_balance: Amount = None
    free: Amount = None
    locked: Amount = None
    spot_hedging_qty: Amount = None
    borrow_amount: Amount = None
    spot_borrow: Amount = None
    accrued_interest: Amount = None
    total_order_im: Amount = msgspec.field(name="totalOrderIM", default=None)
    total_position_im: Amount = msgspec.field(name="totalPositionIM", default=None)
    total_position_mm: Amount = msgspec.field(name="totalPositionMM", default=None)
    unrealised_pnl: Amount = None
    cum_realised_pnl: Amount = None
    bonus: Amount = None
    margin_collateral: bool | None = None
    collateral_switch: bool | None = None
    col_res: Amount = None
    available_to_withdraw: Amount = None
    available_to_borrow: Amount = None


class Wallet(msgspec.Struct, rename="camel"):
    """An account as a whole, in USD, and its coins. The rates are fractions of the margin balance.

    The fields that end in `_by_mp` are calculated by mark price.
    """

    account_type: Text = None
    account_im_rate: Amount = msgspec.field(name="accountIMRate", default=None)
    account_im_rate_by_mp: Amount = msgspec.field(name="accountIMRateByMp", default=None)
    account_mm_rate: Amount = msgspec.field(name="accountMMRate", default=None)
    account_mm_rate_by_mp: Amount = msgspec.field(name="accountMMRateByMp", default=None)
    account_ltv: Amount = msgspec.field(name="accountLTV", default=None)
    total_equity: Amount = None
    total_wallet_balance: Amount = None
    total_margin_balance: Amount = None
    total_available_balance: Amount = None
    total_perp_upl: Amount = msgspec.field(name="totalPerpUPL", default=None)
    total_initial_margin: Amount = None
    total_initial_margin_by_mp: Amount = None
    total_maintenance_margin: Amount = None
    total_maintenance_margin_by_mp: Amount = None
    coins: list[CoinBalance] = msgspec.field(name="coin", default_factory=list)


class FeeRate(msgspec.Struct, rename="camel"):
    """What trading a symbol costs, or for options a base coin; fractions of the value."""

    symbol: Text = None
    base_coin: Text = None
    taker_fee_rate: Amount = None
    maker_fee_rate: Amount = None


class AccountInfo(msgspec.Struct, rename="camel"):
    """How an account is set up; `updated_time` in ms.

    `margin_mode`: ISOLATED_MARGIN, REGULAR_MARGIN or PORTFOLIO_MARGIN. `dcp_status`, `time_window` and `smp_group` are
    still sent, but the venue has other endpoints for them.
    """

    unified_margin_status: int | None = None
    margin_mode: Text = None
    is_master_trader: bool | None = None
    spot_hedging_status: Text = None
    updated_time: int | None = None
    dcp_status: Text = None
    time_window: int | None = None
    smp_group: int | None = None
