"""What a test has scripted to go wrong, kept where the exchange looks it up at the moment it matters."""

from collections import Counter
from collections.abc import Hashable
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)


class Faults:
    """Faults still to happen; each call that finds one uses it up."""

    def __init__(self) -> None:
        self._refusals: Counter[str] = Counter()
        self._skips: Counter[tuple[str, str]] = Counter()

    def refuse(self, topic: str, times: int) -> None:
        """The next `times` subscribe requests with this topic are refused as for an unknown symbol."""
        self._refusals[topic] += times

    def skip(self, category: str, topic: str) -> None:
        """The topic's next delta reaches nobody."""
        self._skips[category, topic] += 1

    def take_refusal(self, topic: str) -> bool:
        """Whether this topic is to be refused now."""
        return _take(self._refusals, topic)

    def take_skip(self, category: str, topic: str) -> bool:
        """Whether this delta is to be swallowed."""
        return bool(self._skips) and _take(self._skips, (category, topic))


def _take(counts: Counter[Key], key: Key) -> bool:
    if key not in counts:
        return False
    counts[key] -= 1
    if counts[key] <= 0:
        del counts[key]
    return True
