from decimal import Decimal

from feeder.clock import ManualClock
from feeder.simulator.turnover import Turnovers
from feeder.simulator.universe import listings, universe


def _ranked(turnovers: Turnovers) -> list[str]:
    found = universe(["linear"], 60)
    amounts = {listing.symbol: turnovers.of(listing, rank) for rank, listing in enumerate(found)}
    return sorted(amounts, key=amounts.__getitem__, reverse=True)


def test_the_busiest_are_those_listed_first_and_neighbours_change_places_within_hours_not_within_a_minute() -> None:
    clock = ManualClock()
    turnovers = Turnovers(1, clock)
    first = _ranked(turnovers)
    assert first[0] == "BTCUSDT"
    assert set(first[:10]) & set(_ranked(Turnovers(2, clock))[:10]) >= {"BTCUSDT", "ETHUSDT"}
    clock.advance(60)
    moved = sum(old != new for old, new in zip(first, _ranked(turnovers), strict=True))
    assert moved <= 4
    clock.advance(6 * 3600)
    later = _ranked(turnovers)
    assert sum(old != new for old, new in zip(first, later, strict=True)) > 10
    assert set(first[:20]) & set(later[:25]) >= set(first[:10])


def test_turnover_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    clock = ManualClock()
    listing = next(listings("linear"))
    assert Turnovers(1, clock).of(listing, 0) == Turnovers(1, clock).of(listing, 0)
    assert Turnovers(1, clock).of(listing, 0) != Turnovers(2, clock).of(listing, 0)


def test_turnover_that_was_given_stays_as_it_is() -> None:
    clock = ManualClock()
    turnovers = Turnovers(1, clock)
    listing = next(listings("spot"))
    turnovers.fix("spot", listing.symbol, Decimal("12.5"))
    clock.advance(9 * 3600)
    assert turnovers.of(listing, 0) == Decimal("12.5")
    assert turnovers.of(next(listings("linear")), 0) > 100, "of the other category's it says nothing"
