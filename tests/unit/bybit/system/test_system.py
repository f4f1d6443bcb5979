"""A system is made of its settings: each key reaches the part that it is about. Nothing is opened here."""

import asyncio
from typing import Any

import pytest

from feeder.bybit.pacing import Timing
from feeder.bybit.rest.endpoint import Limit
from feeder.bybit.system.settings import SystemSettings
from feeder.bybit.system.system import BybitSystem
from feeder.errors import ConfigError
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
