"""What an answer means: a typed reply, or an error that says what to do. No I/O."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from multidict import istr

from feeder.bybit.messages import DECODE_ERRORS
from feeder.errors import HttpStatusError, RefusedError, ReplyError

from .endpoint import UNSURE, Endpoint, Envelope
from .reply import RateStatus, Reply
from .ret_codes import OK, UNCHANGED, refused
from .transport import Answer

Result = TypeVar("Result")

_OVERLOADED = 429  # "system protection, retry": nothing was carried out
# The text first and what is around it after: this way the search for it is as fast as the search for any text.
_NOTHING = re.compile(rb'""(?:(?<=[\[:,]"")|(?<=[\[:,] ""))(?=\s*[,}\]])')
"""An empty text as a value. Within a text it cannot be: its quotes have backslashes."""

_HIDDEN = "***"
_LARGEST_LIMIT = 100_000  # requests; a hundred times what the venue allows anybody
_LARGEST_TIME = 9_000_000_000_000  # ms
_LIMIT, _LEFT, _RESET = istr("X-Bapi-Limit"), istr("X-Bapi-Limit-Status"), istr("X-Bapi-Limit-Reset-Timestamp")


class _Verdict(msgspec.Struct):
    """The part of a reply that says whether it is one, and good; P2P has other names for it."""

    code: int | None = msgspec.field(name="retCode", default=None)
    message: str | None = msgspec.field(name="retMsg", default=None)
    ret_code: int | None = None
    ret_msg: str | None = None


class _P2pReply(msgspec.Struct):
    code: int = msgspec.field(name="ret_code")
    message: str | None = msgspec.field(name="ret_msg", default=None)
    result: Any = None
    extra: msgspec.Raw = msgspec.field(name="ext_info", default=msgspec.Raw(b"{}"))
    # Seconds, as text.
    time: Annotated[float, msgspec.Meta(ge=0, le=9e9)] = msgspec.field(name="time_now", default=0.0)


_decode_verdict = msgspec.json.Decoder(_Verdict).decode
_decode_p2p = msgspec.json.Decoder(_P2pReply, strict=False).decode


def without_empty(text: bytes) -> bytes:
    """JSON with null for each `""` that is a value: Structs have None there."""
    return _NOTHING.sub(b"null", text) if b'""' in text else text


def rate_status(headers: Mapping[str, str]) -> RateStatus | None:
    """What the headers say of the rate limit; None when they say nothing, or nonsense."""
    limit = headers.get(_LIMIT)
    if limit is None:
        return None
    try:
        requests, left, reset = int(limit), int(headers[_LEFT]), int(headers[_RESET])
    except (KeyError, ValueError):
        return None
    sensible = 0 <= requests <= _LARGEST_LIMIT and 0 <= left <= _LARGEST_LIMIT and 0 <= reset <= _LARGEST_TIME
    return RateStatus(requests, left, reset) if sensible else None


def understood(
    endpoint: Endpoint[Result], answer: Answer, rate: RateStatus | None, api_key: str | None
) -> Reply[Result]:
    """The reply, with `rate` in it. Raises RefusedError by its retCode, HttpStatusError or ReplyError.

    `api_key` is left out of errors: the venue quotes it when a signature is wrong.
    """
    body = answer.body
    text = without_empty(body) if endpoint.empty_is_none else body
    try:
        envelope = endpoint.decode(text)
    except DECODE_ERRORS as error:
        envelope = _otherwise(endpoint, answer, api_key, error)
    code = envelope.code
    if code != OK and code not in UNCHANGED:
        raise _refused(endpoint, answer, code, envelope.message, api_key)
    if answer.status != 200:
        raise _status_error(endpoint, answer)
    return Reply(
        envelope.result, body, envelope.time, envelope.message or "", envelope.extra, rate, unchanged=code != OK
    )


def _otherwise(endpoint: Endpoint[Result], answer: Answer, api_key: str | None, error: Exception) -> Envelope[Result]:
    """A reply that is not as the endpoint's are: a refusal, whose result is of no shape, or P2P's own kind of reply."""
    try:
        verdict = _decode_verdict(answer.body)
    except DECODE_ERRORS:
        raise _no_reply(endpoint, answer, error) from error
    if verdict.code is not None:
        if verdict.code != OK:
            raise _refused(endpoint, answer, verdict.code, verdict.message, api_key) from None
        if answer.status != 200:
            raise _status_error(endpoint, answer) from None
        raise _unlike(endpoint, answer, f"the reply is not as documented: {error}") from error
    if verdict.ret_code is None or endpoint.result is not Any:
        raise _no_reply(endpoint, answer, error) from error
    try:
        reply = _decode_p2p(answer.body)
    except DECODE_ERRORS as odd:
        raise _unlike(endpoint, answer, f"the reply is not as documented: {odd}") from odd
    return Envelope(reply.code, reply.result, reply.message, reply.extra, round(reply.time * 1000))


def _refused(
    endpoint: Endpoint[Any], answer: Answer, code: int, message: str | None, api_key: str | None
) -> RefusedError:
    message = message or ""
    if api_key:
        message = message.replace(api_key, _HIDDEN)
    return refused(endpoint, answer.address, code, message)


def _no_reply(endpoint: Endpoint[Any], answer: Answer, error: Exception) -> ReplyError:
    """The body is no reply of the API. It is described, not quoted: a proxy's page may repeat what was asked."""
    status, body = answer.status, answer.body
    if 300 <= status < 400:
        return _unlike(endpoint, answer, f"HTTP {status}, a redirect, which the API never gives; check base_url")
    if status != 200:
        return _status_error(endpoint, answer)
    start = body[:200].lstrip()
    if not body:
        return _unlike(endpoint, answer, "an empty answer")
    if start.startswith(b"<"):
        return _unlike(endpoint, answer, f"{len(body)} bytes of HTML instead of JSON; check base_url and any proxy")
    if start.startswith(b"{") and not body.rstrip().endswith(b"}"):
        return _unlike(endpoint, answer, f"JSON that ends after {len(body)} bytes")
    kind = answer.headers.get("Content-Type", "no content type")[:60]
    return _unlike(endpoint, answer, f"not a reply of the API ({len(body)} bytes, {kind}): {error}")


def _unlike(endpoint: Endpoint[Any], answer: Answer, problem: str) -> ReplyError:
    """Nothing is known of what became of the request, and asking again would bring the same."""
    unknown = endpoint.changes
    unsure = UNSURE if unknown else ""
    return ReplyError(f"{answer.address}: {problem}{unsure}", unknown_outcome=unknown)


def _status_error(endpoint: Endpoint[Any], answer: Answer) -> HttpStatusError:
    status = answer.status
    unknown = endpoint.changes and not 400 <= status < 500
    problem = f"{answer.address}: HTTP {status}"
    if status == 401:
        problem += ", the venue does not accept the key or the signature's headers"
    elif status == 404:
        problem += ", no such path or category there; check base_url"
    elif unknown:
        problem += UNSURE
    retriable = status == _OVERLOADED or (status >= 500 and endpoint.repeatable)
    return HttpStatusError(problem, status, retriable=retriable, unknown_outcome=unknown)
