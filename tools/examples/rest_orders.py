"""An order's life on Bybit: placed where it will not trade, amended, cancelled; and what to do when nobody knows.

    export BYBIT_API_KEY=... BYBIT_API_SECRET=...      of the testnet
    .venv/bin/python tools/examples/rest_orders.py

On `feeder sim` with --rest-url http://127.0.0.1:9444 and the key that it was given.
"""

import argparse
import asyncio
import os
import sys
from decimal import Decimal
from uuid import uuid4

from feeder.bybit import BybitClient, OrderNotFoundError, RestError, Settings, client_from

SYMBOL = "BTCUSDT"
TICK = Decimal("0.1")  # of its price, as client.instruments() tells
QTY = Decimal("0.001")
QUESTIONS = 7  # a second apart


async def place(client: BybitClient, link_id: str, price: Decimal) -> None:
    """Place the order: when this returns the venue has it, whether its answer came or not."""
    try:
        await client.place_order(
            "linear", SYMBOL, "Buy", "Limit", QTY, price=price, time_in_force="PostOnly", order_link_id=link_id
        )
    except RestError as error:
        if not error.unknown_outcome:
            raise
        # It is in the book, on its way there, or lost; the client never sends it twice. So ask by its id. The venue
        # takes no request that is older than recv_window (5 s): by then it is there, or never will be.
        for _ in range(QUESTIONS):
            found = await client.open_orders("linear", symbol=SYMBOL, order_link_id=link_id)
            if found.result.entries:
                print("no answer came, but the order is there")
                return
            await asyncio.sleep(1)
        raise


async def show(client: BybitClient) -> None:
    """Place, amend, cancel."""
    book = await client.order_book("linear", SYMBOL, limit=1)
    price = book.result.bids[0].price * Decimal("0.9") // TICK * TICK  # too low to trade, and on the grid
    link_id = f"example-{uuid4().hex[:24]}"  # of our own, so that we know it even if we are stopped meanwhile
    try:
        await place(client, link_id, price)
        print("placed", QTY, "at", price)
        await client.amend_order("linear", SYMBOL, order_link_id=link_id, price=price - TICK)
        amended = (await client.open_orders("linear", symbol=SYMBOL, order_link_id=link_id)).result.entries[0]
        print("amended to", amended.price, amended.order_status)
    finally:
        try:
            await client.cancel_order("linear", SYMBOL, order_link_id=link_id)
        except OrderNotFoundError:
            print("nothing to cancel: it was filled, cancelled, or never there")
    done = await client.order_history("linear", symbol=SYMBOL, order_link_id=link_id)
    print("in the end", done.result.entries[0].order_status)


async def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Place an order that does not trade, amend and cancel it.")
    parser.add_argument("--rest-url", help="another address than the environment's, such as the simulator's")
    args = parser.parse_args()
    environ = {"BYBIT_ENVIRONMENT": "testnet", **os.environ}
    if args.rest_url:
        environ["BYBIT_BASE_URL"] = args.rest_url
    settings = Settings.load(environ=environ)
    if not args.rest_url and settings.environment == "mainnet":
        sys.exit("this places an order: set BYBIT_ENVIRONMENT=testnet or demo, with a key of that")
    async with client_from(settings) as client:
        await show(client)


if __name__ == "__main__":
    asyncio.run(main())
