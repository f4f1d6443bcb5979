"""The REST bench's exchange: one wallet, one order and the time, as quickly as Python says them. No code of feeder's.

`bench_rest_venue.py`; its first line of output has its address. It ends when its input does. Signatures and limits are
not checked: what is measured is the client.
"""

import asyncio
import re
import sys
import time
from typing import cast

import uvloop
from bench_child import reply

_LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)
_COIN = (
    '{{"coin":"{name}","equity":"{amount}","usdValue":"12920.95352538","walletBalance":"{amount}","locked":"0",'
    '"spotHedgingQty":"0","borrowAmount":"0","accruedInterest":"0","totalOrderIM":"0","totalPositionIM":"46.24",'
    '"totalPositionMM":"","unrealisedPnl":"-0.11001349","cumRealisedPnl":"-4711.25520114","bonus":"0",'
    '"marginCollateral":true,"collateralSwitch":true,"availableToWithdraw":"","availableToBorrow":""}}'
)
_COINS = ",".join(
    _COIN.format(name=name, amount=amount) for name, amount in (("BTC", "0.805994"), ("USDT", "5149.48446711"))
)
_WALLET = (
    '{"retCode":0,"retMsg":"OK","result":{"list":[{"accountType":"UNIFIED","accountLTV":"","accountIMRate":"0.0101",'
    '"accountMMRate":"0.0002","totalEquity":"18070.32797922","totalWalletBalance":"18070.43799271",'
    '"totalMarginBalance":"18070.32797922","totalAvailableBalance":"17887.72614237","totalPerpUPL":"-0.11001349",'
    f'"totalInitialMargin":"182.60183684","totalMaintenanceMargin":"0.38106773","coin":[{_COINS}]}}]}},'
    '"retExtInfo":{},"time":1700000000000}'
)
_ORDER = (
    '{"retCode":0,"retMsg":"OK","result":{"orderId":"c6f055d9-7f21-4079-913d-e6523a9cfffa","orderLinkId":"bench"},'
    '"retExtInfo":{},"time":1700000000000}'
)


def _limits(allowed: int) -> str:
    reset = "X-Bapi-Limit-Reset-Timestamp: 1700000000000"
    return f"X-Bapi-Limit: {allowed}\r\nX-Bapi-Limit-Status: {allowed - 1}\r\n{reset}\r\n"


def _answer(body: str, headers: str = "") -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
    return f"{head}{headers}\r\n{body}".encode()


def _time() -> bytes:
    now = time.time_ns()
    result = f'{{"timeSecond":"{now // 1_000_000_000}","timeNano":"{now}"}}'
    return _answer(f'{{"retCode":0,"retMsg":"OK","result":{result},"retExtInfo":{{}},"time":{now // 1_000_000}}}')


class Connection(asyncio.Protocol):
    """Requests one after the other: a GET is for the time or the wallet, a POST is an order."""

    _wallet = _answer(_WALLET, _limits(50))
    _order = _answer(_ORDER, _limits(10))

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answers go there."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by name

    def data_received(self, data: bytes) -> None:
        """Answer what is whole."""
        received = self._received = self._received + data if self._received else data
        head, end, body = received.partition(b"\r\n\r\n")
        if not end:
            return
        if head.startswith(b"POST"):
            length = _LENGTH.search(head)
            if length is None or len(body) < int(length[1]):
                return
            answer = self._order
        else:
            answer = _time() if head.startswith(b"GET /v5/market/time") else self._wallet
        self._received = b""
        self._transport.write(answer)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0)
    reply(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(_serve())
