"""Windows: never more than the venue allows in any span, and no slot later than it must be."""

from random import Random

import pytest

from feeder.bybit.rest.endpoint import Limit
from feeder.bybit.rest.limits import Window, Windows
from feeder.bybit.rest.pool import SessionPool
from feeder.clock import ManualClock


def test_a_burst_goes_at_once_and_the_next_one_waits_for_the_first_to_leave_the_span() -> None:
    window = Window(Limit(3), margin=0.0)
    assert [window.take(100.0) for _ in range(3)] == [100.0] * 3
    assert window.take(100.4) == 101.0
    assert window.take(100.4) == 101.0


def test_no_span_ever_has_more_than_allowed_whoever_asks_when() -> None:
    random = Random(7)
    for requests, seconds, margin in ((1, 1.0, 0.0), (10, 1.0, 0.05), (600, 5.0, 0.5)):
        window, now, slots = Window(Limit(requests, seconds), margin), 0.0, []
        for _ in range(4 * requests + 50):
            now += random.choice([0.0, 0.0, 0.001, seconds / requests, seconds])
            slots.append(window.take(now))
        assert slots == sorted(slots)
        assert all(
            later - sooner > seconds + margin - 1e-9 for sooner, later in zip(slots, slots[requests:], strict=False)
        )


def test_no_slot_is_later_than_the_span_demands() -> None:
    window = Window(Limit(10), margin=0.0)
    slots = [window.take(0.0) for _ in range(100)]
    assert slots == [float(number // 10) for number in range(100)]


def test_a_slot_given_back_is_there_for_the_next() -> None:
    window = Window(Limit(2), margin=0.0)
    window.take(0.0)
    window.take(0.0)
    late = window.take(0.0)
    assert late == 1.0
    window.give_back(late)
    window.give_back(99.0)  # never given: changes nothing
    assert [window.take(0.5), window.take(0.5)] == [1.0, 1.0]
    assert window.take(0.5) == 2.0


def test_used_are_the_slots_of_the_last_span_and_those_that_wait_for_theirs() -> None:
    window = Window(Limit(2, 5.0), margin=0.5)
    for _ in range(3):
        window.take(100.0)
    assert [window.used(now) for now in (100.0, 104.9, 105.0, 110.5)] == [3, 3, 1, 0]


def test_another_budget_of_a_pool_counts_from_now_on_with_what_was_sent_already() -> None:
    clock = ManualClock(monotonic=100.0)
    pool = SessionPool(requests=10, clock=clock)
    for _ in range(6):
        assert pool.take_turn(pool.public)
    assert pool.address_usage() == (6, Limit(10, 5.0))
    pool.set_requests(5)
    assert pool.address_usage() == (6, Limit(5, 5.0))
    assert pool.public.limit == Limit(4, 5.0)
    assert not pool.take_turn(None)
    pool.set_requests(15)
    assert [pool.take_turn(pool.public) for _ in range(7)] == [True] * 6 + [False], "a fifth is for what needs a key"
    assert pool.take_turn(None)
    clock.advance(6)
    assert pool.address_usage() == (0, Limit(15, 5.0))
    with pytest.raises(ValueError, match="requests 0: must be at least 1"):
        pool.set_requests(0)


def test_a_hold_delays_even_an_unused_window() -> None:
    window = Window(Limit(5), margin=0.0)
    window.hold(7.5)
    window.hold(3.0)  # the longest counts
    assert window.take(2.0) == 7.5
    assert window.held_until == 7.5


def test_what_others_used_of_the_same_account_counts_from_when_the_venue_said_so() -> None:
    window = Window(Limit(10), margin=0.0)
    window.take(50.0)
    window.learn(10, 3, sent=50.0)  # seven used, one of them ours
    assert [window.take(50.2) for _ in range(3)] == [50.2] * 3
    assert window.take(50.2) == 51.0


def test_the_venues_own_limit_replaces_the_documented_one() -> None:
    window = Window(Limit(10), margin=0.0)
    window.take(0.0)
    window.learn(20, 19, sent=0.0)
    assert [window.take(0.0) for _ in range(19)] == [0.0] * 19
    assert window.take(0.0) == 1.0


def test_answers_that_overtake_one_another_make_nobody_wait_longer() -> None:
    window = Window(Limit(10), margin=0.0)
    for _ in range(5):
        window.take(0.0)
    for remaining in (5, 9, 7, 8, 6):
        window.learn(10, remaining, sent=0.0)
    assert [window.take(0.1) for _ in range(5)] == [0.1] * 5
    assert window.take(0.1) == 1.0


def test_an_answer_that_was_long_on_its_way_counts_no_request_of_ours_as_one_of_others() -> None:
    window = Window(Limit(10), margin=0.0)
    assert window.try_take(0.5, 6)
    assert window.try_take(1.0, 4)
    assert not window.try_take(1.25)
    assert window.try_take(1.75)  # what was taken at 0.5 is gone
    window.learn(10, 0, sent=1.0)  # but was not when the venue said so
    assert [window.try_take(1.75) for _ in range(6)] == [True] * 5 + [False]


@pytest.mark.parametrize(("requests", "remaining"), [(0, 0), (10, 99), (1, 0)])
def test_nonsense_in_the_headers_never_stops_a_window_for_good(requests: int, remaining: int) -> None:
    window = Window(Limit(10), margin=0.0)
    window.take(0.0)
    for _ in range(20):
        window.learn(requests, remaining, sent=0.0)
    assert window.take(0.0) <= 2.0


def test_idle_windows_are_forgotten_and_busy_ones_are_not() -> None:
    windows = Windows(0.0)
    busy = windows.of("busy", Limit(1), 0.0)
    busy.hold(10_000.0)
    for number in range(5000):
        windows.of(number, Limit(1), float(number)).take(float(number))
    assert len(windows) < 2100
    assert windows.of("busy", Limit(1), 5000.0) is busy


def test_a_window_that_a_request_has_and_not_yet_used_is_not_forgotten() -> None:
    windows = Windows(0.0)
    waiting = [windows.of(number, Limit(1), 0.0) for number in range(1500)]
    assert all(windows.of(number, Limit(1), 59.0) is window for number, window in enumerate(waiting))
    windows.of("used", Limit(60, 60.0), 0.0).take(10.0)
    for number in range(2000, 5000):
        windows.of(number, Limit(1), 129.0)
    assert len(windows) == 3001
    assert "used" in windows._windows


def test_a_window_remembers_no_more_slots_than_a_few_spans_may_hold() -> None:
    window, now = Window(Limit(10), margin=0.0), 0.0
    for _ in range(10_000):
        now += 0.05
        window.try_take(now)
        assert len(window._times) <= 40


def test_several_slots_are_taken_together_or_not_at_all() -> None:
    window = Window(Limit(10), margin=0.0)
    assert window.take(0.0, 6) == 0.0
    assert window.next_at(0.2, 4) == 0.2
    assert window.take(0.2, 5) == 1.0
    window.give_back(1.0, 5)
    assert window.take(0.3, 4) == 0.3
    assert window.take(0.3, 1) == 1.0


def test_more_slots_than_there_are_wait_for_all_of_them() -> None:
    window = Window(Limit(10), margin=0.0)
    assert window.take(0.0, 20) == 0.0
    assert window.take(0.5, 20) == 1.0
    assert window.take(1.5) == 2.0


class Naive:
    """What a window should do, by looking at every slot each time."""

    def __init__(self, requests: int, margin: float) -> None:
        self.slots: list[float] = []
        self.requests, self.margin, self.held = requests, margin, 0.0

    def next_at(self, now: float, count: int) -> float:
        first = max(now, self.held, *self.slots, 0.0)
        span = 1.0 + self.margin
        return min(
            at
            for at in [first, *(slot + span for slot in self.slots if slot + span > first)]
            if len([slot for slot in self.slots if slot > at - span]) + count <= self.requests
        )

    def learn(self, requests: int, remaining: int, sent: float) -> None:
        others = requests - remaining - len([s for s in self.slots if s > sent - 1.0])
        self.slots += [sent] * others


@pytest.mark.parametrize("margin", [0.0, 0.125])
@pytest.mark.parametrize("seed", range(40))
def test_a_window_does_what_a_naive_one_does(seed: int, margin: float) -> None:
    random = Random(seed)
    requests, now = random.randint(1, 8), 100.0
    window, naive = Window(Limit(requests), margin), Naive(requests, margin)
    for _ in range(300):
        now += random.choice([0.0, 0.0, 0.125, 0.25, 1.0, 3.0])
        count = min(random.choice([1, 1, 1, 2, 5]), requests)
        match random.choice("ttttwwgghl"):
            case "t":
                at = naive.next_at(now, count)
                assert window.try_take(now, count) is (at == now)
                naive.slots += [now] * count * (at == now)
            case "w":
                at = naive.next_at(now, count)
                assert window.next_at(now, count) == at
                assert window.take(now, count) == at
                naive.slots += [at] * count
            case "g" if naive.slots:
                at = random.choice(naive.slots[-3:])
                if at > now - 1.0:  # one that still matters
                    window.give_back(at)
                    naive.slots.remove(at)
            case "h" if random.random() < 0.2:
                naive.held = max(naive.held, now + random.choice([-1.0, 0.0, 0.5, 2.0]))
                window.hold(naive.held)
            case "l":
                given = requests, random.randint(0, 9), now - random.choice([0.0, 0.125, 0.5, 1.0])
                window.learn(*given)
                naive.learn(*given)


def test_what_is_used_is_told_with_what_is_promised_for_later() -> None:
    window = Window(Limit(2), margin=0.0)
    assert window.used(0.0) == 0
    for _ in range(3):
        window.take(0.0)
    assert (window.used(0.5), window.used(1.5), window.used(2.5)) == (3, 1, 0)


def test_windows_are_told_with_their_keys() -> None:
    windows = Windows(margin=0.0)
    window = windows.of(("host", "key"), Limit(2), 0.0)
    assert list(windows) == [(("host", "key"), window)]
