"""The real exchange speaks TLS: the same way over a relay that ends it, with a certificate made for the occasion."""

import asyncio
import os
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.helpers.processes import feeder, multicast_section, simulator, until
from tests.helpers.require import require
from tests.integration.test_outage import all_live, subscriber


def certificate(folder: Path) -> Path:
    """A key and a self-signed certificate for localhost in one file."""
    path = folder / "localhost.pem"
    request = f"{require('openssl')} req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    made = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(path), "-out", str(folder / "certificate.pem")]
    subprocess.run([*request.split(), *made], check=True, capture_output=True)
    path.write_text(path.read_text() + (folder / "certificate.pem").read_text())
    return path


@asynccontextmanager
async def tls_relay(pem: Path, port: int) -> AsyncIterator[int]:
    """Accepts TLS on a port of its own and passes the bytes to a plain one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        except (ConnectionError, ssl.SSLError):
            pass  # one side is gone; closing the other says so
        finally:
            target.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, back), copy(there, writer))

    server = await asyncio.start_server(relay, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_books_come_live_over_tls_and_a_certificate_nobody_vouches_for_is_refused(tmp_path, monkeypatch):
    pem = certificate(tmp_path)
    section = multicast_section()
    async with (
        simulator("--symbols=5") as (_, addresses),
        tls_relay(pem, int(addresses.websocket.rpartition(":")[2])) as websocket,
        tls_relay(pem, int(addresses.rest.rpartition(":")[2])) as rest,
    ):
        settings = {
            "exchange": {"websocket_url": f"wss://localhost:{websocket}", "rest_url": f"https://localhost:{rest}"},
            "subscriptions": [{"category": "linear", "symbols": "all"}],
            "multicast": section,
        }
        async with feeder(tmp_path, settings) as distrustful:
            await distrustful.wait_for_log("certificate verify failed")
            assert await distrustful.end() == 0
        monkeypatch.setitem(os.environ, "SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        async with feeder(tmp_path, settings) as following, subscriber(section) as consumer:
            await until(lambda: all_live(consumer, 5), 20, "every book LIVE")
            assert await following.end() == 0
