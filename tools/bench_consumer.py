"""What an update costs a consumer: a load's datagrams on both lines, kept, then given to feeder.client from memory."""

import json
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench_child import HERE, Child
from bench_market import Shape
from bench_run import Venue
from bench_subject import cores

_SYMBOLS = 820
_RATE = 45_000.0
_SECONDS = 4.0
_PASSES = 3
_DRAIN_SECONDS = 0.2


def consumer(checkout: Path, seed: int) -> dict[str, Any]:
    """CPU time per update from datagram to book, the second line's copies included; no socket is read."""
    with tempfile.NamedTemporaryFile(prefix="feeder-bench-") as file:
        with ExitStack() as stack:
            venue = Venue(stack, Shape(_SYMBOLS, seed=seed))
            listener = stack.enter_context(venue.listener())
            listener.ask("capture")
            stack.enter_context(venue.subject(checkout, listener))
            began_ns = venue.load.ask("start", rate=_RATE, grid_ms=0)["started_monotonic_ns"]
            time.sleep(_SECONDS)
            venue.load.ask("stop")
            time.sleep(_DRAIN_SECONDS)
            listener.ask("save", path=file.name)
        what = {"path": file.name, "where": venue.where, "began_ns": began_ns, "passes": _PASSES}
        with Child("bench_replay.py", json.dumps(what), core=cores()[0], paths=(checkout, HERE)) as replayer:
            passes = [replayer.answer() for _ in range(_PASSES)]
    costs = [each["cpu_us_per_update"] for each in passes]
    return {**passes[0], "cpu_us_per_update": statistics.median(costs), "passes_us": costs, "rate": _RATE}
