"""A consumer that shares no code with feeder: its own sockets and framing, a decoder from PyPI, books of Decimals."""

import asyncio
import gzip
import importlib.resources
import json
import socket
import struct
import zlib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import sbe

Book = tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]]  # bids, asks: price -> size
Frozen = tuple[tuple[tuple[Decimal, Decimal], ...], ...]

with importlib.resources.files("feeder.wire").joinpath("schema.xml").open() as _schema:
    SCHEMA = sbe.Schema.parse(_schema)


def freeze(book: Book) -> Frozen:
    """Comparable: bids descending, asks ascending."""
    return tuple(sorted(book[0].items(), reverse=True)), tuple(sorted(book[1].items()))


def identity(category: str, symbol: str) -> int:
    """The documented instrument id."""
    return zlib.crc32(f"{category}:{symbol}".encode())


class Capture:
    """Every datagram of the books channels of all partitions of one line."""

    def __init__(self, group: str, port: int, partitions: int = 4) -> None:
        self.datagrams: list[bytes] = []
        self._sockets = []
        base = struct.unpack("!I", socket.inet_aton(group))[0]
        for partition in range(partitions):
            address = socket.inet_ntoa(struct.pack("!I", base + 16 * partition))
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            sock.bind((address, port + 16 * partition))
            membership = socket.inet_aton(address) + socket.inet_aton("127.0.0.1")
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
            sock.setblocking(False)
            self._sockets.append(sock)

    def __enter__(self) -> "Capture":
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            loop.add_reader(sock, self._read, sock)
        return self

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            loop.remove_reader(sock)
            sock.close()

    def _read(self, sock: socket.socket) -> None:
        while True:
            try:
                self.datagrams.append(sock.recv(65536))
            except BlockingIOError:
                return


class Reader:
    """Rebuilds books from captured datagrams, demanding an unbroken sequence on every channel."""

    def __init__(self) -> None:
        self.books: dict[int, Book] = {}
        self.status: dict[int, str] = {}
        self.history: dict[int, dict[int, Frozen]] = {}  # instrument -> venueUpdateId -> book
        self.conflated = 0
        self.deltas = 0
        self._next: dict[int, int] = {}
        self._updates: dict[int, int] = {}

    def feed(self, datagram: bytes) -> None:
        protocol, _, header, channel, flags, count, _, sequence, _ = struct.unpack_from("<HBBHBBQQQ", datagram)
        assert protocol == 0x4642
        expected = self._next.setdefault(channel, sequence)
        assert sequence == expected, f"channel {channel}: {sequence} instead of {expected}"
        self._next[channel] = sequence + count
        offset = header
        for _ in range(count):
            length, event_flags, _, instrument = struct.unpack_from("<HBBI", datagram, offset)
            self._message(instrument, event_flags, SCHEMA.decode(datagram[offset + 8 : offset + length]))
            offset += length
        assert offset == len(datagram)
        assert flags & 0x01 or count == 0

    def _message(self, instrument: int, flags: int, message: Any) -> None:
        value = message.value
        bids, asks = self.books.setdefault(instrument, ({}, {}))
        if message.message_name == "BookClear":
            bids.clear()
            asks.clear()
        elif message.message_name == "InstrumentStatus":
            self.status[instrument] = value["status"]
        elif message.message_name == "BookDelta":
            self.deltas += 1
            self.conflated += bool(flags & 0x08)
            self._updates[instrument] = value["venueUpdateId"]
            for index, level in enumerate(value["levels"]):
                side = bids if index < value["bidCount"] else asks
                price = Decimal(level["price"]).scaleb(value["priceExponent"])
                quantity = Decimal(level["quantity"]).scaleb(value["quantityExponent"])
                if quantity:
                    side[price] = quantity
                else:
                    side.pop(price, None)
        if flags & 0x02 and instrument in self._updates and message.message_name != "BookChecksum":
            self.history.setdefault(instrument, {})[self._updates[instrument]] = freeze((bids, asks))


def recorded(path: Path) -> Iterator[dict[str, Any]]:
    """The data messages of a recording."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
        for line in lines:
            text = line.strip()
            if text[:1].isdigit():
                text = text.partition(b" ")[2]
            message = json.loads(text)
            if "topic" in message and "data" in message:
                yield message


def replayed(path: Path) -> dict[str, dict[int, Frozen]]:
    """topic -> update id -> book, by the plainest replay there is."""
    books: dict[str, Book] = {}
    history: dict[str, dict[int, Frozen]] = {}
    for message in recorded(path):
        topic, data = message["topic"], message["data"]
        if not topic.startswith("orderbook."):
            continue
        if message["type"] == "snapshot":
            books[topic] = ({}, {})
        for side, levels in zip(books[topic], (data["b"], data["a"]), strict=True):
            for price, size in levels:
                if Decimal(size):
                    side[Decimal(price)] = Decimal(size)
                else:
                    side.pop(Decimal(price), None)
        history.setdefault(topic, {})[data["u"]] = freeze(books[topic])
    return history
