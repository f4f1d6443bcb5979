"""An event loop in which no time is spent on waiting: whenever nothing is to be done, the next timer is due at once.

Sockets are real. On the loopback what was sent is there to be read when `send` returns, or when the kernel has had its
turn, so that a loop with both ends in it is idle only when everybody waits for a timer. Nothing within may use a
thread: a loop does not see it work.
"""

import asyncio
import os
import selectors
import socket
from typing import Any

from feeder.clock import SECOND_NS

_BEGIN_NS = 1_700_000_000 * SECOND_NS


class _Selector(selectors.EpollSelector):
    """`skipped`: seconds that nobody waited for."""

    skipped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            os.sched_yield()  # on a busy machine the kernel delivers in a thread of its own
            ready = super().select(0)
        if ready or not timeout:
            return ready if ready or timeout is not None else super().select(None)
        self.skipped += timeout
        return []


class QuickLoop(asyncio.SelectorEventLoop):
    """For `asyncio.Runner(loop_factory=QuickLoop)`."""

    def __init__(self) -> None:
        self._quick = _Selector()
        super().__init__(self._quick)

    def time(self) -> float:
        """Seconds, skipped ones among them."""
        return super().time() + self._quick.skipped

    async def getaddrinfo(self, host: Any, port: Any, **hints: Any) -> Any:
        """At once, in no thread; only for addresses that need no looking up."""
        flags = hints.pop("flags", 0) | socket.AI_NUMERICHOST
        return socket.getaddrinfo(host, port, flags=flags, **hints)


class LoopClock:
    """The loop's time as everybody's clock."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._begin = loop.time()

    def wall_ns(self) -> int:
        """Nanoseconds since the epoch, from a fixed day on."""
        return _BEGIN_NS + round((self._loop.time() - self._begin) * SECOND_NS)

    def monotonic(self) -> float:
        """Seconds of the loop."""
        return self._loop.time()
