"""Datagrams kept by the listener, given to feeder.client from memory: `bench_replay.py WHAT`, as JSON.

WHAT: `path` of the file, `where` of the feed, `began_ns` of the load, `passes`. Answers a line per pass.
"""

import json
import pickle
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from bench_child import reply

from feeder.client.events import BookChanged, Event
from feeder.client.partition import PartitionFeed
from feeder.clock import SECOND_NS, ManualClock
from feeder.multicast.plan import ChannelPlan, Line

_TICK_NS = 5_000_000  # as often as feeder.client.Subscriber looks at the time

Datagram = tuple[int, str, int, bytes]  # monotonic ns, line ("" for what is no feed), channel, bytes


def replay(captured: Sequence[Datagram], where: dict[str, Any], began_ns: int) -> dict[str, Any]:
    """Give it all to fresh books; what comes from `began_ns` on, when they are LIVE and the load begins, counts."""
    changed = 0

    def emit(event: Event) -> None:
        nonlocal changed
        if isinstance(event, BookChanged):
            changed += 1

    clock = ManualClock()
    lines = [Line(name, group, where["interface"]) for name, group in where["groups"].items()]
    plan = ChannelPlan(where["partitions"], where["port"], lines)
    feeds = [
        PartitionFeed(
            partition,
            [each for each in plan.channels if each.partition == partition],
            clock,
            emit,
            None,
            ask=lambda *_: None,
            random=Random(1),
        )
        for partition in range(plan.partitions)
    ]
    last_ns = tick_ns = captured[0][0]
    cpu_ns: int | None = None
    before = datagrams = 0
    for at_ns, line, channel, data in captured:
        if not line:
            continue
        if cpu_ns is None and at_ns >= began_ns:
            cpu_ns, before = time.process_time_ns(), changed
        clock.advance((at_ns - last_ns) / SECOND_NS)
        last_ns = at_ns
        if at_ns - tick_ns >= _TICK_NS:
            tick_ns = at_ns
            for feed in feeds:
                feed.on_time()
        feeds[channel >> 4].on_datagram(line, channel, data)
        datagrams += cpu_ns is not None
    if cpu_ns is None or changed == before:
        return {"error": "nothing was captured under load"}
    cpu_ns = time.process_time_ns() - cpu_ns
    return {
        "cpu_us_per_update": cpu_ns / 1000 / (changed - before),
        "updates": changed - before,
        "datagrams": datagrams,
    }


if __name__ == "__main__":
    what = json.loads(sys.argv[1])
    kept: list[Datagram] = pickle.loads(Path(what["path"]).read_bytes())
    for _ in range(what["passes"]):
        reply(replay(kept, what["where"], what["began_ns"]))
