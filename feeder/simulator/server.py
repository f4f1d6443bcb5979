"""The simulator put together: a market, the exchange, its two servers, and the one task that moves time on."""

import asyncio
import errno
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from feeder.clock import Clock, SystemClock
from feeder.errors import FeederError
from feeder.log import logger
from feeder.simulator.control import Control
from feeder.simulator.exchange import Exchange
from feeder.simulator.faults import Mishap
from feeder.simulator.guests import Host
from feeder.simulator.injector import Done, Injector
from feeder.simulator.keys import DEFAULT_KEY, ApiKey
from feeder.simulator.ledger import Ledger
from feeder.simulator.private_faults import SocketFaults
from feeder.simulator.private_streams import PrivateStreams
from feeder.simulator.public_streams import PublicStreams
from feeder.simulator.quotes import Quotes
from feeder.simulator.recording import Recording
from feeder.simulator.replay import ReplaySource
from feeder.simulator.rest import RestServer
from feeder.simulator.rest_account import AccountEndpoints
from feeder.simulator.rest_gate import RestGate
from feeder.simulator.rest_market import MarketEndpoints
from feeder.simulator.rest_position import PositionEndpoints
from feeder.simulator.rest_trade import TradeEndpoints
from feeder.simulator.script import AnyFault, Enlist, Script, check_moment
from feeder.simulator.seeded import SeededSource
from feeder.simulator.source import Source
from feeder.simulator.summary_topics import SummaryTopics
from feeder.simulator.trade_markets import TradedMarkets
from feeder.simulator.trade_streams import TradeStreams
from feeder.simulator.universe import universe
from feeder.simulator.venue import CATEGORIES
from feeder.simulator.websocket import WebSocketServer

_SHORTEST_TURN_SECONDS = 0.002  # what is due within it goes out together
_LONGEST_WAIT_SECONDS = 0.05  # until a new subscription, or a clock moved by hand, is noticed
_MESSAGES_PER_TURN = 500
_STALLED_SECONDS = 10.0  # a replay at full speed waits this long for a client that reads nothing

_log = logger("simulator.server")


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """A seeded market (`symbols` over `categories`) unless there are `replays`, (category, file) pairs.

    `speed` is that of replays: 1 is real time, None as fast as the clients read. Port 0 picks one. `faults` is the
    script of what goes wrong. `keys` may sign requests; `rest_limits` makes REST refuse whoever asks too often, as the
    venue does: an address by HTTP 403, an account by retCode 10006.
    """

    host: str = "127.0.0.1"
    port: int = 0
    rest_port: int = 0
    categories: tuple[str, ...] = ("linear",)
    symbols: int = 20
    seed: int = 1
    updates_per_second: float = 400.0
    replays: Sequence[tuple[str, Path]] = ()
    speed: float | None = 1.0
    faults: Sequence[AnyFault] = ()
    keys: Sequence[ApiKey] = (DEFAULT_KEY,)
    rest_limits: bool = False


class Simulator:
    """A running exchange: `async with Simulator(config) as sim`, then `sim.websocket_url` and `sim.rest_url`.

    FeederError when a port is taken, a recording cannot be replayed, the market would be empty, a scripted fault
    cannot be, or an API key cannot be used.
    """

    def __init__(self, config: SimulatorConfig, clock: Clock | None = None) -> None:
        self._config = config
        self._clock = clock or SystemClock()
        self.exchange = Exchange(_source(config, self._clock), config.seed, self._clock)
        quotes = Quotes(self.exchange, config.seed)
        self.exchange.summaries = SummaryTopics(quotes)
        self.ledger = Ledger(quotes, config.seed, self._clock)
        endpoints = {
            **MarketEndpoints(self.exchange, quotes).endpoints(),
            **TradeEndpoints(self.ledger).endpoints(),
            **PositionEndpoints(self.ledger, quotes).endpoints(),
            **AccountEndpoints(self.ledger, quotes).endpoints(),
        }
        gate = RestGate(config.keys, self._clock, enforce_limits=config.rest_limits)
        faults = SocketFaults(self._clock)
        self._traded = TradedMarkets(self.exchange, self.ledger.listen, gate.authenticator, self._clock)
        self._private = PrivateStreams(
            self.ledger.listen, gate.authenticator, faults, self._traded.begin, config.seed, self._clock
        )
        self._trade = TradeStreams(
            endpoints, gate, self._private, faults, config.seed, self._clock, enforce_limits=config.rest_limits
        )
        hosts: dict[str, Host] = {"/v5/private": self._private, "/v5/trade": self._trade}
        hosts |= {f"/v5/public/{category}": PublicStreams(self.exchange, category) for category in CATEGORIES}
        self._websocket = WebSocketServer(hosts, self._clock, config.host, config.port)
        signed = (self._private, self._trade)
        self._injector = Injector(self.exchange, self._websocket, gate, faults, signed, self._clock)
        self._script = _script(config, self._injector)
        control = Control(self.exchange, self._injector)
        self._rest = RestServer(endpoints, control, gate, config.host, config.rest_port)
        self._stack = AsyncExitStack()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Simulator":
        async with AsyncExitStack() as stack:
            for server, port, option in (
                (self._websocket, self._config.port, "--port"),
                (self._rest, self._config.rest_port, "--rest-port"),
            ):
                try:
                    await stack.enter_async_context(server)
                except OSError as error:
                    raise _cannot_listen(error, self._config.host, port, option) from error
            self._stage_faults()  # those that are in force before anybody connects
            self._task = asyncio.create_task(self._run(), name="simulator")
            self._stack = stack.pop_all()
        _log.info("simulator ready", websocket=self.websocket_url, rest=self.rest_url)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._task is not None
        self._task.cancel()
        try:
            await asyncio.wait([self._task])
        finally:
            await self._stack.aclose()
        if not self._task.cancelled():
            self._task.result()  # the market ended by itself: say why

    @property
    def websocket_url(self) -> str:
        """`ws://host:port`; a client appends /v5/public/<category>, /v5/private or /v5/trade."""
        return self._websocket.url

    @property
    def rest_url(self) -> str:
        """`http://host:port`."""
        return self._rest.url

    async def wait(self) -> None:
        """Run until cancelled; raises what ended the market, if anything did."""
        assert self._task is not None
        await asyncio.shield(self._task)

    def inject(self, fault: AnyFault) -> Done:
        """Make a fault of `feeder.simulator.script` happen now. FeederError if it cannot be."""
        return self._injector.inject(fault)

    async def drop_connections(self) -> None:
        """Cut every client's connection without a close frame; returns when all are gone. They may come back."""
        await self._websocket.drop_connections()

    def skip_update(self, category: str, symbol: str) -> None:
        """Make a gap: the next delta of each of the symbol's subscribed books reaches nobody."""
        self.exchange.plan(category, symbol, Mishap.SKIP)

    def repeat_update(self, category: str, symbol: str) -> None:
        """Send the last message of each of the symbol's subscribed books again."""
        self.exchange.repeat_update(category, symbol)

    def resend_snapshot(self, category: str, symbol: str, u: int | None = None) -> None:
        """Send each of the symbol's subscribed books as a snapshot; u=1 restarts the update ids, as a service does."""
        if u not in (None, 1):
            raise FeederError(f"a snapshot cannot be sent as update {u}; leave it out, or give 1 for a restart")
        self.exchange.resend_snapshot(category, symbol, restart=u == 1)

    def refuse(self, category: str, topic: str, times: int = 1) -> None:
        """Refuse the next `times` requests for a topic as if it did not exist."""
        self.exchange.faults.refuse(category, topic, times)

    def send_raw(self, category: str, text: str) -> None:
        """Send any text to all connections of a category, which is also `private` or `trade`."""
        self._websocket.send_raw(category, text)

    async def _run(self) -> None:
        """Publish what is due, sleep until the next is."""
        clock, exchange = self._clock, self.exchange
        at_full_speed = bool(self._config.replays) and self._config.speed is None
        while True:
            self._stage_faults()
            self._traded.advance()
            published = exchange.advance(_MESSAGES_PER_TURN)
            self.ledger.advance()
            self._private.advance()
            self._trade.advance()
            if at_full_speed:
                await self._websocket.wait_drained(_STALLED_SECONDS)
            if published == _MESSAGES_PER_TURN:
                await asyncio.sleep(0)
                continue
            dues = [exchange.next_due(), self._next_fault()]
            now = clock.monotonic()
            wait = min((due - now for due in dues if due is not None), default=_LONGEST_WAIT_SECONDS)
            if self._websocket.pump():
                wait = _SHORTEST_TURN_SECONDS
            await asyncio.sleep(min(max(wait, _SHORTEST_TURN_SECONDS), _LONGEST_WAIT_SECONDS))

    def _stage_faults(self) -> None:
        """Carry out what the script has for this moment."""
        begun = self.exchange.first_subscribed_at
        for fault in self._script.due(None if begun is None else self._clock.monotonic() - begun):
            try:
                done = self._injector.inject(fault)
            except FeederError as error:  # two faults of a script that do not go together
                _log.error("fault not staged", fault=fault.name, at=fault.at, error=str(error))
            else:
                _log.warning("fault", fault=fault.name, at=fault.at, touched=done.touched)

    def _next_fault(self) -> float | None:
        begun, at = self.exchange.first_subscribed_at, self._script.next_at()
        return None if begun is None or at is None else begun + at


def _script(config: SimulatorConfig, injector: Injector) -> Script:
    mistakes = []
    to_come = {(fault.category, fault.symbol) for fault in config.faults if isinstance(fault, Enlist)}
    for number, fault in enumerate(config.faults, 1):
        try:
            check_moment(fault)
            injector.check(fault, to_come)
        except FeederError as error:
            mistakes.append(f"entry {number}: {fault.name}: {error}")
    if mistakes:
        raise FeederError("\n  ".join(["the faults do not fit the market", *mistakes]))
    return Script(config.faults)


def _source(config: SimulatorConfig, clock: Clock) -> Source:
    if config.replays:
        recordings = [Recording.load(category, path) for category, path in config.replays]
        return ReplaySource(recordings, config.speed, clock)
    if config.updates_per_second <= 0:
        raise FeederError(f"a market of {config.updates_per_second} updates per second stands still; ask for more")
    listings = universe(config.categories, config.symbols)
    return SeededSource(listings, config.seed, config.updates_per_second, clock)


def _cannot_listen(error: OSError, host: str, port: int, option: str) -> FeederError:
    if error.errno == errno.EADDRINUSE:
        return FeederError(f"port {port} of {host} is in use; stop what listens there, or choose another with {option}")
    return FeederError(f"cannot listen on {host} port {port}: {error}; choose others with --host and {option}")
