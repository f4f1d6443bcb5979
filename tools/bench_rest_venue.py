"""The REST bench's exchange: one wallet as quickly as Python can say it, and the time. Knows nothing of feeder's code.

`bench_rest_venue.py`; its first line of output has its address. It ends when its input does. Signatures and limits are
not checked: what is measured is the client.
"""

import asyncio
import sys
import time
from typing import cast

import uvloop
from bench_child import reply

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
_LIMITS = "X-Bapi-Limit: 50\r\nX-Bapi-Limit-Status: 49\r\nX-Bapi-Limit-Reset-Timestamp: 1700000000000\r\n"


def _answer(body: str, headers: str = "") -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
    return f"{head}{headers}\r\n{body}".encode()


def _time() -> bytes:
    now = time.time_ns()
    result = f'{{"timeSecond":"{now // 1_000_000_000}","timeNano":"{now}"}}'
    return _answer(f'{{"retCode":0,"retMsg":"OK","result":{result},"retExtInfo":{{}},"time":{now // 1_000_000}}}')


class _Connection(asyncio.Protocol):
    """GETs without bodies, one after the other."""

    _wallet = _answer(_WALLET, _LIMITS)

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answers go there."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by name

    def data_received(self, data: bytes) -> None:
        """Answer what is whole."""
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            self._transport.write(_time() if head.startswith(b"GET /v5/market/time") else self._wallet)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0)
    reply(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(_serve())
