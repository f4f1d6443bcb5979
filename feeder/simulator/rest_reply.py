"""What a REST endpoint gives back: an answer or a refusal, in the venue's envelope; and pages of listings."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from feeder.simulator.keys import ApiKey
from feeder.simulator.rest_caller import Caller
from feeder.simulator.venue import is_number

Entry = TypeVar("Entry")

Parameters = Mapping[str, Any]
"""A query or a JSON body, by the venue's names."""

PARAMETER_ERROR = 10001
_UNKNOWN_KEY = 10003


class Answer(NamedTuple):
    """`result`, `retMsg` and `retExtInfo` of a reply with retCode 0."""

    result: Mapping[str, Any]
    message: str = "OK"
    extra: Mapping[str, Any] = {}


class Refused(Exception):  # noqa: N818 - the venue refuses; nothing of ours went wrong
    """A retCode other than 0 and its text."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


Endpoint = Callable[[Caller], Answer]
"""What answers one method and path. Raises Refused."""


def owner(call: Caller) -> ApiKey:
    """Whose request it is."""
    if call.api_key is None:
        raise Refused(_UNKNOWN_KEY, "API key is invalid.")
    return call.api_key


def envelope(answer: Answer | Refused, now_ms: int) -> dict[str, Any]:
    """The whole reply."""
    if isinstance(answer, Refused):
        body = {"retCode": answer.code, "retMsg": answer.message, "result": {}, "retExtInfo": {}}
    else:
        body = {"retCode": 0, "retMsg": answer.message, "result": answer.result, "retExtInfo": answer.extra}
    return body | {"time": now_ms}


def page(entries: Sequence[Entry], number: Callable[[Entry], int], limit: int, cursor: str) -> tuple[list[Entry], str]:
    """The `limit` entries after those the cursor has told, and the next cursor, empty on the last page.

    `entries` come with falling numbers, so that new ones before them shift no page.
    """
    if cursor:
        told = _number(cursor)
        entries = [entry for entry in entries if number(entry) < told]
    part = list(entries[:limit])
    return part, cursor_of(number(part[-1])) if len(entries) > limit else ""


def cursor_of(number: int) -> str:
    """A cursor that means all behind `number`."""
    return base64.urlsafe_b64encode(f"page:{number}".encode()).decode()


def position(cursor: str) -> int:
    """What `cursor_of` was given; 0 of an empty cursor."""
    return _number(cursor) if cursor else 0


def _number(cursor: str) -> int:
    try:
        kind, _, number = base64.urlsafe_b64decode(cursor).decode().partition(":")
    except (binascii.Error, ValueError) as error:
        raise Refused(PARAMETER_ERROR, "params error: cursor is invalid") from error
    if kind != "page" or not is_number(number):
        raise Refused(PARAMETER_ERROR, "params error: cursor is invalid")
    return int(number)
