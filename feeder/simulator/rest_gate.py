"""What stands between a request and the exchange's handlers: faults, the address, the signature, the limits.

What it has found out is in `rest_caller`.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from feeder.clock import Clock
from feeder.simulator.keys import ApiKey
from feeder.simulator.refusals import TOO_MANY, refusal, refused
from feeder.simulator.rest_auth import Authenticator, Request, Signature
from feeder.simulator.rest_caller import Caller, caller
from feeder.simulator.rest_clock import RestClock
from feeder.simulator.rest_faults import RestFaults
from feeder.simulator.rest_limits import AddressLimits, RateLimits
from feeder.simulator.rest_reply import PARAMETER_ERROR, Parameters, Refused

_PUBLIC = ("/v5/market/", "/v5/system/", "/v5/announcements/")


class RestGate:
    """`clock` is the one REST goes by. FeederError for keys that cannot be used."""

    def __init__(self, keys: Sequence[ApiKey], clock: Clock, *, enforce_limits: bool) -> None:
        self.clock = RestClock(clock)
        self.faults = RestFaults(self.clock)
        self.limits = RateLimits(self.clock, enforced=enforce_limits)
        self._addresses = AddressLimits(self.clock) if enforce_limits else None
        self.authenticator = Authenticator(keys, self.clock)

    def middlewares(self) -> list[Middleware]:
        """What aiohttp asks before each request, in this order."""
        return [self.faults.middleware(), self._middleware()]

    def close(self) -> None:
        """The server is going down."""
        self.faults.close()

    def _middleware(self) -> Middleware:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            caller.set(Caller())
            if not request.path.startswith("/v5/"):
                return await handler(request)
            address = request.remote or ""
            if self._addresses is not None and not self._addresses.visit(address):
                return web.Response(status=403, text="access too frequent")
            if request.method not in ("GET", "POST"):
                return web.Response(status=400, text=f"{request.method} is not taken: GET and POST are")
            if request.match_info.http_exception is not None:  # no such path, or not with this method
                return web.Response(status=404, text=f"{request.method} {request.path} is not there")
            if request.method == "GET" and request.body_exists:
                return web.Response(status=403, text="a GET has no body")  # as documented, strange as it is
            if request.path.startswith(_PUBLIC):
                if not self.limits.visit_public(address, request.path):
                    return refusal(refused(TOO_MANY), self.clock)
                caller.set(Caller(parameters=request.query))
                return await handler(request)
            return await self._signed(request, handler, address)

        return guard

    async def _signed(self, request: web.Request, handler: Handler, address: str) -> web.StreamResponse:
        signature = _signature(request)
        if signature.missing:
            return web.Response(
                status=401, text="not signed: X-BAPI-API-KEY, X-BAPI-TIMESTAMP and X-BAPI-SIGN are missing"
            )
        try:
            body = await _body(request)
            payload = body if request.method == "POST" else _query(request)
            api_key = self.authenticator.check(signature, Request(request.method, payload, address))
            parameters = _json_object(request, body) if request.method == "POST" else request.query
        except Refused as why:
            return refusal(why, self.clock)
        visit = self.limits.visit(api_key.account, request.path, _category(parameters), _orders(parameters))
        if not visit.allowed:
            return refusal(refused(TOO_MANY), self.clock, visit.headers)
        caller.set(Caller(api_key, parameters, visit.allowed))
        response = await handler(request)
        if not response.prepared:
            response.headers.update(visit.headers)
        return response


async def _body(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise Refused(PARAMETER_ERROR, "params error: the body is too large") from error
    except web.RequestPayloadError as error:
        raise Refused(PARAMETER_ERROR, "params error: the body cannot be read") from error


def _category(parameters: Parameters) -> str:
    category = parameters.get("category")
    return category if isinstance(category, str) else ""


def _orders(parameters: Parameters) -> int:
    """How many orders it is about: of a batch all, and it is one request if it is none."""
    orders = parameters.get("request")
    return max(1, len(orders)) if isinstance(orders, list) else 1


def _signature(request: web.Request) -> Signature:
    headers = request.headers
    return Signature(
        headers.get("X-BAPI-API-KEY", ""),
        headers.get("X-BAPI-TIMESTAMP", ""),
        headers.get("X-BAPI-SIGN", ""),
        headers.get("X-BAPI-RECV-WINDOW", ""),
    )


def _query(request: web.Request) -> bytes:
    """The query as it was sent: that is what was signed, in its order and with its percent signs."""
    return request.raw_path.partition("?")[2].encode("utf-8", "surrogateescape")


def _json_object(request: web.Request, body: bytes) -> dict[str, Any]:
    """The body's JSON object, empty for no body at all."""
    if not body:
        return {}
    if request.content_type != "application/json":
        raise Refused(PARAMETER_ERROR, "params error: Content-Type is not application/json")
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(PARAMETER_ERROR, "params error: the body is no JSON object") from error
