"""Messages of the books channel put together to events: across packets, across holes, and with what came late."""

from collections.abc import Callable, Container
from dataclasses import dataclass, field

from feeder.errors import WireError
from feeder.multicast.arbiter import Filled, Hole, Run
from feeder.wire import decoder
from feeder.wire.messages import EventFlag, Template
from feeder.wire.packet import Frame, Packet

_FIRST, _LAST = int(EventFlag.FIRST), int(EventFlag.LAST)


@dataclass(slots=True)
class BookEvent:
    """The messages of one instrument from first to last of event; channel sequences of the first and the last."""

    instrument_id: int
    first: int
    sequence: int
    flags: int = 0
    malformed: bool = False
    bodies: list[object] = field(default_factory=list)

    def add(self, packet: Packet, frame: Frame) -> None:
        """Decode one message into the event; a template of a later version is passed over."""
        try:
            if frame.template == Template.BOOK_DELTA:
                self.bodies.append(decoder.book_delta(packet.data, frame))
            else:
                message = decoder.decode(packet, frame)
                if message is not None:
                    self.bodies.append(message.body)
        except WireError:
            self.malformed = True


@dataclass(slots=True)
class _Cut:
    """Where a hole cut the stream: the event it began in, and the messages behind it that belong to one begun in it."""

    head: BookEvent | None
    tail: list[Run] = field(default_factory=list)


class EventAssembly:
    """`wanted` are the instrument ids whose messages are decoded, None for all; `on_event` gets their whole events."""

    def __init__(self, wanted: Container[int] | None, on_event: Callable[[BookEvent], None]) -> None:
        self.sequence = 0  # of the next message of the channel
        self._wanted = wanted
        self._on_event = on_event
        self._event: BookEvent | None = None  # begun and not ended
        self._cuts: dict[int, _Cut] = {}  # by the first sequence of the hole
        self._cut: _Cut | None = None  # the hole was right before: what has no beginning belongs to it

    def begin(self, sequence: int) -> None:
        """Another session, followed from there."""
        self.sequence = sequence
        self._event = self._cut = None
        self._cuts.clear()

    def run(self, run: Run) -> None:
        """Messages in turn."""
        packet = run.packet
        sequence = run.sequence
        wanted, event = self._wanted, self._event
        for frame in packet.frames[run.first : run.end]:
            self.sequence = sequence + 1
            flags = frame.event_flags
            if flags & _FIRST:
                event = BookEvent(frame.instrument_id, sequence, sequence)
                self._cut = None
            if event is not None and frame.instrument_id == event.instrument_id:
                if wanted is None or frame.instrument_id in wanted:
                    event.add(packet, frame)
                event.sequence = sequence
                event.flags |= flags
                if flags & _LAST:
                    if event.bodies or event.malformed:
                        self._on_event(event)
                    event = None
            else:
                event = None  # its beginning is lost, and with it perhaps the book: its sequence numbers will tell
                self._orphan(run, sequence, flags)
            sequence += 1
        self._event = event

    def hole(self, hole: Hole) -> None:
        """The stream goes on behind the hole."""
        self._cut = self._cuts[hole.first] = _Cut(self._event)
        self._event = None
        self.sequence = hole.last + 1

    def abandoned(self, hole: Hole) -> None:
        """The hole stays one."""
        if self._cuts.pop(hole.first, None) is self._cut:
            self._cut = None

    def filled(self, filled: Filled) -> tuple[list[BookEvent], set[int]]:
        """The hole's events in order, those that it cut included; the instruments of what is still in pieces."""
        cut = self._cuts.pop(filled.hole.first)
        if cut is self._cut:
            self._cut = None
        events: list[BookEvent] = []
        pieces: set[int] = set()
        event = cut.head
        for run in (*filled.runs, *cut.tail):
            sequence = run.sequence
            for frame in run.packet.frames[run.first : run.end]:
                if frame.event_flags & _FIRST:
                    if event is not None:
                        pieces.add(event.instrument_id)
                    event = BookEvent(frame.instrument_id, sequence, sequence)
                if event is None or frame.instrument_id != event.instrument_id:
                    pieces.add(frame.instrument_id)
                else:
                    if self._wanted is None or frame.instrument_id in self._wanted:
                        event.add(run.packet, frame)
                    event.sequence = sequence
                    event.flags |= frame.event_flags
                    if frame.event_flags & _LAST:
                        events.append(event)
                        event = None
                sequence += 1
        if event is not None:
            if sequence == self.sequence:  # nothing came behind it yet: the event goes on there
                self._event = event
            elif (following := self._cuts.get(sequence)) is not None:
                following.head = event
            else:
                pieces.add(event.instrument_id)
        return [event for event in events if event.bodies or event.malformed], pieces

    def _orphan(self, run: Run, sequence: int, flags: int) -> None:
        """Keep a message whose event began in the hole right before."""
        cut = self._cut
        if cut is not None:
            index = sequence - run.packet.sequence
            cut.tail.append(Run(run.packet, index, index + 1))
            if flags & _LAST:
                self._cut = None
