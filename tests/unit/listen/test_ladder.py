"""The ladder, character by character."""

from feeder.client.book_view import BookView
from feeder.client.status import ViewStatus
from feeder.listen.ladder import Ladder
from feeder.listen.paint import Ground, Line, Tone
from feeder.listen.status import MEANINGS
from feeder.market.status import BookStatus, StatusReason
from feeder.market.update import Side
from tests.unit.listen.feeds import ASKS, BIDS, Watched, texts

BTC = ("linear", "BTCUSDT")


def ladder(watched: Watched, width: int = 66, height: int = 11, levels: int | None = None) -> list[Line]:
    return Ladder(watched.board, BTC, levels).paint(width, height)


def tones(line: Line) -> set[Tone]:
    return {span.tone for span in line.spans if span.text.strip()}


def test_asks_stand_above_bids_and_the_spread_between_them():
    watched = Watched()
    painted = ladder(watched)
    assert texts(painted)[2:] == [
        "",
        "      price    quantity         total",
        "",
        "  64,250.50       0.070         0.073  █▎",
        "  64,250.20       0.003         0.003",
        "  64,250.15  mid  spread 0.10 (1 tick)",
        "  64,250.10       1.500         1.500  ██████████████████████████▋",
        "  64,250.00       0.020         1.520  ███████████████████████████",
    ]
    assert Tone.ASK in tones(painted[5])
    assert Tone.BID in tones(painted[8])


def test_the_header_names_the_book_its_status_age_sequence_and_lines():
    watched = Watched()
    title, ids = texts(ladder(watched, 80))[:2]
    assert title.startswith(" linear BTCUSDT  LIVE")
    assert title.endswith("lines A ✓ B ✓")
    assert "age 1.2s" in title
    assert ids.startswith(f" seq {watched.source().publisher.sequence}  update 1  0/s")


def test_a_book_that_is_not_live_says_so_over_the_whole_width_and_its_levels_are_dimmed():
    watched = Watched()
    watched.source().stale()
    watched.run(0.1)
    painted = ladder(watched)
    banner = painted[2:4]
    assert [line.ground for line in banner] == [Ground.BAD] * 2
    assert " ".join(" ".join(texts(banner)).split()) == f"STALE: GAP - {MEANINGS[ViewStatus.STALE]}", "wrapped, not cut"
    assert all(len(line.spans[0].text) == 66 for line in banner)
    spread = next(line for line in painted if "─" in line.text)
    assert spread.text == " ────────── STALE: GAP"
    levels = [line for line in painted[5:] if line.text and line is not spread]
    assert len(levels) == 4
    assert all(tones(line) == {Tone.DIM} for line in levels)


def test_a_lost_feeder_is_unmistakable():
    watched = Watched()
    watched.silence(1.5)
    painted = ladder(watched)
    assert painted[2].text == " FEEDER LOST - no packet, not even a heartbeat, on any line"
    assert painted[0].text.endswith("lines A ✗ B ✗")


def test_a_book_that_the_feeder_does_not_publish_is_not_waited_for_in_silence():
    watched = Watched("ETHUSDT", wanted=("BTCUSDT",))
    watched.run(2.0)
    painted = texts(ladder(watched))
    assert painted[0].startswith(" linear BTCUSDT  NOT PUBLISHED")
    assert painted[2] == " NOT PUBLISHED: the feeder has no linear BTCUSDT"
    assert not any("JOINING" in text for text in painted)
    watched.silence(1.0)
    assert ladder(watched)[2].text.startswith(" FEEDER LOST - "), "what a lost feeder has, nobody knows"


def test_where_nothing_is_heard_the_ladder_says_what_to_check():
    watched = Watched(wanted=("BTCUSDT",), live=False)
    watched.silence(3.5)
    painted = texts(ladder(watched, 100, 20))
    assert painted[2] == " NO MULTICAST HEARD"
    assert any("line B: groups 239.78.0.0" in text for text in painted)


def test_one_sided_and_crossed_books_are_shown_as_they_are():
    watched = Watched()
    watched.source().delta([], [6425020, 0, 6425050, 0])
    watched.run(0.1)
    assert " ────────── no asks" in texts(ladder(watched))
    watched.source().delta([6425100, 1], [6425050, 5])
    watched.run(0.1)
    spread = next(line for line in ladder(watched) if "spread" in line.text)
    assert spread.text == "  64,250.75  mid  spread -0.50 (-5 ticks)"
    assert tones(spread) == {Tone.BAD}


def test_no_more_levels_than_asked_for():
    watched = Watched()
    assert sum("64,250" in text for text in texts(ladder(watched, levels=1))) == 3  # with the mid price


def test_a_mid_price_with_a_digit_more_keeps_its_point_below_the_others():
    watched = Watched()
    watched.source().delta([6425011, 5], [])
    watched.run(0.1)
    spread = next(text for text in texts(ladder(watched)) if "spread" in text)
    assert spread == "  64,250.155  mid  spread 0.09 (0.9 ticks)"
    assert spread.index(".") == texts(ladder(watched))[5].index(".")


def test_the_latest_trades_stand_beside_the_book_newest_first():
    watched = Watched()
    watched.trade(1)
    watched.trade(2, side=Side.SELL)
    right = [text.partition("│ ")[2] for text in texts(ladder(watched, 110, 30))]
    assert [text for text in right if text] == [
        "trades, UTC        price   quantity",
        "22:13:20.002 S 64,250.20      0.200",
        "22:13:20.001 B 64,250.20      0.100",
    ]
    assert not any("│" in text for text in texts(ladder(watched, 70, 30)))


def test_missed_trades_are_told_where_they_are_missing():
    watched = Watched()
    watched.trade(1)
    watched.source().publisher.trades_lost(4)
    watched.deliver()
    watched.source().publisher.trade_sequence += 2
    watched.trade(2)
    right = [text.partition("│ ")[2] for text in texts(ladder(watched, 110, 30))]
    assert [text for text in right if text][1:] == [
        "22:13:20.002 B 64,250.20      0.200",
        "2 trades missed",
        "4 trades given up by the feeder",
        "22:13:20.001 B 64,250.20      0.100",
    ]


def test_a_small_screen_keeps_all_numbers_and_both_lines():
    watched = Watched()
    painted = ladder(watched, 40, 9)
    assert max(len(text) for text in texts(painted)) <= 40
    assert painted[0].text.startswith(" linear BTCUSDT  LIVE")
    assert painted[0].text.endswith("A ✓ B ✓")
    watched.source().publisher.status(BookStatus.STALE, StatusReason.DISCONNECTED)
    watched.run(0.1)
    title = ladder(watched, 40, 9)[0].text
    assert ("A ✓" in title) == ("B ✓" in title), "one line alone would look like the only one"


def test_every_size_of_screen_is_kept():
    watched = Watched()
    for width in (20, 40, 72, 80, 200):
        for height in (5, 24, 60):
            painted = Ladder(watched.board, BTC).paint(width, height)
            assert len(painted) <= max(height, 7)


def test_columns_stand_still_when_numbers_become_shorter():
    watched = Watched()
    watched.source().delta([6425010, 123456789012], [])
    watched.run(0.1)
    kept = Ladder(watched.board, BTC)
    before = texts(kept.paint(66, 11))[3]
    watched.source().delta([6425010, 1], [])
    watched.run(0.1)
    assert texts(kept.paint(66, 11))[3] == before != texts(ladder(watched))[3]


def test_without_screens_the_whole_book_is_printed():
    watched = Watched()
    many = [number for price in range(30) for number in (6420000 - 10 * price, 5)]
    watched.source().restart(BIDS + many, ASKS)
    watched.run(0.1)
    whole = texts(Ladder(watched.board, BTC).whole())
    assert sum("spread" in text for text in whole) == 1
    assert whole[-1].startswith("  64,197.10       0.005")
    view: BookView = watched.board.books()[BTC]
    assert sum(text.startswith("  64,") for text in whole) == (len(view.depth().bids) + len(view.depth().asks)) // 2 + 1
