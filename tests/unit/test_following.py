import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from feeder.errors import ConfigError, RestError
from feeder.market.instrument import instrument_id
from feeder.market.status import BookStatus, StatusReason
from tests.unit.following_scene import Exchange, Scene, config

LISTED = ["ADAUSDT", "BTCUSDT", "DOGEUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"]


@asynccontextmanager
async def running(scene: Scene) -> AsyncIterator[Scene]:
    """The scene with its `run`, from the moment when everything wanted is known."""
    task = asyncio.create_task(scene.following.run())
    try:
        async with asyncio.timeout(5):
            while not scene.publisher.complete and not task.done():  # noqa: ASYNC110 - turns of the loop, no time
                await asyncio.sleep(0)
        if task.done():
            await task
        for _ in range(5):
            await asyncio.sleep(0)
        yield scene
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await scene.aclose()


async def turns() -> None:
    """Let everything happen that waits for no time."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_listed_books_are_asked_for_in_one_go_and_then_connected():
    exchange = Exchange(linear=LISTED)
    async with running(Scene(exchange, {"symbols": ["BTCUSDT", "ETHUSDT"], "depth": 200})) as scene:
        assert exchange.calls == [("load", "linear"), ("subscribe", "BTCUSDT.200+", "ETHUSDT.200+")]
        assert exchange.connected
        assert scene.followed == {"BTCUSDT", "ETHUSDT"}


async def test_a_reload_touches_only_what_came_and_what_went():
    exchange = Exchange(linear=LISTED)
    async with running(Scene(exchange, {"symbols": ["BTCUSDT", "ETHUSDT", "ADAUSDT"]})) as scene:
        stays = scene.router.workers["linear", "BTCUSDT"]
        exchange.calls.clear()
        changes = scene.following.change(config({"symbols": ["BTCUSDT", "SOLUSDT", "ADAUSDT"]}))
        assert exchange.calls == [("unsubscribe", "ETHUSDT"), ("subscribe", "SOLUSDT.50+")]
        assert (changes.subscribed, changes.unsubscribed) == ([("linear", "SOLUSDT")], [("linear", "ETHUSDT")])
        assert scene.router.workers["linear", "BTCUSDT"] is stays
        assert scene.followed == {"BTCUSDT", "SOLUSDT", "ADAUSDT"}


async def test_another_depth_is_a_new_book_and_other_trades_are_not():
    exchange = Exchange(linear=LISTED)
    async with running(Scene(exchange, {"symbols": ["BTCUSDT"]}, {"symbols": ["ETHUSDT"]})) as scene:
        exchange.calls.clear()
        eth = scene.router.workers["linear", "ETHUSDT"]
        scene.following.change(
            config({"symbols": ["BTCUSDT"], "depth": 200}, {"symbols": ["ETHUSDT"], "trades": False})
        )
        assert exchange.calls == [
            ("unsubscribe", "BTCUSDT"),
            ("subscribe", "ETHUSDT.50"),
            ("subscribe", "BTCUSDT.200+"),
        ]
        assert scene.router.workers["linear", "ETHUSDT"] is eth


async def test_a_misspelt_symbol_is_refused_by_name_and_asked_about_once_more():
    exchange = Exchange(linear=LISTED)
    async with running(Scene(exchange, {"symbols": ["BTCUSDT"]})) as scene:
        changes = scene.following.change(config({"symbols": ["BTCUSDT", "BTCUSD"]}))
        assert list(changes.refused) == [("linear", "BTCUSD")]
        assert scene.followed == {"BTCUSDT"}
        await scene.until("refresh", "linear")
        assert exchange.calls.count(("refresh", "linear")) == 1


async def test_a_symbol_listed_since_the_start_is_followed_when_it_is_asked_for():
    exchange = Exchange(linear=list(LISTED))
    async with running(Scene(exchange, {"symbols": ["BTCUSDT"]})) as scene:
        exchange.listed["linear"].append("NEWUSDT")
        assert scene.following.subscribe([("linear", "NEWUSDT")], None, trades=True).refused
        await scene.until("subscribe", "NEWUSDT.50+")
        assert scene.followed == {"BTCUSDT", "NEWUSDT"}
        assert not scene.roster.refused


async def test_a_configuration_of_which_nothing_can_be_followed_changes_nothing():
    exchange = Exchange(linear=LISTED)
    async with running(Scene(exchange, {"symbols": ["BTCUSDT"]})) as scene:
        with pytest.raises(ConfigError, match="linear:NOPEUSDT"):
            scene.following.change(config({"symbols": ["NOPEUSDT"]}))
        assert scene.followed == {"BTCUSDT"}
        assert not scene.following.change(config({"symbols": ["BTCUSDT"]})).subscribed


async def test_a_start_with_nothing_to_follow_is_a_configuration_error():
    with pytest.raises(ConfigError, match="subscriptions"):
        async with running(Scene(Exchange(linear=LISTED), {"symbols": ["NOPEUSDT"]})):
            pass


async def test_what_was_asked_for_by_hand_outlives_a_reload():
    exchange = Exchange(linear=LISTED)
    async with running(Scene(exchange, {"symbols": ["BTCUSDT", "ETHUSDT"]})) as scene:
        scene.following.subscribe([("linear", "SOLUSDT")], 200, trades=False)
        scene.following.unsubscribe([("linear", "ETHUSDT")])
        assert scene.followed == {"BTCUSDT", "SOLUSDT"}
        scene.following.change(config({"symbols": ["BTCUSDT", "ETHUSDT", "XRPUSDT"]}))
        assert scene.followed == {"BTCUSDT", "SOLUSDT", "XRPUSDT"}
        assert scene.roster.followed["linear", "SOLUSDT"].depth == 200
        scene.following.unsubscribe([("linear", "SOLUSDT")])
        scene.following.subscribe([("linear", "ETHUSDT")], None, trades=True)
        assert scene.followed == {"BTCUSDT", "ETHUSDT", "XRPUSDT"}


async def test_all_of_a_category_is_what_it_lists_at_each_refresh():
    exchange = Exchange(linear=["BTCUSDT", "ETHUSDT"])
    scene = Scene(exchange, {"symbols": "all"})
    async with running(scene):
        exchange.listed["linear"] = ["BTCUSDT", "NEWUSDT"]
        await scene.following.refresh()
        assert scene.followed == {"BTCUSDT", "NEWUSDT"}
        assert scene.following.refreshes == {"ok": 1}


async def test_a_refresh_that_fails_leaves_everything_as_it_is():
    exchange = Exchange(linear=["BTCUSDT", "ETHUSDT"])
    scene = Scene(exchange, {"symbols": "all"})
    async with running(scene):
        exchange.listed["linear"] = ["NEWUSDT"]
        exchange.silent = {"linear"}
        await scene.following.refresh()
        assert scene.followed == {"BTCUSDT", "ETHUSDT"}
        assert scene.following.refreshes == {"failed": 1}


async def test_while_one_category_does_not_answer_the_others_are_refreshed():
    exchange = Exchange(linear=["BTCUSDT"], spot=["BTCUSDT"])
    exchange.silent = {"spot"}
    scene = Scene(exchange, {"symbols": "all"}, {"category": "spot", "symbols": "all"})
    task = asyncio.create_task(scene.following.run())
    await scene.until("subscribe", "BTCUSDT.50+")
    exchange.listed["linear"].append("NEWUSDT")
    exchange.silent = set()
    await scene.following.refresh()
    assert ("refresh", "linear") in exchange.calls
    assert set(scene.roster.followed) == {("linear", "BTCUSDT"), ("linear", "NEWUSDT")}
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await scene.aclose()


async def test_the_most_traded_are_followed_and_replaced_as_the_ranking_changes():
    exchange = Exchange(linear=LISTED)
    exchange.traded["linear"] = {"BTCUSDT": 900, "ETHUSDT": 800, "SOLUSDT": 10, "XRPUSDT": 9}
    scene = Scene(exchange, {"symbols": {"top": 2}})
    async with running(scene):
        assert scene.followed == {"BTCUSDT", "ETHUSDT"}
        exchange.traded["linear"] = {"BTCUSDT": 900, "SOLUSDT": 850, "XRPUSDT": 820, "ETHUSDT": 1}
        await scene.following.refresh()
        assert scene.followed == {"BTCUSDT", "SOLUSDT"}


async def test_a_category_that_does_not_answer_keeps_no_other_waiting():
    exchange = Exchange(linear=LISTED, spot=["BTCUSDT"])
    exchange.silent = {"spot"}
    scene = Scene(exchange, {"symbols": ["BTCUSDT"]}, {"category": "spot", "symbols": ["BTCUSDT"]})
    task = asyncio.create_task(scene.following.run())
    await scene.until("subscribe", "BTCUSDT.50+")
    assert exchange.connected
    assert set(scene.roster.followed) == {("linear", "BTCUSDT")}
    assert not scene.publisher.complete
    exchange.silent = set()
    scene.clock.advance(10)
    async with asyncio.timeout(10):  # the next attempt is half a second away
        while not scene.publisher.complete:  # noqa: ASYNC110 - it is the only news
            await asyncio.sleep(0.01)
    assert set(scene.roster.followed) == {("linear", "BTCUSDT"), ("spot", "BTCUSDT")}
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await scene.aclose()


async def test_a_category_that_comes_with_a_reload_is_learned_while_the_others_go_on():
    exchange = Exchange(linear=LISTED, spot=["BTCUSDT"])
    async with running(Scene(exchange, {"symbols": ["BTCUSDT"]})) as scene:
        more = config({"symbols": ["BTCUSDT", "ETHUSDT"]}, {"category": "spot", "symbols": "all"})
        assert scene.following.change(more).subscribed == [("linear", "ETHUSDT")]
        assert not scene.publisher.complete
        await scene.until("load", "spot")
        assert ("spot", "BTCUSDT") in scene.roster.followed
        assert scene.publisher.complete


async def test_books_that_another_shard_serves_are_left_to_it():
    exchange = Exchange(linear=LISTED)
    everywhere: set[str] = set()
    for serves in ([0, 2], [1, 3]):
        async with running(Scene(exchange, {"symbols": "all"}, serves=serves)) as scene:
            ids = [worker.instrument.id for worker in scene.router.workers.values()]
            assert {number % 4 for number in ids} <= set(serves)
            assert not everywhere & scene.followed
            everywhere |= scene.followed
            for key in list(scene.roster.followed):
                scene.exchange.unsubscribe([key])
    assert everywhere == set(LISTED)


async def test_two_instruments_of_one_id_are_not_started_with_but_refused_later():
    exchange = Exchange(linear=LISTED)
    exchange.ids = {("linear", "ETHUSDT"): 7, ("linear", "BTCUSDT"): 7}
    with pytest.raises(ConfigError, match=r"instrument_ids\.linear:ETHUSDT: its id 7"):
        async with running(Scene(exchange, {"symbols": ["BTCUSDT", "ETHUSDT"]}, ids=exchange.ids)):
            pass
    async with running(Scene(exchange, {"symbols": ["BTCUSDT"]}, ids=exchange.ids)) as scene:
        changes = scene.following.change(config({"symbols": ["BTCUSDT", "ETHUSDT"]}))
        assert list(changes.refused) == [("linear", "ETHUSDT")]
        assert scene.followed == {"BTCUSDT"}


async def test_an_answer_that_will_not_change_ends_a_feeder_that_follows_nothing_yet():
    exchange = Exchange(linear=LISTED)

    async def refused(_: object) -> dict[str, RestError]:
        return {"linear": RestError("no such path", retriable=False)}

    exchange.load = refused  # type: ignore[method-assign]
    with pytest.raises(RestError, match="no such path"):
        async with running(Scene(exchange, {"symbols": ["BTCUSDT"]})):
            pass


async def test_a_book_that_was_closed_is_begun_anew_when_the_exchange_lists_it_again():
    exchange = Exchange(linear=LISTED)
    async with running(Scene(exchange, {"symbols": ["BTCUSDT", "ETHUSDT"]})) as scene:
        scene.router.on_reset(("linear", "ETHUSDT"), 1, StatusReason.DELISTED)
        await scene.router.drain()
        closed = scene.router.workers["linear", "ETHUSDT"]
        assert closed.status is BookStatus.DELISTED
        exchange.calls.clear()
        await scene.following.refresh()
        assert ("subscribe", "ETHUSDT.50+") in exchange.calls
        assert scene.router.workers["linear", "ETHUSDT"] is not closed


async def test_a_book_that_the_exchange_closes_says_so_before_it_is_followed_no_longer():
    exchange = Exchange(linear=list(LISTED))
    async with running(Scene(exchange, {"symbols": "all"})) as scene:
        worker = scene.router.workers["linear", "ETHUSDT"]

        async def close(_wanted: object) -> None:
            exchange.listed["linear"].remove("ETHUSDT")
            exchange._load("linear", None)
            scene.router.on_reset(worker.key, 1, StatusReason.DELISTED)

        exchange.refresh = close  # type: ignore[method-assign, assignment]
        await scene.following.refresh()
        assert "ETHUSDT" not in scene.followed
        assert worker.transitions[BookStatus.DELISTED, StatusReason.DELISTED] == 1


# What must not end a feeder, nor bring it to a stop -------------------------------------------------------------------


async def test_a_running_feeder_outlives_a_reload_to_symbols_that_a_category_new_to_it_does_not_list():
    exchange = Exchange(linear=LISTED, spot=["BTCUSDT"])
    async with running(Scene(exchange, {"symbols": ["BTCUSDT"]})) as scene:
        scene.following.change(config({"category": "spot", "symbols": ["NOPEUSDT"]}))
        await scene.until("load", "spot")
        await turns()
        assert list(scene.roster.refused) == [("spot", "NOPEUSDT")]
        scene.following.change(config({"symbols": ["BTCUSDT"]}))
        await turns()
        assert exchange.calls.count(("load", "linear")) == 2, "what was known of it before got old"
        assert scene.followed == {"BTCUSDT"}


async def test_a_running_feeder_outlives_an_operator_who_asks_for_nothing_that_exists():
    exchange = Exchange(linear=LISTED, spot=["BTCUSDT"])
    async with running(Scene(exchange, {"symbols": ["BTCUSDT"]})) as scene:
        scene.following.unsubscribe([("linear", "BTCUSDT")])
        scene.following.subscribe([("spot", "NOPEUSDT")], None, trades=True)
        await scene.until("load", "spot")
        await turns()
        assert scene.followed == set()
        assert list(scene.roster.refused) == [("spot", "NOPEUSDT")]


async def test_a_file_read_again_is_good_although_all_its_books_were_let_go_of_by_hand():
    exchange = Exchange(linear=LISTED)
    async with running(Scene(exchange, {"symbols": ["BTCUSDT"]})) as scene:
        scene.following.unsubscribe([("linear", "BTCUSDT")])
        assert not scene.following.change(config({"symbols": ["BTCUSDT"]})).subscribed


async def test_what_is_known_is_connected_once_what_was_not_answered_is_not_wanted_any_longer():
    exchange = Exchange(linear=LISTED)
    exchange.traded["linear"] = {}

    async def unanswered(_category: str) -> dict[str, object]:
        raise RestError("turnover is not told", retriable=True)

    exchange.turnover = unanswered  # type: ignore[method-assign, assignment]
    scene = Scene(exchange, {"symbols": {"top": 2}})
    task = asyncio.create_task(scene.following.run())
    await scene.until("load", "linear")
    assert not exchange.connected
    scene.following.change(config({"symbols": ["BTCUSDT"]}))
    await turns()
    assert scene.followed == {"BTCUSDT"}
    assert exchange.connected
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await scene.aclose()


async def test_refreshes_go_on_however_often_the_configuration_is_read_again():
    exchange = Exchange(linear=LISTED)
    same = config({"symbols": ["BTCUSDT"]}, universe={"refresh_seconds": 100})
    async with running(Scene(exchange, {"symbols": ["BTCUSDT"]})) as scene:
        for _ in range(4):
            scene.following.change(same)
            await turns()
            assert scene.following.refreshes.total() == 0
            scene.clock.advance(22)
        for _ in range(2):
            scene.following.change(same)
            await turns()
            scene.clock.advance(22)
        assert scene.following.refreshes == {"ok": 1}


async def test_a_refresh_after_a_refused_configuration_goes_by_the_one_before():
    exchange = Exchange(linear=LISTED)
    async with running(Scene(exchange, {"symbols": ["BTCUSDT"]})) as scene:
        with pytest.raises(ConfigError):
            scene.following.change(config({"symbols": ["NOPEUSDT"]}))
        await scene.following.refresh()
        assert scene.followed == {"BTCUSDT"}
        assert not scene.roster.refused


async def test_the_books_of_a_category_stay_while_its_turnover_is_asked_for():
    exchange = Exchange(linear=LISTED)
    exchange.traded["linear"] = {"BTCUSDT": 900, "ETHUSDT": 800}
    async with running(Scene(exchange, {"symbols": ["BTCUSDT", "XRPUSDT"]})) as scene:
        book = scene.router.workers["linear", "BTCUSDT"]
        changes = scene.following.change(config({"symbols": {"top": 2}}))
        assert (changes.subscribed, changes.unsubscribed) == ([], [])
        await turns()
        assert scene.followed == {"BTCUSDT", "ETHUSDT"}
        assert scene.router.workers["linear", "BTCUSDT"] is book


async def test_an_answer_that_will_not_change_does_not_end_a_feeder_that_runs():
    exchange = Exchange(linear=LISTED)
    async with running(Scene(exchange, {"symbols": ["BTCUSDT"]})) as scene:

        async def refused(_wanted: object) -> dict[str, RestError]:
            return {"spot": RestError("no such path", retriable=False)}

        exchange.load = refused  # type: ignore[method-assign, assignment]
        scene.following.change(config({"symbols": ["BTCUSDT"]}, {"category": "spot", "symbols": "all"}))
        await turns()
        assert scene.followed == {"BTCUSDT"}


# Shards ---------------------------------------------------------------------------------------------------------------


async def test_what_one_shard_takes_for_a_good_configuration_no_other_refuses():
    mine, other = (
        [symbol for symbol in LISTED if (instrument_id("linear", symbol) % 4 in {0, 2}) is served]
        for served in (True, False)
    )
    exchange = Exchange(linear=LISTED)
    async with running(Scene(exchange, {"symbols": LISTED}, serves=[0, 2])) as scene:
        assert scene.followed == set(mine)
        scene.following.change(config({"symbols": other}))
        assert scene.followed == set()
        with pytest.raises(ConfigError, match="linear:NOPEUSDT"):
            scene.following.change(config({"symbols": ["NOPEUSDT"]}))


async def test_a_misspelt_symbol_does_not_end_the_shard_that_has_no_other():
    typo = next(name for n in range(99) if instrument_id("linear", name := f"NOPE{n}USDT") % 4 in {0, 2})
    other = next(symbol for symbol in LISTED if instrument_id("linear", symbol) % 4 in {1, 3})
    async with running(Scene(Exchange(linear=LISTED), {"symbols": [other, typo]}, serves=[0, 2])) as scene:
        assert list(scene.roster.refused) == [("linear", typo)]


# By hand --------------------------------------------------------------------------------------------------------------


async def test_each_time_it_is_asked_for_by_hand_the_exchange_is_asked_about_a_symbol_that_it_did_not_list():
    exchange = Exchange(linear=LISTED, spot=["BTCUSDT"])
    new = ("spot", "NEWUSDT")
    async with running(Scene(exchange, {"symbols": ["BTCUSDT"]})) as scene:
        scene.following.subscribe([new], None, trades=True)
        await scene.until("load", "spot")
        for asked in (1, 2):
            scene.following.subscribe([new], None, trades=True)
            await turns()
            assert scene.following.refreshes.total() == asked
            assert new in scene.roster.refused
        exchange.listed["spot"].append("NEWUSDT")
        scene.following.subscribe([new], None, trades=True)
        await turns()
        assert new in scene.roster.followed


async def test_a_book_asked_for_by_hand_without_a_depth_has_the_one_it_is_configured_at():
    exchange = Exchange(linear=LISTED)
    async with running(Scene(exchange, {"symbols": ["BTCUSDT"], "depth": 200})) as scene:
        book = scene.router.workers["linear", "BTCUSDT"]
        scene.following.subscribe([("linear", "BTCUSDT")], None, trades=True)
        assert scene.router.workers["linear", "BTCUSDT"] is book, "a LIVE book is not begun anew"
        scene.following.unsubscribe([("linear", "BTCUSDT")])
        scene.following.subscribe([("linear", "BTCUSDT"), ("linear", "ETHUSDT")], None, trades=True)
        assert {key[1]: one.depth for key, one in scene.roster.followed.items()} == {"BTCUSDT": 200, "ETHUSDT": 50}


# Options, which the exchange lists by base coin -----------------------------------------------------------------------

CALL, OTHER = "BTC-27NOV26-90000-C", "ETH-27NOV26-3000-P"


def options(symbols: object) -> dict[str, object]:
    return {"category": "option", "symbols": symbols}


async def test_options_of_another_coin_are_listed_before_they_are_followed():
    exchange = Exchange(option=[CALL, OTHER])
    async with running(Scene(exchange, options([CALL]))) as scene:
        assert exchange.coins == [["BTC"]]
        scene.following.change(config(options("all")))
        assert not scene.publisher.complete
        await turns()
        assert scene.followed == {CALL, OTHER}
        assert scene.publisher.complete
        scene.following.change(config(options([OTHER])))
        assert scene.publisher.complete, "nothing has to be asked"


async def test_options_of_a_coin_that_is_wanted_while_others_are_asked_for_are_asked_for_next():
    exchange = Exchange(option=[CALL, OTHER])
    scene = Scene(exchange, options([CALL]))
    exchange.on_load = lambda: scene.following.change(config(options([CALL, OTHER])))
    async with running(scene):
        await turns()
        assert exchange.coins == [["BTC"], ["BTC", "ETH"]]
        assert scene.followed == {CALL, OTHER}
        assert not scene.roster.refused


async def test_options_of_a_coin_that_was_not_refreshed_are_asked_for_before_they_are_followed_again():
    exchange = Exchange(option=[CALL, OTHER])
    async with running(Scene(exchange, options([CALL, OTHER]))) as scene:
        scene.following.change(config(options([CALL])))
        await scene.following.refresh()
        exchange.coins.clear()
        scene.following.change(config(options([CALL, OTHER])))
        await turns()
        assert exchange.coins == [["BTC", "ETH"]]
        assert scene.followed == {CALL, OTHER}
