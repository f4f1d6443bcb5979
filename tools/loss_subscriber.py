"""A subscriber behind a bad network: what arrives of each datagram, and when, is staged by tools/loss.py."""

import asyncio
from collections.abc import Iterable
from typing import Any, Self

from loss import Network

from feeder.client import Subscriber
from feeder.market.instrument import InstrumentKey
from feeder.wire.messages import Kind

_LET_GO_SECONDS = 0.002


class LossySubscriber(Subscriber):
    """Its every datagram, multicast or answer, comes through `network`; with None all arrives as it came."""

    def __init__(
        self, instruments: Iterable[InstrumentKey | str] | None = None, *, network: Network | None, **keys: Any
    ) -> None:
        super().__init__(instruments, **keys)
        self.network = network
        self._letting_go: asyncio.Task[None] | None = None

    @property
    def lost(self) -> int:
        """Datagrams that did not arrive, answers included."""
        return 0 if self.network is None else sum(line.lost.total() for line in self.network.stats.values())

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        if self.network is not None:
            self._letting_go = asyncio.create_task(self._let_go(self.network))
        return self

    async def aclose(self) -> None:
        """As every subscriber's."""
        if self._letting_go is not None:
            self._letting_go.cancel()
            await asyncio.wait([self._letting_go])
        await super().aclose()

    def on_datagram(self, line: str, channel_id: int, data: bytes) -> None:
        """A multicast datagram, as the kernel gave it."""
        self._pass(line, channel_id, data)

    def on_answer(self, partition: int, data: bytes) -> None:
        """A datagram of the feeder's retransmission."""
        self._pass("R", 16 * partition + Kind.RETRANSMIT, data)

    def on_staged(self, line: str, sent: bytes, arriving: bytes) -> None:
        """What the network makes of a datagram, once for each that will arrive; for whoever keeps an account."""

    def _pass(self, line: str, channel_id: int, data: bytes) -> None:
        if self.network is None:
            self._arrive(line, channel_id, data)
            return
        now = asyncio.get_running_loop().time()
        for when, arriving in self.network.arrivals(line, channel_id, data, now):
            self.on_staged(line, data, arriving)
            self._deliver(line, channel_id, when, arriving, now)

    async def _let_go(self, network: Network) -> None:
        """What is held back leaves in time."""
        while True:
            await asyncio.sleep(_LET_GO_SECONDS)
            now = asyncio.get_running_loop().time()
            for line, channel_id, when, arriving in network.on_time(now):
                self._deliver(line, channel_id, when, arriving, now)

    def _deliver(self, line: str, channel_id: int, when: float, data: bytes, now: float) -> None:
        if when <= now:
            self._arrive(line, channel_id, data)
        else:
            asyncio.get_running_loop().call_at(when, self._arrive, line, channel_id, data)

    def _arrive(self, line: str, channel_id: int, data: bytes) -> None:
        if line == "R":
            super().on_answer(channel_id // 16, data)
        else:
            super().on_datagram(line, channel_id, data)
