"""A client that believes every message, and a book kept the slow way: by the texts as they came."""

import json
from decimal import Decimal
from typing import Any

from feeder.clock import ManualClock
from feeder.simulator.exchange import Client, Exchange


class NaiveBook:
    """The book of one topic as dicts of texts; asserts what the venue promises of each message."""

    def __init__(self) -> None:
        self.bids: dict[str, str] = {}
        self.asks: dict[str, str] = {}
        self.u = 0
        self.seq = 0

    def apply(self, message: dict[str, Any]) -> None:
        data = message["data"]
        if message["type"] == "snapshot":
            self.bids, self.asks = {}, {}
        else:
            assert data["u"] == self.u + 1, "an update is missing"
        assert data["seq"] >= self.seq
        for side, levels in ((self.bids, data["b"]), (self.asks, data["a"])):
            for price, size in levels:
                if size == "0":
                    del side[price]  # a level that is not there cannot go
                else:
                    assert side.get(price) != size, "a level that did not change was sent"
                    side[price] = size
        self.u, self.seq = data["u"], data["seq"]

    def sides(self) -> tuple[list[list[str]], list[list[str]]]:
        """Best first, as the REST tells them."""
        bids = sorted(self.bids.items(), key=lambda level: Decimal(level[0]), reverse=True)
        asks = sorted(self.asks.items(), key=lambda level: Decimal(level[0]))
        return [list(level) for level in bids], [list(level) for level in asks]

    def is_crossed(self) -> bool:
        bids, asks = self.sides()
        return bool(bids and asks) and Decimal(bids[0][0]) >= Decimal(asks[0][0])


class SpyClient:
    """A connection to an exchange without a socket, and everything it was sent."""

    def __init__(self, exchange: Exchange, category: str = "linear") -> None:
        self.received: list[bytes] = []
        self.exchange = exchange
        self.client: Client = exchange.connect(category, self.received.append)

    def ask(self, request: dict[str, Any] | str) -> None:
        text = request if isinstance(request, str) else json.dumps(request)
        self.exchange.receive(self.client, text.encode())

    def subscribe(self, *topics: str) -> None:
        self.ask({"op": "subscribe", "args": list(topics)})

    def unsubscribe(self, *topics: str) -> None:
        self.ask({"op": "unsubscribe", "args": list(topics)})

    def take(self) -> list[dict[str, Any]]:
        """Everything since the last call, decoded."""
        messages = [json.loads(text) for text in self.received]
        self.received.clear()
        return messages

    def take_data(self, topic: str | None = None) -> list[dict[str, Any]]:
        """The data messages since the last call; all others are let go."""
        return [message for message in self.take() if "topic" in message and topic in (None, message["topic"])]


def pass_time(exchange: Exchange, clock: ManualClock, seconds: float, turn: float = 0.005) -> None:
    """Move the clock in turns, as the simulator's task does."""
    for _ in range(round(seconds / turn)):
        clock.advance(turn)
        exchange.advance(limit=1_000_000)
