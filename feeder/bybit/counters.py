"""What happened on the venue's side, as plain attributes; telemetry copies them out."""

from collections import Counter
from dataclasses import dataclass, field

from feeder.histogram import Buckets
from feeder.market.status import StatusReason

PONG_BOUNDS_US = (
    *(1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000),
    *(1_000_000, 2_000_000, 5_000_000, 10_000_000, 20_000_000),
)
"""Upper bounds of the pongs' buckets, microseconds: from a host beside the exchange to where no pong is waited for."""


@dataclass(slots=True)
class Counters:
    """Totals since start, of all connections of one pool."""

    connects: int = 0  # connections established
    connect_failures: int = 0
    disconnects: int = 0  # established connections lost
    reconnects: int = 0  # connections established again after a loss or a failure
    pong_timeouts: int = 0
    silence_probes: int = 0  # pings because nothing came
    outdated: int = 0  # connections given up because their data was old; single books are in `resyncs`
    held_snapshots: int = 0  # old snapshots that made no book LIVE
    messages: int = 0  # data, acks, pongs: every text message
    book_updates: int = 0
    trades: int = 0
    requests: int = 0  # subscribe and unsubscribe requests sent
    failed_requests: int = 0  # of them, those the venue refused
    refused_topics: int = 0  # a topic isolated and refused; retried later, and counted again
    decode_errors: int = 0  # messages that could not be understood
    trades_lost: int = 0  # trades among them, as far as could be told
    unknown_topics: int = 0
    unknown_messages: int = 0  # valid JSON of no known kind
    dropped_old_generation: int = 0  # frames of a subscription that is over
    trades_unrouted: int = 0  # trades of symbols nobody wants, in an option topic of a whole base coin
    scale_changes: int = 0
    delisted: int = 0  # books given up because the venue has closed the instrument
    resyncs: Counter[StatusReason] = field(default_factory=Counter)  # by reason
    # Nanoseconds from a ping to its pong; where a second ping went out before, from the first one.
    pongs: Buckets = field(default_factory=lambda: Buckets([bound * 1000 for bound in PONG_BOUNDS_US]))
