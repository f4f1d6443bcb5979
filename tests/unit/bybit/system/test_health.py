"""Findings: each from the facts that make it, and none from a system that is as it should be."""

from typing import Any

import msgspec
import pytest

from feeder.bybit.streams.account import AccountHealth
from feeder.bybit.streams.order_entry import EntryHealth
from feeder.bybit.streams.topic_stream import StreamHealth
from feeder.bybit.system.health import KINDS, findings
from feeder.bybit.system.market import MarketStatus, SymbolStatus
from feeder.bybit.system.settings_sections import HealthSettings
from feeder.bybit.system.system_status import RestStatus, SystemStatus

LIMITS = HealthSettings(stale_seconds=30, clock_offset_seconds=1, quality=50)
STREAM = StreamHealth(
    state="live",
    connections=1,
    topics=4,
    active=4,
    refused=[],
    connects=1,
    reconnects=0,
    messages=10,
    decode_errors=0,
    silent_seconds=1.0,
    latency=None,
)
ENTRY = EntryHealth(
    state="ready",
    connects=1,
    reconnects=0,
    in_flight=0,
    sent=0,
    answered=0,
    rejected=0,
    unknown_outcomes=0,
    late_acks=0,
    unmatched=0,
    decode_errors=0,
    silent_seconds=30.0,
    round_trips=None,
)
ACCOUNT = AccountHealth(
    reconciled=True,
    reason="connection 1",
    reconciliations=1,
    failures=0,
    open_orders=0,
    positions=0,
    fills=0,
    repeated_fills=0,
    outdated=0,
)
SYMBOL = SymbolStatus("linear", "BTCUSDT", 50, "LIVE", "SNAPSHOT", 0.1, 50.0, "")
MARKET = MarketStatus(symbols=[SYMBOL], connections=1, connected=1, tickers={"linear": STREAM}, caches={})
REST = RestStatus(
    requests=100,
    retries=0,
    failures=3,
    refused=5,
    barred=1,
    waits=0,
    in_flight=0,
    clock_offset_seconds=-1.0,
    error=None,
    rates={},
)
GOOD = SystemStatus(
    state="running",
    environment="testnet",
    uptime_seconds=60.0,
    rest=REST,
    streams={"private": STREAM, "linear": STREAM},
    order_entry=ENTRY,
    account=ACCOUNT,
    market=MARKET,
    restart_needed=[],
    settings_error=None,
    loop_late_seconds=0.5,
    health=None,
)


def changed(part: str, **changes: Any) -> SystemStatus:
    """GOOD, but for these of one part."""
    was = getattr(GOOD, part)
    return msgspec.structs.replace(GOOD, **{part: msgspec.structs.replace(was, **changes)})


def told(now: SystemStatus, before: SystemStatus | None = GOOD) -> list[tuple[str, str, str]]:
    return [(each.kind, each.where, each.text) for each in findings(now, before, LIMITS)]


def test_a_system_as_it_should_be_has_no_findings() -> None:
    assert told(GOOD) == []


def test_what_is_off_is_not_missed() -> None:
    bare = msgspec.structs.replace(GOOD, streams={}, order_entry=None, account=None, market=None)
    assert told(bare) == []


@pytest.mark.parametrize(
    ("now", "finding"),
    [
        (
            msgspec.structs.replace(
                GOOD, streams={"private": msgspec.structs.replace(STREAM, state="waiting", active=0)}
            ),
            ("stream_down", "private", "waiting, 0 of 4 topics"),
        ),
        (
            msgspec.structs.replace(GOOD, streams={"linear": msgspec.structs.replace(STREAM, silent_seconds=30.6)}),
            ("stream_silent", "linear", "nothing came for 31 s"),
        ),
        (
            msgspec.structs.replace(GOOD, streams={"linear": msgspec.structs.replace(STREAM, refused=["kline.1.X"])}),
            ("topic_refused", "linear", "kline.1.X: the venue does not give it"),
        ),
        (changed("order_entry", state="signing in"), ("stream_down", "order entry", "signing in")),
        (changed("order_entry", silent_seconds=31.0), ("stream_silent", "order entry", "nothing came for 31 s")),
        (
            changed("account", reconciled=False, reason="connection lost"),
            ("account_not_reconciled", "account", "connection lost"),
        ),
        (
            changed("market", connections=3),
            ("stream_down", "market", "1 of 3 connections of books and trades are up"),
        ),
        (
            changed("market", tickers={"linear": msgspec.structs.replace(STREAM, state="connecting")}),
            ("stream_down", "linear tickers", "connecting, 4 of 4 topics"),
        ),
        (
            changed("market", symbols=[msgspec.structs.replace(SYMBOL, score=49.9, weakness="2 interruptions")]),
            ("quality", "linear:BTCUSDT", "49.9 of 100: 2 interruptions"),
        ),
        (changed("rest", error="no connection"), ("rest_down", "rest", "no connection")),
        (
            changed("rest", failures=5, requests=110),
            ("rest_errors", "rest", "2 of 10 requests had no answer of the API"),
        ),
        (
            changed("rest", barred=2),
            ("rest_barred", "rest", "HTTP 403: nothing is sent for 10 minutes; send less"),
        ),
        (
            changed("rest", clock_offset_seconds=1.25),
            ("clock_offset", "rest", "the venue's is +1.2 s from it; synchronise it (NTP)"),
        ),
        (
            msgspec.structs.replace(GOOD, settings_error="rate: no"),
            ("settings_refused", "settings", "rate: no"),
        ),
        (
            msgspec.structs.replace(GOOD, restart_needed=["recv_window", "api_key"]),
            ("restart_needed", "settings", "changed, and used after a restart only: recv_window, api_key"),
        ),
        (
            msgspec.structs.replace(GOOD, loop_late_seconds=2.04),
            (
                "loop_late",
                "event loop",
                "stood still for 2.0 s; let no callback block (asyncio.sleep, asyncio.to_thread)",
            ),
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_each_thing_that_is_wrong_is_found(now: SystemStatus, finding: tuple[str, str, str]) -> None:
    assert told(now) == [finding]
    assert finding[0] in KINDS


def test_the_first_look_counts_from_the_start() -> None:
    kinds = [kind for kind, _, _ in told(GOOD, None)]
    assert kinds == ["rest_errors", "rest_barred"]


def test_errors_that_are_over_are_no_finding_any_more() -> None:
    worse = changed("rest", failures=5, requests=110)
    assert told(worse, worse) == []


def test_a_status_is_plain_json() -> None:
    text = msgspec.json.encode(GOOD)
    assert msgspec.json.decode(text, type=SystemStatus) == GOOD
