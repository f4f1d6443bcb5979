"""The soak's judge, without I/O: what consumers wrote down against what is true.

Two truths. A reference consumer that loses nothing says what the feeder's book was at each (session, book, instrument
sequence). The exchange says what its own book was at each (u, seq), and the reference must agree with it. What could
not be compared is counted, and many of those are a failure too: an auditor that looked at nothing finds nothing.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from soak_records import Altered, Figures, Flag, Look, Mark, Record, Sample, Status

from feeder.market.instrument import InstrumentKey

LIVE = "LIVE"
_NOT_JOINED = frozenset({"JOINING", "CLOSED"})
_TELLS = frozenset({"PacketsLost", "FeederLost", "SessionChanged", "FeedEnded"})  # events that put a partition in doubt
_EXAMPLES = 5  # findings of a kind that are told in words; all are counted
_KEPT_SECONDS = 60.0  # of the truth: a consumer that is later than this is not compared
_PATIENCE_SECONDS = 10.0  # after which a look waits for the truth no longer


@dataclass(frozen=True)
class Limits:
    """What is allowed.

    behind_seconds: how old a LIVE book may be. altered_seconds: how long a book may be LIVE and wrong after an altered
    packet. missing_share: of all looks, those that may stay without a comparison. partitions: of the feed.
    """

    behind_seconds: float = 1.0
    altered_seconds: float = 2.0
    missing_share: float = 0.001
    partitions: int = 4


class Truth(NamedTuple):
    """A feeder's book at one instrument sequence."""

    checksum: int
    update_id: int
    venue_sequence: int


@dataclass
class Findings:
    """Everything of one kind that is not as it should be: how often, and the first few in words."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        """One more."""
        self.count += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(text)


class Witness:
    """One consumer's account so far."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.marks: list[Mark] = []
        self.flags: list[Flag] = []
        self.figures: dict[str, int] = {}
        self.looks = 0
        self.compared = 0
        self.missing = 0
        self.conflated = 0
        self.excused = 0  # wrong for a while after an altered packet, as is allowed
        self.altered = 0
        self.stood_still = 0.0  # the longest pause between two samples, seconds
        self.lost_longest = 0.0  # the longest that any book was not LIVE in one go, after its first time
        self.equal_at: dict[int, float] = {}  # when each book was last found equal
        self.latest: Sample | None = None
        self.last_altered: dict[int, float] = {}
        self.waiting: deque[tuple[Look, bool]] = deque()  # for the truth, and whether it may be wrong
        self.undecided: deque[tuple[Sample, float]] = deque()  # samples, and how old a LIVE book may be in them
        self.told_books: set[int] = set()  # flagged since the latest sample
        self.told_partitions: set[int] = set()
        self.lost_since: dict[int, float] = {}
        self.pauses: deque[tuple[float, float]] = deque()

    def marked(self, what: str, since: float = 0.0) -> float | None:
        """When something was first so, at or after `since`."""
        return next((mark.time for mark in self.marks if mark.what == what and mark.time >= since), None)


class Audit:
    """One run's judge. Feed it records in each program's own order; `settle` compares what can be compared.

    `names` of the books, by instrumentId, are for people; it may be filled later.
    """

    def __init__(self, limits: Limits, names: Mapping[int, InstrumentKey] | None = None) -> None:
        self.limits = limits
        self._names = {} if names is None else names
        self.wrong = Findings()  # a consumer's LIVE book is not the feeder's
        self.feeder_wrong = Findings()  # the feeder's is not the exchange's
        self.unflagged = Findings()
        self.witnesses: dict[str, Witness] = {}
        self.reference = Witness("reference")
        self.exchange_compared = 0
        self.exchange_missing = 0
        self._truths: dict[tuple[int, int, int], Truth] = {}
        self._truth_times: deque[tuple[float, tuple[int, int, int]]] = deque()
        self._reference_times: list[float] = []
        self._reference_samples: list[Sample] = []
        # Per book, what the exchange is still to confirm: (u, seq) -> when it was so, and the checksum.
        self._unconfirmed: dict[int, dict[tuple[int, int], tuple[float, int]]] = {}

    # What comes in ----------------------------------------------------------------------------------------------------

    def on_reference(self, record: Record) -> None:
        """What the lossless consumer saw."""
        witness = self.reference
        self._note(witness, record)
        if isinstance(record, Look):
            witness.looks += 1
            witness.conflated += record.conflated
            key = (record.session, record.book, record.sequence)
            truth = Truth(record.checksum, record.update_id, record.venue_sequence)
            known = self._truths.setdefault(key, truth)
            if known is truth:
                self._truth_times.append((record.time, key))
            elif known != truth:
                self.wrong.add(f"the reference shows {self._name(record.book)} at {record.sequence} in two states")
            if record.text is not None:
                confirm = self._unconfirmed.setdefault(record.book, {})
                confirm[record.update_id, record.venue_sequence] = record.time, record.text
        elif isinstance(record, Sample):
            self._reference_times.append(record.time)
            self._reference_samples.append(record)

    def on_consumer(self, name: str, record: Record) -> None:
        """What a consumer under test saw."""
        witness = self.witnesses.get(name)
        if witness is None:
            witness = self.witnesses[name] = Witness(name)
        self._note(witness, record)
        if isinstance(record, Look):
            witness.looks += 1
            witness.conflated += record.conflated
            last_altered = witness.last_altered.get(record.book, float("-inf"))
            witness.waiting.append((record, record.time - last_altered <= self.limits.altered_seconds))
        elif isinstance(record, Sample):
            self._on_sample(witness, record)
        elif isinstance(record, Altered):
            witness.altered += 1
            witness.last_altered[record.book] = record.time

    def on_exchange(self, book: int, checksums: Iterable[tuple[int, int, int]]) -> None:
        """(u, seq, checksum) of every update of a book that the exchange remembers, oldest first."""
        theirs = {(u, seq): checksum for u, seq, checksum in checksums}
        if not theirs:
            return
        oldest, newest = min(seq for _, seq in theirs), max(seq for _, seq in theirs)
        unconfirmed = self._unconfirmed.get(book, {})
        for (u, seq), (_, ours) in list(unconfirmed.items()):
            told = theirs.get((u, seq))
            if told is None and seq > newest:
                continue
            del unconfirmed[u, seq]
            if told is None and seq <= oldest:
                self.exchange_missing += 1
                continue
            self.exchange_compared += 1
            if told is None:
                self.feeder_wrong.add(f"{self._name(book)} was LIVE at u={u} seq={seq}, which the exchange never sent")
            elif told != ours:
                self.feeder_wrong.add(f"{self._name(book)} at u={u} seq={seq} is not the exchange's")

    def unconfirmed(self, before: float) -> dict[int, list[tuple[int, int]]]:
        """The (u, seq) that the exchange is to confirm, of books that have waited since before that time."""
        return {
            book: list(waits)
            for book, waits in self._unconfirmed.items()
            if waits and next(iter(waits.values()))[0] < before
        }

    # Judging ---------------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Compare what can be compared by now, and forget what is needed no more."""
        now = self._reference_times[-1] if self._reference_times else 0.0
        for witness in self.witnesses.values():
            self._compare(witness, give_up_before=now - _PATIENCE_SECONDS)
            while witness.undecided and witness.undecided[0][0].time - self.limits.behind_seconds <= now:
                self._is_behind(witness, *witness.undecided.popleft())
        while self._truth_times and self._truth_times[0][0] < now - _KEPT_SECONDS:
            self._truths.pop(self._truth_times.popleft()[1], None)
        old = bisect_right(self._reference_times, now - _KEPT_SECONDS)
        del self._reference_times[:old], self._reference_samples[:old]

    def finish(self) -> list[str]:
        """All records are in: what is missing for a verdict, in words. Wrong and unflagged ones stand apart."""
        self.settle()
        problems = []
        for witness in self.witnesses.values():
            self._compare(witness, give_up_before=float("inf"))
            while witness.undecided:
                self._is_behind(witness, *witness.undecided.popleft())
            if not witness.compared:
                problems.append(f"{witness.name}: no LIVE book of it was ever compared")
            elif witness.missing > self.limits.missing_share * witness.looks:
                problems.append(
                    f"{witness.name}: {witness.missing} of its {witness.looks} LIVE books have nothing to compare with"
                )
        self.exchange_missing += sum(len(waits) for waits in self._unconfirmed.values())
        if not self.exchange_compared:
            problems.append("no book was ever compared with the exchange's")
        elif self.exchange_missing > self.limits.missing_share * (self.exchange_compared + self.exchange_missing):
            problems.append(f"{self.exchange_missing} books were not confirmed by the exchange")
        lost = sum(flag.event == "PacketsLost" for flag in self.reference.flags)
        if lost:
            problems.append(f"the reference lost packets {lost} times: this machine is too slow for the run")
        return problems

    def _name(self, book: int) -> str:
        return " ".join(self._names.get(book, ("book", str(book))))

    def never_equal_since(self, name: str, time: float) -> list[int]:
        """Books of a consumer's last sample that were not found LIVE and equal at or after that time."""
        witness = self.witnesses[name]
        books = () if witness.latest is None else witness.latest.sequences
        return [book for book in books if witness.equal_at.get(book, 0.0) < time]

    def _note(self, witness: Witness, record: Record) -> None:
        """What is kept of any consumer."""
        match record:
            case Mark():
                witness.marks.append(record)
            case Flag():
                witness.flags.append(record)
                if record.event in _TELLS:
                    witness.told_partitions.add(record.partition)
                if record.live:
                    self.unflagged.add(
                        f"{witness.name}: {record.live} books of partition {record.partition} were LIVE over the hole "
                        f"from {record.first} to {record.last}"
                    )
            case Status():
                witness.told_books.add(record.book)
            case Figures():
                witness.figures = record.counts
            case _:
                pass

    def _on_sample(self, witness: Witness, sample: Sample) -> None:
        before, now = witness.latest, sample.time
        partitions = self.limits.partitions
        if before is not None:
            pause = now - before.time
            witness.stood_still = max(witness.stood_still, pause)
            witness.pauses.append((now, pause))
            for book, status in sample.others.items():
                if book in before.sequences and book not in before.others:
                    witness.lost_since[book] = now
                    if book not in witness.told_books and book % partitions not in witness.told_partitions:
                        self.unflagged.add(f"{witness.name}: {self._name(book)} became {status} and no event said so")
            for book in [book for book in witness.lost_since if book not in sample.others]:
                witness.lost_longest = max(witness.lost_longest, now - witness.lost_since.pop(book))
        witness.latest = sample
        witness.told_books.clear()
        witness.told_partitions.clear()
        # A program that did not run (stopped, or no core free) could not know better meanwhile.
        pauses, limit = witness.pauses, self.limits.behind_seconds
        while pauses and pauses[0][0] < now - limit:
            pauses.popleft()
        witness.undecided.append((sample, limit + max((pause for _, pause in pauses), default=0.0)))

    def _compare(self, witness: Witness, give_up_before: float) -> None:
        """Hold looks against the reference's; those whose truth has not come wait."""
        waiting = witness.waiting
        for _ in range(len(waiting)):
            look, may_be_wrong = waiting.popleft()
            truth = self._truths.get((look.session, look.book, look.sequence))
            if truth is None:
                if look.time < give_up_before:
                    witness.missing += 1
                else:
                    waiting.append((look, may_be_wrong))
                continue
            witness.compared += 1
            if truth == (look.checksum, look.update_id, look.venue_sequence):
                witness.equal_at[look.book] = look.time
            elif may_be_wrong:
                witness.excused += 1
            else:
                self.wrong.add(
                    f"{witness.name}: {self._name(look.book)} was LIVE and wrong at sequence {look.sequence} of "
                    f"session {look.session} (u={look.update_id}; the feeder's u={truth.update_id})"
                )

    def _is_behind(self, witness: Witness, sample: Sample, limit: float) -> None:
        """Whether a LIVE book of the sample is older than the feeder's was `limit` seconds before."""
        index = bisect_right(self._reference_times, sample.time - limit) - 1
        if index < 0:
            return
        reference = self._reference_samples[index]
        for book, sequence in sample.sequences.items():
            if book in sample.others or reference.others.get(book) in _NOT_JOINED:
                continue
            partition = book % self.limits.partitions
            mine, session = sample.sessions.get(partition, 0), reference.sessions.get(partition, 0)
            if mine < session:
                self.unflagged.add(
                    f"{witness.name}: {self._name(book)} is LIVE in session {mine}, {limit:.2f} s after {session} began"
                )
            elif mine == session and sequence < reference.sequences.get(book, 0):
                self.unflagged.add(
                    f"{witness.name}: {self._name(book)} is LIVE at sequence {sequence}, "
                    f"{limit:.2f} s after the feeder's was at {reference.sequences[book]}"
                )
