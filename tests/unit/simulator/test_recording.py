import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from feeder.errors import FeederError
from feeder.simulator.recording import Recording

NS = 1_700_000_000_000_000_000


def book(u: int = 1, bids: list[Any] | None = None, **more: Any) -> str:
    data = {"s": "BTCUSDT", "b": [["100.10", "1.5"]] if bids is None else bids, "a": [], "u": u, "seq": u * 10}
    message = {"topic": "orderbook.50.BTCUSDT", "type": "snapshot", "ts": 5, "data": data, "cts": 4}
    return json.dumps(message | more)


def _write(folder: Path, *lines: str) -> Path:
    path = folder / "recording.jsonl"
    path.write_text("\n".join(lines))
    return path


def test_times_are_those_of_the_lines_from_the_first_message_on(tmp_path: Path) -> None:
    path = _write(tmp_path, f"{NS} {book(1)}", f"{NS + 5} {book(2)}", f"{NS + 3} {book(3)}", f"{NS + 900} {book(4)}")
    messages = list(Recording.load("linear", path).messages())
    assert [message.offset_ns for message in messages] == [0, 5, 5, 900]
    assert [message.payload.decode() for message in messages] == [book(u) for u in (1, 2, 3, 4)]


def test_bare_lines_are_twenty_milliseconds_apart_and_control_lines_take_no_time(tmp_path: Path) -> None:
    ack = '{"success":true,"ret_msg":"subscribe","op":"subscribe"}'
    path = _write(tmp_path, ack, book(1), "", ack, book(2), '{"op":"pong","args":["1"]}', book(3), "")
    offsets = [message.offset_ns for message in Recording.load("spot", path).messages()]
    assert offsets == [0, 20_000_000, 40_000_000]


def test_a_gzip_file_reads_as_a_plain_one_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "recording"
    path.write_bytes(gzip.compress(f"{NS} {book(1)}\n".encode()))
    assert Recording.load("linear", path).topics == ["orderbook.50.BTCUSDT"]


def test_precision_is_the_finest_of_books_and_trades_in_the_whole_file(tmp_path: Path) -> None:
    trade = json.dumps(
        {
            "topic": "publicTrade.BTCUSDT",
            "type": "snapshot",
            "data": [{"s": "BTCUSDT", "p": "100.125", "v": "2"}, {"s": "BTCUSDT", "p": "7", "v": "0.00001"}],
        }
    )
    path = _write(tmp_path, book(1), trade, book(2, [["100", "3"]]))
    precision = Recording.load("linear", path).precisions["BTCUSDT"]
    assert (precision.price_digits, precision.size_digits) == (3, 5)


def test_other_topics_are_kept_as_they_are(tmp_path: Path) -> None:
    ticker = '{"topic":"tickers.BTCUSDT","type":"delta","data":{"symbol":"BTCUSDT"},"cs":1}'
    recording = Recording.load("linear", _write(tmp_path, ticker))
    assert recording.topics == ["tickers.BTCUSDT"]
    assert recording.precisions == {}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{not json", "not JSON"),
        ("[1,2]", "not a JSON object"),
        ("12ab " + book(), "not a receive time"),
        ('{"topic":5,"data":{}}', "topic is not a text"),
        (book(type="upsert"), "neither snapshot nor delta"),
        (book(data={"b": [], "u": 1}), "'a' is missing"),
        (book(data={"b": [], "a": []}), "'u' is missing"),
        (book(data={"b": [], "a": [], "u": "7"}), "whole numbers"),
        (book(data=[]), "orderbook.50.BTCUSDT"),
        (book(bids=[["100"]]), "orderbook.50.BTCUSDT"),
        (book(bids=[["-1", "1"]]), "not a plain decimal"),
        (book(bids=[["1e3", "1"]]), "not a plain decimal"),
        (book(bids=[[100.1, 1]]), "orderbook.50.BTCUSDT"),
        (book(bids=[["1", "123456789012345678.5"]]), "19 digits"),
    ],
)
def test_a_line_that_cannot_be_replayed_is_named(tmp_path: Path, line: str, reason: str) -> None:
    path = _write(tmp_path, book(1), "", line, book(2))
    with pytest.raises(FeederError) as caught:
        Recording.load("linear", path)
    assert f"{path}, line 3: " in str(caught.value)
    assert reason in str(caught.value)
    assert "remove or mend the line" in str(caught.value)


def test_a_truncated_gzip_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cut.gz"
    lines = "\n".join(book(u, [[f"{u}.5", "1"]]) for u in range(500))
    path.write_bytes(gzip.compress(lines.encode())[:-200])
    with pytest.raises(FeederError, match="gzip stream is damaged"):
        Recording.load("linear", path)


def test_a_file_that_is_not_there_or_empty_is_named(tmp_path: Path) -> None:
    with pytest.raises(FeederError, match="cannot be read: No such file"):
        Recording.load("linear", tmp_path / "absent")
    with pytest.raises(FeederError, match="cannot be read: Is a directory"):
        Recording.load("linear", tmp_path)
    with pytest.raises(FeederError, match="holds no message"):
        Recording.load("linear", _write(tmp_path, '{"success":true}'))
