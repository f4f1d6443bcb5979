"""The bench's consumer: joins every channel on every line, reads all of it, and measures what it reads on line A.

`bench_listener.py WHERE`: the feed's groups, port and partitions as JSON. Its sockets are filled as any consumer's are,
and read every 2 ms: to wake a consumer that sleeps on the same machine costs the sender some microseconds a packet,
which consumers on other machines do not. Offsets are those of PROTOCOL.md; it knows nothing of feeder's code.
Lines on its input say:

    {"do": "mark"}                     figures since the last mark
    {"do": "live"}                     how many books were said to be LIVE and not since to be anything else
    {"do": "expect", "finals": {..}}   the update id that each instrument should come to
    {"do": "pending"}                  how many have not, and when the last update was published
    {"do": "capture"} {"do": "save", "path": ..}   keep every datagram from now on; write them to a file
"""

import ipaddress
import json
import pickle
import select
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench_child import reply

_HEADER = struct.Struct("<HBBHBBQQQ")
_FRAME = struct.Struct("<HBxIHH")  # frameLength, eventFlags, instrumentId, blockLength, templateId
_DELTA = struct.Struct("<24xQQ16xQ")  # from the frame's begin: venueUpdateId, venueSequence, receiveTime
_STATUS = struct.Struct("<24xB")
_BEGIN = struct.Struct("<32xQ")  # SnapshotBegin's venueUpdateId
_HEADER_LENGTH = 32
_NAP_SECONDS = 0.002
_INSTRUMENT_STATUS, _BOOK_DELTA, _BOOK_CLEAR, _SNAPSHOT_BEGIN = 2, 10, 11, 20
_LIVE = 2
_CONFLATED = 0x08
_HEARTBEAT = 0x10
KINDS = ("books", "trades", "bbo", "snapshots", "definitions")
_BOOKS, _SNAPSHOTS = 0, 3
_RECEIVE_BUFFER = 16 << 20
_IP_MULTICAST_ALL = 49
_BATCH = 256

Percentiles = dict[str, float]


class Latencies:
    """Counts per microsecond."""

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()

    def told(self) -> Percentiles:
        """p50 to max, in us; empty when there are none."""
        total = self.counts.total()
        wanted = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
        found: Percentiles = {}
        seen = 0
        for value in sorted(self.counts):
            seen += self.counts[value]
            for name, part in wanted.items():
                if name not in found and seen >= part * total:
                    found[name] = value
        return found


class Figures:
    """What was read on line A since some moment."""

    def __init__(self) -> None:
        self.since_ns = time.monotonic_ns()
        self.deltas = self.covered = self.conflated = self.not_live = self.lost = 0
        self.packets: Counter[str] = Counter()  # by kind, heartbeats apart
        self.messages: Counter[str] = Counter()
        self.bytes = 0
        self.latency = Latencies()
        self.from_write = Latencies()

    def told(self) -> dict[str, Any]:
        """As JSON says it."""
        return {
            "seconds": (time.monotonic_ns() - self.since_ns) / 1e9,
            "deltas": self.deltas,
            "covered": self.covered,
            "conflated": self.conflated,
            "not_live": self.not_live,
            "lost_packets": self.lost,
            "packets": dict(self.packets),
            "messages": dict(self.messages),
            "bytes": self.bytes,
            "latency_us": self.latency.told(),
            "latency_from_write_us": self.from_write.told(),
        }


class Reading:
    """What the datagrams say. `origin_us`: the wall time at which the venue's `seq` would be 0, in us."""

    def __init__(self, origin_us: int = 0) -> None:
        self.origin_us = origin_us
        self.figures = Figures()
        self.updates: dict[int, int] = {}  # the last update id of each instrument
        self.live: set[int] = set()
        self.finals: dict[int, int] = {}
        self.last_update_ns = 0  # when the last update that counts was published
        self._next: dict[tuple[str, int], tuple[int, int]] = {}  # (line, channel): session, sequence
        self._restarting: set[int] = set()

    def on_datagram(self, line: str, data: bytes) -> None:
        """One datagram of a feeder's line; other bytes are not for here."""
        _, _, _, channel, flags, count, session, sequence, sent_ns = _HEADER.unpack_from(data)
        expected = self._next.get((line, channel))
        if expected is not None and expected[0] == session and sequence != expected[1]:
            self.figures.lost += 1
        self._next[line, channel] = session, sequence + count
        if line != "A":
            return
        figures, kind = self.figures, channel & 15
        name = "heartbeats" if flags & _HEARTBEAT else KINDS[kind]
        figures.packets[name] += 1
        figures.messages[name] += count
        figures.bytes += len(data)
        if kind == _BOOKS:
            self._on_books(data, count, sent_ns)
        elif kind == _SNAPSHOTS and self.finals:
            self._on_snapshots(data, count, sent_ns)

    def _on_books(self, data: bytes, count: int, sent_ns: int) -> None:
        figures, updates, sent_us = self.figures, self.updates, sent_ns // 1000
        frame, delta = _FRAME.unpack_from, _DELTA.unpack_from
        latency, from_write = figures.latency.counts, figures.from_write.counts
        origin_us, finals = self.origin_us, self.finals
        offset = _HEADER_LENGTH
        for _ in range(count):
            length, event_flags, instrument, _, template = frame(data, offset)
            if template == _BOOK_DELTA:
                update, venue_sequence, received_ns = delta(data, offset)
                before = updates.get(instrument)
                updates[instrument] = update
                if before is not None and instrument not in self._restarting:
                    figures.deltas += 1
                    figures.covered += update - before
                    if event_flags & _CONFLATED:
                        figures.conflated += 1
                    latency[sent_us - received_ns // 1000] += 1
                    from_write[sent_us - origin_us - venue_sequence] += 1
                self.last_update_ns = sent_ns
                if finals and finals.get(instrument) == update:
                    del finals[instrument]
            elif template == _INSTRUMENT_STATUS:
                self._restarting.discard(instrument)
                if _STATUS.unpack_from(data, offset)[0] == _LIVE:
                    self.live.add(instrument)
                else:
                    figures.not_live += instrument in self.live
                    self.live.discard(instrument)
            elif template == _BOOK_CLEAR:
                self._restarting.add(instrument)
            offset += length

    def _on_snapshots(self, data: bytes, count: int, sent_ns: int) -> None:
        """A final update whose packet was lost on the way to here is seen by the book's next snapshot."""
        offset = _HEADER_LENGTH
        for _ in range(count):
            length, _, instrument, _, template = _FRAME.unpack_from(data, offset)
            if template == _SNAPSHOT_BEGIN:
                update = _BEGIN.unpack_from(data, offset)[0]
                if self.finals.get(instrument) == update:
                    del self.finals[instrument]
                    self.last_update_ns = sent_ns
            offset += length

    def expect(self, finals: Mapping[int, int]) -> None:
        """Look out for these update ids, by instrument."""
        self.finals = {each: update for each, update in finals.items() if self.updates.get(each) != update}


class Listener:
    """The sockets."""

    def __init__(self, where: dict[str, Any]) -> None:
        self.reading = Reading(where.get("origin_us", 0))
        self.raw = 0  # datagrams of the bare relay
        self.captured: list[tuple[int, str, int, bytes]] | None = None
        self._epoll = select.epoll()
        self._sockets: dict[int, tuple[socket.socket, str, int]] = {}
        for line, group in where["groups"].items():
            for partition in range(where["partitions"]):
                for kind in range(len(KINDS)):
                    channel = 16 * partition + kind
                    self._join(str(ipaddress.IPv4Address(group) + channel), where["port"] + channel, line, channel)
        self._join(where["raw_group"], where["raw_port"], "", 0)

    def run(self) -> None:
        """Until standard input ends."""
        stdin = sys.stdin.buffer
        self._epoll.register(stdin, select.EPOLLIN)
        while True:
            time.sleep(_NAP_SECONDS)
            for number, _ in self._epoll.poll():
                if number in self._sockets:
                    self._read(number)
                    continue
                line = stdin.readline()
                if not line:
                    return
                for each in self._sockets:  # what was sent before the question belongs into the answer
                    while self._read(each) == _BATCH:
                        pass
                self._do(json.loads(line))

    def _join(self, group: str, port: int, line: str, channel: int) -> None:
        sock = join(group, port)
        self._sockets[sock.fileno()] = sock, line, channel
        self._epoll.register(sock, select.EPOLLIN)

    def _read(self, number: int) -> int:
        sock, line, channel = self._sockets[number]
        receive, handle = sock.recv, self.reading.on_datagram
        for done in range(_BATCH):
            try:
                data = receive(65536)
            except BlockingIOError:
                return done
            if self.captured is not None:
                self.captured.append((time.monotonic_ns(), line, channel, data))
            if line:
                handle(line, data)
            else:
                self.raw += 1
        return _BATCH

    def _do(self, command: dict[str, Any]) -> None:
        reading = self.reading
        match command["do"]:
            case "mark":
                figures, reading.figures = reading.figures, Figures()
                reply({**figures.told(), "raw": self.raw})
            case "live":
                reply(len(reading.live))
            case "expect":
                reading.expect({int(each): update for each, update in command["finals"].items()})
                reply(None)
            case "pending":
                reply({"pending": len(reading.finals), "last_ns": reading.last_update_ns})
            case "capture":
                self.captured = []
                reply(None)
            case "save":
                captured, self.captured = self.captured, None
                Path(command["path"]).write_bytes(pickle.dumps(captured))
                reply(len(captured or ()))
            case other:
                reply({"error": f"cannot {other!r}"})


def join(group: str, port: int) -> socket.socket:
    """A non-blocking socket that hears a group on loopback, and that one only."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    sock.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
    sock.bind((group, port))
    membership = socket.inet_aton(group) + socket.inet_aton("127.0.0.1")
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    return sock


if __name__ == "__main__":
    Listener(json.loads(sys.argv[1])).run()
