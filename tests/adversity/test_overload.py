"""More than can be handled, later than it should be, into sockets that are full: folded, flagged, counted, no lie.

Router, queues, workers, publisher and consumer are the real ones; each book that the consumer shows as LIVE is held
against the exchange's at the same update id, at every change (tests/helpers/plant.py).
"""

import errno
import socket
from itertools import pairwise

import pytest

from feeder.client.events import (
    BookChanged,
    FeederHeard,
    FeederLost,
    HoleFilled,
    PacketsLost,
    StatusChanged,
    Traded,
    TradesGone,
)
from feeder.client.status import ViewStatus
from feeder.clock import ManualClock
from feeder.market.status import StatusReason
from feeder.market.update import Side, TradeUpdate
from feeder.multicast.channel import ChannelPublisher, LineSender
from feeder.multicast.ring import Ring
from feeder.pipeline import symbol_queue
from feeder.wire import encoder
from feeder.wire.messages import BookChecksum, Kind, PacketFlag
from feeder.wire.packet import parse
from tests.helpers.feed import levels_of
from tests.helpers.plant import Plant, VenueBook, plant

BOTH = ("A", "B")
FULL = [errno.EAGAIN, errno.ENOBUFS]


def equal_at_the_end(made: Plant) -> None:
    """Every book is LIVE and the exchange's last."""
    for book in made.books:
        view = made.consumer.view(book)
        assert view.is_live
        assert view.venue_update_id == book.update_id
        assert levels_of(view) == book.levels()


def changes_of(made: Plant, book: VenueBook) -> list[BookChanged]:
    return [event for event in made.consumer.told(BookChanged) if event.view is made.consumer.view(book)]


def statuses_of(made: Plant, book: VenueBook) -> list[tuple[ViewStatus, StatusReason]]:
    told = [event for event in made.consumer.told(StatusChanged) if event.view is made.consumer.view(book)]
    return [(event.status, event.reason) for event in told]


def every_skipped_update_is_flagged(made: Plant, book: VenueBook) -> int:
    """A change that stands for several of the exchange's updates is flagged conflated, others are not; how many are."""
    changes = made.consumer.changes[book.key[1]]
    for (before, _), (update_id, conflated) in pairwise(changes):
        assert conflated is (update_id > before + 1)
    return sum(conflated for _, conflated in changes)


# A symbol hotter than its worker --------------------------------------------------------------------------------------


async def test_a_flood_of_one_symbol_is_folded_flagged_and_counted_and_no_other_is_touched():
    async with plant(capacity=100) as made:
        hot, *others = made.books
        before = made.router.totals()
        made.put(hot, *(hot.delta() for _ in range(5_000)))
        for book in others:
            made.put(book, *(book.delta() for _ in range(20)))
        await made.settle()
        equal_at_the_end(made)
        counted = made.router.totals() - before
        deltas = [delta for event in changes_of(made, hot) for delta in event.deltas]
        assert counted["puts"] == 5_040
        assert counted["folded_updates"] > 4_500
        assert len({delta.venue_update_id for delta in deltas}) == 5_000 - counted["folded_updates"]
        assert every_skipped_update_is_flagged(made, hot) > 0
        assert made.worker(hot).queue.high_water <= 101
        for book in others:
            assert len(changes_of(made, book)) == 20
            assert made.worker(book).queue.folded_updates == 0
        assert made.resyncs == []
        assert made.consumer.told(StatusChanged) == []


async def test_a_symbol_that_stays_hotter_than_its_worker_is_never_more_than_its_capacity_behind():
    """A worker takes 4 updates a turn; 50 come in each."""
    async with plant(capacity=60) as made:
        hot, quiet, _ = made.books
        for _ in range(200):
            made.put(hot, *(hot.delta() for _ in range(50)))
            made.put(quiet, quiet.delta())
            made.clock.advance(0.0005)
            await made.turn()
            assert made.worker(hot).queue.depth <= 60
        await made.settle()
        equal_at_the_end(made)
        assert every_skipped_update_is_flagged(made, hot) > 100
        assert every_skipped_update_is_flagged(made, quiet) == 0
        assert made.consumer.told(StatusChanged) == []
        assert made.resyncs == []


@pytest.mark.parametrize(("before", "after"), [(300, 300), (48, 3)], ids=["long before the end", "at the very end"])
async def test_a_gap_in_a_flood_is_never_folded_over(before, after):
    async with plant(capacity=50) as made:
        hot, *_ = made.books
        made.put(hot, *(hot.delta() for _ in range(before)))
        hot.delta()  # never comes
        made.put(hot, *(hot.delta() for _ in range(after)))  # the last of them are folded away, and nothing follows
        await made.settle()
        view = made.consumer.view(hot)
        assert (view.status, view.reason) == (ViewStatus.STALE, StatusReason.GAP)
        assert made.resyncs == [(hot.key, StatusReason.GAP)]
        made.put(hot, hot.snapshot(), *(hot.delta() for _ in range(300)))
        await made.settle()
        equal_at_the_end(made)
        assert statuses_of(made, hot) == [
            (ViewStatus.STALE, StatusReason.GAP),
            (ViewStatus.LIVE, StatusReason.SNAPSHOT),
        ]


async def test_a_flood_of_more_levels_than_a_fold_may_hold_is_said_to_be_an_overflow(monkeypatch):
    monkeypatch.setattr(symbol_queue, "MAX_FOLDED_LEVELS", 100)
    async with plant(capacity=50) as made:
        hot, *_ = made.books
        made.put(hot, *(hot.delta(levels=20) for _ in range(200)))
        await made.settle()
        view = made.consumer.view(hot)
        assert (view.status, view.reason) == (ViewStatus.STALE, StatusReason.OVERFLOW)
        assert made.resyncs == [(hot.key, StatusReason.OVERFLOW)]
        assert made.worker(hot).queue.overflows > 0
        hot.generation += 1  # the venue side answers: another subscription, and its snapshot
        made.router.on_reset(hot.key, hot.generation, StatusReason.SUBSCRIBED)
        made.put(hot, hot.snapshot())
        await made.settle()
        equal_at_the_end(made)


async def test_when_all_symbols_are_flooded_together_they_hold_no_more_than_the_common_bound():
    symbols = [f"S{number}USDT" for number in range(30)]
    async with plant(*symbols, capacity=1_000, total=600) as made:
        most = 0
        for _ in range(40):
            for book in made.books:
                made.put(book, *(book.delta() for _ in range(10)))
                most = max(most, made.budget.used)
            await made.turn()
        await made.settle()
        assert most <= 600 + 3 * len(symbols)  # over it, each may still hold a snapshot, a delta and a break
        assert made.router.totals()["folded_updates"] > 1_000
        equal_at_the_end(made)
        assert made.consumer.told(StatusChanged) == []


async def test_a_flood_of_trades_says_how_many_it_cost_and_no_book_pays_for_it():
    async with plant(capacity=100) as made:
        hot, *_ = made.books
        trades = [TradeUpdate(n, 1, Side.BUY, f"t{n}", n, 1, 2, 3) for n in range(1, 1_001)]
        for start in range(0, 1_000, 10):
            made.router.on_trades(hot.key, trades[start : start + 10], 0)
            made.put(hot, hot.delta())
        await made.settle()
        equal_at_the_end(made)
        got = [event.trade for event in made.consumer.told(Traded)]
        lost = sum(event.lost.lost for event in made.consumer.told(TradesGone))
        assert lost == made.worker(hot).queue.trades_lost > 0
        assert len(got) + lost == 1_000
        assert [trade.price for trade in got] == sorted(trade.price for trade in got)
        assert got[-1].trade_sequence == 1_000
        assert got[-1].price == 1_000  # the newest stays
        assert made.consumer.feed.missed_trades == 0  # none but those it was told of


# A loop that is late --------------------------------------------------------------------------------------------------


async def test_a_loop_blocked_for_300_ms_is_late_and_nothing_else():
    async with plant(capacity=100) as made:
        for _ in range(5):
            for book in made.books:
                made.put(book, *(book.delta() for _ in range(150)))  # has come in meanwhile, and is read at once
            made.clock.advance(0.300)
            made.consumer.feed.on_time()  # another process: its time went on
            assert all(made.consumer.view(book).is_live for book in made.books)
            await made.settle()
            await made.run(0.1)
        equal_at_the_end(made)
        assert made.router.totals()["folded_updates"] > 0
        assert made.consumer.told(StatusChanged) == []
        assert made.consumer.told(PacketsLost) == []


async def test_a_loop_blocked_for_two_seconds_is_a_feeder_lost_and_found():
    async with plant() as made:
        book, *_ = made.books
        for _ in range(200):
            made.clock.advance(0.010)
            made.consumer.feed.on_time()
        assert {made.consumer.view(each).status for each in made.books} == {ViewStatus.FEEDER_LOST}
        made.put(book, *(book.delta() for _ in range(500)))
        await made.settle()
        await made.run(0.02)
        equal_at_the_end(made)
        assert [len(made.consumer.told(kind)) for kind in (FeederLost, FeederHeard)] == [1, 1]


async def test_rounds_that_were_missed_are_not_made_up_for_in_a_burst():
    symbols = [f"S{number}USDT" for number in range(50)]
    async with plant(*symbols) as made:
        made.clock.advance(3.0)
        made.publisher.tick(made.clock.monotonic())
        await made.turn()
        sent = made.consumer.feed.books.cycles
        for _ in range(3):
            made.publisher.tick(made.clock.monotonic())
        await made.settle()
        assert made.consumer.feed.books.cycles - sent <= 1
        await made.run(1.1)
        equal_at_the_end(made)


# A socket that is full ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", FULL)
async def test_one_full_line_costs_nobody_anything_and_is_counted(error):
    async with plant() as made:
        book, *_ = made.books
        made.is_full("A", error=error)
        sequence = made.publisher.partitions[0].books.sequence
        for _ in range(100):
            made.put(book, book.delta())
            await made.settle()
        refusals = sum(line.sender.refused for line in made.lines if line.sender.line == "A")
        assert refusals == made.refused["A"] > 100  # best bids and offers as well
        assert made.line("A").refused == 100
        assert (made.line("A").errors, made.line("B").refused) == (0, 0)
        assert made.publisher.partitions[0].books.sequence == sequence + 100
        equal_at_the_end(made)
        made.is_full()
        await made.run(1.2)
        equal_at_the_end(made)
        assert made.consumer.told(PacketsLost) == []
        assert made.consumer.told(StatusChanged) == []


@pytest.mark.parametrize("error", FULL)
async def test_what_no_line_took_is_a_hole_that_retransmission_fills(error):
    async with plant() as made:
        hit, other, _ = made.books
        sequence = made.publisher.partitions[0].books.sequence
        made.is_full(*BOTH, error=error)
        for _ in range(20):
            made.put(hit, hit.delta())
            await made.settle()
        made.is_full()
        made.put(other, other.delta())
        await made.settle()
        assert made.publisher.partitions[0].books.sequence == sequence + 21
        await made.run(0.1)
        equal_at_the_end(made)
        assert made.line("A").refused == made.line("B").refused == 20
        (hole,) = [event for event in made.consumer.told(PacketsLost) if event.kind is Kind.BOOKS]
        assert (hole.first, hole.last) == (sequence, sequence + 19)
        filled = [event for event in made.consumer.told(HoleFilled) if event.kind is Kind.BOOKS]
        assert [(event.first, event.last) for event in filled] == [(hole.first, hole.last)]
        assert made.consumer.feed.books.counters.snapshots_loaded == len(made.books)  # those of the beginning
        # Each of the 20 was applied in its turn, none of them was skipped.
        ids = [delta.venue_update_id for event in changes_of(made, hit) for delta in event.deltas]
        assert ids == list(range(hit.update_id - 19, hit.update_id + 1))


async def test_a_line_or_the_other_that_is_full_by_turns_loses_nothing_twice():
    async with plant() as made:
        book, *_ = made.books
        for number in range(300):
            made.is_full(*[(), ("A",), ("B",), ("A",), BOTH][number * 7 % 5])
            made.put(book, book.delta())
            await made.settle()
            if number % 10 == 0:
                await made.run(0.02)
        made.is_full()
        await made.run(0.2)
        equal_at_the_end(made)
        stats = made.consumer.feed.arbiters[0][1].stats
        assert stats.holes > 10
        assert made.line("A").refused > made.line("B").refused > 0


async def test_no_send_at_all_for_two_seconds_is_a_feeder_lost_and_its_books_come_back_whole():
    async with plant() as made:
        made.is_full(*BOTH, error=errno.ENOBUFS)
        for _ in range(100):
            for book in made.books:
                made.put(book, book.delta())
            await made.run(0.02)
        assert {made.consumer.view(book).status for book in made.books} == {ViewStatus.FEEDER_LOST}
        made.is_full()
        await made.run(0.3)
        equal_at_the_end(made)
        assert made.refused["A"] == made.refused["B"] > 200
        assert made.refused["A"] == sum(line.sender.refused for line in made.lines if line.sender.line == "A")
        assert made.resyncs == []


async def test_a_stale_book_that_no_line_could_tell_of_is_not_live_at_the_consumer_for_long():
    async with plant() as made:
        book, *_ = made.books
        made.is_full(*BOTH)
        book.generation += 1
        made.router.on_reset(book.key, book.generation, StatusReason.DISCONNECTED)
        await made.settle()
        made.is_full()
        await made.run(0.05)  # a heartbeat shows the hole 20 ms behind it
        assert made.consumer.view(book).status is ViewStatus.STALE
        made.put(book, book.snapshot())
        await made.settle()
        equal_at_the_end(made)


def test_a_real_socket_that_nobody_reads_fills_up_and_goes_on_when_it_is_read():
    """Datagrams on loopback never wait at their sender; those of a socket pair do, as those of a slow card."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        ours.setblocking(False)
        theirs.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 10)
        sender, ring = LineSender("A", ours), Ring()
        channel = ChannelPublisher(0, 1, PacketFlag.INCREMENTAL, [sender], ManualClock(), lambda _: None, ring)
        message = encoder.book_checksum(1, BookChecksum(1, 2, 3))

        def send(packets: int) -> None:
            for _ in range(packets):
                channel.write(message)
                channel.flush()

        def read() -> list[int]:
            sequences = []
            while True:
                try:
                    sequences.append(parse(theirs.recv(2048)).sequence)
                except BlockingIOError:
                    return sequences

        send(1_000)
        taken = sender.packets
        assert 0 < taken < 1_000
        assert (sender.refused, sender.errors) == (1_000 - taken, 0)
        assert read() == list(range(1, taken + 1))
        send(1)
        assert read() == [1_001]
        assert (sender.packets, ring.next_sequence, ring.oldest_sequence) == (taken + 1, 1_002, 1)
    finally:
        ours.close()
        theirs.close()
