from hypothesis import given
from hypothesis import strategies as st

from feeder.simulator.topic_book import KEPT_UPDATES, TopicBook, difference, price_of

_levels = st.dictionaries(st.integers(-20, 20), st.integers(1, 5), max_size=15)


def test_bid_keys_ascend_from_the_best_bid_and_ask_keys_from_the_best_ask() -> None:
    keys = sorted([~99, ~100, 101, 102, ~98])
    assert [price_of(key) for key in keys] == [100, 99, 98, 101, 102]
    assert price_of(~0) == 0


@given(st.lists(_levels, min_size=1, max_size=12))
def test_every_past_book_can_be_told(books: list[dict[int, int]]) -> None:
    topic = TopicBook(50)
    for u, levels in enumerate(books, start=100):
        topic.replace(levels, u, seq=u * 2)
    for u, levels in enumerate(books, start=100):
        assert topic.at(u) == (levels, u * 2)
    assert topic.levels == books[-1]
    assert topic.at(99) is None
    assert topic.held() == (100, 99 + len(books))


@given(_levels, _levels)
def test_a_difference_holds_only_what_changed_in_order(old: dict[int, int], new: dict[int, int]) -> None:
    flat = difference(old, new)
    changes = dict(zip(flat[::2], flat[1::2], strict=True))
    assert list(changes) == sorted(changes)
    assert {key: size for key, size in (old | changes).items() if size} == new
    assert all(old.get(key, 0) != size for key, size in changes.items())


def test_the_last_two_thousand_updates_are_held_and_memory_is_bounded() -> None:
    topic = TopicBook(50)
    for u in range(1, 10_001):
        topic.apply([u % 40, u], u, u)
    held = topic.held()
    assert held is not None
    oldest, newest = held
    assert newest == 10_000
    assert 8_001 - 500 <= oldest <= 8_001
    assert topic.at(oldest - 1) is None
    expected = {u % 40: u for u in range(oldest - 39, oldest + 1)}
    assert topic.at(oldest) == (expected, oldest)
    assert topic.at(8_001) == ({u % 40: u for u in range(7_962, 8_002)}, 8_001)
    assert newest - oldest < KEPT_UPDATES + 500


def test_a_restarted_counter_leaves_the_updates_before_it_known() -> None:
    topic = TopicBook(1)
    topic.apply([5, 1], 700, 1)
    topic.apply([5, 2], 701, 2)
    topic.apply([], 1, 2)
    topic.apply([6, 3], 2, 3)
    assert topic.at(700) == ({5: 1}, 1)
    assert topic.at(1) == ({5: 2}, 2)
    assert topic.at(2) == ({5: 2, 6: 3}, 3)


def test_a_repeated_update_id_tells_the_latest_state() -> None:
    topic = TopicBook(1)
    topic.apply([5, 1], 7, 1)
    topic.apply([], 7, 9)
    assert topic.at(7) == ({5: 1}, 9)
