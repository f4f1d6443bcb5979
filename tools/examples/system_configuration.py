"""Settings: a file, the environment over it, a mistake and its remedy, and another file while the system runs.

    .venv/bin/python tools/examples/system_configuration.py     the testnet

On `feeder sim`: export BYBIT_BASE_URL=http://127.0.0.1:9444 BYBIT_WEBSOCKET__URL=ws://127.0.0.1:9443
"""

import asyncio
import os
from pathlib import Path
from tempfile import TemporaryDirectory

from feeder.bybit import BybitSystem, ConfigError, SystemSettings

FIRST = """\
environment: testnet
features: {private: false, order_entry: false}
rate: {requests: 300}         # in 5 s: two processes share this address
watch:
  - {category: linear, symbols: [BTCUSDT], depth: 50}
health: {interval_seconds: 0.2}
"""

MISTAKEN = FIRST.replace("requests: 300", "request: 300")

SECOND = """\
environment: testnet
features: {private: false, order_entry: false}
rate: {requests: 200}
connection: {max_connections: 10}
watch:
  - {category: linear, symbols: [BTCUSDT, ETHUSDT], depth: 50}
health: {interval_seconds: 0.2}
"""


def write(file: Path, content: str) -> None:
    """As an operator does meanwhile: the new one takes the old one's place at once, so that none is read in halves."""
    new = file.with_suffix(".new")
    new.write_text(content)
    new.replace(file)


async def show(file: Path) -> None:
    """Run a system while its file changes."""
    write(file, FIRST)
    environ = {**os.environ, "BYBIT_LOGGING__LEVEL": "error"}  # BYBIT_SECTION__KEY stands over the file
    settings = SystemSettings.load(file, environ)
    print(settings, settings.rate, settings.logging)

    async with BybitSystem(settings) as system:
        print("watched", system.market.watched)

        write(file, MISTAKEN)
        try:
            await system.reload()
        except ConfigError as error:  # nothing has changed
            print("refused:", error)

        write(file, SECOND)
        reloaded = await system.reload()
        print("changed", reloaded.changed)
        print("needs a restart", reloaded.needs_restart)
        print("watched", system.market.watched)

        async with system.events("health_check") as checks:  # the health loop looks at the file by itself
            write(file, FIRST)
            async for _ in checks:
                if len(system.market.watched) == 1:
                    break
        print("noticed: watched", system.market.watched)


async def main() -> None:
    """The command."""
    with TemporaryDirectory() as folder:
        await show(Path(folder) / "bybit.yaml")


if __name__ == "__main__":
    asyncio.run(main())
