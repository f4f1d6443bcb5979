"""The markets of symbols that somebody trades go on as if somebody had subscribed to them: what rests can be filled."""

from feeder.clock import Clock
from feeder.simulator.exchange import Exchange
from feeder.simulator.private_streams import Listen
from feeder.simulator.rest_auth import Authenticator
from feeder.simulator.told import Told


class TradedMarkets:
    """Hears of the orders of all accounts, over REST or a socket. A symbol once traded moves for ever.

    Bounded by what is listed.
    """

    def __init__(self, exchange: Exchange, listen: Listen, authenticator: Authenticator, clock: Clock) -> None:
        self._exchange = exchange
        self._clock = clock
        self._new: dict[tuple[str, str], None] = {}
        self._moving: set[tuple[str, str]] = set()
        for account in {key.account for key in authenticator.known()}:
            listen(account, self._hear)

    def begin(self) -> None:
        """Somebody wants something: a script's `at` counts from now, if it does not already."""
        if self._exchange.first_subscribed_at is None:
            self._exchange.first_subscribed_at = self._clock.monotonic()

    def advance(self) -> None:
        """Set in motion what was ordered since; not while it is ordered, as prices stand still meanwhile."""
        if not self._new:
            return
        self.begin()
        for category, symbol in self._new:
            self._exchange.source.follow(category, symbol, self._clock.monotonic())
        self._moving.update(self._new)
        self._new.clear()

    def _hear(self, told: Told) -> None:
        if told.topic == "order":
            for row in told.rows:
                key = told.category, str(row["symbol"])
                if key not in self._moving:
                    self._new[key] = None
