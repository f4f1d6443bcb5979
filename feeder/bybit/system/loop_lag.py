"""Whether the event loop stood still: a callback that blocks it stops everything else, and nobody hears of it."""

import asyncio
from collections.abc import Awaitable, Callable

from feeder.clock import Clock

LOOK_SECONDS = 0.25


class LoopLag:
    """Sleeps again and again, and notes how late it was woken: `worst`, in seconds, since the last `reset`."""

    def __init__(self, clock: Clock, sleep: Callable[[float], Awaitable[None]]) -> None:
        self.worst = 0.0
        self._clock = clock
        self._sleep = sleep
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name="health of the event loop")

    def reset(self) -> None:
        """From now on anew."""
        self.worst = 0.0

    async def aclose(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            due = self._clock.monotonic() + LOOK_SECONDS
            await self._sleep(LOOK_SECONDS)
            self.worst = max(self.worst, self._clock.monotonic() - due)
