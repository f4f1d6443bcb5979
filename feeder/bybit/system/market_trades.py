"""The last trades of one symbol, from the stream and from REST, as one list."""

from collections import deque
from collections.abc import Iterable, Sequence
from decimal import Decimal

import msgspec

from feeder.market.instrument import Instrument
from feeder.market.update import Side, TradeUpdate

from ..rest.results.market import PublicTrade
from .books import amount

RECENT = 1000  # trades kept of a symbol; as many as REST tells at once

_SIDES = {Side.BUY: "Buy", Side.SELL: "Sell"}
_MILLISECOND_NS = 1_000_000


class Trade(msgspec.Struct, frozen=True):
    """A trade of the market; `side` (Buy, Sell) is the taker's, `time_ms` the venue's matching, `seq` the engine's."""

    category: str
    symbol: str
    side: str
    price: Decimal
    qty: Decimal
    time_ms: int
    trade_id: str
    seq: int


def of_stream(instrument: Instrument, trade: TradeUpdate) -> Trade:
    """A trade as the stream told it."""
    return Trade(
        instrument.category,
        instrument.symbol,
        _SIDES[trade.aggressor],
        amount(trade.price, instrument.price_exponent),
        amount(trade.quantity, instrument.quantity_exponent),
        trade.match_time_ns // _MILLISECOND_NS,
        trade.trade_id,
        trade.venue_sequence,
    )


def of_rest(category: str, trades: Iterable[PublicTrade]) -> list[Trade]:
    """Trades as REST told them, oldest first; those without a price, size, side or time are left out."""
    found = [
        Trade(
            category,
            each.symbol,
            each.side,
            each.price,
            each.size,
            each.time,
            each.exec_id,
            each.seq or 0,
        )
        for each in trades
        if each.price is not None and each.size is not None and each.side is not None and each.time is not None
    ]
    found.reverse()  # the venue's are newest first
    return found


class RecentTrades:
    """The last RECENT trades that the stream told, and how many of the youngest have none missing among them.

    A `run` is a number that is another as soon as some may have been missed; None while the stream tells none.
    """

    def __init__(self) -> None:
        self.updated_at: float | None = None  # monotonic seconds of the last that came
        self._whole = 0
        self._run: int | None = None
        self._trades: deque[Trade] = deque(maxlen=RECENT)

    @property
    def last(self) -> Trade | None:
        """The youngest."""
        return self._trades[-1] if self._trades else None

    def add(self, trades: Sequence[Trade], run: int | None, now: float) -> None:
        """Take what came in this run, oldest first."""
        if trades:
            self._whole = min(self.whole(run) + len(trades), RECENT)
            self._run = run
            self._trades.extend(trades)
            self.updated_at = now

    def interrupt(self) -> None:
        """Some have been missed since the last one."""
        self._whole = 0

    def whole(self, run: int | None) -> int:
        """How many of the youngest have none missing among them, or behind them, if this is the run now."""
        return self._whole if run is not None and run == self._run else 0

    def newest(self, count: int) -> list[Trade]:
        """The youngest `count`, oldest first."""
        return list(self._trades)[-count:]

    def merged(self, told: Iterable[Trade], count: int) -> list[Trade]:
        """The youngest `count` of those of the stream and those told by REST, each once, oldest first."""
        by_id = {trade.trade_id: trade for trade in told}
        by_id.update((trade.trade_id, trade) for trade in self._trades)
        # Stable: within a millisecond they stay as the venue told them.
        return sorted(by_id.values(), key=lambda trade: (trade.time_ms, trade.seq))[-count:]
