"""The last trades of a symbol, from both sources."""

from decimal import Decimal

from feeder.bybit.rest.results.market import PublicTrade
from feeder.bybit.system.market_trades import RECENT, RecentTrades, Trade, of_rest, of_stream
from feeder.market.instrument import Instrument
from feeder.market.update import Side, TradeUpdate

BTC = Instrument("linear", "BTCUSDT", 1, price_exponent=-1, quantity_exponent=-3, tick_size=1, quantity_step=1)


def trade(number: int) -> Trade:
    return Trade("linear", "BTCUSDT", "Buy", Decimal(1), Decimal(1), number, f"id-{number}", number)


def recent(*numbers: int) -> RecentTrades:
    trades = RecentTrades()
    trades.add([trade(number) for number in numbers], 5, 1.0)
    return trades


def numbers(trades: list[Trade]) -> list[int]:
    return [each.seq for each in trades]


def test_a_trade_is_the_same_from_both_sources() -> None:
    streamed = of_stream(BTC, TradeUpdate(787001, 1500, Side.SELL, "id-1", 77, 1_700_000_000_123_000_000, 0, 0))
    told = PublicTrade(
        "id-1", "BTCUSDT", Decimal("78700.1"), Decimal("1.500"), "Sell", 1_700_000_000_123, seq=77, is_block_trade=False
    )
    assert of_rest("linear", [told]) == [streamed]


def test_rest_tells_the_youngest_first_and_some_of_it_is_no_trade() -> None:
    told = [PublicTrade(f"id-{number}", "X", Decimal(1), Decimal(1), "Buy", number, number) for number in (3, 2, 1)]
    told.append(PublicTrade("id-0", "X", None, Decimal(1), "Buy", 0, 0))
    assert numbers(of_rest("spot", told)) == [1, 2, 3]


def test_only_an_unbroken_run_is_whole() -> None:
    trades = recent(1, 2, 3)
    assert trades.whole(5) == 3
    trades.interrupt()
    assert trades.whole(5) == 0
    trades.add([trade(7)], 5, 2.0)
    assert (trades.whole(5), numbers(trades.newest(10))) == (1, [1, 2, 3, 7])
    assert trades.updated_at == 2.0
    assert trades.last == trade(7)


def test_another_run_begins_anew() -> None:
    trades = recent(1, 2, 3)
    assert (trades.whole(6), trades.whole(None)) == (0, 0)
    trades.add([], 6, 2.0)
    assert (trades.whole(5), trades.updated_at) == (3, 1.0)
    trades.add([trade(4), trade(5)], 6, 3.0)
    assert (trades.whole(6), trades.whole(5)) == (2, 0)
    trades.add([trade(6)], None, 4.0)  # let go of while it came
    assert (trades.whole(None), trades.whole(6)) == (0, 0)


def test_rest_fills_what_the_stream_missed_each_trade_once() -> None:
    trades = recent(3, 4)
    trades.interrupt()
    trades.add([trade(8)], 5, 2.0)
    told = [trade(number) for number in range(1, 8)]
    assert numbers(trades.merged(told, 100)) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert numbers(trades.merged(told, 3)) == [6, 7, 8]


def test_the_list_is_bounded() -> None:
    trades = recent(*range(RECENT + 500))
    assert trades.whole(5) == RECENT
    assert numbers(trades.newest(RECENT))[0] == 500
    assert recent().last is None
