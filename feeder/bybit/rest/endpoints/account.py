"""The unified account: what it holds, owes and may do, beyond the typed endpoints.

Source: Bybit v5, rate-limit/rate-limit (Account), account/*, demo.
"""

from typing import Any

from ..endpoint import Endpoint, Limit, get, post

ACCOUNT: tuple[Endpoint[Any], ...] = (
    get("/v5/account/withdrawal", "coinName", limit=Limit(50)),
    get("/v5/account/borrow-history", limit=Limit(50)),
    get("/v5/account/collateral-info", limit=Limit(50)),
    get("/v5/account/instruments-info", "category", limit=Limit(10)),
    get("/v5/account/transaction-log", limit=Limit(25)),
    get("/v5/account/option-asset-info"),
    get("/v5/account/pay-info", limit=Limit(50)),
    get("/v5/account/trade-info-for-analysis", "symbol", limit=Limit(50)),
    get("/v5/account/user-setting-config", limit=Limit(50)),
    get("/v5/account/query-dcp-info", limit=Limit(5)),
    get("/v5/account/smp-group", limit=Limit(5)),
    get("/v5/account/mmp-state", "baseCoin"),
    get("/v5/asset/coin-greeks", limit=Limit(50)),
    get("/v5/asset/portfolio-margin", limit=Limit(50)),
    # Debts
    post("/v5/account/borrow", "coin", "amount", limit=Limit(1)),
    post("/v5/account/repay", limit=Limit(1)),
    post("/v5/account/no-convert-repay", "coin", limit=Limit(1)),
    post("/v5/account/quick-repayment", limit=Limit(1)),
    # Settings
    post("/v5/account/set-margin-mode", "setMarginMode", limit=Limit(5), repeatable=True),
    post("/v5/account/set-hedging-mode", "setHedgingMode", repeatable=True),
    post("/v5/account/set-delta-mode", "deltaEnable", repeatable=True),
    post("/v5/account/set-limit-px-action", "category", "modifyEnable", limit=Limit(10), repeatable=True),
    post("/v5/account/set-collateral-switch", "coin", "collateralSwitch", repeatable=True),
    post("/v5/account/set-collateral-switch-batch", "request", limit=Limit(5), repeatable=True),
    post(
        "/v5/account/mmp-modify",
        "baseCoin",
        "window",
        "frozenPeriod",
        "qtyLimit",
        "deltaLimit",
        limit=Limit(5),
        repeatable=True,
    ),
    # Not repeatable: the second would also thaw what was frozen in between.
    post("/v5/account/mmp-reset", "baseCoin", limit=Limit(5)),
    # Demo trading only.
    post("/v5/account/demo-apply-money"),
    # Deprecated: of classic accounts.
    post("/v5/account/upgrade-to-uta", limit=Limit(1)),
    get("/v5/account/contract-transaction-log"),
)
