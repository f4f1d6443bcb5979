"""The REST a feeder needs, in Bybit's envelope."""

import asyncio
import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from feeder.simulator.control import Control
from feeder.simulator.exchange import Exchange
from feeder.simulator.rest_gate import RestGate
from feeder.simulator.turnover import ticker
from feeder.simulator.universe import Listing
from feeder.simulator.venue import CATEGORIES, Category, is_number

_DEFAULT_PAGE = 500
_LARGEST_PAGE = 1000
_PARAMETER_ERROR = 10001
_TRADING = "Trading"
_GONE = "gone"  # listed no longer, whatever is asked for


class _ParameterError(Exception):
    """A parameter that the venue refuses with retCode 10001."""


class RestServer:
    """The HTTP server; `async with` binds the port, `url` is then known. Port 0 picks one."""

    def __init__(self, exchange: Exchange, control: Control, gate: RestGate, host: str, port: int) -> None:
        self._exchange = exchange
        self._gate = gate
        self._clock = gate.clock
        self._host = host
        self._port = port
        app = web.Application(middlewares=gate.middlewares())
        app.router.add_get("/v5/market/time", self._time)
        app.router.add_get("/v5/market/instruments-info", self._instruments)
        app.router.add_get("/v5/market/orderbook", self._orderbook)
        app.router.add_get("/v5/market/tickers", self._tickers)
        control.add_routes(app.router)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)

    async def __aenter__(self) -> "RestServer":
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except (OSError, asyncio.CancelledError):
            await self._runner.cleanup()
            raise
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._gate.close()
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """Without a path."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    async def _time(self, _request: web.Request) -> web.Response:
        now_ns = self._clock.wall_ns()
        return self._envelope({"timeSecond": str(now_ns // 1_000_000_000), "timeNano": str(now_ns)})

    async def _instruments(self, request: web.Request) -> web.Response:
        try:
            category = _category(request.query)
            limit = _whole(request.query, "limit", _DEFAULT_PAGE, _LARGEST_PAGE)
            start = _position(request.query.get("cursor", ""))
        except _ParameterError as error:
            return self._envelope({}, _PARAMETER_ERROR, str(error))
        found = _filtered(self._exchange.source.listings(category.name), self._exchange.delisted, request.query)
        result: dict[str, Any] = {"category": category.name}
        if category.paginated:
            more = start + limit < len(found)
            result["nextPageCursor"] = _cursor(start + limit) if more else ""
            found = found[start : start + limit]
        result["list"] = [
            _instrument(listing, self._exchange.delisted.get((listing.category, listing.symbol), _TRADING))
            for listing in found
        ]
        return self._envelope(result)

    async def _tickers(self, request: web.Request) -> web.Response:
        query = request.query
        try:
            category = _category(query)
        except _ParameterError as error:
            return self._envelope({}, _PARAMETER_ERROR, str(error))
        if category.name == "option" and not (query.get("symbol") or query.get("baseCoin")):
            return self._envelope({}, _PARAMETER_ERROR, "params error: symbol or baseCoin is required")
        exchange = self._exchange
        rows = [
            ticker(listing, exchange.turnovers.of(listing, rank))
            for rank, listing in enumerate(exchange.source.listings(category.name))
            if (listing.category, listing.symbol) not in exchange.delisted
            and query.get("symbol") in (None, "", listing.symbol)
            and (category.name != "option" or query.get("baseCoin") in (None, "", listing.base))
        ]
        if query.get("symbol") and not rows:
            return self._envelope({}, _PARAMETER_ERROR, "params error: symbol invalid")
        return self._envelope({"category": category.name, "list": rows})

    async def _orderbook(self, request: web.Request) -> web.Response:
        try:
            category = _category(request.query)
            limit = _whole(request.query, "limit", category.rest_book_default_limit, _book_limit(category))
        except _ParameterError as error:
            return self._envelope({}, _PARAMETER_ERROR, str(error))
        symbol = request.query.get("symbol", "")
        state = self._exchange.source.rest_book(category.name, symbol)
        if state is None:
            return self._envelope({}, _PARAMETER_ERROR, "params error: symbol invalid")
        bids, asks = state.sides(state.book.levels)
        result = {
            "s": symbol,
            "b": bids[:limit],
            "a": asks[:limit],
            "ts": state.ts,
            "u": state.book.u,
            "seq": state.book.seq,
            "cts": state.cts,
        }
        return self._envelope(result)

    def _envelope(self, result: Mapping[str, Any], code: int = 0, message: str = "OK") -> web.Response:
        now_ms = self._clock.wall_ns() // 1_000_000
        return web.json_response(
            {"retCode": code, "retMsg": message, "result": result, "retExtInfo": {}, "time": now_ms}
        )


def _category(query: Mapping[str, str]) -> Category:
    category = CATEGORIES.get(query.get("category", ""))
    if category is None:
        raise _ParameterError("params error: Category is invalid")
    return category


def _whole(query: Mapping[str, str], name: str, default: Any, most: int | None = None) -> Any:
    """A whole number from 1 (without `most`: from 0) up; `default` when it is absent."""
    text = query.get(name)
    if text is None or text == "":
        return default
    if not is_number(text) or (most is not None and not 1 <= int(text) <= most):
        raise _ParameterError(f"params error: {name} is invalid")
    return int(text)


def _book_limit(category: Category) -> int:
    return 25 if category.name == "option" else 1000


def _cursor(position: int) -> str:
    return base64.urlsafe_b64encode(f"page:{position}".encode()).decode()


def _position(cursor: str) -> int:
    if not cursor:
        return 0
    try:
        kind, _, position = base64.urlsafe_b64decode(cursor).decode().partition(":")
    except (binascii.Error, ValueError) as error:
        raise _ParameterError("params error: cursor is invalid") from error
    if kind != "page" or not is_number(position):
        raise _ParameterError("params error: cursor is invalid")
    return int(position)


def _filtered(
    listings: Sequence[Listing], delisted: Mapping[tuple[str, str], str], query: Mapping[str, str]
) -> list[Listing]:
    symbol, base, wanted = query.get("symbol"), query.get("baseCoin"), query.get("status")
    found = []
    for listing in listings:
        status = delisted.get((listing.category, listing.symbol), _TRADING)
        if status == _GONE or (wanted and status != wanted):
            continue
        found.append(listing)
    if not base and found and found[0].category == "option":
        base = "BTC"
    return [
        listing for listing in found if (not base or listing.base == base) and (not symbol or listing.symbol == symbol)
    ]


def _instrument(listing: Listing, status: str) -> dict[str, Any]:
    """One row of instruments-info: the fields the venue documents, as far as the simulator has a fact for them."""
    common: dict[str, Any] = {
        "symbol": listing.symbol,
        "status": status,
        "baseCoin": listing.base,
        "quoteCoin": listing.quote,
    }
    if listing.category == "spot":
        lot = {
            "basePrecision": listing.step,
            "quotePrecision": "0.0000001",
            "minOrderQty": listing.step,
            "minOrderAmt": "5",
            "maxLimitOrderQty": "1000000000",
            "maxMarketOrderQty": "500000000",
        }
        return common | {"marginTrading": "none", "lotSizeFilter": lot, "priceFilter": {"tickSize": listing.tick}}
    lot = {
        "minOrderQty": listing.step,
        "maxOrderQty": "1000000000",
        "maxMktOrderQty": "500000000",
        "qtyStep": listing.step,
        "minNotionalValue": "5",
    }
    prices = {"minPrice": listing.tick, "maxPrice": "1999999", "tickSize": listing.tick}
    common |= {"settleCoin": listing.settle, "launchTime": "1585526400000", "deliveryTime": str(listing.delivery_ms)}
    common |= {"priceFilter": prices, "lotSizeFilter": lot}
    if listing.category == "option":
        return common | {"optionsType": listing.contract}
    return common | {
        "contractType": listing.contract,
        "priceScale": str(listing.scale.price_digits),
        "isPreListing": False,
        "preListingInfo": None,
        "fundingInterval": 480,
        "upperFundingRate": "0.005",
        "lowerFundingRate": "-0.005",
    }
