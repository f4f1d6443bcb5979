"""What a connection and whoever serves its path know of each other."""

from collections.abc import Callable
from typing import NamedTuple, Protocol


class Wire(NamedTuple):
    """One connection. `send` takes a whole text message and never raises; `cut` ends it without a close frame.

    `address` is the client's, `query` what stood behind the path's question mark.
    """

    send: Callable[[bytes], None]
    cut: Callable[[str | None], None]
    address: str = "127.0.0.1"
    query: str = ""


class Guest(Protocol):
    """The other end of a connection."""

    @property
    def name(self) -> str:
        """The connection's id."""
        ...

    def receive(self, text: bytes) -> None:
        """A whole message of the client."""
        ...

    def leave(self) -> None:
        """The connection is gone; nothing is sent to it any more."""
        ...


class Host(Protocol):
    """Serves a path."""

    def connect(self, wire: Wire) -> Guest:
        """A new connection."""
        ...
