"""The exchange misbehaves, feeder and consumer are the real ones: what the consumer believes stays true throughout.

A book that is LIVE at the consumer equals the exchange's own at the same update id, whenever anybody looks.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from feeder.client import StatusChanged, Subscriber, ViewStatus
from feeder.market.status import StatusReason
from feeder.multicast.plan import Line
from feeder.simulator.server import Simulator, SimulatorConfig
from tests.helpers.compare import differences
from tests.helpers.processes import Addresses, feeder, multicast_section, until

SYMBOLS = 5
VICTIM = "BTCUSDT"
TOPIC = f"orderbook.50.{VICTIM}"


class Scene:
    """A simulator here, a feeder process, a consumer here, and what became of the victim's book."""

    def __init__(self, simulator: Simulator, consumer: Subscriber) -> None:
        self.simulator = simulator
        self.consumer = consumer
        self.addresses = Addresses(simulator.websocket_url, simulator.rest_url)
        self.changes: dict[str, list[tuple[ViewStatus, StatusReason]]] = {}
        consumer.on(StatusChanged, self._changed)

    def _changed(self, event: StatusChanged) -> None:
        if event.view.key is not None:
            self.changes.setdefault(event.view.key[1], []).append((event.status, event.reason))

    @property
    def victim(self) -> list[tuple[ViewStatus, StatusReason]]:
        return self.changes.get(VICTIM, [])

    async def live(self) -> None:
        books = self.consumer.books
        await until(
            lambda: len(books := self.consumer.books) == SYMBOLS and all(v.is_live for v in books.values()),
            30,
            f"all books LIVE, {[v.status.name for v in books.values()]}",
        )

    async def is_true(self) -> None:
        """All books are LIVE and the exchange's own."""
        await self.live()
        assert await differences(list(self.consumer.books.values()), self.addresses) == []

    async def lost_and_found(self, reason: StatusReason) -> None:
        """The victim went STALE for this reason, came back, and is right; nobody else's book was touched."""
        await until(lambda: (ViewStatus.STALE, reason) in self.victim, 10, f"{VICTIM} STALE {reason.name}")
        await until(lambda: self.victim[-1][0] is ViewStatus.LIVE, 20, f"{VICTIM} LIVE again")
        await self.is_true()
        assert set(self.changes) == {VICTIM}


@asynccontextmanager
async def scene(folder: Any) -> AsyncIterator[Scene]:
    section = multicast_section()
    lines = [Line(name, line["group"], line["interface"]) for name, line in section["lines"].items()]
    async with Simulator(SimulatorConfig(symbols=SYMBOLS, updates_per_second=150.0)) as simulator:
        settings = {
            "exchange": {"websocket_url": simulator.websocket_url, "rest_url": simulator.rest_url},
            "subscriptions": [{"category": "linear", "symbols": "all"}],
            "multicast": section,
        }
        async with feeder(folder, settings) as following, Subscriber(lines=lines, port=section["port"]) as consumer:
            staged = Scene(simulator, consumer)
            await staged.live()
            staged.changes.clear()
            yield staged
            assert await following.end() == 0, following.log


async def test_a_missing_update_takes_its_book_down_until_a_snapshot(tmp_path):
    async with scene(tmp_path) as staged:
        staged.simulator.skip_update("linear", VICTIM)
        await staged.lost_and_found(StatusReason.GAP)


async def test_a_repeated_update_changes_nothing(tmp_path):
    async with scene(tmp_path) as staged:
        for _ in range(5):
            staged.simulator.repeat_update("linear", VICTIM)
            await asyncio.sleep(0.1)
        await staged.is_true()
        assert staged.changes == {}


@pytest.mark.parametrize("u", [None, 1])
async def test_a_snapshot_in_mid_stream_replaces_the_book_even_if_its_ids_start_again(tmp_path, u):
    async with scene(tmp_path) as staged:
        staged.simulator.resend_snapshot("linear", VICTIM, u)
        await asyncio.sleep(0.5)
        await staged.is_true()
        assert staged.changes == {}


async def test_a_resubscription_that_is_refused_is_asked_for_again(tmp_path):
    async with scene(tmp_path) as staged:
        staged.simulator.refuse("linear", TOPIC, 2)
        staged.simulator.skip_update("linear", VICTIM)
        await staged.lost_and_found(StatusReason.GAP)
        assert (ViewStatus.STALE, StatusReason.REFUSED) in staged.victim


LEVEL = '{"topic":"%s","type":"delta","ts":1,"data":{"s":"%s","b":[[%s]],"a":[],"u":%s,"seq":1},"cts":1}'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LEVEL % (TOPIC, VICTIM, '"1","0.1234567890123456789"', 5), StatusReason.MALFORMED),  # finer than 10^-18
        (LEVEL % (TOPIC, VICTIM, f'"{"9" * 40}","1"', 5), StatusReason.MALFORMED),  # beyond 64 bits
        (LEVEL % (TOPIC, VICTIM, '"-1","1"', 5), StatusReason.MALFORMED),
        (LEVEL % (TOPIC, VICTIM, '"1","1e3"', 5), StatusReason.MALFORMED),
        (LEVEL % (TOPIC, VICTIM, '"1"', 5), StatusReason.MALFORMED),
        (LEVEL % (TOPIC, VICTIM, "1,1", 5), StatusReason.MALFORMED),
        (LEVEL % (TOPIC, VICTIM, '"1","1"', '"5"'), StatusReason.MALFORMED),
        (f'{{"topic":"{TOPIC}","type":"delta","ts":1,"data":null}}', StatusReason.MALFORMED),
        (LEVEL % (TOPIC, VICTIM, '"1","1"', 10**30), None),  # an update id beyond any
    ],
)  # fmt: skip
async def test_a_message_that_makes_no_sense_takes_its_own_book_down_and_no_other(tmp_path, text, reason):
    async with scene(tmp_path) as staged:
        staged.simulator.send_raw("linear", text)
        if reason is None:
            await until(lambda: ViewStatus.STALE in {status for status, _ in staged.victim}, 10, "STALE")
            await until(lambda: staged.victim[-1][0] is ViewStatus.LIVE, 20, "LIVE again")
            await staged.is_true()
        else:
            await staged.lost_and_found(reason)


@pytest.mark.parametrize(
    "text",
    [
        '{"topic":"orderbook.50.NOBODYUSDT","type":"delta","ts":1,"data":{"s":"X","b":[],"a":[],"u":1,"seq":1}}',
        '{"topic":"tickers.BTCUSDT","type":"snapshot","ts":1,"data":{"symbol":"BTCUSDT"}}',
        '{"success":true,"ret_msg":"","op":"subscribe","req_id":"never asked"}',
        '{"what":"ever"}',
        "[]",
        '"text"',
    ],
)
async def test_what_nobody_asked_for_is_ignored(tmp_path, text):
    async with scene(tmp_path) as staged:
        staged.simulator.send_raw("linear", text)
        await asyncio.sleep(0.5)
        await staged.is_true()
        assert staged.changes == {}


async def test_text_that_is_no_json_costs_the_connection_as_it_may_have_been_any_books(tmp_path):
    async with scene(tmp_path) as staged:
        staged.simulator.send_raw("linear", '{"topic":')
        await until(lambda: len(staged.changes) == SYMBOLS, 10, "every book STALE")
        assert {changes[0] for changes in staged.changes.values()} == {(ViewStatus.STALE, StatusReason.DISCONNECTED)}
        await staged.is_true()


async def test_a_crossing_update_is_never_shown_as_live(tmp_path):
    crossed: list[str] = []
    async with scene(tmp_path) as staged:
        view = staged.consumer.book("linear", VICTIM)
        best_ask = view.best_ask()
        assert best_ask is not None

        def watch(_: object) -> None:
            bid, ask = view.best_bid(), view.best_ask()
            if view.is_live and bid is not None and ask is not None and bid[0] >= ask[0]:
                crossed.append(f"{bid} {ask}")

        staged.consumer.on(StatusChanged, watch)
        price = f"{best_ask[0] * 2 * 10**view.price_exponent:.1f}"
        for ahead in range(1, 40):  # one of them is the next update id
            update_id = view.venue_update_id + ahead
            staged.simulator.send_raw("linear", LEVEL % (TOPIC, VICTIM, f'"{price}","1"', update_id))
        await until(lambda: bool(staged.victim), 10, f"{VICTIM} STALE")
        await until(lambda: staged.victim[-1][0] is ViewStatus.LIVE, 20, "LIVE again")
        await staged.is_true()
        assert not crossed


async def test_every_connection_cut_at_once_comes_back(tmp_path):
    async with scene(tmp_path) as staged:
        await staged.simulator.drop_connections()
        await until(lambda: len(staged.changes) == SYMBOLS, 10, "every book STALE")
        await staged.is_true()
