"""Which fills are counted, and which were."""

import pytest

from feeder.bybit.streams.fills import KnownFills

from .account_rows import T0, fill


def test_a_fill_is_new_once() -> None:
    known = KnownFills()
    assert known.add(fill())
    assert not known.add(fill())
    assert (len(known), known.repeated, known.too_old) == (1, 1, 0)


def test_two_sides_of_a_trade_with_oneself_are_two_fills() -> None:
    known = KnownFills()
    assert known.add(fill("trade", "mine"))
    assert known.add(fill("trade", "mine too"))


@pytest.mark.parametrize("kind", ["Funding", "Settle", "Delivery"])
def test_what_has_no_order_is_known_whatever_order_it_is_told_with(kind: str) -> None:
    known = KnownFills()
    assert known.add(fill("f1", "", exec_type=kind))
    assert not known.add(fill("f1", "1721376000-BTCUSDT", exec_type=kind))


def test_a_live_fill_does_not_make_those_that_rest_still_lists_too_old() -> None:
    known = KnownFills(10)
    assert known.add(fill("live", at=T0 + 1_000))
    assert [number for number in range(50) if not known.add(fill(f"e{number}", at=T0 + number))] == []
    assert not known.add(fill("live", at=T0 + 1_000))


def test_the_fills_of_one_category_do_not_make_those_of_another_too_old() -> None:
    known = KnownFills(10)
    for number in range(50):
        assert known.add(fill(f"e{number}", at=T0 + number))
    assert known.add(fill("e0", at=T0, category="spot"))


def test_fills_of_one_millisecond_are_forgotten_together() -> None:
    known = KnownFills(10)
    told = [fill(f"e{number}", at=T0 + number // 4) for number in range(50)]
    assert all(known.add(each) for each in told)
    assert not any(known.add(each) for each in told)
    assert len(known) <= 10


def test_fills_of_one_millisecond_are_all_new_however_many() -> None:
    known = KnownFills(3)
    told = [fill(f"e{number}", at=T0) for number in range(9)]
    assert known.add(fill("newer", at=T0 + 1))
    assert all(known.add(each) for each in told)
    assert not any(known.add(each) for each in told)
    assert known.add(fill("next", at=T0 + 2))
    assert len(known) <= 3


def test_a_fill_without_a_time_has_that_of_its_message() -> None:
    known = KnownFills(1)
    assert known.add(fill("e1", at=T0 + 9))
    assert known.add(fill("e2", at=T0 + 99))
    timeless = fill("e3", at=T0 + 500)
    timeless.exec_time = None
    assert known.add(timeless)


def test_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="give at least 1"):
        KnownFills(0)
