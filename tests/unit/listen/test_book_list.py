"""The list of all books: what it shows, how it sorts, where the cursor stays."""

import pytest

from feeder.client.status import FEEDER_STATUS, ViewStatus
from feeder.listen import hints
from feeder.listen.board import OWN_STATUSES
from feeder.listen.book_list import BookList, Order
from feeder.listen.paint import Ground, Line
from feeder.listen.status import MEANINGS, SEVERITY, TONES
from feeder.market.status import BookStatus, StatusReason
from feeder.multicast.plan import ChannelPlan
from tests.unit.listen.feeds import Watched, texts


def painted(books: BookList, width: int = 110, height: int = 20) -> list[str]:
    return texts(books.paint(width, height))


def symbols(books: BookList, height: int = 20) -> list[str]:
    return [text.split()[1] for text in painted(books, height=height)[2:]]


def under_cursor(lines: list[Line]) -> list[str]:
    return [line.text.split()[1] for line in lines if line.ground is Ground.CURSOR]


def test_a_line_tells_status_best_prices_spread_rate_age_and_update_id():
    watched = Watched("ETHUSDT", "BTCUSDT")
    watched.source("BTCUSDT").delta([6425010, 6], [])
    watched.run(3.0)
    watched.source("BTCUSDT").stale()
    watched.source("ETHUSDT").delta([6425010, 7], [])
    watched.run(0.5)
    assert painted(BookList(watched.board))[1:] == [
        " category  symbol▲   status                       bid         ask  spread   upd/s   age       update id",
        " linear    BTCUSDT   STALE: GAP             64,250.10   64,250.20    0.10       0  3.5s               2",
        " linear    ETHUSDT   LIVE                   64,250.10   64,250.20    0.10     0.5  0.5s               2",
    ]


def test_the_summary_counts_by_status_and_the_whole_feed():
    watched = Watched("BTCUSDT", "ETHUSDT", "XRPUSDT")
    watched.source("ETHUSDT").stale()
    watched.run(0.1)
    summary = painted(BookList(watched.board))[0]
    assert summary.startswith(" 3 instruments  2 live  1 stale")
    assert summary.endswith("0 holes  A ✓  B ✓")


def test_sorted_by_symbol_rate_age_or_status_and_the_other_way_round():
    watched = Watched("BTCUSDT", "ETHUSDT", "XRPUSDT")
    watched.source("XRPUSDT").stale()
    for _ in range(10):
        watched.source("ETHUSDT").delta([6425010, 5], [])
        watched.run(0.1)
    books = BookList(watched.board)
    assert symbols(books) == ["BTCUSDT", "ETHUSDT", "XRPUSDT"]
    books.sort(Order.RATE)
    assert symbols(books)[0] == "ETHUSDT"
    books.sort(Order.AGE)
    assert symbols(books)[-1] == "ETHUSDT"
    books.sort(Order.STATUS)
    assert symbols(books) == ["XRPUSDT", "BTCUSDT", "ETHUSDT"]
    books.sort(Order.NAME)
    books.sort(Order.NAME)
    assert symbols(books) == ["XRPUSDT", "ETHUSDT", "BTCUSDT"]
    assert "symbol▼" in painted(books)[1]


def test_an_order_by_rate_stands_for_a_second_so_that_it_can_be_read():
    watched = Watched("BTCUSDT", "ETHUSDT")
    books = BookList(watched.board)
    books.sort(Order.RATE)
    assert symbols(books) == ["BTCUSDT", "ETHUSDT"]
    for _ in range(9):
        watched.source("ETHUSDT").delta([6425010, 5], [])
        watched.run(0.1)
        assert symbols(books) == ["BTCUSDT", "ETHUSDT"]
    watched.run(0.2)
    assert symbols(books) == ["ETHUSDT", "BTCUSDT"]


def test_a_filter_shows_what_contains_it_in_category_or_symbol():
    watched = Watched("BTCUSDT", "ETHUSDT")
    books = BookList(watched.board)
    books.set_filter("eth")
    assert symbols(books) == ["ETHUSDT"]
    assert "1 contain 'eth'" in painted(books)[0]
    books.set_filter("linear:b")
    assert symbols(books) == ["BTCUSDT"]
    books.set_filter("zzz")
    assert painted(books)[-1] == " no instrument contains 'zzz'; Esc shows all"
    assert books.selected is None
    books.move(1)
    books.set_filter("")
    assert symbols(books) == ["BTCUSDT", "ETHUSDT"]


def test_a_new_instrument_appears_at_once_and_an_untouched_cursor_stays_on_the_first_line():
    watched = Watched("ETHUSDT", live=False)
    watched.run(1.2)
    books = BookList(watched.board)
    assert under_cursor(books.paint(80, 20)) == ["ETHUSDT"]
    watched.feed.symbols = ("BTCUSDT", "ETHUSDT")
    watched.feed.clock.advance(1)
    watched.feed.start()
    watched.run(1.2)
    assert under_cursor(books.paint(80, 20)) == ["BTCUSDT"]


def test_a_moved_cursor_stays_with_its_book_when_the_order_changes():
    watched = Watched(*(f"S{number}USDT" for number in range(9)))
    books = BookList(watched.board)
    books.sort(Order.RATE)
    books.paint(80, 20)
    books.move(3)
    for _ in range(15):
        watched.source("S8USDT").delta([6425010, 5], [])
        watched.run(0.1)
    lines = books.paint(80, 20)
    assert texts(lines)[2].split()[1] == "S8USDT"
    assert under_cursor(lines) == ["S3USDT"]
    assert books.selected == ("linear", "S3USDT")


def test_the_list_scrolls_with_the_cursor_and_ends_at_its_ends():
    watched = Watched(*(f"S{number:02}USDT" for number in range(30)))
    books = BookList(watched.board)
    assert symbols(books, height=12) == [f"S{number:02}USDT" for number in range(10)]
    books.move(11)
    assert symbols(books, height=12) == [f"S{number:02}USDT" for number in range(2, 12)]
    books.move_page(1)
    assert books.selected == ("linear", "S21USDT")
    books.move(1000)
    assert symbols(books, height=12)[-1] == "S29USDT"
    books.move(-1000)
    assert symbols(books, height=12)[0] == "S00USDT"


def test_a_click_puts_the_cursor_on_a_book_and_nowhere_else():
    watched = Watched("BTCUSDT", "ETHUSDT")
    books = BookList(watched.board)
    books.paint(80, 20)
    books.select_row(3)
    assert books.selected == ("linear", "ETHUSDT")
    for row in (0, 1, 4, 19):
        books.select_row(row)
        assert books.selected == ("linear", "ETHUSDT")


def test_a_small_screen_keeps_counts_status_and_best_prices():
    watched = Watched(*(f"S{number:03}USDT" for number in range(200)))
    watched.source("S000USDT").stale()
    watched.run(0.1)
    shown = painted(BookList(watched.board), 40, 9)
    assert shown[0].startswith(" 199/200 live  1 stale")
    assert shown[0].endswith("A ✓  B ✓")
    assert shown[1:4] == [
        " symbol▲  status       bid       ask",
        " S000USDT STALE  64,250.10 64,250.20",
        " S001USDT LIVE   64,250.10 64,250.20",
    ]


def test_a_feed_cut_into_another_number_of_partitions_is_told_in_full():
    watched = Watched()
    watched.board.plan = ChannelPlan(partitions=2)
    books = BookList(watched.board)
    shown = painted(books, 40)
    assert " ".join(" ".join(shown[1:3]).split()) == hints.wrong_partitions(watched.board)
    books.select_row(3)  # the heads
    books.select_row(4)
    assert books.selected == ("linear", "BTCUSDT")


@pytest.mark.parametrize("status", ViewStatus)
def test_every_status_there_is_has_its_look_its_meaning_and_its_rank(status):
    assert status in TONES
    assert status in MEANINGS
    assert status in SEVERITY
    assert (status in OWN_STATUSES) != (status in FEEDER_STATUS.values())


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 200])
def test_columns_of_less_weight_go_first_where_there_is_no_room(width):
    watched = Watched("BTCUSDT", "1000000BABYDOGEUSDT")
    books = BookList(watched.board)
    painted(books, width)
    lines = painted(books, width)
    assert all(len(text) <= max(width, 21) for text in lines[1:])
    assert "BTCUSDT" in lines[3]
    assert ("LIVE" in lines[3]) == (width >= 40)
    assert ("64,250.10" in lines[3]) == ("64,250.20" in lines[3]) == (width >= 60)


def test_a_status_is_never_cut_in_the_middle_of_its_reason():
    watched = Watched()
    watched.source().publisher.status(BookStatus.STALE, StatusReason.DISCONNECTED)
    watched.run(0.1)
    books = BookList(watched.board)
    told = {painted(books, width)[2].partition("STALE")[2].partition(" ")[0] for width in range(40, 120)}
    told |= {painted(books, width)[2].partition("STALE: ")[2].partition(" ")[0] for width in range(40, 120)}
    assert told == {"", ":", "DISCONNECTED"}


def test_a_book_that_is_not_published_says_so():
    watched = Watched(wanted=("BTCUSDT", "NOPEUSDT"))
    watched.run(2.0)
    for width in (40, 60, 80, 110):
        shown = painted(BookList(watched.board), width)
        assert "NOT PUBLISHED" in shown[3], width
        assert "64,250.10" in shown[2], width
    head = painted(BookList(watched.board))[0]
    assert "1 live  1 not published" in head
    assert "joining" not in head
    watched.silence(1.0)
    assert "FEEDER LOST" in painted(BookList(watched.board))[3]


def test_the_table_without_screens_holds_every_book():
    watched = Watched(*(f"S{number:02}USDT" for number in range(30)))
    table = texts(BookList(watched.board).table())
    assert len(table) == 31
    assert "upd/s" not in table[0]
