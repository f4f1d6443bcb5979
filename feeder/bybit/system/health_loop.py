"""A system looks after itself: every so often at its settings, at its health, at its account."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from feeder.clock import Clock

from .loop_lag import LoopLag

if TYPE_CHECKING:
    from .system import BybitSystem


class HealthLoop:
    """Goes round again and again, with health.interval_seconds of rest between. `report` is told of defects."""

    def __init__(
        self,
        system: "BybitSystem",
        report: Callable[[str, Exception], None],
        *,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._system = system
        self._report = report
        self._clock = clock
        self._sleep = sleep
        self._lag = LoopLag(clock, sleep)
        self._retimed = asyncio.Event()
        self._reconcile_at = 0.0  # monotonic seconds
        self._task: asyncio.Task[None] | None = None
        self._reconciling: asyncio.Task[None] | None = None

    @property
    def late_seconds(self) -> float:
        """How late the event loop was at most since `forget_lateness`."""
        return self._lag.worst

    def forget_lateness(self) -> None:
        """It was told."""
        self._lag.reset()

    def start(self) -> None:
        """Begin; the first round is an interval from now."""
        self._plan_reconciliation()
        self._lag.start()
        self._task = asyncio.create_task(self._run(), name="health of the system")

    def retime(self) -> None:
        """The settings are others: their times count from now, whatever is waited for."""
        self._plan_reconciliation()
        self._retimed.set()

    async def aclose(self) -> None:
        """End it, and a reconciliation that it has begun."""
        tasks = [task for task in (self._task, self._reconciling) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(self._lag.aclose(), *tasks, return_exceptions=True)

    async def _run(self) -> None:
        system = self._system
        while True:
            await self._pause(system.settings.health.interval_seconds)
            try:
                if system.settings.has("reload"):
                    await system.reload_if_changed()
                await system.check_health()
                self._reconcile_if_due()  # after the look: meanwhile the account is in doubt
            except Exception as error:  # noqa: BLE001 - a defect is told, and the loop goes on
                self._report("health loop", error)

    async def _pause(self, seconds: float) -> None:
        """Nothing, for so long or until other settings."""
        self._retimed.clear()
        waits = (asyncio.ensure_future(self._sleep(seconds)), asyncio.ensure_future(self._retimed.wait()))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _plan_reconciliation(self) -> None:
        self._reconcile_at = self._clock.monotonic() + (self._system.settings.health.reconcile_seconds or 0.0)

    def _reconcile_if_due(self) -> None:
        settings = self._system.settings
        due = settings.health.reconcile_seconds is not None and self._clock.monotonic() >= self._reconcile_at
        if not due or not settings.has("private"):
            return
        self._plan_reconciliation()
        if self._reconciling is None or self._reconciling.done():
            # Beside the loop: it lasts as long as the venue does not answer.
            self._reconciling = asyncio.create_task(self._system.streams.account.reconcile(), name="reconciliation")
            self._reconciling.add_done_callback(self._on_reconciled)

    def _on_reconciled(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self._report("account", error)
