"""The REST bench's subject and exchange, what a reader is shown, and the limits it is held to."""

import asyncio
from typing import Any

import aiohttp
import bench_rest_client
import bench_rest_venue
import pytest
from bench_report import LIMITS
from bench_rest import text

from feeder.bybit.rest.client import BybitClient
from feeder.bybit.rest.pool import SessionPool


@pytest.mark.parametrize("what", ["bare", "pool", "own", "opened"])
async def test_objects_are_made_and_sessions_closed_again(what: str) -> None:
    async with SessionPool() as pool:
        assert await bench_rest_client.create(what, 3, pool) > 0


@pytest.mark.parametrize("what", ["bare", "cache"])
async def test_a_cache_is_filled_and_read(what: str) -> None:
    async with SessionPool() as pool:
        taken = bench_rest_client.cache(what, 3, pool)
    assert taken["cold"] > 0 < taken["warm"]


async def test_each_request_is_sent_once_so_many_at_a_time() -> None:
    asked, at_once = [], set()

    async def ask(number: int) -> None:
        asked.append(number)
        at_once.add(number)
        await asyncio.sleep(0)
        assert len(at_once) <= 3
        at_once.remove(number)

    taken = await bench_rest_client.requests(ask, 10, 3)
    assert sorted(asked) == list(range(10))
    assert taken.keys() == {"wall", "cpu"}


async def test_each_way_of_each_request_has_an_answer() -> None:
    server = await asyncio.get_running_loop().create_server(bench_rest_venue.Connection, "127.0.0.1", 0)
    async with server, SessionPool() as pool, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        client = BybitClient("k" * 18, "s" * 36, pool=pool, base_url=url)
        ways = bench_rest_client.asks([client], session, url)
        for ask in ways.values():
            await ask(0)
    assert set(ways) == {f"{kind} {way}" for kind in ("wallet", "order") for way in ("bare", "by hand", "feeder")}


async def test_the_bench_s_exchange_answers_as_the_venue_does() -> None:
    server = await asyncio.get_running_loop().create_server(bench_rest_venue.Connection, "127.0.0.1", 0)
    async with server, SessionPool() as pool:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        client = BybitClient("k" * 18, "s" * 36, pool=pool, base_url=url)
        order = await client.place_order("linear", "BTCUSDT", "Buy", "Market", "0.001")
        assert order.result.order_id
        reply = await client.wallet_balance()
        assert [coin.coin for coin in reply.result.entries[0].coins] == ["BTC", "USDT"]
        assert reply.rate is not None
        assert abs(await client.measure_clock()) < 5


def spread(value: float) -> dict[str, float]:
    return {"median": value, "min": value - 0.1, "max": value + 0.1}


def taken(ratio: float, starved: float = 0.5) -> dict[str, Any]:
    us = {"bare": spread(50), "feeder": spread(60), "by hand": spread(65)}
    one = {"cpu_us": us, "wall_us": us, "ratio": spread(ratio), "ratio_by_hand": spread(1.4)}
    return {"wallet": {"starved_percent": 0.5, **one}, "order": {"starved_percent": starved, **one}}


def figures(*, create: float, warm: float, cold: float, request: float, starved: float = 0.5) -> dict[str, Any]:
    return {
        "create": {
            "bare_ms": spread(30),
            "pool_ms": spread(55),
            "own_ms": spread(70),
            "opened_ms": spread(2_400),
            "ratio": spread(create),
        },
        "cache": {
            how: {"bare_ms": spread(1), "ms": spread(ms), "ratio": spread(ms)}
            for how, ms in (("cold", cold), ("warm", warm))
        },
        "requests": {"uvloop": taken(request, starved), "asyncio": taken(1.2)},
        "peers": {"ccxt": {"version": "4.5.0", "wall_us": spread(136), "cpu_us": spread(134)}},
    }


def test_every_figure_is_told() -> None:
    told = text(figures(create=1.9, warm=8.7, cold=19.0, request=1.25))
    for part in ("100,000 clients on one pool", "55.0 (54.9 to 55.1)", "30.0 (29.9 to 30.1)", "1.90 (1.80 to 2.00)"):
        assert part in told
    for part in (
        "2400 (2400 to 2400)",
        "warm, ms",
        "8.7 (8.6 to 8.8)",
        "order, uvloop, us of CPU",
        "by ccxt 4.5.0, us",
    ):
        assert part in told
    assert "NOTE" not in told
    assert "for 30 % of the time" in text(figures(create=1, warm=1, cold=1, request=1, starved=30.0))


def test_what_costs_too_much_misses_its_limit() -> None:
    limits = [limit for limit in LIMITS if limit.scenario == "rest"]
    verdicts = [
        [limit.line(each).split()[0] for limit in limits]
        for each in (
            figures(create=2.0, warm=10.0, cold=100.0, request=1.3),
            figures(create=2.1, warm=10.1, cold=100.1, request=1.31),
        )
    ]
    assert verdicts == [["ok"] * 5, ["MISSED"] * 5]
