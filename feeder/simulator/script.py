"""The faults there are, each with its keys, and the scripts that stage them.

A script is a YAML list. `at` counts seconds from the first subscription or order, so that it does not matter how long
anybody takes to start; an entry without `at` is in force before anybody connects (none that needs somebody it happens
to):

    - {fault: rest, how: 429, times: 3}
    - {at: 5, fault: gap, category: linear, symbol: BTCUSDT}
    - {at: 8.5, fault: half_open, category: linear, seconds: 20}
"""

import re
from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
import yaml

from feeder.errors import FeederError
from feeder.simulator.decimals import digits_of, to_units
from feeder.simulator.script_fault import (
    Category,
    Count,
    Fault,
    Moment,
    RetCode,
    Socket,
    Span,
    Symbol,
    check_refusal,
)
from feeder.simulator.script_sockets import Auth, OrderEntry, Private, Revoke


class BookFault(Fault, frozen=True, kw_only=True):
    """A fault of one symbol: of every orderbook topic of it that somebody is subscribed to."""

    category: Category
    symbol: str


class Gap(BookFault, frozen=True, kw_only=True, tag="gap"):
    """The next delta reaches nobody."""


class Duplicate(BookFault, frozen=True, kw_only=True, tag="duplicate"):
    """The last message comes again."""


class OutOfOrder(BookFault, frozen=True, kw_only=True, tag="out_of_order"):
    """The next two deltas change places."""


class Crossed(BookFault, frozen=True, kw_only=True, tag="crossed"):
    """The next delta has a bid at the best ask."""


class Malformed(BookFault, frozen=True, kw_only=True, tag="malformed"):
    """The next delta has a price that is no number."""


class Snapshot(BookFault, frozen=True, kw_only=True, tag="snapshot"):
    """The book comes as a snapshot in mid-stream."""


class Restart(BookFault, frozen=True, kw_only=True, tag="restart"):
    """A snapshot with `u` 1, as after a restart of the venue's service."""


class Refuse(BookFault, frozen=True, kw_only=True, tag="refuse"):
    """The next `times` requests for the symbol's book, of any depth, are refused as if it did not exist.

    So are as many for its ticker, for each of its klines, and for its liquidations.
    """

    times: Count = 1


class Delist(BookFault, frozen=True, kw_only=True, tag="delist"):
    """The symbol's topics fall silent and cannot be subscribed again; instruments-info says `status`, or nothing."""

    status: Literal["Closed", "Delivering", "gone"] = "Closed"


class TickChange(BookFault, frozen=True, kw_only=True, tag="tick_change"):
    """The tick, the step or both get finer; then the book comes as a snapshot with `u` 1. REST tells the new ones."""

    tick: str | None = None
    step: str | None = None

    def __post_init__(self) -> None:
        if self.tick is None and self.step is None:
            raise ValueError("it has neither `tick` nor `step`")
        for text in (self.tick, self.step):
            if text is not None and not to_units(text, digits_of(text)):
                raise ValueError(f"a tick or step of {text!r} is none")


class Turnover(BookFault, frozen=True, kw_only=True, tag="turnover"):
    """Tickers tell this turnover of the last 24 hours from now on, in dollars."""

    turnover: str

    def __post_init__(self) -> None:
        _number(self.turnover)


class Enlist(Fault, frozen=True, kw_only=True, tag="list"):
    """A symbol is listed: one that was delisted again as it was, or a new one that trades about `price`."""

    category: Category
    symbol: Symbol
    tick: str = "0.01"
    step: str = "0.01"
    price: str = "100"

    def __post_init__(self) -> None:
        tick, step, price = (_number(text) for text in (self.tick, self.step, self.price))
        if not tick or not step:
            raise ValueError("its `tick` or `step` is 0")
        if not 20 * tick <= price < 1_000_000_000:
            raise ValueError(f"its `price` {self.price} is not between 20 ticks and 1000000000")


class Raw(Fault, frozen=True, kw_only=True, tag="raw"):
    """Any text to all connections of a category."""

    category: Socket
    text: str

    def __post_init__(self) -> None:
        try:
            self.text.encode()
        except UnicodeEncodeError:
            raise ValueError("its `text` holds half a surrogate pair, which is no text") from None


class ConnectionFault(Fault, frozen=True, kw_only=True):
    """A fault of connections, of one category or any: of all, or of the `count` oldest that are not half-open yet.

    A category is here also `private`, the private streams, or `trade`, the order entry.
    """

    category: Socket | None = None
    count: Count | None = None


class Disconnect(ConnectionFault, frozen=True, kw_only=True, tag="disconnect"):
    """They are cut, without a close frame."""


class HalfOpen(ConnectionFault, frozen=True, kw_only=True, tag="half_open"):
    """They neither send nor read and stay open, for `seconds` or for ever. What was to be sent meanwhile is lost."""

    seconds: Span | None = None


class Slow(Fault, frozen=True, kw_only=True, tag="slow"):
    """For `seconds`, whatever a category sends arrives `delay` seconds late, and no faster than `bytes_per_second`."""

    category: Socket
    seconds: Span
    delay: Moment = 0.0
    bytes_per_second: Span | None = None

    def __post_init__(self) -> None:
        if not self.delay and self.bytes_per_second is None:
            raise ValueError("it has neither `delay` nor `bytes_per_second`")


class Bursty(Fault, frozen=True, kw_only=True, tag="bursty"):
    """Whatever a category sends is held for `seconds`, then all of it comes at once."""

    category: Socket
    seconds: Span


class Surge(Fault, frozen=True, kw_only=True, tag="surge"):
    """For `seconds`, every symbol moves `times` as often, as far as its grid allows (50 updates/s)."""

    seconds: Span
    times: Annotated[float, msgspec.Meta(gt=1, le=1000)]


class OldData(Fault, frozen=True, kw_only=True, tag="old_data"):
    """For `seconds`, the venue times in a category's messages are `age` seconds in the past."""

    category: Category
    seconds: Span
    age: Span


class StuckTimes(Fault, frozen=True, kw_only=True, tag="stuck_times"):
    """For `seconds`, the venue times in a category's messages stand still while the updates go on."""

    category: Category
    seconds: Span


class Rest(Fault, frozen=True, kw_only=True, tag="rest"):
    """The next `times` requests under `path`, or all for `seconds`, go wrong; with `method`, only such ones.

    `how`: an HTTP status; no answer (`hang`); half a body (`truncated`); a page (`html`); JSON of another shape
    (`wrong_json`); a redirect to a page (`redirect`). These do nothing. But a request is carried out, and then the
    connection cut instead of an answer (`lost`), or the answer held back for `delay` seconds (`late`).
    Instead of `how`, `ret_code`: it is refused with this code, and `ret_msg` or the venue's own text.
    """

    how: (
        Literal[403, 404, 429, 500, 502, 503, "hang", "truncated", "html", "wrong_json", "redirect", "lost", "late"]
        | None
    ) = None
    ret_code: RetCode | None = None
    ret_msg: str | None = None
    delay: Span | None = None
    path: str = "/v5/"
    method: Literal["GET", "POST"] | None = None
    times: Count | None = None
    seconds: Span | None = None

    def __post_init__(self) -> None:
        if (self.how is None) == (self.ret_code is None):
            raise ValueError("it needs one of `how` and `ret_code`")
        if self.ret_msg is not None and self.ret_code is None:
            raise ValueError("its `ret_msg` goes with a `ret_code`")
        if (self.how == "late") != (self.delay is not None):
            raise ValueError("`how: late` and `delay` go together")
        check_refusal(self.ret_code, self.times, self.seconds)
        _check_path(self.path)


class RestLimit(Fault, frozen=True, kw_only=True, tag="rest_limit"):
    """For `seconds`, or for ever, each path under `path` takes so many `requests` in `window` seconds, then 10006."""

    requests: Count
    path: str = "/v5/"
    window: Span = 1.0
    seconds: Span | None = None

    def __post_init__(self) -> None:
        _check_path(self.path)


class RestSkew(Fault, frozen=True, kw_only=True, tag="rest_skew"):
    """For `seconds`, or for ever, REST's clock is `by` seconds fast (negative: slow): its times, and what it checks."""

    by: Annotated[float, msgspec.Meta(ge=-10_000_000, le=10_000_000)]
    seconds: Span | None = None


AnyFault = (
    Gap
    | Duplicate
    | OutOfOrder
    | Crossed
    | Malformed
    | Snapshot
    | Restart
    | Refuse
    | Delist
    | TickChange
    | Turnover
    | Enlist
    | Raw
    | Disconnect
    | HalfOpen
    | Slow
    | Bursty
    | Surge
    | OldData
    | StuckTimes
    | Rest
    | RestLimit
    | RestSkew
    | Auth
    | Revoke
    | OrderEntry
    | Private
)
KINDS: dict[str, type[Fault]] = {kind.__struct_config__.tag: kind for kind in get_args(AnyFault)}


_HAPPENS_TO_SOMEBODY = Gap | Duplicate | OutOfOrder | Crossed | Malformed | Snapshot | Restart | Raw | ConnectionFault


def check_moment(fault: AnyFault) -> None:
    """FeederError if an entry of a script without `at` would come before there is anybody it could happen to."""
    if fault.at is None and isinstance(fault, _HAPPENS_TO_SOMEBODY):
        raise FeederError("`at` is missing; before anybody has subscribed it happens to nobody: say when")


def parse_fault(entry: Any) -> AnyFault:
    """One fault from plain data. FeederError says what is wrong with it and what it takes."""
    if not isinstance(entry, dict):
        raise FeederError("it is no mapping; write it as {fault: gap, category: linear, symbol: BTCUSDT}")
    name = entry.get("fault")
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise FeederError(f"`fault` is {name!r}; it must be one of {', '.join(KINDS)}")
    try:
        fault: AnyFault = msgspec.convert(entry, AnyFault)
    except msgspec.ValidationError as error:
        raise FeederError(f"{name}: {_problem(error)}; it takes {_keys(kind)}") from error
    return fault


def load_script(path: Path) -> list[AnyFault]:
    """The faults of a file in the order of its lines. FeederError names every entry that is wrong."""
    try:
        entries = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise FeederError(f"cannot read the faults: {error}; correct --faults") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that is none; nesting without end
        raise FeederError(f"{path} is not YAML: {error}; correct it there") from error
    if not isinstance(entries, list):
        raise FeederError(f"{path} is no list; write one fault per line, each behind a dash")
    faults: list[AnyFault] = []
    mistakes: list[str] = []
    for number, entry in enumerate(entries, 1):
        try:
            faults.append(parse_fault(entry))
        except FeederError as error:
            mistakes.append(f"entry {number}: {error}")
    if mistakes:
        raise FeederError("\n  ".join([f"{path} has mistakes", *mistakes]))
    return faults


class Script:
    """Faults waiting for their time. No clock of its own."""

    def __init__(self, faults: Iterable[AnyFault]) -> None:
        self._waiting = deque(sorted(faults, key=lambda fault: -1.0 if fault.at is None else fault.at))

    def due(self, elapsed: float | None) -> list[AnyFault]:
        """Take what is due `elapsed` seconds after the first subscription; None before there was one."""
        due = []
        while self._waiting and _is_due(self._waiting[0], elapsed):
            due.append(self._waiting.popleft())
        return due

    def next_at(self) -> float | None:
        """The `at` of the next fault."""
        return self._waiting[0].at if self._waiting else None


def _is_due(fault: AnyFault, elapsed: float | None) -> bool:
    return fault.at is None or (elapsed is not None and fault.at <= elapsed)


def _check_path(path: str) -> None:
    if not path.startswith("/v5/"):
        raise ValueError("its `path` is none of the exchange's; they begin with /v5/")


def _number(text: str) -> Decimal:
    """A plain number of at most 18 digits, and 8 behind the point. ValueError if it is none."""
    if not re.fullmatch(r"[0-9]{1,18}(\.[0-9]{1,8})?", text):
        raise ValueError(f"{text[:60]!r} is no plain number, such as 12.5")
    return Decimal(text)


def _problem(error: msgspec.ValidationError) -> str:
    """What msgspec found, with the key it found it at."""
    text, _, place = str(error).partition(" - at `")
    key = place.rstrip("`").removeprefix("$").removeprefix(".")
    return f"`{key}`: {text}" if key else text


def _keys(kind: type[Fault]) -> str:
    """The keys of a fault, those that may be left out in brackets, and the values of those that have few."""
    told = ["[at]"]
    for field in msgspec.structs.fields(kind):
        if field.name != "at":
            values = "|".join(map(str, _values(field.type)))
            name = field.name if field.required else f"[{field.name}]"
            told.append(f"{name} ({values})" if values else name)
    return ", ".join(told)


def _values(type_: Any) -> tuple[Any, ...]:
    """The values of a type that has few, also of one that may be left out."""
    if get_origin(type_) is Literal:
        return get_args(type_)
    return next((get_args(each) for each in get_args(type_) if get_origin(each) is Literal), ())
