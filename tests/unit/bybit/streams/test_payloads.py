"""One message of each topic, written to the documented shapes: each field is read, and has its value."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from feeder.bybit.rest.results.account import CoinBalance
from feeder.bybit.rest.results.orders import ExtraFee
from feeder.bybit.streams import messages
from feeder.errors import MessageError
from tests.unit.bybit.rest.recorder import unseen

from .deliveries import Listener, assert_complete, private_listener, public_listener

PAYLOADS = sorted((Path(__file__).parents[3] / "data" / "streams").glob("*.json"))
PUBLIC = ("tickers", "kline", "allLiquidation", "publicTrade")
OF_US = {"category", "creation_time", "time_ms", "cs"}  # told by the envelope or the topic
KINDS = (
    messages.OrderUpdate,
    messages.ExecutionUpdate,
    messages.FastExecution,
    messages.PositionUpdate,
    messages.WalletUpdate,
    messages.Greeks,
    messages.TickerUpdate,
    messages.Kline,
    messages.Liquidation,
    messages.MarketTrade,
    CoinBalance,
    ExtraFee,
)


def _listener(path: Path) -> Listener:
    if not path.name.startswith(PUBLIC):
        return private_listener()
    category = next((each for each in ("spot", "option", "inverse") if each in path.name), "linear")
    return public_listener(category)


def _minified(path: Path) -> bytes:
    """As the venue sends it: no space around."""
    return json.dumps(json.loads(path.read_bytes()), separators=(",", ":")).encode()


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
@pytest.mark.parametrize("spaced", [False, True], ids=["as sent", "spaced"])
def test_every_field_is_read_with_its_value(path: Path, spaced: bool) -> None:
    text = path.read_bytes() if spaced else _minified(path)
    assert_complete(_listener(path).take(text), text, set())


def test_every_field_of_every_kind_has_a_payload_that_shows_it() -> None:
    seen: set[tuple[type, str]] = set()
    for path in PAYLOADS:
        text = path.read_bytes()
        assert_complete(_listener(path).take(text), text, seen)
    assert {name for name in unseen(seen, *KINDS) if name.partition(".")[2] not in OF_US} == {"Kline.symbol"}


def test_a_delta_leaves_the_rest_of_the_ticker_as_it_was() -> None:
    listener = public_listener("linear")
    by_name = {path.stem: path.read_bytes() for path in PAYLOADS}
    (first,) = listener.take(by_name["tickers.linear"])
    (second,) = listener.take(by_name["tickers.linear-delta"])
    changed = {
        name: value for name in first.__struct_fields__ if (value := getattr(second, name)) != getattr(first, name)
    }
    delta: dict[str, Any] = json.loads(by_name["tickers.linear-delta"])
    assert changed == {
        "last_price": second.last_price,
        "ask1_size": second.ask1_size,
        "tick_direction": "PlusTick",
        "cs": delta["cs"],
        "time_ms": delta["ts"],
    }


@pytest.mark.parametrize(
    ("told", "delivery_ms"),
    [
        ("2026-12-25T08:00:00Z", 1_798_185_600_000),
        ("2026-12-25T08:00:00", 1_798_185_600_000),
        ("2026-12-25T16:00:00.250+08:00", 1_798_185_600_250),
        ("1798185600000", 1_798_185_600_000),
        ("0", 0),
        ("", None),
    ],
)
def test_delivery_of_a_dated_future_is_told_in_ms_however_it_is_written(
    told: str, delivery_ms: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    message = {"topic": "tickers.X", "type": "snapshot", "data": {"symbol": "X", "deliveryTime": told}}
    try:
        (event,) = public_listener("inverse").take(json.dumps(message).encode())
    finally:
        monkeypatch.undo()
        time.tzset()
    assert event.delivery_time == delivery_ms


@pytest.mark.parametrize("told", ["soon", "2026-13-40T00:00:00Z", [], {}])
def test_a_delivery_time_that_is_none_is_a_message_that_cannot_be_understood(told: Any) -> None:
    message = {"topic": "tickers.X", "type": "snapshot", "data": {"symbol": "X", "deliveryTime": told}}
    with pytest.raises(MessageError):
        public_listener("inverse").take(json.dumps(message).encode())
