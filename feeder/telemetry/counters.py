"""The counters file: numbers that a running feeder stores and any process reads, and neither waits for the other.

The file is memory-mapped and made of 8-byte words, native byte order: a header, then records one behind the other.

    header   magic, layout version, schema, words in use, pid, start of the process (clock ticks after boot), start
             (wall ns), session id, heartbeat (monotonic ns, then wall ns), ended (0 or 1), 5 words of version text
    record   words in all, version, kind, bytes of label (-1: free), 8 words of label (UTF-8), values (signed)

Every value is one aligned word, so a reader sees the old one or the new one. A record's kind and label change under its
version, which is odd while they do: a reader that saw it odd, or another one behind than before, reads again. This
counts on stores being seen in the order they were made, as on x86-64. Records keep their place and size for life; a
freed one serves the next of its kind and size. A new feeder makes a new file and renames it over the old one; the file
of a running one only ever grows.
"""

import contextlib
import mmap
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from feeder import __version__
from feeder.errors import CountersError
from feeder.telemetry import process

LAYOUT_VERSION = 1
_WORD = 8
_MAGIC = int.from_bytes(b"feeder\x00c", "little")
_HEADER_WORDS = 16
_TEXT_WORDS = 5
_LABEL_WORDS = 8
_VALUES = 4 + _LABEL_WORDS  # where in a record its values begin
_FREE = -1
_GROWTH = 64 << 10  # bytes
_REMEDY = "feeder makes a new one at its start"
_TRIES = 8  # to read a record while it changes; a change takes a microsecond

# The header's words.
_VERSION, _SCHEMA, _USED, _PID, _PROCESS_START, _START, _SESSION, _BEAT, _BEAT_WALL, _ENDED, _TEXT = range(1, 12)


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it was read: `values` are raw, one per field of its kind."""

    kind: int
    label: str
    values: list[int]


@dataclass(frozen=True, slots=True)
class Counters:
    """A counters file as it was read. Times in nanoseconds; `process_start` in clock ticks after boot."""

    pid: int
    process_start: int
    start_ns: int
    session_id: int
    heartbeat_monotonic_ns: int
    heartbeat_wall_ns: int
    ended: bool
    version: str
    records: list[Record]


class CountersWriter:
    """Makes the file and stores into it; nothing of it waits, but for `add` when the file grows.

    Raises OSError when the file cannot be made or grow, CountersError when another living feeder writes it or somebody
    has cut it short: nothing can be stored then. Space is allocated before it is mapped: a full disk is an error of
    `add`, not a fatal signal later. Nor is a file that was cut short, unless that is done within the microsecond.
    """

    def __init__(self, path: Path, *, schema: int, session_id: int, start_ns: int) -> None:
        _refuse_a_living_owner(path, schema)
        self.path = path
        self._free: dict[tuple[int, int], list[int]] = {}  # (kind, values) -> positions
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        beside.unlink(missing_ok=True)
        self._fd = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            os.posix_fallocate(self._fd, 0, _GROWTH)
            self._map = mmap.mmap(self._fd, _GROWTH)
            self._words = memoryview(self._map).cast("q")
            self._used = _HEADER_WORDS
            text = _words_of(__version__, _TEXT_WORDS)
            this = process.find(os.getpid())
            head = (_MAGIC, LAYOUT_VERSION, schema, self._used, os.getpid(), this.start if this is not None else 0)
            for index, word in enumerate((*head, start_ns, session_id, 0, 0, 0, *text)):
                self._words[index] = word
            beside.replace(path)
        except BaseException:
            os.close(self._fd)
            beside.unlink(missing_ok=True)
            raise

    def beat(self, monotonic_ns: int, wall_ns: int) -> None:
        """Say that the event loop is turning."""
        self._look()
        self._words[_BEAT] = monotonic_ns
        self._words[_BEAT_WALL] = wall_ns

    def add(self, kind: int, label: str, count: int) -> int:
        """A record of `count` values, all 0; returns its position, for `store` and `remove`."""
        self._look()
        text = _words_of(label, _LABEL_WORDS)
        free = self._free.get((kind, count))
        if free:
            position = free.pop()
            self._words[position + 1] += 1
            self._fill(position, kind, len(label.encode()), text, count)
            self._words[position + 1] += 1
            return position
        position = self._used
        size = _VALUES + count
        self._make_room((position + size) * _WORD)
        self._words[position] = size
        self._fill(position, kind, len(label.encode()), text, count)
        # Last of all: a reader does not look at what is not yet in use.
        self._words[_USED] = self._used = position + size
        return position

    def remove(self, position: int) -> None:
        """Free a record: readers do not see it any longer."""
        self._look()
        words = self._words
        words[position + 1] += 1
        words[position + 3] = _FREE
        words[position + 1] += 1
        count = words[position] - _VALUES
        self._free.setdefault((words[position + 2], count), []).append(position)

    def store(self, position: int, values: Iterable[int]) -> None:
        """Store a record's values, as many as it was made for or fewer."""
        self._look()
        words = self._words
        index = position + _VALUES
        for value in values:
            words[index] = value
            index += 1

    def close(self) -> None:
        """Say that the feeder ended as it should, and let go of the file, which stays."""
        with contextlib.suppress(CountersError):
            self._look()
            self._words[_ENDED] = 1
        self._words.release()
        self._map.close()
        os.close(self._fd)

    def _look(self) -> None:
        """A store behind the end of the file would be a fatal signal (SIGBUS)."""
        if os.lseek(self._fd, 0, os.SEEK_END) < len(self._map):
            raise CountersError(f"{self.path}: somebody has cut it short; {_REMEDY}")

    def _fill(self, position: int, kind: int, length: int, text: Sequence[int], count: int) -> None:
        for offset, word in enumerate((kind, length, *text, *([0] * count)), start=position + 2):
            self._words[offset] = word

    def _make_room(self, size: int) -> None:
        have = len(self._map)
        if size > have:
            wanted = max(size, have + _GROWTH)
            os.posix_fallocate(self._fd, have, wanted - have)
            self._words.release()
            self._map.resize(wanted)
            self._words = memoryview(self._map).cast("q")


def read(path: Path, schema: int, *, records: bool = True) -> Counters:
    """What the file holds now, or no more than its header. Raises CountersError, saying what to do, if it cannot be.

    It is read, not mapped: a file that is cut short meanwhile is an error, and no fatal signal.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise CountersError(f"{path}: {error.strerror}; is a feeder with this telemetry.counters running?") from error
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise CountersError(f"{path}: no counters file; {_REMEDY}")
        file = _File(path, fd)
        header = file.words(0, _HEADER_WORDS)
        _check(path, header, schema)
        # What is in use was there before it was in use. Also, a damaged word may ask for more than there is memory.
        if header[_USED] * _WORD > os.fstat(fd).st_size:
            raise CountersError(f"{path}: cut short; {_REMEDY}")
        return _counters(header, list(_records(file, header[_USED])) if records else [])
    finally:
        os.close(fd)


def _refuse_a_living_owner(path: Path, schema: int) -> None:
    try:
        owner = read(path, schema, records=False)
    except CountersError:
        return  # none that could be known
    there = process.find(owner.pid)
    if there is not None and there.start == owner.process_start and not owner.ended and owner.pid != os.getpid():
        raise CountersError(f"{path}: the feeder of process {owner.pid} writes it; give this one its own")


class _File:
    """A counters file to read from."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd

    def words(self, position: int, count: int) -> "memoryview[int]":
        """A copy of so many words. Raises CountersError if there are fewer."""
        data = os.pread(self._fd, count * _WORD, position * _WORD)
        if len(data) < count * _WORD:
            raise CountersError(f"{self.path}: cut short; {_REMEDY}")
        return memoryview(data).cast("q")


def _check(path: Path, words: "memoryview[int]", schema: int) -> None:
    if words[0] != _MAGIC:
        raise CountersError(f"{path}: not a counters file; is telemetry.counters right?")
    if words[_VERSION] != LAYOUT_VERSION or words[_SCHEMA] != schema:
        raise CountersError(f"{path}: made by another version of feeder; use that version's exporter")
    if words[_USED] < _HEADER_WORDS:
        raise CountersError(f"{path}: damaged; {_REMEDY}")


def _counters(words: "memoryview[int]", records: list[Record]) -> Counters:
    return Counters(
        words[_PID],
        words[_PROCESS_START],
        words[_START],
        words[_SESSION],
        words[_BEAT],
        words[_BEAT_WALL],
        words[_ENDED] != 0,
        words[_TEXT : _TEXT + _TEXT_WORDS].tobytes().rstrip(b"\0").decode(errors="replace"),
        records,
    )


def _records(file: _File, used: int) -> Iterator[Record]:
    # Of three copies, made one after the other, the second holds what belongs to a head that the others agree in.
    copies = [file.words(_HEADER_WORDS, used - _HEADER_WORDS) for _ in range(3)]
    position, end = 0, used - _HEADER_WORDS
    while position < end:
        size = copies[0][position]
        if not _VALUES <= size <= end - position:
            raise CountersError(f"{file.path}: damaged at word {_HEADER_WORDS + position}; {_REMEDY}")
        found = [copy[position : position + size] for copy in copies]
        for _ in range(_TRIES):
            before, record, after = found
            if not before[1] & 1 and before[:_VALUES] == after[:_VALUES]:
                if before[3] >= 0:  # not free
                    yield _record(before, record)
                break
            found = [file.words(_HEADER_WORDS + position, size) for _ in range(3)]
        # One that still changes is left out: its writer died while it was at it.
        position += size


def _record(head: "memoryview[int]", record: "memoryview[int]") -> Record:
    label = head[4:_VALUES].tobytes()[: head[3]]
    return Record(head[2], label.decode(errors="replace"), record[_VALUES:].tolist())


def _words_of(text: str, count: int) -> Sequence[int]:
    """A text as so many words. Raises ValueError if it is too long."""
    data = text.encode()
    if len(data) > count * _WORD:
        raise ValueError(f"{text!r} is longer than {count * _WORD} bytes")
    return memoryview(data.ljust(count * _WORD, b"\0")).cast("q").tolist()
