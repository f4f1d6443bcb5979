"""Which of stream and REST answers for a symbol, and that each price says so."""

from collections.abc import Callable
from decimal import Decimal
from typing import cast

import pytest

from feeder.bybit.rest.results.market import Ticker
from feeder.bybit.streams.messages import TickerUpdate
from feeder.bybit.system.market_cache import Kept
from feeder.bybit.system.market_reads import MarketReads
from feeder.bybit.system.market_symbol import WatchedSymbol
from feeder.bybit.system.market_view import Sourced, SymbolView
from feeder.clock import ManualClock
from feeder.market.instrument import Instrument
from feeder.market.status import StatusReason
from feeder.market.update import BookUpdate, Side, TradeUpdate

BTC = Instrument("linear", "BTCUSDT", 1, price_exponent=-1, quantity_exponent=-3, tick_size=1, quantity_step=1)


class Reads:
    """REST's ticker, half a second old."""

    def __init__(self) -> None:
        self.told = Ticker("BTCUSDT", Decimal(90), Decimal(91), Decimal(92), bid1_price=Decimal(88))

    async def ticker(self, category: str, symbol: str) -> Kept[Ticker]:
        return Kept(self.told, 0.5)


class Scene:
    """A watched symbol and its view."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.reads = Reads()
        self.watched = WatchedSymbol(BTC, 50, lambda *_: None, 300.0, self.clock)
        self.up = True
        self.watched.want_ticker(lambda: self.up)
        history = cast("Callable[..., object]", None)
        self.view = SymbolView(
            "linear",
            "BTCUSDT",
            cast("MarketReads", self.reads),
            lambda: self.watched,
            lambda: self.watched.trades.whole(1),
            history,  # type: ignore[arg-type]  # nobody asks for it
        )

    def trade(self, price: int) -> None:
        self.watched.on_trades([TradeUpdate(price, 5, Side.BUY, f"id-{price}", 1, 0, 0, 0)], 1)

    def book(self) -> None:
        self.watched.on_book(BookUpdate(True, [1000, 5], [1002, 7], 10, 10, 10, 0, 0, 0, 1))


@pytest.fixture
def scene() -> Scene:
    return Scene()


def said(price: Sourced[Decimal] | None) -> tuple[Decimal, str, float] | None:
    return None if price is None else (price.value, price.source, price.age_seconds)


async def test_without_data_of_the_stream_all_prices_are_rests(scene: Scene) -> None:
    prices = await scene.view.last_prices()
    assert [said(each) for each in (prices.last, prices.index, prices.mark, prices.bid, prices.ask)] == [
        (Decimal(90), "rest", 0.5),
        (Decimal(91), "rest", 0.5),
        (Decimal(92), "rest", 0.5),
        (Decimal(88), "rest", 0.5),
        None,
    ]


async def test_the_last_price_is_that_of_the_younger_of_trade_and_ticker(scene: Scene) -> None:
    scene.trade(1001)
    scene.clock.advance(0.25)
    assert said((await scene.view.last_prices()).last) == (Decimal("100.1"), "stream", 0.25)
    scene.clock.advance(0.5)
    assert said((await scene.view.last_prices()).last) == (Decimal(90), "rest", 0.5)
    scene.reads.told.last_price = None
    assert said((await scene.view.last_prices()).last) == (Decimal("100.1"), "stream", 0.75)


async def test_best_bid_and_ask_are_the_books_only_while_that_is_live(scene: Scene) -> None:
    scene.book()
    scene.clock.advance(2.0)
    prices = await scene.view.last_prices()
    assert (said(prices.bid), said(prices.ask)) == (
        (Decimal("100.0"), "stream", 2.0),
        (Decimal("100.2"), "stream", 2.0),
    )
    scene.watched.book.on_reset(2, StatusReason.DISCONNECTED, 3.0)
    prices = await scene.view.last_prices()
    assert (said(prices.bid), said(prices.ask)) == ((Decimal(88), "rest", 0.5), None)


async def test_the_streams_ticker_is_told_only_while_it_is_current(scene: Scene) -> None:
    ticker = TickerUpdate(symbol="BTCUSDT", category="linear")
    assert (await scene.view.ticker()).source == "rest"
    scene.watched.on_ticker(ticker)
    scene.clock.advance(1.0)
    assert await scene.view.ticker() == Sourced(ticker, "stream", 1.0)
    scene.up = False
    assert (await scene.view.ticker()).source == "rest"
