"""What an answer means: a typed reply, or an error that says what to do. No I/O."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec

from feeder.bybit.messages import DECODE_ERRORS
from feeder.errors import HttpStatusError, ReplyError

from .endpoint import Endpoint
from .reply import RateStatus, Reply
from .ret_codes import OK, UNCHANGED, refused
from .transport import Answer

Result = TypeVar("Result")

_OVERLOADED = 429  # "system protection, retry": nothing was carried out
_NOTHING = re.compile(rb'(?<=[\[:,])\s*""(?=\s*[,}\]])')
_HIDDEN = "***"
_MOST_WAIT_SECONDS = 60.0  # of the venue's reset time; the longest of its windows is a minute


class _Envelope(msgspec.Struct):
    retCode: Annotated[int, msgspec.Meta(ge=-(1 << 31), lt=1 << 31)]  # noqa: N815 - the venue's key
    retMsg: str | None = None  # noqa: N815 - the venue's key
    result: msgspec.Raw = msgspec.Raw(b"{}")
    retExtInfo: msgspec.Raw = msgspec.Raw(b"{}")  # noqa: N815 - the venue's key
    time: Annotated[int, msgspec.Meta(ge=0, le=9_000_000_000_000)] = 0


_decode = msgspec.json.Decoder(_Envelope).decode


def rate_status(headers: Mapping[str, str]) -> RateStatus | None:
    """What the headers say of the rate limit; None when they say nothing, or nonsense."""
    limit = headers.get("X-Bapi-Limit")
    if limit is None:
        return None
    remaining, reset = headers.get("X-Bapi-Limit-Status", ""), headers.get("X-Bapi-Limit-Reset-Timestamp", "")
    if not all(text.isascii() and text.isdigit() and len(text) < 19 for text in (limit, remaining, reset)):
        return None
    return RateStatus(int(limit), int(remaining), int(reset))


def understood(endpoint: Endpoint[Result], answer: Answer, now_ms: int, api_key: str | None) -> Reply[Result]:
    """The reply. Raises RefusedError by its retCode, HttpStatusError or ReplyError.

    `now_ms` is the venue's time. `api_key` is left out of errors: the venue quotes it when a signature is wrong.
    """
    address, status, headers, body = answer
    try:
        envelope = _decode(body)
    except DECODE_ERRORS as error:
        raise _no_reply(endpoint, answer, error) from error
    code = envelope.retCode
    if status != 200 and code == OK:
        raise _status_error(endpoint, address, status)
    message = envelope.retMsg or ""
    rate = rate_status(headers)
    if code != OK and code not in UNCHANGED:
        if api_key:
            message = message.replace(api_key, _HIDDEN)
        wait = (rate.reset_ms - now_ms) / 1000 if rate is not None and rate.remaining == 0 else 0.0
        raise refused(endpoint, address, code, message, min(max(wait, 0.0), _MOST_WAIT_SECONDS))
    text = bytes(envelope.result)
    if endpoint.result is not Any:
        text = _NOTHING.sub(b"null", text)
    try:
        result = endpoint.decode(text)
    except DECODE_ERRORS as error:
        raise _unlike(endpoint, address, f"`result` is not as documented: {error}") from error
    return Reply(
        result=result,
        raw=body,
        time_ms=envelope.time,
        message=message,
        extra=envelope.retExtInfo,
        rate=rate,
        unchanged=code != OK,
    )


def _no_reply(endpoint: Endpoint[Any], answer: Answer, error: Exception) -> ReplyError:
    """The body is no reply of the API. It is described, not quoted: a proxy's page may repeat what was asked."""
    address, status, headers, body = answer
    if 300 <= status < 400:
        return _unlike(endpoint, address, f"HTTP {status}, a redirect, which the API never gives; check base_url")
    if status != 200:
        return _status_error(endpoint, address, status)
    start = body[:200].lstrip()
    if not body:
        return _unlike(endpoint, address, "an empty answer")
    if start.startswith(b"<"):
        return _unlike(endpoint, address, f"{len(body)} bytes of HTML instead of JSON; check base_url and any proxy")
    if start.startswith(b"{") and not body.rstrip().endswith(b"}"):
        return _unlike(endpoint, address, f"JSON that ends after {len(body)} bytes")
    kind = headers.get("Content-Type", "no content type")[:60]
    return _unlike(endpoint, address, f"not a reply of the API ({len(body)} bytes, {kind}): {error}")


def _unlike(endpoint: Endpoint[Any], address: str, problem: str) -> ReplyError:
    """Nothing is known of what became of the request, and asking again would bring the same."""
    unknown = not endpoint.repeatable
    unsure = "; whether it was carried out is unknown" if unknown else ""
    return ReplyError(f"{address}: {problem}{unsure}", unknown_outcome=unknown)


def _status_error(endpoint: Endpoint[Any], address: str, status: int) -> HttpStatusError:
    unknown = status >= 500 and not endpoint.repeatable
    problem = f"{address}: HTTP {status}"
    if status == 401:
        problem += ", the venue does not accept the key or the signature's headers"
    elif status == 404:
        problem += ", no such path or category there; check base_url"
    elif unknown:
        problem += "; whether it was carried out is unknown"
    retriable = status == _OVERLOADED or (status >= 500 and not unknown)
    return HttpStatusError(problem, status, retriable=retriable, unknown_outcome=unknown)
