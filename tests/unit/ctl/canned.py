"""A feeder that answers on a real control socket as it was told to, and notes what it is asked."""

from collections.abc import Iterator, Sequence
from typing import Any

from feeder.errors import ConfigError
from feeder.market.instrument import InstrumentKey
from feeder.telemetry.control import Outcome

STATUS: dict[str, Any] = {
    "version": "0.1.0",
    "pid": 4242,
    "session": 1763712345678901234,
    "uptime_seconds": 11565.3,
    "shard": "0/2",
    "state": "running",
    "ready": False,
    "reasons": ["820 of 826 books are LIVE", "1 of 2 connections to the exchange are not up"],
    "followed": 826,
    "books": {"SYNCING": 3, "LIVE": 820, "STALE": 1, "DELISTED": 0},
    "refused": [
        {"instrument": "linear:FOOUSDT", "error": "the exchange has no such instrument; take it out of subscriptions"}
    ],
    "pending_updates": 12,
    "connections": [
        {
            "name": "linear-1",
            "category": "linear",
            "state": "CONNECTED",
            "topics": 400,
            "active": 400,
            "lag_seconds": 0.04,
            "silent_seconds": 0.1,
            "attempt": 0,
        },
        {
            "name": "linear-2",
            "category": "linear",
            "state": "WAITING",
            "topics": 420,
            "active": 0,
            "lag_seconds": None,
            "silent_seconds": None,
            "attempt": 12,
        },
    ],
    "config": {
        "path": "config/feeder.yaml",
        "generation": 3,
        "loaded_at": 1_700_000_000.5,
        "restart_needed": ["multicast.port"],
        "error": "queue.total: less than queue.capacity; use at least 1000",
    },
    "by_hand": {"subscribed": ["linear:SOLUSDT"], "unsubscribed": ["linear:ETHUSDT", "spot:ETHUSDT"]},
    "log_level": "info",
}

RELOADED: dict[str, Any] = {
    "changed": True,
    "applied": ["subscriptions", "log.level"],
    "restart_needed": ["multicast.port"],
    "subscribed": 1,
    "unsubscribed": 3,
    "refused": [],
}


def row(instrument: str, status: str = "LIVE", reason: str = "SNAPSHOT", **more: Any) -> dict[str, Any]:
    """A row of /books."""
    return {
        "instrument": instrument,
        "id": 1,
        "partition": 0,
        "depth": 50,
        "status": status,
        "reason": reason,
        "since_seconds": 4000.0,
        "age_seconds": 0.1,
        "update_id": 123,
        "queue_depth": 0,
        "updates": 1_234_567,
        "folds": 0,
        "gaps": 1,
        "resyncs": 2,
        "trades": True,
        **more,
    }


class CannedOperations:
    def __init__(self) -> None:
        self._log_level = "info"
        self.probes = 0
        self.asked: list[Any] = []
        self.reloaded = RELOADED
        self.mistake: ConfigError | None = None
        self.rows = [
            row("spot:ETHUSDT", "SYNCING", "SUBSCRIBED", age_seconds=None),
            row("linear:BTCUSDT"),
            row("linear:1000PEPEUSDT", "STALE", "DISCONNECTED"),
        ]

    @property
    def log_level(self) -> str:
        self.probes += 1
        return self._log_level

    @log_level.setter
    def log_level(self, level: str) -> None:
        self._log_level = level

    def status(self) -> dict[str, object]:
        return STATUS

    def books(self) -> Iterator[dict[str, object]]:
        yield from self.rows

    async def subscribe(
        self, instruments: Sequence[InstrumentKey], depth: int | None, *, trades: bool
    ) -> list[Outcome]:
        self.asked.append(("subscribe", list(instruments), depth, trades))
        return self._outcomes(instruments)

    async def unsubscribe(self, instruments: Sequence[InstrumentKey]) -> list[Outcome]:
        self.asked.append(("unsubscribe", list(instruments)))
        return self._outcomes(instruments)

    def resync(self, instruments: Sequence[InstrumentKey]) -> list[Outcome]:
        self.asked.append(("resync", list(instruments)))
        return self._outcomes(instruments)

    async def reload(self) -> dict[str, object]:
        if self.mistake is not None:
            raise self.mistake
        return self.reloaded

    @staticmethod
    def _outcomes(instruments: Sequence[InstrumentKey]) -> list[Outcome]:
        return [
            Outcome(":".join(key), False, "no such instrument")
            if key[1] == "NOSUCH"
            else Outcome(":".join(key), True, "as told")
            for key in instruments
        ]
