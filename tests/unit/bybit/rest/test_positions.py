"""Positions: what is sent, and what the venue's answers are read as."""

from decimal import Decimal

import pytest

from feeder.bybit.rest.endpoints import typed
from feeder.bybit.rest.positions import PositionCalls
from feeder.bybit.rest.results.positions import ClosedPnl, Position
from feeder.errors import ParameterError

from .recorder import Recorder, amounts, arguments, assert_same, raw_result, unseen

DOCUMENTED = {
    "positions": "category symbol baseCoin settleCoin limit cursor",
    "closed_pnl": "category symbol startTime endTime limit cursor",
    "set_leverage": "category symbol buyLeverage sellLeverage",
    "switch_position_mode": "category symbol coin mode",
    "set_trading_stop": """category symbol tpslMode positionIdx takeProfit stopLoss trailingStop tpTriggerBy slTriggerBy
        activePrice tpSize slSize tpLimitPrice slLimitPrice tpOrderType slOrderType""",
}


async def test_every_field_of_the_answers_is_there_with_its_value() -> None:
    seen: set[tuple[type, str]] = set()
    positions = await Recorder("positions").positions("linear", settle_coin="USDT")
    assert_same(positions.result, raw_result("positions"), "positions", seen)
    closed = await Recorder("closed-pnl").closed_pnl("linear")
    assert_same(closed.result, raw_result("closed-pnl"), "closed-pnl", seen)
    assert unseen(seen, Position, ClosedPnl) == set()


@pytest.mark.parametrize("method", list(DOCUMENTED))
async def test_every_documented_parameter_is_sent_under_the_venue_s_name(method: str) -> None:
    venue = Recorder("nothing")
    call = getattr(venue, method)
    await call(**arguments(call))
    assert set(venue.parameters) == set(DOCUMENTED[method].split())


def test_every_price_and_size_refuses_a_float_to_the_type_checker() -> None:
    prices = "take_profit stop_loss trailing_stop active_price tp_size sl_size tp_limit_price sl_limit_price"
    assert amounts(PositionCalls.set_trading_stop) == set(prices.split())
    assert amounts(PositionCalls.set_leverage) == {"buy_leverage", "sell_leverage"}


async def test_an_empty_position_has_no_side_and_a_sequence_of_its_own() -> None:
    held, empty = (await Recorder("positions").positions("linear", settle_coin="USDT")).result.entries
    assert (held.side, held.size, held.auto_add_margin) == ("Buy", Decimal("12.5"), True)
    assert (empty.side, empty.size, empty.seq) == (None, Decimal(0), -1)
    assert empty.leverage is None
    assert empty.mmr_sys_updated_time == 1789999000000


async def test_leverage_goes_out_as_text_and_the_answer_has_nothing_in_it() -> None:
    venue = Recorder("nothing")
    reply = await venue.set_leverage("linear", "SOLUSDT", 5, Decimal("5.0"))
    assert venue.sent == [
        (
            typed.SET_LEVERAGE,
            {"category": "linear", "symbol": "SOLUSDT", "buyLeverage": "5", "sellLeverage": "5.0"},
        )
    ]
    assert reply.result == {}


async def test_a_stop_is_removed_by_zero_and_left_alone_by_none() -> None:
    venue = Recorder("nothing")
    await venue.set_trading_stop("linear", "SOLUSDT", "Full", 0, stop_loss=0)
    assert venue.parameters == {
        "category": "linear",
        "symbol": "SOLUSDT",
        "tpslMode": "Full",
        "positionIdx": 0,
        "stopLoss": "0",
    }


async def test_the_mode_is_switched_for_a_symbol_or_a_coin() -> None:
    venue = Recorder("nothing")
    await venue.switch_position_mode("linear", 0, coin="USDT")
    assert venue.parameters == {"category": "linear", "mode": 0, "coin": "USDT"}
    with pytest.raises(ParameterError, match="symbol or coin"):
        await venue.switch_position_mode("linear", 3)


async def test_each_listing_takes_the_longest_pages_and_follows_the_cursor() -> None:
    venue = Recorder("positions", "positions")
    assert len([entry async for entry in venue.each_position("linear", settle_coin="USDT")]) == 4
    first, second = (sent for _, sent in venue.sent)
    assert first == {"category": "linear", "settleCoin": "USDT", "limit": 200}
    assert second["cursor"] == raw_result("positions")["nextPageCursor"]
    venue = Recorder("closed-pnl")
    assert [entry.fill_count async for entry in venue.each_closed_pnl("linear", symbol="SOLUSDT", end_time=9)] == [2]
    assert venue.parameters == {"category": "linear", "symbol": "SOLUSDT", "endTime": 9, "limit": 100}
