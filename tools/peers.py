"""A foreign Bybit client on the exchange simulator: does it keep the right books, and what does an update cost it?

    .venv/bin/feeder sim --categories linear,spot --symbols 40 &
    make peers
    .venv-peers/bin/python tools/peers.py ccxt --websocket ws://127.0.0.1:9443 --rest http://127.0.0.1:9444

ccxt.pro, cryptofeed and pybit run as published, but for their addresses. They are watched through what they give to any
user: the books they hold after each message. What an update costs is all CPU time of the process, by the updates:
reading, JSON, book, callbacks, and looking at the best prices. Exit code 0: no book was ever crossed, and each copy
taken of a book equals the simulator's own at the same update id.
"""

import argparse
import asyncio
import json
import logging
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib.metadata import version
from typing import Any

SETTLING_SECONDS = 30.0
"""Within this, every book must have had its first snapshot."""

COPY_SECONDS = 10.0
"""Between two copies of a book; the last state of each is copied besides."""

_LONGEST_NOTICE = 160
_MOST_NOTICES = 20
_PYBIT_SYMBOLS = 10  # spot takes no more in a request

Key = tuple[str, str]
"""Category and symbol."""

Sides = tuple[list[Sequence[Any]], list[Sequence[Any]]]
"""Bids and asks, each [price, size], as the client has them."""


@dataclass(frozen=True, slots=True)
class Venue:
    """Where the simulator is, and which of its symbols to follow; `websocket` and `rest` without a path."""

    websocket: str
    rest: str
    depth: int
    symbols: dict[str, list[str]]  # by category

    @property
    def keys(self) -> set[Key]:
        """All books to follow."""
        return {(category, symbol) for category, symbols in self.symbols.items() for symbol in symbols}


class Watch:
    """What a client's books looked like after each of its updates.

    `on_book` may be called from several threads. The time measured begins when every book is there.
    """

    def __init__(self, keys: set[Key], seconds: float) -> None:
        self.updates = self.snapshots = self.crossed = 0
        self.longest_silence = 0.0
        self.cpu_us_per_update: float | None = None  # until the time is up
        self.first_crossed: list[str] = []
        self.notices: Counter[str] = Counter()
        self.copies: list[tuple[Key, int, Sides]] = []
        self._missing = set(keys)
        self._seconds = seconds
        self._created = time.monotonic()
        self._started: float | None = None
        self._cpu_before = self._last_update = 0.0
        self._updates_before = 0
        self._last: dict[Key, tuple[int, Callable[[], Sides]]] = {}
        self._next_copy: dict[Key, float] = {}
        self._lock = threading.Lock()

    def on_book(self, key: Key, message: dict[str, Any], bid: object, ask: object, levels: Callable[[], Sides]) -> None:
        """After a message of the venue the book's best prices are these; `levels` copies what it holds now."""
        now = time.monotonic()
        u = message["data"]["u"]
        with self._lock:
            self.updates += 1
            self.snapshots += message["type"] == "snapshot"
            if bid is not None and ask is not None and bid >= ask:  # type: ignore[operator]  # one of float and Decimal
                self.crossed += 1
                if len(self.first_crossed) < _MOST_NOTICES:
                    self.first_crossed.append(f"{'/'.join(key)} at {u}: bid {bid}, ask {ask}")
            if self._started is not None:
                self.longest_silence = max(self.longest_silence, now - self._last_update)
            self._last_update = now
            self._last[key] = u, levels
            self._missing.discard(key)
            if now >= self._next_copy.setdefault(key, now + COPY_SECONDS):
                self._next_copy[key] = now + COPY_SECONDS
                self.copies.append((key, u, levels()))

    def notice(self, text: object) -> None:
        """Something the client said went wrong."""
        line = str(text).partition("\n")[0][:_LONGEST_NOTICE]
        with self._lock:
            if line in self.notices or len(self.notices) < _MOST_NOTICES:
                self.notices[line] += 1

    def is_over(self) -> bool:
        """Whether the time is up; to be asked often. SystemExit when the books do not come."""
        now = time.monotonic()
        if self._started is None:
            if not self._missing:
                self._started, self._cpu_before, self._updates_before = now, time.process_time(), self.updates
            elif now - self._created > SETTLING_SECONDS:
                raise SystemExit(f"no book of {sorted(self._missing)} in {SETTLING_SECONDS:g} s; {dict(self.notices)}")
        elif self.cpu_us_per_update is None and now - self._started >= self._seconds:
            cpu_seconds = time.process_time() - self._cpu_before
            self.longest_silence = max(self.longest_silence, now - self._last_update)
            self.cpu_us_per_update = round(cpu_seconds / max(1, self.updates - self._updates_before) * 1e6, 1)
        return self.cpu_us_per_update is not None

    async def over(self) -> None:
        """Wait until the time is up."""
        while not self.is_over():  # noqa: ASYNC110  # pybit has no event loop: it is time that ends a run, not an event
            await asyncio.sleep(0.05)

    def copy_last(self) -> None:
        """Copy what each book holds; only once the client has stopped."""
        self.copies.extend((key, u, levels()) for key, (u, levels) in self._last.items())


class _Notices(logging.Handler):
    """Warnings and errors that the client logs."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(logging.WARNING)
        self._watch = watch

    def emit(self, record: logging.LogRecord) -> None:
        self._watch.notice(f"{record.name}: {record.getMessage()}")


def _exact(sides: Sides) -> list[list[tuple[Decimal, Decimal]]]:
    """Both sides in order of price, whatever order and kind of number the client keeps."""
    return [sorted((Decimal(str(level[0])), Decimal(str(level[1]))) for level in side) for side in sides]


async def run_ccxt(venue: Venue, watch: Watch) -> dict[str, int]:
    """ccxt.pro: `load_markets`, then one loop of `watch_order_book` for each symbol, as its manual has it."""
    import ccxt.pro

    symbols: dict[Key, str] = {}

    class Observed(ccxt.pro.bybit):  # type: ignore[misc]  # it has no types where it is not installed
        def handle_order_book(self, client: Any, message: dict[str, Any]) -> None:
            super().handle_order_book(client, message)
            key = client.url.rpartition("/")[2], message["data"]["s"]
            book = self.orderbooks[symbols[key]]
            bids, asks = book["bids"], book["asks"]
            bid, ask = bids[0][0] if bids else None, asks[0][0] if asks else None
            watch.on_book(key, message, bid, ask, lambda: ([*map(tuple, bids)], [*map(tuple, asks)]))

    exchange = Observed()
    public = {category: f"{venue.websocket}/v5/public/{category}" for category in venue.symbols}
    exchange.urls["api"] = dict.fromkeys(exchange.urls["api"], venue.rest) | {"ws": {"public": public}}

    async def follow(symbol: str) -> None:
        while True:
            try:
                await exchange.watch_order_book(symbol, venue.depth)
            except ccxt.NetworkError as error:
                watch.notice(repr(error))
                await asyncio.sleep(0.1)

    try:
        markets = await exchange.load_markets()
        for market in markets.values():
            category = "spot" if market["spot"] else "linear" if market["linear"] else "inverse"
            if not market["option"]:
                symbols[category, market["id"]] = market["symbol"]
        tasks = [asyncio.create_task(follow(symbols[key])) for key in sorted(venue.keys)]
        await watch.over()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        await exchange.close()
    return dict(Counter(market["type"] for market in markets.values()))


def run_cryptofeed(venue: Venue, watch: Watch) -> dict[str, int]:
    """cryptofeed: a FeedHandler with one Bybit feed. Its depth is always 200."""
    from cryptofeed import FeedHandler
    from cryptofeed.defines import L2_BOOK
    from cryptofeed.exchanges import Bybit

    for endpoint in Bybit.websocket_endpoints:
        endpoint.address = endpoint.address.replace("wss://stream.bybit.com", venue.websocket.replace("ws:", "wss:"))
        # It takes no ws:// address. These options of the connection are what ws:// would mean.
        endpoint.options |= {"ssl": False, "server_hostname": None}
    for rest in Bybit.rest_endpoints:
        rest.address = venue.rest

    async def on_book(book: Any, _received: float) -> None:
        key = "linear" if book.symbol.endswith("-PERP") else "spot", book.raw["data"]["s"]
        bids, asks = book.book.bids, book.book.asks
        bid, ask = bids.index(0)[0] if len(bids) else None, asks.index(0)[0] if len(asks) else None
        watch.on_book(key, book.raw, bid, ask, lambda: (bids.to_list(), asks.to_list()))

    config = {"log": {"disabled": True}}  # the file it would write; its messages still come
    handler = FeedHandler(config=config)
    # Perpetuals as BTCUSDT, spot as BTC/USDT: its own names for what the venue calls BTCUSDT twice.
    names = {
        ("spot" if "/" in theirs else "linear", theirs.replace("/", "")): ours
        for ours, theirs in Bybit.symbol_mapping().items()
    }
    wanted = [names[key] for key in sorted(venue.keys)]
    handler.add_feed(Bybit(symbols=wanted, channels=[L2_BOOK], callbacks={L2_BOOK: on_book}, config=config))
    handler.run(start_loop=False, install_signal_handlers=False)
    loop = asyncio.get_event_loop()
    loop.run_until_complete(watch.over())
    handler.stop(loop=loop)
    handler.close(loop=loop)
    return dict(Counter(category for category, _ in names))


def run_pybit(venue: Venue, watch: Watch) -> dict[str, int]:
    """pybit, the venue's own: a WebSocket for each category, each in threads of its own.

    It knows whom to call with a topic only after it has asked for it. A simulator on the same machine may answer before
    that, and the socket fails for good: give it the delay of a network (its fault `slow`).
    """
    from pybit import unified_trading

    unified_trading.PUBLIC_WSS = venue.websocket + "/v5/public/{CHANNEL_TYPE}"

    def watcher(category: str) -> Callable[[dict[str, Any]], None]:
        def on_book(message: dict[str, Any]) -> None:
            data = message["data"]
            bids, asks = data["b"], data["a"]  # in no order (pybit issue 369)
            bid = max((float(level[0]) for level in bids), default=None)
            ask = min((float(level[0]) for level in asks), default=None)
            watch.on_book((category, data["s"]), message, bid, ask, lambda: (list(bids), list(asks)))

        return on_book

    sockets = []

    def subscribe() -> None:
        for category, symbols in venue.symbols.items():
            socket = unified_trading.WebSocket(channel_type=category, testnet=False)
            sockets.append(socket)
            for first in range(0, len(symbols), _PYBIT_SYMBOLS):
                socket.orderbook_stream(venue.depth, symbols[first : first + _PYBIT_SYMBOLS], watcher(category))

    # Beside us, for it waits for ever when the socket fails meanwhile.
    threading.Thread(target=subscribe, daemon=True).start()
    while not watch.is_over():
        time.sleep(0.05)
    for socket in sockets:
        socket.exit()
    return {}


def _get(url: str) -> tuple[int, Any]:
    """(status, JSON)."""
    try:
        with urllib.request.urlopen(url, timeout=10) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"null")


def listed(rest: str, categories: Sequence[str]) -> dict[str, list[str]]:
    """The symbols of these categories, as the simulator lists them (of many, the first 1,000)."""
    replies = {name: _get(f"{rest}/v5/market/instruments-info?category={name}&limit=1000")[1] for name in categories}
    return {name: [row["symbol"] for row in reply["result"]["list"]] for name, reply in replies.items()}


def compared(venue: Venue, depth: int, copies: Iterable[tuple[Key, int, Sides]]) -> dict[str, Any]:
    """How the copies of books compare with the simulator's own. It forgets updates after a while (`forgotten`)."""
    equal = forgotten = 0
    different = []
    for (category, symbol), u, sides in copies:
        status, book = _get(f"{venue.rest}/simulator/books/{category}/{symbol}?depth={depth}&u={u}")
        if status != 200:
            forgotten += 1
            continue
        theirs, ours = _exact(sides), _exact((book["bids"], book["asks"]))
        if theirs == ours:
            equal += 1
            continue
        strange, missing = (
            sum(len(set(one) - set(other)) for one, other in zip(*pair, strict=True))
            for pair in ((theirs, ours), (ours, theirs))
        )
        different.append(
            f"{category}/{symbol} at {u}: {strange} levels not the venue's, {missing} of the venue's not there"
        )
    return {"equal": equal, "different": different, "forgotten": forgotten}


def run(client: str, venue: Venue, seconds: float) -> dict[str, Any]:
    """Run a client for this long, and tell what was seen."""
    watch = Watch(venue.keys, seconds)
    logging.getLogger().addHandler(_Notices(watch))
    depth = venue.depth
    if client == "ccxt":
        markets = asyncio.run(run_ccxt(venue, watch))
    elif client == "cryptofeed":
        depth = 200
        markets = run_cryptofeed(venue, watch)
    else:
        markets = run_pybit(venue, watch)
    watch.copy_last()
    return {
        "client": client,
        "version": version(client),
        "markets": markets,
        "books": len(venue.keys),
        "depth": depth,
        "seconds": seconds,
        "updates": watch.updates,
        "snapshots": None if client == "pybit" else watch.snapshots,  # it calls every message one
        "crossed": watch.crossed,
        "first_crossed": watch.first_crossed,
        **compared(venue, depth, watch.copies),
        "longest_silence_seconds": round(watch.longest_silence, 3),
        "cpu_us_per_update": watch.cpu_us_per_update,
        "notices": dict(watch.notices),
    }


def main() -> int:
    """The command; see the top of this file."""
    parser = argparse.ArgumentParser(description="Run a foreign Bybit client on the exchange simulator.")
    parser.add_argument("client", choices=("ccxt", "cryptofeed", "pybit"))
    parser.add_argument("--websocket", required=True, help="the simulator's, such as ws://127.0.0.1:9443")
    parser.add_argument("--rest", required=True, help="the simulator's, such as http://127.0.0.1:9444")
    parser.add_argument("--seconds", type=float, default=60.0, help="to measure for (default %(default)g)")
    parser.add_argument("--categories", default="linear,spot", help="whose books to follow (default %(default)s)")
    parser.add_argument(
        "--depth", type=int, default=200, help="of the books (default %(default)s, cryptofeed knows no other)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    symbols = listed(args.rest, args.categories.split(","))
    result = run(args.client, Venue(args.websocket, args.rest, args.depth, symbols), args.seconds)
    if args.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:24} {value}")
    return 1 if result["crossed"] or result["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
