"""The venue's REST for the tests: canonical replies, or what it is told to answer."""

from pathlib import Path
from typing import Any

from aiohttp import web

from feeder.bybit.instruments import InstrumentTable, gravest
from feeder.clock import ManualClock
from tests.helpers.instruments import instrument_table

from .support import payload


class Rest:
    """A venue that answers instruments-info from canonical pages, or as it is told to."""

    def __init__(self) -> None:
        self.queries: list[dict[str, str]] = []
        self.failures: list[web.Response] = []
        self.override: bytes | None = None
        self.respond = self.canned
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.queries.append(dict(request.query))
        return await self.respond(request)

    async def canned(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        if self.failures:
            return self.failures.pop(0)
        if self.override is not None:
            return web.Response(body=self.override)
        name = f"instruments-{query['category']}"
        if query["category"] == "linear":
            name += "-page-2" if query.get("cursor") == "first%3DETHUSDT" else "-page-1"
        if query["category"] == "option":
            coin = query.get("baseCoin", "BTC")
            return web.Response(body=payload(f"{name}-BTC").replace(b"BTC", coin.encode()))
        return web.Response(body=payload(name))


async def load(instruments: InstrumentTable, wanted: dict[str, list[str] | None]) -> None:
    """Load tables of which none may fail."""
    failures = await instruments.load(wanted)
    if failures:
        raise gravest(failures.values())


def table(url: str, directory: Path | None = None, **options: Any) -> InstrumentTable:
    return instrument_table(url, ManualClock(), cache_directory=directory, **options)
