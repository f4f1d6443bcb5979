"""What is to go wrong with the exchange's own messages, kept where it looks them up at the moment they matter.

Which fault does what is said in `script`; what becomes of bytes on the line in `line`, of REST in `rest_faults`.
"""

import enum
import json
import re
from collections import Counter, deque
from dataclasses import dataclass

_TIMES = re.compile(rb'"(ts|cts|T)":([0-9]+)')


class Mishap(enum.Enum):
    """What happens to one delta."""

    SKIP = "it reaches nobody"
    SWAP = "the one after it goes first"
    CROSS = "it has a bid at the best ask"
    SPOIL = "its first price is no number"


@dataclass(frozen=True, slots=True)
class OldTimes:
    """The venue times of a category's messages until `until`: `age_ms` back, or all of them `stuck_ms`."""

    until: float
    age_ms: int = 0
    stuck_ms: int | None = None

    def rewrite(self, payload: bytes) -> bytes:
        """The message with these times."""

        def older(match: re.Match[bytes]) -> bytes:
            time_ms = int(match[2]) - self.age_ms if self.stuck_ms is None else self.stuck_ms
            return b'"%s":%d' % (match[1], time_ms)

        return _TIMES.sub(older, payload)


class Faults:
    """Faults still to happen; each `take` that finds one uses it up."""

    def __init__(self) -> None:
        self.old_times: dict[str, OldTimes] = {}  # by category
        self._refusals: Counter[tuple[str, str]] = Counter()
        self._mishaps: dict[tuple[str, str], deque[Mishap]] = {}

    def refuse(self, category: str, topic: str, times: int) -> None:
        """The next `times` subscribe requests with this topic are refused as for an unknown symbol."""
        self._refusals[category, topic] += times

    def plan(self, category: str, topic: str, mishap: Mishap) -> None:
        """This happens to the topic's next delta that nothing else is planned for."""
        self._mishaps.setdefault((category, topic), deque()).append(mishap)

    def take_refusal(self, category: str, topic: str) -> bool:
        """Whether this topic is to be refused now."""
        if not self._refusals[category, topic]:
            return False
        self._refusals[category, topic] -= 1
        return True

    def take_mishap(self, category: str, topic: str) -> Mishap | None:
        """What is to happen to this delta."""
        mishaps = self._mishaps.get((category, topic))
        if not mishaps:
            return None
        mishap = mishaps.popleft()
        if not mishaps:
            del self._mishaps[category, topic]
        return mishap

    def stamped(self, category: str, payload: bytes, now: float) -> bytes:
        """The message with the times it is to have at `now` (monotonic seconds)."""
        old = self.old_times.get(category)
        if old is None:
            return payload
        if now >= old.until:
            del self.old_times[category]
            return payload
        return old.rewrite(payload)


def crossed(payload: bytes, price: str) -> bytes:
    """The book message with one bid more, at `price`."""
    message = json.loads(payload)
    message["data"]["b"].insert(0, [price, "1"])
    return _encode(message)


def spoiled(payload: bytes) -> bytes:
    """The book message with a text that is no number for its first price."""
    message = json.loads(payload)
    bids, asks = message["data"]["b"], message["data"]["a"]
    if not bids and not asks:  # a recording may have one without levels
        bids.append(["", "1"])
    (bids or asks)[0][0] = "NaN"
    return _encode(message)


def _encode(message: object) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode("ascii")
