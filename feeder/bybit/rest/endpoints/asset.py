"""Balances, transfers, deposits, withdrawals, and conversions of one coin or currency into another.

Source: Bybit v5, rate-limit/rate-limit (Asset), asset/*.
"""

from typing import Any

from ..endpoint import Endpoint, Limit, get, post

ASSET: tuple[Endpoint[Any], ...] = (
    # Balances and records
    get("/v5/asset/asset-overview", limit=Limit(50)),
    get("/v5/asset/total-members-assets", limit=Limit(50)),
    get("/v5/asset/transfer/query-account-coins-balance", "accountType", limit=Limit(5)),
    get("/v5/asset/transfer/query-account-coin-balance", "accountType", "coin", limit=Limit(450)),
    get("/v5/asset/coin/query-info", limit=Limit(5)),
    get("/v5/asset/fundinghistory", limit=Limit(30)),
    get("/v5/asset/delivery-record", "category", limit=Limit(50)),
    get("/v5/asset/settlement-record", "category", limit=Limit(50)),
    get("/v5/asset/exchange/order-record", limit=Limit(600, 60)),
    # Transfers
    get("/v5/asset/transfer/query-transfer-coin-list", "fromAccountType", "toAccountType", limit=Limit(60, 60)),
    post(
        "/v5/asset/transfer/inter-transfer",
        "transferId",
        "coin",
        "amount",
        "fromAccountType",
        "toAccountType",
        limit=Limit(60, 60),
    ),
    get("/v5/asset/transfer/query-inter-transfer-list", limit=Limit(60, 60)),
    get("/v5/asset/transfer/query-sub-member-list", limit=Limit(60, 60)),
    post(
        "/v5/asset/transfer/universal-transfer",
        "transferId",
        "coin",
        "amount",
        "fromMemberId",
        "toMemberId",
        "fromAccountType",
        "toAccountType",
        limit=Limit(5),
    ),
    get("/v5/asset/transfer/query-universal-transfer-list", limit=Limit(5)),
    # Deposits
    get("/v5/asset/deposit/query-allowed-list"),
    post("/v5/asset/deposit/deposit-to-account", "accountType", limit=Limit(300), repeatable=True),
    get("/v5/asset/deposit/query-record", limit=Limit(100, 60)),
    get("/v5/asset/deposit/query-sub-member-record", "subMemberId", limit=Limit(300, 60)),
    get("/v5/asset/deposit/query-internal-record", limit=Limit(300)),
    get("/v5/asset/deposit/query-address", "coin", limit=Limit(300, 60)),
    get("/v5/asset/deposit/query-sub-member-address", "coin", "chainType", "subMemberId", limit=Limit(300, 60)),
    post("/v5/asset/travel-rule/deposit/submit", "depositId", "questionnaire"),
    # Withdrawals
    post("/v5/asset/withdraw/create", "coin", "address", "amount", "timestamp", "accountType", limit=Limit(5)),
    post("/v5/asset/withdraw/cancel", "id", limit=Limit(60, 60)),
    get("/v5/asset/withdraw/query-record", limit=Limit(300, 60)),
    get("/v5/asset/withdraw/query-address", limit=Limit(300)),
    get("/v5/asset/withdraw/withdrawable-amount", "coin", limit=Limit(300)),
    get("/v5/asset/withdraw/vasp/list", limit=Limit(1)),
    # Conversion. A quote moves nothing, but its id is what is executed.
    get("/v5/asset/exchange/query-coin-list", "accountType", limit=Limit(30)),
    post(
        "/v5/asset/exchange/quote-apply",
        "accountType",
        "fromCoin",
        "toCoin",
        "requestCoin",
        "requestAmount",
        limit=Limit(20),
    ),
    post("/v5/asset/exchange/convert-execute", "quoteTxId", limit=Limit(20)),
    get("/v5/asset/exchange/convert-result-query", "quoteTxId", "accountType", limit=Limit(50)),
    get("/v5/asset/exchange/query-convert-history", limit=Limit(50)),
    # Conversion of small balances; the venue spells it covert.
    get("/v5/asset/covert/small-balance-list", "accountType", limit=Limit(10)),
    post("/v5/asset/covert/get-quote", "accountType", "fromCoinList", "toCoin", limit=Limit(5)),
    post("/v5/asset/covert/small-balance-execute", "quoteId", limit=Limit(5)),
    get("/v5/asset/covert/small-balance-history", limit=Limit(5)),
    # Conversion from and to national currencies
    get("/v5/fiat/balance-query", limit=Limit(1000)),
    get("/v5/fiat/query-coin-list", limit=Limit(1000)),
    get("/v5/fiat/reference-price", "symbol", limit=Limit(1000)),
    post(
        "/v5/fiat/quote-apply",
        "fromCoin",
        "fromCoinType",
        "toCoin",
        "toCoinType",
        "requestAmount",
        limit=Limit(1000),
    ),
    post("/v5/fiat/trade-execute", "quoteTxId", "subUserId", limit=Limit(100)),
    get("/v5/fiat/trade-query", "tradeNo|merchantRequestId", limit=Limit(1000)),
    get("/v5/fiat/query-trade-history", limit=Limit(1000)),
    # Deprecated: of classic accounts.
    get("/v5/asset/transfer/query-asset-info", "accountType", limit=Limit(60, 60)),
    post("/v5/asset/transfer/save-transfer-sub-member", "subMemberIds", limit=Limit(20)),
)
