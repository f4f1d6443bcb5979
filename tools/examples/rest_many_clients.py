"""Many clients on one session pool: one set of connections, one budget, and a cache that finds each by its key.

    export BYBIT_API_KEY=... BYBIT_API_SECRET=...       a testnet key; the others of this example are made up
    .venv/bin/python tools/examples/rest_many_clients.py

On `feeder sim` with --rest-url http://127.0.0.1:9444 and the key that it was given.
"""

import argparse
import asyncio
import os
import time

from feeder.bybit import BybitClient, ClientCache, SessionPool, Settings


async def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Make many clients on one session pool.")
    parser.add_argument("--rest-url", help="another address than the testnet's, such as the simulator's")
    parser.add_argument("--clients", type=int, default=10_000, help="how many (default %(default)s)")
    args = parser.parse_args()
    environ = {"BYBIT_ENVIRONMENT": "testnet", **os.environ}
    if args.rest_url:
        environ["BYBIT_BASE_URL"] = args.rest_url
    settings = Settings.load(environ=environ)
    async with SessionPool(max_connections=100) as pool:
        begun = time.perf_counter()
        clients = [BybitClient(f"key-{n}", f"secret-{n}", pool=pool) for n in range(args.clients)]
        print(len(clients), "clients in", f"{(time.perf_counter() - begun) * 1000:.1f} ms")  # no connection yet

        async with ClientCache(pool) as cache:  # forgets a client ten minutes after its last use
            client = cache.get_or_create_from(settings)
            again = cache.get_or_create_from(settings)
            print("the same client:", client is again, "hits:", cache.counters.hits)
            await asyncio.gather(*(client.tickers("linear") for _ in range(20)))
            print(pool.counters.requests, "requests")


if __name__ == "__main__":
    asyncio.run(main())
