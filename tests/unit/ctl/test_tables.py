"""What a person reads: aligned, within 80 columns where the texts allow it."""

import pytest

from feeder.ctl import tables

from .canned import RELOADED, STATUS, row


def test_the_status():
    assert tables.status(STATUS) == [
        "feeder 0.1.0, shard 0/2, process 4242, up 3 h 12 min",
        "",
        "state      running, not ready: 820 of 826 books are LIVE; 1 of 2 connections to",
        "           the exchange are not up",
        "books      826 followed: 3 SYNCING, 820 LIVE, 1 STALE",
        "pending    12 updates",
        "config     config/feeder.yaml, generation 3, loaded 2023-11-14 22:13:20 UTC",
        "           restart needed for multicast.port",
        "           NOT USED as it is now: queue.total: less than queue.capacity; use at",
        "           least 1000",
        "by hand    subscribed linear:SOLUSDT; unsubscribed linear:ETHUSDT, spot:ETHUSDT",
        "session    1763712345678901234",
        "log level  info",
        "",
        "connection  category  state      topics  active   lag  silent  attempt",
        "linear-1    linear    CONNECTED     400     400  40ms    0.1s        -",
        "linear-2    linear    WAITING       420       0     -       -       12",
        "",
        "refused",
        "  linear:FOOUSDT: the exchange has no such instrument; take it out of",
        "    subscriptions",
    ]


def test_the_status_of_a_feeder_that_begins_has_no_empty_tables():
    config = {**STATUS["config"], "restart_needed": [], "error": None}
    young = {
        "shard": None,
        "books": {"LIVE": 0},
        "followed": 0,
        "refused": [],
        "connections": [],
        "config": config,
        "by_hand": {"subscribed": [], "unsubscribed": []},
        "ready": True,
        "reasons": [],
        "pending_updates": 1,
    }
    assert tables.status({**STATUS, **young}) == [
        "feeder 0.1.0, process 4242, up 3 h 12 min",
        "",
        "state      running, ready",
        "books      0 followed",
        "pending    1 update",
        "config     config/feeder.yaml, generation 3, loaded 2023-11-14 22:13:20 UTC",
        "session    1763712345678901234",
        "log level  info",
    ]


ROWS = [
    row("spot:ETHUSDT", "SYNCING", "SUBSCRIBED", age_seconds=None),
    row("linear:BTCUSDT", trades=False),
    row("linear:1000PEPEUSDT", "STALE", "DISCONNECTED"),
]


def test_the_books_by_name_with_the_reason_of_those_that_are_not_live():
    assert tables.books(ROWS) == [
        "instrument           status              since   age  depth    updates  queue  folds  gaps  resyncs",
        "linear:1000PEPEUSDT  STALE DISCONNECTED    67m  0.1s     50  1,234,567      0      0     1        2",
        "linear:BTCUSDT       LIVE                  67m  0.1s    50*  1,234,567      0      0     1        2",
        "spot:ETHUSDT         SYNCING SUBSCRIBED    67m     -     50  1,234,567      0      0     1        2",
        "* the book only, without trades",
    ]
    assert tables.books([]) == []


@pytest.mark.parametrize("width", [100, 90, 80, 70])
def test_the_books_fit_a_terminal_without_what_matters_least(width):
    lines = tables.books(ROWS, width)
    assert max(map(len, lines)) <= width
    for head in ("instrument", "status", "age", "folds", "gaps", "resyncs"):
        assert head in lines[0].split()


def test_outcomes_and_a_reload():
    rows = [
        {"instrument": "linear:SOLUSDT", "done": True, "text": "followed now"},
        {"instrument": "spot:NOSUCH", "done": False, "text": "no such instrument"},
    ]
    assert tables.outcomes(rows) == [
        "linear:SOLUSDT  done      followed now",
        "spot:NOSUCH     NOT DONE  no such instrument",
    ]
    assert tables.reload(RELOADED) == [
        "reloaded: subscriptions, log.level; 1 book subscribed; 3 books unsubscribed",
        "restart needed for multicast.port",
    ]
    nothing = {"changed": False, "applied": [], "restart_needed": [], "subscribed": 0, "unsubscribed": 0, "refused": []}
    assert tables.reload(nothing) == ["nothing has changed"]
    refused = [{"instrument": "linear:FOOUSDT", "error": "no such"}]
    assert tables.reload({**nothing, "refused": refused})[1:] == ["", "refused", "  linear:FOOUSDT: no such"]


def test_lags_and_durations():
    assert [tables.lag(s) for s in (None, 0.04, -0.003, 0.9999, 12.34)] == ["-", "40ms", "-3ms", "1.0s", "12.3s"]
    durations = ["14 s", "3 min 2 s", "5 h 12 min", "8 d 3 h"]
    assert [tables.duration(s) for s in (14.9, 182, 18720, 8 * 86400 + 3 * 3600)] == durations
