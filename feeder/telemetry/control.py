"""The control socket: HTTP over a Unix socket, by which `feeder ctl` asks a running feeder and tells it what to do.

    GET  /status                      how the feeder is
    GET  /books                       {"books": [...]}, a row each; ?instrument=linear:BTCUSDT (repeated): only these
    POST /subscribe                   {"instruments": ["linear:BTCUSDT"], "depth": 50, "trades": true}
    POST /unsubscribe  /resync        {"instruments": ["linear:BTCUSDT"]}
    POST /reload                      read the configuration again
    GET  /log-level    POST /log-level   {"level": "debug"}

Subscribe, unsubscribe and resync answer {"outcomes": [{"instrument", "done", "text"}]}, one for each instrument. A
mistake in a request is 400 (404, 405, 413) with {"error": what to change}; a configuration that cannot be used is 422,
and nothing was changed; 500 is a failure of the feeder, whose log has the traceback.

Who may connect is said by the file's permissions, 0660: its owner and its group. There is no port and no password.
"""

import asyncio
import errno
import fcntl
import os
import re
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeVar, cast

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from feeder.bybit.topics import DEPTHS
from feeder.errors import ConfigError, ControlError
from feeder.log import logger
from feeder.market.instrument import InstrumentKey, is_symbol

MODE: Final = 0o660
LARGEST_BODY: Final = 1 << 18  # bytes; every instrument of the exchange by name takes 60 kB
MOST_CLIENTS: Final = 16  # at once, those included that left while they were served; those beyond are closed
CONNECTION_SECONDS: Final = 120.0  # for all that one connection wants; a reload may wait for the exchange
_ROWS_PER_TURN = 50  # of books, before everybody else has a turn of the event loop
_END_SECONDS = 0.5  # for requests that are being answered at the end
_PEER = struct.Struct("3i")  # pid, uid, gid: unix(7), SO_PEERCRED

_Body = TypeVar("_Body", bound=msgspec.Struct)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = logger("telemetry.control")


class Outcome(NamedTuple):
    """What became of one instrument: `text` says what happened, or why nothing did."""

    instrument: str
    done: bool
    text: str


class Operations(Protocol):
    """What a feeder can be asked and told. Keys are (category, symbol), checked; everything returned becomes JSON."""

    log_level: str
    """debug, info, warning or error; to be read and set."""

    def status(self) -> dict[str, object]:
        """How the feeder is."""
        ...

    def books(self) -> Iterator[dict[str, object]]:
        """A row per book, its `instrument` as "category:SYMBOL". Books may come and go while it is gone through."""
        ...

    async def subscribe(
        self, instruments: Sequence[InstrumentKey], depth: int | None, *, trades: bool
    ) -> list[Outcome]:
        """Follow these as well; `depth` None is the present one, or what the category has by default."""
        ...

    async def unsubscribe(self, instruments: Sequence[InstrumentKey]) -> list[Outcome]:
        """Follow these no longer."""
        ...

    def resync(self, instruments: Sequence[InstrumentKey]) -> list[Outcome]:
        """Begin these books anew with the exchange."""
        ...

    async def reload(self) -> dict[str, object]:
        """Read the configuration again and follow it. Raises ConfigError if it cannot be used: nothing was changed."""
        ...


class _Instruments(msgspec.Struct, forbid_unknown_fields=True):
    instruments: list[str]


class _Subscribe(_Instruments, forbid_unknown_fields=True):
    depth: int | None = None
    trades: bool = True


class _LogLevel(msgspec.Struct, forbid_unknown_fields=True):
    level: Literal["debug", "info", "warning", "error"]


class _Nothing(msgspec.Struct, forbid_unknown_fields=True):
    pass


class _Mistake(Exception):  # noqa: N818 - the client's, not ours
    """A request that cannot be understood: what to change."""


class ControlServer:
    """Answers on a Unix socket at `path` from `start` to `aclose`."""

    def __init__(self, path: Path, operations: Operations) -> None:
        self._path = path
        self._operations = operations
        self._file: tuple[int, int] | None = None  # device and inode of our socket: another's is not to be removed
        self._server: asyncio.Server | None = None
        routes = {
            ("GET", "/status"): self._status,
            ("GET", "/books"): self._books,
            ("POST", "/subscribe"): self._subscribe,
            ("POST", "/unsubscribe"): self._unsubscribe,
            ("POST", "/resync"): self._resync,
            ("POST", "/reload"): self._reload,
            ("GET", "/log-level"): self._log_level,
            ("POST", "/log-level"): self._set_log_level,
        }
        self._paths = ", ".join(dict.fromkeys(path for _, path in routes))
        app = web.Application(middlewares=[self._answer], client_max_size=LARGEST_BODY)
        for (method, where), handler in routes.items():
            app.router.add_route(method, where, handler)
        self._runner = web.AppRunner(app, shutdown_timeout=_END_SECONDS)

    async def start(self) -> None:
        """Listen. Raises ControlError, with what to do, if that cannot be or another process listens there."""
        try:
            listening = self._bind()
        except OSError as error:
            remedy = "let control.socket name a place to write to, or null"
            raise ControlError(f"{self._path}: {error.strerror or error}; {remedy}") from error
        try:
            await self._runner.setup()
            self._server = await asyncio.get_running_loop().create_unix_server(self._accept, sock=listening)
        except BaseException:
            listening.close()
            self._remove()
            await self._runner.cleanup()
            raise

    async def aclose(self) -> None:
        """Remove the socket and end every connection; requests being answered are given half a second."""
        self._remove()
        if self._server is not None:
            self._server.close()
            self._server = None
            await self._runner.cleanup()

    # The socket ------------------------------------------------------------------------------------------------------

    def _bind(self) -> socket.socket:
        path = self._path
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone_in(path):
            _remove_if_stale(path)
            listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            try:
                # Linux makes the file with the descriptor's own mode less the umask, so that it is never more open than
                # this; a umask, which is the whole process's, need not be touched.
                os.fchmod(listening.fileno(), MODE)
                listening.bind(str(path))
                made = path.lstat()
                self._file = (made.st_dev, made.st_ino)
                path.chmod(MODE)  # what the umask took away
                listening.listen(MOST_CLIENTS)
            except BaseException:
                listening.close()
                self._remove()
                raise
        return listening

    def _remove(self) -> None:
        mine, self._file = self._file, None
        try:
            found = self._path.lstat()
            if (found.st_dev, found.st_ino) == mine:
                self._path.unlink()
        except OSError as error:
            if mine is not None and error.errno != errno.ENOENT:
                _log.warning("control socket not removed", error=str(error))

    def _accept(self) -> asyncio.Protocol:
        server = self._runner.server
        if server is None or len(server.connections) >= MOST_CLIENTS:
            return _Refused()
        loop = asyncio.get_running_loop()
        # None is no access log, which aiohttp's annotation does not say.
        return _Connection(server, loop=loop, access_log=None, tcp_keepalive=False)  # type: ignore[arg-type]

    # Requests --------------------------------------------------------------------------------------------------------

    @web.middleware
    async def _answer(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Every request goes through here: what is wrong becomes an answer, and nothing gets further."""
        try:
            return await handler(request)
        except _Mistake as mistake:
            return _error(400, str(mistake))
        except web.HTTPNotFound:
            return _error(404, f"no {request.path} here; there are {self._paths}")
        except web.HTTPMethodNotAllowed as error:
            allowed = " or ".join(sorted(error.allowed_methods - {"HEAD"}))
            return _error(405, f"{request.path} is not for {request.method}; use {allowed}")
        except web.HTTPRequestEntityTooLarge:
            return _error(413, f"the body is larger than {LARGEST_BODY} bytes; ask for less at once")
        except ConfigError as error:
            facts = {"path": error.path, "problem": error.problem, "remedy": error.remedy}
            return _error(422, str(error), **facts)
        except Exception as error:  # noqa: BLE001 - what fails here must not end the feeder
            _log.exception("control request failed", request=f"{request.method} {request.path}")
            return _error(500, f"the feeder failed at this: {error!r}; its log has more")

    async def _status(self, _request: web.Request) -> web.Response:
        return _json(self._operations.status())

    async def _books(self, request: web.Request) -> web.Response:
        unknown = request.query.keys() - {"instrument"}
        if unknown:
            raise _Mistake(f"?{min(unknown)}: no such parameter; use ?instrument=linear:BTCUSDT")
        wanted = {":".join(_key(name, "?instrument")) for name in request.query.getall("instrument", [])}
        rows: list[bytes] = []
        for number, row in enumerate(self._operations.books(), 1):
            if not wanted or row["instrument"] in wanted:
                rows.append(msgspec.json.encode(row))
            if number % _ROWS_PER_TURN == 0:
                await asyncio.sleep(0)
        return web.Response(body=b'{"books":[' + b",".join(rows) + b"]}", content_type="application/json")

    async def _subscribe(self, request: web.Request) -> web.Response:
        asked = await _body(request, _Subscribe)
        keys = _keys(asked)
        for category, _ in keys:
            if asked.depth is not None and asked.depth not in DEPTHS[category]:
                known = ", ".join(map(str, DEPTHS[category]))
                raise _Mistake(f"depth: {category} has no depth {asked.depth}; use {known}")
        return _outcomes(await self._operations.subscribe(keys, asked.depth, trades=asked.trades))

    async def _unsubscribe(self, request: web.Request) -> web.Response:
        return _outcomes(await self._operations.unsubscribe(_keys(await _body(request, _Instruments))))

    async def _resync(self, request: web.Request) -> web.Response:
        return _outcomes(self._operations.resync(_keys(await _body(request, _Instruments))))

    async def _reload(self, request: web.Request) -> web.Response:
        await _body(request, _Nothing)
        return _json(await self._operations.reload())

    async def _log_level(self, _request: web.Request) -> web.Response:
        return _json({"level": self._operations.log_level})

    async def _set_log_level(self, request: web.Request) -> web.Response:
        self._operations.log_level = (await _body(request, _LogLevel)).level
        return await self._log_level(request)


class _Connection(web.RequestHandler):
    """One client. Whatever it does or does not do, it is gone after CONNECTION_SECONDS."""

    __slots__ = ("_end",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        abort = cast(asyncio.Transport, transport).abort  # `close` would wait for a client that reads nothing
        self._end = self._loop.call_later(CONNECTION_SECONDS, abort)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._end.cancel()
        super().connection_lost(exc)

    def log_exception(self, *args: Any, **facts: Any) -> None:
        """But for what is no HTTP: the client is told, and may not fill the log with tracebacks."""
        if not isinstance(facts.get("exc_info"), HttpProcessingError):
            super().log_exception(*args, **facts)


class _Refused(asyncio.Protocol):
    """One client too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).abort()


@contextmanager
def _alone_in(path: Path) -> Iterator[None]:
    """While this process alone looks after the sockets in a directory: of two feeders that start, one is second."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ControlError(f"{path}: another feeder starts there; give each its own control.socket") from error
        yield
    finally:
        os.close(directory)


def _remove_if_stale(path: Path) -> None:
    """What a feeder that died left behind. ControlError for anything else."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise ControlError(f"{path}: is there, and is no socket; let control.socket name another, or remove it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:  # its queue of clients is full: somebody has one
            owner = "another process"
        else:
            owner = f"process {_peer(probe)[0]}"
    raise ControlError(f"{path}: {owner} answers there; give each feeder its own control.socket, or end that one")


def _peer(connection: Any) -> tuple[int, int]:
    """(process, user) at the other end."""
    pid, uid, _ = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return pid, uid


async def _body(request: web.Request, kind: type[_Body]) -> _Body:
    """The body as `kind`, and a line in the log: who changes what is told. Raises _Mistake."""
    try:
        content = await request.read()
    except (web.RequestPayloadError, ConnectionError) as error:  # the latter has left, and gets no answer
        raise _Mistake(f"the body cannot be read: {error}") from error
    try:
        asked = msgspec.json.decode(content or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise _Mistake(_told(error, kind)) from error
    except msgspec.DecodeError as error:
        raise _Mistake(f"the body is not JSON: {error}") from error
    if request.transport is not None:
        pid, uid = _peer(request.transport.get_extra_info("socket"))
        who = f"process {pid} of user {uid}"
        what = msgspec.structs.asdict(asked)
        _log.info("control request", request=f"{request.method} {request.path}", address=who, asked=what)
    return asked


def _told(error: msgspec.ValidationError, kind: type[msgspec.Struct]) -> str:
    """msgspec says "Expected `int`, got `str` - at `$.depth`"; we begin with the field, and end with a remedy."""
    message, _, where = str(error).partition(" - at `")
    named = re.search(r"field `(.*)`", message)
    field = where.rstrip("`").removeprefix("$").removeprefix(".") or (named[1] if named else "the body")
    fields = ", ".join(kind.__struct_fields__) or "none"
    if named:
        message = "no such field" if "unknown" in message else "missing"
    if field.startswith("level"):
        return f"{field}: {message[0].lower()}{message[1:]}; use debug, info, warning or error"
    return f"{field}: {message[0].lower()}{message[1:]}; the fields are: {fields}"


def _keys(asked: _Instruments) -> list[InstrumentKey]:
    """Each instrument once. Raises _Mistake."""
    if not asked.instruments:
        raise _Mistake("instruments: empty; name at least one, such as linear:BTCUSDT")
    return list(dict.fromkeys(_key(name, f"instruments[{i}]") for i, name in enumerate(asked.instruments)))


def _key(name: str, field: str) -> InstrumentKey:
    category, _, symbol = name.partition(":")
    if category not in DEPTHS or not is_symbol(symbol):
        raise _Mistake(f"{field}: {name[:80]!r} names no instrument; write category:SYMBOL, such as linear:BTCUSDT")
    return category, symbol


def _outcomes(outcomes: Sequence[Outcome]) -> web.Response:
    return _json({"outcomes": [outcome._asdict() for outcome in outcomes]})


def _json(told: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(told), status=status, content_type="application/json")


def _error(status: int, text: str, **facts: str) -> web.Response:
    return _json({"error": text, **facts}, status)
