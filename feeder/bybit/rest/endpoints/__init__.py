"""Every endpoint of Bybit v5 by its method and path: the typed ones, and the rest of the table by area.

A row says what the venue documents of an endpoint: what must be given, whether it needs a key, how often it may be
asked, and whether it may be asked again when nobody knows what became of the first time. That last is so of every GET,
and of a POST that only asks or that sets something to a value; never of what moves money, places an order or makes
something. Required is only what is so in every case, and never what may be empty.

`tools/endpoints.py` holds the table against what pybit and ccxt know.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from feeder.errors import UnknownEndpointError

from ..endpoint import Endpoint
from .account import ACCOUNT
from .alpha import ALPHA
from .asset import ASSET
from .bots import BOTS
from .earn import EARN
from .loans import LOANS
from .margin import MARGIN
from .market import MARKET
from .multileg import MULTILEG
from .p2p import P2P
from .rewards import REWARDS
from .trade import TRADE
from .typed import TYPED
from .user import USER

_LONGEST_SHOWN = 120  # characters of a path that is not in the table
_NEAR = 3  # paths that are named


def table(*areas: Iterable[Endpoint[Any]]) -> Mapping[tuple[str, str], Endpoint[Any]]:
    """The endpoints of all areas by method and path; one that is there twice is a ValueError."""
    endpoints: dict[tuple[str, str], Endpoint[Any]] = {}
    for area in areas:
        for endpoint in area:
            if endpoints.setdefault((endpoint.method, endpoint.path), endpoint) is not endpoint:
                raise ValueError(f"{endpoint!r} is in the table twice")
    return MappingProxyType(endpoints)


ENDPOINTS: Mapping[tuple[str, str], Endpoint[Any]] = table(
    TYPED, MARKET, TRADE, MULTILEG, BOTS, ACCOUNT, ASSET, USER, MARGIN, LOANS, EARN, ALPHA, REWARDS, P2P
)
"""By method and path, as ("GET", "/v5/market/time")."""


def find(method: str, path: str) -> Endpoint[Any]:
    """The endpoint of this method and path. Raises UnknownEndpointError, which says what may have been meant."""
    endpoint = ENDPOINTS.get((method, path))
    if endpoint is None:
        bare, _, query = path.partition("?")
        # Not what follows the "?": it may be signed.
        raise UnknownEndpointError(f"{method} {bare[:_LONGEST_SHOWN]!r}: {_meant(method, bare, bool(query))}")
    return endpoint


def _meant(method: str, path: str, has_query: bool) -> str:
    methods = [known for known, of in ENDPOINTS if of == path]
    if method in methods and has_query:
        return "parameters are given by name, not in the path"
    if methods:
        return f"this path takes {' or '.join(methods)}"
    near = get_close_matches(path[:_LONGEST_SHOWN], {known for _, known in ENDPOINTS}, n=_NEAR)
    if near:
        return f"no such endpoint in v5; near it are {', '.join(near)}"
    return "no such endpoint in v5; paths are those of the venue's documents, as /v5/market/time"
