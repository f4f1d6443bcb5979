"""The instrument table: pages, scales, ids, versions, and a start without REST."""

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from feeder.bybit.rest import client
from feeder.clock import ManualClock
from feeder.errors import FixedPointError, InstrumentError, RestError
from feeder.market.instrument import TradingStatus, instrument_id
from tests.helpers.instruments import instrument_table

from .rest_venue import Rest, load, table
from .support import payload


async def test_every_page_is_read_and_scales_are_the_digits_written(rest: Rest) -> None:
    instruments = table(rest.url)
    await load(instruments, {"linear": None, "spot": None, "inverse": None})
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
    await load(instruments, {"linear": None})
    assert instruments.symbols("linear") == ["BTCUSDT", "ETHUSDT", "XRPUSDT"]
    assert instruments.get(("linear", "NEWUSDT")).status is TradingStatus.PRELAUNCH


async def test_options_are_asked_for_by_base_coin(rest: Rest) -> None:
    instruments = table(rest.url)
    await load(instruments, {"option": ["ETH-27NOV26-90000-C", "BTC-27NOV26-90000-C", "ETH-27NOV26-80000-C"]})
    assert [query["baseCoin"] for query in rest.queries] == ["BTC", "ETH"]
    assert instruments.get(("option", "ETH-27NOV26-90000-C")).quantity_exponent == -2
    rest.queries.clear()
    await load(instruments, {"option": None})
    assert [query["baseCoin"] for query in rest.queries] == ["BTC", "ETH", "SOL", "XRP", "DOGE", "MNT"]


async def test_unknown_symbol_is_an_error_that_names_it(rest: Rest) -> None:
    instruments = table(rest.url)
    await load(instruments, {"linear": None})
    with pytest.raises(InstrumentError, match="linear instrument 'NOPEUSDT'"):
        instruments.get(("linear", "NOPEUSDT"))


async def test_two_wanted_instruments_with_one_id_are_an_error_naming_both(rest: Rest) -> None:
    instruments = table(rest.url, ids={("linear", "BTCUSDT"): 7, ("linear", "ETHUSDT"): 7})
    await load(instruments, {"linear": None})
    assert instruments.claim(("linear", "BTCUSDT")).id == 7
    assert instruments.claim(("linear", "BTCUSDT")).id == 7
    with pytest.raises(InstrumentError, match=r"linear:ETHUSDT and linear:BTCUSDT"):
        instruments.claim(("linear", "ETHUSDT"))
    instruments.release(("linear", "BTCUSDT"))
    assert instruments.claim(("linear", "ETHUSDT")).id == 7


async def test_exponents_only_get_finer_and_every_change_is_a_version(rest: Rest) -> None:
    key = ("linear", "BTCUSDT")
    instruments = table(rest.url)
    await load(instruments, {"linear": None})
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
    await load(instruments, {"spot": None})
    assert instruments.symbols("spot") == ["BTCUSDT"]
    assert len(rest.queries) == 4


@pytest.mark.parametrize(
    "failure",
    [
        {"status": 403},
        {"status": 404},
        {"text": json.dumps({"retCode": 10001, "retMsg": "params error", "result": {}})},
        {"text": json.dumps({"retCode": 10001, "retMsg": "symbol invalid", "result": {}})},  # and none was asked for
        {"text": "<html>"},
        {"text": '{"retCode":0,"result":{"list":5}}'},
    ],
)
async def test_trouble_that_will_not_pass_is_not_asked_again(rest: Rest, failure: dict[str, Any]) -> None:
    rest.failures = [web.Response(**failure)]
    with pytest.raises(RestError, match="instruments-info"):
        await load(table(rest.url), {"spot": None})
    assert len(rest.queries) == 1


@pytest.mark.parametrize(("status", "retriable"), [(404, False), (502, True), (403, True)])
async def test_start_without_a_table_may_be_tried_again_only_if_that_may_help(
    rest: Rest, tmp_path: Path, status: int, retriable: bool
) -> None:
    for directory in (None, tmp_path):  # no copy is kept; there is none yet
        rest.failures = [web.Response(status=status) for _ in range(4)]
        with pytest.raises(RestError) as caught:
            await load(table(rest.url, directory), {"spot": None})
        assert caught.value.retriable is retriable
        assert caught.value.retry_after_seconds == (600 if status == 403 else 0)


async def test_address_limit_silences_every_question_for_ten_minutes(rest: Rest) -> None:
    clock = ManualClock()
    instruments = instrument_table(rest.url, clock)
    await load(instruments, {"linear": None})
    rest.queries.clear()
    rest.failures = [web.Response(status=403)]
    with pytest.raises(RestError, match="HTTP 403, too many requests"):
        await instruments.refresh(("linear", "BTCUSDT"))
    clock.advance(100)
    for _ in range(3):
        with pytest.raises(RestError, match="not sent") as caught:
            await instruments.refresh(("linear", "ETHUSDT"))
        assert (caught.value.retriable, caught.value.retry_after_seconds) == (True, 500)
        with pytest.raises(RestError, match="not sent") as caught:
            await load(instruments, {"spot": None, "inverse": None})
        assert caught.value.retry_after_seconds == 500
    assert len(rest.queries) == 1
    clock.advance(500)
    await load(instruments, {"spot": None})
    assert len(rest.queries) == 2


async def test_address_limit_ends_the_other_categories_of_the_same_load(rest: Rest) -> None:
    # The first questions leave together; none of the later pages and coins follows once one was answered 403.
    rest.failures = [web.Response(status=403) for _ in range(3)]
    instruments = table(rest.url)
    with pytest.raises(RestError) as caught:
        await load(instruments, {"option": None, "linear": None, "spot": None})
    assert caught.value.retry_after_seconds == 600
    assert len(rest.queries) <= 3


async def test_of_several_failures_the_one_that_keeps_us_silent_is_told(rest: Rest) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status={"linear": 404, "spot": 403, "inverse": 404}[request.query["category"]])

    rest.respond = answer
    with pytest.raises(RestError) as caught:
        await load(table(rest.url), {"linear": None, "spot": None, "inverse": None})
    assert caught.value.retry_after_seconds == 600


async def test_failure_of_one_category_waits_for_the_others_to_end(rest: Rest, tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=404) if request.query["category"] == "linear" else await rest.canned(request)

    rest.respond = answer
    instruments = table(rest.url, tmp_path)
    with pytest.raises(RestError):
        await load(instruments, {"linear": None, "spot": None})
    assert instruments.symbols("spot") == ["BTCUSDT"]


async def test_symbols_that_could_not_be_published_are_skipped_and_counted(rest: Rest) -> None:
    page = json.loads(payload("instruments-linear-page-1"))
    page["result"]["nextPageCursor"] = ""
    first = page["result"]["list"][0]
    page["result"]["list"] += [first | {"symbol": odd} for odd in ("\u5e01USDT", "btcusdt", "", "X" * 33, "A\nB")]
    rest.override = json.dumps(page).encode()
    instruments = table(rest.url)
    with capture_logs() as logs:
        await load(instruments, {"linear": None})
    (line,) = [line for line in logs if line["event"] == "symbols skipped"]
    assert (line["category"], line["count"], line["symbols"][:2]) == ("linear", 5, ["\u5e01USDT", "btcusdt"])
    assert instruments.skipped_symbols == 5
    assert instruments.symbols("linear") == ["BTCUSDT", "ETHUSDT"]


async def test_instrument_the_venue_lists_no_longer_is_closed(rest: Rest) -> None:
    instruments = table(rest.url)
    await load(instruments, {"linear": None})
    key = ("linear", "ETHUSDT")
    rest.override = json.dumps({"retCode": 0, "retMsg": "OK", "result": {"list": []}}).encode()
    gone = await instruments.refresh(key)
    assert (gone.status, gone.definition_version) == (TradingStatus.CLOSED, 2)
    assert gone == instruments.get(key)
    assert rest.queries[-1] == {"category": "linear", "symbol": "ETHUSDT"}
    rest.override = None
    assert (await instruments.refresh(key)).status is TradingStatus.TRADING
    rest.override = json.dumps({"retCode": 10001, "retMsg": "params error: symbol invalid", "result": {}}).encode()
    assert (await instruments.refresh(key)).status is TradingStatus.CLOSED
    with pytest.raises(InstrumentError):
        await instruments.refresh(("linear", "NEVERWAS"))


@pytest.mark.parametrize(
    "answer",
    [
        {"retCode": 10001, "retMsg": "params error", "result": {}},  # which of them?
        {"retCode": 10016, "retMsg": "Internal Server Error", "result": {}},
    ],
)
async def test_venue_that_fails_does_not_close_an_instrument(rest: Rest, answer: dict[str, Any]) -> None:
    instruments = table(rest.url)
    await load(instruments, {"linear": None})
    rest.override = json.dumps(answer).encode()
    with pytest.raises(RestError):
        await instruments.refresh(("linear", "BTCUSDT"))
    assert instruments.get(("linear", "BTCUSDT")).status is TradingStatus.TRADING


@pytest.mark.parametrize("entry", ["nonsense", {"symbol": "BTCUSDT"}, None])
async def test_entry_that_makes_no_sense_does_not_close_an_instrument(rest: Rest, entry: Any) -> None:
    instruments = table(rest.url)
    await load(instruments, {"linear": None})
    rest.override = json.dumps({"retCode": 0, "result": {"list": [entry]}}).encode()
    assert (await instruments.refresh(("linear", "BTCUSDT"))).status is TradingStatus.TRADING


async def test_scale_is_made_six_digits_finer_than_the_venue_s_own_and_no_more_however_often(rest: Rest) -> None:
    instruments = table(rest.url)
    await load(instruments, {"linear": None})
    key = ("linear", "BTCUSDT")
    assert instruments.make_finer(key, -8, -9).price_exponent == -8
    for exponents in ((-9, -3), (-2, -10), (-14, -3)):
        with pytest.raises(FixedPointError, match=r"linear:BTCUSDT: .* more than 6 digits finer"):
            instruments.make_finer(key, *exponents)
    assert instruments.get(key).definition_version == 2
    rest.override = payload("instruments-linear-page-1").replace(b'"tickSize":"0.10"', b'"tickSize":"0.0010"')
    await instruments.refresh(key)
    assert instruments.make_finer(key, -10, -3).price_exponent == -10


async def test_scale_at_which_the_step_would_leave_64_bits_is_refused(rest: Rest) -> None:
    rest.override = (
        payload("instruments-linear-page-1")
        .replace(b'"qtyStep":"0.001"', b'"qtyStep":"9000000000000000000"')
        .replace(b'"nextPageCursor":"first%3DETHUSDT"', b'"nextPageCursor":""')
    )
    instruments = table(rest.url)
    await load(instruments, {"linear": None})
    key = ("linear", "BTCUSDT")
    before = instruments.get(key)
    assert before.quantity_step == 9 * 10**18
    with pytest.raises(FixedPointError, match="linear:BTCUSDT: its tick or step do not fit"):
        instruments.make_finer(key, -2, -1)
    assert instruments.get(key) == before
    # Nor does the venue's own word make it so: what it said before stays.
    rest.override = rest.override.replace(b'"9000000000000000000"', b'"0.1"')
    assert (await instruments.refresh(key)).quantity_exponent == -1
    rest.override = rest.override.replace(b'"qtyStep":"0.1"', b'"qtyStep":"9000000000000000000"')
    assert (await instruments.refresh(key)).quantity_step == 1


async def test_questions_about_single_instruments_are_paced(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()
    instruments = instrument_table(rest.url, clock)
    await load(instruments, {"spot": None})
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock.advance(seconds)

    monkeypatch.setattr("feeder.bybit.instruments.asyncio.sleep", sleep)
    for _ in range(22):
        await instruments.refresh(("spot", "BTCUSDT"))
    assert [round(wait, 3) for wait in waits] == [0.05, 0.05]


async def test_odd_instrument_costs_nobody_else_their_table(rest: Rest) -> None:
    page = json.loads(payload("instruments-linear-page-1"))
    odd = page["result"]["list"]
    page["result"]["nextPageCursor"] = ""
    odd += [
        {"symbol": "NOSTEPS", "status": "Trading", "priceFilter": {}, "lotSizeFilter": {}},
        odd[0] | {"symbol": "STATUS", "status": "Dreaming"},
        odd[0] | {"symbol": "TICK", "priceFilter": {"tickSize": "x"}},
        odd[0] | {"symbol": "FINE", "priceFilter": {"tickSize": "0." + "0" * 18 + "1"}},
        "nonsense",
    ]
    rest.override = json.dumps(page).encode()
    instruments = table(rest.url)
    await load(instruments, {"linear": None})
    assert instruments.symbols("linear") == ["BTCUSDT", "ETHUSDT"]


async def test_start_without_rest_uses_the_last_good_copy(rest: Rest, tmp_path: Path) -> None:
    await load(table(rest.url, tmp_path / "cache"), {"linear": None})
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["instruments-linear.json"]
    rest.failures = [web.Response(status=403)]
    instruments = table(rest.url, tmp_path / "cache")
    await load(instruments, {"linear": None})
    assert instruments.symbols("linear") == ["BTCUSDT", "ETHUSDT", "XRPUSDT"]
    assert instruments.get(("linear", "BTCUSDT")).price_exponent == -2


async def test_neither_rest_nor_copy_is_an_error_with_address_and_remedy(tmp_path: Path, rest: Rest) -> None:
    rest.failures = [web.Response(status=403) for _ in range(3)]
    with pytest.raises(RestError, match=rf"{rest.url}.*check exchange.rest_url"):
        await load(table(rest.url, tmp_path), {"linear": None})
    (tmp_path / "instruments-linear.json").write_text("{")
    with pytest.raises(RestError, match="unreadable"):
        await load(table(rest.url, tmp_path), {"linear": None})
    other = {"rest_url": "http://elsewhere", "fetched_at_ns": 1, "instruments": []}
    (tmp_path / "instruments-linear.json").write_text(json.dumps(other))
    with pytest.raises(RestError, match="is of http://elsewhere"):
        await load(table(rest.url, tmp_path), {"linear": None})


async def test_copy_that_cannot_be_written_does_not_stop_the_start(rest: Rest, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    instruments = table(rest.url, tmp_path / "file")
    await load(instruments, {"spot": None})
    assert instruments.symbols("spot") == ["BTCUSDT"]


async def test_refused_connection_names_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_RETRY_FIRST", 0.001)
    with pytest.raises(RestError, match=r"http://127.0.0.1:9/v5"):
        await load(table("http://127.0.0.1:9"), {"spot": None})


# The venue's time


async def test_time_is_asked_for_several_times_and_each_answer_kept(rest: Rest) -> None:
    answer = b'{"retCode":0,"retMsg":"OK","result":{"timeSecond":"1688639403","timeNano":"1688639403423213947"}}'
    rest.override = answer
    samples = await table(rest.url).times()
    assert [sample.venue_ns for sample in samples] == [1688639403423213947] * 5
    assert rest.queries == [{}] * 5


@pytest.mark.parametrize(
    "answer",
    [
        b'{"retCode":0,"retMsg":"OK","result":{"timeNano":"soon"}}',
        b'{"retCode":0,"retMsg":"OK","result":{}}',
        b'{"retCode":10016,"retMsg":"busy","result":{}}',
        b"not JSON",
    ],
)
async def test_answer_that_is_no_time_is_an_error_and_asked_for_no_more(rest: Rest, answer: bytes) -> None:
    rest.override = answer
    with pytest.raises(RestError):
        await table(rest.url).times()
    assert len(rest.queries) == 1


async def test_time_is_not_asked_for_while_the_venue_wants_silence(rest: Rest) -> None:
    instruments = table(rest.url)
    rest.failures = [web.Response(status=403)]
    with pytest.raises(RestError, match="HTTP 403"):
        await instruments.times()
    with pytest.raises(RestError, match="not sent") as caught:
        await instruments.times()
    assert caught.value.retry_after_seconds == pytest.approx(600)
    with pytest.raises(RestError, match="not sent"):
        await load(instruments, {"linear": None})
    assert len(rest.queries) == 1
