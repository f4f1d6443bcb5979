from feeder.book.sync import BookSync, Verdict
from feeder.market.update import BookUpdate
from feeder.pipeline.fold import Fold, FoldedDelta
from tests.helpers.updates import book_update


def a_fold_after_snapshot(update_id: int) -> Fold:
    sync = BookSync(50)
    sync.on_update(book_update(update_id, snapshot=True))
    return Fold(sync)


def folded(fold: Fold) -> BookUpdate:
    (update,) = fold.updates()
    assert isinstance(update, FoldedDelta)
    return update.unfolded()


def test_the_last_quantity_of_a_price_wins_and_removals_stay():
    fold = a_fold_after_snapshot(5)
    fold.add(book_update(6, {100: 1, 99: 2}, {101: 3}))
    fold.add(book_update(7, {100: 0}, {101: 4, 102: 0}))
    update = folded(fold)
    assert update.bids == [100, 0, 99, 2]
    assert update.asks == [101, 4, 102, 0]


def test_a_folded_update_keeps_the_first_and_last_id_and_the_last_times_and_says_conflated():
    fold = a_fold_after_snapshot(5)
    for update_id in (6, 7, 8):
        fold.add(book_update(update_id, {100: update_id}, generation=4))
    update = folded(fold)
    last = book_update(8)
    assert (update.first_update_id, update.update_id) == (6, 8)
    assert update.venue_sequence == last.venue_sequence
    assert update.match_time_ns == last.match_time_ns
    assert update.send_time_ns == last.send_time_ns
    assert update.receive_time_ns == last.receive_time_ns
    assert update.generation == 4
    assert update.conflated
    assert not update.snapshot
    assert fold.folded_updates == 2


def test_a_single_delta_stays_itself_and_is_not_called_conflated():
    fold = a_fold_after_snapshot(5)
    update = book_update(6, {100: 1})
    fold.add(update)
    assert fold.updates() == [update]
    assert not update.conflated


def test_a_snapshot_replaces_what_is_pending_and_is_never_folded_into():
    fold = a_fold_after_snapshot(5)
    fold.add(book_update(6, {100: 1}))
    fold.add(book_update(9))  # a gap
    snapshot = book_update(20, {90: 1}, snapshot=True)
    fold.add(snapshot)
    delta = book_update(21, {90: 2})
    fold.add(delta)
    assert fold.updates() == [snapshot, delta]
    assert snapshot.bids == [90, 1]
    assert snapshot.conflated  # states before it were skipped
    assert fold.replaced_updates == 2


def test_a_restart_by_update_id_one_is_kept_as_such_though_typed_a_delta():
    fold = a_fold_after_snapshot(5)
    fold.add(book_update(6, {100: 1}))
    restart = book_update(1, {90: 1})
    fold.add(restart)
    fold.add(book_update(2, {91: 1}))
    fold.add(book_update(3, {92: 1}))
    first, second = fold.updates()
    assert first is restart
    assert (second.first_update_id, second.update_id) == (2, 3)


def test_a_break_is_kept_as_evidence_and_what_follows_it_is_discarded_and_counted():
    fold = a_fold_after_snapshot(5)
    for update_id in (6, 7, 9, 10, 11):
        fold.add(book_update(update_id, {100: update_id}))
    delta, gap = fold.updates()
    assert (delta.first_update_id, delta.update_id) == (6, 7)
    assert gap.update_id == 9
    assert fold.discarded_after_break == 2


def test_duplicates_and_out_of_order_updates_are_dropped_as_the_worker_would():
    fold = a_fold_after_snapshot(5)
    for update_id in (5, 6, 6, 4, 7):
        fold.add(book_update(update_id, {100: update_id}))
    update = folded(fold)
    assert (update.first_update_id, update.update_id) == (6, 7)
    assert update.bids == [100, 7]
    assert (fold.duplicates, fold.out_of_order) == (2, 1)


def test_a_folded_delta_takes_more_without_being_unfolded():
    fold = a_fold_after_snapshot(5)
    fold.add(book_update(6, {100: 1}))
    fold.add(book_update(7, {99: 1}))
    (first,) = fold.updates()
    again = a_fold_after_snapshot(5)
    again.add(first)
    again.add(book_update(8, {100: 0}))
    (second,) = again.updates()
    assert second is first
    assert folded(again).bids == [100, 0, 99, 1]
    assert again.level_count() == 2


def test_after_a_mark_a_repeated_snapshot_at_depth_one_counts_again():
    sync = BookSync(1)
    sync.on_update(book_update(5, {1: 1}, snapshot=True))
    repeated = book_update(5, {1: 1}, snapshot=True)
    fold = Fold(sync)
    fold.add(repeated)
    assert fold.updates() == []
    fold.invalidate()
    fold.add(repeated)
    assert fold.updates() == [repeated]


def test_at_depth_one_a_snapshot_that_replaced_others_is_no_repetition_of_an_id_applied_before_them():
    sync = BookSync(1)
    sync.on_update(book_update(5, {1: 1}, snapshot=True))
    first = Fold(sync)
    first.add(book_update(9, {2: 1}, snapshot=True))
    back = book_update(5, {3: 1}, snapshot=True)  # the venue's counter restarted, and came to the same id
    first.add(back)
    again = Fold(sync)
    again.add(back)
    assert again.updates() == [back]
    assert sync.on_update(back) is Verdict.SNAPSHOT


def test_folding_leaves_the_workers_own_sync_alone():
    sync = BookSync(50)
    sync.on_update(book_update(5, snapshot=True))
    fold = Fold(sync)
    fold.add(book_update(6))
    assert sync.last_update_id == 5
