"""What the configuration's rules come to, with the exchange's listings and turnover as they are."""

from decimal import Decimal

import pytest

from feeder.bybit.pool import Subscription
from feeder.bybit.universe import Rule, wanted
from feeder.errors import RestError

TRADING = {"linear": ["C", "A", "E", "B", "D"], "spot": ["Z", "A"]}
TURNOVER = {"linear": {"A": Decimal(10), "B": Decimal(30), "C": Decimal(20), "D": Decimal(40)}}


def top(count: int) -> Rule:
    return Rule("linear", 50, True, None, count)


def symbols(*rules: Rule, followed: str = "", turnover: dict[str, dict[str, Decimal]] | None = None) -> list[str]:
    present = [("linear", symbol) for symbol in followed]
    return [symbol for _, symbol in wanted(rules, TRADING, TURNOVER if turnover is None else turnover, present)]


def test_listed_symbols_are_wanted_in_their_order_whether_or_not_they_trade() -> None:
    rule = Rule("linear", 200, False, ("B", "NEW", "A"))
    assert wanted([rule], TRADING, {}, []) == {
        ("linear", symbol): Subscription("linear", symbol, 200, False) for symbol in ("B", "NEW", "A")
    }
    assert symbols(rule) == ["B", "NEW", "A"]


def test_all_is_what_trades_now_by_name() -> None:
    rules = [Rule("linear", 50, True, None), Rule("spot", 1, False, None), Rule("option", 25, True, None)]
    result = wanted(rules, TRADING, {}, [("linear", "GONE")])
    assert list(result) == [*(("linear", symbol) for symbol in "ABCDE"), ("spot", "A"), ("spot", "Z")]
    assert result["spot", "A"] == Subscription("spot", "A", 1, False)


def test_of_two_rules_for_one_book_the_first_counts() -> None:
    rules = [Rule("linear", 200, True, ("A",)), Rule("linear", 50, True, None)]
    assert wanted(rules, TRADING, {}, [])["linear", "A"].depth == 200


def test_the_top_is_by_turnover_and_then_by_name() -> None:
    assert symbols(top(2)) == ["D", "B"]
    assert symbols(top(9)) == ["D", "B", "C", "A", "E"], "of E nothing is told"
    alike = {"linear": dict.fromkeys("EDCBA", Decimal(1))}
    assert symbols(top(2), turnover=alike) == ["A", "B"]


def test_turnovers_that_differ_in_the_last_of_many_digits_are_not_alike() -> None:
    much = Decimal("123456789012345678901234567890.123456789")
    assert symbols(top(1), turnover={"linear": {"A": much, "B": much, "C": Decimal(f"{much}1")}}) == ["C"]


def test_a_book_that_is_followed_stays_until_it_is_ranked_a_fifth_behind() -> None:
    turnover = {"linear": {f"S{n:03}": Decimal(1000 - n) for n in range(100)}}
    trading = {"linear": list(turnover["linear"])}
    followed = [("linear", f"S{n:03}") for n in (5, 49, 50, 59, 60, 99)]
    result = wanted([top(50)], trading, turnover, followed)
    assert [symbol for _, symbol in result] == [*(f"S{n:03}" for n in range(50)), "S050", "S059"]
    assert [symbol for _, symbol in wanted([top(1)], trading, turnover, [("linear", "S001")])] == ["S000", "S001"]


def test_without_turnover_what_is_followed_and_trades_stays() -> None:
    unknowns: list[dict[str, dict[str, Decimal]]] = [{}, {"linear": {}}, {"spot": {"A": Decimal(1)}}]
    for unknown in unknowns:
        assert symbols(top(1), followed="CBX", turnover=unknown) == ["B", "C"]


def test_without_turnover_nothing_is_chosen_by_name() -> None:
    with pytest.raises(RestError, match="turnover of linear is not known") as caught:
        symbols(top(1), followed="X", turnover={})
    assert caught.value.retriable
    assert wanted([Rule("inverse", 50, True, None, 3)], TRADING, {}, []) == {}, "where nothing trades none is needed"
