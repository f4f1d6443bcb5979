"""Trades of several legs at once: spreads on an order book, and requests for quotes (RFQ).

Source: Bybit v5, rate-limit/rate-limit (Spread Trading, RFQ), spread/*, rfq/*.
"""

from typing import Any

from ..endpoint import Endpoint, Limit, get, post

MULTILEG: tuple[Endpoint[Any], ...] = (
    # Spreads
    get("/v5/spread/instrument", signed=False),
    get("/v5/spread/orderbook", "symbol", signed=False),
    get("/v5/spread/tickers", "symbol", signed=False),
    get("/v5/spread/recent-trade", "symbol", signed=False),
    # The venue requires orderLinkId, too: the client makes one where it is missing.
    post("/v5/spread/order/create", "symbol", "side", "orderType", "qty", "price", "timeInForce", limit=Limit(20)),
    post("/v5/spread/order/amend", "symbol", "orderId|orderLinkId", limit=Limit(20)),
    post("/v5/spread/order/cancel", "orderId|orderLinkId", limit=Limit(20)),
    post("/v5/spread/order/cancel-all", limit=Limit(5)),
    get("/v5/spread/order/realtime", limit=Limit(50)),
    get("/v5/spread/order/history", limit=Limit(50)),
    get("/v5/spread/execution/list", limit=Limit(50)),
    get("/v5/spread/max-qty", "symbol", "side", "orderPrice", limit=Limit(50)),
    # Requests for quotes
    post("/v5/rfq/create-rfq", "counterparties", "list", limit=Limit(50)),
    post("/v5/rfq/cancel-rfq", "rfqId|rfqLinkId", limit=Limit(50)),
    post("/v5/rfq/cancel-all-rfq", limit=Limit(50)),
    post("/v5/rfq/create-quote", "rfqId", "quoteBuyList|quoteSellList", limit=Limit(50)),
    post("/v5/rfq/cancel-quote", "quoteId|rfqId|quoteLinkId", limit=Limit(50)),
    post("/v5/rfq/cancel-all-quotes", limit=Limit(50)),
    post("/v5/rfq/execute-quote", "rfqId", "quoteId", "quoteSide", limit=Limit(50)),
    post("/v5/rfq/accept-other-quote", "rfqId", limit=Limit(50)),
    get("/v5/rfq/config", limit=Limit(50)),
    get("/v5/rfq/rfq-realtime", limit=Limit(50)),
    get("/v5/rfq/rfq-list", limit=Limit(50)),
    get("/v5/rfq/rfq-detail-list", limit=Limit(50)),
    get("/v5/rfq/quote-realtime", limit=Limit(50)),
    get("/v5/rfq/quote-list", limit=Limit(50)),
    get("/v5/rfq/trade-list", limit=Limit(50)),
    # The trades of everyone, and yet only for a key.
    get("/v5/rfq/public-trades", limit=Limit(50)),
)
