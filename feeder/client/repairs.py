"""Asking for lost messages again, without I/O: open holes in, request packets out, answers and rejects taken back.

A hole is asked for in parts whose answers fit four packets, a few at a time, each after a random delay at first, since
one loses a packet seldom alone; again when nothing came, less and less often; and given up when the feeder says that
it will not serve it, or nothing helped. Books do not wait for any of this: a snapshot mends them if it comes first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from feeder.clock import SECOND_NS
from feeder.histogram import Histogram
from feeder.multicast.arbiter import Arbiter, Filled, Hole
from feeder.multicast.asker import Address
from feeder.wire import encoder
from feeder.wire.messages import HEADER_LENGTH, MAX_PACKET, Kind, PacketFlag, RejectReason, RetransmitReject
from feeder.wire.messages import RetransmitRequest as Request
from feeder.wire.packet import pack_header_into

JITTER_SECONDS = 0.005
RETRY_SECONDS = 0.015  # after the first request; each further wait is half as long again
ATTEMPTS = 8
HOLE_SECONDS = 2.0  # by then a snapshot has come; also for a feeder whose address is not known yet
_REST_SECONDS = 0.002  # from a part of an answer to asking for what it left out
_RETRY_GROWTH = 1.5
_MOST_AT_ONCE = 8  # requests that wait for their answers
_PART = 34  # messages of one request: as many fit four packets of an ordinary day
_SMALLEST, _BYTES_PER_MESSAGE = 352, 40  # of a request: its answer has at most four times as many


@dataclass(slots=True)
class RepairStats:
    """What was asked for and what came of it."""

    requests: int = 0
    request_bytes: int = 0
    answers: int = 0  # packets
    answer_bytes: int = 0
    rejects: dict[RejectReason, int] = field(default_factory=dict)
    filled: int = 0  # holes, by whatever filled them
    abandoned: int = 0
    messages: int = 0  # that were asked for, each hole's once
    duration: Histogram = field(default_factory=Histogram)  # nanoseconds from a hole named to filled


@dataclass(slots=True)
class _Part:
    """A part of a hole, to be asked for at `due`, monotonic seconds. `attempts` without an answer so far."""

    hole: Hole
    first: int
    last: int
    due: float
    attempts: int = 0
    waits: bool = False  # for an answer


class Repairs:
    """The requests of one partition. `arbiters` by channel id are those whose holes stay open."""

    def __init__(self, partition: int, arbiters: Mapping[int, Arbiter], random: Random) -> None:
        self.stats = RepairStats()
        self.addresses: tuple[Address, ...] = ()  # where the feeder says it can be asked
        self._channel_id = 16 * partition + Kind.RETRANSMIT
        self._arbiters = arbiters
        self._random = random
        self._quiet_until = 0.0  # monotonic seconds; before it, the feeder has said, nothing is answered
        self._parts: dict[int, list[_Part]] = {channel_id: [] for channel_id in arbiters}

    def on_hole(self, channel_id: int, hole: Hole, now: float) -> None:
        """A hole was named; one that the arbiter does not keep open is nobody's business here."""
        if hole.first not in self._arbiters[channel_id].open_holes:
            return
        self.stats.messages += hole.messages
        due = now + self._random.uniform(0, JITTER_SECONDS)
        parts = self._parts[channel_id]
        for first in range(hole.first, hole.last + 1, _PART):
            parts.append(_Part(hole, first, min(first + _PART - 1, hole.last), due))

    def on_filled(self, channel_id: int, filled: Filled) -> None:
        """A hole is whole."""
        self.stats.filled += 1
        self.stats.duration.record(int(filled.seconds * SECOND_NS))
        self._forget(channel_id, filled.hole)

    def on_abandoned(self, channel_id: int, hole: Hole) -> None:
        """A hole was given up."""
        self.stats.abandoned += 1
        self._forget(channel_id, hole)

    def on_session(self, channel_id: int) -> None:
        """Another session: what the old one left open is forgotten."""
        self._parts[channel_id].clear()

    def on_answer(self, channel_id: int, size: int, now: float) -> None:
        """A packet came that was asked for, and the arbiter has taken what it missed."""
        self.stats.answers += 1
        self.stats.answer_bytes += size
        holes = self._arbiters[channel_id].open_holes
        parts = self._parts[channel_id]
        for part in list(parts):
            left = holes[part.hole.first].missing(part.first, part.last)
            if left is None:
                parts.remove(part)
            elif part.waits and left != (part.first, part.last):
                # It answers this part. The rest of the answer may be right behind it, or was too much for it.
                part.first, part.last = left
                part.due = min(part.due, now + _REST_SECONDS)
                part.attempts = 0

    def on_reject(self, reject: RetransmitReject, session_id: int, now: float) -> list[Hole]:
        """The feeder, in that session, will not serve a request, or not now; the holes to be given up."""
        stats = self.stats
        stats.rejects[reject.reason] = stats.rejects.get(reject.reason, 0) + 1
        arbiter = self._arbiters.get(reject.channel_id)
        if arbiter is None or (session_id == arbiter.session_id) is (reject.reason is RejectReason.OTHER_SESSION):
            return []  # of what was asked in a session that is no longer followed
        hopeless = []
        for part in self._parts[reject.channel_id]:
            if part.waits and part.first <= reject.first_sequence <= part.last:
                if reject.retry_delay_ns:
                    part.waits = False
                    part.attempts = max(0, part.attempts - 1)
                    delay = min(max(reject.retry_delay_ns / SECOND_NS, RETRY_SECONDS), HOLE_SECONDS)
                    part.due = now + delay + self._random.uniform(0, JITTER_SECONDS)
                    if reject.reason is RejectReason.RATE:  # it is this consumer that has to wait, whatever it asks
                        self._quiet_until = part.due
                elif part.hole not in hopeless:
                    hopeless.append(part.hole)
        return hopeless

    def due(self, channel_id: int, now: float) -> tuple[list[tuple[bytes, Address]], list[Hole]]:
        """(requests to send at `now` and where to, holes to be given up) of one channel."""
        parts = self._parts[channel_id]
        if not parts:
            return [], []
        arbiter = self._arbiters[channel_id]
        requests: list[tuple[bytes, Address]] = []
        hopeless: list[Hole] = []
        waiting = sum(part.waits and part.due > now for part in parts)
        for part in list(parts):
            if part.due > now:
                continue
            hole = arbiter.open_holes[part.hole.first]
            left = hole.missing(part.first, part.last)
            if left is None:
                parts.remove(part)
            elif part.attempts == ATTEMPTS or now - hole.noticed >= HOLE_SECONDS:
                if part.hole not in hopeless:
                    hopeless.append(part.hole)
            elif self.addresses and waiting < _MOST_AT_ONCE and now >= self._quiet_until:
                waiting += 1
                address = self.addresses[part.attempts % len(self.addresses)]
                requests.append((self._request(channel_id, arbiter.session_id, left), address))
                part.waits = True
                part.due = now + RETRY_SECONDS * _RETRY_GROWTH**part.attempts
                part.attempts += 1
        return requests, hopeless

    def _request(self, channel_id: int, session_id: int, left: Hole) -> bytes:
        size = min(MAX_PACKET, max(_SMALLEST, _BYTES_PER_MESSAGE * left.messages)) // 8 * 8
        buffer = bytearray(HEADER_LENGTH)
        pack_header_into(buffer, self._channel_id, PacketFlag.RETRANSMIT, 1, session_id, 0, 0)
        body = Request(left.first, left.messages, channel_id)
        datagram = bytes(buffer) + encoder.retransmit_request(body, size - HEADER_LENGTH)
        self.stats.requests += 1
        self.stats.request_bytes += len(datagram)
        return datagram

    def _forget(self, channel_id: int, hole: Hole) -> None:
        parts = self._parts[channel_id]
        parts[:] = [part for part in parts if part.hole != hole]
