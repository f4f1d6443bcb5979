"""What a subscriber tells its user, in the order it happened."""

from dataclasses import dataclass

from feeder.client.book_view import BookView
from feeder.client.status import ViewStatus
from feeder.market.status import StatusReason
from feeder.wire.messages import Bbo, BookDelta, InstrumentDefinition, Kind, Trade, TradesLost


@dataclass(frozen=True, slots=True)
class BookChanged:
    """A book changed by one event of the feeder, already applied to `view`.

    `cleared`: it was rebuilt from nothing. `deltas` are the event's own, in order; empty when a snapshot rebuilt it.
    """

    view: BookView
    cleared: bool
    deltas: tuple[BookDelta, ...]


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """A book's status as this consumer sees it. `reason` is the feeder's, NONE when the change is the consumer's."""

    view: BookView
    status: ViewStatus
    reason: StatusReason


@dataclass(frozen=True, slots=True)
class Defined:
    """An instrument is known from here on, or its definition changed."""

    instrument_id: int
    definition: InstrumentDefinition


@dataclass(frozen=True, slots=True)
class Traded:
    """One trade. `missed` trades of this instrument before it were lost on the way (0 normally).

    `late`: it was lost at first, and later ones may have been told already; the trade's trade_sequence says its place.
    """

    instrument_id: int
    trade: Trade
    missed: int
    late: bool = False


@dataclass(frozen=True, slots=True)
class TradesGone:
    """Trades the feeder itself had to give up."""

    instrument_id: int
    lost: TradesLost


@dataclass(frozen=True, slots=True)
class BboChanged:
    """Best bid and offer from the bbo channel."""

    instrument_id: int
    bbo: Bbo


@dataclass(frozen=True, slots=True)
class PacketsLost:
    """A hole in a channel on every line, channel sequences first to last. For books: each is SUSPECT until proven.

    `dropped_here`: datagrams of the channel that this machine dropped since the hole before, because a socket's buffer
    was full: then it is this program that was too slow, or the buffer too small; with 0 it was the network.
    """

    partition: int
    kind: Kind
    first: int
    last: int
    dropped_here: int = 0


@dataclass(frozen=True, slots=True)
class HoleFilled:
    """What PacketsLost named has come after all, `seconds` later: by retransmission, or it was only late."""

    partition: int
    kind: Kind
    first: int
    last: int
    seconds: float


@dataclass(frozen=True, slots=True)
class HoleAbandoned:
    """What PacketsLost named will not come any more; snapshots mend the books, trades stay lost."""

    partition: int
    kind: Kind
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class SessionChanged:
    """A partition's publisher (re)started: every book of it begins anew."""

    partition: int
    session_id: int


@dataclass(frozen=True, slots=True)
class FeederLost:
    """No packet of a partition's books on any line; its books are FEEDER_LOST. Not said after a clean end."""

    partition: int


@dataclass(frozen=True, slots=True)
class FeederHeard:
    """Packets again after FeederLost."""

    partition: int


@dataclass(frozen=True, slots=True)
class FeedEnded:
    """A partition's publisher said that its session is over."""

    partition: int


@dataclass(frozen=True, slots=True)
class EventsDropped:
    """The user's loop was too slow and `count` events were dropped; the books themselves are right."""

    count: int


Event = (
    BookChanged
    | StatusChanged
    | Defined
    | Traded
    | TradesGone
    | BboChanged
    | PacketsLost
    | HoleFilled
    | HoleAbandoned
    | SessionChanged
    | FeederLost
    | FeederHeard
    | FeedEnded
    | EventsDropped
)
