"""A feeder's real parts without sockets, their counters copied to a file in steps of a manual clock."""

from pathlib import Path
from random import Random
from typing import Any

from feeder.bybit.pool import BybitPool
from feeder.clock import ManualClock
from feeder.market.instrument import Instrument, InstrumentKey, instrument_id
from feeder.market.update import BookUpdate
from feeder.multicast.channel import LineSender
from feeder.multicast.plan import ChannelPlan
from feeder.multicast.publisher import TICK_INTERVAL, Publisher
from feeder.pipeline.router import Router
from feeder.pipeline.symbol_queue import QueueBudget
from feeder.pipeline.worker import Worker
from feeder.telemetry.copier import Copier, Plant
from feeder.telemetry.counters import Counters, CountersWriter, read
from feeder.telemetry.metrics import METRICS, METRICS_OF, SCHEMA, Metric, Of
from tests.helpers.instruments import instrument_table


class NoSocket:
    def send(self, packet: memoryview) -> int:
        return len(packet)

    def close(self) -> None: ...


class CountingWriter(CountersWriter):
    """Counts what is asked of it."""

    operations = 0

    def add(self, kind: int, label: str, count: int) -> int:
        self.operations += 1
        return super().add(kind, label, count)

    def store(self, position: int, values: Any) -> None:
        self.operations += 1
        super().store(position, values)


class TestPlant:
    __test__ = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = ManualClock()
        self.lines: list[tuple[Any, LineSender]] = []
        plan = ChannelPlan(2)

        def open_senders(channel: Any) -> list[LineSender]:
            senders = [LineSender(end.line, NoSocket()) for end in channel.endpoints]  # type: ignore[arg-type]
            self.lines += [(channel, sender) for sender in senders]
            return senders

        self.publisher = Publisher(plan, open_senders, self.clock, lambda flush: None)
        self.router = Router(10, QueueBudget(1000), lambda *_: None, self.clock)
        table = instrument_table("http://127.0.0.1:9", self.clock)
        self.pool = BybitPool("ws://127.0.0.1:9", table, self.router, clock=self.clock, random=Random(1))
        self.writer = CountingWriter(path, schema=SCHEMA, session_id=7, start_ns=self.clock.wall_ns())
        self.plant = Plant(self.pool, self.router, self.publisher, self.lines)
        self.copier = Copier(self.writer, self.plant, self.clock)

    def add(self, symbol: str) -> Worker:
        instrument = Instrument("linear", symbol, instrument_id("linear", symbol), -2, -3, 10, 1)
        return self.router.add(instrument, 50, self.publisher.add(instrument, 50))

    def update(self, symbol: str, update_id: int, *, snapshot: bool = False) -> None:
        now = self.clock.wall_ns()
        update = BookUpdate(snapshot, [100, 1], [101, 1], update_id, update_id, 0, now, now, now)
        self.router.on_book(("linear", symbol), update)

    def ticks(self, count: int) -> int:
        """So many ticks; the most operations that one of them took."""
        most = 0
        for _ in range(count):
            before = self.writer.operations
            self.copier.tick(self.clock.monotonic())
            most = max(most, self.writer.operations - before)
            self.clock.advance(TICK_INTERVAL)
        return most

    async def aclose(self) -> None:
        await self.router.aclose()
        if not self.read().ended:
            self.copier.close()

    def read(self) -> Counters:
        return read(self.path, SCHEMA)

    def value(self, name: str, label: str = "") -> int:
        metric = declared(name)
        index = METRICS_OF[metric.of].index(metric)
        (record,) = [r for r in self.read().records if r.kind == metric.of and r.label == label]
        return record.values[index]

    def books(self) -> list[InstrumentKey]:
        labels = [record.label.split("|") for record in self.read().records if record.kind == Of.BOOK]
        return [(category, symbol) for category, symbol in labels]


def declared(name: str) -> Metric:
    (metric,) = [metric for metric in METRICS if metric.name == name]
    return metric
