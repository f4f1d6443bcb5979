"""What a session keeps of a topic, and what it asks its caller to do."""

import enum
from dataclasses import dataclass

from feeder.market.status import StatusReason


class Phase(enum.Enum):
    """Where a topic is on its way."""

    WANTED = enum.auto()  # not asked for on this connection yet
    SUBSCRIBING = enum.auto()  # asked for
    ACTIVE = enum.auto()  # a snapshot came (trades: data or an ack); see Topic.granted
    RESYNC_DUE = enum.auto()  # subscribed, but what comes is worthless; waits for its backoff and the budget
    UNSUBSCRIBING = enum.auto()  # to be asked for again once the venue has let go of it, if still wanted
    REFUSED = enum.auto()  # the venue will not have it; asked for again much later


@dataclass(slots=True, eq=False)
class Topic:
    """A topic's state. `generation` grows with every subscription that begins anew; never reused within a process."""

    name: str
    is_book: bool
    generation: int
    phase: Phase = Phase.WANTED
    wanted: bool = True
    deadline: float | None = None  # of the present phase
    failures: int = 0  # resyncs since it was last healthy
    refusals: int = 0
    active_since: float = 0.0
    request: str = ""  # req_id of the last request it was in: no other's answer is about it
    granted: bool = False  # the venue said yes to that request; an ACTIVE topic without is asked for again
    unsure: bool = False  # the venue may be sending it although nothing here counts on it
    unanswered: int = 0  # requests about it since the venue last answered one


@dataclass(frozen=True, slots=True)
class Send:
    """Send this text to the venue."""

    text: str


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Drop the connection and make a new one; `status` is why its books are STALE."""

    reason: str
    status: StatusReason = StatusReason.DISCONNECTED


@dataclass(frozen=True, slots=True)
class Reset:
    """What was received of this book is worthless from now on; `generation` is that of what will come."""

    topic: Topic
    generation: int
    reason: StatusReason


@dataclass(frozen=True, slots=True)
class Refused:
    """The venue refused this topic, with these words; it is asked for again after `delay_seconds`."""

    topic: Topic
    generation: int
    message: str
    delay_seconds: float


Action = Send | Reconnect | Reset | Refused
