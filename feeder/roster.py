"""The books that are followed: the exchange's side, the tasks and the wire begin and end them here, together."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from feeder.bybit.connection_status import ConnectionStatus
from feeder.bybit.instruments import InstrumentTable
from feeder.bybit.pool import BybitPool, Subscription
from feeder.bybit.stream import StreamState
from feeder.errors import VenueError
from feeder.log import logger
from feeder.market.instrument import InstrumentKey, TradingStatus
from feeder.market.status import BookStatus
from feeder.multicast.book_publisher import BookPublisher
from feeder.multicast.publisher import Publisher
from feeder.pipeline.router import Router
from feeder.telemetry.health import reasons_not_ready

_log = logger("roster")


@dataclass(slots=True)
class Changes:
    """What one call of `Roster.follow` did. A book at another depth is a new one: it is in both lists."""

    subscribed: list[InstrumentKey] = field(default_factory=list)
    unsubscribed: list[InstrumentKey] = field(default_factory=list)
    refused: dict[InstrumentKey, str] = field(default_factory=dict)  # why, of all that are wanted and not followed


class Condition(NamedTuple):
    """How the books that are followed fare: how many by status, the connections, why the feeder is not ready, if so."""

    books: Counter[str]
    connections: list[ConnectionStatus]
    reasons: list[str]

    def __str__(self) -> str:
        up = sum(connection.state is StreamState.CONNECTED for connection in self.connections)
        return f"{self.books['LIVE']} of {self.books.total()} books LIVE, {up} connections up"


class Roster:
    """Follows what is wanted, and touches no book that stays as it is.

    `followed` has each book's subscription, `refused` what is wanted and cannot be followed, with the reason.
    """

    def __init__(self, instruments: InstrumentTable, pool: BybitPool, router: Router, publisher: Publisher) -> None:
        self.followed: dict[InstrumentKey, Subscription] = {}
        self.refused: dict[InstrumentKey, str] = {}
        self._instruments = instruments
        self.pool = pool
        self.router = router
        self.publisher = publisher
        self._publishers: dict[InstrumentKey, BookPublisher] = {}

    def condition(self) -> Condition:
        """How everything is at this moment; goes through all books."""
        books = Counter({status.name: count for status, count in self.router.statuses().items()})
        connections = self.pool.connections()
        reasons = reasons_not_ready(
            complete=self.publisher.complete,
            followed=len(self.followed),
            books=books,
            connections=Counter(connection.state.name for connection in connections),
        )
        return Condition(books, connections, reasons)

    def follow(self, wanted: Mapping[InstrumentKey, Subscription]) -> Changes:
        """Follow these and no others."""
        changes = Changes()
        for key, old in list(self.followed.items()):
            new = wanted.get(key)
            if new is None or new.depth != old.depth or self._is_listed_again(key):
                changes.unsubscribed.append(key)
        self._end(changes.unsubscribed)
        beginning: list[Subscription] = []
        for key, subscription in wanted.items():
            old_one = self.followed.get(key)
            if old_one is None:
                try:
                    self._instruments.claim(key)
                except VenueError as error:
                    changes.refused[key] = str(error)
                else:
                    beginning.append(subscription)
            elif old_one != subscription:  # its trades are wanted, or not any longer
                self.followed[key] = subscription
                self.pool.subscribe([subscription])
        self._begin(beginning, changes)
        for key, reason in changes.refused.items():
            if self.refused.get(key) != reason:
                _log.error("subscription refused", category=key[0], symbol=key[1], error=reason)
        self.refused = changes.refused
        return changes

    def _is_listed_again(self, key: InstrumentKey) -> bool:
        """Whether the book was given up because the exchange had closed the instrument, which it trades again."""
        closed = self.router.workers[key].status is BookStatus.DELISTED
        return closed and self._instruments.get(key).status is TradingStatus.TRADING

    def _begin(self, subscriptions: list[Subscription], changes: Changes) -> None:
        for subscription in subscriptions:
            # The task is there before the exchange can answer.
            instrument = self._instruments.get(subscription.key)
            publisher = self.publisher.add(instrument, subscription.depth)
            self.router.add(instrument, subscription.depth, publisher)
            self._publishers[subscription.key] = publisher
            self.followed[subscription.key] = subscription
            changes.subscribed.append(subscription.key)
        # All of a connection's topics in as few requests as they fit.
        errors = self.pool.subscribe(subscriptions)
        assert not errors, errors  # each was claimed, and none is there at another depth

    def _end(self, keys: list[InstrumentKey]) -> None:
        self.pool.unsubscribe(keys)
        for key in keys:
            self.router.remove(key)
            self.publisher.remove(self._publishers.pop(key))
            del self.followed[key]
