"""A system is made of its settings: each key reaches the part that it is about. Nothing is opened here."""

import asyncio
import re
from typing import Any

import pytest

from feeder.bybit.pacing import Timing
from feeder.bybit.rest.endpoint import Limit
from feeder.bybit.rest.settings import Settings
from feeder.bybit.system.events import EVENTS
from feeder.bybit.system.settings import SystemSettings
from feeder.bybit.system.system import BybitSystem
from feeder.bybit.system.system_status import Health
from feeder.errors import ConfigError, OverrunError
from tests.helpers.secrets import API_KEY, API_SECRET

KEY = {"BYBIT_API_KEY": API_KEY, "BYBIT_API_SECRET": API_SECRET}


def made(**environ: str) -> BybitSystem:
    return BybitSystem(SystemSettings.load(environ=KEY | environ))


@pytest.mark.parametrize(
    ("variable", "value", "look", "expected"),
    [
        ("BYBIT_RATE__REQUESTS", "100", lambda system: system._pool.address_usage()[1], Limit(100, 5.0)),
        ("BYBIT_RATE__WAIT_SECONDS", "7", lambda system: system._pool.timeouts.turn, 7),
        ("BYBIT_CONNECTION__CONNECT_SECONDS", "8", lambda system: system._pool.timeouts.connect, 8),
        ("BYBIT_CONNECTION__ANSWER_SECONDS", "9", lambda system: system._pool.timeouts.answer, 9),
        ("BYBIT_CONNECTION__MAX_CONNECTIONS", "11", lambda system: system._pool._max_connections, 11),
        ("BYBIT_ENVIRONMENT", "testnet", lambda system: system.rest.base_url, "https://api-testnet.bybit.com"),
        ("BYBIT_RECV_WINDOW", "6000", lambda system: system.rest.recv_window, 6000),
        ("BYBIT_ACCOUNT__CATEGORIES", "[spot]", lambda system: system.streams.account._scope.categories, ("spot",)),
        ("BYBIT_ACCOUNT__SETTLE_COINS", "[USDC]", lambda system: system.streams.account._scope.settle_coins, ("USDC",)),
        ("BYBIT_CACHE__ENTRIES", "13", lambda system: system.market._reads._instruments._entries, 13),
        ("BYBIT_WEBSOCKET__PRIVATE_TOPICS", "[greeks]", lambda system: system.streams.private.topics[-1], "greeks"),
    ],
)
def test_a_setting_reaches_its_part(variable: str, value: str, look: Any, expected: object) -> None:
    assert look(made()) != expected
    assert look(made(**{variable: value})) == expected


@pytest.mark.parametrize(
    ("key", "field"),
    [
        ("ping_seconds", "ping_interval"),
        ("pong_seconds", "pong_deadline"),
        ("reconnect_first_seconds", "reconnect_first"),
        ("reconnect_cap_seconds", "reconnect_cap"),
    ],
)
def test_the_times_of_the_websockets_are_those_of_every_stream(key: str, field: str) -> None:
    system = made(
        **{f"BYBIT_WEBSOCKET__{key}".upper(): "1.5"}, BYBIT_WEBSOCKET__PUBLIC_TOPICS="{linear: [tickers.BTCUSDT]}"
    )
    streams = system.streams
    feeds = system.market._feeds
    for timing in (
        streams.private._timing,
        streams.each_public["linear"]._timing,
        streams.orders._link._timing,
        feeds._timing,
        feeds._pool._timing,
    ):
        assert timing == Timing(**{field: 1.5})


def test_an_address_of_demo_trading_has_no_order_entry() -> None:
    with pytest.raises(ConfigError, match=r"features\.order_entry: .*demo trading has no order-entry WebSocket"):
        made(BYBIT_BASE_URL="https://api-demo.bybit.com")


@pytest.mark.parametrize("settings", ["bybit.yaml", Settings(), {"watch": []}])
def test_what_are_no_settings_is_refused_with_the_way_to_have_some(settings: Any) -> None:
    told = f"settings is a {type(settings).__name__}; give it SystemSettings.load(path)"
    with pytest.raises(TypeError, match=re.escape(told)):
        BybitSystem(settings)


def test_the_environment_is_the_host_where_that_is_named() -> None:
    assert made(BYBIT_ENVIRONMENT="testnet").status().environment == "testnet"
    url = {"BYBIT_BASE_URL": "http://127.0.0.1:9444/", "BYBIT_WEBSOCKET__URL": "ws://127.0.0.1:9443"}
    assert made(**url).status().environment == "127.0.0.1:9444"


def test_the_name_of_the_event_comes_first() -> None:
    system: Any = made()
    for call in (system.on, system.events):
        with pytest.raises(TypeError, match="is no event's name, which comes first, as in on"):
            call(print, "fill")
    with pytest.raises(TypeError, match="is no event's name"):
        system.latest(["ticker"])
    with pytest.raises(TypeError, match="fill"):
        system.on("fill", 5)


async def test_events_wait_up_to_a_capacity_and_the_newest_can_be_had_alone() -> None:
    system = made()
    few, newest = system.events("health_check", capacity=2), system.latest("health_check")
    for time_ms in range(3):
        system._hub.publish("health_check", Health(time_ms, True, []))
    assert (await anext(newest)).time_ms == 2
    with pytest.raises(OverrunError):
        await anext(few)
    assert [(await anext(few)).time_ms for _ in range(2)] == [1, 2]


@pytest.mark.parametrize("call", ["on", "events", "latest"])
def test_events_of_the_account_need_a_key_or_their_feature(call: str) -> None:
    arguments = ("order", print) if call == "on" else ("order",)
    with pytest.raises(ConfigError) as without:
        getattr(BybitSystem(SystemSettings.load(environ={})), call)(*arguments)
    said = "features.private: needs a key, without which there is never a order; give api_key and api_secret"
    assert str(without.value) == said
    with pytest.raises(ConfigError) as off:
        getattr(made(BYBIT_FEATURES__PRIVATE="false"), call)(*arguments)
    assert str(off.value) == "features.private: is off, so that there is never a order; switch it on"


def test_its_help_names_its_parts_and_each_event_with_what_it_brings() -> None:
    said = " ".join((BybitSystem.__doc__ or "").split())
    for part in ("rest", "streams", "market", "settings"):
        assert f" {part} " in said
    for event, described in EVENTS.items():
        assert f"{event} ({described.rpartition(': ')[2]})" in said


@pytest.mark.parametrize("obeys", [True, False])
async def test_a_part_that_does_not_close_is_cancelled_and_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, obeys: bool
) -> None:
    monkeypatch.setattr("feeder.bybit.system.system._CLOSE_SECONDS", 0.01)
    cancelled = asyncio.Event()

    async def hangs() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            if obeys:
                raise
            raise ValueError("on its way out") from None

    await made()._close_part("the part", hangs)
    assert cancelled.is_set()
    assert "the part not closed within 0.01 s, and cancelled" in caplog.text
    assert ("the part not closed as it should be: ValueError: on its way out" in caplog.text) is not obeys
