import asyncio
from copy import copy

import pytest

from feeder.book.sync import BookSync, Verdict
from feeder.market.status import StatusReason
from feeder.market.update import BookUpdate
from feeder.pipeline import symbol_queue
from feeder.pipeline.symbol_queue import Item, Mark, QueueBudget, Redefinition, SymbolQueue, TradesLost
from tests.helpers.updates import an_instrument, book_update, trade


def a_queue(capacity: int = 100, total: int = 1000, applied: int = 5) -> SymbolQueue:
    """A queue whose worker has applied the snapshot of update id `applied`."""
    sync = BookSync(50)
    sync.on_update(book_update(applied, snapshot=True))
    return SymbolQueue(capacity, QueueBudget(total), sync)


def popped(queue: SymbolQueue) -> list[Item]:
    items: list[Item] = []
    while (item := queue.pop()) is not None:
        items.append(item)
    return items


def ids(items: list[Item]) -> list[tuple[int, int]]:
    return [(item.first_update_id, item.update_id) for item in items if isinstance(item, BookUpdate)]


def numbers(items: list[Item]) -> list[list[int]]:
    return [[trade.price for trade in item] for item in items if isinstance(item, list)]


def test_within_its_bounds_everything_comes_out_as_it_came_in():
    queue = a_queue()
    items: list[Item] = [book_update(6), [trade(1)], book_update(7), [trade(2), trade(3)]]
    for item in items:
        if isinstance(item, BookUpdate):
            queue.put(item)
        elif isinstance(item, list):
            queue.put_trades(item)
    assert queue.depth == queue.high_water == 5
    out = popped(queue)
    assert all(a is b for a, b in zip(out, items, strict=True))
    assert queue.depth == 0
    assert queue.high_water == 5
    assert queue.folds == 0


def test_an_empty_queue_gives_none():
    assert a_queue().pop() is None


def test_over_capacity_pending_updates_become_one():
    queue = a_queue(capacity=3)
    for update_id in range(6, 10):
        queue.put(book_update(update_id, {100: update_id}))
    assert queue.depth == 1
    (update,) = popped(queue)
    assert isinstance(update, BookUpdate)
    assert (update.first_update_id, update.update_id, update.conflated) == (6, 9, True)
    assert (queue.folds, queue.folded_updates) == (1, 3)


def test_an_exhausted_budget_folds_at_each_put_and_is_given_back():
    budget = QueueBudget(3)
    sync = BookSync(50)
    sync.on_update(book_update(5, snapshot=True))
    queue, other = SymbolQueue(100, budget, sync), SymbolQueue(100, budget, BookSync(50))
    for number in range(3):
        other.put_trades([trade(number)])
    for update_id in range(6, 20):
        queue.put(book_update(update_id, {100: update_id}))
        assert queue.depth == 1
    assert budget.used == 4
    assert ids(popped(queue)) == [(6, 19)]
    popped(other)
    assert budget.used == 0


def test_once_exhausted_a_budget_folds_at_each_put_until_hardly_anything_waits():
    budget = QueueBudget(200)
    queues = [SymbolQueue(1000, budget, copy(a_queue().sync)) for _ in range(4)]
    for update_id in range(6, 56):
        for queue in queues:
            queue.put(book_update(update_id, {100: update_id}))
    assert budget.used == 200
    assert not any(queue.folds for queue in queues)
    for update_id in range(56, 60):
        for queue in queues:
            queue.put(book_update(update_id, {100: update_id}))
    assert [queue.depth for queue in queues] == [1, 1, 1, 1]  # though the budget has room for 196 more
    assert budget.used == 4
    assert [ids(popped(queue)) for queue in queues[:3]] == [[(6, 59)]] * 3
    for queue in queues[:3]:
        queue.put(book_update(60))
        queue.put(book_update(61))
        assert queue.depth == 2  # calm again: nothing is folded


def test_what_the_worker_has_applied_decides_what_follows_on_it():
    queue = a_queue(capacity=2)
    for update_id in (5, 6, 7):  # the first is applied already
        queue.put(book_update(update_id))
    assert ids(popped(queue)) == [(6, 7)]
    assert queue.duplicates == 1


def test_after_a_fold_at_most_snapshot_delta_and_break_are_left():
    queue = a_queue(capacity=1)
    for update_id in (6, 7):
        queue.put(book_update(update_id))
    queue.put(book_update(20, snapshot=True))
    for update_id in (21, 22, 30, 31, 32):
        queue.put(book_update(update_id))
    assert ids(popped(queue)) == [(20, 20), (21, 22), (30, 30)]
    assert queue.discarded_after_break == 2


def test_folding_moves_trades_before_books_but_keeps_them_all_in_order():
    queue = a_queue(capacity=3)
    for number in range(4):
        if number < 3:
            queue.put_trades([trade(number)])
        queue.put(book_update(6 + number))
    out = popped(queue)
    assert numbers(out) == [[0, 1, 2]]
    assert isinstance(out[0], list)
    assert ids(out) == [(6, 9)]


def test_trades_beyond_capacity_lose_the_oldest_and_a_count_stands_in_their_place():
    queue = a_queue(capacity=3)
    queue.put_trades([trade(1), trade(2)])
    queue.put(book_update(6))
    queue.put_trades([trade(3), trade(4)])
    queue.put_trades([trade(5)])
    out = popped(queue)
    assert out[0] == TradesLost(2)
    assert numbers(out) == [[3, 4, 5]]
    assert ids(out) == [(6, 6)]
    assert queue.trades_lost == 2


def test_a_single_message_of_more_trades_than_capacity_keeps_the_newest():
    queue = a_queue(capacity=3)
    given = [trade(number) for number in range(5)]
    queue.put_trades(given)
    out = popped(queue)
    assert out[0] == TradesLost(2)
    assert numbers(out) == [[2, 3, 4]]


def test_the_newest_trade_stays_even_when_others_hold_the_whole_budget():
    queue = a_queue(total=1)
    queue.put(book_update(6))
    queue.put_trades([trade(1), trade(2)])
    queue.put_trades([trade(3)])
    out = popped(queue)
    assert out[0] == TradesLost(2)
    assert numbers(out) == [[3]]
    assert ids(out) == [(6, 6)]


def test_no_trades_are_no_item():
    queue = a_queue()
    queue.put_trades([])
    assert queue.empty


def test_a_reset_discards_books_keeps_trades_and_overtakes_them():
    queue = a_queue()
    queue.put(book_update(6))
    queue.put_trades([trade(1)])
    queue.reset(3, StatusReason.DISCONNECTED)
    assert popped(queue) == [Mark(3, StatusReason.DISCONNECTED), [trade(1)]]
    assert queue.discarded_by_reset == 1
    assert queue.depth == 0


def test_late_updates_of_an_older_generation_are_dropped_and_counted():
    queue = a_queue()
    queue.reset(3, StatusReason.DISCONNECTED)
    queue.put(book_update(6, generation=2))
    queue.put(book_update(7, generation=3))
    assert ids(popped(queue)) == [(7, 7)]
    assert queue.dropped_old_generation == 1
    assert queue.puts == 1


def test_a_newer_generation_needs_no_reset_to_outdate_the_older():
    queue = a_queue()
    queue.put(book_update(6, generation=4))
    queue.put(book_update(7, generation=3))
    assert queue.generation == 4
    assert queue.dropped_old_generation == 1


def test_a_late_reset_of_an_older_generation_is_ignored():
    queue = a_queue()
    queue.reset(3, StatusReason.GAP)
    queue.put(book_update(9, snapshot=True, generation=3))
    queue.reset(2, StatusReason.DISCONNECTED)
    assert popped(queue)[0] == Mark(3, StatusReason.GAP)
    assert queue.discarded_by_reset == 0


def test_of_several_resets_one_mark_is_left():
    queue = a_queue()
    queue.reset(3, StatusReason.DISCONNECTED)
    queue.reset(4, StatusReason.NO_SNAPSHOT)
    assert popped(queue) == [Mark(4, StatusReason.NO_SNAPSHOT)]


def test_the_end_of_an_instrument_is_not_forgotten_by_a_disconnect_after_it():
    queue = a_queue()
    queue.reset(3, StatusReason.DELISTED)
    queue.reset(4, StatusReason.DISCONNECTED)
    assert popped(queue) == [Mark(4, StatusReason.DELISTED)]
    queue.reset(5, StatusReason.DELISTED)
    queue.reset(6, StatusReason.SUBSCRIBED)
    assert popped(queue) == [Mark(6, StatusReason.SUBSCRIBED)]


def test_a_fold_of_too_many_levels_becomes_a_mark_that_asks_for_a_resync(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(symbol_queue, "MAX_FOLDED_LEVELS", 3)
    queue = a_queue(capacity=1)
    queue.put(book_update(6, {1: 1, 2: 1}, generation=2))
    queue.put(book_update(7, {2: 1, 3: 1}, generation=2))  # three prices are allowed
    assert queue.overflows == 0
    queue.put(book_update(8, {4: 1}, generation=2))
    assert queue.depth == 0
    assert popped(queue) == [Mark(2, StatusReason.OVERFLOW, resync=True)]
    assert (queue.overflows, queue.overflowed_updates) == (1, 1)


def test_a_reset_takes_the_place_of_an_overflow_and_needs_no_second_resync(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(symbol_queue, "MAX_FOLDED_LEVELS", 1)
    queue = a_queue(capacity=1)
    queue.put(book_update(6, {1: 1}))
    queue.put(book_update(7, {2: 1}))
    queue.reset(9, StatusReason.DISCONNECTED)
    assert popped(queue) == [Mark(9, StatusReason.DISCONNECTED)]


def test_a_new_scale_makes_pending_updates_void_but_not_trades():
    queue = a_queue()
    queue.put_trades([trade(1)])
    queue.put(book_update(6, generation=2))
    finer = an_instrument(price_exponent=-3, version=2)
    queue.put_definition(finer, rescaled=True)
    queue.put_trades([trade(2)])
    assert popped(queue) == [[trade(1)], Redefinition(finer, rescaled=True, generation=2, discarded=True), [trade(2)]]


def test_folding_never_carries_a_trade_across_a_change_of_scale():
    queue = a_queue(capacity=2)
    finer = an_instrument(price_exponent=-3, version=2)
    queue.put_trades([trade(1)])
    queue.put_definition(finer, rescaled=True)
    queue.put_trades([trade(2)])
    queue.put_trades([trade(3)])
    assert popped(queue) == [TradesLost(1), Redefinition(finer, rescaled=True, generation=0), [trade(2), trade(3)]]


def test_a_definition_in_the_same_scale_leaves_updates_alone_and_replaces_one_that_waits():
    queue = a_queue()
    queue.put(book_update(6))
    queue.put_definition(an_instrument(version=2), rescaled=False)
    queue.put_definition(an_instrument(version=3), rescaled=False)
    out = popped(queue)
    assert ids(out) == [(6, 6)]
    assert out[1:] == [Redefinition(an_instrument(version=3), rescaled=False, generation=0)]


def test_closing_gives_the_budget_back():
    budget = QueueBudget(10)
    queue = SymbolQueue(5, budget, BookSync(50))
    queue.put(book_update(6))
    queue.put_trades([trade(1), trade(2)])
    assert budget.used == 3
    queue.close()
    assert budget.used == 0
    assert queue.pop() is None


async def test_every_kind_of_put_wakes_the_one_who_waits():
    def put(queue: SymbolQueue) -> None:
        queue.put(book_update(6))

    def put_trades(queue: SymbolQueue) -> None:
        queue.put_trades([trade(1)])

    def reset(queue: SymbolQueue) -> None:
        queue.reset(1, StatusReason.GAP)

    def define(queue: SymbolQueue) -> None:
        queue.put_definition(an_instrument(), rescaled=False)

    for action in (put, put_trades, reset, define):
        queue = a_queue()
        queue.waiter = waiter = asyncio.get_running_loop().create_future()
        action(queue)
        assert waiter.done()
        assert queue.waiter is None


async def test_a_waiter_that_was_cancelled_does_not_disturb_a_put():
    queue = a_queue()
    queue.waiter = asyncio.get_running_loop().create_future()
    queue.waiter.cancel()
    queue.put(book_update(6))
    assert queue.depth == 1


def test_trades_that_never_came_are_told_in_their_place_and_survive_a_fold():
    queue = a_queue(capacity=3)
    queue.put_trades([trade(1)])
    queue.put_trades_lost(1)
    queue.put_trades_lost(2)
    queue.put_trades([trade(2)])
    assert popped(queue)[1] == TradesLost(3)
    queue.put_trades_lost(4)
    for number in range(4):
        queue.put(book_update(6 + number))
    assert popped(queue)[0] == TradesLost(4)
    assert queue.trades_lost == 7


def test_a_venue_that_starts_again_unsaid_is_a_gap_to_the_worker_too_though_a_fold_saw_it_first():
    """150 old updates, then true ones: the fold gives up at the 101st, which is no merely old one to the worker."""
    sync = BookSync(50)
    sync.on_update(book_update(3000, snapshot=True, sequence=3000))
    queue = SymbolQueue(1000, QueueBudget(100_000), sync)
    for update_id in range(2800, 2950):
        queue.put(book_update(update_id, sequence=update_id))
    for update_id in range(3001, 3852):
        queue.put(book_update(update_id, sequence=update_id))
    assert queue.folds or queue.discarded_after_break
    verdicts = []
    while (item := queue.pop()) is not None:
        verdicts.append(sync.on_update(item))
    assert Verdict.GAP in verdicts
    assert not sync.synced


def test_old_updates_dropped_by_folds_count_towards_the_limit():
    sync = BookSync(50)
    sync.on_update(book_update(3000, snapshot=True, sequence=3000))
    queue = SymbolQueue(10, QueueBudget(100_000), sync)
    verdicts = []
    for update_id in range(2000, 2200):
        queue.put(book_update(update_id, sequence=update_id))
    while (item := queue.pop()) is not None:
        verdicts.append(sync.on_update(item))
    assert Verdict.GAP in verdicts
