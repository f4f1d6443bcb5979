"""Beyond the books: on-chain tokens and pools (Alpha), prediction markets, event contracts.

Most questions are POST here; those that ask are repeatable. Source: Bybit v5, alpha/*, event/*.
"""

from typing import Any

from ..endpoint import Endpoint, Limit, get, post

ALPHA: tuple[Endpoint[Any], ...] = (
    # On-chain tokens. A quote moves nothing, but what it says is what is executed.
    post("/v5/alpha/trade/quote", "tradeType", "fromTokenCode", "fromTokenAmount", "toTokenCode"),
    post(
        "/v5/alpha/trade/purchase",
        "fromTokenCode",
        "fromTokenAmount",
        "toTokenCode",
        "slippage",
        "quoteData",
        "gas",
        "quoteMode",
        "correctingCode",
    ),
    post(
        "/v5/alpha/trade/redeem",
        "fromTokenCode",
        "fromTokenAmount",
        "toTokenCode",
        "slippage",
        "quoteData",
        "gas",
        "quoteMode",
        "correctingCode",
    ),
    post("/v5/alpha/trade/order-list", "limit", "pageIndex", repeatable=True),
    post("/v5/alpha/trade/asset-list", repeatable=True),
    post("/v5/alpha/trade/asset-detail", "chainCode", "tokenAddress", repeatable=True),
    post("/v5/alpha/trade/biz-token-list", repeatable=True),
    post("/v5/alpha/trade/biz-token-details", "chainCode", "tokenAddress", repeatable=True),
    post("/v5/alpha/trade/biz-token-price-list", "tokenAddressInfo", repeatable=True),
    post("/v5/alpha/trade/pay-token-list", "chainCode", "tokenAddress", repeatable=True),
    # Liquidity pools
    post("/v5/alpha/lp/stake", "positionId", "poolAddress", "payTokenAmount", "payTokenCode", limit=Limit(1)),
    post("/v5/alpha/lp/redeem", "positionId", "poolAddress", "dercRatio", limit=Limit(1)),
    post("/v5/alpha/lp/pool-list", repeatable=True),
    post("/v5/alpha/lp/pool-info", "poolAddress", repeatable=True),
    post("/v5/alpha/lp/position-list", repeatable=True),
    post("/v5/alpha/lp/order-list", repeatable=True),
    post("/v5/alpha/lp/pay-token-list", repeatable=True),
    post("/v5/alpha/lp/pay-token-price", "tokenCode", repeatable=True),
    # Prediction markets
    get("/v5/alpha/prediction/engine-status"),
    get("/v5/alpha/prediction/pay-token-list"),
    get("/v5/alpha/prediction/sports/timeline-stages", "eventType"),
    post("/v5/alpha/prediction/sports/match-list", "eventType", repeatable=True),
    post("/v5/alpha/prediction/sports/group-stage-detail", "eventType", repeatable=True),
    post("/v5/alpha/prediction/event-detail", repeatable=True),
    post("/v5/alpha/prediction/side-market-list", "eventId", repeatable=True),
    post("/v5/alpha/prediction/order-book", "tokenIds", repeatable=True),
    post("/v5/alpha/prediction/token-price", "tokenIds", repeatable=True),
    post("/v5/alpha/prediction/price-history", "tokenId", "interval", repeatable=True),
    post(
        "/v5/alpha/prediction/order-estimate",
        "tokenId",
        "side",
        "eventId",
        "amount",
        "orderType",
        repeatable=True,
    ),
    post("/v5/alpha/prediction/buy", "tokenId", "amount", "payTokenCode", "orderType", "slippage", "eventId"),
    post("/v5/alpha/prediction/sell", "tokenId", "size", "orderType", "slippage", "eventId"),
    post("/v5/alpha/prediction/order-list", repeatable=True),
    post("/v5/alpha/prediction/position-list", repeatable=True),
    post("/v5/alpha/prediction/position-history", repeatable=True),
    post("/v5/alpha/prediction/portfolio-summary", repeatable=True),
    # Event contracts
    get("/v5/event/instruments-info", signed=False),
    get("/v5/event/orderbook", "symbol", signed=False),
    post("/v5/event/quotes", "symbol", "orderLinkId", "grossPayoutRatio", "amount"),
    post("/v5/event/cancel", "orderId|orderLinkId"),
    get("/v5/event/order-realtime"),
    get("/v5/event/order-list"),
    get("/v5/event/positions"),
    get("/v5/event/trades", "symbol"),
    get("/v5/event/settlements", "symbol"),
)
