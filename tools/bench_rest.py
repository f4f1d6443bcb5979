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
_WARM_UP = 5_000  # each key signs for the first time in it
_CONCURRENCY = 32
_ROUNDS = 8
_KINDS = ("wallet", "order")
_WAYS = ("bare", "feeder", "by hand")
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
    """Microseconds for each request by each way, and the CPU of feeder's and of one by hand over that of the bare one.

    CPU of the client alone: wall clock, where the exchange is the slower of the two, says little of the client.
    """
    figures: Figures = {}
    for request in _KINDS:
        taken: dict[str, list[Figures]] = {way: [] for way in _WAYS}
        for way in _WAYS:
            client.ask("requests", what=f"{request} {way}", count=_WARM_UP)
        waited = waited_ns(client.pid)
        for turn in range(_ROUNDS):
            for way in _WAYS if turn % 2 == 0 else reversed(_WAYS):
                run = client.ask("requests", what=f"{request} {way}", count=_REQUESTS, concurrency=_CONCURRENCY)
                taken[way].append({clock: 1e6 * run[clock] / _REQUESTS for clock in ("wall", "cpu")})
        seconds = sum(each["wall"] for runs in taken.values() for each in runs) * _REQUESTS / 1e6
        cpu = {way: [each["cpu"] for each in runs] for way, runs in taken.items()}
        figures[request] = {
            "starved_percent": (waited_ns(client.pid) - waited) / 1e7 / seconds,
            "cpu_us": {way: spread(each) for way, each in cpu.items()},
            "wall_us": {way: spread([each["wall"] for each in runs]) for way, runs in taken.items()},
            "ratio": _ratio(cpu["bare"], cpu["feeder"]),
            "ratio_by_hand": _ratio(cpu["bare"], cpu["by hand"]),
        }
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
        "rest, median (least to most): feeder; a bare object, dict or aiohttp; the ratio",
        _line(f"{_OBJECTS:,} clients on one pool, ms", create["pool_ms"], create["bare_ms"], create["ratio"]),
        f"      each without a pool {spread_text(create['own_ms'], 0)}; with its session opened"
        f" {spread_text(create['opened_ms'], 0)} (of {_OPENED:,})",
        *(
            _line(f"{_CACHED:,} clients from the cache, {how}, ms", each["ms"], each["bare_ms"], each["ratio"])
            for how, each in cache.items()
        ),
    ]
    for loop, request, each in _each_request(figures):
        cpu = each["cpu_us"]
        lines.append(_line(f"{request}, {loop}, us of CPU", cpu["feeder"], cpu["bare"], each["ratio"]))
        lines.append(
            f"      signed by hmac and read by json, by hand {spread_text(cpu['by hand'], 1)}, which is"
            f" {spread_text(each['ratio_by_hand'], 2)} of the bare one"
        )
    for name, each in figures["peers"].items():
        lines.append(
            f"    {f'wallet by {name} ' + each['version'] + ', us of CPU':<40}{spread_text(each['cpu_us'], 1)}"
        )
    starved = max(each["starved_percent"] for _, _, each in _each_request(figures))
    if starved > _STARVED:
        lines.append(f"    NOTE other programs held the client's core for {starved:.0f} % of the time: measure again")
    return "\n".join(lines)


def _each_request(figures: Figures) -> list[tuple[str, str, Figures]]:
    return [(loop, request, each) for loop, kinds in figures["requests"].items() for request, each in kinds.items()]


def _line(name: str, ours: dict[str, float], bare: dict[str, float], ratio: dict[str, float]) -> str:
    return f"    {name:<40}{spread_text(ours, 1):<24}{spread_text(bare, 1):<24}{spread_text(ratio, 2)}"
