"""What became of every channel, line A against line B, and of the books of each partition."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from feeder.client.partition import RETRANSMITTED
from feeder.client.recovery import RecoveryCounters
from feeder.client.repairs import RepairStats
from feeder.client.status import ViewStatus
from feeder.clock import SECOND_NS
from feeder.listen.board import Board
from feeder.listen.paint import Line, Span, Tone, line
from feeder.multicast.arbiter import ChannelState, ChannelStats, LineStats
from feeder.readable import rate_text
from feeder.wire.messages import Kind

_SAMPLE_SECONDS = 0.9  # rates are means over the last second or so
_KEYS = 3  # columns that name a channel


class _Column(NamedTuple):
    """A column of the tables. `rank`: columns of a high rank go first when there is no room for all."""

    head: str
    meaning: str
    short: str = ""  # where there is little room
    rank: int = 0
    bad: bool = False  # whether anything but 0 is bad

    def label(self, short: bool) -> str:
        return self.short if short and self.short else self.head

    def of(self, line_name: str) -> "_Column":
        """The same of one line."""
        return self._replace(head=f"{line_name} {self.head}", short=f"{line_name} {self.short}")


_CHANNEL = (
    _Column("part", "partition: instruments are spread over them", "p"),
    _Column("kind", "what the channel carries"),
    _Column("channel", "channel id", "ch"),
    _Column("packets/s", "packets per second, each line's copy counted", "pkt/s", 5),
    _Column("messages/s", "messages per second, each counted once", "msg/s", 4),
    _Column("holes", "gaps in the sequence that no line filled in time", rank=1, bad=True),
    _Column("lost", "messages in those holes", rank=2, bad=True),
    _Column(
        "filled",
        "of them, how many came after all: sent again on request, or only late; - where nothing is asked for",
        rank=3,
    ),
    _Column("duplicates", "packets that brought nothing new: one of every two when two lines are sound", "dup", 10),
    _Column("reordered", "packets that came before their turn, and waited for it", "reord", 8),
    _Column("old session", "packets of a feeder's past session, ignored", "old", 9),
    _Column("sessions", "sessions followed: one more whenever the feeder starts anew", "sess", 7),
    _Column("malformed", "datagrams that are no packets of this channel", "bad", 6, bad=True),
)
_LINE = (
    _Column("packets", "packets that the line brought, heartbeats too", "pkts", 11),
    _Column(
        "first",
        "packets with messages that it brought before any other line. Fewer than packets is no loss: only one line is"
        " first with each, and heartbeats, which have no messages, never are",
        "first",
        12,
    ),
    _Column("missing", "messages that the line did not bring, whether or not another one did", "miss", 3, bad=True),
)
_BOOKS = (
    _Column("part", "", "p"),
    _Column("instruments", "defined by the feeder, or of those that were asked for", "instr", 1),
    _Column("live", "how many of them are LIVE"),
    _Column("applied", "updates of books applied", rank=4),
    _Column("held", "how often a book missed an update and waited for the hole to be filled", rank=3),
    _Column("breaks", "how often a book missed an update and had to wait for a snapshot", rank=2, bad=True),
    _Column("snapshots", "snapshots loaded, the first of each book included", "snaps", 5),
    _Column("refused", "snapshots not loaded: older than the book, or too old to join what followed", rank=6),
    _Column("checksum errors", "how often a book differed from the feeder's checksum", "bad sums", 3, bad=True),
    _Column("asked", "requests sent for lost messages of books and trades", rank=7),
    _Column("given up", "holes in books and trades that nothing filled: snapshots mend the books", "gone", 3, bad=True),
)


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """One channel. Counts are since the listener started; packets count each line's copy, messages each once."""

    partition: int
    kind: Kind
    channel_id: int
    packets_per_second: float
    messages_per_second: float
    state: ChannelState
    stats: ChannelStats
    lines: dict[str, LineStats]


@dataclass(frozen=True, slots=True)
class PartitionRow:
    """The books of one partition; `counters` is what happened to them, `repairs` what was asked for again."""

    partition: int
    instruments: int
    live: int
    counters: RecoveryCounters
    repairs: RepairStats


class StatsMeter:
    """Samples the board's channels."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self._at = board.clock.monotonic()
        self._before: dict[int, tuple[int, int]] = {}
        self._rates: dict[int, tuple[float, float]] = {}

    def sample(self) -> None:
        """To be called on a timer; rates are over the time since the last sample that counted."""
        now = self.board.clock.monotonic()
        seconds = now - self._at
        if seconds < _SAMPLE_SECONDS:
            return
        self._at = now
        for feed in self.board.feeds.values():
            for channel_id, (_, arbiter) in feed.arbiters.items():
                packets, messages = self._before.get(channel_id, (0, 0))
                stats = arbiter.stats
                self._rates[channel_id] = (stats.packets - packets) / seconds, (stats.messages - messages) / seconds
                self._before[channel_id] = stats.packets, stats.messages

    def channels(self) -> list[ChannelRow]:
        """Every joined channel, by id."""
        rows = []
        for partition, feed in self.board.feeds.items():
            for channel_id, (kind, arbiter) in feed.arbiters.items():
                stats = arbiter.stats
                lines = {line.name: stats.lines.get(line.name, LineStats()) for line in self.board.plan.lines}
                rates = self._rates.get(channel_id, (0.0, 0.0))
                rows.append(ChannelRow(partition, kind, channel_id, *rates, arbiter.state, stats, lines))
        return sorted(rows, key=lambda row: row.channel_id)

    def partitions(self) -> list[PartitionRow]:
        """Every partition that is listened to."""
        rows = []
        for partition, feed in self.board.feeds.items():
            views = [view for view in feed.books.views.values() if view.key is not None]
            live = sum(view.status is ViewStatus.LIVE for view in views)
            rows.append(PartitionRow(partition, len(views), live, feed.books.counters, feed.repairs.stats))
        return rows


def channel_object(row: ChannelRow) -> dict[str, object]:
    """A channel for JSON."""
    stats = row.stats
    return {
        "partition": row.partition,
        "kind": row.kind.name.lower(),
        "channel_id": row.channel_id,
        "state": row.state.name,
        "packets_per_second": round(row.packets_per_second, 1),
        "messages_per_second": round(row.messages_per_second, 1),
        "packets": stats.packets,
        "messages": stats.messages,
        "holes": stats.holes,
        "lost": stats.lost,
        "filled": stats.filled,
        "duplicates": stats.duplicates,
        "reordered": stats.reordered,
        "old_session": stats.old_session,
        "sessions": stats.sessions,
        "malformed": stats.malformed,
        "lines": {
            name: {"packets": seen.packets, "messages": seen.messages, "first": seen.first, "missing": seen.missing}
            for name, seen in row.lines.items()
        },
    }


def partition_object(row: PartitionRow) -> dict[str, object]:
    """A partition's books for JSON."""
    counters, repairs = row.counters, row.repairs
    return {
        "partition": row.partition,
        "instruments": row.instruments,
        "live": row.live,
        "events_applied": counters.events_applied,
        "events_old": counters.events_old,
        "held": counters.held,
        "breaks": counters.breaks,
        "snapshots_loaded": counters.snapshots_loaded,
        "snapshots_refused": counters.snapshots_refused,
        "checksum_mismatches": counters.checksum_mismatches,
        "malformed": counters.malformed,
        "retransmit": {
            "requests": repairs.requests,
            "request_bytes": repairs.request_bytes,
            "answers": repairs.answers,
            "answer_bytes": repairs.answer_bytes,
            "rejects": {reason.name: count for reason, count in repairs.rejects.items()},
            "holes_filled": repairs.filled,
            "holes_abandoned": repairs.abandoned,
            "p99_seconds": round(repairs.duration.percentile(99) / SECOND_NS, 6),
        },
    }


def column_meanings(line_name: str = "A") -> list[tuple[str, str]]:
    """Each column's head, the short one with it, and its meaning."""
    columns = (*_CHANNEL, *(column.of(line_name) for column in _LINE), *_BOOKS[1:])
    return [(f"{c.head}, {c.short}" if c.short not in {"", c.head} else c.head, c.meaning) for c in columns]


def paint_stats(meter: StatsMeter, width: int) -> list[Line]:
    """Tables of channels, lines and books, as many as it takes to show every column."""
    names = [feed_line.name for feed_line in meter.board.plan.lines]
    per_line = [column.of(name) for name in names for column in _LINE]
    channels = [(_channel_cells(row), _line_cells(row, names)) for row in meter.channels()]
    books = _Table(_BOOKS, [_book_cells(row) for row in meter.partitions()])
    whole = _Table((*_CHANNEL, *per_line), [[*own, *lines] for own, lines in channels])
    if whole.width() <= width:
        return [*whole.paint(width, short=False), line(), *books.paint(width, short=False)]
    tables = [
        _Table(_CHANNEL, [own for own, _ in channels]),
        _Table((*_CHANNEL[:_KEYS], *per_line), [[*own[:_KEYS], *lines] for own, lines in channels]),
    ]
    short = any(table.width() > width for table in (*tables, books))
    tables = [part for table in tables for part in table.split(width, short, _KEYS)] + books.split(width, short, 1)
    return [painted for table in tables for painted in (*table.paint(width, short=short), line())][:-1]


def fit_stats(meter: StatsMeter, width: int, height: int) -> list[Line]:
    """All of it if it fits; else one line per channel and partition with the columns that matter most."""
    whole = paint_stats(meter, width)
    if len(whole) <= height:
        return whole
    names = [feed_line.name for feed_line in meter.board.plan.lines]
    per_line = [column.of(name) for name in names for column in _LINE]
    rows = [[*_channel_cells(row), *_line_cells(row, names)] for row in meter.channels()]
    channels = _Table((*_CHANNEL, *per_line), rows).narrowed(width)
    books = _Table(_BOOKS, [_book_cells(row) for row in meter.partitions()]).narrowed(width)
    lines = [*channels.paint(width, short=True), line(), *books.paint(width, short=True)]
    if len(lines) > height:
        more = f" {len(lines) - height + 1} more lines: --once has all"
        lines = [*lines[: height - 1], line(Span(more[:width], Tone.DIM))]
    return lines


def _channel_cells(row: ChannelRow) -> list[str]:
    stats = row.stats
    counts: Iterable[int | str] = (
        stats.holes,
        stats.lost,
        stats.filled if row.kind in RETRANSMITTED else "-",  # the others repeat everything; nothing is asked for
        stats.duplicates,
        stats.reordered,
        stats.old_session,
        stats.sessions,
        stats.malformed,
    )
    rates = [rate_text(row.packets_per_second), rate_text(row.messages_per_second)]
    return [str(row.partition), row.kind.name.lower(), str(row.channel_id), *rates, *map(str, counts)]


def _line_cells(row: ChannelRow, names: Iterable[str]) -> list[str]:
    seen = [row.lines[name] for name in names]
    return [str(count) for one in seen for count in (one.packets, one.first, one.missing)]


def _book_cells(row: PartitionRow) -> list[str]:
    counters = row.counters
    counts = (
        row.partition,
        row.instruments,
        row.live,
        counters.events_applied,
        counters.held,
        counters.breaks,
        counters.snapshots_loaded,
        counters.snapshots_refused,
        counters.checksum_mismatches,
        row.repairs.requests,
        row.repairs.abandoned,
    )
    return [str(count) for count in counts]


class _Table:
    """A head and rows; kinds to the left, numbers to the right; numbers that should be 0 and are not stand out."""

    def __init__(self, columns: Sequence[_Column], rows: Sequence[Sequence[str]]) -> None:
        self._columns = columns
        self._rows = rows

    def width(self, short: bool = False, gap: str = "  ") -> int:
        """Columns of the screen that it takes."""
        return sum(self._widths(short)) + len(gap) * (len(self._columns) - 1)

    def split(self, width: int, short: bool, keys: int) -> "list[_Table]":
        """Tables of `width` with all columns; each begins with the first `keys` of them."""
        taken = list(range(keys))
        tables = []
        for index in range(keys, len(self._columns)):
            if len(taken) > keys and self._of([*taken, index]).width(short, " ") > width:
                tables.append(self._of(taken))
                taken = list(range(keys))
            taken.append(index)
        return [*tables, self._of(taken)]

    def narrowed(self, width: int) -> "_Table":
        """One table of `width` with short heads and the columns that matter most."""
        taken = list(range(len(self._columns)))
        while self._of(taken).width(True, " ") > width and (rank := max(self._columns[i].rank for i in taken)):
            taken = [index for index in taken if self._columns[index].rank < rank]
        return self._of(taken)

    def paint(self, width: int, *, short: bool) -> list[Line]:
        """Its lines, on a screen of `width`."""
        labels, widths = [column.label(short) for column in self._columns], self._widths(short)
        gap = "  " if self.width(short) <= width else " "
        painted = [line(*(Span(cell + gap, Tone.DIM) for cell in self._set(labels, widths)))]
        for row in self._rows:
            tones = [
                Tone.BAD if column.bad and text != "0" else Tone.TEXT
                for column, text in zip(self._columns, row, strict=True)
            ]
            cells = self._set(row, widths)
            painted.append(line(*(Span(cell + gap, tone) for cell, tone in zip(cells, tones, strict=True))))
        return painted

    def _of(self, taken: Sequence[int]) -> "_Table":
        return _Table([self._columns[i] for i in taken], [[row[i] for i in taken] for row in self._rows])

    def _widths(self, short: bool) -> list[int]:
        return [
            max([len(column.label(short)), *(len(row[i]) for row in self._rows)])
            for i, column in enumerate(self._columns)
        ]

    def _set(self, texts: Sequence[str], widths: Sequence[int]) -> list[str]:
        return [
            text.ljust(width) if column.head == "kind" else text.rjust(width)
            for column, text, width in zip(self._columns, texts, widths, strict=True)
        ]
