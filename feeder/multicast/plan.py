"""Which channel goes where: instrument -> partition -> channels -> a group and a port on every line.

For partition p and kind n: channelId = 16p + n, group = the line's base group + 16p + n, port = base port + 16p + n;
requests for what was lost go to the same port of kind 5, at the address that the line is sent from.
A consumer computes the same from the base addresses and the number of partitions, and joins only what it wants.
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from feeder.errors import ConfigError
from feeder.wire.messages import MULTICAST_KINDS, Kind

MAX_PARTITIONS = 64
DEFAULT_PARTITIONS = 4
DEFAULT_PORT = 20000
_STRIDE = 16  # addresses and ports set aside for one partition
_ETHERNET_BITS = (1 << 23) - 1  # of a group's address, what reaches the network card's filter


@dataclass(frozen=True, slots=True)
class Line:
    """One of the identical copies of the feed: its base group, and the interface (address or name) it is sent on."""

    name: str
    group: str
    interface: str


DEFAULT_LINES = (Line("A", "239.77.0.0", "127.0.0.1"), Line("B", "239.78.0.0", "127.0.0.1"))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one channel is sent to on one line; the group of kind RETRANSMIT is a unicast address, to be asked."""

    line: str
    group: str
    port: int
    interface: str


@dataclass(frozen=True, slots=True)
class Channel:
    """One sequence of messages, and its endpoints, one a line."""

    partition: int
    kind: Kind
    channel_id: int
    endpoints: tuple[Endpoint, ...]

    @property
    def sockets(self) -> list[Endpoint]:
        """The endpoints that differ in address or port, the first of each: lines may share a unicast address."""
        return list({(end.group, end.port): end for end in reversed(self.endpoints)}.values())[::-1]


class ChannelPlan:
    """All multicast channels of a feed. Raises ConfigError, with the key's path, for addresses that cannot work."""

    def __init__(
        self,
        partitions: int = DEFAULT_PARTITIONS,
        port: int = DEFAULT_PORT,
        lines: Sequence[Line] = DEFAULT_LINES,
    ) -> None:
        _check(partitions, port, lines)
        self.partitions = partitions
        self.port = port
        self.lines = tuple(lines)
        self._channels = {
            (partition, kind): self._channel(partition, kind)
            for partition in range(partitions)
            for kind in MULTICAST_KINDS
        }

    @property
    def channels(self) -> Iterable[Channel]:
        """Every multicast channel, by partition, then kind."""
        return self._channels.values()

    def channel(self, partition: int, kind: Kind) -> Channel:
        """The channel of one multicast kind of one partition."""
        return self._channels[partition, kind]

    def retransmit(self, partition: int, addresses: Mapping[str, str]) -> Channel:
        """Where one partition's lost messages are asked for: an endpoint per line, at the line's unicast address.

        Only the machine knows the address of an interface that goes by its name; the name stands for one not in
        `addresses`.
        """
        number = _STRIDE * partition + Kind.RETRANSMIT
        endpoints = tuple(
            Endpoint(line.name, addresses.get(line.name, line.interface), self.port + number, line.interface)
            for line in self.lines
        )
        return Channel(partition, Kind.RETRANSMIT, number, endpoints)

    def partition_of(self, instrument_id: int) -> int:
        """The partition that carries an instrument."""
        return instrument_id % self.partitions

    def _channel(self, partition: int, kind: Kind) -> Channel:
        number = _STRIDE * partition + kind
        endpoints = tuple(
            Endpoint(line.name, str(ipaddress.IPv4Address(line.group) + number), self.port + number, line.interface)
            for line in self.lines
        )
        return Channel(partition, kind, number, endpoints)


def _check(partitions: int, port: int, lines: Sequence[Line]) -> None:
    if not 1 <= partitions <= MAX_PARTITIONS:
        raise ConfigError("multicast.partitions", f"{partitions} partitions", f"choose 1 to {MAX_PARTITIONS}")
    numbers = _STRIDE * partitions
    if not 1024 <= port <= 65536 - numbers:
        raise ConfigError(
            "multicast.port",
            f"{partitions} partitions need ports {port} to {port + numbers - 1}",
            f"choose a port from 1024 to {65536 - numbers}",
        )
    if not lines:
        raise ConfigError("multicast.lines", "no line", "name at least one, such as A: {group: 239.77.0.0, ...}")
    taken: dict[int, str] = {}
    for line in lines:
        path = f"multicast.lines.{line.name}"
        if not (1 <= len(line.name) <= 8 and line.name.isascii() and line.name.isalnum()):
            raise ConfigError(path, f"line name {line.name!r}", "use 1 to 8 ASCII letters or digits")
        try:
            base = ipaddress.IPv4Address(line.group)
            last = base + (numbers - 1)
        except ipaddress.AddressValueError as error:
            raise ConfigError(f"{path}.group", str(error), "give an IPv4 multicast group such as 239.77.0.0") from error
        if not (base.is_multicast and last.is_multicast):
            raise ConfigError(
                f"{path}.group", f"{line.group} is not multicast", "choose one from 239.0.0.0 to 239.255.255.255"
            )
        if base in ipaddress.IPv4Network("224.0.0.0/24"):
            raise ConfigError(
                f"{path}.group", f"{line.group} is kept for routing protocols", "choose one from 239.0.0.0/8"
            )
        for number in range(numbers):
            other = taken.setdefault((int(base) + number) & _ETHERNET_BITS, line.name)
            if other != line.name:
                raise ConfigError(
                    f"{path}.group",
                    f"{line.group} shares Ethernet addresses (the low 23 bits) with line {other}",
                    "choose one with another second octet",
                )
