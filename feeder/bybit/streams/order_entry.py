"""Orders over the venue's order-entry WebSocket. Source: Bybit v5, websocket/trade/guideline."""

import asyncio
import itertools
import logging
import ssl
from collections.abc import Mapping
from functools import partial
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import msgspec

from feeder.errors import (
    AuthError,
    ClockError,
    ConnectError,
    ParameterError,
    RateLimitedError,
    RestError,
    StreamAuthError,
    StreamError,
)
from feeder.log import library_logs

from ..counters import Counters
from ..pacing import Timing, TokenBucket
from ..rest.endpoint import Endpoint
from ..rest.order_actions import OrderActions
from ..rest.parameters import checked
from ..rest.reply import RateStatus, Reply
from ..stream import Stream
from .auth import Authenticator
from .channel import Channel
from .error_log import ErrorLog
from .hosts import given_host, private_host
from .latency import Latency
from .order_entry_link import EntryState, LateAck, OrderEntryLink, Outcome, name_orders
from .order_entry_messages import OPERATIONS, Operation

if TYPE_CHECKING:
    from ..rest.client import BybitClient

PATH = "/v5/trade"
READY_SECONDS = 10.0

_DEMO = ("https://api-demo.bybit.com", "wss://stream-demo.bybit.com")
_CONNECT_BURST = 20.0  # attempts at once, and per second: far below the venue's 500 per 5 minutes, for several sockets
_CONNECTS_PER_SECOND = 0.2
_CLOSE_SECONDS = 1.0  # for the answers to what was sent before `aclose`

Result = TypeVar("Result")

_log = logging.getLogger("feeder.bybit.streams")


class EntryHealth(msgspec.Struct, frozen=True):
    """How order entry is. `state`: ready, or what it is doing: down, signing in, restarting, refused, closed.

    `in_flight` requests wait for their answers. Of those `sent` since the start, `answered` had one, `rejected` of
    which with a retCode that is an error; of `unknown_outcomes` nobody knows whether they were carried out. For
    `late_acks` outcomes nobody waited any more, and `unmatched` answers were to none of our requests. `silent_seconds`
    is how long ago the venue said anything; None while the socket is down.
    """

    state: str
    connects: int
    reconnects: int
    in_flight: int
    sent: int
    answered: int
    rejected: int
    unknown_outcomes: int
    late_acks: int
    unmatched: int
    decode_errors: int
    silent_seconds: float | None
    round_trips: Latency | None


class OrderEntry(OrderActions):
    """Places, amends and cancels orders over one WebSocket, which it keeps alive for ever.

        async with OrderEntry(client) as entry:
            await entry.ready()
            reply = await entry.place_order("linear", "BTCUSDT", "Buy", "Limit", "0.001", price="50000")

    Methods, results and errors are those of BybitClient, and so are the limits, which socket and REST share. Of a
    request made while the socket is down the pool's `timeouts.connect` is how long it waits; then it fails with
    ConnectError: it was surely not sent. One that was sent and has no answer within `timeouts.answer`, or before the
    connection is lost, fails with `error.unknown_outcome`, and nothing of it is sent again: ask by
    `error.order_link_id`. While the key is refused, every request fails at once with AuthError.

    `late_acks` tells outcomes that nobody waited for any more. `resumed` tells the number of a connection (1, 2, ...)
    that is signed in, `lost` why one went down, `errors` what is wrong meanwhile: StreamAuthError, StreamError, and
    what callbacks raised. `url`, without a path, is needed where the client has a `base_url` that is not one of the
    venue's own. There is no order entry over WebSocket in demo trading.
    """

    def __init__(
        self,
        client: "BybitClient",
        *,
        url: str | None = None,
        timing: Timing | None = None,
        random: Random | None = None,
    ) -> None:
        host = private_host(client.base_url) if url is None else given_host("OrderEntry", url)
        if client.base_url in _DEMO or host in _DEMO:
            raise ParameterError("OrderEntry", "client", "demo trading has no order-entry WebSocket; use the client")
        library_logs()
        self._client = client
        self._pool = pool = client.pool
        self._address = host + PATH
        self._counters = Counters()
        self._random = random or Random()  # noqa: S311 - for delays and request names
        self._error_log = ErrorLog(_log, pool.clock)
        # To tell `errors` of what its own callbacks raise would go on for ever.
        self.errors: Channel[Exception] = Channel("order entry errors", partial(self._error_log.warn, "order entry"))
        self.late_acks: Channel[LateAck] = Channel("late acks", self.report)
        self.resumed: Channel[int] = Channel("order entry resumed", self.report)
        self.lost: Channel[str] = Channel("order entry lost", self.report)
        self._link = OrderEntryLink(
            self._address,
            self,
            authenticator=Authenticator(client),
            venue_ms=client.venue_ms,
            recv_window=client.recv_window,
            answer_seconds=pool.timeouts.answer,
            timing=timing or Timing(),
            clock=pool.clock,
            random=self._random,
            counters=self._counters,
        )
        self._stream = Stream(
            self._address,
            self._link,
            clock=pool.clock,
            counters=self._counters,
            attempts=TokenBucket(_CONNECT_BURST, _CONNECTS_PER_SECOND, pool.clock.monotonic()),
            ssl_context=ssl.create_default_context() if self._address.startswith("wss:") else None,
        )
        self._resumptions = itertools.count(1)
        self._is_live = False
        self._news = asyncio.Event()
        self._started = self._closed = False
        self._measuring: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"OrderEntry({self._address}, {self._state()})"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Measure the venue's clock, by which the key signs in, then connect, for ever; see `ready`.

        Raises StreamError when it is closed.
        """
        if self._closed:
            raise StreamError(f"{self._address}: {self._unusable()}")
        if not self._started:
            self._started = True
            try:
                await self._client.keep_time()
            except BaseException:
                self._started = False
                raise
            if not self._closed:
                self._stream.start()

    async def aclose(self) -> None:
        """Send nothing more, wait a second for the answers to what was sent, and close the connection.

        Callbacks and iterators end after they had what waits for them. A closed one is not started again.
        """
        self._closed = True
        self._news.set()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                while self._link.in_flight:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pass  # their outcomes are unknown, as closing the connection tells
        await self._stream.aclose()
        self._link.on_disconnected()
        if self._measuring is not None:
            self._measuring.cancel()
            await asyncio.gather(self._measuring, return_exceptions=True)
        for channel in (self.late_acks, self.resumed, self.lost, self.errors):
            await channel.aclose()
        self._error_log.close()

    async def ready(self, seconds: float = READY_SECONDS) -> None:
        """Return when orders can be sent.

        Raises StreamAuthError when the key is refused, StreamError when the time is over, or it is closed or not
        started.
        """
        try:
            async with asyncio.timeout(seconds):
                while not self._may_send():
                    if self._closed or not self._started:
                        raise StreamError(f"{self._address}: {self._unusable()}")
                    if self._link.refused is not None:
                        # Another each time: what is raised grows a traceback.
                        raise StreamAuthError(str(self._link.refused), self._link.refused.ret_code)
                    await self._next_news()
        except TimeoutError:
            raise StreamError(f"{self._address}: not ready within {seconds:g} s: {self._doing()}") from None

    async def send(self, endpoint: Endpoint[Result], parameters: Mapping[str, object]) -> Reply[Result]:
        """The reply to one of the six requests; parameters have the venue's names. Raises RestError.

        What the venue refused and may take a little later is sent again, as REST does; what it may have taken is not.
        """
        operation = OPERATIONS.get(endpoint.path)
        if operation is None:
            raise ParameterError(repr(endpoint), "endpoint", "the order-entry socket has none such; use BybitClient")
        pool = self._pool
        given = checked(endpoint, parameters, pool.random)
        attempt, delay, clock_was_wrong = 1, 0.0, False
        while True:
            try:
                if delay:
                    await pool.pause(delay)
                return await self._once(operation, given)
            except RestError as error:
                name_orders(error, given)
                if isinstance(error, ClockError):
                    pool.venue_clock(self._client.base_url).distrust()
                    if clock_was_wrong:  # it was measured anew for this one
                        raise
                    clock_was_wrong = True
                pause = self._client.pause_after(error, attempt)
                if pause is None or error.unknown_outcome or isinstance(error, ConnectError):  # which has waited
                    raise
                delay = pause
                _log.debug("sent again in %.2f s, after %d: %s", delay, attempt, error)
            attempt += 1

    def health(self) -> EntryHealth:
        """How it is now."""
        link, counters = self._link, self._counters
        return EntryHealth(
            state=self._state(),
            connects=counters.connects,
            reconnects=counters.reconnects,
            in_flight=link.in_flight,
            sent=link.sent,
            answered=link.answered,
            rejected=link.rejected,
            unknown_outcomes=link.unknown_outcomes,
            late_acks=link.late_acks,
            unmatched=link.unmatched,
            decode_errors=counters.decode_errors,
            silent_seconds=link.silent_seconds,
            round_trips=Latency.of(link.round_trips),
        )

    def report(self, error: Exception) -> None:
        """Tell `errors` of one; without anybody there, the log."""
        if self.errors:
            self.errors.publish(error)
        else:
            self._error_log.warn("order entry", error)

    # Told by the link

    def on_state(self) -> None:
        """It is ready, or is no longer."""
        if self._link.is_ready:
            self._is_live = True
            self.resumed.publish(next(self._resumptions))
        elif self._is_live and self._link.state in (EntryState.DOWN, EntryState.REFUSED):
            self._is_live = False
            if not self._closed:
                self.lost.publish(self._stream.down_reason)
        self._news.set()

    def on_late(self, late: LateAck) -> None:
        """An outcome came that nobody waits for."""
        if not self.late_acks:
            _log.warning("order entry: a late outcome of %s: %r", late.operation, late.outcome)
        self.late_acks.publish(late)

    def on_error(self, error: Exception) -> None:
        """The link found something wrong; a clock that is wrong is one reason for a key to be refused."""
        if isinstance(error, StreamAuthError) and self._measuring is None:
            self._pool.venue_clock(self._client.base_url).distrust()
            self._measuring = asyncio.create_task(self._client.keep_time(), name="venue's clock")
            self._measuring.add_done_callback(self._on_measured)
        self.report(error)

    # Within

    async def _once(self, operation: Operation, given: Mapping[str, Any]) -> Reply[Any]:
        """One request, when there is a connection and its turn has come."""
        client, link, pool = self._client, self._link, self._pool
        patience = pool.clock.monotonic() + pool.timeouts.connect
        while True:
            if not self._may_send():
                await self._connected(operation, patience)
            window = await client.socket_turn(operation.endpoint, given)
            if self._may_send():
                break
            # The connection went while this waited for its turn, and the turn with it: that much less is sent.
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        sent = pool.clock.monotonic()

        def take(outcome: Outcome, rate: RateStatus | None) -> bool:
            if rate is not None:
                window.learn(rate.limit, rate.remaining, sent)
            if isinstance(outcome, RateLimitedError):
                client.hold(window, rate, outcome)
            if self._closed:
                self._news.set()
            if future.done():
                return False
            future.set_result(outcome)
            return True

        self._stream.perform(link.request(operation, given, take))
        try:
            outcome = await future
        except asyncio.CancelledError:
            if not future.cancelled():  # the answer came in the same turn of the loop
                link.untaken(operation, given, future.result(), sent)
            raise
        if isinstance(outcome, RestError):
            raise outcome
        return outcome

    def _may_send(self) -> bool:
        return self._link.is_ready and not self._closed

    async def _connected(self, operation: Operation, patience: float) -> None:
        """Wait until orders can be sent. Raises AuthError while the key is refused, and ConnectError."""
        address = f"{self._address}: {operation.name}: not sent"
        try:
            async with asyncio.timeout(patience - self._pool.clock.monotonic()):
                while not self._may_send():
                    refused = self._link.refused
                    if refused is not None:
                        # Where the venue gives no code: that of one who is not logged in.
                        raise AuthError(f"{address}, as {refused}", refused.ret_code or 10007, str(refused))
                    if self._closed or not self._started:
                        raise ConnectError(f"{address}, as {self._unusable()}")
                    await self._next_news()
        except TimeoutError:
            waited = self._pool.timeouts.connect
            raise ConnectError(
                f"{address}, as there was no connection within {waited:g} s: {self._doing()}", retriable=True
            ) from None

    async def _next_news(self) -> None:
        self._news.clear()
        await self._news.wait()

    def _unusable(self) -> str:
        if self._closed:
            return "it is closed, and has one life; make another"
        return "it is not started; use `async with`, or call start()"

    def _state(self) -> str:
        return "closed" if self._closed else self._link.state.name.lower().replace("_", " ")

    def _doing(self) -> str:
        said = self._stream.down_reason
        return f"{self._state()}{f', {said}' if said else ''}"

    def _on_measured(self, task: "asyncio.Task[None]") -> None:
        self._measuring = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self.report(error if isinstance(error, Exception) else StreamError(repr(error)))
