"""What happens in a system, by name: the hook for code of one's own. One that fails is told of; nothing stops."""

import asyncio
import logging
from collections.abc import Callable, Hashable
from difflib import get_close_matches
from functools import partial
from typing import Any, Literal

import msgspec

from feeder.clock import MILLISECOND_NS, Clock
from feeder.errors import FeederError

from ..streams.channel import QUEUE_CAPACITY, Callback, Channel, Events, Latest, is_coroutine_function
from ..streams.error_log import ErrorLog

EventName = Literal["ticker", "trade", "book", "order", "fill", "position", "wallet", "health_check", "error_occurred"]

EVENTS: dict[EventName, str] = {
    "ticker": "a watched symbol's ticker, whole: TickerUpdate",
    "trade": "a trade of a watched symbol: Trade",
    "book": "a watched symbol's book has changed: BookEvent",
    "order": "an order of the account: OrderUpdate",
    "fill": "a fill of the account, once: ExecutionUpdate",
    "position": "a position of the account: PositionUpdate",
    "wallet": "the account's coins: WalletUpdate",
    "health_check": "how the system is: Health",
    "error_occurred": "what went wrong, and where: ErrorOccurred",
}
"""Each event, and what its callbacks are called with."""

_NEWEST_OF: dict[str, Callable[[Any], Hashable] | None] = {
    "ticker": lambda ticker: (ticker.category, ticker.symbol),
    "trade": lambda trade: (trade.category, trade.symbol),
    "book": lambda book: (book.category, book.symbol),
    "order": lambda order: order.order_id,
    "position": lambda position: (position.category, position.symbol, position.position_idx),
    "wallet": lambda wallet: wallet.account_type,
    "health_check": None,
}
"""Of which the newest makes up for those before it, and of what each."""

_CLOSE_SECONDS = 2.0  # callbacks get so long for what waits for them

_log = logging.getLogger("feeder.bybit.system")


class ErrorOccurred(msgspec.Struct, frozen=True):
    """What went wrong: `source` names the part, or the callback, `time_ms` is when, by this machine's clock."""

    source: str
    error: Exception
    time_ms: int

    def __str__(self) -> str:
        return f"{self.source}: {type(self.error).__name__}: {self.error}"


class EventHub:
    """The channels of a system's events."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._log = ErrorLog(_log, clock)
        self._channels: dict[str, Channel[Any]] = {
            str(name): Channel(name, partial(self.report, f"callback of {name}")) for name in EVENTS
        }
        # To tell callbacks of errors of their own errors would go on for ever.
        self._channels["error_occurred"] = Channel(
            "error_occurred", partial(self._log.warn, "callback of error_occurred")
        )

    def on(self, event: str, callback: Callback[Any]) -> Callable[[], None]:
        """Call this for each such event from now on; the result ends that.

        Raises FeederError for no such event, and for a coroutine function outside of a running event loop.
        """
        channel = self._channel(event)
        if is_coroutine_function(callback) and not _is_in_loop():
            raise FeederError(f"{event}: a coroutine function needs a running event loop; call on() within one")
        return channel.on(callback)

    def events(self, event: str, capacity: int = QUEUE_CAPACITY) -> Events[Any]:
        """An async iterator over such events from now on. Raises FeederError for no such event."""
        return self._channel(event).events(capacity)

    def latest(self, event: str) -> Latest[Any]:
        """An async iterator over the newest such events. Raises FeederError for one that every one counts of."""
        channel = self._channel(event)
        if event not in _NEWEST_OF:
            raise FeederError(f"{event}: every one counts, not the newest alone; use events() or on()")
        return channel.latest(_NEWEST_OF[event])

    def publish(self, event: str, value: Any) -> None:
        """Tell all who want to know. Never raises."""
        self._channels[event].publish(value)

    def report(self, source: str, error: Exception) -> None:
        """Tell error_occurred; without anybody there, the log, which is spared repetitions (`error_log.py`)."""
        occurred = ErrorOccurred(source, error, self._clock.wall_ns() // MILLISECOND_NS)
        channel = self._channels["error_occurred"]
        if channel:
            channel.publish(occurred)
        else:
            self._log.warn(source, error)

    async def aclose(self) -> None:
        """End callbacks and iterators. Coroutines get what waits for them, for two seconds, and are cancelled then."""
        closing = [asyncio.create_task(channel.aclose()) for channel in self._channels.values()]
        _, late = await asyncio.wait(closing, timeout=_CLOSE_SECONDS)
        for task in late:
            task.cancel()
        if late:
            _log.warning("callbacks still ran after %g s, and were cancelled", _CLOSE_SECONDS)
            await asyncio.wait(late, timeout=_CLOSE_SECONDS)
        self._log.close()

    def _channel(self, event: str) -> Channel[Any]:
        channel = self._channels.get(event)
        if channel is None:
            near = get_close_matches(event, EVENTS, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise FeederError(f"{event!r}: no such event; {hint}there are {', '.join(EVENTS)}")
        return channel


def _is_in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
