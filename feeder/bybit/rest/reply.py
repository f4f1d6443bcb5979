"""What a request gives: the typed result, with the raw reply at hand."""

from decimal import Decimal
from typing import Generic, TypeVar

import msgspec

Result = TypeVar("Result")
Entry = TypeVar("Entry")

Amount = Decimal | None
"""A price, quantity or rate, exact; None where the venue sends "" or nothing."""

Text = str | None
"""A text; None where the venue sends "" or nothing."""


class RateStatus(msgspec.Struct, frozen=True):
    """What the venue says of the rate limit in a reply's headers: requests allowed, left, and when it resets."""

    limit: int
    remaining: int
    reset_ms: int


class Reply(msgspec.Struct, Generic[Result], repr_omit_defaults=True):
    """An answer of retCode 0, or of one that says that nothing had to be changed (then `unchanged` is true).

    `raw` is the whole body as it came, `extra` the raw retExtInfo (of a batch, its verdict per order), `time_ms` the
    venue's time, ms since the epoch. `rate` is None where the venue tells none, as on public endpoints.
    """

    result: Result
    raw: bytes
    time_ms: int
    message: str = ""
    extra: msgspec.Raw = msgspec.Raw(b"{}")
    rate: RateStatus | None = None
    unchanged: bool = False

    def __repr__(self) -> str:
        return f"Reply({self.result!r}, {len(self.raw)} bytes)"


class Page(msgspec.Struct, Generic[Entry], rename="camel"):
    """One page of a listing. `next_page_cursor` is None on the last; `symbol` is there in listings of one symbol."""

    entries: list[Entry] = msgspec.field(name="list", default_factory=list)
    category: Text = None
    symbol: Text = None
    next_page_cursor: Text = None
