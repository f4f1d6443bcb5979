"""What feeder's REST client costs: objects, the cache of clients, and requests, each beside the bare thing.

One process and event loop do both of a pair in turn, on a core of their own; a local exchange that only repeats itself
has the other. Of foreign clients, if `make peers` installed them, the cost of the same request.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench_child import HERE, Child, waited_ns
from bench_report import spread, spread_text
from bench_subject import cores

Figures = dict[str, Any]

_TURNS = "ABBAABBAABBA"  # A bare, B feeder
_OBJECTS = 100_000
_OPENED = 1_000  # with a session each: takes 50 times as long
_CACHED = 10_000
_REQUESTS = 2_000
_CONCURRENCY = 32
_LOOPS = ("uvloop", "asyncio")
_PEERS = HERE.parent / ".venv-peers"
_PEER_TURNS = 3
_STARVED = 3.0  # percent of the time


def rest(checkout: Path) -> Figures:
    """All of it; `ratio` is feeder over bare, by pairs."""
    figures: Figures = {"requests": {}, "peers": {}}
    mine, others = cores()
    with ExitStack() as stack:
        url = stack.enter_context(Child("bench_rest_venue.py", core=others)).answer()
        clients = {
            loop: stack.enter_context(Child("bench_rest_client.py", loop, url, core=mine, paths=(checkout,)))
            for loop in _LOOPS
        }
        first = clients[_LOOPS[0]]
        figures["create"] = _create(first)
        figures["cache"] = _cache(first)
        for loop, client in clients.items():
            figures["requests"][loop] = _requests(client)
        if (_PEERS / ".ready").exists():
            for name in ("pybit", "ccxt"):
                with Child("bench_rest_peer.py", name, url, core=mine, python=str(_PEERS / "bin" / "python")) as peer:
                    figures["peers"][name] = {"version": peer.answer(), **_peer(peer)}
    return figures


def _create(client: Child) -> Figures:
    """Milliseconds for 100,000 objects; freeing them is not in it, the garbage collector's looks at them are."""
    taken: dict[str, list[float]] = {"bare": [], "pool": []}
    for turn in _TURNS:
        what = "bare" if turn == "A" else "pool"
        taken[what].append(1e3 * client.ask("create", what=what, count=_OBJECTS))
    own = [1e3 * client.ask("create", what="own", count=_OBJECTS) for _ in range(3)]
    opened = [1e3 * client.ask("create", what="opened", count=_OPENED) * _OBJECTS / _OPENED for _ in range(3)]
    return {
        **{f"{what}_ms": spread(each) for what, each in taken.items()},
        "own_ms": spread(own),
        "opened_ms": spread(opened),  # extrapolated
        "ratio": _ratio(taken["bare"], taken["pool"]),
    }


def _cache(client: Child) -> Figures:
    """Milliseconds for 10,000 clients, each got the first time and again, and of a dict with bare objects."""
    taken: dict[str, list[Figures]] = {"bare": [], "cache": []}
    for turn in _TURNS:
        what = "bare" if turn == "A" else "cache"
        taken[what].append(client.ask("cache", what=what, count=_CACHED))
    figures: Figures = {}
    for how in ("cold", "warm"):
        bare, ours = ([1e3 * each[how] for each in taken[what]] for what in ("bare", "cache"))
        figures[how] = {"bare_ms": spread(bare), "ms": spread(ours), "ratio": _ratio(bare, ours)}
    return figures


def _requests(client: Child) -> Figures:
    """Microseconds for a request: for the wallet, signed, with typed result, over a GET by aiohttp of the same body."""
    taken: dict[str, list[Figures]] = {"bare": [], "feeder": []}
    for what in taken:
        client.ask("requests", what=what, count=_REQUESTS)
    waited = waited_ns(client.pid)
    for turn in _TURNS:
        what = "bare" if turn == "A" else "feeder"
        taken[what].append(client.ask("requests", what=what, count=_REQUESTS, concurrency=_CONCURRENCY))
    seconds = sum(each["wall"] for runs in taken.values() for each in runs)
    figures: Figures = {"starved_percent": (waited_ns(client.pid) - waited) / 1e7 / seconds}
    for clock in ("wall", "cpu"):
        bare, ours = ([1e6 * each[clock] / _REQUESTS for each in taken[what]] for what in ("bare", "feeder"))
        figures[clock] = {"bare_us": spread(bare), "us": spread(ours), "ratio": _ratio(bare, ours)}
    return figures


def _peer(peer: Child) -> Figures:
    peer.ask("requests", count=_REQUESTS // 10, concurrency=_CONCURRENCY)
    runs = [peer.ask("requests", count=_REQUESTS, concurrency=_CONCURRENCY) for _ in range(_PEER_TURNS)]
    return {f"{clock}_us": spread([1e6 * each[clock] / _REQUESTS for each in runs]) for clock in ("wall", "cpu")}


def _ratio(bare: list[float], ours: list[float]) -> dict[str, float]:
    return spread([b / a for a, b in zip(bare, ours, strict=True)])


def text(figures: Figures) -> str:
    """What a reader wants to see of it."""
    create, cache = figures["create"], figures["cache"]
    lines = [
        f"rest, median (least to most) of {len(_TURNS) // 2} pairs: feeder; a bare object, dict or aiohttp; the ratio",
        _line(f"{_OBJECTS:,} clients on one pool, ms", create["pool_ms"], create["bare_ms"], create["ratio"]),
        f"      each without a pool {spread_text(create['own_ms'], 0)}; with its session opened"
        f" {spread_text(create['opened_ms'], 0)} (of {_OPENED:,})",
        *(
            _line(f"{_CACHED:,} clients from the cache, {how}, ms", each["ms"], each["bare_ms"], each["ratio"])
            for how, each in cache.items()
        ),
    ]
    for loop, each in figures["requests"].items():
        for clock, name in (("wall", ""), ("cpu", " of CPU")):
            taken = each[clock]
            lines.append(_line(f"a request, {loop}, us{name}", taken["us"], taken["bare_us"], taken["ratio"]))
    for name, each in figures["peers"].items():
        lines.append(
            f"    {name + ' ' + each['version'] + ', us':<40}{spread_text(each['wall_us'], 0)}; of CPU"
            f" {spread_text(each['cpu_us'], 0)}"
        )
    starved = max(each["starved_percent"] for each in figures["requests"].values())
    if starved > _STARVED:
        lines.append(f"    NOTE other programs held the client's core for {starved:.0f} % of the time: measure again")
    return "\n".join(lines)


def _line(name: str, ours: dict[str, float], bare: dict[str, float], ratio: dict[str, float]) -> str:
    return f"    {name:<40}{spread_text(ours, 1):<24}{spread_text(bare, 1):<24}{spread_text(ratio, 2)}"
