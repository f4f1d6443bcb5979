"""The sockets that retransmit requests come to, read on the event loop, a few requests a turn."""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from feeder.clock import Clock
from feeder.errors import MachineError
from feeder.multicast.channel import FULL
from feeder.multicast.plan import Channel
from feeder.multicast.retransmit import RetransmitServer
from feeder.multicast.sockets import prefer_buffer
from feeder.wire.messages import MAX_PACKET

REQUESTS_PER_TURN = 8  # of all partitions together, in one turn of the event loop
_RECEIVE_BUFFER = 128 << 10  # bytes a socket: a few hundred requests may wait, what comes above them is lost

Address = tuple[str, int]


@dataclass(slots=True, eq=False)
class _Served:
    """One socket, and who answers what comes to it."""

    receive: Callable[[int], tuple[bytes, Address]]
    send: Callable[[bytes, Address], int]
    server: RetransmitServer


class RetransmitSockets:
    """All sockets of a process. To be used on the running event loop.

    What a turn has no time for waits in the kernel's buffer; a socket that had to wait is served first in the next one.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._sockets: list[socket.socket] = []
        self._left = REQUESTS_PER_TURN  # that may still be served before the next turn; it begins with as many again
        self._waiting: deque[_Served] = deque()

    def open(self, server: RetransmitServer, channel: Channel) -> None:
        """Answer at a channel's endpoints; lines of one address share a socket.

        Raises MachineError, with nothing left open, for a port that is in use or may not be used.
        """
        for end in channel.sockets:
            try:
                sock = _open(end.group, end.port)
            except MachineError:
                self.close()
                raise
            self._sockets.append(sock)
            self._loop.add_reader(sock, self._on_readable, _Served(sock.recvfrom, sock.sendto, server))

    def close(self) -> None:
        """Answer no more."""
        for sock in self._sockets:
            self._loop.remove_reader(sock)
            sock.close()
        self._sockets.clear()
        self._waiting.clear()

    def _on_readable(self, served: _Served) -> None:
        if self._left:
            self._serve(served)
        elif served not in self._waiting:
            self._waiting.append(served)

    def _on_turn(self) -> None:
        self._left = REQUESTS_PER_TURN
        while self._waiting and self._left:
            self._serve(self._waiting.popleft())

    def _serve(self, served: _Served) -> None:
        """Answer what came to one socket, until there is no more or the turn has had enough."""
        now, left = self._clock.monotonic(), self._left
        counters, answer, send = served.server.counters, served.server.answer, served.send
        while left:
            try:
                data, source = served.receive(MAX_PACKET + 1)  # a longer datagram is cut short, and no request
            except BlockingIOError:
                break
            except OSError:  # an error that the network reported of an earlier answer
                counters.errors += 1
                left -= 1
                continue
            left -= 1
            for packet in answer(data, source[0], now):
                try:
                    send(packet, source)
                except OSError as error:
                    if error.errno in FULL:
                        counters.dropped += 1
                    else:  # forged sources may be such as nothing can be sent to
                        counters.errors += 1
        self._left = left
        if not left:
            self._loop.call_soon(self._on_turn)


def _open(address: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        prefer_buffer(sock, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        sock.bind((address, port))  # not to be shared: each request would reach one of its owners only
    except OSError as error:
        sock.close()
        raise MachineError(
            "multicast.port",
            f"cannot listen for retransmit requests on {address}:{port}: {error.strerror}",
            "see who holds the port (`ss -ulpn`), perhaps another feeder, or move the feed to another one",
        ) from error
    return sock
