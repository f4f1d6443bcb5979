"""An account over a stream that says what it is told to, and a REST that answers what it is given."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from feeder.bybit.streams.account import LATE_SECONDS, Account, Reconciled
from feeder.bybit.streams.private import PrivateStream
from feeder.clock import ManualClock
from feeder.errors import ConnectError

from .account_rows import Venue

SECONDS = 5.0
DOWN = "REST is down"


class Scene:
    """`told` is what the account's channels told, in order. Fills are asked for once more when `later` is set.

    The stream is never up by itself, but may be `refused` for good.
    """

    def __init__(self, **options: Any) -> None:
        self.clock = ManualClock()
        self.venue = Venue()
        self.stream = PrivateStream(self.venue, url="ws://127.0.0.1:1", clock=self.clock)
        self.refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.stream.ready = self.stream_ready  # type: ignore[method-assign]
        self.errors: list[Exception] = []
        self.stream.errors.on(self.errors.append)
        self.pauses: list[float] = []
        self.later = asyncio.Event()
        options = {"categories": ("linear",), "settle_coins": ("USDT",)} | options
        self.account = Account(self.venue, self.stream, clock=self.clock, random=Random(1), sleep=self.sleep, **options)
        self.told: list[Any] = []
        self.said: list[Reconciled] = []
        account = self.account
        for channel in (account.order_changes, account.fills, account.position_changes, account.wallet_changes):
            channel.on(self.told.append)
        account.reconciled.on(self.said.append)

    async def sleep(self, seconds: float) -> None:
        if seconds == LATE_SECONDS:
            await self.later.wait()
            return
        self.pauses.append(seconds)
        self.clock.advance(seconds)
        await asyncio.sleep(0)

    async def stream_ready(self, seconds: float = SECONDS) -> None:
        await asyncio.shield(self.refused)

    async def resume(self) -> None:
        """The stream is back, and REST has answered."""
        self.stream.resumed.publish(1)
        await self.account.ready(SECONDS)

    def lose(self) -> None:
        self.stream.lost.publish("cut")

    def asked(self, path: str) -> list[dict[str, object]]:
        return [given for each, given in self.venue.asked if each == path]


@asynccontextmanager
async def scenes(**options: Any) -> AsyncIterator[Scene]:
    scene = Scene(**options)
    async with scene.account:
        yield scene


async def turns(count: int) -> None:
    """Let what needs no waiting happen."""
    for _ in range(count):
        await asyncio.sleep(0)


def fail(venue: Venue, times: int) -> None:
    venue.failures += [ConnectError(DOWN) for _ in range(times)]
