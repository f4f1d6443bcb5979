"""REST, streams and market as one thing, which starts and ends in order, looks after itself, and says how it is."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from feeder.clock import MILLISECOND_NS, Clock, SystemClock
from feeder.errors import ConfigError, FeederError, RestError, VenueError

from ..rest.client import BybitClient
from ..rest.pool import SessionPool, Timeouts
from ..rest.settings import Settings, client_from
from ..rest.venue_clock import SAMPLES
from ..streams.channel import in_callback
from .events import EventHub
from .health import findings
from .health_loop import HealthLoop
from .log_level import library_level
from .market import Market
from .settings import SystemSettings
from .system_events import SystemEvents
from .system_reload import Reloaded, SettingsReader, watch_all
from .system_status import Health, SystemStatus, rest_status
from .system_streams import SystemStreams

_CLOSE_SECONDS = 5.0  # each part gets so long to close
_CANCEL_SECONDS = 1.0  # and then so long to be cancelled

_CLOSED_MEANWHILE = "the system was closed while it started"

_log = logging.getLogger("feeder.bybit.system")


class BybitSystem(SystemEvents):
    """Everything of the SDK for one account, or for none.

        async with BybitSystem(SystemSettings.load("bybit.yaml")) as system:
            system.on("fill", print)
            await system.rest.wallet_balance()

    rest      a BybitClient on a pool of its own: every REST endpoint
    streams   account (orders, positions and coins, kept true), orders (order entry), private, public(category)
    market    Market, REST and streams merged: watch(category, symbol), symbol, quality, history
    settings  the SystemSettings that it runs with; `reload` reads them again

    Events are told by `on`, `events` and `latest`: ticker (TickerUpdate), trade (Trade), book (BookEvent), order
    (OrderUpdate), fill (ExecutionUpdate), position (PositionUpdate), wallet (WalletUpdate), health_check (Health),
    error_occurred (ErrorOccurred). `status` says how it all is, `check_health` what is wrong with it.

    Constructing it opens nothing. Starting raises ConfigError, RestError or StreamError as soon as a part does
    not come up, and then nothing is left open. It has one life: a closed one is not started again. `clock`, `random`
    and `sleep` are for tests.
    """

    def __init__(
        self,
        settings: SystemSettings | None = None,
        *,
        clock: Clock | None = None,
        random: Random | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if not isinstance(settings, SystemSettings | None):
            raise TypeError(f"BybitSystem: settings is a {type(settings).__name__}; give it SystemSettings.load(path)")
        self.settings = settings = settings or SystemSettings()
        self._clock = clock = clock or SystemClock()
        self._random = random = random or Random()  # noqa: S311 - for delays
        self._hub = EventHub(clock)
        limits = settings.connection
        self._pool = SessionPool(
            limits.max_connections,
            requests=settings.rate.requests,
            timeouts=Timeouts(settings.rate.wait_seconds, limits.connect_seconds, limits.answer_seconds),
            clock=clock,
            random=random,
        )
        self.rest: BybitClient = client_from(settings.client, self._pool)
        self.streams = SystemStreams(self.rest, settings, clock=clock, random=random, report=self._hub.report)
        self._market: Market | None = None
        if settings.has("market"):
            self._market = Market(
                self.rest,
                websocket_url=settings.websocket.url,
                cache=settings.cache.of_market,
                timing=settings.websocket.timing,
                clock=clock,
                random=random,
            )
        self._state = "new"
        self._began = clock.monotonic()
        # What there is to close, the last first; these may be used before the start as well.
        self._open: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("REST", self._pool.aclose),
            ("callbacks", self._hub.aclose),
            ("public streams", self.streams.aclose_public),
        ]
        self._starting: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._health_loop = HealthLoop(self, self._hub.report, clock=clock, sleep=sleep)
        self._last: SystemStatus | None = None
        self._health: Health | None = None
        self._rest_error: str | None = None
        self._reader = SettingsReader(settings, self.streams, self._market, self._use, sleep=sleep)

    def __repr__(self) -> str:
        return f"BybitSystem({self._state}, {self.settings!r})"

    @property
    def market(self) -> Market:
        """REST and stream data per symbol. Raises ConfigError where it is off."""
        if self._market is None:
            raise ConfigError("features.market", "is off", "switch it on")
        return self._market

    # Its life

    async def __aenter__(self) -> "BybitSystem":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def start(self) -> None:
        """REST, then the market, then the account, then order entry; returns when all are there.

        But for the symbols of `watch`: they are asked for, and `market.symbol(...).ready()` waits for the data of one.
        """
        if self._state != "new":
            raise FeederError(f"the system is {self._state}, and has one life; make another")
        self._state = "starting"
        self._began = self._clock.monotonic()
        self._starting = asyncio.create_task(self._start(), name="start of the system")
        try:
            await self._starting
        except BaseException as error:
            closed_meanwhile = isinstance(error, asyncio.CancelledError) and not _is_cancelled()
            await self.aclose()
            if closed_meanwhile:
                raise FeederError(_CLOSED_MEANWHILE) from None
            raise
        if self._closing is not None:
            await self.aclose()
            raise FeederError(_CLOSED_MEANWHILE)
        self._state = "running"

    async def aclose(self) -> None:
        """Close all of it: order entry, account, market, callbacks, and REST at last. A second time does nothing more.

        Goes on to its end even when whoever waits for it is cancelled. In a coroutine function that is a callback it
        may be awaited as well; where another has called it before, who waits for the callback, it returns at once.
        """
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="end of the system")
        elif in_callback():
            return
        cancelled: asyncio.CancelledError | None = None
        while not self._closing.done():
            try:
                await asyncio.wait((self._closing,))
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled
        self._closing.result()

    async def _start(self) -> None:
        settings = self.settings
        ready = settings.connection.ready_seconds
        streams = self.streams
        library_level.ask(self, settings.logging.level)
        self._forward()
        await self._part("REST", self.rest.measure_clock())
        for category, stream in list(streams.each_public.items()):
            await self._part(f"{category} stream", stream.start())
        for category, stream in list(streams.each_public.items()):
            await self._part(f"{category} stream", stream.ready(ready))
        if self._market is not None:
            self._open.append(("market", self._market.aclose))
            await self._part("market", self._market.start())
            await self._part("market", watch_all(self._market, settings))
        if settings.has("private"):
            self._open.append(("private stream", streams.private.aclose))
            self._open.append(("account", streams.account.aclose))
            await self._part("account", streams.account.start())
            await self._part("private stream", streams.private.start())
            await self._part("private stream", streams.private.ready(ready))
            await self._part("account", streams.account.ready(ready))
        if settings.has("order_entry"):
            self._open.append(("order entry", streams.orders.aclose))
            await self._part("order entry", streams.orders.start())
            await self._part("order entry", streams.orders.ready(ready))
        self._reader.start()
        if settings.has("health"):
            self._health_loop.start()
            self._open.append(("health loop", self._health_loop.aclose))

    async def _part(self, name: str, coming_up: Awaitable[Any]) -> None:
        """An error says of which part it is."""
        try:
            await coming_up
        except FeederError as error:
            error.add_note(f"the system did not start: {name}")
            raise

    async def _close(self) -> None:
        self._state = "closing"
        self._reader.close()
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            await asyncio.wait((self._starting,), timeout=_CLOSE_SECONDS)
        while self._open:
            name, aclose = self._open.pop()
            await self._close_part(name, aclose)
        library_level.ask(self, None)
        self._state = "closed"

    async def _close_part(self, name: str, aclose: Callable[[], Awaitable[None]]) -> None:
        """Whatever becomes of it, the others are closed as well."""
        task = asyncio.ensure_future(aclose())
        await asyncio.wait((task,), timeout=_CLOSE_SECONDS)
        if not task.done():
            _log.warning("%s not closed within %g s, and cancelled", name, _CLOSE_SECONDS)
            task.cancel()
            await asyncio.wait((task,), timeout=_CANCEL_SECONDS)
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s not closed as it should be: %s: %s", name, type(error).__name__, error)

    def _forward(self) -> None:
        """What the parts tell becomes the system's events."""
        publish, report = self._hub.publish, self._hub.report
        for name, errors in self.streams.channels_of_errors():
            errors.on(partial(report, name))
        if self._market is not None:
            self._market.tickers.on(partial(publish, "ticker"))
            self._market.trades.on(partial(publish, "trade"))
            self._market.books.on(partial(publish, "book"))
            self._market.errors.on(partial(report, "market"))
        if self.settings.has("private"):
            account = self.streams.account
            account.order_changes.on(partial(publish, "order"))
            account.fills.on(partial(publish, "fill"))
            account.position_changes.on(partial(publish, "position"))
            account.wallet_changes.on(partial(publish, "wallet"))

    # How it is

    def status(self) -> SystemStatus:
        """All of it, as plain data: `msgspec.json.encode(system.status())`."""
        streams, market = self.streams, self._market
        healths = {category: stream.health() for category, stream in streams.each_public.items()}
        has_private, has_orders = self.settings.has("private"), self.settings.has("order_entry")
        if has_private:
            healths["private"] = streams.private.health()
        return SystemStatus(
            state=self._state,
            environment=_environment(self.settings.client),
            uptime_seconds=self._clock.monotonic() - self._began,
            rest=rest_status(self.rest, self._pool, self._rest_error),
            streams=healths,
            order_entry=streams.orders.health() if has_orders else None,
            account=streams.account.health() if has_private else None,
            market=None if market is None else market.status(),
            restart_needed=self._reader.needs_restart,
            settings_error=self._reader.error,
            loop_late_seconds=self._health_loop.late_seconds,
            health=self._health,
        )

    async def check_health(self) -> Health:
        """Look at everything now, and tell health_check of it; the loop does so every health.interval_seconds.

        REST is asked for the time, and gets connection.answer_seconds for it; but not while the rate limit has no room
        for that.
        """
        used, limit = self._pool.address_usage()
        if used + SAMPLES <= limit.requests:
            self._rest_error = await self._ask_rest()
        now = self.status()
        self._health_loop.forget_lateness()
        found = findings(now, self._last, self.settings.health)
        self._last = now
        self._health = Health(self._clock.wall_ns() // MILLISECOND_NS, not found, found)
        self._hub.publish("health_check", self._health)
        return self._health

    async def _ask_rest(self) -> str | None:
        """What is wrong with REST."""
        seconds = self.settings.connection.answer_seconds
        try:
            async with asyncio.timeout(seconds):
                await self.rest.measure_clock()
        except TimeoutError:
            return f"no answer within {seconds:g} s"
        except RestError as error:
            return str(error)
        return None

    # Settings

    async def reload(self) -> Reloaded:
        """Read the settings again and do what can be done at once; the rest keeps its old value and is named.

        Raises ConfigError when they cannot be used, RestError when the venue could not be asked for what is new in
        them, and FeederError when the system does not run; then nothing has changed.
        """
        try:
            return await self._reader.read()
        except (ConfigError, VenueError) as error:
            self._hub.report("settings", error)
            raise

    async def reload_if_changed(self) -> None:
        """Reload when the file, or its mode, is another than when it was read. What is wrong is told, not raised.

        By error_occurred once, and by status() until it is mended; that the file is gone as well.
        """
        try:
            await self._reader.read_if_changed()
        except FeederError as error:
            self._hub.report("settings", error)

    def _use(self, settings: SystemSettings) -> None:
        """What cannot fail of a reload."""
        before, self.settings = self.settings, settings
        self._pool.set_requests(settings.rate.requests)
        library_level.ask(self, settings.logging.level)
        if self._market is not None:
            self._market.configure(settings.cache.of_market)
        if settings.health != before.health:
            self._health_loop.retime()


def _environment(settings: Settings) -> str:
    """Where it trades: what the settings call it, or the address's host if they name one."""
    return settings.environment if settings.base_url is None else urlsplit(settings.base_url).netloc


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
