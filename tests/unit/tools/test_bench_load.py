import json
from types import SimpleNamespace
from typing import Any

import pytest
from bench_load import Load, _Connection, rest
from bench_market import FIRST_UPDATE, GONE, Shape

SHAPE = Shape(symbols=6, seed=3)


class Transport:
    """What a connection writes to, read back as JSON, frame by frame."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.is_disconnected = False
        self.underlying_transport = SimpleNamespace(
            write=self.written.append, set_write_buffer_limits=lambda high: None, get_write_buffer_size=lambda: 0
        )

    def take(self) -> list[dict[str, Any]]:
        data, messages = b"".join(self.written), []
        self.written.clear()
        while data:
            assert data[0] == 0x81
            start, length = (2, data[1]) if data[1] < 126 else (4, int.from_bytes(data[2:4], "big"))
            messages.append(json.loads(data[start : start + length]))
            data = data[start + length :]
        return messages


@pytest.fixture(scope="module")
def rendered() -> Load:
    return Load(SHAPE)


@pytest.fixture
def load(rendered: Load) -> Load:
    """A venue whose time goes on from test to test, with nobody connected."""
    for connection in list(rendered.connections):
        connection.on_ws_disconnected(Transport())
    return rendered


def connected(load: Load) -> tuple[_Connection, Transport]:
    transport, connection = Transport(), _Connection(load)
    connection.on_ws_connected(transport)
    return connection, transport


def ask(connection: _Connection, **request: Any) -> None:
    connection._on_request(request)


def topics(load: Load) -> list[str]:
    return list(load.by_topic)


def test_a_subscription_is_acked_as_linear_does_and_begins_with_snapshots(load: Load) -> None:
    connection, transport = connected(load)
    ask(connection, op="subscribe", args=topics(load)[:2], req_id="7")
    ack, *snapshots = transport.take()
    assert ack == {"success": True, "ret_msg": "", "conn_id": ack["conn_id"], "req_id": "7", "op": "subscribe"}
    assert [(each["type"], each["topic"]) for each in snapshots] == [("snapshot", each) for each in topics(load)[:2]]


def test_one_unknown_topic_refuses_the_whole_request_by_name(load: Load) -> None:
    connection, transport = connected(load)
    ask(connection, op="subscribe", args=[topics(load)[0], "orderbook.50.NOPE"], req_id="1")
    (answer,) = transport.take()
    assert not answer["success"]
    assert answer["ret_msg"] == "error:handler not found,topic:orderbook.50.NOPE"
    load.emit(SHAPE.symbols)
    assert transport.take() == []


def test_a_ping_is_answered(load: Load) -> None:
    connection, transport = connected(load)
    ask(connection, op="ping", req_id="9")
    (pong,) = transport.take()
    assert (pong["ret_msg"], pong["op"], pong["req_id"], pong["success"]) == ("pong", "ping", "9", True)


def test_what_is_sent_makes_the_books_that_the_venue_says_it_has(load: Load) -> None:
    connection, transport = connected(load)
    ask(connection, op="subscribe", args=topics(load))
    for count in (1, 4, 7, 100, 3, 1000, 2):  # rounds that end anywhere
        load.emit(count)
    books: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
    updates: dict[str, int] = {}
    for message in transport.take()[1:]:
        data = message["data"]
        if message["type"] == "snapshot":
            books[data["s"]] = dict(data["b"]), dict(data["a"])
        else:
            assert data["u"] == updates[data["s"]] + 1
            for side, changes in zip(books[data["s"]], (data["b"], data["a"]), strict=True):
                for price, size in changes:
                    side.pop(price, None)
                    if size != GONE:
                        side[price] = size
        updates[data["s"]] = data["u"]
    assert updates == load.finals()
    assert min(updates.values()) > FIRST_UPDATE + 100
    for symbol, (bids, asks) in load.books().items():
        assert books[symbol] == (dict(bids), dict(asks))


def test_who_subscribes_in_the_middle_of_a_round_misses_nothing(load: Load) -> None:
    load.emit(SHAPE.symbols // 2)
    connection, transport = connected(load)
    ask(connection, op="subscribe", args=topics(load))
    begun = {each["data"]["s"]: each["data"]["u"] for each in transport.take()[1:]}
    load.emit(2 * SHAPE.symbols)  # each has a turn at least, whatever the orders of the rounds
    first = {each["data"]["s"]: each["data"]["u"] for each in reversed(transport.take())}
    assert first == {symbol: update + 1 for symbol, update in begun.items()}


def test_an_unsubscribed_symbol_is_silent_and_its_book_goes_on(load: Load) -> None:
    connection, transport = connected(load)
    ask(connection, op="subscribe", args=topics(load))
    ask(connection, op="unsubscribe", args=topics(load)[:1])
    transport.take()
    before = load.finals()
    load.emit(2 * SHAPE.symbols)
    assert {each["topic"] for each in transport.take()} == set(topics(load)[1:])
    assert all(load.finals()[symbol] > update for symbol, update in before.items())


def test_what_is_due_at_once_is_one_write(load: Load) -> None:
    connection, transport = connected(load)
    ask(connection, op="subscribe", args=topics(load))
    transport.take()
    load.emit(50)
    assert len(transport.written) == 1


async def test_instruments_come_in_pages_with_steps_that_fit_their_numbers(load: Load) -> None:
    (resource,) = (each for each in rest(load).router.resources() if each.canonical.endswith("instruments-info"))
    (route,) = (each for each in resource if each.method == "GET")
    entries: list[dict[str, Any]] = []
    cursor = ""
    while True:
        query = {"category": "linear", "limit": "4", "cursor": cursor}
        reply = json.loads((await route.handler(SimpleNamespace(query=query))).body)
        assert (reply["retCode"], reply["result"]["category"]) == (0, "linear")
        entries += reply["result"]["list"]
        cursor = reply["result"]["nextPageCursor"]
        if not cursor:
            break
    assert [each["symbol"] for each in entries] == [each.market.symbol for each in load.symbols]
    for entry, (bids, _) in zip(entries, load.books().values(), strict=True):
        tick = entry["priceFilter"]["tickSize"]
        assert len(bids[0][0].partition(".")[2]) == len(tick.partition(".")[2])
        assert all(len(size.partition(".")[2]) <= 3 for _, size in bids)
