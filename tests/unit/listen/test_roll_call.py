"""--once ends when every book is there, and names those that are not."""

from feeder.listen.roll_call import RollCall
from feeder.market.status import BookStatus, StatusReason
from feeder.multicast.plan import ChannelPlan
from tests.unit.listen.feeds import ASKS, BIDS, Watched


def test_all_instruments_are_there_when_a_cycles_end_says_how_many_and_so_many_are_live():
    watched = Watched("BTCUSDT", "ETHUSDT", "XRPUSDT")
    late = Watched("BTCUSDT", "ETHUSDT", "XRPUSDT", live=False)
    late.feed = watched.feed
    late.board.clock = watched.feed.clock
    late.consumer.feed._clock = late.consumer.feed.books._clock = watched.feed.clock
    roll = RollCall(late.board)
    assert roll.missing() == ["partition 0 (no snapshot cycle heard to its end)"]
    seen = []
    for _ in range(25):
        watched.feed.run(0.1, [late.consumer])
        seen.append(roll.complete())
        if not late.consumer.feed.books.cycles:
            assert not seen[-1], "all that are known are live, but not all may be known"
    assert seen[-1]
    assert roll.missing() == []


def test_a_book_that_is_not_live_is_waited_for_and_named():
    watched = Watched("BTCUSDT", "ETHUSDT")
    roll = RollCall(watched.board)
    assert roll.complete()
    watched.source("ETHUSDT").stale()
    watched.run(0.1)
    assert not roll.complete()
    assert roll.missing() == ["linear:ETHUSDT (STALE: GAP)"]
    watched.source("ETHUSDT").restart(BIDS, ASKS)
    watched.run(0.1)
    assert roll.complete()


def test_an_instrument_whose_definition_has_not_come_is_missed_by_number():
    watched = Watched("BTCUSDT", "ETHUSDT")
    watched.consumer.feed.books.instruments = 3
    roll = RollCall(watched.board)
    assert not roll.complete()
    assert roll.missing() == ["partition 0 (2 of 3 instruments defined)"]


def test_a_delisted_book_is_not_waited_for_and_missed_only_when_asked_for_by_name():
    every, named = Watched("BTCUSDT", "ETHUSDT"), Watched("BTCUSDT", "ETHUSDT", wanted=("BTCUSDT",))
    for watched in (every, named):
        watched.source().publisher.status(BookStatus.DELISTED, StatusReason.DELISTED)
        watched.run(0.1)
        assert RollCall(watched.board).complete()
    assert RollCall(every.board).missing() == []
    assert RollCall(named.board).missing() == ["linear:BTCUSDT (DELISTED: DELISTED)"]


def test_a_name_that_the_feeder_does_not_know_is_told_as_such():
    watched = Watched(wanted=("BTCUSDT", "NOPEUSDT"))
    roll = RollCall(watched.board)
    assert not roll.complete()
    assert roll.missing() == ["linear:NOPEUSDT (JOINING)"]
    watched.run(2.0)
    assert roll.missing() == ["linear:NOPEUSDT (not published by this feeder)"]


def test_books_of_too_few_partitions_are_never_all():
    watched = Watched()
    watched.board.plan = ChannelPlan(partitions=2)
    assert not RollCall(watched.board).complete()
    assert "give --partitions 1" in RollCall(watched.board).missing()[0]
