"""A partition's books at the consumer, without I/O: ordered messages in, books and events out.

A hole that outlives the reorder window makes every book of the partition SUSPECT at once, by comparing numbers: its
last proof is older than the hole's end. A book is proven again by the first of: the hole filled, a later message that
continues its instrumentSequence, a matching checksum, a snapshot good to at least the hole's end. A book that lost
something in a hole keeps what comes behind it until the hole is filled or given up. One whose instrumentSequence breaks
otherwise waits for a snapshot, which counts only if nothing between it and now can be missing. A snapshot that overtook
the books channel waits until that has come as far.

A book that holds more than the feeder's at that moment, or holds it at another scale or status, was misled by an
altered packet: whatever message shows it breaks the book.
"""

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from feeder.client.assembly import BookEvent, EventAssembly
from feeder.client.book_view import BookView, PartitionHealth
from feeder.client.events import (
    BookChanged,
    Defined,
    Event,
    FeedEnded,
    FeederHeard,
    FeederLost,
    SessionChanged,
    StatusChanged,
)
from feeder.client.snapshot import SnapshotAssembly
from feeder.client.status import FEEDER_STATUS, ViewStatus
from feeder.clock import Clock
from feeder.errors import WireError
from feeder.market.status import BookStatus, StatusReason
from feeder.multicast.arbiter import (
    Abandoned,
    Filled,
    Heard,
    Hole,
    Output,
    Run,
    SessionEnded,
    SessionStarted,
    Silent,
)
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
    Message,
    SnapshotBegin,
    SnapshotEnd,
    SnapshotLevels,
)
from feeder.wire.packet import Frame, Packet

_CONFLATED = int(EventFlag.CONFLATED)  # as a plain integer: an enum's comparison takes its time
_PENDING_EVENTS = 4096  # of one book, while it waits for a snapshot or for a hole to be filled
_NUMBERED = (BookDelta, BookClear, InstrumentStatus)


@dataclass(slots=True)
class RecoveryCounters:
    """What happened to the books of a partition."""

    events_applied: int = 0
    events_old: int = 0  # already contained in the book, as after a snapshot
    held: int = 0  # books that waited for what a hole had taken from them
    breaks: int = 0  # instrumentSequence did not continue
    snapshots_loaded: int = 0
    snapshots_refused: int = 0  # older than the book, or something after it may be missing
    checksum_mismatches: int = 0
    malformed: int = 0  # messages in a sound frame that make no sense


@dataclass(slots=True)
class _Book:
    """A view, and what its recovery needs."""

    view: BookView
    since: int  # channel sequence from which on this book's messages were looked at
    # Something is missing that may be in an open hole, so that the book is SUSPECT; what comes behind it is pending.
    held: bool = False
    announced: tuple[ViewStatus, StatusReason] = (ViewStatus.JOINING, StatusReason.NONE)
    pending: deque[BookEvent] = field(default_factory=deque)  # by sequence

    def keep(self, event: BookEvent) -> bool:
        """Keep an event for later, in its place; False when there are too many, and the oldest went instead."""
        pending = self.pending
        index = len(pending)
        while index and pending[index - 1].sequence >= event.sequence:
            if pending[index - 1].sequence == event.sequence:
                return True
            index -= 1
        pending.insert(index, event)
        if len(pending) <= _PENDING_EVENTS:
            return True
        pending.popleft()
        self.since = pending[0].first
        return False


class PartitionBooks:
    """All wanted books of one partition. `emit` is called with each event, after the book has changed.

    `wanted`: instrument ids to follow, or None for every instrument that is defined. `on_info` gets what the feeder
    says of its channels.
    """

    def __init__(
        self,
        partition: int,
        clock: Clock,
        emit: Callable[[Event], None],
        wanted: Collection[int] | None,
        on_info: Callable[[ChannelInfo], None],
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
        self._on_info = on_info
        self._all = wanted is None
        self._books: dict[int, _Book] = {}
        self._session_id = 0
        self._session_start = 0  # channel sequence from which on it is followed
        self._assembly = EventAssembly(None if self._all else self._books, self._on_event)
        self._open: dict[int, int] = {}  # holes that may still be filled: first and last channel sequence
        self._lost_end = 0  # last channel sequence of the latest hole that will not be filled
        self._held: dict[int, _Book] = {}
        self._suspects: dict[int, _Book] = {}  # that were said to be: filling a hole may clear them
        self._snapshot: SnapshotAssembly | None = None
        # Whole snapshots of what the books channel has not reached yet, by instrument.
        self._early: dict[int, tuple[SnapshotAssembly, SnapshotEnd]] = {}
        for instrument_id in wanted or ():
            self._add(instrument_id)

    # What the arbiters say -------------------------------------------------------------------------------------------

    def on_books(self, output: Output) -> None:
        """The books channel."""
        if isinstance(output, Run):
            self._assembly.run(output)
        elif isinstance(output, Hole):
            self._assembly.hole(output)
            self._open[output.first] = self.health.hole_end = output.last
        elif isinstance(output, Filled):
            self._on_filled(output)
        elif isinstance(output, Abandoned):
            self._assembly.abandoned(output.hole)
            self._lost_end = max(self._lost_end, output.hole.last)
            self._close(output.hole)
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

    def on_snapshots(self, output: Output, session_id: int) -> None:
        """The snapshots channel, whose arbiter follows `session_id`."""
        if not isinstance(output, Run):
            self._snapshot = None
        elif session_id == self._session_id:
            for frame in output.packet.frames[output.first : output.end]:
                if frame.instrument_id in self._books or self._all or not frame.instrument_id:
                    message = self._decode(output.packet, frame)
                    if message is not None:
                        self._on_snapshot_message(message)

    def on_definitions(self, output: Output) -> None:
        """The definitions channel."""
        if isinstance(output, Run):
            for frame in output.packet.frames[output.first : output.end]:
                if frame.instrument_id in self._books or self._all or not frame.instrument_id:
                    message = self._decode(output.packet, frame)
                    body = None if message is None else message.body
                    if isinstance(body, InstrumentDefinition) and frame.instrument_id:
                        self._define(frame.instrument_id, body)
                    elif isinstance(body, ChannelInfo):
                        self.partitions = body.partitions
                        self._on_info(body)

    # The books channel -----------------------------------------------------------------------------------------------

    def _on_event(self, event: BookEvent) -> None:
        """A whole event of one wanted book."""
        book = self._books.get(event.instrument_id) or self._add(event.instrument_id)
        if event.malformed:
            self.counters.malformed += 1
        first = event.bodies[0] if event.bodies else None
        if isinstance(first, BookChecksum):
            self._on_checksum(book, first, event.sequence)
        elif not book.view.joined:
            book.keep(event)
        elif book.held:
            if not book.keep(event):
                self._lose(book)
        else:
            self._continue(book, event)
            self._announce(book)

    def _continue(self, book: _Book, event: BookEvent) -> None:
        """Apply an event if it is the next one; ignore it if the book contains it; otherwise something is missing."""
        view = book.view
        if event.malformed:
            return self._break(book, event)
        numbered = _numbered(event)
        if not numbered:  # templates of a later version
            return None
        if numbered[-1].instrument_sequence <= view.sequence and event.sequence <= view.proof:
            self.counters.events_old += 1
            return None
        expected = view.sequence + 1
        if numbered[0].instrument_sequence > expected and self._may_come(view):
            return self._hold(book, event)
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

    def _apply(self, book: _Book, event: BookEvent) -> None:
        view = book.view
        cleared = False
        deltas = []
        conflated = bool(event.flags & _CONFLATED)
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
        if not view.joined or book.held or sequence <= view.proof:
            return
        if body.instrument_sequence > view.sequence and self._may_come(view):
            self._hold(book, None)
        elif body.instrument_sequence != view.sequence:
            self._break(book, None)
        elif body.checksum == view.checksum():
            view.proof = sequence
        else:
            self.counters.checksum_mismatches += 1
            self._break(book, None)
        self._announce(book)

    def _break(self, book: _Book, event: BookEvent | None) -> None:
        """What the book holds is not the feeder's: only a snapshot helps."""
        # What was applied so far is forgotten, so a snapshot must contain it: all before what is kept from here on.
        book.pending.clear()
        if event is not None:
            book.pending.append(event)
        self._lose(book)

    def _lose(self, book: _Book) -> None:
        """Only a snapshot helps; what is pending goes behind it."""
        self.counters.breaks += 1
        book.view.joined = book.held = False
        self._held.pop(book.view.instrument_id, None)
        book.since = book.pending[0].first if book.pending else self._assembly.sequence
        self._announce(book)

    # Holes that may be filled ----------------------------------------------------------------------------------------

    def _may_come(self, view: BookView) -> bool:
        """Whether what the book misses may be in a hole that is still open."""
        return any(last > view.proof for last in self._open.values())

    def _hold(self, book: _Book, event: BookEvent | None) -> None:
        """Something is missing that may still come: what comes behind it waits."""
        self.counters.held += 1
        book.held = True
        self._held[book.view.instrument_id] = book
        book.pending.clear()
        if event is not None:
            book.keep(event)

    def _on_filled(self, filled: Filled) -> None:
        """What a hole had taken is here: each book gets its own, and then what it kept behind it."""
        events, pieces = self._assembly.filled(filled)
        touched: dict[int, _Book] = {}
        for event in events:
            book = self._books.get(event.instrument_id) or self._add(event.instrument_id)
            if event.malformed:
                self.counters.malformed += 1
            if not book.view.joined:
                book.keep(event)
            elif event.malformed or _last_sequence(event) > book.view.sequence:
                touched[event.instrument_id] = book
                if not book.keep(event):
                    self._lose(book)
        for book in touched.values():
            self._catch_up(book)
        for instrument_id in pieces & self._books.keys():
            if self._books[instrument_id].view.joined:
                self._break(self._books[instrument_id], None)
        self._close(filled.hole)

    def _catch_up(self, book: _Book) -> None:
        """Apply what is pending as far as it continues the book."""
        view = book.view
        if not view.joined:
            return
        pending, book.pending = book.pending, deque()
        book.held = False
        self._held.pop(view.instrument_id, None)
        for event in pending:
            if view.joined and not book.held:
                self._continue(book, event)
            else:
                book.keep(event)
        self._announce(book)

    def _close(self, hole: Hole) -> None:
        """A hole is filled or given up: what waited for it and cannot go on is lost."""
        self._open.pop(hole.first, None)
        self.health.hole_end = max(self._lost_end, *self._open.values(), 0)
        for book in list(self._held.values()):
            if not self._may_come(book.view):
                self._lose(book)
        for book in list(self._suspects.values()):
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
                self._catch_up(book)  # if it waited, it was an altered message that told it to
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
            and view.proof < self.health.hole_end <= begin.books_sequence < self._assembly.sequence
            and begin.instrument_sequence == view.sequence
        )

    def _contradicts(self, view: BookView, begin: SnapshotBegin) -> bool:
        """Whether the feeder's book is another than the view, which is good to no later a message than the snapshot."""
        if not view.joined:
            return False
        if begin.instrument_sequence == view.sequence:  # one book, whenever it is told, even ahead of the books channel
            feeders = (begin.status, begin.price_exponent, begin.quantity_exponent)
            return feeders != (view.feeder_status, view.price_exponent, view.quantity_exponent)
        in_step = view.proof <= begin.books_sequence < self._assembly.sequence
        return in_step and begin.instrument_sequence < view.sequence

    def _wants(self, book: _Book, begin: SnapshotBegin) -> bool:
        """Whether this snapshot may be loaded: needed, not older than the book, and nothing after it missing."""
        view = book.view
        # A hole that is open may still be filled: what it takes from the book then waits, as in any other book.
        first = max(self._session_start, self._lost_end + 1, book.since)
        whole = self._assembly.sequence > 0 and begin.books_sequence + 1 >= first
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
            if snapshot.begin.books_sequence < self._assembly.sequence:
                del self._early[instrument_id]
                self._load(self._books[instrument_id], snapshot, end)

    def _load(self, book: _Book, snapshot: SnapshotAssembly, end: SnapshotEnd) -> None:
        view, begin = book.view, snapshot.begin
        if begin.books_sequence >= self._assembly.sequence:
            self._early[view.instrument_id] = snapshot, end
            return
        if not self._wants(book, begin):  # while it came in, the book may have been proven, moved on, or lost more
            return
        view.load(begin, snapshot.bids, snapshot.asks)
        self._held.pop(view.instrument_id, None)
        if begin.status is BookStatus.LIVE and view.checksum() != end.checksum:
            self.counters.checksum_mismatches += 1
            self._break(book, None)
            return
        view.proof = begin.books_sequence
        self.counters.snapshots_loaded += 1
        self._emit(BookChanged(view, True, ()))
        while book.pending and book.pending[0].sequence <= begin.books_sequence:
            self.counters.events_old += 1
            book.pending.popleft()
        self._catch_up(book)

    # -----------------------------------------------------------------------------------------------------------------

    def _new_session(self, started: SessionStarted) -> None:
        self._session_id = started.session_id
        self._session_start = started.sequence
        self._assembly.begin(started.sequence)
        self._snapshot = None
        for per_book in (self._early, self._open, self._held, self._suspects):
            per_book.clear()
        self._lost_end = 0
        self.cycles, self.instruments, self.partitions = 0, None, None
        self.health.hole_end = 0
        self.health.silent = self.health.ended = False
        if self._all:  # ids that nothing but a message of the books channel, perhaps an altered one, ever named
            for instrument_id in [number for number, view in self.views.items() if view.definition is None]:
                del self.views[instrument_id], self._books[instrument_id]
        for book in self._books.values():
            book.view.reset()
            book.held = False
            book.pending.clear()
            book.since = started.sequence
        self._emit(SessionChanged(self.partition, started.session_id))
        for book in self._books.values():
            self._announce(book)

    def _define(self, instrument_id: int, definition: InstrumentDefinition) -> None:
        book = self._books.get(instrument_id) or self._add(instrument_id)
        if book.view.definition != definition:
            book.view.definition = definition
            self._emit(Defined(instrument_id, definition))

    def _add(self, instrument_id: int) -> _Book:
        """A book of which nothing came before: whatever is of a wanted book was looked at since the session began."""
        view = BookView(instrument_id, self.health, self._clock)
        book = self._books[instrument_id] = _Book(view, since=self._session_start)
        self.views[instrument_id] = view
        return book

    def _announce(self, book: _Book) -> None:
        """Say a book's status, or the feeder's reason for it, when it is another than last said."""
        view = book.view
        status = view.status
        state = (status, view.reason if status in FEEDER_STATUS.values() else StatusReason.NONE)
        if state != book.announced:
            book.announced = state
            if status is ViewStatus.SUSPECT:
                self._suspects[view.instrument_id] = book
            else:
                self._suspects.pop(view.instrument_id, None)
            self._emit(StatusChanged(view, *state))

    def _decode(self, packet: Packet, frame: Frame) -> Message | None:
        try:
            return decoder.decode(packet, frame)
        except WireError:
            self.counters.malformed += 1
            return None


def _last_sequence(event: BookEvent) -> int:
    """The instrumentSequence after the event; 0 if it does not advance it."""
    numbered = _numbered(event)
    return numbered[-1].instrument_sequence if numbered else 0


def _numbered(event: BookEvent) -> list[BookDelta | BookClear | InstrumentStatus]:
    """The event's messages that advance the instrumentSequence."""
    return [body for body in event.bodies if isinstance(body, _NUMBERED)]
