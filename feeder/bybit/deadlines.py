"""When something is due next about each topic. Times are monotonic seconds."""

import heapq
from collections.abc import Iterator

from .actions import Topic


class Deadlines:
    """At most one per topic, `topic.deadline`; setting that to None calls it off.

    A heap holds what was ever set; an entry that no longer equals its topic's deadline is skipped.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Topic]] = []
        self._number = 0  # topics do not compare: the older of two equal times comes first

    def set(self, topic: Topic, when: float) -> None:
        """This is due at `when`, and nothing else."""
        topic.deadline = when
        self._number += 1
        heapq.heappush(self._heap, (when, self._number, topic))

    def soonest(self) -> float | None:
        """The next deadline, or None."""
        while self._heap and self._heap[0][2].deadline != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> Iterator[Topic]:
        """The topics whose deadline has come, by time; each has none any more when it is handed out."""
        while (when := self.soonest()) is not None and when <= now:
            topic = heapq.heappop(self._heap)[2]
            topic.deadline = None
            yield topic

    def clear(self) -> None:
        """Forget them all; `topic.deadline` stays for whoever sets it again."""
        self._heap.clear()
