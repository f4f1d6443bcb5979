"""The market against the simulated venue: what it knows is exact, and its quality says when it is not."""

import asyncio
import itertools
import time
from decimal import Decimal

import pytest

from feeder.bybit.rest.client import BybitClient
from feeder.bybit.rest.pool import SessionPool
from feeder.bybit.streams import topic_stream
from feeder.bybit.streams.messages import TickerUpdate
from feeder.bybit.system import market_feeds
from feeder.bybit.system.books import BookEvent
from feeder.bybit.system.market import Market
from feeder.bybit.system.market_trades import Trade
from feeder.errors import InstrumentError, PoolError, StreamError
from feeder.market.status import BookStatus, StatusReason
from feeder.simulator.script import parse_fault
from feeder.simulator.server import Simulator
from tests.helpers.market_scene import (
    BTC,
    ETH,
    QUICK,
    SECONDS,
    fault,
    forget,
    market,
    score,
    sim,
    trades_told,
    until,
    watch,
)

__all__ = ["market", "sim"]


MINUTE = 60_000


async def test_a_watched_book_is_the_venues_own_at_the_same_update(sim: Simulator, market: Market) -> None:
    view = await watch(market, BTC)
    book = view.live_book
    assert book is not None
    ids = {book.update_id}
    for _ in range(20):
        await until(lambda: book.update_id not in ids)
        ids.add(book.update_id)
        state = sim.exchange.source.book(*BTC, 50)
        assert state is not None
        at = state.book.at(book.update_id)
        assert at is not None
        bids, asks = state.sides(at[0])
        ours = [[(level.price, level.size) for level in side] for side in book.levels()]
        assert ours == [[(Decimal(price), Decimal(size)) for price, size in side] for side in (bids, asks)]
    told = await view.book(3)
    assert (told.source, len(told.value.bids), told.value.symbol) == ("stream", 3, "BTCUSDT")
    assert 0 <= told.age_seconds < SECONDS


@pytest.mark.parametrize(("category", "depth"), [("linear", 1), ("spot", 50), ("option", 25)])
async def test_every_category_has_books_tickers_and_prices(
    sim: Simulator, market: Market, category: str, depth: int
) -> None:
    symbol = sim.exchange.source.listings(category)[0].symbol
    events: list[BookEvent] = []
    tickers: list[TickerUpdate] = []
    market.books.on(events.append)
    market.tickers.on(tickers.append)
    view = await watch(market, (category, symbol), depth=depth)
    prices = await view.last_prices()
    assert prices.last is not None
    assert prices.bid is not None
    assert prices.ask is not None
    assert prices.bid.value < prices.ask.value
    assert (prices.bid.source, (await view.ticker()).source) == ("stream", "stream")
    assert score(market, (category, symbol)) == 100.0
    await until(lambda: bool(events))  # told at the end of a turn, of which what is ready may be the beginning
    assert {(event.category, event.symbol) for event in events} == {(category, symbol)}
    assert {(event.category, event.symbol) for event in tickers} == {(category, symbol)}
    assert (await view.instrument()).value.symbol == symbol
    assert (await view.fee_rate()).value.taker_fee_rate is not None


async def test_what_is_not_watched_comes_by_rest_and_its_quality_is_0(market: Market) -> None:
    view = market.symbol(*BTC)
    ticker, book, trades = await view.ticker(), await view.book(5), await view.trades(10)
    assert {each.source for each in (ticker, book, trades)} == {"rest"}
    assert (len(book.value.bids), len(trades.value)) == (5, 10)
    assert score(market) == 0.0
    again = await view.ticker()
    assert again.value is ticker.value
    assert market.status().caches["tickers"].hits == 1
    with pytest.raises(StreamError, match="linear BTCUSDT is not watched; call watch"):
        await view.ready()


async def test_many_who_ask_at_once_make_one_request(market: Market) -> None:
    view = market.symbol(*BTC)
    tickers = await asyncio.gather(*(view.ticker() for _ in range(50)))
    assert len({id(each.value) for each in tickers}) == 1
    counts = market.status().caches["tickers"]
    assert (counts.misses, counts.joined) == (1, 49)


async def test_a_gap_costs_quality_and_is_forgotten(sim: Simulator, market: Market) -> None:
    lost: list[BookEvent] = []
    market.books.on(lambda event: None if event.status is BookStatus.LIVE else lost.append(event))
    await watch(market, BTC)
    sim.skip_update(*BTC)
    await until(lambda: bool(lost))
    assert (lost[-1].status, lost[-1].reason, lost[-1].bid) == (BookStatus.STALE, StatusReason.GAP, None)
    await until(lambda: 0 < score(market) < 100)
    gaps = market.quality(*BTC).part("gaps")
    assert gaps.sentence == "1 interruption in the last 300 s, the last of the book: GAP"
    assert gaps.number == 1.0
    forget(market, BTC)
    await until(lambda: score(market) == 100.0)


async def test_a_crossed_book_is_not_shown_costs_quality_and_is_forgotten(sim: Simulator, market: Market) -> None:
    worst: list[float] = []
    crossed: list[BookEvent] = []

    def look(event: BookEvent) -> None:
        assert event.bid is None or event.ask is None or event.bid.price < event.ask.price
        if event.reason is StatusReason.CROSSED:
            crossed.append(event)
            worst.append(market.quality(*BTC).part("crossed").value)

    errors: list[Exception] = []
    market.errors.on(errors.append)
    market.books.on(look)
    await watch(market, BTC)
    fault(sim, "crossed", BTC)
    await until(lambda: bool(crossed))
    assert worst[0] == 0.0
    await until(lambda: 0 < score(market) < 100)
    quality = market.quality(*BTC)
    assert quality.part("crossed").sentence == "crossed 1 time in the last 300 s"
    assert quality.part("gaps").value == 1.0
    forget(market, BTC)
    await until(lambda: score(market) == 100.0)
    assert errors == []


async def test_while_the_venue_is_away_rest_answers_and_the_stream_takes_over_again(
    sim: Simulator, market: Market
) -> None:
    view = await watch(market, BTC)
    await sim.drop_connections()
    await until(lambda: score(market) == 0.0)
    assert "DISCONNECTED" in market.quality(*BTC).part("gaps").sentence
    sources = ((await view.book(1)).source, (await view.ticker()).source)
    assert sources == ("rest", "rest")
    await view.ready(SECONDS)
    assert ((await view.book(1)).source, (await view.ticker()).source) == ("stream", "stream")
    assert market.quality(*BTC).part("gaps").number == 1.0, "of book and ticker, at once"
    forget(market, BTC)
    await until(lambda: score(market) == 100.0)


async def test_trades_of_both_sources_are_one_list_each_once(market: Market) -> None:
    told: list[Trade] = []
    market.trades.on(told.append)
    view = await watch(market, BTC)
    await until(lambda: len(told) >= 3)
    merged = await view.trades(200)
    assert merged.source == "rest"
    ids = [trade.trade_id for trade in merged.value]
    assert len(ids) == len(set(ids)) == 200
    assert [trade.time_ms for trade in merged.value] == sorted(trade.time_ms for trade in merged.value)
    assert set(told) <= set((await view.trades(1000)).value)
    assert (await view.trades(2)).source == "stream"


async def test_a_hole_in_the_streams_trades_is_filled_by_rest(sim: Simulator, market: Market) -> None:
    told: list[Trade] = []
    market.trades.on(told.append)
    view = await watch(market, BTC)
    await until(lambda: len(told) >= 3)
    assert (await view.trades(3)).source == "stream"
    await sim.drop_connections()
    await until(lambda: score(market) == 0.0)
    assert (await view.trades(3)).source == "rest"


async def test_one_symbols_trouble_is_its_own(sim: Simulator, market: Market) -> None:
    errors: list[Exception] = []
    market.errors.on(errors.append)
    await watch(market, ETH)
    view = await watch(market, BTC)
    scores: list[float] = []
    market.books.on(lambda event: scores.append(score(market, ETH)))
    fault(sim, "malformed", BTC)
    await until(lambda: score(market) < 100)
    fault(sim, "delist", BTC)
    book = view.live_book
    assert book is not None
    # The venue ends a delisted symbol's topics when they are asked for anew.
    sim.skip_update(*BTC)
    await sim.drop_connections()
    await until(lambda: book.status is BookStatus.DELISTED)
    assert [str(error) for error in errors if isinstance(error, InstrumentError)] == [
        "linear BTCUSDT is delisted, nothing more will come; unwatch it"
    ]
    with pytest.raises(InstrumentError, match="BTCUSDT is delisted"):
        await view.ready()
    forget(market, ETH)
    await until(lambda: score(market, ETH) == 100.0)
    assert score(market) == 0.0


async def test_a_finer_tick_is_followed(sim: Simulator, market: Market) -> None:
    view = await watch(market, BTC)
    book = view.live_book
    assert book is not None
    before = book.instrument.price_exponent
    fault(sim, "tick_change", BTC, tick="0.001")
    await until(lambda: book.instrument.price_exponent < before and book.live)
    state = sim.exchange.source.book(*BTC, 50)
    assert state is not None
    held = state.book.at(book.update_id)
    assert held is not None
    assert [level.price for level in book.levels()[0]] == [Decimal(price) for price, _ in state.sides(held[0])[0]]


async def test_a_delisting_that_no_message_tells_of_is_seen_by_rest(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(market_feeds, "REFRESH_SECONDS", 0.02)
    errors: list[Exception] = []
    async with SessionPool(requests=100_000) as pool:
        client = BybitClient(pool=pool, base_url=sim.rest_url)
        async with Market(client, websocket_url=sim.websocket_url, timing=QUICK) as other:
            other.errors.on(errors.append)
            await watch(other, ETH)
            view = await watch(other, BTC)
            sim.inject(parse_fault({"fault": "rest", "how": 404, "path": "/v5/market/instruments-info", "times": 1}))
            await until(lambda: bool(errors))  # a question that fails is told, and asked again
            assert "404" in str(errors[0])
            fault(sim, "delist", BTC, status="Closed")
            book = view.live_book
            assert book is not None
            await until(lambda: book.status is BookStatus.DELISTED)
            assert score(other, ETH) > 0


async def test_reads_of_an_unknown_symbol_name_it(market: Market) -> None:
    view = market.symbol("linear", "NOSUCHUSDT")
    for read in (view.ticker, view.book, view.trades, view.instrument, view.fee_rate, view.history("1", 0).list):
        with pytest.raises(InstrumentError, match="linear NOSUCHUSDT: the venue lists no such instrument"):
            await read()


async def test_trades_on_a_connection_of_their_own_are_broken_when_that_is(market: Market) -> None:
    market._feeds._pool._topics_per_connection = 1
    view = await watch(market, BTC)
    await until(lambda: trades_told(market) >= 2)
    assert ((await view.trades(2)).source, market.status().connections) == ("stream", 2)
    market._feeds._pool._trade_stream_of["linear", "publicTrade.BTCUSDT"].drop("cut")
    assert ((await view.book()).source, (await view.trades(1)).source) == ("stream", "rest")
    told = trades_told(market)
    await until(lambda: trades_told(market) > told)
    assert (await view.trades(1)).source == "stream"
    assert (await view.trades(told + 1)).source == "rest"


async def test_trades_missed_while_the_book_was_not_live_either_are_missed(sim: Simulator, market: Market) -> None:
    view = await watch(market, BTC)
    await until(lambda: trades_told(market) >= 2)
    sim.refuse("linear", "orderbook.50.BTCUSDT", times=1000)
    sim.skip_update(*BTC)
    await until(lambda: score(market) == 0.0)
    assert (await view.trades(2)).source == "stream"
    await sim.drop_connections()
    await until(lambda: market.status().connected == 0)
    assert (await view.trades(1)).source == "rest"


async def test_a_cut_of_some_tickers_is_no_interruption_of_the_others(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic_stream, "TOPICS_PER_CONNECTION", 1)
    views = [await watch(market, key) for key in (BTC, ETH)]
    stream = market._feeds._tickers["linear"]
    stream._stream_of["tickers.BTCUSDT"].drop("cut")
    assert [(await view.ticker()).source for view in views] == ["rest", "stream"]
    assert market.quality(*BTC).part("gaps").number == 1.0
    assert market.quality(*ETH).part("gaps").number == 0.0
    await views[0].ready(SECONDS)
    assert (await views[0].ticker()).source == "stream"


async def test_bars_are_read_once_and_count_for_quality(market: Market) -> None:
    await watch(market, BTC)
    now = time.time_ns() // 1_000_000
    start, end = now - 2500 * MINUTE, now - 2 * MINUTE
    first = await market.candles(*BTC, "1", start, end)
    assert len(first.candles) == 2498
    assert all(later.start_ms - each.start_ms == MINUTE for each, later in itertools.pairwise(first.candles))
    misses = market.status().caches["history"].misses
    assert [candle async for candle in market.history(*BTC, "1", start, end)] == first.candles
    assert market.status().caches["history"].misses == misses
    assert market.quality(*BTC).part("candles").sentence == "0 of 2498 bars missing"
    assert market.invalidate(*BTC) >= 3


async def test_before_the_launch_there_are_no_bars_and_none_are_missing(market: Market) -> None:
    launch = 1_585_526_400_000
    candles = await market.candles(*BTC, "5", launch - 10_000_000 * MINUTE, launch + 50 * MINUTE)
    assert [candle.start_ms for candle in candles.candles] == list(range(launch, launch + 50 * MINUTE, 5 * MINUTE))
    assert candles.missing == []
    assert market.status().caches["history"].misses <= 3


async def test_closing_ends_iterators_and_questions(sim: Simulator) -> None:
    async with SessionPool() as pool:
        client = BybitClient(pool=pool, base_url=sim.rest_url)
        market = Market(client, websocket_url=sim.websocket_url)
        await market.start()
        await market.start()
        await watch(market, BTC)
        sim.inject(parse_fault({"fault": "rest", "how": "hang", "path": "/v5/market/instruments-info", "seconds": 60}))
        question = asyncio.create_task(market.symbol(*BTC).instrument())
        events = market.books.events()
        await anext(events)
        await market.aclose()
        await market.aclose()
        with pytest.raises(PoolError, match="closed while"):
            await question
        assert all([isinstance(event, BookEvent) async for event in events])  # and it ends
        assert market.watched == []
        ours = ("market", "fetch", "close", "instrument", "venue's clock", "wss", "ws:")
        assert [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith(ours)] == []
