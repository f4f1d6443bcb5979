"""Spot on margin: switches, rates, and loans at a fixed rate; leveraged tokens.

Source: Bybit v5, rate-limit/rate-limit (Spot Margin Trade), spot-margin-uta/*.
"""

from typing import Any

from ..endpoint import Endpoint, Limit, get, post

MARGIN: tuple[Endpoint[Any], ...] = (
    # Rates and limits of everyone
    get("/v5/spot-margin-trade/data", signed=False),
    get("/v5/spot-margin-trade/collateral", signed=False),
    # Coins and limits of the account
    get("/v5/spot-margin-trade/currency-data"),
    get("/v5/spot-margin-trade/position-tiers"),
    get("/v5/spot-margin-trade/coinstate", limit=Limit(50)),
    get("/v5/spot-margin-trade/interest-rate-history", "currency"),
    get("/v5/spot-margin-trade/state", limit=Limit(50)),
    get("/v5/spot-margin-trade/max-borrowable", "currency", limit=Limit(50)),
    get("/v5/spot-margin-trade/repayment-available-amount", "currency", limit=Limit(50)),
    get("/v5/spot-margin-trade/liability", "currency", limit=Limit(5)),
    # Settings
    post("/v5/spot-margin-trade/switch-mode", "spotMarginMode", limit=Limit(5), repeatable=True),
    post("/v5/spot-margin-trade/set-leverage", "leverage", limit=Limit(5), repeatable=True),
    post("/v5/spot-margin-trade/set-auto-repay-mode", "autoRepayMode", limit=Limit(5), repeatable=True),
    get("/v5/spot-margin-trade/get-auto-repay-mode", limit=Limit(50)),
    # Loans at a fixed rate
    post("/v5/spot-margin-trade/fixedborrow", "orderCurrency", "orderAmount", "annualRate", "term", limit=Limit(1)),
    post("/v5/spot-margin-trade/fixedborrow-renew", "loanId", limit=Limit(1)),
    get("/v5/spot-margin-trade/fixedborrow-order-quote", "orderCurrency", "orderBy", limit=Limit(5)),
    get("/v5/spot-margin-trade/fixedborrow-order-info", limit=Limit(5)),
    get("/v5/spot-margin-trade/fixedborrow-contract-info", limit=Limit(5)),
    get("/v5/spot-margin-trade/fixed-available-inventory", "currency", "term", "annualRate"),
    get("/v5/spot-margin-trade/flexible-available-inventory", "currency"),
    # Deprecated: margin of classic accounts.
    get("/v5/spot-cross-margin-trade/data", signed=False),
    get("/v5/spot-cross-margin-trade/pledge-token", signed=False),
    get("/v5/spot-cross-margin-trade/borrow-token", signed=False),
    get("/v5/spot-cross-margin-trade/loan-info", "coin", limit=Limit(50)),
    get("/v5/spot-cross-margin-trade/account", limit=Limit(50)),
    get("/v5/spot-cross-margin-trade/orders", limit=Limit(50)),
    get("/v5/spot-cross-margin-trade/repay-history", limit=Limit(50)),
    post("/v5/spot-cross-margin-trade/loan", "coin", "qty", limit=Limit(20)),
    post("/v5/spot-cross-margin-trade/repay", "coin", limit=Limit(20)),
    post("/v5/spot-cross-margin-trade/switch", "switch", limit=Limit(20), repeatable=True),
    # Deprecated: leveraged tokens.
    get("/v5/spot-lever-token/info", signed=False),
    get("/v5/spot-lever-token/reference", "ltCoin", signed=False),
    get("/v5/spot-lever-token/order-record", limit=Limit(50)),
    post("/v5/spot-lever-token/purchase", "ltCoin", "ltAmount", limit=Limit(20)),
    post("/v5/spot-lever-token/redeem", "ltCoin", "quantity", limit=Limit(20)),
)
