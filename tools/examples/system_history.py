"""Bars of the past: paged as the venue wants it, asked for once, gaps told. No key is needed.

    .venv/bin/python tools/examples/system_history.py       the testnet

On `feeder sim`: export BYBIT_BASE_URL=http://127.0.0.1:9444 BYBIT_WEBSOCKET__URL=ws://127.0.0.1:9443
"""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from feeder.bybit import BybitSystem, SystemSettings


async def main() -> None:
    """The command."""
    off = {"BYBIT_FEATURES": "{private: false, order_entry: false}"}  # even where the environment has a key
    settings = SystemSettings.load(environ={"BYBIT_ENVIRONMENT": "testnet", **os.environ, **off})
    async with BybitSystem(settings) as system:
        requests = system.status().rest.requests
        start = datetime.now(UTC) - timedelta(days=2)

        history = system.market.history("linear", "BTCUSDT", "1", start)  # until now
        count, volume = 0, Decimal(0)
        async for candle in history:  # oldest first; a page of 1000 is asked for when it is needed
            count += 1
            volume += candle.volume
        print(count, "finished bars of a minute, volume", volume)
        print("missing", [str(span) for span in history.missing])
        if history.running is not None:
            print("running", history.running.open, history.running.close)
        asked = system.status().rest.requests
        print("requests", asked - requests)

        again = await system.market.candles("linear", "BTCUSDT", "1", start, start + timedelta(days=1))
        print(len(again.candles), "of them again, requests", system.status().rest.requests - asked)
        best = max(again.candles, key=lambda candle: candle.high)
        print("highest", best.high, "at", datetime.fromtimestamp(best.start_ms / 1000, UTC).isoformat())
        market = system.status().market
        assert market is not None
        print("cache", market.caches["history"])


if __name__ == "__main__":
    asyncio.run(main())
