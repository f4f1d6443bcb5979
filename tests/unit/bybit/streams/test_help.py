"""Whoever asks help() of a stream finds its channels, and what can be given to it."""

import inspect

import pytest

from feeder.bybit.rest.client import BybitClient
from feeder.bybit.rest.pool import SessionPool
from feeder.bybit.streams import Channel, OrderEntry, PrivateStream, PublicStream
from tests.helpers.secrets import API_KEY, API_SECRET


@pytest.mark.parametrize("kind", [PrivateStream, PublicStream, OrderEntry])
async def test_each_channel_is_named(kind: type[PrivateStream | PublicStream | OrderEntry]) -> None:
    client = BybitClient(API_KEY, API_SECRET, pool=SessionPool())
    stream = PublicStream("linear") if kind is PublicStream else kind(client)  # type: ignore[arg-type]
    channels = {name for name, value in vars(stream).items() if isinstance(value, Channel)}
    assert len(channels) > 3
    told = inspect.getdoc(kind) or ""
    assert {name for name in channels if f"`{name}`" not in told} == set()
