"""A timer that comes late is our own loop's fault: nobody is judged before what came meanwhile could be read."""

from feeder.bybit.streams.standstill import GRACE, LATE, Standstill


def test_a_timer_in_time_or_before_excuses_nothing() -> None:
    standstill = Standstill()
    assert standstill.excused(1e9) == 0.0, "there was no timer"
    assert standstill.wake_at(10.0) == 10.0
    for now in (5.0, 10.0, 10.0 + LATE - 0.01):
        assert standstill.excused(now) == 0.0
        assert standstill.may_judge(now)


def test_a_late_timer_excuses_its_lateness_and_the_grace_and_judges_after_that() -> None:
    standstill = Standstill()
    standstill.wake_at(10.0)
    assert standstill.excused(70.0) == 60.0 + GRACE
    assert not standstill.may_judge(70.0)
    assert standstill.excused(70.0) == 0.0, "once"
    assert standstill.wake_at(12.0) == 70.0 + GRACE
    assert standstill.excused(70.0 + GRACE) == 0.0
    assert standstill.may_judge(70.0 + GRACE)
    assert standstill.wake_at(80.0) == 80.0


def test_two_standstills_one_after_the_other_are_both_excused() -> None:
    standstill = Standstill()
    standstill.wake_at(10.0)
    standstill.excused(70.0)
    standstill.wake_at(70.0)
    assert standstill.excused(100.0) == 30.0
    assert not standstill.may_judge(100.0)


def test_a_loop_that_is_always_late_judges_all_the_same() -> None:
    standstill, now, judged = Standstill(), 0.0, []
    for _ in range(12):
        now = standstill.wake_at(now) + 1.0
        standstill.excused(now)
        judged.append(standstill.may_judge(now))
    assert judged == [False] * 4 + [True] * 8
    now = standstill.wake_at(now)
    assert standstill.excused(now) == 0.0, "in time again"
    standstill.wake_at(now)
    assert standstill.excused(now + 1.0) > 0.0
