"""The rules by which one topic's updates make a true book: what follows on what, and what only a snapshot can mend.

A venue update id (`u`) belongs to one topic and grows by one with each of its deltas. A snapshot replaces the book
whenever it comes, and so does `u` = 1, by which the venue says that its service has restarted. Depth 1 knows snapshots
only, and repeats an unchanged one with the same `u`. Nothing here knows levels, sockets or time.
"""

import enum

from feeder.market.update import BookUpdate


class Verdict(enum.Enum):
    """What is to be done with an update."""

    SNAPSHOT = enum.auto()  # replace the book
    DELTA = enum.auto()  # apply it
    DUPLICATE = enum.auto()  # drop it: applied already; its times still tell that the topic lives
    OUT_OF_ORDER = enum.auto()  # drop it: older than what is applied, by the venue's own sequence
    GAP = enum.auto()  # drop it: something between is missing, so the book is stale until a snapshot
    WAITING = enum.auto()  # drop it: nothing counts before a snapshot


# A module's name is read faster than a class's member, and this one is read for nearly every update.
_DELTA = Verdict.DELTA


MOST_OUT_OF_ORDER = 100  # in a row; TCP brings none at all, so this only has to end


class BookSync:
    """Continuity of one topic at `depth` levels. Starts, and is after each GAP, waiting for a snapshot.

    `last_update_id` and `last_sequence` are those of the last update that counted; both stay for the record after a
    GAP or an `invalidate`.
    """

    __slots__ = ("_next", "behind", "behind_at", "depth", "last_sequence", "last_update_id")

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.last_update_id = 0
        self.last_sequence = 0
        # The update id that continues the book; None while waiting for a snapshot.
        self._next: int | None = None
        self.behind = 0  # updates out of order in a row while the book stood at behind_at
        self.behind_at = 0

    @property
    def synced(self) -> bool:
        """Whether a snapshot has come and nothing has been missed since."""
        return self._next is not None

    @property
    def expected_update_id(self) -> int:
        """The update id that would follow on the last one that counted."""
        return self.last_update_id + 1

    def on_update(self, update: BookUpdate) -> Verdict:
        """Judge the topic's next update, and remember it if it counts."""
        update_id = update.update_id
        if update.first_update_id == self._next and update_id > 1 and not update.snapshot and self.depth > 1:
            self.last_update_id = update_id
            self.last_sequence = update.venue_sequence
            self._next = update_id + 1
            return _DELTA
        return self._judge_the_rest(update)

    def invalidate(self) -> None:
        """Wait for a snapshot: the subscription was renewed, or the book was found wrong."""
        self._next = None
        self.behind = 0

    def remember_old(self, other: "BookSync") -> None:
        """Take over how many old updates a copy of these rules has seen in a row while the book stood as it does."""
        if other.synced and other.last_update_id == other.behind_at == self.last_update_id:
            self.behind_at, self.behind = other.behind_at, other.behind

    def _judge_the_rest(self, update: BookUpdate) -> Verdict:
        update_id = update.update_id
        sequence = update.venue_sequence
        if update_id == 1 == self._next and not update.snapshot and self.depth > 1:
            # Behind a snapshot with id 0 this is no restart of the counter but its first delta.
            self.last_update_id, self.last_sequence, self._next = 1, sequence, 2
            return Verdict.DELTA
        if update.snapshot or update_id == 1:
            # One that took the place of others while it waited (conflated) is no repetition, whatever its id: the book
            # may have changed and the counter come back in between.
            repeated = (
                self.depth == 1
                and self.synced
                and update_id == self.last_update_id
                and update_id != 1
                and not update.conflated
            )
            self.last_update_id = update_id
            self.last_sequence = sequence
            self._next = update_id + 1
            return Verdict.DUPLICATE if repeated else Verdict.SNAPSHOT
        if not self.synced:
            return Verdict.WAITING
        # The venue stopped sending deltas at depth 1 in 2025; should one come, only a new subscription is sure to help.
        if self.depth > 1:
            if update_id == self.last_update_id:
                return Verdict.DUPLICATE
            if update_id < self.last_update_id and 0 < sequence <= self.last_sequence and not self._too_far_behind():
                return Verdict.OUT_OF_ORDER
        self.invalidate()
        return Verdict.GAP

    def _too_far_behind(self) -> bool:
        """Whether so many old updates came in a row that the venue must have started its counters again unsaid."""
        if self.behind_at != self.last_update_id:
            self.behind_at, self.behind = self.last_update_id, 0
        self.behind += 1
        return self.behind > MOST_OUT_OF_ORDER
