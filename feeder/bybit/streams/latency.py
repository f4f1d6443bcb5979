"""How long things take, in short."""

from typing import Self

import msgspec

from feeder.clock import MILLISECOND_NS
from feeder.histogram import Histogram


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds since the start.

    Of a stream: from the venue's making of a message to our receiving it, by the venue's clock. Of order entry: from
    the sending of a request to its answer.
    """

    count: int
    p50: float
    p99: float
    maximum: float

    @classmethod
    def of(cls, histogram: Histogram) -> Self | None:
        """That of a histogram of ns; None where nothing was measured."""
        if not histogram.count:
            return None
        p50, p99 = histogram.percentile(50), histogram.percentile(99)
        return cls(histogram.count, p50 / MILLISECOND_NS, p99 / MILLISECOND_NS, histogram.maximum / MILLISECOND_NS)
