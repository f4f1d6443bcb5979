"""`tickers.{symbol}`: REST's row of a symbol, pushed whenever it changed. Source: Bybit v5, "Ticker".

Contracts get a snapshot and then deltas of the fields that changed; spot and option get snapshots only.
"""

import json
from decimal import Decimal

from feeder.simulator.decimals import plain
from feeder.simulator.messages import Trade
from feeder.simulator.quotes import Quote

PUSH_MS = {"spot": 50, "linear": 100, "inverse": 100, "option": 100}
"""Milliseconds from one push to the next, by category."""

_SLOW_MS = 1000  # what changes by time alone, such as volume of the last 24 hours, is looked at this often
# Each category's fields, in its own order.
_FUTURES_ORDER = (
    "symbol",
    "tickDirection",
    "price24hPcnt",
    "lastPrice",
    "prevPrice24h",
    "highPrice24h",
    "lowPrice24h",
    "prevPrice1h",
    "markPrice",
    "indexPrice",
    "openInterest",
    "openInterestValue",
    "singleOpenInterest",
    "singleOpenInterestValue",
    "turnover24h",
    "volume24h",
    "fundingIntervalHour",
    "fundingCap",
    "nextFundingTime",
    "fundingRate",
    "bid1Price",
    "bid1Size",
    "ask1Price",
    "ask1Size",
    "preOpenPrice",
    "preQty",
    "curPreListingPhase",
)
_SPOT_ORDER = (
    "symbol",
    "lastPrice",
    "highPrice24h",
    "lowPrice24h",
    "prevPrice24h",
    "volume24h",
    "turnover24h",
    "price24hPcnt",
    "usdIndexPrice",
)
# The field's name here, and REST's.
_OPTION_NAMES = {
    "symbol": "symbol",
    "bidPrice": "bid1Price",
    "bidSize": "bid1Size",
    "bidIv": "bid1Iv",
    "askPrice": "ask1Price",
    "askSize": "ask1Size",
    "askIv": "ask1Iv",
    "lastPrice": "lastPrice",
    "highPrice24h": "highPrice24h",
    "lowPrice24h": "lowPrice24h",
    "markPrice": "markPrice",
    "indexPrice": "indexPrice",
    "markPriceIv": "markIv",
    "underlyingPrice": "underlyingPrice",
    "openInterest": "openInterest",
    "turnover24h": "turnover24h",
    "volume24h": "volume24h",
    "totalVolume": "totalVolume",
    "totalTurnover": "totalTurnover",
    "delta": "delta",
    "gamma": "gamma",
    "vega": "vega",
    "theta": "theta",
    "predictedDeliveryPrice": "predictedDeliveryPrice",
    "change24h": "change24h",
}


class Ticker:
    """One symbol's ticker: what its subscribers know."""

    def __init__(self, category: str, topic: str) -> None:
        self.topic = topic
        self.sends_deltas = category in ("linear", "inverse")
        self._row: dict[str, str] = {}
        self._state: tuple[int, Trade | None, int] | None = None
        self._seq = 0

    def snapshot(self, quote: Quote) -> bytes | None:
        """For one that comes now: what the others know already, so that the next delta fits both."""
        if not self._row:
            self._row = _row(quote)
            self._seq = quote.touch.seq
        return self._message(quote, self._row, snapshot=True)

    def push(self, quote: Quote) -> bytes | None:
        """What changed since the last push."""
        state = _state(quote)
        if state == self._state:
            return None
        self._state = state
        row = _row(quote)
        changed = {name: text for name, text in row.items() if self._row.get(name) != text}
        if not changed:
            return None
        self._row = row
        self._seq = quote.touch.seq
        if self.sends_deltas:
            return self._message(quote, {"symbol": row["symbol"]} | changed, snapshot=False)
        return self._message(quote, row, snapshot=True)

    def next_ms(self, quote: Quote) -> int:
        """When to push next."""
        period = PUSH_MS[quote.listing.category]
        phase = int(quote.quotes.share("ticker", quote.listing) * period)
        return (quote.now_ms - phase) // period * period + period + phase

    def _message(self, quote: Quote, data: dict[str, str], *, snapshot: bool) -> bytes:
        topic, ts, cs = self.topic, quote.now_ms, self._seq
        kind = "snapshot" if snapshot else "delta"
        message: dict[str, object]
        match quote.listing.category:
            case "spot":
                message = {"topic": topic, "ts": ts, "type": kind, "cs": cs, "data": data}
            case "option":
                message = {"id": f"{topic}-{cs}-{ts}", "topic": topic, "ts": ts, "data": data, "type": kind}
            case _:
                message = {"topic": topic, "type": kind, "data": data, "cs": cs, "ts": ts}
        return json.dumps(message, separators=(",", ":")).encode("ascii")


def _state(quote: Quote) -> tuple[int, Trade | None, int]:
    """What a row is made of, cheaply: as long as it is the same, the row is."""
    trades = quote.chart.tape.trades
    return quote.touch.seq, trades[-1] if trades else None, quote.now_ms // _SLOW_MS


def _row(quote: Quote) -> dict[str, str]:
    told = quote.ticker()
    match quote.listing.category:
        case "spot":
            return {name: told[name] for name in _SPOT_ORDER}
        case "option":
            # An empty side is 0 here, and nothing on REST.
            return {name: told[rest] or "0" for name, rest in _OPTION_NAMES.items()}
    trades = quote.chart.tape.trades
    # REST tells open interest of both sides only; of one side it is half.
    halves = {
        f"single{name[0].upper()}{name[1:]}": plain(Decimal(told[name]) / 2)
        for name in ("openInterest", "openInterestValue")
    }
    direction = {"tickDirection": (trades[-1].tick_direction if trades else "") or "ZeroPlusTick"}
    row = told | halves | direction
    return {name: row[name] for name in _FUTURES_ORDER}
