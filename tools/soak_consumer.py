"""A consumer of the soak, a process of its own: follows the feed through a bad network, writes down what it believes.

`soak_consumer.py SETTINGS`, as JSON (soak_records.Settings). Lines on its input say `calm` (lose nothing more) and
`end`; it also ends when its input does. The `feeder` package is the one on PYTHONPATH.
"""

import asyncio
import resource
import signal
import sys
import time
import zlib
from functools import partial
from pathlib import Path

import msgspec
from loss import Network, parse
from loss_subscriber import LossySubscriber
from soak_records import Altered, Figures, Flag, Look, Mark, Record, Sample, Settings, Status, encode

from feeder.client import (
    BookChanged,
    BookView,
    FeedEnded,
    FeederHeard,
    FeederLost,
    HoleAbandoned,
    HoleFilled,
    PacketsLost,
    SessionChanged,
    StatusChanged,
    ViewStatus,
)
from feeder.market.fixed_point import format_fixed
from feeder.market.update import pairs
from feeder.multicast import receiver
from feeder.multicast.plan import Line
from feeder.wire.messages import HEADER_LENGTH, Kind
from feeder.wire.packet import parse as parse_packet

_EVERY_LOOK_SECONDS = 1.0  # every LIVE book is looked at, whether or not it said that it changed
_BLOCK = 1000  # updates of a book that are looked at together, when not all are
_KNOWN_LEVELS = 200_000


class Notebook:
    """The file of records; nothing that is written down is lost when the process is killed a moment later."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._lines: list[bytes] = []

    def write(self, record: Record) -> None:
        """To be kept with the next flush."""
        self._lines.append(encode(record))

    def flush(self) -> None:
        """Hand it to the system."""
        if self._lines:
            self._file.write(b"".join(self._lines))
            self._lines.clear()


class BadNetwork(LossySubscriber):
    """Behind the network that the settings name; what it altered is written down."""

    def __init__(self, settings: Settings, notebook: Notebook) -> None:
        super().__init__(
            settings.instruments,
            network=Network(parse(settings.faults), settings.seed) if settings.faults else None,
            lines=[Line(*line) for line in settings.lines],
            port=settings.port,
            partitions=settings.partitions,
        )
        self.datagrams = 0
        self._notebook = notebook
        self._altered: set[bytes] = set()  # headers of packets that were written down as altered

    def on_datagram(self, line: str, channel_id: int, data: bytes) -> None:
        """A multicast datagram, as the kernel gave it."""
        self.datagrams += 1
        super().on_datagram(line, channel_id, data)

    def on_staged(self, line: str, sent: bytes, arriving: bytes) -> None:
        """Write down what the network altered of the multicast."""
        same_packet = arriving[:HEADER_LENGTH] == sent[:HEADER_LENGTH] and len(arriving) == len(sent)
        if line != "R" and same_packet and arriving != sent:
            self._note_altered(sent, arriving, time.monotonic())

    def _note_altered(self, sent: bytes, arriving: bytes, now: float) -> None:
        """Write down which book an altered packet lies about; once for all its copies."""
        header = sent[:HEADER_LENGTH]
        if header not in self._altered:
            self._altered.add(header)
            place = next(index for index, pair in enumerate(zip(sent, arriving, strict=True)) if pair[0] != pair[1])
            frame = max((f for f in parse_packet(sent).frames if f.root <= place), key=lambda f: f.root)
            self._notebook.write(Altered(now, frame.instrument_id))


class Account:
    """Listens to a consumer and writes down what it says and shows."""

    def __init__(self, settings: Settings, consumer: BadNetwork, notebook: Notebook) -> None:
        self._settings = settings
        self._consumer = consumer
        self._notebook = notebook
        self._sessions: dict[int, int] = {}
        self._all_live = False
        self._next_looks = 0.0
        self._level_texts: dict[tuple[int, int, int, int], str] = {}
        consumer.on(BookChanged, lambda event: self._look(event.view))
        consumer.on(StatusChanged, self._on_status)
        consumer.on(SessionChanged, self._on_session)
        consumer.on(PacketsLost, self._on_lost)
        consumer.on(HoleFilled, self._on_filled)
        consumer.on(HoleAbandoned, self._on_abandoned)
        consumer.on(FeederLost, self._on_partition)
        consumer.on(FeederHeard, self._on_partition)
        consumer.on(FeedEnded, self._on_partition)

    def sample(self) -> None:
        """Write down every book's status, and hand all that was written to the system."""
        now = time.monotonic()
        sequences: dict[int, int] = {}
        others: dict[int, str] = {}
        for feed in self._consumer.feeds.values():
            for book, view in feed.books.views.items():
                if view.definition is not None:
                    sequences[book] = view.sequence
                    status = view.status
                    if status is not ViewStatus.LIVE:
                        others[book] = status.name
        self._notebook.write(Sample(now, dict(self._sessions), sequences, others))
        self._note_all_live(now)
        if now >= self._next_looks:
            self._next_looks = now + _EVERY_LOOK_SECONDS
            self.look_at_all()
        self._notebook.flush()

    def look_at_all(self) -> None:
        """Every LIVE book as it is, and the counters."""
        for feed in self._consumer.feeds.values():
            for view in feed.books.views.values():
                self._look(view)
        self._notebook.write(Figures(time.monotonic(), self._figures()))

    def mark(self, what: str) -> None:
        """Write down a moment."""
        self._notebook.write(Mark(time.monotonic(), what))
        self._notebook.flush()

    def _look(self, view: BookView) -> None:
        book, share = view.instrument_id, self._settings.share
        if (book + view.sequence // _BLOCK) % share or not view.is_live:
            return
        session = self._sessions[book % self._settings.partitions]
        self._notebook.write(
            Look(
                time.monotonic(),
                session,
                book,
                view.sequence,
                view.checksum(),
                view.venue_update_id,
                view.venue_sequence,
                self._text(view) if self._settings.with_text else None,
                view.conflated,
            )
        )

    def _text(self, view: BookView) -> int:
        """The CRC-32 that the simulator tells of a book: of its levels as plain decimal text."""
        known = self._level_texts
        if len(known) > _KNOWN_LEVELS:
            known.clear()
        levels = view.depth()
        price_exponent, quantity_exponent = view.price_exponent, view.quantity_exponent
        texts = []
        for side in (levels.bids, levels.asks):
            for price, quantity in pairs(side):
                key = (price, quantity, price_exponent, quantity_exponent)
                text = known.get(key)
                if text is None:
                    text = known[key] = f"{_plain(price, price_exponent)}:{_plain(quantity, quantity_exponent)};"
                texts.append(text)
        return zlib.crc32("".join(texts).encode("ascii"))

    def _on_status(self, event: StatusChanged) -> None:
        now = time.monotonic()
        self._notebook.write(Status(now, event.view.instrument_id, event.status.name, event.reason.name))
        self._note_all_live(now)
        self._look(event.view)

    def _note_all_live(self, now: float) -> None:
        """Write down when the last book became LIVE, and when the first is no more."""
        books = self._consumer.books
        all_live = len(books) >= self._settings.books and all(view.is_live for view in books.values())
        if all_live != self._all_live:
            self._all_live = all_live
            self._notebook.write(Mark(now, "all LIVE" if all_live else "not all LIVE"))

    def _on_session(self, event: SessionChanged) -> None:
        self._sessions[event.partition] = event.session_id
        self._notebook.write(Flag(time.monotonic(), "SessionChanged", event.partition, session=event.session_id))

    def _on_partition(self, event: FeederLost | FeederHeard | FeedEnded) -> None:
        self._notebook.write(Flag(time.monotonic(), type(event).__name__, event.partition))

    def _on_lost(self, event: PacketsLost) -> None:
        # Nothing behind the hole was delivered yet: but for one whose snapshot reaches beyond it, no book is proven.
        views = self._consumer.feeds[event.partition].books.views.values() if event.kind is Kind.BOOKS else ()
        self._notebook.write(
            Flag(
                time.monotonic(),
                "PacketsLost",
                event.partition,
                event.kind.name,
                event.first,
                event.last,
                dropped_here=event.dropped_here,
                live=sum(view.is_live and view.proof < event.last for view in views),
            )
        )

    def _on_filled(self, event: HoleFilled) -> None:
        self._notebook.write(
            Flag(
                time.monotonic(),
                "HoleFilled",
                event.partition,
                event.kind.name,
                event.first,
                event.last,
                seconds=event.seconds,
            )
        )

    def _on_abandoned(self, event: HoleAbandoned) -> None:
        self._notebook.write(
            Flag(time.monotonic(), "HoleAbandoned", event.partition, event.kind.name, event.first, event.last)
        )

    def _figures(self) -> dict[str, int]:
        consumer = self._consumer
        feeds = consumer.feeds.values()
        arbiters = [arbiter for feed in feeds for _, arbiter in feed.arbiters.values()]
        repairs = [feed.repairs.stats for feed in feeds]
        counters = [feed.books.counters for feed in feeds]
        return {
            "datagrams": consumer.datagrams,
            "lost": consumer.lost,
            "messages": sum(arbiter.stats.messages for arbiter in arbiters),
            "duplicates": sum(arbiter.stats.duplicates for arbiter in arbiters),
            "reordered": sum(arbiter.stats.reordered for arbiter in arbiters),
            "messages_lost": sum(arbiter.stats.lost for arbiter in arbiters),
            "requests": sum(stats.requests for stats in repairs),
            "request_bytes": sum(stats.request_bytes for stats in repairs),
            "answers": sum(stats.answers for stats in repairs),
            "answer_bytes": sum(stats.answer_bytes for stats in repairs),
            "rejects": sum(sum(stats.rejects.values()) for stats in repairs),
            "breaks": sum(each.breaks for each in counters),
            "checksum_mismatches": sum(each.checksum_mismatches for each in counters),
            "snapshots_loaded": sum(each.snapshots_loaded for each in counters),
            "malformed": sum(feed.malformed for feed in feeds) + sum(each.malformed for each in counters),
            "callback_errors": consumer.callback_errors,
            "cpu_ms": int(1000 * sum(resource.getrusage(resource.RUSAGE_SELF)[:2])),
        }


def _plain(number: int, exponent: int) -> str:
    text = format_fixed(number, exponent)
    return text.rstrip("0").rstrip(".") if "." in text else text


async def _run(settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    if settings.receive_buffer is not None:
        receiver.RECEIVE_BUFFER = settings.receive_buffer
    notebook = Notebook(Path(settings.records))
    consumer = BadNetwork(settings, notebook)
    account = Account(settings, consumer, notebook)
    ended = asyncio.Event()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(partial(asyncio.StreamReaderProtocol, commands), sys.stdin)

    async def obey() -> None:
        async for line in commands:
            command = line.decode().strip()
            if command == "calm":
                if consumer.network is not None:
                    consumer.network.active = False
                account.mark("calm")
            elif command == "end":
                break
        ended.set()

    async def watch() -> None:
        while True:
            account.sample()
            await asyncio.sleep(settings.sample_seconds)

    async with consumer:
        account.mark("joined")
        tasks = [asyncio.create_task(each) for each in (watch(), obey())]
        await ended.wait()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        account.sample()
        account.look_at_all()
    account.mark("end")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt from the terminal is the soak's affair
    asyncio.run(_run(msgspec.json.decode(sys.argv[1], type=Settings)))
