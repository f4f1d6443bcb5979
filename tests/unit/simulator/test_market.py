import random
from bisect import bisect_left
from itertools import pairwise

import pytest

from feeder.simulator.market import Market
from feeder.simulator.universe import Listing, listings


def _listing(category: str, symbol: str) -> Listing:
    return next(listing for listing in listings(category) if listing.symbol == symbol)


def _market(category: str = "linear", symbol: str = "BTCUSDT", seed: int = 1, levels: int = 300) -> Market:
    return Market(_listing(category, symbol), levels, 50, random.Random(seed))


@pytest.mark.parametrize(
    ("category", "symbol"),
    [
        ("linear", "BTCUSDT"),
        ("linear", "1000PEPEUSDT"),
        ("spot", "ETHBTC"),
        ("inverse", "BTCUSD"),
        ("option", "SOL-25DEC26-200-C"),
        ("option", "BTC-25DEC26-60000-P"),
    ],
)
def test_the_book_is_never_crossed_never_empty_and_stays_near_its_price(category: str, symbol: str) -> None:
    market = _market(category, symbol)
    tick, step = market.listing.tick_units, market.listing.step_units
    first = market.asks[0]
    for number in range(4000):
        market.step(number)
        assert ~market.bids[0] < market.asks[0]
        if number % 100 == 0:
            assert market.bids == sorted(set(market.bids))
            assert market.asks == sorted(set(market.asks))
            assert set(market.sizes) == {*market.bids, *market.asks}
            assert all((~key if key < 0 else key) % tick == 0 for key in market.sizes)
            assert all(size > 0 and size % step == 0 for size in market.sizes.values())
            assert ~market.bids[-1] >= tick
    assert first / 2 < market.asks[0] < first * 2


def test_every_step_changes_what_a_subscriber_sees() -> None:
    market = _market()
    unchanged = 0
    for number in range(2000):
        before = market.window(50)
        market.step(number)
        unchanged += market.window(50) == before
    assert unchanged <= 2


def test_trades_hit_the_top_of_the_book() -> None:
    market = _market()
    sides = set()
    count = 0
    for number in range(3000):
        best = {True: list(market.asks), False: list(market.bids)}
        sizes = dict(market.sizes)
        trades = market.step(number)
        for index, trade in enumerate(trades):
            key = best[trade.buy][index]
            assert trade.price == (key if trade.buy else ~key)
            assert 0 < trade.size <= sizes[key]
            assert (trade.seq, trade.time_ms) == (market.seq, number)
            sides.add(trade.buy)
            count += 1
    assert sides == {True, False}
    assert count > 100


def test_tick_directions_follow_the_prices() -> None:
    market = _market()
    last, last_direction = 0, ""
    for number in range(3000):
        for trade in market.step(number):
            if trade.price > last:
                assert trade.tick_direction == "PlusTick"
            elif trade.price < last:
                assert trade.tick_direction == "MinusTick"
            else:
                assert trade.tick_direction == "Zero" + last_direction.removeprefix("Zero")
            last, last_direction = trade.price, trade.tick_direction


def test_the_cross_sequence_only_grows() -> None:
    market = _market()
    sequences = [(market.step(number), market.seq)[1] for number in range(500)]
    assert all(earlier < later for earlier, later in pairwise(sequences))


def test_the_same_seed_makes_the_same_market_and_another_seed_another() -> None:
    one, same, other = _market(seed=5), _market(seed=5), _market(seed=6)
    for number in range(300):
        assert one.step(number) == same.step(number)
        other.step(number)
    assert one.sizes == same.sizes
    assert one.sizes != other.sizes


def test_spot_trades_are_numbered_and_futures_trades_have_uuids() -> None:
    spot, linear = _market("spot"), _market("linear")
    numbers = [trade.id for number in range(500) for trade in spot.step(number)]
    assert all(identity.isdigit() and len(identity) == 19 for identity in numbers)
    assert len(set(numbers)) == len(numbers)
    shapes = {tuple(map(len, trade.id.split("-"))) for number in range(500) for trade in linear.step(number)}
    assert shapes == {(8, 4, 4, 4, 12)}


def test_a_window_is_the_best_levels_of_both_sides() -> None:
    market = _market()
    for number in range(50):
        market.step(number)
    window = market.window(10)
    keys = sorted(market.sizes)
    middle = bisect_left(keys, 0)
    assert sorted(window) == keys[:10] + keys[middle : middle + 10]
    assert len(market.window(1)) == 2
