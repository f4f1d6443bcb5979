"""Events of the market: by callbacks, by coroutines, by iteration; topics that come and go. No key is needed.

    .venv/bin/python tools/examples/system_streaming.py     the testnet

On `feeder sim`: export BYBIT_BASE_URL=http://127.0.0.1:9444 BYBIT_WEBSOCKET__URL=ws://127.0.0.1:9443
"""

import asyncio
import os
from collections import Counter

from feeder.bybit import BookEvent, BybitSystem, SystemSettings, TickerUpdate, Trade, kline_topic, liquidation_topic

counts: Counter[str] = Counter()


def on_book(event: BookEvent) -> None:
    """At once, at most once in a turn of the event loop; `event.book` has as many levels as are wanted."""
    counts["books"] += 1


async def on_ticker(ticker: TickerUpdate) -> None:
    """From a queue of its own, in order: this may wait."""
    counts["tickers"] += 1
    await asyncio.sleep(0)


def on_trade(_: Trade) -> None:
    """What fails is told by error_occurred; the stream goes on."""
    counts["trades"] += 1
    raise ValueError("a mistake in a callback")


async def main() -> None:
    """The command."""
    off = {"BYBIT_FEATURES": "{private: false, order_entry: false}"}  # even where the environment has a key
    settings = SystemSettings.load(environ={"BYBIT_ENVIRONMENT": "testnet", **os.environ, **off})
    system = BybitSystem(settings)
    system.on("book", on_book)
    system.on("ticker", on_ticker)
    end_of_trades = system.on("trade", on_trade)
    system.on("error_occurred", lambda error: counts.update([str(error)]))
    async with system:
        await system.market.watch("linear", "BTCUSDT")
        await system.market.watch("linear", "ETHUSDT", depth=1, trades=False)
        seen = 0
        async with system.events("book") as books:  # nothing is lost meanwhile: 10,000 events wait
            async for event in books:
                if seen < 5 and event.bid is not None and event.ask is not None:
                    print(event.symbol, event.bid.price, event.ask.price, "spread", event.ask.price - event.bid.price)
                    seen += 1
                if seen == 5 and counts["trades"]:
                    break
        end_of_trades()

        # Topics beyond books, tickers and trades, of one category.
        linear = await system.streams.public("linear")
        async with linear.klines.events() as klines:
            linear.subscribe(kline_topic("BTCUSDT", "1"), liquidation_topic("BTCUSDT"))
            kline = await anext(klines)
        print("kline", kline.symbol, kline.interval, kline.open, kline.high, kline.low, kline.close, kline.confirm)
        linear.unsubscribe(kline_topic("BTCUSDT", "1"))
        print("topics left", linear.topics)
    for what, count in sorted(counts.items()):
        print(count, what)


if __name__ == "__main__":
    asyncio.run(main())
