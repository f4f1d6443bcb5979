"""A whole system against the simulated venue: what its health loop sees of its settings' file, and tells."""

import logging

import pytest

from feeder.bybit.system.health import KINDS
from feeder.errors import ConnectError
from feeder.simulator.keys import DEFAULT_KEY
from tests.helpers.secrets import secret_file
from tests.helpers.system_scene import BTC, Scene, running, scene

__all__ = ["scene"]

KEY = f"api_key: {DEFAULT_KEY.key}\napi_secret: {DEFAULT_KEY.secret}\n"
LINEAR = {"BYBIT_ACCOUNT__CATEGORIES": "[linear]"}


async def round_done(scene: Scene) -> None:
    """Let the health loop go round once."""
    await scene.until(lambda: scene.naps)
    before = len(scene.naps)
    scene.wake()
    await scene.until(lambda: len(scene.naps) > before)


async def test_a_file_whose_mode_is_mended_is_read_again(scene: Scene) -> None:
    system = scene.system(KEY, key=False, **LINEAR)
    async with running(system):
        secret_file(scene.file, KEY + BTC, 0o644)
        await round_done(scene)
        assert "with mode 0644 others may read it" in (system.status().settings_error or "")
        assert system.market.watched == []
        scene.file.chmod(0o600)
        await round_done(scene)
        assert system.status().settings_error is None
        assert system.market.watched == [("linear", "BTCUSDT")]


async def test_a_file_that_is_gone_is_told_once_and_found_until_it_is_back(scene: Scene) -> None:
    system = scene.system(BTC, key=False)
    async with running(system):
        scene.file.unlink()
        for _ in range(3):
            await round_done(scene)
        (occurred,) = scene.of("error_occurred")
        assert "cannot be read: No such file" in str(occurred)
        for health in scene.of("health_check"):
            assert "settings_refused" in {finding.kind for finding in health.findings}
        assert system.market.watched == [("linear", "BTCUSDT")]
        secret_file(scene.file, BTC)
        await round_done(scene)
        assert system.status().settings_error is None


async def test_what_needs_a_restart_is_found_and_logged_once_and_what_took_effect_is_logged(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "feeder.bybit.system")
    system = scene.system(key=False)

    def lines() -> list[tuple[str, str]]:
        told = [(record.levelname, record.getMessage()) for record in caplog.records if "again" in record.getMessage()]
        caplog.clear()
        return told

    async with running(system):
        secret_file(scene.file, "recv_window: 6000\nrate: {requests: 60}\n")
        await round_done(scene)
        assert lines() == [
            ("INFO", "settings read again: rate.requests changed"),
            ("WARNING", "settings read again: restart needed for recv_window"),
        ]
        (finding,) = [each for each in scene.of("health_check")[-1].findings if each.where == "settings"]
        assert (finding.kind, finding.text) == (
            "restart_needed",
            "changed, and used after a restart only: recv_window",
        )
        assert finding.kind in KINDS
        secret_file(scene.file, "recv_window: 6000\nrate: {requests: 70}\n")
        await round_done(scene)
        assert lines() == [("INFO", "settings read again: rate.requests changed")]
        secret_file(scene.file, "rate: {requests: 70}\n")
        await round_done(scene)
        assert lines() == []
        assert scene.of("health_check")[-1].healthy


async def test_a_loop_that_stood_still_is_found_once(scene: Scene) -> None:
    system = scene.system(key=False)
    async with running(system):
        system._health_loop._lag.worst = 2.0
        assert [finding.kind for finding in (await system.check_health()).findings] == ["loop_late"]
        assert (await system.check_health()).healthy


async def test_a_rate_without_room_holds_up_neither_the_file_nor_the_health(scene: Scene) -> None:
    system = scene.system("rate: {requests: 5}\n", key=False)
    async with running(system):
        used = system.status().rest.requests
        while system._pool.take_turn(None):
            pass
        secret_file(scene.file, "rate: {requests: 5}\nrate: {requests: 6}\n")
        await round_done(scene)
        await round_done(scene)
        assert "stands twice" in (system.status().settings_error or "")
        assert system.status().rest.requests == used
        assert [finding.kind for finding in scene.of("health_check")[-1].findings] == ["settings_refused"]


async def test_the_loop_notices_that_the_file_has_changed(scene: Scene) -> None:
    system = scene.system(BTC, key=False)
    async with running(system):
        scene.wake()
        await scene.until(lambda: len(scene.naps) == 2)
        assert system.status().rest.rates["address"].requests == 600
        scene.file.write_text(BTC + "rate: {requests: 60}\n")
        scene.wake()
        await scene.until(lambda: system.status().rest.rates["address"].requests == 60)
        scene.file.write_text("rate: [\n")
        for _ in range(3):
            scene.wake()
        await scene.until(lambda: len(scene.of("health_check")) == 5)
        assert len(scene.of("error_occurred")) == 1, "said once, not at each look"
        scene.file.unlink()
        for _ in range(3):
            scene.wake()
        await scene.until(lambda: len(scene.of("health_check")) == 8)
        assert len(scene.of("error_occurred")) == 2, "what cannot be read is said, and said once"
        assert "cannot be read: No such file" in str(scene.of("error_occurred")[1])
        assert system.status().rest.rates["address"].requests == 60
        scene.file.write_text("rate: {requests: 70}\n")
        scene.wake()
        await scene.until(lambda: system.status().rest.rates["address"].requests == 70)
        assert system.status().settings_error is None


async def test_what_has_changed_between_loading_and_starting_is_noticed_as_well(scene: Scene) -> None:
    system = scene.system(key=False)
    scene.file.write_text("rate: {requests: 60}\n")
    async with running(system):
        scene.wake()
        await scene.until(lambda: system.status().rest.rates["address"].requests == 60)


async def test_a_file_that_is_being_written_or_replaced_is_read_when_it_stays_as_it_is(scene: Scene) -> None:
    system = scene.system(BTC, key=False)
    async with running(system):
        scene.file.write_text("")
        scene.while_settling = lambda: scene.file.write_text(BTC + "rate: {requests: 60}\n")
        scene.wake()
        await scene.until(lambda: len(scene.of("health_check")) == 1)
        assert system.market.watched == [("linear", "BTCUSDT")]
        assert system.status().rest.rates["address"].requests == 600
        scene.wake()
        await scene.until(lambda: len(scene.of("health_check")) == 2)
        assert system.status().rest.rates["address"].requests == 60
        scene.file.unlink()
        scene.wake()
        await scene.until(lambda: len(scene.of("health_check")) == 3)
        assert scene.of("error_occurred") == []
        assert system.market.watched == [("linear", "BTCUSDT")]


async def test_a_reload_that_the_venue_did_not_answer_is_tried_again_by_the_loop(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = scene.system(key=False)

    async def unanswered(*_: object, **__: object) -> None:
        raise ConnectError("nobody there")

    async with running(system):
        scene.file.write_text(BTC + "rate: {requests: 60}\n")
        with monkeypatch.context() as away:
            away.setattr(system.market, "watch", unanswered)
            scene.wake()
            await scene.until(lambda: scene.of("error_occurred"))
            assert system.status().settings_error == "nobody there"
        assert system.status().rest.rates["address"].requests == 600
        scene.wake()
        await scene.until(lambda: system.status().rest.rates["address"].requests == 60)
        assert system.market.watched == [("linear", "BTCUSDT")]
        assert system.status().settings_error is None


async def test_the_loop_notices_that_the_file_is_again_as_it_was_before_a_reload_by_hand(scene: Scene) -> None:
    system = scene.system("rate: {requests: 60}\n", key=False)
    async with running(system):
        scene.file.write_text("rate: {requests: 70}\n")
        assert (await system.reload()).changed == ["rate.requests"]
        scene.file.write_text("rate: {requests: 60}\n")
        scene.wake()
        await scene.until(lambda: system.status().rest.rates["address"].requests == 60)
