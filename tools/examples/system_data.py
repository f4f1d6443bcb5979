"""The market of a symbol, merged from REST and streams: each value with its source and age. No key is needed.

    .venv/bin/python tools/examples/system_data.py          the testnet

On `feeder sim`: export BYBIT_BASE_URL=http://127.0.0.1:9444 BYBIT_WEBSOCKET__URL=ws://127.0.0.1:9443
"""

import asyncio
import os

from feeder.bybit import BybitSystem, SymbolView, SystemSettings


async def show(view: SymbolView) -> None:
    """Print what is known of a symbol."""
    instrument = (await view.instrument()).value
    assert instrument.price_filter is not None
    print("instrument", instrument.symbol, instrument.status, "tick", instrument.price_filter.tick_size)

    ticker = await view.ticker()
    print("ticker", ticker.value.last_price, "by", ticker.source)
    book = await view.book(levels=3)
    for bid, ask in zip(book.value.bids, book.value.asks, strict=True):
        print(f"book {bid.size:>10} {bid.price} | {ask.price} {ask.size}   by {book.source}")
    for trade in (await view.trades(3)).value:
        print("trade", trade.side, trade.qty, "at", trade.price)


async def main() -> None:
    """The command."""
    off = {"BYBIT_FEATURES": "{private: false, order_entry: false}"}  # even where the environment has a key
    settings = SystemSettings.load(environ={"BYBIT_ENVIRONMENT": "testnet", **os.environ, **off})
    async with BybitSystem(settings) as system:
        print("-- before the symbol is watched, REST answers")
        await show(system.market.symbol("linear", "BTCUSDT"))
        print("-- once it is watched, the stream does")
        view = await system.market.watch("linear", "BTCUSDT", depth=50)
        await view.ready()
        await show(view)


if __name__ == "__main__":
    asyncio.run(main())
