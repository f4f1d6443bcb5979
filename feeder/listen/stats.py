"""What became of every channel, line A against line B, and of the books of each partition."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from feeder.client.recovery import RecoveryCounters
from feeder.client.status import ViewStatus
from feeder.listen.board import Board
from feeder.listen.decimals import rate_text
from feeder.listen.paint import Ground, Line, Span, Tone, line
from feeder.multicast.arbiter import ChannelStats, LineStats
from feeder.wire.messages import Kind

_GAP = 2
_SAMPLE_SECONDS = 0.9  # rates are means over the last second or so

_BAD = ("holes", "lost", "malformed", "breaks", "checksum errors", "missing")  # anything but 0 is bad


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """One channel. Counts are since the listener started; packets count each line's copy, messages each once."""

    partition: int
    kind: Kind
    channel_id: int
    packets_per_second: float
    messages_per_second: float
    stats: ChannelStats
    lines: dict[str, LineStats]


@dataclass(frozen=True, slots=True)
class PartitionRow:
    """The books of one partition; `counters` is what happened to them."""

    partition: int
    instruments: int
    live: int
    counters: RecoveryCounters


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
                rows.append(
                    ChannelRow(partition, kind, channel_id, *self._rates.get(channel_id, (0.0, 0.0)), stats, lines)
                )
        return sorted(rows, key=lambda row: row.channel_id)

    def partitions(self) -> list[PartitionRow]:
        """Every partition that is listened to."""
        rows = []
        for partition, feed in self.board.feeds.items():
            views = [view for view in feed.books.views.values() if view.key is not None]
            live = sum(view.status is ViewStatus.LIVE for view in views)
            rows.append(PartitionRow(partition, len(views), live, feed.books.counters))
        return rows


def channel_object(row: ChannelRow) -> dict[str, object]:
    """A channel for JSON."""
    stats = row.stats
    return {
        "partition": row.partition,
        "kind": row.kind.name.lower(),
        "channel_id": row.channel_id,
        "packets_per_second": round(row.packets_per_second, 1),
        "messages_per_second": round(row.messages_per_second, 1),
        "packets": stats.packets,
        "messages": stats.messages,
        "holes": stats.holes,
        "lost": stats.lost,
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
    counters = row.counters
    return {
        "partition": row.partition,
        "instruments": row.instruments,
        "live": row.live,
        "events_applied": counters.events_applied,
        "events_old": counters.events_old,
        "breaks": counters.breaks,
        "snapshots_loaded": counters.snapshots_loaded,
        "snapshots_refused": counters.snapshots_refused,
        "checksum_mismatches": counters.checksum_mismatches,
        "malformed": counters.malformed,
    }


def paint_stats(meter: StatsMeter, width: int) -> list[Line]:
    """Tables of channels, lines and books; channels and lines in one table where there is room."""
    channels = meter.channels()
    names = [feed_line.name for feed_line in meter.board.plan.lines]
    head = ["part", "kind", "channel"]
    own = [
        "packets/s", "messages/s", "holes", "lost", "duplicates", "reordered", "old session", "sessions", "malformed",
    ]  # fmt: skip
    keys = [[str(row.partition), row.kind.name.lower(), str(row.channel_id)] for row in channels]
    counts = [_counts(row) for row in channels]
    lines_head = [f"{name} {what}" for name in names for what in ("packets", "first", "missing")]
    per_line = [_line_counts(row, names) for row in channels]
    wide = _table([*head, *own, *lines_head], [[*a, *b, *c] for a, b, c in zip(keys, counts, per_line, strict=True)])
    if max(len(row.text) for row in wide) <= width:
        tables = [wide]
    else:
        tables = [
            _table([*head, *own], [[*a, *b] for a, b in zip(keys, counts, strict=True)], width),
            _table([*head, *lines_head], [[*a, *c] for a, c in zip(keys, per_line, strict=True)], width),
        ]
    tables.append(
        _table(
            ["part", "instruments", "live", "applied", "breaks", "snapshots", "refused", "checksum errors"],
            [_book_counts(row) for row in meter.partitions()],
            width,
        )
    )
    return [painted for table in tables for painted in (*table, line())][:-1]


def _counts(row: ChannelRow) -> list[str]:
    stats = row.stats
    counts: Iterable[int] = (
        stats.holes,
        stats.lost,
        stats.duplicates,
        stats.reordered,
        stats.old_session,
        stats.sessions,
        stats.malformed,
    )
    return [rate_text(row.packets_per_second), rate_text(row.messages_per_second), *map(str, counts)]


def _line_counts(row: ChannelRow, names: Iterable[str]) -> list[str]:
    seen = [row.lines[name] for name in names]
    return [str(count) for one in seen for count in (one.packets, one.first, one.missing)]


def _book_counts(row: PartitionRow) -> list[str]:
    counters = row.counters
    counts = (
        row.partition,
        row.instruments,
        row.live,
        counters.events_applied,
        counters.breaks,
        counters.snapshots_loaded,
        counters.snapshots_refused,
        counters.checksum_mismatches,
    )
    return [str(count) for count in counts]


# Heads that a narrow screen has no room for.
_SHORT = {
    "packets/s": "pkt/s", "messages/s": "msg/s", "duplicates": "dup", "reordered": "reord", "old session": "old",
    "sessions": "sess", "malformed": "bad", "channel": "ch", "part": "p",
}  # fmt: skip


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], width: int | None = None) -> list[Line]:
    """A head and rows; kinds to the left, numbers to the right; numbers that should be 0 and are not stand out."""
    labels = list(heads)
    widths = _widths(labels, rows)
    if width is not None and sum(widths) + _GAP * len(widths) > width:
        labels = [_SHORT.get(head, head) for head in heads]
        widths = _widths(labels, rows)
    gap = " " * (1 if width is not None and sum(widths) + _GAP * len(widths) > width else _GAP)
    painted = [
        line(*(Span(_set(text, w, head) + gap, Tone.DIM) for head, text, w in zip(heads, labels, widths, strict=True)))
    ]
    for row in rows:
        spans = [
            Span(_set(text, w, head) + gap, Tone.BAD if _is_bad(head) and text != "0" else Tone.TEXT)
            for head, text, w in zip(heads, row, widths, strict=True)
        ]
        painted.append(Line(tuple(spans), Ground.NONE))
    return painted


def _widths(labels: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    return [max([len(labels[i]), *(len(row[i]) for row in rows)]) for i in range(len(labels))]


def _set(text: str, width: int, head: str) -> str:
    return text.ljust(width) if head == "kind" else text.rjust(width)


def _is_bad(head: str) -> bool:
    return head.endswith(_BAD)
