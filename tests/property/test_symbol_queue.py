"""A bounded queue and its worker against an unbounded one: whatever is folded on the way, the end is the same.

The reference applies every update at once, in plain dictionaries, with the venue's rules written as it states them.
"""

from dataclasses import dataclass, field

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from feeder.book.sync import BookSync
from feeder.clock import ManualClock
from feeder.market.status import BookStatus, StatusReason
from feeder.market.update import BookUpdate
from feeder.pipeline import symbol_queue
from feeder.pipeline.symbol_queue import QueueBudget, SymbolQueue
from feeder.pipeline.worker import Worker
from tests.helpers.updates import ConsumerSink, an_instrument, book_update, trade


@dataclass
class Reference:
    """What an unbounded queue ends in."""

    depth: int
    live: bool = False
    bids: dict[int, int] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)
    last: int = 0
    sequence: int = 0

    def take(self, update: BookUpdate) -> None:
        bids = dict(zip(update.bids[::2], update.bids[1::2], strict=True))
        asks = dict(zip(update.asks[::2], update.asks[1::2], strict=True))
        if update.snapshot or update.update_id == 1:
            if self.live and self.depth == 1 and self.last == update.update_id != 1:
                return  # said to be unchanged; its content is not looked at
            self.bids, self.asks, self.live = bids, asks, True
        elif not self.live:
            return
        elif self.depth == 1:
            self.live = False
            return
        elif update.update_id == self.last + 1:
            self.bids |= bids
            self.asks |= asks
        elif update.update_id == self.last:
            return
        else:
            older = update.update_id < self.last and update.venue_sequence != 0
            if not (older and update.venue_sequence <= self.sequence):
                self.live = False
            return
        self.bids = {price: quantity for price, quantity in self.bids.items() if quantity}
        self.asks = {price: quantity for price, quantity in self.asks.items() if quantity}
        self.last = update.update_id
        self.sequence = update.venue_sequence


bid_levels = st.dictionaries(st.integers(1, 4), st.integers(0, 2), max_size=3)
ask_levels = st.dictionaries(st.integers(11, 14), st.integers(0, 2), max_size=3)
# What the venue sends next; weights by repetition, so that books live long enough to be worth losing.
kinds = st.sampled_from(
    ["next"] * 24
    + ["snapshot"] * 3
    + ["pop"] * 4
    + ["trades"] * 3
    + ["break", "duplicate", "older", "older unknown", "counter restart", "restart delta", "restart snapshot"]
    + ["repeat snapshot", "reset", "late", "rescale", "redefine"]
)
step = st.tuples(kinds, bid_levels, ask_levels, st.integers(1, 4))


class Run:
    """One symbol fed step by step, through a bounded queue and into the reference."""

    def __init__(self, depth: int, capacity: int, total: int, used_by_others: int) -> None:
        self.depth, self.capacity = depth, capacity
        self.budget = QueueBudget(total)
        self.budget.used = self.used_by_others = used_by_others
        self.queue = SymbolQueue(capacity, self.budget, BookSync(depth))
        self.sink = ConsumerSink()
        self.resyncs: list[StatusReason] = []
        # The book's window is wide, so that nothing is trimmed: a fold is exact in what the venue's book holds.
        self.worker = Worker(
            an_instrument(), 1 if depth == 1 else 50, self.queue, self.sink, self.request_resync, ManualClock()
        )
        self.reference = Reference(depth)
        self.generation = 0
        self.update_id = 10
        self.sequence = 100
        self.exponent = -2
        self.version = 1
        self.books_put = 0
        self.books_popped = 0
        self.trades_put: list[tuple[int, int]] = []  # number, and the exponent of its price

    def request_resync(self, _key: tuple[str, str], reason: StatusReason, generation: int) -> None:
        assert generation <= self.queue.generation
        self.resyncs.append(reason)

    def step(self, kind: str, bids: dict[int, int], asks: dict[int, int], count: int) -> None:
        match kind:
            case "pop":
                self.pop(count)
            case "trades":
                numbers = range(len(self.trades_put), len(self.trades_put) + count)
                self.trades_put += [(number, self.exponent) for number in numbers]
                self.queue.put_trades([trade(number) for number in numbers])
            case "reset":
                self.generation += 1
                self.queue.reset(self.generation, StatusReason.DISCONNECTED)
                self.reference.live = False
            case "rescale":
                self.exponent -= 1
                self.version += 1
                self.queue.put_definition(an_instrument("BTCUSDT", self.exponent, self.version), rescaled=True)
                self.reference.live = False
            case "redefine":
                self.version += 1
                self.queue.put_definition(an_instrument("BTCUSDT", self.exponent, self.version), rescaled=False)
            case "late":
                if self.generation:
                    late = book_update(self.update_id, bids, asks, snapshot=True, generation=self.generation - 1)
                    self.queue.put(late)
            case _:
                self.put_book(kind, bids, asks)
        trades = sum(len(item) for item in self.queue.items if isinstance(item, list))
        books = self.queue.depth - trades
        assert books <= max(self.capacity, 3)
        assert trades <= self.capacity
        assert self.budget.used == self.used_by_others + self.queue.depth
        if self.budget.used > self.budget.total and kind != "pop":
            assert books <= 3
            assert kind != "trades" or trades == 1

    def put_book(self, kind: str, bids: dict[int, int], asks: dict[int, int]) -> None:
        snapshot = kind in ("snapshot", "restart snapshot", "repeat snapshot") or (self.depth == 1 and kind == "next")
        update_id = {
            "next": self.update_id + 1,
            "snapshot": self.update_id + 3,
            "break": self.update_id + 2,
            "older": self.update_id - 2,
            "older unknown": self.update_id - 2,
            "counter restart": 2,
            "restart delta": 1,
            "restart snapshot": 1,
        }.get(kind, self.update_id)
        sequence = {"older": self.sequence - 5, "older unknown": 0}.get(kind, self.sequence + 1)
        update = book_update(
            update_id, bids, asks, snapshot=snapshot, generation=self.generation, sequence=max(sequence, 0)
        )
        if not kind.startswith("older") and kind != "duplicate":
            self.update_id = update_id
            self.sequence = sequence
        self.books_put += 1
        self.reference.take(update)
        self.queue.put(update)

    def pop(self, count: int | None = None) -> None:
        """Let the worker handle `count` items, or all there are."""
        while count is None or count > 0:
            item = self.queue.pop()
            if item is None:
                return
            self.books_popped += isinstance(item, BookUpdate)
            self.worker.handle(item)
            count = None if count is None else count - 1

    def check_nothing_went_unaccounted(self) -> None:
        queue = self.queue
        assert queue.puts == self.books_put
        assert queue.depth == 0
        assert queue.puts - self.books_popped == (
            queue.folded_updates
            + queue.replaced_updates
            + queue.duplicates
            + queue.out_of_order
            + queue.discarded_after_break
            + queue.discarded_by_reset
            + queue.overflowed_updates
        )

    def check_trades(self) -> None:
        """Every trade came out in order and under its own scale, or is counted as lost in its place."""
        expected = iter(self.trades_put)
        exponent: object = -2
        for name, *values in self.sink.named(["trades", "trades_lost", "definition"]):
            if name == "definition":
                exponent = values[0]
            elif name == "trades":
                for number in values:
                    assert next(expected) == (number, exponent)
            else:
                assert isinstance(values[0], int)
                for _ in range(values[0]):
                    next(expected)
        assert next(expected, None) is None

    def check_the_book_that_went_out(self) -> None:
        assert (self.worker.status is BookStatus.LIVE) == (self.sink.book_status is BookStatus.LIVE)
        if self.worker.status is BookStatus.LIVE:
            assert (self.sink.bids, self.sink.asks) == (self.reference.bids, self.reference.asks)
            levels = self.worker.book.levels()
            assert dict(zip(levels.bids[::2], levels.bids[1::2], strict=True)) == self.reference.bids
            assert dict(zip(levels.asks[::2], levels.asks[1::2], strict=True)) == self.reference.asks


limits = st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(0, 6))


@settings(max_examples=400)
@given(limits=limits, depth=st.sampled_from([50, 50, 50, 1]), steps=st.lists(step, min_size=20, max_size=60))
def test_a_bounded_queue_ends_in_the_same_state_and_book_as_an_unbounded_one(limits, depth, steps):
    run = Run(depth, *limits)
    run.worker.start()
    run.step("snapshot", {1: 1}, {11: 1}, 1)
    for kind, bids, asks, count in steps:
        # The book of depth 1 holds one level a side, as the venue's does.
        width = 1 if depth == 1 else None
        run.step(kind, dict(list(bids.items())[:width]), dict(list(asks.items())[:width]), count)
    run.pop()
    event(f"live {run.reference.live}, folded {run.queue.folded_updates > 0}, trades lost {run.queue.trades_lost > 0}")
    assert (run.worker.status is BookStatus.LIVE) == run.reference.live
    run.check_the_book_that_went_out()
    run.check_nothing_went_unaccounted()
    run.check_trades()
    assert run.worker.failures == 0


@settings(max_examples=150)
@given(limits=limits, steps=st.lists(step, min_size=20, max_size=60))
def test_a_fold_that_is_given_up_never_leaves_a_wrong_book_live(limits, steps):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(symbol_queue, "MAX_FOLDED_LEVELS", 3)
        run = Run(50, *limits)
        run.worker.start()
        run.step("snapshot", {1: 1}, {11: 1}, 1)
        run.pop()
        for kind, bids, asks, count in steps:
            run.step(kind, bids, asks, count)
        run.pop()
    event(f"live {run.reference.live}, overflowed {run.queue.overflows > 0}")
    if run.worker.status is BookStatus.LIVE:
        assert run.reference.live
    elif run.reference.live:
        assert run.queue.overflows > 0
        assert run.resyncs  # somebody was asked for the snapshot it takes
    run.check_the_book_that_went_out()
    run.check_nothing_went_unaccounted()
    run.check_trades()
