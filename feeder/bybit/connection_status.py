"""A pool's connections and the age of their data, as an operator sees them."""

from collections.abc import Iterable
from dataclasses import dataclass

from .actions import Phase
from .connection import Connection
from .stream import Stream, StreamState


@dataclass(frozen=True, slots=True)
class ConnectionStatus:
    """One connection as an operator sees it; `attempt` counts tries since it was last up.

    `lag_seconds` is the venue's time less that of the data sampled last, `silent_seconds` how long ago anything came
    (both within a quarter of a second); None without data, or while there is no connection.
    """

    name: str
    category: str
    state: StreamState
    topics: int
    active: int
    attempt: int
    lag_seconds: float | None
    silent_seconds: float | None


@dataclass(frozen=True, slots=True)
class VenueLag:
    """How old the data of one category is when it comes, in seconds: of its slowest connection, and the range of all.

    `latest` is of the last message sampled, `least` and `most` of the last full second in which any came.
    """

    latest: float
    least: float
    most: float


def connection_status(stream: Stream[Connection], now: float) -> ConnectionStatus:
    """One connection at monotonic time `now`."""
    connection = stream.connection
    topics = connection.session.topics.values()
    connected = stream.state is StreamState.CONNECTED
    return ConnectionStatus(
        connection.name,
        connection.category,
        stream.state,
        len(topics),
        sum(topic.phase is Phase.ACTIVE for topic in topics),
        stream.attempt,
        connection.freshness.lag_seconds if connected else None,
        connection.session.silent_seconds(now) if connected else None,
    )


def venue_lags(streams: Iterable[Stream[Connection]]) -> dict[str, VenueLag]:
    """The age of the data by category, as far as any came over connections that are up."""
    lags: dict[str, VenueLag] = {}
    for stream in streams:
        freshness = stream.connection.freshness
        if stream.state is not StreamState.CONNECTED or freshness.lag_seconds is None:
            continue
        least, most = freshness.last_lags or (freshness.lag_seconds, freshness.lag_seconds)
        lag = VenueLag(freshness.lag_seconds, least, most)
        other = lags.get(stream.connection.category, lag)
        lags[stream.connection.category] = VenueLag(
            max(lag.latest, other.latest), min(lag.least, other.least), max(lag.most, other.most)
        )
    return lags
