"""`kline.{interval}.{symbol}`: the bar that REST tells, as it grows, and once when it is final.

Source: Bybit v5, "Kline".
"""

import json

from feeder.simulator.chart import begin_of, end_of
from feeder.simulator.decimals import plain
from feeder.simulator.quotes import Quote
from feeder.simulator.tape import Bar

CATEGORIES = ("spot", "linear", "inverse")
"""Options have no klines."""

_PUSH_MS = 1000
_SILENCE_MS = 60_000  # a bar that does not change is told again after this long


class Kline:
    """One interval of one symbol: the bar at hand."""

    sends_deltas = False

    def __init__(self, topic: str, interval: str, now_ms: int) -> None:
        self.topic = topic
        self._interval = interval
        self._begin_ms = begin_of(interval, now_ms)
        self._told: Bar | None = None
        self._told_ms = 0

    def snapshot(self, quote: Quote) -> bytes | None:
        """The bar at hand, for one that comes now."""
        return self._message(quote, self._bar(quote), final=False)

    def push(self, quote: Quote) -> bytes | None:
        """The bar if it changed, or is final; then the next one is at hand."""
        bar, now = self._bar(quote), quote.now_ms
        end_ms = end_of(self._interval, self._begin_ms)
        if now >= end_ms:
            # What is told as final stays: no trade may come into it later, on REST either.
            quote.chart.tape.close(end_ms)
            message = self._message(quote, bar, final=True)
            self._begin_ms = end_ms
            self._told = None
            return message
        if bar == self._told and now < self._told_ms + _SILENCE_MS:
            return None
        self._told = bar
        self._told_ms = now
        return self._message(quote, bar, final=False)

    def next_ms(self, quote: Quote) -> int:
        """In a second, but not after the bar's end; at once if more bars have ended."""
        phase = int(quote.quotes.share("kline", quote.listing) * _PUSH_MS)
        next_push = (quote.now_ms - phase) // _PUSH_MS * _PUSH_MS + _PUSH_MS + phase
        return min(next_push, end_of(self._interval, self._begin_ms))

    def _bar(self, quote: Quote) -> Bar:
        return quote.chart.bar(self._begin_ms, end_of(self._interval, self._begin_ms))

    def _message(self, quote: Quote, bar: Bar, *, final: bool) -> bytes:
        begin, last = self._begin_ms, end_of(self._interval, self._begin_ms) - 1
        trades = quote.chart.tape.trades
        matched = trades[-1].time_ms if trades else quote.chart.past.end_ms
        row = {
            "start": begin,
            "end": last,
            "interval": self._interval,
            "open": quote.price(bar.open),
            "close": quote.price(bar.close),
            "high": quote.price(bar.high),
            "low": quote.price(bar.low),
            "volume": plain(bar.volume),
            "turnover": plain(bar.turnover),
            "confirm": final,
            "timestamp": min(max(matched, begin), last),
        }
        message = {"topic": self.topic, "data": [row], "ts": quote.now_ms, "type": "snapshot"}
        return json.dumps(message, separators=(",", ":")).encode("ascii")
