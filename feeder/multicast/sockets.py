"""The UDP sockets of a channel: senders connected to their group, receivers that hear their group and nothing else."""

import errno
import ipaddress
import logging
import socket
import struct

from feeder.errors import ConfigError
from feeder.multicast.plan import Endpoint

_log = logging.getLogger("feeder.multicast")

_IP_MULTICAST_ALL = 49  # linux/in.h; Python does not name it
_SO_MEMINFO = 55  # asm-generic/socket.h
_MEMINFO = struct.Struct("9I")  # linux/sock_diag.h: the last is SK_MEMINFO_DROPS
_SEND_BUFFER = 1 << 20  # bytes asked for per sender


def open_sender(endpoint: Endpoint, *, ttl: int, loop: bool) -> socket.socket:
    """A non-blocking socket connected to the endpoint's group. Raises ConfigError for a bad interface."""
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sender.setblocking(False)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, int(loop))
        _on_interface(sender, endpoint, socket.IP_MULTICAST_IF, "0.0.0.0")  # noqa: S104 - "any group" of ip_mreqn
        try:
            sender.connect((endpoint.group, endpoint.port))
        except OSError as error:
            raise ConfigError(
                f"multicast.lines.{endpoint.line}.interface",
                f"no way to {endpoint.group} over {endpoint.interface}: {error.strerror}",
                "see that the interface is up (`ip link`)",
            ) from error
    except BaseException:
        sender.close()
        raise
    return sender


def open_receiver(endpoint: Endpoint, *, receive_buffer: int) -> socket.socket:
    """A non-blocking socket that receives the endpoint's group only.

    Several programs on one machine may open the same endpoint; each gets every packet. `receive_buffer` is in bytes;
    when the system grants less, a warning names the sysctl. Raises ConfigError for a bad interface.
    """
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        receiver.setblocking(False)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        granted = receiver.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2  # the kernel doubles it for itself
        if granted < receive_buffer:
            _log.warning(
                "receive buffer cut short: asked %d bytes, got %d; set sysctl net.core.rmem_max=%d",
                receive_buffer,
                granted,
                receive_buffer,
            )
        # Without this a socket also hears groups that other programs on this machine have joined.
        receiver.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
        try:
            receiver.bind((endpoint.group, endpoint.port))
        except OSError as error:
            raise ConfigError(
                "multicast.port",
                f"cannot listen on {endpoint.group}:{endpoint.port}: {error.strerror}",
                "see who holds the port (`ss -ulpn`), or move the feed to another one",
            ) from error
        _on_interface(receiver, endpoint, socket.IP_ADD_MEMBERSHIP, endpoint.group)
    except BaseException:
        receiver.close()
        raise
    return receiver


def drops(receiver: socket.socket) -> int:
    """How many datagrams the socket has dropped because its buffer was full.

    The counter that SO_RXQ_OVFL puts beside every datagram, asked for when it is wanted: reading packets costs no more.
    0 where the system does not tell (Linux before 4.12, some sandboxes).
    """
    try:
        told = receiver.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
    except OSError as error:
        if error.errno != errno.ENOPROTOOPT:
            raise
        return 0
    dropped: int = _MEMINFO.unpack(told)[-1]
    return dropped


def _on_interface(sock: socket.socket, endpoint: Endpoint, option: int, group: str) -> None:
    """Set a multicast option that takes ip_mreqn; the interface is an IPv4 address or a name."""
    path = f"multicast.lines.{endpoint.line}.interface"
    address, index = "0.0.0.0", 0  # noqa: S104
    try:
        address = str(ipaddress.IPv4Address(endpoint.interface))
    except ipaddress.AddressValueError:
        try:
            index = socket.if_nametoindex(endpoint.interface)
        except (OSError, ValueError) as error:  # ValueError: a name that cannot be one
            names = ", ".join(name for _, name in socket.if_nameindex())
            raise ConfigError(
                path, f"no interface {endpoint.interface!r}", f"give an IPv4 address of this machine or one of {names}"
            ) from error
    try:
        sock.setsockopt(
            socket.IPPROTO_IP, option, struct.pack("@4s4si", socket.inet_aton(group), socket.inet_aton(address), index)
        )
    except OSError as error:
        raise ConfigError(
            path,
            f"cannot use {endpoint.interface} for {endpoint.group}: {error.strerror}",
            "give an IPv4 address that this machine has, or an interface's name (see `ip -4 addr`)",
        ) from error
