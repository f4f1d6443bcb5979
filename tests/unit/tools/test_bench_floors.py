import json
from dataclasses import asdict

import pytest
from bench_floors import payloads
from bench_market import Shape


@pytest.mark.parametrize("levels", [3, 10])  # the header of a message of 379 bytes ends in a brace itself
def test_the_decode_floor_is_of_whole_messages_each_another(levels: int) -> None:
    made = payloads(json.dumps(asdict(Shape(2_000, levels=levels))))
    assert len(made) == len(set(made)) == 200_000
    assert all(payload.startswith(b'{"topic":"orderbook.50.') for payload in made)
    message = json.loads(made[-1])
    assert message["type"] == "delta"
    assert len(message["data"]["b"]) + len(message["data"]["a"]) == levels
