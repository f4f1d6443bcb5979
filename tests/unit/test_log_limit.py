"""Repetition is limited and counted; what is new is said at once."""

import math

from feeder import log_limit
from feeder.log_limit import LINES, NEWS, WINDOW, Kind, RepetitionLimit, Suppressed

STALE = Kind("pipeline.worker", "book stale", "warning")
LIVE = Kind("pipeline.worker", "book live", "info")


def admitted(limit: RepetitionLimit, kind: Kind, lines: int, now: float, news: str = "") -> int:
    return sum(limit.admit(kind, news, now) for _ in range(lines))


def test_a_disconnect_of_820_books_is_20_lines_and_a_number():
    limit = RepetitionLimit()
    assert admitted(limit, STALE, 820, 0.0, "DISCONNECTED") == LINES
    assert limit.due(WINDOW - 0.01) == []
    assert limit.due(WINDOW) == [Suppressed(STALE, 800)]
    assert limit.due(WINDOW) == []
    assert limit.suppressed == 800


def test_no_more_than_20_lines_make_no_number():
    limit = RepetitionLimit()
    assert admitted(limit, STALE, LINES, 0.0) == LINES
    assert limit.due(math.inf) == []
    assert limit.suppressed == 0


def test_the_first_line_of_another_kind_is_said_at_once():
    limit = RepetitionLimit()
    admitted(limit, STALE, 820, 0.0)
    assert limit.admit(LIVE, "", 0.0)
    assert limit.admit(STALE._replace(level="error"), "", 0.0)
    assert limit.admit(STALE._replace(part="bybit.pool"), "", 0.0)
    assert not limit.admit(STALE, "", 0.0)


def test_another_reason_is_said_though_the_event_is_repeated():
    limit = RepetitionLimit()
    assert admitted(limit, STALE, 820, 0.0, "DISCONNECTED") == LINES
    assert admitted(limit, STALE, 5, 0.0, "GAP") == 1


def test_a_thousand_different_errors_are_some_of_them_and_a_number():
    limit = RepetitionLimit()
    written = sum(limit.admit(STALE, f"error {n}", 0.0) for n in range(1000))
    assert written == LINES + NEWS
    assert limit.due(WINDOW) == [Suppressed(STALE, 1000 - LINES - NEWS)]


def test_a_flood_that_lasts_is_20_lines_and_a_number_in_every_window():
    limit = RepetitionLimit()
    written, told = 0, []
    for tenth in range(600):  # a minute, ten lines each tenth of a second
        now = tenth / 10
        told += limit.due(now)
        written += admitted(limit, STALE, 10, now)
    told += limit.due(math.inf)
    assert written == 6 * LINES
    assert [number.lines for number in told] == [1000 - LINES] * 6


def test_when_something_is_due_is_known_without_looking():
    limit = RepetitionLimit()
    assert limit.next_end == math.inf
    limit.admit(STALE, "", 5.0)
    limit.admit(LIVE, "", 8.0)
    assert limit.next_end == 5.0 + WINDOW
    limit.due(5.0 + WINDOW)
    assert limit.next_end == 8.0 + WINDOW
    limit.due(math.inf)
    assert limit.next_end == math.inf


def test_a_flood_of_events_that_all_differ_takes_no_more_than_its_room(monkeypatch):
    monkeypatch.setattr(log_limit, "KINDS", 50)
    limit = RepetitionLimit()
    written = sum(limit.admit(Kind("", f"event {n}", "info"), "", 0.0) for n in range(1000))
    assert written == 50 + LINES
    assert limit.due(WINDOW) == [Suppressed(Kind("", "other events", "info"), 1000 - written)]
    assert limit.admit(Kind("", "event 999", "info"), "", WINDOW)
