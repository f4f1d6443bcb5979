"""The exchange's HTTP replies, and the copy on disk, as a fuzz target: what becomes of the instrument table.

An input is a run of parts, each behind a line `%%`: a reply as it comes over the socket, if it begins with `HTTP/`,
otherwise the body of a plain one. The last is given again to whoever asks more. A part that begins with a line `!copy`
is the copy on disk. The table is loaded, one instrument asked for again, the time, the table once more and the
turnover; each ends well, or in a RestError or InstrumentError of bounded length, after few requests and few lines of
log; and every scale is exactly what a reply said.
"""

import asyncio
import json
import re
import tempfile
from collections.abc import Awaitable
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock

import structlog

from feeder.bybit.instruments import InstrumentTable
from feeder.bybit.rest import client
from feeder.clock import ManualClock
from feeder.errors import InstrumentError, RestError
from feeder.market.fixed_point import FINEST_EXPONENT
from feeder.market.instrument import Instrument, instrument_id, is_symbol
from tests.helpers.instruments import close_tables, instrument_table

KEY = ("linear", "BTCUSDT")

_MOST_REQUESTS = 120  # of one load: pages, each perhaps again
_MOST_LOG_LINES = 30
_LONGEST_TEXT = 3000


class Server:
    """Gives the replies in turn, and the last one again and again."""

    def __init__(self, replies: list[bytes]) -> None:
        self.replies = replies
        self.requests = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            reply = self.replies[min(self.requests, len(self.replies) - 1)]
            self.requests += 1
            if not reply.startswith(b"HTTP/"):
                length = b"Content-Length: %d\r\n" % len(reply)
                reply = b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + length + b"\r\n" + reply
            writer.write(reply)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the other side has seen enough
        finally:
            writer.close()


def run(data: bytes) -> None:
    """One run of replies. Raises when something that must hold does not."""
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(play(data, Path(directory)))


async def play(data: bytes, directory: Path) -> tuple[InstrumentTable, list[Exception], list[str]]:
    """Load, refresh, ask for the time; the table, the errors and the events logged."""
    parts = data.split(b"\n%%\n")
    copies = [part.removeprefix(b"!copy\n") for part in parts if part.startswith(b"!copy\n")]
    server = Server([part for part in parts if not part.startswith(b"!copy\n")] or [b""])
    logged: list[str] = []

    def keep(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        assert len(str(event)) <= _LONGEST_TEXT, f"a line of {len(str(event))} characters is logged"
        logged.append(event["event"])
        raise structlog.DropEvent

    structlog.configure(processors=[keep])
    sockets = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = sockets.sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    if copies:
        (directory / "instruments-linear.json").write_bytes(copies[0].replace(b"http://here", url.encode()))
    table = instrument_table(url, ManualClock(), cache_directory=directory)
    errors: list[Exception] = []
    try:
        with mock.patch.object(client, "_RETRY_FIRST", 0.0):
            await _asked(loaded(table), server, errors, logged)
            await _asked(table.refresh(KEY), server, errors, logged)
            await _asked(table.times(), server, errors, logged)
            later: list[Exception] = []  # what is asked while running: the same replies over again
            await _asked(reloaded(table), server, later, logged)
            await _asked(ranked(table), server, later, logged)
        known = list(table._instruments.values())
        if known:
            said = _said([*server.replies, *copies])
            for instrument in known:
                _check(instrument, said)
    finally:
        await close_tables()
        sockets.close()
        await sockets.wait_closed()
        structlog.reset_defaults()
    return table, errors, logged


async def loaded(table: InstrumentTable) -> None:
    """Load the table. Raises RestError."""
    for failure in (await table.load({"linear": None})).values():
        raise failure


async def reloaded(table: InstrumentTable) -> None:
    """Load the table anew. Raises RestError."""
    for failure in (await table.reload({"linear": None})).values():
        raise failure


async def ranked(table: InstrumentTable) -> None:
    """Ask for turnover in each way it is counted. Raises RestError."""
    for category in ("linear", "inverse", "spot"):
        for amount in (await table.turnover(category)).values():
            assert amount.is_finite(), f"a turnover of {amount}"
            assert amount >= 0, f"a turnover of {amount}"


async def _asked(question: Awaitable[object], server: Server, errors: list[Exception], logged: list[str]) -> None:
    before, lines = server.requests, len(logged)
    try:
        await question
    except (RestError, InstrumentError) as error:
        errors.append(error)
    assert all(0 < len(str(error)) <= _LONGEST_TEXT for error in errors), "a long error"
    assert server.requests - before <= _MOST_REQUESTS, f"{server.requests - before} requests"
    assert len(logged) - lines <= _MOST_LOG_LINES, f"{len(logged) - lines} lines are logged"


def _check(instrument: Instrument, said: dict[str, set[tuple[str, str]]]) -> None:
    assert is_symbol(instrument.symbol)
    assert instrument.id == instrument_id("linear", instrument.symbol)
    for exponent in (instrument.price_exponent, instrument.quantity_exponent):
        assert FINEST_EXPONENT <= exponent <= 0
    tick, step = Fraction(instrument.tick_size), Fraction(instrument.quantity_step)
    assert 0 <= tick < 1 << 63
    assert 0 <= step < 1 << 63
    sizes = (tick * Fraction(10) ** instrument.price_exponent, step * Fraction(10) ** instrument.quantity_exponent)
    texts = said.get(instrument.symbol)
    if texts is not None:  # a compressed reply tells nothing here
        assert sizes in [(_fraction(a), _fraction(b)) for a, b in texts], f"{instrument} was never said"


def _fraction(text: str) -> Fraction | None:
    # Fraction takes "1e999999999" too, and all memory with it; feeder takes no such text.
    return Fraction(text) if re.fullmatch(r"[0-9]*\.?[0-9]*", text) and text.strip(".") else None


def _said(bodies: list[bytes]) -> dict[str, set[tuple[str, str]]]:
    """Every (tickSize, qtyStep) that stands anywhere in the replies, by symbol."""
    found: dict[str, set[tuple[str, str]]] = {}

    def look(value: Any) -> None:
        if isinstance(value, list):
            for each in value:
                look(each)
        elif isinstance(value, dict):
            symbol = value.get("symbol")
            try:
                pair = (value["priceFilter"]["tickSize"], value["lotSizeFilter"].get("qtyStep", ""))
            except (KeyError, TypeError, AttributeError):
                pair = None
            if isinstance(symbol, str) and pair is not None:
                found.setdefault(symbol, set()).add((str(pair[0]), str(pair[1])))
            for each in value.values():
                look(each)

    for body in bodies:
        start = body.find(b"{")
        try:
            look(json.JSONDecoder().raw_decode(body[max(start, 0) :].decode("utf-8", "replace"))[0])
        except (ValueError, RecursionError):
            continue
    return found
