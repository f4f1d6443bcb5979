"""Public market data and notices, beyond the typed endpoints. Public requests count against the address alone.

Source: Bybit v5, market/*, announcement.
"""

from typing import Any

from ..endpoint import Endpoint, get

MARKET: tuple[Endpoint[Any], ...] = (
    get("/v5/market/full_orderbook", "category", "symbol", signed=False),
    get("/v5/market/historical-volatility", "category", signed=False),
    get("/v5/market/insurance", signed=False),
    get("/v5/market/risk-limit", "category", signed=False),
    get("/v5/market/delivery-price", "category", signed=False),
    get("/v5/market/new-delivery-price", "category", "baseCoin", signed=False),
    get("/v5/market/option-base-coins", signed=False),
    get("/v5/market/account-ratio", "category", "symbol", "period", signed=False),
    get("/v5/market/index-price-components", "indexName", signed=False),
    get("/v5/market/price-limit", "symbol", signed=False),
    get("/v5/market/adlAlert", signed=False),
    get("/v5/market/fee-group-info", "productType", signed=False),
    get("/v5/announcements/index", "locale", signed=False),
)
