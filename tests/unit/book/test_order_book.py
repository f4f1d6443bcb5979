import zlib

import pytest

from feeder.book.checksum import checksum
from feeder.book.order_book import OrderBook
from feeder.market.update import Levels


def a_book(depth: int = 5) -> OrderBook:
    book = OrderBook(depth)
    book.apply_snapshot([100, 1, 99, 2, 98, 3], [101, 4, 102, 5, 103, 6])
    return book


def test_an_empty_book_has_no_best_price_and_is_not_crossed():
    book = OrderBook(50)
    assert book.best_bid() is None
    assert book.best_ask() is None
    assert not book.is_crossed()
    assert book.levels() == Levels()


def test_a_snapshot_in_any_order_is_read_best_first():
    book = OrderBook(50)
    book.apply_snapshot([98, 3, 100, 1, 99, 2], [103, 6, 101, 4, 102, 5])
    assert book.levels() == Levels([100, 1, 99, 2, 98, 3], [101, 4, 102, 5, 103, 6])
    assert book.best_bid() == (100, 1)
    assert book.best_ask() == (101, 4)


def test_a_snapshot_replaces_every_level_of_the_old_book():
    book = a_book()
    book.apply_snapshot([50, 1], [])
    assert book.levels() == Levels([50, 1], [])
    assert book.best_ask() is None
    assert not book.is_crossed()


def test_zero_quantities_in_a_snapshot_are_ignored():
    book = OrderBook(5)
    book.apply_snapshot([100, 0, 99, 2], [101, 0])
    assert book.levels() == Levels([99, 2], [])


def test_a_snapshot_of_an_odd_number_of_integers_leaves_the_book_as_it_was():
    book = a_book()
    with pytest.raises(ValueError):
        book.apply_snapshot([100, 1, 99], [101, 1])
    assert book.levels() == a_book().levels()


def test_a_delta_changes_inserts_and_removes():
    book = a_book()
    assert book.apply_delta([99, 7, 97, 8, 100, 0], [101, 0, 104, 9]) is None
    assert book.levels() == Levels([99, 7, 98, 3, 97, 8], [102, 5, 103, 6, 104, 9])
    assert book.best_bid() == (99, 7)
    assert book.best_ask() == (102, 5)


def test_deleting_an_absent_level_is_counted_and_no_error():
    book = a_book()
    assert book.apply_delta([42, 0], [420, 0]) is None
    assert book.absent_deletes == 2
    assert book.levels() == a_book().levels()


def test_the_best_price_follows_when_several_top_levels_leave_at_once():
    book = a_book()
    book.apply_delta([100, 0, 99, 0], [101, 0, 102, 0])
    assert (book.best_bid(), book.best_ask()) == ((98, 3), (103, 6))


def test_a_best_level_removed_and_set_again_in_one_delta_is_the_best():
    book = a_book()
    book.apply_delta([100, 0, 100, 5], [101, 0, 101, 6])
    assert (book.best_bid(), book.best_ask()) == ((100, 5), (101, 6))


def test_levels_that_come_and_go_all_day_leave_nothing_behind():
    book = OrderBook(5)
    book.apply_snapshot([1000, 1], [5000, 1])
    for price in range(1001, 3000):  # a price that only ever rises: none comes back
        book.apply_delta([price, 7, price - 1, 0], [9000 - price, 0, 8999 - price, 7])
    assert book.levels() == Levels([2999, 7], [5000, 1, 6000, 7])
    assert book.absent_deletes == 1
    assert len(book._bids) < 50
    assert len(book._asks) < 50


def test_a_change_away_from_the_best_prices_does_not_touch_them():
    book = a_book()
    for bids, asks, touched in [
        ([99, 7], [102, 0], False),
        ([100, 7], [], True),
        ([], [101, 0], True),
        ([97, 1], [104, 1], False),
        ([], [101, 9], True),
    ]:
        book.apply_delta(bids, asks)
        assert book.touched is touched, (bids, asks)


def test_a_side_may_be_emptied_and_filled_again():
    book = a_book()
    book.apply_delta([100, 0, 99, 0, 98, 0], [])
    assert book.best_bid() is None
    assert not book.is_crossed()
    book.apply_delta([90, 1], [])
    assert book.best_bid() == (90, 1)


@pytest.mark.parametrize(("bid", "crossed"), [(100, False), (101, True), (102, True)])
def test_a_bid_at_or_above_the_best_ask_crosses(bid: int, crossed: bool):
    book = a_book()
    book.apply_delta([bid, 1], [])
    assert book.is_crossed() is crossed


def test_levels_beyond_the_window_are_returned_as_removals_after_the_whole_delta():
    book = OrderBook(2)
    book.apply_snapshot([100, 1, 99, 1], [101, 1, 102, 1])
    # Two come and one goes: only one level has to leave.
    assert book.apply_delta([98, 1, 97, 1, 100, 0], [103, 1]) == Levels([97, 0], [103, 0])
    assert book.levels() == Levels([99, 1, 98, 1], [101, 1, 102, 1])
    assert book.trimmed_levels == 2


def test_a_delta_that_makes_room_trims_nothing():
    book = OrderBook(2)
    book.apply_snapshot([100, 1, 99, 1], [])
    assert book.apply_delta([98, 1, 100, 0], []) is None


def test_a_snapshot_deeper_than_the_window_keeps_the_best_levels():
    book = OrderBook(1)
    book.apply_snapshot([99, 1, 100, 2], [102, 3, 101, 4])
    assert book.levels() == Levels([100, 2], [101, 4])
    assert book.trimmed_levels == 2


def test_the_top_is_cut_from_the_best_end():
    book = a_book()
    assert book.top(2) == Levels([100, 1, 99, 2], [101, 4, 102, 5])
    assert book.top(9) == book.levels()
    assert book.top(0) == Levels()


def test_the_difference_to_a_snapshot_turns_the_book_into_it():
    book = a_book()
    bids, asks = [100, 1, 99, 9, 96, 1], [104, 1]
    assert book.difference(bids, asks) == Levels([98, 0, 99, 9, 96, 1], [101, 0, 102, 0, 103, 0, 104, 1])
    assert book.levels() == a_book().levels()
    difference = book.difference(bids, asks)
    book.apply_delta(difference.bids, difference.asks)
    assert book.levels() == Levels(bids, asks)
    assert book.difference(bids, asks) == Levels()


def test_clearing_leaves_an_empty_book():
    book = a_book()
    book.clear()
    assert book.levels() == Levels()
    assert book.best_bid() is None


def test_the_checksum_is_of_bids_descending_then_asks_ascending_little_endian():
    # Written out by hand: price and quantity, 8 bytes each.
    expected = zlib.crc32(
        bytes.fromhex("6400000000000000010000000000000063000000000000000200000000000000")
        + bytes.fromhex("65000000000000000001000000000000")
    )
    book = OrderBook(5)
    book.apply_snapshot([99, 2, 100, 1], [101, 256])
    assert book.checksum() == checksum([100, 1, 99, 2], [101, 256]) == expected
    assert OrderBook(5).checksum() == checksum([], []) == 0


def test_a_window_of_no_level_is_refused():
    with pytest.raises(ValueError, match="at least one level"):
        OrderBook(0)
