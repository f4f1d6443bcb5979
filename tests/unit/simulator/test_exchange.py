import json

import pytest

from feeder.clock import ManualClock
from feeder.errors import FeederError
from feeder.simulator.exchange import Exchange
from feeder.simulator.faults import Mishap
from feeder.simulator.seeded import SeededSource
from feeder.simulator.universe import new_listing, universe
from tests.unit.simulator.clients import NaiveBook, SpyClient, pass_time

BOOK = "orderbook.50.BTCUSDT"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def exchange(clock: ManualClock) -> Exchange:
    return Exchange(SeededSource(universe(["linear", "spot"], 8), 1, 200, clock), 1, clock)


def test_first_data_come_sometimes_before_the_ack_and_never_after_their_deltas(
    exchange: Exchange, clock: ManualClock
) -> None:
    ack_first = data_first = 0
    for _ in range(60):
        client = SpyClient(exchange)
        client.subscribe(BOOK, "orderbook.50.ETHUSDT")
        messages = client.take()
        places = [index for index, message in enumerate(messages) if "success" in message]
        assert len(places) == 1
        assert [message["type"] for message in messages if "topic" in message][:2] == ["snapshot", "snapshot"]
        ack_first += places == [0]
        data_first += places != [0]
        exchange.disconnect(client.client)
        pass_time(exchange, clock, 0.02)
    assert ack_first > 10
    assert data_first > 10


def test_a_category_hears_only_its_own(exchange: Exchange, clock: ManualClock) -> None:
    linear, spot = SpyClient(exchange, "linear"), SpyClient(exchange, "spot")
    linear.subscribe(BOOK)
    spot.subscribe(BOOK)
    pass_time(exchange, clock, 2)
    assert {
        len(message["data"]["b"][0][0].split(".")[1]) for message in linear.take_data() if message["data"]["b"]
    } == {2}
    assert all(list(message)[1] == "ts" for message in spot.take_data())


def test_one_client_leaving_does_not_disturb_another(exchange: Exchange, clock: ManualClock) -> None:
    stays, leaves = SpyClient(exchange), SpyClient(exchange)
    for client in (stays, leaves):
        client.subscribe(BOOK)
    exchange.disconnect(leaves.client)
    exchange.disconnect(leaves.client)
    leaves.take()
    book = NaiveBook()
    pass_time(exchange, clock, 2)
    for message in stays.take_data():
        book.apply(message)
    assert leaves.received == []


def test_a_message_is_rendered_once_for_all(exchange: Exchange, clock: ManualClock) -> None:
    clients = [SpyClient(exchange) for _ in range(3)]
    for client in clients:
        client.subscribe(BOOK)
        client.take()
    pass_time(exchange, clock, 1)
    assert len(clients[0].received) > 10
    for shared in zip(*(client.received for client in clients), strict=True):
        assert shared[0] is shared[1] is shared[2]


def test_a_skipped_update_is_a_gap_in_each_subscribed_depth(exchange: Exchange, clock: ManualClock) -> None:
    client = SpyClient(exchange)
    client.subscribe(BOOK, "orderbook.200.BTCUSDT", "orderbook.50.ETHUSDT")
    client.take()
    exchange.plan("linear", "BTCUSDT", Mishap.SKIP)
    pass_time(exchange, clock, 3)
    gaps: dict[str, int] = {}
    last: dict[str, int] = {}
    snapshots = {state.symbol + str(state.book.depth): state.book.held() for state in exchange.subscribed_books()}
    for message in client.take_data():
        topic, u = message["topic"], message["data"]["u"]
        _, depth, symbol = topic.split(".")
        held = snapshots[symbol + depth]
        assert held is not None
        gaps[topic] = gaps.get(topic, 0) + (u - last.get(topic, held[0]) - 1)
        last[topic] = u
    assert gaps == {BOOK: 1, "orderbook.200.BTCUSDT": 1, "orderbook.50.ETHUSDT": 0}


def test_a_repeated_update_is_the_same_bytes_again(exchange: Exchange, clock: ManualClock) -> None:
    client = SpyClient(exchange)
    client.subscribe(BOOK)
    pass_time(exchange, clock, 1)
    last = [text for text in client.received if b'"topic"' in text][-1]
    client.received.clear()
    exchange.repeat_update("linear", "BTCUSDT")
    assert client.received == [last]


def test_a_snapshot_in_mid_stream_is_the_book_at_its_u(exchange: Exchange, clock: ManualClock) -> None:
    client = SpyClient(exchange)
    client.subscribe(BOOK)
    book = NaiveBook()
    pass_time(exchange, clock, 1)
    for message in client.take_data():
        book.apply(message)
    exchange.resend_snapshot("linear", "BTCUSDT", restart=False)
    (message,) = client.take_data()
    assert (message["type"], message["data"]["u"]) == ("snapshot", book.u)
    assert (message["data"]["b"], message["data"]["a"]) == book.sides()


def test_a_restart_begins_the_update_ids_at_one_and_they_go_on(exchange: Exchange, clock: ManualClock) -> None:
    client = SpyClient(exchange)
    client.subscribe(BOOK)
    pass_time(exchange, clock, 1)
    before = client.take_data()[-1]["data"]["u"]
    exchange.resend_snapshot("linear", "BTCUSDT", restart=True)
    book = NaiveBook()
    pass_time(exchange, clock, 1)
    messages = client.take_data()
    assert messages[0]["data"]["u"] == 1
    for message in messages:
        book.apply(message)
    assert book.u == len(messages)
    state = exchange.source.book("linear", "BTCUSDT", 50)
    assert state is not None
    assert state.book.at(before) is not None


def test_a_refusal_happens_as_often_as_scripted(exchange: Exchange) -> None:
    exchange.faults.refuse("linear", BOOK, 2)
    client = SpyClient(exchange)
    successes = []
    for _ in range(3):
        client.subscribe(BOOK)
        successes.append(next(message["success"] for message in client.take() if "success" in message))
    assert successes == [False, False, True]


def test_faults_of_a_symbol_nobody_subscribed_to_do_nothing(exchange: Exchange) -> None:
    exchange.plan("linear", "BTCUSDT", Mishap.SKIP)
    exchange.repeat_update("linear", "NOPE")
    exchange.resend_snapshot("spot", "BTCUSDT", restart=True)
    client = SpyClient(exchange)
    client.subscribe(BOOK)
    assert json.loads(client.received[-1])


def test_a_bad_request_leaves_the_stream_alone(exchange: Exchange, clock: ManualClock) -> None:
    client = SpyClient(exchange)
    client.subscribe(BOOK)
    client.ask("{rubbish")
    client.subscribe(BOOK)
    book = NaiveBook()
    pass_time(exchange, clock, 1)
    for message in client.take_data():
        book.apply(message)


def test_subscribed_books_are_those_somebody_listens_to(exchange: Exchange) -> None:
    client = SpyClient(exchange)
    client.subscribe(BOOK, "publicTrade.BTCUSDT", "orderbook.1.ETHUSDT")
    client.unsubscribe("orderbook.1.ETHUSDT")
    assert [(state.symbol, state.book.depth) for state in exchange.subscribed_books()] == [("BTCUSDT", 50)]


def test_a_new_symbol_can_be_subscribed_from_its_listing_on(exchange: Exchange, clock: ManualClock) -> None:
    topics = ("orderbook.50.NEWUSDT", "publicTrade.NEWUSDT")
    client = SpyClient(exchange)
    client.subscribe(*topics)
    assert not client.take()[0]["success"]
    exchange.enlist(new_listing("linear", "NEWUSDT", "0.01", "0.1", "25"))
    client.subscribe(*topics)
    pass_time(exchange, clock, 5)
    book, messages = NaiveBook(), client.take_data()
    for message in messages:
        if message["topic"] == topics[0]:
            book.apply(message)
    assert book.u > 10
    assert 20 < float(book.sides()[0][0][0]) < 30
    assert any(message["topic"] == topics[1] for message in messages)
    with pytest.raises(FeederError, match="linear NEWUSDT is listed here already"):
        exchange.enlist(new_listing("linear", "NEWUSDT", "0.01", "0.1", "25"))


def test_a_symbol_listed_again_is_as_it_was(exchange: Exchange, clock: ManualClock) -> None:
    client = SpyClient(exchange)
    exchange.delist("linear", "BTCUSDT", "gone")
    client.subscribe(BOOK)
    assert not client.take()[0]["success"]
    exchange.enlist(new_listing("linear", "BTCUSDT", "1", "1", "100"))
    client.subscribe(BOOK)
    pass_time(exchange, clock, 1)
    book = NaiveBook()
    for message in client.take_data():
        book.apply(message)
    assert float(book.sides()[0][0][0]) > 10_000


def test_trades_of_a_new_option_come_to_those_who_follow_its_coin(clock: ManualClock) -> None:
    exchange = Exchange(SeededSource(universe(["option"], 2), 1, 80, clock), 1, clock)
    client = SpyClient(exchange, "option")
    client.subscribe("publicTrade.BTC")
    exchange.enlist(new_listing("option", "BTC-25DEC27-90000-P", "5", "0.01", "2000"))
    pass_time(exchange, clock, 20)
    traded = {trade["s"] for message in client.take_data() for trade in message["data"]}
    assert "BTC-25DEC27-90000-P" in traded


@pytest.mark.parametrize(
    ("category", "symbol", "coins"),
    [
        ("linear", "NEWUSDT", ("NEW", "USDT", "USDT")),
        ("linear", "NEWPERP", ("NEW", "USDC", "USDC")),
        ("inverse", "NEWUSD", ("NEW", "USD", "NEW")),
        ("spot", "NEWBTC", ("NEW", "BTC", "")),
        ("option", "NEW-25DEC27-90000-P", ("NEW", "USDC", "USDC")),
    ],
)
def test_coins_of_a_new_symbol_are_read_from_its_name(category: str, symbol: str, coins: tuple[str, ...]) -> None:
    listing = new_listing(category, symbol, "0.1", "0.1", "10")
    assert (listing.base, listing.quote, listing.settle) == coins
