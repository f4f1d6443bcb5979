"""A histogram of durations with a fixed relative error and a fixed size: recording is one list increment."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

_SUB_BITS = 5  # 32 buckets per power of two: a value is known to about 3 %
_SUB = 1 << _SUB_BITS

STAGE_BOUNDS_US = (
    *(1, 2, 5, 10, 20, 50, 100, 200, 500),
    *(1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000),
    *(1_000_000, 5_000_000),
)
"""Upper bounds of a stage's buckets, microseconds: the stages of one update's way are told in the same ones.

1 to 10 us is one update's own work, 10 to 1,000 us a turn of the loop, above it a burst, and above 0.1 s an overload.
"""


class Histogram:
    """Counts of non-negative integers (nanoseconds) in logarithmic buckets, at most 64 bits wide."""

    __slots__ = ("buckets", "count", "maximum", "minimum", "total")

    def __init__(self) -> None:
        self.buckets = [0] * (_SUB * (64 - _SUB_BITS + 1))
        self.count = 0
        self.total = 0
        self.maximum = 0
        self.minimum = 0

    def record(self, value: int) -> None:
        """Count one value; a negative one (a clock stepped back) counts as 0."""
        value = max(value, 0)
        self.minimum = value if self.count == 0 else min(self.minimum, value)
        self.maximum = max(self.maximum, value)
        self.count += 1
        self.total += value
        shift = value.bit_length() - _SUB_BITS - 1
        index = value if shift <= 0 else (shift << _SUB_BITS) + (value >> shift)
        self.buckets[index] += 1

    def merge(self, others: Iterable["Histogram"]) -> None:
        """Add the counts of others to this one."""
        for other in others:
            if other.count:
                self.minimum = other.minimum if self.count == 0 else min(self.minimum, other.minimum)
                self.maximum = max(self.maximum, other.maximum)
                self.count += other.count
                self.total += other.total
                self.buckets = [a + b for a, b in zip(self.buckets, other.buckets, strict=True)]

    def percentile(self, percent: float) -> int:
        """The smallest recorded magnitude that `percent` of the values do not exceed; 0 when empty."""
        if not self.count:
            return 0
        wanted = max(1, -(-self.count * percent // 100))
        seen = 0
        for index, bucket in enumerate(self.buckets):
            seen += bucket
            if seen >= wanted:
                return min(max(_upper(index), self.minimum), self.maximum)
        return self.maximum


class Buckets:
    """Counts by a few given upper bounds, ascending, each included; the last count is of what is above them all.

    What Prometheus calls a histogram, not yet cumulated; `total` is the sum of the values.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[int]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0

    def record(self, value: int) -> None:
        """Count one value; a negative one (a clock stepped back) counts as 0."""
        if value > 0:
            self.total += value
        self.counts[bisect_left(self.bounds, value)] += 1


def _upper(index: int) -> int:
    """The greatest value that falls into a bucket."""
    if index < 2 * _SUB:
        return index
    shift = (index >> _SUB_BITS) - 1
    return ((index - (shift << _SUB_BITS) + 1) << shift) - 1
