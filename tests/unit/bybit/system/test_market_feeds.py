"""What the market makes of updates: told once per turn of the loop, one symbol's trouble kept from another."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from random import Random

import pytest

from feeder.bybit.rest.client import BybitClient
from feeder.bybit.streams.messages import TickerUpdate
from feeder.bybit.system.books import BookEvent
from feeder.bybit.system.market_feeds import MarketFeeds
from feeder.bybit.system.market_symbol import WatchedSymbol
from feeder.bybit.system.market_trades import Trade
from feeder.clock import ManualClock
from feeder.errors import StreamError
from feeder.market.instrument import Instrument, InstrumentKey, TradingStatus
from feeder.market.status import BookStatus, StatusReason
from feeder.market.update import BookUpdate, Side, TradeUpdate

BTC = ("linear", "BTCUSDT")
ETH = ("linear", "ETHUSDT")


class Scene:
    """Feeds that nothing is connected to: a test is their pool."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        client = BybitClient(base_url="http://127.0.0.1:9")  # nothing is asked of it
        self.feeds = MarketFeeds(client, "ws://127.0.0.1:9", 300.0, clock=self.clock, random=Random(1), timing=None)
        self.asked: list[tuple[InstrumentKey, StatusReason, int]] = []
        self.events: list[BookEvent] = []
        self.errors: list[Exception] = []
        self.tickers_up = True
        self.feeds.books.on(self.events.append)
        self.feeds.errors.on(self.errors.append)
        for key in (BTC, ETH):
            instrument = Instrument(*key, 1, price_exponent=-1, quantity_exponent=-3, tick_size=1, quantity_step=1)
            self.feeds.watched[key] = WatchedSymbol(
                instrument, 50, lambda *asked: self.asked.append(asked), 300.0, self.clock
            )
            self.feeds.watched[key].want_ticker(lambda: self.tickers_up)
            self.update(key, 10, snapshot=True)

    def update(
        self, key: InstrumentKey, update_id: int, *, snapshot: bool = False, bids: list[int] | None = None
    ) -> None:
        levels = ([1000, 5], [1002, 7]) if snapshot else (bids or [1000, update_id], [])
        self.feeds.on_book(key, BookUpdate(snapshot, *levels, update_id, update_id, update_id, 0, 0, 0, 1))


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    await turn()
    scene.events.clear()
    yield scene
    await scene.feeds.aclose()


async def turn() -> None:
    await asyncio.sleep(0)


async def test_many_updates_of_a_turn_are_told_once_for_each_symbol(scene: Scene) -> None:
    for update_id in range(11, 31):
        scene.update(BTC, update_id)
    scene.update(ETH, 11)
    assert scene.events == []
    await turn()
    assert [(event.symbol, event.update_id) for event in scene.events] == [("BTCUSDT", 30), ("ETHUSDT", 11)]
    await turn()
    assert len(scene.events) == 2


async def test_an_unwatched_symbols_updates_reach_nobody(scene: Scene) -> None:
    scene.update(BTC, 11)
    del scene.feeds.watched[BTC]
    scene.update(BTC, 12)
    scene.feeds.on_reset(BTC, 2, StatusReason.GAP)
    scene.feeds.on_trades(BTC, [], 1)
    scene.feeds.on_trades_lost(BTC, 1)
    await turn()
    assert scene.events == []


async def test_a_defect_in_one_book_costs_that_book_alone(scene: Scene) -> None:
    scene.update(ETH, 11)
    scene.feeds.watched[BTC].book._book = None  # type: ignore[assignment]  # a defect
    scene.update(BTC, 11)
    await turn()
    assert len(scene.errors) == 1
    assert scene.asked == [(BTC, StatusReason.MALFORMED, 1)]
    states = {event.symbol: (event.status, event.reason) for event in scene.events}
    assert states == {
        "BTCUSDT": (BookStatus.STALE, StatusReason.MALFORMED),
        "ETHUSDT": (BookStatus.LIVE, StatusReason.SNAPSHOT),
    }


async def test_a_callback_that_raises_is_told_of_and_stops_nothing(scene: Scene) -> None:
    def bad(_event: object) -> None:
        raise RuntimeError("mine")

    scene.feeds.books.on(bad)
    scene.update(BTC, 11)
    await turn()
    scene.update(BTC, 12)
    await turn()
    assert [str(error) for error in scene.errors] == ["mine", "mine"]
    assert [event.update_id for event in scene.events] == [11, 12]


async def test_trades_lost_are_an_interruption(scene: Scene) -> None:
    trades: list[Trade] = []
    scene.feeds.trades.on(trades.append)
    scene.feeds.on_trades(BTC, [TradeUpdate(1000, 5, Side.BUY, "one", 1, 0, 0, 0)], 1)
    scene.feeds.on_trades_lost(BTC, 3)
    assert [trade.trade_id for trade in trades] == ["one"]
    watched = scene.feeds.watched[BTC]
    assert watched.quality().part("gaps").sentence == (
        "1 interruption in the last 300 s, the last of the trades: 3 lost"
    )


async def test_a_lost_connection_of_tickers_is_an_interruption_of_those_it_carried(scene: Scene) -> None:
    watched = scene.feeds.watched[BTC]
    lost = scene.feeds._on_tickers_lost("linear")
    lost("before there was any")
    assert watched.quality().part("gaps").number == 0
    scene.feeds._on_ticker(TickerUpdate(symbol="BTCUSDT", category="linear"))
    lost("another connection")
    assert (watched.ticker_is_current, watched.quality().part("gaps").number) == (True, 0.0)
    scene.tickers_up = False
    for _ in range(2):  # told once for an outage
        lost("no pong")
        scene.clock.advance(6.0)
    scene.feeds._on_tickers_lost("spot")("not its category")
    assert not watched.ticker_is_current
    assert watched.quality().part("gaps").sentence.endswith("the last of the ticker: no pong")
    assert watched.quality().part("gaps").number == 1.0
    scene.tickers_up = True
    scene.feeds._on_ticker(TickerUpdate(symbol="BTCUSDT", category="linear"))
    scene.tickers_up = False
    lost("no pong")
    assert watched.quality().part("gaps").number == 2.0


async def test_a_ticker_that_is_wanted_later_has_its_time_to_come(scene: Scene) -> None:
    watched = scene.feeds.watched[BTC]
    scene.feeds._on_ticker(TickerUpdate(symbol="BTCUSDT", category="linear"))
    watched.want_ticker(None)
    assert (watched.ticker, watched.ticker_is_current, watched.is_ready) == (None, False, True)
    scene.feeds._on_ticker(TickerUpdate(symbol="BTCUSDT", category="linear"))  # on its way then
    assert watched.ticker is None
    scene.clock.advance(200.0)
    scene.update(BTC, 11)
    watched.want_ticker(lambda: True)
    assert watched.quality().part("age").sentence.startswith("book")
    assert (watched.quality().score, watched.is_ready) == (100.0, False)
    scene.clock.advance(39.0)
    scene.update(BTC, 12)
    watched.want_ticker(lambda: True)  # again: changes nothing
    assert watched.quality().part("age").sentence.startswith("ticker: no data yet, watched for 39.0 s")


async def test_spreads_in_other_ticks_are_not_compared(scene: Scene) -> None:
    watched = scene.feeds.watched[BTC]
    for update_id in range(11, 61):
        scene.clock.advance(2.0)
        scene.update(BTC, update_id)
        await turn()
    assert watched.quality().part("spread").number == 0.0
    coarser = replace(watched.book.instrument, tick_size=2)
    scene.feeds.on_definition(replace(watched.book.instrument, status=TradingStatus.DELIVERING))
    assert watched.quality().part("spread").number == 0.0
    scene.feeds.on_definition(coarser)
    assert watched.quality().part("spread").sentence == "0 samples, too few to judge by"


async def test_age_falls_with_silence_and_comes_back_with_data(scene: Scene) -> None:
    watched = scene.feeds.watched[BTC]
    ticker = TickerUpdate(symbol="BTCUSDT", category="linear")
    scene.feeds._on_ticker(ticker)
    assert watched.quality().score == 100.0
    scene.clock.advance(80.0)  # between 40 and 120 s: its rhythm is not known yet
    quality = watched.quality()
    assert (quality.score, quality.part("age").number) == (50.0, 80.0)
    scene.update(BTC, 11)
    assert watched.quality().part("age").sentence == "ticker: last data 80.0 s ago; fresh up to 40 s"
    scene.feeds._on_ticker(ticker)
    assert watched.quality().score == 100.0


async def test_updates_that_do_not_count_are_no_rhythm(scene: Scene) -> None:
    for update_id in range(12, 32):  # behind a gap
        scene.clock.advance(1.0)
        scene.update(BTC, update_id)
    assert scene.feeds.watched[BTC].quality().part("age").sentence == "book: last data 20.0 s ago; fresh up to 40 s"


async def test_the_silence_of_a_book_that_was_lost_is_no_beat(scene: Scene) -> None:
    for update_id in range(11, 31):
        scene.clock.advance(1.0)
        scene.update(BTC, update_id)
    scene.feeds.on_reset(BTC, 1, StatusReason.DISCONNECTED)
    scene.clock.advance(1000.0)
    scene.update(BTC, 5, snapshot=True)
    watched = scene.feeds.watched[BTC]
    watched.want_ticker(None)
    assert watched.quality().part("age").sentence == "book: last data 0.0 s ago; fresh up to 10 s"


async def test_a_book_of_depth_1_is_held_to_what_the_venue_promises_of_it(scene: Scene) -> None:
    watched = WatchedSymbol(scene.feeds.watched[BTC].book.instrument, 1, lambda *_: None, 300.0, scene.clock)
    assert watched.quality().part("age").value == 0.0  # nothing came
    scene.feeds.watched[BTC] = watched
    scene.update(BTC, 10, snapshot=True)
    scene.clock.advance(10.0)
    part = watched.quality().part("age")
    assert (part.value, part.sentence) == (0.5, "book: last data 10.0 s ago; fresh up to 5 s")


async def test_a_ticker_that_never_came_costs_quality_in_time(scene: Scene) -> None:
    scene.clock.advance(80.0)
    scene.update(BTC, 11)
    part = scene.feeds.watched[BTC].quality().part("age")
    assert (part.value, part.sentence) == (0.5, "ticker: no data yet, watched for 80.0 s; fresh up to 40 s")


async def test_a_wide_spread_costs_quality_until_it_is_usual_again(scene: Scene) -> None:
    watched = scene.feeds.watched[BTC]
    watched.want_ticker(None)
    for update_id in range(11, 61):
        scene.clock.advance(2.0)
        scene.update(BTC, update_id)
        await turn()
    assert watched.quality().part("spread").sentence == "2 ticks, usually 2; odd for 0.0 s of the last 30 s"
    scene.clock.advance(2.0)
    scene.update(BTC, 61, bids=[1000, 0, 993, 1])  # z 7: 4 / 7 odd
    await turn()
    assert watched.quality().score == 100.0
    scene.clock.advance(7.0)
    assert watched.quality().part("spread").sentence == "9 ticks, usually 2; odd for 4.0 s of the last 30 s"
    assert watched.quality().score == 86.7
    scene.update(BTC, 62, bids=[1000, 1])
    await turn()
    scene.clock.advance(30.0)
    assert watched.quality().part("spread").value == 1.0


async def test_before_the_start_nothing_is_asked_for_a_symbol(scene: Scene) -> None:
    with pytest.raises(StreamError, match="the market is not open; use `async with`, or call start"):
        await scene.feeds.watch("linear", "BTCUSDT", 50, True, True)


async def test_without_anybody_to_tell_errors_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    feeds = MarketFeeds(
        BybitClient(base_url="http://127.0.0.1:9"),
        "ws://127.0.0.1:9",
        300.0,
        clock=scene.clock,
        random=Random(1),
        timing=None,
    )
    feeds.report(ValueError("odd"))
    assert [record.message for record in caplog.records if record.name == "feeder.bybit.market"] == ["ValueError: odd"]
