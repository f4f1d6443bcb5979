import json
import os
from pathlib import Path

import pytest

from feeder.clock import ManualClock
from feeder.errors import FeederError
from feeder.simulator.exchange import Exchange
from feeder.simulator.faults import Mishap
from feeder.simulator.recording import Recording
from feeder.simulator.replay import ReplaySource
from tests.unit.simulator.clients import NaiveBook, SpyClient, pass_time

TOPIC, OTHER, TRADES = "orderbook.50.BTCUSDT", "orderbook.50.ETHUSDT", "publicTrade.BTCUSDT"
NS = 1_700_000_000_000_000_000


def _line(second: float, topic: str, kind: str, u: int, bids: list[list[str]], asks: list[list[str]]) -> str:
    # Odd spaces on purpose: what is sent must be the very bytes.
    data = {"s": topic.split(".")[-1], "b": bids, "a": asks, "u": u, "seq": u * 10}
    body = json.dumps({"topic": topic, "type": kind, "ts": 1000 + u, "data": data, "cts": 990 + u})
    return f"{NS + round(second * 1e9)} {body}"


TRADE = f'{NS + 1_500_000_000} {{"topic":"{TRADES}","type":"snapshot","data":[{{"s":"BTCUSDT","p":"100.12","v":"1"}}]}}'
LINES = [
    _line(0, TOPIC, "snapshot", 7, [["100.1", "1"], ["100.0", "2"]], [["100.3", "3"]]),
    _line(1, TOPIC, "delta", 8, [["100.1", "0"]], [["100.2", "0.5"]]),
    _line(1, OTHER, "delta", 50, [["9", "1"]], []),
    TRADE,
    _line(2, TOPIC, "delta", 9, [["100.1", "4"]], []),
    _line(3, OTHER, "snapshot", 60, [["9", "2"]], [["10", "1"]]),
    _line(4, TOPIC, "snapshot", 1, [["99", "1"]], []),
    _line(5, TOPIC, "delta", 2, [], [["101", "1"]]),
]


def _payload(line: str) -> bytes:
    return line.partition(" ")[2].encode()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def _recording(folder: Path, lines: list[str] = LINES, category: str = "linear", name: str = "a.jsonl") -> Recording:
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return Recording.load(category, path)


def _exchange(clock: ManualClock, *recordings: Recording, speed: float | None = 1.0) -> Exchange:
    return Exchange(ReplaySource(recordings, speed, clock), 1, clock)


def _data(client: SpyClient) -> list[bytes]:
    found = [text for text in client.received if b'"topic"' in text]
    client.received.clear()
    return found


def test_messages_are_sent_byte_for_byte_at_their_times_from_the_first_subscribe_on(
    tmp_path: Path, clock: ManualClock
) -> None:
    exchange = _exchange(clock, _recording(tmp_path))
    client = SpyClient(exchange)
    pass_time(exchange, clock, 30)
    assert exchange.next_due() is None
    client.subscribe(TOPIC, TRADES)
    exchange.advance(limit=100)
    assert _data(client) == [_payload(LINES[0])]
    pass_time(exchange, clock, 0.99)
    assert _data(client) == []
    pass_time(exchange, clock, 0.02)
    assert _data(client) == [_payload(LINES[1])]
    pass_time(exchange, clock, 9)
    assert _data(client) == [_payload(LINES[number]) for number in (3, 4, 6, 7)]


def test_speed_divides_the_times_and_full_speed_does_without(tmp_path: Path, clock: ManualClock) -> None:
    fast = _exchange(clock, _recording(tmp_path), speed=10)
    client = SpyClient(fast)
    client.subscribe(TOPIC)
    pass_time(fast, clock, 0.21)
    assert len(_data(client)) == 3

    unpaced = _exchange(clock, _recording(tmp_path), speed=None)
    client = SpyClient(unpaced)
    client.subscribe(TOPIC)
    unpaced.advance(limit=3)
    assert len(_data(client)) <= 3
    unpaced.advance(limit=100)
    assert unpaced.next_due() is None


def test_after_the_end_requests_are_still_answered(tmp_path: Path, clock: ManualClock) -> None:
    exchange = _exchange(clock, _recording(tmp_path))
    client = SpyClient(exchange)
    client.subscribe(TOPIC)
    pass_time(exchange, clock, 10)
    client.take()
    client.ask({"op": "ping"})
    assert client.take()[0]["ret_msg"] == "pong"


def test_a_late_subscriber_gets_the_book_as_it_is_and_then_the_recorded_deltas(
    tmp_path: Path, clock: ManualClock
) -> None:
    exchange = _exchange(clock, _recording(tmp_path))
    first, late = SpyClient(exchange), SpyClient(exchange)
    first.subscribe(TOPIC)
    pass_time(exchange, clock, 1.2)
    first.received.clear()
    late.subscribe(TOPIC)
    (snapshot,) = late.take_data()
    assert snapshot == {
        "topic": TOPIC,
        "type": "snapshot",
        "ts": 1008,
        "data": {
            "s": "BTCUSDT",
            "b": [["100.00", "2"]],
            "a": [["100.20", "0.5"], ["100.30", "3"]],
            "u": 8,
            "seq": 80,
        },
        "cts": 998,
    }
    assert first.take_data() == []
    pass_time(exchange, clock, 1)
    assert _data(late) == [_payload(LINES[4])] == _data(first)


def test_resubscribing_gives_a_snapshot_of_our_own(tmp_path: Path, clock: ManualClock) -> None:
    exchange = _exchange(clock, _recording(tmp_path))
    client = SpyClient(exchange)
    client.subscribe(TOPIC)
    client.unsubscribe(TOPIC)
    pass_time(exchange, clock, 2.2)
    client.take()
    client.subscribe(TOPIC)
    (snapshot,) = client.take_data()
    assert snapshot["data"]["u"] == 9
    assert snapshot["data"]["b"] == [["100.10", "4"], ["100.00", "2"]]


def test_deltas_before_the_first_snapshot_are_sent_as_they_are(tmp_path: Path, clock: ManualClock) -> None:
    exchange = _exchange(clock, _recording(tmp_path))
    early, late = SpyClient(exchange), SpyClient(exchange)
    early.subscribe(OTHER)
    pass_time(exchange, clock, 1.2)
    assert _data(early) == [_payload(LINES[2])]
    late.subscribe(OTHER)
    assert late.take_data() == []
    state = exchange.source.book("linear", "ETHUSDT", None)
    assert state is not None
    assert state.book.held() is None
    pass_time(exchange, clock, 2)
    assert _data(late) == [_payload(LINES[5])]


def test_a_restart_within_the_recording_replaces_our_book(tmp_path: Path, clock: ManualClock) -> None:
    exchange = _exchange(clock, _recording(tmp_path))
    SpyClient(exchange).subscribe(TOPIC)
    pass_time(exchange, clock, 6)
    state = exchange.source.book("linear", "BTCUSDT", None)
    assert state is not None
    assert state.book.levels == {~9900: 10, 10100: 10}
    assert state.book.at(9) is not None
    assert state.book.at(1) == ({~9900: 10}, 10)


def test_a_duplicate_delta_does_not_change_our_book(tmp_path: Path, clock: ManualClock) -> None:
    lines = [*LINES[:2], _line(1.5, TOPIC, "delta", 8, [["50", "1"]], []), _line(1.6, TOPIC, "delta", 7, [], [])]
    exchange = _exchange(clock, _recording(tmp_path, lines))
    client = SpyClient(exchange)
    client.subscribe(TOPIC)
    pass_time(exchange, clock, 2)
    assert len(_data(client)) == 4
    state = exchange.source.book("linear", "BTCUSDT", None)
    assert state is not None
    assert state.book.u == 8
    assert ~5000 not in state.book.levels


def test_topics_that_were_not_recorded_are_refused(tmp_path: Path, clock: ManualClock) -> None:
    exchange = _exchange(clock, _recording(tmp_path))
    client, other_category = SpyClient(exchange), SpyClient(exchange, "spot")
    for topic in ("orderbook.50.XRPUSDT", "orderbook.200.BTCUSDT", "publicTrade.ETHUSDT"):
        client.subscribe(topic)
        assert client.take()[0]["ret_msg"] == f"error:handler not found,topic:{topic}"
    other_category.subscribe(TOPIC)
    assert other_category.take()[0]["ret_msg"] == f"Invalid symbol :[{TOPIC}]"


def test_the_instruments_have_the_files_finest_digits(tmp_path: Path, clock: ManualClock) -> None:
    exchange = _exchange(clock, _recording(tmp_path))
    listed = {listing.symbol: listing for listing in exchange.source.listings("linear")}
    assert (listed["BTCUSDT"].tick, listed["BTCUSDT"].step) == ("0.01", "0.1")  # the trade is finer than the book
    assert (listed["ETHUSDT"].tick, listed["ETHUSDT"].step) == ("1", "1")
    assert (listed["BTCUSDT"].base, listed["BTCUSDT"].quote, listed["BTCUSDT"].settle) == ("BTC", "USDT", "USDT")
    assert exchange.source.listings("spot") == []


def test_several_recordings_play_side_by_side(tmp_path: Path, clock: ManualClock) -> None:
    spot = [_line(0.5, TOPIC, "snapshot", 3, [["1", "1"]], []), _line(0.6, TOPIC, "delta", 4, [["1", "2"]], [])]
    second = [_line(100, "orderbook.200.BTCUSDT", "snapshot", 3, [["1.2345", "1"]], [])]
    exchange = _exchange(
        clock,
        _recording(tmp_path),
        _recording(tmp_path, second, name="b.jsonl"),
        _recording(tmp_path, spot, "spot", "c.jsonl"),
    )
    linear, spot_client = SpyClient(exchange), SpyClient(exchange, "spot")
    linear.subscribe(TOPIC, "orderbook.200.BTCUSDT")
    exchange.advance(limit=100)
    assert _data(linear) == [_payload(LINES[0]), _payload(second[0])]
    pass_time(exchange, clock, 1.2)
    # Spot's time begins with its own first subscriber.
    spot_client.subscribe(TOPIC)
    exchange.advance(limit=100)
    assert _data(spot_client) == [_payload(spot[0])]
    assert exchange.source.listings("linear")[0].tick == "0.0001"


def test_one_topic_in_two_files_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    with pytest.raises(FeederError, match=r"orderbook\.50\.BTCUSDT is in .*a\.jsonl and in .*b\.jsonl; leave one out"):
        _exchange(clock, _recording(tmp_path), _recording(tmp_path, name="b.jsonl"))


def test_faults_work_on_a_replay_but_its_counter_cannot_be_restarted(tmp_path: Path, clock: ManualClock) -> None:
    exchange = _exchange(clock, _recording(tmp_path))
    client = SpyClient(exchange)
    client.subscribe(TOPIC)
    exchange.advance(limit=100)
    exchange.plan("linear", "BTCUSDT", Mishap.SKIP)
    client.take()
    pass_time(exchange, clock, 2.2)
    assert _data(client) == [_payload(LINES[4])]
    exchange.repeat_update("linear", "BTCUSDT")
    assert _data(client) == [_payload(LINES[4])]
    exchange.resend_snapshot("linear", "BTCUSDT", restart=False)
    assert client.take_data()[0]["data"]["u"] == 9
    with pytest.raises(FeederError, match="update ids are recorded"):
        exchange.resend_snapshot("linear", "BTCUSDT", restart=True)


def test_bodies_that_are_no_books_pass_through(tmp_path: Path, clock: ManualClock) -> None:
    ticker = f'{NS} {{"topic":"tickers.BTCUSDT","type":"snapshot","data":{{"symbol":"BTCUSDT"}},"cs":1}}'
    exchange = _exchange(clock, _recording(tmp_path, [ticker]))
    client = SpyClient(exchange)
    client.subscribe("tickers.BTCUSDT")
    exchange.advance(limit=10)
    assert _data(client) == [_payload(ticker)]


@pytest.mark.parametrize(
    ("category", "name"),
    [
        ("linear", "linear-8-symbols-30s.jsonl.gz"),
        ("spot", "spot-testnet-25s.jsonl"),
        ("spot", "spot-mainnet-btcusdt.jsonl"),
    ],
)
def test_recordings_of_the_real_exchange_replay_and_our_books_follow(
    category: str, name: str, clock: ManualClock
) -> None:
    folder = os.environ.get("FEEDER_RECORDINGS")
    if not folder:
        pytest.skip("FEEDER_RECORDINGS names no folder of recordings")
    recording = Recording.load(category, Path(folder) / name)
    exchange = _exchange(clock, recording, speed=None)
    client = SpyClient(exchange, category)
    client.subscribe(*recording.topics)
    while exchange.next_due() is not None:
        exchange.advance(limit=100)
    assert _data(client) == [message.payload for message in recording.messages()]
    books: dict[str, NaiveBook] = {}
    for message in recording.messages():
        if message.topic.startswith("orderbook.50."):
            books.setdefault(message.topic, NaiveBook()).apply(message.body)
    for topic, book in books.items():
        state = exchange.source.book(category, topic.split(".")[2], 50)
        assert state is not None
        assert state.book.u == book.u
        bids, asks = book.sides()
        levels = [state.book.levels[key] for key in sorted(state.book.levels)]
        assert [state.scale.size(size) for size in levels] == [size for _, size in bids + asks]
