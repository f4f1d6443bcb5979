"""One HTTP request and its whole answer, or a typed error. Bytes only: what they mean is said in `answer`."""

import asyncio
from typing import Any, NamedTuple

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from feeder.errors import (
    BarredError,
    ConnectError,
    PoolError,
    ReplyError,
    ReplyTimeoutError,
    RestError,
    TlsError,
    TransportError,
)

from .endpoint import UNSURE, Endpoint
from .pool import SessionPool

_LARGEST_BODY = 16 << 20  # bytes, after decompression; a page of 1000 instruments has about one million
_BARRED = 403
_LONGEST_CAUSE = 300  # characters
_LONGEST_ADDRESS = 500


class _TooLong(Exception):  # noqa: N818 - never leaves this file
    """A body longer than any true one."""


class Answer(NamedTuple):
    """What came back, and to which request."""

    endpoint: Endpoint[Any]
    url: str
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def address(self) -> str:
        """Method and address, for errors."""
        return _address(self.endpoint, self.url)


async def fetch(
    pool: SessionPool, endpoint: Endpoint[Any], url: str, headers: CIMultiDict[str] | None, body: bytes | None
) -> Answer:
    """Send one request, `url` as it is signed. Raises a RestError that says whether it may be sent again."""
    session = pool.session()
    pool.counters.requests += 1
    task = pool.watch.begin()
    try:
        # The exchange does not redirect; whoever does is not the exchange.
        response = await session.request(
            endpoint.method, URL(url, encoded=True), headers=headers, data=body, allow_redirects=False
        )
        try:
            if response.status == _BARRED:  # whatever becomes of its body
                raise _barred(pool, _address(endpoint, url))
            length = response.content_length
            if length is None or length > _LARGEST_BODY or "Content-Encoding" in response.headers:
                whole = await _bounded(response)
            else:
                whole = await response.read()
        finally:
            response.close()  # which gives the connection back when all was read, and closes it otherwise
    except asyncio.CancelledError:
        if pool.watch.is_overdue(task):
            pool.counters.failures += 1
            raise _overdue(pool, endpoint, _address(endpoint, url)) from None
        if pool.is_closed and not task.cancelling():  # aiohttp ends so those that wait for a connection
            raise _closed(endpoint, _address(endpoint, url)) from None
        raise
    except (aiohttp.ClientError, OSError, _TooLong) as error:
        pool.counters.failures += 1
        raise _explained(pool, endpoint, _address(endpoint, url), error) from error
    except (RuntimeError, AssertionError) as error:  # what aiohttp says of a session that is closed
        if not pool.is_closed:
            raise
        raise _closed(endpoint, _address(endpoint, url)) from error
    finally:
        pool.watch.end(task)
    return Answer(endpoint, url, response.status, response.headers, whole)


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    """The whole body, unless it is longer than any true one, before all of that is in memory."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _LARGEST_BODY:
            raise _TooLong
    return bytes(body)


def _address(endpoint: Endpoint[Any], url: str) -> str:
    """The request in errors: of a signed one without what is asked, which may be private."""
    return f"{endpoint.method} {url.partition('?')[0] if endpoint.signed else url[:_LONGEST_ADDRESS]}"


def _barred(pool: SessionPool, address: str) -> BarredError:
    silent = pool.bar()
    return BarredError(
        f"{address}: HTTP 403, too many requests from this address or a country the venue bars; nothing is sent for"
        f" {silent:g} s",
        retriable=True,
        retry_after_seconds=silent,
    )


def _closed(endpoint: Endpoint[Any], address: str) -> PoolError:
    unknown = endpoint.changes
    unsure = UNSURE if unknown else ""
    return PoolError(f"{address}: the session pool was closed meanwhile{unsure}", unknown_outcome=unknown)


def _overdue(pool: SessionPool, endpoint: Endpoint[Any], address: str) -> RestError:
    unknown = endpoint.changes
    problem = f"{address}: no answer within {pool.timeouts.answer:g} s{UNSURE if unknown else ''}"
    return ReplyTimeoutError(problem, retriable=endpoint.repeatable, unknown_outcome=unknown)


def _explained(pool: SessionPool, endpoint: Endpoint[Any], address: str, error: Exception) -> RestError:
    """The typed error. Only one that came before anything was sent is harmless for what must not happen twice."""
    if pool.is_closed:
        return _closed(endpoint, address)
    cause = f"{type(error).__name__} {error}"[:_LONGEST_CAUSE]
    match error:
        case aiohttp.InvalidURL():
            return ConnectError(f"{address}: not an address: {cause}; check base_url")
        case aiohttp.ClientSSLError() | aiohttp.ServerFingerprintMismatch():
            return TlsError(
                f"{address}: the connection cannot be trusted: {cause}; check base_url, this machine's clock and its"
                " certificates"
            )
        case aiohttp.ConnectionTimeoutError():
            return ConnectError(f"{address}: no connection within {pool.timeouts.connect:g} s", retriable=True)
        case aiohttp.ClientConnectorError():
            return ConnectError(f"{address}: {cause}", retriable=True)
    unknown = endpoint.changes
    facts = {"retriable": endpoint.repeatable, "unknown_outcome": unknown}
    unsure = UNSURE if unknown else ""
    match error:
        case _TooLong():
            problem = f"an answer of over {_LARGEST_BODY} bytes, which the API never gives"
            return ReplyError(f"{address}: {problem}{unsure}", unknown_outcome=unknown)
        case aiohttp.ClientPayloadError():
            return ReplyError(f"{address}: the answer was cut short: {cause}{unsure}", **facts)
        case aiohttp.ClientResponseError():
            return ReplyError(f"{address}: not an HTTP answer: {cause}{unsure}", **facts)
    return TransportError(f"{address}: {cause}{unsure}", **facts)
