"""The socket over which a consumer asks for lost packets, and hears the answers."""

import asyncio
import logging
import socket
from collections.abc import Callable

from feeder.multicast.receiver import LARGEST

_log = logging.getLogger("feeder.multicast")

_RECEIVE_BUFFER = 1 << 20  # bytes asked for: a few hundred answers
_BATCH = 64  # datagrams before other sockets get their turn
_MOST_ADDRESSES = 1024  # more than partitions and lines have

Address = tuple[str, int]


class Asker:
    """One UDP socket for all partitions; only who was asked is heard. `on_answer` gets each datagram."""

    def __init__(self, on_answer: Callable[[bytes], None]) -> None:
        self.unsent = 0  # requests that the system did not take; they are asked again in time
        self.strangers = 0  # datagrams from addresses that were never asked
        self._on_answer = on_answer
        self._asked: dict[Address, None] = {}  # the latest few: a set that keeps its order
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Take a port; to be called on the running loop."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self._socket = sock
        asyncio.get_running_loop().add_reader(sock, self._read, sock)

    def close(self) -> None:
        """Give the port back."""
        sock, self._socket = self._socket, None
        if sock is not None:
            asyncio.get_running_loop().remove_reader(sock)
            sock.close()

    def ask(self, datagram: bytes, address: Address) -> None:
        """Send one request; what cannot be sent now is counted."""
        if self._socket is None:
            return
        if address not in self._asked:
            self._asked[address] = None
            if len(self._asked) > _MOST_ADDRESSES:
                del self._asked[next(iter(self._asked))]
            _log.info("lost messages are asked for at %s:%d", *address)
        try:
            self._socket.sendto(datagram, address)
        except OSError as error:
            if not self.unsent:
                _log.warning("cannot ask for lost messages at %s:%d: %s; snapshots mend books", *address, error)
            self.unsent += 1

    def _read(self, sock: socket.socket) -> None:
        for _ in range(_BATCH):
            try:
                data, address = sock.recvfrom(LARGEST)
            except BlockingIOError:
                return
            if address in self._asked:
                self._on_answer(data)
            else:
                self.strangers += 1
