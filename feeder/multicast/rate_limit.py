"""How many packets each source may be sent: a token bucket for each, in a table that forged sources cannot grow."""

from collections import OrderedDict

PACKETS_PER_SECOND = 1_000  # to one source, in the long run
BURST = 512  # packets that a source may be sent at once
SOURCES = 1_024  # that are remembered
RETRY_SECONDS = 0.100  # that a source with an empty bucket is left without any answer


class Bucket:
    """One source's packets; below 1 it gets none."""

    __slots__ = ("named", "packets", "silent_until", "updated")

    def __init__(self, now: float) -> None:
        self.packets: float = BURST
        self.updated = now
        self.silent_until = 0.0
        self.named = False  # in the log, as one that asked for too much


class RateLimit:
    """The buckets by source. A source that is not remembered has a full one; the one not heard longest is forgotten.

    Times are monotonic seconds.
    """

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def silent(self, source: str, now: float) -> bool:
        """Whether a source was told to wait, and that time is not over."""
        bucket = self._buckets.get(source)
        return bucket is not None and now < bucket.silent_until

    def bucket(self, source: str, now: float) -> Bucket:
        """A source's bucket, with what has come in since."""
        bucket = self._buckets.get(source)
        if bucket is None:
            bucket = self._buckets[source] = Bucket(now)
            if len(self._buckets) > SOURCES:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(source)
            bucket.packets = min(BURST, bucket.packets + (now - bucket.updated) * PACKETS_PER_SECOND)
            bucket.updated = now
        return bucket
