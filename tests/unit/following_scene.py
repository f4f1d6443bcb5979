"""A feeder's choice of books with everything real but the exchange: what it lists, and what it is asked for."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from random import Random
from typing import Any, cast

from feeder.bybit.instruments import InstrumentTable, listed_by
from feeder.bybit.pool import BybitPool, Subscription
from feeder.clock import ManualClock
from feeder.config import Config, parse
from feeder.errors import InstrumentError, RestError
from feeder.following import Following
from feeder.market.instrument import Instrument, InstrumentKey, TradingStatus, instrument_id
from feeder.multicast.plan import ChannelPlan
from feeder.multicast.publisher import Publisher
from feeder.pipeline.router import Router
from feeder.pipeline.symbol_queue import QueueBudget
from feeder.roster import Roster


class Exchange:
    """What it lists and trades; both the table of instruments and the pool of connections, as far as books follow."""

    def __init__(self, **listed: list[str]) -> None:
        self.listed = listed
        self.traded: dict[str, dict[str, int]] = {}
        self.silent: set[str] = set()  # categories that are not answered for
        self.ids: dict[InstrumentKey, int] = {}
        self.calls: list[tuple[object, ...]] = []
        self.coins: list[list[str]] = []  # of options, as they were asked for
        self.on_load: Callable[[], object] = lambda: None  # called once, while it answers for the first time
        self.connected = False
        self._table: dict[InstrumentKey, Instrument] = {}
        self._told: dict[str, list[str]] = {}  # what was listed when it was asked
        self._claimed: dict[int, InstrumentKey] = {}

    # The table

    async def load(self, wanted: Mapping[str, Iterable[str] | None]) -> dict[str, RestError]:
        failures = {}
        on_load, self.on_load = self.on_load, lambda: None
        on_load()
        for category, symbols in wanted.items():
            self.calls.append(("load", category))
            if category in self.silent:
                failures[category] = RestError(f"{category} is silent", retriable=True)
            else:
                self._load(category, symbols)
        return failures

    def _load(self, category: str, symbols: Iterable[str] | None) -> None:
        listed = list(self.listed[category])
        if category == "option":
            self.coins.append([coin for coin in listed_by(category, symbols) if coin is not None])
            listed = [symbol for symbol in listed if symbol.partition("-")[0] in self.coins[-1]]
        self._told[category] = listed
        for symbol in listed:
            key = (category, symbol)
            identity = self.ids.get(key, instrument_id(*key))
            self._table.setdefault(key, Instrument(category, symbol, identity, -2, -3, 10, 1))

    async def turnover(self, category: str) -> dict[str, Decimal]:
        self.calls.append(("turnover", category))
        if category in self.silent:
            raise RestError(f"{category} is silent", retriable=True)
        return {symbol: Decimal(value) for symbol, value in self.traded[category].items()}

    def symbols(self, category: str) -> list[str]:
        return sorted(
            symbol
            for (of, symbol), instrument in self._table.items()
            if of == category and symbol in self._told[category] and instrument.status is TradingStatus.TRADING
        )

    def get(self, key: InstrumentKey) -> Instrument:
        if key not in self._table:
            raise InstrumentError(f"no {key[0]} instrument {key[1]!r}")
        return self._table[key]

    def claim(self, key: InstrumentKey) -> Instrument:
        instrument = self.get(key)
        if self._claimed.setdefault(instrument.id, key) != key:
            raise InstrumentError(f"{key} has a taken id")
        return instrument

    # The pool

    async def start(self) -> None:
        self.connected = True

    def connections(self) -> list[Any]:
        return []

    def subscribe(self, subscriptions: Sequence[Subscription]) -> list[Any]:
        self.calls.append(("subscribe", *(f"{s.symbol}.{s.depth}{'+' if s.trades else ''}" for s in subscriptions)))
        return []

    def unsubscribe(self, keys: Sequence[InstrumentKey]) -> None:
        for key in keys:
            self._claimed.pop(self.get(key).id)
        if keys:
            self.calls.append(("unsubscribe", *(symbol for _, symbol in keys)))

    async def refresh(self, wanted: Mapping[str, Iterable[str] | None]) -> None:
        self.calls.append(("refresh", *wanted))
        if self.silent:
            raise RestError("silent", retriable=True)
        for category, symbols in wanted.items():
            self._load(category, symbols)


class Scene:
    """A feeder whose `following` may be told things. Time stands still; `run` is the test's to start."""

    def __init__(
        self,
        exchange: Exchange,
        *subscriptions: dict[str, Any],
        serves: list[int] | None = None,
        ids: dict[InstrumentKey, int] | None = None,
    ) -> None:
        self.exchange = exchange
        self.clock = ManualClock()
        self.router = Router(100, QueueBudget(1000), lambda *_: None, self.clock)
        self.publisher = Publisher(ChannelPlan(), lambda _: [], self.clock, lambda _: None, serves=serves)
        table, pool = cast(InstrumentTable, exchange), cast(BybitPool, exchange)
        self.roster = Roster(table, pool, self.router, self.publisher)
        overridden = {":".join(key): number for key, number in (ids or {}).items()}
        self.following = Following(
            config(*subscriptions, instrument_ids=overridden),
            table,
            pool,
            self.publisher,
            self.roster,
            self.clock,
            Random(1),
        )

    @property
    def followed(self) -> set[str]:
        """Symbols."""
        return {symbol for _, symbol in self.roster.followed}

    async def until(self, what: str, *facts: object) -> None:
        """Let `run` come to the point where the exchange was asked for this."""
        async with asyncio.timeout(5):
            while (what, *facts) not in self.exchange.calls:  # noqa: ASYNC110 - turns of the loop, no time
                await asyncio.sleep(0)
        for _ in range(5):
            await asyncio.sleep(0)

    async def aclose(self) -> None:
        """End the tasks of the books."""
        await self.router.aclose()


def config(*subscriptions: dict[str, Any], **more: Any) -> Config:
    """A configuration; books of linear unless said otherwise, never refreshed unless said otherwise."""
    entries = [{"category": "linear"} | entry for entry in subscriptions]
    return parse({"subscriptions": entries, "universe": {"refresh_seconds": None}} | more, {})
