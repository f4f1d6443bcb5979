"""What the tests of the venue side share: canonical payloads, a sink that remembers, a session's environment."""

import itertools
import json
import math
from pathlib import Path
from random import Random
from typing import Any

from feeder.bybit.actions import Action, Send
from feeder.bybit.counters import Counters
from feeder.bybit.pacing import Timing
from feeder.bybit.session import Session
from feeder.market.instrument import Instrument, InstrumentKey
from feeder.market.status import StatusReason
from feeder.market.update import BookUpdate, TradeUpdate

DATA = Path(__file__).parents[2] / "data" / "bybit"


def payload(name: str) -> bytes:
    """A canonical message, as the venue sends it."""
    return (DATA / f"{name}.json").read_bytes().strip()


def book_message(
    topic: str, kind: str, update_id: int, bids: list[list[str]] | None = None, asks: list[list[str]] | None = None
) -> bytes:
    """A message of orderbook.*, with a level on either side unless told otherwise."""
    data = {
        "s": topic.split(".", 2)[2],
        "b": [["100.00", "1"]] if bids is None else bids,
        "a": [["100.10", "1"]] if asks is None else asks,
        "u": update_id,
        "seq": update_id * 10,
    }
    return json.dumps({"topic": topic, "type": kind, "ts": 1_760_000_000_000, "data": data, "cts": 1}).encode()


def trade_message(topic: str, *trades: dict[str, Any]) -> bytes:
    """A message of publicTrade.*; each trade overrides a plain one."""
    plain = {"T": 1, "s": topic.split(".", 1)[1], "S": "Buy", "v": "1", "p": "100.00", "i": "id"}
    data = [plain | trade for trade in trades or ({},)]
    return json.dumps({"topic": topic, "type": "snapshot", "ts": 2, "data": data}).encode()


class RecordingSink:
    """A MarketSink that keeps everything, in order, as tuples that start with the kind."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def on_book(self, key: InstrumentKey, update: BookUpdate) -> None:
        self.events.append(("book", key, update))

    def on_trades(self, key: InstrumentKey, trades: list[TradeUpdate], generation: int) -> None:
        self.events.append(("trades", key, trades, generation))

    def on_trades_lost(self, key: InstrumentKey, count: int) -> None:
        self.events.append(("trades_lost", key, count))

    def on_reset(self, key: InstrumentKey, generation: int, reason: StatusReason) -> None:
        self.events.append(("reset", key, generation, reason))

    def on_definition(self, instrument: Instrument) -> None:
        self.events.append(("definition", instrument.key, instrument))

    def of(self, kind: str, key: InstrumentKey | None = None) -> list[tuple[Any, ...]]:
        """The events of one kind, of one key or all."""
        return [event for event in self.events if event[0] == kind and key in (None, event[1])]

    def books(self, key: InstrumentKey) -> list[BookUpdate]:
        return [event[2] for event in self.of("book", key)]

    def kinds(self) -> list[str]:
        return [event[0] for event in self.events]


class Longest(Random):
    """Randomness without surprise: every draw is as high as can be, so that delays are what the rule says."""

    def random(self) -> float:
        return 1.0


def make_session(category: str = "linear", timing: Timing | None = None, random: Random | None = None) -> Session:
    """A session with the longest delays its rules allow, undisturbed by silence, and counters of its own."""
    return Session(
        category,
        timing=timing or Timing(silence=math.inf),
        random=random or Longest(),
        next_generation=itertools.count(1).__next__,
        counters=Counters(),
    )


def requests(actions: list[Action] | list[Any]) -> list[dict[str, Any]]:
    """The subscribe and unsubscribe requests among actions."""
    sent = [json.loads(action.text) for action in actions if isinstance(action, Send)]
    return [request for request in sent if request["op"] != "ping"]
