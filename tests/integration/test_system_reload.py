"""A whole system against the simulated venue: what its health loop does, and settings read again while it runs."""

import asyncio
import logging
import threading
from contextlib import nullcontext

import msgspec
import pytest

from feeder.bybit.rest.client import BybitClient
from feeder.bybit.system.events import ErrorOccurred
from feeder.bybit.system.settings import SystemSettings
from feeder.bybit.system.system import BybitSystem
from feeder.errors import ConfigError, FeederError, StreamError
from feeder.simulator.keys import DEFAULT_KEY
from tests.helpers.secrets import API_KEY, API_SECRET, secret_file
from tests.helpers.system_scene import BTC, SECONDS, Scene, running, scene

__all__ = ["scene"]


# The health loop


async def test_the_loop_looks_as_often_as_it_is_told_and_goes_on_after_a_defect(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = scene.system("health: {interval_seconds: 7, reconcile_seconds: null}\n", key=False)
    async with running(system):
        await scene.until(lambda: scene.naps == [7])
        scene.wake()
        await scene.until(lambda: len(scene.of("health_check")) == 1 and scene.naps == [7, 7])
        with monkeypatch.context() as broken:
            broken.setattr(system, "status", lambda: 1 / 0)
            scene.wake()
            await scene.until(lambda: len(scene.naps) == 3)
        (occurred,) = scene.of("error_occurred")
        assert (occurred.source, type(occurred.error)) == ("health loop", ZeroDivisionError)
        scene.wake()
        await scene.until(lambda: len(scene.of("health_check")) == 2)


async def test_the_account_is_reconciled_as_often_as_it_is_told(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    system = scene.system("health: {reconcile_seconds: 60}\n")
    async with running(system):
        health = system.streams.account.health
        assert health().reconciliations == 1
        scene.wake()
        await scene.until(lambda: len(scene.naps) == 2)
        assert health().reconciliations == 1
        monkeypatch.setattr(system._health_loop, "_reconcile_at", 0.0)
        scene.wake()
        await scene.until(lambda: health().reconciliations == 2)
        assert system._health_loop._reconcile_at > system._clock.monotonic() + 50, "and then a minute later"


async def test_a_reconciliation_that_lasts_is_not_begun_twice_and_one_that_fails_is_told(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = scene.system("health: {reconcile_seconds: 60}\n")
    begun: list[int] = []
    end = asyncio.Event()

    async def reconcile() -> None:
        begun.append(len(begun))
        await end.wait()
        raise StreamError("not now")

    async def once_round() -> None:
        await scene.until(lambda: scene.naps)
        rounds = len(scene.naps)
        monkeypatch.setattr(system._health_loop, "_reconcile_at", 0.0)
        scene.wake()
        await scene.until(lambda: len(scene.naps) > rounds)

    async with running(system):
        monkeypatch.setattr(system.streams.account, "reconcile", reconcile)
        await once_round()
        await once_round()
        assert begun == [0]
        end.set()
        await scene.until(lambda: scene.of("error_occurred"))
        assert str(scene.of("error_occurred")[0]) == "account: StreamError: not now"
        await once_round()
        await scene.until(lambda: begun == [0, 1])


async def test_other_times_count_from_the_reload_on(scene: Scene) -> None:
    system = scene.system("health: {reconcile_seconds: 86400}\n")
    async with running(system):
        assert system._health_loop._reconcile_at > system._clock.monotonic() + 80_000
        secret_file(scene.file, "health: {reconcile_seconds: 60}\n")
        assert (await system.reload()).changed == ["health.reconcile_seconds"]
        assert system._health_loop._reconcile_at <= system._clock.monotonic() + 60


async def test_a_venue_that_does_not_answer_holds_no_check_up(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    system = scene.system(key=False)

    async def hangs(_: object) -> None:
        await asyncio.Event().wait()

    async with running(system):
        monkeypatch.setattr(BybitClient, "measure_clock", hangs)
        soon = msgspec.structs.replace(system.settings.connection, answer_seconds=0.1)
        system.settings = msgspec.structs.replace(system.settings, connection=soon)
        health = await asyncio.wait_for(system.check_health(), SECONDS)
        (found,) = (finding for finding in health.findings if finding.kind == "rest_down")
        assert found.text == "no answer within 0.1 s"


# Reloads


async def test_without_the_feature_the_loop_leaves_the_file_alone(scene: Scene) -> None:
    system = scene.system("features: {reload: false}\n", key=False)
    async with running(system):
        scene.file.write_text("features: {reload: false}\nrate: {requests: 60}\n")
        scene.wake()
        await scene.until(lambda: scene.of("health_check"))
        assert system.status().rest.rates["address"].requests == 600
        assert (await system.reload()).changed == ["rate.requests"]


async def test_what_is_safe_takes_effect_and_the_rest_is_named(scene: Scene) -> None:
    system = scene.system(BTC + "logging: {level: warning}\n")
    library = logging.getLogger("feeder.bybit")
    before = library.level
    async with running(system):
        assert library.level == logging.WARNING
        secret_file(
            scene.file,
            "watch: [{category: linear, symbols: [ETHUSDT], depth: 1}, {category: spot, symbols: [BTCUSDT]}]\n"
            "rate: {requests: 50, wait_seconds: 3}\nlogging: {level: error}\ncache: {entries: 7}\nrecv_window: 6000\n"
            "websocket: {private_topics: [greeks], public_topics: {linear: [kline.5.BTCUSDT]}}\n"
            "health: {interval_seconds: 3}\n",
        )
        reloaded = await system.reload()
        assert reloaded.changed == [
            "rate.requests",
            "websocket.private_topics",
            "websocket.public_topics",
            "watch",
            "cache.entries",
            "logging.level",
            "health.interval_seconds",
        ]
        assert reloaded.needs_restart == ["recv_window", "rate.wait_seconds"]
        assert system.status().restart_needed == reloaded.needs_restart
        assert sorted(system.market.watched) == [("linear", "ETHUSDT"), ("spot", "BTCUSDT")]
        assert system.status().rest.rates["address"].requests == 50
        assert system.market._reads._tickers._entries == 7
        assert library.level == logging.ERROR
        assert "greeks" in system.streams.private.topics
        assert (await system.streams.public("linear")).topics == ["kline.5.BTCUSDT"]
        await scene.until(lambda: scene.naps[-1] == 3)
        secret_file(scene.file, "")
        back = await system.reload()
        assert back.needs_restart == []
        assert system.market.watched == []
        assert "greeks" not in system.streams.private.topics
        assert (await system.streams.public("linear")).topics == []
        assert (await system.reload()).changed == []
    assert library.level == before
    await scene.nothing_is_left()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("rate: {requests: many}\n", "rate.requests: is read as text"),
        ("rate: {requests: 9\n", "is not YAML"),
        ("rate: {requests: 9}\nwatch: [{category: linear, symbols: [ETHUSDT, NOSUCHUSDT]}]\n", "symbols[1]: "),
        ("rate: {requests: 9}\nwebsocket: {private_topics: [greeks, weather]}\n", "websocket.private_topics: weather"),
        (
            "watch: [{category: linear, symbols: [ETHUSDT, BTCUSDT]}]\n"
            "websocket: {private_topics: [greeks], public_topics: {linear: [tickers.BTCUSDT, x.y]}}\n",
            "websocket.public_topics.linear: x.y",
        ),
    ],
)
async def test_settings_that_cannot_be_used_change_nothing_and_say_so(scene: Scene, content: str, told: str) -> None:
    system = scene.system(BTC)
    async with running(system):
        secret_file(scene.file, content)
        with pytest.raises(ConfigError) as caught:
            await system.reload()
        assert told in str(caught.value)
        (occurred,) = scene.of("error_occurred")
        assert isinstance(occurred, ErrorOccurred)
        assert (occurred.source, occurred.error) == ("settings", caught.value)
        assert system.market.watched == [("linear", "BTCUSDT")]
        assert "greeks" not in system.streams.private.topics
        assert system.status().rest.rates["address"].requests == 600
        health = await system.check_health()
        assert [finding.kind for finding in health.findings if finding.where == "settings"] == ["settings_refused"]
        secret_file(scene.file, BTC)
        await system.reload()
        assert system.status().settings_error is None


async def test_topics_of_another_category_are_connected_and_leave_nothing_when_they_cannot_be(scene: Scene) -> None:
    system = scene.system(key=False)
    async with running(system):
        secret_file(scene.file, "websocket: {public_topics: {linear: [kline.1.BTCUSDT], spot: [x.y]}}\n")
        with pytest.raises(ConfigError, match=r"public_topics\.spot: x\.y"):
            await system.reload()
        assert system.status().streams == {}
        secret_file(scene.file, "websocket: {public_topics: {linear: [kline.1.BTCUSDT]}}\n")
        assert (await system.reload()).changed == ["websocket.public_topics"]
        await scene.until(lambda: system.status().streams["linear"].state == "live")
    await scene.nothing_is_left()


@pytest.mark.parametrize("then", ["", "websocket: {private_topics: [weather]}\n"], ids=["less", "refused"])
async def test_the_account_keeps_the_topics_that_it_needs(scene: Scene, then: str) -> None:
    system = scene.system("websocket: {private_topics: [order, greeks]}\n")
    async with running(system):
        before = system.streams.private.topics
        secret_file(scene.file, then)
        with nullcontext() if not then else pytest.raises(ConfigError, match="weather"):
            await system.reload()
        assert {*before} - {*system.streams.private.topics} == (set() if then else {"greeks"})
        secret_file(scene.file, "websocket: {private_topics: [order, greeks], public_topics: {linear: [x.y]}}\n")
        with pytest.raises(ConfigError, match=r"x\.y"):
            await system.reload()
        assert "order" in system.streams.private.topics


async def test_what_the_program_watches_itself_is_left_to_it(scene: Scene) -> None:
    system = scene.system(key=False)
    async with running(system):
        await system.market.watch("linear", "ETHUSDT", depth=200)
        secret_file(scene.file, "watch: [{category: linear, symbols: [BTCUSDT, ETHUSDT]}]\n")
        with pytest.raises(ConfigError, match=r"watch\[0\]\.symbols\[1\]: linear ETHUSDT is wanted at depth 200"):
            await system.reload()
        assert system.market.watched == [("linear", "ETHUSDT")]


async def test_another_key_is_named_not_shown_and_not_used(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    of_file = f"api_key: {DEFAULT_KEY.key}\napi_secret: {DEFAULT_KEY.secret}\n"
    account = {"BYBIT_ACCOUNT__CATEGORIES": "[linear]"}
    system = scene.system(of_file, key=False, **account)
    caplog.set_level(logging.INFO, "feeder.bybit")
    async with running(system):
        secret_file(scene.file, f"api_key: {API_KEY}\napi_secret: {API_SECRET}\nrate: {{requests: 60}}\n")
        reloaded = await system.reload()
        assert (reloaded.changed, reloaded.needs_restart) == (["rate.requests"], ["api_key", "api_secret"])
        assert (await system.rest.wallet_balance()).result.entries
        shown = caplog.text + repr(system) + repr(reloaded) + repr(system.status())
        assert "restart needed for api_key, api_secret" in shown
        for value in (API_KEY, API_SECRET, DEFAULT_KEY.secret):
            assert value not in shown


async def test_only_a_system_that_runs_reads_its_settings_again(scene: Scene) -> None:
    system = scene.system(key=False)
    before = logging.getLogger("feeder.bybit").level
    secret_file(scene.file, BTC + "logging: {level: error}\n")
    with pytest.raises(FeederError, match="the system does not run"):
        await system.reload()
    async with running(system):
        assert system.market.watched == []
    with pytest.raises(FeederError, match="the system does not run"):
        await system.reload()
    assert system.settings.watch == []
    assert logging.getLogger("feeder.bybit").level == before


async def test_a_reload_opens_nothing_for_a_system_that_is_closed_while_the_file_is_read(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = scene.system(key=False)
    reading, go_on = threading.Event(), threading.Event()
    assert system.settings.origin is not None
    read = system.settings.origin.read

    def slow() -> SystemSettings:
        reading.set()
        assert go_on.wait(SECONDS)
        return read()

    monkeypatch.setattr(system.settings.origin, "read", slow)
    async with running(system):
        secret_file(scene.file, "websocket: {public_topics: {linear: [kline.1.BTCUSDT]}}\n")
        reload = asyncio.create_task(system.reload())
        assert await asyncio.to_thread(reading.wait, SECONDS)
    go_on.set()
    with pytest.raises(FeederError, match="the system does not run"):
        await reload
    assert system.streams.each_public == {}
    await scene.nothing_is_left()


async def test_topics_of_a_category_in_use_are_taken_back_when_others_cannot_be(scene: Scene) -> None:
    one = "websocket: {public_topics: {linear: [kline.1.BTCUSDT]}}\n"
    system = scene.system(one, key=False)
    async with running(system):
        secret_file(scene.file, one.replace("BTCUSDT]", "BTCUSDT, kline.5.BTCUSDT], spot: [x.y]"))
        with pytest.raises(ConfigError, match=r"x\.y"):
            await system.reload()
        assert (await system.streams.public("linear")).topics == ["kline.1.BTCUSDT"]


@pytest.mark.parametrize("outcome", ["works", "fails"])
async def test_a_reload_has_no_effect_on_a_system_that_is_closed_meanwhile(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, outcome: str
) -> None:
    system = scene.system(key=False)
    before = logging.getLogger("feeder.bybit").level
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def slow(*_: object, **__: object) -> None:
        reached.set()
        await go_on.wait()
        if outcome == "fails":
            raise StreamError("closed")

    monkeypatch.setattr(system.market, "watch", slow)
    async with running(system):
        secret_file(scene.file, BTC + "logging: {level: error}\n")
        reload = asyncio.create_task(system.reload())
        await asyncio.wait_for(reached.wait(), SECONDS)
    go_on.set()
    with pytest.raises(FeederError, match="the system does not run"):
        await reload
    assert logging.getLogger("feeder.bybit").level == before
    assert scene.of("error_occurred") == []
    await scene.nothing_is_left()


async def test_systems_that_log_differently_leave_the_log_as_it_was(scene: Scene) -> None:
    library = logging.getLogger("feeder.bybit")
    before = library.level
    one = BybitSystem(scene.settings("logging: {level: warning}\n", key=False))
    other = BybitSystem(scene.settings("logging: {level: error}\n", key=False))
    async with running(one):
        await other.start()
        assert library.level == logging.ERROR
    assert library.level == logging.ERROR
    await other.aclose()
    assert library.level == before


async def test_a_book_that_would_have_had_another_depth_keeps_its_own(scene: Scene) -> None:
    system = scene.system(BTC, key=False)
    async with running(system):
        secret_file(scene.file, "watch: [{category: linear, symbols: [BTCUSDT, NOSUCHUSDT], depth: 200}]\n")
        with pytest.raises(ConfigError, match="NOSUCHUSDT"):
            await system.reload()
        view = system.market.symbol("linear", "BTCUSDT")
        await view.ready()
        assert view.live_book is not None
        assert view.live_book.depth == 50
        secret_file(scene.file, BTC.replace("}]", ", depth: 200}]"))
        assert (await system.reload()).changed == ["watch"]
        assert view.live_book.depth == 200


async def test_settings_made_in_the_program_cannot_be_read_again(scene: Scene) -> None:
    settings = msgspec.structs.replace(scene.settings(key=False), origin=None)
    async with running(BybitSystem(settings)) as system:
        with pytest.raises(ConfigError, match="settings: were made in the program; use SystemSettings"):
            await system.reload()
