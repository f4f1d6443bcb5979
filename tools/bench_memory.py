"""What a symbol takes of memory: its book, its task, its empty queue, its place on the wire."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench_child import Child, memory
from bench_market import Shape
from bench_run import Venue
from bench_subject import cores

_SYMBOLS = 1_000
_RATE = 4_600.0
_LOAD_SECONDS = 3.0
_QUIET_SECONDS = 1.5  # a round of snapshots and more


def memory_per_symbol(checkout: Path, seed: int) -> dict[str, Any]:
    """`feeder run` with 1,000 full books over an interpreter that has loaded the same libraries and runs a loop.

    Looked at after the first snapshots and again after a load, every queue empty both times; the greater one counts,
    by private memory (uss): pages shared with another Python would otherwise hide or add some.
    """
    with ExitStack() as stack:
        venue = Venue(stack, Shape(_SYMBOLS, seed=seed))
        listener = stack.enter_context(venue.listener())
        bare = stack.enter_context(Child("bench_floors.py", "bare", core=cores()[0]))
        bare.answer()
        subject = stack.enter_context(venue.subject(checkout, listener))
        time.sleep(_QUIET_SECONDS)
        at_rest = subject.memory()
        venue.load.ask("start", rate=_RATE, grid_ms=0)
        time.sleep(_LOAD_SECONDS)
        venue.load.ask("stop")
        time.sleep(_QUIET_SECONDS)
        after = subject.memory()
        nothing = dict(memory(bare.pid))
    over = {kind: max(at_rest[kind], after[kind]) - nothing[kind] for kind in ("rss", "uss")}
    most = max(over.values())
    return {
        "symbols": _SYMBOLS,
        "bare": nothing,
        "at_rest": at_rest,
        "after_load": after,
        "over_bare": over,
        "mb_over_bare": most / 1e6,
        "kb_per_symbol": most / 1e3 / _SYMBOLS,
    }
