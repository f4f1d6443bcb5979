"""The socket of one connection: picows moves the bytes, its link (a `Connection`, for one) knows what they mean.

Each stream has its own supervisor task, which connects again for ever; one dead socket is revived alone.
"""

import asyncio
import enum
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from picows import WSCloseCode, WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
from picows.url import WSParsedURL

from feeder.clock import Clock
from feeder.log import logger
from feeder.log_outage import Outage
from feeder.market.status import StatusReason

from .actions import Reconnect, Send
from .counters import Counters
from .pacing import TokenBucket

RECEIVE_BUFFER_BYTES = 1 << 20  # asked for; bounds what the kernel may pile up while the loop is busy
_LARGEST_MESSAGE_BYTES = 8 << 20  # a snapshot of 1000 levels is 50 kB
_READ_BUFFER_BYTES = 64 << 10
_CONNECT_SECONDS = 5.0  # for the TCP connection, then again for the handshakes
_CLOSE_SECONDS = 1.0
_DEFECT_SECONDS = 2.0  # as long as the longest ordinary wait: what broke once may break each time

_log = logger("bybit.stream")

Output = Send | Reconnect


class Link(Protocol):
    """What a connection says and means, without a socket; what it answers with is carried out at once."""

    @property
    def name(self) -> str:
        """As logs name the connection."""
        ...

    def on_connected(self) -> Sequence[Output]:
        """The socket is open."""
        ...

    def on_disconnected(self, reason: StatusReason = StatusReason.DISCONNECTED) -> None:
        """The socket is gone, or given up."""
        ...

    def on_payload(self, payload: bytes, receive_time_ns: int) -> Sequence[Output] | None:
        """One text message; None: there is nothing to do, and no timer has changed."""
        ...

    def on_timer(self) -> Sequence[Output]:
        """Do what is due; called at `next_timer` at the latest, and harmless at any time."""
        ...

    def next_timer(self) -> float | None:
        """Monotonic seconds; None for never."""
        ...

    def reconnect_delay(self) -> float:
        """Seconds to wait before the next attempt to connect. Asked once before each."""
        ...


LinkT = TypeVar("LinkT", bound=Link)


class StreamState(enum.Enum):
    """What the supervisor is doing."""

    CONNECTING = enum.auto()
    CONNECTED = enum.auto()
    WAITING = enum.auto()  # for the next attempt
    CLOSED = enum.auto()


class _Listener(WSListener):
    """Callbacks of one socket. A frame's memory is valid only during the callback: nothing of it is kept."""

    def __init__(self, stream: "Stream[Any]", on_payload: Callable[[bytes, int], Sequence[Output] | None]) -> None:
        self.connected = False
        self._stream = stream
        self._on_payload = on_payload
        self._wall_ns = stream.clock.wall_ns
        self._fragments: bytearray | None = None
        self._received_ns = 0  # of the read under way; 0 before its first frame

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.connected = True
        self._stream.on_connected(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.TEXT and frame.fin:
            # All frames of one read were received when it began: those behind the first have waited for it since.
            received_ns = self._received_ns or self._wall_ns()
            self._received_ns = 0 if frame.last_in_buffer else received_ns
            # Bytes, not a memoryview: cheaper for messages of this size, and safe to keep.
            outputs = self._on_payload(frame.get_payload_as_bytes(), received_ns)
            if outputs is not None:
                self._stream.perform(outputs)
            return
        if frame.last_in_buffer:
            self._received_ns = 0
        self._on_other_frame(transport, frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        handshake = transport.close_handshake
        received = handshake.recv if handshake is not None else None
        reason = "closed by the venue" if received is None else f"closed by the venue: {received.code.name}"
        self._stream.on_down(reason)

    def _on_other_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind is WSMsgType.TEXT or kind is WSMsgType.CONTINUATION:
            self._on_fragment(frame)
        elif kind is WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
        # PING is answered by picows, PONG answers nobody here, the venue sends no BINARY.

    def _on_fragment(self, frame: WSFrame) -> None:
        if self._fragments is None or frame.msg_type is WSMsgType.TEXT:
            self._fragments = bytearray()
        self._fragments += frame.get_payload_as_memoryview()
        if len(self._fragments) > _LARGEST_MESSAGE_BYTES:
            self._stream.drop(f"message larger than {_LARGEST_MESSAGE_BYTES} bytes")
        elif frame.fin:
            whole, self._fragments = bytes(self._fragments), None
            outputs = self._on_payload(whole, self._wall_ns())
            if outputs is not None:
                self._stream.perform(outputs)


class Stream(Generic[LinkT]):
    """Keeps one connection alive until `aclose`. `url` is the whole address, `attempts` the pool's connect budget."""

    def __init__(
        self,
        url: str,
        connection: LinkT,
        *,
        clock: Clock,
        counters: Counters,
        attempts: TokenBucket,
        ssl_context: ssl.SSLContext | None,
    ) -> None:
        self.url = url
        self.connection = connection
        self.clock = clock
        self.state = StreamState.CONNECTING
        self.attempt = 0  # attempts to connect since the connection was last up
        self._counters = counters
        self._attempts = attempts
        self._ssl_context = ssl_context
        self._transport: WSTransport | None = None
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ever_tried = False
        self._outage = Outage()
        self.down_reason = ""
        self._supervisor: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin connecting, in a task of its own."""
        self._supervisor = asyncio.create_task(self._supervise(), name=f"bybit {self.connection.name}")

    async def aclose(self) -> None:
        """Close the socket and end the supervisor."""
        transport = self._transport
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
            # A handshake cut short closes within three turns: its end is read, the transport closes, then its socket.
            for _ in range(3):
                await asyncio.sleep(0)
        transport = self._transport or transport  # a handshake may have ended in the turn in which it was cancelled
        if transport is not None and not transport.is_disconnected:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
            try:
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await transport.wait_disconnected()
            except TimeoutError:
                transport.disconnect(graceful=False)
        self._set_timer(None)
        self.state = StreamState.CLOSED

    def perform(self, outputs: Sequence[Output]) -> None:
        """Carry out what the session asks for, and wake when it next wants to be woken."""
        for output in outputs:
            if isinstance(output, Send):
                if self._transport is not None:
                    self._transport.send(WSMsgType.TEXT, output.text.encode())
            else:
                self.drop(output.reason, output.status)
                return
        self._set_timer(self.connection.next_timer())

    def wake(self) -> None:
        """Look again at what is due: topics were added or let go of. A defect costs this connection, not the caller."""
        try:
            self.perform(self.connection.on_timer())
        except Exception as error:  # noqa: BLE001 - else no timer would be set again: no ping, no deadline, no resync
            self._on_defect(error)

    def drop(self, reason: str, status: StatusReason = StatusReason.DISCONNECTED) -> None:
        """Give this socket up; the supervisor makes a new one. `status` is why the books are STALE.

        Books are reset before this returns, and what was read already is of a subscription that is over.
        """
        transport = self._transport
        try:
            self.on_down(reason, status)
        finally:
            if transport is not None:
                transport.disconnect(graceful=False)  # the other side may be gone: nothing is worth waiting for

    # Called by the listener

    def on_connected(self, transport: WSTransport) -> None:
        """The WebSocket is open."""
        self._transport = transport
        self.state = StreamState.CONNECTED
        self._counters.connects += 1
        if self._ever_tried:
            self._counters.reconnects += 1
        self._ever_tried = True
        _log.info(
            "connected",
            connection=self.connection.name,
            address=self.url,
            attempt=self.attempt,
            outage_seconds=round(self._outage.seconds(self.clock.monotonic()), 1),
        )
        self.attempt = 0
        self._outage.over()
        self.perform(self.connection.on_connected())

    def on_down(self, reason: str, status: StatusReason = StatusReason.DISCONNECTED) -> None:
        """The WebSocket is closed, or given up."""
        if self._transport is None:
            return
        self._transport = None
        self._set_timer(None)
        self.down_reason = reason
        self._counters.disconnects += 1
        self.connection.on_disconnected(status)

    # The supervisor

    async def _supervise(self) -> None:
        while True:
            try:
                delay = await self._live_once()
            except Exception as error:  # noqa: BLE001 - a defect costs this connection, never its supervisor
                self._on_defect(error)
                delay = _DEFECT_SECONDS
            await asyncio.sleep(delay)

    async def _live_once(self) -> float:
        """From waiting for a turn to connect, to having lost the connection; the seconds until the next attempt."""
        self.state = StreamState.CONNECTING
        while wait := self._attempts.take(self.clock.monotonic()):  # noqa: ASYNC110 - nobody signals time
            await asyncio.sleep(wait)
        self.attempt += 1
        was_connected, reason = await self._connect_and_serve()
        self._ever_tried = True
        delay = self.connection.reconnect_delay()
        self.state = StreamState.WAITING
        if was_connected:
            _log.warning(
                "connection lost", connection=self.connection.name, reason=reason, delay_seconds=round(delay, 3)
            )
        else:
            self._counters.connect_failures += 1
            # Not each attempt is a line, but an outage is spoken of for as long as it lasts.
            now = self.clock.monotonic()
            log = _log.warning if self._outage.failed(now) else _log.debug
            log(
                "connection failed",
                connection=self.connection.name,
                address=self.url,
                attempt=self.attempt,
                outage_seconds=round(self._outage.seconds(now), 1),
                error=reason,
                delay_seconds=round(delay, 3),
            )
        return delay

    def _on_defect(self, error: Exception) -> None:
        """Something of ours raised: no book of this connection may look alive. Then it is as after any other loss."""
        try:
            self.drop(f"{type(error).__name__}: {error}")
        except Exception:  # noqa: BLE001 - the socket is given up all the same
            _log.exception("books not reset", connection=self.connection.name)
        self.state = StreamState.WAITING
        _log.error("connection broken by a defect", connection=self.connection.name, error=repr(error), exc_info=error)

    async def _connect_and_serve(self) -> tuple[bool, str]:
        """One life of a socket: whether it was ever connected, and why it is not any longer."""
        listener = _Listener(self, self.connection.on_payload)
        self.down_reason = "closed during the handshake"
        handshake: dict[str, Any] = {"ssl_handshake_timeout": _CONNECT_SECONDS} if self._ssl_context is not None else {}
        try:
            transport, _ = await ws_connect(
                lambda: listener,
                self.url,
                ssl_context=self._ssl_context,
                websocket_handshake_timeout=_CONNECT_SECONDS,
                max_frame_size=_LARGEST_MESSAGE_BYTES,
                read_buffer_init_size=_READ_BUFFER_BYTES,
                socket_factory=self._open_socket,
                **handshake,
            )
            await transport.wait_disconnected()
        except (OSError, WSError, TimeoutError) as error:
            self.down_reason = f"{type(error).__name__}: {error}"
        except Exception as error:  # noqa: BLE001 - picows hands on here whatever a consumer's callback raised
            _log.exception("connection broken by a defect", connection=self.connection.name)
            self.down_reason = f"{type(error).__name__}: {error}"
        finally:
            if not listener.connected:
                self._abandon_handshake()
        self.drop(self.down_reason)  # nothing to do, unless a callback raised before it came to that
        return listener.connected, self.down_reason

    async def _open_socket(self, url: WSParsedURL) -> socket.socket:
        """A connected TCP socket with a bounded receive buffer, set before the connection fixes the window's scale."""
        loop = asyncio.get_running_loop()
        self._socket = None
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                addresses = await loop.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
            for position, (family, kind, protocol, _, address) in enumerate(addresses):
                candidate = socket.socket(family, kind, protocol)
                try:
                    candidate.setblocking(False)
                    candidate.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
                    # Each address gets its share of the time: a dead first one must not use up the others'.
                    async with asyncio.timeout(_CONNECT_SECONDS / len(addresses)):
                        await loop.sock_connect(candidate, address)
                except BaseException as error:
                    candidate.close()
                    if not isinstance(error, OSError | TimeoutError) or position == len(addresses) - 1:
                        raise
                else:
                    self._socket = candidate
                    return candidate
        except (OSError, TimeoutError):
            # The venue never saw this attempt, so it does not count against its limit.
            self._attempts.give_back(self.clock.monotonic())
            raise
        raise OSError(f"no address for {url.host}")

    def _abandon_handshake(self) -> None:
        """Close a socket whose handshake did not end: its transport, which nobody was given, then closes itself."""
        if self._socket is not None and self._socket.fileno() >= 0:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                self._socket.close()  # not connected any longer: there was no transport to tell

    def _set_timer(self, when: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if when is not None:
            delay = max(0.0, when - self.clock.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._transport is not None:
            self.wake()
