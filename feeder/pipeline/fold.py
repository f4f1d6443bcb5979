"""Conflation: many pending updates of one book become few, and the book they lead to stays exactly the same."""

from copy import copy

from feeder.book.sync import BookSync, Verdict
from feeder.market.update import BookUpdate


class FoldedDelta(BookUpdate):
    """Deltas merged into one, last quantity per price: held as dictionaries, so that another costs its levels only.

    Its `bids` and `asks` stay empty; `unfolded` gives the update to apply.
    """

    __slots__ = ("_ask_levels", "_bid_levels")

    def __init__(self, first: BookUpdate) -> None:
        super().__init__(
            snapshot=False,
            bids=[],
            asks=[],
            update_id=first.update_id,
            first_update_id=first.first_update_id,
            venue_sequence=first.venue_sequence,
            match_time_ns=first.match_time_ns,
            send_time_ns=first.send_time_ns,
            receive_time_ns=first.receive_time_ns,
            generation=first.generation,
            conflated=True,
        )
        self._bid_levels: dict[int, int] = {}
        self._ask_levels: dict[int, int] = {}
        self._take_levels(first)

    @property
    def level_count(self) -> int:
        """How many prices of both sides this holds."""
        return len(self._bid_levels) + len(self._ask_levels)

    def is_continued_by(self, update: BookUpdate) -> bool:
        """Whether it is the plain delta that follows: one that BookSync would call DELTA behind this."""
        return (
            update.first_update_id == self.update_id + 1
            and update.update_id > 1
            and not update.snapshot
            and update.generation == self.generation
        )

    def merge(self, update: BookUpdate) -> None:
        """Add the delta that follows; ids and times become its own, but for `first_update_id`."""
        self.update_id = update.update_id
        self.venue_sequence = update.venue_sequence
        self.match_time_ns = update.match_time_ns
        self.send_time_ns = update.send_time_ns
        self.receive_time_ns = update.receive_time_ns
        self.generation = update.generation
        self._take_levels(update)

    def unfolded(self) -> BookUpdate:
        """The same as a plain update."""
        return BookUpdate(
            snapshot=False,
            bids=_flat(self._bid_levels),
            asks=_flat(self._ask_levels),
            update_id=self.update_id,
            first_update_id=self.first_update_id,
            venue_sequence=self.venue_sequence,
            match_time_ns=self.match_time_ns,
            send_time_ns=self.send_time_ns,
            receive_time_ns=self.receive_time_ns,
            generation=self.generation,
            conflated=True,
        )

    def _take_levels(self, update: BookUpdate) -> None:
        bids = iter(update.bids)
        self._bid_levels.update(zip(bids, bids, strict=True))
        asks = iter(update.asks)
        self._ask_levels.update(zip(asks, asks, strict=True))


class Fold:
    """What is left of a run of pending updates: at most a snapshot, a delta after it, and the break after that.

    Fed in order by `add`, it judges each update by the same rules, and from the same state, as the worker will. So what
    the worker would drop is dropped here, what breaks the run is kept for the worker to see, and what follows a break
    goes, being useless before the next snapshot. Everything that disappears is counted.
    """

    __slots__ = (
        "_sync",
        "delta",
        "discarded_after_break",
        "duplicates",
        "folded_updates",
        "gap",
        "out_of_order",
        "replaced_updates",
        "snapshot",
    )

    def __init__(self, sync: BookSync) -> None:
        self._sync = copy(sync)
        self.snapshot: BookUpdate | None = None
        self.delta: BookUpdate | None = None
        self.gap: BookUpdate | None = None
        self.folded_updates = 0
        self.replaced_updates = 0
        self.duplicates = 0
        self.out_of_order = 0
        self.discarded_after_break = 0

    def add(self, update: BookUpdate) -> None:
        """Take the next pending update."""
        match self._sync.on_update(update):
            case Verdict.DELTA:
                self._merge(update)
            case Verdict.SNAPSHOT:
                before = len(self.updates())
                if before:
                    # What led here never goes out: at depth 1, where a snapshot is published as what it changes, only
                    # this flag tells that states in between were skipped, and that an id seen before is no repetition.
                    update.conflated = True
                self.replaced_updates += before
                self.snapshot, self.delta, self.gap = update, None, None
            case Verdict.GAP:
                # The worker judges it again, without what was dropped here before it: without a sequence it cannot be
                # taken for merely old.
                update.venue_sequence = 0
                self.gap = update
            case Verdict.DUPLICATE:
                self.duplicates += 1
            case Verdict.OUT_OF_ORDER:
                self.out_of_order += 1
            case Verdict.WAITING:
                self.discarded_after_break += 1

    def carry_over(self, sync: BookSync) -> None:
        """Let the worker's rules know of the old updates that were dropped here, as far as they speak of its book."""
        sync.remember_old(self._sync)

    def invalidate(self) -> None:
        """A mark stands here: nothing after it counts before a snapshot."""
        self._sync.invalidate()

    def updates(self) -> list[BookUpdate]:
        """What is left, in order."""
        return [update for update in (self.snapshot, self.delta, self.gap) if update is not None]

    def level_count(self) -> int:
        """Prices held by the folded delta; 0 when nothing was folded."""
        return self.delta.level_count if isinstance(self.delta, FoldedDelta) else 0

    def _merge(self, update: BookUpdate) -> None:
        if self.delta is None:
            self.delta = update
            return
        if not isinstance(self.delta, FoldedDelta):
            self.delta = FoldedDelta(self.delta)
        self.delta.merge(update)
        self.folded_updates += 1


def _flat(levels: dict[int, int]) -> list[int]:
    flat = [0] * (2 * len(levels))
    flat[::2] = levels.keys()
    flat[1::2] = levels.values()
    return flat
