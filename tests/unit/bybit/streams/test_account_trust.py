"""Whether an account is known to be true: checks by hand, a stream that is refused, and the end."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from feeder.bybit.streams.account import Reconciled
from feeder.bybit.streams.reconcile import OVERDUE_MS
from feeder.errors import StreamAuthError, StreamError, TopicError

from .account_rows import T0, coin, fill
from .account_scene import SECONDS, Scene, fail, scenes, turns

LOST = "1 fills found that the stream had not told: it lost something"


async def settled(scene: Scene) -> None:
    """Reconciled, and late fills asked for."""
    await scene.resume()
    scene.later.set()
    await turns(20)
    scene.later.clear()
    scene.said.clear()


def ready(scene: Scene) -> Any:
    return scene.account.ready(SECONDS)


def reconcile(scene: Scene) -> Any:
    return scene.account.reconcile()


# A check by hand


async def test_a_check_by_hand_leaves_the_account_true_and_tells_its_end() -> None:
    async with scenes() as scene:
        await settled(scene)
        seen: list[bool] = []

        async def before(endpoint: Any, given: dict[str, object]) -> None:
            seen.append(scene.account.is_reconciled)
            await scene.account.ready(0)

        scene.venue.before = before
        scene.venue.coins = [coin("USDT", "10")]
        fail(scene.venue, 2)
        await scene.account.reconcile()
        assert len(seen) > 4
        assert all(seen)
        assert list(scene.account.wallet) == ["USDT"]
        assert [(each.done, each.reason) for each in scene.said] == [(True, "by hand")]
        assert scene.account.health().reconciliations == 2


async def test_a_stream_that_is_lost_during_a_check_puts_the_account_in_doubt() -> None:
    async with scenes() as scene:
        await settled(scene)
        asked, go_on = asyncio.Event(), asyncio.Event()

        async def before(endpoint: Any, given: dict[str, object]) -> None:
            asked.set()
            await go_on.wait()

        scene.venue.before = before
        checking = asyncio.create_task(scene.account.reconcile())
        await asked.wait()
        scene.lose()
        assert not scene.account.is_reconciled
        go_on.set()
        await turns(50)
        assert not checking.done()
        assert scene.said == [Reconciled(done=False, reason="cut")]
        await scene.resume()
        await checking
        assert [(each.done, each.reason) for each in scene.said[1:]] == [(True, "connection 1")]


@pytest.mark.parametrize(("age_ms", "warned"), [(OVERDUE_MS + 1, True), (OVERDUE_MS, False)])
async def test_a_check_warns_of_fills_that_the_stream_should_have_told(
    caplog: pytest.LogCaptureFixture, age_ms: int, warned: bool
) -> None:
    async with scenes() as scene:
        await settled(scene)
        scene.venue.now_ms = T0 + 60_000
        scene.venue.fills = [fill("untold", "", at=scene.venue.now_ms - age_ms)]
        await scene.account.reconcile()
        assert [each.exec_id for each in scene.account.executions] == ["untold"]
        assert scene.said[-1].fills == 1
        assert (LOST in caplog.text) is warned


async def test_what_a_cut_or_a_late_listing_explains_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    async with scenes() as scene:
        await settled(scene)
        scene.lose()
        scene.venue.now_ms = T0 + 60_000
        scene.venue.fills = [fill("while away", "", at=T0 + 10)]
        await scene.resume()
        scene.venue.fills.append(fill("listed late", "", at=T0 + 20))
        await scene.account.reconcile()
        assert len(scene.account.executions) == 2
        assert "the stream had not told" not in caplog.text


async def test_a_topic_that_a_check_misses_puts_the_account_in_doubt() -> None:
    async with scenes() as scene:
        await settled(scene)
        scene.stream.unsubscribe("position")
        with pytest.raises(TopicError, match=r"position\.linear: an Account of linear needs it"):
            await scene.account.reconcile()
        await turns(5)
        assert not scene.account.is_reconciled
        assert not scene.said[-1].done


# A stream that is refused


@pytest.mark.parametrize("wait", [ready, reconcile])
async def test_a_key_that_is_refused_is_said_at_once(wait: Callable[[Scene], Any]) -> None:
    async with scenes() as scene:
        waiting = asyncio.create_task(wait(scene))
        await turns(5)
        assert not waiting.done()
        scene.refused.set_exception(StreamAuthError("the venue refuses the key"))
        with pytest.raises(StreamAuthError, match="refuses the key"):
            await waiting


@pytest.mark.parametrize("wait", [ready, reconcile])
async def test_a_key_that_is_refused_after_a_cut_is_said_to_who_waits_already(wait: Callable[[Scene], Any]) -> None:
    async with scenes() as scene:

        async def before(endpoint: Any, given: dict[str, object]) -> None:
            await asyncio.Event().wait()

        scene.venue.before = before
        scene.stream.resumed.publish(1)
        waiting = asyncio.create_task(wait(scene))
        await turns(5)
        scene.lose()
        await turns(5)
        assert not waiting.done()
        scene.refused.set_exception(StreamAuthError("the venue refuses the key"))
        with pytest.raises(StreamAuthError, match="refuses the key"):
            await waiting


@pytest.mark.parametrize("wait", [ready, reconcile])
async def test_of_topics_only_those_that_are_needed_end_the_wait(wait: Callable[[Scene], Any]) -> None:
    async with scenes() as scene:
        health = scene.stream.health()
        refused = ["greeks"]
        scene.stream.health = lambda: msgspec.structs.replace(health, refused=refused)  # type: ignore[method-assign]
        scene.refused.set_exception(TopicError("greeks", "the venue refuses it"))
        waiting = asyncio.create_task(wait(scene))
        await turns(20)
        assert not waiting.done()
        await scene.resume()
        await waiting
        scene.lose()
        refused.append("wallet")
        with pytest.raises(TopicError, match="wallet: the venue refuses it"):
            await wait(scene)


async def test_a_stream_that_is_closed_lets_nobody_wait() -> None:
    async with scenes() as scene:
        scene.refused.set_exception(StreamError("private: it is closed"))
        with pytest.raises(StreamError, match="private: it is closed"):
            await scene.account.reconcile()


async def test_who_waits_is_told_whoever_else_begins_to_wait_in_that_turn() -> None:
    async with scenes() as scene:
        waiting = asyncio.create_task(scene.account.ready(SECONDS))
        await asyncio.sleep(0)
        await scene.resume()
        await asyncio.wait_for(waiting, SECONDS)
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert not names & {"account's news", "account's stream"}


async def test_while_rest_is_silent_the_stream_is_not_blamed() -> None:
    async with scenes() as scene:

        async def before(endpoint: Any, given: dict[str, object]) -> None:
            await asyncio.Event().wait()

        scene.venue.before = before
        scene.stream.resumed.publish(1)
        with pytest.raises(StreamError, match="not reconciled within 0 s: connection 1"):
            await scene.account.ready(0)


# The end


async def test_a_clean_end_is_no_doubt(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with scenes() as scene:
        await settled(scene)
    assert not scene.said
    assert not scene.account.is_reconciled
    assert scene.account.health().reason == "closed"
    assert "not known to be true" not in caplog.text
