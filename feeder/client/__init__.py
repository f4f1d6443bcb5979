"""What a consumer imports: a subscriber, books that are right or say that they are not, recovery."""

from feeder.client.book_view import BookView
from feeder.client.events import (
    BboChanged,
    BookChanged,
    Defined,
    Event,
    EventsDropped,
    FeedEnded,
    FeederHeard,
    FeederLost,
    HoleAbandoned,
    HoleFilled,
    PacketsLost,
    SessionChanged,
    StatusChanged,
    Traded,
    TradesGone,
)
from feeder.client.status import ViewStatus
from feeder.client.subscriber import BOOK_KINDS, Subscriber
from feeder.market.fixed_point import format_fixed
from feeder.multicast.plan import Line
from feeder.wire.messages import Kind

__all__ = [
    "BOOK_KINDS",
    "BboChanged",
    "BookChanged",
    "BookView",
    "Defined",
    "Event",
    "EventsDropped",
    "FeedEnded",
    "FeederHeard",
    "FeederLost",
    "HoleAbandoned",
    "HoleFilled",
    "Kind",
    "Line",
    "PacketsLost",
    "SessionChanged",
    "StatusChanged",
    "Subscriber",
    "Traded",
    "TradesGone",
    "ViewStatus",
    "format_fixed",
]
