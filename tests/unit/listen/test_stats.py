import itertools
import json

import pytest

from feeder.listen.json_lines import JsonLines
from feeder.listen.paint import Tone
from feeder.listen.stats import StatsMeter, fit_stats, paint_stats
from feeder.wire.messages import Kind
from tests.helpers.feed import Datagram
from tests.unit.listen.feeds import Watched, texts


def lossy(watched: Watched) -> None:
    """Ten changes: one is lost on line A, another on both."""
    source = watched.source()
    for step in range(10):
        source.delta([6425010, step + 1], [])
        watched.feed.turn()

        def keep(datagram: Datagram, step: int = step) -> bool:
            return not ((step == 3 and datagram[0] == "A") or step == 6)

        watched.feed.deliver([watched.consumer], keep)
        watched.feed.clock.advance(0.02)
        watched.consumer.feed.on_time()


def test_channels_tell_packets_holes_and_line_a_against_line_b():
    watched = Watched()
    before = {n: a.stats.messages for n, (_, a) in watched.consumer.feed.arbiters.items()}
    lossy(watched)
    rows = {row.kind: row for row in StatsMeter(watched.board).channels()}
    books = rows[Kind.BOOKS]
    assert (books.stats.holes, books.stats.lost) == (1, 1)
    assert books.stats.messages - before[0] == 9
    assert (books.lines["A"].missing, books.lines["B"].missing) == (2, 1)
    assert books.lines["B"].first == 1
    assert books.stats.duplicates > 0


def test_rates_are_of_the_last_second():
    watched = Watched()
    meter = StatsMeter(watched.board)
    watched.run(1.0)
    meter.sample()
    watched.feed.clock.advance(2.0)
    for _ in range(10):
        watched.source().delta([6425010, 5], [])
    watched.deliver()
    meter.sample()
    (books,) = (row for row in meter.channels() if row.kind is Kind.BOOKS)
    assert books.messages_per_second == pytest.approx(5.0)
    assert books.packets_per_second == pytest.approx(1.0)  # one packet on each of two lines
    meter.sample()
    (books,) = (row for row in meter.channels() if row.kind is Kind.BOOKS)
    assert books.messages_per_second == pytest.approx(5.0), "asked again too early, it keeps what it had"


def test_one_table_where_there_is_room_and_two_where_there_is_not():
    watched = Watched()
    lossy(watched)
    meter = StatsMeter(watched.board)
    wide, narrow = texts(paint_stats(meter, 220)), texts(paint_stats(meter, 80))
    assert len(wide) == 9
    assert wide[0].split("  ")[-1].strip() == "B missing"
    assert len(narrow) == 16
    assert max(len(text) for text in narrow) <= 80
    assert [text.split()[1] for text in wide[1:6]] == ["books", "trades", "bbo", "snapshots", "definitions"]


def test_both_tables_have_the_same_heads_and_a_narrow_screen_has_more_tables_with_every_column():
    watched = Watched()
    meter = StatsMeter(watched.board)
    for width, tables in ((220, 2), (110, 3), (80, 3), (40, 7)):
        shown = texts(paint_stats(meter, width))
        assert max(len(text) for text in shown) <= width
        heads = [shown[0], *(after for before, after in itertools.pairwise(shown) if not before)]
        assert len(heads) == tables, width
        short = {head.split()[0] for head in heads} == {"p"}
        assert short or {head.split()[0] for head in heads} == {"part"}
        every = " ".join(heads)
        for what in ("holes", "lost", "A first", "B first", "live", "refused"):
            assert what in every


def test_a_terminal_too_low_for_all_has_one_line_per_channel_with_what_matters_most():
    watched = Watched()
    lossy(watched)
    meter = StatsMeter(watched.board)
    assert texts(fit_stats(meter, 80, 30)) == texts(paint_stats(meter, 80))
    low = texts(fit_stats(meter, 80, 9))
    assert len(low) == 9
    assert low[0].split()[:6] == ["p", "kind", "ch", "pkt/s", "msg/s", "holes"]
    assert "A miss" in low[0]
    assert "B miss" in low[0]
    assert [text.split()[1] for text in low[1:6]] == ["books", "trades", "bbo", "snapshots", "definitions"]
    lower = texts(fit_stats(meter, 40, 5))
    assert len(lower) == 5
    assert max(map(len, lower)) <= 40
    assert lower[-1].startswith(" 5 more lines")
    assert "holes" in lower[0]


def test_what_should_be_nothing_and_is_not_stands_out():
    watched = Watched()
    assert all(span.tone is not Tone.BAD for line in paint_stats(StatsMeter(watched.board), 220) for span in line.spans)
    lossy(watched)
    bad = [s.text.strip() for s in paint_stats(StatsMeter(watched.board), 220)[1].spans if s.tone is Tone.BAD]
    assert bad == ["1", "1", "2", "1"]  # holes, lost, A missing, B missing


def test_the_same_for_programs():
    watched = Watched()
    lossy(watched)
    objects = [json.loads(line) for line in JsonLines(watched.board).stats(StatsMeter(watched.board))]
    assert [o["event"] for o in objects] == ["channel"] * 5 + ["partition"]
    books, partition = objects[0], objects[-1]
    assert (books["kind"], books["channel_id"], books["holes"], books["lost"]) == ("books", 0, 1, 1)
    assert books["lines"]["A"]["missing"] == 2
    assert set(books["lines"]["B"]) == {"packets", "messages", "first", "missing"}
    assert (partition["instruments"], partition["live"], partition["held"], partition["breaks"]) == (1, 0, 1, 0)
    assert (books["state"], books["filled"]) == ("RECOVERING", 0)
    asked = partition["retransmit"]
    assert (asked["requests"], asked["holes_filled"], asked["holes_abandoned"], asked["rejects"]) == (0, 0, 0, {})


def test_a_hole_that_was_given_up_shows_in_both():
    watched = Watched()
    lossy(watched)
    watched.run(2.5)
    meter = StatsMeter(watched.board)
    table = texts(paint_stats(meter, 220))
    assert table[-2].split()[-3:] == ["asked", "given", "up"]
    assert table[-1].split()[-2:] == ["0", "1"]  # nobody says where to ask
    partition = json.loads(list(JsonLines(watched.board).stats(meter))[-1])
    assert partition["retransmit"]["holes_abandoned"] == 1
