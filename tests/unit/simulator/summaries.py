"""An exchange with tickers, klines and liquidations, and the REST endpoints beside it."""

from collections.abc import Sequence
from typing import Any

from feeder.clock import ManualClock
from feeder.simulator.exchange import Exchange
from feeder.simulator.quotes import Quotes
from feeder.simulator.rest_caller import Caller
from feeder.simulator.rest_market import MarketEndpoints
from feeder.simulator.seeded import SeededSource
from feeder.simulator.source import Source
from feeder.simulator.summary_topics import SummaryTopics
from feeder.simulator.universe import universe
from tests.unit.simulator.clients import SpyClient, pass_time

CATEGORIES = ("linear", "inverse", "spot", "option")
OPTION = "BTC-25DEC26-100000-C"
SYMBOLS = {"linear": "BTCUSDT", "inverse": "BTCUSD", "spot": "BTCUSDT", "option": OPTION}


def seeded(clock: ManualClock, *, seed: int = 1, rate: float = 160) -> Source:
    """Four symbols of each category."""
    return SeededSource(universe(CATEGORIES, 16), seed, rate, clock)


class Scene:
    """Clients of one exchange, and what REST tells of it."""

    def __init__(self, clock: ManualClock, source: Source, seed: int = 1) -> None:
        self.clock = clock
        self.exchange = Exchange(source, seed, clock)
        self.quotes = Quotes(self.exchange, seed)
        self.exchange.summaries = SummaryTopics(self.quotes)
        self._endpoints = MarketEndpoints(self.exchange, self.quotes).endpoints()

    def client(self, category: str, *topics: str) -> SpyClient:
        client = SpyClient(self.exchange, category)
        if topics:
            client.subscribe(*topics)
        return client

    def pass_time(self, seconds: float, turn: float = 0.005) -> None:
        pass_time(self.exchange, self.clock, seconds, turn)

    def ticker(self, category: str) -> dict[str, str]:
        """REST's row."""
        answer = self._ask("tickers", category=category, symbol=SYMBOLS[category])
        (row,) = answer["list"]
        return dict(row)

    def klines(self, category: str, symbol: str, interval: str, limit: int = 200) -> dict[int, Sequence[str]]:
        """REST's rows by their beginning."""
        parameters = {"category": category, "symbol": symbol, "interval": interval, "limit": str(limit)}
        return {int(row[0]): row for row in self._ask("kline", **parameters)["list"]}

    def _ask(self, name: str, **parameters: str) -> dict[str, Any]:
        return dict(self._endpoints["GET", f"/v5/market/{name}"](Caller(parameters=parameters)).result)


def expect_refusal(client: SpyClient, topic: str) -> None:
    """The topic is refused in the shape of the client's category."""
    client.take()
    client.subscribe(topic)
    (answer,) = client.take()
    match client.client.session.category:
        case "spot":
            assert answer["ret_msg"] == f"Invalid symbol :[{topic}]"
        case "option":
            assert answer["data"] == {"failTopics": [topic], "successTopics": []}
        case _:
            assert answer["ret_msg"] == f"error:handler not found,topic:{topic}"
