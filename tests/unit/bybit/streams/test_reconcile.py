"""What REST tells of the time in which the stream was away."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from feeder.bybit.streams.final_statuses import GONE
from feeder.bybit.streams.reconcile import DAY_MS
from feeder.errors import AuthError, ConnectError, InvalidRequestError, OrderNotFoundError, RefusedError

from .account_rows import T0, coin, fill, order, position, wallet
from .account_scene import Scene, scenes, turns


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
        scene.venue.open = [order(created_time=T0 - DAY_MS)]
        await scene.resume()
        scene.lose()
        scene.venue.open = []
        await scene.resume()
        assert len(scene.pauses) == 4
        assert scene.account.health().failures == 4
        assert sum("orderId" in given for given in scene.asked("/v5/order/history")) == 5
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


@pytest.mark.parametrize("name", ["take_profit", "stop_loss", "tp_limit_price", "sl_limit_price"])
async def test_what_was_removed_of_an_order_meanwhile_is_gone(name: str) -> None:
    async with scenes() as scene:
        await scene.resume()
        scene.stream.orders.publish(order(**{name: Decimal(120)}))
        scene.lose()
        scene.venue.open = [order(at=T0 + 5, closed_pnl=None)]
        await scene.resume()
        assert getattr(scene.account.orders["o1"], name) is None
        assert scene.told[-1] is scene.account.orders["o1"]


@pytest.mark.parametrize("name", ["take_profit", "stop_loss", "trailing_stop"])
async def test_what_was_removed_of_a_position_meanwhile_is_told(name: str) -> None:
    async with scenes() as scene:
        await scene.resume()
        scene.stream.positions.publish(position(**{name: Decimal(120)}))
        scene.lose()
        scene.venue.held = [position(at=T0 + 5)]
        await scene.resume()
        assert getattr(scene.told[-1], name) is None


async def test_stops_that_are_zero_in_one_and_empty_in_the_other_are_no_change() -> None:
    async with scenes() as scene:
        await scene.resume()
        scene.stream.orders.publish(order(take_profit=Decimal(0)))
        scene.lose()
        scene.told.clear()
        scene.venue.open = [order(at=T0 + 5, sl_limit_price=Decimal(0))]
        await scene.resume()
        assert not scene.told


@pytest.mark.parametrize("refusal", [InvalidRequestError, OrderNotFoundError])
async def test_an_order_whose_question_is_refused_is_one_that_nobody_knows(refusal: type[RefusedError]) -> None:
    async with scenes() as scene:
        scene.venue.open = [order()]
        await scene.resume()
        scene.lose()
        scene.venue.open = []

        async def before(endpoint: Any, given: dict[str, object]) -> None:
            if "orderId" in given:
                raise refusal("refused", 110001, "refused")

        scene.venue.before = before
        await scene.resume()
        assert scene.account.closed_orders["o1"].order_status == GONE


async def test_an_option_that_expired_meanwhile_is_gone_though_its_symbol_is_refused() -> None:
    symbol = "BTC-9MAY25-2000-C"
    async with scenes(categories=("option",)) as scene:
        scene.venue.held = [position(category="option", symbol=symbol)]
        scene.venue.open = [order(category="option", symbol=symbol)]
        await scene.resume()
        scene.lose()
        scene.venue.held, scene.venue.open = [], []

        async def before(endpoint: Any, given: dict[str, object]) -> None:
            if given.get("symbol") == symbol:
                raise InvalidRequestError("params error: symbol invalid", 10001, "symbol invalid")

        scene.venue.before = before
        await scene.resume()
        assert not scene.account.positions
        assert scene.account.closed_orders["o1"].order_status == GONE


async def test_a_key_that_is_refused_makes_no_order_and_no_position_gone() -> None:
    async with scenes() as scene:
        scene.venue.held, scene.venue.open = [position()], [order()]
        await scene.resume()
        scene.lose()
        scene.venue.held, scene.venue.open = [], []

        async def before(endpoint: Any, given: dict[str, object]) -> None:
            if "symbol" in given:
                raise AuthError("no permission", 10005, "no permission")

        scene.venue.before = before
        scene.stream.resumed.publish(2)
        await turns(500)
        assert len(scene.account.orders) == len(scene.account.positions) == 1
        assert not scene.account.is_reconciled


async def test_a_triggered_order_whose_end_was_not_told_is_asked_for() -> None:
    async with scenes() as scene:
        await scene.resume()
        scene.stream.orders.publish(order("o1", "Triggered"))
        scene.stream.orders.publish(order("o2", "Triggered"))
        scene.lose()
        scene.venue.realtime = [order("o1", "Filled", done="10", at=T0 + 5)]
        await scene.resume()
        closed = {name: each.order_status for name, each in scene.account.closed_orders.items()}
        assert closed == {"o1": "Filled", "o2": GONE}


async def test_what_history_takes_for_open_still_is_not_opened() -> None:
    async with scenes() as scene:
        scene.venue.history = [order("lags behind", "New"), order("done", "Cancelled")]
        await scene.resume()
        assert not scene.account.orders
        assert list(scene.account.closed_orders) == ["done"]


async def test_of_more_past_orders_than_are_kept_the_last_are() -> None:
    async with scenes(closed_orders=3) as scene:
        scene.venue.history = [order(f"o{number}", "Cancelled", at=T0 + number) for number in range(9, -1, -1)]
        await scene.resume()
        assert list(scene.account.closed_orders) == ["o7", "o8", "o9"]


async def test_a_coin_that_the_stream_told_of_since_the_connection_is_not_undone_by_rest() -> None:
    async with scenes() as scene:
        scene.venue.coins = [coin("USDT", "10"), coin("BTC", "1")]
        scene.stream.resumed.publish(1)
        scene.stream.wallets.publish(wallet(USDT="20"))  # which REST has not heard of when it answers
        await scene.account.ready()
        assert {name: each.wallet_balance for name, each in scene.account.wallet.items()} == {"USDT": 20, "BTC": 1}


@pytest.mark.parametrize("late_turns", [1, 2, 3])
async def test_a_cut_in_the_turn_of_another_error_ends_the_reconciliation(late_turns: int) -> None:
    """A TaskGroup forgets that it was cancelled where one of its tasks had failed before."""
    async with scenes(categories=("linear", "spot")) as scene:
        failed = asyncio.Event()

        async def before(endpoint: Any, given: dict[str, object]) -> None:
            if given.get("category") == "linear" and not failed.is_set():
                failed.set()
                raise ConnectError("the network is gone")
            if given.get("category") == "spot" and not failed.is_set():
                try:
                    await asyncio.Event().wait()
                finally:
                    await turns(5)  # a connection that closes

        scene.venue.before = before
        scene.stream.resumed.publish(1)
        await failed.wait()
        await turns(late_turns)
        scene.lose()
        await turns(100)
        assert not scene.account.is_reconciled
        assert not scene.said
        await scene.resume()
        assert [each.done for each in scene.said] == [True]


async def test_a_reconciliation_cut_after_any_question_ends_right_and_tells_each_fill_once() -> None:
    def at_first(scene: Scene) -> None:
        scene.venue.open = [order("o1"), order("o2")]
        scene.venue.held = [position("1"), position("2", symbol="ETHUSDT")]
        scene.venue.coins = [coin("USDT", "10")]

    async with scenes(categories=("linear", "inverse")) as scene:
        at_first(scene)
        await scene.resume()
        whole = len(scene.venue.asked)
    for cut in range(whole + 6):
        async with scenes(categories=("linear", "inverse")) as scene:
            at_first(scene)
            await scene.resume()
            scene.lose()
            scene.venue.open, scene.venue.history = [order("o2")], [order("o1", "Filled", done="10", at=T0 + 5)]
            scene.venue.held = [position("0", seq=9, at=T0 + 5), position("2", symbol="ETHUSDT")]
            scene.venue.fills = [fill("e1", "o1", at=T0 + 5), fill("e2", "o1", at=T0 + 5)]
            scene.venue.coins = [coin("USDT", "9")]
            left = cut

            async def before(endpoint: Any, given: dict[str, object], scene: Scene = scene) -> None:
                nonlocal left
                await asyncio.sleep(0)
                left -= 1
                if left == 0:
                    scene.lose()
                    scene.stream.resumed.publish(3)

            scene.venue.before = before
            await scene.resume()
            account = scene.account
            assert [each.exec_id for each in account.executions] == ["e1", "e2"]
            assert (list(account.orders), list(account.closed_orders)) == (["o2"], ["o1"])
            assert [key.symbol for key in account.positions] == ["ETHUSDT"]
            assert account.wallet["USDT"].wallet_balance == 9
            assert [each.done for each in scene.said] == [True, False, True]


async def test_of_many_orders_that_are_gone_a_few_are_asked_for_at_once() -> None:
    async with scenes() as scene:
        scene.venue.open = [order(f"o{number}") for number in range(200)]
        await scene.resume()
        scene.lose()
        scene.venue.open = []
        scene.venue.realtime = [order(f"o{number}", "Cancelled", at=T0 + 1) for number in range(200)]
        asking, most = 0, 0

        async def before(endpoint: Any, given: dict[str, object]) -> None:
            nonlocal asking, most
            asking += 1
            most = max(most, asking)
            await asyncio.sleep(0)
            asking -= 1

        scene.venue.before = before
        await scene.resume()
        assert len(scene.account.closed_orders) == 200
        assert 5 < most <= 20
