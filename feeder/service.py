"""`feeder run`: the exchange's books, kept here and republished on multicast. Everything is put together here.

Order of start: sockets and heartbeats first, so that a consumer hears the feeder before the exchange answers; then
the instruments, the books and their tasks, the connections. Order of end: connections, what is pending, end of session.
"""

import asyncio
import gc
from collections.abc import Sequence
from pathlib import Path
from random import Random

from feeder.bybit.instruments import InstrumentTable
from feeder.bybit.pacing import Timing, backoff_delay
from feeder.bybit.pool import BybitPool, Subscription
from feeder.clock import Clock, SystemClock
from feeder.config import Config
from feeder.errors import ConfigError, CountersError, FeederError, InstrumentError, RestError
from feeder.log import logger
from feeder.market.instrument import InstrumentKey
from feeder.market.status import BookStatus, StatusReason
from feeder.multicast.channel import LineSender
from feeder.multicast.plan import Channel
from feeder.multicast.publisher import TICK_INTERVAL, Publisher
from feeder.multicast.retransmit_socket import RetransmitSockets
from feeder.multicast.sockets import open_sender
from feeder.pipeline.router import Router
from feeder.pipeline.symbol_queue import QueueBudget
from feeder.telemetry import child
from feeder.telemetry.copier import Copier, Plant
from feeder.telemetry.counters import CountersWriter
from feeder.telemetry.metrics import SCHEMA

_log = logger("service")

_FAREWELL_INTERVAL = 0.250  # seconds between end-of-session packets
_RETRY_FIRST, _RETRY_CAP = 0.5, 5.0  # seconds between attempts to load the instruments at start
_DRAIN_SECONDS = 1.0
_STOOD_STILL_SECONDS = 1.0  # by then consumers have taken the feeder for lost
# Objects more than before until the collector looks for cycles: what an update makes goes by itself, so there are few.
_COLLECT_AFTER = 50_000


class Service:
    """One feeder process. `run` returns after `stop` is called, or raises what makes going on pointless."""

    def __init__(self, config: Config, clock: Clock | None = None, random: Random | None = None) -> None:
        self._config = config
        self._clock = clock or SystemClock()
        self._random = random or Random()  # noqa: S311 - jitter, not secrets
        self._stopping = asyncio.Event()
        self._senders: list[tuple[Channel, LineSender]] = []
        self._requests: RetransmitSockets | None = None
        self._copier: Copier | None = None

    def stop(self) -> None:
        """End: drain what is pending, say end of session, return from `run`."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve until `stop`. Raises ConfigError for addresses that cannot be opened, or no book at all."""
        config, clock = self._config, self._clock
        loop = asyncio.get_running_loop()
        try:
            self.publisher = Publisher(
                config.multicast.plan,
                self._open_senders,
                clock,
                loop.call_soon,
                test_data=config.exchange.environment == "testnet",
            )
            self._requests = self._serve_retransmits()
            websocket_url, rest_url = config.exchange.addresses
            directory = config.state.directory
            self.instruments = InstrumentTable(
                rest_url,
                clock=clock,
                random=self._random,
                cache_directory=None if directory is None else Path(directory),
                ids=config.ids,
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
            )
            self._copier = self._open_counters()
            async with asyncio.TaskGroup() as tasks:
                starting = tasks.create_task(self._start(), name="start")
                serving = [
                    tasks.create_task(self._tick(), name="multicast rounds"),
                    tasks.create_task(self.router.run(), name="workers"),
                ]
                if self._copier is not None and config.telemetry.listen is not None:
                    serving.append(tasks.create_task(self._export(config.telemetry.listen), name="exporter"))
                _log.info("feeder started", address=websocket_url, count=config.multicast.partitions)
                await self._stopping.wait()
                starting.cancel()
                await asyncio.wait([starting])
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
            if self._copier is not None:
                self._copier.close()
        _log.info("feeder stopped", statuses=_named(self.router.transitions()), counters=dict(self.router.totals()))

    # -----------------------------------------------------------------------------------------------------------------

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
        try:
            for partition in self.publisher.partitions:
                channel = self.publisher.plan.retransmit(partition.number, addresses)
                requests.open(partition.retransmit, channel)
                partition.describe(channel)
        except ConfigError:
            requests.close()
            raise
        return requests

    async def _tick(self) -> None:
        last = self._clock.monotonic()
        while True:
            now = self._clock.monotonic()
            if now - last > _STOOD_STILL_SECONDS:
                _log.warning("the event loop stood still", delay_seconds=round(now - last, 1))
            last = now
            self.publisher.tick(now)
            if self._copier is not None:
                self._copier.tick(now)
            await asyncio.sleep(TICK_INTERVAL)

    def _open_counters(self) -> Copier | None:
        """The counters file of this session. Without one there are no metrics, which is no reason to have no books."""
        path = Path(self._config.telemetry.counters)
        session = self.publisher.session_id
        try:
            counters = CountersWriter(path, schema=SCHEMA, session_id=session, start_ns=session)
            return Copier(counters, Plant(self.pool, self.router, self.publisher, self._senders), self._clock)
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

    async def _start(self) -> None:
        """From instruments to connections; tried until the exchange answers or a copy on disk will do."""
        wanted: dict[str, list[str] | None] = {}
        for entry in self._config.subscriptions:
            if isinstance(entry.symbols, list):
                wanted[entry.category] = [*(wanted.get(entry.category) or ()), *entry.symbols]
            else:
                wanted[entry.category] = None
        await self._load_instruments(wanted)
        subscriptions = [
            Subscription(entry.category, symbol, entry.depth, entry.trades)
            for entry in self._config.subscriptions
            for symbol in (
                entry.symbols if isinstance(entry.symbols, list) else self.instruments.symbols(entry.category)
            )
        ]
        self._check_ids(subscriptions)
        followed = 0
        errors: list[FeederError] = []
        for subscription in subscriptions:
            problems = self.pool.subscribe([subscription])
            errors += problems
            if not problems:
                self._follow(subscription.key, subscription.depth)
                followed += 1
        if not followed:
            raise ConfigError("subscriptions", "none of them can be followed", str(errors[0] if errors else "add one"))
        self.publisher.complete = True
        await self.pool.start()
        # What exists now lives as long as the process; the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_COLLECT_AFTER, 20, 100)
        _log.info("books followed", count=followed, refused=len(errors))

    def _check_ids(self, subscriptions: Sequence[Subscription]) -> None:
        """Two instruments of one id would be one book to every consumer: not to be started with."""
        taken: dict[int, InstrumentKey] = {}
        for subscription in subscriptions:
            try:
                number = self.instruments.get(subscription.key).id
            except InstrumentError:
                continue  # it is named when it is subscribed
            other = taken.setdefault(number, subscription.key)
            if other != subscription.key:
                raise ConfigError(
                    f"instrument_ids.{':'.join(subscription.key)}",
                    f"its id {number} is that of {':'.join(other)}",
                    "give one of them another id here",
                )

    def _follow(self, key: InstrumentKey, depth: int) -> None:
        instrument = self.instruments.get(key)
        self.router.add(instrument, depth, self.publisher.add(instrument, depth))

    async def _load_instruments(self, wanted: dict[str, list[str] | None]) -> None:
        attempt = 0
        while True:
            try:
                await self.instruments.load(wanted)
            except RestError as error:
                if not error.retriable:
                    raise
                attempt += 1
                delay = backoff_delay(attempt, _RETRY_FIRST, _RETRY_CAP, self._random)
                delay = max(delay, error.retry_after_seconds)
                _log.error("instruments not loaded", attempt=attempt, delay_seconds=round(delay, 1), error=str(error))
                await asyncio.sleep(delay)
            else:
                return

    def _request_resync(self, key: InstrumentKey, reason: StatusReason, generation: int) -> None:
        self.pool.resync(key, reason, generation)

    async def _drain(self) -> None:
        """What is pending goes out, then the connections end, then the books' last status goes out."""
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
            if self._clock.monotonic() + _FAREWELL_INTERVAL > end:
                return
            await asyncio.sleep(_FAREWELL_INTERVAL)


def _named(transitions: dict[tuple[BookStatus, StatusReason], int]) -> dict[str, int]:
    return {f"{status.name}/{reason.name}": count for (status, reason), count in transitions.items()}
