"""The exporter: a process beside the feeder that serves its counters file over HTTP, and goes on when the feeder fails.

    python -m feeder.telemetry.exporter --counters run/counters.dat --listen 127.0.0.1:9480

    /metrics   the metrics, for Prometheus
    /livez     200 while the feeder's event loop turns, 503 and the reason when it hangs, has ended or is gone
    /readyz    200 while its books can be relied on, 503 and the reasons otherwise (feeder.telemetry.health.readiness)

`feeder run` starts one with --session, its own session's id: that one ends with its feeder or, if the feeder was
killed, when the next one has made its counters file, or after ten minutes; and it makes way for its feeder, see
`make_way`. Without --session it serves for ever.
"""

import argparse
import errno
import json
import os
import signal
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from feeder import log
from feeder.clock import SECOND_NS, Clock, SystemClock
from feeder.telemetry.exposition import FeederCollector, Scrapes
from feeder.telemetry.health import EXIT_REPLACED, State, Watch, look, readiness

_POLL_SECONDS = 0.5
_PATIENCE = 5  # attempts
_CLIENT_SECONDS = 5.0  # without a byte from a client, or without it taking one
_MOST_CLIENTS = 32  # at once; those beyond are closed
_NICE = 10

_log = log.logger("telemetry.exporter")


class Exporter:
    """Answers about the feeder whose counters file is at `path`."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self.clock = clock
        self._scrapes = Scrapes()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(FeederCollector(lambda: look(path, clock), self._scrapes))
        self._rendering = threading.Lock()  # a thousand books take a while: one after the other

    def answer(self, path: str, accept: str = "") -> tuple[int, str, bytes]:
        """(status, content type, body) of a GET."""
        if path == "/metrics":
            encode, content_type = choose_encoder(accept)
            with self._rendering:
                return 200, content_type, self._render(encode)
        if path == "/livez":
            health = look(self.path, self.clock, records=False)
            live = health.state is State.RUNNING
            return _as_json(live, {"live": live, "reason": health.reason, "heartbeat_age_seconds": health.age_seconds})
        if path == "/readyz":
            ready = readiness(look(self.path, self.clock))
            return _as_json(ready["ready"], ready)
        return 404, "text/plain; charset=utf-8", b"/metrics, /livez or /readyz\n"

    def _render(self, encode: Callable[[CollectorRegistry], bytes]) -> bytes:
        began = self.clock.monotonic()
        body = encode(self._registry)
        self._scrapes.count += 1
        self._scrapes.latest_ns = int((self.clock.monotonic() - began) * SECOND_NS)
        return body


def _as_json(good: bool, body: dict[str, Any]) -> tuple[int, str, bytes]:
    return 200 if good else 503, "application/json", json.dumps(body).encode() + b"\n"


class _Handler(BaseHTTPRequestHandler):
    timeout = _CLIENT_SECONDS
    server_version = "feeder"
    sys_version = ""
    server: "Server"

    def do_GET(self) -> None:
        self._reply(with_body=True)

    def do_HEAD(self) -> None:
        self._reply(with_body=False)

    def _reply(self, *, with_body: bool) -> None:
        status, content_type, body = self.server.exporter.answer(
            urlsplit(self.path).path, self.headers.get("Accept", "")
        )
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Requests are not logged."""


class Server(ThreadingHTTPServer):
    """Listens on `address:port`. Raises OSError if it cannot."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, listen: str, exporter: Exporter) -> None:
        self.exporter = exporter
        self._room = threading.BoundedSemaphore(_MOST_CLIENTS)
        host, _, port = listen.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, int(port)), _Handler)

    def server_bind(self) -> None:
        """Without asking the resolver for this machine's name, as HTTPServer does."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.socket.getsockname()[:2]

    def process_request(self, request: Any, client_address: Any) -> None:
        """One thread per client, as far as there is room."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """In the client's thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left is no error."""
        if not isinstance(sys.exception(), OSError):
            _log.exception("request failed")


def serve(path: Path, listen: str, session_id: int | None, stop: threading.Event, clock: Clock) -> int:
    """Serve until `stop`, or until the feeder of `session_id` needs it no longer; the exit code.

    An address that cannot be listened on is said once and tried again. One that is in use is given some attempts first:
    after a feeder was killed, its exporter leaves as soon as it sees that there is another.
    """
    exporter = Exporter(path, clock)
    watch = None if session_id is None else Watch(session_id)
    server: Server | None = None
    said: str | None = None
    attempts = 0
    alone = False
    while True:
        if watch is not None:
            health = look(path, clock, records=False)
            ending = watch.over(health, clock.monotonic())
            if ending is not None:
                _log.info("exporter ends", reason=ending)
                replaced = health.counters is not None and health.counters.session_id != session_id
                return EXIT_REPLACED if replaced else 0
            if health.state is State.GONE and not alone:
                alone = True
                _log.error("feeder is gone", error=health.reason)
                _let_go_of_output()
        if server is None:
            try:
                server = Server(listen, exporter)
            except OSError as error:
                attempts += 1
                if said != str(error) and (attempts == _PATIENCE or error.errno != errno.EADDRINUSE):
                    said = str(error)
                    remedy = "tried again; end what listens there, or change telemetry.listen"
                    if error.errno != errno.EADDRINUSE:
                        remedy = "tried again; give telemetry.listen an address of this machine"
                    _log.error("metrics not served", address=listen, error=f"{error}; {remedy}")
            else:
                threading.Thread(target=server.serve_forever, daemon=True, name="server").start()
                _log.info("metrics served", address=f"{server.server_name}:{server.server_port}")
        if stop.wait(_POLL_SECONDS):
            return 0


def make_way() -> None:
    """Leave the processor to the feeder that started this one: give up priority, and share no core if it has its own.

    Has its own: it is bound to some of the machine's processors. This one inherited that, and goes to the others.
    """
    own = os.sched_getaffinity(0)
    others = set(range(os.sysconf("SC_NPROCESSORS_CONF"))) - own
    for step in (partial(os.nice, _NICE), partial(os.sched_setaffinity, 0, others or own)):
        try:
            step()
        except OSError as error:  # a container, a unit's SystemCallFilter or AllowedCPUs
            _log.debug("exporter does not make way", error=str(error))


def _let_go_of_output() -> None:
    """Whoever reads what the feeder wrote is to see its end, not to wait for ours."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, serve, and return the exit code: 0, or EXIT_REPLACED."""
    parser = argparse.ArgumentParser(prog="feeder.telemetry.exporter", description="Serve a feeder's counters file.")
    parser.add_argument("--counters", type=Path, required=True, metavar="FILE", help="as telemetry.counters")
    parser.add_argument("--listen", required=True, metavar="ADDRESS:PORT", help="as telemetry.listen")
    parser.add_argument("--session", type=int, metavar="ID", help="end with the feeder of this session")
    parser.add_argument("--log-format", choices=["auto", "json", "text"], default="auto", help="as log.format")
    args = parser.parse_args(argv)
    log.configure("info", as_json=None if args.log_format == "auto" else args.log_format == "json")
    if args.session is not None:
        make_way()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return serve(args.counters, args.listen, args.session, stop, SystemClock())


if __name__ == "__main__":
    os.closerange(3, 4096)  # uvloop leaves a child copies of the feeder's own output, which would never see its end
    sys.exit(main())
