"""The order-entry bench's subject: one limit order over the socket, over REST, and bare, in one process and event loop.

`bench_order_entry_client.py LOOP REST_URL WEBSOCKET_URL` with LOOP uvloop or asyncio; lines on its input say:

    {"do": "requests", "what": "socket", "count": 2000, "concurrency": 32}      {"wall": seconds, "cpu": seconds}

"socket" is OrderEntry, "rest" is BybitClient; "bare" sends the bytes of the one request over a WebSocket and takes each
message for its answer.
"""

import asyncio
import json
import sys
from collections import deque
from collections.abc import Awaitable, Callable

import uvloop
from bench_child import reply
from bench_rest_client import requests
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from feeder.bybit.rest.client import BybitClient
from feeder.bybit.rest.endpoint import Limit
from feeder.bybit.rest.limits import Window
from feeder.bybit.rest.pool import SessionPool
from feeder.bybit.streams.order_entry import OrderEntry

_KEYS = 2_500  # each of which may ask 10 times a second over REST
_BUDGET = 1_000_000_000  # of the address, which is not what is measured
_SECRET = "s" * 36
_BARE = (
    b'{"reqId":"0123456789abcdef-1","header":{"X-BAPI-TIMESTAMP":"1700000000000","X-BAPI-RECV-WINDOW":"5000"},'
    b'"op":"order.create","args":[{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit",'
    b'"qty":"0.001","price":"20000.5","timeInForce":"GTC","orderLinkId":"bench"}]}'
)


class _Bare(WSListener):
    """Takes answers in the order of the requests."""

    def __init__(self) -> None:
        self.waiting: deque[asyncio.Future[bytes]] = deque()

    def on_ws_frame(self, _transport: WSTransport, frame: WSFrame) -> None:
        """An answer."""
        if frame.msg_type is WSMsgType.TEXT:
            self.waiting.popleft().set_result(frame.get_payload_as_bytes())


def _order(sender: BybitClient | OrderEntry) -> Awaitable[object]:
    return sender.place_order(
        "linear", "BTCUSDT", "Buy", "Limit", "0.001", price="20000.5", time_in_force="GTC", order_link_id="bench"
    )


async def main(rest_url: str, url: str) -> None:
    """Until standard input ends. Commands come between measurements: nothing else waits for the loop meanwhile."""
    loop = asyncio.get_running_loop()
    async with SessionPool(requests=_BUDGET) as pool:
        pool.socket_orders = Window(Limit(_BUDGET), 0.0)
        clients = [BybitClient(f"{number:018d}", _SECRET, pool=pool, base_url=rest_url) for number in range(_KEYS)]
        bare = _Bare()
        transport, _ = await ws_connect(lambda: bare, f"{url}/v5/trade")
        # A key of its own: REST's exchange says that each may ask 10 times a second.
        other = BybitClient("k" * 18, _SECRET, pool=pool, base_url=rest_url)

        def ask_bare(_: int) -> Awaitable[object]:
            answer: asyncio.Future[bytes] = loop.create_future()
            bare.waiting.append(answer)
            transport.send(WSMsgType.TEXT, _BARE)
            return answer

        async with OrderEntry(other, url=url) as entry:
            await entry.ready()
            await _order(entry)  # by whose answer the limit is known to be no obstacle
            ways: dict[str, Callable[[int], Awaitable[object]]] = {
                "bare": ask_bare,
                "socket": lambda _: _order(entry),
                "rest": lambda number: _order(clients[number % _KEYS]),
            }
            for line in sys.stdin:
                command = json.loads(line)
                reply(await requests(ways[command["what"]], command["count"], command["concurrency"]))
        transport.disconnect()


if __name__ == "__main__":
    (uvloop.run if sys.argv[1] == "uvloop" else asyncio.run)(main(*sys.argv[2:]))
