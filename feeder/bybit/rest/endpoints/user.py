"""Users, their API keys and limits; affiliates and brokers.

Source: Bybit v5, rate-limit/rate-limit (User), rate-limit/rules-for-pros/*, user/*, affiliate/*, broker/*.
"""

from typing import Any

from ..endpoint import Endpoint, Limit, get, post

USER: tuple[Endpoint[Any], ...] = (
    # Users
    post("/v5/user/create-sub-member", "username", "memberType", limit=Limit(1)),
    post("/v5/user/create-demo-member"),
    post("/v5/user/frozen-sub-member", "subuid", "frozen", limit=Limit(5), repeatable=True),
    post("/v5/user/del-submember", "subMemberId", limit=Limit(5)),
    get("/v5/user/query-sub-members", limit=Limit(10)),
    get("/v5/user/submembers", limit=Limit(5)),
    get("/v5/user/escrow_sub_members", limit=Limit(5)),
    get("/v5/user/get-member-type", limit=Limit(10)),
    post("/v5/user/agreement", "category", "agree", limit=Limit(20), repeatable=True),
    get("/v5/user/invitation/code"),
    get("/v5/user/invitation/referrals", limit=Limit(10)),
    # Keys
    get("/v5/user/query-api", limit=Limit(10)),
    get("/v5/user/sub-apikeys", "subMemberId", limit=Limit(10)),
    post("/v5/user/create-sub-api", "subuid", "readOnly", "permissions", limit=Limit(1)),
    post("/v5/user/update-api", limit=Limit(5), repeatable=True),
    post("/v5/user/update-sub-api", limit=Limit(5), repeatable=True),
    post("/v5/user/delete-api", limit=Limit(5)),
    post("/v5/user/delete-sub-api", limit=Limit(5)),
    # Limits of an institution's accounts
    post("/v5/apilimit/set", "list", limit=Limit(50), repeatable=True),
    get("/v5/apilimit/query", "uids", limit=Limit(50)),
    get("/v5/apilimit/query-cap", limit=Limit(50)),
    get("/v5/apilimit/query-all", limit=Limit(50)),
    # Affiliates
    get("/v5/user/aff-customer-info", "uid", limit=Limit(10)),
    get("/v5/affiliate/aff-user-list"),
    get("/v5/affiliate/affiliate-sub-list"),
    # Brokers
    get("/v5/broker/earnings-info", limit=Limit(10)),
    get("/v5/broker/account-info", limit=Limit(10)),
    get("/v5/broker/asset/query-sub-member-deposit-record", limit=Limit(300, 60)),
    post("/v5/broker/award/info", "id", repeatable=True),
    post("/v5/broker/award/distribute-award", "accountId", "awardId", "specCode", "amount", "brokerId"),
    post("/v5/broker/award/distribution-record", "accountId", "awardId", "specCode", repeatable=True),
    post("/v5/broker/apilimit/set", "list", limit=Limit(1), repeatable=True),
    get("/v5/broker/apilimit/query-cap", limit=Limit(5)),
    get("/v5/broker/apilimit/query-all", limit=Limit(1)),
    # Deprecated
    get("/v5/broker/earning-record"),
)
