"""The last messages of one channel, kept as the packets that carried them, to be sent again on request."""

from array import array
from bisect import bisect_right
from collections.abc import Iterator

RING_MESSAGES = 100_000  # a channel's last messages that are kept
RING_BYTES = 32 << 20  # that they take at most

_SLACK = 100  # the oldest messages are forgotten a hundredth at a time
_COMPACT_AFTER = 1_024  # places of forgotten packets that are worth giving back


class Ring:
    """Packets in order, without a gap, each as the bytes behind its header.

    At least the last `most_messages` messages are held, and some hundredths more, as the oldest are forgotten many at a
    time; fewer while they would take more than `most_bytes` bytes.
    """

    # Two lists that grow at their end and are cut at their head now and then: a deque cannot be searched by bisection.

    __slots__ = (
        "_first",
        "_most_bytes",
        "_most_messages",
        "_payloads",
        "_sequences",
        "_trim_at",
        "bytes",
        "next_sequence",
    )

    def __init__(self, most_messages: int = RING_MESSAGES, most_bytes: int = RING_BYTES) -> None:
        self.next_sequence = 1  # behind the last message held
        self.bytes = 0  # of the messages held
        self._most_messages = most_messages
        self._most_bytes = most_bytes
        self._sequences = array("Q")  # of each packet's first message
        self._payloads: list[bytes] = []
        self._first = 0  # index of the oldest packet held; those before it are forgotten
        self._trim_at = most_messages + 1  # the next sequence at which there may be messages enough to forget some

    @property
    def oldest_sequence(self) -> int:
        """The sequence of the oldest message held; next_sequence if none is."""
        return self._sequences[self._first] if self._first < len(self._sequences) else self.next_sequence

    @property
    def messages(self) -> int:
        """How many messages are held."""
        return self.next_sequence - self.oldest_sequence

    def append(self, count: int, payload: bytes) -> None:
        """Keep the next `count` messages, which one packet carried."""
        sequence = self.next_sequence
        self._sequences.append(sequence)
        self._payloads.append(payload)
        self.next_sequence = sequence + count
        self.bytes = size = self.bytes + len(payload)
        if sequence >= self._trim_at or size > self._most_bytes:
            self._trim()

    def packets(self, sequence: int) -> Iterator[tuple[int, int, bytes]]:
        """From the packet that holds `sequence`, which is held, to the newest: first sequence, messages, payload."""
        sequences, payloads = self._sequences, self._payloads
        index = bisect_right(sequences, sequence, self._first) - 1
        begin = sequences[index]
        for following in range(index + 1, len(sequences)):
            end = sequences[following]
            yield begin, end - begin, payloads[following - 1]
            begin = end
        yield begin, self.next_sequence - begin, payloads[-1]

    def _trim(self) -> None:
        sequences, payloads = self._sequences, self._payloads
        keep_from = self.next_sequence - self._most_messages
        most_bytes = self._most_bytes
        if self.bytes > most_bytes:
            most_bytes -= most_bytes // _SLACK
        first, last, size = self._first, len(sequences) - 1, self.bytes
        while first < last and (size > most_bytes or sequences[first + 1] <= keep_from):
            size -= len(payloads[first])
            payloads[first] = b""
            first += 1
        # Half of all places at once, so that a packet is moved once on average.
        if first >= _COMPACT_AFTER and 2 * first >= last:
            del sequences[:first], payloads[:first]
            first = 0
        self._first, self.bytes = first, size
        self._trim_at = self.next_sequence + self._most_messages // _SLACK
