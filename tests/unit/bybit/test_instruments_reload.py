"""The instrument table asked for anew while it is in use."""

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from feeder.bybit.instruments import InstrumentTable
from feeder.clock import SECOND_NS, ManualClock
from feeder.errors import InstrumentError
from feeder.market.instrument import InstrumentKey, TradingStatus
from tests.helpers.instruments import instrument_table

from .rest_venue import Rest, load, table

CALL, PUT = ("option", "BTC-27NOV26-90000-C"), ("option", "BTC-27NOV26-90000-P")


class Exchange:
    """What the venue lists now, and what it says of a symbol that is asked for alone."""

    def __init__(self) -> None:
        self.listed: dict[InstrumentKey, dict[str, Any]] = {}
        self.alone: dict[InstrumentKey, dict[str, Any]] = {}
        self.asked: list[str] = []  # symbols, alone
        self.status: dict[str, int] = {}  # of HTTP, by category; or by symbol, asked alone

    def trade(self, category: str, *symbols: str, **fields: Any) -> None:
        for symbol in symbols:
            self.listed[category, symbol] = {
                "symbol": symbol,
                "status": "Trading",
                "priceFilter": {"tickSize": "0.10"},
                "lotSizeFilter": {"qtyStep": "0.001", "basePrecision": "0.001"},
                **fields,
            }

    def forget(self, category: str, *symbols: str) -> None:
        for symbol in symbols:
            del self.listed[category, symbol]

    async def respond(self, request: web.Request) -> web.Response:
        category, symbol, coin = (request.query.get(name) for name in ("category", "symbol", "baseCoin"))
        assert category is not None
        if symbol is not None:
            self.asked.append(symbol)
        status = self.status.get(symbol or category)
        if status is not None:
            return web.Response(status=status)
        found = dict(self.listed)
        if symbol is not None:
            found = {key: entry for key, entry in (found | self.alone).items() if key[1] == symbol}
        entries = [
            entry for (of, name), entry in found.items() if of == category and (coin is None or name.startswith(coin))
        ]
        return web.json_response({"retCode": 0, "result": {"list": entries}})


@pytest.fixture
def exchange(rest: Rest) -> Exchange:
    exchange = Exchange()
    rest.respond = exchange.respond
    exchange.trade("linear", "A", "B", "C", "D")
    exchange.trade("spot", "A")
    return exchange


async def loaded(rest: Rest, *claimed: InstrumentKey, directory: Path | None = None) -> InstrumentTable:
    instruments = table(rest.url, directory)
    await load(instruments, {"linear": None, "spot": None})
    for key in claimed:
        instruments.claim(key)
    return instruments


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


async def test_changes_additions_and_closures_are_taken_over(rest: Rest, exchange: Exchange) -> None:
    instruments = await loaded(rest, ("linear", "A"))
    before = instruments.get(("linear", "B"))
    exchange.trade("linear", "A", priceFilter={"tickSize": "0.50"})
    exchange.trade("linear", "NEW")
    exchange.trade("linear", "C", status="Closed")
    exchange.forget("linear", "D")
    assert await instruments.reload({"linear": None}) == {}
    assert instruments.symbols("linear") == ["A", "B", "NEW"]
    a = instruments.get(("linear", "A"))
    assert (a.tick_size, a.price_exponent, a.definition_version) == (50, -2, 2)
    assert instruments.get(("linear", "B")) is before, "one that did not change is the very same"
    with pytest.raises(InstrumentError):
        instruments.get(("linear", "D"))
    assert exchange.asked == [], "of what nobody follows the table is believed"


async def test_failed_reload_changes_nothing_and_does_not_go_back_to_the_copy(
    rest: Rest, exchange: Exchange, tmp_path: Path
) -> None:
    instruments = await loaded(rest, directory=tmp_path)
    exchange.trade("linear", "A", "NEW", priceFilter={"tickSize": "0.50"})
    exchange.trade("spot", "NEW")
    exchange.status["linear"] = 404
    kept = (tmp_path / "instruments-linear.json").read_bytes()
    with capture_logs() as logs:
        failures = await instruments.reload({"linear": None, "spot": None})
    assert list(failures) == ["linear"]
    assert "HTTP 404" in str(failures["linear"])
    assert instruments.symbols("linear") == ["A", "B", "C", "D"]
    assert instruments.symbols("spot") == ["A", "NEW"], "the other category is up to date"
    assert instruments.get(("linear", "A")).definition_version == 1
    assert (tmp_path / "instruments-linear.json").read_bytes() == kept
    assert logs == [], "the caller says it"


async def test_reload_keeps_a_good_copy(rest: Rest, exchange: Exchange, tmp_path: Path) -> None:
    instruments = await loaded(rest, directory=tmp_path)
    exchange.trade("linear", "NEW")
    await instruments.reload({"linear": None})
    exchange.status["linear"] = 404
    again = await loaded(rest, directory=tmp_path)
    assert again.symbols("linear") == ["A", "B", "C", "D", "NEW"]


async def test_published_instrument_missing_for_a_moment_is_asked_for_alone_and_stays(
    rest: Rest, exchange: Exchange
) -> None:
    instruments = await loaded(rest, ("linear", "A"), ("linear", "B"), ("linear", "C"))
    for symbol, status in (("A", "Trading"), ("B", "Delivering")):
        exchange.alone["linear", symbol] = exchange.listed["linear", symbol] | {"status": status}
    exchange.forget("linear", "A", "B")
    assert await instruments.reload({"linear": None}) == {}
    assert exchange.asked == ["A", "B"]
    assert instruments.get(("linear", "A")).status is TradingStatus.TRADING
    assert instruments.get(("linear", "A")).definition_version == 1
    assert instruments.get(("linear", "B")).status is TradingStatus.DELIVERING


async def test_published_instrument_that_is_gone_is_closed_and_asked_for_once(rest: Rest, exchange: Exchange) -> None:
    instruments = await loaded(rest, ("linear", "A"), ("linear", "B"))
    exchange.forget("linear", "A")
    for _ in range(2):
        assert await instruments.reload({"linear": None}) == {}
        assert instruments.get(("linear", "A")).status is TradingStatus.CLOSED
    assert exchange.asked == ["A"]
    exchange.trade("linear", "A")
    await instruments.reload({"linear": None})
    listed_again = instruments.get(("linear", "A"))
    assert (listed_again.status, listed_again.definition_version) == (TradingStatus.TRADING, 3)


@pytest.mark.parametrize("status", [403, 404, 500])
async def test_closure_that_rest_does_not_confirm_waits_for_the_next_reload(
    rest: Rest, exchange: Exchange, status: int
) -> None:
    instruments = await loaded(rest, ("linear", "A"), ("linear", "B"))
    exchange.forget("linear", "A", "B")
    exchange.status["A"] = status
    with capture_logs() as logs:
        assert await instruments.reload({"linear": None}) == {}
    assert set(exchange.asked) == {"A"}, "one failure is enough to leave the venue alone"
    (line,) = [line for line in logs if line["event"] == "listings not confirmed"]
    assert (line["log_level"], line["count"]) == ("warning", 2)
    assert {instruments.get(("linear", symbol)).status for symbol in "AB"} == {TradingStatus.TRADING}


async def test_entry_that_makes_no_sense_closes_no_published_instrument(rest: Rest, exchange: Exchange) -> None:
    instruments = await loaded(rest, ("linear", "A"), ("linear", "B"))
    exchange.trade("linear", "A", priceFilter={"tickSize": "dear"})
    exchange.trade("linear", "B", priceFilter=None)
    assert await instruments.reload({"linear": None}) == {}
    assert {instruments.get(("linear", symbol)).status for symbol in "AB"} == {TradingStatus.TRADING}


async def test_table_in_which_hardly_anything_trades_any_longer_is_not_believed(rest: Rest, exchange: Exchange) -> None:
    instruments = await loaded(rest, ("linear", "A"))
    for status in ("Closed", "Delivering", "PreLaunch", "Whatever"):
        exchange.trade("linear", "A", "B", "C", status=status)
        failure = (await instruments.reload({"linear": None}))["linear"]
        assert "lists 3 of 4 linear instruments no longer, or not as trading" in str(failure)
        assert instruments.symbols("linear") == ["A", "B", "C", "D"]
    assert instruments.refused_tables == 4
    exchange.trade("linear", "A", "B")
    assert await instruments.reload({"linear": None}) == {}


async def test_options_past_their_last_day_may_all_be_gone(rest: Rest, exchange: Exchange) -> None:
    clock = ManualClock(wall_ns=1_795_766_400 * SECOND_NS)  # 2026-11-27 08:00 UTC
    expired = [f"BTC-{day}-{strike}-C" for day in ("20NOV26", "26NOV26", "27NOV26") for strike in range(5)]
    exchange.trade("option", *expired, "BTC-28NOV26-1-C", "BTC-25DEC26-1-C-USDT")
    instruments = instrument_table(rest.url, clock)
    await load(instruments, {"option": [CALL[1]]})
    exchange.forget("option", *expired)
    exchange.trade("option", "BTC-29NOV26-1-C")
    assert await instruments.reload({"option": [CALL[1]]}) == {}
    assert instruments.symbols("option") == ["BTC-25DEC26-1-C-USDT", "BTC-28NOV26-1-C", "BTC-29NOV26-1-C"]
    exchange.forget("option", "BTC-25DEC26-1-C-USDT", "BTC-28NOV26-1-C")
    assert "lists 2 of 3 option instruments" in str((await instruments.reload({"option": [CALL[1]]}))["option"])


async def test_table_that_lacks_more_than_half_is_not_believed(rest: Rest, exchange: Exchange, tmp_path: Path) -> None:
    instruments = await loaded(rest, ("linear", "A"), directory=tmp_path)
    kept = (tmp_path / "instruments-linear.json").read_bytes()
    exchange.forget("linear", "A", "B", "C")
    for attempt in (1, 2):
        (failure,) = (await instruments.reload({"linear": None})).values()
        assert "lists 3 of 4 linear instruments no longer" in str(failure)
        assert failure.retriable
        assert instruments.refused_tables == attempt
    assert instruments.symbols("linear") == ["A", "B", "C", "D"]
    assert exchange.asked == []
    assert (tmp_path / "instruments-linear.json").read_bytes() == kept
    exchange.trade("linear", "C")
    assert await instruments.reload({"linear": None}) == {}, "half of them is believed"
    assert instruments.symbols("linear") == ["C", "D"]


async def test_many_listings_of_an_old_copy_may_be_gone(rest: Rest, exchange: Exchange, tmp_path: Path) -> None:
    await loaded(rest, directory=tmp_path)
    exchange.forget("linear", "A", "B", "C")
    exchange.status["linear"] = 503
    instruments = await loaded(rest, directory=tmp_path)
    assert instruments.symbols("linear") == ["A", "B", "C", "D"]
    exchange.status.clear()
    assert await instruments.reload({"linear": None}) == {}
    assert instruments.symbols("linear") == ["D"]


async def test_empty_list_of_a_category_is_a_failure(rest: Rest, exchange: Exchange) -> None:
    instruments = await loaded(rest, ("linear", "A"))
    exchange.forget("linear", "A", "B", "C", "D")
    (failure,) = (await instruments.reload({"linear": None})).values()
    assert "lists no linear instruments" in str(failure)
    assert instruments.symbols("linear") == ["A", "B", "C", "D"]


async def test_instrument_published_before_keeps_its_scale_and_version_when_listed_again(
    rest: Rest, exchange: Exchange
) -> None:
    instruments = await loaded(rest, ("linear", "A"))
    instruments.make_finer(("linear", "A"), -4, -3)
    instruments.release(("linear", "A"))
    exchange.forget("linear", "A")
    await instruments.reload({"linear": None})
    assert "A" not in instruments.symbols("linear")
    exchange.trade("linear", "A")
    await instruments.reload({"linear": None})
    a = instruments.get(("linear", "A"))
    assert (a.price_exponent, a.definition_version, a.status) == (-4, 4, TradingStatus.TRADING)


async def test_expired_options_are_forgotten_once_nobody_follows_them(rest: Rest, exchange: Exchange) -> None:
    exchange.trade("option", CALL[1], PUT[1], "BTC-25DEC26-1-C", "ETH-25DEC26-1-C")
    instruments = table(rest.url)
    await load(instruments, {"option": None})
    instruments.claim(CALL)
    exchange.forget("option", CALL[1], PUT[1])
    exchange.trade("option", "BTC-25DEC27-1-C")
    await instruments.reload({"option": None})
    assert instruments.symbols("option") == ["BTC-25DEC26-1-C", "BTC-25DEC27-1-C", "ETH-25DEC26-1-C"]
    assert instruments.get(CALL).status is TradingStatus.CLOSED
    instruments.release(CALL)
    await instruments.reload({"option": None})
    for key in (CALL, PUT):
        with pytest.raises(InstrumentError):
            instruments.get(key)
    assert exchange.asked == [CALL[1]]


async def test_options_of_a_coin_that_was_not_asked_for_are_not_gone(rest: Rest, exchange: Exchange) -> None:
    exchange.trade("option", CALL[1], "ETH-25DEC26-1-C", "ETH-25DEC26-2-C", "ETH-25DEC26-3-C")
    instruments = table(rest.url)
    await load(instruments, {"option": None})
    instruments.claim(("option", "ETH-25DEC26-1-C"))
    assert await instruments.reload({"option": [CALL[1]]}) == {}
    assert len(instruments.symbols("option")) == 4


async def test_questions_about_many_that_are_gone_are_paced_and_shared_among_processes(
    rest: Rest, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    symbols = [f"S{n}" for n in range(30)]
    exchange.trade("linear", *symbols)
    instruments = instrument_table(rest.url, clock, share=4)
    await load(instruments, {"linear": None})
    for symbol in symbols[:7]:
        instruments.claim(("linear", symbol))
    exchange.forget("linear", *symbols[:7])
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(round(seconds, 3))
        clock.advance(seconds)

    monkeypatch.setattr("feeder.bybit.instruments.asyncio.sleep", sleep)
    assert await instruments.reload({"linear": None}) == {}
    assert exchange.asked == symbols[:7]
    assert waits == [0.2, 0.2], "20 at once and 20 a second, among four"


# The copy on disk


async def test_processes_that_share_a_directory_do_not_share_the_file_they_write(
    rest: Rest, exchange: Exchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    original = Path.write_bytes

    def write(path: Path, data: bytes) -> int:
        written.append(path.name)
        return original(path, data)

    monkeypatch.setattr(Path, "write_bytes", write)
    for process in (11, 12):
        monkeypatch.setattr("feeder.bybit.instrument_copies.os.getpid", lambda process=process: process)
        await load(table(rest.url, tmp_path), {"spot": None})
    assert written == ["instruments-spot.11.tmp", "instruments-spot.12.tmp"]
    assert names(tmp_path) == ["instruments-spot.json"]


async def test_directory_that_can_be_neither_written_nor_read_is_a_warning(
    rest: Rest, exchange: Exchange, tmp_path: Path
) -> None:
    no_directory = tmp_path / "file"
    no_directory.write_text("")
    (tmp_path / "state" / "instruments-linear.json").mkdir(parents=True)  # as good as a file nobody may read
    for directory in (no_directory, tmp_path / "state"):
        exchange.status.clear()
        with capture_logs() as logs:
            instruments = table(rest.url, directory)
            await load(instruments, {"linear": None})
            assert await instruments.reload({"linear": None}) == {}
        assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["instruments not kept"] * 2
        assert instruments.symbols("linear") == ["A", "B", "C", "D"]
        exchange.status["linear"] = 503
        (failure,) = (await table(rest.url, directory).load({"linear": None})).values()
        assert failure.retriable, "what it is about is REST, which may answer the next time"
        assert "unreadable" in str(failure) or "is not a directory" in str(failure).lower()
    assert names(tmp_path / "state") == ["instruments-linear.json"], "nothing half-written stays"


async def test_copy_is_json_that_tells_where_it_is_from(rest: Rest, exchange: Exchange, tmp_path: Path) -> None:
    await loaded(rest, directory=tmp_path)
    copy = json.loads((tmp_path / "instruments-linear.json").read_bytes())
    assert copy["rest_url"] == rest.url
