"""An address that is none is refused when it is given, not by an attempt to connect to it."""

from collections.abc import Callable

import pytest

from feeder.bybit.rest.client import BybitClient
from feeder.bybit.rest.pool import SessionPool
from feeder.bybit.streams.hosts import is_address
from feeder.bybit.streams.order_entry import OrderEntry
from feeder.bybit.streams.private import PrivateStream
from feeder.bybit.streams.public import PublicStream
from feeder.errors import ParameterError
from tests.helpers.secrets import API_KEY, API_SECRET

GOOD = [
    "wss://stream.bybit.com",
    "wss://stream.bybit.com/",
    "ws://127.0.0.1:8080",
    "ws://[::1]:65535",
    "ws://localhost:1/",
]
BAD = [
    "",
    "stream.bybit.com",
    "https://stream.bybit.com",
    "wss://",
    "wss://stream.bybit.com/v5/private",
    "wss://user:hunter2@stream.bybit.com",
    "wss://stream.bybit.com?x=1",
    "wss://stream.bybit.com:0",
    "wss://stream.bybit.com:65536",
    "wss://stream.bybit.com\n",
    b"wss://stream.bybit.com",
    8080,
]


@pytest.mark.parametrize("url", GOOD)
def test_an_address_is_a_host_and_its_port(url: str) -> None:
    assert is_address(url)


@pytest.mark.parametrize("url", BAD)
def test_anything_else_is_none(url: object) -> None:
    assert not is_address(url)


def _client() -> BybitClient:
    return BybitClient(API_KEY, API_SECRET, pool=SessionPool())


MAKERS: dict[str, Callable[[str], object]] = {
    "PrivateStream": lambda url: PrivateStream(_client(), url=url),
    "PublicStream": lambda url: PublicStream("linear", url=url),
    "OrderEntry": lambda url: OrderEntry(_client(), url=url),
}


async def test_order_entry_is_not_made_for_demo_trading() -> None:
    with pytest.raises(ParameterError, match="demo trading has no order-entry WebSocket"):
        OrderEntry(_client(), url="wss://stream-demo.bybit.com/")


@pytest.mark.parametrize("owner", MAKERS)
@pytest.mark.parametrize("url", ["", "wss://user:hunter2@stream.bybit.com/v5/private", "http://127.0.0.1"])
async def test_what_is_none_is_refused_at_once_and_not_quoted(owner: str, url: str) -> None:
    with pytest.raises(ParameterError) as raised:
        MAKERS[owner](url)
    assert str(raised.value) == (
        f"{owner}: url: write ws:// or wss:// and host[:port], without user, password and path"
    )
    assert raised.value.parameter == "url"
