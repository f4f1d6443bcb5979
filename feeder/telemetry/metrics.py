"""Every metric, declared once: its name, type, unit, labels, meaning, and where its value is read from.

Names begin with `feeder_` and are in base units. Of one book exactly SERIES_PER_BOOK series are told; all else is per
process, connection, channel or line, so that a thousand books make some ten thousand series and not more.

`source` is an attribute's path, from the object that `of` names; for Of.EXPORTER it says what the exporter looks at.
"""

import enum
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from feeder.bybit.counters import PONG_BOUNDS_US
from feeder.clock import SECOND_NS
from feeder.histogram import STAGE_BOUNDS_US
from feeder.multicast.publisher import LATENCY_BOUNDS_US

SERIES_PER_BOOK = 8

LOOP_LAG_BOUNDS_US = (500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 5_000_000)
"""Upper bounds of the loop lag's buckets, microseconds."""

CONNECTION_STATES = {1: "CONNECTING", 2: "CONNECTED", 3: "WAITING", 4: "CLOSED"}
"""feeder.bybit.stream.StreamState, which the exporter does not load."""


class Type(enum.StrEnum):
    """Prometheus' types."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Of(enum.IntEnum):
    """What a value belongs to: the kind of its record in the counters file."""

    EXPORTER = 0  # no record: the exporter finds out by itself
    FEEDER = 1  # feeder.telemetry.copier.Plant; one record
    BOOKS = 2  # sums over feeder.pipeline.worker.Worker, removed ones included; one record
    BOOK = 3  # feeder.pipeline.worker.Worker
    RESYNCS = 4  # feeder.bybit.counters.Counters
    TRANSITIONS = 5  # sums over Worker, removed ones included
    CONNECTION = 6  # feeder.bybit.pool.ConnectionStatus
    CHANNEL = 7  # feeder.multicast.channel.ChannelPublisher
    LINE = 8  # feeder.multicast.channel.LineSender
    LATENCY = 9  # feeder.multicast.publisher.Publisher
    LOOP_LAG = 10  # feeder.telemetry.copier.Copier
    VENUE_LAG = 11  # feeder.bybit.connection_status.VenueLag
    RING = 12  # feeder.multicast.ring.Ring
    RETRANSMIT = 13  # feeder.multicast.retransmit.RetransmitCounters
    REJECTS = 14  # feeder.multicast.retransmit.RetransmitCounters
    STAGES = 15  # feeder.pipeline.stages.Stages and feeder.multicast.publisher.Publisher
    PONGS = 16  # feeder.bybit.counters.Counters
    SNAPSHOTS = 17  # feeder.multicast.publisher.Partition
    GARBAGE = 18  # feeder.telemetry.garbage.Garbage; one record
    COLLECTIONS = 19  # feeder.telemetry.garbage.Garbage
    RELOADS = 20  # feeder.telemetry.copier.Plant
    REFRESHES = 21  # feeder.telemetry.copier.Plant
    SHARD = 22  # feeder.telemetry.copier.Plant; one record
    SCRAPE = 23  # no record: feeder.telemetry.exposition.Scrapes, of the exporter itself


LABELS: Final[dict[Of, tuple[str, ...]]] = {
    Of.BOOK: ("category", "symbol"),
    Of.RESYNCS: ("reason",),
    Of.TRANSITIONS: ("status", "reason"),
    Of.CONNECTION: ("connection",),
    Of.VENUE_LAG: ("category",),
    Of.CHANNEL: ("partition", "channel"),
    Of.LINE: ("partition", "channel", "line"),
    Of.RING: ("partition", "channel"),
    Of.RETRANSMIT: ("partition",),
    Of.REJECTS: ("partition", "reason"),
    Of.STAGES: ("stage",),
    Of.SNAPSHOTS: ("partition",),
    Of.COLLECTIONS: ("generation",),
    Of.RELOADS: ("result",),
    Of.REFRESHES: ("result",),
    Of.SHARD: ("shard",),
}
"""The labels of a kind's metrics; the label of its record holds their values, parted by `|`."""

BOUNDS: Final[dict[Of, tuple[int, ...]]] = {
    Of.LATENCY: LATENCY_BOUNDS_US,
    Of.LOOP_LAG: LOOP_LAG_BOUNDS_US,
    Of.STAGES: STAGE_BOUNDS_US,
    Of.PONGS: PONG_BOUNDS_US,
}
"""Histograms: their record holds the sum in nanoseconds, a count per bound (microseconds), and that of all above."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. Stored values are divided by `per` to make base units."""

    name: str
    type: Type
    of: Of
    source: str
    help: str
    per: int = 1
    own_labels: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names, in order."""
        return self.own_labels or LABELS.get(self.of, ())


def _counters(of: Of, prefix: str, path: str, *rows: tuple[str, str, str]) -> list[Metric]:
    """Counters from (middle of the name, attribute, help)."""
    return [Metric(f"{prefix}{name}_total", Type.COUNTER, of, f"{path}{source}", text) for name, source, text in rows]


def _gauges(of: Of, prefix: str, path: str, *rows: tuple[str, str, str], per: int = 1) -> list[Metric]:
    return [Metric(f"{prefix}{name}", Type.GAUGE, of, f"{path}{source}", text, per) for name, source, text in rows]


METRICS: Final[Sequence[Metric]] = (
    # The process, as the exporter sees it
    *_gauges(
        Of.EXPORTER,
        "feeder_",
        "",
        (
            "up",
            "heartbeat and process",
            "1 while the feeder's event loop turns, 0 when it hangs, has ended, or is gone",
        ),
        (
            "heartbeat_age_seconds",
            "heartbeat",
            "Seconds since the feeder's event loop last said that it turns",
        ),
        ("start_time_seconds", "file header", "When the feeder's session began, Unix time"),
    ),
    Metric(
        "feeder_build_info",
        Type.GAUGE,
        Of.EXPORTER,
        "file header",
        "1; the feeder's version, and its session id as consumers see it in every packet",
        own_labels=("version", "session"),
    ),
    Metric(
        "feeder_process_cpu_seconds_total",
        Type.COUNTER,
        Of.EXPORTER,
        "/proc/<pid>/stat",
        "CPU time of the feeder process, user and system",
    ),
    *_gauges(
        Of.EXPORTER,
        "feeder_process_",
        "",
        ("resident_memory_bytes", "/proc/<pid>/stat", "Resident memory of the feeder process"),
        ("open_fds", "/proc/<pid>/fd", "Open file descriptors of the feeder process"),
    ),
    Metric(
        "feeder_books",
        Type.GAUGE,
        Of.EXPORTER,
        "feeder_book_status",
        "Books by status",
        own_labels=("status",),
    ),
    Metric(
        "feeder_venue_connections",
        Type.GAUGE,
        Of.EXPORTER,
        "feeder_venue_connection_state",
        "Connections to the exchange by state",
        own_labels=("state",),
    ),
    # The exporter itself
    Metric("feeder_exporter_scrapes_total", Type.COUNTER, Of.SCRAPE, "count", "Answers to /metrics before this one"),
    Metric(
        "feeder_exporter_scrape_seconds",
        Type.GAUGE,
        Of.SCRAPE,
        "latest_ns",
        "How long the exporter worked on the answer before this one; 0 in the first",
        SECOND_NS,
    ),
    # The process, as it sees itself
    *_gauges(
        Of.FEEDER,
        "feeder_",
        "",
        ("instruments_loaded", "publisher.complete", "1 once the instruments are known and every book is followed"),
        ("books_followed", "followed", "Books that are followed"),
        ("partitions_served", "partitions_served", "Multicast partitions that this process serves"),
        ("pending_updates", "router.budget.used", "Updates and trades that wait for their book, of all books"),
        ("pending_updates_limit", "router.budget.total", "How many may wait before pending updates are folded"),
        (
            "config_generation",
            "config_generation",
            "Configurations that were in use: 1, and 1 for each that changed it",
        ),
        ("config_restart_needed", "config_restart_needed", "Configuration keys whose new value waits for a restart"),
        (
            "subscriptions_refused",
            "refused_subscriptions",
            "Instruments that are wanted and cannot be followed: misspelt, not listed, or of a taken id",
        ),
        ("config_last_reload_success", "config_good", "1 unless the configuration read last was refused"),
    ),
    Metric(
        "feeder_config_reloads_total",
        Type.COUNTER,
        Of.RELOADS,
        "config_reloads",
        "Times that the configuration was read again, by what came of it: changed, unchanged, refused",
    ),
    Metric(
        "feeder_universe_refreshes_total",
        Type.COUNTER,
        Of.REFRESHES,
        "universe_refreshes",
        "Times that the exchange was asked which instruments there are, by what came of it: ok, failed",
    ),
    *_counters(
        Of.FEEDER,
        "feeder_",
        "",
        ("universe_refused_tables", "refused_tables", "Instrument tables of the exchange too short to be believed"),
        ("rest_requests", "rest_requests", "REST requests sent to the exchange, repeated ones included"),
        ("rest_retries", "rest_retries", "REST requests sent again, because that may help"),
        ("rest_failures", "rest_failures", "REST requests without an answer of the API: network, HTTP status, no JSON"),
        ("rest_refusals", "rest_refusals", "REST requests that the exchange refused (retCode)"),
        ("rest_bans", "rest_bans", "HTTP 403 of the exchange; after each nothing is asked for 10 minutes"),
    ),
    Metric(
        "feeder_shard_info",
        Type.GAUGE,
        Of.SHARD,
        "shard",
        "1; which shard of how many this process is: k/n serves the partitions p with p mod n = k",
    ),
    Metric(
        "feeder_gc_collections_total",
        Type.COUNTER,
        Of.COLLECTIONS,
        "collections",
        "Runs of Python's cycle collector, by generation",
    ),
    Metric(
        "feeder_gc_pause_seconds_total",
        Type.COUNTER,
        Of.GARBAGE,
        "pause_ns",
        "Time that the process stood still for the cycle collector",
        SECOND_NS,
    ),
    Metric(
        "feeder_gc_longest_pause_seconds",
        Type.GAUGE,
        Of.GARBAGE,
        "longest_pause_ns",
        "The longest of these pauses in the last one to two minutes",
        SECOND_NS,
    ),
    *_gauges(
        Of.FEEDER,
        "feeder_",
        "",
        ("venue_clock_offset_seconds", "clock_offset_ns", "What to add to this machine's clock to have the exchange's"),
        per=SECOND_NS,
    ),
    *_counters(
        Of.FEEDER,
        "feeder_",
        "",
        ("flushes", "publisher.flushes", "Flushes: turns of the event loop that sent something"),
        ("unknown_books", "router.unknown_books", "Book updates of a symbol without a book"),
        ("unknown_trades", "router.unknown_trades", "Trades of a symbol without a book"),
        ("unknown_others", "router.unknown_others", "Resets and definitions of a symbol without a book"),
        ("telemetry_failures", "failures", "Copies into the counters file that failed"),
        ("log_lines_lost", "log_lines_lost", "Log lines that could not be written"),
        ("log_suppressed_lines", "log_lines_suppressed", "Log lines left out as repetitions"),
    ),
    *_counters(
        Of.FEEDER,
        "feeder_venue_",
        "pool.counters.",
        ("connects", "connects", "Connections established"),
        ("connect_failures", "connect_failures", "Attempts to connect that failed"),
        ("disconnects", "disconnects", "Established connections lost"),
        ("reconnects", "reconnects", "Connections established again after a loss or a failure"),
        ("pong_timeouts", "pong_timeouts", "Connections given up because no pong came"),
        ("silence_probes", "silence_probes", "Pings sent because nothing came"),
        ("outdated_connections", "outdated", "Connections given up because their data was old"),
        ("held_snapshots", "held_snapshots", "Snapshots so old that they made no book LIVE"),
        ("messages", "messages", "Text messages received: data, acknowledgements, pongs"),
        ("book_updates", "book_updates", "Book updates received, snapshots included"),
        ("trades", "trades", "Trades received"),
        ("requests", "requests", "Subscribe and unsubscribe requests sent"),
        ("failed_requests", "failed_requests", "Requests that the exchange refused"),
        ("refused_topics", "refused_topics", "Topics refused; each is asked for again later, and may count again"),
        ("decode_errors", "decode_errors", "Messages that could not be understood"),
        ("trades_lost", "trades_lost", "Trades in messages that could not be understood, as far as could be told"),
        ("unknown_topics", "unknown_topics", "Messages of a topic that nobody wants"),
        ("unknown_messages", "unknown_messages", "Messages of no known kind"),
        ("dropped_old_generation", "dropped_old_generation", "Messages of a subscription that was over"),
        ("trades_unrouted", "trades_unrouted", "Trades of symbols nobody wants, in a topic of a whole base coin"),
        ("scale_changes", "scale_changes", "Instruments whose numbers became finer than their scale"),
        ("delisted_books", "delisted", "Books given up because the exchange closed the instrument"),
    ),
    Metric(
        "feeder_venue_resyncs_total",
        Type.COUNTER,
        Of.RESYNCS,
        "pool.counters.resyncs",
        "Books begun anew with the exchange, by reason",
    ),
    # All books together
    *_counters(
        Of.BOOKS,
        "feeder_",
        "",
        ("trades_queued", "queue.trades_put", "Trades handed to their book's task"),
        ("folded_updates", "queue.folded_updates", "Pending updates merged into another"),
        ("replaced_updates", "queue.replaced_updates", "Pending updates made void by a snapshot behind them"),
        ("overflows", "queue.overflows", "Pending runs too large to fold, given up for a fresh snapshot"),
        ("overflowed_updates", "queue.overflowed_updates", "Updates given up so"),
        ("queue_duplicates", "queue.duplicates", "Updates seen twice, while folding"),
        ("queue_out_of_order", "queue.out_of_order", "Updates older than the one before, while folding"),
        ("discarded_after_break", "queue.discarded_after_break", "Pending updates behind a gap, void until a snapshot"),
        ("discarded_by_reset", "queue.discarded_by_reset", "Pending updates of an older subscription or scale"),
        ("dropped_old_generation", "queue.dropped_old_generation", "Updates of an older subscription that came late"),
        ("trades_lost", "queue.trades_lost", "Trades given up, told downstream as TradesLost"),
        ("duplicates", "duplicates", "Updates seen twice by their book"),
        ("out_of_order", "out_of_order", "Updates older than their book"),
        ("dropped_waiting", "dropped_waiting", "Deltas that came before a snapshot"),
        ("dropped_delisted", "dropped_delisted", "Updates of a delisted book"),
        ("book_restarts", "restarts", "LIVE books replaced by a snapshot in mid-stream"),
        ("worker_failures", "failures", "Exceptions that a book's task survived"),
        ("absent_deletes", "book.absent_deletes", "Deletes of a level that was not there"),
        ("trimmed_levels", "book.trimmed_levels", "Levels that left the book's window, sent out as quantity 0"),
    ),
    Metric(
        "feeder_status_transitions_total",
        Type.COUNTER,
        Of.TRANSITIONS,
        "transitions",
        "Changes of a book's status: into which, and why",
    ),
    # Each book: SERIES_PER_BOOK of them
    *_gauges(
        Of.BOOK,
        "feeder_book_",
        "",
        ("status", "status", "1 SYNCING, 2 LIVE, 3 STALE, 4 DELISTED"),
        ("queue_depth", "queue.depth", "Updates and trades that wait for this book"),
        ("queue_high_water", "queue.high_water", "The most that ever waited at once"),
    ),
    *_counters(
        Of.BOOK,
        "feeder_book_",
        "",
        ("updates", "queue.puts", "Updates handed to this book's task"),
        ("folds", "queue.folds", "Times that pending updates were folded into one"),
        ("gaps", "gaps", "Updates found missing"),
        ("resyncs_requested", "resyncs_requested", "Fresh snapshots that this book asked for"),
    ),
    Metric(
        "feeder_book_last_update_timestamp_seconds",
        Type.GAUGE,
        Of.BOOK,
        "last_update.receive_time_ns",  # the last one of a book: there is none before the first update
        "When the newest update was received, Unix time; 0 before the first",
        per=SECOND_NS,
    ),
    # Connections
    *_gauges(
        Of.CONNECTION,
        "feeder_venue_connection_",
        "",
        ("state", "state.value", "1 CONNECTING, 2 CONNECTED, 3 WAITING for the next attempt, 4 CLOSED"),
        ("topics", "topics", "Topics that are this connection's"),
        ("active_topics", "active", "Topics that deliver"),
        ("attempts", "attempt", "Attempts to connect since the connection was last up"),
    ),
    *_gauges(
        Of.VENUE_LAG,
        "feeder_venue_lag_",
        "",
        ("seconds", "latest", "Age of the newest data sampled, by the exchange's clock; of the slowest connection"),
        ("least_seconds", "least", "The least age in the last second"),
        ("most_seconds", "most", "The greatest age in the last second"),
        per=SECOND_NS,
    ),
    Metric(
        "feeder_venue_pong_seconds",
        Type.HISTOGRAM,
        Of.PONGS,
        "pool.counters.pongs",
        "From a ping to the exchange to its pong, over all connections",
    ),
    # Multicast
    *_counters(
        Of.CHANNEL,
        "feeder_channel_",
        "",
        ("packets", "packets", "Packets of a channel, heartbeats included; each goes out on every line"),
        ("messages", "messages", "Messages in them"),
    ),
    *_counters(
        Of.LINE,
        "feeder_line_",
        "",
        ("packets", "packets", "Packets sent on this line"),
        ("bytes", "bytes", "Bytes of UDP payload sent on this line"),
        ("refused_packets", "refused", "Packets lost on this line because the send buffer was full"),
        ("errors", "errors", "Packets lost on this line for another reason"),
    ),
    Metric(
        "feeder_snapshot_cycle_seconds",
        Type.GAUGE,
        Of.SNAPSHOTS,
        "snapshot_cycle_ns",
        "How long the last whole round of snapshots of a partition took; 0 before the end of the first",
        SECOND_NS,
    ),
    # Retransmission
    *_gauges(
        Of.RING,
        "feeder_ring_",
        "",
        ("messages", "messages", "Messages of a channel that are kept to be sent again"),
        ("bytes", "bytes", "Bytes that these messages take"),
    ),
    *_counters(
        Of.RETRANSMIT,
        "feeder_retransmit_",
        "",
        ("requests", "requests", "Datagrams that came as requests for lost messages"),
        ("packets", "packets", "Packets that answered them"),
        ("bytes", "bytes", "Bytes of UDP payload in them"),
        ("messages", "messages", "Messages in them"),
        ("invalid_requests", "invalid", "Datagrams that were no request; not answered"),
        ("unpadded_requests", "unpadded", "Requests too short for the first message they asked for; not answered"),
        ("rate_limited_requests", "rate_limited", "Requests not answered because their source asks for too much"),
        ("dropped_packets", "dropped", "Packets of answers lost because the send buffer was full"),
        ("errors", "errors", "Errors of the network while receiving requests or sending answers"),
    ),
    Metric(
        "feeder_retransmit_rejects_total",
        Type.COUNTER,
        Of.REJECTS,
        "rejects",
        "Requests refused with a reject, by reason",
    ),
    # Times
    Metric(
        "feeder_latency_seconds",
        Type.HISTOGRAM,
        Of.LATENCY,
        "publisher.latency",
        "Of each flush of a channel with book updates: from the oldest one's receipt to the last packet's departure",
    ),
    Metric(
        "feeder_stage_seconds",
        Type.HISTOGRAM,
        Of.STAGES,
        "router.stages and publisher.encode_to_send",
        "Stages of that way: receive_to_dequeue and dequeue_to_encode of one update in 64, encode_to_send of a flush",
    ),
    Metric(
        "feeder_loop_lag_seconds",
        Type.HISTOGRAM,
        Of.LOOP_LAG,
        "lag",
        "How late the event loop's tick of 10 ms came",
    ),
)
"""All of them, in the order of their fields in a record."""

METRICS_OF: Final[dict[Of, list[Metric]]] = {of: [metric for metric in METRICS if metric.of is of] for of in Of}


def field_count(of: Of) -> int:
    """How many values a record of this kind has."""
    return len(BOUNDS[of]) + 2 if of in BOUNDS else len(METRICS_OF[of])


SCHEMA: Final = zlib.crc32(
    repr([(m.name, m.type.value, int(m.of), m.source, m.per) for m in METRICS] + [BOUNDS]).encode()
)
"""What a writer and a reader must agree in, besides the file's layout."""
