"""What a service manager is told of the feeder: sd_notify(3), datagrams of VARIABLE=value lines to $NOTIFY_SOCKET.

Our own, because the protocol is a few lines, no Python library for it is maintained that does without libsystemd, and
ours must never wait, never raise, and lose no state change to a socket that was full for a moment.

    READY=1       every socket is open (the exchange may be down: the status says how many books are LIVE)
    STATUS=       a line for `systemctl status`
    WATCHDOG=1    the event loop turned; sent twice per $WATCHDOG_USEC
    RELOADING=1   and READY=1 again when the reload is done, whether or not it was refused
    STOPPING=1    and EXTEND_TIMEOUT_USEC, how long that may take
"""

import os
import socket
from collections import deque
from collections.abc import MutableMapping

from feeder.clock import Clock, SystemClock
from feeder.log import logger

_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
_MOST_WAITING = 32  # messages; each kind waits once but for reloads, and nobody reloads so often while nobody listens
_WATCHDOG = "WATCHDOG=1"
_STATUS = "STATUS="

_log = logger("telemetry.notify")


class Notifier:
    """Tells the service manager at `address`, as in $NOTIFY_SOCKET: a path, or @name; None: there is nobody to tell.

    `watchdog_seconds` is how long the manager waits for a sign of life, None for no watchdog. What cannot be sent now
    waits for the next `watchdog`, which is to be called at every tick; `full` counts how often something had to wait.
    """

    def __init__(self, address: str | None, watchdog_seconds: float | None = None, clock: Clock | None = None) -> None:
        self.full = 0
        self.failures = 0  # messages that could not be delivered at all
        self._clock = clock or SystemClock()
        self._interval = None if watchdog_seconds is None else watchdog_seconds / 2
        self._due = float("-inf")
        self._status: str | None = None
        self._stopping = False  # from then on no reload begins or ends: its READY=1 would take the stop back
        self._waiting: deque[str] = deque(maxlen=_MOST_WAITING)
        self._socket: socket.socket | None = None
        self._address = ""
        if address is None:
            return
        if address[:1] not in {"/", "@"}:
            self._fail(f"{address!r} is no Unix socket: a path from /, or @ and a name")
            return
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str], clock: Clock | None = None) -> "Notifier":
        """As the service manager's variables say; they are taken out, so that no child takes itself for the service."""
        address, usec, pid = (environ.pop(name, None) for name in _VARIABLES)
        seconds = None
        if usec is not None and (pid is None or pid == str(os.getpid())):
            if usec.isascii() and usec.isdigit() and int(usec):
                seconds = int(usec) / 1_000_000
            else:
                _log.warning("service manager not understood", error=f"WATCHDOG_USEC={usec!r}; no watchdog is fed")
        return cls(address, seconds, clock)

    def ready(self, status: str) -> None:
        """Started, or done with a reload."""
        self._status = status
        if not self._stopping:
            self._send(f"READY=1\n{_STATUS}{_line(status)}")

    def status(self, text: str) -> None:
        """How things are, in a line; sent when it is another than before."""
        if text != self._status:
            self._status = text
            self._send(_STATUS + _line(text))

    def reloading(self) -> None:
        """A reload has begun; `ready` ends it."""
        if not self._stopping:
            self._send(f"RELOADING=1\nMONOTONIC_USEC={round(self._clock.monotonic() * 1_000_000)}")

    def stopping(self, seconds: float) -> None:
        """The end has begun, and takes so long at most, which may be more than the manager would wait by itself."""
        self._stopping = True
        self._send(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={round(seconds * 1_000_000)}")

    def watchdog(self, now: float) -> None:
        """The event loop has turned at `now`, monotonic seconds: say so when it is time, and send what had to wait."""
        if self._socket is None:
            return
        if self._interval is not None and now >= self._due:
            self._due = now + self._interval
            self._send(_WATCHDOG)
        elif self._waiting:
            self._flush()

    def close(self) -> None:
        """Tell nothing more."""
        sock, self._socket = self._socket, None
        if sock is not None:
            sock.close()
        self._waiting.clear()

    # -----------------------------------------------------------------------------------------------------------------

    def _send(self, message: str) -> None:
        if self._socket is None:
            return
        for kind in (_WATCHDOG, _STATUS):  # of these only the last is of interest
            if message.startswith(kind):
                self._waiting = deque((m for m in self._waiting if not m.startswith(kind)), _MOST_WAITING)
        self._waiting.append(message)
        self._flush()

    def _flush(self) -> None:
        """Send in order until the socket is full; what cannot be delivered at all is given up."""
        assert self._socket is not None
        while self._waiting:
            try:
                self._socket.sendto(self._waiting[0].encode("utf-8", "replace"), self._address)
            except BlockingIOError:
                self.full += 1
                return
            except (OSError, ValueError) as error:  # ValueError: a NUL in the address
                self._fail(f"{self._address!r}: {error}")
            self._waiting.popleft()

    def _fail(self, why: str) -> None:
        self.failures += 1
        if self.failures == 1:
            _log.warning("service manager not told", error=why)


def _line(text: str) -> str:
    """A newline would begin the next variable."""
    return " ".join(text.split("\n"))
