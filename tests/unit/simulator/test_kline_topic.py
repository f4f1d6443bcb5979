"""Klines against REST's, and against the trades that were sent."""

import itertools
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from feeder.clock import ManualClock
from feeder.simulator.chart import INTERVALS, begin_of, end_of
from feeder.simulator.recording import Recording
from feeder.simulator.replay import ReplaySource
from tests.unit.simulator.summaries import OPTION, SYMBOLS, Scene, expect_refusal, seeded

CHARTED = ("spot", "linear", "inverse")
MINUTE_MS = 60_000
NEW_YEARS_EVE_NS = 1_704_067_080 * 10**9  # 2023-12-31 23:58 UTC, a Sunday: every interval ends at midnight
MIDNIGHT_MS = 1_704_067_200_000


def _scene(wall_ns: int = NEW_YEARS_EVE_NS, rate: float = 160) -> Scene:
    clock = ManualClock(wall_ns=wall_ns)
    return Scene(clock, seeded(clock, rate=rate))


def _rows(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for message in messages for row in message["data"]]


def _as_rest(row: dict[str, Any]) -> list[str]:
    return [str(row["start"]), *(row[name] for name in ("open", "high", "low", "close", "volume", "turnover"))]


@pytest.mark.parametrize("category", CHARTED)
@pytest.mark.parametrize("interval", ["1", "60", "W"])
def test_each_bar_is_rests_at_that_moment_and_final_ones_for_ever(category: str, interval: str) -> None:
    scene, symbol = _scene(), SYMBOLS[category]
    client = scene.client(category, f"kline.{interval}.{symbol}")
    final: dict[int, list[str]] = {}
    compared = 0
    for _ in range(7500):
        scene.pass_time(0.02, turn=0.02)
        for row in _rows(client.take_data()):
            told = _as_rest(row)
            if row["confirm"]:
                assert row["start"] not in final
                final[row["start"]] = told
            else:
                assert told == scene.klines(category, symbol, interval, 1)[row["start"]]
                compared += 1
    assert compared > 5
    assert final
    scene.pass_time(100, turn=0.05)
    later = scene.klines(category, symbol, interval)
    assert {start: list(later[start]) for start in final} == final


def test_a_bar_is_made_of_the_trades_that_were_sent() -> None:
    scene = _scene()
    client = scene.client("linear", "kline.1.BTCUSDT", "publicTrade.BTCUSDT")
    scene.pass_time(200, turn=0.01)
    trades: list[dict[str, Any]] = []
    finals: list[dict[str, Any]] = []
    for message in client.take_data():
        if message["topic"].startswith("kline"):
            finals += [row for row in message["data"] if row["confirm"]]
        else:
            trades += message["data"]
    assert len(finals) == 3
    opening = None
    for bar in finals[1:]:  # of the first the market had a part before anybody came
        within = [Decimal(row["p"]) for row in trades if bar["start"] <= row["T"] <= bar["end"]]
        sizes = [Decimal(row["v"]) for row in trades if bar["start"] <= row["T"] <= bar["end"]]
        assert len(within) > 10
        opening = [Decimal(row["p"]) for row in trades if row["T"] < bar["start"]][-1]
        assert Decimal(bar["open"]) == opening
        assert Decimal(bar["close"]) == within[-1]
        assert Decimal(bar["high"]) == max([*within, opening])
        assert Decimal(bar["low"]) == min([*within, opening])
        assert Decimal(bar["volume"]) == sum(sizes)
        assert bar["timestamp"] == [row["T"] for row in trades if row["T"] <= bar["end"]][-1]


@pytest.mark.parametrize("interval", INTERVALS)
def test_every_interval_ends_its_bar_once_at_its_end_and_begins_the_next(interval: str) -> None:
    # The month and the year's day end together; a week ends with Sunday, as this December did.
    scene = _scene()
    client = scene.client("linear", f"kline.{interval}.BTCUSDT")
    (first,) = _rows(client.take_data())
    assert first["start"] == begin_of(interval, NEW_YEARS_EVE_NS // 1_000_000)
    assert first["end"] == end_of(interval, first["start"]) - 1
    assert first["interval"] == interval
    ends: list[int] = []
    rows: list[dict[str, Any]] = []
    for _ in range(1300):
        scene.pass_time(0.1, turn=0.1)
        for message in client.take_data():
            rows += message["data"]
            ends += [message["ts"] for row in message["data"] if row["confirm"]]
    finals = [row for row in rows if row["confirm"]]
    starts = [row["start"] for row in finals]
    assert len(set(starts)) == len(starts)
    assert finals[-1]["end"] == MIDNIGHT_MS - 1
    assert all(0 <= ts - row["end"] - 1 <= 100 for ts, row in zip(ends, finals, strict=True))
    assert [row["start"] for row in rows] == sorted(row["start"] for row in rows)
    assert rows[-1]["start"] == MIDNIGHT_MS
    assert rows[-1]["open"] == finals[-1]["close"]


def test_pushes_are_a_second_apart_and_a_minute_when_nothing_trades() -> None:
    scene = _scene(rate=0.5)
    client = scene.client("linear", "kline.D.BTCUSDT")
    client.take()
    times: list[int] = []
    quiet: list[dict[str, Any]] = []
    for _ in range(3000):
        scene.pass_time(0.1, turn=0.1)
        messages = client.take_data()
        times += [message["ts"] for message in messages]
        quiet += _rows(messages)
    assert len(times) > 4
    gaps = [later - sooner for sooner, later in itertools.pairwise(times) if not sooner < MIDNIGHT_MS <= later]
    assert min(gaps) >= 1000
    assert max(gaps) <= 61_000
    assert any(_as_rest(one) == _as_rest(two) for one, two in itertools.pairwise(quiet)), "silence was never broken"


def test_a_process_that_was_held_up_ends_every_bar_it_slept_through() -> None:
    scene = _scene()
    client = scene.client("linear", "kline.1.BTCUSDT")
    client.take()
    scene.pass_time(600, turn=600)
    finals = [row["start"] for row in _rows(client.take_data()) if row["confirm"]]
    assert finals == [NEW_YEARS_EVE_NS // 1_000_000 + minute * MINUTE_MS for minute in range(10)]


def test_a_limit_of_messages_loses_no_final_bar() -> None:
    scene = _scene()
    client = scene.client("linear", "kline.1.BTCUSDT")
    client.take()
    scene.clock.advance(600)
    while scene.exchange.advance(limit=1):
        pass
    finals = [row["start"] for row in _rows(client.take_data()) if row["confirm"]]
    assert len(finals) == 10


@pytest.mark.parametrize(
    ("category", "topic"),
    [
        ("linear", "kline.2.BTCUSDT"),
        ("linear", "kline.d.BTCUSDT"),
        ("spot", "kline.1.NOPE"),
        ("inverse", "kline.BTCUSD"),
        ("option", f"kline.1.{OPTION}"),
        ("option", f"allLiquidation.{OPTION}"),
        ("spot", "allLiquidation.BTCUSDT"),
        ("linear", "allLiquidation.NOPE"),
    ],
)
def test_what_is_not_on_offer_is_refused_in_the_categorys_own_shape(category: str, topic: str) -> None:
    expect_refusal(_scene().client(category), topic)


def _line(time_ms: int, **message: Any) -> str:
    body = {"topic": message.pop("topic"), "type": message.pop("type"), "ts": time_ms, **message}
    return f"{time_ms * 10**6} {json.dumps(body)}"


def _book_line(time_ms: int, kind: str, u: int, bid: str, ask: str) -> str:
    data = {"s": "BTCUSDT", "b": [[bid, "1"]], "a": [[ask, "1"]], "u": u, "seq": u}
    return _line(time_ms, topic="orderbook.50.BTCUSDT", type=kind, data=data)


def _trade_line(time_ms: int, matched_ms: int, price: str) -> str:
    row = {"s": "BTCUSDT", "p": price, "v": "2", "S": "Buy", "T": matched_ms, "i": "1", "L": "PlusTick"}
    return _line(time_ms, topic="publicTrade.BTCUSDT", type="snapshot", data=[row])


@pytest.mark.parametrize("speed", [1.0, 50.0, None])
def test_a_replays_bars_go_by_its_own_time_and_stay_as_they_were_told(tmp_path: Path, speed: float | None) -> None:
    begin = MIDNIGHT_MS - 30_000
    lines = [_book_line(begin, "snapshot", 1, "100.0", "100.2")]
    for second in range(1, 151):
        lines.append(_book_line(begin + second * 1000, "delta", second + 1, "100.0", "100.2"))
        if second % 10 == 1:
            # A trade that is told after midnight but was matched before: the bar was final by then.
            matched = begin + second * 1000 - (2000 if second == 31 else 5)
            lines.append(_trade_line(begin + second * 1000 + 1, matched, f"10{second % 7}.5"))
    path = tmp_path / "replay.jsonl"
    path.write_text("\n".join(lines) + "\n")
    clock = ManualClock()
    scene = Scene(clock, ReplaySource([Recording.load("linear", path)], speed, clock))
    client = scene.client("linear", "kline.1.BTCUSDT", "tickers.BTCUSDT")
    last = ""
    final: dict[int, list[str]] = {}
    for _ in range(160):
        scene.pass_time(1)
        for message in client.take_data():
            if message["topic"] == "tickers.BTCUSDT":
                last = message["data"].get("lastPrice", last)
            for row in message["data"] if message["topic"] == "kline.1.BTCUSDT" else []:
                if row["confirm"]:
                    final[row["start"]] = _as_rest(row)
        assert last == "" or speed is None or last == scene.ticker("linear")["lastPrice"]
    told = scene.klines("linear", "BTCUSDT", "1")
    assert [start for start in final if start >= MIDNIGHT_MS - MINUTE_MS] == [
        MIDNIGHT_MS - MINUTE_MS,
        MIDNIGHT_MS,
        MIDNIGHT_MS + MINUTE_MS,
    ]
    assert {start: list(told[start]) for start in final} == final
    assert Decimal(told[MIDNIGHT_MS][5]) == 2 * 6


def test_a_replay_without_trades_has_bars_that_stay_too(tmp_path: Path) -> None:
    begin = MIDNIGHT_MS - 30_000
    lines = [_book_line(begin, "snapshot", 1, "100.0", "100.2")]
    lines += [
        _book_line(begin + second * 1000, "snapshot", second + 1, f"{100 + second}.0", f"{100 + second}.2")
        for second in range(1, 100)
    ]
    path = tmp_path / "replay.jsonl"
    path.write_text("\n".join(lines) + "\n")
    clock = ManualClock()
    scene = Scene(clock, ReplaySource([Recording.load("linear", path)], 1.0, clock))
    client = scene.client("linear", "kline.1.BTCUSDT")
    final: dict[int, list[str]] = {}
    for _ in range(100):
        scene.pass_time(1)
        final |= {row["start"]: _as_rest(row) for row in _rows(client.take_data()) if row["confirm"]}
    told = scene.klines("linear", "BTCUSDT", "1")
    assert MIDNIGHT_MS in final
    assert {start: list(told[start]) for start in final} == final
