"""Sockets of the wanted channels, read on the event loop; each sound packet is handed on with its line."""

import asyncio
import socket
from collections.abc import Callable, Iterable

from feeder.errors import WireError
from feeder.multicast.plan import Channel
from feeder.multicast.sockets import drops, open_receiver
from feeder.wire.packet import Packet, parse

RECEIVE_BUFFER = 4 << 20  # bytes asked for per socket
_BATCH = 64  # datagrams of one socket before another gets its turn
# Bytes: more than our packets have, so that a longer datagram is seen as one and refused. Python allocates as much for
# each read and then gives most of it back: with 64 KiB the heap of a consumer grows by some per cent an hour.
LARGEST = 2048

OnDatagram = Callable[[str, int, bytes], None]


class Receiver:
    """Opens one socket per channel and line. Raises MachineError or ConfigError from `open` when one cannot be had."""

    def __init__(self, channels: Iterable[Channel], on_datagram: OnDatagram) -> None:
        self.datagrams = 0
        self._channels = list(channels)
        self._on_datagram = on_datagram
        self._sockets: list[socket.socket] = []
        self._by_channel: dict[int, list[socket.socket]] = {channel.channel_id: [] for channel in self._channels}
        self._dropped = dict.fromkeys(self._by_channel, 0)  # by sockets that are closed

    def open(self) -> None:
        """Join every group and begin to read; to be called on the running loop."""
        loop = asyncio.get_running_loop()
        try:
            for channel in self._channels:
                for endpoint in channel.endpoints:
                    sock = open_receiver(endpoint, receive_buffer=RECEIVE_BUFFER)
                    self._sockets.append(sock)
                    self._by_channel[channel.channel_id].append(sock)
                    loop.add_reader(sock, self._read, sock, endpoint.line, channel.channel_id)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Leave the groups."""
        loop = asyncio.get_running_loop()
        for channel_id in self._by_channel:
            self._dropped[channel_id] = self.dropped(channel_id)
        for sock in self._sockets:
            loop.remove_reader(sock)
            sock.close()
        self._sockets.clear()
        for sockets in self._by_channel.values():
            sockets.clear()

    def dropped(self, channel_id: int) -> int:
        """Datagrams of a channel that this machine dropped because a socket's buffer was full, all lines together."""
        return self._dropped[channel_id] + sum(map(drops, self._by_channel[channel_id]))

    def _read(self, sock: socket.socket, line: str, channel_id: int) -> None:
        receive, handle = sock.recv, self._on_datagram
        for _ in range(_BATCH):
            try:
                data = receive(LARGEST)
            except BlockingIOError:
                return
            self.datagrams += 1
            handle(line, channel_id, data)


def sound(data: bytes, channel_id: int) -> Packet:
    """The packet in a datagram of one channel. Raises WireError when it is no packet, or another channel's."""
    packet = parse(data)
    if packet.channel_id != channel_id:
        raise WireError(f"packet of channel {packet.channel_id} on the address of channel {channel_id}")
    return packet
