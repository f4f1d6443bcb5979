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

import msgspec

from feeder.bybit import BybitClient, OrderNotFoundError, RestError, Settings, client_from

SYMBOL = "BTCUSDT"
TICK = Decimal("0.1")  # of its price, as client.instruments() tells
QTY = Decimal("0.001")


async def place(client: BybitClient, price: Decimal) -> str:
    """Place the order and return its orderLinkId, whether the answer came or not."""
    try:
        order = await client.place_order("linear", SYMBOL, "Buy", "Limit", QTY, price=price, time_in_force="PostOnly")
    except RestError as error:
        if not error.unknown_outcome or error.order_link_id is None:
            raise
        # It may stand in the book or not; the client never sends it twice. Ask by the id that it went out with.
        found = await client.open_orders("linear", symbol=SYMBOL, order_link_id=error.order_link_id)
        if not found.result.entries:
            raise
        print("no answer came, but the order is there")
        return error.order_link_id
    assert order.result.order_link_id  # its own, as we gave none
    return order.result.order_link_id


async def show(client: BybitClient) -> None:
    """Place, amend, cancel."""
    book = await client.order_book("linear", SYMBOL, limit=1)
    price = book.result.bids[0].price * Decimal("0.9") // TICK * TICK  # too low to trade, and on the grid
    link_id = await place(client, price)
    print("placed", QTY, "at", price)
    try:
        await client.amend_order("linear", SYMBOL, order_link_id=link_id, price=price - TICK)
        amended = (await client.open_orders("linear", symbol=SYMBOL, order_link_id=link_id)).result.entries[0]
        print("amended to", amended.price, amended.order_status)
    finally:
        try:
            await client.cancel_order("linear", SYMBOL, order_link_id=link_id)
        except OrderNotFoundError:
            print("it was filled or cancelled already")
    done = await client.order_history("linear", symbol=SYMBOL, order_link_id=link_id)
    print("in the end", done.result.entries[0].order_status)


async def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Place an order that does not trade, amend and cancel it.")
    parser.add_argument("--rest-url", help="another address than the environment's, such as the simulator's")
    args = parser.parse_args()
    settings = Settings.load(environ={"BYBIT_ENVIRONMENT": "testnet", **os.environ})
    if args.rest_url:
        settings = msgspec.structs.replace(settings, base_url=args.rest_url)
    elif settings.environment == "mainnet":
        sys.exit("this places an order: set BYBIT_ENVIRONMENT=testnet or demo, with a key of that")
    async with client_from(settings) as client:
        await show(client)


if __name__ == "__main__":
    asyncio.run(main())
