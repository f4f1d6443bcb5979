"""What one symbol traded since its market began: the last trades, and the bars that they make."""

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass
from decimal import Decimal

from feeder.simulator.messages import Trade

KEPT_TRADES = 1000
"""As many as the venue's REST tells of one symbol."""

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS

_KEPT_MINUTES = 1500  # 25 hours of them; hours are kept for good


@dataclass(slots=True)
class Bar:
    """Prices, volume and turnover of a span. Turnover is in the coin that is paid with."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    turnover: Decimal

    def extend(self, other: "Bar") -> None:
        """Go on with a later bar."""
        self.high = max(self.high, other.high)
        self.low = min(self.low, other.low)
        self.close = other.close
        self.volume += other.volume
        self.turnover += other.turnover


class Bars:
    """Bars of one length by the time that they begin at, ms since the epoch."""

    def __init__(self, length_ms: int, most: int | None = None) -> None:
        self.length_ms = length_ms
        self._most = most
        self._begins: list[int] = []
        self._bars: dict[int, Bar] = {}

    def add(self, time_ms: int, bar: Bar) -> None:
        """One trade more."""
        begin = time_ms - time_ms % self.length_ms
        if self._begins:
            begin = max(begin, self._begins[-1])  # a recording's times may step back; its order is what happened
        known = self._bars.get(begin)
        if known is not None:
            known.extend(bar)
            return
        self._begins.append(begin)
        self._bars[begin] = bar
        if self._most is not None and len(self._begins) > 2 * self._most:
            for old in self._begins[: -self._most]:
                del self._bars[old]
            del self._begins[: -self._most]

    def between(self, start_ms: int, end_ms: int) -> list[Bar]:
        """Those that begin from `start_ms` on and before `end_ms`, oldest first."""
        first, last = bisect_left(self._begins, start_ms), bisect_left(self._begins, end_ms)
        return [self._bars[begin] for begin in self._begins[first:last]]

    def close_before(self, time_ms: int) -> Decimal | None:
        """The last price of the bars that begin before then; None if there are none."""
        index = bisect_left(self._begins, time_ms)
        return self._bars[self._begins[index - 1]].close if index else None


class Tape:
    """The trades of one symbol, oldest first; a recording's may tell the same time again and again.

    It begins at `begun_ms` and `first_price`, or else with its first trade.
    """

    def __init__(self, category: str, begun_ms: int | None = None, first_price: Decimal | None = None) -> None:
        self.begun_ms = begun_ms
        self.first_price = first_price
        self.trades: deque[Trade] = deque(maxlen=KEPT_TRADES)
        self.minutes = Bars(MINUTE_MS, _KEPT_MINUTES)
        self.hours = Bars(HOUR_MS)
        self._inverse = category == "inverse"
        self._final_ms = 0

    def begin(self, time_ms: int, price: Decimal) -> None:
        """It begins now, before its first trade; harmless if it has begun."""
        if self.begun_ms is None:
            self.begun_ms = time_ms
            self.first_price = price

    def close(self, end_ms: int) -> None:
        """The bars that end by then were told as final: a trade that comes late counts in the next one."""
        self._final_ms = max(self._final_ms, end_ms)

    def add(self, trade: Trade) -> None:
        """One trade more."""
        self.trades.append(trade)
        self.begun_ms = trade.time_ms if self.begun_ms is None else self.begun_ms
        price = Decimal(trade.price).scaleb(-trade.scale.price_digits)
        size = Decimal(trade.size).scaleb(-trade.scale.size_digits)
        self.first_price = self.first_price or price
        paid = size / price if self._inverse else size * price
        time_ms = max(trade.time_ms, self._final_ms)
        for bars in self.minutes, self.hours:
            bars.add(time_ms, Bar(price, price, price, price, size, paid))
