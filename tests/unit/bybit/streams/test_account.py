"""An account's life: its first reconciliation, what comes meanwhile, trouble, and its end."""

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from feeder.bybit.streams.account import Account, Reconciled
from feeder.bybit.streams.private import PrivateStream
from feeder.bybit.streams.topic_stream import StreamHealth
from feeder.errors import BarredError, ParameterError, StreamError, TopicError

from .account_rows import T0, Venue, coin, fill, order, position, wallet
from .account_scene import DOWN, SECONDS, Scene, fail, scenes, turns

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


async def test_rest_is_not_asked_again_before_the_venue_said() -> None:
    async with scenes() as scene:
        scene.venue.failures = [BarredError("left alone", retriable=True, retry_after_seconds=600)]
        await scene.resume()
        assert scene.pauses == [600]


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
        with pytest.raises(TopicError, match="position: the venue refuses it"):
            await scene.resume()
        await turns(50)
        assert scene.account.is_reconciled
        assert len(scene.pauses) == 3
        assert len(scene.asked("/v5/account/wallet-balance")) == 1


async def test_a_topic_that_the_account_does_not_need_may_be_refused() -> None:
    async with scenes() as scene:
        health = msgspec.structs.replace(scene.stream.health(), refused=["greeks", "dcp.future"])
        scene.stream.health = lambda: health  # type: ignore[method-assign]
        await scene.resume()
        assert not scene.pauses


async def test_what_came_while_a_topic_was_refused_loses_to_rest_on_a_tie() -> None:
    async with scenes() as scene:
        health = scene.stream.health()

        def now() -> StreamHealth:
            if scene.pauses:
                return health
            scene.stream.orders.publish(order(price=Decimal(99)))
            return msgspec.structs.replace(health, refused=["order"])

        scene.stream.health = now  # type: ignore[method-assign]
        scene.venue.open = [order(price=Decimal(98))]
        scene.stream.resumed.publish(1)
        await turns(50)
        assert scene.account.orders["o1"].price == 98


async def test_a_topic_that_is_wanted_no_more_is_said() -> None:
    async with scenes() as scene:
        scene.stream.unsubscribe("position")
        scene.stream.resumed.publish(1)
        await turns(20)
        assert not scene.account.is_reconciled
        assert "position.linear" in scene.account.health().reason


async def test_whoever_waits_is_not_told_of_what_is_in_doubt_again() -> None:
    async with scenes() as scene:
        waiting = asyncio.create_task(scene.account.ready(SECONDS))
        scene.account.reconciled.on(lambda said: scene.lose() if len(scene.said) == 1 else None)
        scene.stream.resumed.publish(1)
        await turns(50)
        assert not waiting.done()
        await scene.resume()
        await waiting


async def test_two_by_hand_at_once_both_return_when_all_was_asked_for_anew() -> None:
    async with scenes() as scene:
        await scene.resume()
        scene.venue.coins = [coin("USDT", "10")]
        await asyncio.gather(scene.account.reconcile(), scene.account.reconcile())
        assert scene.account.is_reconciled
        assert list(scene.account.wallet) == ["USDT"]


async def test_closed_in_the_midst_of_a_reconciliation() -> None:
    async with scenes() as scene:

        async def before(endpoint: Any, given: dict[str, object]) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await turns(5)  # a connection that closes

        scene.venue.before = before
        scene.stream.resumed.publish(1)
        await turns(5)
        waiting = asyncio.create_task(scene.account.ready(SECONDS))
        await turns(2)
    with pytest.raises(StreamError, match="closed"):
        await waiting
    assert not scene.said
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "reconcile"]


async def test_closed_before_its_start_it_follows_nothing() -> None:
    scene = Scene()
    await scene.account.aclose()
    await scene.account.start()
    scene.stream.orders.publish(order())
    assert not scene.account.orders


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
        await turns(5)
        assert not scene.venue.asked
        await scene.resume()
        await waiting
        scene.lose()
        scene.venue.asked.clear()
        waiting = asyncio.create_task(scene.account.reconcile())
        await turns(5)
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


async def test_categories_and_coins_must_make_sense() -> None:
    with pytest.raises(ParameterError, match="categories"):
        Scene(categories=("spots",))
    with pytest.raises(ParameterError, match="settle_coins"):
        Scene(settle_coins=())
    with pytest.raises(ParameterError, match="ms since the epoch"):
        Scene(fills_since=1_700_000_000)
