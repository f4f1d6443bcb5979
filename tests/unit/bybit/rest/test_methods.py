"""Every typed method sends each of its parameters as the venue's of that name, and as no other."""

import typing
from collections.abc import AsyncIterator, Mapping
from random import Random
from typing import Any, NoReturn

import pytest

from feeder.bybit.rest.account import AccountCalls
from feeder.bybit.rest.endpoint import Endpoint
from feeder.bybit.rest.market import MarketCalls
from feeder.bybit.rest.orders import OrderCalls
from feeder.bybit.rest.parameters import checked
from feeder.bybit.rest.positions import PositionCalls

from .recorder import another, arguments, camel

BATCHES = {"place_orders", "amend_orders", "cancel_orders"}  # their entries: test_orders
METHODS = sorted(
    {
        name
        for calls in (MarketCalls, OrderCalls, PositionCalls, AccountCalls)
        for name in dir(calls)
        if not name.startswith("_") and len(typing.get_type_hints(getattr(calls, name))) > 1
    }
    - {"send", "each"}
    - BATCHES
)


class _AskedError(Exception):
    """Enough has been seen."""


class Asked(MarketCalls, OrderCalls, PositionCalls, AccountCalls):
    """Keeps what would be sent, and ends the call there."""

    def __init__(self) -> None:
        self.parameters: dict[str, Any] = {}

    async def send(self, endpoint: Endpoint[Any], parameters: Mapping[str, object]) -> NoReturn:
        self.parameters = checked(endpoint, parameters, Random(1))
        raise _AskedError

    async def each(self, endpoint: Endpoint[Any], parameters: Mapping[str, object]) -> AsyncIterator[Any]:
        yield await self.send(endpoint, parameters)


async def sent(method: str, given: Mapping[str, Any]) -> dict[str, Any]:
    venue = Asked()
    call = getattr(venue, method)(**given)
    with pytest.raises(_AskedError):
        await (anext(call) if isinstance(call, AsyncIterator) else call)
    return venue.parameters


def test_all_methods_are_looked_at() -> None:
    assert len(METHODS) > 30
    assert {"place_order", "set_trading_stop", "klines", "wallet_balance", "each_execution"} <= set(METHODS)


@pytest.mark.parametrize("method", METHODS)
async def test_each_parameter_changes_what_is_sent_under_its_own_name_alone(method: str) -> None:
    usual = arguments(getattr(Asked, method))
    before = await sent(method, usual)
    for name, value in usual.items():
        after = await sent(method, usual | {name: another(getattr(Asked, method), name, value)})
        changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        assert changed == {camel(name)}, name
