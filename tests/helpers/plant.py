"""The whole way of an update without the exchange and the network: router, queues, workers, publisher, consumers.

Tasks run on the test's event loop, time is moved by hand. What the venue said at each update id is kept, and every book
that a consumer shows as LIVE is held against it, at every change of it.
"""

import asyncio
import errno
import socket
from collections import Counter
from collections.abc import Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import cast

from feeder.client.book_view import BookView
from feeder.client.events import BookChanged, Event, StatusChanged
from feeder.client.partition import PartitionFeed
from feeder.clock import ManualClock
from feeder.market.instrument import InstrumentKey
from feeder.market.status import StatusReason
from feeder.market.update import BookUpdate
from feeder.multicast.channel import LineSender
from feeder.multicast.plan import Channel, ChannelPlan
from feeder.multicast.publisher import TICK_INTERVAL, Publisher
from feeder.pipeline.router import Router
from feeder.pipeline.symbol_queue import QueueBudget
from feeder.pipeline.worker import Worker
from tests.helpers.feed import Datagram, Levels, instrument, levels_of

DEPTH = 200
_TURNS = 100_000  # that anything here can take


class VenueBook:
    """One book of the exchange, and what it was at every update id."""

    def __init__(self, symbol: str, random: Random, clock: ManualClock) -> None:
        self.key: InstrumentKey = ("linear", symbol)
        self.history: dict[int, Levels] = {}
        self.generation = 0
        self._random = random
        self._clock = clock
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}
        self._u = 1

    @property
    def update_id(self) -> int:
        """Of the last update."""
        return self._u

    def snapshot(self) -> BookUpdate:
        """The book as it is, or a new one of ten levels a side."""
        if not self._bids:
            self._bids = {990 - n: 1 + n for n in range(10)}
            self._asks = {1010 + n: 1 + n for n in range(10)}
        return self._update(_flat(self._bids), _flat(self._asks), snapshot=True)

    def delta(self, levels: int = 3) -> BookUpdate:
        """Some prices of a side or the other get another quantity, or none."""
        random = self._random
        changes = [(random.randrange(900, 1100), random.randrange(4)) for _ in range(levels)]
        return self.change(
            {price: quantity for price, quantity in changes if price < 1000},
            {price: quantity for price, quantity in changes if price > 1000},
        )

    def change(self, bids: dict[int, int], asks: dict[int, int]) -> BookUpdate:
        """The delta that sets these quantities."""
        for side, changed in ((self._bids, bids), (self._asks, asks)):
            side.update(changed)
            for price in [price for price, quantity in changed.items() if not quantity]:
                del side[price]
        return self._update([v for level in bids.items() for v in level], [v for level in asks.items() for v in level])

    def levels(self) -> Levels:
        """As consumers show them, best first."""
        bids = tuple(v for price in sorted(self._bids, reverse=True) for v in (price, self._bids[price]))
        return bids, tuple(v for price in sorted(self._asks) for v in (price, self._asks[price]))

    def _update(self, bids: list[int], asks: list[int], *, snapshot: bool = False) -> BookUpdate:
        self._u += 1
        self.history[self._u] = self.levels()
        now = self._clock.wall_ns()
        return BookUpdate(snapshot, bids, asks, self._u, self._u, 10 * self._u, now, now, now, self.generation)


class Line:
    """The socket of one line of one channel: what it takes is on the wire; while `full`, it takes nothing."""

    def __init__(self, line: str, channel_id: int, plant: "Plant") -> None:
        self.sender = LineSender(line, cast(socket.socket, self))  # of a socket it wants only what is here
        self._line = line
        self._channel_id = channel_id
        self._plant = plant

    def send(self, packet: memoryview) -> int:
        """As a socket's."""
        error = self._plant.full.get(self._line)
        if error is not None:
            self._plant.refused[self._line] += 1
            raise error
        self._plant.wire.append((self._line, self._channel_id, bytes(packet)))
        return len(packet)


@dataclass
class Audited:
    """A consumer and what was seen of it: `checked` looks at LIVE books, `wrong` of them.

    `changes` has of each book, by symbol, the update id of each change and whether it was flagged conflated.
    """

    plant: "Plant"
    events: list[Event] = field(default_factory=list)
    asked: list[bytes] = field(default_factory=list)
    changes: dict[str, list[tuple[int, bool]]] = field(default_factory=dict)
    checked: int = 0
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.feed = PartitionFeed(
            0,
            list(self.plant.plan.channels),
            self.plant.clock,
            self._on_event,
            None,
            ask=lambda datagram, _: self.asked.append(datagram),
            random=Random(2),
        )

    def view(self, book: VenueBook) -> BookView:
        """Of one of the venue's books."""
        return self.feed.books.views[instrument(book.key[1]).id]

    def told(self, kind: type[Event]) -> list[Event]:
        """The events of one class."""
        return [event for event in self.events if isinstance(event, kind)]

    def look(self) -> None:
        """At every book."""
        for book in self.plant.venue.values():
            view = self.feed.books.views.get(instrument(book.key[1]).id)
            if view is not None:
                self._look(view)

    def _on_event(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, BookChanged | StatusChanged):
            self._look(event.view)
        if isinstance(event, BookChanged) and event.view.key is not None:
            view = event.view
            self.changes.setdefault(event.view.key[1], []).append((view.venue_update_id, view.conflated))

    def _look(self, view: BookView) -> None:
        if view.is_live and view.key is not None:
            self.checked += 1
            if self.plant.venue[view.key[1]].history.get(view.venue_update_id) != levels_of(view):
                self.wrong.append(f"{view.key[1]} at u={view.venue_update_id}")


class Plant:
    """One partition, two lines. `full` names lines that take nothing now, and with what error."""

    def __init__(self, symbols: Iterable[str], capacity: int, total: int, seed: int) -> None:
        self.clock = ManualClock()
        self.plan = ChannelPlan(partitions=1)
        self.wire: list[Datagram] = []
        self.full: dict[str, OSError] = {}
        self.refused: Counter[str] = Counter()  # sends, as counted here
        self.lines: list[Line] = []
        self.resyncs: list[tuple[InstrumentKey, StatusReason]] = []
        random = Random(seed)
        self.venue = {symbol: VenueBook(symbol, random, self.clock) for symbol in symbols}
        loop = asyncio.get_running_loop()
        self.publisher = Publisher(self.plan, self._open, self.clock, loop.call_soon)
        self.publisher.partitions[0].describe(self.plan.retransmit(0, {}))
        self.publisher.complete = True
        self.budget = QueueBudget(total)
        self.router = Router(capacity, self.budget, self._on_resync, self.clock)
        for symbol in self.venue:
            each = instrument(symbol)
            self.router.add(each, DEPTH, self.publisher.add(each, DEPTH))
        self.consumer = Audited(self)

    @property
    def books(self) -> list[VenueBook]:
        """The venue's."""
        return list(self.venue.values())

    def worker(self, book: VenueBook) -> Worker:
        """The task that keeps a book."""
        return self.router.workers[book.key]

    def put(self, book: VenueBook, *updates: BookUpdate) -> None:
        """As the exchange's connection does."""
        for update in updates:
            self.router.on_book(book.key, update)

    def line(self, name: str) -> LineSender:
        """The sender of the books channel on one line."""
        return next(each.sender for each in self.lines if each.sender.line == name)

    def is_full(self, *lines: str, error: int = errno.EAGAIN) -> None:
        """These lines take nothing from now on, the others everything."""
        kind = BlockingIOError if error == errno.EAGAIN else OSError
        self.full = {line: kind(error, "full") for line in lines}

    async def settle(self) -> None:
        """Until nothing waits any more: turns of the loop, what is sent arriving at once."""
        quiet = 0
        for _ in range(_TURNS):
            await asyncio.sleep(0)
            self._deliver()
            idle = all(worker.queue.empty for worker in self.router.workers.values())
            quiet = quiet + 1 if idle and not self.publisher._scheduled else 0
            if quiet == 3:
                return
        raise AssertionError("the loop never settles")

    async def turn(self) -> None:
        """One turn of the loop."""
        await asyncio.sleep(0)
        self._deliver()

    async def run(self, seconds: float) -> None:
        """Time passes on both sides."""
        for _ in range(round(seconds / TICK_INTERVAL)):
            self.clock.advance(TICK_INTERVAL)
            self.publisher.tick(self.clock.monotonic())
            await self.settle()
            self.consumer.feed.on_time()
            self._answer()
            self.consumer.look()

    def _answer(self) -> None:
        server = self.publisher.partitions[0].retransmit
        asked, self.consumer.asked[:] = list(self.consumer.asked), []
        for request in asked:
            for answer in server.answer(request, "10.0.0.1", self.clock.monotonic()):
                self.consumer.feed.on_answer(answer)

    def _deliver(self) -> None:
        wire, self.wire[:] = list(self.wire), []
        for datagram in wire:
            self.consumer.feed.on_datagram(*datagram)

    def _on_resync(self, key: InstrumentKey, reason: StatusReason, generation: int) -> None:
        self.resyncs.append((key, reason))

    def _open(self, channel: Channel) -> list[LineSender]:
        lines = [Line(end.line, channel.channel_id, self) for end in channel.endpoints]
        self.lines += lines
        return [line.sender for line in lines]


@asynccontextmanager
async def plant(*symbols: str, capacity: int = 100, total: int = 1000, seed: int = 1):  # type: ignore[no-untyped-def]
    """Every book LIVE, at the consumer too, and what led there forgotten."""
    made = Plant(symbols or ("BTCUSDT", "ETHUSDT", "XRPUSDT"), capacity, total, seed)
    try:
        await made.settle()
        for book in made.books:
            made.put(book, book.snapshot())
        await made.settle()
        await made.run(1.3)
        assert all(made.consumer.view(book).is_live for book in made.books)
        made.consumer.events.clear()
        yield made
        assert made.consumer.checked > 0
        assert made.consumer.wrong == []
    finally:
        await made.router.aclose()


def _flat(side: dict[int, int]) -> list[int]:
    return [value for level in side.items() for value in level]
