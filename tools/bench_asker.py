"""The bench's unlucky consumers: they ask the feeder again for packets of its books channels. Knows none of its code.

`bench_asker.py WHERE`: the feed's groups, port and partitions as JSON. It hears the books channels of line A, to know
what can be asked for; like the listener it reads every 2 ms and wakes nobody. Offsets are those of PROTOCOL.md.
Lines on its input say:

    {"do": "storm", "consumers": 50}    so many consumers, each with an address of its own, ask at once for one packet
    {"do": "storm", ..., "port": 4711}  the same, of another program
    {"do": "start", "rate": 500}        ask for one packet so many times a second, from one address
    {"do": "stop"}                      no more; what came of it
"""

import ipaddress
import json
import select
import socket
import struct
import sys
import time
from collections import deque
from random import Random
from typing import Any

from bench_child import reply
from bench_listener import join

_HEADER = struct.Struct("<HBBHBBQQQ")
_REQUEST = struct.Struct("<HBBIHHHHQIHxx")
_PROTOCOL_ID = 0x4642
_RETRANSMIT = 0x08
_KIND = 5
_SIZE = 352  # bytes of a request whose answer may be any one packet
_KEPT = 100  # packets of each partition that may be asked for
_NAP_SECONDS = 0.002
_ANSWER_SECONDS = 2.0


class Tally:
    """What was asked and what came back."""

    def __init__(self) -> None:
        self.requests = self.answers = self.rejects = self.wrong = 0
        self.bytes_asked = self.bytes_answered = 0
        self.largest_ratio = 0.0

    def asked(self, data: bytes) -> None:
        """A request was sent."""
        self.requests += 1
        self.bytes_asked += len(data)

    def answered(self, data: bytes, lost: bytes | None) -> None:
        """A packet came; its messages should be those of `lost`, where one knows it."""
        self.bytes_answered += len(data)
        self.largest_ratio = max(self.largest_ratio, len(data) / _SIZE)
        channel = _HEADER.unpack_from(data)[3]
        if channel % 16 == _KIND:
            self.rejects += 1
        else:
            self.answers += 1
            self.wrong += lost is not None and data[_HEADER.size :] != lost[_HEADER.size :]


class Asker:
    """Hears the books channels, keeps their latest packets, and asks for them."""

    def __init__(self, where: dict[str, Any]) -> None:
        self._port, self._address = where["port"], where["interface"]
        self._epoll = select.epoll()
        self._books: dict[int, tuple[socket.socket, int]] = {}
        self._packets: list[deque[bytes]] = []
        self._largest = [b""] * where["partitions"]
        base = ipaddress.IPv4Address(where["groups"]["A"])
        for partition in range(where["partitions"]):
            number = 16 * partition
            sock = join(str(base + number), self._port + number)
            self._books[sock.fileno()] = sock, partition
            self._epoll.register(sock, select.EPOLLIN)
            self._packets.append(deque(maxlen=_KEPT))
        self._own = self._consumer("127.0.0.1")
        self._random = Random(1)
        self._rate = 0.0
        self._began = 0.0
        self._tally = Tally()
        self._storms = 0

    def run(self) -> None:
        """Until standard input ends."""
        stdin = sys.stdin.buffer
        self._epoll.register(stdin, select.EPOLLIN)
        while True:
            time.sleep(_NAP_SECONDS)
            for number, _ in self._epoll.poll(0):
                if number in self._books:
                    self._hear(*self._books[number])
                    continue
                line = stdin.readline()
                if not line:
                    return
                self._do(json.loads(line))
            if self._rate:
                self._ask()

    def _do(self, command: dict[str, Any]) -> None:
        match command["do"]:
            case "storm":
                reply(self._storm(command["consumers"], command.get("port")))
            case "start":
                self._tally, self._rate, self._began = Tally(), command["rate"], time.monotonic()
                reply(None)
            case "stop":
                self._rate = 0.0
                time.sleep(_NAP_SECONDS)
                self._hear_answers()
                reply(vars(self._tally))
            case other:
                reply({"error": f"cannot {other!r}"})

    def _hear(self, sock: socket.socket, partition: int) -> None:
        packets = self._packets[partition]
        while data := _receive(sock):
            if data[7]:  # messageCount
                packets.append(data)
                if len(data) >= len(self._largest[partition]):
                    self._largest[partition] = data

    def _ask(self) -> None:
        """Send what is due, and read what came."""
        due = int((time.monotonic() - self._began) * self._rate) - self._tally.requests
        for _ in range(due):
            partition = self._random.randrange(len(self._packets))
            if self._packets[partition]:
                request = _request(self._random.choice(self._packets[partition]), partition)
                self._own.sendto(request, self._where(partition))
                self._tally.asked(request)
        self._hear_answers()

    def _hear_answers(self) -> None:
        while data := _receive(self._own):
            self._tally.answered(data, None)

    def _storm(self, consumers: int, port: int | None) -> dict[str, Any]:
        partition = self._storms % len(self._packets)
        self._storms += 1
        lost = self._largest[partition]
        request = _request(lost, partition)
        where = self._where(partition) if port is None else (self._address, port)
        sockets = [self._consumer(f"127.0.1.{1 + number}") for number in range(consumers)]
        tally = Tally()
        for sock in sockets:
            sock.sendto(request, where)
            tally.asked(request)
        waiting, end = sockets, time.monotonic() + _ANSWER_SECONDS
        while waiting and time.monotonic() < end:
            time.sleep(_NAP_SECONDS)
            unanswered = []
            for sock in waiting:
                if data := _receive(sock):
                    tally.answered(data, lost)
                else:
                    unanswered.append(sock)
            waiting = unanswered
        for sock in sockets:
            sock.close()
        return {**vars(tally), "packet_bytes": len(lost)}

    def _consumer(self, address: str) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind((address, 0))
        return sock

    def _where(self, partition: int) -> tuple[str, int]:
        return self._address, self._port + 16 * partition + _KIND


def _receive(sock: socket.socket) -> bytes:
    """A datagram, or nothing."""
    try:
        return sock.recv(2048)
    except BlockingIOError:
        return b""


def _request(lost: bytes, partition: int) -> bytes:
    _, _, _, channel, _, count, session, sequence, _ = _HEADER.unpack_from(lost)
    own = 16 * partition + _KIND
    header = _HEADER.pack(_PROTOCOL_ID, 1, _HEADER.size, own, _RETRANSMIT, 1, session, 0, time.time_ns())
    size = _SIZE - _HEADER.size
    return header + _REQUEST.pack(size, 3, 0, 0, 16, 30, _PROTOCOL_ID, 2, sequence, count, channel).ljust(size, b"\0")


if __name__ == "__main__":
    Asker(json.loads(sys.argv[1])).run()
