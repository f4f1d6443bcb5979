"""An exchange, a feeder and a Prometheus that watches it, as processes; and what goes wrong with them on purpose."""

import asyncio
import json
import signal
import socket
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from feeder.wire import encoder
from feeder.wire.messages import Kind, PacketFlag, RetransmitRequest
from feeder.wire.packet import pack_header_into
from tests.helpers.processes import Addresses, Program, children, feeder, multicast_section, simulator, until
from tests.helpers.prometheus import Prometheus, configuration, free_port, prometheus

LIVE_SECONDS = 60.0


class Incident:
    """The programs. `prometheus` has been watching since the feeder's first book."""

    def __init__(
        self, market: Sequence[str], exchange: Program, addresses: Addresses, running: Program, port: int
    ) -> None:
        self.exchange = exchange
        self.feeder = running
        self.prometheus: Prometheus
        self._market = market
        self._addresses = addresses
        self.port = port  # of the multicast channels

    @property
    def symbols(self) -> list[str]:
        """What the exchange lists, linear."""
        _, told = self._addresses.get("/v5/market/instruments-info?category=linear&limit=1000")
        return [each["symbol"] for each in told["result"]["list"]]

    async def inject(self, fault: str, **keys: Any) -> None:
        """Have the exchange do something wrong (feeder/simulator/script.py)."""
        await asyncio.to_thread(self._post, {"fault": fault, **keys})

    def _post(self, entry: dict[str, Any]) -> None:
        url = self._addresses.rest + "/simulator/faults"
        request = urllib.request.Request(url, json.dumps(entry).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as reply:
            assert json.load(reply)["touched"], f"{entry} touched nothing"

    async def bursts(self, seconds: float, hold: float = 1.0) -> None:
        """For so long the exchange holds its messages back and then sends them all at once."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await self.inject("bursty", category="linear", seconds=hold)
            await asyncio.sleep(hold * 1.2)

    @asynccontextmanager
    async def exchange_again(self) -> AsyncIterator[Program]:
        """Another exchange where the first one was, after that was killed."""
        ports = [url.rpartition(":")[2] for url in (self._addresses.websocket, self._addresses.rest)]
        async with simulator(f"--port={ports[0]}", f"--rest-port={ports[1]}", *self._market) as (again, _):
            yield again

    @contextmanager
    def feeder_stopped(self) -> Iterator[None]:
        """The feeder stands still meanwhile (SIGSTOP, SIGCONT)."""
        self.feeder.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.feeder.process.send_signal(signal.SIGCONT)

    def ask_in_another_session(self, times: int) -> None:
        """Requests for lost messages as of a consumer that missed the feeder's restart; each is rejected."""
        header = bytearray(32)
        own = int(Kind.RETRANSMIT)  # partition 0's
        pack_header_into(header, own, PacketFlag.RETRANSMIT, 1, 1, 0, 0)
        body = encoder.retransmit_request(RetransmitRequest(1, 1, int(Kind.BOOKS)), 352 - len(header))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            for _ in range(times):
                asking.sendto(bytes(header) + body, ("127.0.0.1", self.port + own))


@asynccontextmanager
async def incident(
    folder: Path, market: Sequence[str], *, program: str, interval: float, factor: float, **settings: Any
) -> AsyncIterator[Incident]:
    """`feeder sim` with the arguments `market`, `feeder run` with these settings besides, Prometheus (`program`).

    It scrapes every `interval` seconds, with the shipped rules at `factor` times their pace. When this begins every
    book is LIVE and Prometheus knows it; at the end nothing is left running.
    """
    listen = f"127.0.0.1:{free_port()}"
    multicast = multicast_section()
    async with simulator(*market) as (exchange, addresses):
        given = {
            "exchange": {"websocket_url": addresses.websocket, "rest_url": addresses.rest},
            "subscriptions": [{"category": "linear", "depth": 50, "symbols": "all"}],
            "multicast": multicast,
            "telemetry": {"listen": listen, "counters": str(folder / "counters.dat")},
            "control": {"socket": None},
            "log": {"format": "json"},
            **settings,
        }
        async with feeder(folder, given) as running:
            made = Incident(market, exchange, addresses, running, multicast["port"])
            try:
                await running.wait_for_log("metrics served")
                config = configuration(listen, folder, interval=interval, factor=factor)
                async with prometheus(config, program) as made.prometheus:
                    await _all_live(made)
                    yield made
            finally:
                await _end(running)


async def _all_live(made: Incident) -> None:
    end = time.monotonic() + LIVE_SECONDS
    while not await made.prometheus.instant("instance:feeder_books_live:ratio == 1"):
        assert time.monotonic() < end, made.feeder.log[-3000:]
        await asyncio.sleep(0.2)


async def _end(running: Program) -> None:
    """The exporter ends with its feeder, and only of one that was killed it goes on."""
    if running.process.returncode is None:
        exporters = children(running.process.pid)
        running.process.send_signal(signal.SIGCONT)
        await running.end()
        await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in exporters), 15, "the exporter to end")
