"""What waits for one symbol's worker: bounded, in order of arrival, and without any silent loss.

Over its bound a queue does not drop deltas but folds them (feeder.pipeline.fold); of trades the oldest go, and a count
stands in their place. Nothing here does I/O; everything happens on the event loop's thread.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, replace

from feeder.book.sync import BookSync
from feeder.market.instrument import Instrument
from feeder.market.status import StatusReason
from feeder.market.update import BookUpdate, TradeUpdate
from feeder.pipeline.fold import Fold, FoldedDelta

MAX_FOLDED_LEVELS = 4096
"""Prices a folded delta may hold: beyond it a fresh snapshot costs less, and memory stays bounded."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The book is not LIVE from here until a snapshot. `resync`: nobody has asked the venue for that snapshot yet."""

    generation: int
    reason: StatusReason
    resync: bool = False


@dataclass(frozen=True, slots=True)
class TradesLost:
    """This many trades are missing here."""

    count: int


@dataclass(frozen=True, slots=True)
class Redefinition:
    """The instrument is another from here; updates before it are in the old scale, those after it in the new one.

    `discarded`: book updates that waited before it were dropped, so a book that needs them must be asked for again.
    """

    instrument: Instrument
    rescaled: bool
    generation: int
    discarded: bool = False


Item = BookUpdate | list[TradeUpdate] | Mark | TradesLost | Redefinition


class QueueBudget:
    """What all queues of a process may hold together, in book updates and trades; `used` is the present sum.

    Once `total` is used up, queues fold at every put until hardly anything waits. Filling up again first would fold the
    same number of updates, but later: when each has become old, and has left the processor's caches.
    """

    __slots__ = ("calm", "limit", "total", "used")

    def __init__(self, total: int) -> None:
        self.total = total
        self.calm = total // 100
        self.limit = total  # over it a put folds: `total`, or `calm` until no more than that waits
        self.used = 0


class SymbolQueue:
    """The pending updates of one symbol: at most `capacity` book updates and as many trades.

    `sync` is the worker's: folding starts from what the worker has already applied. When the shared budget is exhausted
    a queue folds at each put, and then holds no more than a snapshot, one delta, the break after it, and one trade.
    The counters account for every update and trade put in: what was not popped and is not pending is counted.
    """

    __slots__ = (
        "_budget",
        "_capacity",
        "_trade_count",
        "depth",
        "discarded_after_break",
        "discarded_by_reset",
        "dropped_old_generation",
        "duplicates",
        "folded_updates",
        "folds",
        "generation",
        "high_water",
        "items",
        "out_of_order",
        "overflowed_updates",
        "overflows",
        "puts",
        "replaced_updates",
        "sync",
        "trades_lost",
        "trades_put",
        "waiter",
    )

    def __init__(self, capacity: int, budget: QueueBudget, sync: BookSync) -> None:
        self._capacity = capacity
        self._budget = budget
        self.sync = sync
        self.items: deque[Item] = deque()
        self._trade_count = 0
        self.generation = 0
        self.depth = 0  # pending book updates and trades
        self.high_water = 0
        self.puts = 0  # book updates of the present generation
        self.trades_put = 0
        self.folds = 0
        self.folded_updates = 0  # merged into another
        self.replaced_updates = 0  # made void by a snapshot behind them
        self.duplicates = 0
        self.out_of_order = 0
        self.discarded_after_break = 0
        self.discarded_by_reset = 0  # of an older generation, or of an older scale
        self.overflows = 0
        self.overflowed_updates = 0
        self.dropped_old_generation = 0  # came too late to be put in at all
        self.trades_lost = 0
        # Set by the worker when it has nothing to do, and done by the next put. A bare future is the cheapest wake-up
        # there is: an asyncio.Event makes the same future, a coroutine and a deque entry around it.
        self.waiter: asyncio.Future[None] | None = None

    def put(self, update: BookUpdate) -> None:
        """Add a book update; one of an older generation than the latest reset is dropped and counted."""
        if update.generation != self.generation:
            if update.generation < self.generation:
                self.dropped_old_generation += 1
                return
            self.generation = update.generation
        budget = self._budget
        if budget.used >= budget.limit:
            self._put_folding(update)
            return
        self.items.append(update)
        self.puts += 1
        self.depth = depth = self.depth + 1
        if depth > self.high_water:
            self.high_water = depth
        budget.used += 1
        if depth - self._trade_count > self._capacity:
            self._fold()
        waiter = self.waiter
        if waiter is not None:  # as _wake, without its call
            self.waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def put_trades(self, trades: list[TradeUpdate]) -> None:
        """Add trades, oldest first; the list is the queue's own from now on."""
        if not trades:
            return
        count = len(trades)
        self.items.append(trades)
        self.trades_put += count
        self._trade_count += count
        self.depth += count
        self.high_water = max(self.high_water, self.depth)
        budget = self._budget
        budget.used += count
        if self._trade_count > self._capacity or budget.used > budget.total:
            self._fold(spare_trades=False)
        self._wake()

    def put_trades_lost(self, count: int) -> None:
        """Say, in its place among the trades, that so many never came this far."""
        last = self.items[-1] if self.items else None
        if isinstance(last, TradesLost):
            self.items[-1] = TradesLost(last.count + count)
        else:
            self.items.append(TradesLost(count))
        self.trades_lost += count
        self._wake()

    def put_definition(self, instrument: Instrument, *, rescaled: bool) -> None:
        """Add a change of definition. When it changes the scale, pending book updates are of no use any more."""
        discarded = self._discard_books() if rescaled else 0
        waiting = [index for index, item in enumerate(self.items) if isinstance(item, Redefinition)]
        if waiting and not rescaled:
            last = self.items[waiting[-1]]
            assert isinstance(last, Redefinition)
            self.items[waiting[-1]] = replace(last, instrument=instrument)
        else:
            # A rescaled one that still waits stays too, for trades that came in its scale. There cannot be many:
            # scales only get finer, and end at 10^-18.
            self.items.append(Redefinition(instrument, rescaled, self.generation, discarded > 0))
        self._wake()

    def reset(self, generation: int, reason: StatusReason) -> None:
        """Discard pending book updates and leave a mark, first in line; older generations are dropped from now on.

        Trades stay. A reset of an older generation than the present one is ignored and counted.
        """
        if generation < self.generation:
            self.dropped_old_generation += 1
            return
        self.generation = generation
        self._discard_books()
        self._leave_mark(Mark(generation, reason))
        self._wake()

    def pop(self) -> Item | None:
        """The next item, or None when nothing waits."""
        if not self.items:
            return None
        item = self.items.popleft()
        if type(item) is BookUpdate:
            self.depth -= 1
            budget = self._budget
            budget.used -= 1
            if budget.used <= budget.calm:
                budget.limit = budget.total
            return item
        return self._pop_rarer(item)

    @property
    def empty(self) -> bool:
        """Whether nothing waits, marks and definitions included."""
        return not self.items

    def close(self) -> None:
        """Let go of everything pending, and of its share of the budget."""
        self.items.clear()
        self._budget.used -= self.depth
        self.depth = 0
        self._trade_count = 0

    def _put_folding(self, update: BookUpdate) -> None:
        """As `put`, while the budget is exhausted."""
        self._budget.limit = self._budget.calm
        self.puts += 1
        last = self.items[-1] if self.items else None
        if type(last) is FoldedDelta and last.is_continued_by(update) and last.level_count <= MAX_FOLDED_LEVELS:
            last.merge(update)
            self.folds += 1
            self.folded_updates += 1
        else:
            self.items.append(update)
            self.depth += 1
            self._budget.used += 1
            if self.depth > 1:
                self._fold()
        self.high_water = max(self.high_water, self.depth)
        self._wake()

    def _pop_rarer(self, item: Item) -> Item:
        if isinstance(item, FoldedDelta):
            self.depth -= 1
            self._budget.used -= 1
            if self._budget.used <= self._budget.calm:
                self._budget.limit = self._budget.total
            return item.unfolded()
        if isinstance(item, list):
            count = len(item)
            self.depth -= count
            self._trade_count -= count
            self._budget.used -= count
        return item

    def _wake(self) -> None:
        waiter = self.waiter
        if waiter is not None:
            self.waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def _leave_mark(self, mark: Mark) -> None:
        """Put the mark in front, in the place of one that is still there."""
        if self.items and isinstance(self.items[0], Mark):
            old = self.items.popleft()
            assert isinstance(old, Mark)
            # The end of an instrument is told even if its connection drops before the worker gets to hear of it.
            if old.reason is StatusReason.DELISTED and mark.reason is not StatusReason.SUBSCRIBED:
                mark = replace(old, generation=mark.generation)
        self.items.appendleft(mark)

    def _discard_books(self) -> int:
        kept: list[Item] = [item for item in self.items if not isinstance(item, BookUpdate)]
        discarded = len(self.items) - len(kept)
        if discarded:
            self._replace_items(kept)
            self.discarded_by_reset += discarded
        return discarded

    def _fold(self, *, spare_trades: bool = True) -> None:
        """Bring what is pending down to: a mark, trades and definitions in their order, and a folded run of updates.

        Trades overtake book updates by this, never a change of scale. Unless spared, the oldest of them go as far as
        the bounds ask, but never the newest, so that each queue gets on even if others hold the whole budget.
        """
        fold = Fold(self.sync)
        mark: Mark | None = None
        lost = 0
        batches: list[list[TradeUpdate]] = []
        in_order: list[list[TradeUpdate] | Redefinition] = []
        for item in self.items:
            if isinstance(item, BookUpdate):
                fold.add(item)
            elif isinstance(item, list):
                if in_order and isinstance(in_order[-1], list):
                    in_order[-1].extend(item)
                else:
                    batches.append(list(item))
                    in_order.append(batches[-1])
            elif isinstance(item, Mark):
                mark = item
                fold.invalidate()
            elif isinstance(item, TradesLost):
                lost += item.count
            else:
                if item.rescaled:
                    fold.invalidate()
                in_order.append(item)
        self._count(fold)
        fold.carry_over(self.sync)
        books = fold.updates()
        overflow = fold.level_count() > MAX_FOLDED_LEVELS
        if overflow:
            self.overflows += 1
            self.overflowed_updates += len(books)
            books = []
        if not spare_trades:
            lost += self._drop_oldest(batches, len(books))
        items: list[Item] = []
        if mark is not None:
            items.append(mark)
        if lost:
            items.append(TradesLost(lost))
        items.extend(item for item in in_order if item)
        items.extend(books)
        self._replace_items(items)
        if overflow:
            self._leave_mark(Mark(self.generation, StatusReason.OVERFLOW, resync=True))

    def _drop_oldest(self, batches: list[list[TradeUpdate]], books: int) -> int:
        """Drop trades beyond the bounds from these batches, given how many book updates stay; returns how many."""
        used = self._budget.used - self.depth + books + self._trade_count
        excess = max(self._trade_count - self._capacity, used - self._budget.total)
        dropped = excess = max(min(excess, self._trade_count - 1), 0)
        for batch in batches:
            count = min(len(batch), excess)
            del batch[:count]
            excess -= count
        self.trades_lost += dropped
        return dropped

    def _count(self, fold: Fold) -> None:
        if fold.folded_updates:
            self.folds += 1
        self.folded_updates += fold.folded_updates
        self.replaced_updates += fold.replaced_updates
        self.duplicates += fold.duplicates
        self.out_of_order += fold.out_of_order
        self.discarded_after_break += fold.discarded_after_break

    def _replace_items(self, items: list[Item]) -> None:
        """Make these what is pending, and settle the counts."""
        self.items.clear()
        self.items.extend(items)
        books = sum(1 for item in items if isinstance(item, BookUpdate))
        self._trade_count = sum(len(item) for item in items if isinstance(item, list))
        self._budget.used += books + self._trade_count - self.depth
        self.depth = books + self._trade_count
