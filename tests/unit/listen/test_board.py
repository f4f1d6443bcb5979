"""What the screens read, sampled from a whole feed without sockets."""

import pytest

from feeder.listen import hints
from feeder.listen.paint import as_text
from feeder.multicast.plan import ChannelPlan
from tests.helpers.feed import instrument
from tests.unit.listen.feeds import Watched


def test_a_rate_is_the_mean_of_the_last_two_seconds():
    watched = Watched("BTCUSDT", "ETHUSDT")
    watched.run(3.0)
    for _ in range(20):
        watched.source().delta([6425010, 5], [])
        watched.run(0.1)
    views = watched.board.books()
    assert watched.board.rate(views["linear", "BTCUSDT"]) == pytest.approx(10, rel=0.15)
    assert watched.board.rate(views["linear", "ETHUSDT"]) == 0.0
    assert watched.board.total_rate() == pytest.approx(10, rel=0.15)
    watched.run(3.0)
    assert watched.board.rate(views["linear", "BTCUSDT"]) == 0.0


def test_a_line_taken_away_is_seen_within_a_second_and_a_half_though_the_other_brings_everything():
    watched = Watched()
    assert watched.board.lines() == [("A", True), ("B", True)]
    for _ in range(150):
        watched.feed.clock.advance(0.010)
        watched.feed.publisher.tick(watched.feed.clock.monotonic())
        watched.feed.turn()
        watched.feed.deliver([watched.consumer], keep=lambda datagram: datagram[0] == "A")
        watched.board.sample()
    assert watched.board.lines() == [("A", True), ("B", False)]
    assert watched.board.lines(0) == [("A", True), ("B", False)]
    assert watched.board.holes() == 0


def test_books_asked_for_by_name_are_there_before_the_feeder_defines_them_and_in_that_order():
    watched = Watched("BTCUSDT", "ETHUSDT", wanted=("XRPUSDT", "ETHUSDT"), live=False)
    assert list(watched.board.books()) == [("linear", "XRPUSDT"), ("linear", "ETHUSDT")]
    assert watched.board.name_of(instrument("XRPUSDT").id) == ("linear", "XRPUSDT")


def test_a_book_that_two_snapshot_cycles_did_not_bring_is_not_published():
    watched = Watched(wanted=("BTCUSDT", "NOPEUSDT"))
    absent = watched.board.books()["linear", "NOPEUSDT"]
    assert not watched.board.is_absent(absent)
    watched.run(2.0)
    assert watched.board.is_absent(absent)
    assert not watched.board.is_absent(watched.board.books()["linear", "BTCUSDT"])


def test_the_latency_counts_updates_seen_while_looking_and_no_snapshots():
    watched = Watched()
    view = watched.board.books()["linear", "BTCUSDT"]
    assert watched.board.latency_ns(view) is None
    watched.feed.run(1.2, [watched.consumer])
    assert watched.board.latency_ns(view) is None
    watched.source().delta([6425010, 5], [])
    watched.deliver()
    received = watched.feed.clock.wall_ns()
    watched.feed.clock.advance(0.3)
    assert watched.board.latency_ns(view) == pytest.approx(received - view.receive_time_ns, abs=1000)


def test_a_listener_that_hears_nothing_says_after_three_seconds_where_it_listens_and_what_to_check():
    watched = Watched(live=False)
    watched.silence(2.9)
    assert as_text(hints.listening(watched.board, 100)) == " listening ...\n"
    watched.silence(0.2)
    text = as_text(hints.listening(watched.board, 100))
    assert "line A: groups 239.77.0.0 to 239.77.0.4, UDP ports 20000 to 20004, interface 127.0.0.1" in text
    assert "feeder check --json" in text
    assert max(len(line) for line in as_text(hints.listening(watched.board, 60)).splitlines()) <= 60


def test_datagrams_that_are_no_packets_are_named_when_nothing_else_comes():
    watched = Watched(live=False)
    watched.consumer.feed.on_datagram("A", 0, b"hello")
    watched.silence(3.1)
    assert "1 datagrams came that are no packets of a feeder" in "\n".join(hints.nothing_heard(watched.board))


def test_another_number_of_partitions_is_noticed_by_what_the_feeder_says():
    watched = Watched()
    assert hints.wrong_partitions(watched.board) is None
    watched.board.plan = ChannelPlan(partitions=2)
    assert hints.wrong_partitions(watched.board) == (
        "the feeder has 1 partitions, 2 are listened to; give --partitions 1"
    )


def test_long_lists_of_names_are_cut():
    assert hints.shortened(["a", "b", "c"], 2) == "a, b and 1 more"
    assert hints.shortened(["a", "b"], 2) == "a, b"
