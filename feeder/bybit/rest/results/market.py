"""Results of the public market endpoints and of the system's status.

Source: Bybit v5, market/* and system-status.
"""

from decimal import Decimal
from typing import Annotated

import msgspec

from ..reply import Amount, Text


class ServerTime(msgspec.Struct, rename="camel", frozen=True):
    """The venue's clock: the same instant in whole seconds and in ns since the epoch."""

    time_nano: Annotated[int, msgspec.Meta(ge=10**17, le=(1 << 63) - 1)]
    time_second: int | None = None


class Ticker(msgspec.Struct, rename="camel"):
    """Prices, best bid and offer and the last 24 hours of one symbol; which fields are there depends on the category.

    `price_24h_pcnt` and the rates are fractions: 0.01 is 1 %. `volume_24h` is in the base coin (inverse: in contracts),
    `turnover_24h` in the quote coin (inverse: in the base coin). `open_interest` counts both sides,
    `single_open_interest` one.
    """

    symbol: str
    last_price: Amount = None
    index_price: Amount = None
    mark_price: Amount = None
    prev_price_24h: Amount = msgspec.field(name="prevPrice24h", default=None)
    price_24h_pcnt: Amount = msgspec.field(name="price24hPcnt", default=None)
    high_price_24h: Amount = msgspec.field(name="highPrice24h", default=None)
    low_price_24h: Amount = msgspec.field(name="lowPrice24h", default=None)
    prev_price_1h: Amount = msgspec.field(name="prevPrice1h", default=None)
    turnover_24h: Amount = msgspec.field(name="turnover24h", default=None)
    volume_24h: Amount = msgspec.field(name="volume24h", default=None)
    bid1_price: Amount = None
    bid1_size: Amount = None
    ask1_price: Amount = None
    ask1_size: Amount = None
    # Spot.
    usd_index_price: Amount = None
    # Futures and perpetuals.
    open_interest: Amount = None
    open_interest_value: Amount = None
    single_open_interest: Amount = None
    single_open_interest_value: Amount = None
    funding_rate: Amount = None
    next_funding_time: int | None = None
    funding_interval_hour: int | None = None
    funding_cap: Amount = None
    basis: Amount = None
    basis_rate: Amount = None
    basis_rate_year: Amount = None
    predicted_delivery_price: Amount = None
    delivery_fee_rate: Amount = None
    delivery_time: int | None = None
    pre_open_price: Amount = None
    pre_qty: Amount = None
    cur_pre_listing_phase: Text = None
    # Options; an implied volatility is a fraction.
    bid1_iv: Amount = None
    ask1_iv: Amount = None
    mark_iv: Amount = None
    underlying_price: Amount = None
    total_volume: Amount = None
    total_turnover: Amount = None
    delta: Amount = None
    gamma: Amount = None
    vega: Amount = None
    theta: Amount = None
    change_24h: Amount = msgspec.field(name="change24h", default=None)


class LeverageFilter(msgspec.Struct, rename="camel"):
    """Which leverages an instrument takes."""

    min_leverage: Amount = None
    max_leverage: Amount = None
    leverage_step: Amount = None


class PriceFilter(msgspec.Struct, rename="camel"):
    """Which prices an instrument takes. Spot has `tick_size` alone."""

    min_price: Amount = None
    max_price: Amount = None
    tick_size: Amount = None


class LotSizeFilter(msgspec.Struct, rename="camel"):
    """Which quantities an instrument takes.

    Spot says `base_precision` where the others say `qty_step`; its smallest order is `min_order_amt` of the quote coin.
    """

    min_order_qty: Amount = None
    max_order_qty: Amount = None
    max_mkt_order_qty: Amount = None
    post_only_max_order_qty: Amount = None
    qty_step: Amount = None
    min_notional_value: Amount = None
    base_precision: Amount = None
    quote_precision: Amount = None
    min_order_amt: Amount = None
    max_order_amt: Amount = None
    max_limit_order_qty: Amount = None
    max_market_order_qty: Amount = None
    post_only_max_limit_order_size: Amount = None


class RiskParameters(msgspec.Struct, rename="camel"):
    """How far from the market a limit price may be, as the fractions X and Y of the venue's rule."""

    price_limit_ratio_x: Amount = None
    price_limit_ratio_y: Amount = None


class AuctionPhase(msgspec.Struct, rename="camel"):
    """One phase of pre-market trading and when it is, ms; `end_time` is None while that is open."""

    phase: Text = None
    start_time: int | None = None
    end_time: int | None = None


class AuctionFees(msgspec.Struct, rename="camel"):
    """Fee rates before and in continuous pre-market trading, fractions."""

    auction_fee_rate: Amount = None
    taker_fee_rate: Amount = None
    maker_fee_rate: Amount = None


class PreListing(msgspec.Struct, rename="camel"):
    """Where a pre-market contract is on its way to an ordinary one."""

    cur_auction_phase: Text = None
    phases: list[AuctionPhase] | None = None
    auction_fee_info: AuctionFees | None = None
    skip_call_auction: bool | None = None


class InstrumentDetails(msgspec.Struct, rename="camel"):
    """What the venue trades and by which rules; which fields are there depends on the category.

    `status`: PreLaunch, Trading, Delivering or Closed. `funding_interval` is in minutes.
    """

    symbol: str
    symbol_id: int | None = None
    status: Text = None
    base_coin: Text = None
    quote_coin: Text = None
    settle_coin: Text = None
    symbol_type: Text = None
    display_name: Text = None
    full_name: Text = None
    launch_time: int | None = None
    delivery_time: int | None = None
    delivery_fee_rate: Amount = None
    price_filter: PriceFilter | None = None
    lot_size_filter: LotSizeFilter | None = None
    risk_parameters: RiskParameters | None = None
    # Futures and perpetuals.
    contract_type: Text = None
    price_scale: int | None = None
    leverage_filter: LeverageFilter | None = None
    unified_margin_trade: bool | None = None
    funding_interval: int | None = None
    copy_trading: Text = None
    upper_funding_rate: Amount = None
    lower_funding_rate: Amount = None
    market_region: Text = None
    underlying_ticker: Text = None
    forbid_upl_withdrawal: bool | None = None
    is_pre_listing: bool | None = None
    pre_listing_info: PreListing | None = None
    # Options: Call or Put.
    options_type: Text = None
    # Spot.
    margin_trading: Text = None
    innovation: bool | None = None
    st_tag: bool | None = None
    xstock_multiplier: Amount = None


class Level(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One price of a book and the size there."""

    price: Decimal
    size: Decimal


class OrderBook(msgspec.Struct):
    """A book's best levels: bids from high to low, asks from low to high.

    `update_id` is that of the 1000-level stream, not of the others. `time_ms`: made by the venue's system;
    `matching_time_ms`: by its matching engine.
    """

    symbol: str = msgspec.field(name="s")
    bids: list[Level] = msgspec.field(name="b")
    asks: list[Level] = msgspec.field(name="a")
    time_ms: int = msgspec.field(name="ts")
    update_id: int = msgspec.field(name="u")
    sequence: int | None = msgspec.field(name="seq", default=None)
    matching_time_ms: int | None = msgspec.field(name="cts", default=None)


class RpiLevel(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One price of a book, the size of ordinary orders and that of retail price improvement orders."""

    price: Decimal
    size: Decimal
    rpi_size: Decimal


class RpiOrderBook(msgspec.Struct):
    """A book with retail price improvement orders; `update_id` is that of the 50-level RPI stream."""

    symbol: str = msgspec.field(name="s")
    bids: list[RpiLevel] = msgspec.field(name="b")
    asks: list[RpiLevel] = msgspec.field(name="a")
    time_ms: int = msgspec.field(name="ts")
    update_id: int = msgspec.field(name="u")
    sequence: int | None = msgspec.field(name="seq", default=None)
    matching_time_ms: int | None = msgspec.field(name="cts", default=None)


class PublicTrade(msgspec.Struct, rename="camel"):
    """One trade of the market; `side` is the taker's, `time` in ms. The last four are an option's."""

    exec_id: str
    symbol: str
    price: Amount = None
    size: Amount = None
    side: Text = None
    time: int | None = None
    seq: int | None = None
    is_block_trade: bool | None = None
    is_rpi_trade: bool | None = msgspec.field(name="isRPITrade", default=None)
    mark_price: Amount = msgspec.field(name="mP", default=None)
    index_price: Amount = msgspec.field(name="iP", default=None)
    mark_iv: Amount = msgspec.field(name="mIv", default=None)
    iv: Amount = None


class Candle(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One candle; the youngest comes first, and is not finished while its interval lasts.

    `volume` is in the base coin (inverse: in contracts), `turnover` in the quote coin (inverse: in the base coin).
    """

    start_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    turnover: Decimal


class PriceCandle(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One candle of a price that nobody trades at: mark, index or premium index."""

    start_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


class FundingRate(msgspec.Struct, rename="camel"):
    """A funding rate, a fraction, and when it was settled, ms."""

    symbol: str
    funding_rate: Amount = None
    funding_rate_timestamp: int | None = None


class OpenInterest(msgspec.Struct, rename="camel"):
    """Open interest at an instant, ms: of both sides together, and of one.

    In the base coin; inverse: in USD.
    """

    open_interest: Amount = None
    single_open_interest: Amount = None
    timestamp: int | None = None


class SystemStatus(msgspec.Struct, rename="camel"):
    """A maintenance or incident of the platform: what it concerns, and from when to when, ms.

    `state`: scheduled, ongoing, completed or canceled. The numbers in `service_types`, `product`, `maintain_type` and
    `env` are explained in the venue's list of enums; 5 among the service types is market data.
    """

    id: str
    title: Text = None
    state: Text = None
    begin: int | None = None
    end: int | None = None
    href: Text = None
    service_types: list[int] | None = None
    product: list[int] | None = None
    uid_suffix: list[int] | None = None
    maintain_type: int | None = None
    env: int | None = None
