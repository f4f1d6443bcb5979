"""Signing in on a WebSocket, without one: the private stream and order entry alike.

Source: Bybit v5, ws/connect: the signature is of "GET/realtime" and the time at which it expires.
"""

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from ..rest.client import BybitClient

AUTH_SECONDS = 10.0
"""How long a signature is good for, and how long its answer is waited for."""


class Authenticator:
    """Makes the auth messages of one client's key, by the venue's clock.

    Raises ParameterError for a client without a key.
    """

    def __init__(self, client: "BybitClient") -> None:
        self._client = client
        self.key, self._sign = client.signer()

    def message(self) -> str:
        """What to send first on a new connection."""
        expires = self._client.venue_ms() + round(AUTH_SECONDS * 1000)
        sign = self._sign(f"GET/realtime{expires}".encode("ascii"))
        return msgspec.json.encode({"op": "auth", "args": [self.key, expires, sign]}).decode()

    def without_key(self, text: str) -> str:
        """A message of the venue's, with the key left out: it quotes it."""
        return text.replace(self.key, "***")[:200]
