"""Delays grow and stay within bounds; a budget lets through its burst and then its rate."""

from random import Random

from feeder.bybit.pacing import TokenBucket, backoff_delay


def test_delay_doubles_to_its_cap_and_is_never_less_than_half_of_it() -> None:
    random = Random(1)
    for failures, full in [(1, 0.1), (2, 0.2), (5, 1.6), (6, 2.0), (10_000, 2.0)]:
        delays = [backoff_delay(failures, 0.1, 2.0, random) for _ in range(200)]
        assert full / 2 <= min(delays) < max(delays) <= full


def test_bucket_lets_a_burst_through_then_its_rate() -> None:
    bucket = TokenBucket(3, 2.0, 0.0)
    assert [bucket.take(10.0) for _ in range(3)] == [0, 0, 0]
    wait = bucket.take(10.0)
    assert 0.5 <= wait < 0.501
    assert bucket.take(10.0 + wait) == 0
    assert bucket.take(10.0 + wait) > 0


def test_token_given_back_can_be_taken_again_but_never_overfills() -> None:
    bucket = TokenBucket(1, 0.001, 0.0)
    bucket.give_back(0.0)
    assert bucket.take(0.0) == 0
    assert bucket.take(0.0) > 0
    bucket.give_back(0.0)
    assert bucket.take(0.0) == 0
