"""Events of one kind, handed to callbacks and to async iterators.

A callback of an ordinary function is called at once, in the order of subscription. One that is a coroutine function,
and whoever iterates, takes events from a queue of its own, in order; a queue that is full loses its oldest event, and
its reader is told by an OverrunError how many. `Channel.latest` keeps only the newest, and loses nothing else.
"""

import asyncio
import inspect
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Hashable
from contextvars import ContextVar
from functools import partial
from types import TracebackType
from typing import Any, Generic, Self, TypeGuard, TypeVar
from weakref import WeakKeyDictionary

from feeder.errors import OverrunError, StreamError

Event = TypeVar("Event")

Callback = Callable[[Event], object] | Callable[[Event], Awaitable[object]]
Report = Callable[[Exception], None]
"""Where what a callback raised goes: it stops neither the stream nor the other callbacks."""

QUEUE_CAPACITY = 10_000  # events; half a minute of a busy market's tickers

Joined = TypeVar("Joined", bound="Iteration[Any]")

_calling: ContextVar[asyncio.Task[Any] | None] = ContextVar("_calling", default=None)
"""The task of the callback that this is done in, or by a task of that: whoever closes from there cannot wait for it."""


class Iteration(Generic[Event]):
    """An async iterator over a channel's events from its making on, which keeps those that nobody took yet.

    Ends when its channel is closed and all was taken, or by its own `close`; `async with` closes it.
    """

    def __init__(self, channel: "Channel[Event]") -> None:
        self._channel = channel
        self._news = asyncio.Event()
        self._closed = False

    @property
    def waits(self) -> bool:
        """Whether there is something to take."""
        raise NotImplementedError

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event."""
        while not self.waits:
            if self._closed:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._take()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take no more events; those that wait can still be taken."""
        self._closed = True
        self._channel.forget(self)
        self._news.set()

    def end(self) -> None:
        """Take no more events, and none of those that wait."""
        self.close()
        self._drop()

    def put(self, event: Event) -> None:
        """Called by the channel."""
        self._keep(event)
        self._news.set()

    def _take(self) -> Event:
        """What waits for longest."""
        raise NotImplementedError

    def _keep(self, event: Event) -> None:
        """Until it is taken."""
        raise NotImplementedError

    def _drop(self) -> None:
        """All that waits."""
        raise NotImplementedError


class Events(Iteration[Event]):
    """Every event, in order: `async with channel.events() as events: async for event in events: ...`.

    What comes while it is full costs the oldest one: then `async for` raises OverrunError once, which says how many
    were lost, and the iteration may go on after it.
    """

    def __init__(self, channel: "Channel[Event]", capacity: int) -> None:
        super().__init__(channel)
        self._capacity = capacity
        self._waiting: deque[Event] = deque()
        self._lost = 0

    @property
    def waits(self) -> bool:
        """Whether there is something to take."""
        return bool(self._waiting)

    def _take(self) -> Event:
        if self._lost:
            lost, self._lost = self._lost, 0
            raise OverrunError(f"{self._channel.name}: {lost} events lost; take them faster", lost)
        return self._waiting.popleft()

    def _keep(self, event: Event) -> None:
        if len(self._waiting) == self._capacity:
            self._waiting.popleft()
            self._lost += 1
        self._waiting.append(event)

    def _drop(self) -> None:
        self._waiting.clear()
        self._lost = 0


class Latest(Iteration[Event]):
    """The newest event of each key that nobody took yet; the key that waits for longest comes first.

    For whoever quotes by them, and must never work through old ones: nothing is an overrun.
    """

    def __init__(self, channel: "Channel[Event]", key: Callable[[Event], Hashable] | None) -> None:
        super().__init__(channel)
        self._key = key
        self._newest: OrderedDict[Hashable, Event] = OrderedDict()

    @property
    def waits(self) -> bool:
        """Whether there is something to take."""
        return bool(self._newest)

    def _take(self) -> Event:
        return self._newest.popitem(last=False)[1]

    def _keep(self, event: Event) -> None:
        self._newest[None if self._key is None else self._key(event)] = event  # one that is there keeps its turn

    def _drop(self) -> None:
        self._newest.clear()


class _Subscription(Generic[Event]):
    """A callback of an ordinary function. Each is another, though the function be the same."""

    __slots__ = ("callback", "is_refused")

    def __init__(self, callback: Callback[Event]) -> None:
        self.callback = callback
        self.is_refused = False  # it was told that what it makes is awaited by nobody


class _Lag:
    """What a callback lost from when it fell behind until it had caught up.

    Told when it begins, each time it has become ten times as much, and when it ends: never for each event.
    """

    def __init__(self, name: str, callback: str, report: Report) -> None:
        self._names = (name, callback)
        self._report = report
        self._lost = self._told = 0

    def lose(self, count: int) -> None:
        """So many more."""
        self._lost += count
        if self._lost >= 10 * self._told:
            self._tell()

    def end(self) -> None:
        """It has caught up."""
        if self._lost > self._told:
            self._tell()
        self._lost = self._told = 0

    def _tell(self) -> None:
        more = self._lost - self._told
        so_far = f", {self._lost} since it fell behind" if self._told else ""
        name, callback = self._names
        problem = f"the callback {callback} is too slow: {more} events lost{so_far}"
        self._told = self._lost
        self._report(OverrunError(f"{name}: {problem}; do less in it, or take the newest only, by latest()", more))


class Channel(Generic[Event]):
    """Who wants the events of one kind. `report` is told of what callbacks raise."""

    def __init__(self, name: str, report: Report) -> None:
        self.name = name
        self._report = report
        self._callbacks: dict[_Subscription[Event], None] = {}
        # Weakly: an iterator that was dropped, by a `break` for one, is to gather no events for ever.
        self._queues: WeakKeyDictionary[Iteration[Event], None] = WeakKeyDictionary()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def __bool__(self) -> bool:
        """Whether anybody wants them."""
        return bool(self._callbacks or self._queues)

    def on(self, callback: Callback[Event]) -> Callable[[], None]:
        """Call this for each event from now on; the result ends that. A coroutine function needs a running loop.

        To end a coroutine function cancels it where it is, unless it does so itself: then it goes on to its end.
        Raises TypeError for what cannot be called.
        """
        if not callable(callback):
            raise TypeError(f"{self.name}: on({callback!r:.60}): not callable; give a function or a coroutine function")
        if self._closed:
            return lambda: None
        if is_coroutine_function(callback):
            events = self.events()
            task = asyncio.create_task(self._feed(callback, events), name=f"callback of {self.name}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

            def end() -> None:
                events.end()
                if _calling.get() is not task:
                    task.cancel()

            return end
        subscription = _Subscription(callback)
        self._callbacks[subscription] = None

        def forget() -> None:
            self._callbacks.pop(subscription, None)

        return forget

    def events(self, capacity: int = QUEUE_CAPACITY) -> Events[Event]:
        """An iterator over the events from now on, which keeps at most `capacity` (at least 1) that nobody took yet."""
        if capacity < 1:
            raise ValueError(f"a queue of {capacity} events holds none; give at least 1")
        return self._joined(Events(self, capacity))

    def latest(self, key: Callable[[Event], Hashable] | None = None) -> Latest[Event]:
        """An iterator over the newest event from now on that nobody took yet; with `key`, the newest of each.

        For tickers and books of several symbols: `latest(lambda ticker: (ticker.category, ticker.symbol))`. A key
        that raises is reported, and its event left out.
        """
        if key is not None and not callable(key):
            raise TypeError(f"{self.name}: latest({key!r}): give a function that makes an event's key, or nothing")
        return self._joined(Latest(self, key))

    def publish(self, event: Event) -> None:
        """Hand an event to all. Never raises."""
        for subscription in tuple(self._callbacks):
            if subscription not in self._callbacks:  # one before it has ended it
                continue
            callback = subscription.callback
            try:
                made = callback(event)
            except Exception as error:  # noqa: BLE001 - a user's mistake must not stop the stream; it is reported
                self._report_raised(callback, error)
            except asyncio.CancelledError:
                self._report_cancelled(callback)
            else:
                if made is not None and inspect.isawaitable(made):
                    self._refuse(subscription, made)
        for events in tuple(self._queues):
            try:
                events.put(event)
            except Exception as error:  # noqa: BLE001 - a user's key
                self._report(error)

    def forget(self, events: Iteration[Event]) -> None:
        """Called by an iterator that is closed."""
        self._queues.pop(events, None)

    async def aclose(self) -> None:
        """End all iterators and callbacks; coroutines get what waits for them, and are waited for.

        But for the one that this is called in, which would wait for itself: it goes on to its end. What comes later
        to take events finds that there are none.
        """
        self._closed = True
        self._callbacks.clear()
        for events in tuple(self._queues):
            events.close()
        calling = _calling.get()
        await asyncio.gather(*(task for task in self._tasks if task is not calling), return_exceptions=True)

    def _joined(self, events: Joined) -> Joined:
        """It takes events from now on; none where the channel is closed."""
        if self._closed:
            events.close()
        else:
            self._queues[events] = None
        return events

    async def _feed(self, callback: Callable[[Event], Awaitable[object]], events: Events[Event]) -> None:
        task = asyncio.current_task()
        assert task is not None
        _calling.set(task)
        lag = _Lag(self.name, name_of(callback), self._report)
        while True:
            if not events.waits:
                lag.end()
            try:
                event = await anext(events)
            except StopAsyncIteration:
                return
            except OverrunError as error:
                lag.lose(error.lost)
                continue
            try:
                await callback(event)
            except Exception as error:  # noqa: BLE001 - as above
                self._report_raised(callback, error)
            except asyncio.CancelledError:
                if task.cancelling():
                    raise
                self._report_cancelled(callback)

    def _refuse(self, subscription: _Subscription[Event], made: Awaitable[object]) -> None:
        """What a function made has nobody who awaits it, unless it is a task, which goes on by itself."""
        if isinstance(made, asyncio.Future):
            return
        if inspect.iscoroutine(made):
            made.close()
        if not subscription.is_refused:
            subscription.is_refused = True
            problem = (
                f"the callback {name_of(subscription.callback)} makes a {type(made).__name__}, which nobody awaits"
            )
            self._report(TypeError(f"{self.name}: {problem}; give the coroutine function itself"))

    def _report_raised(self, callback: Callback[Event], error: Exception) -> None:
        note = f"in the callback {name_of(callback)} of {self.name}"
        if note not in getattr(error, "__notes__", ()):  # one that is raised again and again is one
            error.add_note(note)
        self._report(error)

    def _report_cancelled(self, callback: Callback[Event]) -> None:
        problem = f"the callback {name_of(callback)} was cancelled, by something that it waited for"
        self._report(StreamError(f"{self.name}: {problem}"))


def in_callback() -> bool:
    """Whether this is done in a callback that is a coroutine function, or in a task that one began."""
    return _calling.get() is not None


def is_coroutine_function(callback: object) -> TypeGuard[Callable[..., Awaitable[object]]]:
    """Whether it makes coroutines: an `async def`, a part of one, or an object whose call is one."""
    call = getattr(type(callback), "__call__", None)  # noqa: B004 - not whether, but which
    return inspect.iscoroutinefunction(callback) or inspect.iscoroutinefunction(call)


def name_of(callback: object) -> str:
    """What it is called where it was written."""
    while isinstance(callback, partial):
        callback = callback.func
    return str(getattr(callback, "__qualname__", type(callback).__qualname__))
