"""Trades between customers (P2P): advertisements, orders, chats. Its replies say ret_code, ret_msg and time_now.

Not here is POST /v5/p2p/oss/upload_file: it takes a file in a form, and this client sends JSON.
Source: Bybit docs p2p/*; p2p/rate-limit: 10/s for what reads, 5/s for what writes.
"""

from typing import Any

from ..endpoint import Endpoint, Limit, post

_READ, _WRITE = Limit(10), Limit(5)

P2P: tuple[Endpoint[Any], ...] = (
    # Advertisements. The venue requires premium and remark, too, but both may be "".
    post("/v5/p2p/item/online", "tokenId", "currencyId", "side", limit=_READ, repeatable=True),
    post("/v5/p2p/item/personal/list", limit=_READ, repeatable=True),
    post("/v5/p2p/item/info", "itemId", limit=_READ, repeatable=True),
    post(
        "/v5/p2p/item/create",
        "tokenId",
        "currencyId",
        "side",
        "priceType",
        "price",
        "minAmount",
        "maxAmount",
        "tradingPreferenceSet",
        "paymentIds",
        "quantity",
        "paymentPeriod",
        "itemType",
        limit=_WRITE,
    ),
    post(
        "/v5/p2p/item/update",
        "id",
        "priceType",
        "price",
        "minAmount",
        "maxAmount",
        "tradingPreferenceSet",
        "paymentIds",
        "actionType",
        "quantity",
        "paymentPeriod",
        limit=_WRITE,
    ),
    post("/v5/p2p/item/cancel", "itemId", limit=_WRITE),
    # Orders
    post("/v5/p2p/order/simplifyList", "page", "size", limit=_READ, repeatable=True),
    post("/v5/p2p/order/pending/simplifyList", "page", "size", limit=_READ, repeatable=True),
    post("/v5/p2p/order/info", "orderId", limit=_READ, repeatable=True),
    post("/v5/p2p/order/pay", "orderId", "paymentType", "paymentId", limit=_WRITE),
    post("/v5/p2p/order/finish", "orderId", limit=_WRITE),
    post("/v5/p2p/order/buyer/examine/sellerCancelOrderApply", "orderId", "examineResult", limit=_WRITE),
    post("/v5/p2p/order/message/listpage", "orderId", "size", limit=_READ, repeatable=True),
    post("/v5/p2p/order/message/send", "message", "contentType", "orderId", limit=_WRITE),
    # Chats
    post("/v5/p2p/chat/session/list_v1", "lastId", "size", "readStatus", limit=_READ, repeatable=True),
    post("/v5/p2p/chat/session/getSessionId", "userMaskId", limit=_READ, repeatable=True),
    post("/v5/p2p/chat/message/listpage_v1", "lastId", "limit", "sessionId", limit=_READ, repeatable=True),
    post("/v5/p2p/chat/message/send", "message", "contentType", "sessionId", limit=_WRITE),
    # Deprecated: now list_v1 and listpage_v1.
    post("/v5/p2p/chat/session/list", "size", limit=_READ, repeatable=True),
    post("/v5/p2p/chat/message/listpage", "limit", "sessionId", limit=_READ, repeatable=True),
    # Users
    post("/v5/p2p/user/personal/info", limit=_READ, repeatable=True),
    post("/v5/p2p/user/order/personal/info", "originalUid", "orderId", limit=_READ, repeatable=True),
    post("/v5/p2p/user/payment/list", limit=_READ, repeatable=True),
)
