"""One run of one load against one checkout, and what came of it as a dictionary."""

import json
import statistics
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench_child import HERE, BenchError, Child, cpu_ns, waited_ns
from bench_market import Shape
from bench_subject import GROUPS, INTERFACE, PARTITIONS, RAW_GROUP, THIS_CHECKOUT, Subject, cores, feed_port

_READY_SECONDS = 60.0
_SETTLE_SECONDS = 60.0
_LOOK_SECONDS = 0.05
_RELAY_WARM_UP = 0.5
_PASSES = 4  # of the decode floor, before and again after the subject's window
_TOPICS_PER_CONNECTION = 200

Figures = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """A load for some time. `rate` is of all symbols together, per second; `grid_ms` 0 is random phase."""

    shape: Shape
    rate: float
    seconds: float
    grid_ms: int = 0
    warm_up: float = 2.0
    overload: bool = False  # no warm-up; what counts is everything from the load's begin until the last book is right
    relay_seconds: float = 0.0
    floors: bool = True


class Venue:
    """The load generator, and the listener beside it, for any number of subjects one after the other."""

    def __init__(self, stack: ExitStack, shape: Shape) -> None:
        self.shape = shape
        self.port = feed_port()
        other = cores()[1]
        self.load = stack.enter_context(Child("bench_load.py", json.dumps(asdict(shape)), core=other))
        self.addresses: dict[str, Any] = self.load.answer()
        self.where = {
            "groups": GROUPS,
            "port": self.port,
            "interface": INTERFACE,
            "partitions": PARTITIONS,
            "raw_group": RAW_GROUP,
            "raw_port": self.port + 98,
            "origin_us": self.addresses["sequence_origin_us"],
        }

    @contextmanager
    def listener(self) -> Iterator[Child]:
        """A listener that has joined everything."""
        with Child("bench_listener.py", json.dumps(self.where), core=cores()[1]) as listener:
            listener.ask("live")
            yield listener

    @contextmanager
    def subject(
        self, checkout: Path, listener: Child, *, metrics: bool = False, shard: tuple[int, int] | None = None
    ) -> Iterator[Subject]:
        """A feeder of a checkout, all of its books LIVE, with its exporter or as one shard (k, n) if that is wanted."""
        at, wanted = self.addresses, len(self.symbols(shard))
        with Subject(
            checkout,
            depth=self.shape.depth,
            websocket=at["websocket"],
            rest=at["rest"],
            port=self.port,
            metrics=metrics,
            shard=None if shard is None else "{}/{}".format(*shard),
        ) as subject:
            end = time.monotonic() + _READY_SECONDS
            while (live := listener.ask("live")) < wanted:
                subject.check()
                if time.monotonic() > end:
                    raise BenchError(f"{live} of {wanted} books LIVE: {subject.last_words()}")
                time.sleep(_LOOK_SECONDS)
            yield subject

    def symbols(self, shard: tuple[int, int] | None = None) -> list[str]:
        """All symbols, or those of the partitions p with p mod n = k (PROTOCOL.md tells an instrument's partition)."""
        k, n = shard or (0, 1)
        return [symbol for symbol in self.addresses["symbols"] if instrument(symbol) % PARTITIONS % n == k]


def instrument(symbol: str) -> int:
    """The id of a linear instrument (PROTOCOL.md)."""
    return zlib.crc32(f"linear:{symbol}".encode("ascii"))


def run(plan: Plan, checkout: Path) -> Figures:
    """Everything about one load on one checkout; of its floors as well, if the plan wants them."""
    with ExitStack() as stack:
        venue = Venue(stack, plan.shape)
        decoder = None
        if plan.floors:
            shape_text = json.dumps(asdict(plan.shape))
            decoder = stack.enter_context(
                Child("bench_floors.py", "decode", shape_text, core=cores()[0], paths=(checkout, HERE))
            )
            decoder.answer()
        listener = stack.enter_context(venue.listener())
        relay = _relay(plan, venue, listener) if plan.relay_seconds else None
        subject = stack.enter_context(venue.subject(checkout, listener))
        passes = _decode_passes(decoder)
        figures = _load(plan, venue, listener, subject)
        passes += _decode_passes(decoder)
        figures["books"] = compare(venue)
        figures["logged"] = subject.logged()
    if relay is not None:
        figures["relay_us"] = relay
    if passes:
        figures["decode_us"] = statistics.median(passes)
        figures["decode_passes_us"] = passes
        if figures["cpu_us_per_update"] is not None:
            figures["decode_ratio"] = figures["cpu_us_per_update"] / figures["decode_us"]
    figures["plan"] = asdict(plan)
    return figures


def _load(plan: Plan, venue: Venue, listener: Child, subject: Subject) -> Figures:
    load = venue.load
    idle = _idle_cpu(subject)
    at_rest = subject.memory()
    started = load.ask("start", rate=plan.rate, grid_ms=plan.grid_ms)["started_ns"]
    if not plan.overload:
        time.sleep(plan.warm_up)
    load.ask("mark")
    listener.ask("mark")
    cpu = subject.cpu_ns()
    waited = waited_ns(subject.pid)
    others = cpu_ns(load.pid), cpu_ns(listener.pid)
    begin = time.monotonic()
    time.sleep(plan.seconds)
    if not plan.overload:
        cpu = subject.cpu_ns() - cpu
        window, waited = time.monotonic() - begin, waited_ns(subject.pid) - waited
        heard = listener.ask("mark")
        sent = load.ask("mark")
        loaded = subject.memory()
        ended = load.ask("stop")["ended_ns"]
        settled = settle(venue, listener, ended)
    else:
        sent = load.ask("stop")
        loaded = subject.memory()
        ended = sent["ended_ns"]
        settled = settle(venue, listener, ended)
        cpu = subject.cpu_ns() - cpu
        window, waited = time.monotonic() - begin, waited_ns(subject.pid) - waited
        heard = listener.ask("mark")
    venue_cpu, listener_cpu = cpu_ns(load.pid) - others[0], cpu_ns(listener.pid) - others[1]
    handled = heard["covered"]
    books = heard["packets"].get("books", 0)
    return {
        "offered_per_second": plan.rate,
        "achieved_per_second": sent["messages"] / sent["seconds"],
        "handled": handled,
        "handled_per_second": handled / heard["seconds"],
        "cpu_us_per_update": cpu / 1000 / handled if handled else None,
        "cpu_percent": cpu / 1e7 / window,
        "starved_percent": waited / 1e7 / window,
        "venue_cpu_percent": venue_cpu / 1e7 / (time.monotonic() - begin),
        "listener_cpu_percent": listener_cpu / 1e7 / (time.monotonic() - begin),
        "idle_cpu_percent": idle,
        "latency_us": heard["latency_us"],
        "latency_from_write_us": heard["latency_from_write_us"],
        "updates_per_packet": handled / books if books else None,
        "conflated": heard["conflated"],
        "folded": handled - heard["deltas"],
        # Sent in the window and in no update: replaced by a new snapshot. Known only once all of it is through.
        "skipped": max(0, sent["messages"] - handled) if plan.overload else None,
        "not_live": heard["not_live"],
        "lost_by_listener": heard["lost_packets"],
        "settled": settled,
        "memory": {"at_rest": at_rest, "loaded": loaded, "after": subject.memory()},
        "sent": sent,
        "heard": heard,
        "load_seconds": (ended - started) / 1e9,
    }


def _idle_cpu(subject: Subject) -> float:
    """Percent of a core with every book LIVE and no updates: rounds of snapshots and the like."""
    time.sleep(0.5)
    begin, cpu = time.monotonic(), subject.cpu_ns()
    time.sleep(1.0)
    return (subject.cpu_ns() - cpu) / 1e7 / (time.monotonic() - begin)


def window(listener: Child, subject: Subject, seconds: float) -> Figures:
    """What a subject under load does in so many seconds. Raises BenchError if that is nothing."""
    listener.ask("mark")
    cpu, waited = subject.cpu_ns(), waited_ns(subject.pid)
    time.sleep(seconds)
    cpu, waited = subject.cpu_ns() - cpu, waited_ns(subject.pid) - waited
    heard = listener.ask("mark")
    if not heard["covered"]:
        raise BenchError(f"no updates came: {subject.last_words()}")
    return {
        "handled_per_second": heard["covered"] / heard["seconds"],
        "cpu_us_per_update": cpu / 1000 / heard["covered"],
        "latency_us": heard["latency_us"],
        "starved_percent": waited / 1e7 / seconds,
        "folded": heard["covered"] - heard["deltas"],
        "lost_by_listener": heard["lost_packets"],
    }


def settle(venue: Venue, listener: Child, ended_ns: int, shard: tuple[int, int] | None = None) -> Figures:
    """Wait until each book's last update was published; seconds from the end of the load until then."""
    finals = venue.load.ask("finals")
    finals = {str(instrument(symbol)): finals[symbol] for symbol in venue.symbols(shard)}
    listener.ask("expect", finals=finals)
    end = time.monotonic() + _SETTLE_SECONDS
    while True:
        pending = listener.ask("pending")
        if not pending["pending"] or time.monotonic() > end:
            seconds = max(0.0, (pending["last_ns"] - ended_ns) / 1e9)
            return {"seconds": seconds, "pending": pending["pending"]}
        time.sleep(_LOOK_SECONDS)


def _decode_passes(decoder: Child | None) -> list[float]:
    return [] if decoder is None else [decoder.ask("pass") for _ in range(_PASSES)]


def _relay(plan: Plan, venue: Venue, listener: Child) -> float:
    """CPU per message of picows in and one datagram out, in us."""
    topics = [f"orderbook.{plan.shape.depth}.{symbol}" for symbol in venue.addresses["symbols"]]
    where = {
        **venue.where,
        "websocket": venue.addresses["websocket"],
        "topics": topics,
        "topics_per_connection": _TOPICS_PER_CONNECTION,
    }
    with Child("bench_floors.py", "relay", json.dumps(where), core=cores()[0]) as relay:
        relay.answer()
        venue.load.ask("start", rate=plan.rate, grid_ms=plan.grid_ms)
        time.sleep(_RELAY_WARM_UP)
        venue.load.ask("mark")
        cpu = cpu_ns(relay.pid)
        time.sleep(plan.relay_seconds)
        cpu = cpu_ns(relay.pid) - cpu
        sent = venue.load.ask("mark")
        venue.load.ask("stop")
    listener.ask("mark")
    return float(cpu / 1000 / sent["messages"])


def compare(venue: Venue, shard: tuple[int, int] | None = None) -> Figures:
    """Every book as a late consumer gets it, against the venue's own."""
    truth = venue.load.ask("books")
    arguments = json.dumps(venue.where)
    with Child("bench_books.py", arguments, core=cores()[1], paths=(THIS_CHECKOUT, HERE)) as books:
        return dict(books.ask("compare", books={symbol: truth[symbol] for symbol in venue.symbols(shard)}))
