"""From a message's bytes to the sink: good data, old data, bad data, unknown data."""

import json
from typing import Any

import pytest

from feeder.bybit.actions import Phase, Reconnect
from feeder.bybit.connection import Connection, Market
from feeder.bybit.freshness import Freshness
from feeder.bybit.messages import Message
from feeder.bybit.normalize import Scale
from feeder.bybit.venue_time import VenueTime
from feeder.clock import ManualClock
from feeder.errors import FixedPointError
from feeder.market.instrument import InstrumentKey
from feeder.market.status import StatusReason
from feeder.market.update import Side

from .support import RecordingSink, book_message, make_session, payload, requests, trade_message

BOOK = "orderbook.50.BTCUSDT"
TRADES = "publicTrade.BTCUSDT"
KEY = ("linear", "BTCUSDT")


class Bench:
    """A connection with its surroundings, and what it asked of them."""

    def __init__(self, category: str = "linear") -> None:
        self.clock = ManualClock()
        self.sink = RecordingSink()
        self.session = make_session(category)
        self.counters = self.session._counters
        self.scales: list[tuple[Market, int, int]] = []
        self.listings: list[Market] = []
        self.connection = Connection(
            f"{category}-1",
            category,
            self.session,
            self.sink,
            self.clock,
            self.counters,
            Freshness(VenueTime(self.clock), 5.0),
            self._request_scale,
            self.listings.append,
        )

    def _request_scale(self, market: Market, price_exponent: int, quantity_exponent: int) -> None:
        self.scales.append((market, price_exponent, quantity_exponent))

    def want(self, book: str, trades: str | None = None, scale: Scale | None = None) -> Market:
        symbol = book.split(".", 2)[2]
        topic = self.session.want(book, is_book=True)
        market = Market((self.connection.category, symbol), 50, trades is not None, topic, scale or Scale(-2, -3))
        self.connection.books[book] = market
        if trades is not None:
            self.session.want(trades, is_book=False)
            self.connection.trades.setdefault(trades, {})[symbol] = market
        return market

    def receive(self, raw: bytes, at_ns: int = 9) -> list[Any] | None:
        return self.connection.on_payload(raw, at_ns)


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.want(BOOK, TRADES)
    bench.connection.on_connected()
    return bench


@pytest.fixture
def live(bench: Bench) -> Bench:
    assert bench.receive(book_message(BOOK, "snapshot", 10)) is None
    bench.clock.advance(1)
    return bench


def test_snapshot_and_delta_reach_the_sink_in_order_with_their_generation(live: Bench) -> None:
    live.receive(book_message(BOOK, "delta", 11, [["100.00", "0"]], []))
    snapshot, delta = live.sink.books(KEY)
    assert (snapshot.snapshot, snapshot.update_id, snapshot.bids, snapshot.asks) == (
        True,
        10,
        [10000, 1000],
        [10010, 1000],
    )
    assert (delta.snapshot, delta.update_id, delta.bids, delta.asks) == (False, 11, [10000, 0], [])
    assert snapshot.generation == delta.generation == live.session.topics[BOOK].generation
    assert live.counters.book_updates == 2


@pytest.mark.parametrize("category", ["spot", "linear", "inverse", "option"])
def test_canonical_messages_of_each_category_reach_their_own_book(category: str) -> None:
    bench = Bench(category)
    topic = json.loads(payload(f"{category}-orderbook-snapshot"))["topic"]
    market = bench.want(topic, scale=Scale(-2, -6))
    bench.connection.on_connected()
    bench.receive(payload(f"{category}-orderbook-snapshot"))
    bench.receive(payload(f"{category}-orderbook-delta"))
    assert [update.snapshot for update in bench.sink.books(market.key)] == [True, False]
    assert market.key[0] == category


def test_trades_carry_the_generation_of_their_book(live: Bench) -> None:
    live.receive(payload("linear-trade"))
    ((_, key, trades, generation),) = live.sink.of("trades")
    assert (key, generation) == (KEY, live.session.topics[BOOK].generation)
    assert [(trade.price, trade.quantity, trade.aggressor) for trade in trades] == [(7870440, 1, Side.BUY)]


def test_option_trades_are_routed_by_their_symbol_and_unwanted_ones_counted() -> None:
    bench = Bench("option")
    market = bench.want("orderbook.25.BTC-27NOV26-90000-C", "publicTrade.BTC", Scale(0, -2))
    bench.connection.on_connected()
    bench.receive(payload("option-trade"))
    ((_, key, trades, _),) = bench.sink.of("trades")
    assert key == market.key
    assert [(trade.price, trade.quantity) for trade in trades] == [(1190, 1)]
    assert bench.counters.trades_unrouted == 1


def test_option_ack_does_not_look_like_trouble() -> None:
    bench = Bench("option")
    bench.want("orderbook.25.BTC-27NOV26-90000-C")
    bench.connection.on_connected()
    assert bench.receive(payload("option-ack")) == []
    assert bench.counters.decode_errors == bench.counters.unknown_messages == 0
    assert bench.session._requests == {}


def test_delta_before_the_snapshot_never_reaches_the_sink(bench: Bench) -> None:
    bench.receive(book_message(BOOK, "delta", 11))
    assert bench.sink.events == []
    assert bench.counters.dropped_old_generation == 1


def test_gap_found_downstream_silences_the_book_until_the_new_snapshot(live: Bench) -> None:
    market = live.connection.books[BOOK]
    old = market.topic.generation
    outputs = live.connection.resync(market, StatusReason.GAP)
    (unsubscribe,) = requests(outputs)
    for update_id in range(13, 20):
        live.receive(book_message(BOOK, "delta", update_id))
    assert live.sink.kinds() == ["book", "reset"]
    assert live.sink.events[-1][2:] == (market.topic.generation, StatusReason.GAP)
    answer = {"success": True, "op": "unsubscribe", "req_id": unsubscribe["req_id"]}
    live.clock.advance(0.1)
    assert len(requests(live.receive(json.dumps(answer).encode()) or [])) == 1
    live.receive(book_message(BOOK, "delta", 20))
    live.receive(book_message(BOOK, "snapshot", 30))
    assert live.sink.kinds() == ["book", "reset", "book"]
    assert live.sink.books(KEY)[-1].generation == market.topic.generation > old
    assert live.counters.dropped_old_generation == 8


def test_disconnect_resets_every_book_before_it_returns(live: Bench) -> None:
    live.want("orderbook.50.ETHUSDT")
    live.connection.on_disconnected()
    assert {event[1][1]: event[3] for event in live.sink.of("reset")} == {
        "BTCUSDT": StatusReason.DISCONNECTED,
        "ETHUSDT": StatusReason.DISCONNECTED,
    }


def test_sink_that_fails_on_one_book_hears_of_the_others_all_the_same(live: Bench) -> None:
    live.want("orderbook.50.ETHUSDT")
    told = live.sink.on_reset

    def broken(key: InstrumentKey, generation: int, reason: StatusReason) -> None:
        if key == KEY:
            raise KeyError("a defect")
        told(key, generation, reason)

    live.sink.on_reset = broken  # type: ignore[method-assign]
    with pytest.raises(KeyError):
        live.connection.on_disconnected()
    assert [event[1][1] for event in live.sink.of("reset")] == ["ETHUSDT"]


@pytest.mark.parametrize(
    "broken",
    [
        book_message(BOOK, "delta", 11)[:-9],  # JSON cut short
        book_message(BOOK, "delta", 11).replace(b'"u": 11', b'"u": "11"'),
        book_message(BOOK, "delta", 11).replace(b'"type": "delta"', b'"type": "deltoid"'),
        book_message(BOOK, "delta", 11).replace(b'"type": "delta"', b'"type": 5'),
        book_message(BOOK, "delta", 11, [["1.2.3", "1"]]),
        book_message(BOOK, "delta", 11, [["100.00", "-1"]]),
        book_message(BOOK, "delta", 11, [["100.00", "9" * 25]]),  # over 64 bits
        book_message(BOOK, "delta", 11, [["100." + "0" * 18 + "1", "1"]]),  # finer than any scale
        book_message(BOOK, "delta", 11, [["0." + "0" * 17 + "1", "1"]]),  # a scale that no real price would fit
        book_message(BOOK, "delta", 11, [["100." + "0" * 8 + "1", "1"]]),  # 7 digits finer than the price's scale
        book_message(BOOK, "delta", 11, [["100", "0." + "0" * 9 + "1"]]),  # 7 digits finer than the quantity's
        json.dumps({"topic": BOOK, "type": "delta", "ts": 1}).encode(),  # no data at all
        json.dumps({"topic": BOOK, "type": "delta", "ts": 1, "data": []}).encode(),
    ],
)
def test_book_message_that_cannot_be_read_resyncs_that_book_and_no_other(live: Bench, broken: bytes) -> None:
    live.want("orderbook.50.ETHUSDT")
    outputs = live.receive(broken)
    assert live.scales == []
    assert [event[1:] for event in live.sink.of("reset")] == [
        (KEY, live.session.topics[BOOK].generation, StatusReason.MALFORMED)
    ]
    assert [request["op"] for request in requests(outputs or [])] in (["unsubscribe"], [])
    assert live.session.topics[BOOK].phase is Phase.UNSUBSCRIBING
    assert live.counters.decode_errors == 1


def test_bytes_of_nobody_knows_which_book_reconnect(live: Bench) -> None:
    for raw in (
        b"\x00\x01",
        b'{"topic":"orderb',
        b"{]",
        b'{"topic":"orderbook.50.OTHER","data":{',
        b'{"topic":"\xff"}',
    ):
        outputs = live.receive(raw)
        assert outputs is not None
        assert [type(output) for output in outputs] == [Reconnect]
    assert live.counters.decode_errors == 5
    assert live.sink.of("reset") == []


def test_json_of_unknown_topic_or_kind_is_counted_and_ignored(live: Bench) -> None:
    unknown_topics = [
        payload("linear-ticker"),
        book_message("orderbook.50.OTHER", "delta", 1),
        trade_message("publicTrade.OTHER"),
    ]
    for raw in unknown_topics * 2:
        assert live.receive(raw) == []
    assert live.counters.unknown_topics == 6
    for raw in (b"{}", b"[1]", b'"text"', b'{"op":"auth"}', b'{"topic":5}', b'{"type":"COMMAND_RESP"}'):
        assert live.receive(raw) == []
    assert live.counters.unknown_messages == 6
    assert live.counters.decode_errors == 0
    assert live.sink.kinds() == ["book"]


def test_late_frames_of_a_topic_let_go_of_are_old_not_unknown(live: Bench) -> None:
    del live.connection.books[BOOK]
    live.session.unwant(BOOK)
    live.receive(book_message(BOOK, "delta", 11))
    assert (live.counters.dropped_old_generation, live.counters.unknown_topics) == (1, 0)


def test_finer_price_resets_the_book_holds_it_and_asks_for_the_scale_that_fits(live: Bench) -> None:
    outputs = live.receive(book_message(BOOK, "delta", 11, [["100.0001", "1"]], [["100.10", "0.00001"]]))
    market = live.connection.books[BOOK]
    assert requests(outputs or []) == []
    assert live.sink.of("reset")[-1][3] is StatusReason.SCALE
    assert live.scales == [(market, -4, -5)]
    live.receive(book_message(BOOK, "delta", 12))
    assert live.sink.kinds() == ["book", "reset"]
    market.scale = Scale(-4, -5)
    assert [request["op"] for request in requests(live.connection.release(market))] == ["unsubscribe"]


def test_finer_trade_asks_for_the_scale_and_the_others_of_its_message_pass(live: Bench) -> None:
    live.receive(trade_message(TRADES, {"p": "100.00"}, {"p": "100.001"}, {"p": "100.01"}))
    ((_, _, trades, _),) = live.sink.of("trades")
    assert [trade.price for trade in trades] == [10000, 10001]
    assert [(price, quantity) for _, price, quantity in live.scales] == [(-3, -3)]
    assert live.counters.trades_lost == 1
    assert [event[2] for event in live.sink.of("trades_lost")] == [1]  # told downstream, not only counted
    assert live.sink.of("reset") == []


def test_bad_trade_is_lost_and_counted_and_the_others_pass(live: Bench) -> None:
    live.receive(trade_message(TRADES, {"S": "buy"}, {"v": "x"}, {"i": "good"}))
    ((_, _, trades, _),) = live.sink.of("trades")
    assert [trade.trade_id for trade in trades] == ["good"]
    assert (live.counters.trades_lost, live.counters.decode_errors) == (2, 2)


def test_trade_finer_than_any_scale_its_instrument_may_have_is_lost_and_asks_for_none(live: Bench) -> None:
    live.receive(trade_message(TRADES, {"v": "0." + "0" * 16 + "1"}, {"v": "0.0001"}, {"p": "1.001"}, {"i": "good"}))
    ((_, _, trades, _),) = live.sink.of("trades")
    assert [trade.trade_id for trade in trades] == ["good"]
    assert [(price, quantity) for _, price, quantity in live.scales] == [(-3, -4)], "what the others need together"
    assert (live.counters.trades_lost, live.counters.decode_errors) == (3, 1)


def test_object_on_a_trades_topic_is_malformed_and_leaves_the_book_alone(live: Bench) -> None:
    raw = book_message(BOOK, "delta", 11).replace(BOOK.encode(), TRADES.encode())
    assert live.receive(raw) == []
    assert (live.counters.trades_lost, live.counters.decode_errors) == (1, 1)
    assert live.counters.dropped_old_generation == 0
    assert live.sink.kinds() == ["book", "trades_lost"]


def test_array_on_a_book_topic_is_malformed_though_it_holds_trades(live: Bench) -> None:
    live.receive(trade_message(BOOK))
    assert [event[3] for event in live.sink.of("reset")] == [StatusReason.MALFORMED]
    assert live.counters.trades_unrouted == 0


@pytest.mark.parametrize("field", ["u", "seq", "ts", "cts"])
@pytest.mark.parametrize("value", [-1, 1 << 63, 10**30])
def test_integer_beyond_what_the_wire_holds_is_malformed(live: Bench, field: str, value: int) -> None:
    message = json.loads(book_message(BOOK, "delta", 11))
    (message if field in message else message["data"])[field] = value
    live.receive(json.dumps(message).encode())
    assert [event[3] for event in live.sink.of("reset")] == [StatusReason.MALFORMED]


def test_time_that_fits_as_milliseconds_but_not_as_nanoseconds_is_malformed(live: Bench) -> None:
    message = json.loads(book_message(BOOK, "delta", 11))
    live.receive(json.dumps(message | {"ts": 18_446_744_073_710}).encode())
    assert [event[3] for event in live.sink.of("reset")] == [StatusReason.MALFORMED]


@pytest.mark.parametrize("field", ["T", "seq"])
@pytest.mark.parametrize("value", [-1, 1 << 63, 10**30])
def test_trade_with_an_integer_beyond_what_the_wire_holds_is_lost(live: Bench, field: str, value: int) -> None:
    live.receive(trade_message(TRADES, {field: value}))
    assert live.sink.kinds() == ["book", "trades_lost"]


def test_largest_integers_there_may_be_pass_and_fit_64_bits(live: Bench) -> None:
    message = json.loads(book_message(BOOK, "delta", (1 << 63) - 1))
    message["data"]["seq"] = (1 << 63) - 1
    live.receive(json.dumps(message | {"ts": 9_000_000_000_000, "cts": 9_000_000_000_000}).encode())
    update = live.sink.books(KEY)[-1]
    assert update.update_id == update.venue_sequence == (1 << 63) - 1
    assert update.send_time_ns == update.match_time_ns < 1 << 63


def test_scale_refused_makes_the_message_malformed_and_the_next_one_like_it_asks_no_more(live: Bench) -> None:
    market = live.connection.books[BOOK]
    live.receive(book_message(BOOK, "delta", 11, [["100.0001", "1"]]))
    outputs = live.connection.refuse_scale(market, FixedPointError("too fine"))
    assert [request["op"] for request in requests(outputs)] == ["unsubscribe"]
    assert [event[3] for event in live.sink.of("reset")] == [StatusReason.SCALE, StatusReason.MALFORMED]
    assert live.sink.of("reset")[-1][2] == market.topic.generation
    live.clock.advance(6)
    live.connection.on_timer()
    live.receive(book_message(BOOK, "snapshot", 20))
    live.receive(book_message(BOOK, "delta", 21, [["100.0001", "1"]]))
    assert live.sink.of("reset")[-1][3] is StatusReason.MALFORMED
    assert len(live.scales) == 1


def test_trade_message_that_cannot_be_read_leaves_the_book_alone(live: Bench) -> None:
    assert live.receive(trade_message(TRADES).replace(b'"T": 1', b'"T": null')) == []
    assert live.counters.trades_lost == 1
    assert live.sink.of("reset") == []
    assert live.session.topics[BOOK].phase is Phase.ACTIVE


def test_refused_book_is_reset_with_that_reason_and_others_go_on(bench: Bench) -> None:
    request = next(iter(bench.session._requests))
    answer = {"success": False, "ret_msg": f"error:handler not found,topic:{BOOK}", "req_id": request}
    bench.clock.advance(1)
    outputs = bench.receive(json.dumps(answer).encode())
    assert bench.sink.of("reset")[0][3] is StatusReason.REFUSED
    assert bench.listings == [bench.connection.books[BOOK]]
    assert [request["args"] for request in requests(outputs or [])] == [[TRADES]]


def test_malformed_again_and_again_does_not_become_a_storm(live: Bench) -> None:
    sent = 0
    for update_id in range(11, 1000):
        sent += len(requests(live.receive(book_message(BOOK, "delta", update_id, [["x", "1"]])) or []))
    assert sent == 1
    assert len(live.sink.of("reset")) == 1


def test_pong_is_taken_and_nothing_else_happens(live: Bench) -> None:
    assert live.receive(payload("linear-pong")) == []
    assert live.sink.kinds() == ["book"]
    assert Message(op="pong").is_pong
