"""Books that come and go, and a table that is refreshed, on the real sockets of the simulated exchange."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from structlog.testing import capture_logs

from feeder.bybit import pool as pool_module
from feeder.bybit.instruments import InstrumentTable
from feeder.bybit.pool import BybitPool, Subscription
from feeder.bybit.rest import client
from feeder.bybit.universe import Rule, wanted
from feeder.clock import SystemClock
from feeder.errors import RestError, VenueError
from feeder.market.instrument import InstrumentKey, TradingStatus
from feeder.market.status import StatusReason
from feeder.simulator.script import parse_fault
from feeder.simulator.server import Simulator, SimulatorConfig
from tests.helpers.instruments import close_tables, instrument_table
from tests.unit.bybit.support import RecordingSink

SECONDS = 20.0
LINEAR: dict[str, list[str] | None] = {"linear": None}
BTC = ("linear", "BTCUSDT")
ETH = ("linear", "ETHUSDT")


class Feed:
    """A pool on a simulated exchange, its table, and what came out of it."""

    def __init__(self, simulator: Simulator, table: InstrumentTable, **options: Any) -> None:
        self.simulator = simulator
        self.table = table
        self.sink = RecordingSink()
        self.pool = BybitPool(
            simulator.websocket_url, table, self.sink, clock=SystemClock(), random=Random(1), **options
        )

    def subscribe(self, keys: Iterable[InstrumentKey], depth: int = 50, *, trades: bool = False) -> None:
        assert self.pool.subscribe([Subscription(*key, depth, trades) for key in keys]) == []

    async def until(self, condition: Callable[[], object], what: str) -> None:
        try:
            async with asyncio.timeout(SECONDS):
                while not condition():  # noqa: ASYNC110 - the sink has no events to wait for
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"waited {SECONDS} s for {what}") from None

    async def live(self, keys: Iterable[InstrumentKey], since: int = 0) -> None:
        """Each has had a snapshot since its last reset, and since so many events of the sink."""
        waiting = set(keys)

        def all_live() -> bool:
            alive: set[InstrumentKey] = set()
            for event in self.sink.events[since:]:
                if event[0] == "book" and event[2].snapshot:
                    alive.add(event[1])
                elif event[0] == "reset":
                    alive.discard(event[1])
            return waiting <= alive

        await self.until(all_live, "books")

    def topics(self) -> set[tuple[str, int]]:
        """What the exchange has subscribers for: symbol and depth."""
        return {(state.symbol, state.book.depth) for state in self.simulator.exchange.subscribed_books()}

    def fault(self, fault: str, **entry: Any) -> None:
        self.simulator.inject(parse_fault({"fault": fault, **entry}))

    def definitions(self, key: InstrumentKey) -> list[Any]:
        return [event[2] for event in self.sink.of("definition", key)]


@asynccontextmanager
async def feeding(
    config: SimulatorConfig,
    wanted_tables: dict[str, list[str] | None],
    *,
    ids: dict[InstrumentKey, int] | None = None,
    directory: Path | None = None,
    **options: Any,
) -> AsyncIterator[Feed]:
    async with Simulator(config) as simulator:
        clock = SystemClock()
        table = instrument_table(simulator.rest_url, clock, ids=ids, cache_directory=directory)
        assert await table.load(wanted_tables) == {}
        feed = Feed(simulator, table, **options)
        await feed.pool.start()
        try:
            yield feed
        finally:
            await feed.pool.aclose()
            await close_tables()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_RETRY_FIRST", 0.001)


# Books that come and go


async def test_three_hundred_symbols_are_swapped_in_one_go_while_the_others_go_on_without_a_gap() -> None:
    async with feeding(SimulatorConfig(symbols=660, updates_per_second=600.0), LINEAR) as feed:
        keys = [("linear", symbol) for symbol in feed.table.symbols("linear")]
        # Every second of the first: in each connection some go and some stay.
        first = keys[:360]
        go = [key for index, key in enumerate(first) if index % 6]
        stay = [key for index, key in enumerate(first) if not index % 6]
        come = keys[360:]
        assert (len(go), len(stay), len(come)) == (300, 60, 300)
        feed.subscribe(first)
        await feed.live(first)
        mark, requests = len(feed.sink.events), feed.pool.counters.requests
        feed.pool.unsubscribe(go)
        feed.subscribe(come)
        await feed.live(come, since=mark)
        await feed.until(lambda: {symbol for symbol, _ in feed.topics()} == {key[1] for key in stay + come}, "the end")
        seen = len(feed.sink.books(BTC))
        await feed.until(lambda: len(feed.sink.books(BTC)) >= seen + 20, "updates of one that stays")
        assert feed.pool.counters.requests - requests <= 20
        assert feed.pool.counters.reconnects == 0
        assert feed.sink.of("reset") == []
        assert feed.pool.counters.resyncs == {}
        assert not [event for event in feed.sink.events[mark:] if event[0] == "book" and event[1] in set(go)]
        for key in stay:
            updates = feed.sink.books(key)
            assert [update.snapshot for update in updates[:1]] == [True]
            assert all(new.update_id == old.update_id + 1 for old, new in itertools.pairwise(updates)), key


async def test_books_change_their_depth_at_once_and_nothing_of_the_old_comes_after() -> None:
    async with feeding(SimulatorConfig(symbols=40, updates_per_second=400.0), LINEAR) as feed:
        keys = [("linear", symbol) for symbol in feed.table.symbols("linear")]
        feed.subscribe(keys, trades=True)
        await feed.live(keys)
        for depth in (200, 50, 1, 50):
            mark = len(feed.sink.events)
            old = max(event[2].generation for event in feed.sink.of("book"))
            feed.pool.unsubscribe(keys)
            feed.subscribe(keys, depth, trades=True)
            await feed.live(keys, since=mark)
            books = [event[2] for event in feed.sink.events[mark:] if event[0] == "book"]
            assert min(update.generation for update in books) > old
            assert max(len(update.bids) // 2 for update in books) <= depth
        await feed.until(lambda: feed.topics() == {(symbol, 50) for _, symbol in keys}, "the old topics' end")
        assert feed.pool.counters.resyncs == {}
        assert feed.sink.of("reset") == []


async def test_connections_are_closed_with_their_last_book_and_come_again() -> None:
    async with feeding(SimulatorConfig(symbols=6), LINEAR, topics_per_connection=2) as feed:
        keys = [("linear", symbol) for symbol in feed.table.symbols("linear")]
        for _ in range(3):
            mark = len(feed.sink.events)
            feed.subscribe(keys)
            await feed.live(keys, since=mark)
            assert len(feed.pool.connections()) == 3
            feed.pool.unsubscribe(keys[:2])
            assert len(feed.pool.connections()) == 2
            feed.pool.unsubscribe(keys[2:])
            await feed.until(lambda: not feed.simulator.exchange.clients, "the connections' end")
            assert feed.pool.connections() == []
        assert feed.pool.counters.reconnects == 0
        assert feed.sink.of("reset") == []


async def test_a_connection_that_carried_trades_alone_is_closed_when_they_are_not_wanted_any_longer() -> None:
    async with feeding(SimulatorConfig(symbols=2), LINEAR, topics_per_connection=1) as feed:
        for _ in range(2):
            feed.subscribe([BTC], trades=True)
            await feed.until(lambda: len(feed.simulator.exchange.clients) == 2, "a connection for the trades")
            feed.subscribe([BTC], trades=False)
            assert len(feed.pool.connections()) == 1
            await feed.until(lambda: len(feed.simulator.exchange.clients) == 1, "its end")
        await feed.live([BTC])
        assert feed.sink.of("reset") == []


async def test_a_connection_that_fails_at_it_does_not_keep_the_others_books_followed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with feeding(SimulatorConfig(symbols=2), LINEAR, topics_per_connection=1) as feed:
        feed.subscribe([BTC, ETH])
        await feed.live([BTC, ETH])
        broken = feed.pool._stream_of[BTC]

        def defect() -> None:
            raise ValueError("staged")

        monkeypatch.setattr(broken.connection, "on_timer", defect)
        feed.pool.unsubscribe([BTC, ETH])
        await feed.until(lambda: not feed.simulator.exchange.clients, "the connections' end")
        assert feed.pool.connections() == []


async def test_trades_of_a_coins_options_go_on_for_those_that_stay() -> None:
    config = SimulatorConfig(symbols=4, categories=("option",), updates_per_second=160.0)
    async with feeding(config, {"option": None}) as feed:
        first, second, *_ = keys = [("option", symbol) for symbol in feed.table.symbols("option")][:3]

        async def traded(*expected: InstrumentKey) -> None:
            mark = len(feed.sink.events)
            traded: set[InstrumentKey] = set()

            def all_have() -> bool:
                traded.update(event[1] for event in feed.sink.events[mark:] if event[0] == "trades")
                return traded >= set(expected)

            await feed.until(all_have, "trades")
            assert traded == set(expected)

        feed.subscribe(keys, 25, trades=True)
        await feed.live(keys)
        await traded(*keys)
        feed.pool.unsubscribe([first])
        await traded(*keys[1:])
        feed.pool.unsubscribe(keys[1:])
        feed.subscribe([second], 25, trades=True)  # the last to go is the first to come: its end is not acked yet
        await traded(second)
        feed.subscribe([first], 25)
        feed.subscribe([first], 25, trades=True)
        await traded(first, second)
        assert feed.sink.of("reset") == []


async def test_an_id_is_free_for_another_once_its_book_is_let_go_of() -> None:
    ids = {BTC: 7, ETH: 7}
    async with feeding(SimulatorConfig(symbols=2), LINEAR, ids=ids) as feed:
        feed.subscribe([BTC])
        (error,) = feed.pool.subscribe([Subscription(*ETH, 50)])
        assert "the same instrument id 7" in str(error)
        feed.pool.unsubscribe([BTC])
        feed.subscribe([ETH])
        await feed.live([ETH])
        assert feed.pool.subscribe([Subscription(*BTC, 50)]) != []


async def test_processes_that_share_an_address_share_its_budget_of_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "_CONNECT_BURST", 8.0)
    monkeypatch.setattr(pool_module, "_CONNECTS_PER_SECOND", 1e-6)
    for share, connections in ((1, 6), (4, 2), (16, 1)):
        async with feeding(SimulatorConfig(symbols=6), LINEAR, topics_per_connection=1, share=share) as feed:
            feed.subscribe([("linear", symbol) for symbol in feed.table.symbols("linear")])
            await feed.until(lambda: feed.pool.counters.connects, "the first connection")
            # Each took its token, or began to wait for one, before any was connected.
            trying = sum(status.attempt for status in feed.pool.connections())
            assert trying + feed.pool.counters.connects == connections
            assert len(feed.pool.connections()) == 6


# The table, refreshed


async def test_changed_tick_of_the_same_scale_is_told_and_the_book_goes_on() -> None:
    async with feeding(SimulatorConfig(symbols=3), LINEAR) as feed:
        feed.subscribe([BTC, ETH])
        await feed.live([BTC, ETH])
        feed.fault("tick_change", category="linear", symbol="BTCUSDT", tick="0.05")
        await feed.pool.refresh(LINEAR)
        (definition,) = feed.sink.of("definition")
        instrument = definition[2]
        assert instrument.key == BTC
        assert (instrument.tick_size, instrument.price_exponent, instrument.definition_version) == (5, -2, 2)
        await feed.pool.refresh(LINEAR)
        assert len(feed.sink.of("definition")) == 1, "once"
        assert feed.sink.of("reset") == []


async def test_scale_that_became_finer_begins_the_book_anew_before_a_number_needs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with feeding(SimulatorConfig(symbols=3), LINEAR) as feed:
        feed.subscribe([BTC, ETH])
        await feed.live([BTC, ETH])
        listing = feed.simulator.exchange.source.listings("linear")[0]
        assert (listing.symbol, listing.step) == ("BTCUSDT", "0.001")
        # REST tells of it, the stream does not know yet.
        finer = [replace(listing, step="0.00010"), *feed.simulator.exchange.source.listings("linear")[1:]]
        monkeypatch.setattr(feed.simulator.exchange.source, "listings", lambda _category: finer)
        mark = len(feed.sink.events)
        await feed.pool.refresh(LINEAR)
        await feed.live([BTC], since=mark)
        kinds = [event[0] for event in feed.sink.events[mark:] if event[1] == BTC]
        first_reset = kinds.index("reset")
        assert kinds[first_reset : first_reset + 2] == ["reset", "definition"]
        assert feed.sink.of("reset", BTC)[0][3] is StatusReason.SCALE
        assert feed.definitions(BTC)[0].quantity_exponent == -5
        assert feed.sink.of("reset", ETH) == []
        assert feed.pool.counters.scale_changes == 1


@pytest.mark.parametrize("status", ["Closed", "gone", "Delivering"])
async def test_book_of_a_closed_instrument_is_delisted_by_the_refresh_and_may_come_back(status: str) -> None:
    async with feeding(SimulatorConfig(symbols=5), LINEAR) as feed:
        feed.subscribe([BTC, ETH], trades=True)
        await feed.live([BTC, ETH])
        feed.fault("delist", category="linear", symbol="BTCUSDT", status=status)
        with capture_logs() as logs:
            await feed.pool.refresh(LINEAR)
            await feed.pool.refresh(LINEAR)
        if status == "Delivering":
            assert [each.status for each in feed.definitions(BTC)] == [TradingStatus.DELIVERING]
            assert feed.sink.of("reset") == []
            return
        assert [event[1:2] + event[3:] for event in feed.sink.of("reset")] == [(BTC, StatusReason.DELISTED)]
        assert [each.status for each in feed.definitions(BTC)] == [TradingStatus.CLOSED]
        assert [line["symbol"] for line in logs if line["event"] == "instrument delisted"] == ["BTCUSDT"]
        assert feed.pool.counters.delisted == 1
        await feed.until(lambda: feed.topics() == {("ETHUSDT", 50)}, "its topic's end")
        # Listed again: told, and followed once it is subscribed anew.
        feed.fault("list", category="linear", symbol="BTCUSDT")
        await feed.pool.refresh(LINEAR)
        assert feed.definitions(BTC)[-1].status is TradingStatus.TRADING
        assert len(feed.sink.of("reset")) == 1
        mark = len(feed.sink.events)
        feed.pool.unsubscribe([BTC])
        feed.subscribe([BTC], trades=True)
        await feed.live([BTC], since=mark)
        assert feed.sink.of("reset", ETH) == []


async def test_refresh_that_fails_changes_nothing_and_says_so(tmp_path: Path) -> None:
    tables: dict[str, list[str] | None] = {"linear": None, "spot": None}
    config = SimulatorConfig(symbols=6, categories=("linear", "spot"))
    async with feeding(config, tables, directory=tmp_path) as feed:
        feed.subscribe([BTC, ("spot", "BTCUSDT")])
        await feed.live([BTC, ("spot", "BTCUSDT")])
        feed.fault("delist", category="linear", symbol="BTCUSDT", status="gone")
        assert (await feed.table.refresh(BTC)).status is TradingStatus.CLOSED  # of that the pool was not told
        for how in (500, 404, "html", "wrong_json", "truncated"):
            feed.fault("rest", how=how, seconds=600)
            with pytest.raises(RestError):
                await feed.pool.refresh(tables)
            feed.simulator._injector._rest.faults._active.clear()
            assert feed.sink.of("reset") + feed.sink.of("definition") == []
        await feed.pool.refresh(tables)
        assert [event[1:2] + event[3:] for event in feed.sink.of("reset")] == [(BTC, StatusReason.DELISTED)]


async def test_categories_that_answer_are_refreshed_when_another_fails() -> None:
    tables: dict[str, list[str] | None] = {"linear": None, "spot": None}
    config = SimulatorConfig(symbols=8, categories=("linear", "spot"))
    async with feeding(config, tables) as feed:
        feed.subscribe([BTC, ("spot", "BTCUSDT")])
        await feed.live([BTC, ("spot", "BTCUSDT")])
        for symbol in feed.table.symbols("linear"):
            feed.fault("delist", category="linear", symbol=symbol, status="gone")
        feed.fault("delist", category="spot", symbol="BTCUSDT", status="gone")
        with pytest.raises(RestError, match="lists no linear instruments"):
            await feed.pool.refresh(tables)
        assert [event[1:2] + event[3:] for event in feed.sink.of("reset")] == [
            (("spot", "BTCUSDT"), StatusReason.DELISTED)
        ]


async def test_category_that_lists_nothing_costs_the_others_no_start() -> None:
    async with Simulator(SimulatorConfig(symbols=4, categories=("linear",))) as simulator:
        table = instrument_table(simulator.rest_url, SystemClock())
        failures = await table.load({"spot": None, "linear": None})
        assert list(failures) == ["spot"]
        assert "no instrument table for spot" in str(failures["spot"])
        assert failures["spot"].retriable
        assert len(table.symbols("linear")) == 4
        await close_tables()


async def test_expired_options_go_and_new_ones_come() -> None:
    config = SimulatorConfig(symbols=12, categories=("option",), updates_per_second=60.0)
    rules = [Rule("option", 25, True, None)]
    async with feeding(config, {"option": None}) as feed:
        followed: dict[InstrumentKey, Subscription] = {}

        async def settle() -> None:
            nonlocal followed
            new = wanted(rules, {"option": feed.table.symbols("option")}, {}, followed)
            feed.pool.unsubscribe(followed.keys() - new.keys())
            errors: list[VenueError] = feed.pool.subscribe([new[key] for key in new if key not in followed])
            assert errors == []
            followed = new
            await feed.live(followed)

        await settle()
        expired = feed.table.symbols("option")[:5]
        for symbol in expired:
            feed.fault("delist", category="option", symbol=symbol, status="gone")
        fresh = [f"BTC-1JAN27-{strike}-C" for strike in range(70_000, 73_000, 1_000)]
        for symbol in fresh:
            feed.fault("list", category="option", symbol=symbol, tick="5", price="2000")
        await feed.pool.refresh({"option": None})
        assert {event[1][1] for event in feed.sink.of("reset")} == set(expired)
        await settle()
        assert {symbol for _, symbol in followed} >= set(fresh)
        assert not {symbol for _, symbol in followed} & set(expired)
        await feed.until(lambda: {symbol for symbol, _ in feed.topics()} == {key[1] for key in followed}, "topics")
        await feed.pool.refresh({"option": None})
        assert not {symbol for _, symbol in feed.table._instruments} & set(expired), "nothing of them is kept"


async def test_the_top_follows_the_exchange_s_turnover() -> None:
    async with feeding(SimulatorConfig(symbols=20, categories=("linear", "spot", "inverse", "option")), {}) as feed:
        tables: dict[str, list[str] | None] = {"linear": None, "spot": None, "inverse": None, "option": None}
        assert await feed.table.load(tables) == {}
        for category in tables:
            last = feed.simulator.exchange.source.listings(category)[-1].symbol
            feed.fault("turnover", category=category, symbol=last, turnover="999999999999")
            turnover = await feed.table.turnover(category)
            result = wanted(
                [Rule(category, 50, True, None, 2)], {category: feed.table.symbols(category)}, {category: turnover}, []
            )
            assert next(iter(result)) == (category, last)
            assert len(result) == 2


async def test_nothing_reaches_the_sink_of_a_pool_that_was_closed_during_a_refresh() -> None:
    async with feeding(SimulatorConfig(symbols=4), LINEAR) as feed:
        feed.subscribe([BTC])
        await feed.live([BTC])
        feed.fault("delist", category="linear", symbol="BTCUSDT", status="Closed")
        refreshing = asyncio.create_task(feed.pool.refresh(LINEAR))
        await asyncio.sleep(0)
        await feed.pool.aclose()
        mark = len(feed.sink.events)
        await refreshing
        assert feed.sink.events[mark:] == []
