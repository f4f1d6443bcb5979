"""Earn: savings, staking, structured products, liquidity mining, tokens, and wealth management (PWM).

Orders here move money, and none is sent twice by itself. Source: Bybit v5, earn/*, finance/*.
"""

from typing import Any

from ..endpoint import Endpoint, Limit, get, post

EARN: tuple[Endpoint[Any], ...] = (
    # Flexible savings and on-chain staking
    get("/v5/earn/product", "category", signed=False),
    get("/v5/earn/apr-history", "category", "productId", signed=False),
    post(
        "/v5/earn/place-order",
        "category",
        "orderType",
        "accountType",
        "amount",
        "coin",
        "productId",
        "orderLinkId",
    ),
    get("/v5/earn/order", "category"),
    get("/v5/earn/position", "category"),
    post("/v5/earn/position/modify", "category", "productId", "positionId", "autoReinvest", repeatable=True),
    get("/v5/earn/yield", "category"),
    get("/v5/earn/hourly-yield", "category"),
    get("/v5/earn/coupons", "category", limit=Limit(10)),
    get("/v5/earn/flexible-saving/auto-savings", limit=Limit(10)),
    # Not repeatable: purchaseImmediately buys.
    post("/v5/earn/flexible-saving/auto-savings", "isSelected", limit=Limit(5)),
    # Fixed terms
    get("/v5/earn/fixed-term/product", signed=False),
    post(
        "/v5/earn/fixed-term/place-order",
        "productId",
        "category",
        "coin",
        "amount",
        "accountType",
        "orderLinkId",
        limit=Limit(5),
    ),
    post("/v5/earn/fixed-term/redeem", "productId", "category", "positionId", limit=Limit(5)),
    get("/v5/earn/fixed-term/order", limit=Limit(10)),
    get("/v5/earn/fixed-term/position", limit=Limit(10)),
    post(
        "/v5/earn/fixed-term/position/auto-invest",
        "productId",
        "category",
        "positionId",
        "status",
        limit=Limit(5),
        repeatable=True,
    ),
    # Holding a coin
    get("/v5/earn/hold-to-earn/product", signed=False),
    get("/v5/earn/hold-to-earn/yield-history", "limit"),
    # Structured products
    get("/v5/earn/advance/product", "category", signed=False),
    get("/v5/earn/advance/product-extra-info", "category", signed=False),
    get(
        "/v5/earn/advance/double-win-leverage",
        "productId",
        "initialPrice",
        "lowerPrice",
        "upperPrice",
        limit=Limit(1),
    ),
    get("/v5/earn/advance/get-redeem-est-amount-list", "category", "positionIds", limit=Limit(10)),
    # A stake needs amount, accountType and coin besides; not every redemption does.
    post("/v5/earn/advance/place-order", "category", "productId", "orderType", "orderLinkId", limit=Limit(5)),
    get("/v5/earn/advance/order", "category", limit=Limit(10)),
    get("/v5/earn/advance/position", "category", limit=Limit(10)),
    # Liquidity mining
    get("/v5/earn/liquidity-mining/product", signed=False),
    post(
        "/v5/earn/liquidity-mining/add-liquidity",
        "productId",
        "orderLinkId",
        "quoteAmount|baseAmount",
        limit=Limit(5),
    ),
    post("/v5/earn/liquidity-mining/remove-liquidity", "productId", "orderLinkId", "positionId", limit=Limit(5)),
    post("/v5/earn/liquidity-mining/reinvest", "productId", "orderLinkId", "positionId", limit=Limit(5)),
    post(
        "/v5/earn/liquidity-mining/add-margin",
        "productId",
        "orderLinkId",
        "positionId",
        "amount",
        "quoteAccountType",
        limit=Limit(5),
    ),
    post("/v5/earn/liquidity-mining/claim-interest", "productId", limit=Limit(5)),
    get("/v5/earn/liquidity-mining/order", limit=Limit(10)),
    get("/v5/earn/liquidity-mining/position", limit=Limit(10)),
    get("/v5/earn/liquidity-mining/yield-records", limit=Limit(10)),
    get("/v5/earn/liquidity-mining/liquidation-records", limit=Limit(10)),
    # BYUSDT. The product is told to anyone; a key would be told its own holding besides.
    get("/v5/earn/token/product", "coin", signed=False),
    get("/v5/earn/token/history-apr", "coin", "range", signed=False),
    post("/v5/earn/token/place-order", "coin", "orderLinkId", "orderType", "amount", "accountType"),
    get("/v5/earn/token/order", "coin"),
    get("/v5/earn/token/position", "coin"),
    get("/v5/earn/token/yield", "coin"),
    get("/v5/earn/token/hourly-yield", "coin"),
    # Real-world assets
    get("/v5/earn/rwa/product", signed=False),
    get("/v5/earn/rwa/nav-chart", "productId", signed=False),
    post("/v5/earn/rwa/place-order", "productId", "orderType", "coin", "orderLinkId", limit=Limit(5)),
    get("/v5/earn/rwa/order", limit=Limit(10)),
    get("/v5/earn/rwa/position", limit=Limit(10)),
    # Wealth management: investors
    get("/v5/earn/pwm/investment-plan/all"),
    get("/v5/earn/pwm/investment-plan/detail", "planId"),
    get("/v5/earn/pwm/investment-plan/new-plan", "planId"),
    get("/v5/earn/pwm/investment-plan/asset-trend", "planId"),
    get("/v5/earn/pwm/investment-plan/fund-nav", "fundId"),
    get("/v5/earn/pwm/investment-plan/order"),
    post("/v5/earn/pwm/investment-plan/subscribe", "planId", "orderLinkId"),
    post("/v5/earn/pwm/investment-plan/invest-more", "planId", "category", "productId", "amount", "orderLinkId"),
    post("/v5/earn/pwm/investment-plan/redeem", "planId", "category", "productId", "orderLinkId"),
    post("/v5/earn/pwm/investment-plan/claim", "planId", "orderLinkId"),
    get("/v5/earn/pwm/customize-plan/product", signed=False),
    post("/v5/earn/pwm/customize-plan/create", "products"),
    # Wealth management: managers
    get("/v5/earn/pwm/asset-manager/all-funds"),
    get("/v5/earn/pwm/asset-manager/all-order"),
    get("/v5/earn/pwm/asset-manager/get-investment-plan"),
    post(
        "/v5/earn/pwm/asset-manager/create-fund",
        "fundName",
        "coin",
        "profitShareRate",
        "managementFeeRate",
        "reqLinkId",
    ),
    post(
        "/v5/earn/pwm/asset-manager/create-investment-plan",
        "accountUid",
        "planName",
        "planType",
        "investmentDistribution",
        "reqLinkId",
    ),
    post("/v5/earn/pwm/asset-manager/create-sub-account", "fundId", "reqLinkId"),
    post("/v5/earn/pwm/asset-manager/manage-investment-plan", "planId", "reqLinkId"),
    post("/v5/earn/pwm/asset-manager/manage-order", "orderId", "action", "reqLinkId"),
    post("/v5/earn/pwm/asset-manager/settle-profit", "fundId", "reqLinkId"),
    post("/v5/earn/pwm/fund-transfer", "transferId", "fromUserId", "toUserId", "amount", "coin"),
    get("/v5/earn/pwm/query-fund-transfer-result"),
)
