"""What requests for lost messages cost the feeder: each by itself, beside the live path, and keeping what was sent."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench_child import HERE, Child, cpu_ns
from bench_market import Shape
from bench_report import spread, spread_text
from bench_run import Venue, window
from bench_subject import Subject, cores

Figures = dict[str, Any]

_STORM = Shape(50)  # few books, so that their rounds of snapshots leave the feeder idle
_STORM_RATE = 20_000.0  # before the storms, to have full packets to ask for
_CONSUMERS = 50
_STORMS = 20  # in a window
_WINDOWS = 6  # of storms, each beside one without
_GAP_SECONDS = 0.025  # between two storms
_WARM_UP_SECONDS = 2.0
_LIVE = Shape(820)
_LIVE_RATE = 45_000.0
_LIVE_SECONDS = 4.0
_REQUESTS_PER_SECOND = 500
_FLOOR_PORT = 97  # beyond the feed's base port
_TURNS = "ABBAABBA"  # A without requests, B with


def retransmit(checkout: Path, seed: int, seconds: float | None) -> Figures:
    """Everything about retransmission; `seconds` is the length of a window of the live path."""
    with Child("bench_ring.py", core=cores()[0], paths=(checkout, HERE)) as child:
        ring = child.answer()
    return {
        "seed": seed,
        "storm": _storm(checkout, seed),
        "live": _live(checkout, seed, seconds or _LIVE_SECONDS),
        "ring": {**ring, "ring_ns": spread(ring["ring_ns"])},
    }


@contextmanager
def _plant(checkout: Path, shape: Shape) -> Iterator[tuple[Venue, Child, Child, Subject]]:
    """Venue, listener, asker and a feeder with all of its books LIVE."""
    with ExitStack() as stack:
        venue = Venue(stack, shape)
        listener = stack.enter_context(venue.listener())
        asker = stack.enter_context(Child("bench_asker.py", json.dumps(venue.where), core=cores()[1]))
        subject = stack.enter_context(venue.subject(checkout, listener))
        yield venue, listener, asker, subject


def _storm(checkout: Path, seed: int) -> Figures:
    """50 consumers that lose the same packet, again and again: what they ask and get, and the CPU time of a request.

    That is what a window with storms takes more than one of the same length without. Beside it, at the same time, what
    the same storms take of a program that only reads and sends.
    """
    costs: list[float] = []
    floors: list[float] = []
    told: list[Figures] = []
    with ExitStack() as stack:
        venue, _, asker, subject = stack.enter_context(_plant(checkout, Shape(_STORM.symbols, seed=seed)))
        port = venue.port + _FLOOR_PORT
        floor = stack.enter_context(Child("bench_floors.py", "answer", str(port), core=cores()[0]))
        floor.answer()
        venue.load.ask("start", rate=_STORM_RATE, grid_ms=0)
        time.sleep(_WARM_UP_SECONDS)
        venue.load.ask("stop")
        time.sleep(_WARM_UP_SECONDS)
        for _ in range(_WINDOWS):
            begin, cpu = time.monotonic(), subject.cpu_ns()
            told += [_after(_GAP_SECONDS, asker) for _ in range(_STORMS)]
            cpu, length = subject.cpu_ns() - cpu, time.monotonic() - begin
            idle = subject.cpu_ns()
            time.sleep(length)
            idle = subject.cpu_ns() - idle
            costs.append((cpu - idle) / 1000 / (_STORMS * _CONSUMERS))
            cpu = cpu_ns(floor.pid)
            for _ in range(_STORMS):
                _after(_GAP_SECONDS, asker, port=port)
            floors.append((cpu_ns(floor.pid) - cpu) / 1000 / (_STORMS * _CONSUMERS))
    summed = {
        key: sum(each[key] for each in told)
        for key in ("requests", "answers", "rejects", "wrong", "bytes_asked", "bytes_answered")
    }
    return {
        **summed,
        "largest_ratio": max(each["largest_ratio"] for each in told),
        "packet_bytes": spread([each["packet_bytes"] for each in told]),
        "unanswered": summed["requests"] - summed["answers"] - summed["rejects"],
        "cpu_us_per_request": spread(costs),
        "floor_us_per_request": spread(floors),
        "floor_ratio": spread([cost / floor for cost, floor in zip(costs, floors, strict=True)]),
    }


def _after(seconds: float, asker: Child, **where: int) -> Figures:
    time.sleep(seconds)
    return dict(asker.ask("storm", consumers=_CONSUMERS, **where))


def _live(checkout: Path, seed: int, seconds: float) -> Figures:
    """CPU per update and latency of one feeder under the exchange's load, in turn without requests and with them."""
    windows: dict[str, list[Figures]] = {"A": [], "B": []}
    with _plant(checkout, Shape(_LIVE.symbols, seed=seed)) as (venue, listener, asker, subject):
        venue.load.ask("start", rate=_LIVE_RATE, grid_ms=0)
        time.sleep(_WARM_UP_SECONDS)
        for turn in _TURNS:
            if turn == "B":
                asker.ask("start", rate=_REQUESTS_PER_SECOND)
            figures = window(listener, subject, seconds)
            windows[turn].append({**figures, "asked": asker.ask("stop") if turn == "B" else None})
        venue.load.ask("stop")
        logged = subject.logged()
    pairs = list(zip(windows["A"], windows["B"], strict=True))
    return {
        "requests_per_second": sum(b["asked"]["requests"] for _, b in pairs) / len(pairs) / seconds,
        "answers": sum(b["asked"]["answers"] for _, b in pairs),
        "ratio": spread([b["cpu_us_per_update"] / a["cpu_us_per_update"] for a, b in pairs]),
        "latency_p50_ratio": spread([b["latency_us"]["p50"] / a["latency_us"]["p50"] for a, b in pairs]),
        "latency_p99_ratio": spread([b["latency_us"]["p99"] / a["latency_us"]["p99"] for a, b in pairs]),
        "without": windows["A"],
        "with": windows["B"],
        "logged": logged,
    }


def text(figures: Figures) -> str:
    """What a reader wants to see of it."""
    storm, live, ring = figures["storm"], figures["live"], figures["ring"]
    return "\n".join([
        f"retransmit, seed {figures['seed']}: {_CONSUMERS} consumers lose the same packet, "
        f"{storm['requests'] // _CONSUMERS} times: {storm['requests']:,} requests, {storm['answers']:,} answers, "
        f"{storm['rejects']:,} rejects, {storm['unanswered']} unanswered, {storm['wrong']} wrong",
        f"    {storm['bytes_asked']:,} bytes asked, {storm['bytes_answered']:,} answered, "
        f"largest ratio {storm['largest_ratio']:.2f}; CPU per request {spread_text(storm['cpu_us_per_request'], 1)} us",
        f"    {spread_text(storm['floor_ratio'], 2)} times that of reading and sending alone, "
        f"{spread_text(storm['floor_us_per_request'], 1)} us",
        f"    beside {_LIVE_RATE:,.0f} updates/s: {live['requests_per_second']:,.0f} requests/s make CPU per update "
        f"{spread_text(live['ratio'], 3)} times, latency p50 {spread_text(live['latency_p50_ratio'], 2)}, "
        f"p99 {spread_text(live['latency_p99_ratio'], 2)} times",
        f"    keeping a packet {spread_text(ring['ring_ns'], 0)} ns",
    ])  # fmt: skip
