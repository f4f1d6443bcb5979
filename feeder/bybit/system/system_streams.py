"""The WebSockets of a system: public ones by category, the account's own, and order entry."""

import asyncio
from collections.abc import Callable, Iterator
from random import Random
from typing import TypeVar

from feeder.clock import Clock
from feeder.errors import ConfigError, FeederError, ParameterError, TopicError

from ..rest.client import BybitClient
from ..streams.account import Account
from ..streams.channel import Channel
from ..streams.hosts import public_host
from ..streams.order_entry import OrderEntry
from ..streams.private import USUAL_TOPICS, PrivateStream
from ..streams.public import PublicStream
from .settings import SystemSettings

Part = TypeVar("Part")
Report = Callable[[str, Exception], None]


class SystemStreams:
    """`system.streams`. Raises ConfigError when the settings name topics, or an address, that cannot be.

    What is off in the settings raises ConfigError when it is used.
    """

    def __init__(
        self, client: BybitClient, settings: SystemSettings, *, clock: Clock, random: Random, report: Report
    ) -> None:
        url = settings.websocket.url
        if url is None:
            _check_host(client.base_url)
        self._client = client
        self._url = url
        self._timing = settings.websocket.timing
        self._clock = clock
        self._random = random
        self._report = report
        self._public: dict[str, PublicStream] = {}
        self._closed = False
        self._private: PrivateStream | None = None
        self._account: Account | None = None
        self._orders: OrderEntry | None = None
        if settings.has("private"):
            topics = [*USUAL_TOPICS, *settings.websocket.private_topics]
            try:
                self._private = PrivateStream(
                    client, url=url, topics=topics, timing=self._timing, clock=clock, random=random
                )
            except TopicError as error:
                raise _wrong_topic("websocket.private_topics", error) from error
            self._account = Account(
                client,
                self._private,
                categories=settings.account.categories,
                settle_coins=settings.account.settle_coins,
                clock=clock,
                random=random,
            )
        if settings.has("order_entry"):
            try:
                self._orders = OrderEntry(client, url=url, timing=self._timing, random=random)
            except ParameterError as error:  # by its address it is demo trading
                raise ConfigError("features.order_entry", str(error), "switch it off") from error
        for category, names in settings.websocket.public_topics.items():
            self.want(category, names)

    @property
    def private(self) -> PrivateStream:
        """The account's own stream."""
        return _there(self._private, "private", "private stream")

    @property
    def account(self) -> Account:
        """Orders, positions and coins, kept true from the private stream and REST."""
        return _there(self._account, "private", "account")

    @property
    def orders(self) -> OrderEntry:
        """Orders over the order-entry WebSocket; where it is off, `system.rest` has the same methods."""
        return _there(self._orders, "order_entry", "order entry")

    async def public(self, category: str) -> PublicStream:
        """The market stream of a category, made and connected when it is first asked for; subscribe to topics on it.

        Raises TopicError for what is no category, FeederError when the system is closed.
        """
        stream = self._public.get(category)
        if stream is None or self._closed:
            stream = self._make_public(category)
        await stream.start()
        return stream

    # For the system

    @property
    def each_public(self) -> dict[str, PublicStream]:
        """Those in use, by category."""
        return self._public

    def want(self, category: str, names: list[str]) -> None:
        """Topics of the settings. Raises ConfigError for what is none."""
        try:
            stream = self._public.get(category) or self._make_public(category)
            stream.subscribe(*names)
        except TopicError as error:
            raise _wrong_topic(f"websocket.public_topics.{category}", error) from error

    def want_private(self, names: list[str]) -> None:
        """As `want`, of the account's own stream."""
        try:
            self.private.subscribe(*names)
        except TopicError as error:
            raise _wrong_topic("websocket.private_topics", error) from error

    async def drop(self, category: str) -> None:
        """Close a market stream that is not wanted after all."""
        stream = self._public.pop(category, None)
        if stream is not None:
            await stream.aclose()

    def channels_of_errors(self) -> Iterator[tuple[str, Channel[Exception]]]:
        """Where the parts tell what is wrong, without the public ones."""
        if self._private is not None:
            yield "private stream", self._private.errors
        if self._orders is not None:
            yield "order entry", self._orders.errors

    async def aclose_public(self) -> None:
        """Close the market streams; there are no more of them."""
        self._closed = True
        await asyncio.gather(*(stream.aclose() for stream in self._public.values()))

    def _make_public(self, category: str) -> PublicStream:
        if self._closed:
            raise FeederError("the system is closed; make another")
        stream = PublicStream(
            category,
            client=self._client,
            url=self._url,
            timing=self._timing,
            clock=self._clock,
            random=self._random,
        )
        stream.errors.on(lambda error: self._report(f"{category} stream", error))
        self._public[category] = stream
        return stream


def _there(part: Part | None, feature: str, what: str) -> Part:
    if part is None:
        raise ConfigError(f"features.{feature}", f"is off, and the {what} with it", "switch it on, with a key")
    return part


def _check_host(base_url: str) -> None:
    try:
        public_host(base_url)
    except FeederError as error:
        raise ConfigError("websocket.url", f"missing beside base_url {base_url}", "write wss://host") from error


def _wrong_topic(path: str, error: TopicError) -> ConfigError:
    return ConfigError(path, str(error), "name topics of the venue's, such as greeks or kline.1.BTCUSDT")
