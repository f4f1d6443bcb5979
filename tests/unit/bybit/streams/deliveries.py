"""What the streams make of a message as it came, and whether it is all that the message says."""

import json
from datetime import datetime
from typing import Any

from feeder.bybit.rest.client import BybitClient
from feeder.bybit.rest.pool import SessionPool
from feeder.bybit.streams.channel import Channel
from feeder.bybit.streams.messages import decode_envelope
from feeder.bybit.streams.private import PrivateStream
from feeder.bybit.streams.public import PublicStream
from feeder.clock import ManualClock
from tests.helpers.secrets import API_KEY, API_SECRET
from tests.unit.bybit.rest.recorder import assert_same

# REST's names, by which the streams' tickers of options are known as well.
_OF_OPTIONS = {
    "bidPrice": "bid1Price",
    "bidSize": "bid1Size",
    "bidIv": "bid1Iv",
    "askPrice": "ask1Price",
    "askSize": "ask1Size",
    "askIv": "ask1Iv",
    "markPriceIv": "markIv",
}


class Listener:
    """A stream that is given messages by hand, with all that its channels told."""

    def __init__(self, stream: PrivateStream | PublicStream) -> None:
        self.told: list[Any] = []
        self._stream = stream
        for channel in vars(stream).values():
            if isinstance(channel, Channel):
                channel.on(self.told.append)

    def take(self, text: bytes) -> list[Any]:
        """The events of one message."""
        self.told.clear()
        self._stream.deliver(decode_envelope(text), 0)
        return list(self.told)


def private_listener() -> Listener:
    """An account's own stream."""
    client = BybitClient(API_KEY, API_SECRET, pool=SessionPool(clock=ManualClock()))
    return Listener(PrivateStream(client, topics=[]))


def public_listener(category: str) -> Listener:
    """The market's stream of a category."""
    return Listener(PublicStream(category))


def assert_complete(events: list[Any], text: bytes, seen: set[tuple[type, str]]) -> None:
    """Each row of the message is an event of a Struct that has every field of the row with its value."""
    rows = json.loads(text)["data"]
    rows = rows if isinstance(rows, list) else [rows]
    assert len(events) == len(rows)
    for event, row in zip(events, rows, strict=True):
        named = {_OF_OPTIONS.get(name, name): value for name, value in row.items()}
        if "deliveryTime" in named:  # of dated futures it is a text here, and ms as everywhere in the Struct
            named["deliveryTime"] = str(round(datetime.fromisoformat(named["deliveryTime"]).timestamp() * 1000))
        assert_same(event, named, "row", seen)
