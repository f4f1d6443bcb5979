"""The top N by turnover, over any listings and any turnover, and over days of refreshes."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from feeder.bybit.universe import Rule, wanted

NAMES = [f"S{n:02}" for n in range(40)]
amounts = st.decimals(min_value=0, max_value=100, places=1)
markets = st.dictionaries(st.sampled_from(NAMES), amounts, min_size=1)
counts = st.integers(min_value=1, max_value=45)


def chosen(count: int, turnover: dict[str, Decimal], trading: list[str], followed: set[str]) -> set[str]:
    rule = Rule("linear", 50, True, None, count)
    result = wanted([rule], {"linear": trading}, {"linear": turnover}, {("linear", symbol) for symbol in followed})
    assert all(subscription.key == key for key, subscription in result.items())
    return {symbol for _, symbol in result}


def rank(symbol: str, turnover: dict[str, Decimal], trading: list[str]) -> int:
    """1 for the busiest: how many are before it, and itself."""
    mine = turnover.get(symbol, Decimal(0))
    others = ((turnover.get(other, Decimal(0)), other) for other in trading)
    return 1 + sum(its > mine or (its == mine and other < symbol) for its, other in others)


@given(counts, markets, st.sets(st.sampled_from(NAMES), min_size=1), st.sets(st.sampled_from(NAMES)))
def test_nobody_in_the_top_is_left_out_and_at_most_a_fifth_more_is_followed(count, turnover, listed, followed):
    trading = sorted(listed)
    result = chosen(count, turnover, trading, followed)
    assert result <= listed
    assert min(count, len(trading)) <= len(result) <= count + max(1, count // 5)
    for symbol in trading:
        place = rank(symbol, turnover, trading)
        if place <= count:
            assert symbol in result
        elif symbol in result:
            assert symbol in followed
            assert place <= count + max(1, count // 5)
        else:
            assert symbol not in followed or place > count + max(1, count // 5)


@given(counts, markets, st.sets(st.sampled_from(NAMES)))
def test_what_was_chosen_is_chosen_again_while_nothing_changes(count, turnover, followed):
    trading = sorted(turnover)
    first = chosen(count, turnover, trading, followed)
    assert chosen(count, turnover, trading, first) == first


@given(st.integers(min_value=1, max_value=30), st.permutations(NAMES), st.integers(min_value=1, max_value=10))
def test_a_book_that_swaps_places_over_the_edge_does_not_come_and_go(count, order, refreshes):
    """Ranks N and N + 1 change places at each refresh: once both are followed, both stay."""
    followed: set[str] = set()
    for refresh in range(refreshes):
        ranked = list(order)
        if refresh % 2:
            ranked[count - 1], ranked[count] = ranked[count], ranked[count - 1]
        turnover = {symbol: Decimal(1000 - place) for place, symbol in enumerate(ranked)}
        before, followed = followed, chosen(count, turnover, NAMES, followed)
        assert before <= followed, "nobody goes"
        if refresh > 1:
            assert followed == before, "and nobody comes"
