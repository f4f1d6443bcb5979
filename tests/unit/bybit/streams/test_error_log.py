"""What nobody takes from `errors` is logged so that it can be found, and does not fill the log."""

import logging
from functools import partial

import pytest

from feeder.bybit.rest.client import BybitClient
from feeder.bybit.rest.pool import SessionPool
from feeder.bybit.streams.channel import Channel
from feeder.bybit.streams.error_log import ErrorLog
from feeder.bybit.streams.order_entry import OrderEntry
from feeder.bybit.streams.public import PublicStream
from feeder.clock import ManualClock
from feeder.errors import StreamError
from tests.helpers.secrets import API_KEY, API_SECRET


def broken(event: dict[str, int]) -> None:
    event["price"]


def other(event: dict[str, int]) -> None:
    event["size"]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def log(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> ErrorLog:
    caplog.set_level(logging.WARNING)
    return ErrorLog(logging.getLogger("feeder.bybit.streams"), clock)


def test_the_traceback_of_a_callback_is_there_the_first_time(log: ErrorLog, caplog: pytest.LogCaptureFixture) -> None:
    channel: Channel[dict[str, int]] = Channel("orders", partial(log.warn, "private"))
    channel.on(broken)
    channel.publish({})
    channel.publish({})
    channel.on(other)
    channel.publish({})
    messages = [record.getMessage() for record in caplog.records]
    told = "private: KeyError: 'price' (in the callback broken of orders)"
    assert messages == [told, told, told, "private: KeyError: 'size' (in the callback other of orders)"]
    assert [record.exc_info is not None for record in caplog.records] == [True, False, False, True]
    assert caplog.text.count('event["price"]') == 1, "the line that raised it"


def test_an_error_of_the_streams_own_has_none(log: ErrorLog, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(StreamError) as raised:
        raise StreamError("private-1: odd")
    log.warn("private", raised.value)
    (record,) = caplog.records
    assert (record.getMessage(), record.exc_info) == ("private: StreamError: private-1: odd", None)


def test_repetitions_are_left_out_and_counted(
    log: ErrorLog, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(100):
        log.warn("private", StreamError("odd"))
    assert len(caplog.records) == 20
    clock.advance(10)
    log.warn("private", StreamError("odd"))
    assert [record.getMessage() for record in caplog.records[20:]] == [
        "private: 80 more lines like those before were left out",
        "private: StreamError: odd",
    ]


@pytest.mark.parametrize("name", ["linear", "order entry"])
async def test_a_stream_that_closes_tells_what_was_left_out(
    clock: ManualClock, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    stream: PublicStream | OrderEntry = PublicStream("linear", clock=clock)
    if name == "order entry":
        stream = OrderEntry(BybitClient(API_KEY, API_SECRET, pool=SessionPool(clock=clock)))
    for _ in range(21):
        stream.report(StreamError("odd"))
    await stream.aclose()
    assert caplog.records[-1].getMessage() == f"{name}: 1 more lines like those before were left out"
