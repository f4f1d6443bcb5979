"""The order-entry socket: what REST does, asked over a WebSocket, and what goes wrong with it. No sockets here."""

import random
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from feeder.clock import MILLISECOND_NS, Clock
from feeder.simulator.guests import Wire
from feeder.simulator.keys import ApiKey
from feeder.simulator.private_connections import Connections, SignedGuest
from feeder.simulator.private_faults import SocketFaults, refusal_of
from feeder.simulator.private_streams import PrivateStreams, connection_id
from feeder.simulator.refusals import TOO_MANY, refused
from feeder.simulator.rest_caller import Caller
from feeder.simulator.rest_gate import RestGate
from feeder.simulator.rest_limits import Visit
from feeder.simulator.rest_reply import Answer, Endpoint, Refused
from feeder.simulator.trade_session import PATHS, OrderRequest, TradeSession

ADDRESS_REQUESTS = 3000
"""From one address in a second."""

_TOO_MANY_OF_ADDRESS = 10403
_ACK_FIRST = 0.5  # share of requests whose answer comes before what the private streams tell of them


class _Late(NamedTuple):
    """An answer that is held back."""

    due: float
    guest: "TradeGuest"
    payload: bytes


class TradeStreams:
    """Serves /v5/trade. `endpoints` are those of REST; `gate` has its keys, its clock and its limits.

    `enforce_limits`: refuse by 10403 the address that asks too often.
    """

    def __init__(
        self,
        endpoints: Mapping[tuple[str, str], Endpoint],
        gate: RestGate,
        private: PrivateStreams,
        faults: SocketFaults,
        seed: int,
        clock: Clock,
        *,
        enforce_limits: bool,
    ) -> None:
        self._endpoints = {op: endpoints["POST", path] for op, path in PATHS.items()}
        self._gate = gate
        self._private = private
        self._faults = faults
        self._clock = clock
        self._rng = random.Random(f"trade:{seed}")  # noqa: S311 - no secret
        self._guests: Connections[TradeGuest] = Connections(clock)
        self._late: list[_Late] = []  # bounded by the rate limits, or by a fault's `times`
        self._visits: dict[str, deque[float]] | None = {} if enforce_limits else None

    def connect(self, wire: Wire) -> "TradeGuest":
        """A new connection."""

        def login(args: Any) -> ApiKey:
            refusal = self._faults.take_login("trade")
            if refusal is not None:
                raise refusal
            return self._gate.authenticator.check_login(args, wire.address)

        session = TradeSession(connection_id(self._rng), login, self._gate.authenticator.check_time)
        guest = TradeGuest(self, wire, session, self._clock)
        self._guests.add(guest)
        return guest

    def advance(self) -> None:
        """Send what is late and due, and cut who has to go."""
        now = self._clock.monotonic()
        due = [late for late in self._late if late.due <= now]
        self._late = [late for late in self._late if late.due > now]
        for late in due:
            late.guest.send(late.payload)
        self._guests.cut_silent()

    def cut(self, key: str | None) -> list[str]:
        """Cut the connections of a key, or of all keys; their ids."""
        return self._guests.cut(key)

    def leave(self, guest: "TradeGuest") -> None:
        """A connection is gone. Harmless if it was gone before."""
        self._guests.remove(guest)
        self._late = [late for late in self._late if late.guest is not guest]

    def receive(self, guest: "TradeGuest", text: bytes) -> None:
        """Answer a message of a client, or do what it asks for."""
        handled = guest.session.handle(text, self._now_ms())
        guest.lifetime.logged_in = guest.session.api_key is not None
        if isinstance(handled, bytes):
            guest.send(handled)
            return
        visit = self._visit(guest, handled)
        fault = self._faults.take_order(handled.op)
        if fault is None:
            self._carry_out(guest, handled, visit)
        elif fault.ret_code is not None:
            if visit is not None and fault.ret_code == TOO_MANY:  # then the header says until when
                visit = visit._replace(remaining=0, reset_ms=self._now_ms() + 1000)
            self._answer(guest, handled, refusal_of(fault.ret_code, fault.ret_msg), visit)
        elif fault.how == "unsent":
            guest.wire.cut("fault: order_entry")
        elif fault.how == "lost":
            self._outcome(guest, handled, visit)
            guest.wire.cut("fault: order_entry")
        elif fault.how == "late":
            assert fault.delay is not None
            payload = guest.session.answer(handled, self._outcome(guest, handled, visit), self._header(visit))
            self._late.append(_Late(self._clock.monotonic() + fault.delay, guest, payload))

    def _carry_out(self, guest: "TradeGuest", request: OrderRequest, visit: Visit | None) -> None:
        """The answer and the messages of the private streams come over two sockets, and so in any order."""
        if self._rng.random() < _ACK_FIRST:
            with self._private.held():
                self._answer(guest, request, self._outcome(guest, request, visit), visit)
        else:
            self._answer(guest, request, self._outcome(guest, request, visit), visit)

    def _outcome(self, guest: "TradeGuest", request: OrderRequest, visit: Visit | None) -> Answer | Refused:
        if visit is None:
            return refused(_TOO_MANY_OF_ADDRESS)
        if not visit.allowed:
            return refused(TOO_MANY)
        try:
            return self._endpoints[request.op](Caller(guest.api_key, request.parameters, visit.allowed))
        except Refused as why:
            return why

    def _answer(
        self, guest: "TradeGuest", request: OrderRequest, answer: Answer | Refused, visit: Visit | None
    ) -> None:
        guest.send(guest.session.answer(request, answer, self._header(visit)))

    def _visit(self, guest: "TradeGuest", request: OrderRequest) -> Visit | None:
        """Count the request with those of its account, over REST or here; None if its address asks too often."""
        if not self._lets_in(guest.wire.address):
            return None
        assert guest.api_key is not None
        given = request.parameters
        orders = max(1, len(given["request"])) if request.op.endswith("-batch") else 1
        return self._gate.limits.visit(guest.api_key.account, PATHS[request.op], given["category"], orders)

    def _lets_in(self, address: str) -> bool:
        if self._visits is None:
            return True
        now = self._clock.monotonic()
        times = self._visits.setdefault(address, deque())
        while times and times[0] <= now - 1.0:
            times.popleft()
        if len(times) >= ADDRESS_REQUESTS:
            return False
        times.append(now)
        return True

    def _header(self, visit: Visit | None) -> dict[str, str]:
        limits = {} if visit is None else visit.headers
        return limits | {"Traceid": f"{self._rng.getrandbits(128):032x}", "Timenow": str(self._now_ms())}

    def _now_ms(self) -> int:
        return self._gate.clock.wall_ns() // MILLISECOND_NS


class TradeGuest(SignedGuest[TradeSession]):
    """One connection."""

    def __init__(self, streams: TradeStreams, wire: Wire, session: TradeSession, clock: Clock) -> None:
        super().__init__(wire, session, clock)
        self._streams = streams

    def receive(self, text: bytes) -> None:
        """A whole message of the client."""
        self._streams.receive(self, text)

    def leave(self) -> None:
        """The connection is gone."""
        self._streams.leave(self)
