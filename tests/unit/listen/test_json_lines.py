"""One object per event: exact, complete, and enough to follow a book by."""

import json
from decimal import Decimal
from typing import Any

from feeder.listen.json_lines import SCHEMA, JsonLines
from feeder.market.update import Side
from tests.unit.listen.feeds import MATCHED, Watched, told_at_once


def objects(made: list[bytes]) -> list[dict[str, Any]]:
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in made)
    return [json.loads(line) for line in made]


def test_a_whole_book_is_exact_in_strings_and_carries_its_checksum():
    watched = Watched()
    (view,) = watched.board.books().values()
    (book,) = objects([JsonLines(watched.board, None).book(view)])
    assert list(book)[:3] == ["event", "time", "time_ns"]
    assert book | {"time": 0, "time_ns": 0} == {
        "event": "book",
        "time": 0,
        "time_ns": 0,
        "category": "linear",
        "symbol": "BTCUSDT",
        "instrument_id": view.instrument_id,
        "partition": 0,
        "status": "LIVE",
        "reason": "SNAPSHOT",
        "instrument_sequence": watched.source().publisher.sequence,
        "venue_update_id": 1,
        "venue_sequence": 1,
        "conflated": False,
        "match_time_ns": 2,
        "send_time_ns": 3,
        "receive_time_ns": view.receive_time_ns,
        "bids": [["64250.10", "1.500"], ["64250.00", "0.020"]],
        "asks": [["64250.20", "0.003"], ["64250.50", "0.070"]],
        "checksum": view.checksum(),
    }


def test_a_change_tells_what_changed_and_the_best_levels_after_it():
    watched = Watched()
    made = told_at_once(watched, JsonLines(watched.board, 1))
    watched.source().delta([6425000, 0, 6424990, 5], [6425020, 9], conflated=True)
    watched.deliver()
    (book,) = objects(made)
    assert (book["event"], book["cleared"], book["conflated"]) == ("book", False, True)
    assert book["changed_bids"] == [["64250.00", "0.000"], ["64249.90", "0.005"]]
    assert book["changed_asks"] == [["64250.20", "0.009"]]
    assert book["bids"] == [["64250.10", "1.500"]]
    assert book["asks"] == [["64250.20", "0.009"]]


def test_a_program_that_applies_the_changes_has_the_feeders_book_after_any_of_them():
    watched = Watched("BTCUSDT", live=False)
    made = told_at_once(watched, JsonLines(watched.board, 1))
    source = watched.source()
    source.restart([100, 5, 99, 6], [101, 7])
    watched.deliver()
    for step in range(30):
        source.delta([100 - step % 7, step % 3], [101 + step % 5, step % 4])
        if step == 10:
            watched.feed.wire.clear()  # lost on both lines
        if step == 20:
            source.restart([90, 1], [91, 2])
        watched.run(0.3)
    book: dict[str, dict[Decimal, Decimal]] = {"bids": {}, "asks": {}}
    history = watched.feed.histories[watched.feed.publisher.session_id]
    compared = 0
    for told in objects(made):
        if told["event"] != "book":
            continue
        for side in ("bids", "asks"):
            if told["cleared"]:
                book[side].clear()
            for price, quantity in told[f"changed_{side}"]:
                book[side][Decimal(price)] = Decimal(quantity)
                if not Decimal(quantity):
                    del book[side][Decimal(price)]
        held = history[told["instrument_id"], told["instrument_sequence"]]
        for side, levels in zip(("bids", "asks"), held, strict=True):
            expected = {Decimal(p) / 100: Decimal(q) / 1000 for p, q in zip(levels[::2], levels[1::2], strict=True)}
            assert book[side] == expected
        compared += 1
    assert compared > 30


def test_statuses_are_told_with_the_feeders_reason_or_none_when_they_are_the_listeners_own():
    watched = Watched()
    made = told_at_once(watched, JsonLines(watched.board))
    watched.source().stale()
    watched.run(0.1)
    watched.feed.clock.advance(1.0)
    watched.feed.start()
    watched.run(0.1)
    told = [o for o in objects(made) if o["event"] in {"status", "session"}][:3]
    assert [(o["event"], o.get("status"), o.get("reason")) for o in told] == [
        ("status", "STALE", "GAP"),
        ("session", None, None),
        ("status", "JOINING", "NONE"),
    ]
    assert told[1]["session_id"] == watched.feed.publisher.session_id


def test_a_trade_is_told_with_the_takers_side_and_what_was_missed_before_it():
    watched = Watched()
    made = told_at_once(watched, JsonLines(watched.board))
    watched.trade(1, side=Side.SELL)
    watched.source().publisher.trade_sequence += 3
    watched.trade(2)
    watched.source().publisher.trades_lost(2)
    watched.deliver()
    first, second, lost = objects(made)
    assert (first["event"], first["side"], first["price"], first["quantity"]) == ("trade", "sell", "64250.20", "0.100")
    assert (first["trade_id"], first["match_time_ns"], first["missed"]) == ("t1", MATCHED + 1_000_000, 0)
    assert (second["side"], second["missed"]) == ("buy", 3)
    assert (lost["event"], lost["count"], lost["first_trade_sequence"]) == ("trades_lost", 2, 6)


def test_a_trade_of_an_instrument_not_defined_yet_is_told_without_its_name():
    watched = Watched(live=False)
    made = told_at_once(watched, JsonLines(watched.board))
    watched.trade(1)
    trade = next(o for o in objects(made) if o["event"] == "trade")
    assert (trade["category"], trade["symbol"], trade["instrument_id"]) == (None, None, watched.source().id)


def test_definitions_holes_silence_and_the_end_are_told():
    watched = Watched(live=False)
    made = told_at_once(watched, JsonLines(watched.board))
    watched.source().restart([100, 5], [101, 7])
    watched.run(1.2)
    watched.source().delta([100, 6], [])
    watched.feed.turn()
    watched.feed.wire.clear()
    watched.run(0.5)
    watched.silence(1.0)
    watched.run(0.1)
    watched.feed.publisher.end_session()
    watched.deliver()
    told = {o["event"]: o for o in objects(made)}
    definition = told["definition"]
    (hole,) = (o for o in objects(made) if o["event"] == "hole" and o["kind"] == "books")
    assert (definition["tick_size"], definition["quantity_step"], definition["trading_status"]) == (
        "0.10", "0.001", "TRADING",
    )  # fmt: skip
    assert (hole["kind"], hole["channel_id"], hole["lost"]) == ("books", 0, 1)
    assert {"feeder_lost", "feeder_heard", "ended"} <= told.keys()


def test_every_event_and_key_is_in_the_schema_that_help_prints():
    watched = Watched(live=False)
    lines = JsonLines(watched.board)
    made = told_at_once(watched, lines)
    watched.source().restart([100, 5], [101, 7])
    watched.run(1.2)
    watched.trade(1)
    watched.feed.publisher.end_session()
    watched.deliver()
    for told in (*objects(made), *objects([lines.dropped(3)])):
        assert all(name in SCHEMA for name in told), told
        assert told["event"] in SCHEMA


def test_a_status_of_the_listeners_own_does_not_borrow_the_feeders_last_reason():
    watched = Watched()
    watched.source().stale()
    watched.run(0.1)
    (view,) = watched.board.books().values()
    lines = JsonLines(watched.board)
    (stale,) = objects([lines.book(view)])
    watched.silence(1.5)
    (lost,) = objects([lines.book(view)])
    assert (stale["status"], stale["reason"]) == ("STALE", "GAP")
    assert (lost["status"], lost["reason"]) == ("FEEDER_LOST", "NONE")
