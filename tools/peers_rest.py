"""What a foreign REST client of Bybit's makes of the exchange simulator: its answers, or what it does when things fail.

    .venv/bin/feeder sim --symbols 5 --updates-per-second 0.001 &
    make peers
    export BYBIT_API_KEY=sim-key BYBIT_API_SECRET=sim-secret
    .venv-peers/bin/python tools/peers_rest.py pybit answers --rest http://127.0.0.1:9444
    .venv-peers/bin/python tools/peers_rest.py ccxt faults --rest http://127.0.0.1:9444

pybit and ccxt run as published, but for their addresses; `pybit-rsa` signs with the private key (PEM) that
BYBIT_API_SECRET then is, `pybit-retry` has its option force_retry. `answers` reads the market, has one order rest, one
amended and cancelled, one filled, and prints what each call gave as one JSON object: of pybit the whole reply, of ccxt
its unified values with numbers as texts and the venue's own rows under `info`. `faults` prints for each fault of the
simulator how a call ends: what it gives or raises, after how many requests and seconds, and how many orders the venue
has of one that was placed.
"""

import argparse
import json
import logging
import os
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from importlib.metadata import version
from typing import Any, Protocol

SYMBOL = "BTCUSDT"
UNIFIED_SYMBOL = "BTC/USDT:USDT"
CATEGORY = "linear"

LASTING_SECONDS = 12.0
"""How long a fault lasts that is to outlive every attempt; pybit's three take 9 s."""

FAULTS: dict[str, dict[str, Any]] = {
    "10002 once": {"fault": "rest", "ret_code": 10002, "times": 1},
    "our clock 30 s slow": {"fault": "rest_skew", "by": 30, "seconds": LASTING_SECONDS},
    "our clock 30 s fast": {"fault": "rest_skew", "by": -30, "seconds": LASTING_SECONDS},
    "10006 once": {"fault": "rest", "ret_code": 10006, "times": 1},
    "10006 lasting": {"fault": "rest", "ret_code": 10006, "seconds": LASTING_SECONDS},
    "10016 once": {"fault": "rest", "ret_code": 10016, "times": 1},
    "500 once": {"fault": "rest", "how": 500, "times": 1},
    "403 once": {"fault": "rest", "how": 403, "times": 1},
    "html once": {"fault": "rest", "how": "html", "times": 1},
    "truncated once": {"fault": "rest", "how": "truncated", "times": 1},
    "answer lost once": {"fault": "rest", "how": "lost", "times": 1},
}
"""By name, an entry for the simulator's REST port."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the orders are: texts as the venue takes them. `low` and `lower` are prices at which a buy rests."""

    low: str
    lower: str
    qty: str
    leverage: str
    prefix: str  # of the orders' orderLinkIds


class Client(Protocol):
    """A foreign client on the simulator."""

    def answers(self, plan: Plan) -> dict[str, Any]:
        """What each call gave, by name; the order is that of the calls."""

    def read(self) -> object:
        """The account's equity, by a signed GET."""

    def place(self, plan: Plan) -> object:
        """The id of an order that rests; it is given no orderLinkId."""

    def open_orders(self) -> int:
        """How many rest."""


class Pybit:
    """pybit's HTTP."""

    def __init__(self, rest: str, key: str, secret: str, **options: bool) -> None:
        from pybit.unified_trading import HTTP

        self._http = HTTP(api_key=key, api_secret=secret, **options)
        self._http.endpoint = rest

    def answers(self, plan: Plan) -> dict[str, Any]:
        """Whole replies."""
        http = self._http
        symbol = {"category": CATEGORY, "symbol": SYMBOL}
        order = symbol | {"side": "Buy", "orderType": "Limit", "qty": plan.qty, "price": plan.low, "timeInForce": "GTC"}
        kept, moved, filled = (f"{plan.prefix}-{name}" for name in ("kept", "moved", "filled"))
        told = {
            "time": http.get_server_time(),
            "instruments": http.get_instruments_info(category=CATEGORY, limit=1000),
            "spot_instruments": http.get_instruments_info(category="spot"),
            "tickers": http.get_tickers(category=CATEGORY),
            "spot_tickers": http.get_tickers(category="spot"),
            "order_book": http.get_orderbook(**symbol, limit=50),
            "trades": http.get_public_trade_history(**symbol, limit=20),
            "klines": http.get_kline(**symbol, interval="D", limit=5),
            "fee_rates": http.get_fee_rates(**symbol),
            "leverage_set": http.set_leverage(**symbol, buyLeverage=plan.leverage, sellLeverage=plan.leverage),
            "kept": http.place_order(**order, orderLinkId=kept),
            "moved": http.place_order(**order, orderLinkId=moved),
            "amended": http.amend_order(**symbol, orderLinkId=moved, price=plan.lower),
            "moved_open": http.get_open_orders(**symbol, orderLinkId=moved),
            "cancelled": http.cancel_order(**symbol, orderLinkId=moved),
            "filled": http.place_order(**symbol, side="Buy", orderType="Market", qty=plan.qty, orderLinkId=filled),
        }
        return told | {
            "open": http.get_open_orders(**symbol, limit=50),
            "history": http.get_order_history(**symbol, limit=50),
            "executions": http.get_executions(**symbol, limit=50),
            "positions": http.get_positions(**symbol),
            "wallet": http.get_wallet_balance(accountType="UNIFIED"),
        }

    def read(self) -> object:
        """A signed GET."""
        return self._http.get_wallet_balance(accountType="UNIFIED")["result"]["list"][0]["totalEquity"]

    def place(self, plan: Plan) -> object:
        """An order that rests."""
        order = {"side": "Buy", "orderType": "Limit", "qty": plan.qty, "price": plan.low}
        return self._http.place_order(category=CATEGORY, symbol=SYMBOL, **order)["result"]["orderId"]

    def open_orders(self) -> int:
        """How many rest."""
        return len(self._http.get_open_orders(category=CATEGORY, symbol=SYMBOL, limit=50)["result"]["list"])


class Ccxt:
    """ccxt's synchronous bybit, with numbers as texts (`number`), as its manual offers."""

    def __init__(self, rest: str, key: str, secret: str) -> None:
        import ccxt

        self._exchange = ccxt.bybit({"apiKey": key, "secret": secret, "options": {"defaultType": "swap"}})
        self._exchange.number = str
        self._exchange.urls["api"] = dict.fromkeys(self._exchange.urls["api"], rest)
        self._exchange.load_markets()

    def answers(self, plan: Plan) -> dict[str, Any]:
        """Unified structures."""
        exchange = self._exchange
        kept, moved, filled = ({"orderLinkId": f"{plan.prefix}-{name}"} for name in ("kept", "moved", "filled"))
        told: dict[str, Any] = {
            "time": exchange.fetch_time(),
            "market": exchange.market(UNIFIED_SYMBOL),
            "markets": sorted(exchange.markets),
            "ticker": exchange.fetch_ticker(UNIFIED_SYMBOL),
            "order_book": exchange.fetch_order_book(UNIFIED_SYMBOL, 50),
            "trades": exchange.fetch_trades(UNIFIED_SYMBOL, limit=20),
            "klines": exchange.fetch_ohlcv(UNIFIED_SYMBOL, "1d", limit=5),
            "fee_rate": exchange.fetch_trading_fee(UNIFIED_SYMBOL),
            "leverage_set": exchange.set_leverage(int(plan.leverage), UNIFIED_SYMBOL),
            "kept": self._limit(plan, plan.low, kept),
            "moved": self._limit(plan, plan.low, moved),
        }
        moved_id = told["moved"]["id"]
        told["amended"] = exchange.edit_order(moved_id, UNIFIED_SYMBOL, "limit", "buy", plan.qty, plan.lower)
        told["moved_open"] = exchange.fetch_open_order(moved_id, UNIFIED_SYMBOL)
        told["cancelled"] = exchange.cancel_order(moved_id, UNIFIED_SYMBOL)
        told["filled"] = exchange.create_order(UNIFIED_SYMBOL, "market", "buy", plan.qty, None, filled)
        return told | {
            "open": exchange.fetch_open_orders(UNIFIED_SYMBOL, limit=50),
            "history": exchange.fetch_canceled_and_closed_orders(UNIFIED_SYMBOL, limit=50),
            "executions": exchange.fetch_my_trades(UNIFIED_SYMBOL, limit=50),
            "positions": exchange.fetch_positions([UNIFIED_SYMBOL]),
            "wallet": exchange.fetch_balance(),
        }

    def _limit(self, plan: Plan, price: str, parameters: dict[str, Any]) -> Any:
        return self._exchange.create_order(UNIFIED_SYMBOL, "limit", "buy", plan.qty, price, parameters)

    def read(self) -> object:
        """A signed GET."""
        return self._exchange.fetch_balance()["total"].get("USDT")

    def place(self, plan: Plan) -> object:
        """An order that rests."""
        return self._limit(plan, plan.low, {})["id"]

    def open_orders(self) -> int:
        """How many rest."""
        return len(self._exchange.fetch_open_orders(UNIFIED_SYMBOL, limit=50))


def connected(name: str, rest: str) -> Client:
    """The client of this name, with the key of the environment."""
    key, secret = os.environ["BYBIT_API_KEY"], os.environ["BYBIT_API_SECRET"]
    if name == "ccxt":
        return Ccxt(rest, key, secret)
    return Pybit(rest, key, secret, rsa_authentication=name == "pybit-rsa", force_retry=name == "pybit-retry")


class Sent:
    """Counts what goes out: both clients send with `requests`."""

    def __init__(self) -> None:
        import requests

        self.requests = 0
        send = requests.Session.send

        def counted(session: Any, request: Any, **options: Any) -> Any:
            self.requests += 1
            return send(session, request, **options)

        requests.Session.send = counted


def _inject(rest: str, fault: dict[str, Any]) -> None:
    request = urllib.request.Request(f"{rest}/simulator/faults", json.dumps(fault).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=10):
        pass


def under_faults(client: Client, plan: Plan, rest: str, sent: Sent) -> Iterator[dict[str, Any]]:
    """How a signed GET and a new order end under each fault."""
    calls: dict[str, Callable[[], object]] = {
        "/v5/account/wallet-balance": client.read,
        "/v5/order/create": partial(client.place, plan),
    }
    for call in calls.values():
        call()  # what a client asks but once is asked now
    for name, fault in FAULTS.items():
        for path, call in calls.items():
            orders = client.open_orders()
            _inject(rest, fault | {"path": path} if fault["fault"] == "rest" else fault)
            before, start = sent.requests, time.monotonic()
            try:
                ends = f"gives {call()}"
            except Exception as error:  # noqa: BLE001  # whatever it raises is the finding
                ends = f"{type(error).__module__}.{type(error).__name__}: {str(error).partition(chr(10))[0][:160]}"
            took = time.monotonic() - start
            row = {"fault": name, "path": path, "ends": ends, "requests": sent.requests - before}
            time.sleep(max(0.0, fault.get("seconds", 0.0) - took))
            yield row | {"seconds": round(took, 1), "orders": client.open_orders() - orders}


def plan_for(rest: str, prefix: str, leverage: str) -> Plan:
    """Prices far below the best bid of SYMBOL, on its tick, and a small quantity."""

    def get(path: str) -> Any:
        with urllib.request.urlopen(
            f"{rest}/v5/market/{path}?category={CATEGORY}&symbol={SYMBOL}", timeout=10
        ) as reply:
            return json.load(reply)["result"]

    (instrument,) = get("instruments-info")["list"]
    tick, step = Decimal(instrument["priceFilter"]["tickSize"]), Decimal(instrument["lotSizeFilter"]["qtyStep"])
    best = Decimal(get("orderbook")["b"][0][0])
    low, lower = ((best * share / tick).to_integral_value() * tick for share in (Decimal("0.9"), Decimal("0.85")))
    worth = (Decimal(100) / best / step).to_integral_value() * step  # 100 USDT or one step: above every minimum
    return Plan(f"{low:f}", f"{lower:f}", f"{max(worth, step):f}", leverage, prefix)


def main() -> int:
    """The command; see the top of this file."""
    parser = argparse.ArgumentParser(description="Run a foreign REST client on the exchange simulator.")
    parser.add_argument("client", choices=("pybit", "pybit-rsa", "pybit-retry", "ccxt"))
    parser.add_argument("what", choices=("answers", "faults"))
    parser.add_argument("--rest", required=True, help="the simulator's, such as http://127.0.0.1:9444")
    parser.add_argument("--prefix", default="peer", help="of the orders' orderLinkIds (default %(default)s)")
    parser.add_argument("--leverage", default="7", help="to set; another one than there is (default %(default)s)")
    args = parser.parse_args()
    logging.disable()  # pybit logs what it waits for; what is told here is what it gives its user
    sent = Sent()
    client = connected(args.client, args.rest)
    plan = plan_for(args.rest, args.prefix, args.leverage)
    told: dict[str, Any] = {"client": args.client, "version": version(args.client.partition("-")[0])}
    if args.what == "answers":
        told["answers"] = client.answers(plan)
    else:
        told["faults"] = list(under_faults(client, plan, args.rest, sent))
    sys.stdout.write(json.dumps(told, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
