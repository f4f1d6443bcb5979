from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from feeder.book.sync import BookSync
from feeder.clock import ManualClock
from feeder.histogram import Buckets
from feeder.market.status import BookStatus, StatusReason
from feeder.market.update import BookUpdate
from feeder.pipeline import symbol_queue
from feeder.pipeline.stages import Stages
from feeder.pipeline.symbol_queue import Mark, QueueBudget, Redefinition, SymbolQueue, TradesLost
from feeder.pipeline.worker import Worker
from tests.helpers.updates import ConsumerSink, an_instrument, book_update, trade


class Bench:
    """A worker, its sink, and the resyncs it asked for."""

    def __init__(self, depth: int = 50) -> None:
        self.sink = ConsumerSink()
        self.resyncs: list[tuple[StatusReason, int]] = []
        self.clock = ManualClock()
        self.queue = SymbolQueue(100, QueueBudget(1000), BookSync(depth))
        self.stages = Stages()
        self.worker = Worker(
            an_instrument(), depth, self.queue, self.sink, self.request_resync, self.clock, self.stages
        )
        self.worker.start()

    def request_resync(self, key: tuple[str, str], reason: StatusReason, generation: int) -> None:
        assert key == ("linear", "BTCUSDT")
        self.resyncs.append((reason, generation))

    def handle(self, *updates: BookUpdate) -> None:
        for update in updates:
            self.worker.handle(update)

    def go_live(self, generation: int = 1) -> None:
        self.handle(book_update(5, {100: 1, 99: 1}, {101: 1, 102: 1}, snapshot=True, generation=generation))
        assert self.worker.status is BookStatus.LIVE
        self.sink.events.clear()


def test_a_book_is_syncing_until_its_snapshot_and_live_from_it_on():
    bench = Bench()
    bench.handle(
        book_update(4, {100: 9}),
        book_update(5, {100: 1}, {101: 1}, snapshot=True),
        book_update(6, {100: 2}),
    )
    assert bench.sink.events == [("SYNCING", "SUBSCRIBED"), ("restart", 5), ("delta", 6, (100, 2), ())]
    assert (bench.sink.bids, bench.sink.asks) == ({100: 2}, {101: 1})
    assert bench.worker.dropped_waiting == 1
    assert bench.resyncs == []


def test_a_delta_without_levels_still_goes_out_because_the_update_id_moved():
    bench = Bench()
    bench.go_live()
    bench.handle(book_update(6))
    assert bench.sink.events == [("delta", 6, (), ())]


def test_a_gap_makes_the_book_stale_and_asks_for_one_resync():
    bench = Bench()
    bench.go_live()
    bench.handle(*(book_update(update_id, {100: 3}, generation=1) for update_id in (6, 8, 9, 12)))
    assert bench.sink.named(["STALE", "delta"]) == [("delta", 6, (100, 3), ()), ("STALE", "GAP")]
    assert bench.resyncs == [(StatusReason.GAP, 1)]
    assert (bench.worker.gaps, bench.worker.dropped_waiting) == (1, 2)


def test_a_gap_is_asked_for_again_after_the_book_was_live_again():
    bench = Bench()
    bench.go_live()
    bench.handle(
        book_update(8, generation=1),
        book_update(20, {1: 1}, snapshot=True, generation=1),
        book_update(22, generation=1),
    )
    assert bench.resyncs == [(StatusReason.GAP, 1), (StatusReason.GAP, 1)]


def test_a_delta_that_crosses_the_book_is_never_published():
    bench = Bench()
    bench.go_live()
    bench.handle(book_update(6, {101: 5}, generation=1), book_update(7, {101: 0}, generation=1))
    assert bench.sink.events == [("STALE", "CROSSED")]
    assert bench.resyncs == [(StatusReason.CROSSED, 1)]
    assert bench.worker.status is BookStatus.STALE


def test_a_crossed_snapshot_does_not_make_a_book_live():
    bench = Bench()
    bench.handle(book_update(5, {101: 1}, {101: 1}, snapshot=True, generation=1))
    assert bench.sink.events == [("SYNCING", "SUBSCRIBED"), ("SYNCING", "CROSSED")]
    assert bench.resyncs == [(StatusReason.CROSSED, 1)]


def test_a_crossed_snapshot_in_mid_stream_makes_it_stale():
    bench = Bench()
    bench.go_live()
    bench.handle(book_update(9, {101: 1}, {101: 1}, snapshot=True, generation=1))
    assert bench.sink.events == [("STALE", "CROSSED")]


def test_an_empty_or_one_sided_snapshot_is_a_live_book():
    for bids, asks in (({}, {}), ({100: 1}, {}), ({}, {101: 1})):
        bench = Bench()
        bench.handle(book_update(5, bids, asks, snapshot=True))
        assert bench.worker.status is BookStatus.LIVE
        assert (bench.sink.bids, bench.sink.asks) == (bids, asks)


def test_levels_that_leave_the_window_go_out_as_removals():
    bench = Bench(depth=2)
    bench.go_live()
    bench.handle(book_update(6, {98: 1, 100: 2}, {100 + 3: 1}, generation=1))
    assert bench.sink.events == [("delta", 6, (98, 1, 100, 2, 98, 0), (103, 1, 103, 0))]
    levels = bench.worker.book.levels()
    assert levels.bids == [100, 2, 99, 1]
    assert bench.sink.bids == {100: 2, 99: 1}


def test_duplicates_and_out_of_order_updates_change_nothing_and_are_counted():
    bench = Bench()
    bench.go_live()
    bench.handle(book_update(6, {100: 2}), book_update(6, {100: 9}), book_update(4, {100: 9}), book_update(7, {99: 2}))
    assert bench.sink.update_ids == [5, 6, 7]
    assert bench.sink.bids == {100: 2, 99: 2}
    assert (bench.worker.duplicates, bench.worker.out_of_order) == (1, 1)


def test_a_snapshot_in_mid_stream_restarts_the_live_book():
    bench = Bench()
    bench.go_live()
    bench.handle(book_update(30, {90: 1}, {110: 1}, snapshot=True), book_update(31, {90: 2}))
    assert bench.sink.events == [("restart", 30), ("delta", 31, (90, 2), ())]
    assert (bench.sink.bids, bench.sink.asks) == ({90: 2}, {110: 1})
    assert bench.worker.restarts == 1
    assert bench.worker.transitions[BookStatus.LIVE, StatusReason.SNAPSHOT] == 1


def test_a_conflated_update_keeps_its_flag_on_the_way():
    seen: list[bool] = []

    class FlagSink(ConsumerSink):
        def delta(self, update: BookUpdate, bids: list[int], asks: list[int]) -> None:
            seen.append(update.conflated)

    bench = Bench()
    bench.go_live()
    bench.worker._sink = FlagSink()
    update = book_update(8, {100: 1})
    update.first_update_id, update.conflated = 6, True
    bench.handle(update)
    assert seen == [True]


def test_depth_one_publishes_what_a_snapshot_changes_and_every_update_id_once():
    bench = Bench(depth=1)
    bench.handle(
        book_update(5, {100: 1}, {102: 1}, snapshot=True),
        book_update(8, {101: 2}, {102: 1}, snapshot=True),
        book_update(9, {101: 2}, {102: 1}, snapshot=True),
        book_update(9, {101: 2}, {102: 1}, snapshot=True, sequence=99),
    )
    assert bench.sink.named(["restart", "delta"]) == [
        ("restart", 5),
        ("delta", 8, (100, 0, 101, 2), ()),
        ("delta", 9, (), ()),
    ]
    assert bench.worker.duplicates == 1
    assert bench.worker.last_update is not None
    assert bench.worker.last_update.venue_sequence == 99  # freshness advances with what changed nothing


def test_a_crossed_snapshot_at_depth_one_is_not_published():
    bench = Bench(depth=1)
    bench.handle(
        book_update(5, {100: 1}, {102: 1}, snapshot=True),
        book_update(6, {102: 1}, {102: 1}, snapshot=True, generation=1),
    )
    assert bench.sink.events[-1] == ("STALE", "CROSSED")
    bench.handle(book_update(7, {101: 1}, {102: 1}, snapshot=True))
    assert bench.sink.events[-1] == ("restart", 7)


def test_a_delta_at_depth_one_breaks_the_book():
    bench = Bench(depth=1)
    bench.handle(book_update(5, {100: 1}, {102: 1}, snapshot=True), book_update(6, {101: 1}, generation=1))
    assert bench.sink.events[-1] == ("STALE", "GAP")
    assert bench.resyncs == [(StatusReason.GAP, 1)]


def test_a_mark_makes_a_live_book_stale_at_once_and_asks_nobody():
    bench = Bench()
    bench.go_live()
    bench.worker.handle(Mark(2, StatusReason.DISCONNECTED))
    bench.handle(book_update(6, {100: 2}, generation=2))
    assert bench.sink.events == [("STALE", "DISCONNECTED")]
    assert bench.resyncs == []
    bench.handle(book_update(40, {100: 2}, snapshot=True, generation=2))
    assert bench.sink.events == [("STALE", "DISCONNECTED"), ("restart", 40)]


def test_a_mark_on_a_book_that_never_was_live_leaves_it_syncing_with_the_reason():
    bench = Bench()
    bench.worker.handle(Mark(2, StatusReason.REFUSED))
    assert bench.sink.events == [("SYNCING", "SUBSCRIBED"), ("SYNCING", "REFUSED")]


def test_an_overflow_mark_asks_for_a_resync_and_the_reset_that_answers_it_does_not():
    bench = Bench()
    bench.go_live()
    bench.worker.handle(Mark(1, StatusReason.OVERFLOW, resync=True))
    bench.worker.handle(Mark(2, StatusReason.OVERFLOW))
    assert bench.sink.events == [("STALE", "OVERFLOW")]
    assert bench.resyncs == [(StatusReason.OVERFLOW, 1)]


def test_a_new_subscription_may_be_found_wanting_again():
    bench = Bench()
    bench.go_live()
    bench.handle(book_update(6, {101: 1}, generation=1))
    bench.worker.handle(Mark(2, StatusReason.CROSSED))
    bench.handle(book_update(50, {101: 1}, {101: 1}, snapshot=True, generation=2))
    assert bench.resyncs == [(StatusReason.CROSSED, 1), (StatusReason.CROSSED, 2)]


def test_a_delisted_book_stays_so_until_it_is_subscribed_again():
    bench = Bench()
    bench.go_live()
    bench.worker.queue.reset(bench.worker.queue.generation, StatusReason.DELISTED)
    item = bench.queue.pop()
    assert item is not None
    bench.worker.handle(item)
    bench.handle(book_update(30, {90: 1}, snapshot=True), book_update(31, {90: 2}))
    bench.worker.handle(Mark(3, StatusReason.DISCONNECTED))
    assert bench.sink.events == [("DELISTED", "DELISTED")]
    assert bench.worker.dropped_delisted == 2
    bench.worker.handle(Mark(4, StatusReason.SUBSCRIBED))
    bench.handle(book_update(60, {90: 1}, snapshot=True))
    assert bench.sink.events[1:] == [("SYNCING", "SUBSCRIBED"), ("restart", 60)]


def test_trades_and_their_loss_pass_in_any_status():
    bench = Bench()
    bench.worker.handle([trade(1), trade(2)])
    bench.worker.handle(TradesLost(3))
    assert bench.sink.events[1:] == [("trades", 1, 2), ("trades_lost", 3)]


def test_a_new_scale_takes_a_live_book_down_before_it_is_announced():
    bench = Bench()
    bench.go_live()
    finer = an_instrument(price_exponent=-3, version=2)
    bench.worker.handle(Redefinition(finer, rescaled=True, generation=1))
    bench.handle(book_update(6, {1000: 1}, generation=1), book_update(9, {1000: 1}, snapshot=True, generation=2))
    assert bench.sink.events == [("STALE", "SCALE"), ("definition", -3, 2), ("restart", 9)]
    assert bench.resyncs == [(StatusReason.SCALE, 1)]
    assert bench.worker.instrument is finer


def test_a_new_scale_while_a_snapshot_is_still_to_come_asks_nobody():
    bench = Bench()
    bench.worker.handle(Redefinition(an_instrument(price_exponent=-3), rescaled=True, generation=1))
    assert bench.sink.events == [("SYNCING", "SUBSCRIBED"), ("definition", -3, 1)]
    assert bench.resyncs == []


def test_a_new_scale_that_made_a_pending_snapshot_void_asks_for_another():
    bench = Bench()
    bench.worker.handle(Redefinition(an_instrument(price_exponent=-3), rescaled=True, generation=1, discarded=True))
    assert bench.resyncs == [(StatusReason.SCALE, 1)]


def test_a_definition_in_the_same_scale_leaves_the_book_live():
    bench = Bench()
    bench.go_live()
    bench.worker.handle(Redefinition(an_instrument(version=2), rescaled=False, generation=1))
    bench.handle(book_update(6, {100: 2}))
    assert bench.sink.events == [("definition", -2, 2), ("delta", 6, (100, 2), ())]


def test_each_transition_is_counted_dated_and_logged_once_per_episode():
    with capture_logs() as logs:
        bench = Bench()
        bench.go_live()
        bench.clock.advance(2.0)
        bench.handle(book_update(8, generation=1))
        for generation in (2, 3, 4, 5):  # the connection flaps
            reason = StatusReason.DISCONNECTED if generation % 2 else StatusReason.NO_SNAPSHOT
            bench.worker.handle(Mark(generation, reason))
        since = bench.worker.status_since_ns
        bench.handle(book_update(30, {1: 1}, snapshot=True, generation=5), book_update(32, generation=5))
    assert since == bench.clock.wall_ns()
    assert bench.worker.transitions == {
        (BookStatus.SYNCING, StatusReason.SUBSCRIBED): 1,
        (BookStatus.LIVE, StatusReason.SNAPSHOT): 2,
        (BookStatus.STALE, StatusReason.GAP): 2,
        (BookStatus.STALE, StatusReason.NO_SNAPSHOT): 2,
        (BookStatus.STALE, StatusReason.DISCONNECTED): 2,
    }
    assert [(log["event"], log["reason"]) for log in logs] == [
        ("book syncing", "SUBSCRIBED"),
        ("book live", "SNAPSHOT"),
        ("book stale", "GAP"),
        ("book stale", "NO_SNAPSHOT"),
        ("book stale", "DISCONNECTED"),
        ("book live", "SNAPSHOT"),
        ("book stale", "GAP"),
    ]
    gap = logs[2]
    assert gap["log_level"] == "warning"
    assert (gap["category"], gap["symbol"], gap["status"]) == ("linear", "BTCUSDT", "STALE")
    assert (gap["generation"], gap["update_id"], gap["expected_update_id"]) == (1, 8, 6)


def test_oddities_are_logged_once_per_episode_and_plain_deltas_never():
    bench = Bench()
    bench.go_live()
    with capture_logs() as logs:
        for update_id in range(6, 20):
            bench.handle(book_update(update_id), book_update(update_id), book_update(update_id - 2))
        bench.handle(book_update(30, snapshot=True), book_update(40, snapshot=True))
    assert [log["event"] for log in logs] == ["duplicate update", "update out of order", "snapshot in mid-stream"]


def test_after_an_error_the_book_is_down_and_comes_back_by_snapshot():
    bench = Bench()
    bench.go_live()
    bench.sink.fail_next = RuntimeError("the encoder is broken")
    with capture_logs() as logs:
        with pytest.raises(RuntimeError) as caught:
            bench.handle(book_update(6, {100: 2}, generation=1))
        bench.worker.recover(caught.value)
        bench.worker.recover(caught.value)
    assert [log["event"] for log in logs] == ["book stale", "worker failed"]
    assert logs[1]["exc_info"] is caught.value
    bench.handle(book_update(7, {100: 2}, generation=1), book_update(9, {100: 2}, snapshot=True, generation=1))
    assert bench.sink.events == [("STALE", "MALFORMED"), ("STALE", "MALFORMED"), ("restart", 9)]
    assert bench.resyncs == [(StatusReason.MALFORMED, 0)]
    assert bench.worker.failures == 2


def test_an_error_while_a_book_goes_live_is_taken_back():
    bench = Bench()
    bench.sink.fail_next = RuntimeError("half of the event is out")
    with pytest.raises(RuntimeError) as caught:
        bench.handle(book_update(5, {100: 1}, snapshot=True))
    bench.worker.recover(caught.value)
    assert bench.sink.events[-1] == ("STALE", "MALFORMED")
    assert bench.worker.status is BookStatus.STALE


def test_an_overflow_before_a_renewed_subscription_was_heard_of_asks_for_its_snapshot(monkeypatch):
    monkeypatch.setattr(symbol_queue, "MAX_FOLDED_LEVELS", 3)
    bench = Bench()
    bench.go_live()
    bench.handle(book_update(7, generation=1))
    assert bench.resyncs == [(StatusReason.GAP, 1)]
    bench.queue.reset(2, StatusReason.GAP)
    bench.queue.put(book_update(20, {1: 1}, snapshot=True, generation=2))
    for update_id in range(21, 121):  # over the queue's capacity
        bench.queue.put(book_update(update_id, {update_id: 1}, generation=2))
    while (item := bench.queue.pop()) is not None:
        bench.worker.handle(item)
    assert bench.worker.status is BookStatus.STALE
    assert bench.resyncs[1:] == [(StatusReason.OVERFLOW, 2)]


# Measured ------------------------------------------------------------------------------------------------------------


class SlowSink(ConsumerSink):
    """Takes some time to encode."""

    clock: ManualClock

    def delta(self, update: BookUpdate, bids: list[int], asks: list[int]) -> None:
        self.clock.advance(0.00004)
        super().delta(update, bids, asks)


def grown(buckets: Buckets) -> dict[int, int]:
    """{upper bound, us: how many}."""
    return {bound // 1000: count for bound, count in zip(buckets.bounds, buckets.counts, strict=False) if count}


def test_one_update_in_64_tells_how_long_it_waited_and_how_long_its_work_took():
    bench = Bench()
    bench.sink = bench.worker._sink = SlowSink()
    bench.sink.clock = bench.clock
    bench.go_live()
    received = bench.clock.wall_ns()
    bench.clock.advance(0.0003)
    for update_id in range(6, 134):
        bench.handle(replace(book_update(update_id, generation=1), receive_time_ns=received))
    assert grown(bench.stages.dequeue_to_encode) == {50: 2}, "updates 64 and 128"
    assert grown(bench.stages.receive_to_dequeue) == {5_000: 1, 10_000: 1}, "the others were handled in between"
