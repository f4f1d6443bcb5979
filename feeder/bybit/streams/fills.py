"""The fills that were counted, so that none is counted twice, whoever tells it."""

from collections import OrderedDict

from .messages import ExecutionUpdate

KNOWN_FILLS = 20_000  # some 5 MB; far more than an account has within the overlap of two listings

_Key = tuple[str, str, str]


class KnownFills:
    """Keys of fills, (category, symbol, execId), the last `capacity` of them.

    What is older than a fill that was forgotten can be told apart from that one no more, and is taken for known.
    """

    def __init__(self, capacity: int = KNOWN_FILLS) -> None:
        if capacity < 1:
            raise ValueError(f"{capacity} known fills: each would be counted again; give at least 1")
        self._capacity = capacity
        self._times: OrderedDict[_Key, int] = OrderedDict()
        self.forgotten_until = 0  # the latest exec_time, ms, of those that were forgotten
        self.repeated = 0
        self.too_old = 0  # taken for known

    def __len__(self) -> int:
        return len(self._times)

    def add(self, fill: ExecutionUpdate) -> bool:
        """Whether it is told for the first time. It is known from now on."""
        key = fill.category, fill.symbol, fill.exec_id
        if key in self._times:
            self.repeated += 1
            return False
        time_ms = fill.exec_time or fill.creation_time
        if time_ms < self.forgotten_until:
            self.too_old += 1
            return False
        self._times[key] = time_ms
        if len(self._times) > self._capacity:
            _, forgotten = self._times.popitem(last=False)
            self.forgotten_until = max(self.forgotten_until, forgotten)
        return True
