import pytest

from feeder.clock import ManualClock
from feeder.simulator.rest_limits import AddressLimits, Limit, RateLimits, Visit, limit_of

NOW_MS = 1_700_000_000_000
CREATE = "/v5/order/create"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_the_limits_are_those_the_venue_documents() -> None:
    assert [limit_of(CREATE, category) for category in ("linear", "inverse", "option", "spot")] == [
        Limit(10),
        Limit(10),
        Limit(10),
        Limit(20),
    ]
    assert [limit_of("/v5/order/cancel-all", category).requests for category in ("linear", "option", "spot")] == [
        10,
        1,
        20,
    ]
    assert [limit_of("/v5/order/amend", category).requests for category in ("linear", "spot")] == [10, 10]
    assert limit_of("/v5/account/wallet-balance", "").requests == 50
    assert limit_of("/v5/account/fee-rate", "linear").requests == 5
    assert limit_of("/v5/asset/transfer/inter-transfer", "") == Limit(60, 60.0)
    assert limit_of("/v5/of/next/year", "") == Limit(10)


def test_the_window_rolls_and_says_when_the_next_request_may_come(clock: ManualClock) -> None:
    limits = RateLimits(clock, enforced=True)
    for number in range(10):
        visit = limits.visit("1", CREATE, "linear")
        assert (visit.limit, visit.remaining, visit.allowed) == (10, 9 - number, 1)
        assert visit.reset_ms == NOW_MS + number * 50  # of one that may pass: the venue's time
        clock.advance(0.05)
    refused = limits.visit("1", CREATE, "linear")
    assert refused == Visit(10, 0, NOW_MS + 1000, 0)
    clock.advance(0.499)
    assert not limits.visit("1", CREATE, "linear").allowed
    clock.advance(0.001)  # the first is a second ago
    assert limits.visit("1", CREATE, "linear").allowed
    assert not limits.visit("1", CREATE, "linear").allowed
    clock.advance(0.05)
    assert limits.visit("1", CREATE, "linear").allowed


def test_what_is_refused_does_not_count(clock: ManualClock) -> None:
    limits = RateLimits(clock, enforced=True)
    for _ in range(100):
        limits.visit("1", CREATE, "linear")
    clock.advance(1.0)
    assert limits.visit("1", CREATE, "linear").remaining == 9


def test_accounts_paths_and_categories_have_limits_of_their_own(clock: ManualClock) -> None:
    limits = RateLimits(clock, enforced=True)
    for _ in range(10):
        assert limits.visit("1", CREATE, "linear").allowed
    assert not limits.visit("1", CREATE, "linear").allowed
    for account, path, category in (
        ("2", CREATE, "linear"),
        ("1", CREATE, "inverse"),
        ("1", CREATE, "spot"),
        ("1", "/v5/order/amend", "linear"),
    ):
        assert limits.visit(account, path, category).allowed
    for number in range(1000):  # nobody makes room for himself by naming categories that there are not
        visit = limits.visit("1", CREATE, f"made-up-{number}")
    assert not visit.allowed


def test_the_orders_of_a_batch_count_each_and_only_those_beyond_the_limit_are_refused(clock: ManualClock) -> None:
    limits = RateLimits(clock, enforced=True)
    batch = "/v5/order/create-batch"
    assert limits.visit("1", batch, "linear", 5).remaining == 5
    assert limits.visit("1", batch, "linear", 8) == Visit(10, 0, NOW_MS, 5)
    assert limits.visit("1", batch, "linear", 1).allowed == 0
    assert limits.visit("1", CREATE, "linear").remaining == 9


def test_limits_that_are_not_enforced_are_told_all_the_same(clock: ManualClock) -> None:
    limits = RateLimits(clock, enforced=False)
    told = [limits.visit("1", CREATE, "linear") for _ in range(12)]
    assert [visit.remaining for visit in told] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0]
    assert all(visit.allowed for visit in told)
    assert limits.visit("1", "/v5/order/create-batch", "linear", 30).allowed == 30


def test_a_fault_makes_a_limit_tighter_for_a_while_and_the_last_one_counts(clock: ManualClock) -> None:
    limits = RateLimits(clock, enforced=False)
    limits.tighten("/v5/order/", Limit(3, 10.0), None)
    limits.tighten(CREATE, Limit(1, 2.0), 5.0)
    assert limits.visit("1", CREATE, "linear") == Visit(1, 0, NOW_MS, 1)
    assert limits.visit("1", CREATE, "linear") == Visit(1, 0, NOW_MS + 2000, 0)
    assert limits.visit("1", "/v5/order/cancel", "linear").limit == 3
    assert limits.visit("1", "/v5/position/list", "linear").limit == 50
    clock.advance(5.0)
    visit = limits.visit("1", CREATE, "linear")
    assert (visit.limit, visit.allowed) == (3, 1)


def test_what_needs_no_key_is_limited_per_address_by_a_fault_only(clock: ManualClock) -> None:
    limits = RateLimits(clock, enforced=True)
    assert all(limits.visit_public("127.0.0.1", "/v5/market/time") for _ in range(100))
    limits.tighten("/v5/market/", Limit(2), 10.0)
    assert [limits.visit_public("127.0.0.1", "/v5/market/time") for _ in range(3)] == [True, True, False]
    assert limits.visit_public("127.0.0.2", "/v5/market/time")
    clock.advance(1.0)
    assert limits.visit_public("127.0.0.1", "/v5/market/time")
    clock.advance(9.0)
    assert all(limits.visit_public("127.0.0.1", "/v5/market/time") for _ in range(100))


def test_the_headers_are_named_as_the_venue_names_them() -> None:
    assert Visit(10, 9, NOW_MS, 1).headers == {
        "X-Bapi-Limit": "10",
        "X-Bapi-Limit-Status": "9",
        "X-Bapi-Limit-Reset-Timestamp": str(NOW_MS),
    }


def test_an_address_with_more_than_600_requests_in_5_seconds_is_barred_for_10_minutes(clock: ManualClock) -> None:
    addresses = AddressLimits(clock)
    for _ in range(1200):
        assert addresses.visit("10.0.0.1")
        clock.advance(0.0085)  # less than 600 in 5 s
    clock.advance(5.0)
    assert all(addresses.visit("10.0.0.1") for _ in range(600))
    assert not addresses.visit("10.0.0.1")
    assert addresses.visit("10.0.0.2")
    clock.advance(599.9)
    assert not addresses.visit("10.0.0.1")
    clock.advance(0.2)
    assert all(addresses.visit("10.0.0.1") for _ in range(600))
    assert not addresses.visit("10.0.0.1")
