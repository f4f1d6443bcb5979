"""Foreign clients' streams on the simulator: what they tell is what its REST tells, field by field.

pybit's WebSocket and WebSocketTrading and ccxt.pro's watch_orders, watch_my_trades, watch_positions, watch_balance,
watch_ticker and watch_ohlcv, and its order entry, as published; they run in a venv of their own (`make peers`) by
tools/peers_stream.py. REST is asked through BybitClient afterwards, its replies are taken as they came.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from feeder.bybit.rest.client import BybitClient
from feeder.bybit.rest.pool import SessionPool
from feeder.simulator.keys import ApiKey
from feeder.simulator.server import Simulator, SimulatorConfig
from tests.helpers.peers import told_by
from tests.helpers.require import require_peers
from tests.helpers.secrets import API_KEY, API_SECRET

TOOL = Path(__file__).parents[2] / "tools" / "peers_stream.py"
SYMBOL = {"category": "linear", "symbol": "BTCUSDT"}
TICKER, KLINE = "tickers.BTCUSDT", "kline.1.BTCUSDT"

Row = dict[str, Any]


@asynccontextmanager
async def quiet_market() -> AsyncIterator[Simulator]:
    """A market in which nothing moves, so that REST tells a minute later what the streams told."""
    config = SimulatorConfig(symbols=12, categories=("linear", "spot"), updates_per_second=0.0001, keys=[KEY])
    async with Simulator(config) as simulator:
        yield simulator


KEY = ApiKey(API_KEY, API_SECRET)


async def streams_of(client: str, simulator: Simulator) -> dict[str, Any]:
    """What the tool tells of a foreign client's streams."""
    addresses = (f"--websocket={simulator.websocket_url}", f"--rest={simulator.rest_url}")
    return await told_by(TOOL, client, *addresses, f"--prefix={client}", key=API_KEY, secret=API_SECRET)


async def rest_rows(simulator: Simulator) -> dict[str, list[Row]]:
    """What REST tells of the account and of the symbol, in the streams' words for the topics."""
    async with SessionPool() as pool:
        client = BybitClient(API_KEY, API_SECRET, pool=pool, base_url=simulator.rest_url)
        replies = {
            "open": await client.open_orders(**SYMBOL, limit=50),
            "history": await client.order_history(**SYMBOL, limit=50),
            "execution": await client.executions(**SYMBOL, limit=50),
            "position": await client.positions(**SYMBOL),
            "wallet": await client.wallet_balance(),
            TICKER: await client.tickers(**SYMBOL),
        }
    told = {name: json.loads(reply.raw)["result"]["list"] for name, reply in replies.items()}
    told["order"] = told.pop("open") + told.pop("history")
    return told


def last_by(name: str, rows: list[Row]) -> dict[str, Row]:
    """The last row of each."""
    return {row[name]: row for row in rows}


def unlike(stream: Row, rest: Row) -> dict[str, tuple[Any, Any]]:
    """Fields that both have and tell differently; numbers by value."""
    names = stream.keys() & rest.keys()
    return {name: (stream[name], rest[name]) for name in names if _value(stream[name]) != _value(rest[name])}


def _value(text: Any) -> Any:
    if isinstance(text, list):
        return [_value(each) for each in text]
    if isinstance(text, dict):
        return {name: _value(each) for name, each in text.items()}
    try:
        return Decimal(str(text)) if not isinstance(text, bool) else text
    except ArithmeticError:
        return text


EMPTY = {
    "order": {"tpLimitPrice": "0", "slLimitPrice": "0", "tpslMode": "UNKNOWN"},
    "position": {"takeProfit": "0", "stopLoss": "0", "trailingStop": "0"},
    "execution": {},
}
"""What the venue's streams write, as recorded, where its REST leaves the field empty."""


def assert_account_is_rests(streams: dict[str, list[Row]], rest: dict[str, list[Row]]) -> None:
    """The last that was told of each order, fill, position and of the wallet."""
    for topic, key, fewest in (("order", "orderId", 40), ("execution", "execId", 25), ("position", "symbol", 25)):
        ours, theirs = last_by(key, rest[topic]), last_by(key, streams[topic])
        assert ours.keys() == theirs.keys()
        for name, row in theirs.items():
            for field, pair in unlike(row, ours[name]).items():
                assert pair == (EMPTY[topic].get(field), ""), (topic, name, field)
            assert len(row.keys() & ours[name].keys()) >= fewest, topic
    for symbol, row in last_by("symbol", streams["position"]).items():
        assert _value(row["entryPrice"]) == _value(last_by("symbol", rest["position"])[symbol]["avgPrice"])
    (wallet,) = rest["wallet"]
    told = streams["wallet"][-1]
    coins = last_by("coin", wallet["coin"])
    assert told["coin"]
    for coin in told["coin"]:
        assert unlike(coin, coins[coin["coin"]]) == {}
    assert unlike(told | {"coin": []}, wallet | {"coin": []}) == {}


def assert_market_is_rests(ticker: Row, rest: dict[str, list[Row]]) -> None:
    """What is made of the last hour and the last 24 goes on with time, even in a market in which nothing moves."""
    (now,) = rest[TICKER]
    moving = {"volume24h", "turnover24h", "prevPrice24h", "prevPrice1h", "price24hPcnt", "lowPrice24h", "highPrice24h"}
    moving |= {"openInterest", "openInterestValue", "fundingRate", "nextFundingTime"}
    assert unlike(ticker, now).keys() <= moving
    assert len(ticker.keys() & now.keys()) > 20
    assert ticker["lastPrice"] == now["lastPrice"]


def statuses(rows: list[Row], link_id: str) -> list[str]:
    """Each status of an order, in the order they were told."""
    return [row["orderStatus"] for row in rows if row["orderLinkId"] == link_id]


async def test_what_pybits_streams_tell_is_what_rest_tells() -> None:
    require_peers()
    async with quiet_market() as simulator:
        answer = await streams_of("pybit", simulator)
        rest = await rest_rows(simulator)
    acks, told = answer["acks"], answer["told"]
    for topic in ("order", "execution", "position", "wallet"):
        for message in told[topic]:
            assert message.keys() == {"id", "topic", "creationTime", "data"}
    streams = {topic: [row for message in told[topic] for row in message["data"]] for topic in told if topic != TICKER}
    assert_account_is_rests(streams, rest)
    assert_market_is_rests(told[TICKER][-1]["data"], rest)
    assert streams[KLINE][-1]["close"] == rest[TICKER][0]["lastPrice"]
    assert {row["orderLinkId"]: row["orderStatus"] for row in streams["order"]} == {
        "pybit-kept": "New",
        "pybit-moved": "Cancelled",
        "pybit-filled": "Filled",
        "pybit-batch": "New",
    }
    assert statuses(streams["order"], "pybit-moved") == ["New", "New", "Cancelled"]
    ids = {row["orderLinkId"]: row["orderId"] for row in rest["order"]}
    for name in ("kept", "moved", "amended", "cancelled", "filled"):
        assert acks[name]["retCode"] == 0
        link_id = acks[name]["data"]["orderLinkId"]
        assert acks[name]["data"] == {"orderId": ids[link_id], "orderLinkId": link_id}
    assert acks["refused"]["retCode"] == 110072
    accepted, refused = zip(acks["batch"]["data"]["list"], acks["batch"]["retExtInfo"]["list"], strict=True)
    assert (accepted[0]["orderId"], accepted[1]["code"]) == (ids["pybit-batch"], 0)
    assert (refused[0]["orderId"], refused[1]["code"]) == ("", 110072)


async def test_what_ccxt_pro_watches_is_what_rest_tells() -> None:
    require_peers()
    async with quiet_market() as simulator:
        answer = await streams_of("ccxt", simulator)
        rest = await rest_rows(simulator)
    acks, told = answer["acks"], answer["told"]
    unified = {topic: [row for rows in told[topic] for row in rows] for topic in ("order", "execution", "position")}
    streams = {topic: [row["info"] for row in rows] for topic, rows in unified.items()}
    streams["wallet"] = [row for each in told["wallet"] for row in each["info"]]
    assert_account_is_rests(streams, rest)
    assert_market_is_rests(told[TICKER][-1]["info"], rest)
    assert told[KLINE][-1][-1][4] == rest[TICKER][0]["lastPrice"]
    orders = {order["clientOrderId"]: order for order in unified["order"]}
    assert {name: order["status"] for name, order in orders.items()} == {
        "ccxt-kept": "open",
        "ccxt-moved": "canceled",
        "ccxt-filled": "closed",
    }
    by_id = last_by("orderId", rest["order"])
    for order in orders.values():
        row = by_id[order["id"]]
        assert _value([order["price"], order["amount"], order["filled"]]) == _value(
            [row["price"], row["qty"], row["cumExecQty"]]
        )
    (fill,) = unified["execution"]
    (executed,) = rest["execution"]
    assert _value([fill["price"], fill["amount"], fill["fee"]["cost"], fill["takerOrMaker"]]) == _value(
        [executed["execPrice"], executed["execQty"], executed["execFee"], "taker"]
    )
    position, (held,) = unified["position"][-1], rest["position"]
    assert _value([position["contracts"], position["entryPrice"], position["side"]]) == _value(
        [held["size"], held["avgPrice"], "long"]
    )
    assert _value(told["wallet"][-1]["USDT"]["total"]) == _value(
        last_by("coin", rest["wallet"][0]["coin"])["USDT"]["walletBalance"]
    )
    for name in ("kept", "moved", "amended", "cancelled", "filled"):
        assert by_id[acks[name]["id"]]["orderLinkId"] == acks[name]["clientOrderId"]
    assert acks["refused"].startswith("InvalidOrder: ")
    assert '"retCode":110072' in acks["refused"]


@pytest.mark.parametrize(
    ("stream", "rest", "different"),
    [
        ({"qty": "1.50", "side": "Buy", "seq": 5}, {"qty": "1.5", "side": "Buy", "price": "2"}, set()),
        ({"qty": "1.51", "side": "Buy"}, {"qty": "1.5", "side": "Sell"}, {"qty", "side"}),
        ({"fees": {"USDT": "1.0"}, "reduceOnly": False}, {"fees": {"USDT": "1"}, "reduceOnly": True}, {"reduceOnly"}),
        ({"price": ""}, {"price": "0"}, {"price"}),
    ],
)
def test_a_difference_is_found_whatever_its_kind(stream: Row, rest: Row, different: set[str]) -> None:
    assert unlike(stream, rest).keys() == different
