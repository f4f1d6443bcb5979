"""How a system says how it is: health_check with its findings, the whole status, and the quality of a symbol's data.

    .venv/bin/python tools/examples/system_monitoring.py    the testnet; with BYBIT_API_KEY the account as well

On `feeder sim`: export BYBIT_BASE_URL=http://127.0.0.1:9444 BYBIT_WEBSOCKET__URL=ws://127.0.0.1:9443
"""

import asyncio
import os

import msgspec

from feeder.bybit import BybitSystem, Health, SystemSettings


def on_health(health: Health) -> None:
    """Every health.interval_seconds."""
    print("healthy" if health.healthy else "not healthy")
    for finding in health.findings:
        print("  ", finding.kind, finding.where, finding.text)


async def main() -> None:
    """The command."""
    often = {"BYBIT_HEALTH__INTERVAL_SECONDS": "0.5"}  # 10 s is usual
    settings = SystemSettings.load(environ={"BYBIT_ENVIRONMENT": "testnet", **os.environ, **often})
    system = BybitSystem(settings)
    system.on("health_check", on_health)
    async with system:
        view = await system.market.watch("linear", "BTCUSDT")
        async with system.events("health_check") as checks:  # the first may come before the symbol has data
            await view.ready()
            async for health in checks:
                if health.healthy:
                    break

        quality = view.quality()
        print("quality of", quality.symbol, quality.score, "of 100")
        for part in quality.parts:
            print("  ", part.name, part.value, part.sentence)

        status = system.status()
        print(status.state, "for", f"{status.uptime_seconds:.1f} s,", status.rest.requests, "requests")
        for name, usage in status.rest.rates.items():
            if usage.used:
                print("  ", name, usage.used, "of", usage.requests, "in", f"{usage.seconds:g} s")
        assert status.market is not None
        ticker_stream = status.market.tickers["linear"]
        assert ticker_stream.latency is not None
        print("tickers:", ticker_stream.messages, "messages, latency p99", f"{ticker_stream.latency.p99:.1f} ms")
        print(len(msgspec.json.encode(status)), "bytes of JSON for a monitor")


if __name__ == "__main__":
    asyncio.run(main())
