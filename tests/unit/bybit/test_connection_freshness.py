"""What a connection does about the age of its data: its books' resets, its snapshots held back, its replacement."""

import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from feeder.bybit.actions import Phase, Reconnect, Send
from feeder.bybit.connection import Connection, Market, Output
from feeder.bybit.freshness import Freshness
from feeder.bybit.normalize import Scale
from feeder.bybit.venue_time import VenueTime
from feeder.clock import MILLISECOND_NS, ManualClock
from feeder.market.status import StatusReason

from .support import RecordingSink, make_session, requests

BTC, ETH, XRP = "BTCUSDT", "ETHUSDT", "XRPUSDT"


class Bench:
    """A connection of some books at depth 50, and a venue that answers each request."""

    def __init__(self, *symbols: str, clock: ManualClock | None = None, venue_time: VenueTime | None = None) -> None:
        self.clock = clock or ManualClock()
        self.sink = RecordingSink()
        self.session = make_session()
        self.counters = self.session._counters
        self.connection = Connection(
            "linear-1",
            "linear",
            self.session,
            self.sink,
            self.clock,
            self.counters,
            Freshness(venue_time or VenueTime(self.clock), 5.0),
            lambda *_: None,
            lambda _: None,
        )
        self.markets: dict[str, Market] = {}
        for symbol in symbols:
            name = f"orderbook.50.{symbol}"
            topic = self.session.want(name, is_book=True)
            market = Market(("linear", symbol), 50, True, topic, Scale(-2, -3))
            self.markets[symbol] = self.connection.books[name] = market
            self.session.want(f"publicTrade.{symbol}", is_book=False)
            self.connection.trades[f"publicTrade.{symbol}"] = {symbol: market}
        self.update_id = 0
        self.reconnects: list[Reconnect] = []
        self.sent: list[dict[str, Any]] = []

    def connect(self) -> None:
        self.perform(self.connection.on_connected())

    def perform(self, outputs: list[Output] | None) -> None:
        """As stream.py does, and the venue acks."""
        for output in outputs or ():
            if isinstance(output, Reconnect):
                self.reconnects.append(output)
                self.connection.on_disconnected(output.status)
                return
            if "ping" in output.text:
                self.perform(self.connection.on_payload(b'{"success":true,"ret_msg":"pong","op":"ping"}', 1))
            for request in requests([output]):
                self.sent.append(request)
                ack = {"success": True, "ret_msg": "", "req_id": request["req_id"], "op": request["op"]}
                self.perform(self.connection.on_payload(json.dumps(ack).encode(), 1))

    def book(self, symbol: str, age: float = 0.1, kind: str = "delta") -> None:
        self.update_id += 1
        data = {"s": symbol, "b": [["100.00", "1"]], "a": [], "u": self.update_id, "seq": 1}
        self.data({"topic": f"orderbook.50.{symbol}", "type": kind, "cts": 1, "data": data}, age)

    def trade(self, symbol: str, age: float = 0.1) -> None:
        data = [{"T": 1, "s": symbol, "S": "Buy", "v": "1", "p": "100.00", "i": "id"}]
        self.data({"topic": f"publicTrade.{symbol}", "type": "snapshot", "data": data}, age)

    def data(self, message: dict[str, Any], age: float) -> None:
        now = self.clock.wall_ns()
        ts = now // MILLISECOND_NS - round(age * 1000)
        self.perform(self.connection.on_payload(json.dumps(message | {"ts": ts}).encode(), now))

    def wait(self, seconds: float, *symbols: str, age: float = 0.1) -> None:
        """Let time pass in steps of 50 ms, with a delta of each of these books at each."""
        for _ in range(round(seconds / 0.05)):
            self.clock.advance(0.05)
            self.perform(self.connection.on_timer())
            for symbol in symbols:
                self.book(symbol, age)

    def resets(self, symbol: str) -> list[StatusReason]:
        return [event[3] for event in self.sink.of("reset", ("linear", symbol))]

    def count(self, symbol: str) -> int:
        return len(self.sink.books(("linear", symbol)))

    def phase(self, symbol: str) -> Phase:
        return self.markets[symbol].topic.phase


@pytest.fixture
def bench() -> Bench:
    """Two books, LIVE and fresh."""
    bench = Bench(BTC, ETH)
    bench.connect()
    for symbol in (BTC, ETH):
        bench.book(symbol, kind="snapshot")
    bench.wait(1, BTC, ETH)
    assert bench.sink.of("reset") == []
    return bench


def test_every_book_of_a_connection_with_old_data_is_reset_at_once_the_quiet_ones_too(bench: Bench) -> None:
    bench.wait(0.9, BTC, age=60)
    assert bench.sink.of("reset") == []
    bench.wait(0.3, BTC, age=60)
    assert [event[1:] for event in bench.sink.of("reset")] == [
        (("linear", symbol), bench.markets[symbol].topic.generation, StatusReason.OUTDATED) for symbol in (BTC, ETH)
    ]
    (reconnect,) = bench.reconnects
    assert "data is 60.0 s old" in reconnect.reason
    assert bench.counters.outdated == 1


@pytest.mark.parametrize("later", [0.0, 0.05, 0.1, 0.15, 0.2])
def test_no_book_is_blamed_by_itself_when_the_whole_connection_gets_old_at_once(bench: Bench, later: float) -> None:
    bench.wait(later, BTC, ETH)
    bench.book(ETH, 60)  # the timer has not been there since the last fresh one
    bench.wait(0.9, BTC, ETH, age=60)
    assert bench.sink.of("reset") == []


def test_what_is_still_read_from_the_connection_given_up_counts_for_nothing(bench: Bench) -> None:
    bench.wait(1.2, BTC, age=60)
    before = bench.count(BTC)
    bench.clock.advance(3)
    bench.book(BTC, 60, "snapshot")
    bench.book(BTC, 0.1, "snapshot")
    bench.book(BTC, 60)
    assert (bench.count(BTC), len(bench.reconnects), bench.counters.outdated) == (before, 1, 1)


def test_new_connection_with_fresh_data_cures_it_without_more_ado(bench: Bench) -> None:
    bench.wait(1.2, BTC, age=60)
    bench.connect()
    before = bench.count(BTC), bench.count(ETH)
    bench.book(BTC, kind="snapshot")
    bench.book(ETH, kind="snapshot")
    bench.wait(20, BTC)
    assert (bench.count(BTC), bench.count(ETH)) == (before[0] + 401, before[1] + 1)
    assert len(bench.reconnects) == 1
    assert bench.resets(ETH) == [StatusReason.OUTDATED]


def test_old_snapshots_make_no_book_live_and_are_asked_for_anew_once_the_connection_is_fresh(bench: Bench) -> None:
    bench.wait(1.2, BTC, age=60)
    bench.connect()
    before = bench.count(BTC), bench.count(ETH)
    bench.sent.clear()
    for symbol in (BTC, ETH):
        bench.book(symbol, 60, "snapshot")
    bench.wait(1.5, BTC, ETH, age=60)
    assert (bench.count(BTC), bench.count(ETH)) == before
    assert bench.sent == [], "held back, they ask for nothing"
    assert bench.counters.held_snapshots == 2
    bench.wait(0.3, BTC)  # fresh: a delta, which no book can use
    assert [(request["op"], request["args"]) for request in bench.sent] == [
        (operation, ["orderbook.50.BTCUSDT", "orderbook.50.ETHUSDT"]) for operation in ("unsubscribe", "subscribe")
    ]
    assert (bench.count(BTC), bench.count(ETH)) == before
    for symbol in (BTC, ETH):
        bench.book(symbol, kind="snapshot")
    assert (bench.phase(BTC), bench.phase(ETH)) == (Phase.ACTIVE, Phase.ACTIVE)
    assert (bench.count(BTC), bench.count(ETH)) == (before[0] + 1, before[1] + 1)
    assert len(bench.reconnects) == 1


def test_book_held_back_for_long_is_not_asked_for_at_its_snapshot_s_deadline() -> None:
    bench = Bench(BTC)
    for attempt, patience in enumerate((1, 2, 4, 8, 16, 32)):
        bench.connect()
        bench.sent.clear()
        bench.book(BTC, 60, "snapshot")
        bench.wait(patience - 0.2, BTC, age=60)
        lost = len(bench.reconnects)
        bench.wait(0.5, BTC, age=60)
        assert (lost, len(bench.reconnects), bench.sent) == (attempt, attempt + 1, [])
    assert set(bench.resets(BTC)) == {StatusReason.OUTDATED}
    assert bench.count(BTC) == 0


def test_stuck_book_is_begun_anew_alone_and_stays_out_while_its_snapshots_are_old(bench: Bench) -> None:
    bench.wait(0.5, BTC)
    bench.book(ETH, 60)
    bench.wait(0.5, BTC)
    assert (bench.resets(ETH), bench.resets(BTC)) == ([StatusReason.OUTDATED], [])
    before = bench.count(ETH)
    for _ in range(20):
        bench.wait(1, BTC)
        bench.book(ETH, 60, "snapshot")
        bench.book(ETH, 60)
    assert bench.count(ETH) == before
    assert bench.phase(ETH) is not Phase.ACTIVE
    asked = [request for request in bench.sent if request["args"] == ["orderbook.50.ETHUSDT"]]
    assert len(asked) < 12, "ever more seldom"
    while bench.phase(ETH) is not Phase.SUBSCRIBING:
        bench.wait(1, BTC)
    bench.book(ETH, kind="snapshot")
    assert (bench.count(ETH), bench.phase(ETH)) == (before + 1, Phase.ACTIVE)
    assert (bench.resets(BTC), bench.reconnects) == ([], [])


def test_one_message_with_an_odd_time_stamp_followed_by_the_book_s_own_fresh_one_is_forgotten(bench: Bench) -> None:
    bench.wait(0.5, BTC)
    before = bench.count(ETH)
    bench.book(ETH, 60)
    bench.book(ETH, 0.1)
    bench.wait(2, BTC)
    assert (bench.count(ETH), bench.sink.of("reset")) == (before + 2, [])


def test_trades_pass_whatever_their_age_and_prove_their_connection_fresh(bench: Bench) -> None:
    bench.wait(1.2, BTC, age=60)
    bench.connect()
    bench.trade(BTC, 60)
    assert len(bench.sink.of("trades")) == 1
    bench.book(ETH, 60, "snapshot")
    assert bench.phase(ETH) is Phase.SUBSCRIBING
    bench.trade(BTC)
    bench.book(BTC, kind="snapshot")
    assert bench.phase(BTC) is Phase.ACTIVE


def test_other_connections_are_not_touched(bench: Bench) -> None:
    venue_time = bench.connection.freshness._venue_time
    other = Bench(XRP, clock=bench.clock, venue_time=venue_time)
    other.connect()
    other.book(XRP, kind="snapshot")
    for _ in range(40):
        bench.wait(0.05, BTC, age=60)
        other.wait(0, XRP)
        other.book(XRP)
    assert len(bench.reconnects) == 1
    assert (other.reconnects, other.sink.of("reset")) == ([], [])


def test_recording_is_replayed_and_said_to_be_one_once() -> None:
    bench = Bench(BTC)
    bench.connect()
    with capture_logs() as logs:
        bench.book(BTC, 1e7, "snapshot")
        bench.wait(5, BTC, age=1e7)
    assert bench.count(BTC) == 101
    assert [line["event"] for line in logs] == ["data of a recording, not judged for its age"]


def test_stall_of_our_own_gives_the_pong_its_time_as_well(bench: Bench) -> None:
    while not any(isinstance(output, Send) and "ping" in output.text for output in bench.connection.on_timer()):
        bench.clock.advance(0.05)
        bench.book(BTC)
    bench.clock.advance(30)  # the pong is there long since, but nobody has read it
    bench.perform(bench.connection.on_timer())
    assert bench.reconnects == []
    bench.perform(bench.connection.on_payload(b'{"success":true,"ret_msg":"pong","op":"ping"}', 1))
    bench.wait(15, BTC)
    assert bench.reconnects == []
