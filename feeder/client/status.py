"""What a consumer's book is worth, as the feeder and the consumer know it together."""

import enum

from feeder.market.status import BookStatus


class ViewStatus(enum.Enum):
    """What a consumer's book is worth right now. Only LIVE may be traded on.

    STALE, SYNCING and DELISTED are the feeder's own words: it lost, or does not yet have, the exchange. JOINING,
    SUSPECT, FEEDER_LOST, ENDED and CLOSED are this consumer's: it has lost, or not yet had, the feeder.
    """

    JOINING = "JOINING"  # no usable snapshot yet
    SYNCING = "SYNCING"  # the feeder waits for the exchange's first snapshot
    LIVE = "LIVE"
    STALE = "STALE"  # the feeder lost the exchange, or something from it
    DELISTED = "DELISTED"
    SUSPECT = "SUSPECT"  # packets were lost and nothing has proven this book since
    FEEDER_LOST = "FEEDER_LOST"  # no packet, not even a heartbeat, on any line
    ENDED = "ENDED"  # the feeder ended its session
    CLOSED = "CLOSED"  # the subscription was closed by its user


FEEDER_STATUS = {
    BookStatus.SYNCING: ViewStatus.SYNCING,
    BookStatus.LIVE: ViewStatus.LIVE,
    BookStatus.STALE: ViewStatus.STALE,
    BookStatus.DELISTED: ViewStatus.DELISTED,
}
