"""Turnover of the last 24 hours, as tickers tell it: exact, comparable within a category, and of bounded trouble."""

import json
from decimal import Context, Decimal
from typing import Any

import msgspec
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from feeder.bybit.instruments_info import turnovers
from feeder.bybit.rest import transport
from feeder.clock import ManualClock
from feeder.errors import RestError
from tests.helpers.instruments import instrument_table

from .rest_venue import Rest, load, table
from .support import payload


def answer(*entries: Any) -> bytes:
    return json.dumps({"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": entries}}).encode()


def ticker(symbol: str = "BTCUSDT", turnover: Any = "10.5", **fields: Any) -> dict[str, Any]:
    return {"symbol": symbol, "lastPrice": "1", "turnover24h": turnover, "volume24h": "7", **fields}


def of(category: str, *entries: Any) -> dict[str, Decimal]:
    return turnovers(category, [msgspec.Raw(json.dumps(entry).encode()) for entry in entries])[0]


async def test_turnover_of_a_category_is_one_question(rest: Rest) -> None:
    rest.override = payload("tickers-linear")
    assert await table(rest.url).turnover("linear") == {
        "BTCUSDT": Decimal("2352894950.46"),
        "ETHUSDT": Decimal("1100456789.0123"),
    }
    assert rest.queries == [{"category": "linear"}]


async def test_turnover_of_options_is_asked_for_by_base_coin(rest: Rest) -> None:
    async def respond(request: web.Request) -> web.Response:
        coin = request.query["baseCoin"]
        return web.Response(body=answer(ticker(f"{coin}-27NOV26-1-C")) if coin != "MNT" else answer())

    rest.respond = respond
    assert await table(rest.url).turnover("option", ["BTC", "MNT", "ETH"]) == {
        "BTC-27NOV26-1-C": Decimal("10.5"),
        "ETH-27NOV26-1-C": Decimal("10.5"),
    }
    rest.queries.clear()
    await table(rest.url).turnover("option")
    assert [query["baseCoin"] for query in rest.queries] == ["BTC", "ETH", "SOL", "XRP", "DOGE", "MNT"]


def test_turnover_is_in_dollars_whatever_the_venue_counts_in() -> None:
    assert of("linear", ticker(usdIndexPrice="3")) == {"BTCUSDT": Decimal("10.5")}
    assert of("option", ticker()) == {"BTCUSDT": Decimal("10.5")}
    # An inverse contract is a dollar: 49 million dollars of BTCUSD are 2,352 bitcoins of turnover.
    assert of("inverse", ticker("BTCUSD", "2352.94", volume24h="49337318")) == {"BTCUSD": Decimal(49337318)}
    # 41 lira are a dollar.
    lira = ticker("USDTTRY", "41000", volume24h="1000", usdIndexPrice="1.0003")
    assert of("spot", lira, ticker("ETHUSDT", "5000", volume24h="2", usdIndexPrice="2500.5")) == {
        "USDTTRY": Decimal("1000.3"),
        "ETHUSDT": Decimal("5001.0"),
    }
    for unknown in ("", "0", "0.00"):
        assert of("spot", ticker("MEMEUSDT", "9.25", usdIndexPrice=unknown)) == {"MEMEUSDT": Decimal("9.25")}


def test_no_digit_of_a_turnover_is_lost() -> None:
    volume, price = "123456789012345678901234567890.000000000000000000000000000001", "1.000000000000000000000000000001"
    (value,) = of("spot", ticker("A", volume24h=volume, usdIndexPrice=price)).values()
    whole = int(volume.replace(".", "")) * int(price.replace(".", ""))
    assert int(value.scaleb(60, Context(prec=200))) == whole


@pytest.mark.parametrize(
    "odd", ["", "x", "-1", "1e9", "NaN", "Infinity", "1_0", " 1", "१", ".5", "1" * 31, "1." + "0" * 31]
)
async def test_odd_turnover_counts_as_nothing_and_is_named_in_one_line(rest: Rest, odd: str) -> None:
    rest.override = answer(ticker("ODD", odd), ticker("WELL"))
    instruments = table(rest.url)
    with capture_logs() as logs:
        assert await instruments.turnover("linear") == {"ODD": Decimal(0), "WELL": Decimal("10.5")}
    (line,) = logs
    assert (line["event"], line["count"], line["category"]) == ("turnover not understood", 1, "linear")
    assert "ODD" in line["errors"][0]
    assert instruments.odd_turnovers == 1


async def test_odd_entries_cost_nobody_else_their_turnover_and_the_log_one_line(rest: Rest) -> None:
    odd = [
        "nonsense",
        None,
        5,
        {},
        {"symbol": "A"},
        {"symbol": 5, "turnover24h": "1"},
        ticker("B", 10.5),
        ticker("C", None),
    ]
    many = [ticker("X" * 10_000, "y" * 10_000)] * 100
    rest.override = answer(*odd, *many, ticker("WELL"))
    instruments = table(rest.url)
    with capture_logs() as logs:
        assert (await instruments.turnover("linear"))["WELL"] == Decimal("10.5")
    (line,) = logs
    assert line["count"] == instruments.odd_turnovers == 108
    assert len(str(line)) < 3000


@pytest.mark.parametrize("body", [answer(), answer("nonsense"), b'{"retCode":0,"result":{}}'])
async def test_venue_that_tells_nothing_is_a_failure_that_may_pass(rest: Rest, body: bytes) -> None:
    rest.override = body
    with pytest.raises(RestError, match=f"{rest.url} tells no turnover of linear") as caught:
        await table(rest.url).turnover("linear")
    assert caught.value.retriable


async def test_turnover_is_asked_for_again_while_that_may_help(rest: Rest) -> None:
    rest.failures = [web.Response(status=502), web.Response(status=429)]
    rest.override = answer(ticker())
    assert await table(rest.url).turnover("linear") == {"BTCUSDT": Decimal("10.5")}
    assert len(rest.queries) == 3


@pytest.mark.parametrize(
    "failure", [{"status": 404}, {"text": "<html>"}, {"text": '{"retCode":0,"result":{"list":5}}'}]
)
async def test_trouble_with_tickers_that_will_not_pass_is_not_asked_again(rest: Rest, failure: dict[str, Any]) -> None:
    rest.failures = [web.Response(**failure)]
    with pytest.raises(RestError, match="tickers") as caught:
        await table(rest.url).turnover("linear")
    assert not caught.value.retriable
    assert len(rest.queries) == 1


async def test_address_limit_met_by_tickers_silences_every_question(rest: Rest) -> None:
    clock = ManualClock()
    instruments = instrument_table(rest.url, clock)
    rest.failures = [web.Response(status=403)]
    with pytest.raises(RestError, match="HTTP 403"):
        await instruments.turnover("option")
    with pytest.raises(RestError, match="not sent"):
        await load(instruments, {"spot": None})
    with pytest.raises(RestError, match="not sent"):
        await instruments.turnover("linear")
    assert len(rest.queries) == 1


async def test_tickers_without_end_are_given_up_before_they_fill_the_memory(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_LARGEST_BODY", 10_000)
    rest.override = answer(*[ticker()] * 1000)
    with pytest.raises(RestError, match="over 10000 bytes"):
        await table(rest.url).turnover("linear")
