"""The simulator's REST on a real socket: its market as the WebSocket tells it, and an account's orders."""

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from yarl import URL

from feeder.simulator.keys import DEFAULT_KEY, ApiKey
from feeder.simulator.server import Simulator, SimulatorConfig
from tests.unit.simulator.signer import signed

DEADLINE = 10.0
CATEGORIES = ("linear", "spot", "inverse", "option")
QUIET = SimulatorConfig(symbols=24, categories=CATEGORIES, updates_per_second=0.001)
OTHER = ApiKey("other-key", "other-secret", account="2")
LINEAR = {"category": "linear", "symbol": "BTCUSDT"}
LIMIT = LINEAR | {"side": "Buy", "orderType": "Limit", "qty": "0.01", "price": "70000"}
MARKET = LINEAR | {"side": "Buy", "orderType": "Market", "qty": "0.01"}


class Rest:
    """Asks a simulator; gives results of retCode 0, or the retCode."""

    def __init__(self, http: aiohttp.ClientSession, simulator: Simulator, key: ApiKey = DEFAULT_KEY) -> None:
        self._http = http
        self._url = simulator.rest_url
        self._key = key

    async def body(self, path: str, **given: Any) -> dict[str, Any]:
        query = urlencode(given)
        headers = {} if "/market/" in path or "/system/" in path else signed(query, self._key)
        url = URL(f"{self._url}{path}?{query}", encoded=True)  # as it was signed
        async with self._http.get(url, headers=headers) as response:
            assert response.status == 200
            body = await response.json()
            assert isinstance(body, dict)
            assert {"retCode", "retMsg", "result", "retExtInfo", "time"} == body.keys()
            return body

    async def get(self, path: str, **given: Any) -> Any:
        return _result(await self.body(path, **given))

    async def market(self, path: str, **given: Any) -> Any:
        return await self.get(f"/v5/market/{path}", **given)

    async def post(self, path: str, given: Any) -> Any:
        return _result(await self.reply(path, given))

    async def reply(self, path: str, given: Any) -> Any:
        data = json.dumps(given)
        async with self._http.post(self._url + path, data=data, headers=signed(data, self._key)) as response:
            assert response.status == 200
            return await response.json()

    async def rows(self, path: str, **given: Any) -> Any:
        return (await self.get(path, **given))["list"]


def _result(body: dict[str, Any]) -> Any:
    return body["result"] if body["retCode"] == 0 else body["retCode"]


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def rest(http: aiohttp.ClientSession) -> AsyncIterator[Rest]:
    async with Simulator(QUIET) as simulator:
        yield Rest(http, simulator)


async def _trades(client: aiohttp.ClientWebSocketResponse, count: int) -> list[dict[str, Any]]:
    trades: list[dict[str, Any]] = []
    async with asyncio.timeout(DEADLINE):
        while len(trades) < count:
            message = json.loads(await client.receive_str())
            if "topic" in message:
                trades += message["data"]
    return trades


@pytest.mark.parametrize("category", ["linear", "spot"])
async def test_recent_trades_are_those_that_the_websocket_told(http: aiohttp.ClientSession, category: str) -> None:
    config = SimulatorConfig(symbols=1, categories=(category,), updates_per_second=40)
    async with Simulator(config) as simulator, http.ws_connect(f"{simulator.websocket_url}/v5/public/{category}") as ws:
        rest = Rest(http, simulator)
        await ws.send_json({"op": "subscribe", "args": ["publicTrade.BTCUSDT"]})
        told = await _trades(ws, 6)
        given = {"category": category, "symbol": "BTCUSDT"}
        rows = (await rest.market("recent-trade", **given))["list"]
        by_id = {row["execId"]: row for row in rows}
        for trade in told:
            row = by_id[trade["i"]]
            assert (row["price"], row["size"], row["side"]) == (trade["p"], trade["v"], trade["S"])
            assert (row["time"], row["symbol"], row["seq"]) == (str(trade["T"]), "BTCUSDT", str(trade["seq"]))
        assert [int(row["time"]) for row in rows] == sorted((int(row["time"]) for row in rows), reverse=True)
        assert len(rows) == (60 if category == "spot" else 500), "behind its own trades comes a past"
        # The bars hold these trades, and the ticker's last price is the last one's.
        start = told[0]["T"] - told[0]["T"] % 60_000
        bars = (await rest.market("kline", **given, interval="1", start=start, end=2**41))["list"]
        traded = sum(Decimal(trade["v"]) for trade in told)
        assert sum(Decimal(bar[5]) for bar in bars) >= traded
        assert min(Decimal(bar[3]) for bar in bars) <= min(Decimal(trade["p"]) for trade in told)
        (ticker,) = (await rest.market("tickers", **given))["list"]
        (last,) = (await rest.market("recent-trade", **given, limit=1))["list"]
        (again,) = (await rest.market("tickers", **given))["list"]
        assert last["price"] in (ticker["lastPrice"], again["lastPrice"])


async def test_a_replay_tells_its_own_trades_book_and_bars_at_their_recorded_times(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    noon = 1_700_049_600_000
    book = {"s": "BTCUSDT", "b": [["99.5", "3"]], "a": [["100.5", "4"]], "u": 7, "seq": 8}
    lines: list[dict[str, Any]] = [{"topic": "orderbook.50.BTCUSDT", "type": "snapshot", "ts": noon, "data": book}]
    for number, price in enumerate(("100", "103", "98", "101")):
        row = {
            "T": noon + number * 30_000,
            "s": "BTCUSDT",
            "S": "Buy",
            "v": "2",
            "p": price,
            "i": f"t{number}",
            "seq": 9,
        }
        message = {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": row["T"], "data": [row]}
        lines.append(message)
    path = tmp_path / "short.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    config = SimulatorConfig(replays=[("linear", path)], speed=None)
    async with Simulator(config) as simulator, http.ws_connect(f"{simulator.websocket_url}/v5/public/linear") as ws:
        rest = Rest(http, simulator)
        assert (await rest.market("tickers", **LINEAR))["list"][0]["bid1Price"] == ""
        await ws.send_json({"op": "subscribe", "args": ["publicTrade.BTCUSDT", "orderbook.50.BTCUSDT"]})
        async with asyncio.timeout(DEADLINE):
            while '"t3"' not in await ws.receive_str():
                pass
        rows = (await rest.market("recent-trade", **LINEAR, limit=4))["list"]
        assert [row["execId"] for row in rows] == ["t3", "t2", "t1", "t0"]
        bars = (await rest.market("kline", **LINEAR, interval="1", limit=2))["list"]
        assert bars == [
            [str(noon + 60_000), "103.0", "103.0", "98.0", "101.0", "4", "398"],
            [str(noon), "100.0", "103.0", "100.0", "103.0", "4", "406"],
        ]
        (ticker,) = (await rest.market("tickers", **LINEAR))["list"]
        assert (ticker["lastPrice"], ticker["bid1Price"], ticker["ask1Size"]) == ("101.0", "99.5", "4")
        assert (await rest.market("orderbook", **LINEAR))["u"] == 7


async def test_the_touch_is_the_same_in_ticker_book_and_fill(rest: Rest) -> None:
    for category, symbol in (("linear", "BTCUSDT"), ("spot", "BTCUSDT"), ("inverse", "BTCUSD")):
        given = {"category": category, "symbol": symbol}
        book = await rest.market("orderbook", **given, limit=1)
        assert book["cts"] == book["ts"], "of a market that nobody follows, it is as it is now"
        (ticker,) = (await rest.market("tickers", **given))["list"]
        assert [[ticker["bid1Price"], ticker["bid1Size"]]] == book["b"]
        assert [[ticker["ask1Price"], ticker["ask1Size"]]] == book["a"]
        rpi = await rest.market("rpi_orderbook", **given, limit=5)
        assert rpi["a"][0] == [*book["a"][0], "0"]
        assert len(rpi["b"]) == 5
        order = given | {"side": "Buy", "orderType": "Market", "qty": "10" if category == "inverse" else "0.001"}
        placed = await rest.post("/v5/order/create", order | {"marketUnit": "baseCoin"})
        (row,) = await rest.rows("/v5/order/realtime", **given, orderId=placed["orderId"])
        assert (row["orderStatus"], Decimal(row["avgPrice"])) == ("Filled", Decimal(book["a"][0][0]))


async def test_a_ticker_tells_everything_the_venue_documents(rest: Rest) -> None:
    common = {"symbol", "bid1Price", "bid1Size", "ask1Price", "ask1Size", "lastPrice", "highPrice24h", "lowPrice24h"}
    common |= {"volume24h", "turnover24h"}
    futures = {"prevPrice24h", "price24hPcnt", "prevPrice1h", "markPrice", "indexPrice", "openInterest", "fundingRate"}
    futures |= {"openInterestValue", "nextFundingTime", "basisRate", "deliveryFeeRate", "deliveryTime"}
    futures |= {"predictedDeliveryPrice"}
    option = {"bid1Iv", "ask1Iv", "markPrice", "indexPrice", "markIv", "underlyingPrice", "openInterest", "totalVolume"}
    option |= {"totalTurnover", "delta", "gamma", "vega", "theta", "predictedDeliveryPrice", "change24h"}
    for category, wanted in (
        ("linear", common | futures),
        ("inverse", common | futures),
        ("spot", common | {"prevPrice24h", "price24hPcnt", "usdIndexPrice"}),
        ("option", common | option),
    ):
        rows = (await rest.market("tickers", category=category, baseCoin="BTC"))["list"]
        assert rows
        for row in rows:
            assert wanted <= row.keys()
            assert category != "spot" or "fundingRate" not in row
            price, volume, paid = (Decimal(row[key]) for key in ("lastPrice", "volume24h", "turnover24h"))
            assert Decimal(row["lowPrice24h"]) <= price <= Decimal(row["highPrice24h"])
            assert volume == pytest.approx(
                paid * price if category == "inverse" else paid / price, rel=Decimal("0.001")
            )


async def test_bars_are_told_newest_first_and_within_what_was_asked_for(rest: Rest) -> None:
    hour = 3_600_000
    for path in ("kline", "mark-price-kline", "index-price-kline", "premium-index-price-kline"):
        result = await rest.market(path, **LINEAR, interval="60")
        assert (result["symbol"], result["category"], len(result["list"])) == ("BTCUSDT", "linear", 200)
        begins = [int(row[0]) for row in result["list"]]
        assert begins == [begins[0] - hour * index for index in range(200)]
        assert {len(row) for row in result["list"]} == {7 if path == "kline" else 5}
        assert all(Decimal(row[3]) <= Decimal(row[4]) <= Decimal(row[2]) for row in result["list"])
        first = begins[100]
        for span, wanted in (
            ({"start": first, "end": first + 3 * hour}, [first + 3 * hour, first + 2 * hour, first + hour, first]),
            ({"end": first, "limit": 2}, [first, first - hour]),
            ({"start": first, "limit": 2}, [first + hour, first]),
            ({"start": first + 1, "end": first + hour - 1}, []),
            ({"start": begins[0] + hour}, []),
            ({"start": 10**18 - 1}, []),
        ):
            rows = (await rest.market(path, **LINEAR, interval="60", **span))["list"]
            assert [int(row[0]) for row in rows] == wanted
    first_months = (await rest.market("kline", **LINEAR, interval="M", start=0, limit=2))["list"]
    assert [row[0] for row in first_months] == ["1585699200000", "1583020800000"], "April and March 2020: the launch"
    assert (await rest.market("kline", **LINEAR, interval="M", start=10**18 - 1))["list"] == []
    assert await rest.market("premium-index-price-kline", category="inverse", symbol="BTCUSD", interval="1") == 10001


async def test_funding_and_open_interest_go_back_in_time(rest: Rest) -> None:
    (ticker,) = (await rest.market("tickers", **LINEAR))["list"]
    rates = (await rest.market("funding/history", **LINEAR, limit=3))["list"]
    times = [int(row["fundingRateTimestamp"]) for row in rates]
    assert times == [int(ticker["nextFundingTime"]) - 8 * 3_600_000 * back for back in (1, 2, 3)]
    assert await rest.market("funding/history", **LINEAR, startTime=times[2]) == 10001
    (one,) = (await rest.market("funding/history", **LINEAR, startTime=times[1], endTime=times[1]))["list"]
    assert one == rates[1]
    rows, cursor = [], ""
    for _ in range(3):
        page = await rest.market("open-interest", **LINEAR, intervalTime="1h", limit=5, cursor=cursor)
        rows, cursor = rows + page["list"], page["nextPageCursor"]
    whole = (await rest.market("open-interest", **LINEAR, intervalTime="1h", limit=15))["list"]
    assert rows == whole
    assert len({row["openInterest"] for row in whole}) > 10


async def test_limits_and_risk_are_told(rest: Rest) -> None:
    limit = await rest.market("price-limit", symbol="BTCUSDT")
    assert (Decimal(limit["buyLmt"]), Decimal(limit["sellLmt"])) == (78700 * Decimal("1.05"), 78700 * Decimal("0.95"))
    order = LIMIT | {"price": limit["buyLmt"], "timeInForce": "PostOnly"}
    assert (await rest.post("/v5/order/create", order))["orderId"]
    assert await rest.post("/v5/order/create", order | {"price": f"{Decimal(limit['buyLmt']) + 1}"}) == 110003
    (tier,) = (await rest.market("risk-limit", **LINEAR))["list"]
    assert (tier["symbol"], tier["maxLeverage"]) == ("BTCUSDT", "100.00")
    assert len((await rest.market("risk-limit", category="linear"))["list"]) == 6
    assert await rest.get("/v5/system/status") == {"list": []}


@pytest.mark.parametrize(
    "path",
    [
        "market/recent-trade?category=linear",
        "market/recent-trade?category=spot&symbol=BTCUSDT&limit=61",
        "market/recent-trade?category=option&optionType=Straddle",
        "market/kline?symbol=BTCUSDT",
        "market/kline?symbol=BTCUSDT&interval=2",
        "market/kline?symbol=BTCUSDT&interval=1&limit=1001",
        "market/kline?symbol=BTCUSDT&interval=1&start=yesterday",
        "market/kline?symbol=BTCUSDT&interval=1&start=-5",
        "market/kline?category=option&symbol=BTC-25DEC26-100000-C&interval=1",
        "market/mark-price-kline?category=spot&symbol=BTCUSDT&interval=1",
        "market/rpi_orderbook?category=linear&symbol=BTCUSDT",
        "market/rpi_orderbook?category=linear&symbol=BTCUSDT&limit=51",
        "market/open-interest?category=linear&symbol=BTCUSDT",
        "market/open-interest?category=linear&symbol=BTCUSDT&intervalTime=2h",
        "market/open-interest?category=linear&symbol=BTCUSDT&intervalTime=1h&cursor=%00",
        "market/funding/history?category=spot&symbol=BTCUSDT",
        "market/risk-limit?category=spot",
        "market/price-limit?symbol=NOPE",
        "order/realtime?category=linear",
        "order/realtime?category=spot&limit=51",
        "order/realtime?category=spot&openOnly=3",
        "order/history?category=linear&orderStatus=Lost",
        "order/history?category=linear&startTime=1&endTime=700000000",
        "execution/list?category=linear&cursor=x",
        "position/list?category=linear",
        "position/list?category=spot&symbol=BTCUSDT",
        "account/wallet-balance",
        "account/wallet-balance?accountType=SPOT",
        "account/fee-rate",
        "account/fee-rate?category=linear&symbol=NOPE",
    ],
)
async def test_a_bad_parameter_is_10001_with_a_reason(rest: Rest, path: str) -> None:
    name, _, query = path.partition("?")
    given = dict(part.split("=") for part in query.split("&")) if query else {}
    body = await rest.body(f"/v5/{name}", **given)
    assert (body["retCode"], body["result"]) == (10001, {})
    assert body["retMsg"]


async def test_an_orders_life_is_told_by_every_listing(rest: Rest) -> None:
    placed = await rest.post("/v5/order/create", LIMIT | {"orderLinkId": "life-1", "takeProfit": "90000"})
    assert placed.keys() == {"orderId", "orderLinkId"}
    assert placed["orderLinkId"] == "life-1"
    (row,) = await rest.rows("/v5/order/realtime", **LINEAR)
    assert (row["orderId"], row["orderStatus"], row["price"], row["qty"]) == (
        placed["orderId"],
        "New",
        "70000.00",
        "0.01",
    )
    assert (row["leavesQty"], row["cumExecQty"], row["takeProfit"], row["timeInForce"]) == ("0.01", "0", "90000", "GTC")
    amended = await rest.post("/v5/order/amend", LINEAR | {"orderLinkId": "life-1", "price": "70001"})
    assert amended == placed
    (row,) = await rest.rows("/v5/order/realtime", category="linear", orderLinkId="life-1")
    assert row["price"] == "70001.00"
    assert await rest.rows("/v5/order/history", **LINEAR) == []
    assert await rest.post("/v5/order/cancel", LINEAR | {"orderId": placed["orderId"]}) == placed
    assert await rest.post("/v5/order/cancel", LINEAR | {"orderId": placed["orderId"]}) == 110010
    assert await rest.rows("/v5/order/realtime", **LINEAR) == []
    (row,) = await rest.rows("/v5/order/realtime", **LINEAR, openOnly=1)
    assert (row["orderStatus"], row["cancelType"], row["leavesQty"]) == ("Cancelled", "CancelByUser", "0")
    assert await rest.rows("/v5/order/history", category="linear", orderId=placed["orderId"]) == [row]
    assert await rest.rows("/v5/order/history", category="linear", orderStatus="Filled") == []
    assert await rest.rows("/v5/execution/list", category="linear") == []


async def test_a_fill_is_seen_in_execution_position_and_wallet(rest: Rest) -> None:
    await rest.post("/v5/position/set-leverage", LINEAR | {"buyLeverage": "1", "sellLeverage": "1"})
    await rest.post("/v5/order/create", MARKET | {"qty": "0.01", "orderLinkId": "fill-1"})
    (execution,) = await rest.rows("/v5/execution/list", **LINEAR)
    assert (execution["execPrice"], execution["execQty"], execution["execFee"]) == ("78700", "0.01", "0.43285")
    assert (execution["isMaker"], execution["orderLinkId"], execution["execType"]) == (False, "fill-1", "Trade")
    (position,) = await rest.rows("/v5/position/list", category="linear", settleCoin="USDT")
    assert (position["side"], position["size"], position["avgPrice"]) == ("Buy", "0.01", "78700")
    assert (position["positionValue"], position["positionIM"], position["leverage"]) == ("787", "787", "1")
    (wallet,) = await rest.rows("/v5/account/wallet-balance", accountType="UNIFIED", coin="USDT,DOGE")
    usdt, doge = wallet["coin"]
    assert (usdt["walletBalance"], usdt["totalPositionIM"], usdt["cumRealisedPnl"]) == (
        "99999.56715",
        "787",
        "-0.43285",
    )
    assert (doge["coin"], doge["walletBalance"]) == ("DOGE", "0")
    assert Decimal(wallet["totalInitialMargin"]) == 787
    margin = Decimal(wallet["totalMarginBalance"])
    assert (wallet["accountIMRate"], wallet["accountMMRate"]) == (
        f"{787 / margin:.4f}",
        f"{787 / margin / 200:.4f}",
    )
    assert Decimal(wallet["accountIMRate"]) > 0
    assert Decimal(wallet["totalEquity"]) == Decimal(wallet["totalWalletBalance"])
    (empty,) = await rest.rows("/v5/position/list", category="linear", symbol="ETHUSDT")
    assert (empty["side"], empty["size"], empty["positionIdx"]) == ("", "0", 0)
    assert (await rest.get("/v5/position/closed-pnl", category="linear"))["list"] == []


async def test_listings_come_in_pages_that_new_orders_do_not_shift(rest: Rest) -> None:
    for number in range(7):
        await rest.post("/v5/order/create", LIMIT | {"orderLinkId": f"page-{number}"})
    told, cursor = [], ""
    for _ in range(3):
        page = await rest.get("/v5/order/realtime", **LINEAR, limit=3, cursor=cursor)
        told, cursor = told + [row["orderLinkId"] for row in page["list"]], page["nextPageCursor"]
        await rest.post("/v5/order/create", LIMIT)
    assert (told, cursor) == ([f"page-{number}" for number in (6, 5, 4, 3, 2, 1, 0)], "")


async def test_the_last_500_orders_that_are_done_are_told_in_real_time(http: aiohttp.ClientSession) -> None:
    async with Simulator(QUIET) as simulator:
        account = simulator.ledger.account("1")
        for _ in range(501):
            simulator.ledger.cancel(account, LINEAR | {"orderId": simulator.ledger.place(account, LIMIT).order_id})
        rest, told, cursor = Rest(http, simulator), 0, ""
        while told == 0 or cursor:
            page = await rest.get("/v5/order/realtime", **LINEAR, openOnly=1, limit=50, cursor=cursor)
            told, cursor = told + len(page["list"]), page["nextPageCursor"]
        assert (told, len(await rest.rows("/v5/order/history", **LINEAR, limit=50))) == (500, 50)


async def test_a_page_that_is_just_full_is_the_last(rest: Rest) -> None:
    for _ in range(2):
        await rest.post("/v5/order/create", LIMIT)
    cursors = [(await rest.get("/v5/order/realtime", **LINEAR, limit=limit))["nextPageCursor"] for limit in (1, 2, 3)]
    assert [bool(cursor) for cursor in cursors] == [True, False, False]


async def test_a_listing_of_the_past_keeps_to_its_span(rest: Rest) -> None:
    await rest.post("/v5/order/create", MARKET)
    (order,), (execution,) = [await rest.rows(path, **LINEAR) for path in ("/v5/order/history", "/v5/execution/list")]
    for path, at in (("/v5/order/history", order["createdTime"]), ("/v5/execution/list", execution["execTime"])):
        for start, end, count in ((0, 0, 1), (0, 9, 1), (-9, 0, 1), (1, 9, 0), (-9, -1, 0)):
            span = {"startTime": int(at) + start, "endTime": int(at) + end}
            assert len(await rest.rows(path, **LINEAR, **span)) == count
        assert len(await rest.rows(path, **LINEAR, startTime=int(at))) == 1
        assert await rest.rows(path, **LINEAR, endTime=int(at) - 1) == []
        assert await rest.get(path, **LINEAR, startTime=int(at), endTime=int(at) - 1) == 10001


async def test_of_a_batch_those_beyond_the_rate_limit_are_refused_alone(http: aiohttp.ClientSession) -> None:
    async with Simulator(SimulatorConfig(symbols=1, updates_per_second=0.001, rest_limits=True)) as simulator:
        rest = Rest(http, simulator)
        body = await rest.reply("/v5/order/create-batch", {"category": "linear", "request": [LIMIT] * 12})
        assert [verdict["code"] for verdict in body["retExtInfo"]["list"]] == [0] * 10 + [10006] * 2
        assert len(await rest.rows("/v5/order/realtime", **LINEAR)) == 10


async def test_a_batch_has_a_verdict_for_each_order(rest: Rest) -> None:
    orders = [LIMIT | {"orderLinkId": "b1"}, LIMIT | {"orderLinkId": "b1"}, LIMIT | {"qty": "x"}, LIMIT]
    body = await rest.reply("/v5/order/create-batch", {"category": "linear", "request": orders})
    assert body["retCode"] == 0
    assert [verdict["code"] for verdict in body["retExtInfo"]["list"]] == [0, 110072, 10001, 0]
    rows = body["result"]["list"]
    assert [(row["orderLinkId"], bool(row["orderId"]), bool(row["createAt"])) for row in rows] == [
        ("b1", True, True),
        ("b1", False, False),
        ("", False, False),
        ("", True, True),
    ]
    changes = [LINEAR | {"orderLinkId": "b1", "price": "70002"}, LINEAR | {"orderLinkId": "b9", "price": "70002"}]
    body = await rest.reply("/v5/order/amend-batch", {"category": "linear", "request": changes})
    assert [verdict["code"] for verdict in body["retExtInfo"]["list"]] == [0, 110001]
    body = await rest.reply("/v5/order/cancel-batch", {"category": "linear", "request": changes})
    assert body["retExtInfo"]["list"][0] == {"code": 0, "msg": "OK"}
    assert body["result"]["list"][0].keys() == {"category", "symbol", "orderId", "orderLinkId"}
    for request in ([], "x", [1], [LIMIT] * 21, None):
        assert await rest.post("/v5/order/create-batch", {"category": "linear", "request": request}) == 10001


async def test_all_orders_of_a_symbol_or_coin_are_cancelled_at_once(rest: Rest) -> None:
    async def left(category: str) -> int:
        return len(await rest.rows("/v5/order/realtime", category=category, baseCoin="BTC"))

    spot, inverse = LIMIT | {"category": "spot"}, LIMIT | {"category": "inverse", "symbol": "BTCUSD", "qty": "10"}
    conditional = spot | {"orderFilter": "tpslOrder", "triggerPrice": "60000"}
    for order in (LIMIT, LIMIT, spot, inverse, conditional):
        assert (await rest.post("/v5/order/create", order))["orderId"]
    assert await rest.post("/v5/order/cancel-all", {"category": "linear"}) == 10001
    assert (await rest.post("/v5/order/cancel-all", {"category": "linear", "settleCoin": "USDC"}))["list"] == []
    cancelled = await rest.post("/v5/order/cancel-all", {"category": "linear", "settleCoin": "USDT"})
    assert (len(cancelled["list"]), cancelled["success"]) == (2, "1")
    assert [await left(category) for category in ("linear", "spot", "inverse")] == [0, 2, 1]
    await rest.post("/v5/order/cancel-all", {"category": "spot"})
    assert [row["orderStatus"] for row in await rest.rows("/v5/order/realtime", category="spot")] == ["Untriggered"]


async def test_leverage_mode_and_stops_are_set_once(rest: Rest) -> None:
    async def leverage(buy: str, sell: str) -> Any:
        return await rest.post("/v5/position/set-leverage", LINEAR | {"buyLeverage": buy, "sellLeverage": sell})

    wanted = (("5", "5"), ("5", "5"), ("5", "6"), ("101", "101"), ("0.99", "0.99"), ("5.001", "5.001"))
    assert [await leverage(*each) for each in wanted] == [{}, 110043, 10001, 110013, 110013, 10001]
    assert (await rest.rows("/v5/position/list", **LINEAR))[0]["leverage"] == "5"
    stop = {"tpslMode": "Full", "positionIdx": 0, "takeProfit": "90000"}
    assert await rest.post("/v5/position/trading-stop", LINEAR | stop) == 10001
    await rest.post("/v5/order/create", MARKET)
    stops = [stop, stop, stop | {"takeProfit": "10"}, stop | {"stopLoss": "60000"}, stop | {"takeProfit": "0"}]
    codes = [await rest.post("/v5/position/trading-stop", LINEAR | each) for each in stops]
    assert codes == [{}, 34040, 10001, {}, {}]
    for missing in ("tpslMode", "positionIdx"):
        incomplete = {name: value for name, value in (LINEAR | stop).items() if name != missing}
        reply = await rest.reply("/v5/position/trading-stop", incomplete)
        assert (reply["retCode"], missing in reply["retMsg"]) == (10001, True)
    (position,) = await rest.rows("/v5/position/list", **LINEAR)
    assert (position["takeProfit"], position["stopLoss"]) == ("", "60000.00")

    async def mode(number: int, **given: Any) -> Any:
        return await rest.post("/v5/position/switch-mode", {"category": "linear", "mode": number} | given)

    assert [await mode(3, symbol="BTCUSDT"), await mode(0, symbol="ETHUSDT"), await mode(1, coin="USDT")] == [
        110024,
        110025,
        10001,
    ]

    async def sides(symbol: str) -> list[int]:
        rows = await rest.rows("/v5/position/list", category="linear", symbol=symbol)
        return [row["positionIdx"] for row in rows]

    assert await mode(3, symbol="ETHUSDT") == {}
    assert await sides("ETHUSDT") == [1, 2]
    await rest.post("/v5/order/create", LIMIT | {"symbol": "SOLUSDT", "price": "150", "qty": "1"})
    assert await mode(3, symbol="SOLUSDT") == 110028
    assert await mode(3, coin="USDT") == {}, "all but those in use"
    assert [await sides(symbol) for symbol in ("BTCUSDT", "SOLUSDT", "XRPUSDT")] == [[0], [0], [1, 2]]
    assert await mode(0, coin="USDT") == {}
    assert await sides("ETHUSDT") == [0]


async def test_a_key_sees_its_own_account_only(http: aiohttp.ClientSession) -> None:
    config = SimulatorConfig(symbols=2, updates_per_second=0.001, keys=[DEFAULT_KEY, OTHER])
    async with Simulator(config) as simulator:
        mine, other = Rest(http, simulator), Rest(http, simulator, OTHER)
        placed = await mine.post("/v5/order/create", LIMIT)
        assert await other.post("/v5/order/cancel", LINEAR | {"orderId": placed["orderId"]}) == 110001
        assert await other.rows("/v5/order/realtime", **LINEAR) == []
        assert (await other.get("/v5/user/query-api"))["apiKey"] == "other-key"
        assert (await mine.get("/v5/account/info"))["unifiedMarginStatus"] == 5
        assert {row["coin"] for row in (await mine.get("/v5/asset/coin/query-info"))["rows"]} > {"USDT", "BTC"}
        assert await mine.post("/v5/order/disconnected-cancel-all", {"product": "SPOT", "timeWindow": 40}) == {}
        assert await mine.post("/v5/order/disconnected-cancel-all", {"timeWindow": 1}) == 10001


async def test_fee_rates_are_those_that_fills_pay(rest: Rest) -> None:
    (row,) = await rest.rows("/v5/account/fee-rate", **LINEAR)
    assert row == {"symbol": "BTCUSDT", "takerFeeRate": "0.00055", "makerFeeRate": "0.0002"}
    assert (await rest.rows("/v5/account/fee-rate", category="option"))[0].keys() > {"baseCoin"}
    await rest.post("/v5/order/create", MARKET)
    (execution,) = await rest.rows("/v5/execution/list", **LINEAR)
    assert execution["feeRate"] == row["takerFeeRate"]


async def test_two_simulators_of_one_seed_tell_the_same(http: aiohttp.ClientSession) -> None:
    told = []
    for _ in range(2):
        async with Simulator(QUIET) as simulator:
            rest = Rest(http, simulator)
            book = await rest.market("orderbook", **LINEAR, limit=50)
            placed = await rest.post("/v5/order/create", LIMIT)
            (ticker,) = (await rest.market("tickers", **LINEAR))["list"]
            told.append((book["b"], book["a"], book["u"], placed, ticker["lastPrice"], ticker["indexPrice"]))
    assert told[0] == told[1]
