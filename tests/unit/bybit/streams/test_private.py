"""What an account's own stream takes for a topic, and what it makes of the rows."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from feeder.bybit.rest.client import BybitClient
from feeder.bybit.rest.pool import SessionPool
from feeder.bybit.streams.messages import decode_envelope
from feeder.bybit.streams.private import PrivateStream
from feeder.clock import ManualClock
from feeder.errors import MessageError, ParameterError, TopicError
from tests.helpers.secrets import API_KEY, API_SECRET


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def client(clock: ManualClock) -> BybitClient:
    return BybitClient(API_KEY, API_SECRET, pool=SessionPool(clock=clock))


def told(stream: PrivateStream, topic: str, *rows: dict[str, Any], at: int = 1_700_000_000_000) -> None:
    text = msgspec.json.encode({"topic": topic, "id": "x", "creationTime": at, "data": rows})
    stream.deliver(decode_envelope(text), 1_700_000_000_000_000_000)


def test_the_address_is_that_of_the_clients_environment() -> None:
    for testnet, demo, host in (
        (False, False, "wss://stream.bybit.com"),
        (True, False, "wss://stream-testnet.bybit.com"),
        (False, True, "wss://stream-demo.bybit.com"),
    ):
        stream = PrivateStream(BybitClient(API_KEY, API_SECRET, testnet, demo, pool=SessionPool()))
        assert stream.health().state == "not started"
        assert stream.url == f"{host}/v5/private"


def test_beside_an_address_of_another_host_its_own_is_needed() -> None:
    client = BybitClient(API_KEY, API_SECRET, pool=SessionPool(), base_url="http://127.0.0.1:9")
    with pytest.raises(ParameterError, match=r"url: must be given beside http://127.0.0.1:9"):
        PrivateStream(client)
    assert PrivateStream(client, url="ws://127.0.0.1:8/").url == "ws://127.0.0.1:8/v5/private"


def test_topics_are_given_one_by_one(client: BybitClient) -> None:
    stream = PrivateStream(client)
    with pytest.raises(TypeError, match=r"^private: a topic is text, not list; give .*: subscribe\(\*topics\)$"):
        stream.subscribe(["greeks"])  # type: ignore[arg-type]


def test_without_a_key_there_is_nothing_to_sign_in_with() -> None:
    with pytest.raises(ParameterError, match="api_key: this needs one"):
        PrivateStream(BybitClient(pool=SessionPool()))


@pytest.mark.parametrize("topic", ["orders", "order.lineal", "wallet.spot", "position.spot", "dcp", "", "order."])
def test_a_topic_that_is_none_is_refused_by_name(client: BybitClient, topic: str) -> None:
    with pytest.raises(TopicError, match=r"no topic of the private stream; there are order, order\.spot"):
        PrivateStream(client, topics=[topic])


def test_a_category_beside_all_of_them_would_tell_everything_twice(client: BybitClient) -> None:
    stream = PrivateStream(client, topics=["order", "execution.linear"])
    with pytest.raises(TopicError, match=r"order\.linear: beside order, which tells of all"):
        stream.subscribe("order.linear")
    with pytest.raises(TopicError, match=r"execution: beside execution\.linear"):
        stream.subscribe("execution")
    stream.subscribe("execution.spot", "execution.fast", "dcp.future")
    assert stream.topics == ["order", "execution.linear", "execution.spot", "execution.fast", "dcp.future"]


def test_each_kind_of_row_goes_to_its_channel_with_the_messages_time(client: BybitClient) -> None:
    stream = PrivateStream(client)
    seen: list[Any] = []
    for channel in stream._channels():
        channel.on(seen.append)
    told(stream, "order", {"orderId": "1", "symbol": "S", "category": "linear", "price": "1.10", "avgPrice": ""}, at=7)
    told(stream, "execution.linear", {"execId": "e", "symbol": "S", "execQty": "2", "execTime": "9", "execPnl": "-1"})
    told(stream, "execution.fast.linear", {"execId": "f", "symbol": "S", "execQty": "3"})
    told(stream, "position", {"symbol": "S", "positionIdx": 0, "entryPrice": "5", "size": "1", "seq": 4})
    told(stream, "wallet", {"accountType": "UNIFIED", "coin": [{"coin": "USDT", "walletBalance": "10.5"}]})
    told(stream, "greeks", {"baseCoin": "BTC", "totalDelta": "0.1"})
    order, fill, fast, position, wallet, greeks = seen
    assert (order.order_id, order.price, order.avg_price, order.creation_time) == ("1", Decimal("1.10"), None, 7)
    assert (fill.exec_qty, fill.exec_time, fill.exec_pnl) == (2, 9, -1)
    assert fast.exec_qty == 3
    assert (position.avg_price, position.seq) == (5, 4)
    assert wallet.coins[0].wallet_balance == Decimal("10.5")
    assert greeks.total_delta == Decimal("0.1")


def test_rows_of_one_message_keep_their_order(client: BybitClient) -> None:
    stream = PrivateStream(client)
    seen: list[str] = []
    stream.executions.on(lambda fill: seen.append(fill.exec_id))
    told(stream, "execution", *({"execId": each, "symbol": "S"} for each in "cab"))
    assert seen == ["c", "a", "b"]


def test_a_row_that_cannot_be_understood_tells_nobody_half_of_its_message(client: BybitClient) -> None:
    stream = PrivateStream(client)
    seen: list[Any] = []
    stream.executions.on(seen.append)
    with pytest.raises(MessageError, match=r"execQty"):
        told(stream, "execution", {"execId": "a", "symbol": "S"}, {"execId": "b", "symbol": "S", "execQty": "much"})
    assert seen == []


def test_what_the_library_does_not_know_yet_is_left_out(client: BybitClient) -> None:
    stream = PrivateStream(client)
    seen: list[Any] = []
    stream.orders.on(seen.append)
    told(stream, "order", {"orderId": "1", "symbol": "S", "brandNew": {"a": []}})
    assert len(seen) == 1


def test_latency_is_from_the_venues_making_to_our_receiving(client: BybitClient, clock: ManualClock) -> None:
    stream = PrivateStream(client, clock=clock)
    assert stream.health().latency is None
    told(stream, "wallet", {"coin": []}, at=1_700_000_000_000 - 40)
    clock.advance(1)  # waiting within our own process is not the venue's
    told(stream, "wallet", {"coin": []}, at=1_700_000_000_000 - 40)
    latency = stream.health().latency
    assert latency is not None
    assert (latency.count, latency.maximum) == (2, 40)
