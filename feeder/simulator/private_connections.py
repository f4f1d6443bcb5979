"""The connections that log in, on the private or the order-entry socket: which there are, and which have to go."""

from collections.abc import Iterator
from typing import Any, Generic, Protocol, TypeVar

from feeder.clock import Clock
from feeder.simulator.guests import Wire
from feeder.simulator.keys import ApiKey
from feeder.simulator.private_lifetime import SCAN_SECONDS, Lifetime


class Session(Protocol):
    """What has been said on a connection."""

    connection_id: str
    api_key: ApiKey | None


SessionT = TypeVar("SessionT", bound=Session)


class SignedGuest(Generic[SessionT]):
    """One of them."""

    def __init__(self, wire: Wire, session: SessionT, clock: Clock) -> None:
        self.wire = wire
        self.session = session
        self.lifetime = Lifetime(clock.monotonic(), wire.query)
        self._clock = clock

    @property
    def name(self) -> str:
        """The connection's id."""
        return self.session.connection_id

    @property
    def api_key(self) -> ApiKey | None:
        """Who has logged in."""
        return self.session.api_key

    def send(self, payload: bytes) -> None:
        """A message for the client."""
        self.lifetime.renew(self._clock.monotonic())
        self.wire.send(payload)


Guest = TypeVar("Guest", bound=SignedGuest[Any])


class Connections(Generic[Guest]):
    """All of one path, oldest first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._guests: dict[Guest, None] = {}
        self._next_scan = clock.monotonic() + SCAN_SECONDS

    def __iter__(self) -> Iterator[Guest]:
        return iter(tuple(self._guests))

    def __contains__(self, guest: Guest) -> bool:
        return guest in self._guests

    def add(self, guest: Guest) -> None:
        """A new one."""
        self._guests[guest] = None

    def remove(self, guest: Guest) -> None:
        """It is gone. Harmless if it was gone before."""
        self._guests.pop(guest, None)

    def cut_silent(self) -> None:
        """Cut who did not log in, or gave no sign of life for too long."""
        now = self._clock.monotonic()
        scanning = now >= self._next_scan
        if scanning:
            self._next_scan = now + SCAN_SECONDS
        for guest in self:
            if guest.lifetime.is_over(now, scanning=scanning):
                guest.wire.cut("not logged in" if guest.api_key is None else "no sign of life")

    def cut(self, key: str | None) -> list[str]:
        """Cut the connections of a key, or of all keys; their ids."""
        chosen = [each for each in self if each.api_key is not None and key in (None, each.api_key.key)]
        for guest in chosen:
            guest.wire.cut("key revoked")
        return [guest.name for guest in chosen]
