"""Ends requests that take too long, with one timer for all of them.

A timer for each, as aiohttp's `total` and asyncio.timeout have it, costs a twentieth of a whole request. Here every
request has the same time, so that they fall due in the order in which they began.
"""

import asyncio
from typing import Any

Task = asyncio.Task[Any]


class Watch:
    """Cancels a task that is watched for `seconds`; `is_overdue` then tells that from any other cancellation."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        # When it is due, by the event loop's time, ascending; how often it had been cancelled before it began.
        self._until: dict[Task, tuple[float, int]] = {}
        self._overdue: dict[Task, int] = {}  # cancelled from here; how often before it began
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> Task:
        """Watch the task that runs now, which is returned."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None
        until = loop.time() + self.seconds
        self._until[task] = until, task.cancelling()
        if self._timer is None:
            self._timer = loop.call_at(until, self._on_time, loop)
        return task

    def end(self, task: Task) -> None:
        """Watch it no longer."""
        self._until.pop(task, None)
        if self._overdue.pop(task, None) is not None:  # what was watched has ended all the same
            task.uncancel()

    def is_overdue(self, task: Task) -> bool:
        """Whether the CancelledError caught in the task is ours alone, which is then settled."""
        before = self._overdue.pop(task, None)
        return before is not None and task.uncancel() <= before

    def close(self) -> None:
        """End nobody any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_time(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        for task, (until, before) in list(self._until.items()):
            if until > now:
                self._timer = loop.call_at(until, self._on_time, loop)
                return
            del self._until[task]
            self._overdue[task] = before
            task.cancel()
