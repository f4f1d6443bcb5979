"""Signing in on a WebSocket, without one: the private stream and order entry alike.

Source: Bybit v5, ws/connect: the signature is of "GET/realtime" and the time at which it expires.
"""

from random import Random
from typing import TYPE_CHECKING

import msgspec

from ..pacing import backoff_delay

if TYPE_CHECKING:
    from ..rest.client import BybitClient

AUTH_SECONDS = 10.0
"""How long a signature is good for, and how long its answer is waited for."""

_REFUSED_FIRST = 2.0  # seconds: a key that is refused is mostly refused again ...
_REFUSED_CAP = 60.0  # ... until somebody has mended it


def refused_delay(refusals: int, random: Random) -> float:
    """Seconds before a key that was refused so many times in a row (at least 1) is tried again."""
    return backoff_delay(refusals, _REFUSED_FIRST, _REFUSED_CAP, random)


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

    def refused(self, text: str) -> str:
        """What the venue said when it refused the key, which is left out, and what to do."""
        said = self.without_key(text) or "it says no more"
        environment = self._client.base_url
        return f"{said}; check the key, its secret, and that both are of this environment ({environment})"

    def without_key(self, text: str) -> str:
        """A message of the venue's, with the key left out: it quotes it."""
        return text.replace(self.key, "***")[:200]
