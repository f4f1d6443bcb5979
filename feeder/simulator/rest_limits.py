"""How often the venue lets itself be asked: per account and path, and per address. No sockets here.

Source: Bybit v5, rate-limit page.
"""

import math
from collections import deque
from typing import NamedTuple

from feeder.clock import MILLISECOND_NS, Clock
from feeder.simulator.venue import CATEGORIES

ADDRESS_REQUESTS = 600
ADDRESS_SECONDS = 5.0
BARRED_SECONDS = 600.0
"""An address that asked too often is refused for so long."""

_BATCHES = ("/v5/order/create-batch", "/v5/order/amend-batch", "/v5/order/cancel-batch")


class Limit(NamedTuple):
    """So many requests in any span of so many seconds."""

    requests: int
    seconds: float = 1.0


_UNTOLD = Limit(10)  # what most paths have; the venue documents none for a few

_LIMITS = {
    **dict.fromkeys(("/v5/order/create", "/v5/order/cancel", "/v5/order/pre-check", *_BATCHES), Limit(10)),
    "/v5/order/amend": Limit(10),
    "/v5/order/cancel-all": Limit(10),
    "/v5/order/disconnected-cancel-all": Limit(5),
    "/v5/order/realtime": Limit(50),
    "/v5/order/history": Limit(50),
    "/v5/order/spot-borrow-check": Limit(50),
    "/v5/execution/list": Limit(50),
    "/v5/position/list": Limit(50),
    "/v5/position/closed-pnl": Limit(50),
    "/v5/position/get-closed-positions": Limit(50),
    "/v5/account/wallet-balance": Limit(50),
    "/v5/account/withdrawal": Limit(50),
    "/v5/account/borrow-history": Limit(50),
    "/v5/account/collateral-info": Limit(50),
    "/v5/account/transaction-log": Limit(25),
    "/v5/account/fee-rate": Limit(5),
    "/v5/account/info": Limit(50),
    "/v5/account/query-dcp-info": Limit(5),
    "/v5/account/smp-group": Limit(5),
    "/v5/account/user-setting-config": Limit(50),
    "/v5/account/mmp-modify": Limit(5),
    "/v5/account/mmp-reset": Limit(5),
    "/v5/account/set-collateral-switch-batch": Limit(5),
    "/v5/account/set-margin-mode": Limit(5),
    "/v5/asset/coin-greeks": Limit(50),
    "/v5/asset/coin/query-info": Limit(5),
    "/v5/asset/transfer/query-asset-info": Limit(60, 60.0),
    "/v5/asset/transfer/query-account-coins-balance": Limit(5),
    "/v5/asset/transfer/query-inter-transfer-list": Limit(60, 60.0),
    "/v5/asset/transfer/inter-transfer": Limit(60, 60.0),
}
_SPOT = {
    "/v5/order/create": Limit(20),
    "/v5/order/cancel": Limit(20),
    "/v5/order/cancel-all": Limit(20),
    "/v5/order/pre-check": Limit(20),
    **dict.fromkeys(_BATCHES, Limit(20)),
}
_OPTION = {"/v5/order/cancel-all": Limit(1)}


class Visit(NamedTuple):
    """What a request's limit looks like after it. `allowed`: how many of its orders may pass; at 0 it is refused."""

    limit: int
    remaining: int
    reset_ms: int
    allowed: int

    @property
    def headers(self) -> dict[str, str]:
        """As the venue tells them."""
        return {
            "X-Bapi-Limit": str(self.limit),
            "X-Bapi-Limit-Status": str(self.remaining),
            "X-Bapi-Limit-Reset-Timestamp": str(self.reset_ms),
        }


class _Tightened(NamedTuple):
    """A limit that a fault has set, for the paths that begin so."""

    prefix: str
    limit: Limit
    until: float | None


class RateLimits:
    """Rolling windows per account, path and category.

    They are counted in any case, and told; `enforced` or tightened by a fault, they also refuse. Of a batch each order
    counts, and those beyond the limit are refused alone.
    """

    def __init__(self, clock: Clock, *, enforced: bool) -> None:
        self._clock = clock
        self._enforced = enforced
        self._visits: dict[tuple[str, str, str], deque[float]] = {}
        self._tightened: list[_Tightened] = []

    def tighten(self, prefix: str, limit: Limit, seconds: float | None) -> None:
        """From now on, for so many seconds or for ever, this is the limit of each path that begins so."""
        until = None if seconds is None else self._clock.monotonic() + seconds
        self._tightened.insert(0, _Tightened(prefix, limit, until))

    def visit(self, account: str, path: str, category: str, orders: int = 1) -> Visit:
        """Count a request of an account. One that is refused does not count."""
        tightened = self._tight(path)
        limit = tightened or limit_of(path, category)
        refuse = self._enforced or tightened is not None
        return self._count(account, path, category, limit, orders, refuse=refuse)

    def visit_public(self, address: str, path: str) -> bool:
        """Whether an address may ask now for what needs no key: always, unless a fault has tightened it."""
        tightened = self._tight(path)
        return tightened is None or self._count(address, path, "", tightened, 1, refuse=True).allowed > 0

    def _count(self, who: str, path: str, category: str, limit: Limit, orders: int, *, refuse: bool) -> Visit:
        now = self._clock.monotonic()
        now_ms = self._clock.wall_ns() // MILLISECOND_NS
        # Nobody makes us keep counts by inventing categories.
        times = self._visits.setdefault((who, path, category if category in CATEGORIES else ""), deque())
        while times and times[0] <= now - limit.seconds:
            times.popleft()
        left = max(0, limit.requests - len(times))
        if refuse and not left:
            return Visit(limit.requests, 0, now_ms + math.ceil((times[0] + limit.seconds - now) * 1000), 0)
        counted = min(orders, left)
        times.extend([now] * counted)
        return Visit(limit.requests, left - counted, now_ms, counted if refuse else orders)

    def _tight(self, path: str) -> Limit | None:
        now = self._clock.monotonic()
        self._tightened = [each for each in self._tightened if each.until is None or now < each.until]
        return next((each.limit for each in self._tightened if path.startswith(each.prefix)), None)


class AddressLimits:
    """The requests of each address, with key or without, over all paths."""

    def __init__(self, clock: Clock, requests: int = ADDRESS_REQUESTS, seconds: float = ADDRESS_SECONDS) -> None:
        self._clock = clock
        self._requests = requests
        self._seconds = seconds
        self._visits: dict[str, deque[float]] = {}
        self._barred_until: dict[str, float] = {}

    def visit(self, address: str) -> bool:
        """Count a request, and say whether it may pass."""
        now = self._clock.monotonic()
        if now < self._barred_until.get(address, now):
            return False
        times = self._visits.setdefault(address, deque())
        while times and times[0] <= now - self._seconds:
            times.popleft()
        if len(times) >= self._requests:
            self._barred_until[address] = now + BARRED_SECONDS
            return False
        times.append(now)
        return True


def limit_of(path: str, category: str) -> Limit:
    """What the venue documents for an account that has asked for no more."""
    special = {"spot": _SPOT, "option": _OPTION}.get(category, {})
    return special.get(path) or _LIMITS.get(path, _UNTOLD)
