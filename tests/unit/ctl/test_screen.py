"""The picture of `feeder ctl top`: it fits its terminal, and says what state the feeder is in."""

import pytest

from feeder.ctl.activity import compare
from feeder.ctl.screen import message, paint
from feeder.telemetry.health import State
from feeder.telemetry.metrics import Of

from .activities import LIVE, STALE, START_NS, book, lags, looked, record


def scene(sick: int, well: int, **look):
    def books(second: int):
        for number in range(sick):
            yield book(f"SICK{number}USDT", status=STALE, updates=second, gaps=second)
        for number in range(well):
            yield book(f"WELL{number}USDT", status=LIVE, updates=100 * second * number)

    connection = record(Of.CONNECTION, "linear-1", state__value=2)
    before = looked(100, *books(1), lags(10), connection)
    return compare(before, looked(101, *books(2), lags(20, 1), connection, **look))


def painted(activity, width=80, height=24):
    return paint(activity, START_NS, width, height, colours=False)


def test_the_picture_in_a_terminal_of_80_by_24():
    lines = painted(scene(1, 2))
    assert lines == [
        "feeder 0.1.0  RUNNING  process 4242  up 1 min 41 s                  22:13:20 UTC",
        "books       2 LIVE  1 STALE",
        "exchange    1 of 1 connections up  lag -",
        "per second  101 updates  0 folds  1.0 gaps  0 resyncs  over 1.0 s",
        "pending     0 of 0 updates",
        "load        50 % cpu  50 MB  loop lag p99 <= 1 ms, most <= 1 ms",
        "",
        "sickest",
        "instrument        status  upd/s  age  gaps  resyncs  folds  queue  peak",
        "linear:SICK0USDT  STALE     1.0    -  2 +1        0      0      0     0",
        "",
        "busiest",
        "instrument        status  upd/s  age  gaps  resyncs  folds  queue  peak",
        "linear:WELL1USDT  LIVE      100    -     0        0      0      0     0",
        "linear:SICK0USDT  STALE     1.0    -  2 +1        0      0      0     0",
        "linear:WELL0USDT  LIVE        0    -     0        0      0      0     0",
    ]


@pytest.mark.parametrize(("sick", "well"), [(0, 0), (0, 1000), (1000, 0), (3, 1000), (1000, 3)])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 60), (40, 12), (20, 5), (1, 1)])
def test_it_fits_whatever_the_size(sick, well, width, height):
    lines = painted(scene(sick, well), width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width


def test_where_there_is_little_room_each_block_has_half_and_what_is_hidden_is_counted():
    lines = painted(scene(100, 100))
    assert "sickest, and 94 more" in lines
    assert sum(line.startswith("linear:SICK") for line in lines) == 6
    assert sum(line.startswith("linear:WELL") for line in lines) == 6
    assert len(lines) == 24


def test_where_all_is_well_the_busiest_have_the_room():
    lines = painted(scene(0, 100))
    assert "sickest: none, every book is LIVE and well" in lines
    assert sum(line.startswith("linear:WELL") for line in lines) == 12


@pytest.mark.parametrize("state", [State.HANGING, State.GONE, State.ENDED])
def test_of_a_feeder_that_does_not_run_nothing_good_is_said(state):
    lines = painted(scene(0, 0, state=state, reason="it ended"))
    assert "books       -" in lines
    assert {"sickest: nothing is told of any book", "busiest: nothing is told of any book"} <= set(lines)
    lines = painted(scene(0, 2, state=state, reason="it ended"))
    assert "sickest: none in its last numbers" in lines
    assert "well" not in "".join(lines)


def test_a_feeder_without_books_is_not_called_well():
    lines = painted(scene(0, 0))
    assert {"books       0 LIVE", "sickest: there is no book", "busiest: there is no book"} <= set(lines)


def test_the_keys_stand_beside_the_clock_or_alone():
    heads = [paint(scene(0, 1), START_NS, width, 24, colours=False, keys="q quit")[0] for width in (80, 60, 54)]
    assert heads[0].endswith("  q quit  22:13:20 UTC")
    assert heads[1].endswith("  q quit")
    assert heads[2].endswith("1 s")


@pytest.mark.parametrize("state", [State.HANGING, State.GONE, State.ENDED])
def test_a_feeder_that_does_not_run_is_called_so_in_the_head(state):
    lines = painted(scene(1, 1, state=state, reason="the feeder's event loop (process 4242) has not turned for 7.3 s"))
    assert f"feeder 0.1.0  {state.name}  " in lines[0]
    assert " ".join(lines[1:3]) == (
        "the feeder's event loop (process 4242) has not turned for 7.3 s; the numbers are its last"
    )
    assert "instrument        status  upd/s  age  gaps  resyncs  folds  queue  peak" in lines


def test_colours_only_where_they_are_wanted():
    activity = scene(1, 1)
    coloured = paint(activity, START_NS, 80, 24, colours=True)
    assert any(line.startswith("\x1b[31mlinear:SICK0USDT") for line in coloured)
    assert "\x1b" not in "".join(painted(activity))
    assert message("no such file", 80, colours=False) == ["no such file"]
    assert message("no such file", 7, colours=True) == ["\x1b[31mno such\x1b[0m", "\x1b[31mfile\x1b[0m"]
