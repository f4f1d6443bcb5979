"""Instrument tables over a REST client of their own, which is closed when the test is over."""

from random import Random
from typing import Any

from feeder.bybit.instruments import InstrumentTable
from feeder.bybit.rest.client import BybitClient
from feeder.bybit.rest.pool import SessionPool
from feeder.clock import Clock

_pools: list[SessionPool] = []


def instrument_table(rest_url: str, clock: Clock, **options: Any) -> InstrumentTable:
    """A table that may ask as often as it likes: the budget of an address is another test's matter."""
    pool = SessionPool(requests=1_000_000, clock=clock, random=Random(1))
    _pools.append(pool)
    return InstrumentTable(BybitClient(pool=pool, base_url=rest_url), clock=clock, **options)


async def close_tables() -> None:
    """Close the clients of all tables made so far."""
    while _pools:
        await _pools.pop().aclose()
