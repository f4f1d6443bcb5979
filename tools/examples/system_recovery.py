"""Connections that are cut: what a program is told, and how the account is compared with REST before it counts again.

export BYBIT_API_KEY=... BYBIT_API_SECRET=...           the simulator's
export BYBIT_BASE_URL=http://127.0.0.1:9444 BYBIT_WEBSOCKET__URL=ws://127.0.0.1:9443
.venv/bin/python tools/examples/system_recovery.py      on `feeder sim`, whose connections can be cut at will
"""

import asyncio
import json
import os
import sys
import urllib.request

from feeder.bybit import BookStatus, BybitSystem, SystemSettings


async def cut(system: BybitSystem, category: str) -> None:
    """Have the simulator cut connections, without a close frame."""
    fault = json.dumps({"fault": "disconnect", "category": category}).encode()
    url = f"{system.rest.base_url}/simulator/faults"
    await asyncio.to_thread(lambda: urllib.request.urlopen(url, fault, timeout=10).close())


async def show(system: BybitSystem) -> None:
    """Trade while the account's own stream is away."""
    account, private = system.streams.account, system.streams.private
    private.lost.on(lambda reason: print("lost:", reason))
    private.resumed.on(lambda number: print("resumed: connection", number))
    system.on("fill", lambda fill: print("fill", fill.side, fill.exec_qty, "at", fill.exec_price))

    async with account.reconciled.events() as news:
        await cut(system, "private")
        doubtful = await anext(news)
        print("reconciled:", doubtful.done, "-", doubtful.reason)
        # Nobody tells of what happens now: an order by REST, from here or from another program of the account.
        await system.rest.place_order("linear", "BTCUSDT", "Buy", "Market", "0.01")
        sure = await anext(news)
        print("reconciled:", sure.done, "- after", sure.reason)
    for key, position in account.positions.items():
        print("position", key.symbol, position.side, position.size)
    await system.rest.place_order("linear", "BTCUSDT", "Sell", "Market", "0.01", reduce_only=True)
    await account.reconcile()
    print("fills", len(account.executions), "of", len({fill.exec_id for fill in account.executions}), "different ids")

    async with system.events("book") as books:
        await cut(system, "linear")
        was_live = True
        async for event in books:
            is_live = event.status is BookStatus.LIVE
            if is_live != was_live:  # not LIVE: nothing of it is to be traded on
                print("book", event.symbol, event.status.name, event.reason.name)
                if is_live:
                    break
            was_live = is_live
    private_stream = system.status().streams["private"]
    print("private stream:", private_stream.connects, "connects,", private_stream.reconnects, "of them again")


async def main() -> None:
    """The command."""
    slow = {"BYBIT_WEBSOCKET__RECONNECT_FIRST_SECONDS": "0.5"}  # so that there is time for an order meanwhile
    quiet = {"BYBIT_LOGGING__LEVEL": "error"}  # what the library would warn of is printed here
    settings = SystemSettings.load(environ={**os.environ, **slow, **quiet})
    if settings.client.base_url is None or not settings.client.base_url.startswith("http://127.0.0.1"):
        sys.exit("this cuts the simulator's connections: start `feeder sim`, and export what is named at the top")
    async with BybitSystem(settings) as system:
        await system.market.watch("linear", "BTCUSDT")
        await system.market.symbol("linear", "BTCUSDT").ready()
        await show(system)


if __name__ == "__main__":
    asyncio.run(main())
