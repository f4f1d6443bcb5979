"""A partition's books at the consumer, without I/O: ordered messages in, books and events out.

A hole that outlives the reorder window makes every book of the partition SUSPECT at once, by comparing numbers: its
last proof is older than the hole's end. A book is proven again by the first of: a later message that continues its
instrumentSequence, a matching checksum, a snapshot good to at least the hole's end. A book whose instrumentSequence
breaks keeps what comes and waits for a snapshot, which counts only if nothing between it and now can be missing. A
snapshot that overtook the books channel waits until that has come as far.

A book that holds more than the feeder's at that moment, or holds it at another scale or status, was misled by an
altered packet: whatever message shows it breaks the book.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from feeder.client.book_view import BookView, PartitionHealth
from feeder.client.events import (
    BookChanged,
    Defined,
    Event,
    FeedEnded,
    FeederHeard,
    FeederLost,
    PacketsLost,
    SessionChanged,
    StatusChanged,
)
from feeder.client.snapshot import SnapshotAssembly
from feeder.client.status import FEEDER_STATUS, ViewStatus
from feeder.clock import Clock
from feeder.errors import WireError
from feeder.market.status import BookStatus, StatusReason
from feeder.multicast.arbiter import Heard, Hole, Output, Run, SessionEnded, SessionStarted, Silent
from feeder.wire import decoder
from feeder.wire.messages import (
    BookChecksum,
    BookClear,
    BookDelta,
    ChannelInfo,
    CycleEnd,
    EventFlag,
    InstrumentDefinition,
    InstrumentStatus,
    Kind,
    Message,
    SnapshotBegin,
    SnapshotEnd,
    SnapshotLevels,
    Template,
)
from feeder.wire.packet import Frame, Packet

_PENDING_EVENTS = 4096  # of one book, while it waits for a snapshot

_FIRST, _LAST = int(EventFlag.FIRST), int(EventFlag.LAST)


@dataclass(slots=True)
class RecoveryCounters:
    """What happened to the books of a partition."""

    events_applied: int = 0
    events_old: int = 0  # already contained in the book, as after a snapshot
    breaks: int = 0  # instrumentSequence did not continue
    snapshots_loaded: int = 0
    snapshots_refused: int = 0  # older than the book, or something after it may be missing
    checksum_mismatches: int = 0
    malformed: int = 0  # messages in a sound frame that make no sense


@dataclass(slots=True)
class _Event:
    """The messages of one instrument from first to last of event; channel sequences of the first and the last."""

    instrument_id: int
    first: int
    sequence: int
    flags: int = 0
    malformed: bool = False
    bodies: list[object] = field(default_factory=list)


@dataclass(slots=True)
class _Book:
    """A view, and what its recovery needs."""

    view: BookView
    since: int  # channel sequence from which on this book's messages were looked at
    announced: tuple[ViewStatus, StatusReason] = (ViewStatus.JOINING, StatusReason.NONE)
    pending: deque[_Event] = field(default_factory=lambda: deque(maxlen=_PENDING_EVENTS))


class PartitionBooks:
    """All wanted books of one partition. `emit` is called with each event, after the book has changed.

    `wanted`: instrument ids to follow, or None for every instrument that is defined.
    """

    def __init__(
        self, partition: int, clock: Clock, emit: Callable[[Event], None], wanted: Collection[int] | None
    ) -> None:
        self.partition = partition
        self.health = PartitionHealth()
        self.counters = RecoveryCounters()
        self.views: dict[int, BookView] = {}
        self.cycles = 0  # ends of snapshot cycles heard in this session
        self.instruments: int | None = None  # how many the partition has, as the last cycle's end said
        self.partitions: int | None = None  # how many the feeder has, as it says itself
        self._clock = clock
        self._emit = emit
        self._all = wanted is None
        self._books: dict[int, _Book] = {}
        self._session_id = 0
        self._sequence = 0  # of the next message of the books channel
        self._run_start = 0
        self._event: _Event | None = None
        self._snapshot: SnapshotAssembly | None = None
        # Whole snapshots of what the books channel has not reached yet, by instrument.
        self._early: dict[int, tuple[SnapshotAssembly, SnapshotEnd]] = {}
        for instrument_id in wanted or ():
            self._add(instrument_id)

    # What the arbiters say -------------------------------------------------------------------------------------------

    def on_books(self, outputs: Iterable[Output]) -> None:
        """The books channel."""
        for output in outputs:
            if isinstance(output, Run):
                self._run(output)
            elif isinstance(output, Hole):
                self._event = None
                self._run_start = output.last + 1
                self._sequence = output.last + 1
                self.health.hole_end = output.last
                self._emit(PacketsLost(self.partition, Kind.BOOKS, output.first, output.last))
            elif isinstance(output, SessionStarted):
                self._new_session(output)
            elif isinstance(output, Silent):
                self.health.silent = True
                self._emit(FeederLost(self.partition))
            elif isinstance(output, Heard):
                self.health.silent = False
                self._emit(FeederHeard(self.partition))
            elif isinstance(output, SessionEnded):
                self.health.ended = True
                self._emit(FeedEnded(self.partition))
        if self._early:
            self._load_early()

    def on_snapshots(self, outputs: Iterable[Output], session_id: int) -> None:
        """The snapshots channel, whose arbiter follows `session_id`."""
        for output in outputs:
            if not isinstance(output, Run):
                self._snapshot = None
            elif session_id == self._session_id:
                for frame in output.packet.frames[output.first :]:
                    if frame.instrument_id in self._books or self._all or not frame.instrument_id:
                        message = self._decode(output.packet, frame)
                        if message is not None:
                            self._on_snapshot_message(message)

    def on_definitions(self, outputs: Iterable[Output]) -> None:
        """The definitions channel."""
        for output in outputs:
            if isinstance(output, Run):
                for frame in output.packet.frames[output.first :]:
                    if frame.instrument_id in self._books or self._all or not frame.instrument_id:
                        message = self._decode(output.packet, frame)
                        body = None if message is None else message.body
                        if isinstance(body, InstrumentDefinition) and frame.instrument_id:
                            self._define(frame.instrument_id, body)
                        elif isinstance(body, ChannelInfo):
                            self.partitions = body.partitions

    # The books channel -----------------------------------------------------------------------------------------------

    def _run(self, run: Run) -> None:
        packet = run.packet
        sequence = packet.sequence + run.first
        books = self._books
        event = self._event
        for frame in packet.frames[run.first :]:
            self._sequence = sequence + 1
            if frame.event_flags & _FIRST:
                event = _Event(frame.instrument_id, sequence, sequence)
            if event is not None and frame.instrument_id == event.instrument_id:
                if frame.instrument_id in books:
                    self._add_body(event, packet, frame)
                event.sequence = sequence
                event.flags |= frame.event_flags
                if frame.event_flags & _LAST:
                    if event.bodies or event.malformed:
                        self._on_event(books[event.instrument_id], event)
                    event = None
            else:
                event = None  # its beginning is lost: its sequence numbers will tell
            sequence += 1
        self._event = event

    def _on_event(self, book: _Book, event: _Event) -> None:
        """A whole event of one wanted book."""
        first = event.bodies[0] if event.bodies else None
        if isinstance(first, BookChecksum):
            self._on_checksum(book, first, event.sequence)
        elif not book.view.joined:
            book.pending.append(event)
        else:
            self._continue(book, event)
            self._announce(book)

    def _continue(self, book: _Book, event: _Event) -> None:
        """Apply an event if it is the next one; ignore it if the book contains it; otherwise the book is broken."""
        view = book.view
        numbered = [body for body in event.bodies if isinstance(body, BookDelta | BookClear | InstrumentStatus)]
        if event.malformed:
            return self._break(book, event)
        if not numbered:  # templates of a later version
            return None
        if numbered[-1].instrument_sequence <= view.sequence and event.sequence <= view.proof:
            self.counters.events_old += 1
            return None
        expected = view.sequence + 1
        scale: tuple[int, int] | None = (view.price_exponent, view.quantity_exponent)
        for body in numbered:
            if body.instrument_sequence != expected:
                return self._break(book, event)
            expected += 1
            if isinstance(body, BookClear):
                scale = None  # here it may change
            elif isinstance(body, BookDelta) and scale not in (None, (body.price_exponent, body.quantity_exponent)):
                return self._break(book, event)
        self._apply(book, event)
        return None

    def _apply(self, book: _Book, event: _Event) -> None:
        view = book.view
        cleared = False
        deltas = []
        conflated = bool(event.flags & EventFlag.CONFLATED)
        for body in event.bodies:
            if isinstance(body, BookDelta):
                view.apply(body, conflated=conflated)
                deltas.append(body)
                view.sequence = body.instrument_sequence
            elif isinstance(body, InstrumentStatus):
                view.feeder_status, view.reason = body.status, body.reason
                view.sequence = body.instrument_sequence
            elif isinstance(body, BookClear):
                view.clear()
                cleared = True
                view.sequence = body.instrument_sequence
            elif isinstance(body, InstrumentDefinition):
                self._define(event.instrument_id, body)
        view.proof = event.sequence
        self.counters.events_applied += 1
        if deltas or cleared:
            self._emit(BookChanged(view, cleared, tuple(deltas)))

    def _on_checksum(self, book: _Book, body: BookChecksum, sequence: int) -> None:
        view = book.view
        if not view.joined or sequence <= view.proof:
            return
        if body.instrument_sequence != view.sequence:
            self._break(book, None)
        elif body.checksum == view.checksum():
            view.proof = sequence
        else:
            self.counters.checksum_mismatches += 1
            self._break(book, None)
        self._announce(book)

    def _break(self, book: _Book, event: _Event | None) -> None:
        """What the book holds is not the feeder's: only a snapshot helps."""
        self.counters.breaks += 1
        book.view.joined = False
        # What was applied so far is forgotten, so a snapshot must contain it: all before what is kept from here on.
        book.since = self._sequence if event is None else event.first
        book.pending.clear()
        if event is not None:
            book.pending.append(event)
        self._announce(book)

    # The snapshots channel -------------------------------------------------------------------------------------------

    def _on_snapshot_message(self, message: Message) -> None:
        body = message.body
        if isinstance(body, InstrumentDefinition):
            if message.instrument_id:
                self._define(message.instrument_id, body)
            return
        if isinstance(body, CycleEnd):
            self.cycles += 1
            self.instruments = body.instruments
            return
        snapshot = self._snapshot
        if isinstance(body, SnapshotBegin):
            self._snapshot = None
            book = self._books.get(message.instrument_id)
            if book is None:
                return
            if self._contradicts(book.view, body):
                self._break(book, None)
            if self._proves(book.view, body):
                book.view.proof = body.books_sequence
                self._announce(book)
            elif self._wants(book, body):
                self._snapshot = SnapshotAssembly(message.instrument_id, body)
        elif snapshot is not None and snapshot.instrument_id == message.instrument_id:
            if isinstance(body, SnapshotLevels) and snapshot.add(body):
                return
            self._snapshot = None
            if isinstance(body, SnapshotEnd) and snapshot.is_whole(body):
                self._load(self._books[message.instrument_id], snapshot, body)

    def _proves(self, view: BookView, begin: SnapshotBegin) -> bool:
        """Whether the snapshot is of the very book that is there, and says so after the hole that put it in doubt."""
        return (
            view.joined
            and view.proof < self.health.hole_end <= begin.books_sequence < self._sequence
            and begin.instrument_sequence == view.sequence
        )

    def _contradicts(self, view: BookView, begin: SnapshotBegin) -> bool:
        """Whether the feeder's book is another than the view, which is good to no later a message than the snapshot."""
        if not view.joined or not view.proof <= begin.books_sequence < self._sequence:
            return False
        feeders = (begin.instrument_sequence, begin.status, begin.price_exponent, begin.quantity_exponent)
        ours = (view.sequence, view.feeder_status, view.price_exponent, view.quantity_exponent)
        return begin.instrument_sequence <= view.sequence and feeders != ours

    def _wants(self, book: _Book, begin: SnapshotBegin) -> bool:
        """Whether this snapshot may be loaded: needed, not older than the book, and nothing after it missing."""
        view = book.view
        whole = self._sequence > 0 and begin.books_sequence + 1 >= max(self._run_start, book.since)
        if not view.joined:
            if not whole:
                self.counters.snapshots_refused += 1
            return whole
        if view.proof >= self.health.hole_end:
            return False
        if begin.books_sequence < self.health.hole_end or begin.instrument_sequence < view.sequence:
            self.counters.snapshots_refused += 1
            return False
        return whole

    def _load_early(self) -> None:
        """Load the snapshots that the books channel has caught up with."""
        for instrument_id, (snapshot, end) in list(self._early.items()):
            if snapshot.begin.books_sequence < self._sequence:
                del self._early[instrument_id]
                self._load(self._books[instrument_id], snapshot, end)

    def _load(self, book: _Book, snapshot: SnapshotAssembly, end: SnapshotEnd) -> None:
        view, begin = book.view, snapshot.begin
        if begin.books_sequence >= self._sequence:
            self._early[view.instrument_id] = snapshot, end
            return
        if not self._wants(book, begin):  # while it came in, the book may have been proven, moved on, or lost more
            return
        view.load(begin, snapshot.bids, snapshot.asks)
        if begin.status is BookStatus.LIVE and view.checksum() != end.checksum:
            self.counters.checksum_mismatches += 1
            self._break(book, None)
            return
        view.proof = begin.books_sequence
        self.counters.snapshots_loaded += 1
        pending, book.pending = book.pending, deque(maxlen=_PENDING_EVENTS)
        self._emit(BookChanged(view, True, ()))
        for event in pending:
            if event.sequence <= begin.books_sequence:
                self.counters.events_old += 1
            elif view.joined:
                self._continue(book, event)
            else:
                book.pending.append(event)
        self._announce(book)

    # -----------------------------------------------------------------------------------------------------------------

    def _new_session(self, started: SessionStarted) -> None:
        self._session_id = started.session_id
        self._sequence = self._run_start = started.sequence
        self._event = self._snapshot = None
        self._early.clear()
        self.cycles, self.instruments, self.partitions = 0, None, None
        self.health.hole_end = 0
        self.health.silent = self.health.ended = False
        self._emit(SessionChanged(self.partition, started.session_id))
        for book in self._books.values():
            book.view.reset()
            book.pending.clear()
            book.since = started.sequence
            self._announce(book)

    def _define(self, instrument_id: int, definition: InstrumentDefinition) -> None:
        book = self._books.get(instrument_id) or self._add(instrument_id)
        if book.view.definition != definition:
            book.view.definition = definition
            self._emit(Defined(instrument_id, definition))

    def _add(self, instrument_id: int) -> _Book:
        view = BookView(instrument_id, self.health, self._clock)
        book = self._books[instrument_id] = _Book(view, since=self._sequence)
        self.views[instrument_id] = view
        return book

    def _announce(self, book: _Book) -> None:
        """Say a book's status, or the feeder's reason for it, when it is another than last said."""
        view = book.view
        status = view.status
        state = (status, view.reason if status in FEEDER_STATUS.values() else StatusReason.NONE)
        if state != book.announced:
            book.announced = state
            self._emit(StatusChanged(view, *state))

    def _add_body(self, event: _Event, packet: Packet, frame: Frame) -> None:
        """Decode one message into its event; a template of a later version is passed over."""
        try:
            if frame.template == Template.BOOK_DELTA:
                event.bodies.append(decoder.book_delta(packet.data, frame))
            else:
                message = decoder.decode(packet, frame)
                if message is not None:
                    event.bodies.append(message.body)
        except WireError:
            self.counters.malformed += 1
            event.malformed = True

    def _decode(self, packet: Packet, frame: Frame) -> Message | None:
        try:
            return decoder.decode(packet, frame)
        except WireError:
            self.counters.malformed += 1
            return None
