"""The same client for the same key while it is used, and no more clients than that."""

import asyncio
import gc
import traceback
from collections.abc import AsyncIterator
from itertools import product

import pytest

from feeder.bybit.rest.cache import MAX_CLIENTS, ClientCache
from feeder.bybit.rest.client import BybitClient
from feeder.bybit.rest.pool import SessionPool
from feeder.bybit.rest.secret import Secret
from feeder.bybit.rest.settings import Settings
from feeder.clock import ManualClock
from feeder.errors import ParameterError, PoolError, RestError
from tests.helpers.secrets import API_KEY, API_SECRET, known

TTL = 600.0
KEY, SECRET = "aKey", known("fR8aCacheKeepsIt")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def pool(clock: ManualClock) -> SessionPool:
    return SessionPool(clock=clock)


@pytest.fixture
def cache(pool: SessionPool) -> ClientCache:
    return ClientCache(pool)


@pytest.fixture
async def no_pool_of_the_process() -> AsyncIterator[None]:
    await SessionPool.close()
    yield
    await SessionPool.close()


def pool_of(client: BybitClient) -> SessionPool | None:
    return client._pool


def counted(cache: ClientCache) -> dict[str, int]:
    counters = cache.counters
    return {name: value for name in counters.__slots__ if (value := getattr(counters, name))}


# The same and others


def test_the_same_key_and_environment_give_the_same_client(cache: ClientCache) -> None:
    client = cache.get_or_create(KEY, SECRET)
    assert client is cache.get_or_create(KEY, SECRET)
    assert client is cache.get_or_create(api_key=KEY, api_secret=Secret(SECRET))
    assert client is cache.get_or_create("".join(list(KEY)), "".join(list(SECRET)), False, False, 5000, base_url=None)
    assert counted(cache) == {"misses": 1, "hits": 3}
    assert len(cache) == 1


def test_whatever_makes_requests_others_makes_another_client(cache: ClientCache) -> None:
    made = [
        cache.get_or_create(),
        cache.get_or_create(testnet=True),
        cache.get_or_create(base_url="http://127.0.0.1:9444"),
        cache.get_or_create(KEY, SECRET),
        cache.get_or_create(KEY, "aNewSecretOfTheSameKey"),
        cache.get_or_create("bKey", SECRET),
        cache.get_or_create(KEY, SECRET, testnet=True),
        cache.get_or_create(KEY, SECRET, demo=True),
        cache.get_or_create(KEY, SECRET, recv_window=10_000),
    ]
    assert len(set(map(id, made))) == len(cache) == len(made)
    assert made[0] is cache.get_or_create()


def test_key_and_secret_cannot_run_into_one_another(cache: ClientCache) -> None:
    texts = ["", "a", "ab", "abc", "b", "bc", "c", "a:b", "1:a", "None", "\0"]
    made = {id(cache.get_or_create(key, secret)) for key, secret in product(texts, texts)}
    assert len(made) == len(cache) == len(texts) ** 2


def test_the_secret_itself_is_in_no_key_of_the_cache(cache: ClientCache, pool: SessionPool) -> None:
    cache.get_or_create(KEY, SECRET)
    other = ClientCache(pool)
    other.get_or_create(KEY, SECRET)
    assert SECRET not in repr(cache._clients) + repr(cache)
    assert not any(isinstance(each, str | bytes) and SECRET in str(each) for name in cache._clients for each in name)
    assert cache._clients.keys() != other._clients.keys(), "each has a salt of its own"


# Age


def test_an_unused_client_is_forgotten_when_it_is_asked_for(cache: ClientCache, clock: ManualClock) -> None:
    first = cache.get_or_create(KEY, SECRET)
    clock.advance(TTL - 0.001)
    assert cache.get_or_create(KEY, SECRET) is first, "a read is a use"
    clock.advance(TTL - 0.001)
    assert cache.get_or_create(KEY, SECRET) is first
    cache._sweep_at = float("inf")  # nobody sweeps
    clock.advance(TTL)
    assert cache.get_or_create(KEY, SECRET) is not first
    assert counted(cache) == {"misses": 2, "hits": 2, "expired": 1}
    assert len(cache) == 1


def test_a_request_is_a_use(cache: ClientCache, clock: ManualClock) -> None:
    client = cache.get_or_create(KEY, SECRET)
    clock.advance(TTL - 1)
    client.last_used = clock.monotonic()  # as the client does at the end of one
    clock.advance(TTL - 1)
    assert cache.cleanup_expired() == 0
    assert cache.get_or_create(KEY, SECRET) is client


def test_a_client_with_a_request_under_way_stays_whatever_its_age(cache: ClientCache, clock: ManualClock) -> None:
    client = cache.get_or_create(KEY, SECRET)
    client.in_flight = 1
    clock.advance(10 * TTL)
    assert cache.cleanup_expired() == 0
    assert cache.get_or_create(KEY, SECRET) is client
    client.in_flight = 0
    clock.advance(TTL)
    assert cache.cleanup_expired() == 1


async def test_who_holds_a_forgotten_client_goes_on_using_it(cache: ClientCache, clock: ManualClock) -> None:
    client = cache.get_or_create(KEY, SECRET)
    clock.advance(TTL)
    assert cache.cleanup_expired() == 1
    pool = pool_of(client)
    assert pool is not None
    assert not pool.is_closed
    assert pool_of(cache.get_or_create(KEY, SECRET)) is pool


def test_cleanup_forgets_the_old_and_says_how_many(cache: ClientCache, clock: ManualClock) -> None:
    for number in range(5):
        cache.get_or_create(f"key{number}", SECRET)
        clock.advance(10)
    clock.advance(TTL - 30)
    assert cache.cleanup_expired() == 3
    assert cache.cleanup_expired() == 0
    assert counted(cache) == {"misses": 5, "swept": 3}
    assert len(cache) == 2


def test_without_an_event_loop_the_reads_sweep(cache: ClientCache, clock: ManualClock) -> None:
    for number in range(5):
        cache.get_or_create(f"key{number}", SECRET)
    clock.advance(TTL)
    cache.get_or_create()
    assert len(cache) == 1
    assert counted(cache) == {"misses": 6, "swept": 5}


def fire(cache: ClientCache) -> None:
    """What the event loop does next for the cache, without waiting for it."""
    handle = cache._handle
    assert handle is not None
    assert not handle.cancelled()
    callback, arguments = handle._callback, handle._args  # type: ignore[attr-defined]
    handle.cancel()
    callback(*arguments)


async def test_in_an_event_loop_the_old_go_by_themselves(cache: ClientCache, clock: ManualClock) -> None:
    async with cache:
        cache.get_or_create(KEY, SECRET)
        timer = cache._handle
        assert isinstance(timer, asyncio.TimerHandle)
        assert 0 < timer.when() - asyncio.get_running_loop().time() <= TTL / 10
        clock.advance(TTL / 10)
        fire(cache)
        assert len(cache) == 1
        clock.advance(TTL)
        fire(cache)
        assert len(cache) == 0
        assert counted(cache) == {"misses": 1, "swept": 1}


async def test_the_first_use_in_a_loop_begins_the_sweep_and_an_empty_cache_ends_it(
    cache: ClientCache, clock: ManualClock
) -> None:
    cache.get_or_create(KEY, SECRET)
    clock.advance(TTL)
    fire(cache)
    fire(cache)
    assert not len(cache)
    assert cache._handle is None, "nothing is left in the loop"
    cache.get_or_create(KEY, SECRET)
    clock.advance(TTL)
    fire(cache)
    assert not len(cache)
    await cache.aclose()


def test_one_filled_before_the_loop_began_is_swept_in_it(cache: ClientCache, clock: ManualClock) -> None:
    cache.get_or_create(KEY, SECRET)
    clock.advance(TTL / 2)

    async def within() -> None:
        cache.get_or_create(KEY, SECRET)
        clock.advance(TTL)
        fire(cache)
        assert not len(cache)

    asyncio.run(within())
    cache.get_or_create(KEY, SECRET)  # that loop has ended, and with it the timer
    clock.advance(TTL)
    cache.get_or_create()
    assert len(cache) == 1


async def test_a_read_that_comes_before_a_late_timer_sweeps_in_its_place(
    cache: ClientCache, clock: ManualClock
) -> None:
    cache.get_or_create(KEY, SECRET)
    late = cache._handle
    assert late is not None
    clock.advance(TTL)
    cache.get_or_create()
    assert counted(cache) == {"misses": 2, "swept": 1}
    assert late.cancelled(), "there is one timer, not two"
    await cache.aclose()


async def test_many_are_swept_in_slices_between_other_work(cache: ClientCache, clock: ManualClock) -> None:
    for number in range(3_500):
        cache.get_or_create(f"key{number}", SECRET)
    clock.advance(TTL)
    fire(cache)
    sizes = [len(cache)]
    while not isinstance(cache._handle, asyncio.TimerHandle):
        fire(cache)
        sizes.append(len(cache))
    assert sizes == [2_500, 1_500, 500, 0]
    await cache.aclose()


# Room


def test_at_the_bound_the_longest_unused_go(pool: SessionPool, clock: ManualClock) -> None:
    cache = ClientCache(pool, max_clients=32)
    clients = []
    for number in range(32):
        clock.advance(1)
        clients.append(cache.get_or_create(f"key{number}", SECRET))
    clock.advance(1)
    clients[0].last_used = clock.monotonic()
    clients[1].in_flight = 1
    cache.get_or_create(KEY, SECRET)
    assert len(cache) == 31, "a sixteenth made room at once"
    assert counted(cache) == {"misses": 33, "evicted": 2}
    kept = [number for number in range(32) if cache.get_or_create(f"key{number}", SECRET) is clients[number]]
    assert kept[:2] == [0, 1]
    assert 2 not in kept
    assert 3 not in kept


def test_clients_in_use_stay_even_over_the_bound(pool: SessionPool) -> None:
    cache = ClientCache(pool, max_clients=2)
    clients = []
    for number in range(4):
        clients.append(cache.get_or_create(f"key{number}", SECRET))
        clients[-1].in_flight = 1
    assert [cache.get_or_create(f"key{number}", SECRET) for number in range(4)] == clients
    clients[3].in_flight = 0
    cache.get_or_create(KEY, SECRET)
    assert len(cache) == 4
    assert counted(cache)["evicted"] == 1


def test_an_old_client_of_the_same_name_needs_no_room(pool: SessionPool, clock: ManualClock) -> None:
    cache = ClientCache(pool, max_clients=2)
    cache.get_or_create("one", SECRET)
    clock.advance(1)
    cache.get_or_create("two", SECRET)
    clock.advance(TTL - 1)
    cache._sweep_at = float("inf")
    cache.get_or_create("one", SECRET)
    assert counted(cache) == {"misses": 3, "expired": 1}
    assert len(cache) == 2


# Pools


async def test_clients_stand_on_the_given_pool_and_leave_it_open(cache: ClientCache, pool: SessionPool) -> None:
    async with cache:
        client = cache.get_or_create(KEY, SECRET)
        assert pool_of(client) is pool
        async with client:  # a habit, and no harm
            pass
        assert cache.get_or_create(KEY, SECRET) is client
    assert not pool.is_closed


async def test_without_any_pool_the_cache_has_one_and_closes_it(no_pool_of_the_process: None) -> None:
    async with ClientCache() as cache:
        pool = pool_of(cache.get_or_create(KEY, SECRET))
        assert pool is not None
        assert pool_of(cache.get_or_create()) is pool
        assert pool.clock is cache._clock, "they speak of the same time"
        pool.session()
    assert pool.is_closed


async def test_clients_go_over_to_the_next_pool_of_the_process(no_pool_of_the_process: None) -> None:
    first = SessionPool.setup()
    async with ClientCache() as cache:
        client = cache.get_or_create(KEY, SECRET)
        cache.get_or_create()
        assert pool_of(client) is first
        await SessionPool.close()
        second = SessionPool.setup()
        again = cache.get_or_create(KEY, SECRET)
        assert again is not client
        assert pool_of(again) is second
        assert len(cache) == 1, "the others of the closed pool are gone as well"
        assert cache.get_or_create(KEY, SECRET) is again
    assert not second.is_closed


async def test_a_closed_cache_says_so(cache: ClientCache) -> None:
    async with cache:
        cache.get_or_create(KEY, SECRET)
    await cache.aclose()
    assert len(cache) == 0
    with pytest.raises(PoolError, match="client cache is closed; make another"):
        cache.get_or_create(KEY, SECRET)


async def test_the_shortest_time_to_live_does_not_keep_the_loop_busy(pool: SessionPool) -> None:
    async with ClientCache(pool, ttl_seconds=0.001) as cache:
        timer = cache._handle
        assert isinstance(timer, asyncio.TimerHandle)
        assert timer.when() - asyncio.get_running_loop().time() > 0.9


async def test_a_closed_cache_that_is_asked_leaves_no_timer_behind(cache: ClientCache, clock: ManualClock) -> None:
    cache.get_or_create(KEY, SECRET)
    await cache.aclose()
    clock.advance(TTL)
    with pytest.raises(PoolError):
        cache.get_or_create(KEY, SECRET)
    assert cache._handle is None


async def test_one_that_nobody_closes_leaves_nothing_behind(clock: ManualClock) -> None:
    cache = ClientCache(SessionPool(clock=clock))
    cache.get_or_create(KEY, SECRET)
    del cache
    gc.collect()
    assert asyncio.all_tasks() == {asyncio.current_task()}


# Bad input


@pytest.mark.parametrize("given", [{"api_key": KEY}, {"api_secret": SECRET}, {"testnet": True, "demo": True}])
def test_what_no_client_can_be_made_of_is_refused_and_not_kept(cache: ClientCache, given: dict[str, str]) -> None:
    with pytest.raises(ParameterError):
        cache.get_or_create(**given)  # type: ignore[arg-type]
    assert len(cache) == 0


@pytest.mark.parametrize("secret", [SECRET.encode(), 4711, [SECRET]])
def test_a_secret_that_is_no_text_is_refused_and_not_shown(cache: ClientCache, secret: object) -> None:
    with pytest.raises(ParameterError, match="api_secret: must be text or a Secret, not") as raised:
        cache.get_or_create(KEY, secret)  # type: ignore[arg-type]
    assert SECRET not in repr(raised.value)


@pytest.mark.parametrize(
    ("secret", "two_environments", "closed"),
    [(SECRET, True, False), (Secret(SECRET), True, False), (SECRET, False, True), (SECRET.encode(), False, False)],
    ids=["two environments", "two environments, a Secret", "closed", "bytes"],
)
async def test_no_traceback_with_locals_and_no_error_behind_it_has_the_secret(
    cache: ClientCache, secret: str, two_environments: bool, closed: bool
) -> None:
    if closed:
        await cache.aclose()
    with pytest.raises(RestError) as raised:
        cache.get_or_create(KEY, secret, two_environments, two_environments)
    frames = [frame for frame, _ in traceback.walk_tb(raised.value.__traceback__)][1:]  # the first is the test's
    assert frames
    assert SECRET not in str([frame.f_locals for frame in frames])
    assert raised.value.__context__ is None, "of some errors what they were raised for is an attribute"


def test_a_secret_with_bytes_that_are_no_text_is_left_to_the_client_to_refuse(cache: ClientCache) -> None:
    assert cache.get_or_create(KEY, f"{SECRET}\udcff") is cache.get_or_create(KEY, f"{SECRET}\udcff")


@pytest.mark.parametrize("options", [{"ttl_seconds": 0}, {"ttl_seconds": float("inf")}, {"max_clients": 0}])
def test_limits_that_cannot_be_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="both must be above 0"):
        ClientCache(**options)  # type: ignore[arg-type]


def test_the_usual_bound_holds_all_that_one_address_can_use() -> None:
    assert MAX_CLIENTS > 600 / 5 * TTL


def test_settings_name_the_same_client_as_their_parts_do() -> None:
    cache = ClientCache(SessionPool())
    settings = Settings(api_key=API_KEY, api_secret=Secret(API_SECRET), environment="testnet", recv_window=9000)
    client = cache.get_or_create_from(settings)
    assert client is cache.get_or_create(API_KEY, API_SECRET, testnet=True, recv_window=9000)
    assert (client.base_url, client.recv_window) == ("https://api-testnet.bybit.com", 9000)
    demo = Settings(environment="demo", base_url="http://127.0.0.1:9444")
    assert cache.get_or_create_from(demo) is cache.get_or_create(demo=True, base_url="http://127.0.0.1:9444")
