"""The REST bench's subject: feeder's client, and what it is compared with, in one process and event loop.

`bench_rest_client.py LOOP URL` with LOOP uvloop or asyncio; lines on its input say:

    {"do": "create", "what": "pool", "count": 100000}     make objects: seconds
    {"do": "cache", "what": "cache", "count": 10000}      fill and read a cache: {"cold": seconds, "warm": seconds}
    {"do": "requests", "what": "wallet feeder", "count": 2000}   requests: {"wall": seconds, "cpu": seconds}

A request is "wallet" (GET, two coins) or "order" (POST, a limit order), made by "feeder"; "bare", by aiohttp, which
sends the same bytes and reads the answer; or "by hand", which signs by hmac and reads by json besides.
"""

import asyncio
import hmac
import json
import sys
import time
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

import aiohttp
import uvloop
from bench_child import reply

from feeder.bybit.rest.cache import ClientCache
from feeder.bybit.rest.client import BybitClient
from feeder.bybit.rest.pool import SessionPool

CONCURRENCY = 32
_KEYS = 2_500  # each of which the venue allows 10 orders/s: together more than one process can send
_BUDGET = 1_000_000_000  # of the address, which is not what is measured
_KEY, _SECRET = "k" * 18, "s" * 36
_QUERY = "accountType=UNIFIED"
_WALLET, _CREATE = f"/v5/account/wallet-balance?{_QUERY}", "/v5/order/create"
_ORDER = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.001"}
_ORDER |= {"price": "20000.5", "timeInForce": "GTC", "orderLinkId": "bench"}
_JSON = json.dumps(_ORDER, separators=(",", ":"))


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


async def requests(ask: Callable[[int], Awaitable[object]], count: int, concurrency: int) -> dict[str, float]:
    """Seconds of wall clock and CPU for so many, so many at once."""

    async def some(first: int) -> None:
        for number in range(first, count, concurrency):
            await ask(number)

    cpu, began = time.process_time(), time.perf_counter()
    await asyncio.gather(*(some(first) for first in range(concurrency)))
    return {"wall": time.perf_counter() - began, "cpu": time.process_time() - cpu}


def headers(stamp: str = "1700000000000", sign: str = "0" * 64) -> dict[str, str]:
    """What a signed request has."""
    return {
        "X-BAPI-API-KEY": _KEY,
        "X-BAPI-TIMESTAMP": stamp,
        "X-BAPI-RECV-WINDOW": "5000",
        "X-BAPI-SIGN": sign,
        "Content-Type": "application/json",
    }


def signed(text: str) -> dict[str, str]:
    """As one writes it for a single program."""
    stamp = str(time.time_ns() // 1_000_000)
    return headers(stamp, hmac.new(_SECRET.encode(), f"{stamp}{_KEY}5000{text}".encode(), sha256).hexdigest())


def asks(
    clients: list[BybitClient], session: aiohttp.ClientSession, url: str
) -> dict[str, Callable[[int], Awaitable[object]]]:
    """Each request by each way of making it; the number says whose it is."""
    constant, wallet, create, data = headers(), url + _WALLET, url + _CREATE, _JSON.encode()

    async def wallet_bare(_: int) -> None:
        async with session.get(wallet, headers=constant) as response:
            await response.read()

    async def wallet_by_hand(_: int) -> None:
        async with session.get(wallet, headers=signed(_QUERY)) as response:
            assert json.loads(await response.read())["retCode"] == 0

    async def order_bare(_: int) -> None:
        async with session.post(create, headers=constant, data=data) as response:
            await response.read()

    async def order_by_hand(_: int) -> None:
        text = json.dumps(_ORDER, separators=(",", ":"))
        async with session.post(create, headers=signed(text), data=text) as response:
            assert json.loads(await response.read())["retCode"] == 0

    return {
        "wallet feeder": lambda number: clients[number % len(clients)].wallet_balance(),
        "wallet bare": wallet_bare,
        "wallet by hand": wallet_by_hand,
        "order feeder": lambda number: clients[number % len(clients)].place_order(
            "linear", "BTCUSDT", "Buy", "Limit", "0.001", price="20000.5", time_in_force="GTC", order_link_id="bench"
        ),
        "order bare": order_bare,
        "order by hand": order_by_hand,
    }


async def main(url: str) -> None:
    """Until standard input ends. Commands come between measurements: nothing else waits for the loop meanwhile."""
    async with SessionPool(requests=_BUDGET) as pool, aiohttp.ClientSession() as session:
        clients = [BybitClient(f"{number:018d}", _SECRET, pool=pool, base_url=url) for number in range(_KEYS)]
        ways = asks(clients, session, url)
        for line in sys.stdin:
            command = json.loads(line)
            what, count = command["what"], command["count"]
            match command["do"]:
                case "create":
                    reply(await create(what, count, pool))
                case "cache":
                    reply(cache(what, count, pool))
                case "requests":
                    reply(await requests(ways[what], count, command.get("concurrency", CONCURRENCY)))
                case other:
                    reply({"error": f"cannot {other!r}"})


if __name__ == "__main__":
    (uvloop.run if sys.argv[1] == "uvloop" else asyncio.run)(main(sys.argv[2]))
