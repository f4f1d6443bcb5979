"""Orders over the order-entry WebSocket, the account that follows them, and what to do when no answer comes.

    export BYBIT_API_KEY=... BYBIT_API_SECRET=...           of the testnet
    .venv/bin/python tools/examples/system_trading.py

On `feeder sim`: export BYBIT_BASE_URL=http://127.0.0.1:9444 BYBIT_WEBSOCKET__URL=ws://127.0.0.1:9443 and its key.
"""

import asyncio
import json
import os
import sys
import urllib.request
from decimal import Decimal
from typing import Any, Literal
from uuid import uuid4

from feeder.bybit import BybitSystem, ExecutionUpdate, OrderUpdate, RestError, SystemSettings

SYMBOL = "BTCUSDT"
QTY = Decimal("0.01")


async def place(
    system: BybitSystem, side: Literal["Buy", "Sell"], order_type: Literal["Limit", "Market"], **terms: Any
) -> OrderUpdate:
    """The order as it is at the venue, whether an answer came or not."""
    link_id = f"example-{uuid4().hex[:24]}"  # of our own, so that we know it even if we are stopped meanwhile
    try:
        await system.streams.orders.place_order("linear", SYMBOL, side, order_type, QTY, order_link_id=link_id, **terms)
    except RestError as error:
        if not error.unknown_outcome:
            raise
        print("no answer came:", type(error).__name__)
    # The library sends nothing twice. REST is asked for the order until it is there, or cannot come any more.
    order = await system.streams.account.outcome(link_id, "linear", SYMBOL)
    if order is None:
        raise LookupError(f"the venue does not know {link_id}, and never will")
    return order


async def trade(system: BybitSystem) -> None:
    """Place, amend, cancel; buy and sell."""
    orders, account = system.streams.orders, system.streams.account
    view = system.market.symbol("linear", SYMBOL)
    instrument = (await view.instrument()).value
    assert instrument.price_filter is not None
    tick = instrument.price_filter.tick_size
    assert tick is not None
    best = (await view.book(levels=1)).value.bids[0].price
    price = best * Decimal("0.9") // tick * tick  # too low to trade, and on the grid

    order = await place(system, "Buy", "Limit", price=price, time_in_force="PostOnly")
    print("placed", order.qty, "at", order.price, order.order_status)
    await orders.amend_order("linear", SYMBOL, order_id=order.order_id, price=price - tick)
    await orders.cancel_order("linear", SYMBOL, order_id=order.order_id)

    await lose_the_next_answer(system)
    order = await place(system, "Buy", "Limit", price=price, time_in_force="PostOnly")
    print("and yet it is there:", order.order_status)
    await orders.cancel_order("linear", SYMBOL, order_id=order.order_id)

    bought = await place(system, "Buy", "Market")
    print("bought", bought.cum_exec_qty, "at", bought.avg_price, bought.order_status)
    sold = await place(system, "Sell", "Market", reduce_only=True)
    print("sold", sold.cum_exec_qty, "at", sold.avg_price, sold.order_status)
    await account.reconcile()  # never needed; here so that all events are in before we end
    print("open orders", len(account.orders), "positions", len(account.positions))


async def lose_the_next_answer(system: BybitSystem) -> None:
    """What happens now and then anywhere can be had from `feeder sim` at will; elsewhere this does nothing."""
    if system.rest.base_url.startswith("http://127.0.0.1"):
        fault = json.dumps({"fault": "order_entry", "how": "lost", "op": "order.create", "times": 1}).encode()
        url = f"{system.rest.base_url}/simulator/faults"
        await asyncio.to_thread(lambda: urllib.request.urlopen(url, fault, timeout=10).close())


def on_fill(fill: ExecutionUpdate) -> None:
    """Each fill once, whatever became of the connection."""
    print("fill", fill.side, fill.exec_qty, "at", fill.exec_price, "fee", fill.exec_fee)


async def main() -> None:
    """The command."""
    quiet = {"BYBIT_LOGGING__LEVEL": "error"}  # the library warns of each connection that is lost
    settings = SystemSettings.load(environ={"BYBIT_ENVIRONMENT": "testnet", **os.environ, **quiet})
    if settings.client.api_key is None:
        sys.exit("this trades: export BYBIT_API_KEY and BYBIT_API_SECRET, of the testnet")
    if settings.client.environment == "mainnet":
        sys.exit("this places orders: set BYBIT_ENVIRONMENT=testnet, with a key of that")
    async with BybitSystem(settings) as system:
        system.on("fill", on_fill)
        await trade(system)


if __name__ == "__main__":
    asyncio.run(main())
