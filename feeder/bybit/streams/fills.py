"""The fills that were counted, so that none is counted twice, whoever tells it."""

import heapq
from collections import defaultdict

from .messages import ExecutionUpdate

KNOWN_FILLS = 20_000  # of each category, some 9 MB; far more than an account has within the overlap of two listings

WITHOUT_ORDER = frozenset(("Funding", "Settle", "Delivery"))
"""The execTypes that belong to no order, whatever orderId they are told with."""

_Key = tuple[str, str, str]


class KnownFills:
    """Fills by category, symbol, execId and order, the youngest `capacity` of each category.

    Both sides of a trade with oneself may have one execId. What is not younger than a fill that was forgotten can be
    told apart from that one no more, and is taken for known. Categories are listed each by itself, the oldest fill
    first, and while events come: so each forgets its own oldest, and all of a millisecond together.
    """

    def __init__(self, capacity: int = KNOWN_FILLS) -> None:
        if capacity < 1:
            raise ValueError(f"{capacity} known fills: each would be counted again; give at least 1")
        self.repeated = 0
        self.too_old = 0  # taken for known
        self._categories: defaultdict[str, _Category] = defaultdict(lambda: _Category(capacity))

    def __len__(self) -> int:
        return sum(len(category.known) for category in self._categories.values())

    def add(self, fill: ExecutionUpdate) -> bool:
        """Whether it is told for the first time. It is known from now on."""
        order_id = "" if fill.exec_type in WITHOUT_ORDER else fill.order_id or ""
        key = fill.symbol, fill.exec_id, order_id
        category = self._categories[fill.category]
        if key in category.known:
            self.repeated += 1
            return False
        time_ms = fill.exec_time or fill.creation_time
        if time_ms <= category.forgotten_until:
            self.too_old += 1
            return False
        category.add(time_ms, key)
        return True


class _Category:
    """`forgotten_until`: the exec_time, ms, of the youngest that were forgotten."""

    def __init__(self, capacity: int) -> None:
        self.known: set[_Key] = set()
        self.forgotten_until = -1
        self._capacity = capacity
        self._oldest: list[tuple[int, _Key]] = []  # a heap

    def add(self, time_ms: int, key: _Key) -> None:
        # Not those of this very millisecond, of which more may follow, nor younger ones.
        while len(self.known) >= self._capacity and self._oldest[0][0] < time_ms:
            self.forgotten_until = self._oldest[0][0]
            while self._oldest and self._oldest[0][0] == self.forgotten_until:
                self.known.remove(heapq.heappop(self._oldest)[1])
        self.known.add(key)
        heapq.heappush(self._oldest, (time_ms, key))
