"""Carries faults out, and keeps what it did."""

from collections.abc import Container, Sequence
from decimal import Decimal
from typing import NamedTuple, Protocol

from feeder.clock import Clock
from feeder.errors import FeederError
from feeder.simulator.exchange import Exchange
from feeder.simulator.faults import Mishap, OldTimes
from feeder.simulator.line import Line
from feeder.simulator.private_faults import SocketFaults
from feeder.simulator.replay import ReplaySource
from feeder.simulator.rest_gate import RestGate
from feeder.simulator.rest_limits import Limit
from feeder.simulator.script import (
    AnyFault,
    BookFault,
    Bursty,
    Crossed,
    Delist,
    Disconnect,
    Duplicate,
    Enlist,
    Gap,
    HalfOpen,
    Malformed,
    OldData,
    OutOfOrder,
    Raw,
    Refuse,
    Rest,
    Restart,
    RestLimit,
    RestSkew,
    Slow,
    Snapshot,
    StuckTimes,
    Surge,
    TickChange,
    Turnover,
)
from feeder.simulator.script_sockets import Auth, OrderEntry, Private, Revoke
from feeder.simulator.universe import new_listing
from feeder.simulator.venue import CATEGORIES
from feeder.simulator.websocket import WebSocketServer

_MISHAPS = {Gap: Mishap.SKIP, OutOfOrder: Mishap.SWAP, Crossed: Mishap.CROSS, Malformed: Mishap.SPOIL}


class Done(NamedTuple):
    """A fault that was carried out, when (ns since the epoch), and the topics, connections or paths it hit."""

    fault: AnyFault
    wall_ns: int
    touched: list[str]


class Signed(Protocol):
    """Serves connections that log in."""

    def cut(self, key: str | None) -> list[str]:
        """Cut those of a key, or of all keys; their ids."""
        ...


class Injector:
    """Makes faults happen. `done` holds those carried out, in order."""

    def __init__(
        self,
        exchange: Exchange,
        websocket: WebSocketServer,
        rest: RestGate,
        sockets: SocketFaults,
        signed: Sequence[Signed],
        clock: Clock,
    ) -> None:
        self.done: list[Done] = []
        self._exchange = exchange
        self._websocket = websocket
        self._rest = rest
        self._sockets = sockets
        self._signed = signed
        self._clock = clock

    def check(self, fault: AnyFault, to_come: Container[tuple[str, str]] = ()) -> None:
        """FeederError if this market can never have this fault; `to_come` are symbols that will be listed."""
        source = self._exchange.source
        if isinstance(source, ReplaySource) and isinstance(fault, Restart | TickChange | Surge):
            raise FeederError("ids, numbers and pace of a replay are recorded; stage it in a seeded market")
        if isinstance(fault, Revoke) and fault.key not in (
            None,
            *(each.key for each in self._rest.authenticator.known()),
        ):
            raise FeederError("`key`: this simulator has no such API key; name one that it has")
        if isinstance(fault, BookFault):
            listings = source.listings(fault.category)
            listing = next((each for each in listings if each.symbol == fault.symbol), None)
            if listing is None and (fault.category, fault.symbol) in to_come:
                return
            if listing is None:
                raise FeederError(f"`symbol`: no {fault.category} {fault.symbol} is listed here; name one that is")
            if isinstance(fault, TickChange):
                listing.with_steps(fault.tick or listing.tick, fault.step or listing.step)

    def inject(self, fault: AnyFault) -> Done:
        """Carry it out now, whatever its `at` says. FeederError if it cannot be."""
        self.check(fault)
        done = Done(fault, self._clock.wall_ns(), self._carry_out(fault))
        self.done.append(done)
        return done

    def _carry_out(self, fault: AnyFault) -> list[str]:
        exchange, websocket = self._exchange, self._websocket
        now = self._clock.monotonic()
        match fault:
            case Gap() | OutOfOrder() | Crossed() | Malformed():
                return exchange.plan(fault.category, fault.symbol, _MISHAPS[type(fault)])
            case Duplicate():
                return exchange.repeat_update(fault.category, fault.symbol)
            case Snapshot() | Restart():
                restart = isinstance(fault, Restart)
                return exchange.resend_snapshot(fault.category, fault.symbol, restart=restart)
            case Refuse():
                topics = [f"orderbook.{depth}.{fault.symbol}" for depth in CATEGORIES[fault.category].depths]
                if exchange.summaries is not None:
                    topics += exchange.summaries.topics(fault.category, fault.symbol)
                for topic in topics:
                    exchange.faults.refuse(fault.category, topic, fault.times)
                return topics
            case Delist():
                return exchange.delist(fault.category, fault.symbol, fault.status)
            case TickChange():
                exchange.source.change_tick(fault.category, fault.symbol, fault.tick, fault.step)
                return exchange.resend_snapshot(fault.category, fault.symbol, restart=True)
            case Turnover():
                exchange.turnovers.fix(fault.category, fault.symbol, Decimal(fault.turnover))
                return [fault.symbol]
            case Enlist():
                exchange.enlist(new_listing(fault.category, fault.symbol, fault.tick, fault.step, fault.price))
                return [fault.symbol]
            case Raw():
                return websocket.send_raw(fault.category, fault.text)
            case Disconnect():
                return websocket.cut(fault.category, fault.count)
            case HalfOpen():
                until = None if fault.seconds is None else now + fault.seconds
                return websocket.mute(fault.category, fault.count, until)
            case Slow():
                line = Line(now + fault.seconds, delay=fault.delay, bytes_per_second=fault.bytes_per_second)
                websocket.lines[fault.category] = line
                return websocket.names(fault.category)
            case Bursty():
                end = now + fault.seconds
                websocket.lines[fault.category] = Line(end, held_until=end)
                return websocket.names(fault.category)
            case Surge():
                exchange.source.surge(fault.times, now + fault.seconds)
                return [name for category in CATEGORIES for name in websocket.names(category)]
            case OldData():
                old = OldTimes(now + fault.seconds, age_ms=round(fault.age * 1000))
                exchange.age_times(fault.category, old)
                return websocket.names(fault.category)
            case StuckTimes():
                stuck = OldTimes(now + fault.seconds, stuck_ms=self._clock.wall_ns() // 1_000_000)
                exchange.age_times(fault.category, stuck)
                return websocket.names(fault.category)
            case Rest():
                self._rest.faults.add(fault)
                return [fault.path]
            case RestLimit():
                self._rest.limits.tighten(fault.path, Limit(fault.requests, fault.window), fault.seconds)
                return [fault.path]
            case RestSkew():
                self._rest.clock.set_ahead(fault.by, None if fault.seconds is None else now + fault.seconds)
                return ["/v5/"]
            case Auth() | OrderEntry() | Private():
                self._sockets.add(fault)
                return _paths(fault)
            case Revoke():
                for each in self._rest.authenticator.known():
                    if fault.key in (None, each.key):
                        self._rest.authenticator.revoke(each.key, fault.ret_code)
                return [name for host in self._signed for name in host.cut(fault.key)]


def _paths(fault: Auth | OrderEntry | Private) -> list[str]:
    """Where it will happen."""
    private, trade = "/v5/private", "/v5/trade"
    match fault:
        case Auth():
            return [path for path in (private, trade) if fault.category is None or path.endswith(fault.category)]
        case OrderEntry():
            return [trade]
        case Private():
            return [fault.topic]
