"""What clients are sent while something is wrong, and that the simulator's own books stay true."""

import json
from typing import Any

import pytest

from feeder.clock import ManualClock
from feeder.simulator.exchange import Exchange
from feeder.simulator.faults import Mishap, OldTimes, spoiled
from feeder.simulator.seeded import SeededSource
from feeder.simulator.universe import universe
from tests.unit.simulator.clients import NaiveBook, SpyClient, pass_time

BOOK = "orderbook.50.BTCUSDT"
TRADES = "publicTrade.BTCUSDT"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def exchange(clock: ManualClock) -> Exchange:
    return Exchange(SeededSource(universe(["linear", "spot"], 8), 1, 200, clock), 1, clock)


def _deltas(client: SpyClient) -> list[dict[str, Any]]:
    return [message for message in client.take_data(BOOK) if message["type"] == "delta"]


def _truth(exchange: Exchange, u: int) -> tuple[list[list[str]], list[list[str]]]:
    state = exchange.source.book("linear", "BTCUSDT", 50)
    assert state is not None
    held = state.book.at(u)
    assert held is not None
    return state.sides(held[0])


def test_two_deltas_change_places_and_the_stream_goes_on(exchange: Exchange, clock: ManualClock) -> None:
    client = SpyClient(exchange)
    client.subscribe(BOOK)
    (first,) = client.take_data()
    assert exchange.plan("linear", "BTCUSDT", Mishap.SWAP) == [BOOK]
    pass_time(exchange, clock, 1)
    begin = first["data"]["u"]
    ids = [message["data"]["u"] for message in _deltas(client)]
    assert ids[:4] == [begin + 2, begin + 1, begin + 3, begin + 4]


@pytest.mark.parametrize("restart", [True, False, None])
def test_an_update_held_back_for_the_next_is_not_sent_behind_a_snapshot(
    exchange: Exchange, clock: ManualClock, restart: bool | None
) -> None:
    first = SpyClient(exchange)
    first.subscribe(BOOK)
    first.take_data()
    state = exchange.source.book("linear", "BTCUSDT", 50)
    assert state is not None
    before = state.book.u
    exchange.plan("linear", "BTCUSDT", Mishap.SWAP)
    while state.book.u == before:
        pass_time(exchange, clock, 0.005)
    assert first.take_data() == []  # it is held
    client = first
    if restart is None:
        exchange.disconnect(first.client)
        client = SpyClient(exchange)
        client.subscribe(BOOK)
    else:
        exchange.resend_snapshot("linear", "BTCUSDT", restart=restart)
    pass_time(exchange, clock, 1)
    book = NaiveBook()
    for message in client.take_data():
        book.apply(message)  # asserts that no update is missing
    assert book.u > 1


@pytest.mark.parametrize(
    ("bids", "asks", "expected"),
    [
        ([["1", "2"]], [["3", "4"]], ([["NaN", "2"]], [["3", "4"]])),
        ([], [["3", "4"]], ([], [["NaN", "4"]])),
        ([], [], ([["NaN", "1"]], [])),
    ],
)
def test_any_delta_can_be_spoiled(bids: Any, asks: Any, expected: Any) -> None:
    data = json.loads(spoiled(json.dumps({"data": {"b": bids, "a": asks}}).encode()))["data"]
    assert (data["b"], data["a"]) == expected


def test_faults_of_one_topic_happen_one_after_the_other(exchange: Exchange, clock: ManualClock) -> None:
    client = SpyClient(exchange)
    client.subscribe(BOOK)
    (first,) = client.take_data()
    for mishap in (Mishap.SKIP, Mishap.SPOIL):
        exchange.plan("linear", "BTCUSDT", mishap)
    pass_time(exchange, clock, 1)
    bad, well = _deltas(client)[:2]
    assert bad["data"]["u"] == first["data"]["u"] + 2
    assert (bad["data"]["b"] or bad["data"]["a"])[0][0] == "NaN"
    assert "NaN" not in json.dumps(well)


def test_a_crossed_book_goes_out_while_our_own_is_not_crossed(exchange: Exchange, clock: ManualClock) -> None:
    client = SpyClient(exchange)
    client.subscribe(BOOK)
    book = NaiveBook()
    (first,) = client.take_data()
    book.apply(first)
    exchange.plan("linear", "BTCUSDT", Mishap.CROSS)
    pass_time(exchange, clock, 1)
    book.apply(_deltas(client)[0])
    assert book.is_crossed()
    bids, asks = _truth(exchange, book.u)
    assert float(bids[0][0]) < float(asks[0][0]) == float(book.sides()[0][0][0])


def test_old_times_are_those_of_all_messages_for_a_while(exchange: Exchange, clock: ManualClock) -> None:
    client, spot = SpyClient(exchange), SpyClient(exchange, "spot")
    exchange.age_times("linear", OldTimes(clock.monotonic() + 5, age_ms=60_000))
    client.subscribe(BOOK, TRADES)
    spot.subscribe(BOOK)
    pass_time(exchange, clock, 4.9)
    old = client.take_data()
    times = [message["ts"] for message in old] + [message["cts"] for message in old if "cts" in message]
    times += [row["T"] for message in old if message["topic"] == TRADES for row in message["data"]]
    assert {message["topic"] for message in old} == {BOOK, TRADES}
    begun = clock.wall_ns() // 1_000_000 - 4_900
    assert all(begun - 60_100 <= time <= begun - 60_000 + 4_900 for time in times)
    assert all(begun - 100 <= message["ts"] for message in spot.take_data())
    pass_time(exchange, clock, 1)
    assert client.take_data()[-1]["ts"] > begun + 4_900


def test_times_that_are_stuck_stand_still_while_updates_go_on(exchange: Exchange, clock: ManualClock) -> None:
    client = SpyClient(exchange)
    client.subscribe(BOOK)
    client.take()
    stuck_ms = clock.wall_ns() // 1_000_000
    exchange.age_times("linear", OldTimes(clock.monotonic() + 5, stuck_ms=stuck_ms))
    pass_time(exchange, clock, 3)
    messages = client.take_data()
    assert len({message["data"]["u"] for message in messages}) == len(messages) > 50
    assert {(message["ts"], message["cts"]) for message in messages} == {(stuck_ms, stuck_ms)}


def test_a_delisted_symbol_falls_silent_and_cannot_be_subscribed_again(exchange: Exchange, clock: ManualClock) -> None:
    client = SpyClient(exchange)
    client.subscribe(BOOK, TRADES, "orderbook.50.ETHUSDT")
    client.take()
    assert exchange.delist("linear", "BTCUSDT", "Closed") == [BOOK]
    exchange.resend_snapshot("linear", "BTCUSDT", restart=False)
    pass_time(exchange, clock, 3)
    assert {message["topic"] for message in client.take_data()} == {"orderbook.50.ETHUSDT"}
    client.unsubscribe(BOOK)
    client.take()
    for topic in (BOOK, TRADES, "orderbook.200.BTCUSDT"):
        client.subscribe(topic)
        (answer,) = (message for message in client.take() if "success" in message)
        assert answer["success"] is False


def test_a_spot_symbol_is_not_delisted_by_the_linear_one_of_its_name(exchange: Exchange) -> None:
    exchange.delist("linear", "BTCUSDT", "Closed")
    spot = SpyClient(exchange, "spot")
    spot.subscribe(BOOK)
    assert spot.take_data()


@pytest.mark.parametrize(("tick", "step", "digits"), [("0.001", None, 3), ("0.01", "0.0000001", 2)])
@pytest.mark.parametrize("category", ["linear", "spot"])
def test_after_a_tick_change_the_book_restarts_the_same_and_moves_in_finer_steps(
    exchange: Exchange, clock: ManualClock, category: str, tick: str, step: str | None, digits: int
) -> None:
    client = SpyClient(exchange, category)
    client.subscribe(BOOK)
    pass_time(exchange, clock, 1)
    before = NaiveBook()
    for message in client.take_data():
        before.apply(message)
    listing = exchange.source.listings(category)[0]
    exchange.source.change_tick(category, "BTCUSDT", tick, step or listing.step)
    exchange.resend_snapshot(category, "BTCUSDT", restart=True)
    (snapshot,) = client.take_data()
    assert (snapshot["type"], snapshot["data"]["u"]) == ("snapshot", 1)
    after = NaiveBook()
    after.apply(snapshot)
    assert [[[float(text) for text in level] for level in side] for side in after.sides()] == [
        [[float(text) for text in level] for level in side] for side in before.sides()
    ]
    pass_time(exchange, clock, 5)
    for message in client.take_data():
        after.apply(message)
        assert not after.is_crossed()
    state = exchange.source.book(category, "BTCUSDT", 50)
    assert state is not None
    assert state.sides(state.book.levels) == after.sides()
    old = state.book.at(before.u)
    assert old is not None
    assert float(state.sides(old[0])[0][0][0]) == float(before.sides()[0][0][0])
    told = exchange.source.listings(category)[0]
    assert (told.tick, told.step) == (tick, step or listing.step)
    texts = [level[0] for side in after.sides() for level in side]
    assert max(len(text.partition(".")[2]) for text in texts) == digits


def test_a_surge_moves_everything_faster_for_a_while(exchange: Exchange, clock: ManualClock) -> None:
    client = SpyClient(exchange)
    client.subscribe("orderbook.50.SOLUSDT")
    counts = []
    for times in (1.0, 4.0, 1.0):
        exchange.source.surge(times, clock.monotonic() + 10)
        client.take()
        pass_time(exchange, clock, 10)
        counts.append(len(client.take_data()))
    assert counts[1] > 2 * max(counts[0], counts[2])
