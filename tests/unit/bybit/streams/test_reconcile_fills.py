"""The fills that REST tells of the time in which the stream was away."""

from decimal import Decimal

from feeder.bybit.streams.reconcile import DAY_MS, OVERLAP_MS

from .account_rows import T0, fill, order
from .account_scene import fail, scenes, turns


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


async def test_fills_of_one_millisecond_are_told_as_their_orders_were_filled() -> None:
    async with scenes() as scene:
        left = {"a": "2", "b": "5", "c": "0"}
        scene.venue.fills = [fill(name, "", at=T0 + 1, seq=7, leaves_qty=Decimal(qty)) for name, qty in left.items()]
        scene.venue.fills.append(fill("d", "", at=T0 + 1, seq=6, leaves_qty=Decimal(0)))
        await scene.resume()
        assert [each.exec_id for each in scene.account.executions] == ["d", "b", "a", "c"]


async def test_fills_are_asked_for_from_the_last_known_less_an_overlap() -> None:
    async with scenes(fills_since=T0 - DAY_MS) as scene:
        await scene.resume()
        scene.later.set()
        await turns(20)
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


async def test_a_fill_that_rest_lists_late_is_told_a_little_later() -> None:
    async with scenes() as scene:
        await scene.resume()
        scene.stream.executions.publish(fill("live", "", at=T0 + 500))
        scene.venue.fills = [fill("late", "", at=T0 + 10), fill("live", "", at=T0 + 500)]
        fail(scene.venue, 2)
        scene.later.set()
        await turns(50)
        assert [each.exec_id for each in scene.account.executions] == ["live", "late"]
        assert scene.account.is_reconciled
        assert len(scene.pauses) == 2
        assert not scene.errors


async def test_until_late_fills_were_asked_for_live_ones_do_not_make_them_known() -> None:
    async with scenes() as scene:
        await scene.resume()
        scene.venue.fills = [fill("late", "", at=T0 + 10)]
        scene.stream.executions.publish(fill("live", "", at=T0 + 500_000))
        scene.lose()
        scene.later.set()
        await turns(20)
        assert len(scene.account.executions) == 1
        await scene.resume()
        assert [each.exec_id for each in scene.account.executions] == ["live", "late"]


async def test_without_fills_they_are_asked_for_from_the_last_reconciliation_less_an_overlap() -> None:
    async with scenes(fills_since=T0 - DAY_MS) as scene:
        scene.venue.now_ms = T0 + DAY_MS
        await scene.resume()
        scene.lose()
        scene.venue.asked.clear()
        scene.venue.now_ms = T0 + 2 * DAY_MS
        await scene.resume()
        assert scene.asked("/v5/execution/list")[0]["startTime"] == T0 + DAY_MS - OVERLAP_MS


async def test_late_fills_of_before_the_start_are_not_told_either() -> None:
    async with scenes() as scene:
        await scene.resume()
        scene.venue.fills = [fill("old", "", at=T0 - 9)]
        scene.later.set()
        await turns(20)
        assert not scene.account.executions


async def test_late_fills_are_asked_for_within_the_overlap_only() -> None:
    async with scenes(fills_since=T0 - 3 * DAY_MS) as scene:
        await scene.resume()
        scene.venue.asked.clear()
        scene.later.set()
        await turns(50)
        assert [(path, given["startTime"]) for path, given in scene.venue.asked] == [
            ("/v5/execution/list", T0 - OVERLAP_MS)
        ]
