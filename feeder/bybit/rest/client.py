"""The client: a thin object over a session pool. What costs (connections, limits, the venue's clock) is the pool's."""

import logging
import re
from collections.abc import AsyncIterator, Mapping
from functools import lru_cache
from typing import Any, NoReturn, TypeVar

from multidict import CIMultiDict, istr
from yarl import URL

from feeder.bybit.pacing import backoff_delay
from feeder.bybit.venue_time import TimeSample
from feeder.errors import BudgetError, ClockError, ParameterError, RateLimitedError, RefusedError, RestError

from .account import AccountCalls
from .answer import rate_status, understood
from .endpoint import Endpoint
from .endpoints import find
from .endpoints.typed import SERVER_TIME
from .limits import Window
from .market import MarketCalls
from .orders import OrderCalls
from .parameters import body, checked, order_link_ids, orders_of, query_string
from .pool import SessionPool
from .positions import PositionCalls
from .reply import Page, RateStatus, Reply
from .secret import Secret
from .signing import NOT_ASCII, Sign, signer
from .transport import Answer, fetch
from .venue_clock import SAMPLES, VenueClock

Result = TypeVar("Result")
Entry = TypeVar("Entry")

_HOSTS = {  # by testnet and demo
    (False, False): "https://api.bybit.com",
    (True, False): "https://api-testnet.bybit.com",
    (False, True): "https://api-demo.bybit.com",
}
_ATTEMPTS = 4
_RETRY_FIRST = 0.25
_RETRY_CAP = 2.0
LONGEST_RECV_WINDOW = 60_000  # ms
_LABEL = r"[A-Za-z0-9_-]{1,63}"
_ADDRESS = re.compile(  # without user and query
    rf"(?i:https?)://({_LABEL}(\.{_LABEL})*\.?|\[[0-9A-Fa-f:.]+\])(:[0-9]{{1,5}})?(/[A-Za-z0-9._~/-]*)?"
)
_LONGEST_RESET = 60.0  # seconds of the venue's reset time that are believed: the longest of its windows is a minute

# Names that multidict need not fold to lower case for each request.
_API_KEY, _TIMESTAMP = istr("X-BAPI-API-KEY"), istr("X-BAPI-TIMESTAMP")
_CONTENT_TYPE = istr("Content-Type")
_RECV_WINDOW, _SIGN = istr("X-BAPI-RECV-WINDOW"), istr("X-BAPI-SIGN")

_log = logging.getLogger("feeder.bybit.rest")  # a library prints nothing that nobody asked for


class BybitClient(MarketCalls, OrderCalls, PositionCalls, AccountCalls):
    """Bybit's REST API for one key, or for none: then the public endpoints.

        async with SessionPool() as pool:
            client = BybitClient(key, secret, pool=pool)
            reply = await client.wallet_balance()

    `api_secret` that is a PEM private key signs by RSA. `recv_window`, ms: how late a request may arrive. Without
    `pool` the process-wide one is used (SessionPool.setup), and without that a session of its own, opened by the first
    request: slower, and to be closed by `aclose` or `async with`. `base_url` is another host, as a regional one or the
    simulator. `in_flight` counts requests under way; `last_used`, monotonic seconds, is when one ended last.

    Every method raises RestError, and of that ParameterError before anything is sent. What may be repeated is, by
    itself; an order whose outcome is not known (`error.unknown_outcome`) never: ask by `error.order_link_id`, of a
    batch by each of `error.order_link_ids`.
    """

    __slots__ = (
        "__weakref__",
        "_base_url",
        "_key",
        "_owned",
        "_pool",
        "_secret",
        "_sign",
        "in_flight",
        "last_used",
        "recv_window",
    )

    def __init__(
        self,
        api_key: str | None = None,
        api_secret: str | Secret | None = None,
        testnet: bool = False,
        demo: bool = False,
        recv_window: int = 5000,
        *,
        pool: SessionPool | None = None,
        base_url: str | None = None,
    ) -> None:
        self._key = api_key
        # Text until it signs first: a Secret for each of a hundred thousand clients costs as much as the rest of them.
        self._secret = api_secret
        self._base_url = _address(base_url) if base_url else _HOSTS.get((testnet, demo), "")
        if type(api_key) is not str or type(api_secret) is not str or not self._base_url:
            problem = _problem(type(api_key), type(api_secret), (testnet, demo), base_url)
            if problem is not None:
                del api_secret  # so that no traceback that shows local variables shows it
                raise ParameterError("BybitClient", *problem)
        self.recv_window = recv_window
        self._pool = pool or SessionPool.default
        self._owned = self._pool is None
        self._sign: Sign | None = None
        self.in_flight = 0
        self.last_used = 0.0

    def __getstate__(self) -> NoReturn:
        raise TypeError("a BybitClient is not copied or pickled: it has a secret, and stands on a pool")

    def __repr__(self) -> str:
        return f"BybitClient({self._base_url}, {'public' if self._key is None else 'with a key'})"

    async def __aenter__(self) -> "BybitClient":
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the session, if it is the client's own; a shared pool stays as it is."""
        pool = self._pool
        if self._owned and pool is not None:
            await pool.aclose()
            if self._pool is pool:
                self._pool = None  # the next request opens another

    @property
    def base_url(self) -> str:
        """The address of the venue, without a path."""
        return self._base_url

    async def call(self, method: str, path: str, **parameters: object) -> Reply[Any]:
        """Any endpoint of v5, by the venue's names; what has no Struct of its own comes as plain Python objects.

        Raises UnknownEndpointError and ParameterError before anything is sent, and RestError.
        """
        return await self.send(find(method, path), parameters)

    async def send(self, endpoint: Endpoint[Result], parameters: Mapping[str, object]) -> Reply[Result]:
        """The reply to one request. Parameters have the venue's names; those that are None are left out."""
        pool = self._pool or self._open_pool()
        given = checked(endpoint, parameters, pool.random)
        url, query, payload = f"{self._base_url}{endpoint.path}", "", None
        if endpoint.method != "GET":
            payload = body(given)
        elif query := query_string(endpoint, given):
            url = f"{url}?{query}"
        signed = query.encode("ascii") if payload is None else payload
        window = self._window(pool, endpoint, given) if endpoint.signed else None
        count = orders_of(endpoint, given)
        attempt, delay, clock_was_wrong, unknown = 1, 0.0, False, False
        self.in_flight += 1
        try:
            while True:
                try:
                    if delay:
                        await pool.pause(delay)
                    return await self._once(pool, endpoint, url, signed, payload, window, count)
                except RestError as error:
                    unknown = error.unknown_outcome = unknown or error.unknown_outcome  # by any attempt
                    error.order_link_id, error.order_link_ids = given.get("orderLinkId"), order_link_ids(given)
                    if endpoint.signed:  # the address of the others has it all
                        error.parameters = given
                    if isinstance(error, ClockError):
                        if clock_was_wrong:  # it was measured anew for this one
                            raise
                        clock_was_wrong = True
                        pool.venue_clock(self._base_url).distrust()
                    pause = self.pause_after(error, attempt)
                    if pause is None:
                        raise
                    delay = pause
                    _log.debug("asked again in %.2f s, after %d: %s", delay, attempt, error)
                attempt += 1
                pool.counters.retries += 1
        finally:
            self.in_flight -= 1
            self.last_used = pool.clock.monotonic()

    async def each(self, endpoint: Endpoint[Page[Entry]], parameters: Mapping[str, object]) -> AsyncIterator[Entry]:
        """All entries of all pages. The last page has no entries, no cursor, or one that was there before."""
        asked = dict(parameters)
        cursors: set[str | None] = {None, ""}
        while True:
            page = (await self.send(endpoint, asked)).result
            for entry in page.entries:
                yield entry
            if not page.entries or page.next_page_cursor in cursors:
                return
            cursors.add(page.next_page_cursor)
            asked["cursor"] = page.next_page_cursor

    def signer(self) -> tuple[str, Sign]:
        """The key, and what signs with its secret. Raises ParameterError where there is none that can sign."""
        if self._key is None or self._secret is None:
            raise ParameterError("BybitClient", "api_key", "this needs one; BybitClient(api_key, api_secret)")
        if self._sign is None:
            self._sign = self._make_signer(self._key)
        return self._key, self._sign

    def venue_ms(self) -> int:
        """The venue's time as far as it is known (see `measure_clock`), ms since the epoch."""
        return (self._pool or self._open_pool()).venue_clock(self._base_url).now_ms()

    async def measure_clock(self) -> float:
        """Ask the venue for its time; the seconds to add to this machine's clock to have it. Raises RestError."""
        pool = self._pool or self._open_pool()
        clock = pool.venue_clock(self._base_url)
        clock.take(await self.time_samples())
        pool.counters.clock_measurements += 1
        return clock.offset_seconds

    async def time_samples(self, count: int = SAMPLES) -> list[TimeSample]:
        """The venue's time, asked for `count` times, with when it was asked and answered. Raises RestError."""
        pool = self._pool or self._open_pool()
        samples: list[TimeSample] = []
        for _ in range(count):
            await pool.turn(SERVER_TIME, None)
            sent = pool.clock.monotonic()
            answer = await fetch(pool, SERVER_TIME, f"{self._base_url}{SERVER_TIME.path}", None, None)
            received = pool.clock.monotonic()
            samples.append(TimeSample(sent, self._understood(pool, SERVER_TIME, answer).result.time_nano, received))
        return samples

    # What order entry over WebSocket shares with it

    @property
    def pool(self) -> SessionPool:
        """The pool that its requests go by."""
        return self._pool or self._open_pool()

    async def keep_time(self) -> None:
        """Measure the venue's clock if that is due. What is known holds on where the venue cannot be asked."""
        pool = self.pool
        clock = pool.venue_clock(self._base_url)
        if clock.is_due:
            await self._keep_time(pool, clock)

    async def socket_turn(self, endpoint: Endpoint[Any], given: Mapping[str, Any]) -> Window:
        """Wait until a request of this key may go over the order-entry socket; the limit that it counts against.

        REST and socket share it. Raises ParameterError, PoolError, or BudgetError if the turn is too far away.
        """
        pool = self.pool
        window, count = self._window(pool, endpoint, given), orders_of(endpoint, given)
        if pool.venue_clock(self._base_url).is_due:
            await self.keep_time()
        if not pool.take_turn(window, count, pool.socket_orders):
            await pool.turn(endpoint, window, count, pool.socket_orders)
        return window

    def pause_after(self, error: RestError, attempt: int) -> float | None:
        """Seconds until a request that failed so, at its attempt 1, 2, ..., may be sent again; None: it may not."""
        pool, wait = self.pool, error.retry_after_seconds
        if not error.retriable or wait > pool.timeouts.turn or attempt == _ATTEMPTS:
            return None
        if isinstance(error, BudgetError):  # it has waited as long as it may
            return None
        return max(backoff_delay(attempt, _RETRY_FIRST, _RETRY_CAP, pool.random), wait)

    def hold(self, window: Window, rate: RateStatus | None, error: RateLimitedError) -> None:
        """The venue has had too many requests: none of this limit until `error.retry_after_seconds`, set here."""
        pool = self.pool
        if rate is not None and not rate.remaining:
            reset = (rate.reset_ms - pool.venue_clock(self._base_url).now_ms()) / 1000
            error.retry_after_seconds = min(max(reset, 0.0), _LONGEST_RESET)
        window.hold(pool.clock.monotonic() + error.retry_after_seconds)

    # Within

    def _open_pool(self) -> SessionPool:
        self._pool = SessionPool()
        return self._pool

    async def _once(
        self,
        pool: SessionPool,
        endpoint: Endpoint[Result],
        url: str,
        signed: bytes,
        payload: bytes | None,
        window: Window | None,
        count: int,
    ) -> Reply[Result]:
        """One request, when its turn has come."""
        if window is None:
            if not pool.take_turn(pool.public):
                await pool.turn(endpoint, pool.public)
            return self._understood(pool, endpoint, await fetch(pool, endpoint, url, None, payload))
        clock = pool.venue_clock(self._base_url)
        if clock.is_due:
            await self._keep_time(pool, clock)
        if not pool.take_turn(window, count):
            await pool.turn(endpoint, window, count)
        # Signed when it goes, not before it waited: the venue takes no request that is old.
        sent = pool.clock.monotonic()
        headers = self._headers(clock.now_ms(), signed)
        return self._understood(pool, endpoint, await fetch(pool, endpoint, url, headers, payload), window, sent)

    def _understood(
        self,
        pool: SessionPool,
        endpoint: Endpoint[Result],
        answer: Answer,
        window: Window | None = None,
        sent: float = 0.0,
    ) -> Reply[Result]:
        """The reply; what it says of the rate limit goes to `window`, which the request sent at `sent` used."""
        rate = None
        if window is not None and (rate := rate_status(answer.headers)) is not None:
            window.learn(rate.limit, rate.remaining, sent)
        try:
            return understood(endpoint, answer, rate, self._key)
        except RefusedError as error:
            pool.counters.refused += 1
            if isinstance(error, RateLimitedError) and window is not None:
                self.hold(window, rate, error)
            raise
        except RestError:
            pool.counters.failures += 1
            raise

    def _window(self, pool: SessionPool, endpoint: Endpoint[Any], given: Mapping[str, Any]) -> Window:
        """The limit of this key and endpoint. Raises ParameterError without a key that can sign."""
        if self._key is None or self._secret is None:
            raise ParameterError(repr(endpoint), "api_key", "this endpoint needs one; BybitClient(api_key, api_secret)")
        if self._sign is None:
            self._sign = self._make_signer(self._key)
        category = given.get("category")
        limit = endpoint.by_category.get(category) if isinstance(category, str) else None
        if limit is None:
            limit, category = endpoint.limit, None
        return pool.windows.of((self._base_url, self._key, endpoint.group, category), limit, pool.clock.monotonic())

    def _make_signer(self, key: str) -> Sign:
        if not (key.isascii() and key.isprintable()) or not key or " " in key:
            raise ParameterError("BybitClient", "api_key", "is no key of Bybit; copy it again")
        if type(self.recv_window) is not int or not 0 < self.recv_window <= LONGEST_RECV_WINDOW:
            raise ParameterError("BybitClient", "recv_window", f"must be a whole number, 1 to {LONGEST_RECV_WINDOW} ms")
        # No local variable has the text: a traceback that shows them would show it.
        if not isinstance(self._secret, Secret):
            assert self._secret is not None
            if not self._secret.isascii():
                raise ParameterError("BybitClient", "api_secret", NOT_ASCII)
            self._secret = Secret(self._secret)
        return signer(self._secret)

    def _headers(self, now_ms: int, text: bytes) -> CIMultiDict[str]:
        assert self._key is not None
        assert self._sign is not None
        stamp, recv_window = str(now_ms), str(self.recv_window)
        return CIMultiDict(
            (
                (_API_KEY, self._key),
                (_TIMESTAMP, stamp),
                (_RECV_WINDOW, recv_window),
                (_SIGN, self._sign(f"{stamp}{self._key}{recv_window}".encode("ascii") + text)),
                (_CONTENT_TYPE, "application/json"),
            )
        )

    async def _keep_time(self, pool: SessionPool, clock: VenueClock) -> None:
        """Measure the venue's clock: before the first request, later beside them."""
        pool.session()  # raises what is wrong with the pool; another event loop must not wait for the lock
        if not clock.is_needed:
            clock.postpone()  # so that one does it
            pool.spawn(self._measure(clock))
            return
        async with clock.measuring:
            if clock.is_needed:
                await self._measure(clock)

    async def _measure(self, clock: VenueClock) -> None:
        try:
            await self.measure_clock()
        except RestError as error:
            clock.postpone()
            _log.warning("venue's time cannot be had, so ours is used, or what was known of it before: %s", error)


@lru_cache(64)
def _address(base_url: str) -> str:
    """The address that paths are put behind; empty when it is none."""
    if not isinstance(base_url, str) or not _ADDRESS.fullmatch(base_url):
        return ""
    try:
        return base_url.rstrip("/") if URL(base_url).port else ""
    except ValueError:  # a port or an address of IPv6 that is none
        return ""


def _problem(
    key_type: type, secret_type: type, environment: tuple[object, object], base_url: str | None
) -> tuple[str, str] | None:
    """What is wrong with a client's parameters: which, and why."""
    if base_url and not _address(base_url):  # not shown, as it may have a password
        return "base_url", "must be https://host, without user, password and query"
    if environment == (True, True):
        return "demo", "testnet and demo are two environments; choose one"
    for name, value in zip(("testnet", "demo"), environment, strict=True):
        if not isinstance(value, bool):
            return name, f"must be True or False, not a {type(value).__name__}; what follows it is given by name"
    if secret_type not in (str, Secret, type(None)):
        return "api_secret", f"must be text or a Secret, not {secret_type.__name__}"
    if not issubclass(key_type, str | None):
        return "api_key", f"must be text, not {key_type.__name__}"
    if (key_type is type(None)) is not (secret_type is type(None)):
        return "api_key" if key_type is type(None) else "api_secret", "is missing; give both or neither"
    return None
