"""What a foreign client's streams make of the exchange simulator: an account's own, order entry, tickers and klines.

    .venv/bin/feeder sim --symbols 5 --updates-per-second 0.001 &
    make peers
    export BYBIT_API_KEY=sim-key BYBIT_API_SECRET=sim-secret
    .venv-peers/bin/python tools/peers_stream.py pybit --websocket ws://127.0.0.1:9443 --rest http://127.0.0.1:9444

pybit's WebSocket and WebSocketTrading and ccxt.pro run as published, but for their addresses. Each signs in and follows
its orders, executions, positions and wallet, a ticker and a kline; then, by order entry, it has one order rest, one
amended and cancelled, one filled and one refused. One JSON object is printed: `acks` of order entry by name, and `told`
by topic, in order: of pybit whole messages, of ccxt its unified values, with numbers as texts and the venue's own rows
under `info`.
"""

import argparse
import asyncio
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

from peers_rest import CATEGORY, SYMBOL, UNIFIED_SYMBOL, Plan, plan_for

SECONDS = 30.0
"""Until everything has been told that is waited for."""

PRIVATE = ("order", "execution", "position", "wallet")
TICKER, KLINE = f"tickers.{SYMBOL}", f"kline.1.{SYMBOL}"
STEP = 0.02


class Told(dict[str, list[Any]]):
    """What was told, by the topic's name."""

    def add(self, topic: str, what: Any) -> None:
        """One more."""
        self.setdefault(topic, []).append(what)

    def orders(self) -> dict[str, str]:
        """The last status of each order, by its orderLinkId."""
        return {row["orderLinkId"]: row["orderStatus"] for row in map(_row, self._rows("order"))}

    def complete(self, prefix: str) -> bool:
        """Whether the end of every order, the fill, the position after it and the wallet have been told."""
        ends = {f"{prefix}-kept": "New", f"{prefix}-moved": "Cancelled", f"{prefix}-filled": "Filled"}
        filled = any(row["orderLinkId"] == f"{prefix}-filled" for row in map(_row, self._rows("execution")))
        held = any(float(row["size"]) > 0 for row in map(_row, self._rows("position")))
        told = bool(self.get("wallet") and self.get(TICKER) and self.get(KLINE))
        return ends.items() <= self.orders().items() and filled and held and told

    def _rows(self, topic: str) -> list[Any]:
        return [row for message in self.get(topic, []) for row in _rows(message)]


def _rows(message: Any) -> Any:
    return message["data"] if isinstance(message, dict) else message


def _row(row: Any) -> Any:
    """The venue's own."""
    return row.get("info", row)


class Late(Exception):  # noqa: N818 - what is printed is its text
    """Something was waited for in vain; the text says what, and what there was instead."""


def pybit(websocket: str, key: str, secret: str, plan: Plan) -> dict[str, Any]:
    """pybit's streams, each in a thread of its own."""
    import pybit._websocket_trading as trading
    import pybit.unified_trading as unified

    unified.PRIVATE_WSS = f"{websocket}/v5/private"
    unified.PUBLIC_WSS = f"{websocket}/v5/public/{{CHANNEL_TYPE}}"
    trading.TRADE_WSS = f"{websocket}/v5/trade"
    told, acks = Told(), dict[str, Any]()
    granted: list[Any] = []
    asking = threading.Lock()

    def until(what: str, is_so: Callable[[], object]) -> None:
        end = time.monotonic() + SECONDS
        while not is_so():
            if time.monotonic() > end:
                raise Late(f"{what} did not come; there were {acks} and {told}")
            time.sleep(STEP)

    def hear(message: dict[str, Any]) -> None:
        told.add(message["topic"], message)

    def orderly(stream: Any) -> None:
        """Hold back what it hears while something is asked.

        pybit notes what it asked only when that is sent: it drops an acknowledgement that comes sooner, and a
        subscription's ends the stream. The venue is too far away for it, a simulator beside it is not.
        """
        handle = stream.callback

        def hear_in_turn(message: dict[str, Any]) -> None:
            with asking:
                handle(message)
                if message.get("op") == "subscribe":
                    granted.append(message)

        stream.callback = hear_in_turn

    private = unified.WebSocket("private", testnet=False, api_key=key, api_secret=secret)
    public = unified.WebSocket(CATEGORY, testnet=False)
    entry = unified.WebSocketTrading(testnet=False, api_key=key, api_secret=secret)
    until("signing in", lambda: private.auth and entry.auth)
    for stream in private, public, entry:
        orderly(stream)
    with asking:
        for subscribe in private.order_stream, private.execution_stream, private.position_stream, private.wallet_stream:
            subscribe(callback=hear)
        public.ticker_stream(symbol=SYMBOL, callback=hear)
        public.kline_stream(interval=1, symbol=SYMBOL, callback=hear)
    until("the subscriptions", lambda: len(granted) == len(PRIVATE) + 2)

    def ask(name: str, operation: Callable[..., None], **parameters: Any) -> None:
        with asking:
            operation(lambda ack: acks.update({name: ack}), lambda refusal: acks.update({name: refusal}), **parameters)
        until(name, lambda: name in acks)

    symbol = {"category": CATEGORY, "symbol": SYMBOL}
    rests = symbol | {"side": "Buy", "orderType": "Limit", "qty": plan.qty, "price": plan.low, "timeInForce": "GTC"}
    market = symbol | {"side": "Buy", "orderType": "Market", "qty": plan.qty}
    kept, moved, filled = (f"{plan.prefix}-{name}" for name in ("kept", "moved", "filled"))
    ask("kept", entry.place_order, **rests, orderLinkId=kept)
    ask("moved", entry.place_order, **rests, orderLinkId=moved)
    ask("amended", entry.amend_order, **symbol, orderLinkId=moved, price=plan.lower)
    ask("cancelled", entry.cancel_order, **symbol, orderLinkId=moved)
    ask("filled", entry.place_order, **market, orderLinkId=filled)
    ask("refused", entry.place_order, **rests, orderLinkId=kept)
    one = {name: value for name, value in rests.items() if name != "category"}
    batch = [one | {"orderLinkId": f"{plan.prefix}-batch"}, one | {"orderLinkId": kept}]
    ask("batch", entry.place_batch_order, category=CATEGORY, request=batch)
    until("the end", lambda: told.complete(plan.prefix) and f"{plan.prefix}-batch" in told.orders())
    for stream in private, public, entry:
        stream.exit()
    return {"acks": acks, "told": told, "granted": granted}


async def ccxt(websocket: str, rest: str, key: str, secret: str, plan: Plan) -> dict[str, Any]:
    """ccxt.pro's bybit, every `watch` in a task of its own."""
    import ccxt.pro

    exchange = ccxt.pro.bybit({"apiKey": key, "secret": secret, "options": {"defaultType": "swap"}})
    exchange.number = str
    exchange.options["watchPositions"] = {"fetchPositionsSnapshot": False}
    exchange.urls["api"] = {name: rest for name, url in exchange.urls["api"].items() if isinstance(url, str)}
    exchange.urls["api"]["ws"] = {
        "public": {name: f"{websocket}/v5/public/{name}" for name in ("spot", "linear", "inverse", "option")},
        "private": {"contract": f"{websocket}/v5/private", "trade": f"{websocket}/v5/trade"},
    }
    told, acks = Told(), dict[str, Any]()
    granted: list[Any] = []
    handle = exchange.handle_subscription_status

    def grant(client: Any, message: Any) -> Any:
        granted.append(message)
        return handle(client, message)

    exchange.handle_subscription_status = grant

    async def follow(topic: str, watch: Callable[[], Awaitable[Any]]) -> None:
        while True:
            what = await watch()
            # ccxt gives its own caches, which go on changing: what they say now is what was told.
            told.add(topic, json.loads(json.dumps(what)))

    async def until(what: str, is_so: Callable[[], object]) -> None:
        end = time.monotonic() + SECONDS
        while not is_so():
            for task in tasks:
                if task.done():
                    task.result()
            if time.monotonic() > end:
                raise Late(f"{what} did not come; there were {acks} and {told}")
            await asyncio.sleep(STEP)

    tasks: list[asyncio.Task[None]] = []
    try:
        await exchange.load_markets()
        watches: dict[str, Callable[[], Awaitable[Any]]] = {
            "order": exchange.watch_orders,
            "execution": exchange.watch_my_trades,
            "position": exchange.watch_positions,
            "wallet": exchange.watch_balance,
            TICKER: lambda: exchange.watch_ticker(UNIFIED_SYMBOL),
            KLINE: lambda: exchange.watch_ohlcv(UNIFIED_SYMBOL, "1m"),
        }
        tasks += [asyncio.create_task(follow(topic, watch)) for topic, watch in watches.items()]
        await until("the subscriptions", lambda: len(granted) == len(watches))
        kept, moved, filled = ({"orderLinkId": f"{plan.prefix}-{name}"} for name in ("kept", "moved", "filled"))

        async def limit(price: str, parameters: dict[str, Any]) -> Any:
            return await exchange.create_order_ws(UNIFIED_SYMBOL, "limit", "buy", plan.qty, price, parameters)

        acks["kept"] = await limit(plan.low, kept)
        acks["moved"] = await limit(plan.low, moved)
        moved_id = acks["moved"]["id"]
        acks["amended"] = await exchange.edit_order_ws(moved_id, UNIFIED_SYMBOL, "limit", "buy", plan.qty, plan.lower)
        acks["cancelled"] = await exchange.cancel_order_ws(moved_id, UNIFIED_SYMBOL)
        acks["filled"] = await exchange.create_order_ws(UNIFIED_SYMBOL, "market", "buy", plan.qty, None, filled)
        try:
            await limit(plan.low, kept)
        except Exception as error:  # noqa: BLE001  # whatever it raises is the finding
            acks["refused"] = f"{type(error).__name__}: {error}"
        await until("the end", lambda: told.complete(plan.prefix))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await exchange.close()
    return {"acks": acks, "told": told, "granted": granted}


def main() -> int:
    """The command; see the top of this file."""
    parser = argparse.ArgumentParser(description="Run a foreign client's streams on the exchange simulator.")
    parser.add_argument("client", choices=("pybit", "ccxt"))
    parser.add_argument("--websocket", required=True, help="the simulator's, such as ws://127.0.0.1:9443")
    parser.add_argument("--rest", required=True, help="the simulator's, such as http://127.0.0.1:9444")
    parser.add_argument("--prefix", default="peer", help="of the orders' orderLinkIds (default %(default)s)")
    args = parser.parse_args()
    logging.disable()  # what is told here is what the clients give their user
    key, secret = os.environ["BYBIT_API_KEY"], os.environ["BYBIT_API_SECRET"]
    plan = plan_for(args.rest, args.prefix, "7")
    if args.client == "pybit":
        told = pybit(args.websocket, key, secret, plan)
    else:
        told = asyncio.run(ccxt(args.websocket, args.rest, key, secret, plan))
    sys.stdout.write(json.dumps({"client": args.client, "version": version(args.client)} | told, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
