"""One canonical payload per message type and category; the recordings, when they are there."""

import gzip
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from feeder.bybit.messages import DECODE_ERRORS, BookData, decode, decode_command_response, find_topic
from feeder.bybit.normalize import Scale, book_update, trade_update
from feeder.bybit.topics import BookTopic, TradeTopic, parse_topic

from .support import DATA, payload

CATEGORIES = ("spot", "linear", "inverse", "option")


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("kind", ["snapshot", "delta"])
def test_book_message_of_every_category_whatever_its_key_order(category: str, kind: str) -> None:
    message = decode(payload(f"{category}-orderbook-{kind}"))
    assert isinstance(message.data, BookData)
    assert message.type == kind
    assert message.topic.startswith("orderbook.")
    assert message.cts == message.ts - 4
    assert message.data.seq > 0
    assert all(len(level) == 2 for level in [*message.data.b, *message.data.a])


def test_level_one_book_and_an_old_capture_without_seq_and_cts() -> None:
    assert decode(payload("linear-orderbook-1-snapshot")).type == "snapshot"
    old = decode(payload("option-orderbook-old-capture"))
    assert isinstance(old.data, BookData)
    assert (old.data.seq, old.cts) == (0, 0)


@pytest.mark.parametrize("category", CATEGORIES)
def test_trade_message_of_every_category(category: str) -> None:
    message = decode(payload(f"{category}-trade"))
    assert isinstance(message.data, list)
    assert {trade.S for trade in message.data} <= {"Buy", "Sell"}
    assert all(trade.seq > 0 for trade in message.data)


@pytest.mark.parametrize("category", CATEGORIES)
def test_pong_of_every_category_in_both_shapes(category: str) -> None:
    assert decode(payload(f"{category}-pong")).is_pong


@pytest.mark.parametrize("name", ["spot-ack", "spot-ack-without-req-id", "linear-ack", "inverse-ack-unsubscribe"])
def test_ack_is_a_successful_response_and_no_pong(name: str) -> None:
    message = decode(payload(name))
    assert message.is_response
    assert message.success
    assert not message.is_pong


@pytest.mark.parametrize("name", [path.stem for path in sorted(DATA.glob("*-failure-*.json"))])
def test_failure_is_an_unsuccessful_response_and_no_pong(name: str) -> None:
    message = decode(payload(name))
    assert message.is_response
    assert message.success is False
    assert not message.is_pong


def test_option_command_response_tells_a_verdict_per_topic() -> None:
    with pytest.raises(DECODE_ERRORS):
        decode(payload("option-ack"))
    response = decode_command_response(payload("option-ack-failed"))
    assert response.data.failTopics == ["orderbook.25.BTC-NOSUCH"]
    assert response.data.successTopics == ["publicTrade.BTC"]


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"nonsense",
        b"\xff\xfe",
        b'{"topic":"\xff"}',
        b"[1,2]",
        b'{"data":{"x":' + b"[" * 100_000,
        b'{"topic":"orderbook.50.X","type":"delta","ts":1,"data":{"b":[],"a":[]}}',  # no update id
        b'{"topic":"orderbook.50.X","type":"delta","ts":1,"data":{"b":[["1"]],"a":[],"u":1}}',  # half a level
        b'{"topic":"orderbook.50.X","type":"delta","ts":1,"data":{"b":[["1","2","3"]],"a":[],"u":1}}',
        b'{"topic":"orderbook.50.X","type":"delta","ts":1,"data":{"b":[[1,2]],"a":[],"u":1}}',  # numbers, not texts
        b'{"topic":"orderbook.50.X","type":"delta","ts":1,"data":{"b":[],"a":[],"u":-1}}',
        b'{"topic":"orderbook.50.X","type":"delta","ts":1,"data":{"b":[],"a":[],"u":9223372036854775808}}',
        b'{"topic":"orderbook.50.X","type":"delta","ts":99999999999999999,"data":{"b":[],"a":[],"u":1}}',
    ],
)
def test_hostile_bytes_raise_what_is_expected_and_nothing_else(hostile: bytes) -> None:
    with pytest.raises(DECODE_ERRORS):
        decode(hostile)


def test_topic_is_found_in_a_broken_message() -> None:
    assert find_topic(b'{"id":"x","topic" : "orderbook.50.BTCUSDT","ts":') == "orderbook.50.BTCUSDT"
    assert find_topic(b'{"op":"pong"}') is None


def _recordings() -> Iterator[bytes]:
    folder = os.environ.get("FEEDER_RECORDINGS")
    if not folder:
        pytest.skip("FEEDER_RECORDINGS is not set")
    for pattern in ("single-messages.jsonl", "spot-*.jsonl", "linear-*.jsonl.gz"):
        paths = sorted(Path(folder).glob(pattern))
        assert paths, f"no {pattern} in {folder}"
        for path in paths:
            content = path.read_bytes()
            for line in (gzip.decompress(content) if path.suffix == ".gz" else content).splitlines():
                yield line[line.index(b"{") :]


def test_every_recorded_book_and_trade_message_is_understood() -> None:
    scale = Scale(-8, -8)
    books = trades = 0
    for line in _recordings():
        try:
            message = decode(line)
        except DECODE_ERRORS:
            topic = find_topic(line)
            assert topic is not None
            assert parse_topic(topic) is None, line[:200]
            continue
        match message.topic and parse_topic(message.topic):
            case BookTopic():
                assert isinstance(message.data, BookData)
                update = book_update(message, message.data, scale, 5, 7)
                assert update.snapshot == (message.type == "snapshot")
                assert len(update.bids) == 2 * len(message.data.b)
                assert update.update_id == message.data.u
                books += 1
            case TradeTopic():
                assert isinstance(message.data, list)
                assert [trade_update(trade, message.ts, scale, 5).trade_id for trade in message.data]
                trades += 1
            case _:
                assert message.is_response or message.is_pong
    assert books > 3_000
    assert trades > 60
