"""A trouble that lasts is spoken of again, ever less often."""

from feeder.log_outage import FIRST, MOST, Outage


def test_it_is_said_at_once_then_after_a_minute_then_each_time_after_twice_as_long():
    outage = Outage()
    said = [now for now in range(0, 3 * 3600, 2) if outage.failed(now)]
    assert said == [0, 60, 180, 420, 900, 1860, 3780, 7380]
    assert said[-1] - said[-2] == MOST


def test_the_next_one_begins_anew():
    outage = Outage()
    outage.failed(100.0)
    outage.failed(100.0 + FIRST)
    assert outage.seconds(100.0 + FIRST) == FIRST
    outage.over()
    assert outage.seconds(500.0) == 0
    assert outage.failed(500.0)
    assert not outage.failed(500.0 + FIRST - 1)
    assert outage.failed(500.0 + FIRST)
