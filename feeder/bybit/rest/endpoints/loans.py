"""Loans against collateral: crypto loans at a flexible or fixed rate, and loans to institutions.

Source: Bybit v5, rate-limit/rate-limit (Institutional Loan), new-crypto-loan/*, crypto-loan/*, otc/*.
"""

from typing import Any

from ..endpoint import Endpoint, Limit, get, post

LOANS: tuple[Endpoint[Any], ...] = (
    # Crypto loans: what both kinds share
    get("/v5/crypto-loan-common/loanable-data", signed=False),
    get("/v5/crypto-loan-common/collateral-data", signed=False),
    get("/v5/crypto-loan-common/position", limit=Limit(5)),
    get("/v5/crypto-loan-common/max-collateral-amount", "currency", limit=Limit(5)),
    post("/v5/crypto-loan-common/max-loan", "currency", limit=Limit(5), repeatable=True),
    post("/v5/crypto-loan-common/adjust-ltv", "currency", "amount", "direction", limit=Limit(1)),
    get("/v5/crypto-loan-common/adjustment-history", limit=Limit(5)),
    # At a flexible rate
    get("/v5/crypto-loan-flexible/available-inventory", "currency", limit=Limit(5)),
    post("/v5/crypto-loan-flexible/borrow", "loanCurrency", "loanAmount", limit=Limit(1)),
    post("/v5/crypto-loan-flexible/repay", "loanCurrency", "amount", limit=Limit(1)),
    post("/v5/crypto-loan-flexible/repay-collateral", "loanCurrency", "collateralCoin", "amount", limit=Limit(1)),
    get("/v5/crypto-loan-flexible/ongoing-coin", limit=Limit(5)),
    get("/v5/crypto-loan-flexible/borrow-history", limit=Limit(5)),
    get("/v5/crypto-loan-flexible/repayment-history", limit=Limit(5)),
    # At a fixed rate
    get("/v5/crypto-loan-fixed/supply-order-quote", "orderCurrency", "orderBy", signed=False),
    get("/v5/crypto-loan-fixed/borrow-order-quote", "orderCurrency", "orderBy", signed=False),
    get("/v5/crypto-loan-fixed/available-inventory", "currency", "term", "annualRate", limit=Limit(5)),
    post("/v5/crypto-loan-fixed/borrow", "orderCurrency", "orderAmount", "annualRate", "term", limit=Limit(1)),
    post("/v5/crypto-loan-fixed/supply", "orderCurrency", "orderAmount", "annualRate", "term", limit=Limit(1)),
    post("/v5/crypto-loan-fixed/borrow-order-cancel", "orderId", limit=Limit(1)),
    post("/v5/crypto-loan-fixed/supply-order-cancel", "orderId", limit=Limit(1)),
    post("/v5/crypto-loan-fixed/renew", "loanId", limit=Limit(1)),
    post("/v5/crypto-loan-fixed/fully-repay", "loanId|loanCurrency", limit=Limit(1)),
    post("/v5/crypto-loan-fixed/repay-collateral", "loanCurrency", "collateralCoin", "amount", limit=Limit(1)),
    get("/v5/crypto-loan-fixed/borrow-contract-info", limit=Limit(5)),
    get("/v5/crypto-loan-fixed/supply-contract-info", limit=Limit(5)),
    get("/v5/crypto-loan-fixed/borrow-order-info", limit=Limit(5)),
    get("/v5/crypto-loan-fixed/supply-order-info", limit=Limit(5)),
    get("/v5/crypto-loan-fixed/renew-info", limit=Limit(5)),
    get("/v5/crypto-loan-fixed/repayment-history", limit=Limit(5)),
    # To institutions. Products and margin coins are told to anyone; a key would be told its own.
    get("/v5/ins-loan/product-infos", signed=False),
    get("/v5/ins-loan/ensure-tokens-convert", signed=False),
    get("/v5/ins-loan/loan-order", limit=Limit(20)),
    get("/v5/ins-loan/repaid-history", limit=Limit(20)),
    get("/v5/ins-loan/ltv-convert", limit=Limit(20)),
    get("/v5/ins-loan/coin-delta-amount"),
    get("/v5/ins-loan/delay-liq-status", limit=Limit(2)),
    post("/v5/ins-loan/association-uid", "uid", "operate", limit=Limit(1)),
    post("/v5/ins-loan/repay-loan", "token", "quantity", limit=Limit(1)),
    # Deprecated: loans to institutions, before margin coins were converted.
    get("/v5/ins-loan/ensure-tokens", signed=False),
    get("/v5/ins-loan/ltv"),
    # Deprecated: crypto loans of the first kind, now crypto-loan-flexible and crypto-loan-fixed.
    get("/v5/crypto-loan/loanable-data", signed=False),
    get("/v5/crypto-loan/collateral-data", signed=False),
    get("/v5/crypto-loan/borrowable-collateralisable-number", "loanCurrency", "collateralCurrency"),
    post("/v5/crypto-loan/borrow", "loanCurrency", "collateralCurrency", "loanAmount|collateralAmount"),
    post("/v5/crypto-loan/repay", "orderId", "amount"),
    get("/v5/crypto-loan/ongoing-orders"),
    get("/v5/crypto-loan/repayment-history"),
    get("/v5/crypto-loan/borrow-history"),
    get("/v5/crypto-loan/max-collateral-amount", "orderId"),
    post("/v5/crypto-loan/adjust-ltv", "orderId", "amount", "direction"),
    get("/v5/crypto-loan/adjustment-history"),
    # Deprecated: lending between customers.
    get("/v5/lending/info"),
    get("/v5/lending/account"),
    get("/v5/lending/history-order"),
    post("/v5/lending/purchase", "coin", "quantity"),
    post("/v5/lending/redeem", "coin", "quantity"),
    post("/v5/lending/redeem-cancel"),
)
