"""What happens in a system, for its user: by callbacks and by iteration, with types by the event's name."""

from collections.abc import Callable
from typing import Any, Literal, overload

from feeder.errors import ConfigError

from ..streams.channel import QUEUE_CAPACITY, Callback, Events, Latest
from ..streams.messages import ExecutionUpdate, OrderUpdate, PositionUpdate, TickerUpdate, WalletUpdate
from .books import BookEvent
from .events import ErrorOccurred, EventHub, EventName
from .market_trades import Trade
from .settings import SystemSettings
from .system_status import Health

_FEATURE_OF = {"ticker": "market", "trade": "market", "book": "market"}
_FEATURE_OF |= {"order": "private", "fill": "private", "position": "private", "wallet": "private"}


class SystemEvents:
    """The part of a system that tells what happens."""

    settings: SystemSettings
    _hub: EventHub

    @overload
    def on(self, event: Literal["ticker"], callback: Callable[[TickerUpdate], object]) -> Callable[[], None]: ...
    @overload
    def on(self, event: Literal["trade"], callback: Callable[[Trade], object]) -> Callable[[], None]: ...
    @overload
    def on(self, event: Literal["book"], callback: Callable[[BookEvent], object]) -> Callable[[], None]: ...
    @overload
    def on(self, event: Literal["order"], callback: Callable[[OrderUpdate], object]) -> Callable[[], None]: ...
    @overload
    def on(self, event: Literal["fill"], callback: Callable[[ExecutionUpdate], object]) -> Callable[[], None]: ...
    @overload
    def on(self, event: Literal["position"], callback: Callable[[PositionUpdate], object]) -> Callable[[], None]: ...
    @overload
    def on(self, event: Literal["wallet"], callback: Callable[[WalletUpdate], object]) -> Callable[[], None]: ...
    @overload
    def on(self, event: Literal["health_check"], callback: Callable[[Health], object]) -> Callable[[], None]: ...
    @overload
    def on(
        self, event: Literal["error_occurred"], callback: Callable[[ErrorOccurred], object]
    ) -> Callable[[], None]: ...
    @overload
    def on(self, event: EventName, callback: Callable[[object], object]) -> Callable[[], None]: ...
    def on(self, event: str, callback: Callback[Any]) -> Callable[[], None]:
        """Call this, a function or coroutine function, for each such event; the result ends that. See `EVENTS`.

        May be called before the start; a coroutine function needs a running loop. What a callback raises is told by
        error_occurred, and stops nothing. Raises FeederError for no such event, ConfigError for one of a feature that
        is off, TypeError for what is no name or cannot be called.
        """
        self._check_event(event)
        return self._hub.on(event, callback)

    @overload
    def events(self, event: Literal["ticker"], capacity: int = ...) -> Events[TickerUpdate]: ...
    @overload
    def events(self, event: Literal["trade"], capacity: int = ...) -> Events[Trade]: ...
    @overload
    def events(self, event: Literal["book"], capacity: int = ...) -> Events[BookEvent]: ...
    @overload
    def events(self, event: Literal["order"], capacity: int = ...) -> Events[OrderUpdate]: ...
    @overload
    def events(self, event: Literal["fill"], capacity: int = ...) -> Events[ExecutionUpdate]: ...
    @overload
    def events(self, event: Literal["position"], capacity: int = ...) -> Events[PositionUpdate]: ...
    @overload
    def events(self, event: Literal["wallet"], capacity: int = ...) -> Events[WalletUpdate]: ...
    @overload
    def events(self, event: Literal["health_check"], capacity: int = ...) -> Events[Health]: ...
    @overload
    def events(self, event: Literal["error_occurred"], capacity: int = ...) -> Events[ErrorOccurred]: ...
    @overload
    def events(self, event: EventName, capacity: int = ...) -> Events[Any]: ...
    def events(self, event: str, capacity: int = QUEUE_CAPACITY) -> Events[Any]:
        """An async iterator over such events from now on, at most `capacity` of which wait; raises as `on`.

        Whoever is too slow gets an OverrunError.
        """
        self._check_event(event)
        return self._hub.events(event, capacity)

    @overload
    def latest(self, event: Literal["ticker"]) -> Latest[TickerUpdate]: ...
    @overload
    def latest(self, event: Literal["trade"]) -> Latest[Trade]: ...
    @overload
    def latest(self, event: Literal["book"]) -> Latest[BookEvent]: ...
    @overload
    def latest(self, event: Literal["order"]) -> Latest[OrderUpdate]: ...
    @overload
    def latest(self, event: Literal["position"]) -> Latest[PositionUpdate]: ...
    @overload
    def latest(self, event: Literal["wallet"]) -> Latest[WalletUpdate]: ...
    @overload
    def latest(self, event: Literal["health_check"]) -> Latest[Health]: ...
    @overload
    def latest(self, event: EventName) -> Latest[Any]: ...
    def latest(self, event: str) -> Latest[Any]:
        """An async iterator over the newest such events that nobody took yet; raises as `on`, and never OverrunError.

        Of ticker, trade and book the newest of each (category, symbol), of position also by its index, of order of each
        order, of wallet of each account. Of fill and error_occurred every one counts: FeederError.
        """
        self._check_event(event)
        return self._hub.latest(event)

    def _check_event(self, event: object) -> None:
        if not isinstance(event, str):
            raise TypeError(f"{event!r} is no event's name, which comes first, as in on('fill', callback)")
        feature = _FEATURE_OF.get(event)
        if feature is None or self.settings.has(feature):
            return
        problem, remedy = f"is off, so that there is never a {event}", "switch it on"
        if feature == "private" and self.settings.client.api_key is None:
            problem, remedy = f"needs a key, without which there is never a {event}", "give api_key and api_secret"
        raise ConfigError(f"features.{feature}", problem, remedy)
