"""An account over a stream that says what it is told to, and a REST that answers what it is given."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from random import Random
from typing import Any

import msgspec
import pytest

from feeder.bybit.streams.account import Account, Reconciled
from feeder.bybit.streams.account_rules import GONE
from feeder.bybit.streams.private import PrivateStream
from feeder.bybit.streams.reconcile import DAY_MS, OVERLAP_MS
from feeder.clock import ManualClock
from feeder.errors import ConnectError, OrderNotFoundError, ParameterError, RestError, StreamError, TopicError

from .account_rows import T0, Venue, coin, fill, order, position, wallet

SECONDS = 5.0
DOWN = "REST is down"


class Scene:
    """`told` is what the account's channels told, in order."""

    def __init__(self, **options: Any) -> None:
        self.clock = ManualClock()
        self.venue = Venue()
        self.stream = PrivateStream(self.venue, url="ws://127.0.0.1:1", clock=self.clock)
        self.errors: list[Exception] = []
        self.stream.errors.on(self.errors.append)
        self.pauses: list[float] = []
        options = {"categories": ("linear",), "settle_coins": ("USDT",)} | options
        self.account = Account(self.venue, self.stream, clock=self.clock, random=Random(1), sleep=self.sleep, **options)
        self.told: list[Any] = []
        self.said: list[Reconciled] = []
        account = self.account
        for channel in (account.order_changes, account.fills, account.position_changes, account.wallet_changes):
            channel.on(self.told.append)
        account.reconciled.on(self.said.append)

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.clock.advance(seconds)
        await asyncio.sleep(0)

    async def resume(self) -> None:
        """The stream is back, and REST has answered."""
        self.stream.resumed.publish(1)
        await self.account.ready(SECONDS)

    def lose(self) -> None:
        self.stream.lost.publish("cut")

    def asked(self, path: str) -> list[dict[str, object]]:
        return [given for each, given in self.venue.asked if each == path]


@asynccontextmanager
async def scenes(**options: Any) -> AsyncIterator[Scene]:
    scene = Scene(**options)
    async with scene.account:
        yield scene


async def turns(count: int) -> None:
    """Let what needs no waiting happen."""
    for _ in range(count):
        await asyncio.sleep(0)


def fail(venue: Venue, times: int) -> None:
    venue.failures += [ConnectError(DOWN) for _ in range(times)]


# The first reconciliation


async def test_at_first_rest_tells_everything() -> None:
    async with scenes() as scene:
        scene.venue.open, scene.venue.held, scene.venue.coins = [order()], [position()], [coin("USDT", "10")]
        assert not scene.account.is_reconciled
        await scene.resume()
        account = scene.account
        assert (list(account.orders), len(account.positions), list(account.wallet)) == (["o1"], 1, ["USDT"])
        assert sorted(type(each).__name__ for each in scene.told) == ["OrderUpdate", "PositionUpdate", "WalletUpdate"]
        assert scene.said == [Reconciled(done=True, reason="connection 1")]
        assert account.orders["o1"].category == "linear"


async def test_a_stream_that_is_live_already_is_followed_at_once() -> None:
    scene = Scene()
    health = msgspec.structs.replace(scene.stream.health(), state="live")
    scene.stream.health = lambda: health  # type: ignore[method-assign]
    async with scene.account:
        await scene.account.ready(SECONDS)


async def test_all_categories_are_asked_for_as_the_venue_wants_it() -> None:
    async with scenes(categories=("linear", "inverse", "spot", "option"), settle_coins=("USDT", "USDC")) as scene:
        await scene.resume()
        asked = [(given["category"], given.get("settleCoin")) for given in scene.asked("/v5/order/realtime")]
        every = [("inverse", None), ("linear", "USDC"), ("linear", "USDT"), ("option", None), ("spot", None)]
        assert sorted(asked, key=str) == every
        asked = [(given["category"], given.get("settleCoin")) for given in scene.asked("/v5/position/list")]
        assert sorted(asked, key=str) == every[:4]
        assert len(scene.asked("/v5/execution/list")) == len(scene.asked("/v5/order/history")) == 4


async def test_fills_of_before_the_start_are_not_told_unless_asked_for() -> None:
    old, new = fill("old", at=T0 - 9), fill("new", at=T0 + 1)
    async with scenes() as scene:
        scene.venue.fills = [old, new]
        await scene.resume()
        assert [each.exec_id for each in scene.account.executions] == ["new"]
    async with scenes(fills_since=T0 - 10) as scene:
        scene.venue.fills = [new, old]
        await scene.resume()
        assert [each.exec_id for each in scene.account.executions] == ["old", "new"]


async def test_fills_of_the_time_between_start_and_connection_are_told() -> None:
    async with scenes() as scene:
        scene.clock.advance(30)
        scene.venue.now_ms = T0 + 30_000
        scene.venue.fills = [fill("meanwhile", at=T0 + 1)]
        await scene.resume()
        assert [each.exec_id for each in scene.account.executions] == ["meanwhile"]


# What happened while the stream was away


async def test_an_order_closed_meanwhile_is_found_by_its_id() -> None:
    async with scenes() as scene:
        scene.venue.open = [order("o1"), order("o2"), order("o3")]
        await scene.resume()
        scene.lose()
        assert not scene.account.is_reconciled
        scene.venue.open = [order("o3")]
        scene.venue.realtime = [order("o1", "Filled", at=T0 + 5, done="10")]
        scene.venue.history = [order("o2", "Cancelled", at=T0 + 5)]
        scene.told.clear()
        await scene.resume()
        assert {each.order_id: each.order_status for each in scene.told} == {"o1": "Filled", "o2": "Cancelled"}
        assert list(scene.account.orders) == ["o3"]


async def test_an_order_that_came_and_went_meanwhile_is_found() -> None:
    async with scenes() as scene:
        await scene.resume()
        scene.lose()
        scene.venue.history = [order("brief", "Cancelled", order_link_id="mine")]
        await scene.resume()
        found = scene.account.order("mine")
        assert found is not None
        assert found.order_status == "Cancelled"


async def test_an_order_that_nobody_knows_is_asked_for_again_before_it_is_gone() -> None:
    async with scenes() as scene:
        scene.venue.open = [order()]
        await scene.resume()
        scene.lose()
        scene.venue.open = []
        await scene.resume()
        assert len(scene.pauses) == 4
        assert scene.account.health().failures == 4
        assert scene.account.closed_orders["o1"].order_status == GONE


async def test_an_order_that_history_knows_late_is_not_gone() -> None:
    async with scenes() as scene:
        scene.venue.open = [order()]
        await scene.resume()
        scene.lose()
        scene.venue.open = []

        async def before(endpoint: Any, given: dict[str, object]) -> None:
            if len(scene.pauses) == 2:
                scene.venue.history = [order(status="Cancelled", at=T0 + 1)]

        scene.venue.before = before
        await scene.resume()
        assert scene.account.closed_orders["o1"].order_status == "Cancelled"


async def test_an_order_older_than_the_week_of_history_is_asked_for_by_its_day() -> None:
    async with scenes() as scene:
        scene.venue.open = [order(created_time=T0 - 8 * DAY_MS)]
        await scene.resume()
        scene.lose()
        scene.venue.open = []

        async def before(endpoint: Any, given: dict[str, object]) -> None:
            if given.get("orderId") == "o1" and given.get("startTime") == T0 - 8 * DAY_MS:
                scene.venue.history = [order(status="Cancelled", at=T0 + 1)]

        scene.venue.before = before
        await scene.resume()
        assert scene.account.closed_orders["o1"].order_status == "Cancelled"


async def test_fills_found_are_told_once_and_oldest_first() -> None:
    async with scenes() as scene:
        await scene.resume()
        scene.stream.orders.publish(order())
        scene.stream.executions.publish(fill("e1", at=T0 + 10))
        scene.lose()
        scene.venue.fills = [fill("e1", at=T0 + 10), fill("e3", at=T0 + 30), fill("e2", at=T0 + 20)]
        scene.venue.open = [order()]
        await scene.resume()
        scene.stream.executions.publish(fill("e3", at=T0 + 30))
        scene.stream.executions.publish(fill("e4", at=T0 + 40))
        fills = [each.exec_id for each in scene.told if hasattr(each, "exec_id")]
        assert fills == ["e1", "e2", "e3", "e4"]
        assert scene.said[-1].fills == 2
        assert scene.account.health().repeated_fills == 2


async def test_fills_are_asked_for_from_the_last_known_less_an_overlap() -> None:
    async with scenes(fills_since=T0 - DAY_MS) as scene:
        await scene.resume()
        scene.stream.orders.publish(order())
        scene.stream.executions.publish(fill(at=T0 + 500_000))
        scene.lose()
        scene.stream.executions.publish(fill("e2", at=T0 + 900_000))  # nobody knows what came before this one
        scene.venue.asked.clear()
        scene.venue.open = [order()]
        scene.venue.now_ms = T0 + 900_000
        await scene.resume()
        (asked,) = scene.asked("/v5/execution/list")
        assert asked["startTime"] == T0 + 500_000 - OVERLAP_MS


async def test_after_a_week_away_fills_are_asked_for_day_by_day() -> None:
    async with scenes() as scene:
        await scene.resume()
        scene.lose()
        scene.venue.asked.clear()
        scene.venue.now_ms = T0 + 9 * DAY_MS
        scene.venue.fills = [fill(f"e{day}", "", at=T0 + day * DAY_MS) for day in range(10)]
        await scene.resume()
        asked = scene.asked("/v5/execution/list")
        spans = [(int(str(given["startTime"])), given.get("endTime")) for given in asked]
        assert len(spans) == 10 if spans[0][0] < T0 else 9
        assert all(end == start + DAY_MS - 1 for start, end in spans[:-1])
        assert spans[-1][1] is None
        assert [each.exec_id for each in scene.account.executions] == [f"e{day}" for day in range(10)]


async def test_a_position_closed_meanwhile_is_found_by_its_symbol() -> None:
    async with scenes() as scene:
        scene.venue.held = [position("1"), position("2", symbol="ETHUSDT")]
        await scene.resume()
        scene.lose()
        scene.venue.held = [position("0", seq=9, at=T0 + 5), position("2", symbol="ETHUSDT")]
        await scene.resume()
        assert [key.symbol for key in scene.account.positions] == ["ETHUSDT"]
        assert (scene.told[-1].size, scene.told[-1].seq) == (0, 9)


async def test_a_position_whose_mode_is_gone_is_gone() -> None:
    async with scenes() as scene:
        scene.venue.held = [position("1")]
        await scene.resume()
        scene.lose()
        scene.venue.held = [position("0", position_idx=1, seq=-1), position("0", position_idx=2, seq=-1)]
        await scene.resume()
        assert not scene.account.positions


async def test_a_coin_that_was_spent_is_gone() -> None:
    async with scenes() as scene:
        scene.venue.coins = [coin("USDT", "10"), coin("BTC", "1")]
        await scene.resume()
        scene.lose()
        scene.venue.coins = [coin("BTC", "1")]
        await scene.resume()
        assert list(scene.account.wallet) == ["BTC"]


# Meanwhile the stream goes on


async def test_what_the_stream_tells_meanwhile_is_believed_on_a_tie() -> None:
    async with scenes() as scene:
        scene.venue.open = [order(price=Decimal(98))]
        scene.venue.coins = [coin("USDT", "10")]

        async def before(endpoint: Any, given: dict[str, object]) -> None:
            if endpoint.path == "/v5/account/wallet-balance":
                scene.stream.orders.publish(order(price=Decimal(99)))
                scene.stream.wallets.publish(wallet(USDT="20"))

        scene.venue.before = before
        await scene.resume()
        assert scene.account.orders["o1"].price == 99
        assert scene.account.wallet["USDT"].wallet_balance == 20


async def test_a_position_opened_meanwhile_is_not_taken_for_gone() -> None:
    async with scenes() as scene:

        async def before(endpoint: Any, given: dict[str, object]) -> None:
            if endpoint.path == "/v5/position/list":
                scene.stream.positions.publish(position("1"))
                scene.stream.orders.publish(order())

        scene.venue.before = before
        await scene.resume()
        assert len(scene.account.positions) == len(scene.account.orders) == 1
        assert len(scene.asked("/v5/position/list")) == 1


async def test_a_position_changed_from_elsewhere_is_told() -> None:
    async with scenes() as scene:
        await scene.resume()
        scene.stream.positions.publish(position("3"))
        assert scene.told[-1] is scene.account.positions["linear", "BTCUSDT", 0]  # type: ignore[index]


async def test_the_state_has_a_change_before_it_is_told() -> None:
    async with scenes() as scene:
        seen: list[bool] = []
        scene.account.order_changes.on(lambda told: seen.append(scene.account.orders.get("o1") is told))
        scene.stream.orders.publish(order())
        assert seen == [True]


# Trouble


async def test_rest_that_fails_is_asked_again_for_ever_and_said() -> None:
    async with scenes() as scene:
        await scene.resume()
        scene.lose()
        fail(scene.venue, 12)
        reasons: list[str] = []

        async def before(endpoint: Any, given: dict[str, object]) -> None:
            reasons.append(scene.account.health().reason)
            assert not scene.account.is_reconciled

        scene.venue.before = before
        await scene.resume()
        assert [each.done for each in scene.said] == [True, False, True]
        assert len(scene.pauses) == 12
        assert scene.pauses[-1] <= 30
        assert reasons[5] == f"connection 1, then ConnectError: {DOWN}"


async def test_a_cut_during_a_reconciliation_starts_it_anew() -> None:
    async with scenes() as scene:
        reached, go_on = asyncio.Event(), asyncio.Event()

        async def before(endpoint: Any, given: dict[str, object]) -> None:
            if endpoint.path == "/v5/position/list" and not go_on.is_set():
                reached.set()
                await asyncio.Event().wait()

        scene.venue.before = before
        scene.stream.resumed.publish(1)
        await reached.wait()
        scene.lose()
        await asyncio.sleep(0)
        assert not scene.account.is_reconciled
        go_on.set()
        scene.venue.open = [order()]
        await scene.resume()
        assert list(scene.account.orders) == ["o1"]
        assert len(scene.said) == 1


async def test_a_cut_while_fills_are_listed_loses_none_of_them() -> None:
    async with scenes() as scene:
        await scene.resume()
        scene.lose()
        scene.venue.now_ms = T0 + 900_000
        scene.venue.fills = [fill("e1", "", at=T0 + 100_000)]
        fail_on = "/v5/execution/list"

        async def before(endpoint: Any, given: dict[str, object]) -> None:
            if endpoint.path == fail_on:
                scene.lose()

        scene.venue.before = before
        scene.stream.resumed.publish(2)
        await turns(50)
        assert not scene.account.is_reconciled
        scene.venue.before = None
        await scene.resume()
        assert [each.exec_id for each in scene.account.executions] == ["e1"]


async def test_a_defect_is_reported_and_the_account_is_asked_for_again() -> None:
    async with scenes() as scene:
        scene.venue.failures = [TypeError("a mistake of ours")]
        await scene.resume()
        assert [type(error) for error in scene.errors] == [TypeError]


async def test_while_a_topic_is_refused_the_account_is_not_known_to_be_true() -> None:
    async with scenes() as scene:
        health = scene.stream.health()
        refusing = msgspec.structs.replace(health, refused=["position"])
        scene.stream.health = lambda: refusing if len(scene.pauses) < 3 else health  # type: ignore[method-assign]
        await scene.resume()
        assert len(scene.pauses) == 3
        assert len(scene.asked("/v5/account/wallet-balance")) == 1


async def test_by_hand_everything_is_asked_for_again() -> None:
    async with scenes() as scene:
        await scene.resume()
        scene.stream.orders.publish(order())  # which is closed, but that event was lost
        scene.venue.realtime = [order(status="Cancelled")]
        await scene.account.reconcile()
        assert not scene.account.orders


async def test_by_hand_it_waits_for_the_stream_where_that_is_down() -> None:
    async with scenes() as scene:
        waiting = asyncio.create_task(scene.account.reconcile())
        await asyncio.sleep(0)
        assert not scene.venue.asked
        await scene.resume()
        await waiting


async def test_not_ready_in_time_says_why() -> None:
    async with scenes() as scene:
        with pytest.raises(StreamError, match="the stream is not up yet"):
            await scene.account.ready(0)


async def test_a_closed_account_lets_nobody_wait() -> None:
    async with scenes() as scene:
        waiting = asyncio.create_task(scene.account.reconcile())
        await asyncio.sleep(0)
    with pytest.raises(StreamError, match="closed"):
        await waiting
    scene.stream.orders.publish(order())
    assert not scene.account.orders
    assert not scene.account.is_reconciled


def test_a_stream_without_a_topic_that_is_needed_is_refused() -> None:
    venue = Venue()
    with pytest.raises(TopicError, match=r"position\.linear"):
        Account(venue, PrivateStream(venue, url="ws://127.0.0.1:1", topics=("order", "execution", "wallet")))
    with pytest.raises(TopicError, match="wallet"):
        Account(venue, PrivateStream(venue, url="ws://127.0.0.1:1", topics=("order", "execution", "position")))
    Account(
        venue,
        PrivateStream(venue, url="ws://127.0.0.1:1", topics=("order.spot", "execution.spot", "wallet")),
        categories=("spot",),
    )


def test_categories_and_coins_must_make_sense() -> None:
    with pytest.raises(ParameterError, match="categories"):
        Scene(categories=("spots",))
    with pytest.raises(ParameterError, match="settle_coins"):
        Scene(settle_coins=())


# Fills of orders that nobody knows


async def test_a_fill_of_an_unknown_order_is_told_and_its_order_asked_for() -> None:
    async with scenes() as scene:
        await scene.resume()
        scene.venue.realtime = [order("elsewhere", "Filled", done="10")]
        scene.stream.executions.publish(fill(order_id="elsewhere"))
        assert scene.told[-1].exec_id == "e1"
        await turns(50)
        assert scene.told[-1].order_id == "elsewhere"


async def test_the_order_of_a_fill_that_comes_late_is_not_asked_for() -> None:
    async with scenes() as scene:
        await scene.resume()
        scene.venue.asked.clear()
        scene.stream.executions.publish(fill())
        scene.stream.orders.publish(order(status="Filled", done="10"))
        await turns(50)
        assert not scene.venue.asked


async def test_the_order_of_a_fill_is_asked_for_until_rest_answers(caplog: pytest.LogCaptureFixture) -> None:
    async with scenes() as scene:
        await scene.resume()
        fail(scene.venue, 3)
        scene.stream.executions.publish(fill(order_id="nobody's"))
        await turns(50)
        assert "does not know order nobody's" in caplog.text
        assert len(scene.pauses) == 4


async def test_funding_belongs_to_no_order() -> None:
    async with scenes() as scene:
        await scene.resume()
        scene.venue.asked.clear()
        scene.stream.executions.publish(fill(order_id="x", exec_type="Funding"))
        await turns(50)
        assert not scene.venue.asked


# What became of a request


def unknown(**parameters: Any) -> RestError:
    error = ConnectError(DOWN, unknown_outcome=True)
    error.parameters = {"category": "linear", "symbol": "BTCUSDT", **parameters}
    error.order_link_id = parameters.get("orderLinkId")
    error.order_link_ids = () if error.order_link_id is None else (error.order_link_id,)
    return error


async def test_the_outcome_of_a_placed_order_is_asked_for_until_it_is_known() -> None:
    async with scenes() as scene:

        async def before(endpoint: Any, given: dict[str, object]) -> None:
            if len(scene.pauses) == 2:
                scene.venue.history = [order("o1", "Rejected", order_link_id="mine")]

        scene.venue.before = before
        found = await scene.account.outcome(unknown(orderLinkId="mine"))
        assert found is not None
        assert (found.order_id, found.order_status) == ("o1", "Rejected")
        assert scene.account.order("mine") is found
        assert all(path.startswith("/v5/order/") and given["orderLinkId"] for path, given in scene.venue.asked)


async def test_an_order_that_the_venue_does_not_know_within_the_time_was_not_placed() -> None:
    async with scenes() as scene:
        assert await scene.account.outcome("mine", "linear", within_seconds=10) is None
        assert sum(scene.pauses) == pytest.approx(10)
        assert max(scene.pauses) <= 2


async def test_that_the_venue_never_answered_is_no_outcome() -> None:
    async with scenes() as scene:
        fail(scene.venue, 1000)
        with pytest.raises(ConnectError):
            await scene.account.outcome("mine", "linear", within_seconds=10)


async def test_the_outcome_of_an_amendment_is_the_order_as_it_is() -> None:
    async with scenes() as scene:
        scene.venue.open = [order(price=Decimal(99), order_link_id="mine")]
        found = await scene.account.outcome(unknown(orderId="o1", orderLinkId="mine", price="99"))
        assert found is not None
        assert found.price == 99
        assert scene.venue.asked[0][1]["orderId"] == "o1"


async def test_the_outcome_tells_what_the_stream_knows_better() -> None:
    async with scenes() as scene:
        scene.venue.open = [order(order_link_id="mine")]
        scene.stream.orders.publish(order(status="Filled", done="10", at=T0 + 1))
        found = await scene.account.outcome("mine", "linear")
        assert found is not None
        assert found.order_status == "Filled"


async def test_a_request_that_names_no_one_order_is_refused() -> None:
    async with scenes() as scene:
        with pytest.raises(ParameterError, match="category"):
            await scene.account.outcome("mine")
        with pytest.raises(ParameterError, match="names no order"):
            await scene.account.outcome(unknown())
        batch = unknown()
        batch.order_link_ids = ("a", "b")
        with pytest.raises(ParameterError, match="each of its order_link_ids"):
            await scene.account.outcome(batch)


async def test_a_refusal_is_no_outcome_either() -> None:
    async with scenes() as scene:
        scene.venue.failures = [OrderNotFoundError("gone", 110001, "gone") for _ in range(99)]
        with pytest.raises(OrderNotFoundError):
            await scene.account.outcome("mine", "linear", within_seconds=1)
