"""What becomes of the table after the replies kept, where that is more than that no harm is done."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from feeder.bybit.instruments import InstrumentTable
from feeder.bybit.rest import transport
from feeder.clock import ManualClock
from feeder.errors import RestError
from tests.fuzz import rest
from tests.fuzz.corpus import DATA
from tests.helpers.instruments import close_tables, instrument_table


def played(name: str, directory: Path) -> tuple[InstrumentTable, list[str], list[str]]:
    """The table, the errors and the events logged."""
    table, errors, logged = asyncio.run(rest.play((DATA / "rest" / name).read_bytes(), directory))
    return table, [str(error) for error in errors], logged


def test_empty_list_is_a_failure_and_the_last_good_copy_stays_and_serves(tmp_path):
    table, errors, logged = played("empty-list", tmp_path)
    assert table.symbols("linear") == []  # asked for again, it was listed no longer
    assert "instruments from the copy on disk" in logged
    assert len(msgspec.json.decode((tmp_path / "instruments-linear.json").read_bytes())["instruments"]) == 1
    assert len(errors) == 1  # of the time


@pytest.mark.parametrize("name", ["scale-of-18-digits-later", "one-symbol-twice"])
def test_tick_many_digits_finer_than_before_is_not_believed(tmp_path, name):
    table, _, logged = played(name, tmp_path)
    assert table.get(rest.KEY).price_exponent == -2
    assert "instruments not understood" in logged


def test_cursors_that_go_in_a_circle_end_where_they_began(tmp_path):
    table, _, _ = played("cursors-in-a-circle", tmp_path)
    assert table.symbols("linear") == ["BTCUSDT"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nesting-in-the-result", "not a reply of the API"),
        ("nesting-in-the-copy", "the copy .* is unreadable: maximum recursion depth"),
        ("copy-of-no-time", "the copy .* is unreadable"),
        ("redirect", "HTTP 302"),
        ("gzip-that-is-none", "ContentEncodingError|ClientPayloadError"),
        ("length-that-never-comes", "ClientPayloadError"),
        ("html", "HTML instead of JSON"),
    ],
)
def test_reply_that_is_none_is_an_error_that_says_so(tmp_path, name, said):
    _, errors, _ = played(name, tmp_path)
    assert re.search(said, errors[0])


def test_table_that_lacks_more_than_half_when_it_is_loaded_anew_is_not_believed(tmp_path):
    table, _, _ = played("table-that-shrinks", tmp_path)
    assert table.symbols("linear") == ["BTCUSDT", "ETHUSDT", "XRPUSDT"]
    assert table.refused_tables == 1


def test_turnovers_that_are_none_are_said_once_a_reply(tmp_path):
    table, _, logged = played("turnovers-of-no-kind", tmp_path)
    assert logged.count("turnover not understood") == 3
    assert table.odd_turnovers >= 12


@contextlib.asynccontextmanager
async def table_of(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[InstrumentTable]:
    """A table whose exchange answers like this."""
    app = web.Application()
    app.router.add_get("/v5/market/instruments-info", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield instrument_table(url, ManualClock())
    await close_tables()
    await runner.cleanup()


async def test_body_without_end_is_given_up_before_it_fills_the_memory(monkeypatch):
    monkeypatch.setattr(transport, "_LARGEST_BODY", 100_000)
    sent = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while sent < 50_000_000:
                await response.write(b" " * 10_000)
                sent += 10_000
        except ConnectionError:
            pass  # the client has seen enough
        return response

    async with table_of(answer) as table:
        with pytest.raises(RestError, match="over 100000 bytes"):
            await rest.loaded(table)
    assert sent < 50_000_000


async def test_pages_without_a_last_one_are_an_error():
    pages = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal pages
        pages += 1
        return web.json_response({"retCode": 0, "result": {"list": [], "nextPageCursor": str(pages)}})

    async with table_of(answer) as table:
        with pytest.raises(RestError, match="linear has no last of 30 pages"):
            await rest.loaded(table)
    assert pages == 30
