"""A system's events: who asks is told, and whoever fails or hangs stops nobody."""

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from feeder.bybit.system import events
from feeder.bybit.system.events import EVENTS, ErrorOccurred, EventHub
from feeder.clock import ManualClock
from feeder.errors import FeederError, OverrunError
from feeder.log_limit import LINES, WINDOW


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(wall_ns=5_000_000)


@pytest.fixture
def hub(clock: ManualClock) -> EventHub:
    return EventHub(clock)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_functions_and_coroutine_functions_are_told_in_order(hub: EventHub) -> None:
    told: list[Any] = []

    async def later(value: int) -> None:
        told.append(("later", value))

    hub.on("ticker", lambda value: told.append(("at once", value)))
    hub.on("ticker", later)
    for number in range(3):
        hub.publish("ticker", number)
    assert told == [("at once", 0), ("at once", 1), ("at once", 2)]
    await turns()
    assert told[3:] == [("later", 0), ("later", 1), ("later", 2)]
    await hub.aclose()


@pytest.mark.parametrize(
    ("event", "same", "other"),
    [
        ("ticker", {"category": "linear", "symbol": "A"}, {"category": "spot", "symbol": "A"}),
        ("trade", {"category": "linear", "symbol": "A"}, {"category": "linear", "symbol": "B"}),
        ("book", {"category": "linear", "symbol": "A"}, {"category": "linear", "symbol": "B"}),
        ("order", {"order_id": "1", "symbol": "A"}, {"order_id": "2", "symbol": "A"}),
        (
            "position",
            {"category": "linear", "symbol": "A", "position_idx": 1},
            {"category": "linear", "symbol": "A", "position_idx": 2},
        ),
        ("wallet", {"account_type": "UNIFIED"}, {"account_type": "FUND"}),
    ],
)
async def test_the_newest_makes_up_for_those_before_it(
    hub: EventHub, event: str, same: dict[str, Any], other: dict[str, Any]
) -> None:
    newest = hub.latest(event)
    for number in range(3):
        hub.publish(event, SimpleNamespace(**same, number=number))
    hub.publish(event, SimpleNamespace(**other, number=9))
    newest.close()
    assert [each.number async for each in newest] == [2, 9]


@pytest.mark.parametrize("event", ["fill", "error_occurred"])
def test_events_that_all_count_are_not_given_by_the_newest_alone(hub: EventHub, event: str) -> None:
    with pytest.raises(
        FeederError, match=rf"{event}: every one counts, not the newest alone; use events\(\) or on\(\)"
    ):
        hub.latest(event)


async def test_who_has_had_enough_is_told_no_more(hub: EventHub) -> None:
    told: list[int] = []
    end = hub.on("fill", told.append)
    hub.publish("fill", 1)
    end()
    hub.publish("fill", 2)
    assert told == [1]


@pytest.mark.parametrize(("name", "hint"), [("tickers", "did you mean ticker? "), ("weather", "")])
def test_an_event_that_there_is_not_is_refused_with_the_list(hub: EventHub, name: str, hint: str) -> None:
    with pytest.raises(FeederError) as caught:
        hub.on(name, print)
    assert str(caught.value) == f"{name!r}: no such event; {hint}there are {', '.join(EVENTS)}"
    with pytest.raises(FeederError, match="no such event"):
        hub.events(name)


def test_a_coroutine_function_without_an_event_loop_is_refused_in_words(hub: EventHub) -> None:
    async def later(_: object) -> None: ...

    with pytest.raises(FeederError, match=r"fill: a coroutine function needs a running event loop; call on\(\) within"):
        hub.on("fill", later)
    hub.on("fill", print)

    class Strategy:
        async def __call__(self, _: object) -> None: ...

    with pytest.raises(FeederError, match="fill: a coroutine function needs a running event loop"):
        hub.on("fill", Strategy())


async def test_a_callback_that_raises_is_told_of_and_stops_nobody(hub: EventHub) -> None:
    errors: list[ErrorOccurred] = []
    told: list[int] = []

    def fails(value: int) -> None:
        raise ValueError(f"no {value}")

    async def fails_later(value: int) -> None:
        raise KeyError(value)

    hub.on("error_occurred", errors.append)
    hub.on("book", fails)
    hub.on("book", fails_later)
    hub.on("book", told.append)
    hub.publish("book", 1)
    hub.publish("book", 2)
    await turns()
    assert told == [1, 2]
    assert [str(error) for error in errors] == [
        "callback of book: ValueError: no 1",
        "callback of book: ValueError: no 2",
        "callback of book: KeyError: 1",
        "callback of book: KeyError: 2",
    ]
    assert errors[0].time_ms == 5
    await hub.aclose()


async def test_a_callback_of_errors_that_raises_makes_no_further_error(
    hub: EventHub, caplog: pytest.LogCaptureFixture
) -> None:
    calls = 0

    def fails(_: object) -> None:
        nonlocal calls
        calls += 1
        raise ValueError("again")

    async def fails_later(occurred: object) -> None:
        fails(occurred)

    hub.on("error_occurred", fails)
    hub.on("error_occurred", fails_later)
    hub.report("market", FeederError("first"))
    await turns()
    assert calls == 2
    assert caplog.text.count("callback of error_occurred: ValueError: again") == 2
    await hub.aclose()


def test_an_error_that_nobody_asks_for_is_logged(hub: EventHub, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "feeder.bybit.system"):
        hub.report("market", FeederError("gone"))
    assert "market: FeederError: gone" in caplog.text


def test_the_log_shows_where_a_callback_failed_the_first_time(hub: EventHub, caplog: pytest.LogCaptureFixture) -> None:
    def fails(ticker: dict[str, int]) -> None:
        ticker["price"]

    hub.on("ticker", fails)
    with caplog.at_level(logging.WARNING, "feeder.bybit.system"):
        hub.publish("ticker", {})
        hub.publish("ticker", {})
    assert caplog.text.count('ticker["price"]') == 1
    assert caplog.text.count("fails of ticker)") == 2, "each names the callback"


@pytest.mark.parametrize(("listened", "left_out"), [(False, 4980), (True, 4981)])
async def test_a_callback_that_fails_at_every_ticker_does_not_fill_the_log(
    clock: ManualClock, hub: EventHub, caplog: pytest.LogCaptureFixture, listened: bool, left_out: int
) -> None:
    def fails(number: object) -> None:
        raise ValueError("mine")

    hub.on("ticker", fails)
    if listened:
        hub.on("error_occurred", fails)
    for _ in range(5000):
        hub.publish("ticker", None)
    assert len(caplog.records) == LINES
    hub.report("market", FeederError("and this is said"))
    assert caplog.text.count("and this is said") == (not listened)
    clock.advance(WINDOW + 1)
    hub.publish("ticker", None)
    assert f"{left_out} more lines like those before were left out" in caplog.text
    for _ in range(LINES):
        hub.publish("ticker", None)
    await hub.aclose()
    assert ": 1 more lines like those before were left out" in caplog.text


async def test_at_the_end_coroutines_get_what_waits_for_them(hub: EventHub) -> None:
    told: list[int] = []

    async def slowly(value: int) -> None:
        await turns(3)
        told.append(value)

    hub.on("order", slowly)
    for number in range(4):
        hub.publish("order", number)
    await hub.aclose()
    assert told == [0, 1, 2, 3]


async def test_a_callback_that_hangs_is_cancelled_at_the_end(
    hub: EventHub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(events, "_CLOSE_SECONDS", 0.01)
    cancelled = asyncio.Event()

    async def hangs(_: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    hub.on("order", hangs)
    hub.publish("order", 1)
    await turns()
    await hub.aclose()
    assert cancelled.is_set()
    assert "callbacks still ran after 0.01 s, and were cancelled" in caplog.text


async def test_iterators_end_with_the_system_and_tell_what_was_lost(hub: EventHub) -> None:
    iterator = hub.events("trade", capacity=2)
    for number in range(3):
        hub.publish("trade", number)
    await hub.aclose()
    with pytest.raises(OverrunError, match="1 events lost"):
        await anext(iterator)
    assert [each async for each in iterator] == [1, 2]
