import itertools
import os
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from feeder.clock import ManualClock
from feeder.simulator.recording import Recording
from feeder.simulator.replay import ReplaySource
from tests.unit.simulator.summaries import CATEGORIES, SYMBOLS, Scene, expect_refusal, seeded

ONLY_HERE = {"tickDirection", "singleOpenInterest", "singleOpenInterestValue"}


def _scene(seed: int = 1) -> Scene:
    clock = ManualClock()
    return Scene(clock, seeded(clock, seed=seed), seed)


@pytest.fixture
def scene() -> Scene:
    return _scene()


def _topic(category: str) -> str:
    return f"tickers.{SYMBOLS[category]}"


@pytest.mark.parametrize("category", ["linear", "inverse"])
def test_a_contracts_deltas_hold_changes_only_and_are_of_fields_that_rest_has(scene: Scene, category: str) -> None:
    client = scene.client(category)
    client.subscribe(_topic(category))
    (first,) = client.take_data()
    assert first["type"] == "snapshot"
    known: dict[str, str] = first["data"]
    deltas = 0
    for _ in range(100):
        scene.pass_time(0.1)
        for message in client.take_data():
            assert message["type"] == "delta"
            changed = {name: text for name, text in message["data"].items() if name != "symbol"}
            assert changed, "a delta of nothing"
            assert all(known[name] != text for name, text in changed.items())
            known.update(message["data"])
            deltas += 1
    assert deltas > 30
    assert known.keys() - ONLY_HERE <= scene.ticker(category).keys()


@pytest.mark.parametrize("category", ["spot", "option"])
def test_spot_and_option_send_whole_snapshots(scene: Scene, category: str) -> None:
    client = scene.client(category)
    client.subscribe(_topic(category))
    scene.pass_time(10)
    messages = client.take_data()
    assert len(messages) > 20
    assert {message["type"] for message in messages} == {"snapshot"}
    fields = [set(message["data"]) for message in messages]
    assert all(each == fields[0] for each in fields)
    assert all(one["data"] != next_["data"] for one, next_ in itertools.pairwise(messages[1:]))


@pytest.mark.parametrize("category", CATEGORIES)
def test_pushes_stand_on_the_categorys_grid(scene: Scene, category: str) -> None:
    period = 50 if category == "spot" else 100
    client = scene.client(category)
    client.subscribe(_topic(category))
    client.take()
    times: list[int] = []
    for _ in range(1000):
        scene.pass_time(0.005)
        now = scene.clock.wall_ns() // 1_000_000
        times += [now for _ in client.take_data()]
    assert len(times) > 5
    # The spy looks every 5 ms.
    phases = {time % period // 5 for time in times}
    assert len(phases) == 1
    assert all(later - sooner >= period for sooner, later in itertools.pairwise(times))


@pytest.mark.parametrize("category", CATEGORIES)
def test_what_a_ticker_told_is_what_rest_tells_at_that_moment(scene: Scene, category: str) -> None:
    client = scene.client(category)
    client.subscribe(_topic(category))
    known: dict[str, str] = {}
    compared = 0
    names = {"bidPrice": "bid1Price", "askPrice": "ask1Price", "bidSize": "bid1Size", "askSize": "ask1Size"}
    for _ in range(1000):
        scene.pass_time(0.005)
        messages = client.take_data()
        for message in messages:
            known.update(message["data"])
        if messages and messages[-1]["ts"] == scene.clock.wall_ns() // 1_000_000:
            told = scene.ticker(category)
            for name in known.keys() & (told.keys() | names.keys()):
                assert known[name] == told[names.get(name, name)], name
            compared += 1
    assert compared > 5


def test_a_late_subscriber_begins_with_what_the_others_know(scene: Scene) -> None:
    topic = _topic("linear")
    early = scene.client("linear", topic)
    known: dict[str, str] = {}
    for _ in range(40):
        late = scene.client("linear", topic)
        first, *_ = messages = late.take_data()
        assert first["type"] == "snapshot"
        scene.pass_time(0.11)
        row: dict[str, str] = {}
        for message in messages + late.take_data():
            row.update(message["data"])
        for message in early.take_data():
            known.update(message["data"])
        assert row == known
        scene.exchange.disconnect(late.client)


def test_tick_direction_and_one_side_of_open_interest_are_told(scene: Scene) -> None:
    client = scene.client("linear")
    client.subscribe(_topic("linear"), "publicTrade.BTCUSDT")
    known: dict[str, Any] = {}
    last = ""
    for _ in range(2000):
        scene.pass_time(0.005)
        for message in client.take_data():
            if message["topic"].startswith("publicTrade"):
                last = message["data"][-1]["L"]
            else:
                known.update(message["data"])
    scene.pass_time(0.2)
    assert last
    assert known["tickDirection"] in ("PlusTick", "ZeroPlusTick", "MinusTick", "ZeroMinusTick")
    assert Decimal(known["singleOpenInterest"]) * 2 == Decimal(known["openInterest"])


def test_a_ticker_alone_moves_its_market_and_lets_it_rest_when_the_last_has_gone(scene: Scene) -> None:
    one, two = scene.client("linear"), scene.client("linear")
    one.subscribe(_topic("linear"))
    two.subscribe(_topic("linear"))
    one.unsubscribe(_topic("linear"))
    one.take()
    scene.pass_time(3)
    assert one.take_data() == []
    assert len(two.take_data()) > 5
    scene.exchange.disconnect(two.client)
    scene.pass_time(3)
    assert scene.exchange.next_due() is None


@pytest.mark.parametrize("category", CATEGORIES)
def test_unknown_symbols_are_refused_in_the_categorys_own_shape(scene: Scene, category: str) -> None:
    expect_refusal(scene.client(category), "tickers.NOPE")


def test_a_refusal_and_a_delisting_meet_tickers_too(scene: Scene) -> None:
    topic = _topic("linear")
    scene.exchange.faults.refuse("linear", topic, 1)
    client = scene.client("linear")
    client.subscribe(topic)
    assert client.take()[0]["success"] is False
    client.subscribe(topic)
    scene.pass_time(1)
    assert len(client.take_data()) > 2
    for status in ("Closed", "gone"):
        scene.exchange.delist("linear", "BTCUSDT", status)
        scene.pass_time(3)
        assert client.take_data() == []
    other = scene.client("linear")
    other.subscribe(topic)
    assert other.take()[0]["success"] is False


@pytest.mark.parametrize(("category", "klines", "liquidations"), [("linear", 13, 1), ("spot", 13, 0), ("option", 0, 0)])
def test_a_symbol_has_the_topics_of_its_category(scene: Scene, category: str, klines: int, liquidations: int) -> None:
    summaries = scene.exchange.summaries
    assert summaries is not None
    topics = summaries.topics(category, SYMBOLS[category])
    kinds = Counter(topic.partition(".")[0] for topic in topics)
    assert (kinds["tickers"], kinds["kline"], kinds["allLiquidation"]) == (1, klines, liquidations)
    client = scene.client(category)
    client.subscribe(*topics[:10])
    assert not client.take()[0].get("data", {}).get("failTopics")
    assert summaries.topics(category, "NOPE") == []


def test_the_same_seed_gives_the_same_tickers() -> None:
    streams = []
    for seed in (1, 1, 2):
        scene = _scene(seed)
        client = scene.client("linear")
        client.subscribe(_topic("linear"))
        scene.pass_time(5)
        streams.append([text for text in client.received if b'"topic"' in text])
    assert streams[0] == streams[1] != streams[2]


def test_a_recordings_tickers_and_bars_follow_its_trades_at_any_speed() -> None:
    folder = os.environ.get("FEEDER_RECORDINGS")
    if not folder:
        pytest.skip("FEEDER_RECORDINGS names no folder of recordings")
    recording = Recording.load("linear", Path(folder) / "linear-8-symbols-30s.jsonl.gz")
    symbols = list(recording.precisions)
    for speed in (1.0, None):
        clock = ManualClock()
        scene = Scene(clock, ReplaySource([recording], speed, clock))
        topics = [name.format(symbol) for symbol in symbols for name in ("tickers.{}", "kline.1.{}", "publicTrade.{}")]
        client = scene.client("linear", *topics)
        scene.pass_time(40, turn=0.05)
        last: dict[str, str] = {}
        traded: dict[str, str] = {}
        closes: dict[str, str] = {}
        pushes: Counter[str] = Counter()
        times: list[int] = []
        for message in client.take_data():
            kind, symbol = message["topic"].split(".")[0], message["topic"].split(".")[-1]
            pushes[kind] += 1
            match kind:
                case "tickers":
                    times.append(message["ts"])
                    last[symbol] = message["data"].get("lastPrice", last.get(symbol, ""))
                case "kline":
                    closes[symbol] = message["data"][-1]["close"]
                case _:
                    traded[symbol] = message["data"][-1]["p"]
        told = scene.quotes
        for symbol, price in traded.items():
            quote = told.find("linear", symbol)
            assert quote is not None
            assert quote.last == Decimal(price)
        same = [symbol for symbol in traded if Decimal(last[symbol]) == Decimal(traded[symbol])]
        bars = [symbol for symbol in traded if Decimal(closes[symbol]) == Decimal(traded[symbol])]
        # What was traded after the recording's last push would be told with the next one, which never comes.
        assert len(same) >= len(traded) - 1
        assert len(bars) >= len(traded) - 2
        assert pushes["tickers"] > 800
        assert max(times) - min(times) > 29_000, "its time is its own, whatever the speed"


def test_the_ticker_of_a_symbol_that_is_listed_again_goes_on(scene: Scene) -> None:
    client = scene.client("linear", _topic("linear"))
    scene.exchange.delist("linear", "BTCUSDT", "gone")
    scene.pass_time(3)
    client.take()
    (listing,) = [each for each in scene.exchange.source.listings("linear") if each.symbol == "BTCUSDT"]
    scene.exchange.enlist(listing)
    scene.pass_time(3)
    assert len(client.take_data()) > 5


def test_the_exchange_wakes_for_a_push_before_its_market_moves() -> None:
    clock = ManualClock()
    scene = Scene(clock, seeded(clock, rate=0.01))
    client = scene.client("linear")
    client.subscribe(_topic("linear"))
    due = scene.exchange.next_due()
    assert due is not None
    assert due - clock.monotonic() <= 0.1
