"""A REST venue on a socket."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from feeder.bybit.rest import client
from tests.helpers.instruments import close_tables

from .rest_venue import Rest


@pytest.fixture
async def rest(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rest]:
    monkeypatch.setattr(client, "_RETRY_FIRST", 0.001)
    rest = Rest()
    app = web.Application()
    app.router.add_get("/v5/market/instruments-info", rest.answer)
    app.router.add_get("/v5/market/time", rest.answer)
    app.router.add_get("/v5/market/tickers", rest.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    rest.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield rest
    await close_tables()
    await runner.cleanup()
