"""Real private messages: every line decodes, and of no row a field is lost."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from feeder.bybit.messages import decode
from feeder.bybit.streams.messages import OrderUpdate, PositionUpdate, decode_envelope

from .deliveries import assert_complete, private_listener, public_listener


def _lines(name: str) -> list[bytes]:
    folder = os.environ.get("FEEDER_RECORDINGS")
    if not folder:
        pytest.skip("FEEDER_RECORDINGS names no folder of recordings")
    return (Path(folder) / name).read_bytes().splitlines()


@pytest.mark.parametrize(
    ("name", "kind", "messages"),
    [("private-order-stream.jsonl", OrderUpdate, 26), ("private-position-stream.jsonl", PositionUpdate, 15)],
)
def test_every_line_of_a_private_recording_decodes_completely(name: str, kind: type, messages: int) -> None:
    listener = private_listener()
    seen: set[tuple[type, str]] = set()
    kinds: Counter[type] = Counter()
    for line in _lines(name):
        envelope = decode_envelope(line)
        if not envelope.topic:
            answer = decode(line)
            assert answer.is_response
            assert answer.success
            continue
        events = listener.take(line)
        assert_complete(events, line, seen)
        kinds.update(map(type, events))
        assert {event.creation_time for event in events} == {json.loads(line)["creationTime"]}
    assert kinds == {kind: messages}
    assert {each for each, _ in seen} == {kind}


def test_every_recorded_ticker_and_liquidation_decodes_completely() -> None:
    listeners = {category: public_listener(category) for category in ("linear", "inverse", "option")}
    count = 0
    for line in _lines("single-messages.jsonl"):
        topic = json.loads(line)["topic"]
        if topic.startswith(("tickers.", "allLiquidation.")):
            symbol = topic.partition(".")[2]
            category = "option" if "-" in symbol else "linear" if symbol.endswith("USDT") else "inverse"
            events = listeners[category].take(line)
            # A delta is told whole: what the row says is in it.
            assert_complete(events, line, set())
            count += 1
    assert count == 8
