"""Packing: nothing lost, nothing twice, nothing over the limits, whatever is asked for."""

from hypothesis import given
from hypothesis import strategies as st

from feeder.bybit.topics import ARGS_PER_REQUEST, CHARACTERS_PER_CONNECTION, BookTopic, pack, parse_topic

topics = st.lists(st.from_regex(r"orderbook\.(1|50)\.[A-Z0-9]{1,300}", fullmatch=True), unique=True, max_size=150)
categories = st.sampled_from(["spot", "linear", "inverse", "option"])


@given(category=categories, names=topics)
def test_requests_carry_everything_once_in_order_within_the_limits(category: str, names: list[str]) -> None:
    batches = list(pack(category, names))
    assert [name for batch in batches for name in batch] == names
    for batch in batches:
        assert 0 < len(batch) <= ARGS_PER_REQUEST.get(category, len(names))
        assert sum(len(f'"{name}",') for name in batch) <= CHARACTERS_PER_CONNECTION


@given(depth=st.integers(0, 10_000), symbol=st.text(min_size=1, max_size=30))
def test_a_topic_is_read_back_whatever_the_symbol(depth: int, symbol: str) -> None:
    assert parse_topic(f"orderbook.{depth}.{symbol}") == BookTopic(depth, symbol)


@given(st.text(max_size=60))
def test_any_text_is_a_topic_or_none(text: str) -> None:
    parse_topic(text)
