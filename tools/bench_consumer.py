"""What an update costs a consumer: the datagrams of a run, on both lines, given to feeder.client from memory."""

import json
import pickle
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench_child import HERE, Child, reply
from bench_market import Shape
from bench_run import Venue
from bench_subject import GROUPS, PARTITIONS, THIS_CHECKOUT, cores

from feeder.client.events import BookChanged, Event
from feeder.client.partition import PartitionFeed
from feeder.clock import ManualClock
from feeder.multicast.plan import ChannelPlan, Line

_SYMBOLS = 820
_RATE = 8_800.0
_SECONDS = 5.0
_TICK_NS = 5_000_000  # as feeder.client.Subscriber looks at the time
_PASSES = 3


def consumer(checkout: Path, seed: int) -> dict[str, Any]:
    """CPU time per update of the sans-IO client, from datagram to book, holes and lines and all; no socket is read."""
    with tempfile.NamedTemporaryFile(prefix="feeder-bench-") as file:
        with ExitStack() as stack:
            venue = Venue(stack, Shape(_SYMBOLS, seed=seed))
            listener = stack.enter_context(venue.listener())
            listener.ask("capture")
            stack.enter_context(venue.subject(checkout, listener))
            began_ns = venue.load.ask("start", rate=_RATE, grid_ms=0)["started_monotonic_ns"]
            time.sleep(_SECONDS)
            venue.load.ask("stop")
            time.sleep(0.2)
            listener.ask("save", path=file.name)
        arguments = json.dumps({"path": file.name, "port": venue.port, "began_ns": began_ns})
        with Child("bench_consumer.py", arguments, core=cores()[0], paths=(THIS_CHECKOUT, HERE)) as replayer:
            passes = [replayer.answer() for _ in range(_PASSES)]
    best = sorted(passes, key=lambda each: float(each["cpu_us_per_update"]))[len(passes) // 2]
    return {**best, "passes": passes, "symbols": _SYMBOLS, "rate": _RATE}


def replay(captured: list[tuple[int, str, int, bytes]], port: int, began_ns: int) -> dict[str, Any]:
    """Give it all to fresh books; the time since `began_ns`, when they are LIVE and the load begins, counts."""
    changed = 0

    def emit(event: Event) -> None:
        nonlocal changed
        if isinstance(event, BookChanged):
            changed += 1

    clock = ManualClock()
    plan = ChannelPlan(PARTITIONS, port, [Line(name, group, "127.0.0.1") for name, group in GROUPS.items()])
    feeds = {
        partition: PartitionFeed(
            partition, [each for each in plan.channels if each.partition == partition], clock, emit, None
        )
        for partition in range(PARTITIONS)
    }
    last_ns = tick_ns = captured[0][0]
    cpu_ns: int | None = None
    before = datagrams = 0
    for at_ns, line, channel, data in captured:
        if not line:
            continue
        if cpu_ns is None and at_ns >= began_ns:
            cpu_ns, before = time.process_time_ns(), changed
        clock.advance((at_ns - last_ns) / 1e9)
        last_ns = at_ns
        if at_ns - tick_ns >= _TICK_NS:
            tick_ns = at_ns
            for feed in feeds.values():
                feed.on_time()
        feeds[channel >> 4].on_datagram(line, channel, data)
        datagrams += cpu_ns is not None
    assert cpu_ns is not None, "nothing was captured under load"
    cpu_ns = time.process_time_ns() - cpu_ns
    updates = changed - before
    return {"cpu_us_per_update": cpu_ns / 1000 / updates, "updates": updates, "datagrams": datagrams}


if __name__ == "__main__":
    wanted = json.loads(sys.argv[1])
    datagrams = pickle.loads(Path(wanted["path"]).read_bytes())
    for _ in range(_PASSES):
        reply(replay(datagrams, wanted["port"], wanted["began_ns"]))
