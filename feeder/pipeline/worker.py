"""One symbol's task: the only writer of its book, and the judge of whether it is LIVE."""

import asyncio
from collections import Counter
from collections.abc import Callable

from feeder import log
from feeder.book.order_book import OrderBook
from feeder.book.sync import Verdict
from feeder.clock import Clock
from feeder.market.instrument import Instrument, InstrumentKey
from feeder.market.status import BookStatus, StatusReason
from feeder.market.update import BookUpdate
from feeder.pipeline.sink import BookSink
from feeder.pipeline.stages import UNSAMPLED, Stages
from feeder.pipeline.symbol_queue import Item, Mark, Redefinition, SymbolQueue, TradesLost

RequestResync = Callable[[InstrumentKey, StatusReason, int], None]
"""Asks for a fresh snapshot of a book. The int is the generation found wanting: the venue side ignores a request for an
older generation than its subscription's, or while a resync of that topic is in flight."""

ITEMS_PER_TURN = 4
"""What a worker handles before it lets others run: one symbol's share of a turn of the loop.

Between two turns sockets are read. When more comes than can be handled it has to be read all the same, so that what
waits is here, where it is folded, and not in the venue's buffers, where it gets old until the venue cuts us off.
"""

_log = log.logger("pipeline.worker")

# Module names are read faster than members of a class, and these are read for nearly every update.
_DELTA = Verdict.DELTA
_LIVE = BookStatus.LIVE

_NO_LEVELS: list[int] = []


class Worker:
    """Takes one symbol's updates from its queue, keeps the book, and writes what changed to its sink.

    `status` and `reason` are the book's, `status_since_ns` is the wall time of their last change, and `transitions`
    counts every change to a pair of them. `last_update` is the newest update that showed the topic alive, even one that
    changed nothing: freshness is measured by its times.
    """

    def __init__(
        self,
        instrument: Instrument,
        depth: int,
        queue: SymbolQueue,
        sink: BookSink,
        request_resync: RequestResync,
        clock: Clock,
        stages: Stages | None = None,
    ) -> None:
        self.instrument = instrument
        self.book = OrderBook(depth)
        self.queue = queue
        self.status = BookStatus.SYNCING
        self.reason = StatusReason.NONE
        self.status_since_ns = clock.wall_ns()
        self.transitions: Counter[tuple[BookStatus, StatusReason]] = Counter()
        self.last_update: BookUpdate | None = None
        self.restarts = 0  # LIVE books replaced by a snapshot in mid-stream
        self.gaps = 0
        self.duplicates = 0
        self.out_of_order = 0
        self.dropped_waiting = 0  # deltas before a snapshot
        self.dropped_delisted = 0
        self.resyncs_requested = 0
        self.failures = 0  # exceptions survived
        self._depth = depth
        self._sync = queue.sync  # shared: the queue folds from where this has come to
        self._sink = sink
        self._request_resync = request_resync
        self._clock = clock
        self._stages = stages or Stages()
        # SYNCING until the first snapshot; a book that was LIVE is STALE from then on whenever it is not.
        self._was_live = False
        # Set once the venue side was asked for a snapshot, until the book is LIVE or the subscription renewed.
        self._resync_requested = False
        self._requested_of = 0  # the generation that was found wanting then
        # What has been logged since the book was last LIVE, so that an episode logs each thing once.
        self._logged: set[str] = set()

    @property
    def key(self) -> InstrumentKey:
        """(category, symbol)."""
        return self.instrument.key

    def expect(self, reason: StatusReason) -> None:
        """The book will be lost for this reason, as is intended: nothing to log."""
        self._logged.add(reason.name)

    def start(self) -> None:
        """Tell the sink that the book is wanted: SYNCING. `run` begins with it."""
        self._become(self.status, StatusReason.SUBSCRIBED)

    async def run(self) -> None:
        """Handle items as they come, for ever; see `recover` for what happens when one cannot be handled."""
        queue = self.queue
        items, pop, handle = queue.items, queue.pop, self.handle
        create_future = asyncio.get_running_loop().create_future
        while True:
            try:
                if self.reason is StatusReason.NONE:
                    self.start()
                while True:
                    left = ITEMS_PER_TURN
                    while items:
                        if not left:
                            await asyncio.sleep(0)
                            left = ITEMS_PER_TURN
                        left -= 1
                        item = pop()
                        assert item is not None
                        handle(item)
                    queue.waiter = waiter = create_future()
                    await waiter
            except Exception as error:  # noqa: BLE001 - recover logs it with its traceback, and asks for a fresh book
                self.recover(error)
                await asyncio.sleep(0)  # a run of bad messages does not keep the loop

    def handle(self, item: Item) -> None:
        """Take one item: apply it, and write what came of it to the sink."""
        if type(item) is BookUpdate:
            taken_ns = 0 if item.update_id & UNSAMPLED else self._clock.wall_ns()
            verdict = self._sync.on_update(item)
            if verdict is _DELTA and self.status is _LIVE:
                self._apply(item, item.bids, item.asks)
            else:
                self._on_rarer(item, verdict)
            if taken_ns:
                self._stages.record(item.receive_time_ns, taken_ns, self._clock.wall_ns())
        elif isinstance(item, list):
            self._sink.trades(item)
        elif isinstance(item, Mark):
            self._on_mark(item)
        elif isinstance(item, TradesLost):
            self._sink.trades_lost(item.count)
        else:
            assert isinstance(item, Redefinition)  # a folded delta is made plain when it is popped
            self._on_definition(item)

    def recover(self, error: Exception) -> None:
        """Go on after `handle` raised: the book is not LIVE from here, and a fresh snapshot is asked for.

        The sink is told even if the status is the same as before, since the error may have struck while it was told
        of the book being LIVE. The error is logged with its traceback, once per episode.
        """
        self.failures += 1
        if self.status is BookStatus.DELISTED:
            self._sink.status(self.status, self.reason)
        else:
            self.reason = StatusReason.NONE
            self._lose(StatusReason.MALFORMED, generation=self.queue.generation)
            self._ask_for_snapshot(StatusReason.MALFORMED, self.queue.generation)
        if "worker failed" not in self._logged:
            self._logged.add("worker failed")
            category, symbol = self.key
            _log.error("worker failed", category=category, symbol=symbol, error=repr(error), exc_info=error)

    def _apply(self, update: BookUpdate, bids: list[int], asks: list[int]) -> None:
        """Apply levels to the LIVE book and publish them, unless they cross it."""
        book = self.book
        trimmed = book.apply_delta(bids, asks)
        if book.touched and book.is_crossed():
            self._on_crossed(update)
            return
        if trimmed is not None:
            bids = bids + trimmed.bids
            asks = asks + trimmed.asks
        self.last_update = update
        self._sink.delta(update, bids, asks)
        # Kept for its ids and times. Its levels are let go of now, while they are in the processor's cache.
        update.bids = update.asks = _NO_LEVELS

    def _on_rarer(self, update: BookUpdate, verdict: Verdict) -> None:
        """Everything but the delta of a LIVE book."""
        if self.status is BookStatus.DELISTED:
            self._sync.invalidate()
            self.dropped_delisted += 1
        elif verdict is Verdict.SNAPSHOT:
            self._on_snapshot(update)
        elif verdict is Verdict.DUPLICATE:
            self.last_update = update
            self.duplicates += 1
            if self._depth > 1:  # at depth 1 it is the venue's way to say that nothing changed
                self._note("duplicate update", update)
        elif verdict is Verdict.OUT_OF_ORDER:
            self.out_of_order += 1
            self._note("update out of order", update)
        elif verdict is Verdict.GAP:
            self.gaps += 1
            self._lose(
                StatusReason.GAP,
                generation=update.generation,
                update_id=update.first_update_id,
                expected_update_id=self._sync.expected_update_id,
            )
            self._ask_for_snapshot(StatusReason.GAP, update.generation)
        else:
            self.dropped_waiting += 1

    def _on_snapshot(self, update: BookUpdate) -> None:
        live = self.status is _LIVE
        if live and self._depth == 1:
            # Published even when it changes nothing: a consumer then sees each of the venue's update ids.
            difference = self.book.difference(update.bids, update.asks)
            self._apply(update, difference.bids, difference.asks)
            return
        self.book.apply_snapshot(update.bids, update.asks)
        if self.book.is_crossed():
            self._on_crossed(update)
            return
        self.last_update = update
        if live:
            self.restarts += 1
            self._note("snapshot in mid-stream", update)
        else:
            self._set_status(_LIVE, StatusReason.SNAPSHOT)
            self._was_live = True
            self._resync_requested = False
            self._logged.clear()
            self._log_status(generation=update.generation, update_id=update.update_id)
        self._sink.restart(self.book, update)

    def _on_crossed(self, update: BookUpdate) -> None:
        self._lose(StatusReason.CROSSED, generation=update.generation, update_id=update.update_id)
        self._ask_for_snapshot(StatusReason.CROSSED, update.generation)

    def _on_mark(self, mark: Mark) -> None:
        if mark.reason is StatusReason.DELISTED:
            self._sync.invalidate()
            self._become(BookStatus.DELISTED, mark.reason, generation=mark.generation)
            return
        if self.status is BookStatus.DELISTED:
            if mark.reason is not StatusReason.SUBSCRIBED:
                return
            self._was_live = False
            self._logged.clear()
        # One that asks may stand in the place of one that told of the renewal: the generation tells of it as well.
        if not mark.resync or mark.generation > self._requested_of:
            self._resync_requested = False
        self._lose(mark.reason, generation=mark.generation)
        if mark.resync:
            self._ask_for_snapshot(mark.reason, mark.generation)

    def _on_definition(self, item: Redefinition) -> None:
        self.instrument = item.instrument
        if item.rescaled and self.status is not BookStatus.DELISTED:
            # Its levels are in the old scale. The venue side has to be asked only if a snapshot came before this;
            # otherwise the one that the book is waiting for is still to come, and in the new scale.
            wanting = self._sync.synced or item.discarded
            if wanting:
                self._lose(StatusReason.SCALE, generation=item.generation)
            self._sink.definition(item.instrument)
            if wanting:
                self._ask_for_snapshot(StatusReason.SCALE, item.generation)
        else:
            self._sink.definition(item.instrument)

    def _lose(self, reason: StatusReason, **facts: int) -> None:
        """The book is not LIVE, and nothing but a snapshot makes it so."""
        self._sync.invalidate()
        self._become(BookStatus.STALE if self._was_live else BookStatus.SYNCING, reason, **facts)

    def _become(self, status: BookStatus, reason: StatusReason, **facts: int) -> None:
        if status is self.status and reason is self.reason:
            return
        self._set_status(status, reason)
        self._sink.status(status, reason)
        if reason.name not in self._logged:
            self._logged.add(reason.name)
            self._log_status(**facts)

    def _set_status(self, status: BookStatus, reason: StatusReason) -> None:
        self.status = status
        self.reason = reason
        self.status_since_ns = self._clock.wall_ns()
        self.transitions[status, reason] += 1

    def _ask_for_snapshot(self, reason: StatusReason, generation: int) -> None:
        if not self._resync_requested:
            self._resync_requested = True
            self._requested_of = generation
            self.resyncs_requested += 1
            self._request_resync(self.key, reason, generation)

    def _log_status(self, **facts: int) -> None:
        category, symbol = self.key
        # What is followed was said all at once; what happens to a book is said of each.
        write = _log.debug if self.reason is StatusReason.SUBSCRIBED else _log.info
        if self.status is BookStatus.STALE:
            write = _log.warning
        write(
            f"book {self.status.name.lower()}",
            category=category,
            symbol=symbol,
            depth=self._depth,
            status=self.status.name,
            reason=self.reason.name,
            **facts,
        )

    def _note(self, event: str, update: BookUpdate) -> None:
        """Log what is odd but harmless, once per episode; it is counted each time."""
        if event not in self._logged:
            self._logged.add(event)
            category, symbol = self.key
            _log.info(
                event,
                category=category,
                symbol=symbol,
                depth=self._depth,
                generation=update.generation,
                update_id=update.update_id,
                expected_update_id=self._sync.expected_update_id,
            )
