"""The private socket: who has logged in, and who of them hears what happens to which account. No sockets here."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from feeder.clock import MILLISECOND_NS, Clock
from feeder.simulator.guests import Wire
from feeder.simulator.keys import ApiKey
from feeder.simulator.private_connections import Connections, SignedGuest
from feeder.simulator.private_faults import SocketFaults
from feeder.simulator.private_session import PrivateSession
from feeder.simulator.private_topics import News, news_of
from feeder.simulator.rest_auth import Authenticator
from feeder.simulator.told import Told

Listen = Callable[[str, Callable[[Told], None]], Callable[[], None]]
"""`Ledger.listen`: have told what happens to an account; the result stops it."""

_ID_LETTERS = "0123456789abcdefghijklmnopqrstuv"


class _Message(NamedTuple):
    """News with the id that they have on every connection."""

    news: News
    id: str


class PrivateStreams:
    """Serves /v5/private. `listen` is the ledger's; `begin` is called when somebody has subscribed to something.

    `clock` is the exchange's; the time that log-ins are checked against is the authenticator's.
    """

    def __init__(
        self,
        listen: Listen,
        authenticator: Authenticator,
        faults: SocketFaults,
        begin: Callable[[], None],
        seed: int,
        clock: Clock,
    ) -> None:
        self._listen_to = listen
        self._authenticator = authenticator
        self._faults = faults
        self._begin = begin
        self._clock = clock
        self._rng = random.Random(f"private:{seed}")  # noqa: S311 - no secret
        self._guests: Connections[PrivateGuest] = Connections(clock)
        self._listening: dict[str, Callable[[], None]] = {}  # by account, while somebody of it is here
        self._overtaken: dict[tuple[str, str], _Message] = {}  # by account and kind
        self._option_coins: dict[str, dict[str, None]] = {}  # by account
        self._held: list[tuple[PrivateGuest, bytes]] | None = None
        self._messages = 0

    def connect(self, wire: Wire) -> "PrivateGuest":
        """A new connection."""

        def login(args: Any) -> ApiKey:
            refusal = self._faults.take_login("private")
            if refusal is not None:
                raise refusal
            return self._authenticator.check_login(args, wire.address)

        session = PrivateSession(connection_id(self._rng), login)
        guest = PrivateGuest(self, wire, session, self._clock)
        self._guests.add(guest)
        return guest

    def advance(self) -> None:
        """Cut who has to go."""
        self._guests.cut_silent()

    def cut(self, key: str | None) -> list[str]:
        """Cut the connections of a key, or of all keys; their ids."""
        return self._guests.cut(key)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Meanwhile nothing is sent; at the end all of it, in order."""
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
            for guest, payload in held:
                guest.send(payload)

    def receive(self, guest: "PrivateGuest", text: bytes) -> None:
        """Answer a message of a client."""
        session = guest.session
        before = set(session.topics)
        reply = session.handle(text, self._clock.wall_ns() // MILLISECOND_NS)
        if session.api_key is not None and not guest.lifetime.logged_in:
            guest.lifetime.logged_in = True
            self._listen(session.api_key.account)
        guest.send(reply)
        begun = session.topics.keys() - before
        if begun:
            self._begin()
        if "greeks" in begun:
            self._tell_greeks(guest)

    def leave(self, guest: "PrivateGuest") -> None:
        """A connection is gone. Harmless if it was gone before."""
        self._guests.remove(guest)
        account = guest.account
        if account is not None and not any(each.account == account for each in self._guests):
            self._listening.pop(account, _nothing)()
            for key in [key for key in self._overtaken if key[0] == account]:
                del self._overtaken[key]  # whoever comes next never was to hear it

    def _listen(self, account: str) -> None:
        if account not in self._listening:
            self._listening[account] = self._listen_to(account, lambda told: self._hear(account, told))

    def _hear(self, account: str, told: Told) -> None:
        for news in news_of(told):
            self._publish(account, news)
        if told.topic == "position" and told.category == "option":
            coins = self._option_coins.setdefault(account, {})
            coins.update(dict.fromkeys(_base_coin(row) for row in told.rows))
            self._publish(account, _greeks(coins, told.time_ms))

    def _publish(self, account: str, news: News) -> None:
        if not any(guest.session.topics_of(news) for guest in self._of(account)):
            return
        self._messages += 1
        message = _Message(news, f"{account}_{news.subject}_{self._messages}")
        key = account, news.kind
        overtaken = self._overtaken.pop(key, None)
        if overtaken is not None:
            self._deliver(account, message)
            self._deliver(account, overtaken)
            return
        match self._faults.take_message(news.kind):
            case "lost":
                pass
            case "swapped":
                self._overtaken[key] = message
            case "duplicated":
                self._deliver(account, message)
                self._deliver(account, message)
            case None:
                self._deliver(account, message)

    def _deliver(self, account: str, message: _Message) -> None:
        for guest in self._of(account):
            for topic in guest.session.topics_of(message.news):
                payload = message.news.message(topic, message.id)
                if self._held is None:
                    guest.send(payload)
                else:
                    self._held.append((guest, payload))

    def _tell_greeks(self, guest: "PrivateGuest") -> None:
        """To who has just subscribed: the account's, if options of it were traded while somebody of it was here."""
        assert guest.account is not None
        coins = self._option_coins.get(guest.account)
        if coins:
            self._messages += 1
            news = _greeks(coins, self._clock.wall_ns() // MILLISECOND_NS)
            guest.send(news.message("greeks", f"{guest.account}_{news.subject}_{self._messages}"))

    def _of(self, account: str) -> list["PrivateGuest"]:
        return [guest for guest in self._guests if guest.account == account]


class PrivateGuest(SignedGuest[PrivateSession]):
    """One connection."""

    def __init__(self, streams: PrivateStreams, wire: Wire, session: PrivateSession, clock: Clock) -> None:
        super().__init__(wire, session, clock)
        self._streams = streams

    @property
    def account(self) -> str | None:
        """Whose account it hears of."""
        return None if self.api_key is None else self.api_key.account

    def receive(self, text: bytes) -> None:
        """A whole message of the client."""
        self._streams.receive(self, text)

    def leave(self) -> None:
        """The connection is gone."""
        self._streams.leave(self)


def connection_id(rng: random.Random) -> str:
    """As those of signed sockets look."""
    return "".join(rng.choices(_ID_LETTERS, k=20)) + "-" + "".join(rng.choices(_ID_LETTERS, k=4))


def _greeks(coins: dict[str, None], time_ms: int) -> News:
    """They are 0, as in the tickers: volatility is not simulated."""
    names = ("totalDelta", "totalGamma", "totalVega", "totalTheta")
    rows = [{"baseCoin": coin, **dict.fromkeys(names, "0")} for coin in coins]
    return News("greeks", "option", rows, time_ms)


def _base_coin(row: dict[str, Any]) -> str:
    return str(row["symbol"]).partition("-")[0]


def _nothing() -> None:
    pass
