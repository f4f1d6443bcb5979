"""What can go wrong with a request to Bybit, what to catch, and what may be asked again.

.venv/bin/python tools/examples/rest_errors.py                                      the testnet
.venv/bin/python tools/examples/rest_errors.py --rest-url http://127.0.0.1:9444     `feeder sim`
"""

import argparse
import asyncio
from collections.abc import Awaitable

from feeder.bybit import AuthError, BybitClient, ParameterError, RefusedError, RestError, SessionPool


def then(error: RestError) -> str:
    """What to do after an error. The client has already repeated what may be repeated."""
    if error.unknown_outcome:  # of an order, transfer or the like: perhaps it was carried out. Never just send it again
        return f"unknown: ask by orderLinkId {error.order_link_id}" if error.order_link_id else "unknown: ask"
    return "try later" if error.retriable else "not again"


async def attempt(what: str, call: Awaitable[object]) -> None:
    """Await a call and print how it ends. The particular errors come before the general ones."""
    try:
        await call
    except ParameterError as error:  # found before anything was sent
        print(f"{what}: correct {error.parameter}: {error}")
    except AuthError as error:  # key, signature, permission, address: asking again does not help
        print(f"{what}: see to the key: {error}")
    except RefusedError as error:  # every other retCode; OrderError, RateLimitedError and more are kinds of it
        print(f"{what}: refused with {error.ret_code}, {then(error)}: {error}")
    except RestError as error:  # no connection, time-out, HTML, HTTP status, closed pool, rate limit
        print(f"{what}: {type(error).__name__}, {then(error)}: {error}")
    else:
        print(f"{what}: done")


async def show(rest_url: str | None) -> None:
    """One of each."""
    async with SessionPool() as pool:
        client = BybitClient(testnet=True, base_url=rest_url, pool=pool)
        await attempt("a ticker", client.tickers("linear", symbol="BTCUSDT"))
        await attempt("no such symbol", client.tickers("linear", symbol="NOSUCHUSDT"))
        await attempt("a float", client.place_order("linear", "BTCUSDT", "Buy", "Limit", qty=0.1))  # type: ignore[arg-type]
        await attempt("a parameter forgotten", client.call("GET", "/v5/market/orderbook", category="linear"))
        await attempt("no such endpoint", client.call("GET", "/v5/market/weather"))
        await attempt("without a key", client.wallet_balance())
        stranger = BybitClient("no-such-key", "no-such-secret", testnet=True, base_url=rest_url, pool=pool)
        await attempt("a wrong key", stranger.wallet_balance())
        nowhere = BybitClient(base_url="http://127.0.0.1:9", pool=pool)  # where nobody listens
        await attempt("nobody there", nowhere.server_time())
    await attempt("a closed pool", client.server_time())


async def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Print how requests to Bybit fail.")
    parser.add_argument("--rest-url", help="another address than the testnet's, such as the simulator's")
    await show(parser.parse_args().rest_url)


if __name__ == "__main__":
    asyncio.run(main())
