"""One topic's book as its subscribers hold it, now and at its recent update ids.

Levels of both sides share one dict: an ask's key is its price, a bid's is `~price` (below 0), both in whole units. Keys
in ascending order are therefore bids best first, then asks best first, and a greater key is a deeper level on either
side. Changes are flat lists `[key, size, key, size, ...]` with size 0 for a level that is gone.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping

KEPT_UPDATES = 2000
"""Update ids that can be told for certain; up to _SLACK more are held before the oldest are let go together."""

_SLACK = 500


def price_of(key: int) -> int:
    """The price behind a level's key."""
    return key if key >= 0 else ~key


def finer_key(key: int, factor: int) -> int:
    """The same level's key in units smaller by `factor`."""
    return key * factor if key >= 0 else ~(~key * factor)


def rescaled(levels: Mapping[int, int], price_factor: int, size_factor: int) -> dict[int, int]:
    """The same levels in units smaller by these factors."""
    return {finer_key(key, price_factor): size * size_factor for key, size in levels.items()}


def difference(old: Mapping[int, int], new: Mapping[int, int]) -> list[int]:
    """The changes that turn the levels `old` into `new`, in order of key."""
    changed = {key: size for key, size in new.items() if old.get(key) != size}
    changed.update((key, 0) for key in old.keys() - new.keys())
    return [number for key in sorted(changed) for number in (key, changed[key])]


class TopicBook:
    """Levels, `u` and `seq` of one orderbook topic, with the history of its last updates.

    Memory per held update is 24 bytes and 16 per changed level, in four arrays.
    """

    __slots__ = ("_base", "_changes", "_ends", "_sequences", "_update_ids", "depth", "levels", "seq", "u")

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.levels: dict[int, int] = {}
        self.u = 0
        self.seq = 0
        # The levels just before the oldest update held; then for each update its u, its seq, and the end of its
        # changes in the one array of all changes.
        self._base: dict[int, int] = {}
        self._update_ids = array("q")
        self._sequences = array("q")
        self._ends = array("q")
        self._changes = array("q")

    def apply(self, changes: Iterable[int], u: int, seq: int) -> None:
        """Take over flat changes as update `u`."""
        flat = array("q", changes)
        _apply(self.levels, flat)
        self.u = u
        self.seq = seq
        self._changes.extend(flat)
        self._ends.append(len(self._changes))
        self._update_ids.append(u)
        self._sequences.append(seq)
        if len(self._update_ids) >= KEPT_UPDATES + _SLACK:
            self._let_go(_SLACK)

    def replace(self, levels: Mapping[int, int], u: int, seq: int) -> None:
        """Take over a whole new book as update `u`."""
        self.apply(difference(self.levels, levels), u, seq)

    def held(self) -> tuple[int, int] | None:
        """The oldest and the newest update id that `at` can tell; None before the first update."""
        return (self._update_ids[0], self._update_ids[-1]) if self._update_ids else None

    def at(self, u: int) -> tuple[dict[int, int], int] | None:
        """Levels and seq as they were after update `u`, the latest one of that id; None if it is not held."""
        for index in range(len(self._update_ids) - 1, -1, -1):
            if self._update_ids[index] == u:
                levels = dict(self._base)
                _apply(levels, self._changes[: self._ends[index]])
                return levels, self._sequences[index]
        return None

    def history(self) -> Iterator[tuple[int, int, list[int]]]:
        """(u, seq, flat changes) of every update held, oldest first; the first one's changes are its whole levels."""
        start = 0
        for index, end in enumerate(self._ends):
            flat = self._changes[start:end]
            if index == 0:
                levels = dict(self._base)
                _apply(levels, flat)
                yield self._update_ids[0], self._sequences[0], [number for level in levels.items() for number in level]
            else:
                yield self._update_ids[index], self._sequences[index], list(flat)
            start = end

    def rescale(self, price_factor: int, size_factor: int) -> None:
        """Write everything held in units smaller by these factors."""
        self.levels = rescaled(self.levels, price_factor, size_factor)
        self._base = rescaled(self._base, price_factor, size_factor)
        flat = self._changes
        for index in range(0, len(flat), 2):
            flat[index] = finer_key(flat[index], price_factor)
            flat[index + 1] *= size_factor

    def _let_go(self, count: int) -> None:
        end = self._ends[count - 1]
        _apply(self._base, self._changes[:end])
        del self._changes[:end], self._update_ids[:count], self._sequences[:count]
        self._ends = array("q", (old - end for old in self._ends[count:]))


def _apply(levels: dict[int, int], flat: "array[int]") -> None:
    numbers = iter(flat)
    for key, size in zip(numbers, numbers, strict=True):
        if size:
            levels[key] = size
        else:
            levels.pop(key, None)
