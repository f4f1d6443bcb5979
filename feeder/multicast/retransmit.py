"""Requests for lost messages and their answers, for one partition: datagrams in, datagrams out, no socket.

PROTOCOL.md, "Asking again", is what this keeps to. Whoever asks may lie about who they are: no answer has more than
AMPLIFICATION times the bytes of its request, a source gets so many packets a second and then nothing, and what is no
request is not answered.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from feeder.clock import MILLISECOND_NS, SECOND_NS, Clock
from feeder.errors import WireError
from feeder.multicast.channel import ChannelPublisher
from feeder.multicast.rate_limit import PACKETS_PER_SECOND, RETRY_SECONDS, RateLimit
from feeder.multicast.ring import Ring
from feeder.wire import encoder
from feeder.wire.decoder import retransmit_request
from feeder.wire.messages import (
    HEADER_LENGTH,
    MAX_PACKET,
    PacketFlag,
    RejectReason,
    RetransmitReject,
    RetransmitRequest,
    Template,
)
from feeder.wire.packet import Packet, frame_lengths, pack_header_into, parse

_log = logging.getLogger("feeder.multicast")

AMPLIFICATION = 4  # bytes of an answer for each byte of its request, at most

# As plain integers: an enum's comparison takes its time.
_FLAGS = int(PacketFlag.RETRANSMIT)
_TEMPLATE = int(Template.RETRANSMIT_REQUEST)

_RETRY_NS = {
    RejectReason.TOO_OLD: 0,
    RejectReason.NOT_SENT: 15 * MILLISECOND_NS,
    RejectReason.OTHER_SESSION: 0,
    RejectReason.RATE: int(RETRY_SECONDS * SECOND_NS),
    RejectReason.NOT_HELD: 0,
}
"""When to ask again; 0 is never."""


@dataclass(slots=True)
class RetransmitCounters:
    """What became of the requests of one partition."""

    requests: int = 0  # datagrams that came, whatever was in them
    packets: int = 0  # sent again
    bytes: int = 0  # of UDP payload in them
    messages: int = 0  # in them
    invalid: int = 0  # datagrams that are no request
    unpadded: int = 0  # requests too short for the first message they asked for
    rate_limited: int = 0  # requests not answered, not even with a reject
    dropped: int = 0  # packets of answers lost because the send buffer was full
    errors: int = 0  # of the sockets, such as an address that cannot be sent to
    rejects: Counter[RejectReason] = field(default_factory=lambda: Counter(dict.fromkeys(RejectReason, 0)))


class _Held(NamedTuple):
    """A channel that can be asked for."""

    channel_id: int
    flags: int  # packetFlags of its answers
    ring: Ring


class RetransmitServer:
    """Answers the requests for one partition's channels; `channel_id` is its own, that requests are sent to.

    Of `channels`, all of one session, those that have a ring can be asked for.
    """

    def __init__(self, channel_id: int, channels: Sequence[ChannelPublisher], clock: Clock) -> None:
        self.counters = RetransmitCounters()
        self.sources = RateLimit()
        self._channel_id = channel_id
        self._session_id = channels[0].session_id
        self._held = {
            channel.channel_id: _Held(channel.channel_id, channel.flags | _FLAGS, channel.ring)
            for channel in channels
            if channel.ring is not None
        }
        self._flags = _FLAGS | (channels[0].flags & PacketFlag.TEST)
        self._clock = clock
        self._header = bytearray(HEADER_LENGTH)

    def answer(self, data: bytes, source: str, now: float) -> Sequence[bytes]:
        """The packets that answer a datagram, none for many. Raises nothing, whatever the datagram holds.

        `source` is the address it came from, without the port; `now` is monotonic seconds.
        """
        counters = self.counters
        counters.requests += 1
        if self.sources.silent(source, now):
            counters.rate_limited += 1
            return ()
        try:
            packet, request = self._read(data)
        except WireError:
            counters.invalid += 1
            return ()
        bucket = self.sources.bucket(source, now)
        held = self._held.get(request.channel_id)
        if bucket.packets < 1:
            bucket.silent_until = now + RETRY_SECONDS
            if not bucket.named:  # once: it takes a source BURST packets to get here, so forged ones fill no log
                bucket.named = True
                partition = self._channel_id >> 4
                _log.warning("%s asks partition %d for over %d packets/s", source, partition, PACKETS_PER_SECOND)
            answer = self._reject(request, held, RejectReason.RATE)
        elif packet.session_id != self._session_id:
            answer = self._reject(request, held, RejectReason.OTHER_SESSION)
        elif held is None:
            answer = self._reject(request, held, RejectReason.NOT_HELD)
        elif request.first_sequence >= held.ring.next_sequence:
            answer = self._reject(request, held, RejectReason.NOT_SENT)
        elif request.first_sequence < held.ring.oldest_sequence:
            answer = self._reject(request, held, RejectReason.TOO_OLD)
        else:
            answer = self._repeat(request, held, AMPLIFICATION * len(data), int(bucket.packets))
        bucket.packets -= len(answer)
        return answer

    def _read(self, data: bytes) -> tuple[Packet, RetransmitRequest]:
        """Raises WireError for whatever is no request to this partition."""
        packet = parse(data)
        if packet.channel_id != self._channel_id or packet.flags != _FLAGS or len(packet.frames) != 1:
            raise WireError("a packet that is no request")
        (frame,) = packet.frames
        if frame.template != _TEMPLATE:
            raise WireError(f"template {frame.template} is no request")
        request = retransmit_request(data, frame)
        if not request.messages:
            raise WireError("a request for nothing")
        return packet, request

    def _reject(self, request: RetransmitRequest, held: _Held | None, reason: RejectReason) -> list[bytes]:
        self.counters.rejects[reason] += 1
        oldest, following = (0, 0) if held is None else (held.ring.oldest_sequence, held.ring.next_sequence)
        body = RetransmitReject(
            request.first_sequence,
            oldest,
            following,
            _RETRY_NS[reason],
            request.messages,
            request.channel_id,
            reason,
        )
        return [self._packet(self._channel_id, self._flags, 1, 0, [encoder.retransmit_reject(body)])]

    def _repeat(self, request: RetransmitRequest, held: _Held, room: int, most_packets: int) -> list[bytes]:
        """What was asked for, as far as it was sent and fits `room` bytes and `most_packets` packets."""
        channel_id, flags, ring = held
        first = request.first_sequence
        end = first + request.messages
        packets: list[bytes] = []
        parts: list[bytes] = []  # of the packet being made
        count, size = 0, HEADER_LENGTH
        for begin, messages, payload in ring.packets(first):
            if begin >= end:
                break
            if begin < first or begin + messages > end:
                payload, messages = _cut(payload, max(0, first - begin), end - max(first, begin), MAX_PACKET)
            if size + len(payload) > MAX_PACKET:  # so many bytes hold no more messages than a header can count
                packets.append(self._packet(channel_id, flags, count, first, parts))
                room -= size
                first += count
                parts, count, size = [], 0, HEADER_LENGTH
                if len(packets) == most_packets:
                    break
            cut_short = size + len(payload) > room
            if cut_short:
                payload, messages = _cut(payload, 0, messages, room - size)
            parts.append(payload)
            count += messages
            size += len(payload)
            if cut_short:
                break
        if count:
            packets.append(self._packet(channel_id, flags, count, first, parts))
            first += count
        if not packets:
            self.counters.unpadded += 1
        self.counters.messages += first - request.first_sequence
        self.counters.packets += len(packets)
        self.counters.bytes += sum(map(len, packets))
        return packets

    def _packet(self, channel_id: int, flags: int, count: int, sequence: int, parts: Sequence[bytes]) -> bytes:
        pack_header_into(self._header, channel_id, flags, count, self._session_id, sequence, self._clock.wall_ns())
        return b"".join((self._header, *parts))


def _cut(payload: bytes, skip: int, most: int, room: int) -> tuple[bytes, int]:
    """Of a packet's messages, behind the first `skip`, at most `most` that fit `room` bytes, and how many they are."""
    start = end = taken = 0
    for index, length in enumerate(frame_lengths(payload)):
        if index < skip:
            start = end = end + length
        elif taken == most or end + length - start > room:
            break
        else:
            end += length
            taken += 1
    return payload[start:end], taken
