"""Public data of Bybit: the venue's time, tickers, candles, and every instrument, page by page. No key is needed.

.venv/bin/python tools/examples/rest_public.py                                      the testnet
.venv/bin/python tools/examples/rest_public.py --rest-url http://127.0.0.1:9444     `feeder sim`
"""

import argparse
import asyncio
from datetime import UTC, datetime

from feeder.bybit import BybitClient


async def show(client: BybitClient) -> None:
    """Print what anybody may know."""
    time = await client.server_time()
    print("venue time", datetime.fromtimestamp(time.time_ms / 1000, UTC).isoformat(timespec="milliseconds"))

    tickers = await client.tickers("linear")
    dearest = sorted(tickers.result.entries, key=lambda ticker: ticker.turnover_24h or 0, reverse=True)
    for ticker in dearest[:3]:  # prices are Decimal, or None where the venue has none
        print("ticker", ticker.symbol, ticker.last_price, "turnover", ticker.turnover_24h)

    symbol = dearest[0].symbol
    candles = await client.klines("linear", symbol, "60", limit=3)
    for candle in reversed(candles.result.entries):  # the venue tells the newest first
        begun = datetime.fromtimestamp(candle.start_ms / 1000, UTC)
        print("candle", symbol, f"{begun:%H:%M}", candle.open, candle.high, candle.low, candle.close)

    count = 0
    async for _instrument in client.each_instrument("linear"):  # asks for the next page when it is needed
        count += 1
    print("instruments", count)


async def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Print public data of Bybit.")
    parser.add_argument("--rest-url", help="another address than the testnet's, such as the simulator's")
    args = parser.parse_args()
    async with BybitClient(testnet=True, base_url=args.rest_url) as client:
        await show(client)


if __name__ == "__main__":
    asyncio.run(main())
