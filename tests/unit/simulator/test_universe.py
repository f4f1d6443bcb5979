import itertools
import random
from dataclasses import replace
from decimal import Decimal

import pytest

from feeder.errors import FeederError
from feeder.simulator.market import Market
from feeder.simulator.universe import listings, universe

CATEGORIES = ["linear", "spot", "inverse", "option"]


@pytest.mark.parametrize("category", CATEGORIES)
def test_two_thousand_plausible_symbols_per_category(category: str) -> None:
    found = list(itertools.islice(listings(category), 2500))
    assert len({listing.symbol for listing in found}) == 2500
    for listing in found:
        assert listing.category == category
        assert listing.symbol.isascii()
        assert len(listing.symbol) <= 24
        tick, step, price = Decimal(listing.tick), Decimal(listing.step), Decimal(listing.price)
        assert tick > 0
        assert step > 0
        assert price / tick >= 20, listing
        assert listing.scale.pads_prices == (category in ("linear", "inverse"))


def test_symbols_are_spread_evenly_and_the_best_known_come_first() -> None:
    found = universe(["linear", "spot"], 5)
    assert [(listing.category, listing.symbol) for listing in found] == [
        ("linear", "BTCUSDT"),
        ("spot", "BTCUSDT"),
        ("linear", "ETHUSDT"),
        ("spot", "ETHUSDT"),
        ("linear", "SOLUSDT"),
    ]
    assert universe(CATEGORIES, 800) == universe(CATEGORIES, 800)


def test_a_tick_keeps_the_zeros_it_is_written_with() -> None:
    bitcoin = universe(["linear"], 1)[0]
    assert (bitcoin.tick, bitcoin.tick_units, bitcoin.scale.price_digits) == ("0.10", 10, 2)


@pytest.mark.parametrize(("categories", "count"), [(["linear"], 0), (["futures"], 5), ([], 5), (["spot", "spot"], 5)])
def test_an_impossible_universe_is_refused(categories: list[str], count: int) -> None:
    with pytest.raises(FeederError):
        universe(categories, count)


def test_an_option_is_delivered_on_the_day_in_its_symbol_and_nothing_else_is() -> None:
    option = next(listings("option"))
    assert option.symbol.startswith("BTC-25DEC26-")
    assert option.delivery_ms == 1_798_185_600_000  # 2026-12-25 08:00 UTC
    assert replace(option, symbol="BTC-PERP").delivery_ms == 0
    assert [next(listings(category)).delivery_ms for category in ("linear", "inverse", "spot")] == [0, 0, 0]


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_kind_of_symbol_has_a_market(category: str) -> None:
    for listing in itertools.islice(listings(category), 0, 400, 7):
        market = Market(listing, 120, 50, random.Random(1))
        for _ in range(60):
            market.step(0)
            assert ~market.bids[0] < market.asks[0]
