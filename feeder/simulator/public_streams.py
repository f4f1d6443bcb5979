"""The public sockets: connections of one category, and the exchange that publishes to them."""

from feeder.simulator.exchange import Client, Exchange
from feeder.simulator.guests import Wire


class PublicStreams:
    """Serves /v5/public/<category>."""

    def __init__(self, exchange: Exchange, category: str) -> None:
        self._exchange = exchange
        self._category = category

    def connect(self, wire: Wire) -> "PublicGuest":
        """A new connection."""
        return PublicGuest(self._exchange, self._exchange.connect(self._category, wire.send))


class PublicGuest:
    """One connection."""

    def __init__(self, exchange: Exchange, client: Client) -> None:
        self._exchange = exchange
        self._client = client

    @property
    def name(self) -> str:
        """The connection's id."""
        return self._client.session.connection_id

    def receive(self, text: bytes) -> None:
        """A whole message of the client."""
        self._exchange.receive(self._client, text)

    def leave(self) -> None:
        """The connection is gone."""
        self._exchange.disconnect(self._client)
