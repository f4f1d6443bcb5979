"""The simulator's own paths, which no exchange has: its books to compare with, and faults on request."""

import json
import zlib
from typing import Any

import msgspec
from aiohttp import web

from feeder.errors import FeederError
from feeder.simulator.exchange import Exchange
from feeder.simulator.injector import Done, Injector
from feeder.simulator.script import parse_fault
from feeder.simulator.source import BookState
from feeder.simulator.topic_book import price_of
from feeder.simulator.venue import CATEGORIES, is_number


class Control:
    """Answers everything under /simulator/."""

    def __init__(self, exchange: Exchange, injector: Injector) -> None:
        self._exchange = exchange
        self._injector = injector

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Register the paths."""
        router.add_get("/simulator/books", self._books)
        router.add_get("/simulator/books/{category}/{symbol}", self._book)
        router.add_get("/simulator/checksums/{category}/{symbol}", self._checksums)
        router.add_get("/simulator/faults", self._faults)
        router.add_post("/simulator/faults", self._inject)

    async def _books(self, _request: web.Request) -> web.Response:
        """All orderbook topics that somebody is subscribed to."""
        books = [
            {"category": state.category, "symbol": state.symbol, "depth": state.book.depth, "u": state.book.u}
            for state in self._exchange.subscribed_books()
        ]
        return web.json_response({"books": books})

    async def _book(self, request: web.Request) -> web.Response:
        """Our own book of a topic, at any update id still held: what a consumer's book must be equal to."""
        state = self._state(request)
        u = _whole(request, "u")
        book = state.book
        found = (book.levels, book.seq) if u is None else book.at(u)
        if found is None:
            oldest, newest = book.held() or (None, None)
            reason = f"update id {u} of {state.category} {state.symbol} is not held; oldest {oldest}, newest {newest}"
            raise _refusal(web.HTTPNotFound, reason, oldest=oldest, newest=newest)
        bids, asks = state.sides(found[0])
        body = {
            "category": state.category,
            "symbol": state.symbol,
            "depth": book.depth,
            "u": book.u if u is None else u,
            "seq": found[1],
            "bids": bids,
            "asks": asks,
        }
        return web.json_response(body)

    async def _checksums(self, request: web.Request) -> web.Response:
        """[u, seq, checksum] of every update still held, oldest first.

        The checksum is the CRC-32 of the ASCII text of all levels, bids then asks, best first, each as
        `price:size;` in plain decimals without zeros at the end.
        """
        state = self._state(request)
        return web.json_response({"depth": state.book.depth, "checksums": _history(state)})

    async def _faults(self, _request: web.Request) -> web.Response:
        """What has been done so far."""
        return web.json_response({"faults": [_told(done) for done in self._injector.done]})

    async def _inject(self, request: web.Request) -> web.Response:
        """Do one fault now: an entry of a script, as JSON, without `at`."""
        try:
            fault = parse_fault(msgspec.json.decode(await request.read()))
            done = self._injector.inject(fault) if fault.at is None else None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _refusal(web.HTTPBadRequest, f"the body is not JSON: {error}") from error
        except FeederError as error:
            raise _refusal(web.HTTPBadRequest, str(error)) from error
        if done is None:
            raise _refusal(web.HTTPBadRequest, f"{fault.name}: `at` is for scripts; leave it out, it is done at once")
        return web.json_response(_told(done))

    def _state(self, request: web.Request) -> BookState:
        category, symbol = request.match_info["category"], request.match_info["symbol"]
        depth = _whole(request, "depth")
        state = self._exchange.source.book(category, symbol, depth) if category in CATEGORIES else None
        if state is None:
            wanted = "" if depth is None else f" of depth {depth}"
            raise _refusal(web.HTTPNotFound, f"no book{wanted} of {category} {symbol} here")
        return state


def _whole(request: web.Request, name: str) -> int | None:
    """A whole number of the query, None when it is absent."""
    text = request.query.get(name, "")
    if text and not is_number(text):
        raise _refusal(web.HTTPBadRequest, f"params error: {name} is invalid")
    return int(text) if text else None


def _refusal(kind: type[web.HTTPNotFound | web.HTTPBadRequest], error: str, **facts: object) -> web.HTTPException:
    """A refusal with its reason as JSON."""
    return kind(text=json.dumps({"error": error, **facts}), content_type="application/json")


def _told(done: Done) -> dict[str, Any]:
    return {"fault": msgspec.to_builtins(done.fault), "wall_ns": done.wall_ns, "touched": done.touched}


def _history(state: BookState) -> list[tuple[int, int, int]]:
    """(u, seq, checksum) of a book's past. Each update's text is that of the one before but for its own levels."""
    price, size = state.scale.plain_price, state.scale.size
    texts: dict[int, str] = {}
    told = []
    for u, seq, changes in state.book.history():
        for index in range(0, len(changes), 2):
            key, units = changes[index], changes[index + 1]
            if units:
                texts[key] = f"{price(price_of(key))}:{size(units)};"
            else:
                texts.pop(key, None)
        told.append((u, seq, zlib.crc32("".join([texts[key] for key in sorted(texts)]).encode("ascii"))))
    return told
