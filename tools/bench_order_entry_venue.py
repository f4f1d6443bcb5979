"""The order-entry bench's exchange: /v5/trade that takes every order, and beside it the REST bench's exchange.

`bench_order_entry_venue.py`; its first line of output has the addresses, [REST, WebSocket]. It ends when its input
does. Signatures and limits are not checked: what is measured is the client.
"""

import asyncio
import re
import sys

import uvloop
from bench_child import reply
from bench_rest_venue import Connection
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

_REQ_ID = re.compile(rb'"reqId":"([^"]*)"')
_SIGNED_IN = b'{"retCode":0,"retMsg":"OK","op":"auth","connId":"c"}'
_ACK = (
    b'{"reqId":"%s","retCode":0,"retMsg":"OK","op":"order.create","data":{"orderId":'
    b'"c6f055d9-7f21-4079-913d-e6523a9cfffa","orderLinkId":"bench"},"retExtInfo":{},"header":{"X-Bapi-Limit":"100000",'
    b'"X-Bapi-Limit-Status":"99999","X-Bapi-Limit-Reset-Timestamp":"1700000000000",'
    b'"Traceid":"38b7977b430f9bd228f4b19724794dfd","Timenow":"1700000000000"},"connId":"cnt5leec0hvan15eukcg-2v"}'
)


class _Trade(WSListener):
    """Answers each message as it comes."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """One request, or a log-in."""
        if frame.msg_type is WSMsgType.CLOSE:
            transport.disconnect()
            return
        found = _REQ_ID.search(frame.get_payload_as_bytes())
        transport.send(WSMsgType.TEXT, _SIGNED_IN if found is None else _ACK % found[1])


def _listener(_request: WSUpgradeRequest) -> WSListener:
    return _Trade()


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    rest = await loop.create_server(Connection, "127.0.0.1", 0)
    trade = await ws_create_server(_listener, "127.0.0.1", 0)
    ports = [server.sockets[0].getsockname()[1] for server in (rest, trade)]
    reply([f"http://127.0.0.1:{ports[0]}", f"ws://127.0.0.1:{ports[1]}"])
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(_serve())
