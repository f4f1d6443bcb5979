"""The public topics that sum a market up: tickers, klines and liquidations, made from what REST tells of a symbol.

They run on the market's own time, which in a replay is that of the message played last.
"""

import heapq
from collections.abc import Iterator
from typing import Protocol

from feeder.simulator import kline_topic, liquidation_topic
from feeder.simulator.chart import INTERVALS
from feeder.simulator.kline_topic import Kline
from feeder.simulator.liquidation_topic import Liquidations
from feeder.simulator.quotes import Quote, Quotes
from feeder.simulator.source import Publication
from feeder.simulator.ticker_topic import Ticker
from feeder.simulator.venue import KlineTopic, LiquidationTopic, TickerTopic, parse_topic

_GONE_MS = 1000  # a symbol that is gone is looked for again after this long


class _Summary(Protocol):
    """One topic that has subscribers."""

    topic: str
    sends_deltas: bool

    def snapshot(self, quote: Quote) -> bytes | None:
        """What a new subscriber gets for itself."""
        ...

    def push(self, quote: Quote) -> bytes | None:
        """What everybody gets now, if anything."""
        ...

    def next_ms(self, quote: Quote) -> int:
        """When to push next; not after now if there is more to push at once."""
        ...


class _Entry:
    """A topic in its category's heap. Compared by time, then by age."""

    __slots__ = ("due_ms", "ended", "number", "summary", "symbol")

    def __init__(self, number: int, symbol: str, summary: _Summary) -> None:
        self.number = number
        self.symbol = symbol
        self.summary = summary
        self.due_ms = 0
        self.ended = False

    def __lt__(self, other: "_Entry") -> bool:
        return (self.due_ms, self.number) < (other.due_ms, other.number)


class SummaryTopics:
    """All symbols' summaries; only topics with subscribers cost anything."""

    def __init__(self, quotes: Quotes) -> None:
        self._quotes = quotes
        self._entries: dict[tuple[str, str], _Entry] = {}
        self._heaps: dict[str, list[_Entry]] = {}
        self._made = 0

    @property
    def wanted(self) -> bool:
        """Whether anybody is subscribed, or was until just now."""
        return any(self._heaps.values())

    def topics(self, category: str, symbol: str) -> list[str]:
        """A symbol's ticker, klines and liquidations, as far as its category has them."""
        named = [f"tickers.{symbol}", *(f"kline.{interval}.{symbol}" for interval in INTERVALS)]
        named.append(f"allLiquidation.{symbol}")
        return [topic for topic in named if self.has_topic(category, topic)]

    def has_topic(self, category: str, topic: str) -> bool:
        """Whether the symbol is listed, and the category has such a topic."""
        return self._find(category, topic) is not None

    def subscribe(self, category: str, topic: str, now: float) -> bytes | None:
        """Keep the symbol's market moving; the snapshot for whoever came."""
        found = self._find(category, topic)
        assert found is not None
        symbol, summary = found
        entry = self._entries.get((category, topic))
        if entry is None:
            self._quotes.source.follow(category, symbol, now)
        quote = self._quotes.find(category, symbol)
        assert quote is not None
        if entry is None:
            self._made += 1
            entry = self._entries[category, topic] = _Entry(self._made, symbol, summary)
            entry.due_ms = summary.next_ms(quote)
            heapq.heappush(self._heaps.setdefault(category, []), entry)
        return entry.summary.snapshot(quote)

    def unsubscribe(self, category: str, topic: str) -> None:
        """Let the topic end."""
        entry = self._entries.pop((category, topic))
        entry.ended = True  # it leaves the heap when its time has come
        self._quotes.source.leave(category, entry.symbol)

    def due(self) -> Iterator[Publication]:
        """What the markets' times have come to."""
        for category, heap in self._heaps.items():
            now_ms = self._quotes.now_ms(category)
            while heap and heap[0].due_ms <= now_ms:
                entry = heap[0]
                quote = None if entry.ended else self._quotes.find(category, entry.symbol)
                if quote is None:  # nobody listens, or it is gone; listed again, it goes on
                    heapq.heappop(heap)
                    if not entry.ended:
                        entry.due_ms = now_ms + _GONE_MS
                        heapq.heappush(heap, entry)
                    continue
                summary = entry.summary
                payload = summary.push(quote)
                entry.due_ms = summary.next_ms(quote)
                heapq.heapreplace(heap, entry)
                if payload is not None:
                    yield Publication(category, summary.topic, payload, summary.sends_deltas)

    def wait_seconds(self) -> float | None:
        """Until the first of them; 0 if it is due."""
        waits = [heap[0].due_ms - self._quotes.now_ms(category) for category, heap in self._heaps.items() if heap]
        return max(0, min(waits)) / 1000 if waits else None

    def _find(self, category: str, topic: str) -> tuple[str, _Summary] | None:
        """The topic's symbol, and a new summary of it; None if there is no such topic."""
        match parse_topic(topic):
            case TickerTopic(symbol) if self._lists(category, symbol):
                return symbol, Ticker(category, topic)
            case KlineTopic(interval, symbol) if self._lists(category, symbol):
                if category in kline_topic.CATEGORIES and interval in INTERVALS:
                    return symbol, Kline(topic, interval, self._quotes.now_ms(category))
            case LiquidationTopic(symbol) if self._lists(category, symbol):
                if category in liquidation_topic.CATEGORIES:
                    return symbol, Liquidations(topic)
        return None

    def _lists(self, category: str, symbol: str) -> bool:
        return self._quotes.source.find(category, symbol) is not None
