"""Trading bots and strategy orders that the venue runs. Bots' parameters are spelled with underscores.

Where the table of limits and a bot's own page differ, the lower one stands here.
Source: Bybit v5, rate-limit/rate-limit (Trade), bot/*, strategy/*.
"""

from typing import Any

from ..endpoint import Endpoint, Limit, get, post

BOTS: tuple[Endpoint[Any], ...] = (
    # Strategy orders: TWAP, chase, iceberg
    post("/v5/strategy/create", "category", "symbol", "side", "strategyType", limit=Limit(100)),
    post("/v5/strategy/stop", "strategyId", limit=Limit(100)),
    get("/v5/strategy/list", limit=Limit(200)),
    get("/v5/strategy/order-list", "strategyId", limit=Limit(200)),
    # Spot grid
    post(
        "/v5/grid/validate-input",
        "symbol",
        "cell_number",
        "min_price",
        "max_price",
        signed=False,
        repeatable=True,
    ),
    post(
        "/v5/grid/create-grid",
        "symbol",
        "max_price",
        "min_price",
        "total_investment",
        "cell_number",
        limit=Limit(3),
    ),
    post("/v5/grid/close-grid", "grid_id", "close_mode", limit=Limit(3)),
    post("/v5/grid/query-grid-detail", "grid_id", limit=Limit(10), repeatable=True),
    # Spot at fixed intervals (DCA)
    post("/v5/dca/create-bot", "parameters", limit=Limit(3)),
    post("/v5/dca/close-bot", "bot_id", "close_mode", limit=Limit(3)),
    # Futures grid
    post(
        "/v5/fgridbot/validate",
        "symbol",
        "cell_number",
        "min_price",
        "max_price",
        "leverage",
        "grid_type",
        "grid_mode",
        limit=Limit(10),
        repeatable=True,
    ),
    post(
        "/v5/fgridbot/create",
        "symbol",
        "grid_mode",
        "min_price",
        "max_price",
        "cell_number",
        "leverage",
        "grid_type",
        "total_investment",
        limit=Limit(10),
    ),
    post("/v5/fgridbot/close", "bot_id", limit=Limit(10)),
    post("/v5/fgridbot/detail", "bot_id", limit=Limit(10), repeatable=True),
    # Futures martingale
    post(
        "/v5/fmartingalebot/getlimit",
        "symbol",
        "martingale_mode",
        "leverage",
        limit=Limit(10),
        repeatable=True,
    ),
    post(
        "/v5/fmartingalebot/create",
        "symbol",
        "martingale_mode",
        "leverage",
        "price_float_percent",
        "add_position_percent",
        "add_position_num",
        "init_margin",
        "round_tp_percent",
        limit=Limit(10),
    ),
    post("/v5/fmartingalebot/close", "bot_id", limit=Limit(10)),
    post("/v5/fmartingalebot/detail", "bot_id", limit=Limit(10), repeatable=True),
    # Futures combo
    post(
        "/v5/fcombobot/getlimit",
        "leverage",
        "init_margin",
        "adjust_position_mode",
        "symbol_settings",
        limit=Limit(10),
        repeatable=True,
    ),
    post(
        "/v5/fcombobot/create",
        "leverage",
        "init_margin",
        "adjust_position_mode",
        "symbol_settings",
        limit=Limit(10),
    ),
    post("/v5/fcombobot/close", "bot_id", limit=Limit(10)),
    post("/v5/fcombobot/detail", "bot_id", limit=Limit(10), repeatable=True),
)
