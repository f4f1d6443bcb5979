"""The REST bench's subject: feeder's client, and what it is compared with, in one process and event loop.

`bench_rest_client.py LOOP URL` with LOOP uvloop or asyncio; lines on its input say:

    {"do": "create", "what": "pool", "count": 100000}     make objects: seconds
    {"do": "cache", "what": "cache", "count": 10000}      fill and read a cache: {"cold": seconds, "warm": seconds}
    {"do": "requests", "what": "feeder", "count": 2000}   ask for the wallet: {"wall": seconds, "cpu": seconds}
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import uvloop
from bench_child import reply

from feeder.bybit.rest.cache import ClientCache
from feeder.bybit.rest.client import BybitClient
from feeder.bybit.rest.pool import SessionPool

CONCURRENCY = 32
_KEYS = 256  # each of which the venue allows 50 requests/s: together more than one process can send
_BUDGET = 1_000_000_000  # of the address, which is not what is measured
_KEY, _SECRET = "k" * 18, "s" * 36
_PATH = "/v5/account/wallet-balance?accountType=UNIFIED"


class Bare:
    """An object with six attributes."""

    def __init__(self, key: str, secret: str, testnet: bool, demo: bool, recv_window: int, pool: object) -> None:
        self.key = key
        self.secret = secret
        self.testnet = testnet
        self.demo = demo
        self.recv_window = recv_window
        self.pool = pool


async def create(what: str, count: int, pool: SessionPool) -> float:
    """Seconds for so many objects; what it takes to free them is not in it."""
    made: list[Any]
    own: list[SessionPool] = []
    began = time.perf_counter()
    match what:
        case "bare":
            made = [Bare(_KEY, _SECRET, False, False, 5000, pool) for _ in range(count)]
        case "pool":
            made = [BybitClient(_KEY, _SECRET, pool=pool) for _ in range(count)]
        case "own":
            made = [BybitClient(_KEY, _SECRET) for _ in range(count)]
        case "opened":
            own = [SessionPool() for _ in range(count)]
            made = [(BybitClient(_KEY, _SECRET, pool=each), each.session()) for each in own]
        case _:
            raise ValueError(f"cannot create {what!r}")
    seconds = time.perf_counter() - began
    for each in own:
        await each.aclose()
    del made
    return seconds


def cache(what: str, count: int, pool: SessionPool) -> dict[str, float]:
    """Seconds to get so many clients, each the first time and again; of a bare dict the same with bare objects."""
    keys = [(f"{number:018d}", f"{number:036d}") for number in range(count)]
    if what == "cache":
        get = ClientCache(pool).get_or_create
        began = time.perf_counter()
        for key, secret in keys:
            get(key, secret)
        filled = time.perf_counter()
        for key, secret in keys:
            get(key, secret)
    else:
        known: dict[str, Bare] = {}
        began = time.perf_counter()
        for key, secret in keys:
            if known.get(key) is None:
                known[key] = Bare(key, secret, False, False, 5000, pool)
        filled = time.perf_counter()
        for key, _ in keys:
            known.get(key)
    return {"cold": filled - began, "warm": time.perf_counter() - filled}


async def requests(ask: Callable[[int], Awaitable[None]], count: int, concurrency: int) -> dict[str, float]:
    """Seconds of wall clock and CPU for so many, so many at once."""

    async def some(first: int) -> None:
        for number in range(first, count, concurrency):
            await ask(number)

    cpu, began = time.process_time(), time.perf_counter()
    await asyncio.gather(*(some(first) for first in range(concurrency)))
    return {"wall": time.perf_counter() - began, "cpu": time.process_time() - cpu}


async def main(url: str) -> None:
    """Until standard input ends. Commands come between measurements: nothing else waits for the loop meanwhile."""
    async with SessionPool(requests=_BUDGET) as pool, aiohttp.ClientSession() as session:
        clients = [BybitClient(f"{number:018d}", _SECRET, pool=pool, base_url=url) for number in range(_KEYS)]

        async def feeder(number: int) -> None:
            await clients[number % _KEYS].wallet_balance()

        async def bare(_: int) -> None:
            async with session.get(url + _PATH) as response:
                await response.read()

        asks = {"feeder": feeder, "bare": bare}
        for line in sys.stdin:
            command = json.loads(line)
            what, count = command["what"], command["count"]
            match command["do"]:
                case "create":
                    reply(await create(what, count, pool))
                case "cache":
                    reply(cache(what, count, pool))
                case "requests":
                    reply(await requests(asks[what], count, command.get("concurrency", CONCURRENCY)))
                case other:
                    reply({"error": f"cannot {other!r}"})


if __name__ == "__main__":
    (uvloop.run if sys.argv[1] == "uvloop" else asyncio.run)(main(sys.argv[2]))
