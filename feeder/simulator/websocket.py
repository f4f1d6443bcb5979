"""The exchange's public WebSocket on a socket: picows moves the bytes, `Exchange` knows what they mean."""

import asyncio
from collections.abc import Callable

from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from feeder.log import logger
from feeder.simulator.exchange import Client, Exchange
from feeder.simulator.venue import CATEGORIES

PATH = "/v5/public/"
WRITE_BUFFER_LIMIT = 16 * 1024 * 1024
"""Bytes that may wait for a client that does not read; beyond, it is disconnected."""
_HIGH_WATER = 1024 * 1024  # from here on a replay at full speed waits
_MAX_REQUEST = 1024 * 1024

_log = logger("simulator.websocket")


class WebSocketServer:
    """All client connections; `async with` binds the port, `url` is then known. Port 0 picks one."""

    def __init__(self, exchange: Exchange, host: str, port: int) -> None:
        self._exchange = exchange
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
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

    async def wait_drained(self, timeout_seconds: float) -> None:
        """Wait until no client is over its high-water mark; cut those that still are after `timeout_seconds`."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._drained.wait()
        except TimeoutError:
            for connection in [each for each in self._connections if each.congested]:
                connection.cut("reads nothing")

    def _route(self, request: WSUpgradeRequest) -> "_Connection | None":
        path = request.path.decode("ascii", "replace").partition("?")[0]
        category = path.removeprefix(PATH)
        if not path.startswith(PATH) or category not in CATEGORIES:
            return None  # picows answers 404
        return _Connection(self._exchange, category, self._changed)

    def _changed(self, connection: "_Connection") -> None:
        if connection.alive:
            self._connections.add(connection)
        else:
            self._connections.discard(connection)
        if any(each.congested for each in self._connections):
            self._drained.clear()
        else:
            self._drained.set()


class _Connection(WSListener):
    """One client's socket; tells `changed` when it opens, closes, fills up or drains."""

    def __init__(self, exchange: Exchange, category: str, changed: Callable[["_Connection"], None]) -> None:
        self.alive = False
        self.congested = False
        self._exchange = exchange
        self._category = category
        self._changed = changed
        self._fragments = b""
        self._transport: WSTransport | None = None
        self._client: Client | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        transport.underlying_transport.set_write_buffer_limits(high=_HIGH_WATER)
        self._client = self._exchange.connect(self._category, self._send)
        self.alive = True
        self._changed(self)
        _log.info("client connected", category=self._category, connection=self._client.session.connection_id)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        elif frame.msg_type in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION):
            self._fragments += frame.get_payload_as_bytes()
            if len(self._fragments) > _MAX_REQUEST:
                self.cut("request too long")
            elif frame.fin and self._client is not None:
                text, self._fragments = self._fragments, b""
                self._exchange.receive(self._client, text)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.alive = self.congested = False
        self._changed(self)
        if self._client is not None:
            self._exchange.disconnect(self._client)
            _log.info("client gone", category=self._category, connection=self._client.session.connection_id)

    def pause_writing(self) -> None:
        self.congested = True
        self._changed(self)

    def resume_writing(self) -> None:
        self.congested = False
        self._changed(self)

    def cut(self, reason: str | None = None) -> None:
        """End the connection at once, without a close frame."""
        if reason is not None:
            _log.warning("client cut off", category=self._category, reason=reason)
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    async def wait_gone(self) -> None:
        """Return when the socket is closed and the exchange knows."""
        if self._transport is not None:
            await self._transport.wait_disconnected()

    def _send(self, payload: bytes) -> None:
        transport = self._transport
        if not self.alive or transport is None or transport.is_disconnected or transport.is_close_frame_sent:
            return
        if self.congested and transport.underlying_transport.get_write_buffer_size() > WRITE_BUFFER_LIMIT:
            self.alive = False
            self.cut("reads too slowly")
            return
        transport.send(WSMsgType.TEXT, payload)
