"""What the typed methods stand on: something that sends requests to endpoints. BybitClient is that.

`OrderEntry` is a Sender as well, of the order endpoints alone.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from typing import TypeVar

from .endpoint import Endpoint
from .reply import Page, Reply

Result = TypeVar("Result")
Entry = TypeVar("Entry")

Number = Decimal | str | int
"""An amount in a request: exact. A float is refused."""


class Sender(ABC):
    """Sends requests. Parameters have the venue's names; those that are None are left out."""

    __slots__ = ()

    @abstractmethod
    async def send(self, endpoint: Endpoint[Result], parameters: Mapping[str, object]) -> Reply[Result]:
        """The reply to one request. Raises RestError."""


class PageSender(Sender):
    """Sends requests to endpoints that tell their results in pages, too."""

    __slots__ = ()

    @abstractmethod
    def each(self, endpoint: Endpoint[Page[Entry]], parameters: Mapping[str, object]) -> AsyncIterator[Entry]:
        """All entries of all pages, each page asked for when it is needed. Raises RestError."""
