"""From (category, symbol) to that symbol's queue, and the owner of the tasks behind the queues."""

import asyncio
from collections import Counter

from feeder import log
from feeder.book.sync import BookSync
from feeder.clock import Clock
from feeder.market.instrument import Instrument, InstrumentKey
from feeder.market.status import BookStatus, StatusReason
from feeder.market.update import BookUpdate, TradeUpdate
from feeder.pipeline.sink import BookSink
from feeder.pipeline.stages import Stages
from feeder.pipeline.symbol_queue import QueueBudget, SymbolQueue
from feeder.pipeline.worker import RequestResync, Worker

_log = log.logger("pipeline.router")

_QUEUE_COUNTERS = (
    "puts",
    "trades_put",
    "folds",
    "folded_updates",
    "replaced_updates",
    "duplicates",
    "out_of_order",
    "discarded_after_break",
    "discarded_by_reset",
    "overflows",
    "overflowed_updates",
    "dropped_old_generation",
    "trades_lost",
)
_WORKER_COUNTERS = (
    "restarts",
    "gaps",
    "duplicates",
    "out_of_order",
    "dropped_waiting",
    "dropped_delisted",
    "resyncs_requested",
    "failures",
)
_BOOK_COUNTERS = ("absent_deletes", "trimmed_levels")


class Router:
    """Hands the venue's updates to one worker task per symbol, and keeps those tasks running.

    A worker that fails is logged with its traceback, its book is reported not LIVE, a fresh snapshot is asked for, and
    it goes on with the next update: what broke it was one symbol's message, and a thousand other books are none the
    worse. The venue side's backoff bounds how often that repeats. Only when even that report fails, so that consumers
    might take a dead book for a LIVE one, does the error end `run`, and with it the process.
    """

    def __init__(self, capacity: int, budget: QueueBudget, request_resync: RequestResync, clock: Clock) -> None:
        self.workers: dict[InstrumentKey, Worker] = {}
        self.budget = budget
        self.stages = Stages()
        self.unknown_books = 0
        self.unknown_trades = 0
        self.unknown_others = 0  # resets and definitions
        self._capacity = capacity
        self._request_resync = request_resync
        self._clock = clock
        self._queues: dict[InstrumentKey, SymbolQueue] = {}
        self._instruments: dict[InstrumentKey, Instrument] = {}  # as of the last definition put in a queue
        self._tasks: dict[InstrumentKey, asyncio.Task[None]] = {}
        # Cancelled, but not yet ended: a task nobody refers to may be collected before it ends.
        self._ending: set[asyncio.Task[None]] = set()
        # What removed symbols have counted: a sum must not fall when one of its parts leaves.
        self._removed: Counter[str] = Counter()
        self._removed_transitions: Counter[tuple[BookStatus, StatusReason]] = Counter()
        self._fatal: BaseException | None = None
        self._failed = asyncio.Event()

    def on_book(self, key: InstrumentKey, update: BookUpdate) -> None:
        """A book update from the venue; it is the queue's own from now on."""
        queue = self._queues.get(key)
        if queue is None:
            self.unknown_books += 1
        else:
            queue.put(update)

    def on_trades(self, key: InstrumentKey, trades: list[TradeUpdate], generation: int) -> None:
        """Trades from the venue, oldest first. Each stands for itself, so those of an older subscription count too."""
        queue = self._queues.get(key)
        if queue is None:
            self.unknown_trades += len(trades)
        else:
            queue.put_trades(trades)

    def on_trades_lost(self, key: InstrumentKey, count: int) -> None:
        """So many trades came from the venue and could not be taken."""
        queue = self._queues.get(key)
        if queue is None:
            self.unknown_trades += count
        else:
            queue.put_trades_lost(count)

    def on_reset(self, key: InstrumentKey, generation: int, reason: StatusReason) -> None:
        """The book's subscription is of this generation from now on; what came before is void, the book not LIVE."""
        queue = self._queues.get(key)
        if queue is None:
            self.unknown_others += 1
        else:
            queue.reset(generation, reason)

    def on_definition(self, instrument: Instrument) -> None:
        """The instrument is defined like this for all updates that follow; nothing happens when it was so already."""
        key = instrument.key
        known = self._instruments.get(key)
        if known is None:
            self.unknown_others += 1
        elif instrument != known:
            self._instruments[key] = instrument
            rescaled = (instrument.price_exponent, instrument.quantity_exponent) != (
                known.price_exponent,
                known.quantity_exponent,
            )
            self._queues[key].put_definition(instrument, rescaled=rescaled)

    def add(self, instrument: Instrument, depth: int, sink: BookSink) -> Worker:
        """Start a book; its sink hears SYNCING in the loop's next turn. Raises ValueError if there is one already."""
        key = instrument.key
        if key in self.workers:
            raise ValueError(f"{instrument.category}:{instrument.symbol} has a book already")
        queue = SymbolQueue(self._capacity, self.budget, BookSync(depth))
        worker = Worker(instrument, depth, queue, sink, self._request_resync, self._clock, self.stages)
        self.workers[key] = worker
        self._queues[key] = queue
        self._instruments[key] = instrument
        task = asyncio.create_task(worker.run(), name=f"book {instrument.category}:{instrument.symbol}")
        task.add_done_callback(self._on_done)
        self._tasks[key] = task
        return worker

    def remove(self, key: InstrumentKey) -> None:
        """Stop a book: nothing reaches its sink from here. Raises KeyError if there is none."""
        worker = self.workers.pop(key)
        self._removed += _counted(worker)
        self._removed_transitions += worker.transitions
        del self._instruments[key]
        self._queues.pop(key).close()
        task = self._tasks.pop(key)
        if task.cancel():
            self._ending.add(task)

    async def run(self) -> None:
        """Wait until a worker has failed beyond recovery, and raise its error; otherwise never end."""
        await self._failed.wait()
        assert self._fatal is not None
        raise self._fatal

    async def drain(self) -> None:
        """Wait until nothing is pending; for the end, when nothing more comes in. Gives up when `run` would raise."""
        while self._fatal is None and self._pending():  # noqa: ASYNC110 - an event would burden every pop
            await asyncio.sleep(0)

    async def aclose(self) -> None:
        """Stop all books and wait for their tasks to end."""
        for key in list(self.workers):
            self.remove(key)
        if self._ending:
            await asyncio.wait(self._ending)

    def statuses(self) -> Counter[BookStatus]:
        """How many books are in which status."""
        return Counter(worker.status for worker in self.workers.values())

    def transitions(self) -> Counter[tuple[BookStatus, StatusReason]]:
        """How often books came into which status for which reason, since the start, removed ones included."""
        total = Counter(self._removed_transitions)
        for worker in self.workers.values():
            total.update(worker.transitions)
        return total

    def totals(self) -> Counter[str]:
        """Sums of the counters of all queues, workers and books since the start, by name, removed ones included.

        What a fold and a worker both count (`duplicates`, `out_of_order`) is one sum.
        """
        total = Counter(self._removed)
        for worker in self.workers.values():
            total.update(_counted(worker))
        return total

    def _pending(self) -> bool:
        return any(not queue.empty for queue in self._queues.values())

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._ending.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fatal = error
            self._failed.set()
            _log.critical("worker failed beyond recovery", error=repr(error), exc_info=error)


def _counted(worker: Worker) -> Counter[str]:
    counts: Counter[str] = Counter()
    for part, names in (
        (worker.queue, _QUEUE_COUNTERS),
        (worker, _WORKER_COUNTERS),
        (worker.book, _BOOK_COUNTERS),
    ):
        for name in names:
            counts[name] += getattr(part, name)
    return counts
