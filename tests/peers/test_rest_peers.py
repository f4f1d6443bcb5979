"""Foreign REST clients get the same answers from the simulator as ours: pybit's HTTP and ccxt's bybit, as published.

They run in a venv of their own (`make peers`) by tools/peers_rest.py; here the same is asked through BybitClient, and
every field compared: ours typed, theirs as the venue wrote it and, of ccxt, as its unified values.
"""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import msgspec
import pytest

from feeder.bybit.rest.client import BybitClient
from feeder.bybit.rest.pool import SessionPool
from feeder.simulator.keys import ApiKey
from feeder.simulator.server import Simulator, SimulatorConfig
from tests.helpers.peers import SECONDS, told_by
from tests.helpers.require import require_peers
from tests.helpers.secrets import API_KEY, API_SECRET, OTHER_API_KEY, rsa_keys

TOOL = Path(__file__).parents[2] / "tools" / "peers_rest.py"
SYMBOL = {"category": "linear", "symbol": "BTCUSDT"}


@asynccontextmanager
async def quiet_market() -> AsyncIterator[Simulator]:
    """A market in which nothing moves, so that the same question has the same answer a minute later."""
    keys = (ApiKey(API_KEY, API_SECRET), ApiKey(OTHER_API_KEY, public_key_pem=rsa_keys()[1]))
    config = SimulatorConfig(symbols=12, categories=("linear", "spot"), updates_per_second=0.0001, keys=keys)
    async with Simulator(config) as simulator:
        yield simulator


async def answers(client: str, simulator: Simulator, key: str, secret: str, leverage: int) -> dict[str, Any]:
    """What the tool tells of a foreign client's calls."""
    options = (f"--rest={simulator.rest_url}", f"--prefix={client}", f"--leverage={leverage}")
    told: dict[str, Any] = (await told_by(TOOL, client, "answers", *options, key=key, secret=secret))["answers"]
    return told


async def market(client: BybitClient) -> dict[str, Any]:
    """The same questions about the market; results."""
    replies = {
        "instruments": await client.instruments("linear", limit=1000),
        "spot_instruments": await client.instruments("spot"),
        "tickers": await client.tickers("linear"),
        "spot_tickers": await client.tickers("spot"),
        "order_book": await client.order_book(**SYMBOL, limit=50),
        "trades": await client.recent_trades(**SYMBOL, limit=20),
        "klines": await client.klines(**SYMBOL, interval="D", limit=5),
        "fee_rates": await client.fee_rates(**SYMBOL),
    }
    return {name: reply.result for name, reply in replies.items()}


async def account(client: BybitClient) -> dict[str, Any]:
    """The same questions about the account; replies."""
    return {
        "open": await client.open_orders(**SYMBOL, limit=50),
        "history": await client.order_history(**SYMBOL, limit=50),
        "executions": await client.executions(**SYMBOL, limit=50),
        "positions": await client.positions(**SYMBOL),
        "wallet": await client.wallet_balance(),
    }


Difference = tuple[str, Any, Any]
"""Where, our value, theirs."""


def differences(ours: Any, theirs: Any, at: str) -> Iterator[Difference]:
    """Where a typed value is not the venue's own writing of it. "" and what is absent are None."""
    if isinstance(ours, msgspec.Struct) and not ours.__struct_config__.array_like:
        names = {field.encode_name: field.name for field in msgspec.structs.fields(ours)}
        yield from ((f"{at}.{name}", "no such field", theirs[name]) for name in theirs.keys() - names.keys())
        for name, attribute in names.items():
            yield from differences(getattr(ours, attribute), theirs.get(name), f"{at}.{name}")
    elif isinstance(ours, msgspec.Struct):
        yield from differences(msgspec.structs.astuple(ours), theirs, at)
    elif isinstance(ours, list | tuple):
        if theirs is None or len(ours) != len(theirs):
            yield at, ours, theirs
            return
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(one, other, f"{at}[{number}]")
    elif isinstance(ours, dict):
        for name in ours.keys() | theirs.keys():
            yield from differences(ours.get(name), theirs.get(name), f"{at}.{name}")
    elif ours != _like(ours, theirs):
        yield at, ours, theirs


def unexplained(before: Any, after: Any, theirs: Any, at: str) -> list[Difference]:
    """The differences from both what we were told before and what after, but for what lies between the two.

    Time goes on in a market in which nothing moves: volumes of the last 24 hours do.
    """
    earlier = {where: value for where, value, _ in differences(before, theirs, at)}
    return [
        (where, value, other)
        for where, value, other in differences(after, theirs, at)
        if where in earlier and not _between(earlier[where], value, _like(value, other))
    ]


def _between(before: Any, after: Any, theirs: Any) -> bool:
    numbers = all(isinstance(each, Decimal | int) for each in (before, after, theirs))
    return numbers and bool(min(before, after) < theirs < max(before, after))


def _like(ours: Any, theirs: Any) -> Any:
    """The venue's writing as a value of the kind of ours."""
    if theirs is None or theirs == "":
        return [] if ours == [] else None
    if isinstance(ours, bool):
        return {"true": True, "false": False, 1: True, 0: False, "1": True, "0": False}.get(theirs, theirs)
    if isinstance(ours, Decimal | int):
        try:
            return Decimal(str(theirs))
        except InvalidOperation:
            return theirs
    return theirs


def without_time(reply: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in reply.items() if name != "time"}


@pytest.mark.parametrize(("peer", "leverage"), [("pybit", 7), ("pybit-rsa", 9)])
async def test_pybit_and_we_get_the_same_answers_field_by_field(peer, leverage):
    require_peers()
    key, secret = (OTHER_API_KEY, rsa_keys()[0]) if peer == "pybit-rsa" else (API_KEY, API_SECRET)
    async with quiet_market() as simulator, SessionPool() as pool:
        client = BybitClient(key, secret, pool=pool, base_url=simulator.rest_url)
        before = await market(client)
        told = await answers(peer, simulator, key, secret, leverage)
        after, replies = await market(client), await account(client)
        clock = await client.server_time()
        again = await client.set_leverage(**SYMBOL, buy_leverage=leverage, sell_leverage=leverage)
    for name, result in after.items():
        assert told[name]["retCode"] == 0, told[name]
        assert unexplained(before[name], result, told[name]["result"], name) == []
    for name, reply in replies.items():
        assert list(differences(reply.result, told[name]["result"], name)) == []
        assert without_time(json.loads(reply.raw)) == without_time(told[name])
    assert 0 <= clock.time_ms - told["time"]["time"] < SECONDS * 1000
    assert told["leverage_set"]["retCode"] == 0
    assert again.unchanged
    statuses = {order.order_link_id: order.order_status for order in replies["history"].result.entries}
    assert statuses == {f"{peer}-moved": "Cancelled", f"{peer}-filled": "Filled"}
    (kept,) = replies["open"].result.entries
    assert kept.order_link_id == f"{peer}-kept"
    (moved_open,) = told["moved_open"]["result"]["list"]
    assert Decimal(moved_open["price"]) < kept.price
    for name in ("kept", "moved", "amended", "cancelled", "filled"):
        assert told[name]["result"].keys() == {"orderId", "orderLinkId"}
    assert replies["executions"].result.entries
    assert replies["positions"].result.entries[0].leverage == leverage


async def test_ccxt_and_we_get_the_same_answers_and_its_unified_values_are_ours():
    require_peers()
    async with quiet_market() as simulator, SessionPool() as pool:
        client = BybitClient(API_KEY, API_SECRET, pool=pool, base_url=simulator.rest_url)
        before = await market(client)
        told = await answers("ccxt", simulator, API_KEY, API_SECRET, 5)
        after = await market(client)
        own = {name: reply.result for name, reply in (await account(client)).items()}
    assert unexplained(market_in_ccxts_words(before), market_in_ccxts_words(after), ccxts_market(told), "market") == []
    assert list(differences(account_in_ccxts_words(own), ccxts_account(told), "account")) == []
    assert {order["clientOrderId"]: order["status"] for order in told["history"]} == {
        "ccxt-moved": "canceled",
        "ccxt-filled": "closed",
    }
    assert [each["clientOrderId"] for each in told["open"]] == ["ccxt-kept"]
    assert Decimal(told["moved_open"]["price"]) < Decimal(told["open"][0]["price"])


def market_in_ccxts_words(results: dict[str, Any]) -> dict[str, Any]:
    """What we know of the market, arranged as ccxt arranges it."""
    (ticker,) = (each for each in results["tickers"].entries if each.symbol == "BTCUSDT")
    (instrument,) = (each for each in results["instruments"].entries if each.symbol == "BTCUSDT")
    (fee,) = results["fee_rates"].entries
    return {
        "rows": [ticker, instrument, fee, sorted(results["trades"].entries, key=lambda trade: trade.exec_id)],
        "best": [ticker.last_price, ticker.bid1_price, ticker.ask1_price, ticker.bid1_size, ticker.ask1_size],
        "day": [ticker.high_price_24h, ticker.low_price_24h, ticker.volume_24h, ticker.turnover_24h],
        "grid": [instrument.price_filter.tick_size, instrument.lot_size_filter.qty_step],
        "book": [results["order_book"].bids, results["order_book"].asks],
        "candles": [
            [each.start_ms, each.open, each.high, each.low, each.close, each.volume]
            for each in results["klines"].entries
        ],
        "trades": {trade.exec_id: [trade.price, trade.size, trade.time] for trade in results["trades"].entries},
        "fees": [fee.taker_fee_rate, fee.maker_fee_rate],
    }


def ccxts_market(told: dict[str, Any]) -> dict[str, Any]:
    """The same of ccxt's answers."""
    ticker, market, fee = told["ticker"], told["market"], told["fee_rate"]
    return {
        "rows": [ticker["info"], market["info"], fee["info"], rows(told["trades"], "execId")],
        "best": [ticker[name] for name in ("last", "bid", "ask", "bidVolume", "askVolume")],
        "day": [ticker[name] for name in ("high", "low", "baseVolume", "quoteVolume")],
        "grid": [market["precision"][name] for name in ("price", "amount")],
        "book": [told["order_book"][name] for name in ("bids", "asks")],
        "candles": told["klines"][::-1],  # the oldest first
        "trades": {trade["id"]: [trade["price"], trade["amount"], trade["timestamp"]] for trade in told["trades"]},
        "fees": [fee[name] for name in ("taker", "maker")],
    }


def account_in_ccxts_words(results: dict[str, Any]) -> dict[str, Any]:
    """What we know of the account, arranged as ccxt arranges it."""
    (position,) = results["positions"].entries
    (wallet,) = results["wallet"].entries
    return {
        "rows": [
            results["wallet"],
            position,
            *(sorted(results[name].entries, key=lambda order: order.order_id) for name in ("open", "history")),
            sorted(results["executions"].entries, key=lambda execution: execution.exec_id),
        ],
        "wallet": {coin.coin: coin.wallet_balance for coin in wallet.coins},
        "position": [position.size, position.avg_price, position.leverage],
        "orders": {order.order_id: [order.price, order.qty] for order in results["open"].entries},
        "fills": {
            each.exec_id: [each.exec_price, each.exec_qty, each.exec_fee] for each in results["executions"].entries
        },
    }


def ccxts_account(told: dict[str, Any]) -> dict[str, Any]:
    """The same of ccxt's answers."""
    (position,) = told["positions"]
    return {
        "rows": [
            told["wallet"]["info"]["result"],
            position["info"],
            *(rows(told[name], "orderId") for name in ("open", "history")),
            rows(told["executions"], "execId"),
        ],
        "wallet": told["wallet"]["total"],
        "position": [position[name] for name in ("contracts", "entryPrice", "leverage")],
        "orders": {order["id"]: [order["price"], order["amount"]] for order in told["open"]},
        "fills": {each["id"]: [each["price"], each["amount"], each["fee"]["cost"]] for each in told["executions"]},
    }


def rows(unified: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """The venue's own rows, in the order of a key; ccxt adds the page's cursor to some."""
    plain = [{name: value for name, value in each["info"].items() if name != "nextPageCursor"} for each in unified]
    return sorted(plain, key=lambda row: row[key])


def test_a_difference_is_found_whatever_its_kind():
    class Row(msgspec.Struct, rename="camel"):
        symbol: str
        last_price: Decimal | None = None
        created_time: int | None = None
        reduce_only: bool | None = None

    row = Row("A", Decimal("1.50"), 5, False)
    true = {"symbol": "A", "lastPrice": "1.5", "createdTime": "5", "reduceOnly": False}
    assert list(differences(row, true, "row")) == []
    assert list(differences(Row("A"), {"symbol": "A", "lastPrice": "", "createdTime": None}, "row")) == []
    for name, value in {"symbol": "B", "lastPrice": "1.51", "createdTime": "", "reduceOnly": True, "more": 1}.items():
        assert [where for where, _, _ in differences(row, true | {name: value}, "row")] == [f"row.{name}"]
    assert list(differences([row], [], "rows"))
    assert list(differences(Row("A"), true, "row"))
    later = Row("A", Decimal("1.70"), 5, False)
    for price, found in {"1.5": 0, "1.6": 0, "1.7": 0, "1.49": 1, "1.71": 1}.items():
        assert len(unexplained(row, later, true | {"lastPrice": price}, "row")) == found
    assert len(unexplained(row, later, true | {"symbol": "B"}, "row")) == 1
