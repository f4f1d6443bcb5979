"""The REST bench's foreign clients, as published but for the address: run by the Python that has them (`make peers`).

`bench_rest_peer.py NAME URL` with NAME pybit (one request at a time, as it knows no other) or ccxt (its asyncio kind);
its first line of output is the version. Lines on its input say:

    {"do": "requests", "count": 2000, "concurrency": 32}   ask for the wallet: {"wall": seconds, "cpu": seconds}
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version

from bench_child import reply

_KEY, _SECRET = "k" * 18, "s" * 36
_WALLET = {"accountType": "UNIFIED"}


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def pybit(url: str) -> None:
    """Until standard input ends."""
    from pybit.unified_trading import HTTP

    http = HTTP(api_key=_KEY, api_secret=_SECRET)
    http.endpoint = url
    for line in sys.stdin:
        command = json.loads(line)
        wall, cpu = _clocks()
        for _ in range(command["count"]):
            http.get_wallet_balance(**_WALLET)
        ended = _clocks()
        reply({"wall": ended[0] - wall, "cpu": ended[1] - cpu})


async def ccxt(url: str) -> None:
    """Until standard input ends; commands come between measurements."""
    from ccxt.async_support import bybit

    exchange = bybit({"apiKey": _KEY, "secret": _SECRET, "enableRateLimit": False})
    exchange.urls["api"] = dict.fromkeys(exchange.urls["api"], url)
    ask: Callable[[dict[str, str]], Awaitable[object]] = exchange.private_get_v5_account_wallet_balance
    try:
        for line in sys.stdin:
            command = json.loads(line)
            count, concurrency = command["count"], command["concurrency"]

            async def some(first: int, count: int = count, concurrency: int = concurrency) -> None:
                for _ in range(first, count, concurrency):
                    await ask(_WALLET)

            wall, cpu = _clocks()
            await asyncio.gather(*(some(first) for first in range(concurrency)))
            ended = _clocks()
            reply({"wall": ended[0] - wall, "cpu": ended[1] - cpu})
    finally:
        await exchange.close()


if __name__ == "__main__":
    reply(version(sys.argv[1]))
    if sys.argv[1] == "pybit":
        pybit(sys.argv[2])
    else:
        asyncio.run(ccxt(sys.argv[2]))
