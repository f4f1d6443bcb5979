"""The exchange's WebSockets on one port: picows moves the bytes, whoever serves a path knows what they mean."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping

from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from feeder.clock import Clock
from feeder.log import logger
from feeder.simulator.guests import Guest, Host, Wire
from feeder.simulator.line import Line, Transit

WRITE_BUFFER_LIMIT = 16 * 1024 * 1024
"""Bytes that may wait for a client that does not read; beyond, it is disconnected."""
_HIGH_WATER = 1024 * 1024  # from here on a replay at full speed waits
_MAX_REQUEST = 1024 * 1024

_log = logger("simulator.websocket")


class WebSocketServer:
    """All client connections; `async with` binds the port, `url` is then known. Port 0 picks one.

    `hosts` serve the paths. A connection's category is the last part of its path: linear, private, trade.
    `lines` is how each category's messages travel; `pump` delivers those that are late.
    """

    def __init__(self, hosts: Mapping[str, Host], clock: Clock, host: str, port: int) -> None:
        self.lines: defaultdict[str, Line] = defaultdict(Line)
        self._hosts = hosts
        self._clock = clock
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None
        self._connections: dict[_Connection, None] = {}  # oldest first
        # Set while no client is over its high-water mark.
        self._drained = asyncio.Event()
        self._drained.set()

    async def __aenter__(self) -> "WebSocketServer":
        self._server = await ws_create_server(
            self._route, self._host, self._port, max_frame_size=_MAX_REQUEST, websocket_handshake_timeout=2
        )
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._server is not None
        self._server.close()
        await self.drop_connections()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Without the path."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"ws://{host}:{self._port}"

    async def drop_connections(self) -> None:
        """Cut every connection as a dying server does: no close frame."""
        connections = list(self._connections)
        for connection in connections:
            connection.cut()
        await asyncio.gather(*(connection.wait_gone() for connection in connections))

    def names(self, category: str | None, count: int | None = None) -> list[str]:
        """The ids of the oldest connections of a category, or of all."""
        return [connection.name for connection in self._chosen(category, count)]

    def cut(self, category: str | None, count: int | None) -> list[str]:
        """Cut the oldest connections of a category, or of all, without waiting for them to be gone; their ids."""
        chosen = self._chosen(category, count)
        for connection in chosen:
            connection.cut()
        return [connection.name for connection in chosen]

    def mute(self, category: str | None, count: int | None, until: float | None) -> list[str]:
        """Leave the oldest connections open but dead until then (None: for ever); their ids."""
        chosen = self._chosen(category, count)
        for connection in chosen:
            connection.mute(until)
        return [connection.name for connection in chosen]

    def send_raw(self, category: str, text: str) -> list[str]:
        """Send any text to all connections of a category; their ids."""
        chosen = self._chosen(category, None)
        for connection in chosen:
            connection.send(text.encode())
        return [connection.name for connection in chosen]

    def pump(self) -> bool:
        """Deliver what has arrived by now, wake the mute whose time is over; whether there is more to come."""
        now = self._clock.monotonic()
        return sum(connection.pump(now) for connection in list(self._connections)) > 0

    async def wait_drained(self, timeout_seconds: float) -> None:
        """Wait until no client is over its high-water mark; cut those that still are after `timeout_seconds`."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._drained.wait()
        except TimeoutError:
            for connection in [each for each in self._connections if each.congested]:
                connection.cut("reads nothing")

    def _route(self, request: WSUpgradeRequest) -> "_Connection | None":
        path, _, query = request.path.decode("ascii", "replace").partition("?")
        host = self._hosts.get(path)
        if host is None:
            return None  # picows answers 404
        category = path.rpartition("/")[2]
        return _Connection(host, category, query, self.lines, self._clock, self._changed)

    def _chosen(self, category: str | None, count: int | None) -> list["_Connection"]:
        found = [each for each in self._connections if category in (None, each.category)]
        return found if count is None else [each for each in found if not each.is_mute][:count]

    def _changed(self, connection: "_Connection") -> None:
        if connection.alive:
            self._connections[connection] = None
        else:
            self._connections.pop(connection, None)
        if any(each.congested for each in self._connections):
            self._drained.clear()
        else:
            self._drained.set()


class _Connection(WSListener):
    """One client's socket; tells `changed` when it opens, closes, fills up or drains."""

    def __init__(
        self,
        host: Host,
        category: str,
        query: str,
        lines: defaultdict[str, Line],
        clock: Clock,
        changed: Callable[["_Connection"], None],
    ) -> None:
        self.category = category
        self.name = ""
        self.alive = False
        self.congested = False
        self._host = host
        self._query = query
        self._lines = lines
        self._clock = clock
        self._transit = Transit()
        self._mute = False
        self._mute_until: float | None = None  # for ever
        self._changed = changed
        self._fragments = b""
        self._transport: WSTransport | None = None
        self._guest: Guest | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        transport.underlying_transport.set_write_buffer_limits(high=_HIGH_WATER)
        address = transport.underlying_transport.get_extra_info("peername")[0]
        self._guest = self._host.connect(Wire(self.send, self.cut, address, self._query))
        self.name = self._guest.name
        self.alive = True
        self._changed(self)
        _log.info("client connected", category=self.category, connection=self.name)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if not self.alive:  # what came together with the request that ended it
            return
        if frame.msg_type is WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        elif frame.msg_type in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION):
            self._fragments += frame.get_payload_as_bytes()
            if len(self._fragments) > _MAX_REQUEST:
                self.cut("request too long")
            elif frame.fin and self._guest is not None:
                text, self._fragments = self._fragments, b""
                self._guest.receive(text)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.alive = self.congested = False
        self._changed(self)
        if self._guest is not None:
            self._guest.leave()
            _log.info("client gone", category=self.category, connection=self.name)

    def pause_writing(self) -> None:
        self.congested = True
        self._changed(self)

    def resume_writing(self) -> None:
        self.congested = False
        self._changed(self)

    def cut(self, reason: str | None = None) -> None:
        """End the connection at once, without a close frame."""
        self.alive = False
        if reason is not None:
            _log.warning("client cut off", category=self.category, reason=reason)
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    def mute(self, until: float | None) -> None:
        """Neither read nor send until then (None: for ever), and lose what was to be sent."""
        if self._transport is not None and self.alive:
            self._transport.underlying_transport.pause_reading()
            self._mute, self._mute_until = True, until

    def pump(self, now: float) -> bool:
        """See WebSocketServer.pump."""
        if self._mute and self._mute_until is not None and now >= self._mute_until:
            self._mute, self._mute_until = False, None
            if self._transport is not None:
                self._transport.underlying_transport.resume_reading()
        while self.alive and (payload := self._transit.take(now)) is not None:
            self._write(payload)
        return self.alive and (bool(self._transit) or self._mute_until is not None)

    @property
    def is_mute(self) -> bool:
        """Half-open: its client may be long gone."""
        return self._mute

    async def wait_gone(self) -> None:
        """Return when the socket is closed and the exchange knows."""
        if self._transport is not None:
            await self._transport.wait_disconnected()

    def send(self, payload: bytes) -> None:
        """A message for the client, over its category's line."""
        if self._mute or not self.alive:
            return
        if self._transit.put(payload, self._clock.monotonic(), self._lines[self.category]):
            self._write(payload)
        elif self._transit.size > WRITE_BUFFER_LIMIT:
            self.cut("too much waits for a slow line")

    def _write(self, payload: bytes) -> None:
        transport = self._transport
        if (
            not self.alive
            or self._mute
            or transport is None
            or transport.is_disconnected
            or transport.is_close_frame_sent
        ):
            return
        if self.congested and transport.underlying_transport.get_write_buffer_size() > WRITE_BUFFER_LIMIT:
            self.cut("reads too slowly")
            return
        transport.send(WSMsgType.TEXT, payload)
