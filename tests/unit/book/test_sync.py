from feeder.book.sync import BookSync, Verdict
from feeder.market.update import BookUpdate
from tests.helpers.updates import book_update


def snapshot(update_id: int, sequence: int | None = None) -> BookUpdate:
    return book_update(update_id, snapshot=True, sequence=sequence)


def delta(update_id: int, sequence: int | None = None) -> BookUpdate:
    return book_update(update_id, sequence=sequence)


def verdicts(sync: BookSync, *updates: BookUpdate) -> list[Verdict]:
    return [sync.on_update(update) for update in updates]


def test_nothing_counts_before_a_snapshot():
    sync = BookSync(50)
    assert verdicts(sync, delta(7), delta(8), snapshot(9), delta(10)) == [
        Verdict.WAITING,
        Verdict.WAITING,
        Verdict.SNAPSHOT,
        Verdict.DELTA,
    ]
    assert sync.last_update_id == 10
    assert sync.last_sequence == 100


def test_a_missing_update_is_a_gap_that_only_a_snapshot_mends():
    sync = BookSync(50)
    assert verdicts(sync, snapshot(5), delta(6), delta(8), delta(7), delta(9)) == [
        Verdict.SNAPSHOT,
        Verdict.DELTA,
        Verdict.GAP,
        Verdict.WAITING,
        Verdict.WAITING,
    ]
    assert sync.expected_update_id == 7
    assert verdicts(sync, snapshot(9), delta(10)) == [Verdict.SNAPSHOT, Verdict.DELTA]


def test_a_folded_update_covers_its_whole_range():
    sync = BookSync(50)
    folded = delta(9)
    folded.first_update_id = 6
    assert verdicts(sync, snapshot(5), folded, delta(10)) == [Verdict.SNAPSHOT, Verdict.DELTA, Verdict.DELTA]


def test_a_folded_update_that_begins_too_late_is_a_gap():
    sync = BookSync(50)
    folded = delta(9)
    folded.first_update_id = 7
    assert verdicts(sync, snapshot(5), folded) == [Verdict.SNAPSHOT, Verdict.GAP]


def test_a_repeated_update_is_a_duplicate_and_the_next_one_follows():
    sync = BookSync(50)
    assert verdicts(sync, snapshot(5), delta(6), delta(6), delta(7)) == [
        Verdict.SNAPSHOT,
        Verdict.DELTA,
        Verdict.DUPLICATE,
        Verdict.DELTA,
    ]


def test_an_older_update_by_the_venues_sequence_is_out_of_order():
    sync = BookSync(50)
    assert verdicts(sync, snapshot(5, 50), delta(6, 60), delta(4, 40), delta(7, 70)) == [
        Verdict.SNAPSHOT,
        Verdict.DELTA,
        Verdict.OUT_OF_ORDER,
        Verdict.DELTA,
    ]


def test_a_smaller_id_with_a_newer_sequence_is_a_gap_because_the_counter_restarted():
    sync = BookSync(50)
    assert verdicts(sync, snapshot(500, 50), delta(3, 51), delta(501, 52)) == [
        Verdict.SNAPSHOT,
        Verdict.GAP,
        Verdict.WAITING,
    ]


def test_a_smaller_id_with_an_unknown_sequence_is_a_gap():
    sync = BookSync(50)
    assert verdicts(sync, snapshot(500, 50), delta(3, 0)) == [Verdict.SNAPSHOT, Verdict.GAP]


def test_a_jump_ahead_with_an_older_sequence_is_a_gap():
    assert verdicts(BookSync(50), snapshot(5, 50), delta(9, 40)) == [Verdict.SNAPSHOT, Verdict.GAP]


def test_a_snapshot_in_mid_stream_replaces_even_with_an_older_or_the_same_id():
    sync = BookSync(50)
    assert verdicts(sync, snapshot(5), delta(6), snapshot(3), delta(4), snapshot(4), delta(5)) == [
        Verdict.SNAPSHOT,
        Verdict.DELTA,
        Verdict.SNAPSHOT,
        Verdict.DELTA,
        Verdict.SNAPSHOT,
        Verdict.DELTA,
    ]


def test_update_id_one_restarts_the_book_whatever_its_type_says():
    sync = BookSync(50)
    assert verdicts(sync, snapshot(5), delta(1), delta(2), delta(1), snapshot(1), delta(2)) == [
        Verdict.SNAPSHOT,
        Verdict.SNAPSHOT,
        Verdict.DELTA,
        Verdict.SNAPSHOT,
        Verdict.SNAPSHOT,
        Verdict.DELTA,
    ]


def test_update_id_one_after_a_snapshot_of_id_zero_is_its_first_delta():
    assert verdicts(BookSync(50), snapshot(0), delta(1), delta(2)) == [Verdict.SNAPSHOT, Verdict.DELTA, Verdict.DELTA]


def test_counters_that_start_again_unsaid_are_a_gap_after_a_while_not_a_book_frozen_for_ever():
    sync = BookSync(50)
    judged = verdicts(sync, snapshot(5000, 5000), *(delta(n, n) for n in range(2, 200)))
    assert judged.count(Verdict.OUT_OF_ORDER) == 100
    assert judged[101] is Verdict.GAP
    assert not sync.synced


def test_the_count_of_old_updates_begins_anew_with_a_snapshot_even_of_the_same_id():
    sync = BookSync(50)
    verdicts(sync, snapshot(5000, 5000), *(delta(n, n) for n in range(2, 103)))
    assert not sync.synced
    assert verdicts(sync, snapshot(5000, 5000), delta(9, 9)) == [Verdict.SNAPSHOT, Verdict.OUT_OF_ORDER]


def test_old_updates_now_and_then_never_add_up_to_a_gap():
    sync = BookSync(50)
    verdicts(sync, snapshot(5000, 5000))
    for n in range(5001, 5500):
        assert verdicts(sync, delta(n, n), delta(n - 500, n - 500)) == [Verdict.DELTA, Verdict.OUT_OF_ORDER]


def test_a_snapshot_of_a_negative_id_does_not_pass_for_waiting():
    sync = BookSync(50)
    assert verdicts(sync, snapshot(-1), delta(9)) == [Verdict.SNAPSHOT, Verdict.GAP]


def test_depth_one_knows_snapshots_only_and_repeats_an_unchanged_one():
    sync = BookSync(1)
    assert verdicts(sync, snapshot(5, 50), snapshot(5, 59), snapshot(9, 90), snapshot(9, 90)) == [
        Verdict.SNAPSHOT,
        Verdict.DUPLICATE,
        Verdict.SNAPSHOT,
        Verdict.DUPLICATE,
    ]
    assert sync.last_sequence == 90


def test_depth_one_takes_every_restart_snapshot_even_if_repeated():
    assert verdicts(BookSync(1), snapshot(1), snapshot(1)) == [Verdict.SNAPSHOT, Verdict.SNAPSHOT]


def test_a_delta_at_depth_one_breaks_the_book_until_a_snapshot():
    sync = BookSync(1)
    assert verdicts(sync, snapshot(5), delta(6), delta(7), snapshot(5)) == [
        Verdict.SNAPSHOT,
        Verdict.GAP,
        Verdict.WAITING,
        Verdict.SNAPSHOT,
    ]


def test_an_invalidated_book_waits_for_a_snapshot_and_remembers_where_it_was():
    sync = BookSync(50)
    verdicts(sync, snapshot(5), delta(6))
    sync.invalidate()
    assert not sync.synced
    assert sync.last_update_id == 6
    assert verdicts(sync, delta(7), snapshot(6), delta(7)) == [Verdict.WAITING, Verdict.SNAPSHOT, Verdict.DELTA]
