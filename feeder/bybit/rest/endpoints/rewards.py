"""Launches and rewards: launchpools, puzzles, token splashes, and the Bybit Card.

Source: Bybit v5, spot-x/*; the card's are from Bybit's own list of endpoints for agents.
"""

from typing import Any

from ..endpoint import Endpoint, get, post

REWARDS: tuple[Endpoint[Any], ...] = (
    get("/v5/spot-x/launchpool/project/list", "status", signed=False),
    get("/v5/spot-x/launchpool/user/current-staking"),
    post("/v5/spot-x/launchpool/user/activity-log", repeatable=True),
    post("/v5/spot-x/launchpool/user/history", repeatable=True),
    get("/v5/spot-x/puzzle/project/list", "status", signed=False),
    get("/v5/spot-x/token-splash/project/list", "status", signed=False),
    get("/v5/spot-x/token-splash/user/activity-params"),
    # Bybit Card
    post("/v5/card/transaction/query-asset-records", repeatable=True),
    post("/v5/card/reward/points/balance", repeatable=True),
    post("/v5/card/reward/points/records", repeatable=True),
    post("/v5/card/reward/points/tier", repeatable=True),
    post("/v5/card/reward/point/cashback/detail", "bizTxnId", repeatable=True),
    post("/v5/card/reward/mall/item/list", repeatable=True),
)
