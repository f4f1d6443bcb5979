"""The instrument table: pages, scales, ids, versions, and a start without REST."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiohttp import web

from feeder.bybit import instruments as module
from feeder.bybit.instruments import InstrumentTable
from feeder.clock import ManualClock
from feeder.errors import InstrumentError, RestError
from feeder.market.instrument import TradingStatus, instrument_id

from .support import payload

Handler = Callable[[web.Request], web.StreamResponse]


class Rest:
    """A venue that answers instruments-info from canonical pages, or as it is told to."""

    def __init__(self) -> None:
        self.queries: list[dict[str, str]] = []
        self.failures: list[web.Response] = []
        self.override: bytes | None = None
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        self.queries.append(query)
        if self.failures:
            return self.failures.pop(0)
        if self.override is not None:
            return web.Response(body=self.override)
        name = f"instruments-{query['category']}"
        if query["category"] == "linear":
            name += "-page-2" if query.get("cursor") == "first%3DETHUSDT" else "-page-1"
        if query["category"] == "option":
            coin = query.get("baseCoin", "BTC")
            return web.Response(body=payload(f"{name}-BTC").replace(b"BTC", coin.encode()))
        return web.Response(body=payload(name))


@pytest.fixture
async def rest(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rest]:
    monkeypatch.setattr(module, "_RETRY_FIRST", 0.001)
    rest = Rest()
    app = web.Application()
    app.router.add_get("/v5/market/instruments-info", rest.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    rest.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield rest
    await runner.cleanup()


def table(url: str, directory: Path | None = None, **options: Any) -> InstrumentTable:
    return InstrumentTable(url, clock=ManualClock(), random=Random(1), cache_directory=directory, **options)


async def test_every_page_is_read_and_scales_are_the_digits_written(rest: Rest) -> None:
    instruments = table(rest.url)
    await instruments.load({"linear": None, "spot": None, "inverse": None})
    bitcoin = instruments.get(("linear", "BTCUSDT"))
    assert (bitcoin.price_exponent, bitcoin.quantity_exponent) == (-2, -3)
    assert (bitcoin.tick_size, bitcoin.quantity_step) == (10, 1)
    assert bitcoin.id == instrument_id("linear", "BTCUSDT")
    spot = instruments.get(("spot", "BTCUSDT"))
    assert (spot.price_exponent, spot.quantity_exponent, spot.id) == (-1, -6, instrument_id("spot", "BTCUSDT"))
    assert instruments.get(("inverse", "BTCUSD")).quantity_exponent == 0
    assert instruments.get(("linear", "XRPUSDT")).price_exponent == -4
    linear, *_ = [query for query in rest.queries if query["category"] == "linear"]
    assert linear == {"category": "linear", "limit": "1000"}
    assert [query for query in rest.queries if query["category"] == "spot"] == [{"category": "spot"}]


async def test_all_means_what_is_trading_and_prelaunch_is_known(rest: Rest) -> None:
    instruments = table(rest.url)
    await instruments.load({"linear": None})
    assert instruments.symbols("linear") == ["BTCUSDT", "ETHUSDT", "XRPUSDT"]
    assert instruments.get(("linear", "NEWUSDT")).status is TradingStatus.PRELAUNCH


async def test_options_are_asked_for_by_base_coin(rest: Rest) -> None:
    instruments = table(rest.url)
    await instruments.load({"option": ["ETH-27NOV26-90000-C", "BTC-27NOV26-90000-C", "ETH-27NOV26-80000-C"]})
    assert [query["baseCoin"] for query in rest.queries] == ["BTC", "ETH"]
    assert instruments.get(("option", "ETH-27NOV26-90000-C")).quantity_exponent == -2
    rest.queries.clear()
    await instruments.load({"option": None})
    assert [query["baseCoin"] for query in rest.queries] == ["BTC", "ETH", "SOL", "XRP", "DOGE", "MNT"]


async def test_unknown_symbol_is_an_error_that_names_it(rest: Rest) -> None:
    instruments = table(rest.url)
    await instruments.load({"linear": None})
    with pytest.raises(InstrumentError, match="linear instrument 'NOPEUSDT'"):
        instruments.get(("linear", "NOPEUSDT"))


async def test_two_wanted_instruments_with_one_id_are_an_error_naming_both(rest: Rest) -> None:
    instruments = table(rest.url, ids={("linear", "BTCUSDT"): 7, ("linear", "ETHUSDT"): 7})
    await instruments.load({"linear": None})
    assert instruments.claim(("linear", "BTCUSDT")).id == 7
    assert instruments.claim(("linear", "BTCUSDT")).id == 7
    with pytest.raises(InstrumentError, match=r"linear:ETHUSDT and linear:BTCUSDT"):
        instruments.claim(("linear", "ETHUSDT"))
    instruments.release(("linear", "BTCUSDT"))
    assert instruments.claim(("linear", "ETHUSDT")).id == 7


async def test_exponents_only_get_finer_and_every_change_is_a_version(rest: Rest) -> None:
    key = ("linear", "BTCUSDT")
    instruments = table(rest.url)
    await instruments.load({"linear": None})
    finer = instruments.make_finer(key, -4, -1)
    assert (finer.price_exponent, finer.quantity_exponent, finer.definition_version) == (-4, -3, 2)
    assert (finer.tick_size, finer.quantity_step) == (1000, 1)
    assert instruments.make_finer(key, -4, -1) == finer
    assert await instruments.refresh(key) == finer, "what the venue says is coarser"
    rest.override = payload("instruments-linear-page-1").replace(b'"tickSize":"0.10"', b'"tickSize":"0.00500"')
    refreshed = await instruments.refresh(key)
    assert (refreshed.price_exponent, refreshed.tick_size, refreshed.definition_version) == (-5, 500, 3)


async def test_trouble_that_may_pass_is_asked_again(rest: Rest) -> None:
    rest.failures = [
        web.Response(status=502),
        web.Response(text=json.dumps({"retCode": 10006, "retMsg": "Too many visits!", "result": {}})),
        web.Response(status=429),
    ]
    instruments = table(rest.url)
    await instruments.load({"spot": None})
    assert instruments.symbols("spot") == ["BTCUSDT"]
    assert len(rest.queries) == 4


@pytest.mark.parametrize(
    "failure",
    [
        {"status": 403},
        {"text": json.dumps({"retCode": 10001, "retMsg": "params error", "result": {}})},
        {"text": "<html>"},
        {"text": '{"retCode":0,"result":{"list":5}}'},
    ],
)
async def test_trouble_that_will_not_pass_is_not_asked_again(rest: Rest, failure: dict[str, Any]) -> None:
    rest.failures = [web.Response(**failure)]
    with pytest.raises(RestError, match="instruments-info"):
        await table(rest.url).load({"spot": None})
    assert len(rest.queries) == 1


async def test_odd_instrument_costs_nobody_else_their_table(rest: Rest) -> None:
    page = json.loads(payload("instruments-linear-page-1"))
    odd = page["result"]["list"]
    page["result"]["nextPageCursor"] = ""
    odd += [
        {"symbol": "NOSTEPS", "status": "Trading", "priceFilter": {}, "lotSizeFilter": {}},
        odd[0] | {"symbol": "STATUS", "status": "Dreaming"},
        odd[0] | {"symbol": "TICK", "priceFilter": {"tickSize": "x"}},
        odd[0] | {"symbol": "币USDT"},
        odd[0] | {"symbol": "FINE", "priceFilter": {"tickSize": "0." + "0" * 18 + "1"}},
        "nonsense",
    ]
    rest.override = json.dumps(page).encode()
    instruments = table(rest.url)
    await instruments.load({"linear": None})
    assert instruments.symbols("linear") == ["BTCUSDT", "ETHUSDT"]


async def test_start_without_rest_uses_the_last_good_copy(rest: Rest, tmp_path: Path) -> None:
    await table(rest.url, tmp_path / "cache").load({"linear": None})
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["instruments-linear.json"]
    rest.failures = [web.Response(status=403)]
    instruments = table(rest.url, tmp_path / "cache")
    await instruments.load({"linear": None})
    assert instruments.symbols("linear") == ["BTCUSDT", "ETHUSDT", "XRPUSDT"]
    assert instruments.get(("linear", "BTCUSDT")).price_exponent == -2


async def test_neither_rest_nor_copy_is_an_error_with_address_and_remedy(tmp_path: Path, rest: Rest) -> None:
    rest.failures = [web.Response(status=403) for _ in range(3)]
    with pytest.raises(RestError, match=rf"{rest.url}.*check exchange.rest_url"):
        await table(rest.url, tmp_path).load({"linear": None})
    (tmp_path / "instruments-linear.json").write_text("{")
    with pytest.raises(RestError, match="unreadable"):
        await table(rest.url, tmp_path).load({"linear": None})
    other = {"rest_url": "http://elsewhere", "fetched_at_ns": 1, "instruments": []}
    (tmp_path / "instruments-linear.json").write_text(json.dumps(other))
    with pytest.raises(RestError, match="is of http://elsewhere"):
        await table(rest.url, tmp_path).load({"linear": None})


async def test_copy_that_cannot_be_written_does_not_stop_the_start(rest: Rest, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    instruments = table(rest.url, tmp_path / "file")
    await instruments.load({"spot": None})
    assert instruments.symbols("spot") == ["BTCUSDT"]


async def test_refused_connection_names_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RETRY_FIRST", 0.001)
    with pytest.raises(RestError, match=r"http://127.0.0.1:9/v5"):
        await table("http://127.0.0.1:9").load({"spot": None})
