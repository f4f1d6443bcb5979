from feeder.simulator.line import Line, Transit


def _sent(transit: Transit, line: Line, times: list[float], size: int = 100) -> None:
    for number, now in enumerate(times):
        assert not transit.put(bytes([number]) * size, now, line)


def _taken(transit: Transit, now: float) -> list[int]:
    taken = []
    while (payload := transit.take(now)) is not None:
        taken.append(payload[0])
    return taken


def test_an_undisturbed_line_keeps_nothing() -> None:
    transit = Transit()
    assert transit.put(b"x", 5.0, Line())
    assert not transit
    assert transit.size == 0


def test_on_a_slow_line_everything_is_late_by_the_same_and_in_order() -> None:
    transit, line = Transit(), Line(until=10.0, delay=3.0)
    _sent(transit, line, [0.0, 1.0, 2.0])
    assert _taken(transit, 2.9) == []
    assert _taken(transit, 4.0) == [0, 1]
    assert _taken(transit, 5.0) == [2]
    assert transit.size == 0


def test_nothing_overtakes_what_is_late_when_the_line_is_well_again() -> None:
    transit, line = Transit(), Line(until=1.0, delay=5.0)
    assert not transit.put(b"a", 0.5, line)
    assert not transit.put(b"b", 2.0, line)
    assert transit.take(5.4) is None
    assert [transit.take(5.5), transit.take(5.5), transit.take(5.5)] == [b"a", b"b", None]
    assert transit.put(b"c", 6.0, line)


def test_a_trickling_line_gets_behind_and_says_how_much_waits() -> None:
    transit, line = Transit(), Line(until=10.0, bytes_per_second=100.0)
    _sent(transit, line, [0.0, 0.0, 0.0])
    assert transit.size == 300
    assert _taken(transit, 1.0) == [0]
    assert _taken(transit, 2.9) == [1]
    assert _taken(transit, 3.0) == [2]


def test_a_held_line_lets_go_of_everything_at_once() -> None:
    transit, line = Transit(), Line(until=3.0, held_until=3.0)
    _sent(transit, line, [0.0, 1.0, 2.9])
    assert _taken(transit, 2.99) == []
    assert _taken(transit, 3.0) == [0, 1, 2]
    assert transit.put(b"x", 3.0, line)
