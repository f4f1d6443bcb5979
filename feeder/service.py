"""`feeder run`: the exchange's books, kept here and republished on multicast. Everything is put together here.

Order of start: sockets and heartbeats first, so that a consumer hears the feeder before the exchange answers; then
the instruments, the books and their tasks, the connections. Order of end: connections, what is pending, end of session.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import aclosing
from pathlib import Path
from random import Random
from typing import Any

from feeder import log
from feeder.bybit.instruments import InstrumentTable
from feeder.bybit.pacing import Timing
from feeder.bybit.pool import BybitPool
from feeder.bybit.rest.client import BybitClient
from feeder.bybit.rest.pool import REQUESTS, SessionPool, Timeouts
from feeder.clock import Clock, SystemClock
from feeder.config import Config
from feeder.errors import ConfigError, ControlError, CountersError
from feeder.following import Following
from feeder.log import logger
from feeder.market.instrument import InstrumentKey
from feeder.market.status import BookStatus, StatusReason
from feeder.multicast.channel import LineSender
from feeder.multicast.plan import Channel
from feeder.multicast.publisher import TICK_INTERVAL, Publisher
from feeder.multicast.retransmit_socket import RetransmitSockets
from feeder.multicast.sockets import open_sender
from feeder.operations import Operator
from feeder.pipeline.router import Router
from feeder.pipeline.symbol_queue import QueueBudget
from feeder.reload import Settings
from feeder.roster import Changes, Roster
from feeder.telemetry import child
from feeder.telemetry.control import ControlServer
from feeder.telemetry.copier import Copier, Plant
from feeder.telemetry.counters import CountersWriter
from feeder.telemetry.metrics import SCHEMA
from feeder.telemetry.notify import Notifier
from feeder.watch import changes as file_changes

_log = logger("service")

_FAREWELL_INTERVAL = 0.250  # seconds between end-of-session packets
_DRAIN_SECONDS = 1.0
_END_SECONDS = 10.0  # for everything but the farewell, amply
_STOOD_STILL_SECONDS = 1.0  # by then consumers have taken the feeder for lost
_STATUS_SECONDS = 1.0  # between two looks at what the service manager is told
_REST_TIMEOUTS = Timeouts(answer=5.0)  # asked again in time for a book that is held until its scale is known


class Service:
    """One feeder process. `run` returns after `stop` is called, or raises what makes going on pointless."""

    def __init__(
        self,
        settings: Settings,
        notifier: Notifier,
        clock: Clock | None = None,
        random: Random | None = None,
    ) -> None:
        self.settings = settings
        self._config = settings.config  # as it was at the start: what is not applied at once stays so
        self._notifier = notifier
        self._clock = clock or SystemClock()
        self._random = random or Random()  # noqa: S311 - jitter, not secrets
        self._stop = asyncio.Event()
        self._senders: list[tuple[Channel, LineSender]] = []
        self._requests: RetransmitSockets | None = None
        self._rest: SessionPool | None = None
        self._copier: Copier | None = None
        self._control: ControlServer | None = None
        self._reloading = asyncio.Lock()
        self._reload_wanted = asyncio.Event()
        self._ready = False
        self._unready_since = 0.0  # monotonic seconds

    def stop(self) -> None:
        """End: drain what is pending, say end of session, return from `run`."""
        self._stop.set()

    def reload_soon(self) -> None:
        """Read the configuration again; what comes of it is logged."""
        self._reload_wanted.set()

    async def run(self) -> None:
        """Serve until `stop`.

        Raises ConfigError for a configuration that cannot work or follows no book at all, MachineError for addresses
        that cannot be opened now.
        """
        config = self._config
        try:
            self._build()
            await self._listen()
            async with asyncio.TaskGroup() as tasks:

                def begin(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
                    return tasks.create_task(work, name=name)

                following = begin(self.following.run(), "following")
                changing = [begin(self._reload_when_asked(), "reload"), begin(self._watch(), "configuration file")]
                serving = [begin(self._tick(), "multicast rounds"), begin(self.router.run(), "workers")]
                if self._copier is not None and config.telemetry.listen is not None:
                    serving.append(begin(self._export(config.telemetry.listen), "exporter"))
                self._notifier.ready("starting")
                _log.info(
                    "feeder started",
                    address=config.exchange.addresses[0],
                    partitions=len(self.publisher.partitions),
                    shard=self.plant.shard,
                )
                await self._stop.wait()
                self._notifier.stopping(_END_SECONDS + config.multicast.end_of_session_seconds)
                _log.info("feeder stops", followed=len(self.roster.followed))
                for task in (following, *changing):
                    task.cancel()
                await asyncio.wait([following, *changing])
                if self._control is not None:
                    await self._control.aclose()
                await self._drain()
                for task in serving:
                    task.cancel()
            await self._farewell()
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            if self._requests is not None:
                self._requests.close()
            for _, sender in self._senders:
                sender.close()
            if self._control is not None:
                await self._control.aclose()
            if self._copier is not None:
                self._copier.close()
            if self._rest is not None:
                await self._rest.aclose()
        _log.info("feeder stopped", transitions=_named(self.router.transitions()), counters=dict(self.router.totals()))

    async def reload(self) -> tuple[list[str], Changes]:
        """Read the configuration again and apply what needs no restart: the keys that changed, and what came of it.

        Raises ConfigError when it cannot be used; then everything goes on as before.
        """
        async with self._reloading:
            self._notifier.reloading()
            settings, plant = self.settings, self.plant
            try:
                # Beside the event loop: to read a file that names a thousand symbols takes a while.
                new = await asyncio.to_thread(settings.read)
                changes = self.following.change(new)
            except ConfigError as error:
                settings.error = str(error)
                plant.config_good = False
                plant.config_reloads["refused"] += 1
                _log.error("configuration refused; everything goes on as it was", error=str(error))
                raise
            else:
                keys = self._take(new)
            finally:
                self._notifier.ready(str(self.roster.condition()))
            return keys, changes

    def _take(self, new: Config) -> list[str]:
        """Go on with a configuration whose books are followed already; the keys that changed."""
        settings, plant = self.settings, self.plant
        keys = settings.take(new)
        if "log.level" in keys:  # otherwise the level may be another by hand
            log.set_level(settings.config.log.level)
        plant.config_good = True
        plant.config_reloads["changed" if keys else "unchanged"] += 1
        plant.config_generation = settings.generation
        plant.config_restart_needed = len(settings.restart_needed)
        _log.info("configuration read", generation=settings.generation, applied=keys)
        if settings.restart_needed:
            _log.warning("keys changed that need a restart", keys=settings.restart_needed)
        return keys

    # Composition -----------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        """Everything there is, with its sockets; nothing of it runs yet."""
        config, clock, shard = self._config, self._clock, self.settings.shard
        plan = config.multicast.plan
        self.publisher = Publisher(
            plan,
            self._open_senders,
            clock,
            asyncio.get_running_loop().call_soon,
            serves=None if shard is None else shard.partitions(plan.partitions),
            test_data=config.exchange.environment == "testnet",
        )
        self._requests = self._serve_retransmits()
        websocket_url, rest_url = config.exchange.addresses
        directory = config.state.directory
        share = 1 if shard is None else shard.count
        self._rest = SessionPool(
            requests=max(1, REQUESTS // share), timeouts=_REST_TIMEOUTS, clock=clock, random=self._random
        )
        self.instruments = InstrumentTable(
            BybitClient(pool=self._rest, base_url=rest_url),
            clock=clock,
            cache_directory=None if directory is None else Path(directory),
            ids=config.ids,
            share=share,
        )
        self.router = Router(config.queue.capacity, QueueBudget(config.queue.total), self._request_resync, clock)
        self.pool = BybitPool(
            websocket_url,
            self.instruments,
            self.router,
            clock=clock,
            random=self._random,
            timing=Timing(silence=config.freshness.silence_seconds),
            max_lag_seconds=config.freshness.max_lag_seconds,
            share=share,
        )
        self.roster = Roster(self.instruments, self.pool, self.router, self.publisher)
        self.following = Following(
            config, self.instruments, self.pool, self.publisher, self.roster, clock, self._random
        )
        self.plant = Plant(self.pool, self.router, self.publisher, self._senders)
        self.plant.universe_refreshes = self.following.refreshes
        if shard is not None:
            self.plant.shard = str(shard)
        self._copier = self._open_counters()

    async def _listen(self) -> None:
        """The control socket. Without one there is no `feeder ctl`, which is no reason to have no books."""
        socket = self._config.control.socket
        if socket is None:
            return
        control = ControlServer(Path(socket), Operator(self.settings, self.following, self.reload, self._clock))
        try:
            await control.start()
        except ControlError as error:
            _log.error("control socket not made", error=str(error))
        else:
            self._control = control

    def _open_senders(self, channel: Channel) -> Sequence[LineSender]:
        multicast = self._config.multicast
        senders = []
        for end in channel.endpoints:
            sender = LineSender(end.line, open_sender(end, ttl=multicast.ttl, loop=multicast.loop))
            self._senders.append((channel, sender))  # at once, so that it is closed if the next cannot be opened
            senders.append(sender)
        return senders

    def _serve_retransmits(self) -> RetransmitSockets:
        """Answer requests for lost messages, until the end of the farewell."""
        addresses = {sender.line: sender.address for _, sender in self._senders}
        requests = RetransmitSockets(self._clock)
        for partition in self.publisher.partitions:
            channel = self.publisher.plan.retransmit(partition.number, addresses)
            requests.open(partition.retransmit, channel)
            partition.describe(channel)
        return requests

    async def _tick(self) -> None:
        last = self._clock.monotonic()
        status_at = self._unready_since = last
        while True:
            now = self._clock.monotonic()
            if now - last > _STOOD_STILL_SECONDS:
                _log.warning("the event loop stood still", delay_seconds=round(now - last, 1))
            last = now
            self.publisher.tick(now)
            if self._copier is not None:
                self._copier.tick(now)
            self._notifier.watchdog(now)
            if now >= status_at:
                status_at = now + _STATUS_SECONDS
                self._look(now)
                log.flush_suppressed(now)
            await asyncio.sleep(TICK_INTERVAL)

    def _look(self, now: float) -> None:
        """Tell the service manager how things are, the log when they change, and the metrics what only we know."""
        condition = self.roster.condition()
        self._notifier.status(str(condition))
        self.plant.refused_subscriptions = len(self.roster.refused)
        self.plant.refused_tables = self.instruments.refused_tables
        if self._rest is not None:
            rest = self._rest.counters
            self.plant.rest_requests, self.plant.rest_retries = rest.requests, rest.retries
            self.plant.rest_failures, self.plant.rest_refusals = rest.failures, rest.refused
            self.plant.rest_bans = rest.barred
        if self._stop.is_set():
            return
        reasons = condition.reasons
        if reasons and self._ready:
            self._ready, self._unready_since = False, now
            _log.warning("not ready", reasons=reasons)
        elif not reasons and not self._ready:
            self._ready = True
            seconds = round(now - self._unready_since, 1)  # since the start, or since it was ready last
            _log.info("ready", followed=len(self.roster.followed), after_seconds=seconds)

    async def _reload_when_asked(self) -> None:
        while True:
            await self._reload_wanted.wait()
            self._reload_wanted.clear()
            try:
                await self.reload()
            except ConfigError:
                continue  # said and counted

    async def _watch(self) -> None:
        """Read the configuration again whenever its file has changed."""
        async with aclosing(file_changes(self.settings.path)) as changes:
            async for _ in changes:
                self.reload_soon()

    def _open_counters(self) -> Copier | None:
        """The counters file of this session. Without one there are no metrics, which is no reason to have no books."""
        path = Path(self._config.telemetry.counters)
        session = self.publisher.session_id
        try:
            counters = CountersWriter(path, schema=SCHEMA, session_id=session, start_ns=session)
            return Copier(counters, self.plant, self._clock)
        except OSError as error:
            why = f"{path}: {error.strerror}; there are no metrics until telemetry.counters names a place to write to"
        except CountersError as error:
            why = f"{error} telemetry.counters; until then there are no metrics"
        _log.error("counters file not made", error=why)
        return None

    async def _export(self, listen: str) -> None:
        telemetry, log = self._config.telemetry, self._config.log
        command = child.command(Path(telemetry.counters), listen, self.publisher.session_id, log.format)
        await child.keep_running(command, self._clock, self._random)

    def _request_resync(self, key: InstrumentKey, reason: StatusReason, generation: int) -> None:
        self.pool.resync(key, reason, generation)

    async def _drain(self) -> None:
        """What is pending goes out, then the connections end, then the books' last status goes out."""
        for worker in self.router.workers.values():
            worker.expect(StatusReason.DISCONNECTED)
        for close in (self.pool.aclose, self.router.aclose):
            try:
                async with asyncio.timeout(_DRAIN_SECONDS):
                    await self.router.drain()
            except TimeoutError:
                pending = sum(not worker.queue.empty for worker in self.router.workers.values())
                _log.warning("pending updates given up", count=pending)
            await close()
        self.publisher.flush()

    async def _farewell(self) -> None:
        end = self._clock.monotonic() + self._config.multicast.end_of_session_seconds
        while True:
            self.publisher.end_session()
            self._notifier.watchdog(self._clock.monotonic())  # the ticker has ended
            if self._clock.monotonic() + _FAREWELL_INTERVAL > end:
                return
            await asyncio.sleep(_FAREWELL_INTERVAL)


def _named(transitions: dict[tuple[BookStatus, StatusReason], int]) -> dict[str, int]:
    return {f"{status.name}/{reason.name}": count for (status, reason), count in transitions.items()}
