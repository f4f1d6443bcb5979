"""A simulated venue, a file of settings for it, and a system on both whose health loop goes round when it is told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from feeder.bybit.system.loop_lag import LOOK_SECONDS
from feeder.bybit.system.settings import SystemSettings
from feeder.bybit.system.system import BybitSystem
from feeder.bybit.system.system_reload import SETTLE_SECONDS
from feeder.simulator.keys import DEFAULT_KEY
from feeder.simulator.script import parse_fault
from feeder.simulator.server import Simulator, SimulatorConfig
from tests.helpers.secrets import secret_file

SECONDS = 10.0
BTC = "watch: [{category: linear, symbols: [BTCUSDT]}]\n"
FAST = "websocket: {reconnect_first_seconds: 0.01, reconnect_cap_seconds: 0.05}\n"
_OURS = ("bybit", "callback", "close", "end", "health", "linear", "market", "private", "reconcil", "spot", "start")


class Scene:
    """A simulated venue, a file of settings for it, and what a system told."""

    def __init__(self, sim: Simulator, file: Path) -> None:
        self.sim = sim
        self.file = file
        self.environ = {"BYBIT_BASE_URL": sim.rest_url, "BYBIT_WEBSOCKET__URL": sim.websocket_url}
        self.with_key = {
            "BYBIT_API_KEY": DEFAULT_KEY.key,
            "BYBIT_API_SECRET": DEFAULT_KEY.secret,
            "BYBIT_ACCOUNT__CATEGORIES": "[linear, spot]",
        }
        self.seen: list[tuple[str, Any]] = []
        self.news = asyncio.Event()
        self.naps: list[float] = []  # of the health loop
        self.while_settling: Callable[[], object] = lambda: None  # between two looks at a file that has changed
        self._rounds = asyncio.Semaphore(0)

    def settings(self, content: str = "", *, key: bool = True, **environ: str) -> SystemSettings:
        secret_file(self.file, content)
        return SystemSettings.load(self.file, self.environ | (self.with_key if key else {}) | environ)

    def system(self, content: str = "", *, key: bool = True, **environ: str) -> BybitSystem:
        system = BybitSystem(self.settings(content, key=key, **environ), sleep=self._sleep)
        for event in ("error_occurred", "health_check"):
            system.on(event, self.note(event))
        return system

    async def _sleep(self, seconds: float) -> None:
        if seconds == SETTLE_SECONDS:
            self.while_settling()
            return
        if seconds == LOOK_SECONDS:  # a slow machine is no matter here
            await asyncio.Event().wait()
        self.naps.append(seconds)
        self.news.set()
        await self._rounds.acquire()

    def wake(self) -> None:
        """Let the health loop go round once."""
        self._rounds.release()

    def note(self, event: str) -> Callable[[Any], None]:
        def take(value: Any) -> None:
            self.seen.append((event, value))
            self.news.set()

        return take

    def of(self, event: str) -> list[Any]:
        return [value for each, value in self.seen if each == event]

    def fault(self, **entry: Any) -> None:
        self.sim.inject(parse_fault(entry))

    async def until(self, wanted: Callable[[], Any]) -> None:
        """Wait until it holds: looked at whenever something is told, and every 20 ms for what nobody tells."""
        async with asyncio.timeout(SECONDS):
            while not wanted():
                self.news.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.news.wait(), 0.02)

    async def nothing_is_left(self) -> None:
        """No task but the test's and the simulator's, no connection at the venue."""
        await self.until(lambda: not self.sim._websocket._connections)
        own = {task.get_name() for task in asyncio.all_tasks()}
        left = {name for name in own if name.startswith(_OURS)}
        assert not left


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """A venue for each test."""
    async with Simulator(SimulatorConfig(categories=("linear", "spot"), symbols=6)) as sim:
        yield Scene(sim, tmp_path / "bybit.yaml")


@asynccontextmanager
async def running(system: BybitSystem) -> AsyncIterator[BybitSystem]:
    """Start it, and end it."""
    async with asyncio.timeout(4 * SECONDS), system:
        yield system
