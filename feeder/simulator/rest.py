"""The exchange's REST on a socket: its paths, and the venue's envelope around what they answer."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from feeder.clock import MILLISECOND_NS, SECOND_NS
from feeder.simulator.control import Control
from feeder.simulator.rest_caller import Caller, caller
from feeder.simulator.rest_gate import RestGate
from feeder.simulator.rest_reply import Answer, Endpoint, Refused, envelope


class RestServer:
    """The HTTP server; `async with` binds the port, `url` is then known. Port 0 picks one.

    `endpoints` are the venue's, by method and path; they are asked what `gate` lets through.
    """

    def __init__(
        self,
        endpoints: Mapping[tuple[str, str], Endpoint],
        control: Control,
        gate: RestGate,
        host: str,
        port: int,
    ) -> None:
        self._gate = gate
        self._clock = gate.clock
        self._host = host
        self._port = port
        app = web.Application(middlewares=gate.middlewares())
        app.router.add_get("/v5/market/time", self._handler(self._time))
        for (method, path), endpoint in endpoints.items():
            app.router.add_route(method, path, self._handler(endpoint))
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

    def _time(self, _call: Caller) -> Answer:
        now_ns = self._clock.wall_ns()
        return Answer({"timeSecond": str(now_ns // SECOND_NS), "timeNano": str(now_ns)})

    def _handler(self, endpoint: Endpoint) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def serve(_request: web.Request) -> web.Response:
            answer: Answer | Refused
            try:
                answer = endpoint(caller.get())
            except Refused as refused:
                answer = refused
            return web.json_response(envelope(answer, self._clock.wall_ns() // MILLISECOND_NS))

        return serve
