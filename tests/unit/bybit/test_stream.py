"""What the listener makes of frames; real sockets are in tests/integration."""

import asyncio
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest
from picows import WSMsgType

from feeder.bybit import stream
from feeder.bybit.counters import Counters
from feeder.bybit.pacing import TokenBucket
from feeder.clock import ManualClock


@dataclass
class Frame:
    """As picows gives them: `last_in_buffer` ends a read."""

    last_in_buffer: bool
    msg_type: WSMsgType = WSMsgType.TEXT
    fin: bool = True

    def get_payload_as_bytes(self) -> bytes:
        return b"{}"

    def get_payload_as_memoryview(self) -> memoryview:
        return memoryview(b"{}")


class Reads:
    """A listener that is given frames a second apart, and the receive times of its messages, in seconds."""

    def __init__(self) -> None:
        self.clock = ManualClock(wall_ns=0)
        self.stamps: list[int] = []
        owner = SimpleNamespace(clock=self.clock)
        self.listener = stream._Listener(cast(Any, owner), self._on_payload)

    def _on_payload(self, payload: bytes, receive_time_ns: int) -> None:
        self.stamps.append(receive_time_ns // 1_000_000_000)

    def read(self, *frames: Frame) -> None:
        for frame in frames:
            self.clock.advance(1.0)
            self.listener.on_ws_frame(cast(Any, None), cast(Any, frame))


def test_all_messages_of_a_read_were_received_when_it_began():
    reads = Reads()
    reads.read(Frame(False), Frame(False), Frame(True))
    reads.read(Frame(True))
    assert reads.stamps == [1, 1, 1, 4]


@pytest.mark.parametrize(
    "last",
    [Frame(True, WSMsgType.PING), Frame(True, WSMsgType.PONG), Frame(True, WSMsgType.TEXT, fin=False)],
    ids=["ping", "pong", "fragment"],
)
def test_a_read_that_ends_with_no_message_ends_all_the_same(last: Frame):
    reads = Reads()
    reads.read(Frame(False), last)
    reads.read(Frame(False), Frame(True))
    assert reads.stamps == [1, 3, 3]


class Transport:
    """A connection that counts as open until it is told to end."""

    def __init__(self) -> None:
        self.is_disconnected = False

    def send_close(self, _code: object) -> None:
        pass

    def disconnect(self, graceful: bool = True) -> None:
        self.is_disconnected = True

    async def wait_disconnected(self) -> None:
        assert self.is_disconnected


async def test_a_handshake_that_ends_in_the_turn_in_which_it_is_cancelled_leaves_no_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    transport, begun = Transport(), asyncio.Event()

    async def connect(listener: Any, *_: object, **__: object) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            listener().on_ws_connected(transport)

    monkeypatch.setattr(stream, "ws_connect", connect)
    clock = ManualClock()
    link = SimpleNamespace(name="x", on_connected=list, on_payload=None, next_timer=lambda: None)
    subject: stream.Stream[Any] = stream.Stream(
        "ws://host",
        cast(Any, link),
        clock=clock,
        counters=Counters(),
        attempts=TokenBucket(1.0, 1.0, clock.monotonic()),
        ssl_context=None,
    )
    subject.start()
    await begun.wait()
    await subject.aclose()
    assert transport.is_disconnected
