"""What an operator may ask a running feeder and tell it to do: what stands behind the control socket."""

import os
from collections.abc import Awaitable, Callable, Iterator, Sequence

from feeder import __version__, log
from feeder.clock import SECOND_NS, Clock
from feeder.following import Following
from feeder.market.instrument import InstrumentKey
from feeder.market.status import StatusReason
from feeder.pipeline.worker import Worker
from feeder.reload import Settings
from feeder.roster import Changes
from feeder.telemetry.control import Outcome

Reload = Callable[[], Awaitable[tuple[list[str], Changes]]]
"""Reads the configuration again: the keys that changed, and what came of it. Raises ConfigError."""


class Operator:
    """Implements feeder.telemetry.control.Operations on a feeder that runs."""

    def __init__(self, settings: Settings, following: Following, reload: Reload, clock: Clock) -> None:
        self._settings = settings
        self._following = following
        self._roster = following.roster
        self._reload = reload
        self._clock = clock

    @property
    def log_level(self) -> str:
        """Of what is logged."""
        return log.level()

    @log_level.setter
    def log_level(self, level: str) -> None:
        log.set_level(level)

    def status(self) -> dict[str, object]:
        """How the feeder is."""
        settings, roster = self._settings, self._roster
        publisher, followed = roster.publisher, roster.followed
        books, connections, reasons = roster.condition()
        for category, error in self._following.waiting_for().items():
            reasons.append(
                f"the instruments of {category} are not loaded: {error}" if error else f"{category} is asked for"
            )
        by_hand = self._following.by_hand
        return {
            "version": __version__,
            "pid": os.getpid(),
            "session": publisher.session_id,
            "uptime_seconds": (self._clock.wall_ns() - publisher.session_id) / SECOND_NS,
            "shard": None if settings.shard is None else str(settings.shard),
            "state": "running" if publisher.complete else "starting",
            "ready": not reasons,
            "reasons": reasons,
            "followed": len(followed),
            "books": books,
            "refused": _refused(roster.refused),
            "pending_updates": roster.router.budget.used,
            "connections": [
                {
                    "name": connection.name,
                    "category": connection.category,
                    "state": connection.state.name,
                    "topics": connection.topics,
                    "active": connection.active,
                    "lag_seconds": connection.lag_seconds,
                    "silent_seconds": connection.silent_seconds,
                    "attempt": connection.attempt,
                }
                for connection in connections
            ],
            "config": {
                "path": str(settings.path),
                "generation": settings.generation,
                "loaded_at": settings.loaded_at_ns / SECOND_NS,
                "restart_needed": settings.restart_needed,
                "error": settings.error,
            },
            "by_hand": {
                "subscribed": [":".join(key) for key, subscription in by_hand.items() if subscription],
                "unsubscribed": [":".join(key) for key, subscription in by_hand.items() if not subscription],
            },
            "log_level": self.log_level,
        }

    def books(self) -> Iterator[dict[str, object]]:
        """A row per book."""
        workers = self._roster.router.workers
        for key in list(workers):
            worker = workers.get(key)
            subscription = self._roster.followed.get(key)
            if worker is not None and subscription is not None:
                yield self._row(key, worker, trades=subscription.trades, depth=subscription.depth)

    async def subscribe(
        self, instruments: Sequence[InstrumentKey], depth: int | None, *, trades: bool
    ) -> list[Outcome]:
        """Follow these as well, until the feeder ends."""
        changes = self._following.subscribe(instruments, depth, trades=trades)
        return [self._subscribed(key, changes) for key in instruments]

    async def unsubscribe(self, instruments: Sequence[InstrumentKey]) -> list[Outcome]:
        """Follow these no longer, until the feeder ends."""
        following, roster = self._following, self._roster
        before = {*roster.followed, *roster.refused, *(key for key, hand in following.by_hand.items() if hand)}
        following.unsubscribe(instruments)
        return [
            Outcome(":".join(key), True, "not followed any longer")
            if key in before
            else Outcome(":".join(key), False, self._other_shard(key) or "was not followed")
            for key in instruments
        ]

    def resync(self, instruments: Sequence[InstrumentKey]) -> list[Outcome]:
        """Begin these books anew with the exchange."""
        return [self._resync(key) for key in instruments]

    async def reload(self) -> dict[str, object]:
        """Read the configuration again. Raises ConfigError if it cannot be used: nothing was changed."""
        keys, changes = await self._reload()
        return {
            "changed": bool(keys),
            "applied": keys,
            "restart_needed": self._settings.restart_needed,
            "subscribed": len(changes.subscribed),
            "unsubscribed": len(changes.unsubscribed),
            "refused": _refused(changes.refused),
        }

    def _row(self, key: InstrumentKey, worker: Worker, *, trades: bool, depth: int) -> dict[str, object]:
        now, update, queue = self._clock.wall_ns(), worker.last_update, worker.queue
        number = worker.instrument.id
        return {
            "instrument": ":".join(key),
            "id": number,
            "partition": self._roster.publisher.plan.partition_of(number),
            "depth": depth,
            "status": worker.status.name,
            "reason": worker.reason.name,
            "since_seconds": (now - worker.status_since_ns) / SECOND_NS,
            "age_seconds": None if update is None else (now - update.receive_time_ns) / SECOND_NS,
            "update_id": None if update is None else update.update_id,
            "queue_depth": queue.depth,
            "updates": queue.puts,
            "folds": queue.folds,
            "gaps": worker.gaps,
            "resyncs": worker.resyncs_requested,
            "trades": trades,
        }

    def _subscribed(self, key: InstrumentKey, changes: Changes) -> Outcome:
        name = ":".join(key)
        if key in changes.refused:
            then = "the exchange is asked again now, and it stays wanted until it is unsubscribed"
            return Outcome(name, False, f"{changes.refused[key]}; {then}")
        if (other := self._other_shard(key)) is not None:
            return Outcome(name, False, other)
        if key in self._roster.followed:
            how = "is followed now" if key in changes.subscribed else "was followed already"
            return Outcome(name, True, f"{how}, at depth {self._roster.followed[key].depth}")
        return Outcome(name, True, f"will be followed as soon as the exchange has told the instruments of {key[0]}")

    def _other_shard(self, key: InstrumentKey) -> str | None:
        """Who serves the instrument, if that is another process."""
        publisher, shard = self._roster.publisher, self._settings.shard
        number = self._following.id_of(key)
        if shard is None or publisher.serves(number):
            return None
        return f"belongs to shard {publisher.plan.partition_of(number) % shard.count}/{shard.count}; ask that one"

    def _resync(self, key: InstrumentKey) -> Outcome:
        worker = self._roster.router.workers.get(key)
        if worker is None:
            return Outcome(":".join(key), False, self._other_shard(key) or "is not followed")
        if self._roster.pool.resync(key, StatusReason.REQUESTED, worker.queue.generation):
            return Outcome(":".join(key), True, "begun anew")
        return Outcome(":".join(key), False, "is being begun anew already, or is not connected")


def _refused(refused: dict[InstrumentKey, str]) -> list[dict[str, str]]:
    return [{"instrument": ":".join(key), "error": reason} for key, reason in refused.items()]
