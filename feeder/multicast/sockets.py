"""The UDP sockets of a channel: senders connected to their group, receivers that hear their group and nothing else.

What the machine does not give (an interface, a port, a permission) is a MachineError: it may come, so a feeder that is
started again and again gets it. What the file got wrong is a ConfigError. Buffers are worth a warning only.
"""

import errno
import ipaddress
import logging
import re
import socket
import struct

from feeder.errors import ConfigError, MachineError
from feeder.multicast.plan import Endpoint

_log = logging.getLogger("feeder.multicast")

_IP_MULTICAST_ALL = 49  # linux/in.h; Python does not name it
_SO_MEMINFO = 55  # asm-generic/socket.h
_MEMINFO = struct.Struct("9I")  # linux/sock_diag.h: the last is SK_MEMINFO_DROPS
# What Linux takes for an interface's name (dev_valid_name), but for names that are an address with a mistake in it.
_NAME = re.compile(r"(?![0-9.]+$)[^\s/:\0]{1,15}")
_SEND_BUFFER = 1 << 20  # bytes asked for per sender


def open_sender(endpoint: Endpoint, *, ttl: int, loop: bool) -> socket.socket:
    """A non-blocking socket connected to the endpoint's group.

    Raises MachineError for an interface or a permission that is not there, ConfigError for no interface at all.
    """
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sender.setblocking(False)
        prefer_buffer(sender, socket.SO_SNDBUF, _SEND_BUFFER)
        _demand(sender, socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl, "multicast.ttl")
        _demand(sender, socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, int(loop), "multicast.loop")
        _on_interface(sender, endpoint, socket.IP_MULTICAST_IF, "0.0.0.0")  # noqa: S104 - "any group" of ip_mreqn
        try:
            sender.connect((endpoint.group, endpoint.port))
        except OSError as error:
            raise MachineError(
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
    when the system grants less, a warning names the sysctl. Raises as `open_sender`, and MachineError for a port that
    others hold.
    """
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        receiver.setblocking(False)
        _demand(receiver, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1, "multicast.port")
        prefer_buffer(receiver, socket.SO_RCVBUF, receive_buffer)
        granted = receiver.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2  # the kernel doubles it for itself
        if granted < receive_buffer:
            _log.warning(
                "receive buffer cut short: asked %d bytes, got %d; set sysctl net.core.rmem_max=%d",
                receive_buffer,
                granted,
                receive_buffer,
            )
        # Without this a socket also hears groups that other programs on this machine have joined.
        _demand(receiver, socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0, f"multicast.lines.{endpoint.line}.group")
        try:
            receiver.bind((endpoint.group, endpoint.port))
        except OSError as error:
            raise MachineError(
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


def prefer_buffer(sock: socket.socket, option: int, size: int) -> None:
    """Ask for a buffer of `size` bytes; where that is forbidden, the system's own serves, and a warning says so."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, option, size)
    except OSError as error:
        kept = sock.getsockopt(socket.SOL_SOCKET, option) // 2  # the kernel doubles it for itself
        what = "send" if option == socket.SO_SNDBUF else "receive"
        _log.warning(
            "%s buffer not set: asked %d bytes, %s, so it has %d; bursts may be lost until setsockopt is permitted"
            " (seccomp, AppArmor, SELinux)",
            *(what, size, error.strerror, kept),
        )


def _demand(sock: socket.socket, level: int, option: int, value: int, path: str) -> None:
    """Set an option without which the feed would not be what the key says. Raises MachineError."""
    try:
        sock.setsockopt(level, option, value)
    except OSError as error:
        raise MachineError(
            path,
            f"the system does not let feeder set a socket's option for it: {error.strerror}",
            "permit setsockopt (seccomp, AppArmor, SELinux)",
        ) from error


def _on_interface(sock: socket.socket, endpoint: Endpoint, option: int, group: str) -> None:
    """Set a multicast option that takes ip_mreqn; the interface is an IPv4 address or a name."""
    path = f"multicast.lines.{endpoint.line}.interface"
    address, index = "0.0.0.0", 0  # noqa: S104
    try:
        address = str(ipaddress.IPv4Address(endpoint.interface))
    except ipaddress.AddressValueError:
        names = ", ".join(name for _, name in socket.if_nameindex())
        problem, remedy = (
            f"no interface {endpoint.interface!r}",
            f"give an IPv4 address of this machine or one of {names}",
        )
        if not _NAME.fullmatch(endpoint.interface):
            raise ConfigError(path, problem, remedy) from None
        try:
            index = socket.if_nametoindex(endpoint.interface)
        except OSError as error:
            raise MachineError(path, problem, f"wait until it is there (`ip link`), or {remedy}") from error
    try:
        sock.setsockopt(
            socket.IPPROTO_IP, option, struct.pack("@4s4si", socket.inet_aton(group), socket.inet_aton(address), index)
        )
    except OSError as error:
        raise MachineError(
            path,
            f"cannot use {endpoint.interface} for {endpoint.group}: {error.strerror}",
            "give an IPv4 address that this machine has, or an interface's name (see `ip -4 addr`)",
        ) from error
