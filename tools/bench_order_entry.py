"""What an order over the order-entry socket costs, beside the same order over REST and a bare WebSocket message.

All three in turn, in one process and event loop on a core of its own.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench_child import Child
from bench_report import spread, spread_text
from bench_subject import cores

Figures = dict[str, Any]

_WAYS = ("bare", "socket", "rest")
_LOOPS = ("uvloop", "asyncio")
_ROUNDS = 8
_REQUESTS = 2_000
_WARM_UP = 5_000
_CONCURRENCY = 32


def order_entry(checkout: Path) -> Figures:
    """By event loop: microseconds of the client's CPU per order and way; ratios of pairs of turns."""
    mine, others = cores()
    figures: Figures = {}
    with ExitStack() as stack:
        rest_url, url = stack.enter_context(Child("bench_order_entry_venue.py", core=others)).answer()
        for loop in _LOOPS:
            with Child("bench_order_entry_client.py", loop, rest_url, url, core=mine, paths=(checkout,)) as client:
                figures[loop] = _measured(client)
    return figures


def _measured(client: Child) -> Figures:
    cpu: dict[str, list[float]] = {way: [] for way in _WAYS}
    for way in _WAYS:
        client.ask("requests", what=way, count=_WARM_UP, concurrency=_CONCURRENCY)
    for turn in range(_ROUNDS):
        for way in _WAYS if turn % 2 == 0 else reversed(_WAYS):
            run = client.ask("requests", what=way, count=_REQUESTS, concurrency=_CONCURRENCY)
            cpu[way].append(1e6 * run["cpu"] / _REQUESTS)
    return {
        "cpu_us": {way: spread(each) for way, each in cpu.items()},
        "socket_over_rest": spread([a / b for a, b in zip(cpu["socket"], cpu["rest"], strict=True)]),
        "socket_over_bare": spread([a / b for a, b in zip(cpu["socket"], cpu["bare"], strict=True)]),
    }


def text(figures: Figures) -> str:
    """What a reader wants to see of it."""
    lines = ["an order, us of CPU, median (least to most): bare message; over the socket; over REST"]
    for loop, each in figures.items():
        values = "; ".join(spread_text(each["cpu_us"][way], 1) for way in _WAYS)
        ratios = f"{spread_text(each['socket_over_rest'], 2)} of REST, {spread_text(each['socket_over_bare'], 1)} bare"
        lines.append(f"    {loop:<10}{values}; the socket's is {ratios}")
    return "\n".join(lines)
