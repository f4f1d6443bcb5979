"""What the gate has found out about a request, for the handler that answers it.

A context variable and no key of aiohttp's request: those have changed their type within the versions we support.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple

from feeder.simulator.keys import ApiKey


class Caller(NamedTuple):
    """`api_key` signed the request; None where nobody need. `parameters`: its query, or the JSON object of a POST.

    `orders_allowed`: how many orders of a batch its rate limit lets pass; each of the others is refused by 10006.
    """

    api_key: ApiKey | None = None
    parameters: Mapping[str, Any] = {}
    orders_allowed: int = 0


caller: ContextVar[Caller] = ContextVar("caller")
"""Of the request that the running handler answers."""
