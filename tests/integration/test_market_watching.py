"""What is watched, again, otherwise, no longer, or cannot be; against the simulated venue."""

import asyncio
from typing import Any

import pytest

from feeder.bybit.rest.client import BybitClient
from feeder.bybit.rest.pool import SessionPool
from feeder.bybit.system.market import Market, SymbolStatus
from feeder.errors import InstrumentError, RestError, StreamError, VenueError
from feeder.market.status import BookStatus
from feeder.simulator.script import parse_fault
from feeder.simulator.server import Simulator
from tests.helpers.market_scene import BTC, ETH, SECONDS, fault, market, score, sim, trades_told, until, watch

__all__ = ["market", "sim"]


@pytest.mark.parametrize(
    ("category", "symbol", "depth", "problem"),
    [
        ("linear", "NOSUCHUSDT", 50, "NOSUCHUSDT"),
        ("option", "BTC-1JAN20-1-C", 25, "BTC-1JAN20-1-C"),
        ("linear", "BTCUSDT", 49, "linear BTCUSDT: no depth 49; use one of 1, 50, 200, 1000"),
        ("perpetual", "BTCUSDT", 50, "no category 'perpetual'; use one of spot, linear"),
    ],
)
async def test_what_cannot_be_watched_is_named(
    market: Market, category: str, symbol: str, depth: int, problem: str
) -> None:
    with pytest.raises(VenueError, match=problem):
        await market.watch(category, symbol, depth=depth)
    assert market.watched == []


async def test_another_depth_is_refused_and_the_watched_one_goes_on(market: Market) -> None:
    await watch(market, BTC)
    with pytest.raises(VenueError, match="wanted at depth 50 already"):
        await market.watch(*BTC, depth=200)
    assert market.watched == [BTC]
    assert score(market) == 100.0


async def test_what_is_wanted_of_a_symbol_can_change(market: Market) -> None:
    view = await watch(market, BTC, ticker=False, trades=False)
    assert (await view.ticker()).source == "rest"
    assert market.status().tickers == {}
    await watch(market, BTC)
    assert (await view.ticker()).source == "stream"


async def test_what_is_wanted_no_longer_is_not_told_as_the_streams(market: Market) -> None:
    view = await watch(market, BTC)
    await until(lambda: trades_told(market) >= 2)
    assert ((await view.ticker()).source, (await view.trades(2)).source) == ("stream", "stream")
    await watch(market, BTC, ticker=False, trades=False)
    assert ((await view.ticker()).source, (await view.trades(2)).source) == ("rest", "rest")
    assert market.status().tickers["linear"].topics == 0
    await watch(market, BTC)
    assert (await view.trades(trades_told(market))).source == "rest"  # there is a hole in them
    assert market.quality(*BTC).part("age").value == 1.0


async def test_a_symbol_that_is_listed_again_may_be_watched_again(sim: Simulator, market: Market) -> None:
    view = await watch(market, BTC)
    for unwatched in (True, False):
        fault(sim, "delist", BTC)
        await sim.drop_connections()
        await until(lambda: view.live_book is not None and view.live_book.status is BookStatus.DELISTED)
        if unwatched:
            await market.unwatch(*BTC)
        with pytest.raises(InstrumentError, match="linear BTCUSDT is closed"):
            await market.watch(*BTC)
        fault(sim, "list", BTC)
        await watch(market, BTC)
        (status,) = market.status().symbols
        assert (status.score, status.weakness) == (100.0, "")


async def test_an_unwatched_symbol_is_silent_and_may_be_watched_again(market: Market) -> None:
    view = await watch(market, BTC)
    waiting = asyncio.create_task(market.symbol(*BTC).ready(SECONDS))
    await waiting
    assert await market.unwatch(*BTC)
    assert not await market.unwatch(*BTC)
    events: list[object] = []
    for channel in (market.books, market.trades, market.tickers):
        channel.on(events.append)
    await asyncio.sleep(0.1)
    assert (events, market.watched, market.status().tickers) == ([], [], {})
    assert view.live_book is None
    await watch(market, BTC)
    assert score(market) == 100.0


async def test_unwatching_ends_the_wait_for_its_data(sim: Simulator, market: Market) -> None:
    sim.refuse("linear", "orderbook.50.BTCUSDT", times=1000)
    view = await market.watch(*BTC)
    waiting = asyncio.create_task(view.ready(SECONDS))
    await asyncio.sleep(0)
    await market.unwatch(*BTC)
    with pytest.raises(StreamError, match="is not watched"):
        await waiting


async def test_closing_ends_the_wait_for_data(sim: Simulator, market: Market) -> None:
    sim.refuse("linear", "orderbook.50.BTCUSDT", times=1000)
    view = await market.watch(*BTC)
    waiting = asyncio.create_task(view.ready(SECONDS))
    await asyncio.sleep(0)
    await market.aclose()
    with pytest.raises(StreamError, match="is not watched"):
        await waiting


async def test_a_market_that_closes_while_a_symbol_is_asked_for_watches_nothing(sim: Simulator, market: Market) -> None:
    sim.inject(parse_fault({"fault": "rest", "how": "hang", "path": "/v5/market/instruments-info", "seconds": 0.1}))
    watching = asyncio.create_task(market.watch(*BTC))
    await asyncio.sleep(0)
    await market.aclose()
    with pytest.raises(StreamError, match="the market is not open"):
        await watching
    assert (market.watched, market.status().connections) == ([], 0)


async def test_two_watched_at_once_read_their_table_once(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[object] = []
    load = market._feeds._instruments.load

    async def count(wanted: Any) -> Any:
        loaded.append(wanted)
        return await load(wanted)

    monkeypatch.setattr(market._feeds._instruments, "load", count)
    await asyncio.gather(*(watch(market, key) for key in (BTC, ETH)))
    assert loaded == [{"linear": None}]


async def test_a_refused_topic_is_told_and_the_score_says_why(sim: Simulator, market: Market) -> None:
    errors: list[Exception] = []
    market.errors.on(errors.append)
    sim.refuse("linear", "orderbook.50.BTCUSDT", times=1)
    view = await market.watch(*BTC)
    await until(lambda: bool(errors))
    assert "linear BTCUSDT: the venue refuses its book" in str(errors[0])
    quality = market.quality(*BTC)
    assert (quality.score, quality.part("gaps").value) == (0.0, 0.0)
    assert "REFUSED" in quality.part("gaps").sentence
    (status,) = market.status().symbols
    assert status.weakness.startswith(("no data of book", "the book is SYNCING (REFUSED)"))  # the ticker came, or not
    assert status == SymbolStatus("linear", "BTCUSDT", 50, "SYNCING", "REFUSED", None, 0.0, status.weakness)
    await view.ready(SECONDS)
    [status] = market.status().symbols
    assert (status.book, status.reason, status.score) == ("LIVE", "SNAPSHOT", 100.0)
    assert status.age_seconds is not None


async def test_not_ready_in_time_says_what_is_lacking(sim: Simulator, market: Market) -> None:
    sim.refuse("linear", "orderbook.50.BTCUSDT", times=1000)
    view = await market.watch(*BTC)
    with pytest.raises(StreamError, match=r"linear BTCUSDT: no data within 0\.05 s: the book is SYNCING"):
        await view.ready(0.05)


async def test_a_failed_watch_leaves_nothing_and_may_be_tried_again(sim: Simulator, market: Market) -> None:
    sim.inject(parse_fault({"fault": "rest", "how": 404, "path": "/v5/market/instruments-info", "times": 1}))
    with pytest.raises(RestError, match="404"):
        await market.watch(*BTC)
    assert market.watched == []
    await watch(market, BTC)


async def test_a_watch_that_the_pool_refuses_leaves_nothing(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market._feeds._pool, "subscribe", lambda _: [VenueError("two ids alike")])
    with pytest.raises(VenueError, match="two ids alike"):
        await market.watch(*BTC)
    assert market.watched == []


async def test_an_option_whose_trades_were_let_go_of_begins_anew_though_others_share_the_topic(
    sim: Simulator, market: Market
) -> None:
    one, other = [("option", listing.symbol) for listing in sim.exchange.source.listings("option")[:2]]
    assert one[1].partition("-")[0] == other[1].partition("-")[0]
    for key in (one, other):
        await watch(market, key, depth=25)
    await until(lambda: market._feeds.whole_trades(one) > 0)
    await watch(market, one, depth=25, trades=False)
    await market.watch(*one, depth=25)
    assert market._feeds.whole_trades(one) == 0
    await until(lambda: market._feeds.whole_trades(one) > 0)


async def test_watching_needs_an_open_market(sim: Simulator) -> None:
    async with SessionPool() as pool:
        client = BybitClient(pool=pool, base_url=sim.rest_url)
        market = Market(client, websocket_url=sim.websocket_url)
        with pytest.raises(StreamError, match="the market is not open"):
            await market.watch(*BTC)
        await market.aclose()
