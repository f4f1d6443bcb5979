"""What REST tells of the time in which the stream was away."""

from typing import Any

from feeder.bybit.streams.account_rules import GONE
from feeder.bybit.streams.reconcile import DAY_MS, OVERLAP_MS

from .account_rows import T0, coin, fill, order, position
from .account_scene import scenes


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
