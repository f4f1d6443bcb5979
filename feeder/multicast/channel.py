"""One channel's open packet: messages go in, whole packets go out on every line, one sequence for all."""

import errno
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Protocol

from feeder.clock import Clock
from feeder.multicast.ring import Ring
from feeder.wire.messages import HEADER_LENGTH, MAX_MESSAGES, MAX_PACKET, PacketFlag
from feeder.wire.packet import pack_header_into

_log = logging.getLogger("feeder.multicast")

HEARTBEAT_AFTER_DATA = 0.020  # seconds; shows a consumer that it lost the last packet
HEARTBEAT_INTERVAL = 0.250  # seconds

FULL = (errno.EAGAIN, errno.ENOBUFS)  # the socket's buffer, or the queue of the network card


class Sender(Protocol):
    """One line of one channel."""

    line: str

    def send(self, packet: memoryview) -> None:
        """Hand over one packet; what the network cannot take is counted, never raised."""
        ...


class LineSender:
    """A connected socket. A packet that the system cannot take now is lost on this line, and counted.

    Never waited for: other lines carry the same packet, and waiting would make every book late for one slow card.
    """

    def __init__(self, line: str, sock: socket.socket) -> None:
        self.line = line
        self.packets = 0
        self.bytes = 0
        self.refused = 0  # the send buffer was full (EAGAIN, ENOBUFS)
        self.errors = 0  # anything else, such as an interface that went down
        self._failing = False
        self._socket = sock
        self._send = sock.send

    @property
    def address(self) -> str:
        """The address of the interface that this line is sent from."""
        return str(self._socket.getsockname()[0])

    def send(self, packet: memoryview) -> None:
        """Send one packet, or count why not."""
        try:
            self.bytes += self._send(packet)
        except OSError as error:
            if error.errno in FULL:
                self.refused += 1
            else:
                self.errors += 1
            self._fail(error)
        else:
            self.packets += 1
            if self._failing:
                self._failing = False
                _log.info("line %s sends again", self.line)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _fail(self, error: OSError) -> None:
        """Said once until it works again; counted each time."""
        if not self._failing:
            self._failing = True
            _log.warning("line %s cannot send: %s; packets are lost on it", self.line, error)


class ChannelPublisher:
    """Packs messages in order, numbers them, and sends a packet when it is full or `flush` says so.

    `on_open` is called with the channel whenever an empty packet gets its first message, so that the owner can flush it
    in the same turn of the event loop. `ring` keeps every packet of messages, also those that no line took.
    """

    __slots__ = (
        "_clock",
        "_count",
        "_idle",
        "_last_sent",
        "_on_open",
        "_senders",
        "_used",
        "_view",
        "buffer",
        "channel_id",
        "flags",
        "messages",
        "oldest_ns",
        "opened_ns",
        "packets",
        "ring",
        "sequence",
        "session_id",
    )

    def __init__(
        self,
        channel_id: int,
        session_id: int,
        flags: PacketFlag,
        senders: Sequence[Sender],
        clock: Clock,
        on_open: Callable[["ChannelPublisher"], None],
        ring: Ring | None = None,
    ) -> None:
        self.channel_id = channel_id
        self.session_id = session_id
        self.flags = int(flags)
        self.sequence = 1  # of the next message to be written
        self.messages = 0
        self.packets = 0
        self.oldest_ns = 0  # receive time of the first update written since the owner set this to 0
        self.opened_ns = 0  # when the first message since the owner set this to 0 was written
        self._senders = tuple(senders)
        self._clock = clock
        self._on_open = on_open
        self.ring = ring
        self.buffer = bytearray(MAX_PACKET)
        self._view = memoryview(self.buffer)
        self._used = HEADER_LENGTH
        self._count = 0
        self._idle = False  # the last packet was no data: the next heartbeat is a long interval away
        self._last_sent = clock.monotonic()

    @property
    def pending(self) -> int:
        """Bytes of the open packet."""
        return self._used

    def write(self, message: bytes) -> None:
        """Append one encoded message."""
        size = len(message)
        start = self.reserve(size)
        self.buffer[start : start + size] = message

    def reserve(self, size: int) -> int:
        """Room for one message of `size` bytes: where in `buffer` the caller is to write it, at once."""
        start = self._used
        if start + size > MAX_PACKET or self._count == MAX_MESSAGES:
            self.flush()
            start = HEADER_LENGTH
        if not self._count:
            if not self.opened_ns:
                self.opened_ns = self._clock.wall_ns()
            self._on_open(self)
        self._used = start + size
        self._count += 1
        self.sequence += 1
        return start

    def release(self, size: int) -> None:
        """Take the latest `reserve` back: nothing was written there."""
        self._used -= size
        self._count -= 1
        self.sequence -= 1

    def write_together(self, messages: Sequence[bytes]) -> None:
        """Append messages that must stand in one packet; together they fit one."""
        if self._used + sum(map(len, messages)) > MAX_PACKET or self._count + len(messages) > MAX_MESSAGES:
            self.flush()
        for message in messages:
            self.write(message)

    def flush(self) -> None:
        """Send the open packet, if it holds anything."""
        count = self._count
        if count:
            self._send(self.flags, count, self.sequence - count, self._used)
            if self.ring is not None:
                self.ring.append(count, self._view[HEADER_LENGTH : self._used].tobytes())
            self.messages += count
            self._count = 0
            self._used = HEADER_LENGTH
            self._idle = False

    def tick(self, now: float) -> None:
        """Send a heartbeat when one is due; `now` is monotonic seconds."""
        if not self._count and now - self._last_sent >= (HEARTBEAT_INTERVAL if self._idle else HEARTBEAT_AFTER_DATA):
            self._send(PacketFlag.HEARTBEAT | (self.flags & PacketFlag.TEST), 0, self.sequence, HEADER_LENGTH)
            self._idle = True

    def end_session(self) -> None:
        """Send what is open, then one packet that says the session is over."""
        self.flush()
        self._send(PacketFlag.END_OF_SESSION | (self.flags & PacketFlag.TEST), 0, self.sequence, HEADER_LENGTH)
        self._idle = True

    def _send(self, flags: int, count: int, sequence: int, size: int) -> None:
        clock = self._clock
        pack_header_into(self.buffer, self.channel_id, flags, count, self.session_id, sequence, clock.wall_ns())
        packet = self._view[:size]
        for sender in self._senders:
            sender.send(packet)
        self.packets += 1
        self._last_sent = clock.monotonic()
