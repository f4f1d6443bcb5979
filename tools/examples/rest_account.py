"""An account on Bybit: what is in the wallet, and which positions are open.

    export BYBIT_API_KEY=... BYBIT_API_SECRET=...      of the testnet
    .venv/bin/python tools/examples/rest_account.py

On `feeder sim` with --rest-url http://127.0.0.1:9444 and the key that it was given.
"""

import argparse
import asyncio
import os

from feeder.bybit import BybitClient, Settings, client_from


async def show(client: BybitClient) -> None:
    """Print balances and positions."""
    wallet = await client.wallet_balance()
    for account in wallet.result.entries:
        print(account.account_type, "equity in USD", account.total_equity)
        for coin in account.coins:
            if coin.wallet_balance:
                print("  ", coin.coin, coin.wallet_balance, "worth", coin.usd_value)

    async for position in client.each_position("linear", settle_coin="USDT"):
        if position.size:
            print("position", position.symbol, position.side, position.size, "at", position.avg_price)

    fees = await client.fee_rates("linear", symbol="BTCUSDT")
    for fee in fees.result.entries:
        print("fee", fee.symbol, "taker", fee.taker_fee_rate, "maker", fee.maker_fee_rate)


async def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Print an account's wallet, positions and fees.")
    parser.add_argument("--rest-url", help="another address than the environment's, such as the simulator's")
    args = parser.parse_args()
    environ = {"BYBIT_ENVIRONMENT": "testnet", **os.environ}
    if args.rest_url:
        environ["BYBIT_BASE_URL"] = args.rest_url
    settings = Settings.load(environ=environ)  # or of a file: load(path)
    async with client_from(settings) as client:
        await show(client)


if __name__ == "__main__":
    asyncio.run(main())
