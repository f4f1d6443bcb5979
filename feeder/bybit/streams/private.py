"""An account's own stream: its orders, fills, positions, wallet and greeks. Source: Bybit v5, websocket/private/*."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from feeder.clock import Clock, SystemClock
from feeder.errors import RestError, StreamAuthError, StreamError, TopicError

from ..pacing import Timing
from .auth import Authenticator
from .channel import Channel
from .hosts import given_host, private_host
from .link import rows_of
from .messages import (
    Envelope,
    ExecutionUpdate,
    FastExecution,
    Greeks,
    OrderUpdate,
    PositionUpdate,
    WalletUpdate,
    decode_executions,
    decode_fast_executions,
    decode_greeks,
    decode_orders,
    decode_positions,
    decode_wallets,
)
from .topic_stream import TopicStream

if TYPE_CHECKING:
    from ..rest.client import BybitClient

PATH = "/v5/private"
USUAL_TOPICS = ("order", "execution", "position", "wallet")

_CATEGORIES: dict[str, Sequence[str]] = {
    "order": ("spot", "linear", "inverse", "option"),
    "execution": ("spot", "linear", "inverse", "option"),
    "execution.fast": ("spot", "linear", "inverse", "option"),
    "position": ("linear", "inverse", "option"),
    "wallet": (),
    "greeks": (),
    "dcp": ("future", "spot", "option"),
}


class PrivateStream(TopicStream):
    """The stream of the account that a client's key is of.

        async with PrivateStream(client) as stream:
            await stream.ready()
            async for order in stream.orders.events(): ...

    Channels, and the topics that they tell of: `orders` (order), `executions` (execution), `fast_executions`
    (execution.fast), `positions` (position), each of all categories or of one (order.linear), not both; `wallets`
    (wallet), `greeks` (greeks). dcp.future, dcp.spot and dcp.option have no data: they arm what
    set_disconnect_cancel_all has set. `resumed` tells the number of a connection (1, 2, ...) that is up, `lost` why
    one went down, `errors` what is wrong meanwhile, and what callbacks raised. What happens while the connection is
    down is not told afterwards: at each `resumed`, ask REST, or have an `Account` do it.

    `url`, without a path, is needed where the client has a `base_url` that is not one of the venue's own.
    """

    def __init__(
        self,
        client: "BybitClient",
        *,
        url: str | None = None,
        topics: Iterable[str] = USUAL_TOPICS,
        timing: Timing | None = None,
        clock: Clock | None = None,
        random: Random | None = None,
    ) -> None:
        host = private_host(client.base_url) if url is None else given_host("PrivateStream", url)
        super().__init__(
            "private",
            host + PATH,
            "private",
            authenticator=Authenticator(client),
            timing=timing,
            clock=clock or SystemClock(),
            random=random or Random(),  # noqa: S311 - for delays
            venue_ms=client.venue_ms,
        )
        self.orders: Channel[OrderUpdate] = Channel("orders", self.report)
        self.executions: Channel[ExecutionUpdate] = Channel("executions", self.report)
        self.fast_executions: Channel[FastExecution] = Channel("fast executions", self.report)
        self.positions: Channel[PositionUpdate] = Channel("positions", self.report)
        self.wallets: Channel[WalletUpdate] = Channel("wallets", self.report)
        self.greeks: Channel[Greeks] = Channel("greeks", self.report)
        self._client = client
        self._kinds: dict[str, tuple[Callable[[Any], list[Any]], Channel[Any]]] = {
            "order": (decode_orders, self.orders),
            "execution": (decode_executions, self.executions),
            "execution.fast": (decode_fast_executions, self.fast_executions),
            "position": (decode_positions, self.positions),
            "wallet": (decode_wallets, self.wallets),
            "greeks": (decode_greeks, self.greeks),
        }
        self._measuring: asyncio.Task[None] | None = None
        self.subscribe(*topics)

    async def start(self) -> None:
        """Measure the venue's clock, by which the key signs in, then connect, for ever; see `ready`."""
        if not self._started and not self._closed:
            self._starting = True
            try:
                await self._measure(self._client.keep_time)
            finally:
                self._starting = False
            if not self._closed:  # meanwhile
                await super().start()
        else:
            await super().start()

    async def aclose(self) -> None:
        """As every stream does."""
        self._closed = True  # from now on no clock is measured
        if self._measuring is not None:
            self._measuring.cancel()
            await asyncio.gather(self._measuring, return_exceptions=True)
        await super().aclose()

    def on_error(self, error: StreamError) -> None:
        """A link found something wrong; a clock that is wrong is one reason for a key to be refused."""
        if isinstance(error, StreamAuthError) and self._measuring is None and not self._closed:
            self._measuring = asyncio.create_task(self._measure(self._client.measure_clock), name="venue's clock")
            self._measuring.add_done_callback(self._on_measured)
        super().on_error(error)

    def _check(self, topics: Sequence[str]) -> None:
        wanted = {*self.topics, *topics}
        for topic in topics:
            kind, category = _parsed(topic)
            if category and kind in wanted:
                raise TopicError(topic, f"beside {kind}, which tells of all categories; leave one out")
            if not category and (
                others := sorted(each for each in wanted if _parsed(each)[0] == kind and each != kind)
            ):
                raise TopicError(topic, f"beside {', '.join(others)}; leave one or the other out")

    def _take(self, envelope: Envelope) -> None:
        kind, _ = _parsed(envelope.topic)
        route = self._kinds.get(kind)
        if route is None:
            return
        decode_rows, channel = route
        for row in rows_of(envelope, decode_rows):
            row.creation_time = envelope.time_ms  # type: ignore[attr-defined]  # each kind of row has it
            channel.publish(row)

    def _channels(self) -> Iterable[Channel[Any]]:
        return [channel for _, channel in self._kinds.values()]

    async def _measure(self, ask: Callable[[], Awaitable[object]]) -> None:
        try:
            await ask()
        except RestError as error:  # our own clock may do; if it does not, the venue will say so
            self.report(error)

    def _on_measured(self, _task: asyncio.Task[None]) -> None:
        self._measuring = None


def _parsed(topic: str) -> tuple[str, str]:
    """Kind and category, which may be empty. Raises TopicError."""
    if topic in _CATEGORIES and topic != "dcp":
        return topic, ""
    kind, _, category = topic.rpartition(".")
    if category in _CATEGORIES.get(kind, ()):
        return kind, category
    raise TopicError(topic, f"no topic of the private stream; there are {', '.join(_topics())}")


def _topics() -> Iterable[str]:
    for kind, categories in _CATEGORIES.items():
        if kind != "dcp":
            yield kind
        for category in categories:
            yield f"{kind}.{category}"
