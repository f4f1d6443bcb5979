"""The topics of the private socket, and their messages.

Source: Bybit v5, the page of each topic; recorded messages for the ids.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from feeder.simulator.told import Told

_CONTRACTS = ("linear", "inverse", "option")

TOPICS: Mapping[str, tuple[str, ...]] = {
    "order": ("spot", *_CONTRACTS),
    "execution": ("spot", *_CONTRACTS),
    "execution.fast": ("spot", "linear", "inverse"),
    "position": _CONTRACTS,
    "wallet": (),
    "greeks": (),
}
"""Each topic for everything, and the categories it can be had of alone: `order`, and `order.linear`."""

_FAST_FIELDS = (
    "category",
    "symbol",
    "execId",
    "execPrice",
    "execQty",
    "orderId",
    "isMaker",
    "orderLinkId",
    "side",
    "execTime",
    "seq",
)


class Topic(NamedTuple):
    """A topic as subscribed: `kind` is one of TOPICS, `category` empty for all."""

    kind: str
    category: str

    @classmethod
    def parse(cls, text: str) -> "Topic | None":
        """None for one that there is not."""
        if text in TOPICS:
            return cls(text, "")
        kind, _, category = text.rpartition(".")
        return cls(kind, category) if category in TOPICS.get(kind, ()) else None

    def takes(self, news: "News") -> bool:
        """Whether this is sent to who is subscribed."""
        return self.kind == news.kind and self.category in ("", news.category)


class News(NamedTuple):
    """One message to be: `kind` is one of TOPICS."""

    kind: str
    category: str
    rows: list[dict[str, Any]]
    time_ms: int

    @property
    def subject(self) -> str:
        """What it is about, for its id: the symbol, or the kind where there is none."""
        symbols = {str(row.get("symbol", "")) for row in self.rows}
        return symbols.pop() or self.kind if len(symbols) == 1 and self.kind != "position" else self.kind

    def message(self, topic: str, message_id: str) -> bytes:
        """To who is subscribed to this topic."""
        head: dict[str, Any] = {"topic": topic}
        if self.kind != "execution.fast":  # which has none
            head["id"] = message_id
        return json.dumps(head | {"creationTime": self.time_ms, "data": self.rows}, separators=(",", ":")).encode()


def news_of(told: Told) -> list[News]:
    """The messages that something which happened makes: of executions, one for each of the two topics."""
    news = [News(*told)]
    if told.topic == "execution" and told.category in TOPICS["execution.fast"]:
        rows = [_fast(row) for row in told.rows if row.get("execType") == "Trade"]
        if rows:
            news.insert(0, News("execution.fast", told.category, rows, told.time_ms))
    return news


def _fast(row: Mapping[str, Any]) -> dict[str, Any]:
    """Its few fields; a maker's orderLinkId is not among what they tell."""
    fast = {name: row[name] for name in _FAST_FIELDS if name in row}
    return fast | {"orderLinkId": ""} if row.get("isMaker") else fast
