"""Orders and positions, beyond the typed endpoints, and what an account did before it was upgraded to unified.

Source: Bybit v5, rate-limit/rate-limit (Trade, Position), order/*, position/*, pre-upgrade/*.
"""

from typing import Any

from ..endpoint import Endpoint, Limit, get, post

TRADE: tuple[Endpoint[Any], ...] = (
    # It only works out the margin that the order would take.
    post(
        "/v5/order/pre-check",
        "category",
        "symbol",
        "side",
        "orderType",
        "qty",
        limit=Limit(10),
        by_category={"option": Limit(10), "spot": Limit(20)},
        repeatable=True,
    ),
    get("/v5/order/spot-borrow-check", "category", "symbol", "side", limit=Limit(50)),
    get("/v5/position/get-closed-positions", "category", limit=Limit(50)),
    get("/v5/position/symbol-info", "category"),
    get("/v5/position/move-history", limit=Limit(10)),
    post("/v5/position/move-positions", "fromUid", "toUid", "list", limit=Limit(10)),
    post("/v5/position/add-margin", "category", "symbol", "margin", limit=Limit(10)),
    post("/v5/position/set-auto-add-margin", "category", "symbol", "autoAddMargin", limit=Limit(10), repeatable=True),
    post("/v5/position/confirm-pending-mmr", "category", "symbol", limit=Limit(10)),
    # Of accounts before the upgrade.
    get("/v5/pre-upgrade/order/history", "category"),
    get("/v5/pre-upgrade/execution/list", "category"),
    get("/v5/pre-upgrade/position/closed-pnl", "category", "symbol"),
    get("/v5/pre-upgrade/account/transaction-log", "category"),
    get("/v5/pre-upgrade/asset/delivery-record", "category"),
    get("/v5/pre-upgrade/asset/settlement-record", "category"),
    # Deprecated: of classic accounts.
    post(
        "/v5/position/switch-isolated",
        "category",
        "symbol",
        "tradeMode",
        "buyLeverage",
        "sellLeverage",
        repeatable=True,
    ),
    post("/v5/position/set-tpsl-mode", "category", "symbol", "tpSlMode", repeatable=True),
    post("/v5/position/set-risk-limit", "category", "symbol", "riskId", repeatable=True),
)
